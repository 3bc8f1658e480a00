//! The nodes of a log's tree that a proof needs, read with a few range queries.
//!
//! Stored are the leaf hashes (with their rows) and the roots of full subtrees of 256, 65,536 …
//! leaves. Everything in between is hashed again from at most 256 of those.

use std::collections::HashMap;

use sqlx::AnyConnection;

use super::AuditError;
use crate::proof::Hash;
use crate::proof::merkle::{self, BuildError, Frontier};
use crate::store::audit::{self, Head};

/// The nodes that are known.
#[derive(Debug, Default)]
pub struct Nodes {
    known: HashMap<(u8, u64), Hash>,
}

/// A node that was not read.
#[derive(Debug, thiserror::Error)]
#[error("the tree has no node at level {0}, index {1}")]
pub struct NoNode(u8, u64);

impl Nodes {
    /// Reads what the inclusion proofs of the rows at `seqs` need, in the tree of the whole log.
    ///
    /// # Errors
    /// Where the database does not answer, or the head does not read as one.
    pub async fn load(
        conn: &mut AnyConnection,
        head: &Head,
        seqs: &[u64],
    ) -> Result<Self, AuditError> {
        let unreadable = |what: String| AuditError::Unreadable { log: head.id.clone(), what };
        let size =
            u64::try_from(head.size).map_err(|_| unreadable("its size is negative".into()))?;
        let frontier =
            Frontier::from_bytes(size, &head.frontier).map_err(|e| unreadable(e.to_string()))?;
        let mut nodes = Self::default();
        nodes.add_peaks(size, &frontier);
        for level in (0..64u8).step_by(8) {
            // The groups of 256 at this level that the rows are in, as far as they are there.
            let count = size >> level;
            if count == 0 {
                break;
            }
            let mut groups: Vec<u64> = seqs.iter().map(|seq| (seq >> level) / 256).collect();
            groups.sort_unstable();
            groups.dedup();
            for group in groups {
                let (from, to) = (group * 256, ((group + 1) * 256).min(count));
                let (from, to) = (signed(from), signed(to));
                let rows = if level == 0 {
                    audit::leaf_hashes(conn, &head.id, from, to).await?
                } else {
                    audit::subtrees(conn, &head.id, i64::from(level), from, to).await?
                };
                for (index, hash) in rows {
                    let hash: Hash = hash
                        .as_slice()
                        .try_into()
                        .map_err(|_| unreadable("a hash is not of 32 bytes".into()))?;
                    nodes.known.insert((level, u64::try_from(index).unwrap_or(u64::MAX)), hash);
                }
            }
        }
        Ok(nodes)
    }

    /// The roots of the full subtrees that make up a tree of `size`, widest first.
    fn add_peaks(&mut self, size: u64, frontier: &Frontier) {
        let bytes = frontier.to_bytes();
        let levels = (0..64u8).rev().filter(|level| size >> level & 1 == 1);
        for (level, hash) in levels.zip(bytes.chunks_exact(32)) {
            if let Ok(hash) = hash.try_into() {
                self.known.insert((level, (size >> level) - 1), hash);
            }
        }
    }

    /// The root of the full subtree of 2^level leaves at `index`.
    ///
    /// # Errors
    /// [`NoNode`] where what it is made of was not read.
    pub fn get(&self, level: u8, index: u64) -> Result<Hash, NoNode> {
        if let Some(hash) = self.known.get(&(level, index)) {
            return Ok(*hash);
        }
        if level.is_multiple_of(8) {
            return Err(NoNode(level, index));
        }
        Ok(merkle::node_hash(
            &self.get(level - 1, index * 2)?,
            &self.get(level - 1, index * 2 + 1)?,
        ))
    }

    /// The inclusion proof of the row at `seq` in the tree of `size` rows.
    ///
    /// # Errors
    /// Where a node is missing, or there is no such row.
    pub fn inclusion(&self, seq: u64, size: u64) -> Result<Vec<Hash>, BuildError<NoNode>> {
        merkle::inclusion_proof(seq, size, &mut |level, index| self.get(level, index))
    }

    /// The proof that the tree of `old` rows is the beginning of the tree of `new` rows.
    ///
    /// # Errors
    /// Where a node is missing, or `old` is larger.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, BuildError<NoNode>> {
        merkle::consistency_proof(old, new, &mut |level, index| self.get(level, index))
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The hashes of each level's tile that is not full yet, lowest level first: the level above the
/// highest one that has any is not there.
///
/// # Errors
/// Where the database does not answer.
pub async fn partial(conn: &mut AnyConnection, head: &Head) -> Result<Vec<Vec<u8>>, AuditError> {
    let mut all = Vec::new();
    for level in (0..56u8).step_by(8) {
        let count = head.size >> level;
        if count == 0 {
            break;
        }
        let from = count - count % 256;
        let hashes = if level == 0 {
            audit::leaf_hashes(conn, &head.id, from, count).await?
        } else {
            audit::subtrees(conn, &head.id, i64::from(level), from, count).await?
        };
        all.push(hashes.into_iter().flat_map(|(_, hash)| hash).collect());
    }
    Ok(all)
}
