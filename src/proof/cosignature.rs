//! Cosignatures (c2sp.org/tlog-cosignature, Ed25519): a witness's word that it has seen a log grow
//! to a checkpoint, that nothing before it had changed, and when that was.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::note::{
    NoteError, all_hold, check_name, key_id, parse_signature, read_vkey, unverified_text,
    usable_key, write_vkey,
};
use crate::model::{Micros, time};

/// The signature type byte of a cosignature/v1.
const COSIGNATURE: u8 = 0x04;

/// How far a cosignature's time may be from ours when it is given.
pub const OFF_THE_CLOCK: Micros = 5 * time::MINUTE;

/// The most lines of an answer that are looked at.
const MOST_LINES: usize = 64;

/// Why what a witness gave is not its signature on a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// What should be a checkpoint, or a signature line, is none.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// There is no line of the witness's key.
    #[error("there is no signature of the witness {0}")]
    Unsigned(String),
    /// It is not a time and a signature.
    #[error("the cosignature of {0} is not a time and a signature")]
    Malformed(String),
    /// It is not the signature of this checkpoint.
    #[error("the cosignature of {0} does not hold for this checkpoint")]
    BadSignature(String),
    /// It was given at another time than now.
    #[error("the cosignature says that it is of {0}, which is not now")]
    OtherTime(String),
}

/// A cosignature that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Its line, with the newline: under the checkpoint's own signature it makes one note.
    pub line: String,
    /// When the witness gave it.
    pub at: Micros,
}

/// The public key of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: u32,
    key: VerifyingKey,
}

impl WitnessKey {
    /// A witness's key from its name and its 32-byte Ed25519 public key.
    ///
    /// # Errors
    /// When the name is not one a key may have, or the bytes are not a usable public key.
    pub fn new(name: &str, public_key: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self::from_parts(name, usable_key(public_key)?))
    }

    fn from_parts(name: &str, key: VerifyingKey) -> Self {
        Self { name: name.to_owned(), id: key_id(name, COSIGNATURE, &key), key }
    }

    /// Reads the text form `<name>+<key id, 8 hex digits>+<base64(0x04 || public key)>`.
    ///
    /// # Errors
    /// When the text is not of this form, the key is of another kind (a log's own is), or the key
    /// id is not the one that name and key give.
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        let other = "the key is not of type 0x04, a witness's (cosignature/v1)";
        let (name, key) = read_vkey(vkey, COSIGNATURE, other)?;
        Ok(Self::from_parts(name, key))
    }

    /// The text form that [`WitnessKey::parse`] reads.
    #[must_use]
    pub fn vkey(&self) -> String {
        write_vkey(&self.name, self.id, COSIGNATURE, &self.key)
    }

    /// `<name>+<key id>`: what tells it from every other key.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}+{:08x}", self.name, self.id)
    }

    /// The cosignature that a witness answered with over a signed checkpoint. Lines of other keys
    /// are ignored, as the specification wants it.
    ///
    /// # Errors
    /// Where there is none of this key, or it does not hold.
    pub fn open(&self, checkpoint: &str, answer: &str) -> Result<Cosignature, CosignatureError> {
        let body = unverified_text(checkpoint)?;
        let given = self.find(answer)?;
        self.check(body, &given)?;
        Ok(given.cosignature)
    }

    /// Opens many at once: (signed checkpoint, cosignature line) each.
    pub fn open_all(&self, many: &[(&str, &str)]) -> Vec<Result<Cosignature, CosignatureError>> {
        let found: Vec<Result<(&str, Given), CosignatureError>> = many
            .iter()
            .map(|(checkpoint, line)| Ok((unverified_text(checkpoint)?, self.find(line)?)))
            .collect();
        let messages: Vec<(String, Signature)> = found
            .iter()
            .filter_map(|one| {
                let (body, given) = one.as_ref().ok()?;
                Some((message(given.seconds, body), given.signature))
            })
            .collect();
        let together = all_hold(messages.iter().map(|(m, s)| (m.as_str(), s, &self.key)));
        let checked = found.into_iter().map(|one| {
            let (body, given) = one?;
            if !together {
                self.check(body, &given)?;
            }
            Ok(given.cosignature)
        });
        checked.collect()
    }

    fn find(&self, answer: &str) -> Result<Given, CosignatureError> {
        for line in answer.split_inclusive('\n').take(MOST_LINES) {
            let read = parse_signature(line.strip_suffix('\n').unwrap_or(line))?;
            if read.name != self.name || read.id != self.id {
                continue;
            }
            let malformed = || CosignatureError::Malformed(self.name.clone());
            let (seconds, signature) =
                read.signature.split_first_chunk::<8>().ok_or_else(malformed)?;
            let seconds = u64::from_be_bytes(*seconds);
            let at = i64::try_from(seconds).ok().and_then(|s| s.checked_mul(time::SECOND));
            let at = at.ok_or_else(malformed)?;
            let signature = Signature::from_slice(signature).map_err(|_| malformed())?;
            let line = format!("{}\n", line.trim_end_matches('\n'));
            return Ok(Given { cosignature: Cosignature { line, at }, seconds, signature });
        }
        Err(CosignatureError::Unsigned(self.id()))
    }

    fn check(&self, body: &str, given: &Given) -> Result<(), CosignatureError> {
        let message = message(given.seconds, body);
        self.key
            .verify_strict(message.as_bytes(), &given.signature)
            .map_err(|_| CosignatureError::BadSignature(self.name.clone()))
    }
}

/// A line of the witness's key, read and not checked.
struct Given {
    cosignature: Cosignature,
    seconds: u64,
    signature: Signature,
}

impl Cosignature {
    /// Whether it was given now: an old one may have been kept by somebody in between.
    ///
    /// # Errors
    /// Where it is of another time.
    pub fn given_at(self, now: Micros) -> Result<Self, CosignatureError> {
        if (self.at - now).abs() > OFF_THE_CLOCK {
            return Err(CosignatureError::OtherTime(time::seconds(self.at)));
        }
        Ok(self)
    }
}

/// What a witness signs: the time, and the checkpoint's text without its signatures.
fn message(seconds: u64, body: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{body}")
}

/// A witness's private key: for whoever plays the witness.
pub struct WitnessSigner {
    key: SigningKey,
    public: WitnessKey,
}

impl WitnessSigner {
    /// A signer from its name and its 32-byte Ed25519 seed.
    ///
    /// # Errors
    /// When the name is not one a key may have.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        let key = SigningKey::from_bytes(seed);
        let public = WitnessKey::from_parts(name, key.verifying_key());
        Ok(Self { key, public })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &WitnessKey {
        &self.public
    }

    /// The line that says that the checkpoint was seen at `at`.
    ///
    /// # Errors
    /// When what should be a signed checkpoint is no note.
    pub fn cosign(&self, checkpoint: &str, at: Micros) -> Result<String, NoteError> {
        let seconds = u64::try_from(at / time::SECOND).unwrap_or(0);
        let signed = message(seconds, unverified_text(checkpoint)?);
        let mut bytes = self.public.id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&seconds.to_be_bytes());
        bytes.extend_from_slice(&self.key.sign(signed.as_bytes()).to_bytes());
        Ok(format!("\u{2014} {} {}\n", self.public.name, STANDARD.encode(bytes)))
    }
}

impl std::fmt::Debug for WitnessSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitnessSigner").field("id", &self.public.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "cosignature_tests.rs"]
mod tests;
