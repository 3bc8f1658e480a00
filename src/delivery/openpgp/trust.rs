//! Which signatures of a key count.
//!
//! That a signature is arithmetically right was checked before ([`super::verified`]). Whether it
//! still holds, at this time, made this way, is decided here (RFC 9580, sections 5.2.3 and 9.5).

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, Signature, SubpacketData};
use pgp::types::{EcdsaPublicParams, KeyDetails as _, KeyVersion, PublicParams};

use super::MICROS_PER_SECOND;
use super::problem::Unsound;
use super::verified::Name;

/// How far the clock that made a key may be ahead of ours, in microseconds.
pub(super) const CLOCK_SKEW: i64 = 5 * 60 * MICROS_PER_SECOND;

/// From when on nobody had a reason left to sign with SHA-1: 2023-02-01, in microseconds. Section
/// 9.5 has each implementation choose the day; this is the one Sequoia chose.
const END_OF_SHA1: i64 = 1_675_209_600 * MICROS_PER_SECOND;

/// When the signature was made, in microseconds; `None` where it does not say, which makes it
/// invalid (section 5.2.3.11).
pub(super) fn made_at(signature: &Signature) -> Option<i64> {
    let created = signature.created()?;
    Some(i64::from(created.as_secs()) * MICROS_PER_SECOND)
}

/// When a key that was made at `created_at` (microseconds) expires by this signature, in
/// microseconds; `None` for never. Zero seconds also means never (section 5.2.3.13).
pub(super) fn key_expiry(signature: &Signature, created_at: i64) -> Option<i64> {
    let seconds = signature.key_expiration_time()?.as_secs();
    (seconds != 0).then(|| created_at + i64::from(seconds) * MICROS_PER_SECOND)
}

/// Whether a signature holds at `now`: made, not expired, with a hash that may be relied on, and
/// without a critical part that is not understood here (section 5.2.3.7).
pub(super) fn holds(signature: &Signature, now: i64) -> Result<(), Unsound> {
    let (Some(config), Some(made_at)) = (signature.config(), made_at(signature)) else {
        return Err(Unsound::Undated);
    };
    if made_at > now.saturating_add(CLOCK_SKEW) {
        return Err(Unsound::NotYet { from: made_at });
    }
    let ends = signature
        .signature_expiration_time()
        .map(|after| i64::from(after.as_secs()))
        .filter(|after| *after != 0)
        .map(|after| made_at + after * MICROS_PER_SECOND);
    if let Some(at) = ends.filter(|at| *at <= now) {
        return Err(Unsound::Ended { at });
    }
    let strong = match config.hash_alg {
        HashAlgorithm::Sha1 => made_at < END_OF_SHA1,
        HashAlgorithm::Sha224
        | HashAlgorithm::Sha256
        | HashAlgorithm::Sha384
        | HashAlgorithm::Sha512
        | HashAlgorithm::Sha3_256
        | HashAlgorithm::Sha3_512 => true,
        _ => false,
    };
    if !strong {
        return Err(Unsound::Hash { name: hash_name(config.hash_alg), at: made_at });
    }
    let not_understood = config.hashed_subpackets().filter(|part| part.is_critical);
    let mut not_understood = not_understood.filter_map(|part| match &part.data {
        SubpacketData::Notation(notation) => {
            Some(super::printable(&String::from_utf8_lossy(&notation.name)))
        }
        SubpacketData::Other(number, _) | SubpacketData::Experimental(number, _) => {
            Some(format!("number {number}"))
        }
        _ => None,
    });
    match not_understood.next() {
        Some(part) => Err(Unsound::Critical { part }),
        None => Ok(()),
    }
}

/// Why a signature is not relied on whose hash is broken, or too short for the key, so that the
/// library does not even check it (the standard of ECDSA wants more than half of the curve's bits).
pub(super) fn weak_hash(signature: &Signature, key: &PublicKey) -> Option<Unsound> {
    let hash = signature.hash_alg()?;
    let long = matches!(key.public_params(), PublicParams::ECDSA(EcdsaPublicParams::P521 { .. }));
    if long && matches!(hash, HashAlgorithm::Sha224 | HashAlgorithm::Sha256) {
        return Some(Unsound::ShortHash { at: made_at(signature).unwrap_or(0) });
    }
    let broken =
        matches!(hash, HashAlgorithm::Sha1 | HashAlgorithm::Md5 | HashAlgorithm::Ripemd160);
    broken.then(|| Unsound::Hash { name: hash_name(hash), at: made_at(signature).unwrap_or(0) })
}

fn hash_name(hash: HashAlgorithm) -> String {
    match hash {
        HashAlgorithm::Sha1 => "SHA-1".to_owned(),
        HashAlgorithm::Md5 => "MD5".to_owned(),
        HashAlgorithm::Ripemd160 => "RIPEMD-160".to_owned(),
        other => format!("hash number {}", u8::from(other)),
    }
}

/// The newest of the signatures that hold now.
pub(super) fn newest<'a>(
    signatures: impl IntoIterator<Item = &'a Signature>,
    now: i64,
) -> Option<&'a Signature> {
    let live = signatures.into_iter().filter(|signature| holds(signature, now).is_ok());
    live.max_by_key(|signature| made_at(signature))
}

/// Why the newest of the signatures does not hold, where none does.
pub(super) fn why_not<'a>(
    signatures: impl IntoIterator<Item = &'a Signature>,
    now: i64,
) -> Option<Unsound> {
    let newest = signatures.into_iter().max_by_key(|signature| made_at(signature))?;
    holds(newest, now).err()
}

/// Whether a name on the key counts as withdrawn: the newest revocation of it by the key itself is
/// not older than the newest confirmation. A revocation counts whatever its hash: an attacker gains
/// nothing by forging one, and the Owner everything by its being heeded.
pub(super) fn is_withdrawn(name: &Name) -> bool {
    let newest = |signatures: &[Signature]| signatures.iter().filter_map(made_at).max();
    match (newest(&name.revocations), newest(&name.confirmations)) {
        (Some(revoked), Some(confirmed)) => revoked >= confirmed,
        (revoked, _) => revoked.is_some(),
    }
}

/// Whether the key's own signature over itself says something about the key. One that only names a
/// designated revoker (as GnuPG makes) says nothing of when the key expires, and must not hide the
/// signature that does.
pub(super) fn speaks_of_the_key(signature: &Signature, version: KeyVersion) -> bool {
    version == KeyVersion::V6
        || signature.config().is_some_and(|config| {
            config.hashed_subpackets().any(|part| {
                matches!(
                    part.data,
                    SubpacketData::KeyFlags(_)
                        | SubpacketData::KeyExpirationTime(_)
                        | SubpacketData::Features(_)
                )
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgp::crypto::public_key::PublicKeyAlgorithm;
    use pgp::packet::{SignatureConfig, SignatureType, Subpacket};
    use pgp::types::{Duration, SignatureBytes, Timestamp};

    /// 2020-01-01, in unix seconds.
    const MADE: u32 = 1_577_836_800;

    fn micros(seconds: u32) -> i64 {
        i64::from(seconds) * MICROS_PER_SECOND
    }

    /// A signature with these parts; what it is over plays no role here.
    fn signature(hash: HashAlgorithm, parts: Vec<Subpacket>) -> Signature {
        let mut config =
            SignatureConfig::v4(SignatureType::CertPositive, PublicKeyAlgorithm::EdDSALegacy, hash);
        config.hashed_subpackets = parts;
        Signature::from_config(config, [0, 0], SignatureBytes::Mpis(vec![])).unwrap()
    }

    fn live(signature: &Signature, now: i64) -> bool {
        holds(signature, now).is_ok()
    }

    fn made(seconds: u32) -> Subpacket {
        let at = Timestamp::from_secs(seconds);
        Subpacket::regular(SubpacketData::SignatureCreationTime(at)).unwrap()
    }

    /// Protects against old statements being held for new ones, and the other way round.
    #[test]
    fn a_signature_holds_from_its_making_to_its_end() {
        let lasts = |seconds| {
            let after = Duration::from_secs(seconds);
            Subpacket::regular(SubpacketData::SignatureExpirationTime(after)).unwrap()
        };
        let of = |parts| signature(HashAlgorithm::Sha256, parts);
        let brief = of(vec![made(MADE), lasts(100)]);
        assert!(!live(&brief, micros(MADE - 600)));
        assert!(live(&brief, micros(MADE - 200)), "a clock may be a little ahead");
        assert!(live(&brief, micros(MADE + 99)));
        assert!(!live(&brief, micros(MADE + 100)));
        assert!(live(&of(vec![made(MADE), lasts(0)]), i64::MAX), "zero is for ever");
        assert!(!live(&of(vec![]), i64::MAX), "without a date it is none");
    }

    /// Protects against signatures that can be forged: hashes that are broken, from the day on
    /// that nobody honest used them.
    #[test]
    fn broken_hashes_do_not_count() {
        let made_with = |hash, at| live(&signature(hash, vec![made(at)]), i64::MAX);
        let cutoff = u32::try_from(END_OF_SHA1 / MICROS_PER_SECOND).unwrap();
        assert!(made_with(HashAlgorithm::Sha1, cutoff - 1));
        assert!(!made_with(HashAlgorithm::Sha1, cutoff));
        assert!(!made_with(HashAlgorithm::Md5, MADE) && !made_with(HashAlgorithm::Ripemd160, MADE));
        assert!(made_with(HashAlgorithm::Sha512, cutoff));
    }

    /// Protects the holder who has said something that must not be overlooked, in words that are
    /// not known here.
    #[test]
    fn an_unknown_critical_part_voids_a_signature() {
        let unknown = || SubpacketData::Other(99, pgp::bytes::Bytes::from_static(b"x"));
        let of = |part| signature(HashAlgorithm::Sha256, vec![made(MADE), part]);
        assert!(live(&of(Subpacket::regular(unknown()).unwrap()), i64::MAX));
        assert!(!live(&of(Subpacket::critical(unknown()).unwrap()), i64::MAX));
    }

    /// Protects keys without an end: zero seconds means never, not at once.
    #[test]
    fn a_key_expires_so_long_after_it_was_made() {
        let expires = |seconds| {
            let after = Duration::from_secs(seconds);
            let part = Subpacket::regular(SubpacketData::KeyExpirationTime(after)).unwrap();
            key_expiry(&signature(HashAlgorithm::Sha256, vec![made(MADE), part]), micros(MADE))
        };
        assert_eq!(expires(5), Some(micros(MADE + 5)));
        assert_eq!(expires(0), None);
        assert_eq!(expires(u32::MAX), Some(micros(MADE) + micros(u32::MAX)));
    }
}
