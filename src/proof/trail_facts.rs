//! What the rules on a trail look at, found once: the five rows, the numbers that the end rows
//! record, and how to say a time.

use crate::proof::actions::{
    IMPERSONATION_ENDED, IMPERSONATION_STARTED, PLATFORM_IMPERSONATION_ENDED,
    PLATFORM_IMPERSONATION_STARTED, PLATFORM_SECRET_HANDED_OFF, may_follow_end, rotated_type,
};
use crate::proof::row::AuditRow;
use crate::proof::trail::Trail;

/// What a rule found, each with what it saw.
pub(crate) enum Finding {
    Passed(String),
    Pending(String),
    /// Rows are missing, and what is there does not contradict itself.
    Missing(String),
    /// The rows contradict each other, or what an impersonation may be.
    Disagrees(String),
    /// A log's proof fails.
    Broken(String),
}

/// The facts of one trail.
pub(crate) struct Facts<'a> {
    pub(crate) trail: &'a Trail<'a>,
    pub(crate) platform_started: Vec<&'a AuditRow>,
    pub(crate) org_started: Vec<&'a AuditRow>,
    pub(crate) rotated: Vec<&'a AuditRow>,
    pub(crate) org_ended: Vec<&'a AuditRow>,
    pub(crate) platform_ended: Vec<&'a AuditRow>,
    pub(crate) handed_off: Vec<&'a AuditRow>,
    /// The expiry that the platform log records, or else the org log.
    pub(crate) expires_at: Option<i64>,
    /// Started in both logs, ended in none, and the token still valid.
    pub(crate) running: bool,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(trail: &'a Trail<'a>) -> Self {
        let platform = |action: &str| named(trail.platform, action);
        let org = |action: &str| named(trail.org, action);
        let platform_started = platform(PLATFORM_IMPERSONATION_STARTED);
        let org_started = org(IMPERSONATION_STARTED);
        let org_ended = org(IMPERSONATION_ENDED);
        let platform_ended = platform(PLATFORM_IMPERSONATION_ENDED);
        let rotated = trail.org.iter().filter(|row| rotated_type(&row.action).is_some()).collect();
        let expires_at = platform_started
            .iter()
            .chain(&org_started)
            .find_map(|row| row.detail_i64("expires_at"));
        let running = !platform_started.is_empty()
            && !org_started.is_empty()
            && org_ended.is_empty()
            && platform_ended.is_empty()
            && expires_at.is_some_and(|expiry| trail.now < expiry);
        Self {
            trail,
            platform_started,
            org_started,
            rotated,
            org_ended,
            platform_ended,
            handed_off: platform(PLATFORM_SECRET_HANDED_OFF),
            expires_at,
            running,
        }
    }

    /// The five rows, as far as they are there, with what to call each.
    pub(crate) fn five(&self) -> Vec<(&'static str, &'a AuditRow)> {
        let groups = [
            ("the platform's start", &self.platform_started),
            ("the org's start", &self.org_started),
            ("the rotation", &self.rotated),
            ("the org's end", &self.org_ended),
            ("the platform's end", &self.platform_ended),
        ];
        groups
            .into_iter()
            .flat_map(|(name, rows)| rows.iter().map(move |row| (name, *row)))
            .collect()
    }

    /// The end rows, as far as they are there.
    pub(crate) fn ends(&self) -> Vec<(&'static str, &'a AuditRow)> {
        let org = self.org_ended.iter().map(|row| ("the org's end", *row));
        let platform = self.platform_ended.iter();
        org.chain(platform.map(|row| ("the platform's end", *row))).collect()
    }

    /// All rows of both logs.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'a AuditRow> {
        self.trail.platform.iter().chain(self.trail.org)
    }

    /// The platform log's side of what the end rows record.
    pub(crate) fn platform_side(&self) -> Side<'a> {
        Side {
            log: "platform",
            rows: self.trail.platform,
            end: self.platform_ended.first().copied(),
            rows_key: "platform_rows",
            last_key: "platform_last_seq",
        }
    }

    /// The org log's side of what the end rows record.
    pub(crate) fn org_side(&self) -> Side<'a> {
        Side {
            log: "org",
            rows: self.trail.org,
            end: self.org_ended.first().copied(),
            rows_key: "org_rows",
            last_key: "org_last_seq",
        }
    }

    /// A number that the end rows record alike, or why there is none.
    pub(crate) fn recorded(&self, key: &str) -> Recorded {
        let mut found = None;
        for (name, row) in self.ends() {
            let Some(number) = row.detail_u64(key) else {
                return Recorded::Unclear(format!("{name} does not record {key}"));
            };
            match found {
                Some(other) if other != number => {
                    return Recorded::Unclear(format!(
                        "the end rows record {other} and {number} as {key}"
                    ));
                }
                _ => found = Some(number),
            }
        }
        found.map_or(Recorded::Nowhere, Recorded::Number)
    }
}

/// What the end rows say of a number.
pub(crate) enum Recorded {
    /// This, and they agree.
    Number(u64),
    /// There is no end row.
    Nowhere,
    /// They disagree, or one lacks it.
    Unclear(String),
}

/// One log's rows, and the names that the end rows record their numbers under.
pub(crate) struct Side<'a> {
    pub(crate) log: &'static str,
    rows: &'a [AuditRow],
    pub(crate) end: Option<&'a AuditRow>,
    pub(crate) rows_key: &'static str,
    pub(crate) last_key: &'static str,
}

impl<'a> Side<'a> {
    /// The rows that the end rows count: all but those that may, and do, come after the end.
    /// `recorded_last` stands in for the end row's place where that row is missing.
    pub(crate) fn counted(&self, recorded_last: Option<u64>) -> Vec<&'a AuditRow> {
        let end = self.end.map(|row| row.seq).or(recorded_last);
        self.rows
            .iter()
            .filter(|row| !(end.is_some_and(|end| row.seq > end) && may_follow_end(&row.action)))
            .collect()
    }
}

fn named<'a>(rows: &'a [AuditRow], action: &str) -> Vec<&'a AuditRow> {
    rows.iter().filter(|row| row.action == action).collect()
}

/// A time in microseconds UTC as people read it: `2026-02-03 04:05:06.000007 UTC`.
pub(crate) fn utc(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years: the leap day is then the last of a year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let point = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{point} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_the_calendar_has_them() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(-1), "1969-12-31 23:59:59.999999 UTC");
        assert_eq!(utc(1_709_164_800_000_000), "2024-02-29 00:00:00 UTC");
        assert_eq!(utc(1_709_251_199_000_007), "2024-02-29 23:59:59.000007 UTC");
        assert_eq!(utc(4_107_542_400_000_000), "2100-03-01 00:00:00 UTC");
        assert_eq!(utc(1_767_225_599_000_000), "2025-12-31 23:59:59 UTC");
    }

    #[test]
    fn no_time_is_too_far_to_be_said() {
        assert!(utc(i64::MAX).ends_with("UTC"));
        assert!(utc(i64::MIN).ends_with("UTC"));
    }
}
