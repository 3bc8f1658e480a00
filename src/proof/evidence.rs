//! The evidence of one impersonation: its rows of both logs with what proves them, in one file
//! that is checked without us.
//!
//! The file is canonical JSON (RFC 8785), and holds nothing that is not proven: each row leads by
//! an inclusion proof (RFC 6962, section 2.1.1) to the root of a signed checkpoint (C2SP), and
//! the checkpoints of a log lead to each other by consistency proofs (section 2.1.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::proof::Hash;
use crate::proof::canonical::canonical_json;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::evidence_keys::keys;
use crate::proof::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use crate::proof::note::NoteVerifier;
use crate::proof::row::{AuditRow, PLATFORM_LOG};
use crate::proof::trail::{ProofState, Signatures, Trail};
use crate::proof::trail_recorded::Beginnings;
use crate::proof::verdict::{TrailVerdict, Verdict};

/// What the first field says.
pub const FORMAT: &str = "keyturn.evidence/v1";

/// The largest file that is looked at, in bytes.
pub const MAX_SIZE: usize = 8 * 1024 * 1024;

/// The evidence of one impersonation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// [`FORMAT`].
    pub format: String,
    /// The impersonation.
    pub impersonation_id: String,
    /// The public keys that the logs were ever signed with, as C2SP verifier keys, the oldest
    /// first.
    pub keys: Vec<String>,
    /// The notes in which each of them named the next ([`crate::proof::log_keys`]); one less than
    /// there are keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endorsements: Vec<String>,
    /// The platform log's side.
    pub platform: LogEvidence,
    /// The org log's side.
    pub org: LogEvidence,
}

/// One log's side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEvidence {
    /// The log's id: `platform`, or `org/` and the org's id.
    pub log: String,
    /// Signed checkpoints, the oldest first: near the start of the impersonation, near its end,
    /// each that a row of the other log recorded, and the newest, to which the rows' proofs lead.
    pub checkpoints: Vec<Stage>,
    /// The rows of the impersonation, in the log's order.
    pub rows: Vec<ProvenRow>,
}

/// One checkpoint, and how the one before it leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The signed note.
    pub note: String,
    /// The consistency proof from the checkpoint before; empty for the first. Base64 hashes.
    pub consistency: Vec<String>,
}

/// One row and the proof that it is in its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenRow {
    /// The row's canonical JSON, which is the leaf.
    pub row: String,
    /// Its inclusion proof in the newest checkpoint, from the leaf upwards. Base64 hashes.
    pub inclusion: Vec<String>,
}

/// Why a file is no evidence at all.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Larger than [`MAX_SIZE`].
    #[error("the file is larger than {} MB: no evidence is", MAX_SIZE / 1024 / 1024)]
    TooLarge,
    /// Not JSON of this form.
    #[error("the file is not evidence of an impersonation: {0}")]
    NotEvidence(String),
    /// Of a later version.
    #[error("the file is of format {0:?}, and this program knows {FORMAT:?}")]
    OtherFormat(String),
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What.
    pub what: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was seen.
    pub saw: String,
}

/// What checking the evidence came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The impersonation.
    pub impersonation_id: String,
    /// What was checked of the file, before what the rows say.
    pub lines: Vec<Line>,
    /// The verdict on the trail, rule by rule.
    pub verdict: TrailVerdict,
    /// Whether the keys were the checker's own, and not only the file's.
    pub pinned: bool,
}

impl Report {
    /// Whether the file itself holds: every line does.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.lines.iter().all(|line| line.holds) && self.verdict.verdict != Verdict::Tampered
    }

    /// Whether it proves a complete trail.
    #[must_use]
    pub fn proves_complete(&self) -> bool {
        self.holds() && self.verdict.verdict == Verdict::Complete
    }
}

impl Evidence {
    /// The file.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn to_text(&self) -> Result<String, crate::proof::canonical::CanonicalError> {
        canonical_json(self)
    }

    /// Reads a file. Nothing is checked yet.
    ///
    /// # Errors
    /// Where it is no such file.
    pub fn parse(text: &str) -> Result<Self, EvidenceError> {
        if text.len() > MAX_SIZE {
            return Err(EvidenceError::TooLarge);
        }
        let evidence: Self =
            serde_json::from_str(text).map_err(|e| EvidenceError::NotEvidence(e.to_string()))?;
        if evidence.format != FORMAT {
            return Err(EvidenceError::OtherFormat(evidence.format));
        }
        Ok(evidence)
    }
}

/// Checks a file. `pinned` are the keys that the checker trusts for the logs; from one of them the
/// file's endorsements must lead to those that signed. With none, the file's own are used, and the
/// report says that they were not pinned. `now` is microseconds UTC,
/// and matters only for an impersonation that has not ended.
///
/// # Errors
/// Where it is no such file. What does not hold is in the report.
pub fn verify(text: &str, pinned: &[NoteVerifier], now: i64) -> Result<Report, EvidenceError> {
    let evidence = Evidence::parse(text)?;
    let mut lines = vec![line(
        "The file is exactly as it was made",
        // One trailing newline is what editors and shells add.
        match evidence.to_text() {
            Ok(made) if made == text || text.strip_suffix('\n') == Some(&made) => {
                Ok("canonical JSON".to_owned())
            }
            _ => Err("it was written anew: it is not canonical JSON (RFC 8785)".to_owned()),
        },
    )];
    let keys = keys(&evidence, pinned);
    let of_keys = if pinned.is_empty() {
        "The keys are the file's own, and belong together"
    } else {
        "The keys are the ones that are trusted"
    };
    lines.push(line(of_keys, said(&keys)));
    let verifiers = keys.map(|(verifiers, _)| verifiers).unwrap_or_default();
    let (mut platform, mut org) = (Vec::new(), Vec::new());
    let mut beginnings = Beginnings::default();
    let platform_proof = {
        let side = side(&evidence.platform, &verifiers, &mut lines, &mut platform);
        beginnings.platform.extend(side.beginnings);
        side.proof
    };
    let org_proof = {
        let side = side(&evidence.org, &verifiers, &mut lines, &mut org);
        beginnings.org.extend(side.beginnings);
        side.proof
    };
    lines.push(line("Each side is of its own log", sides(&evidence)));
    let stranger = platform
        .iter()
        .chain(&org)
        .find(|row| row.impersonation_id.as_deref() != Some(&evidence.impersonation_id));
    lines.push(line(
        "Each row is of this impersonation",
        match stranger {
            None => Ok(evidence.impersonation_id.clone()),
            Some(row) => Err(format!("row {} of {} is of another", row.seq, row.log)),
        },
    ));
    lines.push(line(
        "What came after its end is not counted by it",
        Ok(after_the_end(&platform, &org)),
    ));
    let verdict = Trail {
        impersonation_id: &evidence.impersonation_id,
        platform: &platform,
        org: &org,
        platform_proof,
        org_proof,
        signatures: Signatures::By(&verifiers),
        beginnings: Some(&beginnings),
        now,
    }
    .judge();
    let pinned = !pinned.is_empty();
    Ok(Report { impersonation_id: evidence.impersonation_id, lines, verdict, pinned })
}

fn line(what: &str, result: Result<String, String>) -> Line {
    let holds = result.is_ok();
    Line { what: what.to_owned(), holds, saw: result.unwrap_or_else(|why| why) }
}

fn said<T>(result: &Result<(T, String), String>) -> Result<String, String> {
    match result {
        Ok((_, said)) => Ok(said.clone()),
        Err(why) => Err(why.clone()),
    }
}

/// What checking one log's side came to.
struct Side {
    proof: ProofState,
    /// Its checkpoints, by size and root, where each leads to the newest.
    beginnings: Vec<(u64, Hash)>,
}

/// Checks one log's side; what its rows say goes into `rows`.
fn side(
    log: &LogEvidence,
    verifiers: &[NoteVerifier],
    lines: &mut Vec<Line>,
    rows: &mut Vec<AuditRow>,
) -> Side {
    let name = if log.log == PLATFORM_LOG { "Platform log" } else { "Org log" };
    let checkpoints = checkpoints(log, verifiers);
    lines.push(line(&format!("{name}: the checkpoints are signed"), said(&checkpoints)));
    let stages = checkpoints.as_ref().map(|(stages, _)| stages.as_slice()).unwrap_or_default();
    let consistent = consistent(log, stages);
    lines.push(line(
        &format!("{name}: nothing was rewritten between the checkpoints"),
        consistent.clone(),
    ));
    let included = included(log, stages.last(), rows);
    lines.push(line(&format!("{name}: each row is in the log at its place"), included.clone()));
    let spans = spans(rows, stages);
    lines.push(line(
        &format!("{name}: the checkpoints reach from its start to its end"),
        spans.clone(),
    ));
    let beginnings = match &consistent {
        Ok(_) => stages.iter().map(|stage| (stage.size, stage.root)).collect(),
        Err(_) => Vec::new(),
    };
    let all = said(&checkpoints).and(consistent).and(included).and(spans);
    let proof = match all {
        Ok(_) => ProofState::Proven,
        Err(why) => ProofState::Broken(why),
    };
    Side { proof, beginnings }
}

fn checkpoints(
    log: &LogEvidence,
    verifiers: &[NoteVerifier],
) -> Result<(Vec<Checkpoint>, String), String> {
    let mut all = Vec::new();
    for (n, stage) in log.checkpoints.iter().enumerate() {
        // The last one says what the log was when the file was made: only the newest key may.
        let last = n + 1 == log.checkpoints.len();
        let may = if last { verifiers.len().saturating_sub(1) } else { 0 };
        let signed = verifiers[may..].iter().find_map(|verifier| {
            let origin = format!("{}/{}", verifier.name(), log.log);
            Checkpoint::open(&stage.note, std::slice::from_ref(verifier), &origin).ok()
        });
        // Signature lines of others would be bytes that nobody checks.
        let alone = stage.note.matches("\n\u{2014} ").count() == 1;
        match signed {
            Some(checkpoint) if alone => all.push(checkpoint),
            Some(_) => return Err("a checkpoint carries signatures of others".to_owned()),
            None => {
                return Err(format!(
                    "checkpoint {} of {} is not signed by a trusted key for this log",
                    all.len() + 1,
                    log.log
                ));
            }
        }
    }
    let Some(newest) = all.last() else { return Err("there is none".to_owned()) };
    let sizes: Vec<String> = all.iter().map(|c| c.size.to_string()).collect();
    let said = format!("{}, at {} rows", newest.origin, sizes.join(", "));
    Ok((all, said))
}

fn consistent(log: &LogEvidence, stages: &[Checkpoint]) -> Result<String, String> {
    if stages.len() != log.checkpoints.len() || stages.is_empty() {
        return Err("the checkpoints do not hold".to_owned());
    }
    if log.checkpoints.first().is_some_and(|first| !first.consistency.is_empty()) {
        return Err("the first checkpoint has a proof from nowhere".to_owned());
    }
    for ((old, new), stage) in stages.iter().zip(&stages[1..]).zip(&log.checkpoints[1..]) {
        let proof = hashes(&stage.consistency)?;
        verify_consistency(old.size, new.size, &old.root, &new.root, &proof)
            .map_err(|e| format!("from {} to {} rows: {e}", old.size, new.size))?;
    }
    Ok(format!("{} checkpoints, each the beginning of the next", stages.len()))
}

fn included(
    log: &LogEvidence,
    newest: Option<&Checkpoint>,
    rows: &mut Vec<AuditRow>,
) -> Result<String, String> {
    let newest = newest.ok_or("there is no checkpoint that they could be in")?;
    for proven in &log.rows {
        let row = AuditRow::parse(&proven.row).map_err(|e| e.to_string())?;
        let proof = hashes(&proven.inclusion)?;
        let leaf = leaf_hash(proven.row.as_bytes());
        let seq = row.seq;
        // What it says is shown, whether or not it is proven.
        rows.push(row);
        verify_inclusion(&leaf, seq, newest.size, &proof, &newest.root)
            .map_err(|e| format!("row {seq}: {e}"))?;
    }
    if rows.is_empty() {
        return Err("there are no rows".to_owned());
    }
    Ok(format!("{} rows, in the log of {} rows", rows.len(), newest.size))
}

/// A checkpoint is of when the impersonation had begun and not ended, and one is of when it had
/// ended: so the consistency proofs say something about the time between.
fn spans(rows: &[AuditRow], stages: &[Checkpoint]) -> Result<String, String> {
    use crate::proof::actions::{
        IMPERSONATION_ENDED, IMPERSONATION_STARTED, PLATFORM_IMPERSONATION_ENDED,
        PLATFORM_IMPERSONATION_STARTED,
    };
    let of = |names: [&str; 2]| rows.iter().find(|r| names.contains(&r.action.as_str()));
    let covers = |row: &AuditRow| stages.iter().find(|c| c.size > row.seq).map(|c| c.size);
    let (Some(oldest), Some(newest)) = (stages.first(), stages.last()) else {
        return Err("there are no checkpoints".to_owned());
    };
    let start = of([PLATFORM_IMPERSONATION_STARTED, IMPERSONATION_STARTED]);
    let end = of([PLATFORM_IMPERSONATION_ENDED, IMPERSONATION_ENDED]);
    let first =
        start.and_then(|start| stages.iter().find(|c| c.size > start.seq)).unwrap_or(oldest);
    if let (Some(start), Some(end)) = (start, end)
        && first.size > end.seq
    {
        return Err(format!(
            "no checkpoint is of between the start (row {}) and the end (row {}): the first after the start has {} rows",
            start.seq, end.seq, first.size
        ));
    }
    match end {
        Some(end) => match covers(end) {
            Some(size) => Ok(format!("from {} to {size} rows", first.size)),
            None => Err("no checkpoint is of after the end".to_owned()),
        },
        None => Ok(format!("from {} to {} rows; it has not ended", first.size, newest.size)),
    }
}

/// How many rows come after those that the end rows count. A proof shows that a row is in a log,
/// never that there is no other: the end rows do, for what is before them.
fn after_the_end(platform: &[AuditRow], org: &[AuditRow]) -> String {
    use crate::proof::actions::{IMPERSONATION_ENDED, PLATFORM_IMPERSONATION_ENDED};
    let after = |rows: &[AuditRow], end: &str| {
        let end = rows.iter().find(|row| row.action == end).map(|row| row.seq);
        rows.iter().filter(|row| end.is_some_and(|end| row.seq > end)).count()
    };
    let n = after(platform, PLATFORM_IMPERSONATION_ENDED) + after(org, IMPERSONATION_ENDED);
    format!(
        "{n} such {} in this file; whether the logs have more of this impersonation, only the logs themselves say",
        if n == 1 { "row is" } else { "rows are" }
    )
}

fn sides(evidence: &Evidence) -> Result<String, String> {
    if evidence.platform.log != PLATFORM_LOG {
        return Err(format!("the platform's side is of {:?}", evidence.platform.log));
    }
    match evidence.org.log.strip_prefix("org/") {
        Some(id) if !id.is_empty() => Ok(format!("platform, and org {id}")),
        _ => Err(format!("the org's side is of {:?}", evidence.org.log)),
    }
}

fn hashes(all: &[String]) -> Result<Vec<Hash>, String> {
    all.iter()
        .map(|text| {
            STANDARD
                .decode(text)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or_else(|| "a hash of a proof cannot be read".to_owned())
        })
        .collect()
}

/// A hash as it stands in a proof.
#[must_use]
pub fn hash_text(hash: &Hash) -> String {
    STANDARD.encode(hash)
}
