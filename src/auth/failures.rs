//! Failed sign-ins of late, as this instance saw them: in memory, since whoever guesses must not
//! make the database write. What other instances saw comes from the database, a few seconds later.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::throttle::{self, WINDOW};
use crate::model::Micros;
use crate::store::sign_ins::{Counted, Failures};

/// How many pairs and networks are remembered; whichever failed longest ago goes first.
const MOST: usize = 20_000;

/// More failures of one pair, or of one network, make no difference.
const NEWEST: usize = 64;

/// Where an attempt comes from, as far as failures count together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A network from which nobody has signed in to this account with this browser before.
    Network(String),
    /// A browser that has signed in to this account before, by the hash of what its cookie holds;
    /// or a session that is signed in. What others do in the same network does not count for it.
    Known(String),
}

impl Source {
    /// As text, for the database.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Source::Network(network) => network.clone(),
            Source::Known(hash) => format!("known:{hash}"),
        }
    }

    const fn network(&self) -> Option<&String> {
        match self {
            Source::Network(network) => Some(network),
            Source::Known(_) => None,
        }
    }
}

type Pair = (String, Source);

/// The failures of this instance.
#[derive(Debug, Default)]
pub struct Recent(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pairs: HashMap<Pair, VecDeque<Micros>>,
    networks: HashMap<String, VecDeque<Micros>>,
    /// What changed since the database was told.
    changed: HashSet<Pair>,
}

impl Recent {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half-done where somebody panicked: each entry stands by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long an attempt has to wait; `others` is what other instances saw.
    pub fn wait(
        &self,
        account: &str,
        source: &Source,
        others: Failures,
        now: Micros,
    ) -> Option<Micros> {
        self.state().wait(&(account.to_owned(), source.clone()), others, now)
    }

    /// Notes a failure, unless the attempt has to wait by now: guesses that were checked side by
    /// side count one after the other.
    ///
    /// # Errors
    /// How long the attempt has to wait.
    pub fn fail(
        &self,
        account: &str,
        source: &Source,
        others: Failures,
        now: Micros,
    ) -> Result<(), Micros> {
        let pair = (account.to_owned(), source.clone());
        let mut state = self.state();
        if let Some(pause) = state.wait(&pair, others, now) {
            return Err(pause);
        }
        if let Some(network) = source.network() {
            push(&mut state.networks, network.clone(), now);
        }
        push(&mut state.pairs, pair.clone(), now);
        state.changed.insert(pair);
        Ok(())
    }

    /// Forgets the failures of an account from where it has signed in.
    pub fn forget(&self, account: &str, source: &Source) {
        let pair = (account.to_owned(), source.clone());
        let mut state = self.state();
        state.pairs.remove(&pair);
        state.changed.remove(&pair);
    }

    /// What the database is to be told, and no more than is remembered.
    pub fn changed(&self, now: Micros) -> Vec<Counted> {
        let mut state = self.state();
        let changed = std::mem::take(&mut state.changed);
        state.tidy(now);
        let counted = changed.into_iter().filter_map(|pair| {
            let times = state.pairs.get(&pair)?;
            Some(Counted {
                account: pair.0,
                source: pair.1.text(),
                count: i64::try_from(times.len()).unwrap_or(i64::MAX),
                last_at: times.back().copied()?,
            })
        });
        counted.collect()
    }

    /// Takes back what the database was not told after all.
    pub fn not_told(&self, counted: Vec<Counted>) {
        let mut state = self.state();
        for one in counted {
            let source = match one.source.strip_prefix("known:") {
                Some(hash) => Source::Known(hash.to_owned()),
                None => Source::Network(one.source),
            };
            state.changed.insert((one.account, source));
        }
    }
}

fn push<K: std::hash::Hash + Eq + Clone>(
    all: &mut HashMap<K, VecDeque<Micros>>,
    key: K,
    now: Micros,
) {
    if all.len() >= MOST && !all.contains_key(&key) {
        let oldest = all.iter().min_by_key(|(_, times)| times.back().copied());
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            all.remove(&oldest);
        }
    }
    let times = all.entry(key).or_default();
    times.push_back(now);
    while times.len() > NEWEST {
        times.pop_front();
    }
}

impl State {
    fn wait(&self, pair: &Pair, others: Failures, now: Micros) -> Option<Micros> {
        let count = |times: Option<&VecDeque<Micros>>| {
            let recent = times.into_iter().flatten().filter(|at| **at > now - WINDOW);
            let (count, last) =
                recent.fold((0, None), |(n, last), at| (n + 1, last.max(Some(*at))));
            (count, last)
        };
        let (by_pair, pair_last) = count(self.pairs.get(pair));
        let (by_network, network_last) =
            count(pair.1.network().and_then(|network| self.networks.get(network)));
        let mut all = Failures {
            by_pair: by_pair + others.by_pair,
            pair_last: pair_last.max(others.pair_last),
            ..Failures::default()
        };
        if pair.1.network().is_some() {
            all.by_network = by_network + others.by_network;
            all.network_last = network_last.max(others.network_last);
        }
        throttle::wait(&all, now)
    }

    fn tidy(&mut self, now: Micros) {
        let recent =
            |times: &VecDeque<Micros>| times.back().is_some_and(|last| *last > now - WINDOW);
        self.pairs.retain(|_, times| recent(times));
        self.networks.retain(|_, times| recent(times));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time;

    fn network(n: usize) -> Source {
        Source::Network(format!("198.51.{}.{}", n / 256, n % 256))
    }

    #[test]
    fn a_known_browser_has_a_count_of_its_own() {
        let recent = Recent::default();
        let none = Failures::default();
        for n in 0..60 {
            recent.fail(&format!("account-{n}"), &network(1), none, 1).ok();
        }
        assert!(recent.wait("ada", &network(1), none, 2).is_some(), "the network is slowed");
        let known = Source::Known("h".to_owned());
        assert_eq!(recent.wait("ada", &known, none, 2), None);
        for _ in 0..5 {
            recent.fail("ada", &known, none, 2).unwrap();
        }
        assert!(recent.fail("ada", &known, none, 2).is_err(), "guessing is slow here as well");
        assert_eq!(recent.wait("ada", &network(2), none, 2), None);
        recent.forget("ada", &known);
        assert_eq!(recent.wait("ada", &known, none, 2), None);
    }

    #[test]
    fn what_others_saw_counts_too_and_nothing_for_ever() {
        let recent = Recent::default();
        for _ in 0..3 {
            recent.fail("ada", &network(1), Failures::default(), 5).unwrap();
        }
        let others = Failures { by_pair: 2, pair_last: Some(6), ..Failures::default() };
        assert!(recent.wait("ada", &network(1), others, 7).is_some());
        assert_eq!(recent.wait("ada", &network(1), Failures::default(), 7), None);
        let told = recent.changed(7);
        assert_eq!((told.len(), told[0].count, told[0].last_at), (1, 3, 5));
        assert!(recent.changed(7).is_empty(), "once");
        recent.not_told(told);
        assert_eq!(recent.changed(8).len(), 1);
        recent.changed(6 + WINDOW);
        assert!(recent.state().pairs.is_empty() && recent.state().networks.is_empty());
    }

    /// Protects the memory from whoever comes from ever more addresses.
    #[test]
    fn only_so_many_are_remembered() {
        let recent = Recent::default();
        for n in 0..MOST + 50 {
            let at = i64::try_from(n).unwrap() + time::SECOND;
            recent.fail("nobody", &network(n), Failures::default(), at).unwrap();
            if n % 1000 == 0 {
                recent.changed(at);
            }
        }
        assert!(recent.state().pairs.len() <= MOST && recent.state().networks.len() <= MOST);
    }
}
