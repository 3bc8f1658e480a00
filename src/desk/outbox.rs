//! What must reach an outside system: written with the change it belongs to, tried until it is
//! done, and recorded once.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::rotate_vault::Revocation;
use super::shared_vault::InVault;
use super::{Desk, Step, StepError};
use crate::delivery::mail::{Mail, address};
use crate::delivery::shared_vault::SharedVaultError;
use crate::model::{Micros, OutboxKind, time};
use crate::secrets::sealing::{self, Binding, Sealed};
use crate::stop::Stop;
use crate::store::outbox::{self, Item};
use crate::store::{Tx, orgs};

/// How long an item is held by the instance that took it: longer than all that it takes at once
/// can need, so that no second instance sends the same.
const LEASE: Micros = 5 * time::MINUTE;

/// The longest pause between two attempts: what was down is found to be back within a minute.
const LONGEST_PAUSE: Micros = time::MINUTE;

/// Where somebody has to set something right first, we ask less often.
const SETUP_PAUSES: (Micros, Micros) = (15 * time::SECOND, 10 * time::MINUTE);

/// Where a server may still be at what we asked of it, it gets the time to finish.
const UNSURE_PAUSES: (Micros, Micros) = (30 * time::SECOND, LONGEST_PAUSE);

/// A mail as it waits.
#[derive(Serialize, Deserialize)]
struct Letter {
    subject: String,
    body: String,
}

/// What an outside system answered, for the transaction that records it.
#[derive(Debug)]
pub(super) enum Delivered {
    /// Nothing to record beyond that it is done.
    Plainly,
    /// An old vault token is revoked.
    Revoked(Box<Revocation>),
    /// A comment stands in the ticket outside, under this id.
    Comment(String),
    /// An item is in a shared vault.
    InVault(InVault),
}

fn binding(item_id: &str) -> Binding<'_> {
    Binding { context: "outbox", org_id: "", secret_id: item_id, version: 0 }
}

/// How many items are taken at once: no more than can be tried within the lease, each answer
/// being waited for as long as it may take.
const fn at_once(kind: OutboxKind) -> i64 {
    match kind {
        OutboxKind::Mail => 20,
        // Two requests each.
        OutboxKind::TicketComment | OutboxKind::OnePassword => 10,
        // Four, where a login has run out.
        OutboxKind::VaultRevoke => 5,
    }
}

/// How long to wait after an attempt that failed.
fn pause(e: &StepError, attempts: i64) -> Micros {
    let (first, longest) = match e {
        StepError::SharedVault(SharedVaultError::Unsure(_)) => UNSURE_PAUSES,
        StepError::SharedVault(e) if !e.waits() => SETUP_PAUSES,
        _ => (time::SECOND, LONGEST_PAUSE),
    };
    (first << attempts.clamp(0, 9)).min(longest)
}

impl Desk {
    /// Writes a mail into the outbox. It may carry a link that works once, so it is sealed until
    /// it is sent, and erased then.
    ///
    /// # Errors
    /// Where it cannot be written; the step must then fail.
    pub async fn queue_mail(
        &self,
        tx: &mut Tx,
        org_id: &str,
        about: &str,
        to: &str,
        subject: &str,
        body: &str,
    ) -> Step<()> {
        tracing::debug!(org_id, about, "a mail is queued");
        let letter = Letter { subject: subject.to_owned(), body: body.to_owned() };
        self.queue(tx, OutboxKind::Mail, to, about, &letter).await
    }

    /// Writes something into the outbox, sealed until it is done. `about` is the id of what it
    /// belongs to, under which a page finds it.
    ///
    /// # Errors
    /// Where it cannot be written; the step must then fail.
    pub(super) async fn queue(
        &self,
        tx: &mut Tx,
        kind: OutboxKind,
        recipient: &str,
        about: &str,
        content: &impl Serialize,
    ) -> Step<()> {
        let text = zeroize::Zeroizing::new(
            serde_json::to_vec(content)
                .map_err(|e| StepError::crypto("writing to the outbox")(&e))?,
        );
        let id = self.new_id();
        let sealed =
            sealing::seal(&mut self.rng.generator(), &self.keys.ring, &binding(&id), &text)
                .map_err(|e| StepError::crypto("sealing for the outbox")(&e))?;
        outbox::insert(
            tx,
            &Item {
                id,
                kind,
                recipient: recipient.to_owned(),
                about: about.to_owned(),
                kek_id: sealed.kek_id,
                sealed: Some(sealed.bytes),
                created_at: self.now(),
                attempts: 0,
                next_at: self.now(),
                done_at: None,
                last_error: None,
            },
        )
        .await?;
        Ok(())
    }

    /// What was queued, unsealed.
    pub(super) fn queued<T: serde::de::DeserializeOwned>(&self, item: &Item) -> Step<T> {
        let bytes = item.sealed.clone().ok_or(StepError::Invalid("it has no content"))?;
        let opened = sealing::open(
            &self.keys.ring,
            &binding(&item.id),
            &Sealed { kek_id: item.kek_id.clone(), bytes },
        )
        .map_err(|e| StepError::crypto("opening what waits")(&e))?;
        // Its text may hold a secret: the parser's own message could quote it.
        serde_json::from_slice(opened.expose_secret())
            .map_err(|_| StepError::crypto("reading what waits")(&"it is not what was written"))
    }

    /// A mail to the Owner's address on file, where there is one.
    pub(crate) async fn mail_owner(
        &self,
        tx: &mut Tx,
        org_id: &str,
        about: &str,
        subject: &str,
        body: &str,
    ) -> Step<()> {
        let address = orgs::by_id(tx.conn(), org_id)
            .await?
            .and_then(|o| o.owner_address)
            .filter(|a| !a.is_empty());
        match address {
            Some(address) => self.queue_mail(tx, org_id, about, &address, subject, body).await,
            None => Ok(()),
        }
    }

    /// Works off what is due, of every kind; how many items were done.
    ///
    /// # Errors
    /// Where the database does not answer. What an outside system does not take is no error: it
    /// waits.
    pub async fn send_due(&self) -> Step<usize> {
        let mut done = 0;
        for kind in OutboxKind::ALL {
            done += self.send_due_of(*kind).await?;
        }
        Ok(done)
    }

    pub(super) async fn send_due_of(&self, kind: OutboxKind) -> Step<usize> {
        let mut tx = self.begin().await?;
        let taken = outbox::take_due(&mut tx, kind, self.now(), LEASE, at_once(kind)).await?;
        tx.commit().await?;
        let mut done = 0;
        for item in taken {
            let step = match self.hand_out(&item).await {
                Ok(delivered) => self.record_delivery(&item, delivered).await,
                Err(e) => Err(e),
            };
            match step {
                Ok(()) => done += 1,
                Err(e) => {
                    tracing::warn!(item = %item.id, %kind, error = %e, "it waits");
                    let pause = pause(&e, item.attempts);
                    let mut conn = self.store.read().await?;
                    outbox::failed(&mut conn, &item.id, &e.to_string(), self.now() + pause).await?;
                }
            }
        }
        Ok(done)
    }

    /// Tells the outside system. It may have been told before, without our knowing: whatever is
    /// done here must be the same when it is done twice.
    async fn hand_out(&self, item: &Item) -> Step<Delivered> {
        match item.kind {
            OutboxKind::Mail => self.deliver_mail(item).await,
            OutboxKind::VaultRevoke => self.revoke_old(item).await,
            OutboxKind::TicketComment => self.deliver_comment(item).await,
            OutboxKind::OnePassword => Ok(Delivered::InVault(self.put_into_vault(item).await?)),
        }
    }

    /// Records what the outside system answered, in one transaction with the end of the item.
    async fn record_delivery(&self, item: &Item, delivered: Delivered) -> Step<()> {
        let mut tx = self.begin().await?;
        let step = match delivered {
            Delivered::Plainly => Ok(()),
            Delivered::Revoked(owed) => self.note_revoked(&mut tx, &owed).await,
            Delivered::Comment(id) => self.note_comment(&mut tx, item, &id).await,
            Delivered::InVault(found) => self.record_in_vault(&mut tx, item, found).await,
        };
        let step = match step {
            Ok(()) => outbox::done(&mut tx, &item.id, self.now()).await.map_err(StepError::from),
            Err(e) => Err(e),
        };
        if item.kind == OutboxKind::VaultRevoke {
            self.reached("revocation about to be recorded").await;
        }
        let step = self.settle(tx, step).await;
        if item.kind == OutboxKind::VaultRevoke {
            self.reached("revocation recorded").await;
        }
        step
    }

    async fn deliver_mail(&self, item: &Item) -> Step<Delivered> {
        let letter: Letter = self.queued(item)?;
        let domain = address::sender(&self.settings.mail_from)
            .map_or_else(|| "localhost".to_owned(), |(_, domain)| domain);
        let mail = Mail {
            // The same id on every attempt, so that a mail server can see that it is the same.
            message_id: format!("<{}@{domain}>", item.id),
            from: self.settings.mail_from.clone(),
            to: item.recipient.clone(),
            subject: letter.subject,
            body: SecretString::from(letter.body),
        };
        self.mailer.send(&mail).await.map_err(|e| StepError::Outside(e.to_string()))?;
        Ok(Delivered::Plainly)
    }

    /// Works the outbox off, again and again, each kind by itself, until the server stops.
    pub async fn run_outbox(self: Arc<Self>, stop: Stop) {
        let each = OutboxKind::ALL.iter().map(|kind| self.run_outbox_of(*kind, &stop));
        futures::future::join_all(each).await;
    }

    async fn run_outbox_of(&self, kind: OutboxKind, stop: &Stop) {
        loop {
            match self.send_due_of(kind).await {
                Ok(0) => {}
                Ok(n) => tracing::info!(n, %kind, "sent"),
                Err(e) => tracing::warn!(error = %e, %kind, "the outbox"),
            }
            if !stop.rest(Duration::from_millis(500)).await {
                return;
            }
        }
    }
}
