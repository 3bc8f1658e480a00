//! Credentials of orgs' members, for the API: who has which, and their end.

use secrecy::SecretString;

use super::rotate::member_actor;
use super::{Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, NewRow};
use crate::auth::credential;
use crate::model::{Micros, Standing, time};
use crate::proof::actions;
use crate::store::Tx;
use crate::store::orgs::credentials::{self, OrgCredential};
use crate::store::orgs::{self, Member};

/// How often the last use of a credential is written down.
pub const USE_NOTED_EVERY: Micros = time::HOUR;

/// How many are listed.
pub const LISTED: i64 = 200;

impl Desk {
    /// The member whose credential this is, if it works. That it was used is written down, once an
    /// hour, and is no part of any step.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where it is none, has expired or was revoked, or where its member has
    /// left or is suspended.
    pub async fn member_of_credential(&self, token: &SecretString) -> Step<Member> {
        let now = self.now();
        let mut conn = self.store.read().await?;
        let (found, member) = credentials::by_hash(&mut conn, &credential::hash(token))
            .await?
            .filter(|(found, _)| found.works(now))
            .ok_or(StepError::NotFound)?;
        if matches!(member.standing, Standing::Departed | Standing::Suspended) {
            return Err(StepError::NotFound);
        }
        let since = now - USE_NOTED_EVERY;
        if found.last_used_at.is_none_or(|at| at <= since) {
            // A database that takes no writes just now keeps nobody from reading.
            if let Err(e) = credentials::note_use(&mut conn, &found.id, since, now).await {
                tracing::warn!(error = %e, "noting the use of a credential");
            }
        }
        Ok(member)
    }

    /// Revokes a credential of the org's, at the wish of its Owner of record.
    ///
    /// # Errors
    /// As [`Desk::revoke_org_credential`]; [`StepError::Forbidden`] for anybody else.
    pub async fn revoke_credential_as_owner(
        &self,
        tx: &mut Tx,
        member: &Member,
        id: &str,
        from: Option<String>,
    ) -> Step<()> {
        lock_both(tx, &member.org_id).await?;
        orgs::lock(tx, &member.org_id).await?;
        // As they are now: the credential was looked up before the locks.
        let org = orgs::by_id(tx.conn(), &member.org_id).await?.ok_or(StepError::NotFound)?;
        let members = orgs::members(tx.conn(), &org.id).await?;
        let member = members.iter().find(|m| m.id == member.id).ok_or(StepError::NotFound)?;
        if org.owner_member_id.as_deref() != Some(member.id.as_str()) {
            return Err(StepError::Forbidden("Only the Owner of record revokes credentials."));
        }
        if member.standing != Standing::Active {
            return Err(StepError::Forbidden("This member can no longer act for the org."));
        }
        self.revoke_credential(tx, &org.id, id, &member_actor(member, from)).await
    }

    /// Revokes a credential of an org's, from the command line.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where there is no such org, or it has no such credential;
    /// [`StepError::Conflict`] where it was revoked already.
    pub async fn revoke_org_credential(
        &self,
        tx: &mut Tx,
        by: &Actor,
        slug: &str,
        id: &str,
    ) -> Step<()> {
        let org = orgs::by_slug(tx.conn(), slug).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &org.id).await?;
        orgs::lock(tx, &org.id).await?;
        self.revoke_credential(tx, &org.id, id, by).await
    }

    async fn revoke_credential(&self, tx: &mut Tx, org_id: &str, id: &str, by: &Actor) -> Step<()> {
        let found = credentials::of_org(tx.conn(), org_id, id).await?.ok_or(StepError::NotFound)?;
        if !credentials::revoke(tx, id, self.now()).await? {
            return Err(StepError::Conflict("This credential was revoked already."));
        }
        let row = |action| {
            NewRow::new(action, by)
                .org(org_id)
                .with("member", found.member_id.clone())
                .with("credential", id)
        };
        let platform = row(actions::PLATFORM_ORG_CREDENTIAL_REVOKED);
        self.log_both(tx, org_id, platform, row(actions::ORG_CREDENTIAL_REVOKED)).await
    }

    /// The credentials of an org, newest first.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where there is no such org.
    pub async fn org_credentials(&self, slug: &str) -> Step<Vec<OrgCredential>> {
        let mut conn = self.store.read().await?;
        let org = orgs::by_slug(&mut conn, slug).await?.ok_or(StepError::NotFound)?;
        Ok(credentials::list(&mut conn, &org.id, LISTED).await?)
    }
}
