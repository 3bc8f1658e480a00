//! The sealed handoff: a new value, encrypted to the Owner's key the moment it exists.

use secrecy::{ExposeSecret, SecretString};

use super::{Desk, Step, StepError};
use crate::delivery::openpgp;
use crate::model::{Channel, HandoffState, time};
use crate::store::Tx;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations::Impersonation;
use crate::store::orgs::Org;
use crate::store::secrets::{Rotation, Secret};

impl Desk {
    /// Encrypts a new value to the Owner's key the moment it exists. Where there is no value (a
    /// gateway makes its own key) the message is the notice alone.
    pub(super) async fn seal_for_owner(
        &self,
        tx: &mut Tx,
        org: &Org,
        grant: &Impersonation,
        secret: &Secret,
        rotation: &Rotation,
        value: Option<&SecretString>,
    ) -> Step<String> {
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
        let id = self.new_id();
        handoffs::insert(
            tx,
            &Handoff {
                id: id.clone(),
                rotation_id: rotation.id.clone(),
                impersonation_id: grant.id.clone(),
                org_id: org.id.clone(),
                channel: Channel::Pgp,
                recipient: address.clone(),
                recipient_key: report.fingerprint,
                message,
                kek_id: None,
                sealed: None,
                state: HandoffState::Sealed,
                created_at: now,
                sent_at: None,
                acknowledged_at: None,
                acknowledged_how: None,
            },
        )
        .await?;
        Ok(id)
    }
}
