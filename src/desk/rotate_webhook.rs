//! The replacement of a webhook's signing key, with the overlap of the old one.

use secrecy::ExposeSecret;

use super::record::Replacement;
use super::rotate::{Ask, Ready, Rotated};
use super::{Desk, Step, StepError};
use crate::auth::credential::hex;
use crate::model::{VersionState, time};
use crate::secrets::sealing::{self, Binding};
use crate::secrets::webhook_key::WebhookKey;
use crate::store::Tx;
use crate::store::secrets::{self, Version};

impl Desk {
    pub(super) async fn replace_webhook_key(
        &self,
        tx: &mut Tx,
        ready: &Ready,
        ask: &Ask,
    ) -> Step<Rotated> {
        let now = self.now();
        let (secret, grant) = (&ready.secret, &ready.known.grant);
        let versions = secrets::versions(tx.conn(), &secret.id).await?;
        let overlapping =
            versions.iter().any(|v| v.state == VersionState::Retiring && v.accepted(now));
        if overlapping && !ask.during_overlap {
            return Err(StepError::Conflict(
                "The overlap of the last rotation is not over: an older key is still accepted. Ask for a rotation during the overlap in so many words, or end the overlap first.",
            ));
        }
        let overlap_seconds = match (ready.leak, grant) {
            (true, _) => 0,
            (false, None) => ask.overlap_seconds.unwrap_or(self.settings.overlap_seconds),
            (false, Some(_)) => self.settings.overlap_seconds,
        };
        let version = secret.version + 1;
        let key = WebhookKey::generate(&mut self.rng.generator());
        let binding = Binding {
            context: secret.secret_type.as_str(),
            org_id: &secret.org_id,
            secret_id: &secret.id,
            version,
        };
        let value = key.expose();
        let sealed = sealing::seal(
            &mut self.rng.generator(),
            &self.keys.ring,
            &binding,
            value.expose_secret().as_bytes(),
        )
        .map_err(|e| StepError::crypto("sealing the new value")(&e))?;
        // A suspected leak leaves no overlap, and counts from here. Otherwise the overlap counts
        // from when the customer has the new key: at once in self-service, else from the handoff.
        let old_valid_until = match (overlap_seconds, grant) {
            (0, _) => Some(now),
            (_, None) => Some(now + overlap_seconds * time::SECOND),
            (_, Some(_)) => None,
        };
        let old_state =
            if overlap_seconds == 0 { VersionState::Retired } else { VersionState::Retiring };
        secrets::set_state(tx, &secret.id, secret.version, old_state, old_valid_until).await?;
        if ready.leak {
            for older in versions.iter().filter(|v| v.state == VersionState::Retiring) {
                secrets::set_state(tx, &secret.id, older.version, VersionState::Retired, Some(now))
                    .await?;
            }
        }
        let replacement = Replacement {
            rotation_id: self.new_id(),
            version: Version {
                secret_id: secret.id.clone(),
                version,
                state: VersionState::Live,
                created_at: now,
                retires_at: None,
                kek_id: Some(sealed.kek_id),
                sealed: Some(sealed.bytes),
                reference: None,
            },
            fingerprint: Some(hex(self
                .keys
                .fingerprint
                .fingerprint(value.expose_secret().as_bytes())
                .as_bytes())),
            value: Some(value.clone()),
            overlap_seconds,
            old_valid_until,
            details: Vec::new(),
        };
        self.record(tx, ready, ask, replacement).await
    }
}
