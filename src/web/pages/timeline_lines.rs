//! Which rows of an impersonation stand on one line, where one is missing, and what does not
//! agree. Nothing is drawn here.

use std::collections::HashSet;

use super::timeline_gaps;
use super::timeline_marks::{self, Mark};
use crate::audit::timeline::one_step;
use crate::audit::trail::{Judged, ReadRow};
use crate::model::{Micros, time};
pub(super) use crate::proof::actions::TWINS;
pub use crate::proof::actions::twins;

/// Details that both rows of a pair must give alike, where they give them.
const COMMON_DETAILS: &[&str] = &[
    "expires_at",
    "cause",
    "ended_at",
    "platform_rows",
    "org_rows",
    "platform_last_seq",
    "org_last_seq",
    "handoff_id",
    "item_id",
    "how",
    "message_id",
    "allow_platform_impersonation",
    "only_for_ticket",
    "key_change_id",
    "owner_change_id",
    "kind",
    "new_fingerprint",
    "effective_at",
];

/// What one log has on a line.
#[derive(Debug, Clone)]
pub enum Cell<'a> {
    /// A row.
    Row(&'a ReadRow),
    /// A row of this action ought to be here, and is not.
    Missing(String),
    /// So many rows of this log are missing, and nothing says which, or where.
    Unplaced(u64),
    /// Nothing, and nothing is expected.
    Nothing,
}

/// A field of which the two rows of a pair say different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field.
    pub field: &'static str,
    /// What the platform's log says.
    pub platform: String,
    /// What the org's log says.
    pub org: String,
}

/// How the two sides of a line hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// There is one side only.
    Single,
    /// A pair that agrees.
    Tied,
    /// A pair that does not.
    Broken,
    /// What is there does not go with the rest of the impersonation.
    Marked,
    /// A side, or both, is missing.
    Missing,
}

/// One line of a group.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// What the platform's log has.
    pub platform: Cell<'a>,
    /// What the org's log has.
    pub org: Cell<'a>,
    /// What a pair does not agree on.
    pub differ: Vec<Difference>,
    /// What does not go with the other rows of the impersonation.
    pub marks: Vec<Mark>,
}

impl<'a> Line<'a> {
    /// A row that stands alone.
    #[must_use]
    pub fn single(row: &'a ReadRow) -> Self {
        let (platform, org) = if row.platform() {
            (Cell::Row(row), Cell::Nothing)
        } else {
            (Cell::Nothing, Cell::Row(row))
        };
        Self::of(platform, org)
    }

    /// A line of these two sides, which do not differ.
    pub(super) fn of(platform: Cell<'a>, org: Cell<'a>) -> Self {
        Self { platform, org, differ: Vec::new(), marks: Vec::new() }
    }

    /// A pair.
    fn pair(platform: &'a ReadRow, org: &'a ReadRow) -> Self {
        let differ = differences(platform, org);
        Self { differ, ..Self::of(Cell::Row(platform), Cell::Row(org)) }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &'a ReadRow> + use<'a> {
        let row = |cell: &Cell<'a>| match cell {
            Cell::Row(row) => Some(*row),
            _ => None,
        };
        [row(&self.platform), row(&self.org)].into_iter().flatten()
    }
}

impl Line<'_> {
    /// When it was; of a pair the earlier time. A gap has none.
    #[must_use]
    pub fn at(&self) -> Option<Micros> {
        self.rows().map(|r| r.entry.at).min()
    }

    /// How its sides hang together.
    #[must_use]
    pub fn tie(&self) -> Tie {
        match (&self.platform, &self.org) {
            (Cell::Missing(_) | Cell::Unplaced(_), _)
            | (_, Cell::Missing(_) | Cell::Unplaced(_)) => Tie::Missing,
            (Cell::Row(_), Cell::Row(_)) if !self.differ.is_empty() => Tie::Broken,
            _ if !self.marks.is_empty() => Tie::Marked,
            (Cell::Row(_), Cell::Row(_)) => Tie::Tied,
            _ => Tie::Single,
        }
    }

    pub(super) fn has(&self, wanted: &str) -> bool {
        self.rows().any(|r| action(r) == wanted)
            || [&self.platform, &self.org]
                .into_iter()
                .any(|cell| matches!(cell, Cell::Missing(missing) if missing == wanted))
    }
}

/// What a row says that it is; its column only where the row cannot be read.
#[must_use]
pub fn action(row: &ReadRow) -> &str {
    row.row.as_ref().map_or(row.entry.action.as_str(), |r| r.action.as_str())
}

/// The lines of a group, in the order of time. `secret_type` is what was to be rotated, to name a
/// rotation that is missing.
#[must_use]
pub fn lines<'a>(judged: &'a Judged, secret_type: Option<&str>) -> Vec<Line<'a>> {
    let mut all = paired(&judged.platform, &judged.org);
    timeline_gaps::draw(&mut all, judged, secret_type);
    timeline_marks::draw(&mut all, judged);
    all
}

/// The line of two rows that stand one after the other and are of no impersonation, if one step
/// wrote them: twins, of one org, within a second.
#[must_use]
pub fn loose_pair<'a>(one: &'a ReadRow, other: &'a ReadRow) -> Option<Line<'a>> {
    let (platform, org) = match (one.platform(), other.platform()) {
        (true, false) => (one, other),
        (false, true) => (other, one),
        _ => return None,
    };
    one_step(&platform.entry, &org.entry).then(|| Line::pair(platform, org))
}

fn paired<'a>(platform: &'a [ReadRow], org: &'a [ReadRow]) -> Vec<Line<'a>> {
    let mut taken = HashSet::new();
    let mut all = Vec::with_capacity(platform.len() + org.len());
    for row in platform {
        let twin = TWINS.iter().find(|(name, _)| *name == action(row)).and_then(|(_, wanted)| {
            org.iter().enumerate().find(|(i, other)| !taken.contains(i) && action(other) == *wanted)
        });
        all.push(match twin {
            Some((i, other)) => {
                taken.insert(i);
                Line::pair(row, other)
            }
            None => Line::single(row),
        });
    }
    let alone = org.iter().enumerate().filter(|(i, _)| !taken.contains(i));
    all.extend(alone.map(|(_, row)| Line::single(row)));
    // Stable: rows of one log and one instant keep the log's order.
    all.sort_by_key(Line::at);
    all
}

/// What the two rows of a pair do not agree on.
#[must_use]
pub fn differences(platform: &ReadRow, org: &ReadRow) -> Vec<Difference> {
    let (left, right) = (said(platform), said(org));
    left.into_iter()
        .zip(right)
        .filter(|(l, r)| l.value != r.value)
        .map(|(l, r)| Difference { field: l.field, platform: l.shown(), org: r.shown() })
        .collect()
}

/// What a row says of a field: what is compared, and a name to show with it.
struct Said {
    field: &'static str,
    value: Option<String>,
    name: Option<String>,
}

impl Said {
    fn shown(self) -> String {
        match (self.value, self.name) {
            (None, _) => "not said".to_owned(),
            (Some(value), Some(name)) => format!("{name} ({value})"),
            (Some(value), None) => value,
        }
    }
}

fn said(r: &ReadRow) -> Vec<Said> {
    let plain =
        |field, value: Option<&str>| Said { field, value: value.map(str::to_owned), name: None };
    // A row that cannot be read says nothing beyond its columns.
    let Some(row) = &r.row else {
        let e = &r.entry;
        let mut all = vec![
            plain("admin", Some(&e.actor_id)),
            plain("org_id", e.org_id.as_deref()),
            plain("ticket_ref", e.ticket_ref.as_deref()),
            plain("reason", None),
            plain("secret_type", e.secret_type.as_deref()),
            plain("secret_id", None),
            plain("outcome", None),
        ];
        all.extend(COMMON_DETAILS.iter().map(|&field| plain(field, None)));
        return all;
    };
    let mut all = vec![
        Said {
            field: "admin",
            value: Some(row.actor_id.clone()),
            name: Some(row.actor_name.clone()),
        },
        plain("org_id", row.org_id.as_deref()),
        plain("ticket_ref", row.ticket_ref.as_deref()),
        plain("reason", row.reason.as_deref()),
        plain("secret_type", row.secret_type.as_deref()),
        plain("secret_id", row.secret_id.as_deref()),
        plain("outcome", Some(row.outcome.word())),
    ];
    all.extend(COMMON_DETAILS.iter().map(|&field| {
        let value = row.details.get(field).map(|v| match (v.as_str(), v.as_i64()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(t)) if field.ends_with("_at") => time::rfc3339(t),
            _ => v.to_string(),
        });
        Said { field, value, name: None }
    }));
    all
}

#[cfg(test)]
#[path = "timeline_lines_tests.rs"]
pub(super) mod tests;
