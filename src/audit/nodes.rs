//! The nodes of a log's tree that a proof needs, read with a few range queries.
//!
//! Stored are the leaf hashes (with their rows), the roots of full subtrees of 256, 65,536 …
//! leaves, and each full tile of 256 of those in one piece. Everything in between is hashed again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::AnyConnection;

use super::AuditError;
use crate::proof::Hash;
use crate::proof::merkle::{self, BuildError, Frontier};
use crate::store::audit::{self, Head, Stretch};

/// The nodes that are known.
#[derive(Debug, Default)]
pub struct Nodes {
    /// By the level of what they are made of, and their place there.
    tiles: HashMap<(u8, u64), Arc<Tile>>,
    /// Those by themselves, by level and index.
    known: HashMap<(u8, u64), Hash>,
}

/// Up to 256 nodes of a level that stand beside each other, and what follows from them alone: of
/// each of the next seven levels the nodes whose subtrees are whole.
#[derive(Debug)]
struct Tile {
    levels: Vec<Vec<Hash>>,
}

impl Tile {
    fn of(hashes: Vec<Hash>) -> Self {
        let mut levels = vec![hashes];
        // The root of all 256 is stored, too, and is part of the next tile.
        while let Some(below) = levels.last().filter(|below| below.len() > 1 && levels.len() < 8) {
            let pairs = below.as_chunks::<2>().0;
            levels.push(pairs.iter().map(|[l, r]| merkle::node_hash(l, r)).collect());
        }
        Self { levels }
    }

    fn hashes(&self) -> &[Hash] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }
}

/// A node that was not read.
#[derive(Debug, thiserror::Error)]
#[error("the tree has no node at level {0}, index {1}")]
pub struct NoNode(u8, u64);

/// The nodes of several trees, by the log's id.
pub type Forest = HashMap<String, Nodes>;

/// Tiles that are not full yet, as far as they are: the largest part of what a proof reads. Only
/// such are kept as the signed root confirms, and those never change.
#[derive(Debug, Default)]
pub struct Edges {
    kept: Mutex<HashMap<Stretch, Arc<Tile>>>,
}

/// How many edges are kept, of 16 KB at most.
const EDGES: usize = 1024;

/// The length of a hash, in bytes.
const HASH: usize = 32;

impl Edges {
    fn get(&self, stretch: &Stretch) -> Option<Arc<Tile>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(stretch).cloned()
    }

    /// Keeps an edge where `frontier`, that of the whole log, follows from its hashes.
    fn keep(&self, stretch: &Stretch, frontier: &Frontier, edge: &Arc<Tile>) {
        let hashes = edge.hashes();
        let mut own = Frontier::new();
        for hash in hashes {
            own.push(*hash);
        }
        let (whole, own) = (frontier.to_bytes(), own.to_bytes());
        let above = (frontier.size() >> stretch.level >> 8).count_ones() as usize * HASH;
        if stretch.from + signed(hashes.len() as u64) != stretch.to
            || whole.get(above..above + own.len()) != Some(&own[..])
        {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= EDGES {
            kept.clear();
        }
        kept.insert(stretch.clone(), edge.clone());
    }
}

/// Reads what the inclusion proofs of rows need, each in the tree of its whole log, with few
/// statements for all of them. The frontier of each head has to be that of its signed root.
///
/// # Errors
/// Where the database does not answer, or a head does not read as one.
pub async fn forest(
    conn: &mut AnyConnection,
    wanted: &[(&Head, Vec<u64>)],
    edges: &Edges,
) -> Result<Forest, AuditError> {
    let mut forest = Forest::new();
    let (mut full, mut loose) = (BTreeSet::new(), BTreeSet::new());
    let mut frontiers = HashMap::new();
    for (head, seqs) in wanted {
        let size = size_of(head)?;
        let frontier = Frontier::from_bytes(size, &head.frontier)
            .map_err(|e| unreadable(&head.id, e.to_string()))?;
        forest.entry(head.id.clone()).or_default().add_peaks(size, &frontier);
        frontiers.insert(head.id.as_str(), frontier);
        for level in (0..56u8).step_by(8) {
            // The groups of 256 at this level that the rows are in, as far as they are there.
            let count = size >> level;
            if count == 0 {
                break;
            }
            for group in seqs.iter().map(|seq| (seq >> level) / 256) {
                let (from, to) = (group * 256, ((group + 1) * 256).min(count));
                let stretch = Stretch {
                    log_id: head.id.clone(),
                    level: i64::from(level),
                    from: signed(from),
                    to: signed(to),
                };
                if to == from + 256 {
                    full.insert(stretch)
                } else {
                    loose.insert(stretch)
                };
            }
        }
    }
    let full: Vec<Stretch> = full.into_iter().collect();
    let mut missing: BTreeSet<Stretch> = full.iter().cloned().collect();
    for (log, tile_level, index, hashes) in audit::tiles(conn, &full).await? {
        let (from, hashes) = (index * 256, hashes.as_chunks::<32>().0);
        let stretch = Stretch { log_id: log, level: tile_level * 8, from, to: from + 256 };
        if hashes.len() == 256 && missing.remove(&stretch) {
            let tile = Arc::new(Tile::of(hashes.to_vec()));
            forest.entry(stretch.log_id.clone()).or_default().add(&stretch, tile);
        }
    }
    loose.retain(|stretch: &Stretch| stretch.from < stretch.to);
    loose.retain(|stretch| {
        let Some(edge) = edges.get(stretch) else { return true };
        forest.entry(stretch.log_id.clone()).or_default().add(stretch, edge);
        false
    });
    // Tiles of logs that are older than the table of tiles are read hash by hash.
    loose.extend(missing);
    let loose: Vec<Stretch> = loose.into_iter().collect();
    let mut found: HashMap<(String, i64), BTreeMap<i64, Hash>> = HashMap::new();
    for (log, level, index, hash) in audit::nodes(conn, &loose).await? {
        let hash: Hash = hash
            .as_slice()
            .try_into()
            .map_err(|_| unreadable(&log, "a hash is not of 32 bytes".into()))?;
        found.entry((log, level)).or_default().insert(index, hash);
    }
    for s in loose {
        let Some(row) = found.get(&(s.log_id.clone(), s.level)) else { continue };
        let places = row.range(s.from..s.to);
        let hashes: Vec<Hash> = places.clone().map(|(_, hash)| *hash).collect();
        let nodes = forest.entry(s.log_id.clone()).or_default();
        if i64::try_from(hashes.len()) == Ok(s.to - s.from) {
            let edge = Arc::new(Tile::of(hashes));
            if let Some(frontier) = frontiers.get(s.log_id.as_str())
                && s.to - s.from < 256
            {
                edges.keep(&s, frontier, &edge);
            }
            nodes.add(&s, edge);
            continue;
        }
        let level = u8::try_from(s.level).unwrap_or(u8::MAX);
        for (index, hash) in places {
            nodes.known.insert((level, u64::try_from(*index).unwrap_or(u64::MAX)), *hash);
        }
    }
    Ok(forest)
}

fn unreadable(log: &str, what: String) -> AuditError {
    AuditError::Unreadable { log: log.to_owned(), what }
}

fn size_of(head: &Head) -> Result<u64, AuditError> {
    u64::try_from(head.size).map_err(|_| unreadable(&head.id, "its size is negative".into()))
}

impl Nodes {
    /// Reads what the inclusion proofs of the rows at `seqs` need, in the tree of the whole log.
    ///
    /// # Errors
    /// As for [`forest`].
    pub async fn load(
        conn: &mut AnyConnection,
        head: &Head,
        seqs: &[u64],
    ) -> Result<Self, AuditError> {
        let wanted = [(head, seqs.to_vec())];
        let mut forest = forest(conn, &wanted, &Edges::default()).await?;
        Ok(forest.remove(&head.id).unwrap_or_default())
    }

    /// Adds the nodes of a stretch that begins where a tile does.
    fn add(&mut self, stretch: &Stretch, tile: Arc<Tile>) {
        let level = u8::try_from(stretch.level).unwrap_or(u8::MAX);
        let first = u64::try_from(stretch.from).unwrap_or(u64::MAX);
        self.tiles.insert((level, first / 256), tile);
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
        let above = level % 8;
        let (tile, place) = (index >> (8 - above), index & (0xff >> above));
        let in_tile = self.tiles.get(&(level - above, tile)).and_then(|tile| {
            tile.levels.get(usize::from(above))?.get(usize::try_from(place).ok()?)
        });
        if let Some(hash) = in_tile.or_else(|| self.known.get(&(level, index))) {
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
