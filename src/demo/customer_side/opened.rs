//! The Owners' private keys, and what they open.

use std::io::Read as _;

use pgp::composed::{Deserializable as _, Message, SignedPublicKey, SignedSecretKey};
use pgp::types::{KeyDetails as _, Password};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::demo::DemoError;
use crate::demo::smtp_catcher::CaughtMail;
use crate::demo::story::OwnerKey;
use crate::secrets::certificates::Bundle;
use crate::secrets::webhook_key::WebhookKey;

const BEGIN: &str = "-----BEGIN PGP MESSAGE-----";
const END: &str = "-----END PGP MESSAGE-----";

/// No handoff comes near it; a message that unpacks to more is somebody's joke.
const LONGEST: u64 = 1024 * 1024;

/// The keys, as the Owners have them at home.
pub(super) struct Keychain {
    owners: Vec<(String, SignedSecretKey)>,
    platform: SignedPublicKey,
}

/// A decrypted message. It does not print.
pub(super) struct Opened {
    pub(super) text: Zeroizing<String>,
    /// The fingerprint of the platform's key, where its signature is good.
    pub(super) signed_by: Option<String>,
}

impl Keychain {
    pub(super) fn new(owners: &[OwnerKey], platform: &str) -> Result<Self, DemoError> {
        let owners = owners.iter().map(|owner| {
            let (key, _) = SignedSecretKey::from_string(&owner.private_key)?;
            Ok((owner.email.clone(), key))
        });
        Ok(Self {
            owners: owners.collect::<Result<_, pgp::errors::Error>>()?,
            platform: SignedPublicKey::from_string(platform)?.0,
        })
    }

    /// Decrypts a message with the private keys of the recipients; `None` where none of them fits.
    pub(super) fn open(&self, to: &[String], message: &str) -> Option<Opened> {
        let own = self
            .owners
            .iter()
            .filter(|(email, _)| to.iter().any(|to| to.eq_ignore_ascii_case(email)));
        own.into_iter().find_map(|(_, key)| {
            let (sealed, _) = Message::from_string(message).ok()?;
            let mut opened = sealed.decrypt(&Password::empty(), key).ok()?;
            let mut bytes = Zeroizing::new(Vec::new());
            opened.by_ref().take(LONGEST).read_to_end(&mut bytes).ok()?;
            let good = opened.verify(&self.platform).is_ok();
            Some(Opened {
                text: Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()),
                signed_by: good.then(|| format!("{:X}", self.platform.fingerprint())),
            })
        })
    }
}

impl Opened {
    /// The webhook key in it.
    pub(super) fn webhook_key(&self) -> Option<WebhookKey> {
        self.text
            .split_whitespace()
            .find_map(|word| WebhookKey::parse(SecretString::from(word)).ok())
    }

    /// The vault token in it.
    pub(super) fn vault_token(&self) -> Option<&str> {
        self.text.split_whitespace().find(|word| word.starts_with("hvs.") && word.len() > 24)
    }

    /// The gateway's bundle in it, and whose it is.
    pub(super) fn bundle(&self) -> Option<(String, SecretString)> {
        let text = SecretString::from(self.text.as_str());
        let bundle = Bundle::read(&text).ok()?;
        Some((bundle.gateway_id.clone(), bundle.to_pem()))
    }

    /// Whether it names this secret.
    pub(super) fn names(&self, webhook: &str) -> bool {
        self.text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|w| w == webhook)
    }
}

/// The encrypted message in a mail: in its text, or in a file that came with it.
pub(super) fn message_of(mail: &CaughtMail) -> Option<String> {
    let files = mail.parts.iter().filter_map(|part| std::str::from_utf8(&part.content).ok());
    std::iter::once(mail.body.as_str()).chain(files).find_map(message_in).map(str::to_owned)
}

/// The encrypted message in a text.
fn message_in(mail: &str) -> Option<&str> {
    let from = &mail[mail.find(BEGIN)?..];
    let end = from.find(END)? + END.len();
    Some(&from[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the Owner from a message that somebody else encrypted to them, and each Owner's
    /// mail from the others.
    #[test]
    fn only_the_recipient_opens_it_and_only_the_platform_s_signature_counts() {
        use crate::clock::{Clock as _, Rng as _, SystemClock, SystemRng};
        use crate::delivery::openpgp::{SigningKey, encrypt_and_sign};
        use crate::demo::owner_keys::generate;
        let (now, mut rng) = (SystemClock.now(), SystemRng.generator());
        let owner = generate(&mut rng, "Olive <olive@a.example>", now, None).unwrap();
        let platform = SigningKey::generate(&mut rng, now, "Keyturn <k@p.example>").unwrap();
        let stranger = SigningKey::generate(&mut rng, now, "Keyturn <k@p.example>").unwrap();
        let key = OwnerKey {
            org: "a".to_owned(),
            email: "olive@a.example".to_owned(),
            private_key: owner.private.clone(),
            fingerprint: owner.fingerprint.clone(),
        };
        let keychain = Keychain::new(&[key], &platform.to_armored_public().unwrap()).unwrap();
        let mut open = |signer: &SigningKey, to: &str| {
            let message = encrypt_and_sign(&mut rng, now, &owner.public, signer, b"hello").unwrap();
            keychain.open(&[to.to_owned()], &message).map(|opened| opened.signed_by)
        };
        assert_eq!(open(&platform, "OLIVE@a.example"), Some(Some(platform.fingerprint())));
        assert_eq!(open(&stranger, "olive@a.example"), Some(None));
        assert_eq!(open(&platform, "oskar@b.example"), None);
    }

    /// Protects the form under a mail: it is there for a whole message, and for nothing else.
    #[test]
    fn a_message_is_found_between_its_marks() {
        let mail = format!("Hello,\n\n{BEGIN}\n\nabc\n{END}\nbye");
        assert_eq!(message_in(&mail).unwrap(), format!("{BEGIN}\n\nabc\n{END}"));
        assert_eq!(message_in(&mail[..mail.len() - 8]), None);
        assert_eq!(message_in("hello"), None);
        assert_eq!(message_in(&format!("{END} {BEGIN}")), None);
    }

    /// Protects the receiver from a wrong key: only a whole one is taken out of the text.
    #[test]
    fn the_key_and_the_webhook_are_read_out_of_the_text() {
        let opened = |text: &str| Opened { text: Zeroizing::new(text.to_owned()), signed_by: None };
        let key = format!("whsec_{}=", "A".repeat(43));
        let note = opened(&format!("{key}\n\nThis is version 4 of whk_abc (Events).\n"));
        assert!(note.webhook_key().is_some());
        assert!(note.names("whk_abc") && !note.names("whk_ab") && !note.names("abc"));
        assert!(opened("whsec_ short, whsec_AAAA").webhook_key().is_none());
    }
}
