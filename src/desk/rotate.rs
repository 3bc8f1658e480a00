//! Step 4: replace a secret. The console's button, the REST API under an impersonation token and
//! the customer's own call are the same function.

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::{Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, LogId, NewRow};
use crate::auth::credential::hex;
use crate::auth::token::TokenError;
use crate::model::{Micros, SecretType, Standing};
use crate::policy::grounds::Grounds;
use crate::proof::actions;
use crate::proof::row::{ActorType, Outcome};
use crate::store::handoffs;
use crate::store::impersonations::Impersonation;
use crate::store::orgs::{self, Member, Org};
use crate::store::secrets::{self, Rotation, Secret};
use crate::store::{self, Tx, staff};

/// The longest overlap: a week, in seconds.
pub const LONGEST_OVERLAP: i64 = 604_800;

/// Who asks for a rotation.
#[derive(Debug, Clone)]
pub enum Caller {
    /// The holder of an impersonation token, for whoever presents it.
    Token(SecretString),
    /// A member of the org, with the org's own credential.
    Member(Box<Member>),
}

/// How a rotation is asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Whether the old key is suspected to have leaked: it then stops working at once. Under an
    /// impersonation the ticket says so, and this is ignored.
    pub suspected_leak: bool,
    /// How long the old key stays valid, in seconds; the deployment's default where absent. Only
    /// in self-service.
    pub overlap_seconds: Option<i64>,
    /// To rotate although the overlap of the last rotation is not over.
    pub during_overlap: bool,
    /// The `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The network address it comes from.
    pub from: Option<String>,
}

/// How a gateway's certificate is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certified {
    /// The gateway is told to re-enrol at its next beat, and makes its new key itself.
    Reenrol {
        /// The serial number that works until then.
        old_serial: Option<String>,
        /// Until when it has to.
        deadline: Micros,
    },
    /// Key and certificate were made for the handoff.
    Bundle {
        /// The serial number before.
        old_serial: Option<String>,
        /// The new serial number.
        serial: String,
    },
}

/// What a rotation came to.
#[derive(Debug)]
pub struct Rotated {
    /// The rotation.
    pub rotation: Rotation,
    /// The sealed handoff, under an impersonation.
    pub handoff_id: Option<String>,
    /// When the old version stops working; absent while that hangs on the handoff.
    pub old_valid_until: Option<Micros>,
    /// The new value, in self-service, the first time.
    pub value: Option<SecretString>,
    /// How a gateway's certificate is replaced; absent for other types, and in a repeated answer.
    pub certified: Option<Certified>,
    /// Whether this is the answer to a repeated `Idempotency-Key`.
    pub replayed: bool,
}

/// The caller, once known.
pub(super) struct Known {
    pub(super) actor: Actor,
    pub(super) grant: Option<Impersonation>,
    pub(super) org_id: String,
    /// Whose `Idempotency-Key` it is.
    pub(super) scope: String,
}

/// A rotation that may be made, with all that it needs.
pub(super) struct Ready {
    pub(super) known: Known,
    /// The org, under an impersonation: whom the handoff is for.
    pub(super) org: Option<Org>,
    pub(super) secret: Secret,
    /// Whether a leak is suspected: by the ticket, or in self-service by the caller.
    pub(super) leak: bool,
    /// Why the ticket may be served, as it was asked again, under an impersonation.
    pub(super) grounds: Option<Grounds>,
    /// A digest of what was asked.
    pub(super) asked: String,
}

/// What the facts say about a rotation that is asked for.
pub(super) enum Gathered {
    /// It was made before, with the same `Idempotency-Key`.
    Before(Box<Rotated>),
    /// It may be made.
    Ready(Box<Ready>),
}

impl Desk {
    /// Rotates a secret, in one transaction (a vault token, which is made outside, in several): the
    /// new version, the sealed handoff and the audit
    /// row are all written, or none is. Where it fails, the old secret still works, and a second
    /// transaction writes that it failed.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a secret of another org; [`StepError::Forbidden`] for one that
    /// the caller may not rotate; [`StepError::Refused`] where a check fails by now.
    pub async fn rotate(
        &self,
        secret_type: SecretType,
        secret_id: &str,
        caller: &Caller,
        ask: &Ask,
    ) -> Step<Rotated> {
        if let Caller::Token(token) = caller {
            self.refresh_for(token).await?;
        }
        self.prepare_key_for_secret(secret_id).await?;
        let step = if secret_type == SecretType::VaultToken {
            // Not one transaction: it writes down by itself what fails half-way.
            self.rotate_vault_token(secret_id, caller, ask).await
        } else {
            let mut tx = self.begin().await?;
            let step = self.rotate_in(&mut tx, secret_type, secret_id, caller, ask).await;
            let step = self.settle(tx, step).await;
            if let Err(e @ (StepError::Store(_) | StepError::Audit(_) | StepError::Crypto { .. })) =
                &step
            {
                self.failed(e, secret_type, secret_id, caller, ask).await;
            }
            if step.is_ok() && secret_type == SecretType::MtlsCertificate {
                self.lists_changed.notify_one();
            }
            step
        };
        if let (Err(StepError::Forbidden(why)), Caller::Token(token)) = (&step, caller) {
            self.note_refused_token(token, why, ask.from.clone()).await?;
        }
        step
    }

    /// Writes, in a transaction of its own, that a rotation failed.
    pub(super) async fn failed(
        &self,
        e: &StepError,
        secret_type: SecretType,
        secret_id: &str,
        caller: &Caller,
        ask: &Ask,
    ) {
        tracing::error!(error = %e, secret_id, "a rotation failed");
        if let Err(lost) = self.note_failure(secret_type, secret_id, caller, ask).await {
            tracing::error!(error = %lost, secret_id, "writing that a rotation failed");
        }
    }

    async fn note_failure(
        &self,
        secret_type: SecretType,
        secret_id: &str,
        caller: &Caller,
        ask: &Ask,
    ) -> Step<()> {
        let mut tx = self.begin().await?;
        let known = self.known(&mut tx, caller, ask).await?;
        let mut row = NewRow::new(actions::rotation_failed(secret_type.as_str()), &known.actor)
            .outcome(Outcome::Failed)
            .org(&known.org_id)
            .secret(secret_type, secret_id);
        if let Some(grant) = &known.grant {
            row = row.under(grant);
        }
        let row = row.with("old_secret", "still works");
        self.log(&mut tx, &LogId::Org(known.org_id), row).await?;
        Ok(tx.commit().await?)
    }

    async fn known(&self, tx: &mut Tx, caller: &Caller, ask: &Ask) -> Step<Known> {
        match caller {
            Caller::Member(member) => {
                let member = &as_of_now(tx, member).await?;
                if !member.role.may_rotate() {
                    return Err(StepError::Forbidden(
                        "Only an Owner or an Admin of the org can rotate its keys.",
                    ));
                }
                Ok(Known {
                    actor: member_actor(member, ask.from.clone()),
                    grant: None,
                    org_id: member.org_id.clone(),
                    scope: format!("org/{}", member.org_id),
                })
            }
            Caller::Token(token) => {
                let (_, grant) =
                    self.check_token(tx.conn(), token).await?.map_err(|e| refused_token(&e))?;
                let admin =
                    staff::by_id(tx.conn(), &grant.admin_id).await?.ok_or(StepError::NotFound)?;
                Ok(Known {
                    actor: Actor {
                        actor_type: ActorType::PlatformAdminImpersonating,
                        id: admin.id,
                        name: admin.name,
                        from: ask.from.clone(),
                    },
                    org_id: grant.org_id.clone(),
                    scope: format!("impersonation/{}", grant.id),
                    grant: Some(grant),
                })
            }
        }
    }

    async fn rotate_in(
        &self,
        tx: &mut Tx,
        secret_type: SecretType,
        secret_id: &str,
        caller: &Caller,
        ask: &Ask,
    ) -> Step<Rotated> {
        let ready = match self.gather(tx, secret_type, secret_id, caller, ask).await? {
            Gathered::Before(rotated) => return Ok(*rotated),
            Gathered::Ready(ready) => *ready,
        };
        match secret_type {
            SecretType::WebhookSigningKey => self.replace_webhook_key(tx, &ready, ask).await,
            SecretType::MtlsCertificate => self.replace_certificate(tx, &ready, ask).await,
            SecretType::VaultToken => {
                Err(StepError::Invalid("A vault token is not replaced in one transaction."))
            }
        }
    }

    /// Locks both logs and the org, reads the facts and asks the checks: whether this rotation
    /// may be made, now, in this transaction.
    ///
    /// # Errors
    /// As [`Desk::rotate`].
    pub(super) async fn gather(
        &self,
        tx: &mut Tx,
        secret_type: SecretType,
        secret_id: &str,
        caller: &Caller,
        ask: &Ask,
    ) -> Step<Gathered> {
        check_ask(ask)?;
        // Once to learn which org to lock, and once more under the lock: what held before the
        // lock may not hold any more.
        let org_id = self.known(tx, caller, ask).await?.org_id;
        lock_both(tx, &org_id).await?;
        orgs::lock(tx, &org_id).await?;
        let known = self.known(tx, caller, ask).await?;

        let secret = secrets::of_org(tx.conn(), &known.org_id, secret_id)
            .await?
            .filter(|s| s.secret_type == secret_type)
            .ok_or(StepError::NotFound)?;
        if known
            .grant
            .as_ref()
            .is_some_and(|g| g.secret_id != secret.id || g.secret_type != secret.secret_type)
        {
            return Err(StepError::Forbidden("This token is for another secret."));
        }
        let asked = fingerprint_of(&secret.id, ask);
        if let Some(key) = &ask.idempotency_key
            && let Some(before) = secrets::rotation_by_key(tx.conn(), &known.scope, key).await?
        {
            return Ok(Gathered::Before(Box::new(self.replay(tx, before, &asked).await?)));
        }

        let mut leak = ask.suspected_leak;
        let (mut org, mut grounds) = (None, None);
        if let Some(grant) = &known.grant {
            if secrets::rotation_of(tx.conn(), &grant.id).await?.is_some() {
                return Err(StepError::Conflict(
                    "This impersonation has made its one rotation already.",
                ));
            }
            let case =
                self.case(tx.conn(), &grant.ticket_id, &grant.admin_id, Some(&grant.id)).await?;
            if !case.verdict.eligible() {
                // With the impersonation's id: the attempt belongs to its trail.
                let row = NewRow::new(actions::PLATFORM_ROTATION_REFUSED, &known.actor)
                    .outcome(Outcome::Refused)
                    .under(grant)
                    .with("failed_checks", case.verdict.failed_names());
                self.log(tx, &LogId::Platform, row).await?;
                return Err(StepError::Refused(Box::new(case.verdict)));
            }
            leak = case.ticket.as_ref().is_some_and(store::tickets::Ticket::suspected_leak);
            grounds = Some(case.grounds());
            org = case.org;
        }
        Ok(Gathered::Ready(Box::new(Ready { known, org, secret, leak, grounds, asked })))
    }

    /// The same key gives the same rotation. The value is in the first answer only.
    async fn replay(&self, tx: &mut Tx, before: Rotation, asked: &str) -> Step<Rotated> {
        if before.asked != asked {
            return Err(StepError::KeyReused);
        }
        let handoff_id = match &before.impersonation_id {
            Some(id) => handoffs::of_impersonation(tx.conn(), id).await?.map(|h| h.id),
            None => None,
        };
        let old = secrets::versions(tx.conn(), &before.secret_id)
            .await?
            .into_iter()
            .find(|v| v.version == before.from_version);
        Ok(Rotated {
            old_valid_until: old.and_then(|v| v.retires_at),
            rotation: before,
            handoff_id,
            value: None,
            certified: None,
            replayed: true,
        })
    }
}

/// The member as they are now: the credential was looked up before this transaction, and a
/// credential outlives the standing of whom it was given to.
pub(super) async fn as_of_now(tx: &mut Tx, member: &Member) -> Step<Member> {
    let member = orgs::members(tx.conn(), &member.org_id)
        .await?
        .into_iter()
        .find(|m| m.id == member.id)
        .ok_or(StepError::NotFound)?;
    if matches!(member.standing, Standing::Departed | Standing::Suspended) {
        return Err(StepError::Forbidden("This member can no longer act for the org."));
    }
    Ok(member)
}

/// A member of an org as the actor of a row.
#[must_use]
pub fn member_actor(member: &Member, from: Option<String>) -> Actor {
    Actor {
        actor_type: ActorType::OrgMember,
        id: member.id.clone(),
        name: member.name.clone(),
        from,
    }
}

fn refused_token(e: &TokenError) -> StepError {
    tracing::info!(why = %e, "an impersonation token was refused");
    StepError::Forbidden("The token is not accepted: it is not live, or not for this.")
}

fn check_ask(ask: &Ask) -> Step<()> {
    if ask.overlap_seconds.is_some_and(|s| !(0..=LONGEST_OVERLAP).contains(&s)) {
        return Err(StepError::Invalid("overlap_seconds is from 0 to 604800."));
    }
    if ask.idempotency_key.as_ref().is_some_and(|k| k.is_empty() || k.len() > 200 || !k.is_ascii())
    {
        return Err(StepError::Invalid("An Idempotency-Key has 1 to 200 ASCII characters."));
    }
    Ok(())
}

/// A digest of what was asked: the same `Idempotency-Key` with another question is refused.
fn fingerprint_of(secret_id: &str, ask: &Ask) -> String {
    hex(&Sha256::digest(format!(
        "{secret_id}\n{}\n{:?}\n{}",
        ask.suspected_leak, ask.overlap_seconds, ask.during_overlap
    )))
}
