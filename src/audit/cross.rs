//! Whether logs are what others recorded of them: a log that was rewritten, cut or replaced by an
//! older copy of itself is found by what the others say of it.

use std::collections::{BTreeMap, HashMap};

use sqlx::AnyConnection;

use super::AuditError;
use super::nodes::{Edges, Nodes, forest};
use super::recorded::{Claim, Collector, RECORDING};
use super::verify::Fault;
use crate::proof::merkle;
use crate::proof::note::NoteVerifier;
use crate::proof::row::AuditRow;
use crate::store::audit::{self, Entry, Head};

const BATCH: i64 = 1000;

/// How many claims are held against the trees at once.
const CLAIMS: usize = 4096;

/// Whether every checkpoint of a log that rows of others recorded agrees with it, where the rows
/// themselves are not read one after the other: they are found by their action.
///
/// # Errors
/// Where the database does not answer.
pub async fn cross_recorded(
    conn: &mut AnyConnection,
    verifiers: &[NoteVerifier],
    heads: &[Head],
) -> Result<Result<u64, Fault>, AuditError> {
    let mut collectors: BTreeMap<String, (Collector, i64)> =
        heads.iter().map(|h| (h.id.clone(), (Collector::new(&h.id, verifiers), h.size))).collect();
    for &(action, ..) in RECORDING {
        let filter = audit::Filter { action: Some(action.to_owned()), ..audit::Filter::default() };
        let mut seek = audit::Seek::Newest;
        loop {
            let rows = audit::timeline(conn, &filter, &seek, false, BATCH).await?;
            let Some(last) = rows.last() else { break };
            seek = audit::Seek::Older(last.key());
            for entry in rows {
                let Some((collector, size)) = collectors.get_mut(&entry.log_id) else { continue };
                // Written since the heads were read: they do not know of it yet.
                if entry.seq >= *size {
                    continue;
                }
                if let Err(fault) = take(collector, &entry) {
                    return Ok(Err(fault));
                }
            }
        }
    }
    let mut claims = Vec::new();
    for (log, (collector, _)) in collectors {
        match collector.finish() {
            Ok(of_it) => claims.extend(of_it),
            Err((seq, what)) => return Ok(Err(Fault { log, row: Some(seq), what })),
        }
    }
    agree(conn, heads, claims).await
}

fn take(collector: &mut Collector, entry: &Entry) -> Result<(), Fault> {
    let taken = match AuditRow::parse(&entry.body) {
        Ok(row) => collector.take(&row),
        Err(_) => Err((u64::try_from(entry.seq).unwrap_or(0), "it cannot be read".to_owned())),
    };
    taken.map_err(|(seq, what)| Fault { log: entry.log_id.clone(), row: Some(seq), what })
}

/// Holds what logs recorded of each other against their trees: how many there are, or the first
/// log that is not what another says of it.
///
/// # Errors
/// Where the database does not answer.
pub async fn agree(
    conn: &mut AnyConnection,
    heads: &[Head],
    mut claims: Vec<Claim>,
) -> Result<Result<u64, Fault>, AuditError> {
    let by_origin: HashMap<&str, &Head> = heads.iter().map(|h| (h.origin.as_str(), h)).collect();
    for claim in &claims {
        let place =
            |what: String| Fault { log: claim.holder.to_string(), row: Some(claim.seq), what };
        let Some(head) = by_origin.get(&*claim.origin) else {
            let what = format!("it recorded a log that is not there: {}", claim.origin);
            return Ok(Err(place(what)));
        };
        if i64::try_from(claim.size).map_or(true, |size| size > head.size) {
            return Ok(Err(Fault {
                log: head.id.clone(),
                row: u64::try_from(head.size).ok(),
                what: format!(
                    "rows {} to {} are missing: row {} of {} recorded it with {} rows, so it was \
                     cut back or replaced by an older copy",
                    head.size,
                    claim.size.saturating_sub(1),
                    claim.seq,
                    claim.holder,
                    claim.size
                ),
            }));
        }
    }
    // What is beside each other in a tree is read together.
    claims.sort_by(|a, b| (&a.origin, a.size).cmp(&(&b.origin, b.size)));
    let mut agreed = HashMap::new();
    for part in claims.chunks(CLAIMS) {
        if let Some(fault) = disagrees(conn, &by_origin, part, &mut agreed).await? {
            return Ok(Err(fault));
        }
    }
    Ok(Ok(claims.len() as u64))
}

/// The first log that is not what one of them says of it. They are in the order of their sizes,
/// and the largest that a log agreed with is in `agreed`: what is wrong comes after it.
async fn disagrees<'a>(
    conn: &mut AnyConnection,
    by_origin: &HashMap<&str, &Head>,
    claims: &'a [Claim],
    agreed: &mut HashMap<&'a str, u64>,
) -> Result<Option<Fault>, AuditError> {
    let mut wanted: BTreeMap<&str, (&Head, Vec<u64>)> = BTreeMap::new();
    for claim in claims {
        let Some(head) = by_origin.get(&*claim.origin) else { continue };
        let of = wanted.entry(head.id.as_str()).or_insert_with(|| (head, Vec::new()));
        of.1.extend(peaks(claim.size).map(|(level, index)| index << level));
    }
    let wanted: Vec<(&Head, Vec<u64>)> = wanted.into_values().collect();
    let forest = forest(conn, &wanted, &Edges::default()).await?;
    for claim in claims {
        let Some(head) = by_origin.get(&*claim.origin) else { continue };
        if root_at(claim.size, forest.get(&head.id)) != Some(claim.root) {
            let from = agreed.get(&*claim.origin).copied().unwrap_or_default();
            let recorded = format!(
                "row {} of {} recorded it with {} rows",
                claim.seq, claim.holder, claim.size
            );
            // Two that are of as many rows cannot both be right, wherever the fault is.
            let (row, what) = if from < claim.size {
                let last = claim.size - 1;
                let rows = format!("at least one of the rows {from} to {last} is not what it was");
                (
                    Some(from),
                    format!("{rows} when {recorded}: it was rewritten or replaced by another copy"),
                )
            } else {
                (
                    None,
                    format!("{recorded} and another content than it has, and than others recorded"),
                )
            };
            return Ok(Some(Fault { log: head.id.clone(), row, what }));
        }
        agreed.insert(&claim.origin, claim.size);
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
