//! The mail that carries a handoff to the Owner, or says where it is; and sending it again.

use secrecy::{ExposeSecret, SecretString};

use super::{Desk, Step, StepError};
use crate::delivery::openpgp::{PublishedKey, SignerProblem};
use crate::model::org::in_fours;
use crate::model::{Channel, Micros, OutboxKind, SecretType, time};
use crate::store::handoffs::Handoff;
use crate::store::impersonations::Impersonation;
use crate::store::{Tx, gateways, outbox, secrets, staff};

/// What the Owner is told of the secret that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldSecret {
    /// It works until then.
    WorksUntil(Micros),
    /// It works for so many seconds from when the mail server takes the mail.
    WorksFor(i64),
    /// It does not work any more, or not for much longer.
    Gone,
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
        old: OldSecret,
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
                let mut until = match old {
                    OldSecret::WorksUntil(t) => {
                        format!("The old secret works until {}.", time::seconds(t))
                    }
                    // When the mail server takes this is not known while it is written.
                    OldSecret::WorksFor(0) => {
                        "The old secret stops working when this mail is sent.".to_owned()
                    }
                    OldSecret::WorksFor(seconds) => format!(
                        "The old secret works for {} from when this mail was sent.",
                        time::span(seconds * time::SECOND)
                    ),
                    OldSecret::Gone if self.revocation_owed(tx, handoff).await? => {
                        "The old token is being revoked in the vault, and may work until that is done."
                            .to_owned()
                    }
                    OldSecret::Gone => "The old secret has stopped working.".to_owned(),
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

    /// Whether the token that a handoff's rotation replaced waits for its revocation.
    async fn revocation_owed(&self, tx: &mut Tx, handoff: &Handoff) -> Step<bool> {
        Ok(outbox::about(tx.conn(), &handoff.rotation_id)
            .await?
            .iter()
            .any(|item| item.kind == OutboxKind::VaultRevoke && item.done_at.is_none()))
    }
}
