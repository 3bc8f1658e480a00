//! How many rows there are along a stretch of time: what a strip above the timeline shows.
//!
//! The logs only grow, so what was counted of the past stays true, and is kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use sqlx::AnyConnection;

use super::AuditError;
use crate::model::{Micros, time};
use crate::store::standing;
use crate::store::timeline::{self, Filter, Question};

/// Into how many parts a stretch is cut at most.
const MOST: i64 = 72;

/// How old a part has to be before its count is kept: a step that is under way still writes rows
/// with the time at which it began.
const SETTLED: Micros = 10 * time::MINUTE;

/// How many strips are kept.
const STRIPS: usize = 512;

const WIDTHS: [Micros; 16] = [
    time::SECOND,
    10 * time::SECOND,
    time::MINUTE,
    5 * time::MINUTE,
    15 * time::MINUTE,
    30 * time::MINUTE,
    time::HOUR,
    3 * time::HOUR,
    6 * time::HOUR,
    12 * time::HOUR,
    time::DAY,
    2 * time::DAY,
    7 * time::DAY,
    14 * time::DAY,
    30 * time::DAY,
    90 * time::DAY,
];

/// The strip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Density {
    /// Where it begins.
    pub from: Micros,
    /// How long each part is.
    pub width: Micros,
    /// The rows of each part.
    pub counts: Vec<i64>,
}

impl Density {
    /// Where it ends.
    #[must_use]
    pub fn to(&self) -> Micros {
        self.from.saturating_add(self.width.saturating_mul(parts(self.counts.len())))
    }

    /// All rows of it.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.counts.iter().sum()
    }
}

fn parts(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Counts that were made before, by what was counted.
#[derive(Debug, Default)]
pub struct Cache {
    kept: Mutex<HashMap<String, Vec<i64>>>,
    counting: AtomicUsize,
}

/// How many strips are counted at once. To count is to read every row that matches: whoever asks
/// for many must not keep everybody else waiting.
const AT_ONCE: usize = 2;

/// One that is being counted.
struct Counting<'a>(&'a AtomicUsize);

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts the rows that match a filter, part by part. `name` is the filter in one fixed form, and
/// `question` the filter as it was looked at.
/// The stretch is the filter's own; without one it is from the oldest row of all until now.
/// Nothing where there are no rows at all, the stretch is empty, or others are being counted.
///
/// # Errors
/// Where the database does not answer.
pub async fn density(
    conn: &mut AnyConnection,
    cache: &Cache,
    name: &str,
    filter: &Filter,
    question: &Question,
    now: Micros,
) -> Result<Option<Density>, AuditError> {
    let from = match filter.from {
        Some(from) => from,
        None => match timeline::oldest_at(conn).await? {
            Some(from) => from,
            None => return Ok(None),
        },
    };
    let to = filter.to.unwrap_or(now + 1).min(now + 1);
    if from >= to {
        return Ok(None);
    }
    let (start, width, n) = cut(from, to);
    // How a trail stands may change with time, and with it what matches.
    let judged = match (filter.verdict, filter.standing) {
        (None, None) => String::new(),
        _ => standing::judged_last(conn).await?,
    };
    let key = format!("{start}/{width}/{judged}/{name}");
    let settled = ((now - SETTLED - start).max(0) / width).min(n);
    let mut counts = cache.get(&key);
    counts.truncate(usize::try_from(n).unwrap_or(0));
    let Some(_turn) = cache.turn() else { return Ok(None) };
    let begun = start + width * parts(counts.len());
    let mut fresh = vec![0; usize::try_from(n).unwrap_or(0) - counts.len()];
    for (part, rows) in question.density(conn, begun, start + width * n, width).await? {
        if let Some(count) = usize::try_from(part).ok().and_then(|part| fresh.get_mut(part)) {
            *count = rows;
        }
    }
    counts.extend(fresh);
    cache.keep(key, &counts[..usize::try_from(settled).unwrap_or(0)]);
    Ok(Some(Density { from: start, width, counts }))
}

/// Where the first part begins, how long each is, and how many there are.
fn cut(from: Micros, to: Micros) -> (Micros, Micros, i64) {
    let fits = |width: &Micros| to.div_euclid(*width) - from.div_euclid(*width) < MOST;
    let width = WIDTHS.into_iter().find(fits).unwrap_or_else(|| {
        let years = (to - from) / (MOST - 2) / (365 * time::DAY) + 1;
        years * 365 * time::DAY
    });
    let start = from.div_euclid(width) * width;
    (start, width, (to - start + width - 1) / width)
}

impl Cache {
    /// A turn to count; nothing where others are at it.
    fn turn(&self) -> Option<Counting<'_>> {
        let before = self.counting.fetch_add(1, Ordering::AcqRel);
        let turn = Counting(&self.counting);
        (before < AT_ONCE).then_some(turn)
    }

    fn get(&self, key: &str) -> Vec<i64> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
            .unwrap_or_default()
    }

    fn keep(&self, key: String, counts: &[i64]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= STRIPS {
            kept.clear();
        }
        kept.insert(key, counts.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_year_is_cut_into_weeks_and_an_hour_into_minutes() {
        let day = |n: i64| n * time::DAY;
        assert_eq!(cut(day(19_000), day(19_365)).1, 7 * time::DAY);
        assert_eq!(cut(day(19_000), day(19_000) + time::HOUR).1, time::MINUTE);
        assert_eq!(cut(day(19_000), day(19_000) + 1), (day(19_000), time::SECOND, 1));
    }

    proptest! {
        #[test]
        fn the_parts_hold_the_whole_stretch(from in 0i64..1 << 52, length in 1i64..1 << 52) {
            let to = from + length;
            let (start, width, n) = cut(from, to);
            prop_assert!(start <= from && start + width * n >= to && (1..=MOST).contains(&n));
            prop_assert!(from - start < width && start + width * (n - 1) < to);
        }
    }
}
