//! What time itself does: impersonations expire, overlaps end, sessions are forgotten. Also for
//! what happened while the server was down.

use std::sync::Arc;
use std::time::Duration;

use super::staff::sign_ins::KNOWN_FOR;
use super::{Desk, Step, StepError};
use crate::audit::Actor;
use crate::auth::throttle;
use crate::model::{EndCause, StaffRole};
use crate::stop::Stop;
use crate::store::{impersonations, secrets, sign_ins, staff, web_sessions};

impl Desk {
    /// Ends what has run out by now, each in a transaction of its own; how many impersonations
    /// it ended.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sweep(&self) -> Step<usize> {
        let now = self.now();
        let open = {
            let mut conn = self.store.read().await?;
            impersonations::open(&mut conn).await?
        };
        let mut ended = 0;
        let mut failed = None;
        for grant in open {
            let cause = if grant.live(now) {
                let mut conn = self.store.read().await?;
                let admin = staff::by_id(&mut conn, &grant.admin_id).await?;
                match admin {
                    Some(a) if a.disabled_at.is_none() && a.role == StaffRole::PlatformAdmin => {
                        continue;
                    }
                    _ => EndCause::AdminDisabled,
                }
            } else {
                EndCause::Expired
            };
            let mut tx = self.begin().await?;
            let step = self.end(&mut tx, &grant, cause, &Actor::system()).await;
            match self.settle(tx, step).await {
                Ok(()) => ended += 1,
                // Somebody ended it between the list and now.
                Err(StepError::Conflict(_)) => {}
                // One that cannot be ended must not keep the others open.
                Err(e) => {
                    tracing::error!(error = %e, impersonation = %grant.id, "ending what has run out");
                    failed.get_or_insert(e);
                }
            }
        }
        if let Err(e) = self.follow_log_key().await {
            tracing::error!(error = %e, "taking up the key of the logs");
            failed.get_or_insert(e);
        }
        if let Err(e) = self.keep_checkpoints().await {
            tracing::error!(error = %e, "keeping the logs' checkpoints");
            failed.get_or_insert(e);
        }
        if let Err(e) = self.sweep_consents().await {
            tracing::error!(error = %e, "switching off what was for one ticket");
            failed.get_or_insert(e);
        }
        if let Err(e) = self.remind_of_consents().await {
            tracing::error!(error = %e, "asking whether consent still stands");
            failed.get_or_insert(e);
        }
        if let Err(e) = self.sweep_owner_changes().await {
            tracing::error!(error = %e, "changes of the way to the Owner");
            failed.get_or_insert(e);
        }
        if let Err(e) = self.give_up_overdue().await {
            failed.get_or_insert(e);
        }
        let mut tx = self.begin().await?;
        secrets::retire_due(&mut tx, now).await?;
        web_sessions::sweep(tx.conn(), now).await?;
        sign_ins::forget_old(tx.conn(), now - throttle::WINDOW).await?;
        sign_ins::forget_old_devices(tx.conn(), now - KNOWN_FOR).await?;
        tx.commit().await?;
        failed.map_or(Ok(ended), Err)
    }

    /// Sweeps once a second until the server stops.
    pub async fn run_sweeper(self: Arc<Self>, stop: Stop) {
        loop {
            match self.sweep().await {
                Ok(0) => {}
                Ok(n) => tracing::info!(n, "impersonations expired"),
                Err(e) => tracing::warn!(error = %e, "the sweeper"),
            }
            if !stop.rest(Duration::from_secs(1)).await {
                return;
            }
        }
    }
}
