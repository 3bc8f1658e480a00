//! Verification of a whole log, row by row, at constant memory.

use std::fmt;

use sqlx::AnyConnection;

use super::trail::columns_agree;
use super::{AuditError, LogId};
use crate::model::Micros;
use crate::proof::actions;
use crate::proof::checkpoint::{Checkpoint, CheckpointError};
use crate::proof::log_check::{BLOCK_LEVEL, LogChecker, Report, RowInput};
use crate::proof::merkle::Frontier;
use crate::proof::note::{NoteError, NoteVerifier};
use crate::proof::row::AuditRow;
use crate::store::audit::{self, Head};

const BATCH: i64 = 1000;

/// The actions whose rows record where another log stands, under which name, and whether they
/// must.
const RECORDING: &[(&str, &str, bool)] = &[
    (actions::PLATFORM_IMPERSONATION_ENDED, "org_checkpoint", true),
    (actions::IMPERSONATION_ENDED, "platform_checkpoint", true),
    (actions::IMPERSONATION_STARTED, "platform_checkpoint", false),
    (actions::HANDOFF_SENT, "platform_checkpoint", false),
    (actions::HANDOFF_DELIVERED, "platform_checkpoint", false),
    (actions::HANDOFF_ACKNOWLEDGED, "platform_checkpoint", false),
    (actions::CONSENT_ENABLED, "platform_checkpoint", false),
    (actions::CONSENT_DISABLED, "platform_checkpoint", false),
    (actions::WEBHOOK_TEST_EVENT_SENT, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGE_ASKED, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGE_CANCELLED, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGE_OBJECTED, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGED, "platform_checkpoint", false),
];

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
    if let Some(seq) = audit::beyond_head(conn, &head.id).await? {
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
    let kept = audit::checkpoints(conn, &head.id).await?;
    for (size, note) in kept.into_iter().filter(|(size, _)| *size <= head.size) {
        match Checkpoint::open(&note, verifiers, &name) {
            Ok(kept) if i64::try_from(kept.size) == Ok(size) => {
                checker.expect_checkpoint(kept.size, kept.root)
            }
            Ok(kept) => {
                return Ok(Err(fault(
                    None,
                    format!("the checkpoint kept for {size} rows is of {}", kept.size),
                )));
            }
            Err(e) => {
                return Ok(Err(fault(None, format!("the checkpoint kept for {size} rows: {e}"))));
            }
        }
    }
    let level = i64::from(BLOCK_LEVEL);
    for (index, hash) in audit::subtrees(conn, &head.id, level, 0, head.size >> level).await? {
        if let (Ok(index), Ok(hash)) = (u64::try_from(index), hash.as_slice().try_into()) {
            checker.expect_block(index, hash);
        }
    }
    let (mut from, mut last_at) = (0, None);
    loop {
        let rows = audit::range(conn, &head.id, from, BATCH.min(head.size - from)).await?;
        let rows: Vec<_> = rows.into_iter().filter(|row| row.seq < head.size).collect();
        let Some(last) = rows.last() else { break };
        from = last.seq + 1;
        last_at = Some(last.at);
        for entry in &rows {
            let seq = u64::try_from(entry.seq).unwrap_or(u64::MAX);
            let input = RowInput { seq, stored_leaf_hash: &entry.leaf_hash, body: &entry.body };
            if let Err(bad) = checker.push(input) {
                return Ok(Err(fault(Some(bad.seq), bad.why.to_string())));
            }
            // The columns are not proven by the tree; they must not lead a search astray.
            if !AuditRow::parse(&entry.body).is_ok_and(|row| columns_agree(entry, &row)) {
                return Ok(Err(fault(
                    Some(seq),
                    "its columns do not say what its text says".into(),
                )));
            }
        }
        progress(checker.rows());
    }
    let claimed = u64::try_from(head.size).unwrap_or(0);
    Ok(checker.finish(claimed, &signed).map_err(|f| fault(f.first_bad_seq, f.sentence)).and_then(
        |report| match head_fault(head, last_at, &report) {
            Some(what) => Err(fault(None, what)),
            None => Ok(report),
        },
    ))
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

/// Whether every checkpoint of this log that other logs recorded agrees with it: a log replaced
/// by an older copy of itself is found here.
///
/// # Errors
/// Where the database does not answer.
pub async fn cross_recorded(
    conn: &mut AnyConnection,
    verifiers: &[NoteVerifier],
    heads: &[Head],
) -> Result<Result<u64, Fault>, AuditError> {
    use std::collections::HashMap;
    let by_origin: HashMap<&str, &Head> = heads.iter().map(|h| (h.origin.as_str(), h)).collect();
    let sizes: HashMap<&str, i64> = heads.iter().map(|h| (h.id.as_str(), h.size)).collect();
    let mut agreed = 0;
    for &(action, field, required) in RECORDING {
        let filter = audit::Filter { action: Some(action.to_owned()), ..audit::Filter::default() };
        let mut seek = audit::Seek::Newest;
        loop {
            let rows = audit::timeline(conn, &filter, &seek, false, BATCH).await?;
            let Some(last) = rows.last() else { break };
            seek = audit::Seek::Older(last.key());
            for entry in &rows {
                // Written since the heads were read: they do not know of it yet.
                if sizes.get(entry.log_id.as_str()).is_some_and(|size| entry.seq >= *size) {
                    continue;
                }
                let here = |what: String| {
                    Err(Fault {
                        log: entry.log_id.clone(),
                        row: u64::try_from(entry.seq).ok(),
                        what,
                    })
                };
                let Ok(row) = AuditRow::parse(&entry.body) else {
                    return Ok(here("it cannot be read".into()));
                };
                let Some(note) = row.detail_str(field) else {
                    if required {
                        return Ok(here(format!("it does not record the {field}")));
                    }
                    continue;
                };
                let Some(recorded) = Checkpoint::unverified(note).ok() else {
                    return Ok(here(format!("its {field} cannot be read")));
                };
                if let Err(e) = Checkpoint::open(note, verifiers, &recorded.origin) {
                    return Ok(here(format!("its {field}: {e}")));
                }
                let Some(other) = by_origin.get(recorded.origin.as_str()) else {
                    return Ok(here(format!(
                        "its {field} is of a log that is not there: {}",
                        recorded.origin
                    )));
                };
                if !covers(conn, other, &recorded).await? {
                    return Ok(Err(Fault {
                        log: other.id.clone(),
                        row: None,
                        what: format!(
                            "row {} of {} recorded it with {} rows and another content: it was rewritten, cut or replaced by an older copy",
                            entry.seq, entry.log_id, recorded.size
                        ),
                    }));
                }
                agreed += 1;
            }
        }
    }
    Ok(Ok(agreed))
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

/// Whether a log had, at the recorded size, the recorded root.
async fn covers(
    conn: &mut AnyConnection,
    head: &Head,
    recorded: &Checkpoint,
) -> Result<bool, AuditError> {
    if recorded.size == 0 {
        return Ok(recorded.root == crate::proof::merkle::empty_root());
    }
    let Ok(size) = i64::try_from(recorded.size) else { return Ok(false) };
    if size > head.size {
        return Ok(false);
    }
    // The root at an earlier size, from the nodes that made it up.
    let mut root: Option<crate::proof::Hash> = None;
    let peaks: Vec<(u8, u64)> = (0..64u8)
        .filter(|level| recorded.size >> level & 1 == 1)
        .map(|level| (level, (recorded.size >> level) - 1))
        .collect();
    let seqs: Vec<u64> = peaks.iter().map(|(level, index)| index << level).collect();
    let nodes = super::nodes::Nodes::load(conn, head, &seqs).await?;
    for (level, index) in peaks {
        let Ok(hash) = nodes.get(level, index) else { return Ok(false) };
        root = Some(match root {
            None => hash,
            Some(right) => crate::proof::merkle::node_hash(&hash, &right),
        });
    }
    Ok(root == Some(recorded.root))
}
