//! What is kept of sign-ins besides sessions: who failed of late, who waits, what is summed up for
//! the log, and the browsers that are known. A request that signs nobody in writes none of it; it
//! is written here, now and then.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::audit::{Actor, LogId, NewRow};
use crate::auth::credential;
use crate::auth::failures::{Recent, Source};
use crate::auth::queue::Queue;
use crate::auth::tally::{Sum, Tally, What};
use crate::auth::throttle;
use crate::clock::{Rng, new_token};
use crate::desk::{Desk, Step};
use crate::model::{Micros, time};
use crate::proof::actions;
use crate::proof::row::{ActorType, Outcome};
use crate::stop::Stop;
use crate::store::{Tx, audit, sign_ins, staff};

/// How often what is due is written.
const EVERY: Duration = Duration::from_secs(5);

/// How long a browser is known that nobody signs in with.
pub const KNOWN_FOR: Micros = 90 * time::DAY;

/// How many browsers of an account are known: those used last.
const DEVICES: i64 = 20;

/// How many rows are written in one step: others wait for the log no longer than that takes.
const ROWS_AT_ONCE: usize = 16;

/// What an instance keeps of sign-ins.
#[derive(Debug)]
pub struct SignIns {
    pub(super) instance: String,
    pub(super) recent: Recent,
    pub(super) queue: Queue,
    pub(super) tally: Tally,
}

impl SignIns {
    /// For an instance that starts.
    #[must_use]
    pub fn new(rng: &dyn Rng) -> Self {
        Self {
            instance: credential::hash(&new_token(rng)),
            recent: Recent::default(),
            queue: Queue::default(),
            tally: Tally::default(),
        }
    }
}

impl Desk {
    /// Counts a credential that is none, for the row of its minute. `how` it was shown.
    pub fn note_refused_credential(&self, from: &str, how: &'static str) {
        let action = actions::PLATFORM_CREDENTIALS_REFUSED;
        self.sum_up(What { action, how, account: None, source: throttle::network(from) });
    }

    pub(super) fn sum_up(&self, what: What) {
        self.sign_ins.tally.note(what, self.now());
    }

    /// What an attempt counts for: the browser, where it has signed in to the account before.
    pub(super) async fn source_of(
        &self,
        conn: &mut sqlx::AnyConnection,
        staff_id: Option<&str>,
        device: Option<&SecretString>,
        from: &str,
    ) -> Step<Source> {
        if let Some(device) = device {
            let hash = credential::hash(device);
            let since = self.now() - KNOWN_FOR;
            let accounts = sign_ins::accounts_of_device(conn, &hash, since).await?;
            if accounts.iter().any(|id| Some(id.as_str()) == staff_id) {
                return Ok(Source::Known(hash));
            }
        }
        Ok(Source::Network(throttle::network(from)))
    }

    /// Knows the browser of somebody who has just signed in. What its cookie is to hold, where that
    /// is something new: what nobody has signed in with may have been planted.
    pub(super) async fn know_device(
        &self,
        tx: &mut Tx,
        staff_id: &str,
        device: Option<SecretString>,
    ) -> Step<Option<SecretString>> {
        let now = self.now();
        let known = match &device {
            Some(device) => {
                let hash = credential::hash(device);
                let since = now - KNOWN_FOR;
                !sign_ins::accounts_of_device(tx.conn(), &hash, since).await?.is_empty()
            }
            None => false,
        };
        let fresh = new_token(self.rng.as_ref());
        let device = device.filter(|_| known).unwrap_or(fresh);
        let hash = credential::hash(&device);
        sign_ins::know_device(tx.conn(), &hash, staff_id, now, DEVICES).await?;
        Ok(Some(device))
    }

    /// Writes what is due: the rows of minutes that are over, or of all where the server stops, and
    /// what the other instances are to know of failures.
    ///
    /// # Errors
    /// Where the database does not answer; it is then written the next time.
    pub async fn write_sign_ins(&self, stopping: bool) -> Step<()> {
        let now = self.now();
        let mut due = self.sign_ins.tally.due(now, stopping);
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(ROWS_AT_ONCE));
            if let Err(e) = self.write_sums(&due).await {
                due.extend(rest);
                self.sign_ins.tally.not_written(due);
                return Err(e);
            }
            due = rest;
        }
        let counted = self.sign_ins.recent.changed(now);
        if counted.is_empty() {
            return Ok(());
        }
        let step = async {
            let mut tx = self.begin().await?;
            for one in &counted {
                sign_ins::tell(tx.conn(), &self.sign_ins.instance, one).await?;
            }
            Ok(tx.commit().await?)
        };
        let step: Step<()> = step.await;
        if step.is_err() {
            self.sign_ins.recent.not_told(counted);
        }
        step
    }

    async fn write_sums(&self, sums: &[Sum]) -> Step<()> {
        let mut tx = self.begin().await?;
        audit::lock(&mut tx, "platform").await?;
        for (what, minute, count) in sums {
            let account = match &what.account {
                Some(id) => staff::by_id(tx.conn(), id).await?,
                None => None,
            };
            let mut who = account.as_ref().map_or_else(
                || Actor {
                    actor_type: ActorType::System,
                    id: "unknown".to_owned(),
                    name: "unknown".to_owned(),
                    from: None,
                },
                |staff| super::actor(staff, ""),
            );
            who.from = Some(what.source.clone());
            let row = NewRow::new(what.action, &who)
                .outcome(Outcome::Refused)
                .with("how", what.how)
                .with("minute", time::rfc3339(*minute))
                .with("count", *count);
            self.log(&mut tx, &LogId::Platform, row).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Writes what is due every few seconds, and all of it when the server stops.
    pub async fn run_sign_ins(self: Arc<Self>, stop: Stop) {
        loop {
            let goes_on = stop.rest(EVERY).await;
            if let Err(e) = self.write_sign_ins(!goes_on).await {
                tracing::warn!(error = %e, "writing what was summed up of sign-ins");
            }
            if !goes_on {
                return;
            }
        }
    }
}
