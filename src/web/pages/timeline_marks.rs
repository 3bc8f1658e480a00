//! The rows that do not go with the rest of their impersonation, each with what it says and what
//! it is held against. A row is marked only where the verdict's rule fails.

use std::collections::HashMap;

use super::timeline_lines::Line;
use crate::audit::trail::{Judged, ReadRow};
use crate::model::{EndCause, Micros, time};
use crate::proof::actions::{
    IMPERSONATION_ENDED, IMPERSONATION_STARTED, PLATFORM_IMPERSONATION_ENDED,
    PLATFORM_IMPERSONATION_STARTED, PLATFORM_SECRET_HANDED_OFF, may_follow_end, rotated_type,
};
use crate::proof::row::{ActorType, AuditRow, Outcome};
use crate::proof::trail::Rule;
use crate::proof::verdict::RuleState;

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whether the row is of the platform's log.
    pub platform: bool,
    /// The field, as the difference of a pair names it.
    pub field: &'static str,
    /// What is wrong, in a word or two.
    pub word: &'static str,
    /// Two values, each with what it is.
    pub values: [(&'static str, String); 2],
}

/// Marks the lines. What a pair says differently is told there already.
pub(super) fn draw(lines: &mut [Line<'_>], judged: &Judged) {
    let marks = Marks::of(judged);
    for line in lines {
        for row in line.rows() {
            let own = marks.found.get(row.entry.id.as_str()).into_iter().flatten();
            let new = own.filter(|m| line.differ.iter().all(|d| d.field != m.field)).cloned();
            let new: Vec<Mark> = new.collect();
            line.marks.extend(new);
        }
    }
}

/// A phase of an impersonation: what it is called, and whether a row is of it.
type Phase<'a> = (&'static str, fn(&At<'a>) -> bool);

/// A row as it is read, and as it is stored.
#[derive(Clone, Copy)]
struct At<'a> {
    stored: &'a ReadRow,
    row: &'a AuditRow,
}

impl At<'_> {
    fn platform(&self) -> bool {
        self.stored.platform()
    }

    fn is(&self, platform: &str, org: &str) -> bool {
        self.row.action == if self.platform() { platform } else { org }
    }

    fn starts(&self) -> bool {
        self.is(PLATFORM_IMPERSONATION_STARTED, IMPERSONATION_STARTED)
    }

    fn ends(&self) -> bool {
        self.is(PLATFORM_IMPERSONATION_ENDED, IMPERSONATION_ENDED)
    }

    fn rotates(&self) -> bool {
        !self.platform() && rotated_type(&self.row.action).is_some()
    }

    fn hands_off(&self) -> bool {
        self.platform() && self.row.action == PLATFORM_SECRET_HANDED_OFF
    }

    /// Whether it is one of the five rows of every impersonation.
    fn of_five(&self) -> bool {
        self.starts() || self.rotates() || self.ends()
    }
}

struct Marks<'a> {
    judged: &'a Judged,
    all: Vec<At<'a>>,
    found: HashMap<&'a str, Vec<Mark>>,
}

/// Two instants that are to be told apart: as times of the day where that is enough.
fn instants(one: Micros, other: Micros) -> (String, String) {
    let both = |write: &dyn Fn(Micros) -> String| (write(one), write(other));
    let same_day = time::date(one) == time::date(other);
    let clocks = both(&time::clock);
    if same_day && clocks.0 != clocks.1 {
        clocks
    } else if same_day {
        both(&time::rfc3339)
    } else {
        both(&time::seconds)
    }
}

impl<'a> Marks<'a> {
    fn of(judged: &'a Judged) -> Self {
        let rows = judged.platform.iter().chain(&judged.org);
        let all = rows.filter_map(|r| Some(At { stored: r, row: r.row.as_ref()? })).collect();
        let mut marks = Self { judged, all, found: HashMap::new() };
        marks.same(Rule::SameAdmin, "admin", holds_token, |row| {
            Some((row.actor_id.as_str(), Some(row.actor_name.as_str())))
        });
        let any = |_: &At<'_>| true;
        marks.same(Rule::SameOrg, "org_id", any, |row| plain(row.org_id.as_ref()));
        marks.same(Rule::SameTicket, "ticket_ref", any, |row| plain(row.ticket_ref.as_ref()));
        marks.same(Rule::SameReason, "reason", any, |row| plain(row.reason.as_ref()));
        marks.same(Rule::SameTarget, "secret_type", any, |row| plain(row.secret_type.as_ref()));
        marks.same(Rule::SameTarget, "secret_id", any, |row| plain(row.secret_id.as_ref()));
        marks.capacity();
        marks.again();
        marks.order();
        marks.life();
        marks
    }

    fn fails(&self, rule: Rule) -> bool {
        self.judged.verdict.rule(rule).is_some_and(|r| r.result == RuleState::Failed)
    }

    fn mark(
        &mut self,
        at: At<'a>,
        field: &'static str,
        word: &'static str,
        values: [(&'static str, String); 2],
    ) {
        let mark = Mark { platform: at.platform(), field, word, values };
        self.found.entry(at.stored.entry.id.as_str()).or_default().push(mark);
    }

    /// Marks the rows that say something else than most of the five do. The five must say it; the
    /// others may leave it out.
    fn same(
        &mut self,
        rule: Rule,
        field: &'static str,
        asked: impl Fn(&At<'a>) -> bool,
        read: impl Fn(&'a AuditRow) -> Option<(&'a str, Option<&'a str>)>,
    ) {
        if !self.fails(rule) {
            return;
        }
        let said = |row: &'a AuditRow| read(row).filter(|(value, _)| !value.is_empty());
        let shown = |(value, name): (&str, Option<&str>)| match name {
            Some(name) => format!("{name} ({value})"),
            None => value.to_owned(),
        };
        let values: Vec<_> =
            self.all.iter().filter(|at| at.of_five()).filter_map(|at| said(at.row)).collect();
        let often = |value: &str| values.iter().filter(|(other, _)| *other == value).count();
        // Of those that are said as often as each other the first: the platform's start.
        let most = values.iter().rev().copied().max_by_key(|(value, _)| often(value));
        let Some(most) = most else { return };
        for at in self.all.clone() {
            let value = said(at.row);
            let strange = match value {
                Some((value, _)) => value != most.0,
                None => at.of_five(),
            };
            if strange && (at.of_five() || asked(&at)) {
                let here = value.map_or_else(|| "not said".to_owned(), shown);
                self.mark(at, field, "differs", [(field, here), ("elsewhere", shown(most))]);
            }
        }
    }

    /// Marks the rows of the five by somebody in another capacity, or of what was not done, and a
    /// rotation of another type than the rest is about.
    fn capacity(&mut self) {
        let wanted = ActorType::PlatformAdminImpersonating;
        let (capacity, outcome) = (self.fails(Rule::ActorType), self.fails(Rule::Outcome));
        let target = self.fails(Rule::SameTarget);
        for at in self.all.clone().into_iter().filter(At::of_five) {
            let found = at.row.actor_type;
            if capacity && found != wanted && !(at.platform() && found == ActorType::PlatformAdmin)
            {
                let values =
                    [("actor_type", found.word().to_owned()), ("wanted", wanted.word().to_owned())];
                self.mark(at, "actor_type", "differs", values);
            }
            if outcome && at.row.outcome != Outcome::Success {
                let values = [
                    ("outcome", at.row.outcome.word().to_owned()),
                    ("wanted", Outcome::Success.word().to_owned()),
                ];
                self.mark(at, "outcome", "differs", values);
            }
            if target
                && at.rotates()
                && let (Some(rotated), Some(kind)) =
                    (rotated_type(&at.row.action), at.row.secret_type.as_deref())
                && rotated != kind
            {
                let values = [("rotated", rotated.to_owned()), ("secret_type", kind.to_owned())];
                self.mark(at, "action", "differs", values);
            }
        }
    }

    /// Marks each of the five that is there more than once.
    fn again(&mut self) {
        for (rule, is) in [
            (Rule::PlatformStarted, (|at| at.platform() && at.starts()) as fn(&At<'a>) -> bool),
            (Rule::OrgStarted, |at| !at.platform() && at.starts()),
            (Rule::Rotated, At::rotates),
            (Rule::OrgEnded, |at| !at.platform() && at.ends()),
            (Rule::PlatformEnded, |at| at.platform() && at.ends()),
        ] {
            let rows: Vec<At<'a>> = self.all.iter().copied().filter(is).collect();
            if let [first, others @ ..] = rows.as_slice()
                && self.fails(rule)
            {
                for at in others {
                    let row = |at: &At<'_>| at.row.seq.to_string();
                    let values = [("again in row", row(at)), ("already in row", row(first))];
                    self.mark(*at, "seq", "twice", values);
                }
            }
        }
    }

    fn late(&mut self, at: At<'a>, before: (&'static str, Micros)) {
        let (here, there) = instants(at.row.at, before.1);
        self.mark(at, "order", "out of order", [("at", here), (before.0, there)]);
    }

    /// Marks what is not in order: in a log by number, across the logs by time.
    fn order(&mut self) {
        if !self.fails(Rule::Order) {
            return;
        }
        for platform in [true, false] {
            let rows: Vec<At<'a>> =
                self.all.iter().copied().filter(|at| at.platform() == platform).collect();
            let start = rows.iter().find(|at| at.starts()).copied();
            let end = rows.iter().find(|at| at.ends()).copied();
            for pair in rows.windows(2) {
                if pair[1].row.at < pair[0].row.at {
                    self.late(pair[1], ("and the row before it at", pair[0].row.at));
                }
            }
            for at in rows {
                if let Some(start) = start.filter(|start| at.row.seq < start.row.seq) {
                    self.late(at, ("before the start at", start.row.at));
                }
                if let Some(end) = end.filter(|end| at.row.seq > end.row.seq)
                    && !may_follow_end(&at.row.action)
                {
                    self.late(at, ("after the end at", end.row.at));
                }
            }
        }
        let phases: [Phase<'a>; 4] = [
            ("before the start at", At::starts),
            ("before the rotation at", At::rotates),
            ("before the handoff at", At::hands_off),
            ("", At::ends),
        ];
        let mut latest: Option<(&'static str, Micros)> = None;
        for (name, is) in phases {
            let rows: Vec<At<'a>> = self.all.iter().copied().filter(is).collect();
            for at in &rows {
                let told = self.found.get(at.stored.entry.id.as_str());
                let told = told.is_some_and(|marks| marks.iter().any(|m| m.field == "order"));
                if let Some(before) = latest.filter(|(_, latest)| at.row.at < *latest)
                    && !told
                {
                    self.late(*at, before);
                }
            }
            let last = rows.iter().map(|at| at.row.at).max();
            latest = last.map(|at| (name, at)).or(latest);
        }
    }

    /// Marks what happened after the token had expired, and an end that was written for another
    /// time.
    fn life(&mut self) {
        let starts = self.all.iter().filter(|at| at.starts());
        let Some(expiry) = starts.filter_map(|at| at.row.detail_i64("expires_at")).next() else {
            return;
        };
        if !self.fails(Rule::Life) {
            return;
        }
        for at in self.all.clone() {
            let after = |what: &'static str, when: Micros| {
                let (expired, happened) = instants(expiry, when);
                [("expired", expired), (what, happened)]
            };
            let row = at.row;
            if row.at > expiry && at.rotates() {
                self.mark(at, "life", "too late", after("rotated", row.at));
            }
            if row.at > expiry && at.hands_off() {
                self.mark(at, "life", "too late", after("handed off", row.at));
            }
            if !at.ends() {
                continue;
            }
            let Some(ended) = row.detail_i64("ended_at") else {
                let values = [("ended", "not said".to_owned()), ("written", time::clock(row.at))];
                self.mark(at, "life", "differs", values);
                continue;
            };
            let expired = row.detail_str("cause") == Some(EndCause::Expired.as_str());
            if ended > expiry {
                self.mark(at, "life", "too late", after("ended", ended));
            } else if ended != row.at && !(expired && ended == expiry && row.at > ended) {
                let (ended, written) = instants(ended, row.at);
                self.mark(at, "life", "differs", [("ended", ended), ("written", written)]);
            }
        }
    }
}

/// Whether only the holder of the token writes such a row.
fn holds_token(at: &At<'_>) -> bool {
    at.hands_off() || at.row.actor_type == ActorType::PlatformAdminImpersonating
}

fn plain(value: Option<&String>) -> Option<(&str, Option<&str>)> {
    value.map(|value| (value.as_str(), None))
}

#[cfg(test)]
#[path = "timeline_marks_tests.rs"]
mod tests;
