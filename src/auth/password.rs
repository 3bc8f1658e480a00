//! Passwords: argon2id with the parameters that OWASP recommends (19 MiB, 2 passes, 1 lane).

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

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

/// A password as it is stored: whoever has one in hand hashed it before a step began.
#[derive(Debug)]
pub struct Hashed(String);

impl Hashed {
    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hashes a password for storage. Takes tens of milliseconds of one core.
///
/// # Errors
/// Where it is too short or too long.
pub fn hash(password: &SecretString, rng: &dyn Rng) -> Result<Hashed, PasswordError> {
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
    let hash = argon2().hash_password(text.as_bytes(), &salt).map_err(|_| PasswordError::Hash)?;
    Ok(Hashed(hash.to_string()))
}

/// Whether `password` is the one that was hashed. Without a hash (no such account) it works as
/// long, so that the time it takes does not tell which accounts exist.
#[must_use]
pub fn verify(password: &SecretString, hash: Option<&str>) -> bool {
    verify_in(&mut Vec::new(), password, hash)
}

/// [`verify`], in memory that is used again.
fn verify_in(memory: &mut Vec<Block>, password: &SecretString, hash: Option<&str>) -> bool {
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let known = hash.is_some();
    let matches = PasswordHash::new(hash.unwrap_or(NOBODY))
        .is_ok_and(|parsed| same(memory, password, &parsed).unwrap_or(false));
    known && matches
}

fn same(
    memory: &mut Vec<Block>,
    password: &SecretString,
    stored: &PasswordHash<'_>,
) -> Result<bool, argon2::password_hash::Error> {
    let text = password.expose_secret();
    let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else { return Ok(false) };
    if text.len() > 1000 {
        return Ok(false);
    }
    let params = Params::try_from(stored)?;
    let version = stored.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let algorithm = Algorithm::try_from(stored.algorithm)?;
    let mut salt_bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut salt_bytes)?;
    let mut found = Zeroizing::new(vec![0; expected.len()]);
    memory.resize(params.block_count(), Block::new());
    let hashed = Argon2::new(algorithm, version, params).hash_password_into_with_memory(
        text.as_bytes(),
        salt,
        &mut found,
        memory.as_mut_slice(),
    );
    hashed.map_err(|_| argon2::password_hash::Error::Crypto)?;
    Ok(found.as_slice().ct_eq(expected.as_bytes()).into())
}

/// The memory of checks, each 19 MiB: as much of it as there are turns, for as long as the server
/// runs. Given back and taken anew for each check it would be taken from ever more places.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

fn memory<T>(look: impl FnOnce(&mut Vec<Vec<Block>>) -> T) -> T {
    // Nothing is left half-done where somebody panicked: it is a list.
    look(&mut MEMORY.lock().unwrap_or_else(PoisonError::into_inner))
}

/// As many passwords are checked at once as there are cores, up to three: more would not be done
/// sooner, or take too much memory.
static AT_ONCE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(cores.clamp(1, 3)))
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
        let mut own = memory(Vec::pop).unwrap_or_default();
        let right = verify_in(&mut own, &password, hash.as_deref());
        memory(|all| all.push(own));
        // Kept until it is done, also where nobody waits for it any more.
        drop(turn);
        right
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
        let stored = stored.as_str();
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify(&password, Some(stored)));
        assert!(!verify(&"correct horse batterz".into(), Some(stored)));
        assert!(!verify(&password, None));
        assert!(!verify(&password, Some("nonsense")));
    }

    /// Protects accounts whose hash was made with other parameters: memory that is used again has
    /// what another check left in it.
    #[test]
    fn memory_that_was_used_before_makes_no_difference() {
        use argon2::password_hash::PasswordVerifier as _;
        let password = SecretString::from("correct horse battery");
        let salt = SaltString::encode_b64(&[7; 16]).unwrap();
        let mut memory = Vec::new();
        for (kib, passes, version) in
            [(64, 1, Version::V0x10), (19_456, 2, Version::V0x13), (64, 3, Version::V0x13)]
        {
            for algorithm in [Algorithm::Argon2id, Algorithm::Argon2i, Algorithm::Argon2d] {
                let params = Params::new(kib, passes, 1, Some(24)).unwrap();
                let made = Argon2::new(algorithm, version, params);
                let stored = made.hash_password(b"correct horse battery", &salt).unwrap();
                assert!(made.verify_password(b"correct horse battery", &stored).is_ok());
                let text = stored.to_string();
                assert!(verify_in(&mut memory, &password, Some(&text)), "{text}");
                assert!(!verify_in(&mut memory, &"another password".into(), Some(&text)), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn checks_share_the_memory_of_a_few() {
        let checks = (0..24).map(|_| verify_apart("a wrong password".into(), None));
        for right in futures::future::join_all(checks).await {
            assert!(!right.unwrap());
        }
        assert!(memory(|all| all.len()) <= 3);
    }

    #[test]
    fn short_passwords_are_refused() {
        assert!(matches!(
            hash(&"fourteen chars".into(), &SeededRng::new(1)),
            Err(PasswordError::TooShort)
        ));
    }
}
