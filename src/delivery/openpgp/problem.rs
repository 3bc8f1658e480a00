//! What can be wrong with a key on file, in words for the person who has to put it right.

mod remedy;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Why a handoff cannot be encrypted to this key: what is wrong ([`KeyProblem::reason`]), and what
/// to do about it. Where GnuPG can put it right, the commands are named in full
/// ([`KeyProblem::commands`]). Times are in microseconds UTC, fingerprints in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "problem")]
#[error("{}. {}", self.reason(), self.remedy())]
pub enum KeyProblem {
    /// Not an ASCII-armored OpenPGP public key.
    Unreadable,
    /// The key begins and does not end.
    CutOff,
    /// Longer than a key with any sensible number of signatures.
    TooLong {
        /// The limit, in KiB.
        limit_kib: usize,
    },
    /// More on it than is looked through.
    TooMuch {
        /// Of what.
        what: TooMuch,
        /// Which key.
        fingerprint: String,
    },
    /// More than one key, so that it would be left to chance which one is used.
    SeveralKeys {
        /// Which they are, in their order.
        keys: Vec<KeyName>,
    },
    /// A secret key. It has been shown to somebody who should never have had it.
    SecretKey,
    /// A key of a version that is not used here: from before 1998, or GnuPG's own version 5.
    Version {
        /// Which.
        version: u8,
        /// A name on it.
        user_id: Option<String>,
    },
    /// The key was revoked by its holder.
    Revoked,
    /// The key names somebody who may revoke it and holds a revocation that may be theirs. Whether
    /// it is cannot be checked without their key.
    PerhapsRevoked,
    /// The key expired.
    Expired {
        /// When.
        at: i64,
        /// Which key.
        fingerprint: String,
        /// The subkeys that have to be extended with it.
        extend: Vec<String>,
        /// Whether there is no subkey that could be extended, so that one has to be added.
        add: bool,
    },
    /// The key says that it was made later than now.
    NotYetValid {
        /// When.
        from: i64,
    },
    /// The primary key can be broken, so that anybody could put a subkey of theirs under it.
    WeakPrimary {
        /// The algorithm and its size.
        algorithm: String,
        /// A name on it.
        user_id: Option<String>,
    },
    /// The primary key is of a kind whose signatures cannot be checked here.
    UnknownPrimary {
        /// The algorithm.
        algorithm: String,
        /// A name on it.
        user_id: Option<String>,
    },
    /// There is no name on it, and nothing else that says what the key is for.
    NoNames {
        /// Which key.
        fingerprint: String,
    },
    /// The Owner has withdrawn every name.
    NamesRevoked {
        /// Which key.
        fingerprint: String,
    },
    /// What the key says of itself is signed, but not so that it can be relied on.
    Unsound {
        /// Why not.
        why: Unsound,
        /// Which key.
        fingerprint: String,
        /// The subkeys of which the same is true.
        subkeys: Vec<String>,
        /// A name on it.
        user_id: Option<String>,
    },
    /// The same of the subkey alone.
    UnsoundSubkey {
        /// Why not.
        why: Unsound,
        /// Which key.
        fingerprint: String,
        /// Which subkey.
        subkey: String,
    },
    /// No signature by the key itself that is right: it is damaged.
    NoSelfSignature {
        /// Which key.
        fingerprint: String,
    },
    /// None of the subkeys is for encryption.
    NoEncryptionSubkey {
        /// Which key.
        fingerprint: String,
    },
    /// There are subkeys for encryption, and the Owner has revoked them.
    SubkeyRevoked {
        /// Which key.
        fingerprint: String,
    },
    /// There are subkeys for encryption, and the last of them expired.
    SubkeyExpired {
        /// When the last of them did.
        at: i64,
        /// Which key.
        fingerprint: String,
        /// Which subkey.
        subkey: String,
    },
    /// There are subkeys for encryption, of a kind that is not safe or not known.
    UnusableAlgorithm {
        /// The algorithm and its size.
        algorithm: String,
        /// Which key.
        fingerprint: String,
    },
}

/// A key among several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyName {
    /// Its full fingerprint.
    pub fingerprint: String,
    /// The first name on it, as it says.
    pub user_id: Option<String>,
}

/// What there is too much of on a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooMuch {
    /// Names.
    Names {
        /// How many there are.
        count: usize,
        /// How many are looked at.
        most: usize,
        /// The address in one of them.
        address: Option<String>,
    },
    /// Signatures by the key itself.
    Signatures {
        /// How many there are.
        count: usize,
        /// How many are looked at.
        most: usize,
    },
}

/// Why a signature that is arithmetically right is not relied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsound {
    /// It does not say when it was made.
    Undated,
    /// It is of a time that is yet to come.
    NotYet {
        /// Which.
        from: i64,
    },
    /// It says that it is over.
    Ended {
        /// Since when.
        at: i64,
    },
    /// Its hash can be forged.
    Hash {
        /// Which.
        name: String,
        /// When it was made.
        at: i64,
    },
    /// Its hash is too short for the kind of key, so that programs do not even check it.
    ShortHash {
        /// When it was made.
        at: i64,
    },
    /// It says something that must be understood, and is not.
    Critical {
        /// What.
        part: String,
    },
}

/// The date for people, `2026-03-01`.
fn day(micros: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .map_or_else(|_| "an unknown day".to_owned(), |at| at.date().to_string())
}

#[cfg(test)]
mod tests;
