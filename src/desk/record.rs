//! What every rotation writes, whatever its type: the version, the rotation, the sealed handoff
//! and the audit row, in the one transaction it is given.

use secrecy::SecretString;
use serde_json::Value;

use super::rotate::{Ask, Ready, Rotated};
use super::{Desk, Step, StepError};
use crate::audit::{LogId, NewRow};
use crate::model::{Micros, VersionState};
use crate::proof::actions;
use crate::store::Tx;
use crate::store::secrets::{self, Rotation, Version};

/// A new version of a secret, made and not yet written.
pub(super) struct Replacement {
    /// The rotation's id.
    pub(super) rotation_id: String,
    /// The version. One that is `live` becomes the secret's current one.
    pub(super) version: Version,
    /// The keyed fingerprint of the value, for the guard.
    pub(super) fingerprint: Option<String>,
    /// The value, for the Owner or, in self-service, for the answer; absent where it never is
    /// with us (a gateway makes its own key).
    pub(super) value: Option<SecretString>,
    /// How long the old version stays accepted, in seconds.
    pub(super) overlap_seconds: i64,
    /// When the old version stops working; absent while that hangs on something.
    pub(super) old_valid_until: Option<Micros>,
    /// What else the audit row says: no secret, and only whole numbers.
    pub(super) details: Vec<(&'static str, Value)>,
}

impl Desk {
    /// Writes a rotation.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where another rotation was first; where anything cannot be
    /// written, and then the whole transaction must be undone.
    pub(super) async fn record(
        &self,
        tx: &mut Tx,
        ready: &Ready,
        ask: &Ask,
        new: Replacement,
    ) -> Step<Rotated> {
        let (known, secret) = (&ready.known, &ready.secret);
        let version = new.version.version;
        secrets::insert_version(tx.conn(), &new.version, new.fingerprint.as_deref()).await?;
        if new.version.state == VersionState::Live
            && !secrets::advance(tx, &secret.id, secret.version, version).await?
        {
            return Err(StepError::Conflict(
                "This secret was rotated at the same moment by somebody else.",
            ));
        }
        let rotation = Rotation {
            id: new.rotation_id,
            org_id: secret.org_id.clone(),
            secret_id: secret.id.clone(),
            from_version: secret.version,
            to_version: version,
            impersonation_id: known.grant.as_ref().map(|g| g.id.clone()),
            actor_id: known.actor.id.clone(),
            suspected_leak: i64::from(ready.leak),
            overlap_seconds: new.overlap_seconds,
            idempotency_by: ask.idempotency_key.as_ref().map(|_| known.scope.clone()),
            idempotency_key: ask.idempotency_key.clone(),
            asked: ready.asked.clone(),
            created_at: self.now(),
        };
        secrets::insert_rotation(tx, &rotation).await?;
        let handoff_id = match (&known.grant, &ready.org) {
            (Some(grant), Some(org)) => Some(
                self.seal_handoff(tx, org, grant, secret, &rotation, new.value.as_ref()).await?,
            ),
            _ => None,
        };
        let mut row = NewRow::new(actions::rotated(secret.secret_type.as_str()), &known.actor)
            .org(&secret.org_id)
            .secret(secret.secret_type, &secret.id);
        if let Some(grant) = &known.grant {
            row = row.under(grant);
        }
        row = row
            .with("rotation_id", rotation.id.clone())
            .with("from_version", rotation.from_version)
            .with("to_version", version)
            .with("suspected_leak", ready.leak)
            .with("overlap_seconds", new.overlap_seconds);
        if let Some(id) = &handoff_id {
            row = row.with("handoff_id", id.clone());
        }
        if let Some(at) = new.old_valid_until {
            row = row.with("old_valid_until", at);
        }
        for (name, value) in new.details {
            row = row.with(name, value);
        }
        // Asked again in this very transaction. It speaks of the org's own affairs alone.
        if let Some(grounds) = &ready.grounds {
            row = row.because(grounds);
        }
        self.log(tx, &LogId::Org(secret.org_id.clone()), row).await?;
        Ok(Rotated {
            value: if known.grant.is_none() { new.value } else { None },
            rotation,
            handoff_id,
            old_valid_until: new.old_valid_until,
            certified: None,
            replayed: false,
        })
    }
}
