//! Which signatures of a key count.
//!
//! The library can check that a signature is arithmetically right, and no more. Whether it still
//! holds, at this time, made this way, is decided here (RFC 9580, sections 5.2.3 and 9.5).

use pgp::composed::SignedKeyDetails;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails as _, KeyVersion, SignedUser, Tag};

use super::MICROS_PER_SECOND;

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
/// without a critical part that is not understood here (section 5.2.3.7). That it is
/// arithmetically right is checked apart from this.
pub(super) fn is_live(signature: &Signature, now: i64) -> bool {
    let Some(config) = signature.config() else {
        return false;
    };
    let Some(made_at) = made_at(signature) else {
        return false;
    };
    if made_at > now.saturating_add(CLOCK_SKEW) {
        return false;
    }
    let expired = signature
        .signature_expiration_time()
        .map(|after| i64::from(after.as_secs()))
        .is_some_and(|after| after != 0 && made_at + after * MICROS_PER_SECOND <= now);
    if expired {
        return false;
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
    let understood = config.hashed_subpackets().all(|part| {
        !part.is_critical
            || !matches!(
                part.data,
                SubpacketData::Other(..)
                    | SubpacketData::Experimental(..)
                    | SubpacketData::Notation(..)
            )
    });
    strong && understood
}

/// Whether the key was revoked by itself. A revocation counts whatever its age and hash: an
/// attacker gains nothing by forging one, and the Owner everything by its being heeded.
pub(super) fn is_revoked(primary: &PublicKey, revocations: &[Signature]) -> bool {
    revocations.iter().any(|signature| {
        signature.typ() == Some(SignatureType::KeyRevocation)
            && signature.verify_key(primary).is_ok()
    })
}

/// Whether the key holds a revocation that claims to be by somebody the key has named as its
/// designated revoker (section 5.2.3.23). Their key is not at hand, so it stays a claim.
pub(super) fn is_perhaps_revoked(primary: &PublicKey, details: &SignedKeyDetails) -> bool {
    let direct = details.direct_signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key) && signature.verify_key(primary).is_ok()
    });
    let of_users = details.users.iter().flat_map(|user| {
        let own = |s: &&Signature| s.verify_certification(primary, Tag::UserId, &user.id).is_ok();
        user.signatures.iter().filter(own)
    });
    let mut named = direct
        .chain(of_users)
        .filter_map(Signature::config)
        .flat_map(|config| config.hashed_subpackets())
        .filter_map(|part| match &part.data {
            SubpacketData::RevocationKey(revoker) => Some(revoker.fingerprint.as_slice()),
            _ => None,
        });
    named.any(|revoker| {
        details.revocation_signatures.iter().any(|signature| {
            let by_fingerprint =
                signature.issuer_fingerprint().iter().any(|issuer| issuer.as_bytes() == revoker);
            let by_key_id =
                signature.issuer_key_id().iter().any(|issuer| revoker.ends_with(issuer.as_ref()));
            by_fingerprint || by_key_id
        })
    })
}

/// Whether a name on the key counts as withdrawn: the newest revocation of it by the key itself is
/// not older than the newest confirmation.
pub(super) fn user_is_revoked(primary: &PublicKey, user: &SignedUser) -> bool {
    let newest = |revocation: bool| {
        user.signatures
            .iter()
            .filter(|s| (s.typ() == Some(SignatureType::CertRevocation)) == revocation)
            .filter(|s| s.verify_certification(primary, Tag::UserId, &user.id).is_ok())
            .filter_map(made_at)
            .max()
    };
    match (newest(true), newest(false)) {
        (Some(revoked), Some(confirmed)) => revoked >= confirmed,
        (revoked, _) => revoked.is_some(),
    }
}

/// The key's own signature over one of its names that counts now: the newest.
pub(super) fn newest_of_user<'a>(
    primary: &PublicKey,
    user: &'a SignedUser,
    now: i64,
) -> Option<&'a Signature> {
    let live = user.signatures.iter().filter(|signature| {
        signature.typ() != Some(SignatureType::CertRevocation)
            && is_live(signature, now)
            && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
    });
    live.max_by_key(|signature| made_at(signature))
}

/// The key's own signature over itself that counts now: the newest of those that say something
/// about the key. One that only names a designated revoker (as GnuPG makes) says nothing of when
/// the key expires, and must not hide the signature that does.
pub(super) fn newest_direct<'a>(
    primary: &PublicKey,
    signatures: &'a [Signature],
    now: i64,
) -> Option<&'a Signature> {
    let live = signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key)
            && (primary.version() == KeyVersion::V6 || speaks_of_the_key(signature))
            && is_live(signature, now)
            && signature.verify_key(primary).is_ok()
    });
    live.max_by_key(|signature| made_at(signature))
}

fn speaks_of_the_key(signature: &Signature) -> bool {
    signature.config().is_some_and(|config| {
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
    use pgp::packet::{SignatureConfig, Subpacket};
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
        assert!(!is_live(&brief, micros(MADE - 600)));
        assert!(is_live(&brief, micros(MADE - 200)), "a clock may be a little ahead");
        assert!(is_live(&brief, micros(MADE + 99)));
        assert!(!is_live(&brief, micros(MADE + 100)));
        assert!(is_live(&of(vec![made(MADE), lasts(0)]), i64::MAX), "zero is for ever");
        assert!(!is_live(&of(vec![]), i64::MAX), "without a date it is none");
    }

    /// Protects against signatures that can be forged: hashes that are broken, from the day on
    /// that nobody honest used them.
    #[test]
    fn broken_hashes_do_not_count() {
        let live = |hash, at| is_live(&signature(hash, vec![made(at)]), i64::MAX);
        let cutoff = u32::try_from(END_OF_SHA1 / MICROS_PER_SECOND).unwrap();
        assert!(live(HashAlgorithm::Sha1, cutoff - 1));
        assert!(!live(HashAlgorithm::Sha1, cutoff));
        assert!(!live(HashAlgorithm::Md5, MADE) && !live(HashAlgorithm::Ripemd160, MADE));
        assert!(live(HashAlgorithm::Sha512, cutoff));
    }

    /// Protects the holder who has said something that must not be overlooked, in words that are
    /// not known here.
    #[test]
    fn an_unknown_critical_part_voids_a_signature() {
        let unknown = || SubpacketData::Other(99, pgp::bytes::Bytes::from_static(b"x"));
        let of = |part| signature(HashAlgorithm::Sha256, vec![made(MADE), part]);
        assert!(is_live(&of(Subpacket::regular(unknown()).unwrap()), i64::MAX));
        assert!(!is_live(&of(Subpacket::critical(unknown()).unwrap()), i64::MAX));
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
