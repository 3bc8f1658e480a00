//! Messages of ours in a ticket, and the comments that we owe the support desk outside for them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outbox::{Delivered, Label};
use super::{Desk, Step};
use crate::delivery::tickets::{Comment, TicketsError};
use crate::model::{Micros, OutboxKind};
use crate::store::outbox::Item;
use crate::store::tickets::{self, Message};
use crate::store::{Tx, flag};

/// How long one comment may take.
const POSTING: Duration = Duration::from_secs(12);

/// A comment as it waits.
#[derive(Serialize, Deserialize)]
struct Waiting {
    public: bool,
    body: String,
    at: Micros,
}

impl Desk {
    /// Puts a message of ours into a ticket; where a desk outside keeps it, it is owed to that
    /// desk from now on.
    pub(super) async fn put_message(
        &self,
        tx: &mut Tx,
        number: &str,
        author: &str,
        kind: &str,
        body: String,
    ) -> Step<()> {
        let owed = self.tickets.outside().is_some();
        let message = Message {
            id: self.new_id(),
            ticket_id: number.to_owned(),
            author: author.to_owned(),
            kind: kind.to_owned(),
            body,
            at: self.now(),
            outside_id: None,
            waits: flag(owed),
        };
        tickets::insert_message(tx.conn(), &message).await?;
        if owed {
            let waiting =
                Waiting { public: kind == "staff", body: message.body.clone(), at: message.at };
            let org = tickets::by_id(tx.conn(), number).await?.map(|ticket| ticket.org_id);
            let label = Label { org_id: org.as_deref(), subject: None };
            let kind = OutboxKind::TicketComment;
            self.queue_labelled(tx, kind, number, &message.id, label, &waiting).await?;
        }
        Ok(())
    }

    pub(super) async fn deliver_comment(&self, item: &Item) -> Step<Delivered> {
        let waiting: Waiting = self.queued(item)?;
        let comment = Comment {
            public: waiting.public,
            body: waiting.body,
            at: waiting.at,
            // The same on every attempt: what was posted already is found by it.
            marker: item.about.clone(),
        };
        let posting = self.tickets.post(&item.recipient, &comment);
        let posted =
            tokio::time::timeout(POSTING, posting).await.unwrap_or(Err(TicketsError::NoAnswer));
        Ok(Delivered::Comment(posted.map_err(|e| e.refusal())?))
    }

    pub(super) async fn note_comment(&self, tx: &mut Tx, item: &Item, id: &str) -> Step<()> {
        Ok(tickets::posted(tx, &item.about, id).await?)
    }
}
