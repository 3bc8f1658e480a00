//! The Owners' OpenPGP keys, made by GnuPG once for the whole test process.

use std::sync::OnceLock;

use crate::delivery::openpgp::gnupg::{DAY, Gnupg};
use crate::model::Micros;

/// A key of an Owner.
pub(crate) struct OwnerKey {
    /// What is on file.
    pub(crate) public: String,
    /// What only the Owner has.
    pub(crate) secret: String,
    /// Its fingerprint.
    pub(crate) fingerprint: String,
}

/// The keys of the stories' Owners.
pub(crate) struct Owners {
    /// Ed25519 with a Curve25519 subkey.
    pub(crate) modern: OwnerKey,
    /// RSA.
    pub(crate) rsa: OwnerKey,
    /// Good until the day before [`Owners::now`].
    pub(crate) expired: OwnerKey,
    /// Revoked by its holder.
    pub(crate) revoked: OwnerKey,
    /// Without a subkey to encrypt to.
    pub(crate) sign_only: OwnerKey,
    /// The instant at which stories begin: all keys are made by then.
    pub(crate) now: Micros,
}

static OWNERS: OnceLock<Owners> = OnceLock::new();

/// The keys; made at the first call.
pub(crate) fn owners() -> &'static Owners {
    OWNERS.get_or_init(|| {
        let gpg = Gnupg::new();
        let make = |name: &str, primary: &str, subkey: Option<&str>, expires: &str| {
            let user = format!("{name} Owner <{name}@customer.example>");
            let key = gpg.make(&user, primary, "sign,cert", expires);
            if let Some(subkey) = subkey {
                gpg.add_subkey(&key, subkey, "encr", "never");
            }
            key
        };
        let modern = make("olive", "ed25519", Some("cv25519"), "never");
        let rsa = make("rosa", "rsa2048", Some("rsa2048"), "never");
        let expired = make("ernest", "ed25519", Some("cv25519"), "29d");
        let revoked = make("rita", "ed25519", Some("cv25519"), "never");
        gpg.revoke(&revoked);
        let sign_only = make("simon", "ed25519", None, "never");
        let with = |fingerprint: String| OwnerKey {
            public: gpg.export(&fingerprint),
            secret: gpg.export_secret(&fingerprint),
            fingerprint,
        };
        Owners {
            modern: with(modern),
            rsa: with(rsa),
            expired: with(expired),
            revoked: with(revoked),
            sign_only: with(sign_only),
            now: gpg.now() + 30 * DAY,
        }
    })
}

/// What the Owner does with a message: decrypts it with `key`, and sees whose signature is on it.
/// Gives the text, and what GnuPG reports for programs.
pub(crate) fn decrypt(key: &OwnerKey, platform_key: &str, mail: &str) -> (String, String) {
    let gpg = Gnupg::new();
    gpg.travel(40 * DAY);
    gpg.run(&["--import"], key.secret.as_bytes());
    gpg.run(&["--import"], platform_key.as_bytes());
    let output = gpg.run(&["--decrypt"], mail.as_bytes());
    (String::from_utf8(output.stdout).expect("text"), output.status)
}
