//! What must reach an outside system: written with the change it belongs to, tried until it is
//! done, and recorded once.

pub mod again;
mod delivered;
mod pace;
pub mod undelivered;

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::Any;
use sqlx::pool::PoolConnection;

pub(super) use delivered::overlaps_ahead;

use super::hold::{Held, LEASE};
use super::rotate_vault::Revocation;
use super::shared_vault::InVault;
use super::{Desk, Step, StepError};
use crate::delivery::mail::{Mail, address};
use crate::delivery::refusal::{Again, Refusal};
use crate::model::OutboxKind;
use crate::secrets::sealing::{self, Binding, Sealed};
use crate::stop::Stop;
use crate::store::outbox::{self, Item};
use crate::store::{Tx, orgs};

/// What is said in place of words that may not be kept.
const NOT_KEPT: &str = "it was refused, with words that look like a secret and are not kept";

/// How many items of a kind are tried in one go.
const IN_ONE_GO: usize = 200;

/// A mail as it waits.
#[derive(Serialize, Deserialize)]
struct Letter {
    subject: String,
    body: String,
}

/// What an outside system answered, for the transaction that records it.
#[derive(Debug)]
pub(super) enum Delivered {
    /// The mail server has taken a mail.
    Mailed,
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

/// Where an item goes. It is sealed with it: whoever changes the table sends nothing elsewhere.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    kind: String,
    recipient: String,
    about: String,
}

/// What is sealed: the content, and where it goes.
#[derive(Serialize, Deserialize)]
struct Bound<T> {
    place: Place,
    content: T,
}

/// The one part of what is sealed that earlier versions lack.
#[derive(Deserialize)]
struct Whither {
    place: Place,
}

const CHANGED: &str = "where it goes was changed in the database after it was written: nothing is sent. Keep the database as it is, and call security";

/// What an item says of itself in clear.
#[derive(Default)]
pub(super) struct Label<'a> {
    /// Whose it is.
    pub(super) org_id: Option<&'a str>,
    /// What a mail is about.
    pub(super) subject: Option<&'a str>,
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
        let label = Label { org_id: Some(org_id), subject: Some(subject) };
        self.queue_labelled(tx, OutboxKind::Mail, to, about, label, &letter).await
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
        self.queue_labelled(tx, kind, recipient, about, Label::default(), content).await
    }

    /// The same, with what it says of itself in clear.
    ///
    /// # Errors
    /// Where it cannot be written; the step must then fail.
    pub(super) async fn queue_labelled(
        &self,
        tx: &mut Tx,
        kind: OutboxKind,
        recipient: &str,
        about: &str,
        label: Label<'_>,
        content: &impl Serialize,
    ) -> Step<()> {
        let place = Place {
            kind: kind.as_str().to_owned(),
            recipient: recipient.to_owned(),
            about: about.to_owned(),
        };
        let text = zeroize::Zeroizing::new(
            serde_json::to_vec(&Bound { place, content })
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
                org_id: label.org_id.map(str::to_owned),
                subject: label.subject.map(str::to_owned),
                kek_id: sealed.kek_id,
                sealed: Some(sealed.bytes),
                created_at: self.now(),
                attempts: 0,
                next_at: self.now(),
                done_at: None,
                last_error: None,
                failing_since: None,
                to_mend: 0,
                gave_up_at: None,
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
        let unread = |_| StepError::crypto("reading what waits")(&"it is not what was written");
        let text = opened.expose_secret();
        let Ok(Whither { place }) = serde_json::from_slice(text) else {
            // Of an earlier version, which did not seal where it goes.
            return serde_json::from_slice(text).map_err(unread);
        };
        let goes = (item.kind.as_str(), item.recipient.as_str(), item.about.as_str());
        if goes != (&*place.kind, &*place.recipient, &*place.about) {
            tracing::error!(item = %item.id, "where it goes is not what was sealed: it was changed");
            return Err(Refusal { again: Again::Never, said: CHANGED.to_owned() }.into());
        }
        let bound: Bound<T> = serde_json::from_slice(text).map_err(unread)?;
        Ok(bound.content)
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
        let (mut done, stop) = (0, Stop::default());
        for kind in OutboxKind::ALL {
            done += self.send_due_until(*kind, &stop).await?;
        }
        Ok(done)
    }

    /// Works off what is due of one kind; how many items were done.
    ///
    /// # Errors
    /// Those of [`Desk::send_due`].
    pub(super) async fn send_due_of(&self, kind: OutboxKind) -> Step<usize> {
        self.send_due_until(kind, &Stop::default()).await
    }

    async fn send_due_until(&self, kind: OutboxKind, stop: &Stop) -> Step<usize> {
        let mut done = 0;
        for _ in 0..IN_ONE_GO {
            if stop.asked() {
                break;
            }
            match self.send_next(kind, stop).await? {
                None => break,
                Some(true) => done += 1,
                Some(false) => {}
            }
        }
        Ok(done)
    }

    /// Takes the next item of a kind, and tries it; whether it was done, or nothing where none is
    /// due.
    async fn send_next(&self, kind: OutboxKind, stop: &Stop) -> Step<Option<bool>> {
        // Whoever takes an item has a name of its own for that once.
        let me = self.new_id();
        let mut tx = self.begin().await?;
        let now = self.now();
        let taken = outbox::take_next(&mut tx, kind, &me, now, now + LEASE).await?;
        tx.commit().await?;
        let Some(item) = taken else { return Ok(None) };
        let trying = async {
            let delivered = self.hand_out(&item).await?;
            self.record_delivery(&item, delivered).await
        };
        let keep = |conn: PoolConnection<Any>, until| {
            let (mut conn, item, me) = (conn, &item.id, &me);
            async move { Ok(outbox::keep(&mut conn, item, me, until).await?) }
        };
        let step = match self.holding(stop, keep, trying).await {
            Held::Ended(step) => step,
            // Nobody knows what became of it. It is tried again, as after a death.
            Held::Lost => {
                tracing::warn!(item = %item.id, %kind, "another instance has taken it over");
                return Ok(Some(false));
            }
            Held::Stopped => {
                let mut conn = self.store.read().await?;
                outbox::give_back(&mut conn, &item.id, &me, self.now()).await?;
                return Ok(Some(false));
            }
        };
        if let Err(e) = &step {
            self.not_taken(&item, &me, e).await?;
        }
        Ok(Some(step.is_ok()))
    }

    /// Notes that an item was not taken: it waits, or it is given up.
    async fn not_taken(&self, item: &Item, me: &str, e: &StepError) -> Step<()> {
        let mut refusal = pace::refusal(e);
        let mut conn = self.store.read().await?;
        // A server may repeat what it was sent. What was issued here is kept nowhere.
        if self.secret_in(&mut conn, &refusal.said).await?.is_some() {
            NOT_KEPT.clone_into(&mut refusal.said);
        }
        drop(conn);
        let now = self.now();
        if let Some(why) = pace::gives_up(item, &refusal, now) {
            tracing::warn!(item = %item.id, kind = %item.kind, %why, "it is given up");
            return self.leave_undelivered(item, me, &why).await;
        }
        tracing::warn!(item = %item.id, kind = %item.kind, why = %refusal.said, "it waits");
        let next_at = now + pace::pause(item.kind, &refusal, item.attempts, self.rng.as_ref());
        let to_mend = refusal.again == Again::Mend;
        let mut conn = self.store.read().await?;
        let who = (item.id.as_str(), me);
        Ok(outbox::failed(&mut conn, who, &refusal.said, to_mend, now, next_at).await?)
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
            Delivered::Mailed => self.note_mailed(&mut tx, item).await,
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
        self.mailer.send(&mail).await.map_err(|e| e.refusal())?;
        Ok(Delivered::Mailed)
    }

    /// Works the outbox off, again and again, each kind by itself, until the server stops. What is
    /// being tried then comes to its end soon, or is given back.
    pub async fn run_outbox(self: Arc<Self>, stop: Stop) {
        let each = OutboxKind::ALL.iter().map(|kind| self.run_outbox_of(*kind, &stop));
        futures::future::join_all(each).await;
    }

    async fn run_outbox_of(&self, kind: OutboxKind, stop: &Stop) {
        loop {
            match self.send_due_until(kind, stop).await {
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
