//! The replacement of a gateway's certificate. A gateway that is online is told to re-enrol, and
//! makes its new key itself; for one that is down, key and certificate are made here, for the
//! handoff.

use rcgen::{KeyPair, PublicKeyData as _};
use secrecy::{ExposeSecret, SecretString};

use super::record::Replacement;
use super::rotate::{Ask, Certified, Ready, Rotated};
use super::{Desk, Step, StepError};
use crate::auth::credential::hex;
use crate::model::{Micros, VersionState, time};
use crate::secrets::certificates::{BACKDATED, Bundle, LIFE, Reason, Validity, key_hash};
use crate::store::Tx;
use crate::store::gateways::{self, Certificate};
use crate::store::secrets::{self, Secret, Version};

/// How long a gateway has to re-enrol.
pub const TIME_TO_REENROL: Micros = 15 * time::MINUTE;

impl Desk {
    pub(super) async fn replace_certificate(
        &self,
        tx: &mut Tx,
        ready: &Ready,
        ask: &Ask,
    ) -> Step<Rotated> {
        if ask.overlap_seconds.is_some() || ask.during_overlap {
            return Err(StepError::Invalid(
                "A gateway's certificate has no overlap to set: leave overlap_seconds and during_overlap out.",
            ));
        }
        let now = self.now();
        let secret = &ready.secret;
        gateways::insert(tx.conn(), &secret.id).await?;
        let gateway = gateways::by_id(tx.conn(), &secret.id).await?.ok_or(StepError::NotFound)?;
        if gateway.rotation_id.is_some() {
            // A leak does not wait for whoever holds the key to take up an order.
            if !ready.leak && gateway.deadline.is_some_and(|at| at > now) {
                return Err(StepError::Conflict(
                    "This gateway has been told to re-enrol and has not done so yet. Wait until it has, or until its time is up.",
                ));
            }
            self.give_up(tx, &gateway).await?;
        }
        let current = gateways::certificates(tx.conn(), &secret.id, 20)
            .await?
            .into_iter()
            .find(|c| c.version == secret.version && c.revoked_at.is_none());
        let newest =
            secrets::versions(tx.conn(), &secret.id).await?.first().map_or(0, |v| v.version);
        let version = newest.max(secret.version) + 1;
        // Where a leak is suspected it may be the thief who beats: whoever is told to re-enrol
        // would get the new certificate. And only who has the live one counts as being there.
        let there = |c: &Certificate| {
            c.not_after > now
                && c.last_seen_at.is_some_and(|at| self.settings.gateways.is_online(at, now))
        };
        let online = !ready.leak && current.as_ref().is_some_and(there);
        if online {
            self.order_reenrolment(tx, ready, ask, version, current.as_ref()).await
        } else {
            self.make_bundle(tx, ready, ask, version, current.as_ref()).await
        }
    }

    /// Tells the gateway, at its next beat.
    async fn order_reenrolment(
        &self,
        tx: &mut Tx,
        ready: &Ready,
        ask: &Ask,
        version: i64,
        current: Option<&Certificate>,
    ) -> Step<Rotated> {
        let now = self.now();
        let deadline = now + TIME_TO_REENROL;
        let secret = &ready.secret;
        let rotation_id = self.new_id();
        let old = current.map(|c| c.serial.clone());
        let replacement = Replacement {
            rotation_id: rotation_id.clone(),
            version: Version {
                secret_id: secret.id.clone(),
                version,
                state: VersionState::Pending,
                created_at: now,
                retires_at: None,
                kek_id: None,
                sealed: None,
                reference: None,
            },
            fingerprint: None,
            value: None,
            overlap_seconds: 0,
            old_valid_until: None,
            details: vec![
                ("mode", "reenrol".into()),
                ("old_serial", old.clone().unwrap_or_default().into()),
                ("reenrol_by", deadline.into()),
            ],
        };
        let mut rotated = self.record(tx, ready, ask, replacement).await?;
        if !gateways::order(tx, &secret.id, &rotation_id, deadline).await? {
            return Err(StepError::Conflict(
                "This gateway was told to re-enrol at the same moment by somebody else.",
            ));
        }
        rotated.certified = Some(Certified::Reenrol { old_serial: old, deadline });
        Ok(rotated)
    }

    /// Makes key and certificate for a gateway that is down. They are sealed for the Owner, or in
    /// self-service in the answer, and nowhere else.
    async fn make_bundle(
        &self,
        tx: &mut Tx,
        ready: &Ready,
        ask: &Ask,
        version: i64,
        current: Option<&Certificate>,
    ) -> Step<Rotated> {
        let now = self.now();
        let secret = &ready.secret;
        let issuing = self.issuing(tx.conn()).await?;
        let failed = |e: &dyn std::fmt::Display| StepError::crypto("making a certificate")(e);
        let key = KeyPair::generate().map_err(|e| failed(&e))?;
        let leaf = issuing
            .authority
            .issue(&secret.id, &key, now - BACKDATED, now + LIFE, &mut self.rng.generator())
            .map_err(|e| failed(&e))?;
        let key_pem = SecretString::from(key.serialize_pem());
        let trusted = self.authorities_pem(tx.conn()).await?;
        let bundle = Bundle::write(&key_pem, &leaf.pem, &trusted);

        let gone = ready.leak || current.is_none_or(|c| c.not_after <= now);
        let (state, until) = match current {
            Some(c) if !gone => (VersionState::Retiring, c.not_after),
            _ => (VersionState::Retired, now),
        };
        secrets::set_state(tx, &secret.id, secret.version, state, Some(until)).await?;
        if ready.leak {
            let reason = Reason::KeyCompromise.as_str();
            gateways::revoke_up_to(tx, &secret.id, secret.version, "", reason, now).await?;
        }
        let old = current.map(|c| c.serial.clone());
        let replacement = Replacement {
            rotation_id: self.new_id(),
            version: Version {
                secret_id: secret.id.clone(),
                version,
                state: VersionState::Live,
                created_at: now,
                retires_at: None,
                kek_id: None,
                sealed: None,
                reference: Some(leaf.serial.clone()),
            },
            fingerprint: Some(hex(self
                .keys
                .fingerprint
                .fingerprint(body_of(&key_pem).expose_secret().as_bytes())
                .as_bytes())),
            value: Some(bundle),
            overlap_seconds: 0,
            old_valid_until: Some(until),
            details: vec![
                ("mode", "bundle".into()),
                ("old_serial", old.clone().unwrap_or_default().into()),
                ("serial", leaf.serial.clone().into()),
                ("expires_at", leaf.validity.not_after.into()),
            ],
        };
        let mut rotated = self.record(tx, ready, ask, replacement).await?;
        secrets::set_expires(tx, &secret.id, leaf.validity.not_after).await?;
        let hash = key_hash(&key.subject_public_key_info());
        let certificate =
            Certificate { version, bundled: 1, ..issuing.row(&secret.id, &leaf, hash, now) };
        gateways::insert_certificate(tx, &certificate).await?;
        rotated.certified = Some(Certified::Bundle { old_serial: old, serial: leaf.serial });
        Ok(rotated)
    }
}

impl Desk {
    /// Issues the certificate of a gateway's present version as of other days, for a seeded story;
    /// the bundle that the gateway has.
    ///
    /// # Errors
    /// Where there is no authority, or the database does not answer.
    pub async fn plant_certificate(
        &self,
        tx: &mut Tx,
        secret: &Secret,
        validity: Validity,
        last_seen_at: Option<Micros>,
    ) -> Step<SecretString> {
        let issuing = self.issuing(tx.conn()).await?;
        let failed = |e: &dyn std::fmt::Display| StepError::crypto("making a certificate")(e);
        let key = KeyPair::generate().map_err(|e| failed(&e))?;
        let (from, until) = (validity.not_before, validity.not_after);
        let leaf = issuing
            .authority
            .issue(&secret.id, &key, from, until, &mut self.rng.generator())
            .map_err(|e| failed(&e))?;
        let hash = key_hash(&key.subject_public_key_info());
        let certificate = Certificate {
            version: secret.version,
            last_seen_at,
            ..issuing.row(&secret.id, &leaf, hash, from)
        };
        gateways::insert(tx.conn(), &secret.id).await?;
        gateways::insert_certificate(tx, &certificate).await?;
        if let Some(at) = last_seen_at {
            gateways::beat(tx, &secret.id, &leaf.serial, "", at).await?;
        }
        secrets::set_reference(tx, &secret.id, secret.version, &leaf.serial).await?;
        secrets::set_expires(tx, &secret.id, leaf.validity.not_after).await?;
        let trusted = self.authorities_pem(tx.conn()).await?;
        let key_pem = SecretString::from(key.serialize_pem());
        Ok(Bundle::write(&key_pem, &leaf.pem, &trusted))
    }
}

/// The base64 of a key without its frame: what the guard on replies finds again.
fn body_of(pem: &SecretString) -> SecretString {
    let lines = pem.expose_secret().lines().filter(|line| !line.starts_with('-'));
    SecretString::from(lines.map(str::trim).collect::<String>())
}
