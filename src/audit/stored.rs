//! What is stored of a log's tree above its blocks of 256 rows: the roots of larger subtrees, and
//! the full tiles. Proofs are built from them, so they have to be those of the rows.

use std::collections::BTreeMap;

use sqlx::AnyConnection;

use super::AuditError;
use crate::proof::Hash;
use crate::proof::log_check::BLOCK_LEVEL;
use crate::proof::merkle::node_hash;
use crate::store::audit::{self, Head};
use crate::store::proven;

/// How many subtrees are looked at in one go: half a megabyte of tiles.
const AT_A_TIME: i64 = 64;

/// What is wrong with the roots of larger subtrees, and with the full tiles, of a log whose blocks
/// of 256 rows hold: everything above follows from those. With the first row it is about. What has
/// only rows before `first` is left out.
pub(super) async fn tree_fault(
    conn: &mut AnyConnection,
    head: &Head,
    first: i64,
) -> Result<Option<(Option<u64>, String)>, AuditError> {
    for level in (i64::from(BLOCK_LEVEL)..56).step_by(8) {
        let count = head.size >> level;
        for from in (first >> level..count).step_by(AT_A_TIME as usize) {
            let to = count.min(from + AT_A_TIME);
            if let Some((idx, what)) = level_fault(conn, head, level, from, to).await? {
                return Ok(Some((u64::try_from(idx << level).ok(), what)));
            }
        }
    }
    Ok(None)
}

/// The same for the subtrees `from..to` of one level.
async fn level_fault(
    conn: &mut AnyConnection,
    head: &Head,
    level: i64,
    from: i64,
    to: i64,
) -> Result<Option<(i64, String)>, AuditError> {
    let roots = by_place(audit::subtrees(conn, &head.id, level, from, to).await?);
    let below = if level > i64::from(BLOCK_LEVEL) {
        by_place(audit::subtrees(conn, &head.id, level - 8, from * 256, to * 256).await?)
    } else {
        BTreeMap::new()
    };
    let tiles: BTreeMap<i64, Vec<u8>> =
        proven::tiles_of(conn, &head.id, level / 8 - 1, from, to).await?.into_iter().collect();
    for idx in from..to {
        let root = roots.get(&idx).copied();
        if level > i64::from(BLOCK_LEVEL) {
            let below: Vec<Hash> =
                below.range(idx * 256..(idx + 1) * 256).map(|(_, hash)| *hash).collect();
            if root.is_none() || full_root(below) != root {
                let what = format!(
                    "the root kept for the subtree {idx} of level {level} is not that of its rows"
                );
                return Ok(Some((idx, what)));
            }
        }
        // A log that is older than the table of tiles has none for its first rows.
        let Some(hashes) = tiles.get(&idx) else { continue };
        let (hashes, rest) = hashes.as_chunks::<32>();
        if !rest.is_empty() || full_root(hashes.to_vec()) != root {
            let what = format!("the tile {idx} of level {} is not that of its rows", level / 8 - 1);
            return Ok(Some((idx, what)));
        }
    }
    Ok(None)
}

fn by_place(nodes: Vec<(i64, Vec<u8>)>) -> BTreeMap<i64, Hash> {
    nodes
        .into_iter()
        .filter_map(|(idx, hash)| Some((idx, Hash::try_from(hash.as_slice()).ok()?)))
        .collect()
}

/// The root of a full subtree over 256 hashes; nothing where there are not as many.
fn full_root(mut hashes: Vec<Hash>) -> Option<Hash> {
    if hashes.len() != 256 {
        return None;
    }
    while hashes.len() > 1 {
        let pairs = hashes.as_chunks::<2>().0.iter();
        hashes = pairs.map(|[l, r]| node_hash(l, r)).collect();
    }
    hashes.pop()
}
