//! Step 5: hand the sealed value to the channel, and end the impersonation with the same button.

use super::{AtWork, Desk, Step, StepError};
use crate::audit::NewRow;
use crate::audit::append::lock_both;
use crate::auth::credential;
use crate::clock::new_token;
use crate::model::{Channel, EndCause};
use crate::proof::actions;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations;
use crate::store::{Tx, orgs, outbox, secrets, vault_kept};

const NOT_THEIRS: &str = "Only the admin who rotated takes a copy of the ciphertext.";

impl Desk {
    /// The ciphertext of a handoff, for the admin who rotated, with a row of both logs each time:
    /// whoever has it and the Owner's key has the secret.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where there is none; [`StepError::Denied`], with a row, for anyone
    /// else.
    pub async fn download_handoff(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        handoff_id: &str,
    ) -> Step<Handoff> {
        let handoff = handoffs::by_id(tx.conn(), handoff_id)
            .await?
            .filter(|h| h.channel == Channel::Pgp)
            .ok_or(StepError::NotFound)?;
        let grant = impersonations::by_id(tx.conn(), &handoff.impersonation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        lock_both(tx, &grant.org_id).await?;
        let may = self.authorize(tx, who).await.is_ok() && grant.admin_id == who.staff.id;
        if !may {
            return self.refuse_handoff_step(tx, who, &grant, "download", NOT_THEIRS).await;
        }
        self.refuse_who_stays_away(tx, who, &grant, "download").await?;
        // The impersonation is over, or its own rows stay as they are counted: this is no use of it.
        let row = |action| {
            NewRow::new(action, &who.actor())
                .org(&grant.org_id)
                .ticket(&grant.ticket_id)
                .with("after_impersonation", grant.id.clone())
                .with("handoff_id", handoff.id.clone())
                .with("recipient_key", handoff.recipient_key.clone())
        };
        let (platform, org) =
            (row(actions::PLATFORM_HANDOFF_DOWNLOADED), row(actions::HANDOFF_DOWNLOADED));
        self.log_both(tx, &grant.org_id, platform, org).await?;
        Ok(handoff)
    }

    /// Gives the sealed value to the channel to the Owner of record, by mail or into the shared
    /// vault, and ends the impersonation. The overlap of the old key starts when the channel has
    /// taken it. Where the impersonation has ended meanwhile (its time ran out between the rotation
    /// and this), the message is sent all the same: otherwise the customer would be left without
    /// the new secret.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where nothing was rotated, or the handoff was made already.
    pub async fn hand_off(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        impersonation_id: &str,
    ) -> Step<Handoff> {
        self.authorize(tx, who).await?;
        let grant =
            impersonations::by_id(tx.conn(), impersonation_id).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &grant.org_id).await?;
        orgs::lock(tx, &grant.org_id).await?;
        let grant =
            impersonations::by_id(tx.conn(), impersonation_id).await?.ok_or(StepError::NotFound)?;
        let now = self.now();
        let live = grant.live(now);
        if live && grant.admin_id != who.staff.id {
            return Err(StepError::Forbidden(
                "Only the admin who holds the impersonation hands off under it.",
            ));
        }
        self.refuse_who_stays_away(tx, who, &grant, "hand off").await?;
        let handoff = handoffs::of_impersonation(tx.conn(), &grant.id)
            .await?
            .ok_or(StepError::Conflict("Nothing was rotated yet: there is nothing to hand off."))?;
        let rotation =
            secrets::rotation_of(tx.conn(), &grant.id).await?.ok_or(StepError::NotFound)?;
        // Where it goes is where the org's log says that the Owner is, not what a table says.
        self.require_record(tx.conn(), &grant.org_id).await?;
        let org = orgs::by_id(tx.conn(), &grant.org_id).await?.ok_or(StepError::NotFound)?;
        let on_file = match handoff.channel {
            Channel::Pgp => org.owner_address,
            Channel::OnePassword => org.shared_vault_id,
        };
        if on_file.unwrap_or_default() != handoff.recipient {
            return Err(StepError::Conflict(
                "Where this was to go is not what is on file by now. End this impersonation, and rotate again.",
            ));
        }

        let kept = vault_kept::of_rotation(tx.conn(), &rotation.id).await?;
        if kept.is_some_and(|kept| kept.state == "expired" || kept.expires_at <= now) {
            return Err(StepError::Conflict(
                "The new token has ended in the vault, or is not known to live: there is nothing to hand off. End this impersonation and start again.",
            ));
        }
        let ack = new_token(self.rng.as_ref());
        if !handoffs::mark_queued(tx, &handoff.id, &credential::hash(&ack), now).await? {
            return Err(StepError::Conflict("The handoff was made already."));
        }
        let to_vault = handoff.channel == Channel::OnePassword && handoff.sealed.is_some();
        let tell = |action: &str, actor| {
            let mut row = NewRow::new(action, actor)
                .under(&grant)
                .with("handoff_id", handoff.id.clone())
                .with("rotation_id", rotation.id.clone())
                .with("channel", handoff.channel.as_str())
                .with("recipient_key", handoff.recipient_key.clone());
            if !live {
                // The trail is closed; a later row of its own says what it was for.
                row.impersonation_id = None;
                row = row.with("after_impersonation", grant.id.clone());
            }
            row
        };
        let actor = who.actor();
        let in_org = if live { actor.impersonating() } else { actor.clone() };
        let (platform, org) = (
            tell(actions::PLATFORM_SECRET_HANDED_OFF, &actor),
            tell(actions::HANDOFF_QUEUED, &in_org),
        );
        self.log_both(tx, &grant.org_id, platform, org).await?;
        if to_vault {
            self.queue_item(tx, &grant, &handoff, &rotation, &ack).await?;
        } else {
            let old = self.old_secret(tx, &rotation).await?;
            self.mail_handoff(tx, &grant, &handoff, &ack, old).await?;
            if outbox::about(tx.conn(), &handoff.id).await?.is_empty() {
                // A notice that nobody can be sent: there is nothing to wait for.
                self.delivered(tx, &handoff, None).await?;
            }
        }
        if grant.ended_at.is_none() {
            self.end(tx, &grant, EndCause::Handoff, &actor).await?;
        }
        handoffs::by_id(tx.conn(), &handoff.id).await?.ok_or(StepError::NotFound)
    }
}
