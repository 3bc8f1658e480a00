//! Keys as people really have them: each verdict, and that the advice leads out.

use super::super::super::problem::TooMuch;
use super::*;

/// Protects Owners whose key and subkey ended together, as those of a key made in one go do: the
/// command that extends the key alone leaves the subkey expired.
#[test]
fn both_are_extended_where_both_have_expired() {
    let gpg = Gnupg::new();
    let (key, subkey) = owner(&gpg, "2d", "2d");
    gpg.travel(5 * DAY);
    let problem = inspect(&gpg.export(&key), gpg.now()).unwrap_err();
    assert!(
        matches!(&problem, KeyProblem::Expired { extend, add: false, .. } if *extend == [subkey.clone()]),
        "{problem:?}"
    );
    let report = follow(&gpg, &key, &problem);
    assert_eq!(report.encryption_subkey_fingerprint, subkey);
    assert!(report.expires_at.unwrap() > gpg.now() + 360 * DAY);
}

/// Protects Owners of an expired key that has nothing to extend beneath it.
#[test]
fn an_expired_key_without_a_subkey_gets_one() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "ed25519", "sign,cert", "2d");
    gpg.travel(5 * DAY);
    let problem = inspect(&gpg.export(&key), gpg.now()).unwrap_err();
    assert!(matches!(problem, KeyProblem::Expired { add: true, .. }), "{problem:?}");
    follow(&gpg, &key, &problem);
}

/// Protects against a primary key that can be broken: whoever breaks it binds a subkey of their own
/// to it, however good the Owner's is. A new subkey does not mend that.
#[test]
fn a_weak_primary_key_is_refused_and_a_whole_new_key_asked_for() {
    for (algorithm, said) in [("rsa1024", "RSA 1024"), ("dsa1024", "DSA 1024")] {
        let gpg = Gnupg::new();
        let key = gpg.make(OWNER, algorithm, "sign,cert", "never");
        gpg.add_subkey(&key, "cv25519", "encr", "never");
        let problem = inspect(&gpg.export(&key), gpg.now()).unwrap_err();
        let weak =
            KeyProblem::WeakPrimary { algorithm: said.to_owned(), user_id: Some(OWNER.to_owned()) };
        assert_eq!(problem, weak);
        assert_ne!(follow(&gpg, &key, &problem).fingerprint, key);
    }
}

/// Protects Owners of older keys whose size is still sound.
#[test]
fn a_dsa_key_of_today_s_size_is_accepted() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "dsa3072", "sign,cert", "never");
    gpg.add_subkey(&key, "cv25519", "encr", "never");
    assert_eq!(inspect(&gpg.export(&key), gpg.now()).unwrap().fingerprint, key);
}

/// Protects Owners whose key does all by itself, as some programs make them.
#[test]
fn a_primary_key_that_says_it_encrypts_is_encrypted_to() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "rsa2048", "sign,cert,encr", "never");
    let report = inspect(&gpg.export(&key), gpg.now()).unwrap();
    assert_eq!(report.encryption_subkey_fingerprint, key);
    assert_eq!(report.algorithm, "RSA 2048");
    // A subkey for it is preferred, as GnuPG does.
    let subkey = gpg.add_subkey(&key, "cv25519", "encr", "2d");
    let chosen = |now| inspect(&gpg.export(&key), now).unwrap().encryption_subkey_fingerprint;
    assert_eq!(chosen(gpg.now()), subkey);
    assert_eq!(chosen(gpg.now() + 5 * DAY), key, "and the key again once that has expired");
}

/// Protects Owners of keys that cannot be checked here: told why, not that they are damaged.
#[test]
fn a_key_of_an_unknown_kind_is_named_for_what_it_is() {
    for curve in ["brainpoolP256r1", "secp256k1"] {
        let gpg = Gnupg::new();
        let key = gpg.make(OWNER, curve, "sign,cert", "never");
        gpg.add_subkey(&key, "cv25519", "encr", "never");
        let problem = inspect(&gpg.export(&key), gpg.now()).unwrap_err();
        assert!(
            matches!(&problem, KeyProblem::UnknownPrimary { algorithm, .. } if algorithm == curve),
            "{problem:?}"
        );
        follow(&gpg, &key, &problem);
    }
}

/// A packet in the format of our days (RFC 9580 section 4.2.1), with a length of five octets.
fn packet(tag: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0xc0 | tag, 0xff][..], &length, &body].concat()
}

/// Protects Owners of keys of kinds that are registered and not supported by the library: they are
/// told which kind it is, also where nothing of what such a key signs can be checked.
#[test]
fn a_key_of_a_kind_of_tomorrow_is_named_for_what_it_is() {
    let made = 1_760_000_000_u32.to_be_bytes();
    for (number, said) in [
        (30, "ML-DSA-65+Ed25519"),
        (31, "ML-DSA-87+Ed448"),
        (32, "SLH-DSA"),
        (77, "of algorithm 77"),
    ] {
        let material = [7; 32 + 1952];
        let length = u32::try_from(material.len()).unwrap().to_be_bytes();
        let key = packet(6, &[&[6], &made, &[number], &length, &material]);
        let user = packet(13, &[OWNER.as_bytes()]);
        // A positive certification with its time, a salt, and what only that algorithm can check.
        let time = [&[5, 2][..], &made].concat();
        let hashed = u32::try_from(time.len()).unwrap().to_be_bytes();
        let (salt, value) = ([9; 32], [8; 64 + 3309]);
        let start = [&[6, 0x13, number, 10][..], &hashed, &time, &[0; 4], &[1, 2, 32]].concat();
        let signature = packet(2, &[&start, &salt, &value]);
        let bytes = [key, user, signature].concat();
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
        let armored = format!(
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{base64}\n-----END PGP PUBLIC KEY BLOCK-----\n"
        );
        let problem = inspect(&armored, 1_770_000_000_000_000).unwrap_err();
        let algorithm = said.to_owned();
        let unknown = KeyProblem::UnknownPrimary { algorithm, user_id: Some(OWNER.to_owned()) };
        assert_eq!(problem, unknown);
        let reason = problem.reason();
        assert!(reason.starts_with(&format!("the primary key is {said}, and ")), "{reason}");
        assert!(!reason.contains("damaged"), "{reason}");
    }
}

/// Protects against a self-signature that can be forged, and the Owner from being told that the key
/// is damaged: it is signed anew.
#[test]
fn a_key_that_is_signed_with_sha_1_of_late_is_signed_anew() {
    let gpg = Gnupg::new();
    let sha1 = |args: &[&str]| {
        let args = [&["--cert-digest-algo", "SHA1"], args].concat();
        gpg.run(&args, b"").status
    };
    let made = sha1(&["--quick-generate-key", OWNER, "rsa2048", "sign,cert", "never"]);
    let key = made.lines().find(|line| line.contains("KEY_CREATED")).unwrap();
    let key = key.split(' ').nth(3).unwrap();
    let problem = |key: &str| inspect(&gpg.export(key), gpg.now()).unwrap_err();
    assert!(matches!(problem(key), KeyProblem::Unsound { .. }));
    sha1(&["--quick-add-key", key, "rsa2048", "encr", "never"]);
    let both = problem(key);
    assert!(matches!(&both, KeyProblem::Unsound { subkeys, .. } if subkeys.len() == 1), "{both:?}");
    assert!(both.to_string().contains("with SHA-1, which can be forged"), "{both}");
    follow(&gpg, key, &both);
    // And the subkey alone.
    let other = gpg.make("O <o@example.com>", "ed25519", "sign,cert", "never");
    sha1(&["--quick-add-key", &other, "cv25519", "encr", "never"]);
    let subkey = problem(&other);
    assert!(matches!(subkey, KeyProblem::UnsoundSubkey { .. }), "{subkey:?}");
    follow(&gpg, &other, &subkey);
}

/// Protects what the holder says must not be overlooked: GnuPG relies on no such key either.
#[test]
fn a_key_with_a_critical_note_says_so() {
    let gpg = Gnupg::new();
    let note = ["--cert-notation", "!note@example.com=1"];
    let make = ["--quick-generate-key", OWNER, "ed25519", "sign,cert", "never"];
    let made = gpg.run(&[&note[..], &make[..]].concat(), b"").status;
    let key = made.lines().find(|line| line.contains("KEY_CREATED")).unwrap();
    let key = key.split(' ').nth(3).unwrap();
    let problem = inspect(&gpg.export(key), gpg.now()).unwrap_err();
    assert!(problem.to_string().contains("note@example.com"), "{problem}");
    follow(&gpg, key, &problem);
}

/// Protects a page that waits for it: a key with a name for every day is not looked through, and
/// its Owner is told how to send one that is.
#[test]
fn a_key_with_too_many_names_says_how_to_send_fewer() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    let mut many = parse(&gpg.export(&key)).unwrap();
    let user = many.details.users[0].clone();
    many.details.users.extend(std::iter::repeat_n(user, 120));
    let armored = many.to_armored_string(Default::default()).unwrap();
    let problem = inspect(&armored, gpg.now()).unwrap_err();
    assert!(
        matches!(&problem, KeyProblem::TooMuch { what: TooMuch::Names { count: 121, .. }, .. }),
        "{problem:?}"
    );
    assert!(problem.to_string().starts_with("there are 121 names on this key"), "{problem}");
    follow(&gpg, &key, &problem);
    // And of signatures, which are checked one by one.
    let mut signed = parse(&gpg.export(&key)).unwrap();
    let own = signed.details.users[0].signatures[0].clone();
    signed.details.users[0].signatures.extend(std::iter::repeat_n(own, 600));
    let armored = signed.to_armored_string(Default::default()).unwrap();
    let problem = inspect(&armored, gpg.now()).unwrap_err();
    assert!(
        matches!(&problem, KeyProblem::TooMuch { what: TooMuch::Signatures { .. }, .. }),
        "{problem:?}"
    );
    follow(&gpg, &key, &problem);
}
