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
/// [`KeyProblem`] where one of them cannot be read.
pub fn renewal(on_file: &str, copy: &str) -> Result<Renewal, KeyProblem> {
    let old: Arc<Verified> = kept::verified(on_file)?;
    let new = kept::verified(copy)?;
    let Some(both) = Verified::clone(&old).with(&new) else {
        return Ok(Renewal::Another);
    };
    if both.says_what(&old) {
        return Ok(Renewal::NothingNew);
    }
    // Of what was just read; a failure to write it is none that anybody could mend.
    both.to_armored().map(Renewal::Renewed).map_err(|_| KeyProblem::Unreadable)
}
