//! The mail that carries a handoff to the Owner, or says where it is; and sending it again.

use secrecy::{ExposeSecret, SecretString};

use super::{AtWork, Desk, Step, StepError};
use crate::audit::NewRow;
use crate::audit::append::lock_both;
use crate::auth::credential;
use crate::clock::new_token;
use crate::delivery::openpgp::{PublishedKey, SignerProblem};
use crate::model::org::in_fours;
use crate::model::{Channel, HandoffState, Micros, OutboxKind, SecretType, time};
use crate::proof::actions;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations::{self, Impersonation};
use crate::store::{Tx, gateways, orgs, outbox, secrets, staff};

/// What became of the wish to send a handoff again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentAgain {
    /// It had not left yet: it is tried now instead of later.
    Hastened,
    /// It goes once more, with a new link; the old link is dead.
    Anew,
}

const BUNDLE: &str = "It holds the gateway's new key and certificate. Install them and start the gateway again:\n\
     keyturn gateway install --dir DIR --bundle FILE\n\
     The old certificate is revoked as soon as the gateway is seen with the new one.";

const REENROL: &str = "The gateway is told at its next heartbeat and makes its own new key: there is nothing to install.\n\
     The old certificate is revoked as soon as the gateway is seen with the new one.";

impl Desk {
    /// Queues the mail that carries a handoff, or says in which vault it is, with the link by which
    /// the Owner acknowledges it.
    pub(super) async fn mail_handoff(
        &self,
        tx: &mut Tx,
        grant: &Impersonation,
        handoff: &Handoff,
        ack: &SecretString,
        old_valid_until: Option<Micros>,
    ) -> Step<()> {
        let admin =
            staff::by_id(tx.conn(), &grant.admin_id).await?.map_or_else(String::new, |s| s.name);
        let consent = self.about_consent(tx, grant, grant.ended_at.is_none()).await?;
        let (what, until) = match grant.secret_type {
            SecretType::MtlsCertificate => match self.bundled(tx, handoff).await? {
                true => ("Your gateway's new certificate", BUNDLE.to_owned()),
                false => ("Your gateway re-enrols by itself", REENROL.to_owned()),
            },
            kind => {
                let mut until = match old_valid_until {
                    Some(t) => format!("The old secret works until {}.", time::seconds(t)),
                    None if self.revocation_owed(tx, handoff).await? => {
                        "The old token is being revoked in the vault, and may work until that is done."
                            .to_owned()
                    }
                    None => "The old secret has stopped working.".to_owned(),
                };
                if kind == SecretType::VaultToken {
                    until.push_str(
                        "\nTokens that the old one made, and leases that it held, end with it.",
                    );
                    if let Some(lives) = self.how_long(tx, &handoff.rotation_id).await? {
                        until.push('\n');
                        until.push_str(&lives);
                    }
                }
                ("Your new secret", until)
            }
        };
        let link = format!(
            "When you have it, tell us with this link. It works once:\n{}/acknowledge/{}\n",
            self.settings.base_url,
            ack.expose_secret(),
        );
        let ticket = &grant.ticket_id;
        match handoff.channel {
            Channel::Pgp => {
                let subject = format!("[{ticket}] {what}, encrypted to your key");
                let body = format!(
                    "{admin} of the platform replaced your secret {} for ticket {ticket}.\n\
                     Reason: {}\n\n\
                     The attached message is encrypted to your OpenPGP key\n{}\n\
                     Save it, or this whole mail, and decrypt it with: gpg --decrypt FILE\n\n\
                     {signed}\n\
                     {until}\n\n{link}\n{consent}\n{}\n",
                    grant.secret_id,
                    grant.reason,
                    in_fours(&handoff.recipient_key),
                    handoff.message,
                    signed = self.signed_with(),
                );
                self.queue_mail(tx, &grant.org_id, &handoff.id, &handoff.recipient, &subject, &body)
                    .await
            }
            Channel::OnePassword => {
                let place = self.place_in_vault(tx, handoff).await?;
                let subject = match handoff.item_id {
                    Some(_) => format!("[{ticket}] {what} is in the shared vault"),
                    None => format!("[{ticket}] {what}"),
                };
                let body = format!(
                    "{admin} of the platform replaced your {} {} for ticket {ticket}.\n\
                     Reason: {}\n\n{place}\n{until}\n\n{link}\n{consent}\n",
                    grant.secret_type.label().to_lowercase(),
                    grant.secret_id,
                    grant.reason,
                );
                self.mail_owner(tx, &grant.org_id, &handoff.id, &subject, &body).await
            }
        }
    }

    /// Who signed, and how the Owner checks it.
    fn signed_with(&self) -> String {
        let address = self.published_key_address();
        format!(
            "It is signed with the platform's OpenPGP key\n{}\n\
             The key is at {address}\n\
             To have the signature checked, import it first:\n\
             curl -fsS {address} | gpg --import\n",
            in_fours(&self.keys.openpgp.fingerprint()),
        )
    }

    /// The platform's public key as it is given out, under the name that mail comes from.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn published_key(&self) -> Result<PublishedKey, SignerProblem> {
        self.keys.openpgp.public_for(&self.settings.mail_from)
    }

    /// Where that is.
    #[must_use]
    pub fn published_key_address(&self) -> String {
        format!("{}/.well-known/keyturn-openpgp-key.asc", self.settings.base_url)
    }

    /// Whether a gateway's handoff carries key and certificate, and not the notice alone.
    async fn bundled(&self, tx: &mut Tx, handoff: &Handoff) -> Step<bool> {
        let rotation = secrets::rotation_by_id(tx.conn(), &handoff.rotation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        Ok(gateways::is_bundled(tx.conn(), &rotation.secret_id, rotation.to_version).await?)
    }

    /// Sends a handoff again that the Owner has not acknowledged. What still waits is tried now;
    /// what has left goes once more, to the address that it was made for, encrypted to the key
    /// that it was made for (of an item in a shared vault it is the notice that goes again), with a new acknowledgement link that replaces the old one.
    ///
    /// # Errors
    /// [`StepError::Conflict`] for a handoff that was not sent yet, or is acknowledged.
    pub async fn send_again(&self, tx: &mut Tx, who: &AtWork, handoff_id: &str) -> Step<SentAgain> {
        self.authorize(tx, who).await?;
        let handoff = handoffs::by_id(tx.conn(), handoff_id).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &handoff.org_id).await?;
        orgs::lock(tx, &handoff.org_id).await?;
        let handoff = handoffs::by_id(tx.conn(), handoff_id).await?.ok_or(StepError::NotFound)?;
        match handoff.state {
            HandoffState::Sent => {}
            HandoffState::Sealed => {
                return Err(StepError::Conflict(
                    "This handoff was not sent yet: hand it off on the ticket's page.",
                ));
            }
            HandoffState::Acknowledged => {
                return Err(StepError::Conflict("The Owner has acknowledged this handoff."));
            }
        }
        let grant = impersonations::by_id(tx.conn(), &handoff.impersonation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        // The mail carries links that only the present Owner may have.
        let on_file = orgs::by_id(tx.conn(), &handoff.org_id).await?.and_then(|o| o.owner_address);
        if handoff.channel == Channel::Pgp && on_file.as_deref() != Some(&handoff.recipient) {
            return Err(StepError::Conflict(
                "The Owner's address on file is another by now: this handoff was made for the one before.",
            ));
        }
        let now = self.now();
        let mut waiting = false;
        for item in outbox::about(tx.conn(), &handoff.id).await? {
            if item.done_at.is_none() {
                waiting = true;
                outbox::hasten(tx, &item.id, now).await?;
            }
        }
        if !waiting {
            let ack = new_token(self.rng.as_ref());
            if !handoffs::renew_link(tx, &handoff.id, &credential::hash(&ack)).await? {
                return Err(StepError::Conflict("The Owner has acknowledged this handoff."));
            }
            let until = self.old_version_until(tx, &handoff).await?;
            self.mail_handoff(tx, &grant, &handoff, &ack, until).await?;
        }
        let how = if waiting { SentAgain::Hastened } else { SentAgain::Anew };
        let actor = who.actor();
        let row = |action| {
            NewRow::new(action, &actor)
                .under(&grant)
                .with("handoff_id", handoff.id.clone())
                .with("recipient_key", handoff.recipient_key.clone())
                .with("how", if waiting { "it still waited" } else { "once more" })
        };
        let (platform, org) =
            (row(actions::PLATFORM_HANDOFF_SENT_AGAIN), row(actions::HANDOFF_SENT_AGAIN));
        self.log_both(tx, &handoff.org_id, platform, org).await?;
        Ok(how)
    }

    /// Whether the token that a handoff's rotation replaced waits for its revocation.
    async fn revocation_owed(&self, tx: &mut Tx, handoff: &Handoff) -> Step<bool> {
        Ok(outbox::about(tx.conn(), &handoff.rotation_id)
            .await?
            .iter()
            .any(|item| item.kind == OutboxKind::VaultRevoke && item.done_at.is_none()))
    }

    /// Until when the version that a handoff's rotation replaced is still accepted.
    async fn old_version_until(&self, tx: &mut Tx, handoff: &Handoff) -> Step<Option<Micros>> {
        let Some(rotation) = secrets::rotation_by_id(tx.conn(), &handoff.rotation_id).await? else {
            return Ok(None);
        };
        let now = self.now();
        Ok(secrets::versions(tx.conn(), &rotation.secret_id)
            .await?
            .into_iter()
            .find(|v| v.version == rotation.from_version)
            .filter(|v| v.accepted(now))
            .and_then(|v| v.retires_at))
    }
}
