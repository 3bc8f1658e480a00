//! Judging the Owner's key: may a secret be encrypted to it now, and to which part of it?
//!
//! The library's own check of a whole key passes keys that are expired or revoked, and fails good
//! ones that somebody else has certified. So the rules are written out here, as RFC 9580 (sections
//! 5.2.3 and 10.1) has them.

use pgp::composed::{PublicOrSecret, SignedPublicKey};
use pgp::packet::{PublicKey, PublicSubkey, Signature};
use pgp::types::{KeyDetails, KeyVersion};
use serde::{Deserialize, Serialize};

use super::algorithm::{self, Primary};
use super::armor::{self, Unread};
use super::problem::{KeyName, KeyProblem, Unsound};
use super::verified::{Subkey, Verified};
use super::{MICROS_PER_SECOND, kept, trust};

/// Enough for a key with hundreds of certifications, and little enough to check them all.
const LIMIT_KIB: usize = 256;

/// What a key on file is, once it has been found fit to encrypt to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    /// The full fingerprint of the key, in capital hexadecimal digits: 40, or 64 for version 6.
    pub fingerprint: String,
    /// The names on the key that it confirms itself and has not withdrawn, the primary one first.
    pub user_ids: Vec<String>,
    /// When the key or the chosen subkey expires, whichever is first, in microseconds UTC; `None`
    /// for never.
    pub expires_at: Option<i64>,
    /// The full fingerprint of what is encrypted to: a subkey, or the key itself where it has none
    /// for that and says that it is for encryption, too.
    pub encryption_subkey_fingerprint: String,
    /// Whether version 2 of the encrypted data packet is used: for keys of version 6 that say they
    /// read it. A version 4 key may be used by another program than the one that made it, and
    /// GnuPG, RNP and Thunderbird read version 1 alone.
    pub seipd_v2: bool,
    /// The algorithm of what is encrypted to, for people: `Curve25519`, `RSA 3072`.
    pub algorithm: String,
}

/// A key that may be encrypted to now: what there is to say about it, and what to encrypt to.
pub(super) struct Usable {
    pub(super) report: KeyReport,
    pub(super) primary: PublicKey,
    pub(super) recipient: Recipient,
}

/// The part of a key that is encrypted to.
#[derive(Debug, Clone)]
pub(super) enum Recipient {
    /// The key itself, which has no subkey for it.
    Primary(PublicKey),
    /// A subkey.
    Subkey(PublicSubkey),
}

/// Judges an ASCII-armored public key as of `now` (microseconds UTC).
///
/// It is refused when the key itself has revoked it, when its primary key is of a kind that can be
/// broken or cannot be checked, when its newest valid signature of its own is missing or says that
/// it has expired, and when nothing is left that is bound, for encryption, neither revoked nor
/// expired, and of an algorithm in use. Of several such subkeys the newest is taken. Signatures by
/// other people are left out of account.
///
/// A key that was judged before is judged without checking its signatures again;
/// [`super::prepare`] does that beforehand, where it holds nobody up.
///
/// # Errors
/// [`KeyProblem`]: what is wrong, and what to do about it.
pub fn inspect(armored: &str, now: i64) -> Result<KeyReport, KeyProblem> {
    usable(armored, now).map(|usable| usable.report)
}

/// The full fingerprint of an ASCII-armored public key, whether or not it may be encrypted to, in
/// capital hexadecimal digits; nothing where the text is no key, or several.
#[must_use]
pub fn fingerprint_of(armored: &str) -> Option<String> {
    parse(armored).ok().map(|key| fingerprint(&key.primary_key))
}

/// The one key of this fingerprint in a text with several, ASCII-armored.
#[must_use]
pub fn choose(text: &str, chosen: &str) -> Option<String> {
    let mut keys = all(text).ok()?.into_iter();
    let key = keys.find(|key| fingerprint(&key.primary_key) == chosen)?;
    key.to_armored_string(pgp::composed::ArmorOptions::default()).ok()
}

/// As [`inspect`], with what to encrypt to.
pub(super) fn usable(armored: &str, now: i64) -> Result<Usable, KeyProblem> {
    judge(&*kept::verified(armored)?, now)
}

/// Reads a key and checks its signatures, which takes its time.
pub(super) fn read(text: &str) -> Result<Verified, KeyProblem> {
    Verified::of(&parse(text)?)
}

/// What a key is at this time.
fn judge(key: &Verified, now: i64) -> Result<Usable, KeyProblem> {
    let primary = &key.primary;
    let fingerprint = fingerprint(primary);
    if !key.revocations.is_empty() {
        return Err(KeyProblem::Revoked);
    }
    let created_at = created_at(primary);
    if created_at > now.saturating_add(trust::CLOCK_SKEW) {
        return Err(KeyProblem::NotYetValid { from: created_at });
    }
    if !key.claimed_revocations.is_empty() {
        return Err(KeyProblem::PerhapsRevoked);
    }
    let user_id = key.names.iter().find_map(|name| name.id.as_str()).map(str::to_owned);
    match algorithm::primary(primary) {
        Primary::Sound => {}
        Primary::Weak(algorithm) => return Err(KeyProblem::WeakPrimary { algorithm, user_id }),
        Primary::Unknown(algorithm) => {
            return Err(KeyProblem::UnknownPrimary { algorithm, user_id });
        }
    }

    let mut users: Vec<(&str, &Signature)> = Vec::new();
    for name in key.names.iter().filter(|name| !trust::is_withdrawn(name)) {
        if let Some(signature) = trust::newest(&name.confirmations, now) {
            users.extend(name.id.as_str().map(|name| (name, signature)));
        }
    }
    users.sort_by_key(|(_, signature)| !signature.is_primary());

    let Some(own) = newest_own(key, now) else {
        return Err(without_own_signature(key, now, fingerprint, user_id));
    };

    let primary_expiry = trust::key_expiry(own, created_at);
    let found = encryption_key(key, own, now, &fingerprint);
    if let Some(at) = primary_expiry.filter(|at| *at <= now) {
        // What else has to be done for it to be of use again.
        let (extend, add) = match found {
            Ok(_) => (vec![], false),
            Err(
                KeyProblem::SubkeyExpired { subkey, .. } | KeyProblem::UnsoundSubkey { subkey, .. },
            ) => (vec![subkey], false),
            Err(_) => (vec![], true),
        };
        return Err(KeyProblem::Expired { at, fingerprint, extend, add });
    }
    let (recipient, subkey_expiry) = found?;
    let (encrypts, algorithm) = match &recipient {
        Recipient::Primary(key) => (self::fingerprint(key), algorithm::encryption(key)),
        Recipient::Subkey(key) => (self::fingerprint(key), algorithm::encryption(key)),
    };
    let announced = own.features().is_some_and(|features| features.seipd_v2());
    let report = KeyReport {
        fingerprint,
        user_ids: users.iter().map(|(name, _)| (*name).to_owned()).collect(),
        expires_at: [primary_expiry, subkey_expiry].into_iter().flatten().min(),
        encryption_subkey_fingerprint: encrypts,
        seipd_v2: announced && primary.version() == KeyVersion::V6,
        algorithm: algorithm.unwrap_or_else(|unusable| unusable),
    };
    Ok(Usable { report, primary: primary.clone(), recipient })
}

/// The key's signatures over itself that say something about it.
fn of_the_key(key: &Verified) -> impl Iterator<Item = &Signature> {
    let version = key.primary.version();
    key.direct.iter().filter(move |signature| trust::speaks_of_the_key(signature, version))
}

/// Why nothing that a key says of itself counts now.
fn without_own_signature(
    key: &Verified,
    now: i64,
    fingerprint: String,
    user_id: Option<String>,
) -> KeyProblem {
    let v6 = key.primary.version() == KeyVersion::V6;
    let names = key.names.iter().filter(|name| !v6 && !trust::is_withdrawn(name));
    let own = of_the_key(key).chain(names.flat_map(|name| &name.confirmations));
    if let Some(why) = trust::why_not(own, now) {
        return KeyProblem::Unsound {
            why,
            fingerprint,
            subkeys: unsound_subkeys(key, now),
            user_id,
        };
    }
    if let Some(why) = key.unchecked.clone() {
        return KeyProblem::Unsound {
            why,
            fingerprint,
            subkeys: unsound_subkeys(key, now),
            user_id,
        };
    }
    if key.names.iter().any(trust::is_withdrawn) {
        return KeyProblem::NamesRevoked { fingerprint };
    }
    match key.names.is_empty() && key.wrong == 0 && !v6 {
        true => KeyProblem::NoNames { fingerprint },
        false => KeyProblem::NoSelfSignature { fingerprint },
    }
}

/// The subkeys for encryption whose bindings do not hold either.
fn unsound_subkeys(key: &Verified, now: i64) -> Vec<String> {
    let unsound = |subkey: &&Subkey| is_for_encryption(subkey) && bound(subkey, now).is_err();
    key.subkeys.iter().filter(unsound).map(|subkey| fingerprint(&subkey.key)).collect()
}

/// The newest subkey that may be encrypted to, or else the key itself, and when the subkey expires.
fn encryption_key(
    key: &Verified,
    own: &Signature,
    now: i64,
    fingerprint: &str,
) -> Result<(Recipient, Option<i64>), KeyProblem> {
    let mut found: Option<(&PublicSubkey, Option<i64>)> = None;
    // The problem that is easiest to mend is the one worth telling.
    let mut expired: Option<(i64, &PublicSubkey)> = None;
    let mut unsound: Option<(Unsound, &PublicSubkey)> = None;
    let mut revoked = false;
    let mut unusable: Option<String> = None;

    for subkey in key.subkeys.iter().filter(|subkey| is_for_encryption(subkey)) {
        if let Err(algorithm) = algorithm::encryption(&subkey.key) {
            unusable = Some(algorithm);
            continue;
        }
        if !subkey.revocations.is_empty() {
            revoked = true;
            continue;
        }
        let made_at = created_at(&subkey.key);
        if made_at > now.saturating_add(trust::CLOCK_SKEW) {
            continue;
        }
        let binding = match bound(subkey, now) {
            Ok(binding) => binding,
            Err(why) => {
                unsound = Some((why, &subkey.key));
                continue;
            }
        };
        if !flags_encryption(binding) {
            continue;
        }
        let expiry = trust::key_expiry(binding, made_at);
        if let Some(at) = expiry.filter(|at| *at <= now) {
            if expired.is_none_or(|(other, _)| other < at) {
                expired = Some((at, &subkey.key));
            }
            continue;
        }
        if found.is_none_or(|(other, _)| created_at(other) < made_at) {
            found = Some((&subkey.key, expiry));
        }
    }
    if let Some((subkey, expiry)) = found {
        return Ok((Recipient::Subkey(subkey.clone()), expiry));
    }
    if flags_encryption(own) && algorithm::encryption(&key.primary).is_ok() {
        return Ok((Recipient::Primary(key.primary.clone()), None));
    }
    let fingerprint = fingerprint.to_owned();
    Err(match (expired, unsound, revoked, unusable) {
        (Some((at, subkey)), ..) => {
            KeyProblem::SubkeyExpired { at, fingerprint, subkey: self::fingerprint(subkey) }
        }
        (_, Some((why, subkey)), ..) => {
            KeyProblem::UnsoundSubkey { why, fingerprint, subkey: self::fingerprint(subkey) }
        }
        (_, _, true, _) => KeyProblem::SubkeyRevoked { fingerprint },
        (.., Some(algorithm)) => KeyProblem::UnusableAlgorithm { algorithm, fingerprint },
        _ => KeyProblem::NoEncryptionSubkey { fingerprint },
    })
}

/// The newest binding of a subkey that holds, or why the newest does not.
fn bound(subkey: &Subkey, now: i64) -> Result<&Signature, Unsound> {
    trust::newest(&subkey.bindings, now).ok_or_else(|| {
        let why = trust::why_not(&subkey.bindings, now).or_else(|| subkey.unchecked.clone());
        why.unwrap_or(Unsound::Undated)
    })
}

/// Whether any binding, also one that does not hold now, is for encryption. One that cannot be
/// checked may say so, too, where the subkey is of no use for anything else.
fn is_for_encryption(subkey: &Subkey) -> bool {
    let perhaps = subkey.unchecked.is_some() && algorithm::encryption(&subkey.key).is_ok();
    subkey.bindings.iter().any(flags_encryption) || subkey.bindings.is_empty() && perhaps
}

fn flags_encryption(signature: &Signature) -> bool {
    let flags = signature.key_flags();
    flags.encrypt_comms() || flags.encrypt_storage()
}

/// The one key in a text.
fn parse(text: &str) -> Result<SignedPublicKey, KeyProblem> {
    let mut keys = all(text)?;
    match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => Ok(key),
        (Some(last), false) => {
            let keys = keys.iter().chain([&last]).map(|key| KeyName {
                fingerprint: fingerprint(&key.primary_key),
                user_id: key.details.users.iter().find_map(|u| u.id.as_str()).map(str::to_owned),
            });
            Err(KeyProblem::SeveralKeys { keys: keys.collect() })
        }
        (None, _) => Err(KeyProblem::Unreadable),
    }
}

/// All keys in a text, in their order. The same one twice is one.
fn all(text: &str) -> Result<Vec<SignedPublicKey>, KeyProblem> {
    if text.len() > LIMIT_KIB * 1024 {
        return Err(KeyProblem::TooLong { limit_kib: LIMIT_KIB });
    }
    if text.contains("PRIVATE KEY BLOCK") {
        return Err(KeyProblem::SecretKey);
    }
    let blocks = armor::key_blocks(text).map_err(|unread| match unread {
        Unread::CutOff => KeyProblem::CutOff,
        Unread::Garbled => KeyProblem::Unreadable,
    })?;
    let mut found: Vec<SignedPublicKey> = Vec::new();
    for block in blocks {
        if let Some(version) = other_version(&block) {
            return Err(KeyProblem::Version { version, user_id: None });
        }
        let keys = PublicOrSecret::from_bytes_many(block.as_slice());
        for key in keys.map_err(|_| KeyProblem::Unreadable)? {
            // Whatever the BEGIN line calls it, the content says what it is.
            match key.map_err(|_| KeyProblem::Unreadable)? {
                PublicOrSecret::Secret(_) => return Err(KeyProblem::SecretKey),
                PublicOrSecret::Public(key) if found.contains(&key) => {}
                PublicOrSecret::Public(key) => found.push(key),
            }
        }
    }
    Ok(found)
}

/// The version of the first key, where it is one that the library does not read (section 4.2 has
/// how a packet begins).
fn other_version(block: &[u8]) -> Option<u8> {
    const PUBLIC_KEY: u8 = 6;
    let first = *block.first()?;
    let (tag, length_octets) = if first & 0x40 == 0 {
        ((first >> 2) & 0x0f, [1, 2, 4, 0][usize::from(first & 3)])
    } else {
        let octets = match *block.get(1)? {
            0..192 => 1,
            192..224 => 2,
            _ => 5,
        };
        (first & 0x3f, octets)
    };
    let version = *block.get(1 + length_octets)?;
    (tag == PUBLIC_KEY && !matches!(version, 4 | 6)).then_some(version)
}

/// The signature by which a key speaks of itself, where the key is good at `now`: not revoked, not
/// expired, and of an algorithm that cannot be broken.
pub(super) fn own_signature(key: &Verified, now: i64) -> Option<&Signature> {
    let created_at = created_at(&key.primary);
    let revoked = !key.revocations.is_empty() || !key.claimed_revocations.is_empty();
    let sound = matches!(algorithm::primary(&key.primary), Primary::Sound);
    if revoked || !sound || created_at > now.saturating_add(trust::CLOCK_SKEW) {
        return None;
    }
    let own = newest_own(key, now)?;
    trust::key_expiry(own, created_at).is_none_or(|at| now < at).then_some(own)
}

/// The newest signature that says something about the key and holds now. A version 6 key speaks
/// through direct signatures alone (section 10.1.1).
fn newest_own(key: &Verified, now: i64) -> Option<&Signature> {
    let direct = trust::newest(of_the_key(key), now);
    if key.primary.version() == KeyVersion::V6 {
        return direct;
    }
    let names = key.names.iter().filter(|name| !trust::is_withdrawn(name));
    let confirmed = names.filter_map(|name| trust::newest(&name.confirmations, now));
    confirmed.chain(direct).max_by_key(|signature| trust::made_at(signature))
}

pub(super) fn created_at(key: &impl KeyDetails) -> i64 {
    i64::from(key.created_at().as_secs()) * MICROS_PER_SECOND
}

/// The full fingerprint in capital hexadecimal digits.
pub(super) fn fingerprint(key: &impl KeyDetails) -> String {
    format!("{:X}", key.fingerprint())
}

#[cfg(test)]
mod tests;
