//! Who waits for a password to be checked: only so many, and only a few from one network. Who is
//! known waits in a line of their own, so that strangers do not fill it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::failures::Source;

/// How many strangers wait or are being checked. That is two seconds' work for two cores.
const STRANGERS: usize = 64;
/// How many of one network.
const OF_ONE_NETWORK: usize = 16;
/// How many known browsers and sessions.
const KNOWN: usize = 64;

/// The lines.
#[derive(Debug, Clone, Default)]
pub struct Queue(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    strangers: usize,
    known: usize,
    of_each: HashMap<Source, usize>,
}

/// A place in a line, until it is dropped.
#[derive(Debug)]
pub struct Waiting {
    queue: Queue,
    source: Source,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half-done where somebody panicked: these are numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place; nothing where the line is full.
    #[must_use]
    pub fn wait(&self, source: &Source) -> Option<Waiting> {
        let mut state = self.state();
        let of_this = state.of_each.get(source).copied().unwrap_or(0);
        let known = matches!(source, Source::Known(_));
        let (count, most) = if known { (state.known, KNOWN) } else { (state.strangers, STRANGERS) };
        if count >= most || of_this >= OF_ONE_NETWORK {
            return None;
        }
        *(if known { &mut state.known } else { &mut state.strangers }) += 1;
        *state.of_each.entry(source.clone()).or_default() += 1;
        Some(Waiting { queue: self.clone(), source: source.clone() })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        match self.source {
            Source::Known(_) => state.known -= 1,
            Source::Network(_) => state.strangers -= 1,
        }
        if let Some(count) = state.of_each.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                state.of_each.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_fill_their_own_line_only_and_one_network_not_even_that() {
        let queue = Queue::default();
        let network = |n: usize| Source::Network(format!("192.0.2.{n}"));
        let mut waiting: Vec<_> = (0..16).map(|_| queue.wait(&network(0)).unwrap()).collect();
        assert!(queue.wait(&network(0)).is_none());
        waiting.extend((16..64).map(|n| queue.wait(&network(n)).unwrap()));
        assert!(queue.wait(&network(100)).is_none(), "the line is full");
        let known = Source::Known("h".to_owned());
        assert!(queue.wait(&known).is_some());
        waiting.pop();
        assert!(queue.wait(&network(100)).is_some());
        drop(waiting);
        assert!(queue.state().of_each.is_empty());
    }
}
