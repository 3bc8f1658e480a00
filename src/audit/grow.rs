//! How a log grows by a row: what is written with it follows from its head and the row alone.

use std::collections::BTreeSet;

use serde_json::Value;

use super::append::NewRow;
use super::{AuditError, LogKey};
use crate::clock::{Rng, new_id};
use crate::model::Micros;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::merkle::{Frontier, leaf_hash};
use crate::proof::note::NoteKey;
use crate::proof::org_record::{RECORD, RecordPlace};
use crate::proof::row::{AuditRow, ROW_VERSION};
use crate::proof::terms;
use crate::store::audit::{Entry, Head};

/// The longest row, in bytes: a tile of entries gives each its length in two (C2SP tlog-tiles).
const LONGEST: usize = 65_535;

/// A log that is being appended to.
#[derive(Debug, Clone)]
pub struct Growing {
    head: Head,
    frontier: Frontier,
    size: u64,
    /// The place of the newest record of the org.
    record: Option<u64>,
}

/// What a row adds to its log.
#[derive(Debug, Clone)]
pub struct Grown {
    /// The row as it is stored.
    pub entry: Entry,
    /// The words it is found by.
    pub terms: BTreeSet<String>,
    /// The subtrees of 256, 65,536 … leaves that are full now.
    pub completed: Vec<Completed>,
}

/// A full subtree.
#[derive(Debug, Clone)]
pub struct Completed {
    /// Its level: it has 2^level leaves.
    pub level: i64,
    /// Which one of its level.
    pub idx: i64,
    /// Its root.
    pub hash: [u8; 32],
}

impl Growing {
    /// Goes on from a head. What is built on is what was signed: otherwise our next signature
    /// would make a changed past good.
    ///
    /// # Errors
    /// Where the head does not read as one, or its signature does not hold.
    pub fn open(key: &LogKey, head: Head) -> Result<Self, AuditError> {
        let unreadable = |what: String| AuditError::Unreadable { log: head.id.clone(), what };
        let size =
            u64::try_from(head.size).map_err(|_| unreadable("its size is negative".into()))?;
        let frontier =
            Frontier::from_bytes(size, &head.frontier).map_err(|e| unreadable(e.to_string()))?;
        let signed = key.open_head(&head)?;
        if signed.size != size || signed.root != frontier.root() {
            return Err(unreadable("its head is not what was signed: it was changed".into()));
        }
        let record = key.open_record(&head)?.map(|place| place.seq);
        Ok(Self { head, frontier, size, record })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Where the row has no canonical form.
    pub fn push(&mut self, row: NewRow, now: Micros, rng: &dyn Rng) -> Result<Grown, AuditError> {
        let log_id = self.head.id.clone();
        let unreadable = |what: String| AuditError::Unreadable { log: log_id.clone(), what };
        // Another instance's clock may be ahead of ours; within a log time never runs backwards.
        let at = now.max(self.head.last_at);
        let mut details = row.details;
        if let Some(from) = row.actor.from {
            details.insert("from".to_owned(), Value::String(from));
        }
        let row = AuditRow {
            v: ROW_VERSION,
            log: log_id.clone(),
            seq: self.size,
            id: new_id(at, rng),
            at,
            action: row.action,
            actor_type: row.actor.actor_type,
            actor_id: row.actor.id,
            actor_name: row.actor.name,
            org_id: row.org_id,
            impersonation_id: row.impersonation_id,
            ticket_ref: row.ticket_ref,
            reason: row.reason,
            secret_type: row.secret_type.map(|t| t.as_str().to_owned()),
            secret_id: row.secret_id,
            outcome: row.outcome,
            details,
        };
        let body = row.canonical().map_err(|e| unreadable(e.to_string()))?;
        if body.len() > LONGEST {
            return Err(unreadable(format!("a row of {} bytes is too long for it", body.len())));
        }
        if row.details.contains_key(RECORD) {
            self.record = Some(self.size);
        }
        let terms = terms::of_row(&row);
        let leaf = leaf_hash(body.as_bytes());
        let mut completed = Vec::new();
        for (level, index, hash) in self.frontier.push(leaf) {
            if level % 8 == 0 && level > 0 {
                let idx = i64::try_from(index).map_err(|_| unreadable("it is full".into()))?;
                completed.push(Completed { level: i64::from(level), idx, hash });
            }
        }
        let entry = Entry {
            log_id: log_id.clone(),
            seq: self.head.size,
            id: row.id,
            at,
            action: row.action,
            actor_id: row.actor_id,
            org_id: row.org_id,
            impersonation_id: row.impersonation_id,
            ticket_ref: row.ticket_ref,
            secret_type: row.secret_type,
            body,
            leaf_hash: leaf.to_vec(),
        };
        self.size += 1;
        self.head.size += 1;
        self.head.last_at = at;
        Ok(Grown { entry, terms, completed })
    }

    /// How many rows it has now.
    #[must_use]
    pub fn size(&self) -> i64 {
        self.head.size
    }

    /// The time of its newest row.
    #[must_use]
    pub fn last_at(&self) -> Micros {
        self.head.last_at
    }

    /// The signed checkpoint of what it is now.
    ///
    /// # Errors
    /// Where its origin cannot be signed.
    pub fn checkpoint(&self, key: &LogKey) -> Result<String, AuditError> {
        self.checkpoint_by(key.signer()?.as_ref())
    }

    fn checkpoint_by(&self, signer: &NoteKey) -> Result<String, AuditError> {
        Checkpoint { origin: self.head.origin.clone(), size: self.size, root: self.frontier.root() }
            .sign(signer)
            .map_err(|e| AuditError::Unreadable { log: self.head.id.clone(), what: e.to_string() })
    }

    /// The head of what it is now.
    ///
    /// # Errors
    /// As [`Growing::checkpoint`].
    pub fn head(&self, key: &LogKey) -> Result<Head, AuditError> {
        self.signed_by(key.signer()?.as_ref())
    }

    /// The same, signed by a key that takes the place of the one it was opened with.
    ///
    /// # Errors
    /// As [`Growing::checkpoint`].
    pub fn signed_by(&self, signer: &NoteKey) -> Result<Head, AuditError> {
        let record_note = self.record.map(|seq| {
            RecordPlace { size: self.size, seq }.sign(signer, &self.head.origin).map_err(|e| {
                AuditError::Unreadable { log: self.head.id.clone(), what: e.to_string() }
            })
        });
        Ok(Head {
            frontier: self.frontier.to_bytes(),
            record_note: record_note.transpose()?,
            checkpoint: self.checkpoint_by(signer)?,
            ..self.head.clone()
        })
    }
}
