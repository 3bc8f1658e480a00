//! Another key for the Owner. Whoever replaces the key on file reads what is handed over next, so
//! it wants a recent sign-in, and a day in which the old key is still the one used and the Owner,
//! who is told by mail, can object.

mod renew;

use secrecy::{ExposeSecret, SecretString};
use sqlx::AnyConnection;

use super::{AtWork, Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, NewRow};
use crate::auth::credential;
use crate::clock::new_token;
use crate::delivery::openpgp::{self, KeyProblem, Renewal};
use crate::model::org::in_fours;
use crate::model::{Channel, KeyChangeState, Micros, time};
use crate::policy::access;
use crate::proof::actions;
use crate::store::key_changes::{self, KeyChange};
use crate::store::orgs::{self, Org};
use crate::store::{self, Tx, outbox, staff};

/// How long the old key is still the one used.
pub const COOL_OFF: Micros = 24 * time::HOUR;

/// For how long a change is told of to whoever hands something over.
pub const TOLD_FOR: Micros = 30 * time::DAY;

/// What became of the wish to put a key on file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAsked {
    /// It is another key, which waits.
    Waits(Box<KeyChange>),
    /// It is the key on file, renewed, and in use at once.
    Renewed {
        /// Why it cannot be encrypted to, where it cannot.
        problem: Option<KeyProblem>,
    },
}

/// The two actions of a step about the key: the platform log's, and the org log's.
type Twin = (&'static str, &'static str);

impl Desk {
    /// Asks for another key for the Owner. The key on file with something new about it is renewed at
    /// once: it is the same key. Another one is judged now and again when it is due; until then
    /// the key on file stays the one used. The Owner gets both fingerprints by mail, with a link
    /// to object.
    ///
    /// # Errors
    /// [`StepError::StepUp`] where the sign-in is too old; [`StepError::BadKey`] with what is
    /// wrong with the key; [`StepError::Conflict`] where another change waits, or nobody could
    /// object.
    pub async fn ask_key_change(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        org_id: &str,
        armored: &str,
    ) -> Step<KeyAsked> {
        self.authorize(tx, who).await?;
        let now = self.now();
        if !access::fresh(who.proven_at, now) {
            return Err(StepError::StepUp);
        }
        let armored = armored.trim();
        let org = self.org_under_locks(tx, org_id).await?;
        let on_file = org.pgp_key.as_deref().filter(|_| org.channel_is(Channel::Pgp));
        match on_file.map(|on_file| openpgp::renewal(on_file, armored)) {
            Some(Ok(Renewal::NothingNew)) => {
                return Err(StepError::Conflict("This is the key on file already."));
            }
            Some(Ok(Renewal::Renewed(renewed))) => {
                let problem = self.renew_key(tx, &org, &renewed, &who.actor()).await?;
                return Ok(KeyAsked::Renewed { problem });
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
        let Some(address) = org.owner_address.clone().filter(|a| !a.is_empty()) else {
            return Err(StepError::Conflict(
                "There is no address of the Owner on file: nobody could object.",
            ));
        };
        if org.owner_unreachable_at.is_some() {
            return Err(StepError::Conflict(
                "The Owner is marked unreachable: nobody could object.",
            ));
        }
        if key_changes::waiting(tx.conn(), &org.id).await?.is_some() {
            return Err(StepError::Conflict(
                "Another change of this key waits already. Cancel that one first.",
            ));
        }
        let link = new_token(self.rng.as_ref());
        let change = KeyChange {
            id: self.new_id(),
            org_id: org.id.clone(),
            new_key: armored.to_owned(),
            fingerprint: report.fingerprint,
            asked_by: who.staff.id.clone(),
            asked_at: now,
            effective_at: now + COOL_OFF,
            state: KeyChangeState::Waiting,
            decided_at: None,
        };
        key_changes::insert(tx, &change, &credential::hash(&link)).await.map_err(|e| {
            if store::is_unique_violation(&e) {
                StepError::Conflict("Another change of this key was asked for at the same moment.")
            } else {
                e.into()
            }
        })?;
        let twin = (actions::PLATFORM_OWNER_KEY_CHANGE_ASKED, actions::OWNER_KEY_CHANGE_ASKED);
        self.log_key(tx, &org, &change, twin, &who.actor(), None).await?;
        let old = fingerprint_on_file(&org);
        self.queue_mail(
            tx,
            &org.id,
            &change.id,
            &address,
            &format!("Another OpenPGP key for {}: object if it is not yours", org.name),
            &format!(
                "{} of the platform asked at {} to put another OpenPGP key of yours on file.\n\
                 New secrets are encrypted to the key on file.\n\n\
                 Key on file now:  {}\n\
                 New key:          {}\n\n\
                 The new key is not used before {}. Until then the key on file is.\n\n\
                 Compare the new fingerprint with that of your own key. If you did not send us\n\
                 this key, object before then: open this link and press its button. It works once:\n\
                 {}/key-change/{}\n\n\
                 If the key is yours, do nothing.\n",
                who.staff.name,
                time::seconds(now),
                old.as_deref().map_or_else(|| "none".to_owned(), in_fours),
                in_fours(&change.fingerprint),
                time::seconds(change.effective_at),
                self.settings.base_url,
                link.expose_secret(),
            ),
        )
        .await?;
        Ok(KeyAsked::Waits(Box::new(change)))
    }

    /// Cancels a change that waits. The key on file stays.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where it was decided already.
    pub async fn cancel_key_change(&self, tx: &mut Tx, who: &AtWork, id: &str) -> Step<Org> {
        self.authorize(tx, who).await?;
        let change = key_changes::by_id(tx.conn(), id).await?.ok_or(StepError::NotFound)?;
        let org = self.org_under_locks(tx, &change.org_id).await?;
        let cause = Some("a platform admin cancelled it".to_owned());
        self.drop_key_change(tx, &org, &change, KeyChangeState::Cancelled, &who.actor(), cause)
            .await?;
        Ok(org)
    }

    /// The change that a link is for, with its org; to be shown before the Owner objects. Also one
    /// that the Owner has objected to.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn key_change_of_link(
        &self,
        conn: &mut AnyConnection,
        link: &SecretString,
    ) -> Step<Option<(KeyChange, Org)>> {
        let Some(change) = key_changes::by_link(conn, &credential::hash(link)).await? else {
            return Ok(None);
        };
        if !matches!(change.state, KeyChangeState::Waiting | KeyChangeState::Objected) {
            return Ok(None);
        }
        Ok(orgs::by_id(conn, &change.org_id).await?.map(|org| (change, org)))
    }

    /// The Owner objects, by the link: the key on file stays. It works once, until the new key is
    /// the one used.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a link that never was, is used up, or came too late.
    pub async fn object_by_link(
        &self,
        tx: &mut Tx,
        link: &SecretString,
        from: Option<String>,
    ) -> Step<()> {
        let (change, _) =
            self.key_change_of_link(tx.conn(), link).await?.ok_or(StepError::NotFound)?;
        let org = self.org_under_locks(tx, &change.org_id).await?;
        let actor = self.owner_of_record(tx.conn(), &org, from).await?;
        self.drop_key_change(tx, &org, &change, KeyChangeState::Objected, &actor, None).await
    }

    /// Puts each key on file whose day is over and to which nobody has said no; one that cannot be
    /// encrypted to by now is dropped. The day is counted from when the mail to the Owner has left:
    /// before, there was nobody to object. Each in a transaction of its own; how many came into use.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn apply_key_changes(&self) -> Step<usize> {
        let due = {
            let mut conn = self.store.read().await?;
            key_changes::due(&mut conn, self.now()).await?
        };
        let mut applied = 0;
        for change in due {
            if !self.owner_had_time(&change).await? {
                continue;
            }
            let mut tx = self.begin().await?;
            let step = self.apply_key_change(&mut tx, &change).await;
            match self.settle(tx, step).await {
                Ok(true) => applied += 1,
                // Somebody decided it between the list and now.
                Ok(false) | Err(StepError::Conflict(_)) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(applied)
    }

    /// Whether the mail about a change left a whole day ago.
    async fn owner_had_time(&self, change: &KeyChange) -> Step<bool> {
        let mut conn = self.store.read().await?;
        let mails = outbox::about(&mut conn, &change.id).await?;
        let now = self.now();
        Ok(!mails.is_empty()
            && mails.iter().all(|m| m.taken_at().is_some_and(|sent| sent + COOL_OFF <= now)))
    }

    async fn apply_key_change(&self, tx: &mut Tx, change: &KeyChange) -> Step<bool> {
        let org = self.org_under_locks(tx, &change.org_id).await?;
        let now = self.now();
        let system = Actor::system();
        let problem = match openpgp::inspect(&change.new_key, now) {
            Ok(_) if org.owner_unreachable_at.is_some() => {
                Some("the Owner was marked unreachable: nobody could object".to_owned())
            }
            Ok(_) if now < change.effective_at => return Ok(false),
            Ok(_) => None,
            Err(problem) => Some(problem.to_string()),
        };
        if problem.is_some() {
            let state = KeyChangeState::Cancelled;
            self.drop_key_change(tx, &org, change, state, &system, problem).await?;
            return Ok(false);
        }
        if !key_changes::decide(tx, &change.id, KeyChangeState::Applied, now).await? {
            return Ok(false);
        }
        let twin = (actions::PLATFORM_OWNER_KEY_CHANGED, actions::OWNER_KEY_CHANGED);
        self.log_key(tx, &org, change, twin, &system, None).await?;
        orgs::set_pgp_key(tx, &org.id, &change.new_key, now).await?;
        self.mail_owner(
            tx,
            &org.id,
            &change.id,
            &format!("Your new OpenPGP key is on file for {}", org.name),
            &format!(
                "New secrets for {} are encrypted to this OpenPGP key from now on:\n{}\n\n\
                 If it is not yours, answer in support at once, and withdraw consent.\n",
                org.name,
                in_fours(&change.fingerprint),
            ),
        )
        .await?;
        Ok(true)
    }

    /// Drops a change that waits, since the Owner or their address is another by now: who could
    /// have objected to it was somebody else.
    pub(super) async fn drop_waiting_key(&self, tx: &mut Tx, org: &Org) -> Step<()> {
        let Some(change) = key_changes::waiting(tx.conn(), &org.id).await? else { return Ok(()) };
        let cause = Some("the Owner or their address on file changed".to_owned());
        self.drop_key_change(tx, org, &change, KeyChangeState::Cancelled, &Actor::system(), cause)
            .await
    }

    async fn drop_key_change(
        &self,
        tx: &mut Tx,
        org: &Org,
        change: &KeyChange,
        state: KeyChangeState,
        actor: &Actor,
        cause: Option<String>,
    ) -> Step<()> {
        if !key_changes::decide(tx, &change.id, state, self.now()).await? {
            return Err(StepError::Conflict("This change of the key was decided already."));
        }
        let twin = match state {
            KeyChangeState::Objected => {
                (actions::PLATFORM_OWNER_KEY_CHANGE_OBJECTED, actions::OWNER_KEY_CHANGE_OBJECTED)
            }
            _ => {
                (actions::PLATFORM_OWNER_KEY_CHANGE_CANCELLED, actions::OWNER_KEY_CHANGE_CANCELLED)
            }
        };
        self.log_key(tx, org, change, twin, actor, cause).await
    }

    /// The rows of both logs about a change of the key.
    async fn log_key(
        &self,
        tx: &mut Tx,
        org: &Org,
        change: &KeyChange,
        twin: Twin,
        actor: &Actor,
        cause: Option<String>,
    ) -> Step<()> {
        let asked_by =
            staff::by_id(tx.conn(), &change.asked_by).await?.map_or_else(String::new, |s| s.name);
        let row = |action| {
            let mut row = NewRow::new(action, actor)
                .org(&org.id)
                .with("key_change_id", change.id.clone())
                .with("old_fingerprint", fingerprint_on_file(org).unwrap_or_default())
                .with("new_fingerprint", change.fingerprint.clone())
                .with("asked_by", change.asked_by.clone())
                .with("asked_by_name", asked_by.clone())
                .with("effective_at", change.effective_at);
            if let Some(cause) = &cause {
                row = row.with("cause", cause.clone());
            }
            row
        };
        self.log_both(tx, &org.id, row(twin.0), row(twin.1)).await
    }

    /// The org, under the locks of a step about it.
    async fn org_under_locks(&self, tx: &mut Tx, org_id: &str) -> Step<Org> {
        orgs::by_id(tx.conn(), org_id).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, org_id).await?;
        orgs::lock(tx, org_id).await?;
        orgs::by_id(tx.conn(), org_id).await?.ok_or(StepError::NotFound)
    }
}

/// The fingerprint of the Owner's key on file, also of one that cannot be used any more.
#[must_use]
pub fn fingerprint_on_file(org: &Org) -> Option<String> {
    org.pgp_key.as_deref().and_then(openpgp::fingerprint_of)
}
