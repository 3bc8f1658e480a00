//! Many rows at once, for data at size: the same rows, trees and checkpoints that as many calls
//! of [`append`](super::append()) would have written, in statements of many rows.

use std::collections::HashMap;

use super::append::{LogId, NewRow, due};
use super::grow::{Completed, Growing};
use super::{AuditError, LogKey, nodes};
use crate::clock::Rng;
use crate::model::Micros;
use crate::store::audit::{self, Entry};
use crate::store::{Tx, many};

/// Logs that are being written to. What was appended is in the database after [`Bulk::flush`].
pub struct Bulk<'a> {
    key: &'a LogKey,
    rng: &'a dyn Rng,
    logs: HashMap<String, Open>,
    entries: Vec<Entry>,
    terms: Vec<(String, Micros, String)>,
    nodes: Vec<(String, Completed)>,
    tiles: Vec<(String, i64, i64, Vec<u8>)>,
    kept: Vec<(String, i64, String, Micros)>,
}

struct Open {
    growing: Growing,
    kept: Option<Micros>,
    kept_size: Option<i64>,
    /// For each level of tiles, the hashes of the tile that is not full yet.
    partial: Vec<Vec<u8>>,
    changed: bool,
}

/// What was appended.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its place in the log, from 0.
    pub seq: i64,
    /// Its time.
    pub at: Micros,
}

impl<'a> Bulk<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new(key: &'a LogKey, rng: &'a dyn Rng) -> Self {
        Self {
            key,
            rng,
            logs: HashMap::new(),
            entries: Vec::new(),
            terms: Vec::new(),
            nodes: Vec::new(),
            tiles: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Takes a log up where it stands.
    ///
    /// # Errors
    /// Where it is not there, or does not read as one.
    pub async fn open(&mut self, tx: &mut Tx, log: &LogId) -> Result<(), AuditError> {
        let id = log.as_string();
        if self.logs.contains_key(&id) {
            return Ok(());
        }
        let head = audit::lock(tx, &id).await?;
        let partial = nodes::partial(tx.conn(), &head).await?;
        let kept = audit::kept_at(tx.conn(), &id).await?;
        let growing = Growing::open(self.key, head)?;
        self.logs.insert(id, Open { growing, kept, kept_size: None, partial, changed: false });
        Ok(())
    }

    fn log(&mut self, id: &str) -> Result<&mut Open, AuditError> {
        let missing =
            || AuditError::Unreadable { log: id.to_owned(), what: "it was not opened".to_owned() };
        self.logs.get_mut(id).ok_or_else(missing)
    }

    /// How many rows wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.entries.len()
    }

    /// How many rows a log has.
    ///
    /// # Errors
    /// Where it was not opened.
    pub fn size(&mut self, log: &LogId) -> Result<i64, AuditError> {
        Ok(self.log(&log.as_string())?.growing.size())
    }

    /// The time of the newest row of a log.
    ///
    /// # Errors
    /// Where it was not opened.
    pub fn last_at(&mut self, log: &LogId) -> Result<Micros, AuditError> {
        Ok(self.log(&log.as_string())?.growing.last_at())
    }

    /// The signed checkpoint of a log as it is now.
    ///
    /// # Errors
    /// Where it was not opened.
    pub fn checkpoint(&mut self, log: &LogId) -> Result<String, AuditError> {
        let key = self.key;
        self.log(&log.as_string())?.growing.checkpoint(key)
    }

    /// Appends a row to a log that was opened.
    ///
    /// # Errors
    /// Where the row has no canonical form.
    pub fn append(&mut self, log: &LogId, row: NewRow, now: Micros) -> Result<Placed, AuditError> {
        let id = log.as_string();
        let (key, rng) = (self.key, self.rng);
        let open = self.log(&id)?;
        let grown = open.growing.push(row, now, rng)?;
        open.changed = true;
        let mut full = Vec::new();
        if open.partial.is_empty() {
            open.partial.push(Vec::new());
        }
        open.partial[0].extend_from_slice(&grown.entry.leaf_hash);
        for node in &grown.completed {
            let level = usize::try_from(node.level / 8 - 1).unwrap_or(0);
            full.push((
                id.clone(),
                node.level / 8 - 1,
                node.idx,
                std::mem::take(&mut open.partial[level]),
            ));
            if open.partial.len() == level + 1 {
                open.partial.push(Vec::new());
            }
            open.partial[level + 1].extend_from_slice(&node.hash);
        }
        let at = grown.entry.at;
        if due(open.kept, at) {
            open.kept = Some(at);
            open.kept_size = Some(open.growing.size());
            let kept = (id.clone(), open.growing.size(), open.growing.checkpoint(key)?, at);
            self.kept.push(kept);
        }
        self.tiles.extend(full);
        self.nodes.extend(grown.completed.into_iter().map(|node| (id.clone(), node)));
        let row_id = grown.entry.id.clone();
        self.terms.extend(grown.terms.into_iter().map(|term| (term, at, row_id.clone())));
        let seq = grown.entry.seq;
        self.entries.push(grown.entry);
        Ok(Placed { seq, at })
    }

    /// Keeps the checkpoint of a log as it is now.
    ///
    /// # Errors
    /// Where it was not opened.
    pub fn keep(&mut self, log: &LogId) -> Result<(), AuditError> {
        let id = log.as_string();
        let key = self.key;
        let open = self.log(&id)?;
        let size = open.growing.size();
        if open.kept_size == Some(size) {
            return Ok(());
        }
        (open.kept, open.kept_size) = (Some(open.growing.last_at()), Some(size));
        let kept = (id, size, open.growing.checkpoint(key)?, open.growing.last_at());
        self.kept.push(kept);
        Ok(())
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// Where the database refuses; then nothing of it may be committed.
    pub async fn flush(&mut self, tx: &mut Tx) -> Result<(), AuditError> {
        use many::Value::{Bytes, Number, Text};
        many::entries(tx.conn(), &self.entries).await?;
        many::terms(tx.conn(), &self.terms).await?;
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|(log, n)| [Text(log), Number(n.level), Number(n.idx), Bytes(&n.hash)])
            .collect();
        many::insert(tx.conn(), "audit_subtree (log_id, level, idx, hash)", &nodes).await?;
        let tiles: Vec<_> = self
            .tiles
            .iter()
            .map(|(log, level, idx, hashes)| {
                [Text(log), Number(*level), Number(*idx), Bytes(hashes)]
            })
            .collect();
        many::insert(tx.conn(), "audit_tile (log_id, level, idx, hashes)", &tiles).await?;
        let kept: Vec<_> = self
            .kept
            .iter()
            .map(|(log, size, note, at)| [Text(log), Number(*size), Text(note), Number(*at)])
            .collect();
        many::insert(tx.conn(), "audit_checkpoint (log_id, size, note, at)", &kept).await?;
        for open in self.logs.values_mut().filter(|open| open.changed) {
            audit::save_head(tx, &open.growing.head(self.key)?).await?;
            open.changed = false;
        }
        self.entries.clear();
        self.terms.clear();
        self.nodes.clear();
        self.tiles.clear();
        self.kept.clear();
        Ok(())
    }
}
