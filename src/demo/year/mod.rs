//! A year of a platform in an empty database: many orgs with their ordinary traffic, staff at
//! work, and impersonations of which a known number are not as they should be. For measuring, and
//! for seeing the audit pages at size. What is written follows from the seed.

mod fault;
mod grounds;
mod people;
mod record;
mod work;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::audit::bulk::Bulk;
use crate::audit::{AuditError, LogId, LogKey, create_log};
use crate::clock::SeededRng;
use crate::model::{Micros, time};
use crate::proof::verdict::Verdict;
use crate::store::{self, Store, StoreError};
use people::People;
use record::Record;
use work::{Script, Staffer, Traffic};

pub use fault::Fault;

/// How many rows wait before they are written.
const FLUSH: usize = 20_000;

/// The share of rows that staff write outside of impersonations, in hundredths.
const STAFF_SHARE: u64 = 12;

/// What is to be written.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rows, in all logs together.
    pub events: u64,
    /// Orgs.
    pub orgs: usize,
    /// Impersonations.
    pub impersonations: usize,
    /// What everything follows from.
    pub seed: u64,
    /// When the year ends.
    pub until: Micros,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows, in all logs together.
    pub events: u64,
    /// Impersonations with complete trails.
    pub complete: usize,
    /// How many impersonations have each fault, in the order of [`Fault::ALL`].
    pub faults: [usize; Fault::ALL.len()],
    /// Attempts that were refused.
    pub refused: usize,
    /// Handoffs that the Owner has not acknowledged.
    pub unacknowledged: usize,
}

impl Written {
    /// Each fault with how many impersonations have it.
    pub fn by_fault(&self) -> impl Iterator<Item = (Fault, usize)> + '_ {
        Fault::ALL.into_iter().zip(self.faults)
    }

    /// How many impersonations the pages show with this verdict.
    #[must_use]
    pub fn with(&self, verdict: Verdict) -> usize {
        let complete = if verdict == Verdict::Complete { self.complete } else { 0 };
        let faulty = self.by_fault().filter(|(fault, _)| fault.verdict() == verdict);
        complete + faulty.map(|(_, n)| n).sum::<usize>()
    }

    /// How many tokens the overview shows as open too long.
    #[must_use]
    pub fn overstayed(&self) -> usize {
        self.by_fault().filter(|(fault, _)| fault.overstays()).map(|(_, n)| n).sum()
    }
}

/// Why a year could not be written.
#[derive(Debug, thiserror::Error)]
pub enum YearError {
    /// The plan does not come out.
    #[error("{0}")]
    Plan(String),
    /// There is something in the database.
    #[error("the database is in use: bench data goes into an empty one only")]
    InUse,
    /// The logs.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Something that goes on: its next row is due at a time.
enum Task {
    Impersonation(Box<Script>),
    Staff(Staffer),
    Traffic(Traffic),
}

/// What is due: when, in which order among those of the same instant, and what.
struct Due(Micros, u64, Task);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// Fills an empty database. `progress` hears how many rows are written.
///
/// # Errors
/// Where the plan does not come out, or the database is not empty or does not answer.
pub async fn fill(
    store: &Store,
    key: &LogKey,
    plan: &Plan,
    mut progress: impl FnMut(u64),
) -> Result<Written, YearError> {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let ids = SeededRng::new(plan.seed ^ 0x6964_7300);
    let begin = plan.until - 365 * time::DAY;
    let mut tx = store.begin().await?;
    if !store::staff::all(tx.conn()).await?.is_empty()
        || store::audit::head(tx.conn(), "platform").await?.is_some()
    {
        return Err(YearError::InUse);
    }
    let people = People::new(plan.orgs, &mut rng);
    people.insert(&mut tx, begin).await?;
    create_log(tx.conn(), key, &LogId::Platform, begin).await?;
    let mut bulk = Bulk::new(key, &ids);
    bulk.open(&mut tx, &LogId::Platform).await?;
    for org in &people.orgs {
        create_log(tx.conn(), key, &org.log, begin).await?;
        bulk.open(&mut tx, &org.log).await?;
    }
    tx.commit().await?;

    let (mut queue, mut written) = schedule(plan, &people, begin, &ids, &mut rng)?;
    let mut record = Record::default();
    let mut order = u64::try_from(queue.len()).unwrap_or(u64::MAX);
    let mut done = 0;
    while let Some(Reverse(Due(at, _, task))) = queue.pop() {
        let before = bulk.waiting();
        let next = match task {
            Task::Impersonation(script) => script
                .step(at, &people, &mut bulk, &mut record, &mut rng)?
                .map(|(at, script)| (at, Task::Impersonation(script))),
            Task::Staff(staffer) => staffer
                .step(at, &people, &mut bulk, &mut record, &mut rng)?
                .map(|(at, staffer)| (at, Task::Staff(staffer))),
            Task::Traffic(traffic) => traffic
                .step(at, &people, &mut bulk, &mut rng)?
                .map(|(at, traffic)| (at, Task::Traffic(traffic))),
        };
        done += u64::try_from(bulk.waiting() - before).unwrap_or(0);
        if let Some((at, task)) = next {
            order += 1;
            queue.push(Reverse(Due(at, order, task)));
        }
        if bulk.waiting() >= FLUSH || queue.is_empty() {
            let mut tx = store.begin().await?;
            bulk.flush(&mut tx).await?;
            record.flush(&mut tx).await?;
            tx.commit().await?;
            progress(done);
        }
    }
    let mut tx = store.begin().await?;
    record.finish(&mut tx, &people).await?;
    // The server judges every trail when it starts.
    store::standing::rebuild(&mut tx).await?;
    tx.commit().await?;
    written.events = done;
    written.refused = record.refused;
    written.unacknowledged = record.unacknowledged;
    Ok(written)
}

type Queue = BinaryHeap<Reverse<Due>>;

/// Decides who does what when, so that exactly as many rows come out as are asked for.
fn schedule(
    plan: &Plan,
    people: &People,
    begin: Micros,
    ids: &SeededRng,
    rng: &mut StdRng,
) -> Result<(Queue, Written), YearError> {
    let mut queue = Queue::new();
    let mut order = 0;
    let mut push = |at: Micros, task: Task| {
        order += 1;
        queue.push(Reverse(Due(at, order, task)));
    };
    let mut starts: Vec<Micros> = (0..plan.impersonations)
        .map(|_| worktime(begin + time::DAY, plan.until - time::HOUR, rng))
        .collect();
    starts.sort_unstable();
    let mut written = Written::default();
    let mut rows = 0;
    let mut calendar = people.calendar();
    for (n, at) in starts.into_iter().enumerate() {
        let fault = Fault::of(n);
        match Fault::ALL.into_iter().position(|known| Some(known) == fault) {
            Some(which) => written.faults[which] += 1,
            None => written.complete += 1,
        }
        let script = Script::plan(n, at, fault, plan.until, people, &mut calendar, ids, rng);
        rows += script.rows();
        push(script.first(), Task::Impersonation(Box::new(script)));
    }
    let staff = plan.events * STAFF_SHARE / 100;
    let Some(mut traffic) = plan.events.checked_sub(rows + staff) else {
        return Err(YearError::Plan(format!(
            "{} impersonations and the work of staff take {} events: ask for more events, or for \
             fewer impersonations",
            plan.impersonations,
            rows + staff
        )));
    };
    let mut left = staff;
    while left > 0 {
        let many = rng.gen_range(4..24).min(left);
        left -= many;
        let at = worktime(begin, plan.until - time::HOUR, rng);
        push(at, Task::Staff(Staffer::new(many, people, rng)));
    }
    while traffic > 0 {
        // People and programs come in bursts.
        let many = rng.gen_range(20..80).min(traffic);
        traffic -= many;
        let at = worktime(begin, plan.until - time::HOUR, rng);
        push(at, Task::Traffic(Traffic::new(many, people, rng)));
    }
    Ok((queue, written))
}

/// An instant between two, by day rather than by night, and seldom at a weekend.
fn worktime(from: Micros, to: Micros, rng: &mut StdRng) -> Micros {
    loop {
        let at = rng.gen_range(from..to);
        let hour = at.rem_euclid(time::DAY) / time::HOUR;
        // The epoch was a Thursday.
        let weekday = (at.div_euclid(time::DAY) + 3).rem_euclid(7);
        let likely = match (weekday < 5, (8..18).contains(&hour)) {
            (true, true) => 1.0,
            (true, false) => 0.2,
            (false, true) => 0.15,
            (false, false) => 0.05,
        };
        if rng.gen_bool(likely) {
            return at;
        }
    }
}
