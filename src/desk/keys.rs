//! The keys of a deployment: made once, kept in a file that only its owner can read.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::audit::LogKey;
use crate::auth::token::TokenKey;
use crate::clock::Rng;
use crate::delivery::openpgp::SigningKey;
use crate::model::Micros;
use crate::proof::note::{NoteError, NoteKey, NoteVerifier};
use crate::secrets::fingerprint::FingerprintKey;
use crate::secrets::sealing::{Kek, KeyRing};

/// Every key that the server holds.
#[derive(Debug)]
pub struct Keys {
    /// Seals values at rest.
    pub ring: KeyRing,
    /// Signs impersonation tokens.
    pub token: TokenKey,
    /// Signs the logs' checkpoints.
    pub log: LogKey,
    /// Signs messages to Owners.
    pub openpgp: SigningKey,
    /// Fingerprints issued values.
    pub fingerprint: FingerprintKey,
}

/// What is wrong with the keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file could not be read or written.
    #[error("the keys in {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is readable by others.
    #[error(
        "{0} can be read by others than its owner: chmod 600 it, and replace its keys if others had access"
    )]
    TooOpen(String),
    /// The file does not hold keys.
    #[error("{file} does not hold keys: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    /// The first seals; the others still open. Each is 32 bytes in base64.
    key_encryption: Vec<NamedKey>,
    /// Ed25519 seed.
    token_signing: Zeroizing<String>,
    /// Ed25519 seed of the logs' first key; erased once that key was rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_signing: Option<Zeroizing<String>>,
    /// The public half of the logs' first key, in the place of the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_anchor: Option<String>,
    /// HMAC-SHA256 key.
    fingerprint: Zeroizing<String>,
    /// Armored OpenPGP secret key.
    openpgp: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedKey {
    id: String,
    key: Zeroizing<String>,
}

/// What the keys are for: names that stand in tokens, checkpoints and signatures.
#[derive(Debug, Clone)]
pub struct Names<'a> {
    /// The issuer of tokens: the console's address.
    pub issuer: &'a str,
    /// The audience of tokens: the API.
    pub audience: &'a str,
    /// What the logs' origins begin with.
    pub log_origin: &'a str,
}

/// Makes new keys and writes them to `file`, which must not be there yet.
///
/// # Errors
/// Where a key cannot be made, or the file exists or cannot be written.
pub fn create(file: &Path, rng: &dyn Rng, now: Micros, user_id: &str) -> Result<(), KeysError> {
    let io = |source| KeysError::Io { file: file.display().to_string(), source };
    let random = || {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill(bytes.as_mut());
        Zeroizing::new(STANDARD.encode(bytes.as_ref()))
    };
    let openpgp = SigningKey::generate(&mut rng.generator(), now, user_id)
        .and_then(|key| key.to_armored_secret())
        .map_err(|e| unreadable(file, &e))?;
    let keys = KeyFile {
        key_encryption: vec![NamedKey {
            id: format!("kek-{}", crate::model::time::date(now)),
            key: random(),
        }],
        token_signing: random(),
        log_signing: Some(random()),
        log_anchor: None,
        fingerprint: random(),
        openpgp: Zeroizing::new(openpgp.expose_secret().to_owned()),
    };
    let text =
        Zeroizing::new(serde_json::to_string_pretty(&keys).map_err(|e| unreadable(file, &e))?);
    write_private(file, text.as_bytes(), true).map_err(io)
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// Where it cannot be written, or `new` and it is there already.
pub fn write_private(file: &Path, content: &[u8], new: bool) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    if new {
        options.create_new(true);
    } else {
        options.create(true).truncate(true);
    }
    let mut opened = options.open(file)?;
    opened.write_all(content)?;
    opened.sync_all()
}

fn unreadable(file: &Path, why: &dyn std::fmt::Display) -> KeysError {
    KeysError::Unreadable { file: file.display().to_string(), why: why.to_string() }
}

fn seed(file: &Path, text: &str) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|e| unreadable(file, &e))?);
    let seed: [u8; 32] =
        bytes.as_slice().try_into().map_err(|_| unreadable(file, &"a key is not of 32 bytes"))?;
    Ok(Zeroizing::new(seed))
}

/// The logs' first key, or what is left of it.
fn log_key(file: &Path, keys: &KeyFile, origin: &str) -> Result<LogKey, KeysError> {
    let wrong = |e: NoteError| unreadable(file, &e);
    match (&keys.log_signing, &keys.log_anchor) {
        (Some(text), None) => {
            Ok(LogKey::new(NoteKey::new(origin, &*seed(file, text)?).map_err(wrong)?, origin))
        }
        (None, Some(anchor)) => {
            let anchor = NoteVerifier::parse(anchor).map_err(wrong)?;
            if anchor.name() != origin {
                return Err(unreadable(file, &"log_anchor is the key of another log_origin"));
            }
            Ok(LogKey::anchored(anchor, origin))
        }
        _ => Err(unreadable(file, &"there must be one of log_signing and log_anchor")),
    }
}

fn read(file: &Path) -> Result<KeyFile, KeysError> {
    use std::os::unix::fs::PermissionsExt;
    let io = |source| KeysError::Io { file: file.display().to_string(), source };
    let mode = std::fs::metadata(file).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeysError::TooOpen(file.display().to_string()));
    }
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(io)?);
    serde_json::from_str(&text).map_err(|e| unreadable(file, &e))
}

/// Erases the private half of the logs' first key from `file`, once another took its place; its
/// public half stays. Whether there was anything to erase.
///
/// # Errors
/// Where the file cannot be read, or not be written anew beside itself.
pub fn forget_log_key(file: &Path, origin: &str) -> Result<bool, KeysError> {
    let io = |source| KeysError::Io { file: file.display().to_string(), source };
    let mut keys = read(file)?;
    if keys.log_signing.is_none() {
        return Ok(false);
    }
    let anchor = log_key(file, &keys, origin)?.anchor().vkey();
    keys.log_signing = None;
    keys.log_anchor = Some(anchor);
    let text =
        Zeroizing::new(serde_json::to_string_pretty(&keys).map_err(|e| unreadable(file, &e))?);
    // Beside it, and then in its place: the other keys in it must not be lost.
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    write_private(beside, text.as_bytes(), true).map_err(io)?;
    std::fs::rename(beside, file).map_err(io)?;
    Ok(true)
}

impl Keys {
    /// Reads the keys from `file`.
    ///
    /// # Errors
    /// Where the file is not there, is open to others, or does not hold keys.
    pub fn load(file: &Path, names: &Names<'_>, now: Micros) -> Result<Self, KeysError> {
        let keys = read(file)?;
        let mut keks = keys
            .key_encryption
            .iter()
            .map(|k| Kek::parse(&k.id, &SecretString::from(k.key.as_str())));
        let active = keks
            .next()
            .ok_or_else(|| unreadable(file, &"there is no key_encryption key"))?
            .map_err(|e| unreadable(file, &e))?;
        let others = keks.collect::<Result<_, _>>().map_err(|e| unreadable(file, &e))?;
        Ok(Self {
            ring: KeyRing::new(active, others).map_err(|e| unreadable(file, &e))?,
            token: TokenKey::new(&*seed(file, &keys.token_signing)?, names.issuer, names.audience),
            log: log_key(file, &keys, names.log_origin)?,
            openpgp: SigningKey::from_armored(&SecretString::from(keys.openpgp.as_str()), now)
                .map_err(|e| unreadable(file, &e))?,
            fingerprint: FingerprintKey::new(SecretBox::new(Box::new(*seed(
                file,
                &keys.fingerprint,
            )?))),
        })
    }
}
