//! Changes of the way to the Owner: their OpenPGP key, their address, who they are, and the channel.
//! Whoever replaces one of these reads what is handed over next. So each waits for the Owner's yes,
//! which goes by the way that was on file before, and for an admin who did not ask
//! ([`crate::policy::owner_change`]).

mod agree;
mod apply;
mod ask;
mod letter;
mod prepare;
#[cfg(test)]
mod prepare_tests;
mod proven;
mod renew;
mod stays_away;

pub(super) use apply::{channel_change, has_channel, owner_change};
pub use ask::{Asked, NewChannel, NewOwner};
pub use letter::statement;
pub(super) use stays_away::STAYS_AWAY;

use sha2::{Digest as _, Sha256};

use super::{Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, NewRow};
use crate::auth::credential::hex;
use crate::delivery::openpgp;
use crate::model::OwnerChangeKind;
use crate::policy::owner_change::ChangeFacts;
use crate::proof::actions;
use crate::proof::org_record::Field;
use crate::store::orgs::{self, Org};
use crate::store::owner_changes::{Approval, OwnerChange};
use crate::store::{Tx, owner_changes};

/// What a step about a change is, in the rows of both logs.
#[derive(Debug, Clone, Copy)]
enum Did {
    Asked,
    Agreed,
    Approved,
    Objected,
    Cancelled,
    Applied,
}

impl Did {
    /// The platform's action and the org's.
    fn actions(self, kind: OwnerChangeKind) -> (&'static str, &'static str) {
        use actions::*;
        match (kind, self) {
            (OwnerChangeKind::PgpKey, Did::Asked) => {
                (PLATFORM_OWNER_KEY_CHANGE_ASKED, OWNER_KEY_CHANGE_ASKED)
            }
            (OwnerChangeKind::PgpKey, Did::Agreed) => {
                (PLATFORM_OWNER_KEY_CHANGE_AGREED, OWNER_KEY_CHANGE_AGREED)
            }
            (OwnerChangeKind::PgpKey, Did::Approved) => {
                (PLATFORM_OWNER_KEY_CHANGE_APPROVED, OWNER_KEY_CHANGE_APPROVED)
            }
            (OwnerChangeKind::PgpKey, Did::Objected) => {
                (PLATFORM_OWNER_KEY_CHANGE_OBJECTED, OWNER_KEY_CHANGE_OBJECTED)
            }
            (OwnerChangeKind::PgpKey, Did::Cancelled) => {
                (PLATFORM_OWNER_KEY_CHANGE_CANCELLED, OWNER_KEY_CHANGE_CANCELLED)
            }
            (OwnerChangeKind::PgpKey, Did::Applied) => {
                (PLATFORM_OWNER_KEY_CHANGED, OWNER_KEY_CHANGED)
            }
            (_, Did::Asked) => (PLATFORM_OWNER_RECORD_CHANGE_ASKED, OWNER_RECORD_CHANGE_ASKED),
            (_, Did::Agreed) => (PLATFORM_OWNER_RECORD_CHANGE_AGREED, OWNER_RECORD_CHANGE_AGREED),
            (_, Did::Approved) => {
                (PLATFORM_OWNER_RECORD_CHANGE_APPROVED, OWNER_RECORD_CHANGE_APPROVED)
            }
            (_, Did::Objected) => {
                (PLATFORM_OWNER_RECORD_CHANGE_OBJECTED, OWNER_RECORD_CHANGE_OBJECTED)
            }
            (_, Did::Cancelled) => {
                (PLATFORM_OWNER_RECORD_CHANGE_CANCELLED, OWNER_RECORD_CHANGE_CANCELLED)
            }
            (_, Did::Applied) => (PLATFORM_OWNER_RECORD_CHANGED, OWNER_RECORD_CHANGED),
        }
    }
}

impl Desk {
    /// The rows of both logs about a change. They name no address: logs are kept for good.
    async fn log_change(
        &self,
        tx: &mut Tx,
        org: &Org,
        change: &OwnerChange,
        did: Did,
        actor: &Actor,
        more: &[(&'static str, String)],
    ) -> Step<()> {
        let row = |action| {
            let mut row = NewRow::new(action, actor)
                .org(&org.id)
                .with("owner_change_id", change.id.clone())
                .with("kind", change.kind.as_str())
                .with("asked_by", change.asked_by.clone())
                .with("asked_by_name", change.asked_by_name.clone());
            if change.kind == OwnerChangeKind::PgpKey {
                row = row
                    .with("old_fingerprint", fingerprint_on_file(org).unwrap_or_default())
                    .with("new_fingerprint", change.shown.clone());
            }
            if change.kind == OwnerChangeKind::Channel {
                row = row.with("channel", change.shown.clone());
            }
            if let (OwnerChangeKind::Owner, Ok(new)) = (change.kind, apply::new_owner(change)) {
                row = row.with("owner_id", new.member_id);
            }
            if matches!(did, Did::Asked) {
                row = row
                    .with("value_sha256", value_sha256(&change.value))
                    .with("earliest_at", change.earliest_at);
            }
            for (name, value) in more {
                row = row.with(name, value.clone());
            }
            row
        };
        let (platform, own) = did.actions(change.kind);
        let mut own = row(own);
        if matches!(did, Did::Applied) {
            let changed: &[Field] = match change.kind {
                OwnerChangeKind::PgpKey => &[Field::Key],
                // What was asked about consent is asked anew.
                OwnerChangeKind::Address => &[Field::Address, Field::Consent],
                OwnerChangeKind::Owner => {
                    &[Field::Owner, Field::Address, Field::Reachable, Field::Consent]
                }
                OwnerChangeKind::Channel => &[Field::Channel, Field::Key],
            };
            own = self.with_record(tx.conn(), &org.id, changed, own).await?;
        }
        self.log_both(tx, &org.id, row(platform), own).await
    }

    /// The org, under the locks of a step about it.
    async fn org_under_locks(&self, tx: &mut Tx, org_id: &str) -> Step<Org> {
        orgs::by_id(tx.conn(), org_id).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, org_id).await?;
        orgs::lock(tx, org_id).await?;
        orgs::by_id(tx.conn(), org_id).await?.ok_or(StepError::NotFound)
    }

    /// A change that waits, as it is now, with its org under the locks.
    async fn waiting_change(&self, tx: &mut Tx, id: &str) -> Step<(OwnerChange, Org)> {
        let change = owner_changes::by_id(tx.conn(), id).await?.ok_or(StepError::NotFound)?;
        let org = self.org_under_locks(tx, &change.org_id).await?;
        let change = owner_changes::by_id(tx.conn(), id).await?.ok_or(StepError::NotFound)?;
        if change.state != crate::model::OwnerChangeState::Waiting {
            return Err(StepError::Conflict("This change was decided already."));
        }
        Ok((change, org))
    }
}

/// What is to be on file, as the row that asks for it names it.
fn value_sha256(value: &str) -> String {
    hex(&Sha256::digest(value.as_bytes()))
}

/// What the policy looks at.
#[must_use]
pub fn facts<'a>(change: &'a OwnerChange, approvals: &'a [Approval]) -> ChangeFacts<'a> {
    ChangeFacts {
        kind: change.kind,
        asked_by: &change.asked_by,
        asked_at: change.asked_at,
        earliest_at: change.earliest_at,
        agreed: change.agreed_how(),
        approved_by: approvals.iter().map(|a| a.staff_id.as_str()).collect(),
    }
}

/// The fingerprint of the Owner's key on file, also of one that cannot be used any more.
#[must_use]
pub fn fingerprint_on_file(org: &Org) -> Option<String> {
    org.pgp_key.as_deref().and_then(openpgp::fingerprint_of)
}
