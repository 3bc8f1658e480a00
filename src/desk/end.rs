//! Step 6: end the impersonation (US-PLAT-10), and record in each log where the other stands.

use super::{AtWork, Desk, Step, StepError};
use crate::audit::append::{keep, lock_both};
use crate::audit::{Actor, LogId, NewRow};
use crate::model::{EndCause, time};
use crate::proof::actions;
use crate::store::impersonations::{self, Impersonation};
use crate::store::{self, Tx, orgs, staff};

impl Desk {
    /// Ends an impersonation at the wish of a platform admin: its own, or any other.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where it has ended already.
    pub async fn end_by_admin(&self, tx: &mut Tx, who: &AtWork, id: &str) -> Step<Impersonation> {
        self.authorize(tx, who).await?;
        let grant = impersonations::by_id(tx.conn(), id).await?.ok_or(StepError::NotFound)?;
        let cause =
            if grant.admin_id == who.staff.id { EndCause::Admin } else { EndCause::OtherAdmin };
        self.end(tx, &grant, cause, &who.actor()).await?;
        Ok(grant)
    }

    /// Ends an impersonation: closes it, erases its token, and writes the closing rows of both
    /// logs with the cause, how many rows it wrote in each, the last sequence numbers, and the
    /// other log's checkpoint, so that neither can be rewritten alone.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where it has ended already.
    pub async fn end(
        &self,
        tx: &mut Tx,
        grant: &Impersonation,
        cause: EndCause,
        by: &Actor,
    ) -> Step<()> {
        let (platform_head, org_head) = lock_both(tx, &grant.org_id).await?;
        orgs::lock(tx, &grant.org_id).await?;
        // One instant for both rows, and not before the newest row of either log.
        let at = self.now().max(platform_head.last_at).max(org_head.last_at);
        // Time ran out when it ran out, however late that is written.
        let (ended_at, cause) = if at >= grant.expires_at {
            (grant.expires_at, EndCause::Expired)
        } else {
            (at, cause)
        };
        if !impersonations::close(tx, &grant.id, ended_at, cause, &by.id).await? {
            return Err(StepError::Conflict("This impersonation has ended already."));
        }
        let org_log = LogId::Org(grant.org_id.clone());
        let (platform_rows, _) = store::audit::tally(tx.conn(), "platform", &grant.id).await?;
        let (org_rows, _) = store::audit::tally(tx.conn(), &org_log.as_string(), &grant.id).await?;
        let admin = staff::by_id(tx.conn(), &grant.admin_id)
            .await?
            .ok_or(store::StoreError::Missing("the admin"))?;
        let who = admin.name.clone();
        let holder = Actor {
            actor_type: crate::proof::row::ActorType::PlatformAdmin,
            id: admin.id,
            name: admin.name,
            from: None,
        };
        let closing = |action: &str, actor: &Actor| {
            NewRow::new(action, actor)
                .under(grant)
                .with("cause", cause.as_str())
                .with("ended_at", ended_at)
                .with("ended_by", by.id.clone())
                .with("ended_by_name", by.name.clone())
                .with("platform_rows", platform_rows + 1)
                .with("org_rows", org_rows + 1)
                .with("platform_last_seq", platform_head.size)
                .with("org_last_seq", org_head.size)
        };
        // The actor of both rows is whose impersonation it was; `ended_by` is who or what ended it.
        let org_row = closing(actions::IMPERSONATION_ENDED, &holder.impersonating())
            .with("platform_checkpoint", platform_head.checkpoint);
        let org_end = self.log_at(tx, &org_log, org_row, at).await?;
        let platform_row = closing(actions::PLATFORM_IMPERSONATION_ENDED, &holder)
            .with("org_checkpoint", org_end.checkpoint.clone());
        let platform_end = self.log_at(tx, &LogId::Platform, platform_row, at).await?;
        keep(tx, &org_log, &org_end).await?;
        keep(tx, &LogId::Platform, &platform_end).await?;
        let consent = self.about_consent(tx, grant, true).await?;
        // After the closing rows: they count what the impersonation wrote, and this is not its.
        self.consent_is_done(tx, &grant.org_id, &grant.ticket_id, Some(&grant.id)).await?;
        self.mail_owner(
            tx,
            &grant.org_id,
            &grant.id,
            &format!("[{}] The platform no longer acts for you", grant.ticket_id),
            &format!(
                "{who} of the platform no longer acts for you: the impersonation for ticket {} ended\n\
                 at {} ({}).\n\n\
                 Reason it was started for: {}\nIts id in both audit logs: {}\n\n\
                 Nothing more can be done with it. Your own audit log has every row.\n\n\
                 {consent}",
                grant.ticket_id,
                time::seconds(ended_at),
                cause.label(),
                grant.reason,
                grant.id,
            ),
        )
        .await
    }
}
