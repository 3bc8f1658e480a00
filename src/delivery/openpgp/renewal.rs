//! Holding a copy of a key against the one on file.

use std::sync::Arc;

use super::kept;
use super::problem::KeyProblem;
use super::verified::Verified;

/// What became of a key on file by another copy of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// It is another key.
    Another,
    /// The copy says nothing new: it is the same, or older.
    NothingNew,
    /// The copy says more. The key with what both say, ASCII-armored.
    Renewed(String),
}

/// Holds a copy of a key against the one on file. Of the same key the two are put together: all
/// that the key has signed itself counts, and the newest of it. So a copy that lacks a revocation,
/// a subkey or the last extension takes nothing away.
///
/// # Errors
/// [`KeyProblem`] where one of them cannot be read, where the copy holds a revocation that may not
/// be genuine, or where both together are more than a key on file may be: what is on file stays.
pub fn renewal(on_file: &str, copy: &str) -> Result<Renewal, KeyProblem> {
    let old: Arc<Verified> = kept::verified(on_file)?;
    let new = kept::verified(copy)?;
    let Some(both) = Verified::clone(&old).with(&new) else {
        return Ok(Renewal::Another);
    };
    if old.lacks_a_claim_of(&new) {
        return Err(KeyProblem::PerhapsRevoked);
    }
    if both.says_what(&old) {
        return Ok(Renewal::NothingNew);
    }
    // Of what was just read; a failure to write it is none that anybody could mend.
    let text = both.to_armored().map_err(|_| KeyProblem::Unreadable)?;
    kept::verified(&text)?;
    Ok(Renewal::Renewed(text))
}
