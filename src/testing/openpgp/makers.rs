//! How each program makes its keys.

use std::path::Path;
use std::process::Command;

use pgp::composed::{
    ArmorOptions, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::types::KeyVersion;

use super::{Key, USER, USER_ID, gpg, run, text};
use crate::clock::{Rng as _, SystemRng};

pub(super) fn gnupg_key(home: &Path, kind: &str) -> Result<Key, String> {
    let words: Vec<&str> = kind.split(' ').collect();
    let (primary, subkey) = (words[0], words.get(1).copied().unwrap_or(words[0]));
    let expires = words.get(2).copied().unwrap_or("never");
    let usage = if subkey == "alone" { "sign,cert,encr" } else { "sign,cert" };
    gpg(home, &["--quick-generate-key", USER_ID, primary, usage, expires])?;
    if subkey != "alone" {
        let listed = text(gpg(home, &["--with-colons", "--list-keys"])?)?;
        let line = listed.lines().find(|line| line.starts_with("fpr:")).ok_or("no key")?;
        let fingerprint = line.split(':').nth(9).ok_or("no fingerprint")?.to_owned();
        gpg(home, &["--quick-add-key", &fingerprint, subkey, "encr", expires])?;
    }
    Ok(Key {
        public: text(gpg(home, &["--armor", "--export"])?)?,
        secret: text(gpg(home, &["--armor", "--export-secret-keys"])?)?,
    })
}

pub(super) fn sq_key(home: &Path, kind: &str) -> Result<Key, String> {
    let mut words = kind.split(' ');
    let suite = words.next().unwrap_or("cv25519");
    let file = home.join("key");
    let mut command = Command::new("sq");
    command.args(["key", "generate", "--userid", USER_ID, "--cipher-suite", suite, "--export"]);
    command.arg(&file);
    match words.next() {
        Some("never") => command.args(["--expires", "never"]),
        Some(purpose) => command.args(["--can-encrypt", purpose]),
        None => &mut command,
    };
    run(&mut command, b"")?;
    let public = run(Command::new("sq").args(["key", "extract-cert"]).arg(&file), b"")?;
    let secret = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    Ok(Key { public: text(public)?, secret })
}

pub(super) fn sop_key(program: &str) -> Result<Key, String> {
    let secret = run(Command::new(program).args(["generate-key", USER_ID]), b"")?;
    let public = run(Command::new(program).arg("extract-cert"), &secret.stdout)?;
    Ok(Key { public: text(public)?, secret: text(secret)? })
}

pub(super) fn rnp_key(home: &Path, kind: &str) -> Result<Key, String> {
    let rnpkeys = |args: &[&str], stdin: &[u8]| {
        let mut command = Command::new("rnpkeys");
        command.arg("--homedir").arg(home);
        run(command.args(args), stdin)
    };
    let make = ["--generate-key", "--userid", USER_ID, "--password", ""];
    if kind == "1" {
        rnpkeys(&make, b"")?;
    } else {
        // It asks which algorithm, and then which curve.
        let answers = format!("{}\n", kind.replace(' ', "\n"));
        rnpkeys(&[&["--expert"], &make[..]].concat(), answers.as_bytes())?;
    }
    let public = rnpkeys(&["--export-key", USER], b"")?;
    let secret = rnpkeys(&["--export-key", "--secret", USER], b"")?;
    Ok(Key { public: text(public)?, secret: text(secret)? })
}

pub(super) fn rpgp_key(kind: &str) -> Result<Key, String> {
    let (version, primary, subkey) = match kind {
        "legacy" => {
            (KeyVersion::V4, KeyType::Ed25519Legacy, KeyType::ECDH(ECCCurve::Curve25519Legacy))
        }
        "rsa" => (KeyVersion::V4, KeyType::Rsa(2048), KeyType::Rsa(2048)),
        "p256" => (KeyVersion::V4, KeyType::ECDSA(ECCCurve::P256), KeyType::ECDH(ECCCurve::P256)),
        "v6" => (KeyVersion::V6, KeyType::Ed25519, KeyType::X25519),
        "v6-448" => (KeyVersion::V6, KeyType::Ed448, KeyType::X448),
        _ => (KeyVersion::V4, KeyType::Ed25519, KeyType::X25519),
    };
    let make = || -> Result<SignedSecretKey, Box<dyn std::error::Error>> {
        let subkey = SubkeyParamsBuilder::default()
            .version(version)
            .key_type(subkey)
            .can_encrypt(EncryptionCaps::All)
            .build()?;
        let mut params = SecretKeyParamsBuilder::default();
        params
            .version(version)
            .key_type(primary)
            .can_certify(true)
            .can_sign(true)
            .feature_seipd_v2(true)
            .primary_user_id(USER_ID.to_owned())
            .subkeys(vec![subkey]);
        Ok(params.build()?.generate(SystemRng.generator())?)
    };
    let key = make().map_err(|e| e.to_string())?;
    let public = SignedPublicKey::from(key.clone()).to_armored_string(ArmorOptions::default());
    let secret = key.to_armored_string(ArmorOptions::default());
    Ok(Key {
        public: public.map_err(|e| e.to_string())?,
        secret: secret.map_err(|e| e.to_string())?,
    })
}
