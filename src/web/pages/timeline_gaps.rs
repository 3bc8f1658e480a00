//! The rows of an impersonation that are missing: each is drawn where it ought to be, or counted
//! where nothing says which it was.

use super::timeline_lines::{Cell, Line, TWINS, action};
use crate::audit::trail::{Judged, ReadRow};
use crate::proof::actions::{
    IMPERSONATION_ENDED, IMPERSONATION_STARTED, PLATFORM_IMPERSONATION_ENDED,
    PLATFORM_IMPERSONATION_STARTED, may_follow_end, rotated, rotated_type,
};
use crate::proof::trail::Rule;
use crate::proof::verdict::RuleState;

type Pair = (&'static str, &'static str);

const START: Pair = (PLATFORM_IMPERSONATION_STARTED, IMPERSONATION_STARTED);
const END: Pair = (PLATFORM_IMPERSONATION_ENDED, IMPERSONATION_ENDED);

/// Draws the gaps into the lines. `secret_type` names a rotation that is missing.
pub(super) fn draw(all: &mut Vec<Line<'_>>, judged: &Judged, secret_type: Option<&str>) {
    let mut gaps = Gaps {
        judged,
        platform_lacks: lacks(judged, &judged.platform, true),
        org_lacks: lacks(judged, &judged.org, false),
    };
    gaps.close(all, START, (Rule::PlatformStarted, Rule::OrgStarted), |_| 0);
    gaps.close(all, END, (Rule::PlatformEnded, Rule::OrgEnded), end_of);
    if gaps.fails(Rule::Rotated) && !judged.org.iter().any(|r| rotated_type(action(r)).is_some()) {
        let name = rotated(secret_type.unwrap_or("secret"));
        all.insert(before_end(all), Line::of(Cell::Nothing, Cell::Missing(name)));
        gaps.found(false);
    }
    for line in all.iter_mut() {
        gaps.twin(line);
    }
    gaps.unplaced(all);
}

/// Where the end of an impersonation belongs: before what may come after it.
fn end_of(lines: &[Line<'_>]) -> usize {
    lines
        .iter()
        .rposition(|line| {
            line.rows().next().is_none() || line.rows().any(|r| !may_follow_end(action(r)))
        })
        .map_or(0, |last| last + 1)
}

/// The place before the end, whether it is there or a gap.
fn before_end(lines: &[Line<'_>]) -> usize {
    let end = lines.iter().position(|line| line.has(END.0) || line.has(END.1));
    end.unwrap_or_else(|| end_of(lines))
}

/// A number that the end rows record; nothing where none does, or they do not agree.
fn recorded(judged: &Judged, key: &str) -> Option<u64> {
    let ends = judged.platform.iter().filter(|r| action(r) == END.0);
    let ends = ends.chain(judged.org.iter().filter(|r| action(r) == END.1));
    let mut numbers = ends.map(|r| r.row.as_ref().and_then(|row| row.detail_u64(key)));
    let first = numbers.next()??;
    numbers.all(|other| other == Some(first)).then_some(first)
}

/// The number of the last row that the end rows count: that of the log's own end, or else what is
/// recorded of it.
fn last_counted(judged: &Judged, rows: &[ReadRow], platform: bool) -> Option<i64> {
    let (end, key) = if platform { (END.0, "platform_last_seq") } else { (END.1, "org_last_seq") };
    let own = rows.iter().find(|r| action(r) == end).map(|r| r.entry.seq);
    own.or_else(|| recorded(judged, key).and_then(|last| i64::try_from(last).ok()))
}

/// Whether the end rows do not count a row: it came after the end, and may.
fn after_end(judged: &Judged, row: &ReadRow) -> bool {
    let rows = if row.platform() { &judged.platform } else { &judged.org };
    last_counted(judged, rows, row.platform()).is_some_and(|last| row.entry.seq > last)
        && may_follow_end(action(row))
}

/// How many rows a log lacks, by the counts at the end; nothing where they cannot tell.
fn lacks(judged: &Judged, rows: &[ReadRow], platform: bool) -> Option<u64> {
    let counted = recorded(judged, if platform { "platform_rows" } else { "org_rows" })?;
    let found = rows.iter().filter(|r| !after_end(judged, r)).count();
    Some(counted.saturating_sub(u64::try_from(found).unwrap_or(u64::MAX)))
}

/// The rows that are missing.
struct Gaps<'a> {
    judged: &'a Judged,
    /// How many more rows of the platform's log are missing, where the end rows tell.
    platform_lacks: Option<u64>,
    /// The same of the org's log.
    org_lacks: Option<u64>,
}

impl Gaps<'_> {
    fn fails(&self, rule: Rule) -> bool {
        self.judged.verdict.rule(rule).is_some_and(|r| r.result == RuleState::Failed)
    }

    fn lacks(&mut self, platform: bool) -> &mut Option<u64> {
        if platform { &mut self.platform_lacks } else { &mut self.org_lacks }
    }

    /// A row that is counted has its gap now.
    fn found(&mut self, platform: bool) {
        if let Some(left) = self.lacks(platform) {
            *left = left.saturating_sub(1);
        }
    }

    /// Draws the gaps of a pair of rows: beside the twin that is there, or else at `place`.
    fn close(
        &mut self,
        lines: &mut Vec<Line<'_>>,
        (platform, org): Pair,
        (platform_rule, org_rule): (Rule, Rule),
        place: impl Fn(&[Line<'_>]) -> usize,
    ) {
        let gap = |rows: &[ReadRow], name: &str, rule| {
            self.fails(rule) && !rows.iter().any(|r| action(r) == name)
        };
        let no_platform = gap(&self.judged.platform, platform, platform_rule);
        let no_org = gap(&self.judged.org, org, org_rule);
        for side in [(no_platform, true), (no_org, false)] {
            if side.0 {
                self.found(side.1);
            }
        }
        if !no_platform && !no_org {
            return;
        }
        let missing = |is: bool, name: &str| {
            if is { Cell::Missing(name.to_owned()) } else { Cell::Nothing }
        };
        let beside = lines.iter_mut().find(|line| line.has(platform) || line.has(org));
        match beside {
            Some(line) if no_platform => line.platform = missing(true, platform),
            Some(line) => line.org = missing(true, org),
            None => {
                let line = Line::of(missing(no_platform, platform), missing(no_org, org));
                lines.insert(place(lines), line);
            }
        }
    }

    /// Draws the gap beside a row whose step writes into both logs. What the end rows count, they
    /// know better: where they lack no row, none was written.
    fn twin(&mut self, line: &mut Line<'_>) {
        let (row, platform) = match (&line.platform, &line.org) {
            (Cell::Row(row), Cell::Nothing) => (*row, false),
            (Cell::Nothing, Cell::Row(row)) => (*row, true),
            _ => return,
        };
        let name = TWINS.iter().find_map(|&(of_platform, of_org)| {
            let (have, want) = if platform { (of_org, of_platform) } else { (of_platform, of_org) };
            // Whether a start or an end is missing, their own rules say.
            let ruled = [START, END].contains(&(of_platform, of_org));
            (action(row) == have && !ruled).then_some(want)
        });
        let Some(name) = name else { return };
        if !after_end(self.judged, row) {
            if *self.lacks(platform) == Some(0) {
                return;
            }
            self.found(platform);
        }
        let gap = Cell::Missing(name.to_owned());
        if platform {
            line.platform = gap;
        } else {
            line.org = gap;
        }
    }

    /// Says how many more rows are missing, of which nothing says what they were.
    fn unplaced(&self, lines: &mut Vec<Line<'_>>) {
        let side = |lacks: Option<u64>| match lacks {
            None | Some(0) => Cell::Nothing,
            Some(n) => Cell::Unplaced(n),
        };
        let (platform, org) = (side(self.platform_lacks), side(self.org_lacks));
        if !matches!((&platform, &org), (Cell::Nothing, Cell::Nothing)) {
            lines.insert(before_end(lines), Line::of(platform, org));
        }
    }
}

#[cfg(test)]
#[path = "timeline_gaps_tests.rs"]
mod tests;
