use super::super::gnupg::{DAY, Gnupg};
use super::*;

mod real_keys;
mod renewals;

const OWNER: &str = "Olga Owner <olga@example.com>";

/// A certify-only key with one encryption subkey: their fingerprints.
fn owner(gpg: &Gnupg, key_expire: &str, subkey_expire: &str) -> (String, String) {
    let key = gpg.make(OWNER, "ed25519", "sign,cert", key_expire);
    let subkey = gpg.add_subkey(&key, "cv25519", "encr", subkey_expire);
    (key, subkey)
}

/// Protects the good case, and what the page shows of it.
#[test]
fn a_good_key_is_reported_in_full() {
    let gpg = Gnupg::new();
    let (key, subkey) = owner(&gpg, "30d", "10d");
    let report = inspect(&gpg.export(&key), gpg.now()).unwrap();
    assert_eq!(report.fingerprint, key);
    assert_eq!(report.encryption_subkey_fingerprint, subkey);
    assert_eq!(report.user_ids, [OWNER]);
    assert_eq!(report.algorithm, "Curve25519");
    assert!(!report.seipd_v2, "GnuPG 2.2 does not read it");
    // The earlier of the two, give or take the minutes that gpg's clock has gone on.
    let left = report.expires_at.unwrap() - gpg.now();
    assert!((10 * DAY - left).abs() < DAY / 24, "{left}");
}

/// Protects keys that never expire from being reported as if they did.
#[test]
fn a_key_without_an_end_has_none() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    assert_eq!(inspect(&gpg.export(&key), gpg.now()).unwrap().expires_at, None);
}

/// Protects against encrypting to an RSA key that says more, or less, than it is.
#[test]
fn an_rsa_key_is_reported_with_its_size() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "rsa3072", "sign,cert", "never");
    gpg.add_subkey(&key, "rsa2048", "encr", "never");
    let report = inspect(&gpg.export(&key), gpg.now()).unwrap();
    assert_eq!(report.algorithm, "RSA 2048");
}

/// Protects against an RSA key that can be broken.
#[test]
fn a_short_rsa_subkey_is_refused() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "ed25519", "sign,cert", "never");
    gpg.add_subkey(&key, "rsa1024", "encr", "never");
    let refused = inspect(&gpg.export(&key), gpg.now()).unwrap_err();
    let algorithm = "RSA 1024".to_owned();
    assert_eq!(refused, KeyProblem::UnusableAlgorithm { algorithm, fingerprint: key.clone() });
    let report = follow(&gpg, &key, &refused);
    assert_eq!(report.algorithm, "Curve25519");
}

/// Protects against secrets going to a key whose holder let it end, at the very moment it does.
#[test]
fn an_expired_key_is_refused_from_the_moment_it_expires() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "2d", "never");
    let armored = gpg.export(&key);
    let at = inspect(&armored, gpg.now()).unwrap().expires_at.unwrap();
    assert!(inspect(&armored, at - 1).is_ok());
    let (fingerprint, extend, add) = (key.clone(), vec![], false);
    let expired = KeyProblem::Expired { at, fingerprint, extend, add };
    assert_eq!(inspect(&armored, at).unwrap_err(), expired);
    assert_eq!(inspect(&armored, at + DAY).unwrap_err(), expired);
    gpg.travel(3 * DAY);
    follow(&gpg, &key, &expired);
}

/// Protects the Owner who extended the key: the newest self-signature is the one that counts.
#[test]
fn an_extended_key_is_good_again_and_a_shortened_one_is_not() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "30d", "never");
    gpg.travel(31 * DAY);
    let expired = gpg.export(&key);
    assert!(matches!(inspect(&expired, gpg.now()), Err(KeyProblem::Expired { .. })));
    gpg.run(&["--quick-set-expire", &key, "90d"], b"");
    let extended = gpg.export(&key);
    assert!(inspect(&extended, gpg.now()).is_ok());
    assert!(inspect(&extended, gpg.now() + 91 * DAY).is_err());
}

/// Protects against secrets going to a subkey that ended while its key lives on.
#[test]
fn an_expired_subkey_is_refused() {
    let gpg = Gnupg::new();
    let (key, subkey) = owner(&gpg, "never", "2d");
    let armored = gpg.export(&key);
    let at = inspect(&armored, gpg.now()).unwrap().expires_at.unwrap();
    assert!(inspect(&armored, at - 1).is_ok());
    let expired =
        KeyProblem::SubkeyExpired { at, fingerprint: key.clone(), subkey: subkey.clone() };
    assert_eq!(inspect(&armored, at).unwrap_err(), expired);
    gpg.travel(3 * DAY);
    assert_eq!(follow(&gpg, &key, &expired).encryption_subkey_fingerprint, subkey);
}

/// Protects against secrets going to a key that its holder gave up, or that was stolen.
#[test]
fn a_revoked_key_is_refused() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    gpg.revoke(&key);
    assert_eq!(inspect(&gpg.export(&key), gpg.now()).unwrap_err(), KeyProblem::Revoked);
}

/// Protects against secrets going to a subkey that was given up.
#[test]
fn a_revoked_subkey_is_refused() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    gpg.edit(&key, &["key 1", "revkey", "y", "0", "", "y", "save"]);
    let revoked = inspect(&gpg.export(&key), gpg.now()).unwrap_err();
    assert_eq!(revoked, KeyProblem::SubkeyRevoked { fingerprint: key.clone() });
    follow(&gpg, &key, &revoked);
}

/// Protects the Owner who has no encryption subkey: told so, rather than sent what they cannot read.
#[test]
fn a_key_for_signing_only_is_refused() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "ed25519", "sign,cert", "never");
    let refused = |gpg: &Gnupg| inspect(&gpg.export(&key), gpg.now()).unwrap_err();
    let problem = KeyProblem::NoEncryptionSubkey { fingerprint: key.clone() };
    assert_eq!(refused(&gpg), problem);
    // RSA can encrypt, and this subkey must not.
    gpg.add_subkey(&key, "rsa2048", "sign", "never");
    assert_eq!(refused(&gpg), problem);
    follow(&gpg, &key, &problem);
}

/// Protects a good key that somebody else has certified, which the library's own check refuses.
#[test]
fn a_third_party_s_certification_does_no_harm() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    let friend = gpg.make("Friend <f@example.com>", "ed25519", "sign,cert", "never");
    gpg.run(&["-u", &friend, "--quick-sign-key", &key], b"");
    let armored = gpg.export(&key);
    assert!(parse(&armored).unwrap().verify_bindings().is_err(), "no certification to test with");
    assert!(inspect(&armored, gpg.now()).is_ok());
}

/// Protects the choice between subkeys: the newest, and the older one once that is revoked.
#[test]
fn the_newest_subkey_that_is_not_revoked_is_taken() {
    let gpg = Gnupg::new();
    let (key, older) = owner(&gpg, "never", "never");
    let newer = gpg.add_subkey(&key, "cv25519", "encr", "never");
    let chosen = || inspect(&gpg.export(&key), gpg.now()).unwrap().encryption_subkey_fingerprint;
    assert_eq!(chosen(), newer);
    gpg.edit(&key, &["key 2", "revkey", "y", "0", "", "y", "save"]);
    assert_eq!(chosen(), older);
}

/// Protects against a name the Owner has withdrawn, and against its signature deciding anything.
#[test]
fn a_revoked_name_is_left_out() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    let old = "Olga Older <older@example.com>";
    gpg.run(&["--quick-add-uid", &key, old], b"");
    let names = || inspect(&gpg.export(&key), gpg.now()).map(|report| report.user_ids);
    assert_eq!(names().unwrap().len(), 2);
    gpg.run(&["--quick-revoke-uid", &key, old], b"");
    assert_eq!(names().unwrap(), [OWNER]);
}

/// Protects against a key made by a clock that is far ahead; a few minutes are let pass.
#[test]
fn a_key_from_the_future_is_refused() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    let armored = gpg.export(&key);
    let made_at = created_at(&parse(&armored).unwrap().public_subkeys[0].key);
    assert!(inspect(&armored, made_at - trust::CLOCK_SKEW / 2).is_ok());
    let refused = inspect(&armored, gpg.now() - DAY).unwrap_err();
    assert!(matches!(refused, KeyProblem::NotYetValid { .. }), "{refused:?}");
}

/// Protects against a designated revoker's signature hiding when the key expires, and against
/// using a key that this revoker may have revoked.
#[test]
fn a_designated_revoker_hides_no_expiry_and_is_heeded() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "2y", "never");
    let revoker = gpg.make("Revoker <r@example.com>", "ed25519", "sign,cert", "never");
    let before = inspect(&gpg.export(&key), gpg.now()).unwrap();
    gpg.edit(&key, &["addrevoker", &revoker, "y", "save"]);
    let armored = gpg.export(&key);
    assert_eq!(parse(&armored).unwrap().details.direct_signatures.len(), 1);
    assert_eq!(inspect(&armored, gpg.now()).unwrap(), before);

    let answers = b"y\n0\n\ny\n";
    let args = [
        "--no-batch",
        "--no-tty",
        "--armor",
        "--command-fd",
        "0",
        "-u",
        &revoker,
        "--desig-revoke",
        &key,
    ];
    let revocation = gpg.run(&args, answers).stdout;
    gpg.run(&["--import"], &revocation);
    assert_eq!(inspect(&gpg.export(&key), gpg.now()).unwrap_err(), KeyProblem::PerhapsRevoked);
}

/// Protects against a forged revocation shutting an Owner out: one copied from another key.
#[test]
fn another_key_s_revocation_does_no_harm() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    let (other, _) = (gpg.make("O <o@example.com>", "ed25519", "sign,cert", "never"), ());
    gpg.revoke(&other);
    let revocation = parse(&gpg.export(&other)).unwrap().details.revocation_signatures;
    let mut forged = parse(&gpg.export(&key)).unwrap();
    forged.details.revocation_signatures = revocation;
    let armored = forged.to_armored_string(Default::default()).unwrap();
    assert!(inspect(&armored, gpg.now()).is_ok());
}

/// Protects against a subkey slipped into the key by somebody else, without a binding that holds.
#[test]
fn a_subkey_of_another_key_is_not_taken() {
    let gpg = Gnupg::new();
    let key = gpg.make(OWNER, "ed25519", "sign,cert", "never");
    let mallory = gpg.make("Mallory <m@example.com>", "ed25519", "sign,cert", "never");
    gpg.add_subkey(&mallory, "cv25519", "encr", "never");
    let mut mixed = parse(&gpg.export(&key)).unwrap();
    mixed.public_subkeys = parse(&gpg.export(&mallory)).unwrap().public_subkeys;
    let armored = mixed.to_armored_string(Default::default()).unwrap();
    assert!(matches!(inspect(&armored, gpg.now()), Err(KeyProblem::NoEncryptionSubkey { .. })));
}

/// Protects the Owner whose key came from a keyserver that gives out no names: told so, and what to
/// send instead.
#[test]
fn a_key_whose_names_were_taken_off_says_so() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    let mut bare = parse(&gpg.export(&key)).unwrap();
    bare.details.users.clear();
    let armored = bare.to_armored_string(Default::default()).unwrap();
    let problem = inspect(&armored, gpg.now()).unwrap_err();
    assert_eq!(problem, KeyProblem::NoNames { fingerprint: key.clone() });
    follow(&gpg, &key, &problem);
}

/// Protects against a key whose self-signatures were exchanged for another's.
#[test]
fn a_key_whose_own_signatures_are_wrong_is_damaged() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    let mut mixed = parse(&gpg.export(&key)).unwrap();
    let name =
        pgp::packet::UserId::from_str(Default::default(), "Mallory <m@example.com>").unwrap();
    mixed.details.users[0].id = name;
    let armored = mixed.to_armored_string(Default::default()).unwrap();
    let problem = inspect(&armored, gpg.now()).unwrap_err();
    assert_eq!(problem, KeyProblem::NoSelfSignature { fingerprint: key });
}

/// Protects against garbage, against a choice between several keys, and against a secret key
/// being taken in.
#[test]
fn what_is_not_one_public_key_is_refused() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    let one = gpg.export(&key);
    let other = gpg.make("O <o@example.com>", "ed25519", "sign,cert", "never");
    let both = gpg.run(&["--armor", "--export", &key, &other], b"").stdout;
    let secret = gpg.run(&["--armor", "--export-secret-keys", &key], b"").stdout;
    let (both, secret) = (String::from_utf8(both).unwrap(), String::from_utf8(secret).unwrap());
    let disguised = secret.replace("PRIVATE", "PUBLIC");
    let problem = |text: &str| inspect(text, gpg.now()).unwrap_err();

    assert!(inspect(&format!("\n  {one}\n"), gpg.now()).is_ok());
    assert!(inspect(&one.replace('\n', "\r\n"), gpg.now()).is_ok());
    assert_eq!(problem(""), KeyProblem::Unreadable);
    assert_eq!(problem("hello"), KeyProblem::Unreadable);
    assert_eq!(problem(&one[..one.len() / 2]), KeyProblem::CutOff);
    let name = |fingerprint: &str, user: &str| KeyName {
        fingerprint: fingerprint.to_owned(),
        user_id: Some(user.to_owned()),
    };
    let keys = vec![name(&key, OWNER), name(&other, "O <o@example.com>")];
    let several = KeyProblem::SeveralKeys { keys };
    assert_eq!(problem(&both), several);
    assert_eq!(problem(&format!("{one}\n{}", gpg.export(&other))), several);
    let words = several.to_string();
    for needed in [OWNER, "O <o@example.com>", &format!("gpg --armor --export {other}")] {
        assert!(words.contains(needed), "{needed}: {words}");
    }
    let chosen = choose(&both, &other).unwrap();
    assert_eq!(fingerprint_of(&chosen).unwrap(), other);
    assert!(choose(&both, &"0".repeat(40)).is_none());
    // The same one twice is no choice.
    assert!(inspect(&format!("{one}\n{one}"), gpg.now()).is_ok());
    assert_eq!(problem(&secret), KeyProblem::SecretKey);
    assert_eq!(problem(&disguised), KeyProblem::SecretKey);
    assert_eq!(
        problem(&"A".repeat(LIMIT_KIB * 1024 + 1)),
        KeyProblem::TooLong { limit_kib: LIMIT_KIB }
    );
}

/// Protects against a panic on any damage to a key, and against damage making a key usable that
/// another owner's signature no longer covers.
#[test]
fn damaged_keys_never_panic() {
    let gpg = Gnupg::new();
    let (key, subkey) = owner(&gpg, "never", "never");
    let armored = gpg.export(&key);
    for at in (0..armored.len()).step_by(7) {
        let mut bytes = armored.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        if let Ok(report) = inspect(std::str::from_utf8(&bytes).unwrap(), gpg.now()) {
            assert_eq!(report.fingerprint, key, "byte {at}");
            assert_eq!(report.encryption_subkey_fingerprint, subkey, "byte {at}");
        }
    }
}

/// Does what the advice says, to the letter, with GnuPG; what is sent to us then is accepted.
fn follow(gpg: &Gnupg, key: &str, problem: &KeyProblem) -> KeyReport {
    let words = problem.to_string();
    // The commands as the reader finds them, between the marks.
    let commands: Vec<&str> = words.split('`').skip(1).step_by(2).collect();
    assert!(!commands.is_empty(), "no way out: {words}");
    let (mut printed, mut made) = (String::new(), key.to_owned());
    for command in commands {
        let command = command.replace("FINGERPRINT", &made);
        let mut words = shell_words(&command).into_iter();
        assert_eq!(words.next().as_deref(), Some("gpg"), "{command}");
        let args: Vec<String> = words.collect();
        let output = gpg.run(&args.iter().map(String::as_str).collect::<Vec<_>>(), b"");
        if let Some(line) = output.status.lines().find(|line| line.contains("KEY_CREATED")) {
            line.split(' ').nth(3).unwrap().clone_into(&mut made);
        }
        printed = String::from_utf8(output.stdout).unwrap();
    }
    inspect(&printed, gpg.now()).unwrap_or_else(|e| panic!("{words}\nleads to: {e}"))
}

/// The words of a command, as a shell takes them apart.
fn shell_words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in command.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.push(String::new()),
            (c, _) => words.last_mut().unwrap().push(c),
        }
    }
    words
}
