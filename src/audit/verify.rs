//! Verification of a whole log, row by row, at constant memory.

use std::collections::HashSet;
use std::fmt;

use sqlx::AnyConnection;
use tokio::sync::mpsc;

pub use super::cross::{agree, cross_recorded};
pub use super::recorded::Claim;
use super::recorded::Collector;
use super::stretch::{self, Bad, Checking, Signatures, Stretch};
use super::{AuditError, LogId, resume, unreadable};
use crate::model::Micros;
use crate::proof::actions;
use crate::proof::checkpoint::{Checkpoint, CheckpointError};
use crate::proof::log_check::{BLOCK_LEVEL, LogChecker, Report};
use crate::proof::merkle::Frontier;
use crate::proof::note::{NoteError, NoteVerifier};
use crate::proof::row::AuditRow;
use crate::store::audit::{self, Head};
use crate::store::proven;

const BATCH: i64 = 1000;

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which log.
    pub log: String,
    /// The first bad or missing row, where it has a place.
    pub row: Option<u64>,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "log {}, row {row}: {}", self.log, self.what),
            None => write!(f, "log {}: {}", self.log, self.what),
        }
    }
}

/// The logs in the order in which to begin on them where several are verified at once: the largest
/// first, so that it is not what all the others are waited for with.
pub fn largest_first(heads: &[Head]) -> Vec<&Head> {
    let mut heads: Vec<&Head> = heads.iter().collect();
    heads.sort_by_key(|head| std::cmp::Reverse(head.size));
    heads
}

/// A log that is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What was looked at.
    pub report: Report,
    /// What its rows recorded of other logs, to be held against those ([`agree`]).
    pub claims: Vec<Claim>,
}

/// Verifies a log against its signed checkpoint, every kept checkpoint and every kept subtree
/// root. `verifiers` are the keys that the log ever had, the current one first. `progress` hears
/// how many rows are done.
///
/// # Errors
/// Where the database does not answer. What is wrong with the log is the inner result.
pub async fn whole_log(
    conn: &mut AnyConnection,
    verifiers: &[NoteVerifier],
    origin: &str,
    head: &Head,
    progress: impl FnMut(u64),
) -> Result<Result<Report, Fault>, AuditError> {
    let verified = whole_log_against(conn, verifiers, origin, head, &[], progress).await?;
    Ok(verified.map(|verified| verified.report))
}

/// As [`whole_log`], and against checkpoints of it that somebody else kept: the log must have
/// what it had when they were signed.
///
/// # Errors
/// As for [`whole_log`].
pub async fn whole_log_against(
    conn: &mut AnyConnection,
    verifiers: &[NoteVerifier],
    origin: &str,
    head: &Head,
    elsewhere: &[Checkpoint],
    progress: impl FnMut(u64),
) -> Result<Result<Verified, Fault>, AuditError> {
    log_from(conn, verifiers, origin, head, None, elsewhere, progress).await
}

/// As [`whole_log_against`], and only from the tile on in which the checkpoint `since` ends, if
/// there is one: that the rows before are still those that it was of follows from its root. Of
/// `elsewhere`, what is of fewer rows is not looked at then.
///
/// # Errors
/// As for [`whole_log`].
pub async fn log_from(
    conn: &mut AnyConnection,
    verifiers: &[NoteVerifier],
    origin: &str,
    head: &Head,
    since: Option<&Checkpoint>,
    elsewhere: &[Checkpoint],
    progress: impl FnMut(u64),
) -> Result<Result<Verified, Fault>, AuditError> {
    match log_as_read(conn, verifiers, origin, head, since, elsewhere, progress).await {
        Ok(found) => Ok(found),
        // Whatever of a log cannot be read is wrong with it.
        Err(error) => unreadable::fault(conn, head, error).await.map(Err),
    }
}

async fn log_as_read(
    conn: &mut AnyConnection,
    verifiers: &[NoteVerifier],
    origin: &str,
    head: &Head,
    since: Option<&Checkpoint>,
    elsewhere: &[Checkpoint],
    progress: impl FnMut(u64),
) -> Result<Result<Verified, Fault>, AuditError> {
    let fault = |row: Option<u64>, what: String| Fault { log: head.id.clone(), row, what };
    let log = super::key::log_of(head);
    let name = format!("{origin}/{}", log.as_string());
    if log.as_string() != head.id || head.origin != name {
        return Ok(Err(fault(None, "its id, org and origin do not agree".into())));
    }
    let signed = match super::key::newest(&head.checkpoint, verifiers, &name) {
        Ok(signed) => signed,
        Err(CheckpointError::Note(NoteError::Unsigned)) => {
            let what = "its newest checkpoint is not signed with the current key";
            return Ok(Err(fault(None, what.into())));
        }
        Err(e) => return Ok(Err(fault(None, format!("its newest checkpoint: {e}")))),
    };
    if i64::try_from(signed.size) != Ok(head.size) {
        return Ok(Err(fault(
            None,
            format!("it says that it has {} rows, its checkpoint {}", head.size, signed.size),
        )));
    }
    // Rows may be appended while this goes on: what is newer than the head in hand is another
    // verification's. Only what is beyond the head as it is by then was never counted.
    if let Some(seq) = proven::beyond_head(conn, &head.id).await? {
        return Ok(Err(fault(
            u64::try_from(seq).ok(),
            "something of it is beyond its head: the log was cut, or rows were added".into(),
        )));
    }
    let begin = since.map_or(0, |since| resume::begin(since.size.min(signed.size)));
    let frontier = match frontier_at(conn, head, begin).await? {
        Some(frontier) => frontier,
        None => {
            let what = format!("of the tree over its first {begin} rows something is missing");
            return Ok(Err(fault(None, what)));
        }
    };
    if since.is_some_and(|since| since.size == begin && since.root != frontier.root()) {
        let what = format!(
            "at least one of its first {begin} rows was changed: a checkpoint of {begin} rows has another root"
        );
        return Ok(Err(fault(None, what)));
    }
    let mut checker = LogChecker::resume(&head.id, frontier);
    for seen in elsewhere.iter().chain(since) {
        if seen.origin != name {
            let what =
                format!("what somebody else has seen as it is of another log: {}", seen.origin);
            return Ok(Err(fault(None, what)));
        }
        if seen.size > signed.size {
            let most = elsewhere.iter().chain(since).map(|seen| seen.size).max();
            let what = cut_back(signed.size, most.unwrap_or(seen.size));
            return Ok(Err(fault(Some(signed.size), what)));
        }
        if seen.size > begin || begin == 0 {
            checker.expect_checkpoint(seen.size, seen.root);
        }
    }
    let level = i64::from(BLOCK_LEVEL);
    let first = i64::try_from(begin).unwrap_or(i64::MAX);
    for (index, hash) in
        audit::subtrees(conn, &head.id, level, first >> level, head.size >> level).await?
    {
        if let (Ok(index), Ok(hash)) = (u64::try_from(index), hash.as_slice().try_into()) {
            checker.expect_block(index, hash);
        }
    }
    let recorded = Collector::new(&head.id, verifiers);
    let checking = Checking { checker, last_at: None, recorded, kept: HashSet::new() };
    let Checking { checker, last_at, recorded, .. } =
        match read_and_check(conn, verifiers, (head, first), &name, checking, progress).await? {
            Ok(checked) => checked,
            Err((row, what)) => return Ok(Err(fault(row, what))),
        };
    let claimed = u64::try_from(head.size).unwrap_or(0);
    let report = match checker.finish(claimed, &signed) {
        Ok(report) => report,
        Err(f) => return Ok(Err(fault(f.first_bad_seq, f.sentence))),
    };
    if let Some(what) = head_fault(head, first, last_at, &report) {
        return Ok(Err(fault(None, what)));
    }
    if let Some((row, what)) = super::stored::tree_fault(conn, head, first).await? {
        return Ok(Err(fault(row, what)));
    }
    Ok(match recorded.finish() {
        Ok(claims) => Ok(Verified { report, claims }),
        Err((seq, what)) => Err(fault(Some(seq), what)),
    })
}

/// That somebody else has seen more rows than there are, and which are missing.
fn cut_back(rows: u64, seen: u64) -> String {
    format!(
        "rows {rows} to {} are missing: somebody else has seen {seen} rows of it, and there are {rows}: it was cut back or replaced by an older copy",
        seen.saturating_sub(1)
    )
}

/// The frontier of the first `begin` rows, as the stored tiles have it; nothing where one of them
/// is not whole.
async fn frontier_at(
    conn: &mut AnyConnection,
    head: &Head,
    begin: u64,
) -> Result<Option<Frontier>, AuditError> {
    let mut tiles = Vec::new();
    for path in resume::needed(begin, u64::try_from(head.size).unwrap_or(0)) {
        match super::tiles::read(conn, head, path).await {
            Ok(tile) => tiles.extend(tile),
            Err(AuditError::Unreadable { .. }) => return Ok(None),
            Err(e) => return Err(e),
        }
    }
    Ok(resume::frontier(begin, &tiles))
}

/// Reads the rows of a log and the checkpoints kept of it, stretch by stretch, while those before
/// are checked on other threads. What is wrong is the inner result.
async fn read_and_check(
    conn: &mut AnyConnection,
    verifiers: &[NoteVerifier],
    (head, first): (&Head, i64),
    name: &str,
    mut checking: Checking,
    mut progress: impl FnMut(u64),
) -> Result<Result<Checking, (Option<u64>, String)>, AuditError> {
    let (send, mut receive) = mpsc::channel::<Stretch>(2);
    let checked = tokio::task::spawn_blocking(move || {
        while let Some(stretch) = receive.blocking_recv() {
            checking.check(stretch)?;
        }
        Ok::<_, Bad>(checking)
    });
    let mut signatures = Signatures::new(verifiers, name);
    let read = async {
        let (mut from, mut above) = (first, if first == 0 { i64::MIN } else { first });
        loop {
            let to = stretch::end(from, head.size);
            let kept = proven::checkpoints(conn, &head.id, above, to).await?;
            let claims = signatures.take(kept).await?;
            let stretch = Stretch::read(conn, head, (from, to), claims).await?;
            // Whoever checks has stopped: it has found something.
            if send.send(stretch).await.is_err() {
                return Ok::<_, AuditError>(());
            }
            progress(u64::try_from(to).unwrap_or(0));
            if to >= head.size {
                return Ok(());
            }
            (from, above) = (to, to);
        }
    };
    let read = read.await;
    drop(send);
    let checked = checked.await.map_err(|e| AuditError::Unreadable {
        log: head.id.clone(),
        what: format!("checking its rows stopped: {e}"),
    })?;
    // What was found before something that cannot be read comes first.
    if let (Err(_), Err(bad)) = (&read, &checked) {
        return Ok(Err((Some(bad.seq), bad.what.clone())));
    }
    read?;
    let unsigned = signatures.finish().await?;
    Ok(match (checked, unsigned) {
        // A checkpoint that nobody signed says nothing of the rows before it.
        (Err(bad), Some((size, what))) if size <= bad.to => Err((None, what)),
        (Err(bad), _) => Err((Some(bad.seq), bad.what)),
        (Ok(_), Some((_, what))) => Err((None, what)),
        (Ok(checking), None) => Ok(checking),
    })
}

/// What is wrong with a head whose rows are good. The next row would be built on it, and be
/// signed.
fn head_fault(head: &Head, first: i64, last_at: Option<Micros>, report: &Report) -> Option<String> {
    let frontier = Frontier::from_bytes(report.rows, &head.frontier);
    if !frontier.is_ok_and(|frontier| frontier.root() == report.root) {
        return Some("the frontier in its head is not that of its rows".into());
    }
    if last_at.is_some_and(|at| at != head.last_at) {
        return Some("the time in its head is not that of its newest row".into());
    }
    let blocks = (report.rows >> BLOCK_LEVEL) - (u64::try_from(first).unwrap_or(0) >> BLOCK_LEVEL);
    if report.blocks_agreed != blocks {
        return Some(format!(
            "of its {blocks} blocks only {} have a root kept",
            report.blocks_agreed
        ));
    }
    None
}

/// The notes in which each key of the logs named the next, the oldest first, as the platform's log
/// has them. They are not checked: [`crate::proof::log_keys::trusted`] does that.
///
/// # Errors
/// Where the database does not answer.
pub async fn endorsements(conn: &mut AnyConnection) -> Result<Vec<String>, AuditError> {
    let filter = audit::Filter {
        action: Some(actions::PLATFORM_LOG_KEY_ROTATED.to_owned()),
        ..audit::Filter::default()
    };
    let mut notes = Vec::new();
    let mut seek = audit::Seek::Newest;
    loop {
        let rows = audit::timeline(conn, &filter, &seek, false, BATCH).await?;
        let Some(last) = rows.last() else { break };
        seek = audit::Seek::Older(last.key());
        notes.extend(rows.iter().filter(|entry| entry.log_id == "platform").filter_map(|entry| {
            let row = AuditRow::parse(&entry.body).ok()?;
            row.detail_str("endorsement").map(str::to_owned)
        }));
    }
    notes.reverse();
    Ok(notes)
}

/// What is wrong with the logs as a set: those that must be there and are not (the platform's, and
/// one for each org), so that a log that was removed whole is missed; and a row that is in no log,
/// which no verification of a log would meet.
///
/// # Errors
/// Where the database does not answer.
pub async fn set_faults(
    conn: &mut AnyConnection,
    heads: &[Head],
) -> Result<Vec<Fault>, AuditError> {
    let mut wanted = vec![LogId::Platform];
    wanted.extend(audit::orgs_named(conn).await?.into_iter().map(LogId::Org));
    let missing = wanted
        .into_iter()
        .map(|log| log.as_string())
        .filter(|id| heads.iter().all(|h| h.id != *id));
    let missing = missing.map(|log| Fault {
        log,
        row: None,
        what: "it is not there: it was removed whole".to_owned(),
    });
    let stray = proven::stray(conn).await?.map(|(log, seq)| Fault {
        log,
        row: None,
        what: format!("a row says that it is number {seq} of it, and no log has such a row"),
    });
    Ok(missing.chain(stray).collect())
}
