//! Step 2: `allow_platform_impersonation` (US-PLAT-12). Staff cannot set it; what acts for the
//! Owner can: the Owner's own credential, and the single-use link that is mailed to the address
//! on file.

use secrecy::{ExposeSecret, SecretString};
use sqlx::AnyConnection;

use super::rotate::member_actor;
use super::{AtWork, Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, LogId, NewRow};
use crate::auth::credential;
use crate::clock::new_token;
use crate::model::{EndCause, MemberRole, Standing, time};
use crate::proof::actions;
use crate::store::orgs::{self, ConsentLink, Member, Org};
use crate::store::{Tx, impersonations, tickets};

/// How long a link works.
const LINK_LIFE: crate::model::Micros = 24 * time::HOUR;

impl Desk {
    /// Switches consent at the wish of the Owner, with the Owner's own credential. Switched off,
    /// it ends the org's live impersonation in the same transaction.
    ///
    /// # Errors
    /// [`StepError::Forbidden`] for anyone but the Owner of record.
    pub async fn set_consent(
        &self,
        tx: &mut Tx,
        member: &Member,
        on: bool,
        from: Option<String>,
    ) -> Step<()> {
        lock_both(tx, &member.org_id).await?;
        orgs::lock(tx, &member.org_id).await?;
        let org = orgs::by_id(tx.conn(), &member.org_id).await?.ok_or(StepError::NotFound)?;
        // As they are now: the credential was looked up before the locks.
        let member = orgs::members(tx.conn(), &org.id)
            .await?
            .into_iter()
            .find(|m| m.id == member.id)
            .ok_or(StepError::Forbidden("Only the Owner of record can change consent."))?;
        speaks_for(&member, &org)?;
        self.switch_consent(tx, &org, on, &member_actor(&member, from), None).await
    }

    async fn switch_consent(
        &self,
        tx: &mut Tx,
        org: &Org,
        on: bool,
        actor: &Actor,
        ticket: Option<&str>,
    ) -> Step<()> {
        let now = self.now();
        // Whatever the Owner decides, no older link decides otherwise later.
        orgs::void_consent_links(tx, &org.id, now).await?;
        if org.consents() == on {
            return Ok(());
        }
        orgs::set_consent(tx, &org.id, on, now).await?;
        let action = if on { actions::CONSENT_ENABLED } else { actions::CONSENT_DISABLED };
        let row = || {
            let row =
                NewRow::new(action, actor).org(&org.id).with("allow_platform_impersonation", on);
            match ticket {
                Some(ticket) => row.ticket(ticket),
                None => row,
            }
        };
        self.log_both(tx, &org.id, row(), row()).await?;
        if !on {
            for grant in impersonations::open_of(tx.conn(), "", &org.id).await? {
                self.end(tx, &grant, EndCause::ConsentWithdrawn, actor).await?;
            }
        }
        Ok(())
    }

    /// Asks the Owner to re-enable consent: mails a link to the address on file. The link appears
    /// nowhere else.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where consent is on, or there is no address on file.
    pub async fn request_consent(&self, tx: &mut Tx, who: &AtWork, ticket_id: &str) -> Step<()> {
        self.authorize(tx, who).await?;
        let ticket = tickets::by_id(tx.conn(), ticket_id).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &ticket.org_id).await?;
        orgs::lock(tx, &ticket.org_id).await?;
        let org = orgs::by_id(tx.conn(), &ticket.org_id).await?.ok_or(StepError::NotFound)?;
        if !ticket.state.can_be_served() {
            return Err(StepError::Conflict("The ticket is not open any more."));
        }
        if org.consents() {
            return Err(StepError::Conflict("Consent is on already."));
        }
        let Some(address) = org.owner_address.clone().filter(|a| !a.is_empty()) else {
            return Err(StepError::Conflict("There is no address of the Owner on file."));
        };
        let Some(owner_id) = org.owner_member_id.clone() else {
            return Err(StepError::Conflict("The org has no Owner of record."));
        };
        let now = self.now();
        // One link at a time: the newest.
        orgs::void_consent_links(tx, &org.id, now).await?;
        let link = new_token(self.rng.as_ref());
        let record = ConsentLink {
            id: self.new_id(),
            org_id: org.id.clone(),
            ticket_id: ticket.id.clone(),
            asked_by: who.staff.id.clone(),
            owner_id,
            address: address.clone(),
            created_at: now,
            expires_at: now + LINK_LIFE,
            used_at: None,
        };
        orgs::insert_consent_link(tx, &record, &credential::hash(&link)).await?;
        let row = || {
            NewRow::new(actions::PLATFORM_CONSENT_REQUESTED, &who.actor())
                .org(&org.id)
                .ticket(&ticket.id)
                .with("link_expires_at", record.expires_at)
        };
        self.log(tx, &LogId::Platform, row()).await?;
        self.queue_mail(
            tx,
            &org.id,
            &record.id,
            &address,
            &format!("[{}] May the platform act for {}?", ticket.id, org.name),
            &format!(
                "{} of the platform asks you to allow it to act for {} in ticket {}.\n\n\
                 If you want that, open this link and confirm. It works once, until {}:\n\
                 {}/consent/{}\n\n\
                 If you do not want that, do nothing.\n",
                who.staff.name,
                org.name,
                ticket.id,
                time::seconds(record.expires_at),
                self.settings.base_url,
                link.expose_secret(),
            ),
        )
        .await
    }

    /// The link, if it can still be used; and the org it is for.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn consent_of_link(
        &self,
        conn: &mut AnyConnection,
        link: &SecretString,
    ) -> Step<Option<(ConsentLink, Org)>> {
        let Some(link) = orgs::consent_link(conn, &credential::hash(link)).await? else {
            return Ok(None);
        };
        if link.used_at.is_some() || self.now() >= link.expires_at {
            return Ok(None);
        }
        let org = orgs::by_id(conn, &link.org_id).await?;
        Ok(org.filter(|org| for_present_owner(&link, org)).map(|org| (link, org)))
    }

    /// Switches consent on by the link. It works once.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a link that never was, is used up, or has expired.
    pub async fn consent_by_link(
        &self,
        tx: &mut Tx,
        link: &SecretString,
        from: Option<String>,
    ) -> Step<Org> {
        let (record, org) =
            self.consent_of_link(tx.conn(), link).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &org.id).await?;
        orgs::lock(tx, &org.id).await?;
        let org = orgs::by_id(tx.conn(), &org.id).await?.ok_or(StepError::NotFound)?;
        if !for_present_owner(&record, &org)
            || !orgs::use_consent_link(tx, &record.id, self.now()).await?
        {
            return Err(StepError::NotFound);
        }
        let owner = orgs::members(tx.conn(), &org.id)
            .await?
            .into_iter()
            .find(|m| m.id == record.owner_id)
            .ok_or(StepError::NotFound)?;
        speaks_for(&owner, &org)?;
        self.switch_consent(tx, &org, true, &member_actor(&owner, from), Some(&record.ticket_id))
            .await?;
        Ok(org)
    }
}

/// Whether a link went to who is Owner of record now, at the address on file now.
fn for_present_owner(link: &ConsentLink, org: &Org) -> bool {
    org.owner_member_id.as_ref() == Some(&link.owner_id)
        && org.owner_address.as_ref() == Some(&link.address)
}

/// Refuses whoever is not the Owner of record, or can no longer act for the org. An Owner who is
/// locked out of the org's own console can still decide this.
fn speaks_for(member: &Member, org: &Org) -> Step<()> {
    if member.role != MemberRole::Owner
        || org.owner_member_id.as_deref() != Some(member.id.as_str())
    {
        return Err(StepError::Forbidden("Only the Owner of record can change consent."));
    }
    if matches!(member.standing, Standing::Departed | Standing::Suspended) {
        return Err(StepError::Forbidden("This member can no longer act for the org."));
    }
    Ok(())
}
