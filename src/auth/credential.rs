//! Credentials and links that are stored only as a hash.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::clock::{Rng, new_token};
use crate::model::{Micros, time};

/// What an org's credential begins with.
pub const ORG_PREFIX: &str = "ktc_";

/// How long an org's credential works, unless it is set otherwise.
pub const ORG_LIFE: Micros = 365 * time::DAY;

/// A fresh org credential.
#[must_use]
pub fn new_org_credential(rng: &dyn Rng) -> SecretString {
    format!("{ORG_PREFIX}{}", new_token(rng).expose_secret()).into()
}

/// What a credential of an auditor's program begins with.
pub const AUDITOR_PREFIX: &str = "kta_";

/// A fresh credential for an auditor's program.
#[must_use]
pub fn new_auditor_credential(rng: &dyn Rng) -> SecretString {
    format!("{AUDITOR_PREFIX}{}", new_token(rng).expose_secret()).into()
}

/// The hash under which a credential or a link is stored. Plain SHA-256: what is hashed has 256
/// bits of its own, so that there is nothing to guess.
#[must_use]
pub fn hash(token: &SecretString) -> String {
    hex(&Sha256::digest(token.expose_secret().as_bytes()))
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |n: u8| DIGITS[usize::from(n & 15)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
