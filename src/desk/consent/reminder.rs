//! Consent that has no end is confirmed once a year: the Owner gets a mail with a link to keep it or
//! to withdraw it. Thirty days without an answer, and it does not count until there is one.

use secrecy::{ExposeSecret, SecretString};
use sqlx::AnyConnection;

use super::{Because, speaks_for};
use crate::audit::append::lock_both;
use crate::audit::{Actor, NewRow};
use crate::auth::credential;
use crate::clock::new_token;
use crate::desk::rotate::member_actor;
use crate::desk::{Desk, Step, StepError};
use crate::model::{Consent, Micros, time};
use crate::policy::eligibility::UNANSWERED_FOR;
use crate::proof::actions;
use crate::proof::org_record::Field;
use crate::store::Tx;
use crate::store::orgs::reminders::{self, ConsentReminder};
use crate::store::orgs::{self, Org};

/// How long consent stands without being confirmed.
pub const CONFIRMED_EVERY: Micros = 365 * time::DAY;

/// How long a link works: longer than consent counts, so that a late answer needs no new mail.
const LINK_LIFE: Micros = 90 * time::DAY;

/// How many orgs are asked in one go. The others are a second later.
const MANY: i64 = 100;

impl Desk {
    /// Asks each Owner whose consent was given or confirmed a year ago whether it still stands.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(in crate::desk) async fn remind_of_consents(&self) -> Step<()> {
        let due = {
            let mut conn = self.store.read().await?;
            reminders::due(&mut conn, self.now() - CONFIRMED_EVERY, MANY).await?
        };
        let mut failed = None;
        for org_id in due {
            let mut tx = self.begin().await?;
            let step = self.remind_of_consent(&mut tx, &org_id).await;
            // An org whose log does not hold keeps no other waiting.
            if let Err(e) = self.settle(tx, step).await {
                failed.get_or_insert(e);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn remind_of_consent(&self, tx: &mut Tx, org_id: &str) -> Step<()> {
        lock_both(tx, org_id).await?;
        orgs::lock(tx, org_id).await?;
        let org = orgs::by_id(tx.conn(), org_id).await?.ok_or(StepError::NotFound)?;
        let now = self.now();
        let last = org.consent_confirmed_at.or(org.consent_changed_at).unwrap_or_default();
        if org.consent() != Consent::UntilWithdrawn
            || org.consent_reminded_at.is_some()
            || last > now - CONFIRMED_EVERY
        {
            return Ok(());
        }
        // Who is asked, and where, is what the log says.
        self.require_record(tx.conn(), org_id).await?;
        reminders::set_reminded(tx, org_id, Some(now)).await?;
        let address = org.owner_address.clone().filter(|a| !a.is_empty());
        let to = org.owner_member_id.clone().zip(address);
        let row = NewRow::new(actions::CONSENT_REMINDED, &Actor::system())
            .org(org_id)
            .with("mailed", to.is_some())
            .with("counts_until", now + UNANSWERED_FOR);
        let own = self.with_record(tx.conn(), org_id, &[Field::Consent], row.clone()).await?;
        self.log_both(tx, org_id, row, own).await?;
        // Where nobody can be mailed nobody answers, and consent ends to count all the same.
        let Some((owner_id, address)) = to else { return Ok(()) };
        let token = new_token(self.rng.as_ref());
        let link = ConsentReminder {
            org_id: org_id.to_owned(),
            owner_id,
            address: address.clone(),
            created_at: now,
            expires_at: now + LINK_LIFE,
            used_at: None,
        };
        reminders::insert(tx, &link, &credential::hash(&token)).await?;
        let since = org.consent_changed_at.map_or_else(|| "some time".to_owned(), time::date);
        self.queue_mail(
            tx,
            org_id,
            org_id,
            &address,
            &format!("May the platform still act for {}?", org.name),
            &format!(
                "Since {since} the platform may act for {name} until you withdraw that: it may\n\
                 rotate a secret where a ticket of yours asks for it, and nobody of yours can.\n\
                 Once a year we ask whether that is still so.\n\n\
                 Open this link to keep it or to withdraw it. It works once, until {until}:\n\
                 {base}/consent-reminder/{token}\n\n\
                 Or say it with your own credential (PUT {base}/api/v1/org/consent).\n\n\
                 Without an answer it does not count any more from {stops} on, until you say so.\n",
                name = org.name,
                until = time::seconds(link.expires_at),
                base = self.settings.base_url,
                token = token.expose_secret(),
                stops = time::seconds(now + UNANSWERED_FOR),
            ),
        )
        .await
    }

    /// What a link asks about, if it is one for who is Owner of record now, consent still stands
    /// unanswered, and the link can be used.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn consent_of_reminder(
        &self,
        conn: &mut AnyConnection,
        link: &SecretString,
    ) -> Step<Option<(ConsentReminder, Org)>> {
        let Some(link) = reminders::by_hash(conn, &credential::hash(link)).await? else {
            return Ok(None);
        };
        if link.used_at.is_some() || self.now() >= link.expires_at {
            return Ok(None);
        }
        let org = orgs::by_id(conn, &link.org_id).await?.filter(|org| {
            org.consent() == Consent::UntilWithdrawn
                && org.owner_member_id.as_ref() == Some(&link.owner_id)
                && org.owner_address.as_ref() == Some(&link.address)
        });
        Ok(org.map(|org| (link, org)))
    }

    /// The Owner answers by the link: consent stays, or is withdrawn. The link works once.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a link that never was, is used up, or has expired.
    pub async fn answer_reminder(
        &self,
        tx: &mut Tx,
        link: &SecretString,
        keep: bool,
        from: Option<String>,
    ) -> Step<Org> {
        let (_, org) =
            self.consent_of_reminder(tx.conn(), link).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &org.id).await?;
        orgs::lock(tx, &org.id).await?;
        // As it is now: it was looked up before the locks.
        let (link, org) =
            self.consent_of_reminder(tx.conn(), link).await?.ok_or(StepError::NotFound)?;
        let owner = orgs::members(tx.conn(), &org.id)
            .await?
            .into_iter()
            .find(|m| m.id == link.owner_id)
            .ok_or(StepError::NotFound)?;
        speaks_for(&owner, &org)?;
        let actor = member_actor(&owner, from);
        let because = Because { cause: Some("the link in the yearly mail"), ..Because::default() };
        let to = if keep { Consent::UntilWithdrawn } else { Consent::Off };
        self.switch_consent(tx, &org, &to, &actor, because).await?;
        orgs::by_id(tx.conn(), &org.id).await?.ok_or(StepError::NotFound)
    }

    /// The Owner has said that consent stands, where that was asked.
    pub(super) async fn confirm_consent(
        &self,
        tx: &mut Tx,
        org: &Org,
        actor: &Actor,
        because: Because<'_>,
    ) -> Step<()> {
        if org.consent_reminded_at.is_none() {
            return Ok(());
        }
        reminders::set_confirmed(tx, &org.id, self.now()).await?;
        let mut row = NewRow::new(actions::CONSENT_CONFIRMED, actor).org(&org.id);
        if let Some(ticket) = because.ticket {
            row = row.ticket(ticket);
        }
        if let Some(cause) = because.cause {
            row = row.with("cause", cause);
        }
        let own = self.with_record(tx.conn(), &org.id, &[Field::Consent], row.clone()).await?;
        self.log_both(tx, &org.id, row, own).await
    }
}
