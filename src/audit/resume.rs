//! Going on with a log from a checkpoint of it that was believed before: the frontier of the rows
//! before it follows from one hash tile on each level, so that none of those rows is read again.
//! That it is theirs is seen when the checkpoint's own root follows from it.

use super::tiles::Path;
use crate::proof::Hash;
use crate::proof::merkle::{Frontier, node_hash};

/// The rows of a tile: a check goes on at the beginning of one.
const TILE: u64 = 256;

/// Where a check that goes on from a checkpoint of `size` rows begins to read: at the start of the
/// tile in which that checkpoint ends.
#[must_use]
pub fn begin(size: u64) -> u64 {
    size - size % TILE
}

/// The hash tiles from which the frontier of the first `begin` rows follows, in a log of `size`
/// rows; the highest level first, one for each level at most.
#[must_use]
pub fn needed(begin: u64, size: u64) -> Vec<Path> {
    let on_level = |level: u8| {
        let shift = u32::from(level) * 8;
        let (mine, all) = (begin >> shift, size >> shift);
        let index = mine / TILE;
        (mine % TILE > 0).then(|| Path::Hashes { level, index, width: Path::width(index, all) })
    };
    (1..8u8).rev().filter_map(on_level).collect()
}

/// The frontier of the first `begin` rows, from the bytes of the tiles that are [`needed`] for it;
/// nothing where they are not those.
#[must_use]
pub fn frontier(begin: u64, tiles: &[Vec<u8>]) -> Option<Frontier> {
    let mut peaks = Vec::new();
    let mut tiles = tiles.iter();
    for level in (1..8u32).rev() {
        let wanted = usize::try_from((begin >> (level * 8)) % TILE).ok()?;
        if wanted == 0 {
            continue;
        }
        let mut hashes = tiles.next()?.as_chunks::<32>().0.get(..wanted)?;
        while !hashes.is_empty() {
            // The widest full subtree that is left.
            let (part, rest) = hashes.split_at(1 << hashes.len().ilog2());
            peaks.extend_from_slice(&root_of(part.to_vec())?);
            hashes = rest;
        }
    }
    Frontier::from_bytes(begin, &peaks).ok()
}

/// The root over as many hashes as a power of two.
fn root_of(mut hashes: Vec<Hash>) -> Option<Hash> {
    while hashes.len() > 1 {
        let pairs = hashes.as_chunks::<2>().0.iter();
        hashes = pairs.map(|[left, right]| node_hash(left, right)).collect();
    }
    hashes.pop()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::merkle::leaf_hash;

    /// A log of so many rows: its frontier when it had `begin` of them, and its roots of full
    /// tiles, level by level.
    fn log(begin: u64, size: u64) -> (Frontier, Vec<Vec<Hash>>) {
        let (mut frontier, mut then) = (Frontier::new(), None);
        let mut levels = vec![Vec::new(); 8];
        for seq in 0..size {
            if seq == begin {
                then = Some(frontier.clone());
            }
            for (level, _, hash) in frontier.push(leaf_hash(&seq.to_be_bytes())) {
                if level % 8 == 0 {
                    levels[usize::from(level / 8)].push(hash);
                }
            }
        }
        (then.unwrap_or(frontier), levels)
    }

    fn read(path: &Path, levels: &[Vec<Hash>]) -> Vec<u8> {
        let Path::Hashes { level, index, width } = *path else { panic!("{path:?}") };
        let from = usize::try_from(index * 256).unwrap();
        levels[usize::from(level)][from..from + usize::try_from(width).unwrap()].concat()
    }

    #[test]
    fn the_frontier_follows_from_a_tile_a_level() {
        let size = 70_000;
        for earlier in [1, 255, 256, 600, 65_535, 65_536, 65_900, 69_999, 70_000] {
            let begin = begin(earlier);
            let (expected, levels) = log(begin, size);
            let needed = needed(begin, size);
            assert!(needed.len() <= 2, "{earlier}: {needed:?}");
            let tiles: Vec<Vec<u8>> = needed.iter().map(|p| read(p, &levels)).collect();
            assert_eq!(frontier(begin, &tiles), Some(expected), "{earlier}");
        }
    }

    #[test]
    fn what_is_too_short_or_not_there_gives_none() {
        let (_, levels) = log(600, 70_000);
        let needed = needed(512, 70_000);
        assert_eq!(needed, [Path::Hashes { level: 1, index: 0, width: 256 }]);
        let tile = read(&needed[0], &levels);
        assert!(frontier(512, &[tile[..64].to_vec()]).is_some());
        for short in [vec![], vec![tile[..63].to_vec()], vec![Vec::new()]] {
            assert_eq!(frontier(512, &short), None);
        }
        let other = frontier(512, &[tile[32..].to_vec()]).unwrap();
        assert_ne!(other, frontier(512, &[tile]).unwrap(), "it has another root");
    }
}
