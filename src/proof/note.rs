//! Signed notes (c2sp.org/signed-note): a text, and lines of Ed25519 signatures under it.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// The signature type byte of Ed25519 (signed-note, "Signature types").
const ED25519: u8 = 0x01;

/// The signature lines a note may have. The specification asks for at least 16; a bound keeps a
/// hostile note from costing much.
const MAX_SIGNATURES: usize = 64;

/// Why a note or a key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A key name must not be empty, nor hold a space, a control character or a plus.
    #[error("{0:?} is not a name that a key may have")]
    BadName(String),
    /// A verifier key's text is not `name+keyid+base64`, or its parts do not fit each other.
    #[error("the text is not a verifier key: {0}")]
    BadKey(&'static str),
    /// The text to be signed cannot be a note's text.
    #[error("the text cannot be signed as a note: {0}")]
    BadText(&'static str),
    /// A note to be signed needs a signer.
    #[error("a note needs at least one signer")]
    NoSigner,
    /// The note is not built as the specification says.
    #[error("the note is malformed: {0}")]
    Malformed(&'static str),
    /// A key that is known did not make the signature that carries its name.
    #[error("the signature of {0} does not hold")]
    BadSignature(String),
    /// None of the signatures is of a known key.
    #[error("no signature is of a known key")]
    Unsigned,
}

/// A private key that signs notes. It never shows its seed: not in `Debug`, not in an error.
pub struct NoteKey {
    key: SigningKey,
    verifier: NoteVerifier,
}

impl NoteKey {
    /// A signer from its name and its 32-byte Ed25519 seed (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// When the name is not one a key may have.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        let key = SigningKey::from_bytes(seed);
        let verifier = NoteVerifier::from_parts(name, key.verifying_key());
        Ok(Self { key, verifier })
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.verifier.name
    }

    /// The public half.
    pub fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    /// The public half as text: see [`NoteVerifier::vkey`].
    pub fn vkey(&self) -> String {
        self.verifier.vkey()
    }

    fn signature_line(&self, text: &str) -> String {
        let mut bytes = self.verifier.id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!("\u{2014} {} {}\n", self.name(), STANDARD.encode(bytes))
    }
}

impl fmt::Debug for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteKey")
            .field("name", &self.verifier.name)
            .field("id", &format_args!("{:08x}", self.verifier.id))
            .finish_non_exhaustive()
    }
}

/// How many signatures are checked together: a larger batch is hardly faster for each.
const BATCH: usize = 4096;

/// A public key that notes are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    id: u32,
    key: VerifyingKey,
}

impl NoteVerifier {
    /// A verifier from its name and its 32-byte Ed25519 public key (RFC 8032, section 5.1.2).
    ///
    /// # Errors
    /// When the name is not one a key may have, or the bytes are not a usable public key.
    pub fn new(name: &str, public_key: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self::from_parts(name, usable_key(public_key)?))
    }

    fn from_parts(name: &str, key: VerifyingKey) -> Self {
        Self { name: name.to_owned(), id: key_id(name, ED25519, &key), key }
    }

    /// Reads the text form `<name>+<key id, 8 hex digits>+<base64(0x01 || public key)>`.
    ///
    /// # Errors
    /// When the text is not of this form, the key is not Ed25519, or the key id is not the one
    /// that name and key give.
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        let (name, key) = read_vkey(vkey, ED25519, "the key is not of type Ed25519")?;
        Ok(Self::from_parts(name, key))
    }

    /// The text form that [`NoteVerifier::parse`] reads.
    pub fn vkey(&self) -> String {
        write_vkey(&self.name, self.id, ED25519, &self.key)
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id: the first four bytes of `SHA-256(name || 0x0A || 0x01 || public key)`, big-endian.
    pub fn key_id(&self) -> u32 {
        self.id
    }

    /// The Ed25519 public key.
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }
}

/// A note whose signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedNote {
    /// The signed text, with its final newline.
    pub text: String,
    /// The names of the known keys that signed it, in the order of the signature lines.
    pub verified_by: Vec<String>,
}

/// Signs a text: the note is the text, an empty line, and a signature line for each signer.
///
/// # Errors
/// When there is no signer, or the text does not end in a newline, or holds another control
/// character below U+0020.
pub fn sign_note(text: &str, signers: &[&NoteKey]) -> Result<String, NoteError> {
    check_text(text).map_err(NoteError::BadText)?;
    if signers.is_empty() {
        return Err(NoteError::NoSigner);
    }
    let mut note = format!("{text}\n");
    for signer in signers {
        note.push_str(&signer.signature_line(text));
    }
    Ok(note)
}

/// Checks a note against the known keys. Signatures of unknown keys are ignored, also where only
/// the name or only the key id is that of a known one.
///
/// # Errors
/// When the note is malformed, when a known key's signature does not hold, or when no known key
/// signed it.
pub fn open_note(note: &str, verifiers: &[NoteVerifier]) -> Result<OpenedNote, NoteError> {
    let parsed = parse_note(note)?;
    let mut verified_by: Vec<String> = Vec::new();
    for line in &parsed.signatures {
        let known = verifiers.iter().filter(|v| v.name == line.name && v.id == line.id);
        for verifier in known {
            let bad = || NoteError::BadSignature(verifier.name.clone());
            let signature = Signature::from_slice(&line.signature).map_err(|_| bad())?;
            verifier.key.verify_strict(parsed.text.as_bytes(), &signature).map_err(|_| bad())?;
            if !verified_by.contains(&verifier.name) {
                verified_by.push(verifier.name.clone());
            }
        }
    }
    if verified_by.is_empty() {
        return Err(NoteError::Unsigned);
    }
    Ok(OpenedNote { text: parsed.text.to_owned(), verified_by })
}

/// Opens many notes at once: each is what [`open_note`] gives for it, in the same order. Checking
/// many signatures of Ed25519 together takes a fraction of the time.
pub fn open_notes(
    notes: &[&str],
    verifiers: &[NoteVerifier],
) -> Vec<Result<OpenedNote, NoteError>> {
    let mut opened: Vec<Option<Result<OpenedNote, NoteError>>> = vec![None; notes.len()];
    let mut batch: Vec<(usize, &str, Signature, &NoteVerifier)> = Vec::new();
    for (n, note) in notes.iter().enumerate() {
        let one = parse_note(note).ok().and_then(|parsed| {
            let [line] = &parsed.signatures[..] else { return None };
            let mut known = verifiers.iter().filter(|v| v.name == line.name && v.id == line.id);
            let (Some(verifier), None) = (known.next(), known.next()) else { return None };
            Some((n, parsed.text, Signature::from_slice(&line.signature).ok()?, verifier))
        });
        match one {
            Some(one) => batch.push(one),
            // Whatever is not as usual takes the usual way.
            None => opened[n] = Some(open_note(note, verifiers)),
        }
    }
    for part in batch.chunks(BATCH) {
        let all_hold =
            all_hold(part.iter().map(|(_, text, signature, by)| (*text, signature, &by.key)));
        for (n, text, _, verifier) in part {
            opened[*n] = Some(if all_hold {
                Ok(OpenedNote {
                    text: (*text).to_owned(),
                    verified_by: vec![verifier.name.clone()],
                })
            } else {
                open_note(notes[*n], verifiers)
            });
        }
    }
    opened.into_iter().map(|o| o.unwrap_or(Err(NoteError::Unsigned))).collect()
}

/// Whether every one of these signatures holds, from one equation over all of them. The factors
/// that keep two false ones from making up for each other are drawn from a hash of all that goes
/// into the equation, so whoever made the signatures cannot have known them.
pub(super) fn all_hold<'a>(
    signed: impl Iterator<Item = (&'a str, &'a Signature, &'a VerifyingKey)>,
) -> bool {
    let mut batch = ed25519_zebra::batch::Verifier::new();
    let mut all = Sha256::new();
    for (text, signature, by) in signed {
        let public = by.as_bytes();
        all.update(public);
        all.update(signature.to_bytes());
        all.update((text.len() as u64).to_be_bytes());
        all.update(text);
        batch.queue(((*public).into(), *signature, text.as_bytes()));
    }
    batch.verify(ChaCha20Rng::from_seed(all.finalize().into())).is_ok()
}

/// The text of a note whose signatures are *not* checked: for showing what it claims, and for
/// comparing a claim with what is known already. Never a reason to believe it.
///
/// # Errors
/// When the note is malformed.
pub fn unverified_text(note: &str) -> Result<&str, NoteError> {
    parse_note(note).map(|parsed| parsed.text)
}

struct ParsedNote<'a> {
    text: &'a str,
    signatures: Vec<SignatureLine<'a>>,
}

/// A signature line under a note.
pub(super) struct SignatureLine<'a> {
    pub(super) name: &'a str,
    pub(super) id: u32,
    pub(super) signature: Vec<u8>,
}

fn parse_note(note: &str) -> Result<ParsedNote<'_>, NoteError> {
    check_text(note).map_err(NoteError::Malformed)?;
    // The last empty line separates: the text itself may hold empty lines.
    let Some(at) = note.rfind("\n\n") else {
        return Err(NoteError::Malformed("there is no empty line"));
    };
    let (text, block) = (&note[..=at], &note[at + 2..]);
    let lines: Vec<&str> = block.split_terminator('\n').collect();
    if lines.is_empty() {
        return Err(NoteError::Malformed("there is no signature"));
    }
    if lines.len() > MAX_SIGNATURES {
        return Err(NoteError::Malformed("there are too many signatures"));
    }
    let signatures = lines.into_iter().map(parse_signature).collect::<Result<_, _>>()?;
    Ok(ParsedNote { text, signatures })
}

pub(super) fn parse_signature(line: &str) -> Result<SignatureLine<'_>, NoteError> {
    let malformed = NoteError::Malformed("a signature line is not `— name base64`");
    let Some((name, encoded)) =
        line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '))
    else {
        return Err(malformed);
    };
    if check_name(name).is_err() {
        return Err(malformed);
    }
    let bytes = STANDARD.decode(encoded).map_err(|_| malformed.clone())?;
    match bytes.split_first_chunk::<4>() {
        Some((id, signature)) if !signature.is_empty() => {
            Ok(SignatureLine { name, id: u32::from_be_bytes(*id), signature: signature.to_vec() })
        }
        _ => Err(malformed),
    }
}

fn check_text(text: &str) -> Result<(), &'static str> {
    if !text.ends_with('\n') {
        return Err("it does not end in a newline");
    }
    if text.bytes().any(|b| b < 0x20 && b != b'\n') {
        return Err("it holds a control character");
    }
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), NoteError> {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(forbidden) {
        return Err(NoteError::BadName(name.to_owned()));
    }
    Ok(())
}

/// A public key that says something by what it verifies.
pub(super) fn usable_key(public_key: &[u8; 32]) -> Result<VerifyingKey, NoteError> {
    let key = VerifyingKey::from_bytes(public_key)
        .map_err(|_| NoteError::BadKey("the public key is not an Ed25519 key"))?;
    // A weak key verifies signatures that nobody made.
    if key.is_weak() {
        return Err(NoteError::BadKey("the public key is a weak one"));
    }
    Ok(key)
}

/// Name and key of a verifier key's text, `<name>+<key id>+<base64(kind || public key)>`.
pub(super) fn read_vkey<'a>(
    vkey: &'a str,
    kind: u8,
    other_kind: &'static str,
) -> Result<(&'a str, VerifyingKey), NoteError> {
    let mut parts = vkey.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::BadKey("it does not have three parts"));
    };
    let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if id.len() != 8 || !id.bytes().all(lower_hex) {
        return Err(NoteError::BadKey("the key id is not 8 hex digits"));
    }
    let bytes = STANDARD.decode(key).map_err(|_| NoteError::BadKey("the key is not base64"))?;
    let Some((_, public)) = bytes.split_first().filter(|(found, _)| **found == kind) else {
        return Err(NoteError::BadKey(other_kind));
    };
    let public: &[u8; 32] =
        public.try_into().map_err(|_| NoteError::BadKey("the public key is not 32 bytes"))?;
    check_name(name)?;
    let key = usable_key(public)?;
    if format!("{:08x}", key_id(name, kind, &key)) != id {
        return Err(NoteError::BadKey("the key id is not that of name and key"));
    }
    Ok((name, key))
}

/// The text that [`read_vkey`] reads.
pub(super) fn write_vkey(name: &str, id: u32, kind: u8, key: &VerifyingKey) -> String {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(key.as_bytes());
    format!("{name}+{id:08x}+{}", STANDARD.encode(bytes))
}

/// The first four bytes of `SHA-256(name || 0x0A || kind || public key)`, big-endian.
pub(super) fn key_id(name: &str, kind: u8, key: &VerifyingKey) -> u32 {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', kind]);
    hasher.update(key.as_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
