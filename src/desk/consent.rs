//! Step 2: `allow_platform_impersonation` (US-PLAT-12). Staff cannot set it; what acts for the
//! Owner can: the Owner's own credential, and the single-use link that is mailed to the address
//! on file.

mod reminder;

pub use reminder::CONFIRMED_EVERY;
use secrecy::{ExposeSecret, SecretString};
use sqlx::AnyConnection;

use super::rotate::member_actor;
use super::{AtWork, Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, LogId, NewRow};
use crate::auth::credential;
use crate::clock::new_token;
use crate::model::{Consent, EndCause, MemberRole, Standing, time};
use crate::policy::eligibility::unanswered_too_long;
use crate::proof::actions;
use crate::proof::org_record::Field;
use crate::store::orgs::{self, ConsentLink, Member, Org};
use crate::store::{Tx, impersonations, tickets, withdraw_links};

/// How long a link works.
const LINK_LIFE: crate::model::Micros = 24 * time::HOUR;

impl Desk {
    /// Switches consent at the wish of the Owner, with the Owner's own credential. A live
    /// impersonation that it does not cover any more ends in the same transaction. The same again
    /// confirms what the Owner was asked about.
    ///
    /// # Errors
    /// [`StepError::Forbidden`] for anyone but the Owner of record; where it is for one ticket,
    /// [`StepError::NotFound`] for one that is not the org's and [`StepError::Conflict`] for one
    /// that is over.
    pub async fn set_consent(
        &self,
        tx: &mut Tx,
        member: &Member,
        to: &Consent,
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
        if to.on() {
            self.require_record(tx.conn(), &org.id).await?;
        }
        self.check_scope(tx, &org, to).await?;
        let because = Because { ticket: to.only_for(), ..Because::default() };
        self.switch_consent(tx, &org, to, &member_actor(&member, from), because).await
    }

    /// Refuses consent for a ticket that it would be of no use to.
    async fn check_scope(&self, tx: &mut Tx, org: &Org, to: &Consent) -> Step<()> {
        let Some(only) = to.only_for() else { return Ok(()) };
        let ticket = tickets::by_id(tx.conn(), only)
            .await?
            .filter(|t| t.org_id == org.id)
            .ok_or(StepError::NotFound)?;
        if !ticket.state.can_be_served() {
            return Err(StepError::Conflict("The ticket is not open any more."));
        }
        Ok(())
    }

    /// Does what the Owner decided: also ends what is not covered by it.
    pub(super) async fn switch_consent(
        &self,
        tx: &mut Tx,
        org: &Org,
        to: &Consent,
        actor: &Actor,
        because: Because<'_>,
    ) -> Step<()> {
        // Whatever the Owner decides, no older link decides otherwise later.
        orgs::void_consent_links(tx, &org.id, self.now()).await?;
        if org.consent() == *to {
            return self.confirm_consent(tx, org, actor, because).await;
        }
        self.write_consent(tx, org, to, actor, because).await?;
        for grant in impersonations::open_of(tx.conn(), "", &org.id).await? {
            if grant.org_id == org.id && !to.covers(&grant.ticket_id) {
                self.end(tx, &grant, EndCause::ConsentWithdrawn, actor).await?;
            }
        }
        Ok(())
    }

    /// Sets it, and writes the rows of both logs.
    async fn write_consent(
        &self,
        tx: &mut Tx,
        org: &Org,
        to: &Consent,
        actor: &Actor,
        because: Because<'_>,
    ) -> Step<()> {
        let now = self.now();
        orgs::set_consent(tx, &org.id, to, now).await?;
        if !to.on() {
            withdraw_links::void(tx, &org.id, now).await?;
        }
        let action = if to.on() { actions::CONSENT_ENABLED } else { actions::CONSENT_DISABLED };
        let mut row =
            NewRow::new(action, actor).org(&org.id).with("allow_platform_impersonation", to.on());
        match to {
            Consent::Off => {}
            Consent::ForTicket(only) => row = row.with("only_for_ticket", only.clone()),
            Consent::UntilWithdrawn => row = row.with("until_withdrawn", true),
        }
        if let Some(ticket) = because.ticket {
            row = row.ticket(ticket);
        }
        if let Some(cause) = because.cause {
            row = row.with("cause", cause);
        }
        if let Some(id) = because.after {
            row = row.with("after_impersonation", id);
        }
        let own = self.with_record(tx.conn(), &org.id, &[Field::Consent], row.clone()).await?;
        self.log_both(tx, &org.id, row, own).await
    }

    /// Switches a consent off that was for this ticket only, now that the ticket's impersonation,
    /// or the ticket itself, is over. Any other consent stays as it is. The caller holds the locks
    /// of a step about the org; `after` is the impersonation that has just ended.
    ///
    /// # Errors
    /// Where it cannot be written; the step must then fail.
    pub(crate) async fn consent_is_done(
        &self,
        tx: &mut Tx,
        org_id: &str,
        ticket: &str,
        after: Option<&str>,
    ) -> Step<()> {
        let org = orgs::by_id(tx.conn(), org_id).await?.ok_or(StepError::NotFound)?;
        if org.consent().only_for() != Some(ticket) {
            return Ok(());
        }
        let because = Because { ticket: Some(ticket), cause: Some(TICKET_DONE), after };
        self.write_consent(tx, &org, &Consent::Off, &Actor::system(), because).await
    }

    /// Switches off each consent whose one ticket is not being served any more, however that came.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(super) async fn sweep_consents(&self) -> Step<()> {
        let left = {
            let mut conn = self.store.read().await?;
            orgs::consents_left_over(&mut conn).await?
        };
        for (org_id, ticket) in left {
            let mut tx = self.begin().await?;
            let step = self.consent_left_over(&mut tx, &org_id, &ticket).await;
            self.settle(tx, step).await?;
        }
        Ok(())
    }

    async fn consent_left_over(&self, tx: &mut Tx, org_id: &str, ticket: &str) -> Step<()> {
        lock_both(tx, org_id).await?;
        orgs::lock(tx, org_id).await?;
        let served = tickets::by_id(tx.conn(), ticket).await?;
        if served.is_some_and(|t| t.state.can_be_served()) {
            return Ok(());
        }
        // What still runs for it ends first, and takes the consent with it.
        for grant in impersonations::open_of(tx.conn(), "", org_id).await? {
            if grant.ticket_id == ticket {
                self.end(tx, &grant, EndCause::ConsentWithdrawn, &Actor::system()).await?;
            }
        }
        self.consent_is_done(tx, org_id, ticket, None).await
    }

    /// Asks the Owner to re-enable consent: mails a link to the address on file. The link appears
    /// nowhere else.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where there is consent for the ticket, or no address on file.
    pub async fn request_consent(&self, tx: &mut Tx, who: &AtWork, ticket_id: &str) -> Step<()> {
        self.authorize(tx, who).await?;
        let ticket = tickets::by_id(tx.conn(), ticket_id).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &ticket.org_id).await?;
        orgs::lock(tx, &ticket.org_id).await?;
        let org = orgs::by_id(tx.conn(), &ticket.org_id).await?.ok_or(StepError::NotFound)?;
        if !ticket.state.can_be_served() {
            return Err(StepError::Conflict("The ticket is not open any more."));
        }
        let unanswered = org.consent() == Consent::UntilWithdrawn
            && unanswered_too_long(org.consent_reminded_at, self.now());
        if org.consent().covers(&ticket.id) && !unanswered {
            return Err(StepError::Conflict("Consent is on already."));
        }
        self.require_record(tx.conn(), &org.id).await?;
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
                 It would be allowed to rotate the one secret of that ticket, and nothing else.\n\
                 Unless you choose otherwise it is for this ticket only, and goes off by itself.\n\n\
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

    /// Switches consent on by the link: for the ticket that it was asked for, or until it is
    /// withdrawn. The link works once.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a link that never was, is used up, or has expired;
    /// [`StepError::Conflict`] where it is to be for the ticket only, and that is over.
    pub async fn consent_by_link(
        &self,
        tx: &mut Tx,
        link: &SecretString,
        until_withdrawn: bool,
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
        self.require_record(tx.conn(), &org.id).await?;
        let to = if until_withdrawn {
            Consent::UntilWithdrawn
        } else {
            Consent::ForTicket(record.ticket_id.clone())
        };
        self.check_scope(tx, &org, &to).await?;
        let because = Because { ticket: Some(&record.ticket_id), ..Because::default() };
        self.switch_consent(tx, &org, &to, &member_actor(&owner, from), because).await?;
        orgs::by_id(tx.conn(), &org.id).await?.ok_or(StepError::NotFound)
    }
}

/// Why consent goes off by itself.
const TICKET_DONE: &str = "its one ticket is done";

/// What the rows of a change of consent say besides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Because<'a> {
    /// The ticket that it was for.
    pub(super) ticket: Option<&'a str>,
    /// Why, where nobody decided it just now.
    pub(super) cause: Option<&'static str>,
    /// The impersonation that has ended before.
    pub(super) after: Option<&'a str>,
}

/// Whether a link went to who is Owner of record now, at the address on file now.
fn for_present_owner(link: &ConsentLink, org: &Org) -> bool {
    org.owner_member_id.as_ref() == Some(&link.owner_id)
        && org.owner_address.as_ref() == Some(&link.address)
}

/// Refuses whoever is not the Owner of record, or can no longer act for the org. An Owner who is
/// locked out of the org's own console can still decide this.
pub(super) fn speaks_for(member: &Member, org: &Org) -> Step<()> {
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
