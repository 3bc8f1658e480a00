//! What a witness signed of the logs, held against them: a log that was cut back or rewritten below
//! a checkpoint that somebody else has signed is found, and so is a note of what the witness has
//! seen that says something else than its signatures.

use std::collections::BTreeMap;

use sqlx::AnyConnection;

use super::AuditError;
use super::verify::Fault;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::cosignature::WitnessKey;
use crate::proof::note::NoteVerifier;
use crate::store::Store;
use crate::store::audit::Head;
use crate::store::witness;

/// What a witness signed, as it stood at one moment. To be listed before the heads that it is held
/// against are read: logs grow, and a head read first would look as if it had been cut back.
#[derive(Debug, Clone)]
pub struct Signed {
    key: WitnessKey,
    /// Of how many rows the newest checkpoint is that it signed, by log.
    newest: BTreeMap<String, i64>,
    /// The same as it is noted for the page and for what is sent next.
    noted: BTreeMap<String, i64>,
}

impl Signed {
    /// Lists what the witness with this key signed.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn list(
        store: &Store,
        conn: &mut AnyConnection,
        key: &WitnessKey,
    ) -> Result<Self, AuditError> {
        let id = key.id();
        // Both of one moment: they are written together.
        let mut moment = store.snapshot(conn).await?;
        let newest = witness::newest_cosigned(moment.conn(), &id).await?;
        let noted = witness::noted(moment.conn(), &id).await?;
        moment.end().await?;
        Ok(Self {
            key: key.clone(),
            newest: newest.into_iter().collect(),
            noted: noted.into_iter().collect(),
        })
    }

    /// Whether it signed anything of a log.
    #[must_use]
    pub fn knows(&self, log: &str) -> bool {
        self.newest.contains_key(log)
    }

    /// What is wrong with the logs, or with what is noted of the witness, before a row is read:
    /// one fault for a log at most.
    #[must_use]
    pub fn faults(&self, heads: &[Head]) -> Vec<Fault> {
        let mut logs: Vec<&String> = self.newest.keys().chain(self.noted.keys()).collect();
        logs.sort_unstable();
        logs.dedup();
        let fault = |log: &String| {
            let signed = self.newest.get(log).copied().unwrap_or(0);
            let noted = self.noted.get(log).copied().unwrap_or(0);
            let what = if heads.iter().all(|head| head.id != *log) {
                "a witness has signed it, and it is not there: it was removed whole".to_owned()
            } else if signed != noted {
                format!(
                    "it is noted that the witness {} has seen {noted} rows of it, and the newest checkpoint that it signed has {signed}: the notes were rewritten, or its signatures removed",
                    self.key.id()
                )
            } else {
                return None;
            };
            Some(Fault { log: log.clone(), row: None, what })
        };
        logs.into_iter().filter_map(fault).collect()
    }

    /// The checkpoints of a log that it signed, the smallest first. What is wrong with one of them
    /// is the inner result.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn of(
        &self,
        conn: &mut AnyConnection,
        head: &Head,
        verifiers: &[NoteVerifier],
    ) -> Result<Result<Vec<Checkpoint>, Fault>, AuditError> {
        let Some(newest) = self.newest.get(&head.id) else { return Ok(Ok(Vec::new())) };
        let kept = witness::cosigned(conn, &self.key.id(), &head.id, *newest).await?;
        let (key, verifiers, origin) = (self.key.clone(), verifiers.to_vec(), head.origin.clone());
        let opened = tokio::task::spawn_blocking(move || open(&kept, &key, &verifiers, &origin));
        let opened = opened.await.map_err(|e| AuditError::Unreadable {
            log: head.id.clone(),
            what: format!("checking what a witness signed stopped: {e}"),
        })?;
        Ok(opened.map_err(|what| Fault { log: head.id.clone(), row: None, what }))
    }
}

fn open(
    kept: &[witness::Cosigned],
    key: &WitnessKey,
    verifiers: &[NoteVerifier],
    origin: &str,
) -> Result<Vec<Checkpoint>, String> {
    let notes: Vec<&str> = kept.iter().map(|c| c.note.as_str()).collect();
    let pairs: Vec<(&str, &str)> =
        kept.iter().map(|c| (c.note.as_str(), c.cosignature.as_str())).collect();
    let ours = Checkpoint::open_all(&notes, verifiers, origin);
    let theirs = key.open_all(&pairs);
    let all = kept.iter().zip(ours).zip(theirs).map(|((c, ours), theirs)| {
        let wrong = |e: &dyn std::fmt::Display| {
            format!(
                "what is kept as a witness's signature on its checkpoint of {} rows: {e}",
                c.size
            )
        };
        let checkpoint = ours.map_err(|e| wrong(&e))?;
        theirs.map_err(|e| wrong(&e))?;
        if i64::try_from(checkpoint.size) != Ok(c.size) {
            return Err(wrong(&format!("the checkpoint is of {} rows", checkpoint.size)));
        }
        Ok(checkpoint)
    });
    all.collect()
}
