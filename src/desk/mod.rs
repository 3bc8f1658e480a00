//! The procedure, a file a step. The page and the API call the same functions here.
//!
//! A step is a function of a transaction: it reads its facts, asks `policy`, changes the state and
//! appends the audit rows, all through the same [`Tx`]. The edge settles it ([`Desk::settle`]): a
//! success and a refusal are committed, since both leave rows; anything else leaves nothing.

pub mod acknowledge;
pub mod auditor_credential;
pub mod authority;
pub mod consent;
pub mod end;
pub mod escalate;
pub mod export;
pub mod facts;
pub mod forward;
pub mod gateways;
pub mod hand_off;
pub mod handoff_mail;
mod hold;
pub mod impersonate;
pub mod import;
pub mod intake;
mod keep_checkpoints;
pub mod keys;
pub mod log_keys;
pub mod org_credential;
pub mod org_record;
pub mod outbox;
pub mod overlap;
pub mod owner_change;
mod record;
pub mod reenrol;
pub mod reply;
pub mod rotate;
pub mod rotate_certificate;
mod rotate_vault;
mod rotate_webhook;
mod saved_views;
mod seal;
mod shared_vault;
pub mod staff;
pub mod standing;
pub mod sweep;
pub mod test_event;
mod ticket_comment;
pub mod ticket_copy;
mod vault_clearing;
pub mod vault_keeping;
pub mod verify;
mod verify_logs;
pub mod view;
pub mod withdraw;
pub mod witness;

#[cfg(test)]
mod escalate_tests;

use std::sync::Arc;

use crate::audit::append::lock_both;
use crate::audit::{Actor, Appended, AuditError, LogId, NewRow, append};
use crate::clock::{Clock, Rng};
use crate::delivery::refusal::Refusal;
use crate::delivery::shared_vault::{SharedVault, SharedVaultError};
use crate::model::{Micros, StaffRole};
use crate::policy::access::{self, Act};
use crate::policy::eligibility::Verdict;
use crate::proof::row::ActorType;
use crate::store::{Store, StoreError, Tx, staff::Staff};

/// What a deployment decides about the procedure. None of it lets a failed check through.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where people reach the console, without a slash at the end.
    pub base_url: String,
    /// How long an impersonation lasts: 1 to 30 minutes.
    pub impersonation_life: Micros,
    /// How long an old webhook key stays valid beside the new one, in seconds.
    pub overlap_seconds: i64,
    /// How old it may be that support authenticated a requester.
    pub proof_life: Micros,
    /// How long a new credential of an org works.
    pub credential_life: Micros,
    /// Whether webhooks may go to private network addresses (the demo's receiver is one).
    pub private_targets: bool,
    /// Who mails come from.
    pub mail_from: String,
    /// The policies that a new vault token may have; one that ends with `*` stands for all that
    /// begin so.
    pub vault_policies: Vec<String>,
    /// What is decided about gateways.
    pub gateways: gateways::GatewaySettings,
    /// The folder of a witness, where there is one: verifications hold the logs against it.
    pub witness_folder: Option<std::path::PathBuf>,
    /// The witness over HTTP, where there is one: verifications hold the logs against what it
    /// signed.
    pub witness: Option<AskedWitness>,
}

/// A witness that is asked over HTTP.
#[derive(Debug, Clone)]
pub struct AskedWitness {
    /// Under which name it is remembered: its address, without a slash at the end.
    pub name: String,
    /// The key that it signs with.
    pub key: crate::proof::cosignature::WitnessKey,
}

/// Everything that a step needs.
pub struct Desk {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Keys.
    pub keys: keys::Keys,
    /// Settings.
    pub settings: Settings,
    /// The way mail leaves.
    pub mailer: Arc<dyn crate::delivery::mail::Mailer>,
    /// The vault whose tokens are replaced.
    pub vault: Arc<dyn crate::secrets::vault::Vault>,
    /// Where a test lets the process die.
    #[cfg(test)]
    pub(crate) deaths: Arc<crate::testing::deaths::Deaths>,
    /// Where tickets live.
    pub tickets: Arc<dyn crate::delivery::tickets::Tickets>,
    /// The way into the vaults that customers share with us, where one is configured.
    pub shared_vault: Option<Arc<dyn SharedVault>>,
    /// Tells the gateways' listener that a certificate was issued or revoked.
    pub lists_changed: tokio::sync::Notify,
    /// What this instance keeps of sign-ins.
    pub sign_ins: staff::sign_ins::SignIns,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

/// A member of staff at work: who, since when proven to be there, and from where.
#[derive(Debug, Clone)]
pub struct AtWork {
    /// Who.
    pub staff: Staff,
    /// The session.
    pub session_id: String,
    /// When they last proved to be there.
    pub proven_at: Micros,
    /// When the session ends at the latest.
    pub session_ends_at: Micros,
    /// The network address.
    pub from: String,
}

impl AtWork {
    /// Them, as the actor of an audit row.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor {
            actor_type: match self.staff.role {
                StaffRole::PlatformAdmin => ActorType::PlatformAdmin,
                StaffRole::Auditor => ActorType::Auditor,
            },
            id: self.staff.id.clone(),
            name: self.staff.name.clone(),
            from: Some(self.from.clone()),
        }
    }

    /// Refuses who may not carry the procedure out.
    ///
    /// # Errors
    /// [`StepError::Forbidden`] for an auditor.
    pub fn may_carry_out(&self) -> Result<(), StepError> {
        if access::may(self.staff.role, Act::CarryOut) && self.staff.disabled_at.is_none() {
            Ok(())
        } else {
            Err(StepError::Forbidden("An auditor reads and changes nothing."))
        }
    }
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The procedure does not allow it. The refusal is in the platform log.
    #[error("refused: {}", .0.failed_names().join(", "))]
    Refused(Box<Verdict>),
    /// There is no such thing, or none that the caller may know of.
    #[error("not found")]
    NotFound,
    /// The caller may see it and not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The caller may not do this, and that they tried is in the platform log.
    #[error("{0}")]
    Denied(&'static str),
    /// The sign-in is older than five minutes.
    #[error("this wants a sign-in that is not older than 5 minutes")]
    StepUp,
    /// Not in this state of things.
    #[error("{0}")]
    Conflict(&'static str),
    /// The same `Idempotency-Key` was sent with another question.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// A key for the Owner that cannot be encrypted to.
    #[error("this key is not taken: {0}")]
    BadKey(#[from] crate::delivery::openpgp::KeyProblem),
    /// What was asked for cannot be taken as it is. That it was sent may be in the platform log.
    #[error("{0}")]
    Unprocessable(&'static str),
    /// A system outside is needed for this, and does not answer.
    #[error("{0}")]
    NoAnswer(&'static str),
    /// Too many attempts; wait so many seconds.
    #[error("too many attempts: wait {0} s")]
    Throttled(i64),
    /// As much of this is under way as may be at once; and after how many seconds to ask again.
    #[error("{0}")]
    TooMany(&'static str, i64),
    /// The address or the password is wrong; the attempt is in the platform log.
    #[error("the address or the password is wrong")]
    WrongPassword,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A key, a seal, a signature.
    #[error("{what}: {why}")]
    Crypto {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        why: String,
    },
    /// Not in this state of things, for a reason that was just found.
    #[error("{0}")]
    NotPossible(String),
    /// The vault did not do its part.
    #[error("{0}")]
    Vault(String),
    /// A shared vault.
    #[error(transparent)]
    SharedVault(#[from] SharedVaultError),
    /// A system outside did not take something, now or for good.
    #[error(transparent)]
    NotTaken(#[from] Refusal),
    /// Something outside did not answer as it should.
    #[error("{0}")]
    Outside(String),
}

impl StepError {
    /// Whether something was read that does not read as what it should be ([`AuditError`]).
    pub(crate) fn is_unreadable(&self) -> bool {
        match self {
            Self::Store(e) => e.is_unreadable(),
            Self::Audit(e) => e.is_unreadable(),
            _ => false,
        }
    }

    /// After how many seconds to ask again, where it is only a matter of time.
    #[must_use]
    pub fn retry_after(&self) -> Option<i64> {
        match self {
            Self::Throttled(seconds) | Self::TooMany(_, seconds) => Some(*seconds),
            _ => None,
        }
    }

    pub(crate) fn crypto(what: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> Self {
        move |why| StepError::Crypto { what, why: why.to_string() }
    }

    /// Whether rows were written that must stay although the step was not taken.
    #[must_use]
    pub fn leaves_rows(&self) -> bool {
        matches!(
            self,
            StepError::Refused(_)
                | StepError::Denied(_)
                | StepError::Unprocessable(_)
                | StepError::WrongPassword
        )
    }
}

/// What a step comes to.
pub type Step<T> = Result<T, StepError>;

impl Desk {
    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// Begins a step.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn begin(&self) -> Step<Tx> {
        Ok(self.store.begin().await?)
    }

    /// Ends a step: commits what was done, or what was refused, and undoes anything else.
    ///
    /// # Errors
    /// The step's own error; or that of the commit, and then nothing was done.
    pub async fn settle<T>(&self, tx: Tx, step: Step<T>) -> Step<T> {
        match step {
            Ok(done) => {
                tx.commit().await?;
                Ok(done)
            }
            Err(e) if e.leaves_rows() => {
                tx.commit().await?;
                Err(e)
            }
            Err(e) => {
                if let Err(lost) = tx.rollback().await {
                    tracing::warn!(error = %lost, "rolling a step back");
                }
                Err(e)
            }
        }
    }

    /// The Owner of record, as the actor of what is done with a link that went to them.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(crate) async fn owner_of_record(
        &self,
        conn: &mut sqlx::AnyConnection,
        org: &crate::store::orgs::Org,
        from: Option<String>,
    ) -> Step<Actor> {
        let owner = crate::store::orgs::members(conn, &org.id)
            .await?
            .into_iter()
            .find(|m| Some(&m.id) == org.owner_member_id.as_ref());
        Ok(Actor {
            actor_type: ActorType::OrgMember,
            id: owner.as_ref().map_or_else(|| "owner".to_owned(), |m| m.id.clone()),
            name: owner.map_or_else(|| "Owner of record".to_owned(), |m| m.name),
            from,
        })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// Where it cannot be written; the step must then fail.
    pub async fn log(&self, tx: &mut Tx, log: &LogId, row: NewRow) -> Step<Appended> {
        self.log_at(tx, log, row, self.now()).await
    }

    /// As [`Desk::log`], as of `at`.
    ///
    /// # Errors
    /// As [`Desk::log`].
    pub(crate) async fn log_at(
        &self,
        tx: &mut Tx,
        log: &LogId,
        row: NewRow,
        at: Micros,
    ) -> Step<Appended> {
        let key = &self.keys.log;
        match append(tx, key, self.rng.as_ref(), log, row.clone(), at).await {
            // Another instance rotated the key. The log is held: the key that is current now
            // stays so until this step is over.
            Err(AuditError::OtherKey { .. } | AuditError::NoKey) => {
                self.load_log_key(tx.conn()).await?;
                Ok(append(tx, key, self.rng.as_ref(), log, row, at).await?)
            }
            done => Ok(done?),
        }
    }

    /// Refuses who may not carry the procedure out, as the account is now: the session was read
    /// before the step began.
    ///
    /// # Errors
    /// [`StepError::Forbidden`] for an auditor, and for an account that was disabled meanwhile.
    pub(crate) async fn authorize(&self, tx: &mut Tx, who: &AtWork) -> Step<()> {
        who.may_carry_out()?;
        let now = crate::store::staff::by_id(tx.conn(), &who.staff.id).await?;
        match now {
            Some(s) if s.disabled_at.is_none() && access::may(s.role, Act::CarryOut) => Ok(()),
            _ => Err(StepError::Forbidden("This account may no longer act.")),
        }
    }

    /// Appends a row to the platform's log and one to an org's. The org's row records where the
    /// platform's log stands, so that neither can be cut back or rewritten alone.
    ///
    /// # Errors
    /// Where either cannot be written; the step must then fail.
    pub(crate) async fn log_both(
        &self,
        tx: &mut Tx,
        org_id: &str,
        platform: NewRow,
        org: NewRow,
    ) -> Step<()> {
        self.log_pair(tx, org_id, platform, org).await.map(|_| ())
    }

    /// As [`Desk::log_both`], with what was appended.
    ///
    /// # Errors
    /// As [`Desk::log_both`].
    pub(crate) async fn log_pair(
        &self,
        tx: &mut Tx,
        org_id: &str,
        platform: NewRow,
        org: NewRow,
    ) -> Step<(Appended, Appended)> {
        // One instant for both rows, and not before the newest row of either log: where another
        // instance's clock is ahead, one log would otherwise seem to run before the other.
        let (platform_head, org_head) = lock_both(tx, org_id).await?;
        let at = self.now().max(platform_head.last_at).max(org_head.last_at);
        let platform = self.log_at(tx, &LogId::Platform, platform, at).await?;
        let org = org.with("platform_checkpoint", platform.checkpoint.clone());
        let org = self.log_at(tx, &LogId::Org(org_id.to_owned()), org, at).await?;
        Ok((platform, org))
    }

    /// A fresh id.
    #[must_use]
    pub fn new_id(&self) -> String {
        crate::clock::new_id(self.now(), self.rng.as_ref())
    }
}
