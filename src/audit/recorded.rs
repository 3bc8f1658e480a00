//! What one log recorded of another, as it is found in its rows.

use std::collections::HashMap;
use std::sync::Arc;

use crate::proof::Hash;
use crate::proof::actions;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::{NoteVerifier, open_notes};
use crate::proof::row::AuditRow;

/// The actions whose rows record where another log stands, under which name, and whether they
/// must.
pub(super) const RECORDING: &[(&str, &str, bool)] = &[
    (actions::PLATFORM_IMPERSONATION_ENDED, "org_checkpoint", true),
    (actions::IMPERSONATION_ENDED, "platform_checkpoint", true),
    (actions::IMPERSONATION_STARTED, "platform_checkpoint", false),
    (actions::HANDOFF_QUEUED, "platform_checkpoint", false),
    (actions::HANDOFF_SENT, "platform_checkpoint", false),
    (actions::HANDOFF_UNDELIVERED, "platform_checkpoint", false),
    (actions::HANDOFF_DELIVERED, "platform_checkpoint", false),
    (actions::HANDOFF_ACKNOWLEDGED, "platform_checkpoint", false),
    (actions::CONSENT_ENABLED, "platform_checkpoint", false),
    (actions::CONSENT_DISABLED, "platform_checkpoint", false),
    (actions::ORG_CREDENTIAL_REVOKED, "platform_checkpoint", false),
    (actions::CONSENT_REMINDED, "platform_checkpoint", false),
    (actions::CONSENT_CONFIRMED, "platform_checkpoint", false),
    (actions::WEBHOOK_TEST_EVENT_SENT, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGE_ASKED, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGE_CANCELLED, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGE_OBJECTED, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGED, "platform_checkpoint", false),
    (actions::OWNER_KEY_RENEWED, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGE_AGREED, "platform_checkpoint", false),
    (actions::OWNER_KEY_CHANGE_APPROVED, "platform_checkpoint", false),
    (actions::OWNER_RECORD_CHANGE_ASKED, "platform_checkpoint", false),
    (actions::OWNER_RECORD_CHANGE_AGREED, "platform_checkpoint", false),
    (actions::OWNER_RECORD_CHANGE_APPROVED, "platform_checkpoint", false),
    (actions::OWNER_RECORD_CHANGE_CANCELLED, "platform_checkpoint", false),
    (actions::OWNER_RECORD_CHANGE_OBJECTED, "platform_checkpoint", false),
    (actions::OWNER_RECORD_CHANGED, "platform_checkpoint", false),
    (actions::HANDOFF_DOWNLOADED, "platform_checkpoint", false),
    (actions::OWNER_MARKED_UNREACHABLE, "platform_checkpoint", false),
];

/// How many signatures are checked at once.
const SIGNATURES: usize = 256;

/// A signed checkpoint of one log in a row of another, as short as it can be: there are several for
/// each impersonation that ever was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The log whose row it is.
    pub holder: Arc<str>,
    /// The row's place in it, from 0.
    pub seq: u64,
    /// The name of the log that it is of.
    pub origin: Arc<str>,
    /// How many rows that had.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// What is wrong with a row: its place, and what.
pub(super) type Wrong = (u64, String);

/// Finds the claims in the rows of one log, as they are read.
pub(super) struct Collector {
    holder: Arc<str>,
    verifiers: Vec<NoteVerifier>,
    origins: HashMap<String, Arc<str>>,
    /// Those whose signatures were not checked yet: the row, the name, and the note.
    waiting: Vec<(u64, &'static str, String)>,
    claims: Vec<Claim>,
}

impl Collector {
    /// For the log `holder`, where any of `verifiers` may have signed what it recorded.
    pub(super) fn new(holder: &str, verifiers: &[NoteVerifier]) -> Self {
        Self {
            holder: holder.into(),
            verifiers: verifiers.to_vec(),
            origins: HashMap::new(),
            waiting: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// Takes what a row recorded, if it did.
    ///
    /// # Errors
    /// Where it must have and did not, or what it recorded is no checkpoint; and the first of the
    /// rows before it whose checkpoint is not signed.
    pub(super) fn take(&mut self, row: &AuditRow) -> Result<(), Wrong> {
        let Some(&(_, field, required)) =
            RECORDING.iter().find(|(action, ..)| *action == row.action)
        else {
            return Ok(());
        };
        let Some(note) = row.detail_str(field) else {
            return if required {
                Err((row.seq, format!("it does not record the {field}")))
            } else {
                Ok(())
            };
        };
        let Ok(checkpoint) = Checkpoint::unverified(note) else {
            return Err((row.seq, format!("its {field} cannot be read")));
        };
        let Checkpoint { origin, size, root } = checkpoint;
        let origin = match self.origins.get(&origin) {
            Some(known) => known.clone(),
            None => self.origins.entry(origin.clone()).or_insert_with(|| origin.into()).clone(),
        };
        let holder = self.holder.clone();
        self.claims.push(Claim { holder, seq: row.seq, origin, size, root });
        self.waiting.push((row.seq, field, note.to_owned()));
        if self.waiting.len() < SIGNATURES { Ok(()) } else { self.check() }
    }

    fn check(&mut self) -> Result<(), Wrong> {
        let waiting = std::mem::take(&mut self.waiting);
        let notes: Vec<&str> = waiting.iter().map(|(_, _, note)| note.as_str()).collect();
        let opened = open_notes(&notes, &self.verifiers);
        let mut wrong =
            waiting.iter().zip(opened).filter_map(|(of, opened)| Some((of, opened.err()?)));
        wrong.next().map_or(Ok(()), |((seq, field, _), e)| Err((*seq, format!("its {field}: {e}"))))
    }

    /// All of them.
    ///
    /// # Errors
    /// The first whose checkpoint is not signed.
    pub(super) fn finish(mut self) -> Result<Vec<Claim>, Wrong> {
        self.check()?;
        Ok(self.claims)
    }
}
