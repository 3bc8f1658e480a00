//! Encrypting a handoff to the Owner's key, signed by the platform's.

use pgp::bytes::Bytes;
use pgp::composed::{ArmorOptions, MessageBuilder, SubpacketConfig};
use pgp::crypto::aead::{AeadAlgorithm, ChunkSize};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{Subpacket, SubpacketData};
use pgp::types::{EncryptionKey, KeyDetails as _, Password, SigningKey as _};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::key_on_file::{Recipient, Usable, usable};
use super::problem::KeyProblem;
use super::signer::SigningKey;
use super::to_timestamp;

/// Why a handoff could not be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum EncryptProblem {
    /// The key on file is not fit for it (any more).
    #[error(transparent)]
    Key(#[from] KeyProblem),
    /// The library refused.
    #[error("the handoff could not be encrypted")]
    Failed(#[from] pgp::errors::Error),
}

/// Encrypts `plaintext` to the Owner's key on file and signs it with the platform's, as of `now`
/// (microseconds UTC). The answer is an ASCII-armored message that `gpg --decrypt` reads.
///
/// The key is judged once more (as [`super::inspect`] does), since a day can have passed since it
/// was last looked at. Only what it names can decrypt: one subkey (or the primary key, where there
/// is no subkey for it), and not the platform. The cipher is AES-256, in the packet that every
/// OpenPGP program reads (RFC 9580, section 5.13.1); for version 6 keys that say so in the newer one
/// (5.13.2, with OCB). What a version 4 key says of the newer one is left out of account: its Owner
/// may use it with another program than the one that made it.
/// The signature names the intended recipient (5.2.3.36), so that the Owner cannot pass the
/// message on as one that was meant for somebody else.
///
/// # Errors
/// [`EncryptProblem`]; no part of the plaintext is in it.
pub fn encrypt_and_sign(
    rng: &mut (impl RngCore + CryptoRng),
    now: i64,
    key_on_file: &str,
    signer: &SigningKey,
    plaintext: &[u8],
) -> Result<String, EncryptProblem> {
    let recipient = usable(key_on_file, now)?;
    let subpackets = signature_parts(&recipient, signer, now)?;
    // The library wants bytes of its own; these are wiped once it lets go of them.
    let plaintext = Bytes::from_owner(Zeroizing::new(plaintext.to_vec()));
    let newer = recipient.report.seipd_v2;
    let armored = match &recipient.recipient {
        Recipient::Primary(to) => seal(rng, to, newer, plaintext, signer, subpackets)?,
        Recipient::Subkey(to) => seal(rng, to, newer, plaintext, signer, subpackets)?,
    };
    Ok(armored)
}

fn seal(
    rng: &mut (impl RngCore + CryptoRng),
    to: &impl EncryptionKey,
    newer: bool,
    plaintext: Bytes,
    signer: &SigningKey,
    subpackets: SubpacketConfig,
) -> Result<String, pgp::errors::Error> {
    let key = signer.secret_key();
    let hash = key.hash_alg();
    let message = MessageBuilder::from_bytes("", plaintext);
    // With its checksum: without it GnuPG 2.2 reads no armor whose base64 ends on a full group.
    let armor = ArmorOptions::default();
    let cipher = SymmetricKeyAlgorithm::AES256;
    if newer {
        let mut message =
            message.seipd_v2(&mut *rng, cipher, AeadAlgorithm::Ocb, ChunkSize::default());
        message.encrypt_to_key(&mut *rng, to)?;
        message.sign_with_subpackets(key, Password::empty(), hash, subpackets);
        message.to_armored_string(&mut *rng, armor)
    } else {
        let mut message = message.seipd_v1(&mut *rng, cipher);
        message.encrypt_to_key(&mut *rng, to)?;
        message.sign_with_subpackets(key, Password::empty(), hash, subpackets);
        message.to_armored_string(&mut *rng, armor)
    }
}

/// The library's own choice of signed parts would read the clock by itself.
fn signature_parts(
    recipient: &Usable,
    signer: &SigningKey,
    now: i64,
) -> Result<SubpacketConfig, pgp::errors::Error> {
    let key = signer.secret_key();
    Ok(SubpacketConfig::UserDefined {
        hashed: vec![
            Subpacket::critical(SubpacketData::SignatureCreationTime(to_timestamp(now)))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
            Subpacket::regular(SubpacketData::IntendedRecipientFingerprint(
                recipient.primary.fingerprint(),
            ))?,
        ],
        unhashed: vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?],
    })
}

#[cfg(test)]
mod tests;
