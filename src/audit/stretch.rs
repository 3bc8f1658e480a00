//! What a verification holds at one time of a log: a stretch of its rows, and the checkpoints kept
//! of it on the way.

use std::collections::{HashSet, VecDeque};

use sqlx::AnyConnection;
use tokio::task::JoinHandle;

use super::AuditError;
use super::recorded::Collector;
use crate::model::Micros;
use crate::proof::Hash;
use crate::proof::actions;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::log_check::{LogChecker, RowInput};
use crate::proof::note::NoteVerifier;
use crate::proof::row::AuditRow;
use crate::store::audit::Head;
use crate::store::proven::{self, Proven, columns_of};

/// The rows of a tile.
const TILE: i64 = 256;

/// How many rows are read at once.
const ROWS: i64 = 4 * TILE;

/// How many signatures are checked at once: all that a verification of one log holds of kept
/// checkpoints, twice over.
const SIGNATURES: usize = 4096;

/// After rows of these a checkpoint is kept in the same step: evidence is made of it, and who
/// removes it makes true evidence fail.
const KEPT_AFTER: [&str; 4] = [
    actions::PLATFORM_IMPERSONATION_STARTED,
    actions::IMPERSONATION_STARTED,
    actions::PLATFORM_IMPERSONATION_ENDED,
    actions::IMPERSONATION_ENDED,
];

/// The rows of a stretch.
enum Rows {
    /// As one text, from a place on, with the leaf hashes that the tiles have for it, which are
    /// those stored beside the rows.
    Together { from: i64, text: String, leaf_hashes: Vec<u8> },
    /// One by one.
    Each(Vec<Proven>),
}

/// Some rows of a log that follow each other.
pub(super) struct Stretch {
    rows: Rows,
    /// What kept checkpoints say of the log at sizes within it. Their signatures are checked by
    /// [`Signatures`].
    claims: Vec<Checkpoint>,
    /// The size of the log at its end.
    to: i64,
}

/// Where a stretch that begins at `from` ends in a log of `size` rows: full tiles first, then what
/// is beyond them.
pub(super) fn end(from: i64, size: i64) -> i64 {
    let tiled = size - size % TILE;
    if from < tiled { tiled.min(from + ROWS) } else { size }
}

impl Stretch {
    /// Reads the rows `from..to` of a log.
    pub(super) async fn read(
        conn: &mut AnyConnection,
        head: &Head,
        (from, to): (i64, i64),
        claims: Vec<Checkpoint>,
    ) -> Result<Self, AuditError> {
        let rows = Self::rows(conn, &head.id, from, to).await?;
        Ok(Self { rows, claims, to })
    }

    async fn rows(
        conn: &mut AnyConnection,
        log: &str,
        from: i64,
        to: i64,
    ) -> Result<Rows, AuditError> {
        if from < to && from % TILE == 0 && to % TILE == 0 {
            let tiles = proven::tiles_of(conn, log, 0, from / TILE, to / TILE).await?;
            let leaf_hashes: Vec<u8> = tiles.into_iter().flat_map(|(_, hashes)| hashes).collect();
            // A log that is older than the table of tiles has none for its first rows.
            if i64::try_from(leaf_hashes.len()) == Ok(32 * (to - from)) {
                let read = proven::together(conn, log, from, to, &leaf_hashes).await?;
                if read.agree {
                    return Ok(Rows::Together { from, text: read.text, leaf_hashes });
                }
            }
        }
        Ok(Rows::Each(proven::rows(conn, log, from, to).await?))
    }
}

/// A log as its stretches are handed in.
pub(super) struct Checking {
    /// What checks the rows.
    pub(super) checker: LogChecker,
    /// The time of the last row.
    pub(super) last_at: Option<Micros>,
    /// What its rows recorded of other logs.
    pub(super) recorded: Collector,
    /// The sizes for which a checkpoint was kept within the stretch in hand.
    pub(super) kept: HashSet<u64>,
}

/// The first bad row of a stretch.
pub(super) struct Bad {
    /// Its place.
    pub(super) seq: u64,
    /// What is wrong with it.
    pub(super) what: String,
    /// The size of the log at the end of the stretch.
    pub(super) to: i64,
}

impl Checking {
    /// Checks the rows of a stretch, and the columns that they are found by.
    ///
    /// # Errors
    /// The first bad row.
    pub(super) fn check(&mut self, stretch: Stretch) -> Result<(), Bad> {
        let to = stretch.to;
        self.kept.clear();
        for claim in stretch.claims {
            self.kept.insert(claim.size);
            self.checker.expect_checkpoint(claim.size, claim.root);
        }
        let checked = match &stretch.rows {
            Rows::Each(rows) => rows
                .iter()
                .try_for_each(|row| self.row(row.seq, &row.body, &row.leaf_hash, &row.columns)),
            Rows::Together { from, text, leaf_hashes } => {
                let start = u64::try_from(*from).unwrap_or(0);
                let unread = || (start, "the rows from here on could not be told apart".to_owned());
                proven::records(text).ok_or_else(unread).and_then(|records| {
                    records.into_iter().try_for_each(|record| {
                        let nth = usize::try_from(record.seq - from).ok();
                        let of_it = nth.and_then(|nth| leaf_hashes.as_chunks::<32>().0.get(nth));
                        let leaf_hash: &Hash = of_it.ok_or_else(unread)?;
                        self.row(record.seq, record.body, leaf_hash, record.columns)
                    })
                })
            }
        };
        checked.map_err(|(seq, what)| Bad { seq, what, to })
    }

    fn row(
        &mut self,
        seq: i64,
        body: &str,
        leaf_hash: &[u8],
        columns: &str,
    ) -> Result<(), (u64, String)> {
        let seq = u64::try_from(seq).unwrap_or(u64::MAX);
        let input = RowInput { seq, stored_leaf_hash: leaf_hash, body };
        let row: AuditRow =
            self.checker.push(input).map_err(|bad| (bad.seq, bad.why.to_string()))?;
        // The columns are not proven by the tree; they must not lead a search astray.
        if columns_of(&row) != columns {
            return Err((seq, "its columns do not say what its text says".to_owned()));
        }
        if KEPT_AFTER.contains(&row.action.as_str()) && !self.kept.contains(&(seq + 1)) {
            let what = "no checkpoint is kept of just after it, as there is for each start and end of an impersonation: it was removed";
            return Err((seq, what.to_owned()));
        }
        self.last_at = Some(row.at);
        self.recorded.take(&row)
    }
}

/// The signatures of the checkpoints that were kept of a log, checked many at a time beside the
/// rows.
pub(super) struct Signatures {
    verifiers: Vec<NoteVerifier>,
    name: String,
    waiting: Vec<(i64, String)>,
    checking: VecDeque<JoinHandle<Option<(i64, String)>>>,
    /// The first that is wrong, by its size.
    wrong: Option<(i64, String)>,
}

impl Signatures {
    /// For the log `name`, signed by any of `verifiers`.
    pub(super) fn new(verifiers: &[NoteVerifier], name: &str) -> Self {
        Self {
            verifiers: verifiers.to_vec(),
            name: name.to_owned(),
            waiting: Vec::new(),
            checking: VecDeque::new(),
            wrong: None,
        }
    }

    /// Takes kept checkpoints, in order, and says what they claim.
    pub(super) async fn take(
        &mut self,
        kept: Vec<(i64, String)>,
    ) -> Result<Vec<Checkpoint>, AuditError> {
        let mut claims = Vec::with_capacity(kept.len());
        for (size, note) in kept {
            match Checkpoint::unverified(&note) {
                Ok(claim) if i64::try_from(claim.size) == Ok(size) => {
                    claims.push(claim);
                    self.waiting.push((size, note));
                }
                Ok(claim) => {
                    self.found(
                        size,
                        format!("the checkpoint kept for {size} rows is of {}", claim.size),
                    );
                }
                Err(e) => self.found(size, format!("the checkpoint kept for {size} rows: {e}")),
            }
        }
        if self.waiting.len() >= SIGNATURES {
            self.begin();
            if self.checking.len() > 1 {
                self.end_one().await?;
            }
        }
        Ok(claims)
    }

    /// The first checkpoint that is wrong, by its size, and what is wrong with it.
    pub(super) async fn finish(mut self) -> Result<Option<(i64, String)>, AuditError> {
        self.begin();
        while !self.checking.is_empty() {
            self.end_one().await?;
        }
        Ok(self.wrong)
    }

    fn found(&mut self, size: i64, what: String) {
        if self.wrong.as_ref().is_none_or(|(first, _)| size < *first) {
            self.wrong = Some((size, what));
        }
    }

    fn begin(&mut self) {
        let part = std::mem::take(&mut self.waiting);
        let (verifiers, name) = (self.verifiers.clone(), self.name.clone());
        self.checking.push_back(tokio::task::spawn_blocking(move || {
            let notes: Vec<&str> = part.iter().map(|(_, note)| note.as_str()).collect();
            let opened = Checkpoint::open_all(&notes, &verifiers, &name);
            let mut wrong = part
                .iter()
                .zip(opened)
                .filter_map(|((size, _), opened)| Some((*size, opened.err()?)));
            let (size, e) = wrong.next()?;
            Some((size, format!("the checkpoint kept for {size} rows: {e}")))
        }));
    }

    async fn end_one(&mut self) -> Result<(), AuditError> {
        let Some(part) = self.checking.pop_front() else { return Ok(()) };
        let wrong = part.await.map_err(|e| AuditError::Unreadable {
            log: self.name.clone(),
            what: format!("checking its checkpoints stopped: {e}"),
        })?;
        if let Some((size, what)) = wrong {
            self.found(size, what);
        }
        Ok(())
    }
}
