use std::io::Read as _;

use pgp::composed::{
    Deserializable as _, EncryptionCaps, KeyType, Message, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::types::KeyVersion;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::gnupg::{DAY, Gnupg};
use super::super::{MICROS_PER_SECOND, inspect};
use super::*;

const OWNER: &str = "Olga Owner <olga@example.com>";
const SECRET: &[u8] = b"whsec_value\n";

fn rng() -> StdRng {
    StdRng::seed_from_u64(11)
}

fn platform(now: i64) -> SigningKey {
    SigningKey::generate(&mut rng(), now, "Keyturn <keyturn@example.com>").unwrap()
}

/// GnuPG decrypts it and finds our signature good; with which subkey, it says itself.
fn reads_and_verifies(gpg: &Gnupg, key: &str, plaintext: &[u8]) {
    let armored = gpg.export(key);
    let platform = platform(gpg.now());
    gpg.run(&["--import"], platform.to_armored_public().unwrap().as_bytes());
    let message = encrypt_and_sign(&mut rng(), gpg.now(), &armored, &platform, plaintext).unwrap();
    assert!(message.starts_with("-----BEGIN PGP MESSAGE-----"));

    let output = gpg.run(&["--decrypt"], message.as_bytes());
    assert_eq!(output.stdout, plaintext);
    let has = |line: &str| output.status.contains(line);
    assert!(has(&format!("VALIDSIG {}", platform.fingerprint())), "{}", output.status);
    assert!(has("[GNUPG:] GOODMDC") && has("[GNUPG:] DECRYPTION_OKAY"), "{}", output.status);
    // `DECRYPTION_INFO 2 9`: integrity protected by the modification code, AES-256.
    assert!(has("[GNUPG:] DECRYPTION_INFO 2 9"), "{}", output.status);
    // One recipient, and it is the subkey.
    let subkey = inspect(&armored, gpg.now()).unwrap().encryption_subkey_fingerprint;
    assert_eq!(output.status.matches("[GNUPG:] ENC_TO ").count(), 1);
    assert!(has(&format!("ENC_TO {}", &subkey[24..])), "{}", output.status);
}

/// Protects the handoff itself, for the keys GnuPG makes today.
#[test]
fn gnupg_reads_what_is_encrypted_to_curve25519() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "ed25519", "sign,cert", "never");
    gpg.add_subkey(&key, "cv25519", "encr", "never");
    reads_and_verifies(&gpg, &key, SECRET);
}

/// Protects the handoff itself, for the keys people still have.
#[test]
fn gnupg_reads_what_is_encrypted_to_rsa() {
    for algorithm in ["rsa2048", "rsa3072"] {
        let gpg = Gnupg::new();
        let key = gpg.make(OWNER, algorithm, "sign,cert", "never");
        gpg.add_subkey(&key, algorithm, "encr", "never");
        reads_and_verifies(&gpg, &key, SECRET);
    }
}

/// Protects the handoff itself, for NIST curves.
#[test]
fn gnupg_reads_what_is_encrypted_to_nist_curves() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "ed25519", "sign,cert", "never");
    for curve in ["nistp256", "nistp384", "nistp521"] {
        gpg.add_subkey(&key, curve, "encr", "never");
        reads_and_verifies(&gpg, &key, SECRET);
    }
}

/// Protects the handoff itself, for keys without a subkey for it.
#[test]
fn gnupg_reads_what_is_encrypted_to_a_primary_key() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "rsa2048", "sign,cert,encr", "never");
    reads_and_verifies(&gpg, &key, SECRET);
}

/// Protects bundles (key, certificate, chain), which are longer, and values that are not text.
#[test]
fn gnupg_reads_long_and_binary_and_empty_values() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "ed25519", "sign,cert", "never");
    gpg.add_subkey(&key, "cv25519", "encr", "never");
    let long: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8).collect();
    reads_and_verifies(&gpg, &key, &long);
    reads_and_verifies(&gpg, &key, b"");
}

/// Protects the moment of use: a key that was good when it was put on file is judged again.
#[test]
fn nothing_is_encrypted_to_a_key_that_has_expired_since() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "ed25519", "sign,cert", "1d");
    gpg.add_subkey(&key, "cv25519", "encr", "never");
    let armored = gpg.export(&key);
    let later = gpg.now() + 2 * DAY;
    let refused =
        encrypt_and_sign(&mut rng(), later, &armored, &platform(gpg.now()), SECRET).unwrap_err();
    assert!(matches!(refused, EncryptProblem::Key(KeyProblem::Expired { .. })), "{refused:?}");
}

/// Protects against a repeated session key: the same value twice gives two messages.
#[test]
fn each_message_is_different() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "ed25519", "sign,cert", "never");
    gpg.add_subkey(&key, "cv25519", "encr", "never");
    let (armored, platform, mut rng) = (gpg.export(&key), platform(gpg.now()), rng());
    let mut message =
        || encrypt_and_sign(&mut rng, gpg.now(), &armored, &platform, SECRET).unwrap();
    assert_ne!(message(), message());
}

/// A key of the other generation of software, made by the library, since GnuPG makes none.
fn modern_key(version: KeyVersion, seipd_v2: bool) -> SignedSecretKey {
    let subkey = SubkeyParamsBuilder::default()
        .version(version)
        .key_type(KeyType::X25519)
        .can_encrypt(EncryptionCaps::All)
        .build()
        .unwrap();
    let mut params = SecretKeyParamsBuilder::default();
    params
        .version(version)
        .key_type(KeyType::Ed25519)
        .can_certify(true)
        .can_sign(true)
        .feature_seipd_v2(seipd_v2)
        .primary_user_id(OWNER.to_owned())
        .subkeys(vec![subkey]);
    params.build().unwrap().generate(rng()).unwrap()
}

/// Protects Owners who use a key in another program than the one that made it: what the key says
/// of that one does not hold for this one, so only keys that no older program can use get the newer
/// packet. And the signature and intended recipient inside.
#[test]
fn only_version_6_keys_that_announce_the_newer_packet_get_it() {
    for (version, seipd_v2) in [
        (KeyVersion::V4, false),
        (KeyVersion::V4, true),
        (KeyVersion::V6, false),
        (KeyVersion::V6, true),
    ] {
        let secret = modern_key(version, seipd_v2);
        let public = SignedPublicKey::from(secret.clone());
        let armored = public.to_armored_string(Default::default()).unwrap();
        // The library's key builder reads the real clock.
        let now = i64::from(public.created_at().as_secs() + 60) * MICROS_PER_SECOND;
        let report = inspect(&armored, now).unwrap();
        let newer = version == KeyVersion::V6 && seipd_v2;
        assert_eq!(report.seipd_v2, newer);
        assert_eq!(report.user_ids, [OWNER]);
        assert_eq!(report.fingerprint, format!("{:X}", public.fingerprint()));

        let platform = platform(now);
        let sealed = encrypt_and_sign(&mut rng(), now, &armored, &platform, SECRET).unwrap();
        let (message, _) = Message::from_string(&sealed).unwrap();
        let Message::Encrypted { ref edata, .. } = message else {
            panic!("not encrypted");
        };
        let expected = if newer { 2 } else { 1 };
        assert_eq!(packet_version(edata), expected, "{version:?}");

        let mut opened = message.decrypt(&Password::empty(), &secret).unwrap();
        let mut plain = Vec::new();
        opened.read_to_end(&mut plain).unwrap();
        assert_eq!(plain, SECRET);
        let (platform, _) =
            SignedPublicKey::from_string(&platform.to_armored_public().unwrap()).unwrap();
        let signature = opened.verify(&platform).unwrap();
        let recipients = signature.config().unwrap().hashed_subpackets().filter(|part| {
            part.data == SubpacketData::IntendedRecipientFingerprint(public.fingerprint())
        });
        assert_eq!(recipients.count(), 1);
    }
}

fn packet_version(data: &pgp::composed::Edata<'_>) -> u8 {
    use pgp::packet::{ProtectedDataConfig, SymEncryptedProtectedDataConfig};
    let pgp::composed::Edata::SymEncryptedProtectedData { reader } = data else {
        return 0;
    };
    match reader.config() {
        ProtectedDataConfig::Seipd(SymEncryptedProtectedDataConfig::V1) => 1,
        ProtectedDataConfig::Seipd(SymEncryptedProtectedDataConfig::V2 { .. }) => 2,
        ProtectedDataConfig::GnupgAead(_) => 0,
    }
}
