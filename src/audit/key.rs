//! The keys of the logs: one signs, those before it are still believed.

use std::sync::{Arc, PoisonError, RwLock};

use super::{AuditError, LogId};
use crate::proof::note::{NoteKey, NoteVerifier};

/// The key that signs checkpoints, those that did before it, and the name under which the logs
/// are known.
#[derive(Debug)]
pub struct LogKey {
    /// What every log's origin begins with, e.g. `keyturn.example`.
    pub origin: String,
    held: RwLock<Held>,
}

#[derive(Debug, Clone)]
struct Held {
    signer: Option<Arc<NoteKey>>,
    verifiers: Arc<[NoteVerifier]>,
}

impl LogKey {
    /// A key that was never rotated.
    #[must_use]
    pub fn new(signer: NoteKey, origin: &str) -> Self {
        let verifiers = Arc::from([signer.verifier().clone()]);
        Self {
            origin: origin.to_owned(),
            held: RwLock::new(Held { signer: Some(Arc::new(signer)), verifiers }),
        }
    }

    /// The public keys that a checkpoint may be signed with: the current one first, then those
    /// that were retired, the newest first. A list in hand stays as it was: ask again for a key
    /// that came since.
    #[must_use]
    pub fn verifiers(&self) -> Arc<[NoteVerifier]> {
        self.held().verifiers
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

    fn held(&self) -> Held {
        // What is in there is replaced whole: a thread that died has left nothing half done.
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
