//! Which keys of an evidence file are believed.

use crate::proof::evidence::Evidence;
use crate::proof::log_keys;
use crate::proof::note::{NoteVerifier, open_note};

/// The keys that count: those of the file. With several, each must have endorsed the next. Where
/// any is pinned, one of them must be, and none that is pinned for these logs may be unknown to the
/// file: whoever stole a key that was retired since cannot deceive those who have the newer one,
/// also where they kept the older one beside it.
pub(crate) fn keys(
    evidence: &Evidence,
    pinned: &[NoteVerifier],
) -> Result<(Vec<NoteVerifier>, String), String> {
    let mut verifiers = Vec::new();
    for text in &evidence.keys {
        let key = NoteVerifier::parse(text).map_err(|e| format!("a key: {e}"))?;
        if key.vkey() != *text {
            return Err("a key is not written as keys are".to_owned());
        }
        verifiers.push(key);
    }
    let Some(newest) = verifiers.last().cloned() else {
        return Err("the file names no key".to_owned());
    };
    let mut chain = log_keys::chain(&evidence.endorsements).map_err(|e| e.to_string())?;
    if chain.is_empty() {
        chain.push(newest.clone());
    }
    if chain != verifiers {
        return Err("the file names keys that did not endorse one another".to_owned());
    }
    let first_pinned = verifiers.iter().find(|key| pinned.contains(key));
    if !pinned.is_empty() && first_pinned.is_none() {
        return Err(format!(
            "the file names a key that is not pinned, and that no pinned key endorsed: {}",
            newest.vkey()
        ));
    }
    let ours = |key: &&NoteVerifier| key.name() == newest.name();
    if let Some(unknown) = pinned.iter().filter(ours).find(|key| !verifiers.contains(key)) {
        return Err(format!(
            "the file does not know a key that is pinned for these logs: {}. It was made before \
             that key was, or by somebody who holds an older one: get the evidence anew",
            unknown.vkey()
        ));
    }
    let notes = evidence.platform.checkpoints.iter().chain(&evidence.org.checkpoints);
    let alone = std::slice::from_ref(&newest);
    if !notes.into_iter().any(|stage| open_note(&stage.note, alone).is_ok()) {
        return Err(format!("the file names a key that signed nothing: {}", newest.vkey()));
    }
    let names = |except: Option<&NoteVerifier>| {
        let others = verifiers.iter().filter(|key| Some(*key) != except);
        others.map(NoteVerifier::vkey).collect::<Vec<_>>().join(", ")
    };
    let said = match first_pinned {
        None => format!(
            "the file's own, and none is pinned, so that the file is held against itself only: {}",
            names(None)
        ),
        Some(pin) if verifiers.len() == 1 => format!("pinned: {}", pin.vkey()),
        Some(pin) => {
            format!("pinned: {}; linked to it by endorsements: {}", pin.vkey(), names(Some(pin)))
        }
    };
    Ok((verifiers, said))
}
