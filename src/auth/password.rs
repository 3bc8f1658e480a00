//! Passwords: argon2id with the parameters that OWASP recommends (19 MiB, 2 passes, 1 lane).

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::clock::Rng;

/// The shortest password that is taken (NIST SP 800-63B asks for 15 where it stands alone).
pub const MIN_LENGTH: usize = 15;

/// Why a password is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("a password has at least {MIN_LENGTH} characters")]
    TooShort,
    /// Too long to hash with care.
    #[error("a password has at most 1,000 characters")]
    TooLong,
    /// The hash could not be made.
    #[error("the password could not be hashed")]
    Hash,
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// Hashes a password for storage. Takes tens of milliseconds of one core.
///
/// # Errors
/// Where it is too short or too long.
pub fn hash(password: &SecretString, rng: &dyn Rng) -> Result<String, PasswordError> {
    let text = password.expose_secret();
    if text.chars().count() < MIN_LENGTH {
        return Err(PasswordError::TooShort);
    }
    if text.len() > 1000 {
        return Err(PasswordError::TooLong);
    }
    let mut salt = [0; 16];
    rng.fill(&mut salt);
    let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Hash)?;
    Ok(argon2().hash_password(text.as_bytes(), &salt).map_err(|_| PasswordError::Hash)?.to_string())
}

/// Whether `password` is the one that was hashed. Without a hash (no such account) it works as
/// long, so that the time it takes does not tell which accounts exist.
#[must_use]
pub fn verify(password: &SecretString, hash: Option<&str>) -> bool {
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let text = password.expose_secret();
    let known = hash.is_some();
    let matches = PasswordHash::new(hash.unwrap_or(NOBODY)).is_ok_and(|parsed| {
        text.len() <= 1000 && argon2().verify_password(text.as_bytes(), &parsed).is_ok()
    });
    known && matches
}

/// As many passwords are checked at once as there are cores: more would not be done sooner, and
/// each takes 19 MiB.
static AT_ONCE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(cores))
});

/// How long a check waits for its turn, in seconds; and whoever is told so, for the next attempt.
pub const WAIT_S: i64 = 10;

/// Why a password was not checked.
#[derive(Debug, thiserror::Error)]
pub enum Unchecked {
    /// Too many others wait.
    #[error("too many passwords are being checked")]
    Busy,
    /// The thread that did it is gone.
    #[error("{0}")]
    Lost(#[from] tokio::task::JoinError),
}

/// [`verify`], on a thread that serves no requests, once it has a turn.
///
/// # Errors
/// Where it was not checked; it is then not known to be right.
pub async fn verify_apart(password: SecretString, hash: Option<String>) -> Result<bool, Unchecked> {
    let turn = AT_ONCE.clone().acquire_owned();
    let turn = tokio::time::timeout(Duration::from_secs(WAIT_S.unsigned_abs()), turn).await;
    let Ok(Ok(turn)) = turn else { return Err(Unchecked::Busy) };
    let checked = tokio::task::spawn_blocking(move || {
        // Kept until it is done, also where nobody waits for it any more.
        let _turn = turn;
        verify(&password, hash.as_deref())
    });
    Ok(checked.await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRng;

    #[test]
    fn only_the_password_itself_is_accepted_and_nobody_has_none() {
        let rng = SeededRng::new(1);
        let password = SecretString::from("correct horse battery");
        let stored = hash(&password, &rng).unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify(&password, Some(&stored)));
        assert!(!verify(&"correct horse batterz".into(), Some(&stored)));
        assert!(!verify(&password, None));
        assert!(!verify(&password, Some("nonsense")));
    }

    #[test]
    fn short_passwords_are_refused() {
        assert!(matches!(
            hash(&"fourteen chars".into(), &SeededRng::new(1)),
            Err(PasswordError::TooShort)
        ));
    }
}
