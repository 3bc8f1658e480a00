//! Checking a whole log, row by row as it streams by: that every row is what was written, in its
//! place, and that none is missing, also not at the end.
//!
//! A row that was changed carelessly is named by its own hash. One that was changed together with
//! its hash is named by what was kept elsewhere: signed checkpoints of earlier sizes, and the
//! roots of complete blocks. The more of those are handed in, the closer the fault is named.

use std::collections::BTreeMap;

use crate::proof::Hash;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::merkle::{Frontier, empty_root, leaf_hash};
use crate::proof::row::AuditRow;

/// The level of a block's root: a block is a complete subtree of `2^8 = 256` rows, a tile of
/// c2sp.org/tlog-tiles.
pub const BLOCK_LEVEL: u8 = 8;

/// The rows in a block.
pub const BLOCK_ROWS: u64 = 1 << BLOCK_LEVEL;

/// A row as the store has it.
#[derive(Debug, Clone, Copy)]
pub struct RowInput<'a> {
    /// The place that the store says it has, counted from 0.
    pub seq: u64,
    /// The leaf hash stored beside it.
    pub stored_leaf_hash: &'a [u8],
    /// Its text.
    pub body: &'a str,
}

/// What is wrong with a row, or with the rows up to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// Rows before this one are not there.
    #[error("rows {from} to {to} are missing: they were deleted")]
    Missing {
        /// The first missing row.
        from: u64,
        /// The last missing row.
        to: u64,
    },
    /// The row comes after one that it should precede, or comes twice.
    #[error("row {expected} should come here: this one is out of order, or there twice")]
    OutOfOrder {
        /// The row that should come here.
        expected: u64,
    },
    /// The text is not that of a row.
    #[error("its text was changed: {0}")]
    NotARow(String),
    /// The text is a row of another log.
    #[error("its text is a row of the log {0:?}, put into this one")]
    OtherLog(String),
    /// The text is a row of another place in this log.
    #[error("its text is that of row {0}: rows were swapped, moved, or removed before it")]
    OtherPlace(u64),
    /// The text is not the one that was hashed when it was written.
    #[error("its text was changed: it does not give the leaf hash stored beside it")]
    LeafHash,
    /// The time is before that of the row before.
    #[error("its time is {at}, before that of the row before it, {previous}")]
    TimeRunsBack {
        /// The time of the row before, in microseconds UTC.
        previous: i64,
        /// Its own time, in microseconds UTC.
        at: i64,
    },
    /// A complete block has another root than was kept.
    #[error(
        "at least one of the rows {from} to {to} was changed together with its hash: block {block} has another root than was kept"
    )]
    Block {
        /// The block's index.
        block: u64,
        /// The first row that can be the changed one.
        from: u64,
        /// The last row that can be the changed one.
        to: u64,
    },
    /// The log had another root when it was this long.
    #[error(
        "at least one of the rows {from} to {to} was changed together with its hash: a checkpoint of {size} rows has another root"
    )]
    Checkpoint {
        /// The size of the checkpoint that differs, in rows.
        size: u64,
        /// The first row that can be the changed one.
        from: u64,
        /// The last row that can be the changed one.
        to: u64,
    },
}

/// A row that fails the check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row {seq}: {why}")]
pub struct BadRow {
    /// The first row that is, or can be, the bad one; for missing rows the first missing one.
    pub seq: u64,
    /// What is wrong.
    pub why: RowFault,
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct LogFault {
    /// The log.
    pub log: String,
    /// The first row that is, or can be, bad or missing. None where the fault has no place.
    pub first_bad_seq: Option<u64>,
    /// The fault in a sentence for people.
    pub sentence: String,
}

/// What was found of a log that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The log.
    pub log: String,
    /// The rows checked.
    pub rows: u64,
    /// The root over all of them.
    pub root: Hash,
    /// The checkpoint they were held against.
    pub checkpoint: Checkpoint,
    /// The newest rows that the checkpoint does not cover yet.
    pub beyond_checkpoint: u64,
    /// The kept checkpoints that were compared and agreed.
    pub checkpoints_agreed: u64,
    /// The kept block roots that were compared and agreed.
    pub blocks_agreed: u64,
}

/// Checks a log as its rows are handed in, first to last. It keeps a few hashes, never the rows.
#[derive(Debug, Clone)]
pub struct LogChecker {
    log: String,
    frontier: Frontier,
    last_at: Option<i64>,
    expected: BTreeMap<u64, Vec<Hash>>,
    blocks: BTreeMap<u64, Hash>,
    agreed: BTreeMap<u64, Hash>,
    checkpoints_agreed: u64,
    blocks_agreed: u64,
    /// All rows below this one are confirmed by something that was kept.
    good: u64,
    failed: Option<BadRow>,
}

impl LogChecker {
    /// A checker for the log of this name, as rows have it in `log`.
    pub fn new(log_id: &str) -> Self {
        Self {
            log: log_id.to_owned(),
            frontier: Frontier::new(),
            last_at: None,
            expected: BTreeMap::new(),
            blocks: BTreeMap::new(),
            agreed: BTreeMap::from([(0, empty_root())]),
            checkpoints_agreed: 0,
            blocks_agreed: 0,
            good: 0,
            failed: None,
        }
    }

    /// A checker that goes on behind rows which were checked before: `frontier` is theirs. It is
    /// believed once a checkpoint agrees with what follows from it.
    pub fn resume(log_id: &str, frontier: Frontier) -> Self {
        Self { frontier, ..Self::new(log_id) }
    }

    /// Says which root the log had at a size, from a checkpoint whose signature is checked. Hand it
    /// in before the row that makes the log this long; one that comes too late makes the check
    /// fail.
    pub fn expect_checkpoint(&mut self, size: u64, root: Hash) {
        self.expected.entry(size).or_default().push(root);
    }

    /// Says which root a complete block of [`BLOCK_ROWS`] rows had. Block 0 is rows 0 to 255.
    pub fn expect_block(&mut self, index: u64, hash: Hash) {
        self.blocks.insert(index, hash);
    }

    /// The rows checked so far: for showing progress.
    pub fn rows(&self) -> u64 {
        self.frontier.size()
    }

    /// Checks the next row, and says what it says.
    ///
    /// # Errors
    /// Names the row and what is wrong. After an error the check is over: every further row gets
    /// the same answer, and so does [`LogChecker::finish`].
    pub fn push(&mut self, row: RowInput<'_>) -> Result<AuditRow, BadRow> {
        if let Some(bad) = &self.failed {
            return Err(bad.clone());
        }
        self.check(row).inspect_err(|bad| {
            self.failed = Some(bad.clone());
        })
    }

    fn check(&mut self, input: RowInput<'_>) -> Result<AuditRow, BadRow> {
        let expected = self.frontier.size();
        let bad = |why| BadRow { seq: expected.min(input.seq), why };
        if input.seq > expected {
            return Err(bad(RowFault::Missing { from: expected, to: input.seq - 1 }));
        }
        if input.seq < expected {
            return Err(bad(RowFault::OutOfOrder { expected }));
        }
        let row = AuditRow::parse(input.body)
            .map_err(|error| bad(RowFault::NotARow(error.to_string())))?;
        if row.log != self.log {
            return Err(bad(RowFault::OtherLog(row.log)));
        }
        if row.seq != input.seq {
            return Err(bad(RowFault::OtherPlace(row.seq)));
        }
        let leaf = leaf_hash(input.body.as_bytes());
        if leaf != input.stored_leaf_hash {
            return Err(bad(RowFault::LeafHash));
        }
        if let Some(previous) = self.last_at.filter(|previous| row.at < *previous) {
            return Err(bad(RowFault::TimeRunsBack { previous, at: row.at }));
        }
        self.last_at = Some(row.at);
        let block = self.frontier.push(leaf).into_iter().find(|(level, ..)| *level == BLOCK_LEVEL);
        if let Some((_, index, hash)) = block {
            self.compare_block(index, &hash)?;
        }
        self.compare_checkpoints()?;
        Ok(row)
    }

    fn compare_block(&mut self, block: u64, hash: &Hash) -> Result<(), BadRow> {
        let Some(kept) = self.blocks.remove(&block) else {
            return Ok(());
        };
        let (start, end) = (block * BLOCK_ROWS, self.frontier.size());
        if kept != *hash {
            let from = self.good.max(start);
            return Err(BadRow { seq: from, why: RowFault::Block { block, from, to: end - 1 } });
        }
        self.blocks_agreed += 1;
        if self.good >= start {
            self.good = end;
        }
        Ok(())
    }

    fn compare_checkpoints(&mut self) -> Result<(), BadRow> {
        let size = self.frontier.size();
        let Some(roots) = self.expected.remove(&size) else {
            return Ok(());
        };
        let root = self.frontier.root();
        if roots.iter().any(|kept| *kept != root) {
            // Where the rows themselves are all confirmed, the last one is named for want of a
            // better place: then two checkpoints of this size contradict each other.
            let from = self.good.min(size - 1);
            return Err(BadRow {
                seq: from,
                why: RowFault::Checkpoint { size, from, to: size - 1 },
            });
        }
        self.checkpoints_agreed += roots.len() as u64;
        self.agreed.insert(size, root);
        self.good = size;
        Ok(())
    }

    /// Ends the check. `size_claimed` is the number of rows that the store says the log has;
    /// `checkpoint` is the newest checkpoint, with its signature checked. One that covers fewer
    /// rows than there are must also have been handed to [`LogChecker::expect_checkpoint`].
    ///
    /// # Errors
    /// Says what is wrong with the log, and from which row on.
    pub fn finish(self, size_claimed: u64, checkpoint: &Checkpoint) -> Result<Report, LogFault> {
        let rows = self.frontier.size();
        let root = self.frontier.root();
        let log = &self.log;
        let fault = |first_bad_seq, sentence: String| LogFault {
            log: log.clone(),
            first_bad_seq,
            sentence,
        };
        if let Some(bad) = &self.failed {
            return Err(fault(
                Some(bad.seq),
                format!("The log {log} does not hold at row {}: {}.", bad.seq, bad.why),
            ));
        }
        if !checkpoint.names_log(log) {
            let origin = &checkpoint.origin;
            return Err(fault(
                None,
                format!("The checkpoint is of {origin:?}, and not of the log {log}."),
            ));
        }
        self.check_not_cut(size_claimed, checkpoint.size)
            .map_err(|sentence| fault(Some(rows), sentence))?;
        if rows > size_claimed {
            return Err(fault(
                Some(size_claimed),
                format!(
                    "The log {log} has {rows} rows, and only {size_claimed} were ever counted: rows were added."
                ),
            ));
        }
        let late = self
            .expected
            .iter()
            .find(|(size, roots)| **size > 0 || roots.iter().any(|kept| *kept != empty_root()));
        if let Some((size, _)) = late {
            return Err(fault(
                None,
                format!(
                    "A checkpoint of {size} rows of the log {log} could not be compared, or contradicts the empty log."
                ),
            ));
        }
        let at_checkpoint = if checkpoint.size == rows {
            Some(root)
        } else {
            self.agreed.get(&checkpoint.size).copied()
        };
        let Some(at_checkpoint) = at_checkpoint else {
            return Err(fault(
                None,
                format!(
                    "The checkpoint of {} rows of the log {log} could not be compared: it was not handed in before the rows.",
                    checkpoint.size
                ),
            ));
        };
        if at_checkpoint != checkpoint.root {
            let first = self.good.min(checkpoint.size.saturating_sub(1));
            return Err(fault(
                Some(first),
                format!(
                    "The log {log} was changed: the {} rows there are do not give the root of the newest checkpoint. The fault is in row {first} or after.",
                    checkpoint.size
                ),
            ));
        }
        Ok(Report {
            log: self.log,
            rows,
            root,
            checkpoint: checkpoint.clone(),
            beyond_checkpoint: rows - checkpoint.size,
            checkpoints_agreed: self.checkpoints_agreed,
            blocks_agreed: self.blocks_agreed,
        })
    }

    /// Whether rows are missing at the end, by the largest size that anything speaks of.
    fn check_not_cut(&self, claimed: u64, signed: u64) -> Result<(), String> {
        let kept = self.expected.keys().next_back().copied().unwrap_or(0);
        let blocks = self
            .blocks
            .keys()
            .next_back()
            .map_or(0, |index| index.saturating_add(1).saturating_mul(BLOCK_ROWS));
        let (size, source) = [
            (signed, "its newest checkpoint says"),
            (kept, "a checkpoint that was kept says"),
            (blocks, "a block that was kept says"),
            (claimed, "were counted"),
        ]
        .into_iter()
        .rev()
        .max_by_key(|(size, _)| *size)
        .unwrap_or_default();
        let rows = self.frontier.size();
        if size <= rows {
            return Ok(());
        }
        Err(format!(
            "The log {} was cut: it has {rows} rows, and {source} {size}. The rows from {rows} on are missing.",
            self.log
        ))
    }
}

#[cfg(test)]
#[path = "log_check_tests.rs"]
mod tests;
