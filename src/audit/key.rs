//! The keys of the logs: one signs, those before it are still believed.

use std::sync::{Arc, PoisonError, RwLock};

use super::{AuditError, LogId};
use crate::proof::checkpoint::{Checkpoint, CheckpointError};
use crate::proof::note::{NoteError, NoteKey, NoteVerifier};
use crate::proof::org_record::RecordPlace;
use crate::store::audit::Head;

/// The key that signs checkpoints, those that did before it, and the name under which the logs
/// are known. A key that another took the place of is let go of: see [`LogKey::replace`].
#[derive(Debug)]
pub struct LogKey {
    /// What every log's origin begins with, e.g. `keyturn.example`.
    pub origin: String,
    anchor: NoteVerifier,
    held: RwLock<Held>,
}

#[derive(Debug, Clone)]
struct Held {
    signer: Option<Arc<NoteKey>>,
    verifiers: Arc<[NoteVerifier]>,
    endorsements: Arc<[String]>,
}

impl LogKey {
    /// A key that was never rotated.
    #[must_use]
    pub fn new(signer: NoteKey, origin: &str) -> Self {
        let anchor = signer.verifier().clone();
        Self {
            held: Self::alone(Some(Arc::new(signer)), &anchor),
            anchor,
            origin: origin.to_owned(),
        }
    }

    /// Only the public half of the first key: what signs now is to be loaded
    /// ([`LogKey::replace`]).
    #[must_use]
    pub fn anchored(anchor: NoteVerifier, origin: &str) -> Self {
        Self { held: Self::alone(None, &anchor), anchor, origin: origin.to_owned() }
    }

    fn alone(signer: Option<Arc<NoteKey>>, anchor: &NoteVerifier) -> RwLock<Held> {
        RwLock::new(Held {
            signer,
            verifiers: Arc::from([anchor.clone()]),
            endorsements: Arc::from([]),
        })
    }

    /// The key by which this process knows the others: the one of its keys file.
    #[must_use]
    pub fn anchor(&self) -> &NoteVerifier {
        &self.anchor
    }

    /// Takes up a new key, and lets go of the private half of the one before. `verifiers` are all
    /// public keys, the current one first; the caller has checked that they are believed.
    pub fn replace(
        &self,
        signer: NoteKey,
        verifiers: Vec<NoteVerifier>,
        endorsements: Vec<String>,
    ) {
        let held = Held {
            signer: Some(Arc::new(signer)),
            verifiers: Arc::from(verifiers),
            endorsements: Arc::from(endorsements),
        };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// The public keys that a checkpoint may be signed with: the current one first, then those
    /// that were retired, the newest first. A list in hand stays as it was: ask again for a key
    /// that came since.
    #[must_use]
    pub fn verifiers(&self) -> Arc<[NoteVerifier]> {
        self.held().verifiers
    }

    /// The notes in which each key named the next, the oldest first.
    #[must_use]
    pub fn endorsements(&self) -> Arc<[String]> {
        self.held().endorsements
    }

    /// The key that signs now.
    ///
    /// # Errors
    /// Where this process has none in hand: nothing may then be appended.
    pub fn signer(&self) -> Result<Arc<NoteKey>, AuditError> {
        self.held().signer.ok_or(AuditError::NoKey)
    }

    /// The public half of the key that signs now, as text.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.held().verifiers.first().map_or_else(String::new, NoteVerifier::vkey)
    }

    /// The origin line of a log's checkpoints.
    #[must_use]
    pub fn origin_of(&self, log: &LogId) -> String {
        format!("{}/{}", self.origin, log.as_string())
    }

    /// What the head of a log was signed as. The newest checkpoint counts only with the current
    /// key's signature: all were signed anew when it took over.
    ///
    /// # Errors
    /// [`AuditError::OtherKey`] where another key signed it, [`AuditError::Unreadable`] where it
    /// is no checkpoint of this log.
    pub fn open_head(&self, head: &Head) -> Result<Checkpoint, AuditError> {
        newest(&head.checkpoint, &self.verifiers(), &self.origin_of(&log_of(head)))
            .map_err(|e| unopened(head, e))
    }

    /// Where the newest record of a log's org stands, as it was signed with the head; nothing where
    /// the log has none.
    ///
    /// # Errors
    /// [`AuditError::Unreadable`] where the note is not of this head.
    pub fn open_record(&self, head: &Head) -> Result<Option<RecordPlace>, AuditError> {
        let Some(note) = &head.record_note else { return Ok(None) };
        let verifiers = self.verifiers();
        let current = verifiers.get(..1).unwrap_or_default();
        let place = RecordPlace::open(note, current, &self.origin_of(&log_of(head)))
            .ok()
            .filter(|place| u64::try_from(head.size) == Ok(place.size));
        place.map(Some).ok_or_else(|| AuditError::Unreadable {
            log: head.id.clone(),
            what: "the place of its newest record is not what was signed: it was changed".into(),
        })
    }

    /// What the heads of several logs were signed as: of each what [`LogKey::open_head`] gives, with
    /// their signatures checked together.
    #[must_use]
    pub fn open_heads(&self, heads: &[Head]) -> Vec<Result<Checkpoint, AuditError>> {
        let origins: Vec<String> = heads.iter().map(|head| self.origin_of(&log_of(head))).collect();
        let notes: Vec<(&str, &str)> = heads
            .iter()
            .zip(&origins)
            .map(|(head, origin)| (head.checkpoint.as_str(), origin.as_str()))
            .collect();
        let verifiers = self.verifiers();
        let opened = Checkpoint::open_each(&notes, verifiers.get(..1).unwrap_or_default());
        opened
            .into_iter()
            .zip(heads)
            .map(|(opened, head)| opened.map_err(|e| unopened(head, e)))
            .collect()
    }

    fn held(&self) -> Held {
        // What is in there is replaced whole: a thread that died has left nothing half done.
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Which log a head says that it is of.
pub(super) fn log_of(head: &Head) -> LogId {
    match &head.org_id {
        None => LogId::Platform,
        Some(id) => LogId::Org(id.clone()),
    }
}

fn unopened(head: &Head, e: CheckpointError) -> AuditError {
    match e {
        CheckpointError::Note(NoteError::Unsigned) => AuditError::OtherKey { log: head.id.clone() },
        e => AuditError::Unreadable { log: head.id.clone(), what: e.to_string() },
    }
}

/// Opens the newest checkpoint of the log `origin`: only the first of the keys may have signed it.
///
/// # Errors
/// Those of [`Checkpoint::open`].
pub(super) fn newest(
    note: &str,
    verifiers: &[NoteVerifier],
    origin: &str,
) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(note, verifiers.get(..1).unwrap_or_default(), origin)
}
