//! The platform's own OpenPGP key: Ed25519, for signing only. Handoffs are signed with it, so that
//! the Owner can check who they are from.

use pgp::composed::{
    ArmorOptions, Deserializable as _, KeyType, SignedKeyDetails, SignedPublicKey, SignedSecretKey,
};
use pgp::packet::{
    Features, KeyFlags, PacketTrait as _, PubKeyInner, PublicKey, SecretKey, SignatureConfig,
    SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    KeyDetails as _, KeyVersion, PacketHeaderVersion, Password, SignedUser, SigningKey as _,
};
use rand::{CryptoRng, RngCore};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::key_on_file::fingerprint;
use super::verified::Verified;
use super::{to_timestamp, trust};

/// More than an armored Ed25519 key with one name ever takes.
const ARMORED_LEN: usize = 4096;

/// Why the platform's own key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SignerProblem {
    /// Not an armored OpenPGP secret key, or more than one.
    #[error("this is not one ASCII-armored OpenPGP secret key")]
    Unreadable,
    /// Locked with a passphrase, which the server has nobody to ask for.
    #[error("the signing key is locked with a passphrase; store it without one, sealed")]
    Locked,
    /// Revoked, expired, not for signing, or without a valid signature of its own.
    #[error("the signing key is revoked, expired or not for signing; make a new one")]
    NotUsable,
    /// The library refused.
    #[error("the signing key could not be made")]
    Failed(#[from] pgp::errors::Error),
}

/// The platform's own key. The secret part is wiped when it is dropped, and `Debug` shows the
/// fingerprint alone.
pub struct SigningKey {
    key: SignedSecretKey,
}

impl SigningKey {
    /// Makes a new key, as of `now` (microseconds UTC), with the name `user_id`, for instance
    /// `Keyturn <keyturn@example.com>`. It does not expire.
    ///
    /// It is of version 4 with the older of the two Ed25519 formats (RFC 9580, section 5.5.5.5),
    /// which is the one that GnuPG 2.2 can verify.
    ///
    /// # Errors
    /// [`SignerProblem::Failed`].
    pub fn generate(
        rng: &mut (impl RngCore + CryptoRng),
        now: i64,
        user_id: &str,
    ) -> Result<Self, SignerProblem> {
        // The library's key builder reads the clock by itself, hence the longer way round.
        let kind = KeyType::Ed25519Legacy;
        let made_at = to_timestamp(now);
        let (public, secret) = kind.generate(&mut *rng)?;
        let public = PublicKey::from_inner(PubKeyInner::new(
            KeyVersion::V4,
            kind.to_alg(),
            made_at,
            None,
            public,
        )?)?;
        let primary_key = SecretKey::new(public, secret)?;

        let name = confirmed_name(&primary_key, user_id, true)?;
        let details = SignedKeyDetails::new(vec![], vec![], vec![name], vec![]);
        Ok(Self { key: SignedSecretKey::new(primary_key, details, vec![], vec![]) })
    }

    /// Reads a key that [`SigningKey::to_armored_secret`] wrote, and checks it as of `now`
    /// (microseconds UTC).
    ///
    /// # Errors
    /// [`SignerProblem`], other than `Failed`.
    pub fn from_armored(armored: &SecretString, now: i64) -> Result<Self, SignerProblem> {
        let (keys, _) = SignedSecretKey::from_string_many(armored.expose_secret().trim_start())
            .map_err(|_| SignerProblem::Unreadable)?;
        let mut keys =
            keys.collect::<Result<Vec<_>, _>>().map_err(|_| SignerProblem::Unreadable)?;
        let (Some(key), true) = (keys.pop(), keys.is_empty()) else {
            return Err(SignerProblem::Unreadable);
        };
        if key.primary_key.secret_params().is_encrypted() {
            return Err(SignerProblem::Locked);
        }
        let primary = key.primary_key.public_key();
        let created_at = i64::from(primary.created_at().as_secs()) * super::MICROS_PER_SECOND;
        let public = SignedPublicKey::from(key.clone());
        let public = Verified::of(&public).map_err(|_| SignerProblem::NotUsable)?;
        let usable = public.revocations.is_empty()
            && public.names.iter().filter(|name| !trust::is_withdrawn(name)).any(|name| {
                trust::newest(&name.confirmations, now).is_some_and(|own| {
                    own.key_flags().sign()
                        && trust::key_expiry(own, created_at).is_none_or(|at| at > now)
                })
            });
        if !usable {
            return Err(SignerProblem::NotUsable);
        }
        Ok(Self { key })
    }

    /// The secret key, ASCII-armored and not locked: to be sealed and stored, and nothing else.
    ///
    /// # Errors
    /// [`SignerProblem::Failed`].
    pub fn to_armored_secret(&self) -> Result<SecretString, SignerProblem> {
        // Room for all of it at once, so that no part is left behind by a reallocation.
        let mut bytes = Zeroizing::new(Vec::with_capacity(ARMORED_LEN));
        self.key.to_armored_writer(&mut *bytes, ArmorOptions::default())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| SignerProblem::Unreadable)?;
        Ok(SecretString::from(text))
    }

    /// The public key, ASCII-armored: for the Owner to import.
    ///
    /// # Errors
    /// [`SignerProblem::Failed`].
    pub fn to_armored_public(&self) -> Result<String, SignerProblem> {
        let public = SignedPublicKey::from(self.key.clone());
        Ok(public.to_armored_string(ArmorOptions::default())?)
    }

    /// The public key as it is given out: with the name that mail comes from, `mail_from`, on it.
    /// A program that looks a key up by an address takes none that has another name, and the key
    /// may have been made before anybody knew the address.
    ///
    /// # Errors
    /// [`SignerProblem::Failed`].
    pub fn public_for(&self, mail_from: &str) -> Result<PublishedKey, SignerProblem> {
        let mut public = SignedPublicKey::from(self.key.clone());
        let address = super::verified::address_in(mail_from);
        let address = address.as_deref().unwrap_or(mail_from);
        let named = public.details.users.iter().any(|user| {
            user.id.as_str().is_some_and(|name| {
                super::verified::address_in(name).as_deref().unwrap_or(name) == address
            })
        });
        if !named {
            let name = confirmed_name(&self.key.primary_key, mail_from, false)?;
            public.details.users.push(name);
        }
        Ok(PublishedKey {
            armored: public.to_armored_string(ArmorOptions::default())?,
            bytes: public.to_bytes()?,
        })
    }

    /// The full fingerprint, 40 capital hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.key.primary_key)
    }

    pub(super) fn secret_key(&self) -> &SecretKey {
        &self.key.primary_key
    }
}

/// A public key in both forms.
#[derive(Debug, Clone)]
pub struct PublishedKey {
    /// ASCII-armored.
    pub armored: String,
    /// As bytes.
    pub bytes: Vec<u8>,
}

/// A name with the key's own signature over it, made as of the making of the key: the same at every
/// call.
fn confirmed_name(
    key: &SecretKey,
    user_id: &str,
    primary: bool,
) -> Result<SignedUser, pgp::errors::Error> {
    let public = key.public_key();
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    let hash = key.hash_alg();
    let mut config = SignatureConfig::v4(SignatureType::CertPositive, key.algorithm(), hash);
    config.hashed_subpackets = vec![
        Subpacket::critical(SubpacketData::SignatureCreationTime(public.created_at()))?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(public.fingerprint()))?,
        Subpacket::critical(SubpacketData::KeyFlags(flags))?,
        Subpacket::regular(SubpacketData::Features(Features::new()))?,
    ];
    if primary {
        config.hashed_subpackets.push(Subpacket::regular(SubpacketData::IsPrimary(true))?);
    }
    config.unhashed_subpackets =
        vec![Subpacket::regular(SubpacketData::IssuerKeyId(public.legacy_key_id()))?];
    let name = UserId::from_str(PacketHeaderVersion::New, user_id)?;
    let signature =
        config.sign_certification(key, public, &Password::empty(), name.tag(), &name)?;
    Ok(name.into_signed(signature))
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgp::composed::SecretKeyParamsBuilder;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const NOW: i64 = 1_772_323_200_000_000;

    fn new() -> SigningKey {
        let mut rng = StdRng::seed_from_u64(3);
        SigningKey::generate(&mut rng, NOW, "Keyturn <keyturn@example.com>").unwrap()
    }

    /// Protects the stored key: what is sealed is what signs after a restart.
    #[test]
    fn a_key_survives_its_armored_form() {
        let key = new();
        let armored = key.to_armored_secret().unwrap();
        assert!(armored.expose_secret().len() < ARMORED_LEN);
        let again = SigningKey::from_armored(&armored, NOW).unwrap();
        assert_eq!(again.key, key.key);
        assert_eq!(again.fingerprint().len(), 40);
    }

    /// Protects reproducible demos and tests: time and randomness come from outside alone.
    #[test]
    fn the_key_follows_from_what_is_handed_in() {
        assert_eq!(new().key, new().key);
        assert_eq!(i64::from(new().key.created_at().as_secs()) * 1_000_000, NOW);
    }

    /// Protects the published key from carrying the secret one.
    #[test]
    fn the_public_form_holds_no_secret() {
        let public = new().to_armored_public().unwrap();
        assert!(public.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"));
        assert!(SignedSecretKey::from_string(&public).is_err());
        assert!(SignedPublicKey::from_string(&public).is_ok());
    }

    /// Protects Owners whose program looks the key up by the address in the mail: the name is on
    /// it, whatever the key was called when it was made, and confirmed by the key itself.
    #[test]
    fn the_published_key_has_the_name_that_mail_comes_from() {
        let names = |from: &str| {
            let key = new().public_for(from).unwrap();
            assert_eq!(key.armored, new().public_for(from).unwrap().armored, "the same each time");
            let (public, _) = SignedPublicKey::from_string(&key.armored).unwrap();
            let verified = Verified::of(&public).unwrap();
            let own = verified.names.iter().filter(|name| !name.confirmations.is_empty());
            own.map(|name| name.id.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let made = "Keyturn <keyturn@example.com>";
        assert_eq!(names("Support <keyturn@example.com>"), [made]);
        assert_eq!(names("Rotations <r@p.example>"), [made, "Rotations <r@p.example>"]);
    }

    /// Protects against signing with what is not the platform's own, usable key.
    #[test]
    fn what_is_not_a_usable_signing_key_is_refused() {
        let load = |text: &str, now| SigningKey::from_armored(&SecretString::from(text), now);
        assert!(matches!(load("", NOW), Err(SignerProblem::Unreadable)));
        let public = new().to_armored_public().unwrap();
        assert!(matches!(load(&public, NOW), Err(SignerProblem::Unreadable)));
        let secret = new().to_armored_secret().unwrap();
        let early = load(secret.expose_secret(), 0);
        assert!(matches!(early, Err(SignerProblem::NotUsable)));

        let mut locked = new();
        let pass = Password::from("pass");
        locked.key.primary_key.set_password(StdRng::seed_from_u64(4), &pass).unwrap();
        let locked = locked.to_armored_secret().unwrap();
        assert!(matches!(load(locked.expose_secret(), NOW), Err(SignerProblem::Locked)));

        let certify_only = SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .primary_user_id("a".to_owned())
            .build()
            .unwrap();
        let key = certify_only.generate(StdRng::seed_from_u64(5)).unwrap();
        let text = key.to_armored_string(ArmorOptions::default()).unwrap();
        assert!(matches!(load(&text, i64::MAX / 2), Err(SignerProblem::NotUsable)));
    }

    /// Protects logs: the secret half never shows.
    #[test]
    fn debug_output_is_the_fingerprint() {
        let key = new();
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.fingerprint()));
    }
}
