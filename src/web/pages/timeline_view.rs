//! The two logs side by side as one table: for the timeline, and for the page of one
//! impersonation.

use std::collections::{BTreeSet, HashMap, HashSet};

use leptos::prelude::*;
use sqlx::AnyConnection;

use super::places::{self, Trees};
use super::row_html::{Draw, missing, unplaced};
use super::timeline_lines::{Cell, Line, Tie, lines, loose_pair};
use crate::audit::logged::Logged;
use crate::audit::timeline::{Group, Item};
use crate::audit::trail::{Proofs, ReadRow};
use crate::audit::{AuditError, LogKey};
use crate::model::{Micros, time};
use crate::on_two::on_two;
use crate::proof::verdict::Verdict;
use crate::store::impersonations::Impersonation;
use crate::store::orgs;
use crate::web::components::{icon, id_link, state, verdict};

/// What the table needs besides the rows: the names of orgs and the trees of the logs.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Name and short name of each org, by id.
    pub orgs: HashMap<String, (String, String)>,
    /// The trees of the logs.
    pub trees: Trees,
}

impl Book {
    /// Looks up what these items need.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn of(
        conn: &mut AnyConnection,
        key: &LogKey,
        items: &[Item],
        proofs: &Proofs,
    ) -> Result<Self, AuditError> {
        let rows = || items.iter().flat_map(rows_of);
        let ids: BTreeSet<String> = rows().filter_map(|r| r.entry.org_id.clone()).collect();
        let logs: BTreeSet<String> = rows().map(|r| r.entry.log_id.clone()).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let orgs = orgs::named(conn, &ids).await?;
        Ok(Self {
            orgs: orgs.into_iter().map(|(id, name, slug)| (id, (name, slug))).collect(),
            trees: places::trees(conn, key, proofs, logs).await?,
        })
    }
}

fn rows_of(item: &Item) -> Box<dyn Iterator<Item = &ReadRow> + '_> {
    match item {
        Item::Row(row) => Box::new(std::iter::once(row.as_ref())),
        Item::Group(group) => Box::new(group.judged.platform.iter().chain(&group.judged.org)),
    }
}

/// How the table is drawn.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// What the table shows, for those who do not see it.
    pub caption: String,
    /// The name of the one org, where it is about one.
    pub org: Option<String>,
    /// Whether rows may be there only for the others' sake.
    pub filtered: bool,
    /// Which impersonations are folded; without it none can be.
    pub fold: Option<Fold>,
}

/// Which impersonations show their caption only, until somebody unfolds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Those that are complete.
    Complete,
    /// All.
    All,
    /// None.
    Nothing,
}

impl Fold {
    /// Whether an impersonation of this verdict stands open.
    #[must_use]
    pub fn leaves_open(self, verdict: Verdict) -> bool {
        match self {
            Self::Complete => verdict != Verdict::Complete,
            Self::All => false,
            Self::Nothing => true,
        }
    }
}

/// Where an item stands on the time axis: at its newest row that matches.
fn stands_at(item: &Item) -> Micros {
    let newest = |rows: Vec<&ReadRow>| rows.iter().map(|r| r.entry.at).max();
    match item {
        Item::Row(row) => row.entry.at,
        Item::Group(group) => {
            let matching =
                rows_of(item).filter(|r| group.matching.contains(&r.entry.id)).collect::<Vec<_>>();
            newest(matching).or_else(|| newest(rows_of(item).collect())).unwrap_or_default()
        }
    }
}

/// The table.
pub fn table(items: &[Item], book: &Book, frame: &Frame, now: Micros) -> AnyView {
    let mut bodies: Vec<AnyView> = Vec::new();
    let mut loose: Vec<AnyView> = Vec::new();
    let mut day = String::new();
    let groups = items.iter().filter_map(|item| match item {
        Item::Group(group) => Some((group, time::date(stands_at(item)))),
        Item::Row(_) => None,
    });
    let groups = on_two(groups.collect(), |(group, day)| group_body(group, book, frame, &day, now));
    let mut groups = groups.into_iter();
    let mut rest = items.iter().peekable();
    while let Some(item) = rest.next() {
        let at = stands_at(item);
        if time::date(at) != day {
            close(&mut loose, &mut bodies);
            day = time::date(at);
            bodies.push(
                view! { <tbody><tr class="tl-day"><th colspan="3" scope="rowgroup"><span>{day.clone()}</span></th></tr></tbody> }
                    .into_any(),
            );
        }
        match item {
            Item::Row(row) => {
                let twin = match rest.peek() {
                    Some(Item::Row(next)) => loose_pair(row, next),
                    _ => None,
                };
                if twin.is_some() {
                    rest.next();
                }
                let line = twin.unwrap_or_else(|| Line::single(row));
                loose.push(line_row(&line, book, frame, None));
            }
            Item::Group(_) => {
                close(&mut loose, &mut bodies);
                bodies.extend(groups.next());
            }
        }
    }
    close(&mut loose, &mut bodies);
    let org = frame.org.as_ref().map_or("Org logs".to_owned(), |org| format!("Org log · {org}"));
    view! {
        <table class="tl">
            <caption class="sr-only">{frame.caption.clone()}</caption>
            <colgroup><col /><col class="tl-axis-col" /><col /></colgroup>
            <thead>
                <tr>
                    <th scope="col">{icon("platform")}"Platform log"</th>
                    <th scope="col" class="tl-axis">"UTC"</th>
                    <th scope="col">{icon("org")}{org}</th>
                </tr>
            </thead>
            {bodies}
        </table>
    }
    .into_any()
}

/// Rows between two groups share a body.
fn close(loose: &mut Vec<AnyView>, bodies: &mut Vec<AnyView>) {
    if !loose.is_empty() {
        let rows = std::mem::take(loose);
        bodies.push(view! { <tbody class="tl-loose">{rows}</tbody> }.into_any());
    }
}

fn clock(at: Micros) -> AnyView {
    view! { <time datetime=time::rfc3339(at) title=time::rfc3339(at)>{time::clock(at)}</time> }
        .into_any()
}

fn group_body(group: &Group, book: &Book, frame: &Frame, day: &str, now: Micros) -> AnyView {
    let word = group.judged.verdict.verdict;
    let class = match word {
        Verdict::Complete => "tl-group",
        Verdict::Open => "tl-group is-live",
        Verdict::Incomplete | Verdict::Mismatch | Verdict::Tampered => "tl-group needs-look",
    };
    let logged = logged(group);
    let in_group = InGroup { matching: &group.matching, filtered: frame.filtered };
    let mut shown_day = day.to_owned();
    let rows = lines(&group.judged, logged.secret_type.as_deref())
        .iter()
        .map(|line| {
            // A group may reach over midnight: then each new day stands on the axis.
            let date = line.at().map(time::date).filter(|d| *d != shown_day);
            if let Some(date) = &date {
                shown_day.clone_from(date);
            }
            view! {
                {date.map(|date| view! {
                    <tr class="tl-row">
                        <td class="tl-p"></td>
                        <td class="tl-axis"><p class="tl-date"><span>{date}</span></p></td>
                        <td class="tl-o"></td>
                    </tr>
                })}
                {line_row(line, book, frame, Some(&in_group))}
            }
        })
        .collect_view();
    view! {
        <tbody class=class>
            <tr class="tl-head"><th colspan="3" scope="rowgroup">{caption(group, logged, book, frame, now)}</th></tr>
            {rows}
        </tbody>
    }
    .into_any()
}

/// What the rows of a group say of its grant. The register is not asked for what they say.
fn logged(group: &Group) -> Logged {
    let rows: Vec<_> = group.judged.platform.iter().chain(&group.judged.org).collect();
    let said = Logged::of(&rows).or_else(|| group.grant.as_ref().map(Logged::of_register));
    said.unwrap_or_default()
}

/// How long it was, or where it stands.
fn lasted(logged: &Logged, grant: Option<&Impersonation>, now: Micros) -> String {
    match (logged.started_at, logged.ended_at, grant) {
        (Some(started), Some(ended), _) => time::span(ended - started),
        (_, _, Some(g)) if g.live(now) => format!("open for {}", time::span(now - g.started_at)),
        (_, None, Some(g)) if g.ended_at.is_none() => {
            "expired, its end is being written".to_owned()
        }
        _ => "no end in the logs".to_owned(),
    }
}

/// What folds a group. Only its summary is in it: a table's rows cannot stand in a disclosure, so
/// the style sheet hides them where it is closed.
fn fold(group: &Group, fold: Fold) -> AnyView {
    let rows = group.judged.platform.len() + group.judged.org.len();
    let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
    view! {
        <details class="tl-fold" open=fold.leaves_open(group.judged.verdict.verdict)>
            <summary>{icon("chevron")}{rows}<span class="sr-only">" of impersonation "{group.id.clone()}</span></summary>
        </details>
    }
    .into_any()
}

fn caption(group: &Group, logged: Logged, book: &Book, frame: &Frame, now: Micros) -> AnyView {
    let lasted = lasted(&logged, group.grant.as_ref(), now);
    let Logged { ticket, org_id, admin_name, secret_type, started_at, .. } = logged;
    let org = org_id.map(|id| match book.orgs.get(&id) {
        Some((name, slug)) => {
            view! { <a href=format!("/orgs/{slug}")>{name.clone()}</a> }.into_any()
        }
        None => view! { <span class="mono">{id}</span> }.into_any(),
    });
    // Folded, it has no row that says when it was.
    let began = frame.fold.and(started_at);
    let lost = group.grant.is_none();
    view! {
        <div class="tl-cap">
            {frame.fold.map(|how| fold(group, how))}
            <span class="sr-only">"Impersonation "</span>
            <span class="tl-cap-id">{id_link(&group.id, format!("/impersonations/{}", group.id), "impersonation id")}</span>
            {ticket.map(|t| view! { <a class="mono" href=format!("/tickets/{t}")>{t.clone()}</a> })}
            {org}
            {secret_type.map(|t| view! { <span class="mono">{t}</span> })}
            {admin_name.map(|name| view! { <span>{name}</span> })}
            {began.map(|at| view! { <span class="tl-cap-at">"from "{clock(at)}</span> })}
            <span>{lasted}</span>
            {lost.then(|| state("state-bad", "warning", "not in the register"))}
            {verdict(group.judged.verdict.verdict)}
        </div>
    }
    .into_any()
}

/// What a line in a group needs to know of it.
struct InGroup<'a> {
    matching: &'a HashSet<String>,
    filtered: bool,
}

impl InGroup<'_> {
    /// Whether a row is there only for the others' sake.
    fn context(&self, row: &ReadRow) -> bool {
        self.filtered && !self.matching.contains(&row.entry.id)
    }
}

fn line_row(line: &Line<'_>, book: &Book, frame: &Frame, group: Option<&InGroup<'_>>) -> AnyView {
    let tie = line.tie();
    let class = match tie {
        Tie::Single => "tl-row",
        Tie::Tied => "tl-row is-pair",
        Tie::Broken => "tl-row is-mismatch",
        Tie::Missing => "tl-row is-missing",
        Tie::Marked => match (&line.platform, &line.org) {
            (Cell::Row(_), Cell::Row(_)) => "tl-row is-pair is-marked",
            _ => "tl-row is-marked",
        },
    };
    let context = |row: &ReadRow| group.is_some_and(|g| g.context(row));
    // The column of the orgs' logs is of many logs, unless the filter is for one.
    let whose = |row: &ReadRow| {
        let id = row.entry.org_id.as_ref().filter(|_| frame.org.is_none() && !row.platform())?;
        Some(book.orgs.get(id).map_or_else(|| id.clone(), |(name, _)| name.clone()))
    };
    let cell = |cell: &Cell<'_>, platform: bool| match cell {
        Cell::Nothing => String::new(),
        Cell::Missing(name) => missing(name, platform),
        Cell::Unplaced(rows) => unplaced(*rows, platform),
        Cell::Row(row) => Draw {
            row,
            trees: &book.trees,
            context: context(row),
            alone: group.is_none(),
            org: whose(row),
            differ: Draw::half(&line.differ, platform),
            marks: line.marks.iter().filter(|m| m.platform == platform).collect(),
        }
        .html(),
    };
    let dim = |cell: &Cell<'_>, class: &'static str| match cell {
        Cell::Row(row) if context(row) => format!("{class} is-context"),
        _ => class.to_owned(),
    };
    // The two rows of a pair are of one instant; where they are not, both times are told.
    let apart = match (&line.platform, &line.org) {
        (Cell::Row(p), Cell::Row(o)) if (p.entry.at - o.entry.at).abs() > time::SECOND => {
            Some(p.entry.at.max(o.entry.at))
        }
        _ => None,
    };
    let word = match (tie, line.marks.first()) {
        (Tie::Broken, _) => Some("differ"),
        (_, mark) => mark.map(|m| m.word),
    };
    view! {
        <tr class=class>
            <td class=dim(&line.platform, "tl-p") inner_html=cell(&line.platform, true)></td>
            <td class="tl-axis">
                <div class="tl-at">{line.at().map(clock)}</div>
                {apart.map(|at| view! { <div class="tl-at">{clock(at)}</div> })}
                {word.map(|word| view! { <p class="tl-broken">{icon("unlink")}{word}</p> })}
            </td>
            <td class=dim(&line.org, "tl-o") inner_html=cell(&line.org, false)></td>
        </tr>
    }
    .into_any()
}

#[cfg(test)]
#[path = "timeline_view_tests.rs"]
mod tests;
