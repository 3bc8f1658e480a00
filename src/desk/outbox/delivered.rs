//! A handoff that has reached its channel: the mail server has taken the mail, or the item stands
//! in the shared vault. What runs from the delivery starts here.

use super::super::{Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, NewRow};
use crate::model::{Channel, Micros, VersionState, time};
use crate::proof::actions;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations::{self, Impersonation};
use crate::store::outbox::Item;
use crate::store::secrets::{self, Rotation, Version};
use crate::store::{Tx, orgs};

/// A handoff that was delivered just now.
pub(in super::super) struct Delivery {
    /// The impersonation that it was made under.
    pub(in super::super) grant: Impersonation,
    /// It, as it is now.
    pub(in super::super) handoff: Handoff,
    /// Until when the old version works, where its overlap has just begun.
    pub(in super::super) old_valid_until: Option<Micros>,
}

impl Desk {
    /// Records that the mail server has taken a mail: where it carries a handoff, that is
    /// delivered now.
    ///
    /// # Errors
    /// Where it cannot be written; the mail is then sent again.
    pub(super) async fn note_mailed(&self, tx: &mut Tx, item: &Item) -> Step<()> {
        let Some(handoff) = handoffs::by_id(tx.conn(), &item.about).await? else { return Ok(()) };
        // The notice about an item in a vault: what it tells of is there already.
        if handoff.channel == Channel::OnePassword && handoff.delivered_at.is_some() {
            return Ok(());
        }
        self.delivered(tx, &handoff, None).await.map(|_| ())
    }

    /// Records that a handoff has reached its channel, as this item where it has one: both logs
    /// say so, and the overlap of the old version begins. Nothing where that was known already.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(in super::super) async fn delivered(
        &self,
        tx: &mut Tx,
        handoff: &Handoff,
        item_id: Option<&str>,
    ) -> Step<Option<Delivery>> {
        lock_both(tx, &handoff.org_id).await?;
        orgs::lock(tx, &handoff.org_id).await?;
        let now = self.now();
        if !handoffs::mark_delivered(tx, handoff, item_id, now).await? {
            return Ok(None);
        }
        let grant = impersonations::by_id(tx.conn(), &handoff.impersonation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        let rotation =
            secrets::rotation_of(tx.conn(), &grant.id).await?.ok_or(StepError::NotFound)?;
        let old_valid_until = self.start_overlap(tx, &rotation, now).await?;
        let row = |action| {
            let mut row = NewRow::new(action, &Actor::system())
                .under(&grant)
                .with("after_impersonation", grant.id.clone())
                .with("handoff_id", handoff.id.clone())
                .with("rotation_id", rotation.id.clone())
                .with("channel", handoff.channel.as_str());
            row = match (handoff.channel, item_id) {
                (Channel::Pgp, _) => row.with("recipient_key", handoff.recipient_key.clone()),
                (Channel::OnePassword, None) => row,
                (Channel::OnePassword, Some(item)) => {
                    row.with("vault_id", handoff.recipient.clone()).with("item_id", item)
                }
            };
            if let Some(until) = old_valid_until {
                row = row.with("old_valid_until", until);
            }
            // The hand-off ended the impersonation; its trail is closed.
            row.impersonation_id = None;
            row
        };
        let (platform, org) =
            (row(actions::PLATFORM_SECRET_DELIVERED), row(actions::HANDOFF_DELIVERED));
        self.log_both(tx, &handoff.org_id, platform, org).await?;
        let handoff = handoffs::by_id(tx.conn(), &handoff.id).await?.ok_or(StepError::NotFound)?;
        Ok(Some(Delivery { grant, handoff, old_valid_until }))
    }

    /// Starts the overlap of the version that a rotation replaced, now that the customer has the
    /// new one; until when it lasts, where there is one.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(in super::super) async fn start_overlap(
        &self,
        tx: &mut Tx,
        rotation: &Rotation,
        now: Micros,
    ) -> Step<Option<Micros>> {
        let until = now + rotation.overlap_seconds * time::SECOND;
        let ahead = overlaps_ahead(tx, rotation).await?;
        for version in &ahead {
            let state = VersionState::Retiring;
            secrets::set_state(tx, &rotation.secret_id, version.version, state, Some(until))
                .await?;
        }
        Ok((!ahead.is_empty()).then_some(until))
    }
}

/// The versions whose overlap begins with the delivery of a rotation: also what an earlier one
/// left behind whose handoff never came. What has a name outside (a vault's accessor) ends there,
/// when it is revoked.
///
/// # Errors
/// Where the database does not answer.
pub(in super::super) async fn overlaps_ahead(
    tx: &mut Tx,
    rotation: &Rotation,
) -> Step<Vec<Version>> {
    let mut versions = secrets::versions(tx.conn(), &rotation.secret_id).await?;
    versions.retain(|v| {
        v.reference.is_none()
            && v.version <= rotation.from_version
            && v.state == VersionState::Retiring
            && v.retires_at.is_none()
    });
    Ok(versions)
}
