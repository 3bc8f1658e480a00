//! Which impersonations a list has: it stands in the address.

use serde::Deserialize;

use crate::model::{Micros, time};
use crate::proof::verdict::Verdict;
use crate::store::standing::MOST_MINUTES;
use crate::web::door::encode;

/// What the page is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ask {
    show: String,
    verdict: String,
    /// Of those that began from then …
    from: String,
    /// … to before then …
    to: String,
    /// … the ones that were open for so many whole minutes.
    minutes: Option<u8>,
    /// … or that ended `soon` after their handoff, or `late`.
    ended: String,
    /// What is beyond this place.
    pub before: Option<String>,
}

/// Which impersonations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Every one there ever was.
    All,
    /// What is live.
    Live,
    /// By the verdict that is kept.
    Verdict(Verdict),
    /// Open longer than they had to be.
    Overstayed,
    /// Their handoff is not acknowledged.
    Unacknowledged,
    /// Open for so many whole minutes, of those that began in a stretch of time.
    OpenFor {
        /// From when.
        from: Micros,
        /// Before when.
        to: Micros,
        /// How many.
        minutes: u8,
    },
    /// With a handoff, of those that began in a stretch of time.
    HandedOff {
        /// From when.
        from: Micros,
        /// Before when.
        to: Micros,
        /// Whether the token ended within a minute of it, or later.
        soon: bool,
    },
}

const VERDICTS: [Verdict; 5] =
    [Verdict::Complete, Verdict::Open, Verdict::Incomplete, Verdict::Mismatch, Verdict::Tampered];

impl Ask {
    /// Which list that is.
    #[must_use]
    pub fn show(&self) -> Show {
        let verdict = VERDICTS.into_iter().find(|v| v.word() == self.verdict);
        let from = time::parse(&self.from).unwrap_or(Micros::MIN);
        let to = time::parse(&self.to).unwrap_or(Micros::MAX);
        match (self.show.as_str(), verdict, self.minutes) {
            ("live", _, _) => Show::Live,
            ("overstayed", _, _) => Show::Overstayed,
            ("unacknowledged", _, _) => Show::Unacknowledged,
            (_, Some(verdict), _) => Show::Verdict(verdict),
            (_, None, Some(minutes)) => Show::OpenFor { from, to, minutes },
            _ => match self.ended.as_str() {
                "soon" => Show::HandedOff { from, to, soon: true },
                "late" => Show::HandedOff { from, to, soon: false },
                _ => Show::All,
            },
        }
    }
}

impl Show {
    /// The query in the address; the same list is always the same text.
    #[must_use]
    pub fn query(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Live => "show=live".to_owned(),
            Self::Overstayed => "show=overstayed".to_owned(),
            Self::Unacknowledged => "show=unacknowledged".to_owned(),
            Self::Verdict(verdict) => format!("verdict={}", verdict.word()),
            Self::OpenFor { from, to, minutes } => open_for_query(from, to, minutes),
            Self::HandedOff { from, to, soon } => handed_off_query(from, to, soon),
        }
    }

    /// What the list is, in a sentence.
    #[must_use]
    pub fn says(self) -> Option<String> {
        match self {
            Self::Overstayed => Some(
                "Tokens that were open more than a minute after the handoff, or until they expired because nobody \
                 ended them."
                    .to_owned(),
            ),
            Self::Unacknowledged => Some(
                "Handoffs that were sent and that the Owner has not confirmed yet.".to_owned(),
            ),
            Self::Verdict(_) => Some(
                "As they stood when they were last judged; the verdict in each line is judged now."
                    .to_owned(),
            ),
            Self::OpenFor { from, to, minutes } => Some(format!(
                "Started from {} to {} and open for {}.",
                time::minutes(from),
                time::minutes(to),
                if minutes >= MOST_MINUTES {
                    format!("{MOST_MINUTES} minutes or more")
                } else {
                    format!("{minutes} to {} minutes", minutes + 1)
                }
            )),
            Self::HandedOff { from, to, soon } => Some(format!(
                "Started from {} to {}, with a handoff, and ended {}.",
                time::minutes(from),
                time::minutes(to),
                if soon { "within a minute of it" } else { "more than a minute after it" }
            )),
            Self::All | Self::Live => None,
        }
    }
}

/// The query for those that began from `from` to before `to` and were open for `minutes` whole
/// minutes; [`MOST_MINUTES`] stands for all that were open as long or longer.
#[must_use]
pub fn open_for_query(from: Micros, to: Micros, minutes: u8) -> String {
    let (from, to) = (time::rfc3339(from), time::rfc3339(to));
    format!("from={}&to={}&minutes={minutes}", encode(&from), encode(&to))
}

/// The query for those that began from `from` to before `to`, were handed off, and ended within a
/// minute of that (`soon`), or later.
#[must_use]
pub fn handed_off_query(from: Micros, to: Micros, soon: bool) -> String {
    let (from, to) = (time::rfc3339(from), time::rfc3339(to));
    let ended = if soon { "soon" } else { "late" };
    format!("from={}&to={}&ended={ended}", encode(&from), encode(&to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::Query;

    #[test]
    fn the_address_of_a_list_asks_for_that_list() {
        let ask = |query: &str| -> Ask {
            Query::try_from_uri(&format!("/impersonations?{query}").parse().unwrap()).unwrap().0
        };
        let shows = [
            Show::All,
            Show::Live,
            Show::Overstayed,
            Show::Unacknowledged,
            Show::Verdict(Verdict::Mismatch),
            Show::OpenFor { from: time::DAY, to: 2 * time::DAY, minutes: 3 },
            Show::HandedOff { from: time::DAY, to: 2 * time::DAY, soon: true },
            Show::HandedOff { from: time::DAY, to: 2 * time::DAY, soon: false },
        ];
        for show in shows {
            assert_eq!(ask(&show.query()).show(), show);
        }
        assert_eq!(ask("verdict=good").show(), Show::All);
    }
}
