//! Verification of a whole log, row by row, at constant memory.

use std::fmt;

use sqlx::AnyConnection;
use tokio::sync::mpsc;

pub use super::cross::cross_recorded;
use super::{AuditError, LogId};
use crate::model::Micros;
use crate::proof::actions;
use crate::proof::checkpoint::{Checkpoint, CheckpointError};
use crate::proof::log_check::{BLOCK_LEVEL, LogChecker, Report, RowInput};
use crate::proof::merkle::Frontier;
use crate::proof::note::{NoteError, NoteVerifier};
use crate::proof::row::AuditRow;
use crate::store::audit::{self, Head};
use crate::store::proven::{self, Proven, columns_of};

const BATCH: i64 = 1000;

/// How many kept checkpoints are checked in one go.
const SIGNATURES: usize = 4096;

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
    whole_log_against(conn, verifiers, origin, head, &[], progress).await
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
    mut progress: impl FnMut(u64),
) -> Result<Result<Report, Fault>, AuditError> {
    let fault = |row: Option<u64>, what: String| Fault { log: head.id.clone(), row, what };
    let log = match &head.org_id {
        None => LogId::Platform,
        Some(id) => LogId::Org(id.clone()),
    };
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
    let mut checker = LogChecker::new(&head.id);
    for seen in elsewhere {
        if seen.origin != name || seen.size > signed.size {
            return Ok(Err(fault(
                None,
                format!(
                    "somebody else has seen {} rows of it, and there are {}: it was cut back or replaced by an older copy",
                    seen.size, signed.size
                ),
            )));
        }
        checker.expect_checkpoint(seen.size, seen.root);
    }
    match kept_checkpoints(conn, verifiers, head, &name).await? {
        Ok(kept) => {
            for checkpoint in kept {
                checker.expect_checkpoint(checkpoint.size, checkpoint.root);
            }
        }
        Err(what) => return Ok(Err(fault(None, what))),
    }
    let level = i64::from(BLOCK_LEVEL);
    for (index, hash) in audit::subtrees(conn, &head.id, level, 0, head.size >> level).await? {
        if let (Ok(index), Ok(hash)) = (u64::try_from(index), hash.as_slice().try_into()) {
            checker.expect_block(index, hash);
        }
    }
    // Rows are read here while those before them are checked on another thread.
    let (send, receive) = mpsc::channel::<Vec<Proven>>(2);
    let checking = tokio::task::spawn_blocking(move || check_rows(checker, receive));
    let mut from = 0;
    let read = async {
        loop {
            let mut rows = proven::rows(conn, &head.id, from, BATCH.min(head.size - from)).await?;
            rows.retain(|row| row.seq < head.size);
            let Some(last) = rows.last() else { return Ok::<_, AuditError>(()) };
            from = last.seq + 1;
            // Whoever checks has stopped: it has found something.
            if send.send(rows).await.is_err() {
                return Ok(());
            }
            progress(u64::try_from(from).unwrap_or(0));
        }
    };
    let read = read.await;
    drop(send);
    let checked = checking.await.map_err(|e| AuditError::Unreadable {
        log: head.id.clone(),
        what: format!("checking its rows stopped: {e}"),
    })?;
    read?;
    let (checker, last_at) = match checked {
        Ok(checked) => checked,
        Err((row, what)) => return Ok(Err(fault(Some(row), what))),
    };
    let claimed = u64::try_from(head.size).unwrap_or(0);
    let report = match checker.finish(claimed, &signed) {
        Ok(report) => report,
        Err(f) => return Ok(Err(fault(f.first_bad_seq, f.sentence))),
    };
    if let Some(what) = head_fault(head, last_at, &report) {
        return Ok(Err(fault(None, what)));
    }
    Ok(match super::stored::tree_fault(conn, head).await? {
        Some((row, what)) => Err(fault(row, what)),
        None => Ok(report),
    })
}

/// Checks rows as they come: the checker and the time of the last one, or the first bad row and
/// what is wrong with it.
fn check_rows(
    mut checker: LogChecker,
    mut rows: mpsc::Receiver<Vec<Proven>>,
) -> Result<(LogChecker, Option<Micros>), (u64, String)> {
    let mut last_at = None;
    while let Some(batch) = rows.blocking_recv() {
        for entry in &batch {
            let seq = u64::try_from(entry.seq).unwrap_or(u64::MAX);
            let input = RowInput { seq, stored_leaf_hash: &entry.leaf_hash, body: &entry.body };
            let row = checker.push(input).map_err(|bad| (bad.seq, bad.why.to_string()))?;
            // The columns are not proven by the tree; they must not lead a search astray.
            if columns_of(&row) != entry.columns {
                return Err((seq, "its columns do not say what its text says".to_owned()));
            }
            last_at = Some(row.at);
        }
    }
    Ok((checker, last_at))
}

/// The checkpoints that were kept of a log, as far as its head goes, with their signatures
/// checked; or what is wrong with one.
async fn kept_checkpoints(
    conn: &mut AnyConnection,
    verifiers: &[NoteVerifier],
    head: &Head,
    name: &str,
) -> Result<Result<Vec<Checkpoint>, String>, AuditError> {
    let mut kept = audit::checkpoints(conn, &head.id).await?;
    kept.retain(|(size, _)| *size <= head.size);
    let mut parts = Vec::new();
    while !kept.is_empty() {
        let rest = kept.split_off(kept.len().min(SIGNATURES));
        let (part, verifiers, name) =
            (std::mem::replace(&mut kept, rest), verifiers.to_vec(), name.to_owned());
        parts.push(tokio::task::spawn_blocking(move || {
            let notes: Vec<&str> = part.iter().map(|(_, note)| note.as_str()).collect();
            let opened = Checkpoint::open_all(&notes, &verifiers, &name);
            let sized = part.iter().zip(opened).map(|((size, _), opened)| match opened {
                Ok(kept) if i64::try_from(kept.size) == Ok(*size) => Ok(kept),
                Ok(kept) => Err(format!("the checkpoint kept for {size} rows is of {}", kept.size)),
                Err(e) => Err(format!("the checkpoint kept for {size} rows: {e}")),
            });
            sized.collect::<Result<Vec<_>, _>>()
        }));
    }
    let mut all = Vec::new();
    for part in parts {
        let part = part.await.map_err(|e| AuditError::Unreadable {
            log: head.id.clone(),
            what: format!("checking its checkpoints stopped: {e}"),
        })?;
        match part {
            Ok(part) => all.extend(part),
            Err(what) => return Ok(Err(what)),
        }
    }
    Ok(Ok(all))
}

/// What is wrong with a head whose rows are good. The next row would be built on it, and be
/// signed.
fn head_fault(head: &Head, last_at: Option<Micros>, report: &Report) -> Option<String> {
    let frontier = Frontier::from_bytes(report.rows, &head.frontier);
    if !frontier.is_ok_and(|frontier| frontier.root() == report.root) {
        return Some("the frontier in its head is not that of its rows".into());
    }
    if last_at.is_some_and(|at| at != head.last_at) {
        return Some("the time in its head is not that of its newest row".into());
    }
    let blocks = report.rows >> BLOCK_LEVEL;
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

/// The logs that must be there and are not: the platform's, and one for each org. A log that was
/// removed whole is found here.
///
/// # Errors
/// Where the database does not answer.
pub async fn missing_logs(
    conn: &mut AnyConnection,
    heads: &[Head],
) -> Result<Vec<Fault>, AuditError> {
    let mut wanted = vec![LogId::Platform];
    wanted.extend(audit::orgs_named(conn).await?.into_iter().map(LogId::Org));
    let missing = wanted
        .into_iter()
        .map(|log| log.as_string())
        .filter(|id| heads.iter().all(|h| h.id != *id));
    Ok(missing
        .map(|log| Fault {
            log,
            row: None,
            what: "it is not there: it was removed whole".to_owned(),
        })
        .collect())
}
