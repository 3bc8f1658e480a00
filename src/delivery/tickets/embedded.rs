//! The desk of our own: tickets live in the database, filed by programs.

use async_trait::async_trait;

use super::{Comment, OutsideComment, OutsideTicket, Tickets, TicketsError};
use crate::store::tickets::{self, Message};
use crate::store::{Store, StoreError, orgs};

/// Tickets in our own database.
#[derive(Debug)]
pub struct EmbeddedDesk {
    store: Store,
    prefix: String,
}

impl EmbeddedDesk {
    /// The desk in this database, whose tickets' numbers begin with `prefix`.
    #[must_use]
    pub fn new(store: Store, prefix: &str) -> Self {
        Self { store, prefix: prefix.to_owned() }
    }

    async fn read(&self, number: &str) -> Result<Option<OutsideTicket>, StoreError> {
        let mut conn = self.store.read().await?;
        let Some(ticket) = tickets::by_id(&mut conn, number).await? else { return Ok(None) };
        let members = orgs::members(&mut conn, &ticket.org_id).await?;
        let requester =
            members.iter().find(|m| Some(m.id.as_str()) == ticket.requester_member.as_deref());
        let comments = tickets::messages(&mut conn, number)
            .await?
            .into_iter()
            .map(|m| OutsideComment {
                id: m.id,
                author: m.author,
                by_customer: m.kind == "customer",
                public: m.kind != "note",
                body: m.body,
                at: m.at,
            })
            .collect();
        Ok(Some(OutsideTicket {
            number: number.to_owned(),
            suspected_leak: ticket.suspected_leak(),
            authenticated: ticket.authenticated_how.zip(ticket.authenticated_at),
            subject: ticket.subject,
            state: ticket.state,
            requester_name: ticket.requester_name,
            requester_email: requester.map(|m| m.email.clone()),
            org: Some(ticket.org_id),
            secret_type: ticket.secret_type,
            secret_id: ticket.secret_id,
            filed_at: ticket.filed_at,
            comments,
        }))
    }

    async fn write(&self, number: &str, comment: &Comment) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        if tickets::by_id(tx.conn(), number).await?.is_none() {
            return Ok(false);
        }
        let there = tickets::messages(tx.conn(), number).await?;
        if there.iter().all(|m| m.id != comment.marker) {
            let message = Message {
                id: comment.marker.clone(),
                ticket_id: number.to_owned(),
                author: "Platform".to_owned(),
                kind: if comment.public { "staff" } else { "note" }.to_owned(),
                body: comment.body.clone(),
                at: comment.at,
                outside_id: None,
                waits: 0,
            };
            tickets::insert_message(tx.conn(), &message).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

fn no_database(e: StoreError) -> TicketsError {
    tracing::error!(error = %e, "tickets of our own");
    TicketsError::NoAnswer
}

#[async_trait]
impl Tickets for EmbeddedDesk {
    fn outside(&self) -> Option<&'static str> {
        None
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    async fn look_up(&self, number: &str) -> Result<Option<OutsideTicket>, TicketsError> {
        self.read(number).await.map_err(no_database)
    }

    async fn post(&self, number: &str, comment: &Comment) -> Result<String, TicketsError> {
        match self.write(number, comment).await {
            Ok(true) => Ok(comment.marker.clone()),
            Ok(false) => Err(TicketsError::Unknown),
            Err(e) => Err(no_database(e)),
        }
    }
}
