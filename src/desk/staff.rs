//! Staff at the door: sign-in, step-up, sign-out, and who the session in hand belongs to.

#[cfg(test)]
mod door_tests;
mod password_check;
#[cfg(test)]
mod session_tests;
pub mod sign_ins;

use secrecy::{ExposeSecret, SecretString};
use sqlx::AnyConnection;

use super::{AtWork, Desk, Step, StepError};
use crate::audit::{Actor, LogId, NewRow};
use crate::auth::credential;
use crate::auth::guessable::is_guessable;
use crate::auth::password::{self, Hashed};
use crate::clock::new_token;
use crate::delivery::mail::address::{NOT_MAILABLE, is_mailable};
use crate::model::{EndCause, Micros, StaffRole, time};
use crate::proof::actions;
use crate::proof::row::ActorType;
use crate::store::staff::{self, Staff, StaffSession};
use crate::store::{Tx, audit, impersonations};

/// How long a session lasts without being used.
pub const IDLE: Micros = 30 * time::MINUTE;
/// How long a session lasts, however much it is used.
pub const ABSOLUTE: Micros = 8 * time::HOUR;

/// A fresh session: the token goes into the cookie's session, its hash into the database.
#[derive(Debug)]
pub struct SignedIn {
    /// What the cookie's session remembers.
    pub token: SecretString,
    /// Who.
    pub staff: Staff,
    /// What the browser's cookie is to hold, by which it is known at the next sign-in.
    pub device: Option<SecretString>,
}

impl Desk {
    /// Signs one of the demo's people in, without a password. Only the demo's own door, which
    /// exists nowhere else, calls this.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where there is no such account.
    pub async fn sign_in_demo(&self, tx: &mut Tx, email: &str, from: &str) -> Step<SignedIn> {
        let (staff, _) = staff::by_email(tx.conn(), email).await?.ok_or(StepError::NotFound)?;
        if staff.disabled_at.is_some() {
            return Err(StepError::NotFound);
        }
        self.open_session(tx, staff, from, "demo button").await
    }

    async fn open_session(
        &self,
        tx: &mut Tx,
        staff: Staff,
        from: &str,
        how: &str,
    ) -> Step<SignedIn> {
        let now = self.now();
        let token = new_token(self.rng.as_ref());
        staff::insert_session(
            tx.conn(),
            &StaffSession {
                id: credential::hash(&token),
                staff_id: staff.id.clone(),
                signed_in_at: now,
                proven_at: now,
                last_seen_at: now,
                expires_at: now + ABSOLUTE,
                ended_at: None,
                replaced_by: None,
            },
        )
        .await?;
        let row = NewRow::new(actions::PLATFORM_SIGNED_IN, &actor(&staff, from)).with("how", how);
        self.log(tx, &LogId::Platform, row).await?;
        Ok(SignedIn { token, staff, device: None })
    }

    /// The same for one of the demo's people, whose passwords nobody has to know. The answer is the
    /// token of the session that goes on.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where the session has ended meanwhile, and where the database does not answer.
    pub async fn step_up_demo(&self, tx: &mut Tx, who: &AtWork) -> Step<SecretString> {
        self.prove(tx, who, "demo button").await
    }

    /// The proof begins a session with a token of its own, and ends the one before: whoever learned
    /// the older token has no part in what the proof allows. The limit of its age stays.
    async fn prove(&self, tx: &mut Tx, who: &AtWork, how: &str) -> Step<SecretString> {
        audit::lock(tx, "platform").await?;
        let now = self.now();
        let before =
            staff::session(tx.conn(), &who.session_id).await?.ok_or(StepError::NotFound)?;
        let token = new_token(self.rng.as_ref());
        let id = credential::hash(&token);
        if !staff::replace_session(tx.conn(), &before.id, &id, now).await? {
            return Err(StepError::Conflict("This session has ended. Sign in again."));
        }
        let session = StaffSession { id, proven_at: now, last_seen_at: now, ..before };
        staff::insert_session(tx.conn(), &session).await?;
        let row = NewRow::new(actions::PLATFORM_STEPPED_UP, &who.actor()).with("how", how);
        self.log(tx, &LogId::Platform, row).await?;
        Ok(token)
    }

    /// Signs out.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sign_out(&self, tx: &mut Tx, who: &AtWork) -> Step<()> {
        audit::lock(tx, "platform").await?;
        staff::end_session(tx.conn(), &who.session_id, self.now()).await?;
        self.log(tx, &LogId::Platform, NewRow::new(actions::PLATFORM_SIGNED_OUT, &who.actor()))
            .await?;
        Ok(())
    }

    /// Who a session's token belongs to: not ended, not idle too long, not too old, and of an
    /// account that is not disabled. The role is read anew for every request. With `touch` the
    /// session counts as used.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn at_work(
        &self,
        conn: &mut AnyConnection,
        token: &SecretString,
        from: &str,
        touch: bool,
    ) -> Step<Option<AtWork>> {
        if token.expose_secret().is_empty() {
            return Ok(None);
        }
        let now = self.now();
        let Some((session, person)) = self.session(conn, &credential::hash(token)).await? else {
            return Ok(None);
        };
        // Once a minute suffices for half an hour, and spares a write for every page.
        if touch && now - session.last_seen_at > time::MINUTE {
            staff::touch_session(conn, &session.id, now).await?;
        }
        Ok(Some(AtWork {
            staff: person,
            session_id: session.id,
            proven_at: session.proven_at,
            session_ends_at: session.expires_at,
            from: from.to_owned(),
        }))
    }

    /// Whether somebody's session still holds, or the one that took its place: for what goes on
    /// after their request.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn still_at_work(&self, conn: &mut AnyConnection, who: &AtWork) -> Step<bool> {
        let mut id = who.session_id.clone();
        while let Some(by) = staff::session(conn, &id).await?.and_then(|s| s.replaced_by) {
            id = by;
        }
        Ok(self.session(conn, &id).await?.is_some())
    }

    /// A session that holds, and whose it is.
    async fn session(
        &self,
        conn: &mut AnyConnection,
        id: &str,
    ) -> Step<Option<(StaffSession, Staff)>> {
        let now = self.now();
        let Some(session) = staff::session(conn, id).await? else { return Ok(None) };
        if session.ended_at.is_some()
            || now >= session.expires_at
            || now >= session.last_seen_at + IDLE
        {
            return Ok(None);
        }
        let person = staff::by_id(conn, &session.staff_id).await?;
        Ok(person.filter(|p| p.disabled_at.is_none()).map(|person| (session, person)))
    }

    /// Hashes a password for an account: before its step, since it takes long. `person` are words
    /// that others know of whose it is: their address, their name.
    ///
    /// # Errors
    /// [`StepError::Invalid`] for one that is not taken: too short, too long, common, or made of
    /// what others know of the person and the deployment.
    pub fn hash_password(&self, password: &SecretString, person: &[&str]) -> Step<Hashed> {
        let hashed = password::hash(password, self.rng.as_ref())
            .map_err(|_| StepError::Invalid("A password has 15 to 1,000 characters."))?;
        let settings = &self.settings;
        let own = ["Keyturn", settings.base_url.as_str(), settings.mail_from.as_str()];
        if is_guessable(password, &[person, &own].concat()) {
            return Err(StepError::Invalid(
                "This password is too easily guessed: it is common, or made of names and words \
                 that others know here. Take another, such as several words at random.",
            ));
        }
        Ok(hashed)
    }

    /// Adds an account (command line only).
    ///
    /// # Errors
    /// [`StepError::Invalid`] for an address that is not taken.
    pub async fn add_staff(
        &self,
        tx: &mut Tx,
        email: &str,
        name: &str,
        role: StaffRole,
        password: &Hashed,
        by: &Actor,
    ) -> Step<Staff> {
        let staff = self.open_account(tx, email, name, role, password).await?;
        self.note_account(tx, &staff, by).await?;
        Ok(staff)
    }

    /// Writes that an account was added.
    pub(crate) async fn note_account(&self, tx: &mut Tx, staff: &Staff, by: &Actor) -> Step<()> {
        let row = NewRow::new(actions::PLATFORM_STAFF_ADDED, by)
            .with("staff_id", staff.id.clone())
            .with("staff_name", staff.name.clone())
            .with("role", staff.role.as_str());
        self.log(tx, &LogId::Platform, row).await?;
        Ok(())
    }

    /// The account without its row, for the demo, whose story has to begin before it.
    pub(crate) async fn open_account(
        &self,
        tx: &mut Tx,
        email: &str,
        name: &str,
        role: StaffRole,
        password: &Hashed,
    ) -> Step<Staff> {
        let email = email.trim().to_lowercase();
        if !is_mailable(&email) {
            return Err(StepError::Invalid(NOT_MAILABLE));
        }
        if name.trim().is_empty() {
            return Err(StepError::Invalid("An account has a name."));
        }
        let staff = Staff {
            id: self.new_id(),
            email,
            name: name.trim().to_owned(),
            role,
            disabled_at: None,
        };
        staff::insert(tx.conn(), &staff, password.as_str(), self.now()).await.map_err(|e| {
            if crate::store::is_unique_violation(&e) {
                StepError::Conflict("There is an account with this address already.")
            } else {
                e.into()
            }
        })?;
        Ok(staff)
    }

    /// Disables an account: its sessions end, and so does its live impersonation.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where there is no such enabled account.
    pub async fn disable_staff(&self, tx: &mut Tx, email: &str, by: &Actor) -> Step<()> {
        audit::lock(tx, "platform").await?;
        let (person, _) = staff::by_email(tx.conn(), &email.trim().to_lowercase())
            .await?
            .ok_or(StepError::NotFound)?;
        let now = self.now();
        if !staff::disable(tx.conn(), &person.id, now).await? {
            return Err(StepError::Conflict("This account is disabled already."));
        }
        staff::end_sessions_of(tx.conn(), &person.id, now).await?;
        crate::store::sign_ins::forget_devices(tx.conn(), &person.id).await?;
        let row = NewRow::new(actions::PLATFORM_STAFF_DISABLED, by)
            .with("staff_id", person.id.clone())
            .with("staff_name", person.name.clone());
        self.log(tx, &LogId::Platform, row).await?;
        for grant in impersonations::open_of(tx.conn(), &person.id, "").await? {
            self.end(tx, &grant, EndCause::AdminDisabled, by).await?;
        }
        Ok(())
    }
}

fn actor(staff: &Staff, from: &str) -> Actor {
    Actor {
        actor_type: match staff.role {
            StaffRole::PlatformAdmin => ActorType::PlatformAdmin,
            StaffRole::Auditor => ActorType::Auditor,
        },
        id: staff.id.clone(),
        name: staff.name.clone(),
        from: Some(from.to_owned()),
    }
}
