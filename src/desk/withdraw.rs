//! How the Owner withdraws consent at once: a single-use link in each mail about an impersonation,
//! for whom the console is closed and no credential is at hand.

use secrecy::{ExposeSecret, SecretString};
use sqlx::AnyConnection;

use super::consent::{Because, speaks_for};
use super::rotate::member_actor;
use super::{Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::auth::credential;
use crate::clock::new_token;
use crate::model::{Consent, time};
use crate::store::impersonations::{self, Impersonation};
use crate::store::orgs::{self, Org};
use crate::store::withdraw_links::{self, WithdrawLink};
use crate::store::{Tx, staff};

/// How long a link works.
const LINK_LIFE: crate::model::Micros = 7 * time::DAY;

/// What a link to withdraw is about.
#[derive(Debug, Clone)]
pub struct Withdrawal {
    /// The link.
    pub link: WithdrawLink,
    /// The org.
    pub org: Org,
    /// The impersonation that its mail was about.
    pub grant: Impersonation,
    /// The admin whose it is.
    pub admin: String,
}

impl Desk {
    /// What a mail about an impersonation says of consent: how to withdraw it at once, or that it
    /// is off. `over` says that the impersonation is, with this mail: consent that was for its
    /// ticket only is then off too.
    pub(super) async fn about_consent(
        &self,
        tx: &mut Tx,
        grant: &Impersonation,
        over: bool,
    ) -> Step<String> {
        let org = orgs::by_id(tx.conn(), &grant.org_id).await?.ok_or(StepError::NotFound)?;
        let consent = org.consent();
        let only_this = consent.only_for() == Some(grant.ticket_id.as_str());
        if over && only_this {
            return Ok("Your consent was for this ticket only. It is off now.\n".to_owned());
        }
        if !consent.on() {
            return Ok("Your consent is off: the platform cannot act for you unless you allow it \
                       again.\n"
                .to_owned());
        }
        let until = if only_this {
            "Your consent is for this ticket only, and goes off by itself when this ends.\n"
        } else {
            ""
        };
        let (Some(owner_id), Some(address)) = (org.owner_member_id, org.owner_address) else {
            return Ok(until.to_owned());
        };
        let now = self.now();
        let token = new_token(self.rng.as_ref());
        let link = WithdrawLink {
            org_id: org.id,
            impersonation_id: grant.id.clone(),
            owner_id,
            address,
            created_at: now,
            expires_at: now + LINK_LIFE,
            used_at: None,
        };
        withdraw_links::insert(tx, &link, &credential::hash(&token)).await?;
        Ok(format!(
            "{until}If you did not ask for this, withdraw consent at once: open this link and press its\n\
             button. That ends whatever runs immediately. The link works once, until {}:\n\
             {base}/withdraw/{}\n\
             Or set allow_platform_impersonation to false with your own credential\n\
             (PUT {base}/api/v1/org/consent).\n",
            time::seconds(link.expires_at),
            token.expose_secret(),
            base = self.settings.base_url,
        ))
    }

    /// What a link is about, if it is one for who is Owner of record now; also where it is used up
    /// or consent is off already.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn withdrawal_of_link(
        &self,
        conn: &mut AnyConnection,
        link: &SecretString,
    ) -> Step<Option<Withdrawal>> {
        let Some(link) = withdraw_links::by_hash(conn, &credential::hash(link)).await? else {
            return Ok(None);
        };
        let Some(org) = orgs::by_id(conn, &link.org_id).await? else { return Ok(None) };
        if self.now() >= link.expires_at
            || org.owner_member_id.as_ref() != Some(&link.owner_id)
            || org.owner_address.as_ref() != Some(&link.address)
        {
            return Ok(None);
        }
        let Some(grant) = impersonations::by_id(conn, &link.impersonation_id).await? else {
            return Ok(None);
        };
        let admin = staff::by_id(conn, &grant.admin_id).await?.map_or_else(String::new, |s| s.name);
        Ok(Some(Withdrawal { link, org, grant, admin }))
    }

    /// Withdraws consent by the link, and ends the org's live impersonation in the same
    /// transaction. Where consent is off already there is nothing to do.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a link that never was, is used up, or has expired.
    pub async fn withdraw_by_link(
        &self,
        tx: &mut Tx,
        link: &SecretString,
        from: Option<String>,
    ) -> Step<()> {
        let known = self.withdrawal_of_link(tx.conn(), link).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &known.org.id).await?;
        orgs::lock(tx, &known.org.id).await?;
        // As it is now: it was looked up before the locks.
        let Withdrawal { link, org, grant, .. } =
            self.withdrawal_of_link(tx.conn(), link).await?.ok_or(StepError::NotFound)?;
        if !org.consent().on() {
            return Ok(());
        }
        if link.used_at.is_some() {
            return Err(StepError::NotFound);
        }
        let owner = orgs::members(tx.conn(), &org.id)
            .await?
            .into_iter()
            .find(|m| m.id == link.owner_id)
            .ok_or(StepError::NotFound)?;
        speaks_for(&owner, &org)?;
        let because = Because {
            ticket: Some(&grant.ticket_id),
            cause: Some("the link in the mail about it"),
            after: None,
        };
        self.switch_consent(tx, &org, &Consent::Off, &member_actor(&owner, from), because).await
    }
}
