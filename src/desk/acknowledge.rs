//! The Owner's word that the new secret arrived: by the link in the mail, or recorded by staff.

use secrecy::SecretString;
use sqlx::AnyConnection;

use super::{AtWork, Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, NewRow};
use crate::auth::credential;
use crate::model::{ConfirmedOver, HandoffState};
use crate::proof::actions;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations;
use crate::store::{Tx, orgs, outbox, secrets};

const ACKNOWLEDGE: &str = "acknowledge";
const OWN_ROTATION: &str = "You rotated this secret: another admin records that the Owner has it, or the Owner does by the link.";

impl Desk {
    /// The handoff that a link is for; to be shown before it is used.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn handoff_of_link(
        &self,
        conn: &mut AnyConnection,
        link: &SecretString,
    ) -> Step<Option<Handoff>> {
        Ok(handoffs::by_ack(conn, &credential::hash(link)).await?)
    }

    /// Records that the Owner used the link. It works once.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a link that never was; [`StepError::Conflict`] for a used one.
    pub async fn acknowledge_by_link(
        &self,
        tx: &mut Tx,
        link: &SecretString,
        from: Option<String>,
    ) -> Step<Handoff> {
        let handoff = handoffs::by_ack(tx.conn(), &credential::hash(link))
            .await?
            .ok_or(StepError::NotFound)?;
        let org = orgs::by_id(tx.conn(), &handoff.org_id).await?.ok_or(StepError::NotFound)?;
        let actor = self.owner_of_record(tx.conn(), &org, from).await?;
        self.acknowledge(tx, handoff, &actor, ("link", "link")).await
    }

    /// Records what staff heard of it otherwise, over which channel, and how. Never by whoever
    /// rotated, nor by whoever asked for a change of the way to the Owner not long ago: they would
    /// be the only witness of what they did.
    ///
    /// # Errors
    /// [`StepError::Invalid`] where it does not say how; [`StepError::Denied`], with a row, for who
    /// may not.
    pub async fn acknowledge_by_staff(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        handoff_id: &str,
        over: ConfirmedOver,
        how: &str,
    ) -> Step<Handoff> {
        self.authorize(tx, who).await?;
        let how = how.trim();
        if how.is_empty() || how.len() > 300 {
            return Err(StepError::Invalid(
                "Say in up to 300 characters how the Owner confirmed it.",
            ));
        }
        let handoff = handoffs::by_id(tx.conn(), handoff_id).await?.ok_or(StepError::NotFound)?;
        let grant = impersonations::by_id(tx.conn(), &handoff.impersonation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        self.guard(tx, who, &handoff.org_id, &grant.ticket_id, how).await?;
        if grant.admin_id == who.staff.id {
            return self.refuse_handoff_step(tx, who, &grant, ACKNOWLEDGE, OWN_ROTATION).await;
        }
        self.refuse_who_stays_away(tx, who, &grant, ACKNOWLEDGE).await?;
        if handoff.state == HandoffState::Queued && !handoff.awaits_vault() {
            return Err(StepError::Conflict(
                "The mail has not left yet: the Owner cannot have it.",
            ));
        }
        self.acknowledge(tx, handoff, &who.actor(), (over.as_str(), how)).await
    }

    async fn acknowledge(
        &self,
        tx: &mut Tx,
        handoff: Handoff,
        actor: &Actor,
        (over, how): (&str, &str),
    ) -> Step<Handoff> {
        let grant = impersonations::by_id(tx.conn(), &handoff.impersonation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        lock_both(tx, &handoff.org_id).await?;
        if handoff.awaits_vault() {
            return Err(StepError::Conflict(
                "The item is not in the shared vault yet: the Owner cannot have it.",
            ));
        }
        orgs::lock(tx, &handoff.org_id).await?;
        let now = self.now();
        let said = if over == how { how.to_owned() } else { format!("{over}: {how}") };
        if !handoffs::mark_acknowledged(tx, &handoff.id, &said, now).await? {
            return Err(StepError::Conflict(
                "This handoff is acknowledged already, or was not sent yet.",
            ));
        }
        // Whoever has it was sent it, whatever the mail server said: its answer may have been lost,
        // or somebody passed the message on.
        let rotation =
            secrets::rotation_of(tx.conn(), &grant.id).await?.ok_or(StepError::NotFound)?;
        let old_valid_until = self.start_overlap(tx, &rotation, now).await?;
        for item in outbox::about(tx.conn(), &handoff.id).await? {
            // Where it is being sent at this moment, it arrives once more.
            outbox::set_aside(tx, &item.id, now).await?;
        }
        let row = |action| {
            let row = NewRow::new(action, actor)
                .under(&grant)
                .with("handoff_id", handoff.id.clone())
                .with("confirmed_over", over)
                .with("how", how);
            match old_valid_until {
                Some(until) => row.with("old_valid_until", until),
                None => row,
            }
        };
        let (platform, org) =
            (row(actions::PLATFORM_HANDOFF_ACKNOWLEDGED), row(actions::HANDOFF_ACKNOWLEDGED));
        self.log_both(tx, &handoff.org_id, platform, org).await?;
        handoffs::by_id(tx.conn(), &handoff.id).await?.ok_or(StepError::NotFound)
    }
}
