//! What the logs recorded of each other: a log that was rewritten, cut or replaced by an older copy
//! of itself is found by what the others say of it.

use std::collections::HashMap;

use sqlx::AnyConnection;

use super::AuditError;
use super::nodes::{Edges, Nodes, forest};
use super::verify::Fault;
use crate::proof::actions;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::merkle;
use crate::proof::note::{NoteError, NoteVerifier, open_notes};
use crate::proof::row::AuditRow;
use crate::store::audit::{self, Entry, Head};

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

/// A checkpoint of one log in a row of another.
struct Recorded {
    entry: Entry,
    field: &'static str,
    note: String,
    checkpoint: Checkpoint,
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
            let mut recorded = Vec::with_capacity(rows.len());
            for entry in rows {
                // Written since the heads were read: they do not know of it yet.
                if sizes.get(entry.log_id.as_str()).is_some_and(|size| entry.seq >= *size) {
                    continue;
                }
                match read(entry, field, required) {
                    Ok(found) => recorded.extend(found),
                    Err(fault) => return Ok(Err(fault)),
                }
            }
            if let Some(fault) = unsigned(&recorded, verifiers).await? {
                return Ok(Err(fault));
            }
            if let Some(fault) = disagrees(conn, &by_origin, &recorded).await? {
                return Ok(Err(fault));
            }
            agreed += recorded.len() as u64;
        }
    }
    Ok(Ok(agreed))
}

fn fault_at(entry: &Entry, what: String) -> Fault {
    Fault { log: entry.log_id.clone(), row: u64::try_from(entry.seq).ok(), what }
}

/// What a row recorded, if it did.
fn read(entry: Entry, field: &'static str, required: bool) -> Result<Option<Recorded>, Fault> {
    let Ok(row) = AuditRow::parse(&entry.body) else {
        return Err(fault_at(&entry, "it cannot be read".into()));
    };
    let Some(note) = row.detail_str(field) else {
        if required {
            return Err(fault_at(&entry, format!("it does not record the {field}")));
        }
        return Ok(None);
    };
    let Ok(checkpoint) = Checkpoint::unverified(note) else {
        return Err(fault_at(&entry, format!("its {field} cannot be read")));
    };
    let note = note.to_owned();
    Ok(Some(Recorded { entry, field, note, checkpoint }))
}

/// The first of them whose signature does not hold.
async fn unsigned(
    recorded: &[Recorded],
    verifiers: &[NoteVerifier],
) -> Result<Option<Fault>, AuditError> {
    let notes: Vec<String> = recorded.iter().map(|r| r.note.clone()).collect();
    let verifiers = verifiers.to_vec();
    let opened = tokio::task::spawn_blocking(move || {
        let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
        open_notes(&notes, &verifiers).into_iter().map(|o| o.err()).collect::<Vec<_>>()
    });
    let wrong: Vec<Option<NoteError>> = opened.await.map_err(|e| AuditError::Unreadable {
        log: "platform".to_owned(),
        what: format!("checking what logs recorded of each other stopped: {e}"),
    })?;
    let mut wrong = recorded.iter().zip(wrong).filter_map(|(r, wrong)| Some((r, wrong?)));
    Ok(wrong.next().map(|(r, e)| fault_at(&r.entry, format!("its {}: {e}", r.field))))
}

/// The first log that is not what one of them says of it.
async fn disagrees(
    conn: &mut AnyConnection,
    by_origin: &HashMap<&str, &Head>,
    recorded: &[Recorded],
) -> Result<Option<Fault>, AuditError> {
    let mut wanted: HashMap<&str, (&Head, Vec<u64>)> = HashMap::new();
    for r in recorded {
        let Some(head) = by_origin.get(r.checkpoint.origin.as_str()) else {
            let what =
                format!("its {} is of a log that is not there: {}", r.field, r.checkpoint.origin);
            return Ok(Some(fault_at(&r.entry, what)));
        };
        let fits = i64::try_from(r.checkpoint.size).is_ok_and(|size| size <= head.size);
        if fits {
            let of = wanted.entry(head.id.as_str()).or_insert_with(|| (head, Vec::new()));
            of.1.extend(peaks(r.checkpoint.size).map(|(level, index)| index << level));
        }
    }
    let wanted: Vec<(&Head, Vec<u64>)> = wanted.into_values().collect();
    let forest = forest(conn, &wanted, &Edges::default()).await?;
    for r in recorded {
        let head = by_origin[r.checkpoint.origin.as_str()];
        let fits = i64::try_from(r.checkpoint.size).is_ok_and(|size| size <= head.size);
        let root = fits.then(|| root_at(r.checkpoint.size, forest.get(&head.id))).flatten();
        if root != Some(r.checkpoint.root) {
            return Ok(Some(Fault {
                log: head.id.clone(),
                row: None,
                what: format!(
                    "row {} of {} recorded it with {} rows and another content: it was rewritten, cut or replaced by an older copy",
                    r.entry.seq, r.entry.log_id, r.checkpoint.size
                ),
            }));
        }
    }
    Ok(None)
}

/// The full subtrees that make up a tree of `size` leaves.
fn peaks(size: u64) -> impl Iterator<Item = (u8, u64)> {
    (0..64u8)
        .filter(move |level| size >> level & 1 == 1)
        .map(move |level| (level, (size >> level) - 1))
}

/// The root at an earlier size, from the nodes that made it up.
fn root_at(size: u64, nodes: Option<&Nodes>) -> Option<crate::proof::Hash> {
    if size == 0 {
        return Some(merkle::empty_root());
    }
    let mut root: Option<crate::proof::Hash> = None;
    for (level, index) in peaks(size) {
        let hash = nodes?.get(level, index).ok()?;
        root = Some(match root {
            None => hash,
            Some(right) => merkle::node_hash(&hash, &right),
        });
    }
    root
}
