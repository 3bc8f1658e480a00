//! What can be wrong with a key on file, in words for the person who has to put it right.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Why a handoff cannot be encrypted to this key. Each says what is wrong and what to do. Times are
/// in microseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum KeyProblem {
    /// Not an ASCII-armored OpenPGP public key.
    #[error(
        "this is not a readable OpenPGP public key. Ask the Owner for the whole output of \
         `gpg --armor --export`, from the BEGIN line to the END line"
    )]
    Unreadable,
    /// Longer than a key with any sensible number of signatures.
    #[error(
        "this key is longer than {limit_kib} KiB. Ask the Owner for one exported with \
         `gpg --armor --export-options export-minimal --export`"
    )]
    TooLong {
        /// The limit, in KiB.
        limit_kib: usize,
    },
    /// More than one key, so that it would be left to chance which one is used.
    #[error("there is more than one key in this text. Ask the Owner for the one to use")]
    SeveralKeys,
    /// A secret key. It has been shown to somebody who should never have had it.
    #[error(
        "this is a secret key, and nothing of it was kept. Tell the Owner that it has left their \
         hands and has to be revoked, and ask for the public half of a new one"
    )]
    SecretKey,
    /// The key was revoked by its holder.
    #[error("the Owner has revoked this key. Ask for a new one")]
    Revoked,
    /// The key names somebody who may revoke it and holds a revocation that may be theirs. Whether
    /// it is cannot be checked without their key.
    #[error(
        "this key holds a revocation by a designated revoker. Ask the Owner for a new one, or for \
         an export without it where the revocation is not genuine"
    )]
    PerhapsRevoked,
    /// The key expired.
    #[error(
        "this key expired on {}. Ask the Owner to extend it (`gpg --quick-set-expire`) and to send \
         it again, or to send a new one", day(.at)
    )]
    Expired {
        /// When.
        at: i64,
    },
    /// The key says that it was made later than now.
    #[error(
        "this key says that it was made on {}, which is yet to come. Ask the Owner to set the \
         clock of the machine that made it, and for a new one", day(.from)
    )]
    NotYetValid {
        /// When.
        from: i64,
    },
    /// No signature by the key itself that holds: nothing says what the key is for.
    #[error(
        "this key carries no valid signature of its own: it is damaged, or every name on it was \
         revoked. Ask the Owner to export it again"
    )]
    NoSelfSignature,
    /// None of the subkeys is for encryption.
    #[error(
        "this key has no subkey for encryption. Ask the Owner to add one \
         (`gpg --quick-add-key FINGERPRINT cv25519 encr`) and to send it again"
    )]
    NoEncryptionSubkey,
    /// There are subkeys for encryption, and the Owner has revoked them.
    #[error(
        "the Owner has revoked the encryption subkey of this key. Ask for a new subkey \
         (`gpg --quick-add-key FINGERPRINT cv25519 encr`), or a new key"
    )]
    SubkeyRevoked,
    /// There are subkeys for encryption, and the last of them expired.
    #[error(
        "the encryption subkey of this key expired on {}. Ask the Owner to extend it \
         (`gpg --quick-set-expire FINGERPRINT 1y '*'`) and to send it again", day(.at)
    )]
    SubkeyExpired {
        /// When the last of them did.
        at: i64,
    },
    /// There are subkeys for encryption, of a kind that is not safe or not known.
    #[error(
        "the encryption subkey of this key is {algorithm}, which is not used here. Ask the Owner \
         for one of Curve25519, or of RSA with 2048 bits or more"
    )]
    UnusableAlgorithm {
        /// The algorithm and its size.
        algorithm: String,
    },
}

/// The date for people, `2026-03-01`.
fn day(micros: &i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(*micros) * 1000)
        .map_or_else(|_| "an unknown day".to_owned(), |at| at.date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the person who reads it: the day is named, and so is what to do.
    #[test]
    fn a_problem_names_the_day_and_the_remedy() {
        let text = KeyProblem::Expired { at: 1_772_323_200_000_000 }.to_string();
        assert!(text.starts_with("this key expired on 2026-03-01. Ask the Owner"), "{text}");
        let text = KeyProblem::SubkeyExpired { at: i64::MAX }.to_string();
        assert!(text.contains("an unknown day"), "{text}");
    }

    /// Protects the stored form, which the eligibility check keeps as a fact.
    #[test]
    fn a_problem_survives_json() {
        for problem in [KeyProblem::Revoked, KeyProblem::Expired { at: 5 }] {
            let json = serde_json::to_string(&problem).unwrap();
            assert_eq!(serde_json::from_str::<KeyProblem>(&json).unwrap(), problem);
        }
        let json = serde_json::to_string(&KeyProblem::Expired { at: 5 }).unwrap();
        assert_eq!(json, r#"{"problem":"expired","at":5}"#);
    }
}
