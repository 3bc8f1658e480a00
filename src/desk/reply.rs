//! Replies to a ticket: the server's own words for a failed check, or what a platform admin
//! writes, which the guard reads before it leaves.

use sqlx::AnyConnection;

use super::{AtWork, Desk, Step, StepError};
use crate::audit::{LogId, NewRow};
use crate::delivery::guard;
use crate::model::TicketState;
use crate::policy::eligibility::Check;
use crate::proof::actions;
use crate::proof::row::Outcome;
use crate::store::tickets::{self, Ticket};
use crate::store::{Tx, secrets};

/// The longest reply, in characters.
const LONGEST_REPLY: usize = 5_000;

impl Desk {
    /// Posts the ready reply of a failed check to the ticket.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where the check passes by now, or has no reply.
    pub async fn post_reply(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        ticket_id: &str,
        check: Check,
    ) -> Step<()> {
        self.authorize(tx, who).await?;
        let ticket = self.served_ticket(tx, ticket_id).await?;
        let case = self.case(tx.conn(), ticket_id, &who.staff.id, None).await?;
        let reply = case
            .verdict
            .failed()
            .find(|f| f.check == check && !f.reply.is_empty())
            .map(|f| f.reply.clone())
            .ok_or(StepError::Conflict("There is no reply to post: that check passes by now."))?;
        self.put_reply(tx, who, &ticket, reply, Some(check)).await
    }

    /// Posts what a platform admin wrote.
    ///
    /// # Errors
    /// [`StepError::Denied`] where it holds a secret, or something of the shape of one: the
    /// attempt is written down, the text is not.
    pub async fn post_text(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        ticket_id: &str,
        text: &str,
    ) -> Step<()> {
        self.authorize(tx, who).await?;
        let text = text.trim();
        if text.is_empty() || text.chars().count() > LONGEST_REPLY {
            return Err(StepError::Invalid("A reply has 1 to 5,000 characters."));
        }
        let ticket = self.served_ticket(tx, ticket_id).await?;
        self.guard(tx, who, &ticket.org_id, ticket_id, text).await?;
        self.put_reply(tx, who, &ticket, text.to_owned(), None).await
    }

    /// Puts a reply into the ticket, which is being worked on from then on.
    async fn put_reply(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        ticket: &Ticket,
        body: String,
        check: Option<Check>,
    ) -> Step<()> {
        self.put_message(tx, &ticket.id, &who.staff.name, "staff", body).await?;
        if ticket.state == TicketState::Open {
            tickets::set_state(tx, &ticket.id, TicketState::Pending).await?;
        }
        let mut row = NewRow::new(actions::PLATFORM_REPLY_POSTED, &who.actor())
            .org(&ticket.org_id)
            .ticket(&ticket.id);
        if let Some(check) = check {
            row = row.with("check", check.as_str());
        }
        self.log(tx, &LogId::Platform, row).await?;
        Ok(())
    }

    /// Reads what staff wrote before it leaves or is written into a log, where it could never be
    /// erased. A text that cannot be read to its end is refused as well.
    pub(crate) async fn guard(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        org_id: &str,
        ticket_id: &str,
        text: &str,
    ) -> Step<()> {
        let Some(found) = self.secret_in(tx.conn(), text).await? else { return Ok(()) };
        let row = NewRow::new(actions::PLATFORM_REPLY_REFUSED, &who.actor())
            .outcome(Outcome::Refused)
            .org(org_id)
            .ticket(ticket_id)
            .with("found", found);
        self.log(tx, &LogId::Platform, row).await?;
        Err(StepError::Denied(
            "The text holds a secret, or something of the shape of one. It was not posted and not kept. Take it out and write again.",
        ))
    }

    /// What of a secret is in a text: the name of a shape, that it is an issued value, or why the
    /// text cannot be read to its end. Nothing where it is clean.
    pub(crate) async fn secret_in(
        &self,
        conn: &mut AnyConnection,
        text: &str,
    ) -> Step<Option<String>> {
        Ok(match (guard::shape(text), guard::candidates(text, &self.keys.fingerprint)) {
            (Ok(Some(shape)), _) => Some(shape.as_str().to_owned()),
            (Ok(None), Ok(candidates)) => {
                let issued = secrets::any_issued(conn, &candidates).await?;
                issued.then(|| "an issued value".to_owned())
            }
            (Err(e), _) | (_, Err(e)) => Some(e.to_string()),
        })
    }
}
