//! The Merkle tree of RFC 6962, section 2.1: leaf and node hashes, a frontier to append with, and
//! proofs of inclusion and of consistency.
//!
//! Sizes and indexes are counts of leaves. A *complete subtree* is named by its level and its
//! index within that level: `(level, index)` covers the leaves from `index * 2^level` up to and
//! not including `(index + 1) * 2^level`.

use sha2::{Digest, Sha256};

use crate::proof::Hash;

/// Why a proof could not be made, or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf asked about lies beyond the end of the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    IndexOutOfRange {
        /// The leaf asked about, counted from 0.
        index: u64,
        /// The leaves in the tree.
        size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("a tree of {old} leaves cannot be the beginning of one of {new}")]
    SizesReversed {
        /// Leaves in the tree said to be older.
        old: u64,
        /// Leaves in the tree said to be newer.
        new: u64,
    },
    /// The proof has more or fewer hashes than one of these sizes must have.
    #[error("the proof has the wrong number of hashes")]
    WrongLength,
    /// The proof leads to another root than the one claimed.
    #[error("the proof leads to another root")]
    RootMismatch,
}

/// Why a proof could not be built: the question was wrong, or a hash could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError<E> {
    /// The question has no answer.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The source of subtree hashes failed.
    #[error("a hash of the tree could not be read")]
    Source(#[source] E),
}

/// The most leaves a stored frontier may have. A row's place must fit a number of JSON, which is
/// exact below 2^53 only.
const MAX_LEAVES: u64 = 1 << 53;

/// Why stored bytes are not a frontier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// The number of bytes is not the one that a tree of this size has.
    #[error("a frontier of {size} leaves takes {expected} bytes, not {found}")]
    WrongLength {
        /// The size claimed, in leaves.
        size: u64,
        /// The bytes that a frontier of this size takes.
        expected: usize,
        /// The bytes given.
        found: usize,
    },
    /// No log grows to this many leaves.
    #[error("no log has {0} leaves")]
    TooLarge(u64),
}

/// The hash of a leaf: `SHA-256(0x00 || data)` (RFC 6962, section 2.1).
pub fn leaf_hash(data: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0u8]);
    hasher.update(data);
    hasher.finalize().into()
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)` (RFC 6962, section 2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1u8]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The root of a tree without leaves: `SHA-256("")` (RFC 6962, section 2.1).
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The right edge of a growing tree: what must be kept to append a leaf and to know the root.
///
/// It holds one hash for each bit set in the size, largest subtree first, so at most 64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf, and returns every complete subtree that it completed, smallest first, as
    /// `(level, index, hash)`. The leaf itself, level 0, is always the first.
    pub fn push(&mut self, leaf: Hash) -> Vec<(u8, u64, Hash)> {
        let index = self.size;
        let mut hash = leaf;
        let mut completed = vec![(0, index, hash)];
        let mut level = 0u8;
        // Each trailing one bit of the old size is a peak that the new leaf merges with.
        while index >> level & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            level += 1;
            completed.push((level, index >> level, hash));
        }
        self.peaks.push(hash);
        self.size += 1;
        completed
    }

    /// The root of the tree as it is now.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_root(),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }

    /// The peaks, largest subtree first, 32 bytes each. The size is not in them: keep it beside.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// Reads what [`Frontier::to_bytes`] wrote for a tree of `size` leaves.
    ///
    /// # Errors
    /// When the number of bytes is not the one that a tree of this size has, or the size is beyond
    /// any log. Whether the hashes are the right ones shows only when the root is compared with a
    /// checkpoint.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Self, FrontierError> {
        if size > MAX_LEAVES {
            return Err(FrontierError::TooLarge(size));
        }
        let expected = size.count_ones() as usize * size_of::<Hash>();
        if bytes.len() != expected {
            return Err(FrontierError::WrongLength { size, expected, found: bytes.len() });
        }
        let (peaks, _) = bytes.as_chunks::<32>();
        Ok(Self { size, peaks: peaks.to_vec() })
    }
}

/// The proof that leaf `index` is in the tree of the first `size` leaves (RFC 6962, section
/// 2.1.1), from the leaf upwards. `get(level, index)` gives the hash of a complete subtree.
///
/// # Errors
/// When the index is not below the size, or when `get` fails.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    get: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, BuildError<E>> {
    if index >= size {
        return Err(ProofError::IndexOutOfRange { index, size }.into());
    }
    let (mut lo, mut hi) = (0, size);
    let mut proof = Vec::new();
    while hi - lo > 1 {
        let middle = lo + split(hi - lo);
        if index < middle {
            proof.push(range_hash(middle, hi, get)?);
            hi = middle;
        } else {
            proof.push(range_hash(lo, middle, get)?);
            lo = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of the first `old` leaves is the beginning of the tree of the first
/// `new` leaves (RFC 6962, section 2.1.2). It is empty where `old` is 0 or equals `new`.
///
/// # Errors
/// When `old` is larger than `new`, or when `get` fails.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    get: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, BuildError<E>> {
    if old > new {
        return Err(ProofError::SizesReversed { old, new }.into());
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut lo, mut hi) = (0, new);
    let mut proof = Vec::new();
    while hi > old {
        let middle = lo + split(hi - lo);
        if old <= middle {
            proof.push(range_hash(middle, hi, get)?);
            hi = middle;
        } else {
            proof.push(range_hash(lo, middle, get)?);
            lo = middle;
        }
    }
    // The verifier knows the old root already: only where the old tree's last subtree is not the
    // whole old tree must its hash be given.
    if lo > 0 {
        proof.push(range_hash(lo, hi, get)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Which complete subtrees [`inclusion_proof`] will ask for, in the order it asks: for a caller
/// that must read them all beforehand.
///
/// # Errors
/// As [`inclusion_proof`].
pub fn inclusion_nodes(index: u64, size: u64) -> Result<Vec<(u8, u64)>, ProofError> {
    record_nodes(|get| inclusion_proof(index, size, get))
}

/// Which complete subtrees [`consistency_proof`] will ask for, in the order it asks.
///
/// # Errors
/// As [`consistency_proof`].
pub fn consistency_nodes(old: u64, new: u64) -> Result<Vec<(u8, u64)>, ProofError> {
    record_nodes(|get| consistency_proof(old, new, get))
}

type Recorder<'a> = dyn FnMut(u8, u64) -> Result<Hash, std::convert::Infallible> + 'a;

fn record_nodes(
    build: impl FnOnce(
        &mut &mut Recorder<'_>,
    ) -> Result<Vec<Hash>, BuildError<std::convert::Infallible>>,
) -> Result<Vec<(u8, u64)>, ProofError> {
    let mut asked = Vec::new();
    let mut record = |level, index| {
        asked.push((level, index));
        Ok([0; 32])
    };
    let mut recorder: &mut Recorder<'_> = &mut record;
    match build(&mut recorder) {
        Ok(_) => Ok(asked),
        Err(BuildError::Proof(error)) => Err(error),
        Err(BuildError::Source(never)) => match never {},
    }
}

/// Checks that a leaf is in the tree with this root (RFC 9162, section 2.1.3.2, which spells out
/// the check that RFC 6962 leaves to the reader).
///
/// # Errors
/// Says what does not hold.
pub fn verify_inclusion(
    leaf_hash: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::IndexOutOfRange { index, size });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf_hash;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// Checks that one tree is the beginning of another (RFC 9162, section 2.1.4.2). The empty tree
/// is the beginning of every tree.
///
/// # Errors
/// Says what does not hold.
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let holds = |yes: bool| {
        if yes { Ok(()) } else { Err(ProofError::RootMismatch) }
    };
    if old_size > new_size {
        return Err(ProofError::SizesReversed { old: old_size, new: new_size });
    }
    if old_size == 0 || old_size == new_size {
        if !proof.is_empty() {
            return Err(ProofError::WrongLength);
        }
        let expected = if old_size == new_size { *new_root } else { empty_root() };
        return holds(*old_root == expected);
    }
    let mut rest = proof.iter();
    // An old tree that is one complete subtree is its own first hash, and is left out.
    let first = if old_size.is_power_of_two() {
        *old_root
    } else {
        *rest.next().ok_or(ProofError::WrongLength)?
    };
    let shift = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> shift, (new_size - 1) >> shift);
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    holds(old_hash == *old_root && new_hash == *new_root)
}

/// The largest power of two below `n`, for `n` of 2 and above.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The hash over the leaves `lo..hi`, a range that splitting a tree leads to: it starts at a
/// multiple of its size's next power of two, so a full one is one complete subtree.
fn range_hash<E>(
    lo: u64,
    hi: u64,
    get: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Hash, BuildError<E>> {
    let length = hi - lo;
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return get(level as u8, lo >> level).map_err(BuildError::Source);
    }
    let middle = lo + split(length);
    let left = range_hash(lo, middle, get)?;
    let right = range_hash(middle, hi, get)?;
    Ok(node_hash(&left, &right))
}

#[cfg(test)]
#[path = "merkle_tests.rs"]
mod tests;
