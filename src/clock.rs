//! Time and randomness, handed in, so that tests can travel in time and repeat themselves.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use rand::{RngCore, SeedableRng, rngs::StdRng};

use crate::model::Micros;

/// Where "now" comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Micros;
}

/// Where randomness comes from.
pub trait Rng: Send + Sync + 'static {
    /// Fills `bytes` with random bytes fit for keys.
    fn fill(&self, bytes: &mut [u8]);

    /// A generator for one piece of work, for libraries that want one of their own.
    fn generator(&self) -> StdRng {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        StdRng::from_seed(seed)
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Micros {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| Micros::try_from(d.as_micros()).unwrap_or(Micros::MAX))
    }
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rngs::OsRng.fill_bytes(bytes);
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Micros) -> Self {
        Self(AtomicI64::new(now))
    }

    /// Moves the clock on by `by`.
    pub fn advance(&self, by: Micros) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

/// A generator that repeats itself for the same seed. For tests and seeded data only.
#[derive(Debug)]
pub struct SeededRng(Mutex<StdRng>);

impl SeededRng {
    /// A generator whose bytes follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Rng for SeededRng {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill_bytes(bytes);
    }
}

/// A fresh UUIDv7 (RFC 9562 section 5.7): ids sort by the time they were made.
#[must_use]
pub fn new_id(now: Micros, rng: &dyn Rng) -> String {
    let mut random = [0; 10];
    rng.fill(&mut random);
    let millis = u64::try_from(now / 1000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}

/// 32 random bytes in base64url: for links and credentials.
#[must_use]
pub fn new_token(rng: &dyn Rng) -> secrecy::SecretString {
    use base64::Engine;
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    rng.fill(bytes.as_mut());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.as_ref()).into()
}
