//! Instants and how they read.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// One second in [`Micros`].
pub const SECOND: Micros = 1_000_000;
/// One minute in [`Micros`].
pub const MINUTE: Micros = 60 * SECOND;
/// One hour in [`Micros`].
pub const HOUR: Micros = 60 * MINUTE;
/// One day of 24 hours in [`Micros`].
pub const DAY: Micros = 24 * HOUR;

const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
const MINUTES: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]");
const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const CLOCK: &[BorrowedFormatItem<'_>] =
    format_description!("[hour]:[minute]:[second].[subsecond digits:1]");
const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

fn at(t: Micros) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(t) * 1000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn write(t: Micros, format: &[BorrowedFormatItem<'_>]) -> String {
    at(t).format(format).unwrap_or_default()
}

/// `2026-11-23T09:52:10.400000Z`, RFC 3339 with all six digits.
#[must_use]
pub fn rfc3339(t: Micros) -> String {
    write(t, RFC3339)
}

/// `2026-11-23 09:52 UTC`.
#[must_use]
pub fn minutes(t: Micros) -> String {
    format!("{} UTC", write(t, MINUTES))
}

/// `2026-11-23 09:52:10 UTC`.
#[must_use]
pub fn seconds(t: Micros) -> String {
    format!("{} UTC", write(t, SECONDS))
}

/// `09:52:10.4`, the time of day in UTC.
#[must_use]
pub fn clock(t: Micros) -> String {
    write(t, CLOCK)
}

/// `2026-11-23`, the day in UTC.
#[must_use]
pub fn date(t: Micros) -> String {
    write(t, DATE)
}

/// Reads what a filter's field holds: RFC 3339, `2026-11-23T09:52` or `2026-11-23`, in UTC.
#[must_use]
pub fn parse(text: &str) -> Option<Micros> {
    use time::format_description::well_known::Rfc3339;
    let text = text.trim();
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    let t = OffsetDateTime::parse(&full, &Rfc3339).ok()?;
    i64::try_from(t.unix_timestamp_nanos() / 1000).ok()
}

/// How long ago `t` was, seen from `now`: "just now", "4 min ago", "in 3 h".
#[must_use]
pub fn relative(t: Micros, now: Micros) -> String {
    let (gap, past) = if t <= now { (now - t, true) } else { (t - now, false) };
    let amount = if gap < 45 * SECOND {
        return if past { "just now".into() } else { "in a moment".into() };
    } else if gap < 90 * MINUTE {
        format!("{} min", (gap + MINUTE / 2) / MINUTE)
    } else if gap < 36 * HOUR {
        format!("{} h", (gap + HOUR / 2) / HOUR)
    } else {
        format!("{} d", (gap + DAY / 2) / DAY)
    };
    if past { format!("{amount} ago") } else { format!("in {amount}") }
}

/// A span as people read it: "3 min 12 s", "1 h 05 min", "14 d".
#[must_use]
pub fn span(length: Micros) -> String {
    let s = (length.max(0)) / SECOND;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        3600..172_800 => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_as_rfc3339_with_microseconds() {
        assert_eq!(rfc3339(1_763_891_530_400_001), "2025-11-23T09:52:10.400001Z");
        assert_eq!(clock(1_763_891_530_400_001), "09:52:10.4");
    }

    #[test]
    fn a_filter_accepts_a_day_a_minute_and_a_full_instant() {
        assert_eq!(parse("1970-01-02"), Some(DAY));
        assert_eq!(parse("1970-01-01T00:01"), Some(MINUTE));
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Some(SECOND * 3 / 2));
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn spans_and_distances_are_short() {
        assert_eq!(relative(0, 4 * MINUTE), "4 min ago");
        assert_eq!(relative(3 * HOUR, 0), "in 3 h");
        assert_eq!(span(192 * SECOND), "3 min 12 s");
        assert_eq!(span(-1), "0 s");
    }
}
