//! Mail that must leave: written with the change it belongs to, sent until it is done.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Desk, Step, StepError};
use crate::delivery::mail::Mail;
use crate::model::{Micros, time};
use crate::secrets::sealing::{self, Binding, Sealed};
use crate::store::outbox::{self, Item};
use crate::store::{Tx, orgs};

/// How long an item is held by the instance that took it: longer than all that it takes at once
/// can need, so that no second instance sends the same.
const LEASE: Micros = 5 * time::MINUTE;

#[derive(Serialize, Deserialize)]
struct Content {
    subject: String,
    body: String,
}

fn binding(item_id: &str) -> Binding<'_> {
    Binding { context: "outbox", org_id: "", secret_id: item_id, version: 0 }
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
        let content = Content { subject: subject.to_owned(), body: body.to_owned() };
        let text = zeroize::Zeroizing::new(
            serde_json::to_vec(&content).map_err(|e| StepError::crypto("writing a mail")(&e))?,
        );
        let id = self.new_id();
        let sealed =
            sealing::seal(&mut self.rng.generator(), &self.keys.ring, &binding(&id), &text)
                .map_err(|e| StepError::crypto("sealing a mail")(&e))?;
        outbox::insert(
            tx,
            &Item {
                id,
                kind: "mail".to_owned(),
                recipient: to.to_owned(),
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

    /// Sends what is due; how many were sent.
    ///
    /// # Errors
    /// Where the database does not answer. A mail that cannot be sent is no error: it waits.
    pub async fn send_due(&self) -> Step<usize> {
        let mut tx = self.begin().await?;
        let taken = outbox::take_due(&mut tx, self.now(), LEASE, 20).await?;
        tx.commit().await?;
        let mut sent = 0;
        for item in taken {
            match self.send(&item).await {
                Ok(()) => {
                    let mut conn = self.store.read().await?;
                    outbox::done(&mut conn, &item.id, self.now()).await?;
                    sent += 1;
                }
                Err(e) => {
                    tracing::warn!(item = %item.id, error = %e, "a mail waits");
                    let pause = time::SECOND << (item.attempts + 1).clamp(1, 9);
                    let mut conn = self.store.read().await?;
                    outbox::failed(&mut conn, &item.id, &e.to_string(), self.now() + pause).await?;
                }
            }
        }
        Ok(sent)
    }

    async fn send(&self, item: &Item) -> Step<()> {
        let bytes = item.sealed.clone().ok_or(StepError::Invalid("it has no content"))?;
        let opened = sealing::open(
            &self.keys.ring,
            &binding(&item.id),
            &Sealed { kek_id: item.kek_id.clone(), bytes },
        )
        .map_err(|e| StepError::crypto("opening a mail")(&e))?;
        let content: Content = serde_json::from_slice(opened.expose_secret())
            .map_err(|e| StepError::crypto("reading a mail")(&e))?;
        let mail = Mail {
            // The same id on every attempt, so that a mail server can see that it is the same.
            message_id: format!("<{}@keyturn>", item.id),
            from: self.settings.mail_from.clone(),
            to: item.recipient.clone(),
            subject: content.subject,
            body: SecretString::from(content.body),
        };
        self.mailer.send(&mail).await.map_err(|e| StepError::Outside(e.to_string()))
    }

    /// Sends what is due, again and again, until the task is dropped.
    pub async fn run_outbox(self: Arc<Self>) {
        loop {
            match self.send_due().await {
                Ok(0) => {}
                Ok(n) => tracing::info!(n, "mails sent"),
                Err(e) => tracing::warn!(error = %e, "the outbox"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
