//! A handoff that the Owner has not acknowledged, sent again.

use super::super::handoff_mail::OldSecret;
use super::super::owner_change::fingerprint_on_file;
use super::super::{AtWork, Desk, Step, StepError};
use super::overlaps_ahead;
use crate::audit::NewRow;
use crate::audit::append::lock_both;
use crate::auth::credential;
use crate::clock::new_token;
use crate::model::{Channel, HandoffState, OutboxKind};
use crate::proof::actions;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations::{self, Impersonation};
use crate::store::outbox::{self, Stands};
use crate::store::secrets::{self, Rotation};
use crate::store::{Tx, orgs};

/// What became of the wish to send a handoff again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentAgain {
    /// The shared vault would not take the item: it is tried again.
    Item,
    /// It had not left yet: it is tried now instead of later.
    Hastened,
    /// It goes once more, with a new link; the old link is dead.
    Anew,
}

const UNDER_WAY: StepError =
    StepError::Conflict("It is being sent at this moment: look again in a few seconds.");

impl Desk {
    /// Sends a handoff again that the Owner has not acknowledged. What still waits is tried now;
    /// what has left, or would not be taken, goes once more, encrypted to the key that it was made
    /// for (of an item in a shared vault it is the notice that goes again), with a new
    /// acknowledgement link that replaces the old one. Where the same Owner's address was put right
    /// meanwhile, it goes there.
    ///
    /// # Errors
    /// [`StepError::Conflict`] for a handoff that was not made yet, is acknowledged, or was made
    /// for another Owner.
    pub async fn send_again(&self, tx: &mut Tx, who: &AtWork, handoff_id: &str) -> Step<SentAgain> {
        self.authorize(tx, who).await?;
        let handoff = handoffs::by_id(tx.conn(), handoff_id).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &handoff.org_id).await?;
        orgs::lock(tx, &handoff.org_id).await?;
        let handoff = handoffs::by_id(tx.conn(), handoff_id).await?.ok_or(StepError::NotFound)?;
        match handoff.state {
            HandoffState::Queued | HandoffState::Sent | HandoffState::Undelivered => {}
            HandoffState::Sealed => {
                return Err(StepError::Conflict(
                    "This handoff was not sent yet: hand it off on the ticket's page.",
                ));
            }
            HandoffState::Acknowledged => {
                return Err(StepError::Conflict("The Owner has acknowledged this handoff."));
            }
        }
        let grant = impersonations::by_id(tx.conn(), &handoff.impersonation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        self.refuse_who_stays_away(tx, who, &grant, "send again").await?;
        let (handoff, moved) = self.to_address_on_file(tx, &grant, handoff).await?;
        let how = self.go_again(tx, &grant, &handoff, moved).await?;
        let actor = who.actor();
        let row = |action| {
            let row = NewRow::new(action, &actor)
                .under(&grant)
                .with("handoff_id", handoff.id.clone())
                .with("recipient_key", handoff.recipient_key.clone())
                .with(
                    "how",
                    match how {
                        SentAgain::Hastened => "it still waited",
                        SentAgain::Anew => "once more",
                        SentAgain::Item => "the item is tried again",
                    },
                );
            if moved { row.with("address", "as it is on file by now") } else { row }
        };
        let (platform, org) =
            (row(actions::PLATFORM_HANDOFF_SENT_AGAIN), row(actions::HANDOFF_SENT_AGAIN));
        self.log_both(tx, &handoff.org_id, platform, org).await?;
        Ok(how)
    }

    /// The handoff as it goes to the address on file, and whether that was put right meanwhile.
    /// The mail carries links that only the present Owner may have, so both have to be the same
    /// Owner's, and so has the key.
    async fn to_address_on_file(
        &self,
        tx: &mut Tx,
        grant: &Impersonation,
        mut handoff: Handoff,
    ) -> Step<(Handoff, bool)> {
        if handoff.channel != Channel::Pgp {
            return Ok((handoff, false));
        }
        let org = orgs::by_id(tx.conn(), &handoff.org_id).await?.ok_or(StepError::NotFound)?;
        // An address that the org's log does not have is nobody's.
        self.require_record(tx.conn(), &org.id).await?;
        let on_file = org.owner_address.clone().filter(|address| !address.is_empty());
        if on_file.as_deref() == Some(&handoff.recipient) {
            return Ok((handoff, false));
        }
        let same = org.owner_member_id.as_deref() == Some(&grant.owner_id)
            && fingerprint_on_file(&org).as_deref() == Some(&handoff.recipient_key);
        let Some(address) = on_file.filter(|_| same) else {
            return Err(StepError::Conflict(
                "The Owner on file, or the Owner's key, is another by now: this handoff was made for the one before.",
            ));
        };
        handoffs::set_recipient(tx, &handoff.id, &address).await?;
        handoff.recipient = address;
        Ok((handoff, true))
    }

    async fn go_again(
        &self,
        tx: &mut Tx,
        grant: &Impersonation,
        handoff: &Handoff,
        moved: bool,
    ) -> Step<SentAgain> {
        let now = self.now();
        let mut waiting = false;
        for item in outbox::about(tx.conn(), &handoff.id).await? {
            match (item.stands(), item.kind) {
                // To where nobody reads it, it need not go any more.
                (Stands::Waits, OutboxKind::Mail) if moved => {
                    if !outbox::set_aside(tx, &item.id, now).await? {
                        return Err(UNDER_WAY);
                    }
                }
                (Stands::Waits, _) => {
                    waiting = true;
                    outbox::hasten(tx, &item.id, now).await?;
                }
                (Stands::Undelivered, OutboxKind::OnePassword) => {
                    // The value is in it, and nowhere else.
                    outbox::revive(tx, &item.id, &item.recipient, now).await?;
                    handoffs::mark_leaving(tx, &handoff.id).await?;
                    return Ok(SentAgain::Item);
                }
                (Stands::Undelivered, _) => {
                    outbox::set_aside(tx, &item.id, now).await?;
                }
                (Stands::Taken | Stands::SetAside, _) => {}
            }
        }
        if waiting {
            return Ok(SentAgain::Hastened);
        }
        let ack = new_token(self.rng.as_ref());
        if !handoffs::renew_link(tx, &handoff.id, &credential::hash(&ack)).await? {
            return Err(StepError::Conflict("The Owner has acknowledged this handoff."));
        }
        let rotation = secrets::rotation_by_id(tx.conn(), &handoff.rotation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        let old = self.old_secret(tx, &rotation).await?;
        self.mail_handoff(tx, grant, handoff, &ack, old).await?;
        Ok(SentAgain::Anew)
    }

    /// What is to be said of the version that a rotation replaced.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(in super::super) async fn old_secret(
        &self,
        tx: &mut Tx,
        rotation: &Rotation,
    ) -> Step<OldSecret> {
        if !overlaps_ahead(tx, rotation).await?.is_empty() {
            return Ok(OldSecret::WorksFor(rotation.overlap_seconds));
        }
        let now = self.now();
        let until = secrets::versions(tx.conn(), &rotation.secret_id)
            .await?
            .into_iter()
            .find(|v| v.version == rotation.from_version)
            .filter(|v| v.accepted(now))
            .and_then(|v| v.retires_at);
        Ok(until.map_or(OldSecret::Gone, OldSecret::WorksUntil))
    }
}
