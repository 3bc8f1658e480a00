//! The dual trail of one impersonation: its rows in both logs, proven against the signed
//! checkpoints, and the verdict.

use std::collections::{BTreeSet, HashMap};

use sqlx::AnyConnection;

use super::nodes::{Edges, Forest, forest};
use super::{AuditError, LogKey};
use crate::model::Micros;
use crate::on_two::on_two;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::merkle::{self, Frontier};
use crate::proof::note::open_notes;
use crate::proof::row::AuditRow;
use crate::proof::trail::{Opened, ProofState, Signatures, Trail};
use crate::proof::trail_recorded::{Beginnings, recordings};
use crate::proof::verdict::TrailVerdict;
use crate::store::audit::{self, Entry, Head};

/// One row with what it says.
#[derive(Debug, Clone)]
pub struct ReadRow {
    /// As it is stored.
    pub entry: Entry,
    /// What it says; absent where it cannot be read.
    pub row: Option<AuditRow>,
    /// What is wrong with it by itself.
    broken: Option<String>,
    /// Why it is not proven to be in its log as signed, where that was looked at ([`read_proven`]).
    unproven: Option<String>,
}

impl ReadRow {
    /// Reads a stored row.
    #[must_use]
    pub fn of(entry: Entry) -> Self {
        let row = AuditRow::parse(&entry.body).ok();
        Self { broken: broken(&entry, row.as_ref()), row, entry, unproven: None }
    }

    /// Whether it is of the platform's log.
    #[must_use]
    pub fn platform(&self) -> bool {
        self.entry.log_id == "platform"
    }

    /// What is wrong with the row: its hash, its text, a column that says something else than the
    /// text, or that it is not in its log, where that was looked at.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.broken.clone().or_else(|| self.unproven.clone())
    }
}

fn broken(e: &Entry, row: Option<&AuditRow>) -> Option<String> {
    let place = || format!("row {} of {}", e.seq, e.log_id);
    if merkle::leaf_hash(e.body.as_bytes()).as_slice() != e.leaf_hash.as_slice() {
        return Some(format!("{} is not what was hashed", place()));
    }
    let Some(row) = row else { return Some(format!("{} cannot be read", place())) };
    (!columns_agree(e, row))
        .then(|| format!("{}: its columns do not say what its text says", place()))
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

/// Reads the trails of several impersonations, and judges each with its proofs: by the
/// impersonation's id. Rows of none, `loose`, are proven with them.
///
/// # Errors
/// As for [`judge`].
pub async fn judge_all(
    conn: &mut AnyConnection,
    key: &LogKey,
    impersonation_ids: &[String],
    loose: &mut [ReadRow],
    edges: &Edges,
    now: Micros,
) -> Result<(HashMap<String, Judged>, Proofs), AuditError> {
    let mut rows: HashMap<String, Vec<ReadRow>> =
        impersonation_ids.iter().map(|id| (id.clone(), Vec::new())).collect();
    let entries = audit::of_impersonations(conn, impersonation_ids).await?;
    for row in on_two(entries, ReadRow::of) {
        if let Some(id) = &row.entry.impersonation_id
            && let Some(of) = rows.get_mut(id)
        {
            of.push(row);
        }
    }
    let all = rows.values().flatten().chain(loose.iter());
    let proofs = Proofs::load(conn, key, all, edges).await?;
    loose.iter_mut().for_each(|row| proofs.mark(row));
    let judged = on_two(rows.into_iter().collect(), |(id, rows)| {
        let judged = judge_with(key, &proofs, &id, rows, Depth::Proofs, now);
        (id, judged)
    });
    let judged = judged.into_iter().collect();
    Ok((judged, proofs))
}

/// Reads stored rows, and holds each against its log as that is signed: what is wrong with one is
/// its [`ReadRow::fault`].
///
/// # Errors
/// As for [`judge`].
pub async fn read_proven(
    conn: &mut AnyConnection,
    key: &LogKey,
    entries: Vec<Entry>,
    edges: &Edges,
) -> Result<Vec<ReadRow>, AuditError> {
    let mut rows: Vec<ReadRow> = entries.into_iter().map(ReadRow::of).collect();
    let proofs = Proofs::load(conn, key, rows.iter(), edges).await?;
    rows.iter_mut().for_each(|row| proofs.mark(row));
    Ok(rows)
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
    let rows: Vec<ReadRow> = rows.into_iter().map(ReadRow::of).collect();
    let proofs = match depth {
        Depth::Rows => Proofs::default(),
        Depth::Proofs => Proofs::load(conn, key, rows.iter(), &Edges::default()).await?,
    };
    Ok(judge_with(key, &proofs, impersonation_id, rows, depth, now))
}

fn judge_with(
    key: &LogKey,
    proofs: &Proofs,
    impersonation_id: &str,
    rows: Vec<ReadRow>,
    depth: Depth,
    now: Micros,
) -> Judged {
    let (mut platform, mut org): (Vec<_>, Vec<_>) = rows.into_iter().partition(ReadRow::platform);
    platform.sort_by_key(|r| r.entry.seq);
    org.sort_by_key(|r| (r.entry.log_id.clone(), r.entry.seq));
    let prove = |rows: &[ReadRow]| match (rows.iter().find_map(ReadRow::fault), depth) {
        (Some(fault), _) => ProofState::Broken(fault),
        (None, Depth::Rows) => ProofState::NotChecked,
        (None, Depth::Proofs) => proofs.prove(rows),
    };
    let (platform_proof, org_proof) = (prove(&platform), prove(&org));
    let read = |rows: &[ReadRow]| rows.iter().filter_map(|r| r.row.clone()).collect::<Vec<_>>();
    let (platform_rows, org_rows) = (read(&platform), read(&org));
    let verifiers = key.verifiers();
    let signatures = match depth {
        Depth::Rows => Signatures::By(&verifiers),
        Depth::Proofs => Signatures::Checked(&proofs.opened),
    };
    let beginnings = match depth {
        Depth::Rows => None,
        Depth::Proofs => Some(proofs.beginnings(&platform_rows, &org_rows)),
    };
    let verdict = Trail {
        impersonation_id,
        platform: &platform_rows,
        org: &org_rows,
        platform_proof,
        org_proof,
        signatures,
        beginnings: beginnings.as_ref(),
        now,
    }
    .judge();
    Judged { platform, org, verdict }
}

/// The logs that rows are in, as far as it takes to prove that the rows are in them.
#[derive(Debug, Default)]
pub struct Proofs {
    logs: HashMap<String, Log>,
    nodes: Forest,
    /// The checkpoints that the rows hold.
    opened: Opened,
}

#[derive(Debug)]
struct Log {
    head: Head,
    /// What its checkpoint says, or what is wrong with that.
    signed: Result<Checkpoint, String>,
}

impl Proofs {
    /// Reads what it takes for these rows.
    ///
    /// # Errors
    /// Where the database does not answer, or a head does not read as one.
    pub async fn load<'a>(
        conn: &mut AnyConnection,
        key: &LogKey,
        rows: impl Iterator<Item = &'a ReadRow>,
        edges: &Edges,
    ) -> Result<Self, AuditError> {
        let mut seqs: HashMap<String, Vec<u64>> = HashMap::new();
        let mut notes = BTreeSet::new();
        for ReadRow { entry, row, .. } in rows {
            let of = seqs.entry(entry.log_id.clone()).or_default();
            of.extend(u64::try_from(entry.seq).ok());
            // The path of the last row that a recorded checkpoint knows of is what leads from it
            // to the whole log.
            for recording in recordings(row, row) {
                notes.insert(recording.note);
                let Some(checkpoint) = recording.checkpoint() else { continue };
                seqs.entry(recording.log()).or_default().extend(checkpoint.size.checked_sub(1));
            }
        }
        let notes: Vec<&str> = notes.into_iter().collect();
        let opened = open_notes(&notes, &key.verifiers());
        let opened = notes.into_iter().map(str::to_owned).zip(opened).collect();
        let ids: Vec<String> = seqs.keys().cloned().collect();
        let heads = audit::heads_of(conn, &ids).await?;
        let signed = |head: &Head, opened: Result<Checkpoint, AuditError>| {
            let signed = opened.map_err(|e| format!("the checkpoint of {}: {e}", head.id))?;
            if i64::try_from(signed.size) != Ok(head.size) {
                return Err(format!(
                    "{} says that it has {} rows, its checkpoint {}",
                    head.id, head.size, signed.size
                ));
            }
            // Proofs are built on it: one that is not what was signed proves nothing.
            let frontier = Frontier::from_bytes(signed.size, &head.frontier);
            if !frontier.is_ok_and(|frontier| frontier.root() == signed.root) {
                return Err(format!("the frontier of {} is not what was signed", head.id));
            }
            Ok(signed)
        };
        let checkpoints = key.open_heads(&heads);
        let logs: HashMap<String, Log> = heads
            .into_iter()
            .zip(checkpoints)
            .map(|(head, opened)| (head.id.clone(), Log { signed: signed(&head, opened), head }))
            .collect();
        let wanted: Vec<(&Head, Vec<u64>)> = logs
            .values()
            .filter(|log| log.signed.is_ok())
            .map(|log| {
                let mut seqs = seqs.remove(&log.head.id).unwrap_or_default();
                seqs.retain(|seq| i64::try_from(*seq).is_ok_and(|seq| seq < log.head.size));
                (&log.head, seqs)
            })
            .collect();
        let nodes = forest(conn, &wanted, edges).await?;
        Ok(Self { logs, nodes, opened })
    }

    /// The head of a log, as it was read, and what its checkpoint says.
    #[must_use]
    pub fn log(&self, id: &str) -> Option<(&Head, Result<&Checkpoint, &str>)> {
        self.logs.get(id).map(|log| (&log.head, log.signed.as_ref().map_err(String::as_str)))
    }

    /// Of what these rows recorded of the other log, what that log begins with as it was signed.
    fn beginnings(&self, platform: &[AuditRow], org: &[AuditRow]) -> Beginnings {
        let mut all = Beginnings::default();
        for recording in recordings(platform, org) {
            let Some(old) = recording.checkpoint() else { continue };
            let log = recording.log();
            let (Some(Log { signed: Ok(signed), .. }), Some(nodes)) =
                (self.logs.get(&log), self.nodes.get(&log))
            else {
                continue;
            };
            let leads = nodes.consistency(old.size, signed.size).is_ok_and(|proof| {
                let (from, to) = (old.size, signed.size);
                merkle::verify_consistency(from, to, &old.root, &signed.root, &proof).is_ok()
            });
            if leads {
                let of = if recording.of_platform { &mut all.platform } else { &mut all.org };
                of.insert((old.size, old.root));
            }
        }
        all
    }

    /// Says of a row whether it is in its log as it was signed.
    fn mark(&self, row: &mut ReadRow) {
        row.unproven = match self.prove(std::slice::from_ref(row)) {
            ProofState::Broken(why) => Some(why),
            ProofState::Proven | ProofState::NotChecked => None,
        };
    }

    /// Whether rows, all of one log, are in it as it was signed.
    fn prove(&self, rows: &[ReadRow]) -> ProofState {
        let Some(first) = rows.first() else { return ProofState::NotChecked };
        let log_id = &first.entry.log_id;
        let Some(log) = self.logs.get(log_id) else {
            return ProofState::Broken(format!("there is no log {log_id}"));
        };
        let signed = match &log.signed {
            Ok(signed) => signed,
            Err(why) => return ProofState::Broken(why.clone()),
        };
        let Some(nodes) = self.nodes.get(log_id) else {
            return ProofState::Broken(format!("the tree of {log_id} was not read"));
        };
        for row in rows {
            let seq = u64::try_from(row.entry.seq).unwrap_or(u64::MAX);
            let leaf = merkle::leaf_hash(row.entry.body.as_bytes());
            let proven =
                nodes.inclusion(seq, signed.size).map_err(|e| e.to_string()).and_then(|proof| {
                    merkle::verify_inclusion(&leaf, seq, signed.size, &proof, &signed.root)
                        .map_err(|e| e.to_string())
                });
            if let Err(why) = proven {
                return ProofState::Broken(format!("row {seq} of {log_id}: {why}"));
            }
        }
        ProofState::Proven
    }
}
