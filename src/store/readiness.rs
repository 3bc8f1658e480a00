//! Whether the database takes what is written: by writing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Result, Store};
use crate::model::{Micros, time};

/// More than a step writes: what is left of a full disk may suffice for less.
const FILLER: usize = 256 * 1024;

/// So long an answer holds: whoever asks more often costs no write.
const HOLDS: Micros = time::SECOND;

/// A write that takes longer is none to rely on.
const WITHIN: Duration = Duration::from_secs(5);

/// What was found last, and when.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<Option<(Micros, bool)>>>);

impl Readiness {
    /// Whether the database takes writes. One asks at a time, and the others take its answer.
    pub async fn of(&self, store: &Store, now: Micros) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, found)) = *last
            && (at..at + HOLDS).contains(&now)
        {
            return found;
        }
        let found = match tokio::time::timeout(WITHIN, store.try_writing(now)).await {
            Ok(Ok(())) => true,
            Ok(Err(e)) => {
                tracing::warn!(error = %e, "not ready");
                false
            }
            Err(_) => {
                tracing::warn!("not ready: a write takes longer than {} s", WITHIN.as_secs());
                false
            }
        };
        *last = Some((now, found));
        found
    }
}

impl Store {
    /// Writes something, and commits it.
    ///
    /// # Errors
    /// Why the database does not take it.
    pub async fn try_writing(&self, now: Micros) -> Result<()> {
        let mut tx = self.begin().await?;
        // Each time another text than the last one: SQLite does not write what is the same.
        sqlx::query(
            "UPDATE readiness SET asked_at = $1, \
             filler = CASE WHEN filler LIKE 'a%' THEN $2 ELSE $3 END WHERE id = 1",
        )
        .bind(now)
        .bind("b".repeat(FILLER))
        .bind("a".repeat(FILLER))
        .execute(tx.conn())
        .await?;
        tx.commit().await
    }
}
