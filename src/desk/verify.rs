//! A full verification of the logs, or of one of them, asked for on a page: it runs by itself, says how far it is,
//! and what it came to is a row of the platform log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{AtWork, Desk, Step, StepError};
use crate::audit::verify::Fault;
use crate::audit::{LogId, NewRow};
use crate::model::{Micros, time};
use crate::proof::actions;
use crate::proof::row::Outcome;
use crate::store::verification::{self, Verification};
use crate::store::{self, Tx, audit};

/// How long one may be silent before it counts as dead.
const SILENCE: Micros = 30 * time::SECOND;

impl Desk {
    /// Begins a verification of all logs, and of what each recorded of the others. Anybody on
    /// the staff may ask: it changes nothing.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where one is running.
    pub async fn begin_verification(&self, tx: &mut Tx, who: &AtWork) -> Step<Verification> {
        // Where not even they can be read, that is for the verification to say.
        let heads = match audit::heads(tx.conn()).await {
            Err(e) if e.is_unreadable() => Vec::new(),
            heads => heads?,
        };
        self.begin_with(tx, who, None, heads.iter().map(|h| h.size).sum()).await
    }

    /// Begins a verification of one log alone: of its rows, the checkpoints kept of it and what
    /// witnesses saw of it. What other logs recorded of it is not looked at.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where one is running, [`StepError::NotFound`] where there is no
    /// such log.
    pub async fn begin_verification_of(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        log: &str,
    ) -> Step<Verification> {
        let head = audit::head(tx.conn(), log).await?.ok_or(StepError::NotFound)?;
        self.begin_with(tx, who, Some(head.id), head.size).await
    }

    async fn begin_with(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        log_id: Option<String>,
        rows_total: i64,
    ) -> Step<Verification> {
        let now = self.now();
        verification::stop_silent(tx, now - SILENCE).await?;
        let begun = Verification {
            id: self.new_id(),
            log_id,
            asked_by: who.staff.id.clone(),
            started_at: now,
            beat_at: now,
            rows_done: 0,
            rows_total,
            state: "running".to_owned(),
            fault_log: None,
            fault: None,
            finished_at: None,
            faults: 0,
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
        let found = self.verify_logs(begun.log_id.as_deref(), &done).await;
        beats.abort();
        let found = match found {
            Ok(found) => {
                let mut all = found.in_order();
                // What the tables say is held against the logs, too; of one log alone only its rows.
                let records = match begun.log_id {
                    None => self.verify_records().await,
                    Some(_) => Ok(Vec::new()),
                };
                records.map(|records| {
                    // A log that does not hold proves nothing of its org either: it is named once.
                    let known: BTreeSet<String> = all.iter().map(|f| f.log.clone()).collect();
                    all.extend(records.into_iter().filter(|f| !known.contains(&f.log)));
                    all
                })
            }
            // What is not known to hold does not.
            Err(e) if e.is_unreadable() => {
                let log = begun.log_id.clone().unwrap_or_else(|| "platform".to_owned());
                let what = format!("what belongs to the logs cannot be read: {e}");
                Ok(vec![Fault { log, row: None, what }])
            }
            // That the database is busy or gone says nothing of the logs.
            Err(e) => Err(e),
        };
        let outcome = match found {
            Ok(found) => self.record_verification(&begun, &who, &done, found).await,
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

    async fn record_verification(
        &self,
        begun: &Verification,
        who: &AtWork,
        done: &AtomicU64,
        found: Vec<Fault>,
    ) -> Step<()> {
        let rows = i64::try_from(done.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let faults: Vec<verification::Fault> = found
            .iter()
            .map(|f| (f.log.clone(), f.row.and_then(|row| i64::try_from(row).ok()), f.to_string()))
            .collect();
        let mut row = NewRow::new(actions::PLATFORM_LOGS_VERIFIED, &who.actor())
            .with("verification_id", begun.id.clone())
            .with("rows", rows);
        if let Some(only) = &begun.log_id {
            row = row.with("only", only.clone());
        }
        if let Some((log, _, what)) = faults.first() {
            row = row
                .outcome(Outcome::Failed)
                .with("log", log.clone())
                .with("fault", what.clone())
                .with("logs_failed", i64::try_from(faults.len()).unwrap_or(i64::MAX));
        }
        let mut tx = self.begin().await?;
        verification::finish(&mut tx, &begun.id, rows, &faults, self.now()).await?;
        match self.log(&mut tx, &LogId::Platform, row).await {
            Ok(_) => Ok(tx.commit().await?),
            // The platform's own log may be what is broken: then no row can be written, and that
            // it is broken has to be shown all the same.
            Err(e) if !faults.is_empty() => {
                tracing::error!(error = %e, "writing that a log failed its verification");
                tx.rollback().await?;
                let mut tx = self.begin().await?;
                verification::finish(&mut tx, &begun.id, rows, &faults, self.now()).await?;
                Ok(tx.commit().await?)
            }
            Err(e) => Err(e),
        }
    }
}
