//! The same key, once more.

use super::super::super::renewal::{Renewal, renewal};
use super::*;

/// Protects against a key that is renewed by a copy that leaves out what the Owner has said since.
#[test]
fn a_copy_adds_what_is_new_and_takes_nothing_away() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "30d", "never");
    let first = gpg.export(&key);
    gpg.run(&["--quick-set-expire", &key, "90d"], b"");
    let longer = gpg.export(&key);
    let later = gpg.now() + 40 * DAY;
    let renewed = |on_file: &str, copy: &str| match renewal(on_file, copy).unwrap() {
        Renewal::Renewed(both) => both,
        other => panic!("{other:?}"),
    };
    let both = renewed(&first, &longer);
    assert!(inspect(&first, later).is_err() && inspect(&both, later).is_ok());
    assert_eq!(renewal(&both, &both).unwrap(), Renewal::NothingNew);
    assert_eq!(
        renewal(&both, &first).unwrap(),
        Renewal::NothingNew,
        "an older one changes nothing"
    );
    assert_eq!(renewal(&both, &longer).unwrap(), Renewal::NothingNew);
    // A subkey that the copy lacks stays, and one that it adds is used.
    let subkey = gpg.add_subkey(&key, "cv25519", "encr", "never");
    let more = renewed(&both, &gpg.export(&key));
    assert_eq!(inspect(&more, later).unwrap().encryption_subkey_fingerprint, subkey);
    assert_eq!(renewal(&more, &first).unwrap(), Renewal::NothingNew);
    // A revocation is heeded, whichever of the two has it.
    gpg.revoke(&key);
    let revoked = renewed(&more, &gpg.export(&key));
    assert_eq!(inspect(&revoked, later).unwrap_err(), KeyProblem::Revoked);
    assert_eq!(renewal(&revoked, &longer).unwrap(), Renewal::NothingNew);
    let other = gpg.make("O <o@example.com>", "ed25519", "sign,cert", "never");
    assert_eq!(renewal(&both, &gpg.export(&other)).unwrap(), Renewal::Another);
}

/// Protects against a subkey that somebody else puts beside the Owner's in a copy of the key.
#[test]
fn a_copy_with_somebody_else_s_subkey_adds_nothing() {
    let gpg = Gnupg::new();
    let (key, subkey) = owner(&gpg, "never", "never");
    let mallory = gpg.make("Mallory <m@example.com>", "ed25519", "sign,cert", "never");
    gpg.add_subkey(&mallory, "cv25519", "encr", "never");
    let first = gpg.export(&key);
    let mut mixed = parse(&first).unwrap();
    mixed.public_subkeys.extend(parse(&gpg.export(&mallory)).unwrap().public_subkeys);
    let copy = mixed.to_armored_string(Default::default()).unwrap();
    let after = match renewal(&first, &copy).unwrap() {
        Renewal::Renewed(both) => both,
        _ => first,
    };
    let report = inspect(&after, gpg.now()).unwrap();
    assert_eq!(report.encryption_subkey_fingerprint, subkey);
    assert_eq!(parse(&after).unwrap().public_subkeys.len(), 1);
}

/// Protects against somebody who fills the key on file with copies of its own signatures, so that
/// it becomes too much to use: only what is signed tells two signatures apart.
#[test]
fn signatures_that_differ_in_what_nobody_signed_are_one() {
    use pgp::packet::{Notation, Subpacket, SubpacketData};

    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "30d", "never");
    let first = gpg.export(&key);
    let varied = |armored: &str, copies: u8| {
        let mut many = parse(armored).unwrap();
        let user = &mut many.details.users[0];
        let own = user.signatures[0].clone();
        for n in 0..copies {
            let mut variant = own.clone();
            let notation = SubpacketData::Notation(Notation {
                readable: true,
                name: "n@example.com".into(),
                value: vec![n].into(),
            });
            variant.unhashed_subpacket_push(Subpacket::regular(notation).unwrap()).unwrap();
            user.signatures.push(variant);
        }
        many.to_armored_string(Default::default()).unwrap()
    };
    assert_eq!(renewal(&first, &varied(&first, 100)).unwrap(), Renewal::NothingNew);
    // What is new beside them goes in once.
    gpg.run(&["--quick-set-expire", &key, "90d"], b"");
    let Renewal::Renewed(both) = renewal(&first, &varied(&gpg.export(&key), 100)).unwrap() else {
        panic!("the longer life was not taken up");
    };
    assert!(parse(&both).unwrap().details.users[0].signatures.len() < 5);
    assert!(inspect(&both, gpg.now() + 40 * DAY).is_ok());
}

/// Protects against a revocation in somebody else's name: it cannot be checked, and would stay on
/// file for good.
#[test]
fn a_revocation_that_may_not_be_genuine_leaves_what_is_on_file() {
    let gpg = Gnupg::new();
    let (key, _) = owner(&gpg, "never", "never");
    let revoker = gpg.make("Rita <r@example.com>", "ed25519", "sign,cert", "never");
    gpg.edit(&key, &["addrevoker", &revoker, "y", "save"]);
    let first = gpg.export(&key);
    let args = ["--no-batch", "--no-tty", "--armor", "--command-fd", "0", "-u", &revoker];
    let args = [&args[..], &["--desig-revoke", &key]].concat();
    let revocation = gpg.run(&args, b"y\n0\n\ny\n").stdout;
    gpg.run(&["--import"], &revocation);
    let copy = gpg.export(&key);
    assert_eq!(renewal(&first, &copy).unwrap_err(), KeyProblem::PerhapsRevoked);
    assert!(inspect(&first, gpg.now()).is_ok());
}
