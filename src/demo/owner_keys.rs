//! The Owners' OpenPGP keys: made like the ones that GnuPG makes, Ed25519 to sign and Curve25519
//! to receive. The public half goes on file; the private half stays on the customer's side.

use pgp::composed::{
    ArmorOptions, KeyType, SignedKeyDetails, SignedPublicKey, SignedSecretKey, SignedSecretSubKey,
};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::errors::Error;
use pgp::packet::{
    Features, KeyFlags, PacketTrait as _, PubKeyInner, PublicKey, PublicSubkey, SecretKey,
    SecretSubkey, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::types::{Duration, KeyDetails as _, KeyVersion, PacketHeaderVersion, Password, Timestamp};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::model::{Micros, time};

/// A pair of keys, both ASCII-armored.
pub(super) struct OwnerKeyPair {
    pub(super) public: String,
    pub(super) private: Zeroizing<String>,
    /// 40 capital hexadecimal digits.
    pub(super) fingerprint: String,
}

/// Makes a key for `user_id`, as of `made_at`, that lasts for `life` where that is given.
///
/// It is of version 4 in the older formats of both curves, which are what GnuPG 2.2 reads.
pub(super) fn generate(
    rng: &mut (impl RngCore + CryptoRng),
    user_id: &str,
    made_at: Micros,
    life: Option<Micros>,
) -> Result<OwnerKeyPair, Error> {
    // The library's own key builder reads the clock by itself, hence the longer way round.
    let seconds = made_at.div_euclid(time::SECOND).clamp(0, i64::from(u32::MAX));
    let made_at = Timestamp::from_secs(u32::try_from(seconds).unwrap_or(u32::MAX));
    let primary_kind = KeyType::Ed25519Legacy;
    let (public, secret) = primary_kind.generate(&mut *rng)?;
    let inner = PubKeyInner::new(KeyVersion::V4, primary_kind.to_alg(), made_at, None, public)?;
    let primary = SecretKey::new(PublicKey::from_inner(inner)?, secret)?;

    let subkey_kind = KeyType::ECDH(ECCCurve::Curve25519Legacy);
    let (public, secret) = subkey_kind.generate(&mut *rng)?;
    let inner = PubKeyInner::new(KeyVersion::V4, subkey_kind.to_alg(), made_at, None, public)?;
    let subkey = SecretSubkey::new(PublicSubkey::from_inner(inner)?, secret)?;

    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    let mut features = Features::new();
    features.set_seipd_v1(true);
    let mut own = signature(rng, &primary, SignatureType::CertPositive, made_at, flags, life)?;
    own.hashed_subpackets.push(Subpacket::regular(SubpacketData::Features(features))?);
    own.hashed_subpackets.push(Subpacket::regular(SubpacketData::IsPrimary(true))?);
    let name = UserId::from_str(PacketHeaderVersion::New, user_id)?;
    let signed = own.sign_certification(
        &primary,
        primary.public_key(),
        &Password::empty(),
        name.tag(),
        &name,
    )?;
    let details = SignedKeyDetails::new(vec![], vec![], vec![name.into_signed(signed)], vec![]);

    let mut flags = KeyFlags::default();
    flags.set_encrypt_comms(true);
    flags.set_encrypt_storage(true);
    let binding = signature(rng, &primary, SignatureType::SubkeyBinding, made_at, flags, life)?
        .sign_subkey_binding(
            &primary,
            primary.public_key(),
            &Password::empty(),
            subkey.public_key(),
        )?;
    let subkey = SignedSecretSubKey::new(subkey, vec![binding]);

    let key = SignedSecretKey::new(primary, details, vec![], vec![subkey]);
    Ok(OwnerKeyPair {
        fingerprint: format!("{:X}", key.fingerprint()),
        public: SignedPublicKey::from(key.clone()).to_armored_string(ArmorOptions::default())?,
        private: Zeroizing::new(key.to_armored_string(ArmorOptions::default())?),
    })
}

/// What the key says of itself in one of its own signatures, not yet signed.
fn signature(
    rng: &mut (impl RngCore + CryptoRng),
    primary: &SecretKey,
    kind: SignatureType,
    made_at: Timestamp,
    flags: KeyFlags,
    life: Option<Micros>,
) -> Result<SignatureConfig, Error> {
    let mut config = SignatureConfig::from_key(rng, primary, kind)?;
    config.hashed_subpackets = vec![
        Subpacket::critical(SubpacketData::SignatureCreationTime(made_at))?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(primary.fingerprint()))?,
        Subpacket::critical(SubpacketData::KeyFlags(flags))?,
    ];
    if let Some(life) = life {
        let seconds = u32::try_from(life / time::SECOND).unwrap_or(u32::MAX);
        let lasts = SubpacketData::KeyExpirationTime(Duration::from_secs(seconds));
        config.hashed_subpackets.push(Subpacket::critical(lasts)?);
    }
    config.unhashed_subpackets =
        vec![Subpacket::regular(SubpacketData::IssuerKeyId(primary.legacy_key_id()))?];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::openpgp::{KeyProblem, inspect};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// 2026-03-01.
    const NOW: Micros = 1_772_323_200_000_000;

    fn key(life: Option<Micros>) -> OwnerKeyPair {
        let mut rng = StdRng::seed_from_u64(5);
        generate(&mut rng, "Olive <olive@example.com>", NOW - 100 * time::DAY, life).unwrap()
    }

    /// Protects the demo's first ticket: the key on file must be one that can be encrypted to.
    #[test]
    fn a_key_is_fit_to_encrypt_to() {
        let pair = key(Some(400 * time::DAY));
        let report = inspect(&pair.public, NOW).unwrap();
        assert_eq!(report.fingerprint, pair.fingerprint);
        assert_eq!(report.user_ids, ["Olive <olive@example.com>"]);
        assert_eq!(report.expires_at, Some(NOW + 300 * time::DAY));
        assert_eq!(inspect(&key(None).public, NOW).unwrap().expires_at, None);
    }

    /// Protects the case of the expired key: it has to fail for that, and for nothing else.
    #[test]
    fn a_key_expires_when_it_was_meant_to() {
        let pair = key(Some(99 * time::DAY));
        let refused = inspect(&pair.public, NOW).unwrap_err();
        let KeyProblem::Expired { at, extend, .. } = refused else { panic!("{refused:?}") };
        assert_eq!(at, NOW - time::DAY);
        assert_eq!(extend.len(), 1, "and so has its subkey");
    }

    /// Protects the file that goes into the database: no private half in it.
    #[test]
    fn the_halves_are_not_exchanged() {
        let pair = key(None);
        assert!(pair.public.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"));
        assert!(pair.private.starts_with("-----BEGIN PGP PRIVATE KEY BLOCK-----"));
    }
}
