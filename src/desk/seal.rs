//! The sealed handoff: a new value, encrypted to the Owner's key the moment it exists; or, for a
//! channel that takes the value itself, sealed under our own.

use secrecy::{ExposeSecret, SecretString};

use super::{Desk, Step, StepError};
use crate::delivery::openpgp;
use crate::delivery::shared_vault::is_id;
use crate::model::{Channel, HandoffState, time};
use crate::secrets::sealing::{self, Binding, Sealed};
use crate::store::Tx;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations::Impersonation;
use crate::store::orgs::Org;
use crate::store::secrets::{Rotation, Secret};

/// What a channel takes: ciphertext, or the value sealed under our own key.
struct Parcel {
    channel: Channel,
    recipient: String,
    recipient_key: String,
    message: String,
    sealed: Option<Sealed>,
}

impl Desk {
    /// Seals a new value for the channel of the org's runbook entry, and writes the handoff.
    ///
    /// # Errors
    /// Where the channel does not work after all; the rotation must then fail.
    pub(super) async fn seal_handoff(
        &self,
        tx: &mut Tx,
        org: &Org,
        grant: &Impersonation,
        secret: &Secret,
        rotation: &Rotation,
        value: Option<&SecretString>,
    ) -> Step<String> {
        let channel = org.channel.as_deref().and_then(|c| c.parse::<Channel>().ok());
        let parcel = match channel {
            None => return Err(StepError::Conflict("The runbook entry names no channel.")),
            Some(Channel::Pgp) => self.seal_for_owner(org, grant, secret, rotation, value)?,
            Some(Channel::OnePassword) => self.seal_for_vault(org, rotation, value)?,
        };
        let (kek_id, sealed) = parcel.sealed.map(|s| (s.kek_id, s.bytes)).unzip();
        let handoff = Handoff {
            id: self.new_id(),
            rotation_id: rotation.id.clone(),
            impersonation_id: grant.id.clone(),
            org_id: org.id.clone(),
            channel: parcel.channel,
            recipient: parcel.recipient,
            recipient_key: parcel.recipient_key,
            message: parcel.message,
            kek_id,
            sealed,
            state: HandoffState::Sealed,
            created_at: self.now(),
            queued_at: None,
            sent_at: None,
            delivered_at: None,
            item_id: None,
            acknowledged_at: None,
            acknowledged_how: None,
        };
        handoffs::insert(tx, &handoff).await?;
        Ok(handoff.id)
    }

    /// Encrypts a new value to the Owner's key the moment it exists. Where there is no value (a
    /// gateway makes its own key) the message is the notice alone.
    fn seal_for_owner(
        &self,
        org: &Org,
        grant: &Impersonation,
        secret: &Secret,
        rotation: &Rotation,
        value: Option<&SecretString>,
    ) -> Step<Parcel> {
        let now = self.now();
        let (Some(key), Some(address)) = (&org.pgp_key, &org.owner_address) else {
            return Err(StepError::Conflict("There is no key or no address on file."));
        };
        let report =
            openpgp::inspect(key, now).map_err(|e| StepError::crypto("the Owner's key")(&e))?;
        let first = value.map_or_else(
            || "There is nothing to install: the gateway makes its own new key.".to_owned(),
            |v| v.expose_secret().to_owned(),
        );
        let first = zeroize::Zeroizing::new(first);
        let note = SecretString::from(format!(
            "{first}\n\n\
             This is version {version} of the {what} {id} ({label}) of {org}.\n\
             It was made at {at} for ticket {ticket}.\n\
             Impersonation: {impersonation}\n",
            first = first.as_str(),
            version = rotation.to_version,
            what = secret.secret_type.label().to_lowercase(),
            id = secret.id,
            label = secret.label,
            org = org.name,
            at = time::seconds(now),
            ticket = grant.ticket_id,
            impersonation = grant.id,
        ));
        let message = openpgp::encrypt_and_sign(
            &mut self.rng.generator(),
            now,
            key,
            &self.keys.openpgp,
            note.expose_secret().as_bytes(),
        )
        .map_err(|e| StepError::crypto("encrypting to the Owner's key")(&e))?;
        Ok(Parcel {
            channel: Channel::Pgp,
            recipient: address.clone(),
            recipient_key: report.fingerprint,
            message,
            sealed: None,
        })
    }

    /// Seals a new value for the shared vault, under our own key: whoever writes it there has to
    /// have it. It stays with the handoff until that is made.
    fn seal_for_vault(
        &self,
        org: &Org,
        rotation: &Rotation,
        value: Option<&SecretString>,
    ) -> Step<Parcel> {
        let vault = org
            .shared_vault_id
            .as_deref()
            .filter(|id| is_id(id))
            .ok_or(StepError::Conflict("The runbook entry names no vault."))?;
        let sealed = value
            .map(|value| {
                sealing::seal(
                    &mut self.rng.generator(),
                    &self.keys.ring,
                    &handoff_binding(rotation),
                    value.expose_secret().as_bytes(),
                )
            })
            .transpose()
            .map_err(|e| StepError::crypto("sealing the new value for the handoff")(&e))?;
        Ok(Parcel {
            channel: Channel::OnePassword,
            recipient: vault.to_owned(),
            recipient_key: vault.to_owned(),
            message: String::new(),
            sealed,
        })
    }
}

/// The place of a value that waits in a handoff.
pub(super) fn handoff_binding(rotation: &Rotation) -> Binding<'_> {
    Binding {
        context: "handoff",
        org_id: &rotation.org_id,
        secret_id: &rotation.secret_id,
        version: rotation.to_version,
    }
}
