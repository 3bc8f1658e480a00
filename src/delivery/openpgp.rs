//! OpenPGP (RFC 9580, and RFC 4880 for what GnuPG 2.2 makes and reads): judging the Owner's key on
//! file, encrypting a handoff to it, and signing as the platform.

mod algorithm;
mod armor;
mod encrypt;
mod kept;
mod key_on_file;
mod problem;
mod renewal;
mod signer;
mod statement;
mod trust;
mod verified;
mod web_key;

pub use encrypt::{EncryptProblem, encrypt_and_sign};
#[cfg(test)]
pub(crate) use kept::was_unprepared;
pub use kept::{prepare, prepare_renewal};
pub use key_on_file::{KeyReport, choose, fingerprint_of, inspect};
pub use problem::{KeyName, KeyProblem, TooMuch, Unsound};
pub use renewal::{Renewal, renewal};
pub use signer::{PublishedKey, SignerProblem, SigningKey};
pub use statement::{StatementProblem, signed_statement};
pub use web_key::local_part_hash;

use pgp::types::Timestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// OpenPGP's clock: whole seconds since 1970 in 32 bits. A time outside of it (before 1970, or
/// after February 2106) is brought to its nearest end.
fn to_timestamp(micros: i64) -> Timestamp {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let seconds = seconds.clamp(0, i64::from(u32::MAX));
    // The clamp has brought it into range; the fallback is never taken.
    Timestamp::from_secs(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// What somebody wrote into a key, as it may stand in a row, a mail and at a terminal: one line, not
/// too long, and with nothing that turns the text around.
fn printable(text: &str) -> String {
    const LONGEST: usize = 80;
    let turns = |c: char| matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
    text.chars().filter(|c| !c.is_control() && !turns(*c)).take(LONGEST).collect()
}

#[cfg(test)]
pub(crate) mod gnupg;

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects a reader's terminal, and rows that are kept for good.
    #[test]
    fn what_stands_in_a_key_is_one_short_line() {
        assert_eq!(printable("Zoë \u{1b}[2J\u{202e}<z@example.com>\n"), "Zoë [2J<z@example.com>");
        assert_eq!(printable(&"x".repeat(500)).len(), 80);
    }

    /// Protects against a wrapped time: a far future that turns into 1970 would expire no key.
    #[test]
    fn times_outside_openpgp_s_range_are_brought_to_its_ends() {
        assert_eq!(to_timestamp(-1).as_secs(), 0);
        assert_eq!(to_timestamp(i64::MIN).as_secs(), 0);
        assert_eq!(to_timestamp(1_999_999).as_secs(), 1);
        assert_eq!(to_timestamp(i64::MAX).as_secs(), u32::MAX);
    }
}
