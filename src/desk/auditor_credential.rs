//! Credentials for auditors' programs: they read the logs, tile by tile, and open nothing else.
//! Given out and revoked from the command line.

use secrecy::SecretString;

use super::{Desk, Step, StepError};
use crate::audit::{Actor, LogId, NewRow};
use crate::auth::credential;
use crate::model::{Micros, StaffRole, time};
use crate::proof::actions;
use crate::proof::row::ActorType;
use crate::store::auditor_credentials::{self, AuditorCredential};
use crate::store::staff::{self, Staff};
use crate::store::{Tx, audit};

/// The longest that one may be good for, in days.
pub const LONGEST_DAYS: u32 = 366;

impl Desk {
    /// Gives an auditor a credential for their programs, shown once: only its hash stays.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where there is no such account, [`StepError::Conflict`] where it is
    /// no auditor's, [`StepError::Invalid`] where it would be good for longer than a year.
    pub async fn issue_auditor_credential(
        &self,
        tx: &mut Tx,
        by: &Actor,
        email: &str,
        days: u32,
    ) -> Step<(SecretString, Micros)> {
        audit::lock(tx, "platform").await?;
        if days == 0 || days > LONGEST_DAYS {
            return Err(StepError::Invalid("A credential is good for 1 to 366 days."));
        }
        let (person, _) = staff::by_email(tx.conn(), &email.trim().to_lowercase())
            .await?
            .ok_or(StepError::NotFound)?;
        if person.role != StaffRole::Auditor || person.disabled_at.is_some() {
            return Err(StepError::Conflict("Only an auditor whose account is in use has one."));
        }
        let now = self.now();
        let token = credential::new_auditor_credential(self.rng.as_ref());
        let given = AuditorCredential {
            id: self.new_id(),
            staff_id: person.id.clone(),
            created_at: now,
            expires_at: now + i64::from(days) * time::DAY,
            revoked_at: None,
        };
        auditor_credentials::insert(tx, &given, &credential::hash(&token)).await?;
        let row = NewRow::new(actions::PLATFORM_AUDITOR_CREDENTIAL_ISSUED, by)
            .with("staff_id", person.id)
            .with("staff_name", person.name)
            .with("credential", given.id)
            .with("expires_at", given.expires_at);
        self.log(tx, &LogId::Platform, row).await?;
        Ok((token, given.expires_at))
    }

    /// Revokes every credential of an auditor's programs; how many there were.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where there is no such account, [`StepError::Conflict`] where it has
    /// none.
    pub async fn revoke_auditor_credentials(
        &self,
        tx: &mut Tx,
        by: &Actor,
        email: &str,
    ) -> Step<u64> {
        audit::lock(tx, "platform").await?;
        let (person, _) = staff::by_email(tx.conn(), &email.trim().to_lowercase())
            .await?
            .ok_or(StepError::NotFound)?;
        let gone = auditor_credentials::revoke_of(tx, &person.id, self.now()).await?;
        if gone == 0 {
            return Err(StepError::Conflict("This account has no credential."));
        }
        let row = NewRow::new(actions::PLATFORM_AUDITOR_CREDENTIALS_REVOKED, by)
            .with("staff_id", person.id)
            .with("staff_name", person.name)
            .with("credentials", i64::try_from(gone).unwrap_or(i64::MAX));
        self.log(tx, &LogId::Platform, row).await?;
        Ok(gone)
    }

    /// The auditor whose program has this credential. Before anything is given out, say what it
    /// reads with [`Desk::note_auditor_view`].
    ///
    /// # Errors
    /// [`StepError::NotFound`] where the credential is none, has expired or was revoked, or the
    /// account is no auditor's any more.
    pub async fn auditor_of(&self, token: &SecretString) -> Step<Staff> {
        let now = self.now();
        let mut conn = self.store.read().await?;
        let given = auditor_credentials::by_hash(&mut conn, &credential::hash(token))
            .await?
            .filter(|c| c.revoked_at.is_none() && now < c.expires_at)
            .ok_or(StepError::NotFound)?;
        staff::by_id(&mut conn, &given.staff_id)
            .await?
            .filter(|s| s.role == StaffRole::Auditor && s.disabled_at.is_none())
            .ok_or(StepError::NotFound)
    }

    /// Notes that an auditor's program reads a log: one row for an auditor and a log in ten
    /// minutes. `from` is the network address.
    ///
    /// # Errors
    /// Where it cannot be written; nothing is then given out.
    pub async fn note_auditor_view(&self, person: Staff, from: &str, log: &LogId) -> Step<()> {
        let now = self.now();
        let page = match log {
            LogId::Platform => "/api/v1/platform/log".to_owned(),
            LogId::Org(id) => format!("/api/v1/orgs/{id}/log"),
        };
        let since = now - 10 * time::MINUTE;
        {
            // A monitor fetches thousands of tiles: it must not hold up those who write.
            let mut conn = self.store.read().await?;
            if audit::viewed_since(&mut conn, &person.id, &page, since).await? {
                return Ok(());
            }
        }
        let mut tx = self.begin().await?;
        audit::lock(&mut tx, "platform").await?;
        if audit::note_view(&mut tx, &person.id, &page, since, now).await? {
            let actor = Actor {
                actor_type: ActorType::Auditor,
                id: person.id,
                name: person.name,
                from: Some(from.to_owned()),
            };
            let row = NewRow::new(actions::PLATFORM_AUDIT_VIEWED, &actor)
                .with("page", page)
                .with("filter", "");
            self.log(&mut tx, &LogId::Platform, row).await?;
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(())
    }
}
