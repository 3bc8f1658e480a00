//! Judging the Owner's key: may a secret be encrypted to it now, and to which part of it?
//!
//! The library's own check of a whole key passes keys that are expired or revoked, and fails good
//! ones that somebody else has certified. So the rules are written out here, as RFC 9580 (sections
//! 5.2.3 and 10.1) has them.

use pgp::composed::{PublicOrSecret, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType};
use pgp::ser::Serialize as _;
use pgp::types::{EcdhPublicParams, KeyDetails, KeyVersion, PublicParams};
use serde::{Deserialize, Serialize};

use super::problem::KeyProblem;
use super::{MICROS_PER_SECOND, trust};

/// Enough for a key with hundreds of certifications, and little enough to check them all.
const LIMIT_KIB: usize = 256;

const SHORTEST_RSA: u16 = 2048;

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
    /// The full fingerprint of the subkey to encrypt to.
    pub encryption_subkey_fingerprint: String,
    /// Whether the holder's software says it reads version 2 of the encrypted data packet. GnuPG
    /// 2.2 does not.
    pub seipd_v2: bool,
    /// The algorithm of the subkey, for people: `Curve25519`, `RSA 3072`.
    pub algorithm: String,
}

/// A key that may be encrypted to now: what there is to say about it, and the subkey.
pub(super) struct Usable {
    pub(super) report: KeyReport,
    pub(super) primary: PublicKey,
    pub(super) subkey: PublicSubkey,
}

/// Judges an ASCII-armored public key as of `now` (microseconds UTC).
///
/// It is refused when the key itself has revoked it, when its newest valid signature of its own is
/// missing or says that it has expired, and when no subkey is left that is bound, for encryption,
/// neither revoked nor expired, and of an algorithm in use. Of several such subkeys the newest is
/// taken. Signatures by other people are left out of account.
///
/// # Errors
/// [`KeyProblem`]: what is wrong, and what to do about it.
pub fn inspect(armored: &str, now: i64) -> Result<KeyReport, KeyProblem> {
    usable(armored, now).map(|usable| usable.report)
}

/// The full fingerprint of an ASCII-armored public key, whether or not it may be encrypted to, in
/// capital hexadecimal digits; nothing where the text is no key.
#[must_use]
pub fn fingerprint_of(armored: &str) -> Option<String> {
    parse(armored).ok().map(|key| fingerprint(&key.primary_key))
}

/// As [`inspect`], with the subkey to encrypt to.
pub(super) fn usable(armored: &str, now: i64) -> Result<Usable, KeyProblem> {
    let key = parse(armored)?;
    let primary = &key.primary_key;
    let details = &key.details;

    if trust::is_revoked(primary, &details.revocation_signatures) {
        return Err(KeyProblem::Revoked);
    }
    let created_at = created_at(primary);
    if created_at > now.saturating_add(trust::CLOCK_SKEW) {
        return Err(KeyProblem::NotYetValid { from: created_at });
    }
    if trust::is_perhaps_revoked(primary, details) {
        return Err(KeyProblem::PerhapsRevoked);
    }

    let mut users: Vec<(&str, &Signature)> = Vec::new();
    let mut confirmed = Vec::new();
    for user in &details.users {
        if trust::user_is_revoked(primary, user) {
            continue;
        }
        if let Some(signature) = trust::newest_of_user(primary, user, now) {
            confirmed.push(signature);
            users.extend(user.id.as_str().map(|name| (name, signature)));
        }
    }
    users.sort_by_key(|(_, signature)| !signature.is_primary());

    let direct = trust::newest_direct(primary, &details.direct_signatures, now);
    // A version 6 key speaks through direct signatures alone (section 10.1.1).
    let own = match primary.version() {
        KeyVersion::V6 => direct,
        _ => confirmed.into_iter().chain(direct).max_by_key(|signature| trust::made_at(signature)),
    }
    .ok_or(KeyProblem::NoSelfSignature)?;

    let primary_expiry = trust::key_expiry(own, created_at);
    if let Some(at) = primary_expiry.filter(|at| *at <= now) {
        return Err(KeyProblem::Expired { at });
    }

    let (subkey, subkey_expiry) = encryption_subkey(&key, now)?;
    let report = KeyReport {
        fingerprint: fingerprint(primary),
        user_ids: users.iter().map(|(name, _)| (*name).to_owned()).collect(),
        expires_at: [primary_expiry, subkey_expiry].into_iter().flatten().min(),
        encryption_subkey_fingerprint: fingerprint(&subkey.key),
        seipd_v2: own.features().is_some_and(|features| features.seipd_v2()),
        algorithm: algorithm(&subkey.key).unwrap_or_else(|unusable| unusable),
    };
    Ok(Usable { report, primary: primary.clone(), subkey: subkey.key.clone() })
}

fn parse(armored: &str) -> Result<SignedPublicKey, KeyProblem> {
    if armored.len() > LIMIT_KIB * 1024 {
        return Err(KeyProblem::TooLong { limit_kib: LIMIT_KIB });
    }
    if armored.contains("PRIVATE KEY BLOCK") {
        return Err(KeyProblem::SecretKey);
    }
    // The parser stops at the end of the first block, and what comes after it would go unseen.
    match armored.matches("-----BEGIN PGP").count() {
        0 => return Err(KeyProblem::Unreadable),
        1 => {}
        _ => return Err(KeyProblem::SeveralKeys),
    }
    let (keys, _) = PublicOrSecret::from_armor_many(armored.trim_start().as_bytes())
        .map_err(|_| KeyProblem::Unreadable)?;
    let mut keys = keys.collect::<Result<Vec<_>, _>>().map_err(|_| KeyProblem::Unreadable)?;
    // Whatever the BEGIN line calls it, the content says what it is.
    if keys.iter().any(PublicOrSecret::is_secret) {
        return Err(KeyProblem::SecretKey);
    }
    match (keys.pop(), keys.is_empty()) {
        (Some(PublicOrSecret::Public(key)), true) => Ok(key),
        (Some(_), _) => Err(KeyProblem::SeveralKeys),
        (None, _) => Err(KeyProblem::Unreadable),
    }
}

/// The newest subkey that may be encrypted to, and when it expires.
fn encryption_subkey(
    key: &SignedPublicKey,
    now: i64,
) -> Result<(&SignedPublicSubKey, Option<i64>), KeyProblem> {
    let primary = &key.primary_key;
    let mut found: Option<(&SignedPublicSubKey, Option<i64>)> = None;
    // The problem that is easiest to mend is the one worth telling.
    let mut expired: Option<i64> = None;
    let mut revoked = false;
    let mut unusable: Option<String> = None;

    for subkey in &key.public_subkeys {
        let Some(binding) = newest_binding(primary, subkey, now) else {
            continue;
        };
        let flags = binding.key_flags();
        if !flags.encrypt_comms() && !flags.encrypt_storage() {
            continue;
        }
        if let Err(algorithm) = algorithm(&subkey.key) {
            unusable = Some(algorithm);
            continue;
        }
        if subkey.signatures.iter().any(|signature| {
            signature.typ() == Some(SignatureType::SubkeyRevocation)
                && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        }) {
            revoked = true;
            continue;
        }
        let made_at = created_at(&subkey.key);
        if made_at > now.saturating_add(trust::CLOCK_SKEW) {
            continue;
        }
        let expiry = trust::key_expiry(binding, made_at);
        if let Some(at) = expiry.filter(|at| *at <= now) {
            expired = expired.max(Some(at));
            continue;
        }
        if found.is_none_or(|(other, _)| created_at(&other.key) < made_at) {
            found = Some((subkey, expiry));
        }
    }

    match (found, expired, revoked, unusable) {
        (Some(found), ..) => Ok(found),
        (_, Some(at), ..) => Err(KeyProblem::SubkeyExpired { at }),
        (_, _, true, _) => Err(KeyProblem::SubkeyRevoked),
        (.., Some(algorithm)) => Err(KeyProblem::UnusableAlgorithm { algorithm }),
        _ => Err(KeyProblem::NoEncryptionSubkey),
    }
}

fn newest_binding<'a>(
    primary: &PublicKey,
    subkey: &'a SignedPublicSubKey,
    now: i64,
) -> Option<&'a Signature> {
    let live = subkey.signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::SubkeyBinding)
            && trust::is_live(signature, now)
            && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
    });
    live.max_by_key(|signature| trust::made_at(signature))
}

/// The name of an algorithm that may be encrypted with; as an error, of one that may not.
fn algorithm(key: &PublicSubkey) -> Result<String, String> {
    let name = match (key.algorithm(), key.public_params()) {
        (
            PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSAEncrypt,
            params @ PublicParams::RSA(_),
        ) => {
            let bits = rsa_bits(params);
            let name = format!("RSA {bits}");
            return if bits < SHORTEST_RSA { Err(name) } else { Ok(name) };
        }
        (_, PublicParams::ECDH(EcdhPublicParams::Curve25519Legacy { .. }))
        | (_, PublicParams::X25519(_)) => "Curve25519",
        (_, PublicParams::X448(_)) => "X448",
        (_, PublicParams::ECDH(EcdhPublicParams::P256 { .. })) => "NIST P-256",
        (_, PublicParams::ECDH(EcdhPublicParams::P384 { .. })) => "NIST P-384",
        (_, PublicParams::ECDH(EcdhPublicParams::P521 { .. })) => "NIST P-521",
        (algorithm, _) => return Err(format!("{algorithm:?}")),
    };
    Ok(name.to_owned())
}

/// An RSA key is written as its modulus first, and that as its length in bits first (section 3.2).
fn rsa_bits(params: &PublicParams) -> u16 {
    match params.to_bytes().as_deref() {
        Ok([high, low, ..]) => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

fn created_at(key: &impl KeyDetails) -> i64 {
    i64::from(key.created_at().as_secs()) * MICROS_PER_SECOND
}

/// The full fingerprint in capital hexadecimal digits.
pub(super) fn fingerprint(key: &impl KeyDetails) -> String {
    format!("{:X}", key.fingerprint())
}

#[cfg(test)]
mod tests;
