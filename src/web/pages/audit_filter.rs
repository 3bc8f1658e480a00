//! The filter of the timeline: it stands in the address, is checked before anything is read, and
//! never shows more than was asked for.

use serde::Deserialize;

use super::timeline_view::Fold;
use crate::delivery::guard;
use crate::model::{Micros, SecretType, Stand, time};
use crate::policy::eligibility::Check;
use crate::proof::terms;
use crate::proof::verdict::Verdict;
use crate::store::Key;
use crate::store::audit::{Filter, Seek};
use crate::store::standing::MOST_MINUTES;
use crate::web::components::short;
use crate::web::door::encode;

/// The verdicts that can be asked for.
pub(super) const VERDICTS: [Verdict; 5] =
    [Verdict::Complete, Verdict::Open, Verdict::Incomplete, Verdict::Mismatch, Verdict::Tampered];

/// What is said of a search for a secret.
pub const SECRET: &str = "This is a secret, or has the shape of one. It was not searched for, and not written down. \
                          A secret never stands in a log.";

/// What the page is asked for; every field stands in the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ask {
    /// An org's id.
    pub org: String,
    /// A ticket's number.
    pub ticket: String,
    /// A member of staff's id.
    pub admin: String,
    /// An `impersonation_id`.
    pub impersonation: String,
    /// An action.
    pub action: String,
    /// A type of secret.
    pub secret_type: String,
    /// Words and ids that stand in a row.
    pub text: String,
    /// A verdict's word.
    pub verdict: String,
    /// How an impersonation stands besides its verdict.
    pub standing: String,
    /// For how many whole minutes a token was open.
    pub open_for: String,
    /// A check that a refused attempt failed.
    pub check: String,
    /// From when, UTC.
    pub from: String,
    /// Until when, UTC.
    pub to: String,
    /// What is older than this place.
    pub before: Option<String>,
    /// What is newer than this place.
    pub after: Option<String>,
    /// `1` folds every impersonation, `0` none; it narrows nothing, and is no part of the filter.
    pub fold: String,
}

/// What a filter's values are held against.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Every org: id and name.
    pub orgs: Vec<(String, String)>,
    /// Every member of staff: id and name.
    pub staff: Vec<(String, String)>,
}

/// A field that cannot be what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl Ask {
    /// The fields that narrow, by their names in the address.
    pub(super) fn fields(&self) -> [(&'static str, &str); 13] {
        [
            ("text", self.text.trim()),
            ("org", self.org.trim()),
            ("ticket", self.ticket.trim()),
            ("admin", self.admin.trim()),
            ("impersonation", self.impersonation.trim()),
            ("action", self.action.trim()),
            ("secret_type", self.secret_type.trim()),
            ("verdict", self.verdict.trim()),
            ("standing", self.standing.trim()),
            ("open_for", self.open_for.trim()),
            ("check", self.check.trim()),
            ("from", self.from.trim()),
            ("to", self.to.trim()),
        ]
    }

    /// The filter that the address asks for. An empty field narrows nothing. A time that cannot
    /// be read lets nothing through, here too, so that nobody can forget to ask [`Ask::problems`].
    #[must_use]
    pub fn filter(&self) -> Filter {
        let text = |s: &str| Some(s.trim().to_owned()).filter(|s| !s.is_empty());
        let instant =
            |s: &str, nothing: Micros| text(s).map(|s| time::parse(&s).unwrap_or(nothing));
        Filter {
            org_id: text(&self.org),
            ticket: text(&self.ticket).map(|t| t.to_uppercase()),
            admin: text(&self.admin),
            impersonation: text(&self.impersonation).map(|i| i.to_lowercase()),
            action: text(&self.action),
            secret_type: text(&self.secret_type),
            text: text(&self.text),
            verdict: VERDICTS.into_iter().find(|v| v.word() == self.verdict.trim()),
            standing: self.standing.trim().parse().ok(),
            open_for: minutes(&self.open_for),
            check: text(&self.check),
            from: instant(&self.from, Micros::MAX),
            to: instant(&self.to, Micros::MIN),
        }
    }

    /// Which way the page is read; nothing where the address names no place.
    #[must_use]
    pub fn seek(&self) -> Option<Seek> {
        match (&self.before, &self.after) {
            (None, None) => Some(Seek::Newest),
            (Some(key), None) => key.parse::<Key>().ok().map(Seek::Older),
            (None, Some(key)) => key.parse::<Key>().ok().map(Seek::Newer),
            (Some(_), Some(_)) => None,
        }
    }

    /// What is wrong with the fields.
    #[must_use]
    pub fn problems(&self, known: &Known) -> Vec<Problem> {
        let has = |list: &[(String, String)], id: &str| list.iter().any(|(known, _)| known == id);
        let mut all = Vec::new();
        for (field, value) in self.fields() {
            if value.is_empty() {
                continue;
            }
            let wrong = match field {
                _ if !matches!(guard::shape(value), Ok(None)) => SECRET,
                "org" if !has(&known.orgs, value) => "There is no such org.",
                "ticket" if !ticket_like(value) => "A ticket’s number looks like NOV-4801.",
                "admin" if !has(&known.staff, value) => "There is no such member of staff.",
                "impersonation" if !uuid_like(value) => {
                    "An impersonation’s id has 36 characters, like 01920000-0000-7000-8000-000000000000."
                }
                "action" if !action_like(value) => {
                    "An action’s name has small letters, underscores and one dot, like impersonation.started."
                }
                "text" if value.len() > 200 || terms::words(value).len() > terms::MOST_WORDS => {
                    "A search has at most eight words and 200 letters: leave some out."
                }
                "text" if terms::words(value).is_empty() => {
                    "There is no letter and no digit in this: nothing can be found by it."
                }
                "verdict" if !VERDICTS.iter().any(|v| v.word() == value) => {
                    "There is no such verdict."
                }
                "standing" if value.parse::<Stand>().is_err() => "There is no such standing.",
                "open_for" if minutes(value).is_none() => {
                    "This is a number of whole minutes, from 0 to 30: 30 is what was open as long or longer."
                }
                "secret_type" if value.parse::<SecretType>().is_err() => {
                    "There is no such type of secret."
                }
                "check" if value.parse::<Check>().is_err() => "There is no such check.",
                "from" | "to" if time::parse(value).is_none() => {
                    "This cannot be read as a time. Write it like 2026-11-23 or 2026-11-23T09:52, in UTC."
                }
                _ => continue,
            };
            all.push(Problem { field, text: wrong.to_owned() });
        }
        if let (Some(from), Some(to)) = (time::parse(&self.from), time::parse(&self.to))
            && from >= to
        {
            all.push(Problem { field: "to", text: "This is not later than From.".to_owned() });
        }
        if self.seek().is_none() {
            all.push(Problem {
                field: "place",
                text: "The address names no place in the logs.".to_owned(),
            });
        }
        all
    }

    /// The query of the filter, in one fixed order: the same filter is always the same text.
    #[must_use]
    pub fn query(&self) -> String {
        self.query_of(|_| true)
    }

    /// The same without its stretch of time.
    #[must_use]
    pub fn query_without_time(&self) -> String {
        self.query_of(|name| name != "from" && name != "to")
    }

    /// The same without one field.
    #[must_use]
    pub fn query_without(&self, field: &str) -> String {
        self.query_of(|name| name != field)
    }

    /// The same without the fields that have a problem: what may be written down of it. What
    /// somebody pasted into the wrong field may be anything.
    #[must_use]
    pub fn query_sound(&self, problems: &[Problem]) -> String {
        self.query_of(|name| problems.iter().all(|p| p.field != name))
    }

    fn query_of(&self, wanted: impl Fn(&str) -> bool) -> String {
        let pairs = self.fields().into_iter().filter(|(n, v)| !v.is_empty() && wanted(n));
        pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
    }

    /// Which impersonations are folded. Without a word on it those that are complete are, unless
    /// the filter asks for rows of them.
    #[must_use]
    pub fn fold(&self) -> Fold {
        match self.fold.as_str() {
            "1" => Fold::All,
            "0" => Fold::Nothing,
            _ if self.narrows() => Fold::Nothing,
            _ => Fold::Complete,
        }
    }

    /// The fields with text that nothing vouches for: what was searched for, and what is wrong.
    pub fn unvouched<'a>(
        &'a self,
        problems: &'a [Problem],
    ) -> impl Iterator<Item = (&'static str, &'a str)> {
        self.fields().into_iter().filter(|(field, value)| {
            let wrong = problems.iter().find(|p| p.field == *field);
            !value.is_empty() && wrong.map_or(*field == "text", |problem| problem.text != SECRET)
        })
    }

    /// Forgets each secret that somebody pasted: it does not come back in the page, neither as
    /// the value of its field nor in a link.
    pub fn forget(&mut self, problems: &[Problem]) {
        for problem in problems.iter().filter(|p| p.text == SECRET) {
            let field = match problem.field {
                "text" => &mut self.text,
                "org" => &mut self.org,
                "ticket" => &mut self.ticket,
                "admin" => &mut self.admin,
                "impersonation" => &mut self.impersonation,
                "action" => &mut self.action,
                "secret_type" => &mut self.secret_type,
                "verdict" => &mut self.verdict,
                "standing" => &mut self.standing,
                "open_for" => &mut self.open_for,
                "check" => &mut self.check,
                "from" => &mut self.from,
                "to" => &mut self.to,
                _ => continue,
            };
            field.clear();
        }
    }

    /// Whether anything is narrowed.
    #[must_use]
    pub fn narrows(&self) -> bool {
        self.fields().iter().any(|(_, value)| !value.is_empty())
    }

    /// The active filters: what to call each, and the address without it.
    #[must_use]
    pub fn chips(&self, known: &Known) -> Vec<(String, String)> {
        let name = |list: &[(String, String)], id: &str| {
            list.iter().find(|(known, _)| known == id).map_or(id.to_owned(), |(_, n)| n.clone())
        };
        let when = |value: &str| time::parse(value).map_or(value.to_owned(), time::seconds);
        self.fields()
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(field, value)| {
                let label = match field {
                    "org" => format!("org {}", name(&known.orgs, value)),
                    "ticket" => format!("ticket {}", value.to_uppercase()),
                    "admin" => format!("by {}", name(&known.staff, value)),
                    "impersonation" => format!("impersonation {}", short(value)),
                    "action" => format!("action {value}"),
                    "secret_type" => format!("secret {value}"),
                    "text" => format!("“{value}”"),
                    "verdict" => format!("verdict {value}"),
                    "standing" => {
                        value.parse::<Stand>().map_or(value.to_owned(), |s| s.label().to_owned())
                    }
                    "open_for" => match minutes(value) {
                        Some(MOST_MINUTES) => format!("open for {MOST_MINUTES} min or more"),
                        Some(n) => format!("open for {n} to {} min", n + 1),
                        None => format!("open for {value} min"),
                    },
                    "check" => format!(
                        "refused because of {}",
                        value.parse::<Check>().map_or(value.to_owned(), |c| c.label().to_owned())
                    ),
                    "from" => format!("from {}", when(value)),
                    _ => format!("before {}", when(value)),
                };
                (label, address("/audit", &self.query_without(field)))
            })
            .collect()
    }
}

/// How many whole minutes, where lengths are told apart by so many.
fn minutes(value: &str) -> Option<u8> {
    let value = value.trim();
    // One number is one text: the filter stands in the address, and is on record.
    value.parse().ok().filter(|n: &u8| *n <= MOST_MINUTES && n.to_string() == value)
}

fn ticket_like(value: &str) -> bool {
    value.len() <= 20
        && value.split_once('-').is_some_and(|(letters, digits)| {
            !letters.is_empty()
                && letters.bytes().all(|b| b.is_ascii_alphabetic())
                && !digits.is_empty()
                && digits.bytes().all(|b| b.is_ascii_digit())
        })
}

fn uuid_like(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn action_like(value: &str) -> bool {
    value.len() <= 64
        && value.split_once('.').is_some_and(|(a, b)| {
            [a, b].iter().all(|part| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            })
        })
}

/// A path with a query, where there is one.
#[must_use]
pub fn address(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
#[path = "audit_filter_tests.rs"]
mod tests;
