//! Sign-in and step-up with a password. The password is checked before the step begins: it takes
//! tens of milliseconds of a core, and whoever holds a step meanwhile holds up everybody. An
//! attempt that fails begins no step, but for the row of an account that there is.

use secrecy::SecretString;

use super::{SignedIn, actor};
use crate::audit::{LogId, NewRow};
use crate::auth::failures::Source;
use crate::auth::tally::What;
use crate::auth::{credential, password, throttle};
use crate::desk::{AtWork, Desk, Step, StepError};
use crate::model::{Micros, time};
use crate::proof::actions;
use crate::proof::row::Outcome;
use crate::store::audit;
use crate::store::sign_ins::{self, Failures};
use crate::store::staff::{self, Staff};

/// Who tries, where from, and how.
struct Attempt<'a> {
    email: String,
    account: String,
    source: Source,
    /// The account, where there is one, and what is stored of its password.
    found: Option<(Staff, String)>,
    /// What other instances saw of late.
    others: Failures,
    from: &'a str,
    how: &'static str,
}

impl Desk {
    /// Signs a member of staff in with address and password, in a transaction of its own.
    ///
    /// # Errors
    /// [`StepError::WrongPassword`], which does not say what was wrong; [`StepError::Throttled`].
    pub async fn sign_in(&self, email: &str, password: SecretString, from: &str) -> Step<SignedIn> {
        self.sign_in_with(email, password, from, None).await
    }

    /// The same, from a browser that shows what it was given at an earlier sign-in. Where that was
    /// to this account, its failures count by themselves, so that nobody else in the network of its
    /// owner can lock them out.
    ///
    /// # Errors
    /// As for [`Desk::sign_in`].
    pub async fn sign_in_with(
        &self,
        email: &str,
        password: SecretString,
        from: &str,
        device: Option<SecretString>,
    ) -> Step<SignedIn> {
        let attempt = self.attempt(email, from, "password", device.as_ref(), None).await?;
        let staff = self.let_in(&attempt, password).await?;
        let mut tx = self.begin().await?;
        let step = async {
            audit::lock(&mut tx, "platform").await?;
            self.still_the_same(tx.conn(), &attempt).await?;
            sign_ins::forget(tx.conn(), &attempt.account, &attempt.source.text()).await?;
            let device = self.know_device(&mut tx, &staff.id, device).await?;
            let mut signed_in = self.open_session(&mut tx, staff, from, "password").await?;
            signed_in.device = device;
            Ok(signed_in)
        };
        let step = step.await;
        self.settle(tx, step).await
    }

    /// Proves once more that the person at the session is there, in a transaction of its own. The
    /// answer is the token of the session that goes on.
    ///
    /// # Errors
    /// As for [`Desk::sign_in`].
    pub async fn step_up(&self, who: &AtWork, password: SecretString) -> Step<SecretString> {
        let session = Source::Known(format!("session:{}", who.session_id));
        let email = &who.staff.email;
        let attempt = self.attempt(email, &who.from, "step-up", None, Some(session)).await?;
        if attempt.found.as_ref().is_none_or(|(staff, _)| staff.id != who.staff.id) {
            return Err(StepError::WrongPassword);
        }
        self.let_in(&attempt, password).await?;
        let mut tx = self.begin().await?;
        let step = async {
            audit::lock(&mut tx, "platform").await?;
            self.still_the_same(tx.conn(), &attempt).await?;
            sign_ins::forget(tx.conn(), &attempt.account, &attempt.source.text()).await?;
            self.prove(&mut tx, who, "password").await
        };
        let step = step.await;
        self.settle(tx, step).await
    }

    /// Looks up what an attempt is about, with no transaction.
    async fn attempt<'a>(
        &self,
        email: &str,
        from: &'a str,
        how: &'static str,
        device: Option<&SecretString>,
        source: Option<Source>,
    ) -> Step<Attempt<'a>> {
        let email = email.trim().to_lowercase();
        if email.len() > 254 {
            return Err(StepError::Invalid("An address has at most 254 characters."));
        }
        let account =
            credential::hex(self.keys.fingerprint.fingerprint(email.as_bytes()).as_bytes());
        let mut conn = self.store.read().await?;
        let found = staff::by_email(&mut conn, &email).await?;
        let source = match source {
            Some(source) => source,
            None => {
                let id = found.as_ref().map(|(staff, _)| staff.id.as_str());
                self.source_of(&mut conn, id, device, from).await?
            }
        };
        let since = self.now() - throttle::WINDOW;
        let (instance, text) = (&self.sign_ins.instance, source.text());
        let others = sign_ins::of_others(&mut conn, instance, &account, &text, since).await?;
        Ok(Attempt { email, account, source, found, others, from, how })
    }

    /// Holds the password against what is stored, with no connection and no transaction in hand
    /// while it does, and decides.
    async fn let_in(&self, attempt: &Attempt<'_>, password: SecretString) -> Step<Staff> {
        let Attempt { account, source, others, .. } = attempt;
        if let Some(pause) = self.sign_ins.recent.wait(account, source, *others, self.now()) {
            return Err(self.throttled(attempt, pause));
        }
        let Some(waiting) = self.sign_ins.queue.wait(source) else {
            return Err(self.throttled(attempt, password::WAIT_S * time::SECOND));
        };
        let hash = attempt.found.as_ref().map(|(_, hash)| hash.clone());
        let right = match password::verify_apart(password, hash).await {
            Ok(right) => right,
            Err(password::Unchecked::Busy) => {
                return Err(self.throttled(attempt, password::WAIT_S * time::SECOND));
            }
            Err(why) => return Err(StepError::crypto("checking a password")(&why)),
        };
        drop(waiting);
        // Guesses that were checked side by side count one after the other.
        match &attempt.found {
            Some((staff, _)) if right && staff.disabled_at.is_none() => {
                match self.sign_ins.recent.wait(account, source, *others, self.now()) {
                    Some(pause) => Err(self.throttled(attempt, pause)),
                    None => {
                        self.sign_ins.recent.forget(account, source);
                        Ok(staff.clone())
                    }
                }
            }
            _ => match self.sign_ins.recent.fail(account, source, *others, self.now()) {
                Err(pause) => Err(self.throttled(attempt, pause)),
                Ok(()) => {
                    self.note_failed_sign_in(attempt).await?;
                    Err(StepError::WrongPassword)
                }
            },
        }
    }

    fn throttled(&self, attempt: &Attempt<'_>, pause: Micros) -> StepError {
        self.sum_up(summed(attempt, actions::PLATFORM_SIGN_INS_THROTTLED));
        StepError::Throttled((pause + time::SECOND - 1) / time::SECOND)
    }

    /// What was typed in the address's field may be a password: only an address that we know is
    /// written down, and of others no more than their number.
    async fn note_failed_sign_in(&self, attempt: &Attempt<'_>) -> Step<()> {
        let action = actions::PLATFORM_SIGN_IN_FAILED;
        let staff = match &attempt.found {
            Some((staff, _)) if self.sign_ins.tally.has_a_row(&staff.id, self.now()) => staff,
            _ => {
                self.sum_up(summed(attempt, action));
                return Ok(());
            }
        };
        let mut tx = self.begin().await?;
        audit::lock(&mut tx, "platform").await?;
        let row = NewRow::new(action, &actor(staff, attempt.from))
            .outcome(Outcome::Refused)
            .with("how", attempt.how);
        self.log(&mut tx, &LogId::Platform, row).await?;
        Ok(tx.commit().await?)
    }

    /// Refuses where the account has changed since its password was checked.
    async fn still_the_same(
        &self,
        conn: &mut sqlx::AnyConnection,
        attempt: &Attempt<'_>,
    ) -> Step<()> {
        let now = staff::by_email(conn, &attempt.email).await?;
        if now == attempt.found { Ok(()) } else { Err(StepError::WrongPassword) }
    }
}

fn summed(attempt: &Attempt<'_>, action: &'static str) -> What {
    What {
        action,
        how: attempt.how,
        account: attempt.found.as_ref().map(|(staff, _)| staff.id.clone()),
        source: throttle::network(attempt.from),
    }
}
