//! Asking for a change, from the console and from an import.

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::{Did, fingerprint_on_file, letter};
use crate::audit::Actor;
use crate::auth::credential;
use crate::clock::new_token;
use crate::delivery::openpgp::{self, KeyProblem, Renewal};
use crate::desk::{AtWork, Desk, Step, StepError};
use crate::model::{Channel, Micros, OwnerChangeKind};
use crate::policy::access;
use crate::store::orgs::Org;
use crate::store::owner_changes::{self, OwnerChange};
use crate::store::{self, Tx};

/// What became of the wish to put a key on file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It is another key, which waits.
    Waits(Box<OwnerChange>),
    /// It is the key on file, renewed, and in use at once.
    Renewed {
        /// Why it cannot be encrypted to, where it cannot.
        problem: Option<KeyProblem>,
    },
}

/// A channel that is to be used, as it is kept while it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "channel", rename_all = "snake_case", deny_unknown_fields)]
pub enum NewChannel {
    /// Mail encrypted to the Owner's key.
    Pgp {
        /// The key, ASCII-armored.
        pgp_key: String,
    },
    /// A vault that is shared with the customer.
    OnePassword {
        /// Its id.
        vault_id: String,
    },
}

/// Another Owner of record, as they are kept while they wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOwner {
    /// The member.
    pub member_id: String,
    /// Where their mail goes.
    pub address: String,
}

impl NewChannel {
    /// Which it is.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match self {
            NewChannel::Pgp { .. } => Channel::Pgp,
            NewChannel::OnePassword { .. } => Channel::OnePassword,
        }
    }
}

impl Desk {
    /// Asks for another key for the Owner. The key on file with something new about it is renewed
    /// at once: it is the same key. Another one waits for the Owner's yes and a second admin; until
    /// then the key on file stays the one used. The caller has judged the key before
    /// ([`openpgp::prepare`]).
    ///
    /// # Errors
    /// [`StepError::StepUp`] where the sign-in is too old; [`StepError::BadKey`] with what is
    /// wrong with the key; [`StepError::Conflict`] where another change waits, or nobody could
    /// agree.
    pub async fn ask_key_change(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        org_id: &str,
        armored: &str,
    ) -> Step<Asked> {
        self.authorize(tx, who).await?;
        let now = self.now();
        if !access::fresh(who.proven_at, now) {
            return Err(StepError::StepUp);
        }
        let armored = armored.trim();
        let org = self.org_under_locks(tx, org_id).await?;
        // Who is asked, where, and of which key it is another copy is what the log says.
        self.require_record(tx.conn(), &org.id).await?;
        let on_file = org.pgp_key.as_deref().filter(|_| org.channel_is(Channel::Pgp));
        match on_file.map(|on_file| openpgp::renewal(on_file, armored)) {
            Some(Ok(Renewal::NothingNew)) => {
                return Err(StepError::Conflict("This is the key on file already."));
            }
            Some(Ok(Renewal::Renewed(renewed))) => {
                let problem = self.renew_key(tx, &org, &renewed, &who.actor()).await?;
                return Ok(Asked::Renewed { problem });
            }
            // Another, or one of them cannot be read: the new one is judged by itself.
            Some(Ok(Renewal::Another) | Err(_)) | None => {}
        }
        let report = openpgp::inspect(armored, now)?;
        if !org.channel_is(Channel::Pgp) {
            return Err(StepError::Conflict(
                "The runbook entry of this org does not name PGP: no key is used for it.",
            ));
        }
        let what = (OwnerChangeKind::PgpKey, armored.to_owned(), report.fingerprint);
        let change = self.ask_change(tx, &org, what, &who.actor(), now).await?;
        Ok(Asked::Waits(Box::new(change)))
    }

    /// Writes down a change that waits; the caller has asked [`Desk::require_record`]. Tells the Owner as they are on file now, and logs it.
    pub(in crate::desk) async fn ask_change(
        &self,
        tx: &mut Tx,
        org: &Org,
        what: (OwnerChangeKind, String, String),
        by: &Actor,
        earliest_at: Micros,
    ) -> Step<OwnerChange> {
        let kind = what.0;
        let Some(address) = org.owner_address.clone().filter(|a| !a.is_empty()) else {
            return Err(StepError::Conflict(
                "There is no address of the Owner on file: nobody could agree.",
            ));
        };
        if org.owner_unreachable_at.is_some() && kind != OwnerChangeKind::Owner {
            return Err(StepError::Conflict(
                "The Owner is marked unreachable: nobody could agree.",
            ));
        }
        let waiting = owner_changes::waiting_of(tx.conn(), &org.id).await?;
        if waiting.iter().any(|c| c.kind == kind) {
            return Err(StepError::Conflict(
                "Another change of the same kind waits already. Cancel that one first.",
            ));
        }
        let link = new_token(self.rng.as_ref());
        let at = (self.now(), earliest_at);
        let by_whom = (by.id.as_str(), by.name.as_str());
        let change = OwnerChange::asked(self.new_id(), &org.id, what, by_whom, at);
        owner_changes::insert(tx, &change, &credential::hash(&link)).await.map_err(|e| {
            if store::is_unique_violation(&e) {
                StepError::Conflict("Another change was asked for at the same moment.")
            } else {
                e.into()
            }
        })?;
        self.log_change(tx, org, &change, Did::Asked, by, &[]).await?;
        let (subject, body) = letter::asked(
            org,
            &change,
            fingerprint_on_file(org).as_deref(),
            &format!("{}/owner-change/{}", self.settings.base_url, link.expose_secret()),
        );
        self.queue_mail(tx, &org.id, &change.id, &address, &subject, &body).await?;
        Ok(change)
    }
}
