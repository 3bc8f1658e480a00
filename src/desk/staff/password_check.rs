//! Sign-in and step-up with a password. The password is checked before the step begins: it takes
//! tens of milliseconds of a core, and whoever holds a step meanwhile holds up everybody.

use secrecy::SecretString;

use super::{SignedIn, actor};
use crate::audit::{Actor, LogId, NewRow};
use crate::auth::{credential, password, throttle};
use crate::desk::{AtWork, Desk, Step, StepError};
use crate::model::time;
use crate::proof::actions;
use crate::proof::row::{ActorType, Outcome};
use crate::store::staff::{self, Staff};
use crate::store::{Tx, audit};

/// A password that was held against what is stored of it.
struct Checked {
    email: String,
    account: String,
    network: String,
    /// What it was held against; none where there is no such account.
    hash: Option<String>,
    right: bool,
}

impl Desk {
    /// Signs a member of staff in with address and password, in a transaction of its own.
    ///
    /// # Errors
    /// [`StepError::WrongPassword`], which does not say what was wrong; [`StepError::Throttled`].
    pub async fn sign_in(&self, email: &str, password: SecretString, from: &str) -> Step<SignedIn> {
        let checked = self.check_password(email, password, from).await?;
        let mut tx = self.begin().await?;
        let step = match self.let_in(&mut tx, &checked, from, "password").await {
            Ok(staff) => self.open_session(&mut tx, staff, from, "password").await,
            Err(e) => Err(e),
        };
        self.settle(tx, step).await
    }

    /// Proves once more that the person at the session is there, in a transaction of its own.
    ///
    /// # Errors
    /// As for [`Desk::sign_in`].
    pub async fn step_up(&self, who: &AtWork, password: SecretString) -> Step<()> {
        let checked = self.check_password(&who.staff.email, password, &who.from).await?;
        let mut tx = self.begin().await?;
        let step = match self.let_in(&mut tx, &checked, &who.from, "step-up").await {
            Ok(staff) if staff.id == who.staff.id => self.prove(&mut tx, who, "password").await,
            Ok(_) => Err(StepError::WrongPassword),
            Err(e) => Err(e),
        };
        self.settle(tx, step).await
    }

    /// Holds a password against what is stored, with no connection and no transaction in hand
    /// while it does.
    async fn check_password(
        &self,
        email: &str,
        password: SecretString,
        from: &str,
    ) -> Step<Checked> {
        let email = email.trim().to_lowercase();
        if email.len() > 254 {
            return Err(StepError::Invalid("An address has at most 254 characters."));
        }
        let account =
            credential::hex(self.keys.fingerprint.fingerprint(email.as_bytes()).as_bytes());
        let network = throttle::network(from);
        let hash = {
            let mut conn = self.store.read().await?;
            self.throttle(&mut conn, &account, &network).await?;
            staff::by_email(&mut conn, &email).await?.map(|(_, hash)| hash)
        };
        let right = match password::verify_apart(password, hash.clone()).await {
            Ok(right) => right,
            Err(password::Unchecked::Busy) => return Err(StepError::Throttled(password::WAIT_S)),
            Err(why) => return Err(StepError::crypto("checking a password")(&why)),
        };
        Ok(Checked { email, account, network, hash, right })
    }

    /// Refuses where too many attempts failed of late.
    async fn throttle(
        &self,
        conn: &mut sqlx::AnyConnection,
        account: &str,
        network: &str,
    ) -> Step<()> {
        let now = self.now();
        let failures = staff::failures(conn, account, network, now - throttle::WINDOW).await?;
        match throttle::wait(&failures, now) {
            Some(pause) => Err(StepError::Throttled((pause + time::SECOND - 1) / time::SECOND)),
            None => Ok(()),
        }
    }

    /// Decides by what was checked, and by how things stand now that nobody else decides.
    async fn let_in(&self, tx: &mut Tx, checked: &Checked, from: &str, how: &str) -> Step<Staff> {
        audit::lock(tx, "platform").await?;
        // Guesses that were checked side by side count one after the other.
        self.throttle(tx.conn(), &checked.account, &checked.network).await?;
        let now = self.now();
        let found = staff::by_email(tx.conn(), &checked.email).await?;
        let same = found.as_ref().map(|(_, hash)| hash) == checked.hash.as_ref();
        match found {
            Some((staff, _)) if checked.right && same && staff.disabled_at.is_none() => {
                staff::forget_failures(tx.conn(), &checked.account, &checked.network).await?;
                Ok(staff)
            }
            found => {
                let id = self.new_id();
                staff::insert_failure(tx.conn(), &id, &checked.account, &checked.network, now)
                    .await?;
                // What was typed in the address's field may be a password: only an address that
                // we know is written down.
                let who = match &found {
                    Some((staff, _)) => actor(staff, from),
                    None => Actor {
                        actor_type: ActorType::System,
                        id: "unknown".to_owned(),
                        name: "unknown account".to_owned(),
                        from: Some(from.to_owned()),
                    },
                };
                let row = NewRow::new(actions::PLATFORM_SIGN_IN_FAILED, &who)
                    .outcome(Outcome::Refused)
                    .with("how", how);
                self.log(tx, &LogId::Platform, row).await?;
                Err(StepError::WrongPassword)
            }
        }
    }
}
