//! What a system outside will not take: it is given up, both logs or the platform's say so, and
//! somebody sends it again or sets it aside.

use super::super::{AtWork, Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, LogId, NewRow};
use crate::model::{Channel, OutboxKind};
use crate::proof::actions;
use crate::store::handoffs::{self, Handoff};
use crate::store::outbox::{self, Item, Stands};
use crate::store::{self, Tx, impersonations, orgs};

/// What somebody wants of an item that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It is tried again.
    SendAgain,
    /// It need not be delivered any more.
    SetAside,
}

impl Desk {
    /// Gives an item up: it is not tried any more, and the logs say why.
    ///
    /// # Errors
    /// Where it cannot be written; the item is then tried again.
    pub(super) async fn leave_undelivered(&self, item: &Item, me: &str, why: &str) -> Step<()> {
        let mut tx = self.begin().await?;
        let handoff = handoffs::by_id(tx.conn(), &item.about).await?;
        let step = match &handoff {
            Some(handoff) => self.give_up_handoff(&mut tx, handoff, item, me, why).await,
            None => self.give_up_other(&mut tx, item, me, why).await,
        };
        self.settle(tx, step).await
    }

    async fn give_up_handoff(
        &self,
        tx: &mut Tx,
        handoff: &Handoff,
        item: &Item,
        me: &str,
        why: &str,
    ) -> Step<()> {
        lock_both(tx, &handoff.org_id).await?;
        orgs::lock(tx, &handoff.org_id).await?;
        if !outbox::give_up(tx, (&item.id, me), why, self.now()).await? {
            return Ok(());
        }
        handoffs::mark_undelivered(tx, &handoff.id).await?;
        let grant = impersonations::by_id(tx.conn(), &handoff.impersonation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        let what = match (item.kind, handoff.channel) {
            (OutboxKind::Mail, Channel::OnePassword) => "notice",
            (OutboxKind::Mail, Channel::Pgp) => "mail",
            _ => "item",
        };
        let row = |action| {
            let mut row = NewRow::new(action, &Actor::system())
                .under(&grant)
                .with("after_impersonation", grant.id.clone())
                .with("handoff_id", handoff.id.clone())
                .with("channel", handoff.channel.as_str())
                .with("what", what)
                .with("said", why)
                .with("attempts", item.attempts + 1);
            // The hand-off ended the impersonation; its trail is closed.
            row.impersonation_id = None;
            row
        };
        let (platform, org) =
            (row(actions::PLATFORM_HANDOFF_UNDELIVERED), row(actions::HANDOFF_UNDELIVERED));
        self.log_both(tx, &handoff.org_id, platform, org).await
    }

    async fn give_up_other(&self, tx: &mut Tx, item: &Item, me: &str, why: &str) -> Step<()> {
        store::audit::lock(tx, &LogId::Platform.as_string()).await?;
        if !outbox::give_up(tx, (&item.id, me), why, self.now()).await? {
            return Ok(());
        }
        let action = match item.kind {
            OutboxKind::TicketComment => actions::PLATFORM_REPLY_UNDELIVERED,
            _ => actions::PLATFORM_MAIL_UNDELIVERED,
        };
        let row = about(item, NewRow::new(action, &Actor::system()))
            .with("said", why)
            .with("attempts", item.attempts + 1);
        self.log(tx, &LogId::Platform, row).await?;
        Ok(())
    }

    /// Sends something again that was given up and is no handoff, or sets it aside. A mail goes to
    /// the address that it was written for, and only while that is the Owner's on file: it may
    /// carry links that are for nobody else.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where it was not given up, or cannot go any more.
    pub async fn put_right(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        item_id: &str,
        wish: Wish,
    ) -> Step<()> {
        self.authorize(tx, who).await?;
        store::audit::lock(tx, &LogId::Platform.as_string()).await?;
        let item = outbox::by_id(tx.conn(), item_id).await?.ok_or(StepError::NotFound)?;
        if item.stands() != Stands::Undelivered {
            return Err(StepError::Conflict("This was not given up, or somebody has seen to it."));
        }
        // Setting it aside would erase the new value, which is nowhere else.
        if handoffs::by_id(tx.conn(), &item.about).await?.is_some() {
            return Err(StepError::Conflict(
                "This carries a handoff: see to it on the rotation’s page.",
            ));
        }
        let now = self.now();
        let (done, action) = match wish {
            Wish::SetAside => {
                (outbox::set_aside(tx, &item.id, now).await?, actions::PLATFORM_MAIL_SET_ASIDE)
            }
            Wish::SendAgain => {
                if item.kind == OutboxKind::Mail {
                    self.still_for(tx, &item).await?;
                }
                let revived = outbox::revive(tx, &item.id, &item.recipient, now).await?;
                (revived, actions::PLATFORM_MAIL_SENT_AGAIN)
            }
        };
        if !done {
            return Err(StepError::Conflict("It is being tried at this moment."));
        }
        let row = about(&item, NewRow::new(action, &who.actor())).with("kind", item.kind.as_str());
        self.log(tx, &LogId::Platform, row).await?;
        Ok(())
    }

    /// Refuses a mail whose address is not the Owner's on file any more.
    async fn still_for(&self, tx: &mut Tx, item: &Item) -> Step<()> {
        let Some(org_id) = &item.org_id else { return Ok(()) };
        let on_file = orgs::by_id(tx.conn(), org_id).await?.and_then(|o| o.owner_address);
        if on_file.as_deref() == Some(&item.recipient) {
            return Ok(());
        }
        Err(StepError::Conflict(
            "The Owner’s address on file is another by now, and the links in this mail are for the one before. Do the step again that it belongs to, and set this one aside.",
        ))
    }
}

/// What a row says of the item that it is about. The address is in none.
fn about(item: &Item, mut row: NewRow) -> NewRow {
    if let Some(org) = &item.org_id {
        row = row.org(org);
    }
    if item.kind == OutboxKind::TicketComment {
        row = row.ticket(&item.recipient).with("message_id", item.about.clone());
    }
    if let Some(subject) = &item.subject {
        row = row.with("subject", subject.clone());
    }
    row.with("item_id", item.id.clone()).with("about", item.about.clone())
}
