//! When the procedure cannot go on (US-PLAT-13): the Owner is marked unreachable, and the one
//! thing left is to hand the case to Legal. There is no way around it in the product.

use super::{AtWork, Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{LogId, NewRow};
use crate::model::{EndCause, TicketState, time};
use crate::proof::actions;
use crate::proof::org_record::Field;
use crate::store::tickets::{self, Ticket};
use crate::store::{Tx, impersonations, orgs};

/// How the summary for Legal begins.
pub const SUMMARY_BEGINS: &str = "Escalation to Legal";

/// The longest account of the attempts, in characters.
pub const LONGEST_ATTEMPTS: usize = 1000;

impl Desk {
    /// Marks the Owner of record unreachable, with the attempts that were made. From then on
    /// nothing can be minted for the org; a live impersonation of it ends.
    ///
    /// # Errors
    /// [`StepError::Invalid`] where the attempts are not told; [`StepError::Conflict`] where the
    /// Owner is marked already, or the ticket is not open.
    pub async fn mark_unreachable(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        ticket_id: &str,
        attempts: &str,
    ) -> Step<()> {
        self.authorize(tx, who).await?;
        let attempts = attempts.trim();
        if attempts.chars().count() < 10 || attempts.chars().count() > LONGEST_ATTEMPTS {
            return Err(StepError::Invalid(
                "Say in 10 to 1,000 characters how and when you tried to reach the Owner.",
            ));
        }
        let ticket = self.served_ticket(tx, ticket_id).await?;
        let org = orgs::by_id(tx.conn(), &ticket.org_id).await?.ok_or(StepError::NotFound)?;
        self.guard(tx, who, &org.id, &ticket.id, attempts).await?;
        if org.owner_unreachable_at.is_some() {
            return Err(StepError::Conflict("The Owner is marked unreachable already."));
        }
        orgs::set_unreachable(tx, &org.id, attempts, self.now()).await?;
        let row = |action| {
            NewRow::new(action, &who.actor())
                .org(&org.id)
                .ticket(&ticket.id)
                .with("attempts", attempts)
        };
        let own = row(actions::OWNER_MARKED_UNREACHABLE);
        let own = self.with_record(tx.conn(), &org.id, &[Field::Reachable], own).await?;
        let platform = row(actions::PLATFORM_OWNER_MARKED_UNREACHABLE);
        self.log_both(tx, &org.id, platform, own).await?;
        for grant in impersonations::open_of(tx.conn(), "", &org.id).await? {
            let cause =
                if grant.admin_id == who.staff.id { EndCause::Admin } else { EndCause::OtherAdmin };
            self.end(tx, &grant, cause, &who.actor()).await?;
        }
        Ok(())
    }

    /// Hands the case to Legal: the ticket is escalated, and nothing is ever minted for it. What
    /// comes back is a summary to send.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where the Owner is not marked unreachable: that is the one case
    /// that goes this way.
    pub async fn escalate(&self, tx: &mut Tx, who: &AtWork, ticket_id: &str) -> Step<String> {
        self.authorize(tx, who).await?;
        let ticket = self.served_ticket(tx, ticket_id).await?;
        let case = self.case(tx.conn(), ticket_id, &who.staff.id, None).await?;
        let marked = case.facts.owner.as_ref().is_some_and(|owner| owner.unreachable.is_some());
        if !marked {
            return Err(StepError::Conflict(
                "Only a case whose Owner is marked unreachable goes to Legal.",
            ));
        }
        let summary = self.summary(&ticket, &case, who);
        tickets::set_state(tx, ticket_id, TicketState::Escalated).await?;
        self.put_message(tx, ticket_id, &who.staff.name, "note", summary.clone()).await?;
        let row = NewRow::new(actions::PLATFORM_ESCALATED_TO_LEGAL, &who.actor())
            .org(&ticket.org_id)
            .ticket(ticket_id)
            .with("failed_checks", case.verdict.failed_names())
            .with("summary", summary.clone());
        self.log(tx, &LogId::Platform, row).await?;
        self.consent_is_done(tx, &ticket.org_id, ticket_id, None).await?;
        Ok(summary)
    }

    /// The ticket, under the locks of a step, if it is still being served.
    pub(crate) async fn served_ticket(&self, tx: &mut Tx, ticket_id: &str) -> Step<Ticket> {
        let org_id = tickets::by_id(tx.conn(), ticket_id).await?.ok_or(StepError::NotFound)?.org_id;
        lock_both(tx, &org_id).await?;
        orgs::lock(tx, &org_id).await?;
        let ticket = tickets::by_id(tx.conn(), ticket_id).await?.ok_or(StepError::NotFound)?;
        if !ticket.state.can_be_served() {
            return Err(StepError::Conflict("The ticket is not open any more."));
        }
        Ok(ticket)
    }

    /// What Legal needs to know. It names no secret value: the console has none.
    fn summary(&self, ticket: &Ticket, case: &super::facts::Case, who: &AtWork) -> String {
        let org = case.org.as_ref().map_or("an unknown org", |o| o.name.as_str());
        let owner = case.owner().map_or("nobody", |o| o.name.as_str());
        let (at, attempts) =
            case.facts.owner.as_ref().and_then(|o| o.unreachable.clone()).map_or_else(
                || ("never".to_owned(), String::new()),
                |(at, text)| (time::seconds(at), text),
            );
        let secret = ticket.secret_id.as_deref().unwrap_or("a secret that is not named");
        let leak = if ticket.suspected_leak() { " A leak is suspected." } else { "" };
        format!(
            "{SUMMARY_BEGINS}: {ticket_id}, {org}.\n\
             The ticket was filed {filed} by {requester}: {subject}.{leak}\n\
             It is about {secret}. Nothing was rotated under this ticket by this escalation.\n\
             The Owner of record, {owner}, was marked unreachable at {at}. Attempts: {attempts}\n\
             The procedure does not allow a rotation without the Owner, and the product has no way around it.\n\
             Escalated by {admin} at {now}.",
            ticket_id = ticket.id,
            filed = time::seconds(ticket.filed_at),
            requester = ticket.requester_name,
            subject = ticket.subject,
            admin = who.staff.name,
            now = time::seconds(self.now()),
        )
    }
}
