//! What gateways ask for at the listener: to beat, and to re-enrol when told.
//!
//! Whoever comes here has shown a certificate in a TLS handshake. Whether that certificate still
//! counts is looked up once more, in the database, at each request: a connection may be older
//! than a revocation.

use secrecy::SecretString;

use super::{Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, LogId, NewRow};
use crate::auth::credential;
use crate::clock::new_token;
use crate::model::{Micros, SecretType, VersionState, time};
use crate::proof::actions;
use crate::proof::row::ActorType;
use crate::secrets::certificates::Reason;
use crate::store::gateways::{self, Certificate, Gateway};
use crate::store::secrets::{self, Rotation, Secret};
use crate::store::{Tx, impersonations, orgs};

/// What a deployment decides about its gateways.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// How often gateways beat.
    pub interval: Micros,
    /// The names under which gateways reach the listener: hosts, or addresses.
    pub names: Vec<String>,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self { interval: 30 * time::SECOND, names: vec!["localhost".to_owned()] }
    }
}

impl GatewaySettings {
    /// Whether a gateway that beat at `last` counts as online at `now`: within three intervals.
    #[must_use]
    pub fn is_online(&self, last: Micros, now: Micros) -> bool {
        now - last <= 3 * self.interval
    }
}

/// The answer to a beat.
#[derive(Debug)]
pub struct Beaten {
    /// The certificate that it came with.
    pub certificate: Certificate,
    /// To re-enrol: the nonce that the request has to carry, and until when.
    pub order: Option<(SecretString, Micros)>,
}

/// How a gateway stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It beats.
    Online,
    /// It does not, and its certificate holds.
    Offline,
    /// Its certificate has expired: it cannot connect.
    Expired,
    /// It has never been there.
    NeverSeen,
}

/// A gateway as a page shows it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How it stands.
    pub standing: Standing,
    /// What is kept of it.
    pub gateway: Gateway,
    /// Its newest certificates, newest first.
    pub certificates: Vec<Certificate>,
    /// Whether its last re-enrolment did not come about.
    pub failed: bool,
}

fn gateway_actor(gateway_id: &str) -> Actor {
    Actor {
        actor_type: ActorType::System,
        id: gateway_id.to_owned(),
        name: format!("Gateway {gateway_id}"),
        from: None,
    }
}

impl Desk {
    /// The certificate with this serial number, if it still counts.
    pub(super) async fn counting(
        &self,
        conn: &mut sqlx::AnyConnection,
        serial: &str,
    ) -> Step<Certificate> {
        let certificate = gateways::certificate(conn, serial)
            .await?
            .ok_or(StepError::Forbidden("This certificate was not issued here."))?;
        if certificate.revoked_at.is_some() {
            return Err(StepError::Forbidden("This certificate has been revoked."));
        }
        if certificate.not_after <= self.now() {
            return Err(StepError::Forbidden("This certificate has expired."));
        }
        Ok(certificate)
    }

    /// Whether the certificate with this serial number may ask for anything at all.
    ///
    /// # Errors
    /// [`StepError::Forbidden`] where it does not count any more.
    pub async fn may_ask(&self, serial: &str) -> Step<()> {
        let mut conn = self.store.read().await?;
        self.counting(&mut conn, serial).await.map(|_| ())
    }

    /// Records a beat of the gateway that holds the certificate with this serial number. With a
    /// certificate that is there for the first time, what it replaces is revoked.
    ///
    /// # Errors
    /// [`StepError::Forbidden`] where the certificate does not count any more.
    pub async fn heartbeat(&self, serial: &str, agent: &str) -> Step<Beaten> {
        let agent: String = agent.chars().filter(|c| !c.is_control()).take(80).collect();
        let first = {
            let mut conn = self.store.read().await?;
            self.counting(&mut conn, serial).await?.last_seen_at.is_none()
        };
        let mut tx = self.begin().await?;
        let step = self.beat_in(&mut tx, serial, &agent, first).await;
        let step = self.settle(tx, step).await;
        if first && step.is_ok() {
            self.lists_changed.notify_one();
        }
        step
    }

    async fn beat_in(&self, tx: &mut Tx, serial: &str, agent: &str, first: bool) -> Step<Beaten> {
        let now = self.now();
        if first {
            let before = self.counting(tx.conn(), serial).await?;
            let secret = self.lock_gateway(tx, &before.secret_id).await?;
            let certificate = self.counting(tx.conn(), serial).await?;
            self.first_seen(tx, &secret, &certificate).await?;
        }
        let certificate = self.counting(tx.conn(), serial).await?;
        gateways::beat(tx, &certificate.secret_id, serial, agent, now).await?;
        let gateway =
            gateways::by_id(tx.conn(), &certificate.secret_id).await?.ok_or(StepError::NotFound)?;
        let mut order = None;
        if let (Some(rotation), Some(deadline)) = (&gateway.rotation_id, gateway.deadline)
            && deadline > now
        {
            let nonce = new_token(self.rng.as_ref());
            let hash = credential::hash(&nonce);
            gateways::set_nonce(tx, &gateway.secret_id, rotation, Some(&hash)).await?;
            order = Some((nonce, deadline));
        }
        Ok(Beaten { certificate, order })
    }

    /// Takes the locks of a step about a gateway, in the order of every step.
    pub(super) async fn lock_gateway(&self, tx: &mut Tx, secret_id: &str) -> Step<Secret> {
        let secret = secrets::by_id(tx.conn(), secret_id).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &secret.org_id).await?;
        orgs::lock(tx, &secret.org_id).await?;
        secrets::by_id(tx.conn(), secret_id).await?.ok_or(StepError::NotFound)
    }

    /// A certificate is there for the first time: what it replaces has done its service.
    async fn first_seen(&self, tx: &mut Tx, secret: &Secret, new: &Certificate) -> Step<()> {
        let gateway = gateways::by_id(tx.conn(), &secret.id).await?.ok_or(StepError::NotFound)?;
        if let Some(rotation_id) = &gateway.rotation_id
            && gateway.issued.as_ref() == Some(&new.serial)
        {
            let rotation = secrets::rotation_by_id(tx.conn(), rotation_id)
                .await?
                .ok_or(StepError::NotFound)?;
            return self.complete(tx, secret, &rotation, new, Reason::Superseded).await;
        }
        // The bundle of a handoff: its version is the live one since it was made.
        if new.version != secret.version {
            return Ok(());
        }
        let now = self.now();
        let old = self.old_serial(tx, secret, new).await?;
        let reason = Reason::Superseded.as_str();
        let revoked =
            gateways::revoke_up_to(tx, &secret.id, new.version, &new.serial, reason, now).await?;
        for older in secrets::versions(tx.conn(), &secret.id).await? {
            if older.state == VersionState::Retiring {
                let state = VersionState::Retired;
                secrets::set_state(tx, &secret.id, older.version, state, Some(now)).await?;
            }
        }
        let Some(rotation) = secrets::rotations_of_secret(tx.conn(), &secret.id)
            .await?
            .into_iter()
            .find(|r| r.to_version == new.version)
        else {
            return Ok(());
        };
        let row = self
            .row_about(tx, secret, &rotation, actions::MTLS_CERTIFICATE_CONNECTED)
            .await?
            .with("old_serial", old)
            .with("serial", new.serial.clone())
            .with("revoked", i64::try_from(revoked).unwrap_or(i64::MAX));
        self.log(tx, &LogId::Org(secret.org_id.clone()), row).await?;
        Ok(())
    }

    pub(super) async fn old_serial(
        &self,
        tx: &mut Tx,
        secret: &Secret,
        new: &Certificate,
    ) -> Step<String> {
        let all = gateways::certificates(tx.conn(), &secret.id, 20).await?;
        Ok(all.into_iter().find(|c| c.version < new.version).map_or_else(String::new, |c| c.serial))
    }

    /// A row by the gateway about what a rotation set going. It is no use of the impersonation's
    /// token, so it does not carry its id; once that has ended, it says after which.
    pub(super) async fn row_about(
        &self,
        tx: &mut Tx,
        secret: &Secret,
        rotation: &Rotation,
        action: &str,
    ) -> Step<NewRow> {
        let mut row = NewRow::new(action, &gateway_actor(&secret.id))
            .org(&secret.org_id)
            .secret(SecretType::MtlsCertificate, &secret.id)
            .with("rotation_id", rotation.id.clone())
            .with("version", rotation.to_version);
        if let Some(id) = &rotation.impersonation_id
            && let Some(grant) = impersonations::by_id(tx.conn(), id).await?
        {
            row = row.ticket(&grant.ticket_id);
            if grant.ended_at.is_some() {
                row = row.with("after_impersonation", grant.id);
            }
        }
        Ok(row)
    }

    /// How a gateway stands, for a page.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn gateway(
        &self,
        conn: &mut sqlx::AnyConnection,
        secret: &Secret,
    ) -> Step<Option<Seen>> {
        if secret.secret_type != SecretType::MtlsCertificate {
            return Ok(None);
        }
        let Some(gateway) = gateways::by_id(conn, &secret.id).await? else { return Ok(None) };
        let now = self.now();
        let certificates = gateways::certificates(conn, &secret.id, 4).await?;
        let expired = secret.expires_at.is_some_and(|at| at <= now);
        let standing = match gateway.last_beat_at {
            _ if expired => Standing::Expired,
            None => Standing::NeverSeen,
            Some(at) if self.settings.gateways.is_online(at, now) => Standing::Online,
            Some(_) => Standing::Offline,
        };
        let failed = secrets::versions(conn, &secret.id)
            .await?
            .first()
            .is_some_and(|v| v.state == VersionState::Failed);
        Ok(Some(Seen { standing, gateway, certificates, failed }))
    }
}
