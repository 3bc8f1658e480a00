//! Makes the evidence of an impersonation: reads its rows and what proves them.

use sqlx::AnyConnection;

use super::nodes::Nodes;
use super::{AuditError, LogId, LogKey};
use crate::proof::actions;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::evidence::{Evidence, FORMAT, LogEvidence, ProvenRow, Stage, hash_text};
use crate::proof::merkle;
use crate::proof::note::NoteVerifier;
use crate::proof::row::AuditRow;
use crate::proof::trail_recorded::{Recording, recordings};
use crate::store::audit::{self, Entry, Head};

/// The evidence of an impersonation, as both logs stand now. It is made of what is stored, also
/// where that is wrong: whoever checks it finds that.
///
/// # Errors
/// Where the database does not answer, a log is missing, or its tree cannot be read.
pub async fn of_impersonation(
    conn: &mut AnyConnection,
    key: &LogKey,
    impersonation_id: &str,
    org_id: &str,
) -> Result<Evidence, AuditError> {
    // The heads first: what is appended meanwhile is beyond them.
    let platform = head(conn, &LogId::Platform).await?;
    let org = head(conn, &LogId::Org(org_id.to_owned())).await?;
    let (verifiers, endorsements) = (key.verifiers(), key.endorsements());
    let rows = audit::of_impersonation(conn, impersonation_id).await?;
    let of = |head: &Head| {
        let mut own: Vec<Entry> =
            rows.iter().filter(|r| r.log_id == head.id && r.seq < head.size).cloned().collect();
        own.sort_by_key(|r| r.seq);
        own
    };
    let (platform_rows, org_rows) = (of(&platform), of(&org));
    let read: Vec<AuditRow> = rows.iter().filter_map(|r| AuditRow::parse(&r.body).ok()).collect();
    let (of_platform, of_org): (Vec<_>, Vec<_>) =
        recordings(&read, &read).into_iter().partition(|recording| recording.of_platform);
    Ok(Evidence {
        format: FORMAT.to_owned(),
        impersonation_id: impersonation_id.to_owned(),
        keys: verifiers.iter().rev().map(NoteVerifier::vkey).collect(),
        endorsements: endorsements.to_vec(),
        platform: side(conn, &platform, &platform_rows, &of_platform).await?,
        org: side(conn, &org, &org_rows, &of_org).await?,
    })
}

async fn head(conn: &mut AnyConnection, log: &LogId) -> Result<Head, AuditError> {
    audit::head(conn, &log.as_string()).await?.ok_or_else(|| AuditError::Unreadable {
        log: log.as_string(),
        what: "it is not there".to_owned(),
    })
}

async fn side(
    conn: &mut AnyConnection,
    head: &Head,
    rows: &[Entry],
    recorded: &[Recording<'_>],
) -> Result<LogEvidence, AuditError> {
    let unreadable = |what: String| AuditError::Unreadable { log: head.id.clone(), what };
    let size = u64::try_from(head.size).map_err(|_| unreadable("its size is negative".into()))?;
    // The checkpoints kept when the first and the last of its rows were in, as far as they are,
    // those that the other log recorded, and the newest.
    let mut notes: Vec<(u64, String)> = Vec::new();
    let ends = [actions::PLATFORM_IMPERSONATION_ENDED, actions::IMPERSONATION_ENDED];
    let end = rows.iter().find(|r| ends.contains(&r.action.as_str()));
    for row in [rows.first(), end].into_iter().flatten() {
        if let Some((kept, note)) = audit::kept_from(conn, &head.id, row.seq + 1).await?
            && let Ok(kept) = u64::try_from(kept)
            && kept < size
        {
            notes.push((kept, note));
        }
    }
    // One of a size that the log does not have is left out, and so found by whoever checks.
    let recorded = recorded.iter().filter_map(|r| Some((r.checkpoint()?.size, r.note.to_owned())));
    notes.extend(recorded.filter(|(at, _)| *at > 0 && *at < size));
    notes.sort_by_key(|(at, _)| *at);
    notes.push((size, head.checkpoint.clone()));
    // Two notes of one size say the same or the log was rewritten: then they are both there, and
    // no proof leads from the one to the other.
    notes.dedup_by_key(|(at, note)| (*at, Checkpoint::unverified(note).ok().map(|c| c.root)));

    let mut wanted: Vec<u64> = rows.iter().filter_map(|r| u64::try_from(r.seq).ok()).collect();
    for pair in notes.windows(2) {
        let nodes = merkle::consistency_nodes(pair[0].0, pair[1].0)
            .map_err(|e| unreadable(e.to_string()))?;
        wanted.extend(nodes.into_iter().map(|(level, index)| index << level));
    }
    let nodes = Nodes::load(conn, head, &wanted).await?;
    let mut checkpoints = Vec::with_capacity(notes.len());
    let mut before: Option<u64> = None;
    for (at, note) in notes {
        // A kept note that is of another size would be found by whoever checks; here it only
        // must not stop the rest from being made.
        let at = Checkpoint::unverified(&note).map_or(at, |c| c.size);
        let consistency = match before {
            None => Vec::new(),
            Some(old) => nodes
                .consistency(old, at)
                .map_err(|e| unreadable(e.to_string()))?
                .iter()
                .map(hash_text)
                .collect(),
        };
        before = Some(at);
        checkpoints.push(Stage { note, consistency });
    }
    let mut proven = Vec::with_capacity(rows.len());
    for row in rows {
        let seq = u64::try_from(row.seq).map_err(|_| unreadable("a negative row".into()))?;
        let path = nodes.inclusion(seq, size).map_err(|e| unreadable(e.to_string()))?;
        proven.push(ProvenRow {
            row: row.body.clone(),
            inclusion: path.iter().map(hash_text).collect(),
        });
    }
    Ok(LogEvidence { log: head.id.clone(), checkpoints, rows: proven })
}
