//! Where things stand: pure arithmetic of axes.

use crate::model::{Micros, time};

/// A week in [`Micros`].
pub const WEEK: Micros = 7 * time::DAY;

/// Round values for an axis from 0 to at least `max`, at most about `wanted` of them besides 0.
/// The last one is the top of the axis.
#[must_use]
pub fn ticks(max: i64, wanted: i64) -> Vec<i64> {
    let max = max.max(1);
    let least = (max + wanted - 1) / wanted.max(1);
    let mut power = 1_i64;
    let step = loop {
        let found = [1, 2, 5].into_iter().map(|m| m * power).find(|step| *step >= least);
        match found {
            Some(step) => break step,
            None if power > i64::MAX / 100 => break max,
            None => power *= 10,
        }
    };
    let top = (max + step - 1) / step;
    (1..=top).map(|n| n * step).collect()
}

/// Where `value` stands between `bottom` (0) and `top` (`max`), in pixels from above.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a picture has no use for more than 52 bits")]
pub fn down(value: i64, max: i64, top: f64, bottom: f64) -> f64 {
    let share = (value.clamp(0, max.max(1)) as f64) / (max.max(1) as f64);
    bottom - share * (bottom - top)
}

/// `part` of `whole` in percent; 0 of nothing.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a picture has no use for more than 52 bits")]
pub fn share(part: i64, whole: i64) -> f64 {
    if whole <= 0 { 0.0 } else { (part.clamp(0, whole) as f64) * 100.0 / (whole as f64) }
}

/// The Monday, 00:00 UTC, on or before an instant.
#[must_use]
pub fn monday(t: Micros) -> Micros {
    // 1970-01-01 was a Thursday.
    let since = (t - 4 * time::DAY).rem_euclid(WEEK);
    t.saturating_sub(since)
}

/// The weeks from `from` to `to`, from Monday to Monday, the first and the last one cut to fit.
#[must_use]
pub fn weeks(from: Micros, to: Micros) -> Vec<(Micros, Micros)> {
    let mut all = Vec::new();
    let mut start = from;
    while start < to && all.len() < 600 {
        let end = (monday(start) + WEEK).min(to);
        all.push((start, end));
        start = end;
    }
    all
}

/// Every so many labels are shown, so that at most `fit` of `n` are.
#[must_use]
pub fn every(n: usize, fit: usize) -> usize {
    n.div_ceil(fit.max(1)).max(1)
}

/// The value at or below which `per_mille` of all lie, of values with how often each occurs,
/// smallest first; nothing of nothing.
#[must_use]
pub fn quantile(counted: &[(i64, i64)], per_mille: i64) -> Option<i64> {
    let all: i64 = counted.iter().map(|(_, n)| n).sum();
    let wanted = (all * per_mille + 999) / 1000;
    let mut seen = 0;
    counted.iter().find_map(|&(value, n)| {
        seen += n;
        (n > 0 && seen >= wanted.max(1)).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_over_the_largest_value() {
        assert_eq!(ticks(0, 4), [1]);
        assert_eq!(ticks(3, 4), [1, 2, 3]);
        assert_eq!(ticks(7, 4), [2, 4, 6, 8]);
        assert_eq!(ticks(100, 4), [50, 100]);
        assert_eq!(ticks(101, 4), [50, 100, 150]);
        assert_eq!(ticks(1999, 4), [500, 1000, 1500, 2000]);
        for max in 1..2000 {
            let ticks = ticks(max, 4);
            assert!(ticks.len() <= 5 && ticks.last().is_some_and(|t| *t >= max), "{max} {ticks:?}");
        }
        assert!(ticks(i64::MAX / 4, 4).len() <= 5);
    }

    #[test]
    fn values_stand_between_bottom_and_top_and_nothing_stands_outside() {
        assert!((down(0, 10, 20.0, 120.0) - 120.0).abs() < 1e-9);
        assert!((down(10, 10, 20.0, 120.0) - 20.0).abs() < 1e-9);
        assert!((down(5, 10, 20.0, 120.0) - 70.0).abs() < 1e-9);
        assert!((down(99, 10, 20.0, 120.0) - 20.0).abs() < 1e-9);
        assert!((down(-1, 0, 20.0, 120.0) - 120.0).abs() < 1e-9);
        assert!((share(1, 4) - 25.0).abs() < 1e-9);
        assert!(share(3, 0).abs() < 1e-9);
    }

    #[test]
    fn weeks_begin_on_monday_and_leave_nothing_out() {
        // 2026-11-23 is a Monday.
        let monday_at = 1_795_392_000 * time::SECOND;
        assert_eq!(monday(monday_at), monday_at);
        assert_eq!(monday(monday_at - 1), monday_at - WEEK);
        assert_eq!(monday(monday_at + WEEK - 1), monday_at);
        assert_eq!(monday(0), -3 * time::DAY);
        let (from, to) = (monday_at - 2 * time::DAY, monday_at + 8 * time::DAY);
        assert_eq!(
            weeks(from, to),
            [(from, monday_at), (monday_at, monday_at + WEEK), (monday_at + WEEK, to)]
        );
        assert!(weeks(5, 5).is_empty());
    }

    #[test]
    fn quantiles_are_values_that_occur() {
        assert_eq!(quantile(&[], 500), None);
        assert_eq!(quantile(&[(7, 1)], 990), Some(7));
        let counted = [(1, 50), (2, 40), (9, 9), (30, 1)];
        assert_eq!(quantile(&counted, 500), Some(1));
        assert_eq!(quantile(&counted, 501), Some(2));
        assert_eq!(quantile(&counted, 900), Some(2));
        assert_eq!(quantile(&counted, 990), Some(9));
        assert_eq!(quantile(&counted, 1000), Some(30));
    }

    #[test]
    fn labels_are_left_out_evenly() {
        assert_eq!(every(12, 12), 1);
        assert_eq!(every(13, 12), 2);
        assert_eq!(every(53, 12), 5);
        assert_eq!(every(0, 12), 1);
    }
}
