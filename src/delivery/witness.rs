//! Witnesses: somebody else who keeps our checkpoints, so that a log that is cut back or replaced
//! by an older copy of itself is found, although whoever did it holds our database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::authorities::Authorities;
use crate::clock::Clock;
use crate::proof::Hash;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::cosignature::{Cosignature, CosignatureError, WitnessKey};
use crate::proof::evidence::hash_text;
use crate::proof::merkle;
use crate::proof::note::NoteVerifier;

/// The longest answer of a witness that is read, in bytes.
const LONGEST_ANSWER: usize = 4096;

/// A checkpoint for a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The log's origin.
    pub origin: String,
    /// How many rows the witness saw last, as far as we know.
    pub old_size: u64,
    /// The consistency proof from there.
    pub proof: Vec<Hash>,
    /// The checkpoint's own number of rows.
    pub size: u64,
    /// The signed checkpoint.
    pub note: String,
}

/// Why a witness did not take a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// It saw another number of rows last than we thought.
    #[error("the witness has seen {0} rows")]
    Conflict(u64),
    /// It has another checkpoint for the same number of rows, or the proof does not hold for it.
    #[error("the witness has seen another content of this log: {0}")]
    Disagrees(String),
    /// It answers without its signature on what it was sent.
    #[error("the witness did not sign: {0}")]
    Unsigned(#[from] CosignatureError),
    /// It cannot be reached, or does not know us.
    #[error("the witness does not take checkpoints: {0}")]
    Unreachable(String),
}

/// Somebody who keeps checkpoints.
#[async_trait]
pub trait Witness: Send + Sync + 'static {
    /// Under which name we remember what it has seen.
    fn name(&self) -> String;

    /// The key that it signs with, where it signs.
    fn key(&self) -> Option<&WitnessKey> {
        None
    }

    /// Gives it a checkpoint; its signature, which was checked, where it gives one.
    ///
    /// # Errors
    /// Where it does not take it, or does not sign it.
    async fn add(&self, seen: &Seen) -> Result<Option<Cosignature>, WitnessError>;
}

/// A folder, as one on a disk that only appends, or that another machine collects from: a file
/// for each checkpoint, below the log's origin.
#[derive(Debug)]
pub struct FolderWitness {
    folder: PathBuf,
}

impl FolderWitness {
    /// The witness that keeps its files in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Under which name the witness in a folder is remembered.
    #[must_use]
    pub fn name_of(folder: &Path) -> String {
        format!("folder {}", folder.display())
    }
}

#[async_trait]
impl Witness for FolderWitness {
    fn name(&self) -> String {
        Self::name_of(&self.folder)
    }

    async fn add(&self, seen: &Seen) -> Result<Option<Cosignature>, WitnessError> {
        let io = |e: std::io::Error| WitnessError::Unreachable(e.to_string());
        let folder = place(&self.folder, &seen.origin)
            .ok_or_else(|| WitnessError::Unreachable("the origin is no path".to_owned()))?;
        std::fs::create_dir_all(&folder).map_err(io)?;
        let newest = sizes(&folder).map_err(io)?.into_iter().max().unwrap_or(0);
        if newest > seen.size {
            return Err(WitnessError::Conflict(newest));
        }
        let disagrees = |what: String| WitnessError::Disagrees(what);
        let new = Checkpoint::unverified(&seen.note).map_err(|e| disagrees(e.to_string()))?;
        if new.origin != seen.origin || new.size != seen.size {
            return Err(disagrees("the checkpoint is of another log or size".to_owned()));
        }
        if newest > 0 {
            let kept = std::fs::read_to_string(folder.join(file_name(newest))).map_err(io)?;
            let kept = Checkpoint::unverified(&kept).map_err(|e| disagrees(e.to_string()))?;
            if newest == seen.size {
                // A signature may be made anew; what counts is what was signed.
                let same = kept == new;
                return if same { Ok(None) } else { Err(disagrees(format!("at {newest} rows"))) };
            }
            if newest != seen.old_size {
                return Err(WitnessError::Conflict(newest));
            }
            merkle::verify_consistency(newest, new.size, &kept.root, &new.root, &seen.proof)
                .map_err(|e| disagrees(format!("what it had at {newest} rows has changed: {e}")))?;
        } else if seen.old_size != 0 {
            return Err(WitnessError::Conflict(0));
        }
        let file = folder.join(file_name(seen.size));
        // Written whole or not at all: a half note would be a disagreement for ever.
        let new = folder.join(".new");
        std::fs::write(&new, &seen.note).map_err(io)?;
        std::fs::rename(&new, &file).map_err(io)?;
        Ok(None)
    }
}

/// The folder of a log within a witness's folder; nothing for an origin that is no plain path.
#[must_use]
pub fn place(folder: &Path, origin: &str) -> Option<PathBuf> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b))
    };
    let mut place = folder.to_owned();
    for part in origin.split('/') {
        if !plain(part) {
            return None;
        }
        place.push(part);
    }
    Some(place)
}

/// What the checkpoint of so many rows is called in a log's folder.
fn file_name(size: u64) -> String {
    format!("{size:020}.note")
}

/// For how many rows each there is a checkpoint in a log's folder.
///
/// # Errors
/// Where the folder cannot be read.
pub fn sizes(folder: &Path) -> std::io::Result<Vec<u64>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let size: Option<u64> =
            name.to_str().and_then(|n| n.strip_suffix(".note")).and_then(|n| n.parse().ok());
        all.extend(size);
    }
    all.sort_unstable();
    Ok(all)
}

/// What a witness's folder holds at one moment. To be listed before the heads that it is held
/// against are read: logs grow, and a head read first would look as if it had been cut back.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    folder: PathBuf,
    sizes: BTreeMap<String, Vec<u64>>,
}

impl Kept {
    /// Lists a folder and what is below it.
    ///
    /// # Errors
    /// Where it is not there or cannot be read.
    pub fn list(folder: &Path) -> std::io::Result<Self> {
        let named = |place: &Path, e: std::io::Error| {
            std::io::Error::new(e.kind(), format!("{}: {e}", place.display()))
        };
        let mut kept = Self { folder: folder.to_owned(), sizes: BTreeMap::new() };
        let mut open = vec![(folder.to_owned(), String::new())];
        while let Some((place, origin)) = open.pop() {
            let found = sizes(&place).map_err(|e| named(&place, e))?;
            for entry in std::fs::read_dir(&place).map_err(|e| named(&place, e))? {
                let entry = entry.map_err(|e| named(&place, e))?;
                if entry.path().is_dir() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let below = if origin.is_empty() { name } else { format!("{origin}/{name}") };
                    open.push((entry.path(), below));
                }
            }
            if !origin.is_empty() && !found.is_empty() {
                kept.sizes.insert(origin, found);
            }
        }
        Ok(kept)
    }

    /// How many checkpoints it has of a log.
    #[must_use]
    pub fn count(&self, origin: &str) -> usize {
        self.sizes.get(origin).map_or(0, Vec::len)
    }

    /// The origins below `host` that it has seen and that are none of these.
    #[must_use]
    pub fn gone(&self, host: &str, origins: &[&str]) -> Vec<&str> {
        let ours = |origin: &&str| {
            origin.strip_prefix(host).is_some_and(|rest| rest.starts_with('/'))
                && !origins.contains(origin)
        };
        self.sizes.keys().map(String::as_str).filter(ours).collect()
    }

    /// The checkpoints that it has of a log, the smallest first.
    ///
    /// # Errors
    /// Which file cannot be read, or is not signed with one of these keys.
    pub fn of(&self, origin: &str, verifiers: &[NoteVerifier]) -> Result<Vec<Checkpoint>, String> {
        let (Some(place), Some(sizes)) = (place(&self.folder, origin), self.sizes.get(origin))
        else {
            return Ok(Vec::new());
        };
        let files: Vec<PathBuf> = sizes.iter().map(|size| place.join(file_name(*size))).collect();
        let wrong = |file: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
        let mut notes = Vec::with_capacity(files.len());
        for file in &files {
            notes.push(std::fs::read_to_string(file).map_err(|e| wrong(file, &e))?);
        }
        let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
        let opened = Checkpoint::open_all(&notes, verifiers, origin).into_iter().zip(&files);
        opened.map(|(opened, file)| opened.map_err(|e| wrong(file, &e))).collect()
    }
}

/// A witness over HTTP (C2SP tlog-witness, `add-checkpoint`), which signs what it has seen.
pub struct HttpWitness {
    client: reqwest::Client,
    address: String,
    key: WitnessKey,
    clock: Arc<dyn Clock>,
}

impl HttpWitness {
    /// The witness at an address, which signs with this key.
    ///
    /// # Errors
    /// Where no client can be made.
    pub fn new(
        address: &str,
        key: WitnessKey,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WitnessError> {
        Self::trusting(address, key, clock, &Authorities::default())
    }

    /// The same, where its certificate may be of one of these authorities.
    ///
    /// # Errors
    /// Where no client can be made.
    pub fn trusting(
        address: &str,
        key: WitnessKey,
        clock: Arc<dyn Clock>,
        authorities: &Authorities,
    ) -> Result<Self, WitnessError> {
        let client = authorities
            .client()
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| WitnessError::Unreachable(e.to_string()))?;
        Ok(Self { client, address: Self::name_of(address), key, clock })
    }

    /// Under which name the witness at an address is remembered: the address without a slash at
    /// its end.
    #[must_use]
    pub fn name_of(address: &str) -> String {
        address.trim_end_matches('/').to_owned()
    }
}

impl std::fmt::Debug for HttpWitness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = f.debug_struct("HttpWitness");
        said.field("address", &self.address).field("key", &self.key.id()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Witness for HttpWitness {
    fn name(&self) -> String {
        self.address.clone()
    }

    fn key(&self) -> Option<&WitnessKey> {
        Some(&self.key)
    }

    async fn add(&self, seen: &Seen) -> Result<Option<Cosignature>, WitnessError> {
        let unreachable =
            |e: reqwest::Error| WitnessError::Unreachable(e.without_url().to_string());
        let mut body = format!("old {}\n", seen.old_size);
        for hash in &seen.proof {
            body.push_str(&hash_text(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(&seen.note);
        let mut answer = self
            .client
            .post(format!("{}/add-checkpoint", self.address))
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST_ANSWER {
                return Err(WitnessError::Unreachable("its answer is too long".to_owned()));
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match status {
            // Anything can answer 200; a witness signs, with its own key, what it was sent, now.
            200 => Ok(Some(self.key.open(&seen.note, &text)?.given_at(self.clock.now())?)),
            409 => Err(match text.trim().parse() {
                Ok(size) if size != seen.old_size => WitnessError::Conflict(size),
                // It has seen just as many rows as we say, and refuses all the same.
                _ if seen.old_size == seen.size => {
                    WitnessError::Disagrees(format!("at {} rows", seen.size))
                }
                _ => WitnessError::Unreachable("it answers 409 without another size".to_owned()),
            }),
            422 => Err(WitnessError::Disagrees("the consistency proof does not hold".to_owned())),
            403 => Err(WitnessError::Unreachable("it does not trust our key (403)".to_owned())),
            404 => Err(WitnessError::Unreachable("it does not know this log (404)".to_owned())),
            other => Err(WitnessError::Unreachable(format!("it answers {other}"))),
        }
    }
}

#[cfg(test)]
#[path = "witness_tests.rs"]
mod tests;
