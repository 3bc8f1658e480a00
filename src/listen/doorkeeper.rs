//! Who is let in, and who has to leave for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::subscriber;
use crate::config::limits::Limits;
use crate::config::proxies::Proxies;

/// Knows every connection of a listener.
#[derive(Debug)]
pub struct Doorkeeper {
    limits: Limits,
    proxies: Proxies,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts whatever happens: what is smaller was earlier.
    next: u64,
    held: HashMap<u64, Held>,
    per_client: HashMap<IpAddr, usize>,
    refused: u64,
}

#[derive(Debug)]
struct Held {
    client: IpAddr,
    /// How many requests on it are being answered.
    answering: usize,
    /// Since when none is.
    waiting_since: u64,
    leave: oneshot::Sender<()>,
}

/// A place inside, until it is dropped.
#[derive(Debug)]
pub struct Place {
    door: Arc<Doorkeeper>,
    id: u64,
}

/// A request that is being answered, until it is dropped: who has one is not sent away.
#[derive(Debug)]
pub struct Answering(Arc<Place>);

impl Doorkeeper {
    /// With these limits. A connection of a proxy is many clients': of those there is no limit but
    /// the one for all.
    #[must_use]
    pub fn new(limits: Limits, proxies: Proxies) -> Arc<Self> {
        Arc::new(Self { limits, proxies, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half-done where somebody panicked: these are maps and numbers.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection in, and tells with it when it has to leave. Nothing where every other one
    /// is being answered.
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<(Arc<Place>, oneshot::Receiver<()>)> {
        let client = subscriber(peer);
        let many = self.proxies.speaks_for_others(peer);
        let mut state = self.state();
        let of_client = state.per_client.get(&client).copied().unwrap_or(0);
        let room = (many
            || of_client < self.limits.per_client
            || state.send_away(|held| held.client == client))
            && (state.held.len() < self.limits.connections || state.send_greediest_away());
        if !room {
            state.refused += 1;
            // Now and then: whoever fills the listener must not fill the log as well.
            if state.refused.is_power_of_two() {
                tracing::warn!(refused = state.refused, "too many connections are in use");
            }
            return None;
        }
        let (leave, told) = oneshot::channel();
        state.next += 1;
        let id = state.next;
        state.held.insert(id, Held { client, answering: 0, waiting_since: id, leave });
        *state.per_client.entry(client).or_default() += 1;
        Some((Arc::new(Place { door: self.clone(), id }), told))
    }

    /// How many connections there are.
    #[must_use]
    pub fn held(&self) -> usize {
        self.state().held.len()
    }
}

impl State {
    /// Sends the one away that has waited longest, of those in question. False where there is none.
    fn send_away(&mut self, in_question: impl Fn(&Held) -> bool) -> bool {
        let waiting = self.held.iter().filter(|(_, held)| held.answering == 0 && in_question(held));
        let longest = waiting.min_by_key(|(_, held)| held.waiting_since).map(|(&id, _)| id);
        let Some(held) = longest.and_then(|id| self.remove(id)) else { return false };
        // Where nobody listens any more it is on its way out already.
        held.leave.send(()).ok();
        true
    }

    /// Sends one away of the client that has most connections on which nothing is asked.
    fn send_greediest_away(&mut self) -> bool {
        let mut waiting: HashMap<IpAddr, (usize, u64)> = HashMap::new();
        for held in self.held.values().filter(|held| held.answering == 0) {
            let (count, since) = waiting.entry(held.client).or_insert((0, u64::MAX));
            *count += 1;
            *since = held.waiting_since.min(*since);
        }
        let most = waiting
            .iter()
            .max_by_key(|(_, (count, since))| (*count, std::cmp::Reverse(*since)))
            .map(|(&client, _)| client);
        most.is_some_and(|client| self.send_away(|held| held.client == client))
    }

    fn remove(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        if let Some(count) = self.per_client.get_mut(&held.client) {
            *count -= 1;
            if *count == 0 {
                self.per_client.remove(&held.client);
            }
        }
        Some(held)
    }
}

impl Place {
    /// Notes that a request is being answered.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        if let Some(held) = self.door.state().held.get_mut(&self.id) {
            held.answering += 1;
        }
        Answering(self.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.door.state();
        state.next += 1;
        let now = state.next;
        if let Some(held) = state.held.get_mut(&self.0.id) {
            held.answering -= 1;
            held.waiting_since = now;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.state().remove(self.id);
    }
}
