//! How one key of the logs follows another: an endorsement is a signed note (c2sp.org/signed-note)
//! that both signed. By the old key's signature whoever pinned the old one believes the new; by
//! the new key's, whoever knows only the new one believes the old.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::proof::note::{NoteError, NoteKey, NoteVerifier, open_note, sign_note, unverified_text};

/// The first line of an endorsement. With four lines it can never be read as a checkpoint.
const FORMAT: &str = "keyturn.log-key/v1";

/// The keys that are followed; a bound keeps a hostile list from costing much.
const MAX_KEYS: usize = 1000;

/// Why a list of endorsements is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogKeyError {
    /// A note is not an endorsement.
    #[error("an endorsement of a key is malformed: {0}")]
    Malformed(&'static str),
    /// A signature under it does not hold.
    #[error("the endorsement of {key}: {why}")]
    NotSigned {
        /// The key that it is for.
        key: String,
        /// What is wrong.
        why: NoteError,
    },
    /// The endorsements do not follow one another.
    #[error("the endorsement of {0} does not follow the one before it")]
    Gap(String),
    /// None of the keys is one that the checker trusts.
    #[error("no pinned key leads to {0}: it is not endorsed")]
    NotTrusted(String),
}

/// One key's word for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsement {
    /// The key that was.
    pub old: NoteVerifier,
    /// The key that took its place.
    pub new: NoteVerifier,
    /// When, in microseconds UTC.
    pub at: i64,
}

impl Endorsement {
    /// The note by which `old` hands over to `new` at `at`.
    ///
    /// # Errors
    /// Where the names of the keys cannot stand in a note.
    pub fn sign(old: &NoteKey, new: &NoteKey, at: i64) -> Result<String, NoteError> {
        sign_note(&text(&old.vkey(), &new.vkey(), at), &[old, new])
    }

    /// Reads a note and checks both signatures. That says nothing yet of whether either key is
    /// to be believed.
    ///
    /// # Errors
    /// Where it is no such note, is written otherwise than it is made, or is not signed by both.
    pub fn open(note: &str) -> Result<Self, LogKeyError> {
        let malformed = LogKeyError::Malformed;
        let said = unverified_text(note).map_err(|_| malformed("it is not a signed note"))?;
        let lines: Vec<&str> = said.split_terminator('\n').collect();
        let [FORMAT, old, new, at] = lines[..] else {
            return Err(malformed("it is not of the form keyturn.log-key/v1"));
        };
        let key = |text| NoteVerifier::parse(text).map_err(|_| malformed("a key in it is none"));
        let (old, new) = (key(old)?, key(new)?);
        let at: i64 = at.parse().map_err(|_| malformed("the time in it is none"))?;
        if text(&old.vkey(), &new.vkey(), at) != said {
            return Err(malformed("it is not written as endorsements are"));
        }
        if old.name() != new.name() || old == new {
            return Err(malformed("it is not of two keys of the same name"));
        }
        // A line more would be bytes that nobody checks.
        if note.matches("\n\u{2014} ").count() != 2 {
            return Err(malformed("it is not signed by the two keys alone"));
        }
        for signer in [&old, &new] {
            open_note(note, std::slice::from_ref(signer))
                .map_err(|why| LogKeyError::NotSigned { key: new.vkey(), why })?;
        }
        Ok(Self { old, new, at })
    }
}

fn text(old: &str, new: &str, at: i64) -> String {
    format!("{FORMAT}\n{old}\n{new}\n{at}\n")
}

/// The keys that a list of endorsements, the oldest first, leads through: the first key, and each
/// that followed. There are none in an empty list.
///
/// # Errors
/// Where one is not signed by both its keys, or does not follow the one before it.
pub fn chain<S: AsRef<str>>(endorsements: &[S]) -> Result<Vec<NoteVerifier>, LogKeyError> {
    if endorsements.len() >= MAX_KEYS {
        return Err(LogKeyError::Malformed("there are too many"));
    }
    let mut keys: Vec<NoteVerifier> = Vec::new();
    for note in endorsements {
        let Endorsement { old, new, .. } = Endorsement::open(note.as_ref())?;
        match keys.last() {
            None => keys.push(old),
            Some(last) if *last == old => {}
            Some(_) => return Err(LogKeyError::Gap(new.vkey())),
        }
        if keys.contains(&new) {
            return Err(LogKeyError::Gap(new.vkey()));
        }
        keys.push(new);
    }
    Ok(keys)
}

/// The keys to believe, the current one first: the pinned ones where nothing was endorsed, or
/// else those that the endorsements lead through, of which one must be pinned.
///
/// # Errors
/// As [`chain`]; and where none of the keys is a pinned one.
pub fn trusted<S: AsRef<str>>(
    pinned: &[NoteVerifier],
    endorsements: &[S],
) -> Result<Vec<NoteVerifier>, LogKeyError> {
    let mut keys = chain(endorsements)?;
    let Some(newest) = keys.last().map(NoteVerifier::vkey) else { return Ok(pinned.to_vec()) };
    if !keys.iter().any(|key| pinned.contains(key)) {
        return Err(LogKeyError::NotTrusted(newest));
    }
    keys.reverse();
    Ok(keys)
}

/// The keys as they are published: `verifiers` the current one first, `endorsements` the oldest
/// first.
#[must_use]
pub fn to_lines(verifiers: &[NoteVerifier], endorsements: &[String]) -> String {
    let mut lines = String::new();
    for (at, key) in verifiers.iter().enumerate() {
        let word = if at == 0 { "" } else { "retired " };
        lines.push_str(&format!("{word}{}\n", key.vkey()));
    }
    for note in endorsements {
        lines.push_str(&format!("endorsement {}\n", STANDARD.encode(note)));
    }
    lines
}

/// The endorsements among the lines that [`to_lines`] writes. They are not checked.
#[must_use]
pub fn from_lines(lines: &str) -> Vec<String> {
    lines
        .lines()
        .filter_map(|line| line.strip_prefix("endorsement "))
        .filter_map(|text| STANDARD.decode(text).ok())
        .filter_map(|bytes| String::from_utf8(bytes).ok())
        .collect()
}

#[cfg(test)]
#[path = "log_keys_tests.rs"]
mod tests;
