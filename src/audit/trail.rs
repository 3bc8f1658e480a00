//! The dual trail of one impersonation: its rows in both logs, proven against the signed
//! checkpoints, and the verdict.

use sqlx::AnyConnection;

use super::nodes::Nodes;
use super::{AuditError, LogKey};
use crate::model::Micros;
use crate::proof::merkle;
use crate::proof::row::AuditRow;
use crate::proof::trail::{ProofState, Trail};
use crate::proof::verdict::TrailVerdict;
use crate::store::audit::{self, Entry};

/// One row with what it says.
#[derive(Debug, Clone)]
pub struct ReadRow {
    /// As it is stored.
    pub entry: Entry,
    /// What it says; absent where it cannot be read.
    pub row: Option<AuditRow>,
}

impl ReadRow {
    /// Reads a stored row.
    #[must_use]
    pub fn of(entry: Entry) -> Self {
        Self { row: AuditRow::parse(&entry.body).ok(), entry }
    }

    /// Whether it is of the platform's log.
    #[must_use]
    pub fn platform(&self) -> bool {
        self.entry.log_id == "platform"
    }

    /// What is wrong with the row by itself: its hash, its text, or a column that says something
    /// else than the text.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let e = &self.entry;
        let place = format!("row {} of {}", e.seq, e.log_id);
        if merkle::leaf_hash(e.body.as_bytes()).as_slice() != e.leaf_hash.as_slice() {
            return Some(format!("{place} is not what was hashed"));
        }
        let Some(row) = &self.row else { return Some(format!("{place} cannot be read")) };
        if !columns_agree(e, row) {
            return Some(format!("{place}: its columns do not say what its text says"));
        }
        None
    }
}

/// Whether the columns by which a row is found say what its text says.
#[must_use]
pub fn columns_agree(e: &Entry, row: &AuditRow) -> bool {
    row.log == e.log_id
        && i64::try_from(row.seq) == Ok(e.seq)
        && row.id == e.id
        && row.at == e.at
        && row.action == e.action
        && row.actor_id == e.actor_id
        && row.org_id == e.org_id
        && row.impersonation_id == e.impersonation_id
        && row.ticket_ref == e.ticket_ref
        && row.secret_type == e.secret_type
}

/// A trail with its verdict.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its rows of the platform log.
    pub platform: Vec<ReadRow>,
    /// Its rows of the org log.
    pub org: Vec<ReadRow>,
    /// The verdict, rule by rule.
    pub verdict: TrailVerdict,
}

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Each row by itself: for lists.
    Rows,
    /// Each row's inclusion in its log as signed.
    Proofs,
}

/// Reads the trail of an impersonation and judges it.
///
/// # Errors
/// Where the database does not answer. What is wrong with the rows is in the verdict.
pub async fn judge(
    conn: &mut AnyConnection,
    key: &LogKey,
    impersonation_id: &str,
    depth: Depth,
    now: Micros,
) -> Result<Judged, AuditError> {
    let rows = audit::of_impersonation(conn, impersonation_id).await?;
    judge_rows(conn, key, impersonation_id, rows, depth, now).await
}

/// Judges rows that were read already.
///
/// # Errors
/// As for [`judge`].
pub async fn judge_rows(
    conn: &mut AnyConnection,
    key: &LogKey,
    impersonation_id: &str,
    rows: Vec<Entry>,
    depth: Depth,
    now: Micros,
) -> Result<Judged, AuditError> {
    let (mut platform, mut org): (Vec<_>, Vec<_>) =
        rows.into_iter().map(ReadRow::of).partition(ReadRow::platform);
    platform.sort_by_key(|r| r.entry.seq);
    org.sort_by_key(|r| (r.entry.log_id.clone(), r.entry.seq));
    let platform_proof = prove(conn, key, &platform, depth).await?;
    let org_proof = prove(conn, key, &org, depth).await?;
    let read = |rows: &[ReadRow]| rows.iter().filter_map(|r| r.row.clone()).collect::<Vec<_>>();
    let verifiers = key.verifiers();
    let verdict = Trail {
        impersonation_id,
        platform: &read(&platform),
        org: &read(&org),
        platform_proof,
        org_proof,
        verifiers: Some(&verifiers),
        now,
    }
    .judge();
    Ok(Judged { platform, org, verdict })
}

async fn prove(
    conn: &mut AnyConnection,
    key: &LogKey,
    rows: &[ReadRow],
    depth: Depth,
) -> Result<ProofState, AuditError> {
    if let Some(fault) = rows.iter().find_map(ReadRow::fault) {
        return Ok(ProofState::Broken(fault));
    }
    let Some(first) = rows.first() else { return Ok(ProofState::NotChecked) };
    if depth == Depth::Rows {
        return Ok(ProofState::NotChecked);
    }
    let log_id = &first.entry.log_id;
    let Some(head) = audit::head(conn, log_id).await? else {
        return Ok(ProofState::Broken(format!("there is no log {log_id}")));
    };
    let signed = match key.open_head(&head) {
        Ok(signed) => signed,
        Err(e) => return Ok(ProofState::Broken(e.to_string())),
    };
    if i64::try_from(signed.size) != Ok(head.size) {
        return Ok(ProofState::Broken(format!(
            "{log_id} says that it has {} rows, its checkpoint {}",
            head.size, signed.size
        )));
    }
    let seqs: Vec<u64> = rows.iter().filter_map(|r| u64::try_from(r.entry.seq).ok()).collect();
    let nodes = Nodes::load(conn, &head, &seqs).await?;
    for row in rows {
        let seq = u64::try_from(row.entry.seq).unwrap_or(u64::MAX);
        let leaf = merkle::leaf_hash(row.entry.body.as_bytes());
        let proven =
            nodes.inclusion(seq, signed.size).map_err(|e| e.to_string()).and_then(|proof| {
                merkle::verify_inclusion(&leaf, seq, signed.size, &proof, &signed.root)
                    .map_err(|e| e.to_string())
            });
        if let Err(why) = proven {
            return Ok(ProofState::Broken(format!("row {seq} of {log_id}: {why}")));
        }
    }
    Ok(ProofState::Proven)
}
