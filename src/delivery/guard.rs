//! The guard on text that leaves towards a ticket: is there an issued secret in it, or something
//! of the shape of one, whatever the formatting?
//!
//! It is made for accidents, a pasted message or a helpful mail client, and not for somebody who
//! wants to smuggle: nothing that reads a text can stop whoever may encrypt it first. So it tries
//! the dresses that a value gets into by being copied, wrapped, quoted, encoded and decoded. What
//! it cannot try to the end it refuses.
//!
//! Nothing here keeps, logs or returns any part of the text: what comes out is keyed
//! fingerprints, the name of a shape, or why the text could not be checked.

use crate::secrets::fingerprint::FingerprintKey;

mod readings;
mod shapes;
mod windows;

#[cfg(test)]
mod tests;

/// The longest text that is checked, in characters. A reply to a ticket is far shorter.
pub const LONGEST_TEXT: usize = 20_000;

/// The most fingerprints that come out of one text, and so the most that have to be looked up.
pub const MOST_CANDIDATES: usize = 50_000;

/// Why a text could not be checked. Such a text must not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unchecked {
    /// The text is longer than [`LONGEST_TEXT`].
    #[error(
        "the text is {chars} characters long, and no more than {LONGEST_TEXT} can be checked for secrets"
    )]
    TooLong {
        /// The length found, in characters.
        chars: usize,
    },
    /// There is so much encoded or random-looking data in the text that not everything a secret
    /// could hide in can be tried.
    #[error("the text holds too much encoded data to be checked for secrets")]
    TooDense,
}

/// What kind of secret a text has the shape of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// A webhook signing key, `whsec_…`.
    WebhookKey,
    /// A token of HashiCorp Vault or OpenBao: `hvs.…`, `hvb.…`, `hvr.…` or `s.…`.
    VaultToken,
    /// A private key in PEM, or the start of the body of one.
    PrivateKey,
    /// A 1Password service account token, `ops_eyJ…`.
    OnePasswordToken,
    /// The secret key of age, `AGE-SECRET-KEY-1…`.
    AgeKey,
}

impl Shape {
    /// The name for audit rows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebhookKey => "webhook_key",
            Self::VaultToken => "vault_token",
            Self::PrivateKey => "private_key",
            Self::OnePasswordToken => "1password_token",
            Self::AgeKey => "age_key",
        }
    }

    /// The name for people, with its article.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::WebhookKey => "a webhook signing key",
            Self::VaultToken => "a vault token",
            Self::PrivateKey => "a private key",
            Self::OnePasswordToken => "a 1Password service account token",
            Self::AgeKey => "an age secret key",
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The fingerprints, in lower hex, of everything in the text that could be an issued value. If
/// the store knows any of them, the text must not leave.
///
/// # Errors
/// [`Unchecked`], when not everything could be tried. The text must not leave then either.
pub fn candidates(text: &str, key: &FingerprintKey) -> Result<Vec<String>, Unchecked> {
    let mut sink = windows::Sink::new(key);
    for reading in readings::of(text)? {
        windows::offer_all(&reading, &mut sink)?;
    }
    Ok(sink.into_fingerprints())
}

/// What kind of secret something in the text has the shape of, issued here or not. `None` where
/// there is nothing of the sort.
///
/// # Errors
/// [`Unchecked`], when not everything could be tried. The text must not leave then either.
pub fn shape(text: &str) -> Result<Option<Shape>, Unchecked> {
    Ok(readings::of(text)?.iter().find_map(|reading| shapes::find(reading)))
}
