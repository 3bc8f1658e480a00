//! Re-enrolment: a gateway that was told to gets a certificate for a new key of its own making,
//! and the one before goes once the new one is seen.

use secrecy::SecretString;

use super::{Desk, Step, StepError};
use crate::audit::{Actor, LogId};
use crate::auth::credential;
use crate::model::VersionState;
use crate::proof::actions;
use crate::proof::row::Outcome;
use crate::secrets::certificates::{BACKDATED, LIFE, Reason, judge};
use crate::store::Tx;
use crate::store::gateways::{self, Certificate, Gateway};
use crate::store::secrets::{self, Rotation, Secret};

/// A certificate that was issued to a gateway.
#[derive(Debug)]
pub struct Issued {
    /// Its serial number.
    pub serial: String,
    /// The certificate in PEM.
    pub pem: String,
    /// The authorities to trust, in PEM.
    pub authorities: String,
}

impl Desk {
    /// Certifies a gateway's new key. It has to have been told to re-enrol; `nonce` is what it was
    /// told with. (EST has no place for one: there the certificate of the connection alone
    /// counts, RFC 7030 section 3.3.2.) The old certificate works until the new one is seen; where
    /// a leak is suspected, until here.
    ///
    /// # Errors
    /// [`StepError::Forbidden`] where the certificate does not count any more, or nothing was
    /// ordered; [`StepError::Denied`] where the request is refused, which the org's log says.
    pub async fn reenrol(
        &self,
        serial: &str,
        nonce: Option<&SecretString>,
        request: &[u8],
    ) -> Step<Issued> {
        let mut tx = self.begin().await?;
        let step = self.reenrol_in(&mut tx, serial, nonce, request).await;
        let step = self.settle(tx, step).await;
        if step.is_ok() {
            self.lists_changed.notify_one();
        }
        step
    }

    async fn reenrol_in(
        &self,
        tx: &mut Tx,
        serial: &str,
        nonce: Option<&SecretString>,
        request: &[u8],
    ) -> Step<Issued> {
        let now = self.now();
        let before = self.counting(tx.conn(), serial).await?;
        let secret = self.lock_gateway(tx, &before.secret_id).await?;
        let current = self.counting(tx.conn(), serial).await?;
        let gateway = gateways::by_id(tx.conn(), &secret.id).await?.ok_or(StepError::NotFound)?;
        let (Some(rotation_id), Some(_)) =
            (&gateway.rotation_id, gateway.deadline.filter(|at| *at > now))
        else {
            return Err(StepError::Forbidden("This gateway was not told to re-enrol."));
        };
        if current.version != secret.version {
            return Err(StepError::Forbidden("Re-enrol with the certificate that is live."));
        }
        if let Some(nonce) = nonce
            && gateway.nonce_hash.as_deref() != Some(credential::hash(nonce).as_str())
        {
            return Err(StepError::Forbidden(
                "The nonce is not the one of the last beat: beat again.",
            ));
        }
        let rotation =
            secrets::rotation_by_id(tx.conn(), rotation_id).await?.ok_or(StepError::NotFound)?;
        let judged = match judge(request, &secret.id) {
            Ok(judged) if !gateways::key_is_known(tx.conn(), &judged.key_hash).await? => judged,
            Ok(_) => {
                let why = "The key was certified before: make a new one.";
                return self.deny_request(tx, &secret, &rotation, why).await;
            }
            Err(problem) => {
                return self.deny_request(tx, &secret, &rotation, problem.as_str()).await;
            }
        };
        if let Some(unseen) = &gateway.issued {
            // Its answer was lost on the way.
            gateways::revoke(tx, unseen, Reason::NeverUsed.as_str(), now).await?;
        }
        let issuing = self.issuing(tx.conn()).await?;
        let leaf = issuing
            .authority
            .issue(&secret.id, &judged.key, now - BACKDATED, now + LIFE, &mut self.rng.generator())
            .map_err(|e| StepError::crypto("making a certificate")(&e))?;
        let certificate = Certificate {
            version: rotation.to_version,
            ..issuing.row(&secret.id, &leaf, judged.key_hash, now)
        };
        gateways::insert_certificate(tx, &certificate).await?;
        gateways::set_issued(tx, &secret.id, rotation_id, &leaf.serial).await?;
        secrets::set_reference(tx, &secret.id, rotation.to_version, &leaf.serial).await?;
        if rotation.suspected_leak != 0 {
            self.complete(tx, &secret, &rotation, &certificate, Reason::KeyCompromise).await?;
        }
        let authorities = self.authorities_pem(tx.conn()).await?;
        Ok(Issued { serial: leaf.serial, pem: leaf.pem, authorities })
    }

    /// Refuses a request, and says so in the org's log. The nonce is used up, so that each try
    /// costs a beat.
    async fn deny_request(
        &self,
        tx: &mut Tx,
        secret: &Secret,
        rotation: &Rotation,
        why: &'static str,
    ) -> Step<Issued> {
        gateways::set_nonce(tx, &secret.id, &rotation.id, None).await?;
        let row = self
            .row_about(tx, secret, rotation, actions::MTLS_CERTIFICATE_REQUEST_REFUSED)
            .await?
            .outcome(Outcome::Refused)
            .with("why", why);
        self.log(tx, &LogId::Org(secret.org_id.clone()), row).await?;
        Err(StepError::Denied(why))
    }

    /// A re-enrolment has not come about in time: the old certificate goes on, and what was issued
    /// and never seen is revoked.
    pub(super) async fn give_up(&self, tx: &mut Tx, gateway: &Gateway) -> Step<()> {
        let Some(rotation_id) = &gateway.rotation_id else { return Ok(()) };
        let now = self.now();
        let secret =
            secrets::by_id(tx.conn(), &gateway.secret_id).await?.ok_or(StepError::NotFound)?;
        let rotation =
            secrets::rotation_by_id(tx.conn(), rotation_id).await?.ok_or(StepError::NotFound)?;
        if !gateways::close_order(tx, &secret.id, rotation_id).await? {
            return Ok(());
        }
        if let Some(unseen) = &gateway.issued {
            gateways::revoke(tx, unseen, Reason::NeverUsed.as_str(), now).await?;
        }
        let failed = VersionState::Failed;
        secrets::set_state(tx, &secret.id, rotation.to_version, failed, Some(now)).await?;
        let action = actions::rotation_failed(actions::MTLS_CERTIFICATE);
        let mut row = self.row_about(tx, &secret, &rotation, &action).await?;
        row.actor = Actor::system();
        let row = row
            .outcome(Outcome::Failed)
            .with("old_secret", "still works")
            .with("why", "the gateway did not re-enrol in time");
        self.log(tx, &LogId::Org(secret.org_id.clone()), row).await?;
        Ok(())
    }

    /// Gives up every re-enrolment whose time is over; how many there were.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn give_up_overdue(&self) -> Step<usize> {
        let overdue = {
            let mut conn = self.store.read().await?;
            gateways::overdue(&mut conn, self.now()).await?
        };
        let (mut done, mut failed) = (0, None);
        for late in overdue {
            let mut tx = self.begin().await?;
            let step = self.give_up_late(&mut tx, &late.secret_id).await;
            match self.settle(tx, step).await {
                Ok(()) => done += 1,
                // One that cannot be closed must not keep the others open.
                Err(e) => {
                    tracing::error!(error = %e, gateway = %late.secret_id, "giving a re-enrolment up");
                    failed.get_or_insert(e);
                }
            }
            self.lists_changed.notify_one();
        }
        failed.map_or(Ok(done), Err)
    }

    async fn give_up_late(&self, tx: &mut Tx, secret_id: &str) -> Step<()> {
        self.lock_gateway(tx, secret_id).await?;
        let gateway = gateways::by_id(tx.conn(), secret_id).await?.ok_or(StepError::NotFound)?;
        // It may have come about between the list and now.
        match gateway.deadline {
            Some(at) if at <= self.now() => self.give_up(tx, &gateway).await,
            _ => Ok(()),
        }
    }

    /// The re-enrolment has come about: the new version is live, the old certificate revoked.
    pub(super) async fn complete(
        &self,
        tx: &mut Tx,
        secret: &Secret,
        rotation: &Rotation,
        new: &Certificate,
        reason: Reason,
    ) -> Step<()> {
        let now = self.now();
        if !gateways::close_order(tx, &secret.id, &rotation.id).await?
            || !secrets::advance(tx, &secret.id, rotation.from_version, rotation.to_version).await?
        {
            return Err(StepError::Conflict("This re-enrolment is not under way any more."));
        }
        let old = self.old_serial(tx, secret, new).await?;
        let (live, retired) = (VersionState::Live, VersionState::Retired);
        secrets::set_state(tx, &secret.id, rotation.to_version, live, None).await?;
        secrets::set_state(tx, &secret.id, rotation.from_version, retired, Some(now)).await?;
        secrets::set_expires(tx, &secret.id, new.not_after).await?;
        gateways::revoke_up_to(
            tx,
            &secret.id,
            rotation.to_version,
            &new.serial,
            reason.as_str(),
            now,
        )
        .await?;
        let row = self
            .row_about(tx, secret, rotation, actions::MTLS_CERTIFICATE_REENROLLED)
            .await?
            .with("old_serial", old)
            .with("serial", new.serial.clone())
            .with("expires_at", new.not_after);
        self.log(tx, &LogId::Org(secret.org_id.clone()), row).await?;
        Ok(())
    }
}
