//! How many rows there are along a stretch of time: what a strip above the timeline shows.
//!
//! The logs only grow, so what was counted of the past stays true, and is kept. When it is counted
//! is the business of [`super::strips`].

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
    /// As of when.
    pub counted_at: Micros,
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

/// What was counted, and what of it need not be counted again.
#[derive(Debug, Clone)]
pub struct Counted {
    /// What a strip shows of it.
    pub density: Density,
    /// The rows of each part before `until`.
    settled: Vec<i64>,
    /// No row is written any more with an earlier time.
    until: Micros,
    /// What changes with every trail that is judged, where the filter asks for a verdict.
    judged: String,
    /// The filter as it was looked at.
    question: Question,
}

/// Counts the rows that match a filter, part by part, and of what was counted `before` only what
/// may have changed. The stretch is the filter's own; without one it is from the oldest row of all
/// until now. Nothing where there are no rows at all, or the stretch is empty.
///
/// # Errors
/// Where the database does not answer.
pub async fn count(
    conn: &mut AnyConnection,
    filter: &Filter,
    before: Option<&Counted>,
    now: Micros,
) -> Result<Option<Counted>, AuditError> {
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
    let judged =
        if filter.is_judged() { standing::judged_last(conn).await? } else { String::new() };
    let question = Question::of(conn, filter).await?;
    let before = before.filter(|before| {
        let same = before.density.from == start && before.density.width == width;
        same && before.judged == judged && before.question.asks_as(&question)
    });
    let question = match before {
        // Which of it is rarest need not be found out again.
        Some(before) => before.question.clone(),
        None => question.for_all(conn).await?,
    };
    let end = start + width * n;
    let until = (now - SETTLED).clamp(start, end);
    let (mut settled, begun) = match before {
        Some(before) => (before.settled.clone(), before.until.clamp(start, until)),
        None => (Vec::new(), start),
    };
    settled.resize(usize::try_from(n).unwrap_or(0), 0);
    let past = pieces(start, width, begun, until);
    add(&mut settled, &past, &question.counts(conn, &stretches(&past)).await?);
    let mut counts = settled.clone();
    let late = pieces(start, width, until, end);
    add(&mut counts, &late, &question.counts(conn, &stretches(&late)).await?);
    let density = Density { from: start, width, counts, counted_at: now };
    Ok(Some(Counted { density, settled, until, judged, question }))
}

/// What lies between two instants of each part that they touch: (which part, from, before).
fn pieces(start: Micros, width: Micros, from: Micros, to: Micros) -> Vec<(usize, Micros, Micros)> {
    let first = (from - start) / width;
    (first..)
        .map(|n| (n, start + width * n))
        .take_while(|(_, begin)| *begin < to)
        .filter_map(|(n, begin)| {
            let piece = (usize::try_from(n).ok()?, begin.max(from), (begin + width).min(to));
            (piece.1 < piece.2).then_some(piece)
        })
        .collect()
}

fn stretches(pieces: &[(usize, Micros, Micros)]) -> Vec<(Micros, Micros)> {
    pieces.iter().map(|&(_, from, to)| (from, to)).collect()
}

fn add(counts: &mut [i64], pieces: &[(usize, Micros, Micros)], rows: &[i64]) {
    for ((part, ..), rows) in pieces.iter().zip(rows) {
        if let Some(count) = counts.get_mut(*part) {
            *count += rows;
        }
    }
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

        #[test]
        fn the_pieces_of_two_stretches_are_the_whole(
            start in 0i64..1000, width in 1i64..50, n in 1i64..20, at in 0i64..1000,
        ) {
            let end = start + width * n;
            let at = at.clamp(start, end);
            let mut all = pieces(start, width, start, at);
            all.extend(pieces(start, width, at, end));
            prop_assert_eq!(all.first().map(|p| p.1), Some(start));
            prop_assert_eq!(all.last().map(|p| p.2), Some(end));
            prop_assert!(all.windows(2).all(|two| two[0].2 == two[1].1));
            for (part, from, to) in all {
                let begin = start + width * i64::try_from(part).unwrap();
                prop_assert!(begin <= from && from < to && to <= begin + width);
            }
        }
    }
}
