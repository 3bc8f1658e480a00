//! A full verification of the logs, asked for on a page: it runs by itself, says how far it is,
//! and what it came to is a row of the platform log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt as _};

use super::{AtWork, Desk, Step, StepError};
use crate::audit::verify::{Claim, Fault, agree, largest_first, set_faults, whole_log_against};
use crate::audit::{LogId, NewRow};
use crate::delivery::witness::Kept;
use crate::model::{Micros, time};
use crate::proof::actions;
use crate::proof::note::NoteVerifier;
use crate::proof::row::Outcome;
use crate::store::audit::{self, Head};
use crate::store::verification::{self, Verification};
use crate::store::{self, Tx, witness};

/// How long one may be silent before it counts as dead.
const SILENCE: Micros = 30 * time::SECOND;

impl Desk {
    /// Begins a verification of all logs, and of what each recorded of the others. Anybody on
    /// the staff may ask: it changes nothing.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where one is running.
    pub async fn begin_verification(&self, tx: &mut Tx, who: &AtWork) -> Step<Verification> {
        let now = self.now();
        verification::stop_silent(tx, now - SILENCE).await?;
        let heads = audit::heads(tx.conn()).await?;
        let begun = Verification {
            id: self.new_id(),
            log_id: None,
            asked_by: who.staff.id.clone(),
            started_at: now,
            beat_at: now,
            rows_done: 0,
            rows_total: heads.iter().map(|h| h.size).sum(),
            state: "running".to_owned(),
            fault_log: None,
            fault: None,
            finished_at: None,
        };
        verification::insert(tx, &begun).await.map_err(|e| {
            if store::is_unique_violation(&e) {
                StepError::Conflict("A verification is running already: see how far it is below.")
            } else {
                e.into()
            }
        })?;
        Ok(begun)
    }

    /// Carries a verification out that was begun, and records what it came to.
    pub async fn run_verification(self: Arc<Self>, begun: Verification, who: AtWork) {
        let done = Arc::new(AtomicU64::new(0));
        let beats = tokio::spawn(self.clone().beat(begun.id.clone(), done.clone()));
        let found = self.verify_logs(&done).await;
        beats.abort();
        let outcome = match found {
            Ok(outcome) => self.record_verification(&begun, &who, &done, outcome).await,
            Err(e) => Err(e),
        };
        if let Err(e) = outcome {
            // It counts as stopped once it has been silent for a while.
            tracing::error!(error = %e, "a verification of the logs");
        }
        if let Err(e) = self.judge_again_after_verification().await {
            tracing::error!(error = %e, "judging trails again after a verification");
        }
    }

    async fn beat(self: Arc<Self>, id: String, done: Arc<AtomicU64>) {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let rows = i64::try_from(done.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            let beat = async {
                let mut tx = self.begin().await?;
                verification::beat(&mut tx, &id, rows, self.now()).await?;
                Step::Ok(tx.commit().await?)
            };
            if let Err(e) = beat.await {
                tracing::warn!(error = %e, "saying how far a verification is");
            }
        }
    }

    async fn verify_logs(&self, done: &AtomicU64) -> Step<Result<(), Fault>> {
        let key = &self.keys.log;
        let mut conn = self.store.read().await?;
        // Before the heads: a log may grow, and be witnessed, in between.
        let kept = match self.kept_by_witness().await {
            Ok(kept) => Arc::new(kept),
            Err(what) => return Ok(Err(fault("platform", what))),
        };
        let witnessed = witness::most(&mut conn).await?;
        // Of the same moment: a rotation of the key signs every head anew.
        let (verifiers, heads): (_, Vec<Head>) = loop {
            let before = self.current_log_key(&mut conn).await?.verifiers();
            let heads = audit::heads(&mut conn).await?;
            if self.current_log_key(&mut conn).await?.verifiers() == before {
                break (before, heads);
            }
        };
        if let Some(fault) = set_faults(&mut conn, &heads).await?.into_iter().next() {
            return Ok(Err(fault));
        }
        if let Some(found) = unlike_witnessed(&heads, &key.origin, &kept, &witnessed) {
            return Ok(Err(found));
        }
        // Each of those that are verified at once has a connection of its own.
        drop(conn);
        let mut found = stream::iter(largest_first(&heads).into_iter().cloned())
            .map(|head| self.verify_one(&verifiers, head, &kept, done))
            .buffer_unordered(self.store.readers_at_once());
        let mut claims = Vec::new();
        while let Some(found) = found.next().await {
            match found? {
                Ok(of_it) => claims.extend(of_it),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        drop(found);
        let mut conn = self.store.read().await?;
        Ok(agree(&mut conn, &heads, claims).await?.map(|_| ()))
    }

    async fn verify_one(
        &self,
        verifiers: &[NoteVerifier],
        head: Head,
        kept: &Arc<Kept>,
        done: &AtomicU64,
    ) -> Step<Result<Vec<Claim>, Fault>> {
        let seen = {
            let (kept, origin, verifiers) = (kept.clone(), head.origin.clone(), verifiers.to_vec());
            aside(move || kept.of(&origin, &verifiers)).await
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(what) => return Ok(Err(fault(&head.id, unread(&what)))),
        };
        let mut counted = 0;
        let progress = |rows: u64| {
            done.fetch_add(rows.saturating_sub(counted), Ordering::Relaxed);
            counted = rows;
        };
        let mut conn = self.store.read().await?;
        let origin = &self.keys.log.origin;
        let checked = whole_log_against(&mut conn, verifiers, origin, &head, &seen, progress);
        Ok(checked.await?.map(|verified| verified.claims))
    }

    /// What the witness's folder holds; nothing where there is none yet.
    async fn kept_by_witness(&self) -> Result<Kept, String> {
        let Some(folder) = self.settings.witness_folder.clone() else {
            return Ok(Kept::default());
        };
        aside(move || match Kept::list(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !folder.exists() => {
                Ok(Kept::default())
            }
            listed => listed.map_err(|e| unread(&e)),
        })
        .await
    }

    async fn record_verification(
        &self,
        begun: &Verification,
        who: &AtWork,
        done: &AtomicU64,
        outcome: Result<(), Fault>,
    ) -> Step<()> {
        let rows = i64::try_from(done.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let what = outcome.as_ref().err().map(|fault| (fault.log.clone(), fault.to_string()));
        let mut row = NewRow::new(actions::PLATFORM_LOGS_VERIFIED, &who.actor())
            .with("verification_id", begun.id.clone())
            .with("rows", rows);
        if let Some((log, what)) = &what {
            row = row.outcome(Outcome::Failed).with("log", log.clone()).with("fault", what.clone());
        }
        let fault = what.as_ref().map(|(log, what)| (log.as_str(), what.as_str()));
        let mut tx = self.begin().await?;
        verification::finish(&mut tx, &begun.id, rows, fault, self.now()).await?;
        match self.log(&mut tx, &LogId::Platform, row).await {
            Ok(_) => Ok(tx.commit().await?),
            // The platform's own log may be what is broken: then no row can be written, and that
            // it is broken has to be shown all the same.
            Err(e) if fault.is_some() => {
                tracing::error!(error = %e, "writing that a log failed its verification");
                tx.rollback().await?;
                let mut tx = self.begin().await?;
                verification::finish(&mut tx, &begun.id, rows, fault, self.now()).await?;
                Ok(tx.commit().await?)
            }
            Err(e) => Err(e),
        }
    }
}

fn fault(log: &str, what: String) -> Fault {
    Fault { log: log.to_owned(), row: None, what }
}

fn unread(what: &dyn std::fmt::Display) -> String {
    format!("what the witness kept cannot be read: {what}")
}

/// Reads files without holding up what else runs on this thread.
async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|e| Err(format!("reading stopped: {e}")))
}

/// A log that a witness has seen, and that is not there or has fewer rows by now.
fn unlike_witnessed(
    heads: &[Head],
    host: &str,
    kept: &Kept,
    witnessed: &[(String, i64)],
) -> Option<Fault> {
    let origins: Vec<&str> = heads.iter().map(|head| head.origin.as_str()).collect();
    let removed = "a witness has seen it, and it is not there: it was removed whole";
    if let Some(origin) = kept.gone(host, &origins).first() {
        let log = origin.strip_prefix(host).unwrap_or(origin).trim_start_matches('/');
        return Some(fault(log, removed.to_owned()));
    }
    witnessed.iter().find_map(|(log, seen)| {
        let Some(head) = heads.iter().find(|head| head.id == *log) else {
            return Some(fault(log, removed.to_owned()));
        };
        let what = format!(
            "a witness has seen {seen} rows of it, and there are {}: it was cut back or replaced by an older copy",
            head.size
        );
        (head.size < *seen).then(|| fault(log, what))
    })
}
