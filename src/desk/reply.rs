//! Ready replies: the server's own words for a failed check, posted to the ticket. Nobody types
//! them, so no secret can get into one.

use super::{AtWork, Desk, Step, StepError};
use crate::audit::{LogId, NewRow};
use crate::model::TicketState;
use crate::policy::eligibility::Check;
use crate::proof::actions;
use crate::store::Tx;
use crate::store::tickets::{self, Message};

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
        tickets::insert_message(
            tx.conn(),
            &Message {
                id: self.new_id(),
                ticket_id: ticket_id.to_owned(),
                author: who.staff.name.clone(),
                kind: "staff".to_owned(),
                body: reply,
                at: self.now(),
            },
        )
        .await?;
        if ticket.state == TicketState::Open {
            tickets::set_state(tx, ticket_id, TicketState::Pending).await?;
        }
        let row = NewRow::new(actions::PLATFORM_REPLY_POSTED, &who.actor())
            .org(&ticket.org_id)
            .ticket(ticket_id)
            .with("check", check.as_str());
        self.log(tx, &LogId::Platform, row).await?;
        Ok(())
    }
}
