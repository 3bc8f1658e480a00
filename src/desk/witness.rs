//! Sends checkpoints to the witnesses, and remembers what each has seen.

use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Step, StepError};
use crate::audit::AuditError;
use crate::audit::nodes::Nodes;
use crate::delivery::witness::{Seen, Witness, WitnessError};
use crate::model::{Micros, time};
use crate::proof::cosignature::WitnessKey;
use crate::proof::merkle;
use crate::stop::Stop;
use crate::store::audit::{self, Head};
use crate::store::witness::{self, Attempt, Cosigned, Witnessed};

/// How often a log that grows is sent at most.
const EVERY: Micros = 10 * time::SECOND;

impl Desk {
    /// Sends the checkpoints that are new; how many were taken.
    ///
    /// # Errors
    /// Where the database does not answer. A witness that does not take one is no error: that is
    /// remembered and shown, and it is tried again.
    pub async fn witness_due(&self, witness: &dyn Witness) -> Step<usize> {
        let name = witness.name();
        let mut conn = self.store.read().await?;
        let heads = audit::heads(&mut conn).await?;
        let known = witness::all(&mut conn, &name).await?;
        let signed = match witness.key() {
            Some(key) => Some(witness::newest_cosigned(&mut conn, &key.id()).await?),
            None => None,
        };
        drop(conn);
        let mut taken = 0;
        for head in heads {
            let before = known.iter().find(|w| w.log_id == head.id);
            let (noted, at) = before.map_or((0, 0), |w| (w.size, w.at));
            // Of a witness that signs, only its signature says what it has seen.
            let old = signed.as_ref().map_or(noted, |signed| {
                signed.iter().find(|(log, _)| *log == head.id).map_or(0, |(_, size)| *size)
            });
            let failed = before.is_some_and(|w| w.last_error.is_some());
            if (head.size == old && !failed) || head.size == 0 || self.now() - at < EVERY {
                continue;
            }
            if self.witness_log(witness, &name, &head, old).await? {
                taken += 1;
            }
        }
        Ok(taken)
    }

    async fn witness_log(
        &self,
        witness: &dyn Witness,
        name: &str,
        head: &Head,
        old: i64,
    ) -> Step<bool> {
        let mut from = old;
        let mut outcome = Err(WitnessError::Conflict(u64::try_from(old).unwrap_or(0)));
        // Once more with the size that the witness names: another instance may have been first.
        for _ in 0..2 {
            if from > head.size {
                break;
            }
            let seen = self.seen(head, from).await?;
            outcome = witness.add(&seen).await;
            match outcome {
                Err(WitnessError::Conflict(size)) => from = i64::try_from(size).unwrap_or(i64::MAX),
                _ => break,
            }
        }
        let disagrees = match &outcome {
            Err(WitnessError::Disagrees(_)) => true,
            Err(WitnessError::Conflict(size)) => i64::try_from(*size).is_ok_and(|s| s > head.size),
            _ => false,
        };
        let state = |size, answer: &str, error: Option<String>| Witnessed {
            witness: name.to_owned(),
            log_id: head.id.clone(),
            size,
            at: self.now(),
            answer: answer.to_owned(),
            last_error: error,
        };
        let (new, signed) = match outcome {
            Ok(signed) => {
                let answer = signed.as_ref().map_or("", |s| s.line.as_str());
                (state(head.size, answer, None), Some(signed))
            }
            Err(WitnessError::Conflict(size)) if disagrees => {
                let why = format!(
                    "the witness has seen {size} rows, and there are {}: the log was cut back",
                    head.size
                );
                tracing::error!(log = %head.id, %why, "a witness disagrees");
                (state(old, "", Some(why)), None)
            }
            Err(e) => {
                tracing::warn!(log = %head.id, error = %e, "a witness");
                (state(old, "", Some(e.to_string())), None)
            }
        };
        let taken = signed.is_some();
        let key = witness.key().map(WitnessKey::id);
        let mut tx = self.begin().await?;
        let attempt = Attempt { key: key.as_deref().filter(|_| taken), disagrees };
        witness::save(&mut tx, &new, attempt).await?;
        if let (Some(Some(signed)), Some(key)) = (signed, &key) {
            let kept = Cosigned {
                log_id: head.id.clone(),
                size: head.size,
                note: head.checkpoint.clone(),
                cosignature: signed.line,
            };
            witness::keep(&mut tx, key, &kept).await?;
        }
        tx.commit().await?;
        Ok(taken)
    }

    async fn seen(&self, head: &Head, old: i64) -> Step<Seen> {
        let unreadable =
            |what: String| StepError::from(AuditError::Unreadable { log: head.id.clone(), what });
        let size = u64::try_from(head.size).map_err(|e| unreadable(e.to_string()))?;
        let old = u64::try_from(old).map_err(|e| unreadable(e.to_string()))?;
        let wanted: Vec<u64> = merkle::consistency_nodes(old, size)
            .map_err(|e| unreadable(e.to_string()))?
            .into_iter()
            .map(|(level, index)| index << level)
            .collect();
        let mut conn = self.store.read().await?;
        let nodes = Nodes::load(&mut conn, head, &wanted).await?;
        let proof = nodes.consistency(old, size).map_err(|e| unreadable(e.to_string()))?;
        Ok(Seen {
            origin: head.origin.clone(),
            old_size: old,
            proof,
            size,
            note: head.checkpoint.clone(),
        })
    }

    /// Sends checkpoints to a witness, again and again, until the server stops.
    pub async fn run_witness(self: Arc<Self>, witness: Arc<dyn Witness>, stop: Stop) {
        loop {
            if let Err(e) = self.witness_due(witness.as_ref()).await {
                tracing::warn!(error = %e, witness = witness.name(), "witnessing");
            }
            if !stop.rest(Duration::from_secs(2)).await {
                return;
            }
        }
    }
}
