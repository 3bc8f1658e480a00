//! Envelope sealing of secret values at rest.
//!
//! Each value is encrypted under a random data key of its own, and the data key is wrapped by a
//! key-encryption key (KEK). Both steps are XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03 over
//! RFC 8439), whose 24-byte nonces are wide enough to be drawn at random for ever.
//! The [`Binding`] is authenticated by both, so a sealed row moved to another org, secret or
//! version does not open.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use rand::{CryptoRng, RngCore};
use secrecy::{ExposeSecret, SecretBox, SecretSlice, SecretString};
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
const FORMAT_V1: u8 = 1;

const WRAPPED_AT: usize = 1;
const VALUE_AT: usize = WRAPPED_AT + NONCE_LEN + KEY_LEN + TAG_LEN;
const SHORTEST: usize = VALUE_AT + NONCE_LEN + TAG_LEN;

/// What a sealed value belongs to. It is not stored in the sealed bytes: whoever opens them has to
/// name the same place again, taken from the row the bytes were found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// What kind of value this is, for instance `webhook_signing_key`.
    pub context: &'a str,
    /// The org that owns the secret.
    pub org_id: &'a str,
    /// The secret the value is of.
    pub secret_id: &'a str,
    /// The version of the secret.
    pub version: i64,
}

/// Why a value could not be sealed, opened or re-wrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// The key that wrapped this value is not in the ring.
    #[error(
        "the key-encryption key `{kek_id}` is not configured; add it again, or restore it from \
         the backup"
    )]
    UnknownKek {
        /// The id found on the sealed value.
        kek_id: String,
    },
    /// The bytes are not of a format this version writes.
    #[error("the sealed value is damaged or of an unknown format")]
    Malformed,
    /// The bytes were altered, belong to another row, or the key is not the one that sealed them.
    #[error("the sealed value does not open here: it was altered, or belongs to another row")]
    DoesNotOpen,
    /// The value is longer than the cipher can take (256 GiB).
    #[error("the value is too long to seal")]
    TooLong,
}

/// Why a key-encryption key or a ring of them was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KekProblem {
    /// The id is empty.
    #[error("a key-encryption key needs an id")]
    NoId,
    /// The text is not base64 of exactly 32 bytes.
    #[error("the key-encryption key `{id}` has to be base64 of exactly 32 random bytes")]
    NotAKey {
        /// The id it was given under.
        id: String,
    },
    /// Two keys of one ring share an id.
    #[error("two key-encryption keys have the id `{id}`; each needs its own")]
    DuplicateId {
        /// The id they share.
        id: String,
    },
}

/// A key-encryption key: 32 bytes and the id that sealed rows name it by.
pub struct Kek {
    id: String,
    key: SecretBox<[u8; KEY_LEN]>,
}

impl Kek {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`KekProblem::NoId`] when `id` is empty.
    pub fn generate(
        rng: &mut (impl RngCore + CryptoRng),
        id: impl Into<String>,
    ) -> Result<Self, KekProblem> {
        let mut key = Box::new([0u8; KEY_LEN]);
        rng.fill_bytes(key.as_mut());
        Self::from_key(id.into(), SecretBox::new(key))
    }

    /// Reads a key from its configured text: standard base64 of 32 bytes, white space around it
    /// ignored.
    ///
    /// # Errors
    /// [`KekProblem::NoId`] and [`KekProblem::NotAKey`].
    pub fn parse(id: impl Into<String>, text: &SecretString) -> Result<Self, KekProblem> {
        let id = id.into();
        // `decode_slice` asks for room for its estimate, which is above 32 for 44 characters.
        let mut room = Zeroizing::new([0u8; KEY_LEN + 4]);
        let len = BASE64.decode_slice(text.expose_secret().trim(), room.as_mut()).unwrap_or(0);
        if len != KEY_LEN {
            return Err(KekProblem::NotAKey { id });
        }
        let mut key = Box::new([0u8; KEY_LEN]);
        key.copy_from_slice(&room[..KEY_LEN]);
        Self::from_key(id, SecretBox::new(key))
    }

    fn from_key(id: String, key: SecretBox<[u8; KEY_LEN]>) -> Result<Self, KekProblem> {
        if id.is_empty() {
            return Err(KekProblem::NoId);
        }
        Ok(Self { id, key })
    }

    /// The id that sealed rows name this key by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as the base64 text that [`Kek::parse`] reads, to be written to a key file.
    #[must_use]
    pub fn to_base64(&self) -> SecretString {
        let mut text = String::with_capacity(KEY_LEN.div_ceil(3) * 4);
        BASE64.encode_string(self.key.expose_secret(), &mut text);
        SecretString::from(text)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.expose_secret().into())
    }
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kek").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The key-encryption keys that are live: one that seals, and others that still open what they
/// sealed until it is re-wrapped.
#[derive(Debug)]
pub struct KeyRing {
    active: Kek,
    others: Vec<Kek>,
}

impl KeyRing {
    /// Puts a ring together.
    ///
    /// # Errors
    /// [`KekProblem::DuplicateId`]: an id has to name one key, otherwise which key opens a row
    /// would depend on the order of the configuration.
    pub fn new(active: Kek, others: Vec<Kek>) -> Result<Self, KekProblem> {
        let mut seen = vec![active.id.as_str()];
        for kek in &others {
            if seen.contains(&kek.id.as_str()) {
                return Err(KekProblem::DuplicateId { id: kek.id.clone() });
            }
            seen.push(&kek.id);
        }
        Ok(Self { active, others })
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn active_id(&self) -> &str {
        &self.active.id
    }

    /// Whether the ring can open what this key sealed.
    #[must_use]
    pub fn knows(&self, kek_id: &str) -> bool {
        self.find(kek_id).is_ok()
    }

    fn find(&self, kek_id: &str) -> Result<&Kek, SealingError> {
        std::iter::once(&self.active)
            .chain(&self.others)
            .find(|kek| kek.id == kek_id)
            .ok_or_else(|| SealingError::UnknownKek { kek_id: kek_id.to_owned() })
    }
}

/// A sealed value, as it is stored: the id of the key that wraps it, and the bytes.
///
/// The bytes are `1 ‖ nonce ‖ wrapped data key ‖ nonce ‖ ciphertext`, tags included.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The id of the key-encryption key; a column of its own, so that rows in need of a re-wrap
    /// can be found.
    pub kek_id: String,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("kek_id", &self.kek_id).finish_non_exhaustive()
    }
}

/// Seals `value` under the ring's active key, for the place that `binding` names.
///
/// # Errors
/// [`SealingError::TooLong`].
pub fn seal(
    rng: &mut (impl RngCore + CryptoRng),
    ring: &KeyRing,
    binding: &Binding<'_>,
    value: &[u8],
) -> Result<Sealed, SealingError> {
    let mut data_key = Zeroizing::new([0u8; KEY_LEN]);
    rng.fill_bytes(data_key.as_mut());

    let mut bytes = Vec::with_capacity(SHORTEST + value.len());
    bytes.push(FORMAT_V1);
    append_wrapped_key(rng, &ring.active, binding, &data_key, &mut bytes)?;

    let cipher = XChaCha20Poly1305::new(data_key.as_ref().into());
    append_encrypted(rng, &cipher, &value_data(binding), value, &mut bytes)?;
    Ok(Sealed { kek_id: ring.active.id.clone(), bytes })
}

/// Opens a sealed value.
///
/// # Errors
/// [`SealingError::UnknownKek`], [`SealingError::Malformed`], and [`SealingError::DoesNotOpen`]
/// when the bytes were altered or `binding` is not the place they were sealed for.
pub fn open(
    ring: &KeyRing,
    binding: &Binding<'_>,
    sealed: &Sealed,
) -> Result<SecretSlice<u8>, SealingError> {
    let data_key = unwrap_key(ring, binding, sealed)?;
    let cipher = XChaCha20Poly1305::new(data_key.as_ref().into());
    let value = decrypted(&cipher, &value_data(binding), &sealed.bytes[VALUE_AT..])?;
    Ok(SecretBox::new(value))
}

/// Wraps the value's data key by the ring's active key. The value itself stays encrypted as it is
/// and is never decrypted; whether it still opens is for [`open`] to say.
///
/// A value that the active key wraps already is returned as it is.
///
/// # Errors
/// Those of [`open`].
pub fn rewrap(
    rng: &mut (impl RngCore + CryptoRng),
    ring: &KeyRing,
    binding: &Binding<'_>,
    sealed: &Sealed,
) -> Result<Sealed, SealingError> {
    let data_key = unwrap_key(ring, binding, sealed)?;
    if sealed.kek_id == ring.active.id {
        return Ok(sealed.clone());
    }
    let mut bytes = Vec::with_capacity(sealed.bytes.len());
    bytes.push(FORMAT_V1);
    append_wrapped_key(rng, &ring.active, binding, &data_key, &mut bytes)?;
    bytes.extend_from_slice(&sealed.bytes[VALUE_AT..]);
    Ok(Sealed { kek_id: ring.active.id.clone(), bytes })
}

fn append_wrapped_key(
    rng: &mut (impl RngCore + CryptoRng),
    kek: &Kek,
    binding: &Binding<'_>,
    data_key: &[u8; KEY_LEN],
    out: &mut Vec<u8>,
) -> Result<(), SealingError> {
    append_encrypted(rng, &kek.cipher(), &wrap_data(&kek.id, binding), data_key, out)
}

fn unwrap_key(
    ring: &KeyRing,
    binding: &Binding<'_>,
    sealed: &Sealed,
) -> Result<Zeroizing<[u8; KEY_LEN]>, SealingError> {
    let kek = ring.find(&sealed.kek_id)?;
    if sealed.bytes.len() < SHORTEST || sealed.bytes[0] != FORMAT_V1 {
        return Err(SealingError::Malformed);
    }
    let opened = Zeroizing::new(decrypted(
        &kek.cipher(),
        &wrap_data(&kek.id, binding),
        &sealed.bytes[WRAPPED_AT..VALUE_AT],
    )?);
    let mut data_key = Zeroizing::new([0u8; KEY_LEN]);
    data_key.copy_from_slice(&opened);
    Ok(data_key)
}

fn append_encrypted(
    rng: &mut (impl RngCore + CryptoRng),
    cipher: &XChaCha20Poly1305,
    associated: &[u8],
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealingError> {
    let mut nonce = [0u8; NONCE_LEN];
    rng.fill_bytes(&mut nonce);
    out.extend_from_slice(&nonce);
    let at = out.len();
    // Callers reserve the whole length beforehand, so that no half-written copy of the plain
    // value is left behind by a reallocation.
    out.extend_from_slice(plain);
    match cipher.encrypt_in_place_detached(XNonce::from_slice(&nonce), associated, &mut out[at..]) {
        Ok(tag) => {
            out.extend_from_slice(&tag);
            Ok(())
        }
        Err(_) => {
            zeroize::Zeroize::zeroize(out);
            Err(SealingError::TooLong)
        }
    }
}

fn decrypted(
    cipher: &XChaCha20Poly1305,
    associated: &[u8],
    sealed: &[u8],
) -> Result<Box<[u8]>, SealingError> {
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(SealingError::Malformed)?;
    let at = rest.len().checked_sub(TAG_LEN).ok_or(SealingError::Malformed)?;
    let (body, tag) = rest.split_at(at);
    let mut plain: Box<[u8]> = body.into();
    cipher
        .decrypt_in_place_detached(
            XNonce::from_slice(nonce),
            associated,
            &mut plain,
            Tag::from_slice(tag),
        )
        .map_err(|_| SealingError::DoesNotOpen)?;
    Ok(plain)
}

fn wrap_data(kek_id: &str, binding: &Binding<'_>) -> Vec<u8> {
    associated_data(&["keyturn/sealing/v1/key", kek_id], binding)
}

fn value_data(binding: &Binding<'_>) -> Vec<u8> {
    associated_data(&["keyturn/sealing/v1/value"], binding)
}

/// Each field goes in with its length before it, so that no two bindings encode alike.
fn associated_data(labels: &[&str], binding: &Binding<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let place = [binding.context, binding.org_id, binding.secret_id];
    for field in labels.iter().chain(&place) {
        out.extend_from_slice(&(field.len() as u64).to_be_bytes());
        out.extend_from_slice(field.as_bytes());
    }
    out.extend_from_slice(&binding.version.to_be_bytes());
    out
}

#[cfg(test)]
mod tests;
