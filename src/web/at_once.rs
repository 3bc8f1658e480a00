//! What each client and each person may have under way at once, at this instance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::desk::StepError;
use crate::listen::{Limits, Times};

/// What takes long, or goes on for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Long {
    /// A timeline that watches for new rows.
    Stream,
    /// A file of rows, or evidence.
    Export,
    /// A verification of logs.
    Verification,
    /// What an auditor's program reads of a log.
    Tiles,
}

impl Long {
    /// How many of it one person may have under way.
    #[must_use]
    pub const fn most(self) -> usize {
        match self {
            Long::Stream | Long::Tiles => 8,
            Long::Export => 2,
            Long::Verification => 1,
        }
    }

    /// Why there is no other one, and when to try again, in seconds.
    const fn refusal(self) -> (&'static str, i64) {
        match self {
            Long::Stream => ("You watch 8 timelines already: close one of them.", 60),
            Long::Export => ("Two exports of yours are under way: wait until one is done.", 10),
            Long::Verification => {
                ("A verification of yours is under way: wait until it is done.", 30)
            }
            Long::Tiles => ("Eight requests with this credential are under way: wait for one.", 1),
        }
    }
}

/// The counts, and the limits that are settings.
#[derive(Debug, Default)]
pub struct AtOnce {
    /// Connections and requests.
    pub limits: Limits,
    /// How long somebody has for a request.
    pub times: Times,
    people: Arc<People>,
}

#[derive(Debug, Default)]
struct People(Mutex<HashMap<(Long, String), usize>>);

impl People {
    fn counts(&self) -> MutexGuard<'_, HashMap<(Long, String), usize>> {
        // Nothing is left half-done where somebody panicked: it is a map of numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is under way, until it is dropped.
#[derive(Debug)]
pub struct UnderWay {
    people: Arc<People>,
    what: (Long, String),
}

impl AtOnce {
    /// With these limits.
    #[must_use]
    pub fn new(limits: Limits, times: Times) -> Self {
        Self { limits, times, people: Arc::default() }
    }

    /// Begins something in a person's name.
    ///
    /// # Errors
    /// [`StepError::TooMany`] where they have as much of it under way as one may.
    pub fn begin(&self, what: Long, person: &str) -> Result<UnderWay, StepError> {
        let what = (what, person.to_owned());
        let mut counts = self.people.counts();
        let count = counts.entry(what.clone()).or_default();
        if *count >= what.0.most() {
            let (why, wait) = what.0.refusal();
            return Err(StepError::TooMany(why, wait));
        }
        *count += 1;
        Ok(UnderWay { people: self.people.clone(), what })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut counts = self.people.counts();
        if let Some(count) = counts.get_mut(&self.what) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_has_a_few_of_each_and_gets_the_place_back() {
        let all = AtOnce::default();
        let exports: Vec<_> = (0..2).map(|_| all.begin(Long::Export, "ada").unwrap()).collect();
        assert!(matches!(all.begin(Long::Export, "ada"), Err(StepError::TooMany(_, 10))));
        let others = (all.begin(Long::Export, "cleo"), all.begin(Long::Stream, "ada"));
        assert!(others.0.is_ok() && others.1.is_ok());
        drop(exports);
        assert!(all.begin(Long::Export, "ada").is_ok());
        drop(others);
        assert!(all.people.counts().is_empty(), "nothing is kept of who has gone");
    }
}
