//! The strips above the timeline are counted in the background: a page waits for its strip a
//! moment, and no longer. To count is to read every row that matches, and whoever asks for many
//! strips must not keep anybody waiting, not even themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::AuditError;
use super::density::{Counted, Density, count};
use crate::model::Micros;
use crate::store::Store;
use crate::store::timeline::Filter;

/// How long a page waits for its strip.
const PATIENCE: Duration = Duration::from_millis(6);

/// How many strips are counted at once.
const AT_ONCE: usize = 2;

/// How many may wait for their turn besides; what is asked for beyond them is asked for again by
/// whoever still wants it.
const WAITING: usize = 32;

/// How many strips are kept.
const STRIPS: usize = 512;

/// What took longer is not counted anew as soon as it could be.
const LONG: Duration = Duration::from_millis(200);

/// What there is of a strip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strip {
    /// There is nothing to count.
    Nothing,
    /// It is counted.
    Counted(Density),
    /// It is being counted; here is what was counted last, where anything was.
    Counting(Option<Density>),
}

/// Whatever was counted, and what is being counted. All clones are of the same.
#[derive(Debug, Clone)]
pub struct Strips(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    patience: Duration,
    turns: Semaphore,
    kept: Mutex<HashMap<String, Kept>>,
    under_way: Mutex<HashMap<String, watch::Receiver<Outcome>>>,
}

/// What was counted, and what that cost.
#[derive(Debug, Clone)]
struct Kept {
    counted: Counted,
    took: Duration,
    done: Instant,
}

/// What a count came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    NotYet,
    Nothing,
    Counted(Density),
}

/// A strip that was asked for.
#[derive(Debug)]
pub struct Asked {
    begun: Instant,
    patience: Duration,
    outcome: Option<watch::Receiver<Outcome>>,
    last: Option<Density>,
    /// Whether the last one is to do for now.
    rests: bool,
}

impl Default for Strips {
    fn default() -> Self {
        Self::patient(PATIENCE)
    }
}

impl Strips {
    /// Strips for which a page waits so long.
    #[must_use]
    pub fn patient(patience: Duration) -> Self {
        Self(Arc::new(Shared {
            patience,
            turns: Semaphore::new(AT_ONCE),
            kept: Mutex::default(),
            under_way: Mutex::default(),
        }))
    }

    /// Asks for the strip of a filter, whose one fixed form is `name`. It is counted from now on,
    /// whether anybody waits for it or not, through a connection of its own; what is being counted
    /// is not begun a second time.
    #[must_use]
    pub fn ask(&self, store: &Store, name: &str, filter: &Filter, now: Micros) -> Asked {
        let before = lock(&self.0.kept).get(name).cloned();
        let mut asked = Asked {
            begun: Instant::now(),
            patience: self.0.patience,
            outcome: None,
            last: before.as_ref().map(|kept| kept.counted.density.clone()),
            rests: false,
        };
        let mut under_way = lock(&self.0.under_way);
        if let Some(outcome) = under_way.get(name) {
            asked.outcome = Some(outcome.clone());
            return asked;
        }
        // What is judged is counted anew whenever any trail was: on a busy platform that is always.
        if filter.is_judged() && before.as_ref().is_some_and(Kept::rests) {
            asked.rests = true;
            return asked;
        }
        if under_way.len() >= AT_ONCE + WAITING {
            return asked;
        }
        let (told, outcome) = watch::channel(Outcome::NotYet);
        under_way.insert(name.to_owned(), outcome.clone());
        drop(under_way);
        let turn = UnderWay { shared: self.0.clone(), name: name.to_owned() };
        tokio::spawn(run(turn, store.clone(), filter.clone(), before, now, told));
        asked.outcome = Some(outcome);
        asked
    }

    /// Takes every turn there is, so that nothing is counted until they are given back.
    #[cfg(test)]
    pub(crate) async fn hold(&self) -> tokio::sync::SemaphorePermit<'_> {
        let all = u32::try_from(AT_ONCE).unwrap();
        self.0.turns.acquire_many(all).await.unwrap()
    }

    /// How many are being counted, or wait for it.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        lock(&self.0.under_way).len()
    }
}

impl Asked {
    /// What there is of it, once it is there or patience is at its end.
    pub async fn strip(self) -> Strip {
        let patience = self.patience;
        self.within(patience).await
    }

    /// The same with another patience, counted from when it was asked for.
    pub async fn within(self, patience: Duration) -> Strip {
        let Self { begun, outcome, last, rests, .. } = self;
        if let Some(mut outcome) = outcome {
            let over = outcome.wait_for(|outcome| *outcome != Outcome::NotYet);
            let found = tokio::time::timeout_at((begun + patience).into(), over).await;
            // Neither in time, nor where it was given up.
            match found.ok().and_then(Result::ok).as_deref() {
                Some(Outcome::Nothing) => return Strip::Nothing,
                Some(Outcome::Counted(density)) => return Strip::Counted(density.clone()),
                Some(Outcome::NotYet) | None => {}
            }
        }
        match last {
            Some(last) if rests => Strip::Counted(last),
            last => Strip::Counting(last),
        }
    }
}

impl Kept {
    /// Whether it cost so much that it is not to be counted anew yet: at most a tenth of the time
    /// goes into one strip.
    fn rests(&self) -> bool {
        self.took >= LONG && self.done.elapsed() < self.took * 10
    }
}

/// A count that is under way, until this is dropped.
struct UnderWay {
    shared: Arc<Shared>,
    name: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.shared.under_way).remove(&self.name);
    }
}

async fn run(
    it: UnderWay,
    store: Store,
    filter: Filter,
    before: Option<Kept>,
    now: Micros,
    told: watch::Sender<Outcome>,
) {
    let Ok(turn) = it.shared.turns.acquire().await else { return };
    let begun = Instant::now();
    let before = before.map(|kept| kept.counted);
    let counted = counted(&store, &filter, before.as_ref(), now).await;
    drop(turn);
    let outcome = match counted {
        Ok(Some(counted)) => {
            let density = counted.density.clone();
            let kept = Kept { counted, took: begun.elapsed(), done: Instant::now() };
            keep(&mut lock(&it.shared.kept), it.name.clone(), kept);
            Outcome::Counted(density)
        }
        Ok(None) => Outcome::Nothing,
        Err(e) => {
            tracing::warn!(error = %e, "counting a strip of the timeline");
            return;
        }
    };
    // Whoever asks from here on asks for what is written from here on, too.
    drop(it);
    told.send_replace(outcome);
}

async fn counted(
    store: &Store,
    filter: &Filter,
    before: Option<&Counted>,
    now: Micros,
) -> Result<Option<Counted>, AuditError> {
    let mut conn = store.read().await.map_err(AuditError::from)?;
    count(&mut conn, filter, before, now).await
}

/// Keeps one; of too many, the one that was counted longest ago goes.
fn keep(all: &mut HashMap<String, Kept>, name: String, kept: Kept) {
    if all.len() >= STRIPS && !all.contains_key(&name) {
        let oldest = all.iter().min_by_key(|(_, kept)| kept.done).map(|(name, _)| name.clone());
        if let Some(oldest) = oldest {
            all.remove(&oldest);
        }
    }
    all.insert(name, kept);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
