//! Keeping the stored standings true: what was appended, what time has changed and what a
//! verification casts doubt on is judged again, a batch at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sqlx::AnyConnection;

use super::{Desk, Step};
use crate::audit::standing;
use crate::audit::trail::{Depth, judge};
use crate::delivery::openpgp;
use crate::model::{Micros, Stand, time};
use crate::proof::row::AuditRow;
use crate::stop::Stop;
use crate::store::owner_keys::{self, KeyExpiry};
use crate::store::standing::{self as stored, Standing};
use crate::store::{audit, impersonations};

/// How many rows are taken in at a time.
const BATCH: i64 = 200;
/// How long an instance may be at a batch before another takes its turn.
const TURN: Micros = time::MINUTE;
/// What a batch comes to.
#[derive(Debug, Default)]
struct Batch {
    /// What is done with it.
    done: Vec<String>,
    judged: Vec<(Standing, Vec<Stand>)>,
    /// (row, check, when)
    denied: Vec<(String, String, Micros)>,
    keys: Vec<KeyExpiry>,
}

impl Batch {
    fn len(&self) -> usize {
        self.done.len() + self.judged.len() + self.keys.len()
    }
}

impl Desk {
    /// Takes in one batch of what is due; how much there was. 0: nothing is due, or another
    /// instance is at it.
    ///
    /// # Errors
    /// Where the database does not answer; what was due then still is.
    pub async fn judge_due(&self) -> Step<usize> {
        let now = self.now();
        let mut conn = self.store.read().await?;
        if !self.anything_due(&mut conn, now).await? {
            return Ok(0);
        }
        let holder = self.new_id();
        let mut tx = self.begin().await?;
        let mine = stored::take_turn(&mut tx, &holder, now, now + TURN).await?;
        tx.commit().await?;
        if !mine {
            return Ok(0);
        }
        let batch = self.judge_batch(&mut conn, now).await;
        let mut tx = self.begin().await?;
        let still_mine = stored::give_turn(&mut tx, &holder).await?;
        let batch = match batch {
            Ok(batch) if still_mine => batch,
            // Whoever has the turn by now writes what is newer.
            Ok(_) => {
                tx.rollback().await?;
                return Ok(0);
            }
            Err(e) => {
                tx.commit().await?;
                return Err(e);
            }
        };
        for (standing, stands) in &batch.judged {
            stored::save(&mut tx, standing, stands).await?;
        }
        for (entry, check, at) in &batch.denied {
            stored::save_denied(&mut tx, entry, check, *at).await?;
        }
        for key in &batch.keys {
            owner_keys::save(&mut tx, key).await?;
        }
        for id in &batch.done {
            stored::done(&mut tx, id).await?;
        }
        tx.commit().await?;
        Ok(batch.len())
    }

    async fn anything_due(&self, conn: &mut AnyConnection, now: Micros) -> Step<bool> {
        Ok(!stored::due(conn, 1).await?.is_empty()
            || !stored::due_by_time(conn, now, 1).await?.is_empty()
            || !owner_keys::unread(conn, 1).await?.is_empty())
    }

    /// Reads and judges. What is due is listed before the trails are read: a row that comes in
    /// between is on the list again.
    async fn judge_batch(&self, conn: &mut AnyConnection, now: Micros) -> Step<Batch> {
        let mut batch = Batch::default();
        let mut trails: BTreeSet<String> =
            stored::due_by_time(conn, now, BATCH).await?.into_iter().collect();
        for due in stored::due(conn, BATCH).await? {
            if due.refusal == 1 {
                batch.denied.extend(denied(conn, &due.id).await?);
            }
            trails.extend(due.impersonation_id);
            batch.done.push(due.id);
        }
        let key = self.current_log_key(conn).await?;
        let verifiers = key.verifiers();
        for id in trails {
            let judged = judge(conn, key, &id, Depth::Proofs, now).await?;
            let grant = impersonations::by_id(conn, &id).await?;
            let (unacknowledged, owing) = stored::owed(conn, &id).await?;
            let found = standing::of(&id, &judged, grant.as_ref(), now);
            batch.judged.extend(found.map(|found| {
                let stands = standing::stands(&found, unacknowledged, owing);
                (found, stands)
            }));
        }
        // A rotation of the key meanwhile signed every log anew: what was judged by the old one is
        // judged again.
        if self.current_log_key(conn).await?.verifiers() != verifiers {
            return Ok(Batch::default());
        }
        for org in owner_keys::unread(conn, BATCH).await? {
            openpgp::prepare(&org.pgp_key).await;
            let read = openpgp::inspect(&org.pgp_key, now);
            batch.keys.push(KeyExpiry {
                org_id: org.id,
                key_since: org.key_since,
                expires_at: match read {
                    Ok(report) => report.expires_at,
                    Err(openpgp::KeyProblem::Expired { at, .. }) => Some(at),
                    Err(_) => None,
                },
                read_at: now,
            });
        }
        Ok(batch)
    }

    /// After a full verification, makes everything due again: what is kept of a trail may have been
    /// changed by whoever changed a log, or by itself.
    pub(super) async fn judge_again_after_verification(&self) -> Step<()> {
        let now = self.now();
        let mut tx = self.begin().await?;
        stored::judge_again(&mut tx, now).await?;
        Ok(tx.commit().await?)
    }

    /// Takes in what is due, again and again, until the server stops.
    pub async fn run_standing(self: Arc<Self>, stop: Stop) {
        loop {
            let pause = match self.judge_due().await {
                Ok(0) => Duration::from_secs(1),
                // There may be thousands after a migration: pages come first.
                Ok(_) => Duration::from_millis(20),
                Err(e) => {
                    tracing::warn!(error = %e, "judging what is due");
                    Duration::from_secs(5)
                }
            };
            if !stop.rest(pause).await {
                return;
            }
        }
    }
}

/// The checks that a refused attempt failed.
async fn denied(conn: &mut AnyConnection, entry_id: &str) -> Step<Vec<(String, String, Micros)>> {
    let Some(entry) = audit::by_id(conn, entry_id).await? else { return Ok(Vec::new()) };
    let row = AuditRow::parse(&entry.body).ok();
    let checks = row.as_ref().and_then(|r| r.details.get("failed_checks")?.as_array());
    Ok(checks
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|check| (entry.id.clone(), check.to_owned(), entry.at))
        .collect())
}
