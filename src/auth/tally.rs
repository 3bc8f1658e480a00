//! What nobody has to sign in for, and what the log is to say all the same: a row for a source and
//! a minute, with a count, written once the minute is over. A request writes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{Micros, time};

/// How many sources a minute has. The others are one together: the log must not grow by as many
/// rows as somebody has addresses.
const SOURCES: usize = 64;

/// The source of what is counted together beyond that.
pub const OTHERS: &str = "others";

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct What {
    /// The action of its row.
    pub action: &'static str,
    /// In which way it was tried.
    pub how: &'static str,
    /// The account, where it is one that there is.
    pub account: Option<String>,
    /// The network that it came from.
    pub source: String,
}

/// The counts of the minutes that are not written yet.
#[derive(Debug, Default)]
pub struct Tally(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    minutes: BTreeMap<Micros, BTreeMap<What, i64>>,
    /// How many rows each account has in this minute.
    of_account: (Micros, HashMap<String, u32>),
}

/// One that is to be written: what, in the minute that began when, and how often.
pub type Sum = (What, Micros, i64);

/// How many rows of its own an account has in a minute.
const ROWS_OF_ACCOUNT: u32 = 10;

fn minute(now: Micros) -> Micros {
    now - now.rem_euclid(time::MINUTE)
}

impl Tally {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half-done where somebody panicked: these are numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts something.
    pub fn note(&self, what: What, now: Micros) {
        self.state().add(what, minute(now), 1);
    }

    /// Whether what happens to an account that there is has a row of its own: the first ones of a
    /// minute have.
    pub fn has_a_row(&self, account: &str, now: Micros) -> bool {
        let mut state = self.state();
        if state.of_account.0 != minute(now) {
            state.of_account = (minute(now), HashMap::new());
        }
        let rows = state.of_account.1.entry(account.to_owned()).or_default();
        *rows += 1;
        *rows <= ROWS_OF_ACCOUNT
    }

    /// What is to be written by now: all of it where the server stops.
    pub fn due(&self, now: Micros, stopping: bool) -> Vec<Sum> {
        let mut state = self.state();
        let open = if stopping { BTreeMap::new() } else { state.minutes.split_off(&minute(now)) };
        let due = std::mem::replace(&mut state.minutes, open);
        due.into_iter()
            .flat_map(|(at, counts)| counts.into_iter().map(move |(what, n)| (what, at, n)))
            .collect()
    }

    /// Takes back what could not be written.
    pub fn not_written(&self, sums: Vec<Sum>) {
        let mut state = self.state();
        for (what, at, count) in sums {
            state.add(what, at, count);
        }
    }
}

impl State {
    fn add(&mut self, mut what: What, at: Micros, count: i64) {
        let counts = self.minutes.entry(at).or_default();
        if counts.len() >= SOURCES && !counts.contains_key(&what) {
            (what.source, what.account) = (OTHERS.to_owned(), None);
        }
        *counts.entry(what).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(source: &str) -> What {
        What { action: "a", how: "h", account: None, source: source.to_owned() }
    }

    #[test]
    fn a_minute_is_due_once_it_is_over_and_all_of_it_at_the_end() {
        let tally = Tally::default();
        for at in [0, 1, time::MINUTE - 1, time::MINUTE] {
            tally.note(what("192.0.2.1"), at);
        }
        assert!(tally.due(time::MINUTE - 1, false).is_empty());
        let due = tally.due(time::MINUTE + 5, false);
        assert_eq!(due, [(what("192.0.2.1"), 0, 3)]);
        tally.not_written(due);
        assert_eq!(tally.due(time::MINUTE + 6, true).len(), 2);
        assert!(tally.due(i64::MAX - time::MINUTE, true).is_empty());
    }

    /// Protects the log, and the memory, from a flood from many addresses.
    #[test]
    fn beyond_so_many_sources_the_others_are_one() {
        let tally = Tally::default();
        for n in 0..10_000 {
            tally.note(what(&format!("198.51.{}.{}", n / 250, n % 250)), 5);
        }
        let due = tally.due(time::MINUTE, false);
        assert_eq!(due.len(), SOURCES + 1);
        assert_eq!(due.iter().map(|(_, _, n)| n).sum::<i64>(), 10_000);
        assert!(due.iter().any(|(what, _, n)| what.source == OTHERS && *n == 10_000 - 64));
    }

    #[test]
    fn an_account_has_a_few_rows_of_its_own_in_a_minute() {
        let tally = Tally::default();
        let rows = (0..50).filter(|_| tally.has_a_row("ada", 7)).count();
        assert_eq!(rows, 10);
        assert!(tally.has_a_row("ines", 8) && tally.has_a_row("ada", time::MINUTE));
    }
}
