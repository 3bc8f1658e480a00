//! What the Owner signed with the key on file: a text in the cleartext signature framework
//! (RFC 9580, section 7), as `gpg --clearsign` makes it.

use pgp::composed::CleartextSignedMessage;
use pgp::packet::{PublicSubkey, Signature, SignatureType};
use pgp::types::VerifyingKey;

use super::verified::{Subkey, Verified};
use super::{algorithm, kept, trust};

/// More than anybody needs to say.
const LIMIT_KIB: usize = 64;

/// Nobody signs a line more often.
const MOST_SIGNATURES: usize = 4;

/// Why a signed text does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementProblem {
    /// There is none in it.
    #[error(
        "there is no signed text in this: paste the whole of what `gpg --clearsign` prints, from “-----BEGIN PGP SIGNED MESSAGE-----” to the end"
    )]
    Unreadable,
    /// It is too long.
    #[error("this is longer than {LIMIT_KIB} KiB")]
    TooLong,
    /// The key on file cannot vouch for anything now.
    #[error("the key on file cannot sign now: it is revoked, expired, weak or not readable")]
    KeyUnfit,
    /// The signature is not by the key on file, or the text was changed since.
    #[error("this is not signed by the key on file, or was changed after it was signed")]
    Wrong,
}

/// The text that was signed with the key on file, as of `now` (microseconds UTC): lines end with
/// one line feed each, and nothing stands at their ends.
///
/// The key has to be good now: not revoked, not expired, of an algorithm that cannot be broken. The
/// signature is by the key itself or by a subkey of its own for signing, which has signed back.
///
/// # Errors
/// [`StatementProblem`].
pub fn signed_statement(
    on_file: &str,
    message: &str,
    now: i64,
) -> Result<String, StatementProblem> {
    const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
    const END: &str = "-----END PGP SIGNATURE-----";
    if message.len() > LIMIT_KIB * 1024 {
        return Err(StatementProblem::TooLong);
    }
    // What stands before and after is the mail that it came in.
    let (_, inside) = message.split_once(BEGIN).ok_or(StatementProblem::Unreadable)?;
    let (inside, _) = inside.split_once(END).ok_or(StatementProblem::Unreadable)?;
    let (signed, _) = CleartextSignedMessage::from_string(&format!("{BEGIN}{inside}{END}\n"))
        .map_err(|_| StatementProblem::Unreadable)?;
    let key = kept::verified(on_file).map_err(|_| StatementProblem::KeyUnfit)?;
    let signers = signers(&key, now).ok_or(StatementProblem::KeyUnfit)?;
    let text = signed.signed_text();
    let counts = |signature: &Signature| {
        matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary))
            && trust::holds(signature, now).is_ok()
    };
    let some =
        signed.signatures().iter().filter(|signature| counts(signature)).take(MOST_SIGNATURES);
    let right = some.into_iter().any(|signature| {
        signers.iter().any(|signer| match signer {
            Signer::Primary => by(signature, &key.primary, &text),
            Signer::Subkey(subkey) => by(signature, *subkey, &text),
        })
    });
    if !right {
        return Err(StatementProblem::Wrong);
    }
    let lines = text.lines().map(|line| line.trim_end_matches([' ', '\t', '\r']));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// A part of a key that may sign texts.
enum Signer<'a> {
    Primary,
    Subkey(&'a PublicSubkey),
}

fn by(signature: &Signature, key: &impl VerifyingKey, text: &str) -> bool {
    signature.verify(key, text.as_bytes()).is_ok()
}

/// What of the key may sign texts at `now`; nothing where the key itself is no good.
fn signers(key: &Verified, now: i64) -> Option<Vec<Signer<'_>>> {
    let own = super::key_on_file::own_signature(key, now)?;
    let mut all = Vec::new();
    if own.key_flags().sign() {
        all.push(Signer::Primary);
    }
    all.extend(key.subkeys.iter().filter(|s| signs(key, s, now)).map(|s| Signer::Subkey(&s.key)));
    Some(all)
}

/// Whether a subkey may sign texts: bound for it, in time, not revoked, not weak, and with its own
/// signature in the binding, without which anybody could adopt it (section 5.2.1.10).
fn signs(key: &Verified, subkey: &Subkey, now: i64) -> bool {
    let Some(binding) = trust::newest(&subkey.bindings, now) else { return false };
    let made_at = super::key_on_file::created_at(&subkey.key);
    let in_time = trust::key_expiry(binding, made_at).is_none_or(|at| now < at);
    let back = binding.embedded_signature().is_some_and(|back| {
        back.verify_primary_key_binding(&subkey.key, &key.primary).is_ok()
            && trust::holds(back, now).is_ok()
    });
    subkey.revocations.is_empty()
        && in_time
        && back
        && binding.key_flags().sign()
        && matches!(algorithm::primary(&subkey.key), algorithm::Primary::Sound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::openpgp::gnupg::{DAY, Gnupg};

    const SAID: &str = "Use my new key.\n- not this one -\n";

    fn clearsigned(gpg: &Gnupg, key: &str, text: &str) -> String {
        let made = gpg.run(&["--local-user", key, "--clearsign"], text.as_bytes());
        String::from_utf8(made.stdout).unwrap()
    }

    /// Protects against a key on file that is replaced by whoever is not its holder.
    #[test]
    fn a_text_counts_that_the_key_on_file_has_signed_and_no_other() {
        let gpg = Gnupg::new();
        let make = |name: &str, subkey: bool| {
            let usage = if subkey { "cert" } else { "sign,cert" };
            let key =
                gpg.make(&format!("{name} <{name}@customer.example>"), "ed25519", usage, "60d");
            gpg.add_subkey(&key, "cv25519", "encr", "never");
            if subkey {
                gpg.add_subkey(&key, "ed25519", "sign", "never");
            }
            key
        };
        let (plain, split, other) =
            (make("olga", false), make("oda", true), make("mallory", false));
        let now = gpg.now();
        for key in [&plain, &split] {
            let signed = clearsigned(&gpg, key, SAID);
            let on_file = gpg.export(key);
            let text = signed_statement(&on_file, &format!("She wrote:\n\n{signed}\n"), now);
            assert_eq!(text.unwrap().trim_end(), SAID.trim_end());
            let crlf = signed.replace('\n', "\r\n");
            assert_eq!(signed_statement(&on_file, &crlf, now).unwrap().trim_end(), SAID.trim_end());
            let changed = signed.replace("new key", "old key");
            assert_eq!(signed_statement(&on_file, &changed, now), Err(StatementProblem::Wrong));
            let foreign = gpg.export(&other);
            assert_eq!(signed_statement(&foreign, &signed, now), Err(StatementProblem::Wrong));
            let later = now + 61 * DAY;
            assert_eq!(signed_statement(&on_file, &signed, later), Err(StatementProblem::KeyUnfit));
        }
        let signed = clearsigned(&gpg, &plain, SAID);
        gpg.revoke(&plain);
        let revoked = gpg.export(&plain);
        assert_eq!(signed_statement(&revoked, &signed, now), Err(StatementProblem::KeyUnfit));
        for none in ["", "yes", "-----BEGIN PGP SIGNED MESSAGE-----", &revoked] {
            assert_eq!(signed_statement(&revoked, none, now), Err(StatementProblem::Unreadable));
        }
        let long = "x".repeat(LIMIT_KIB * 1024 + 1);
        assert_eq!(signed_statement(&revoked, &long, now), Err(StatementProblem::TooLong));
    }
}
