//! The charts of the overview, each with its words, its links and its table.

use leptos::prelude::*;

use super::impersonations_filter::{handed_off_query, open_for_query};
use super::overview::{Figures, Range};
use crate::model::{Micros, SecretType, Stand, time};
use crate::policy::eligibility::Check;
use crate::proof::actions;
use crate::store::standing::MOST_MINUTES;
use crate::web::charts::frame::{Cell, Table, figure, key};
use crate::web::charts::{bars, histogram, scale, stacked};
use crate::web::door::encode;

/// The timeline narrowed to a stretch of time and something more.
fn timeline(narrowed: &str, range: Range) -> String {
    let (from, to) = (time::rfc3339(range.from), time::rfc3339(range.to));
    format!("/audit?{narrowed}&from={}&to={}", encode(&from), encode(&to))
}

/// The timeline of the tokens that were open for so many whole minutes.
fn open_for(minutes: u8, range: Range) -> String {
    timeline(&format!("open_for={minutes}"), range)
}

/// A share as people read it: `98.2 %`.
fn share(part: i64, whole: i64) -> String {
    let per_mille = if whole == 0 { 0 } else { part * 1000 / whole };
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

fn nothing(text: &'static str) -> AnyView {
    view! { <p class="figure-none">{text}</p> }.into_any()
}

fn plain(text: impl Into<String>) -> Cell {
    (text.into(), None)
}

/// The counted lengths, in whole minutes: how many tokens were open for so many; the last one
/// stands for all that were open as long or longer.
#[must_use]
pub fn by_minute(counted: &[(i64, i64)]) -> Vec<i64> {
    let last = usize::from(MOST_MINUTES);
    let mut all = vec![0; last + 1];
    for &(seconds, n) in counted {
        let minute = usize::try_from(seconds / 60).unwrap_or(0).min(last);
        all[minute] += n;
    }
    all
}

/// How long tokens were open.
pub fn lengths(f: &Figures) -> AnyView {
    let counted: Vec<(i64, i64)> = f.lengths.iter().map(|l| (l.seconds, l.tokens)).collect();
    let total: i64 = counted.iter().map(|c| c.1).sum();
    let handed_off: i64 = f.lengths.iter().map(|l| l.handed_off).sum();
    let at_once: i64 = f.lengths.iter().map(|l| l.at_once).sum();
    let title = "How long tokens were open";
    let quantiles: Vec<(&str, i64)> = [("median", 500), ("90 %", 900), ("99 %", 990)]
        .into_iter()
        .filter_map(|(name, q)| Some((name, scale::quantile(&counted, q)?)))
        .collect();
    let span = |seconds: i64| time::span(seconds * time::SECOND);
    let facts = quantiles
        .iter()
        .map(|(name, at)| {
            let label = match *name {
                "median" => "Median".to_owned(),
                other => format!("{other} within"),
            };
            // To those of the bar that it falls into.
            let minute = u8::try_from(*at / 60).unwrap_or(MOST_MINUTES).min(MOST_MINUTES);
            let list =
                format!("/impersonations?{}", open_for_query(f.range.from, f.range.to, minute));
            let which = format!(", those that were open for {minute} minutes");
            view! {
                <div><dt>{label}</dt><dd><a href=open_for(minute, f.range)>{span(*at)}</a><small><a href=list>"as a list"<span class="sr-only">{which}</span></a></small></dd></div>
            }
        })
        .collect_view();
    if total == 0 {
        return figure(
            "lengths",
            title,
            nothing("No token was issued and ended in this time."),
            ().into_any(),
            ().into_any(),
            Table::default(),
        );
    }
    // Each by its start, as they are counted.
    let ended = |stand: Stand| {
        let start = actions::PLATFORM_IMPERSONATION_STARTED;
        timeline(&format!("action={start}&standing={stand}"), f.range)
    };
    let listed = |soon: bool| {
        let href = format!("/impersonations?{}", handed_off_query(f.range.from, f.range.to, soon));
        let which =
            if soon { ", those that ended within a minute" } else { ", those that ended later" };
        view! { <small><a href=href>"as a list"<span class="sr-only">{which}</span></a></small> }
    };
    let later = (at_once < handed_off).then(|| {
        view! {
            <small><a href=ended(Stand::Late)>{format!("{} later", handed_off - at_once)}</a></small>
            {listed(false)}
        }
    });
    let lead = view! {
        <dl class="figure-facts">
            {facts}
            <div><dt>"Ended within a minute of the handoff"</dt><dd><a href=ended(Stand::Prompt)>{share(at_once, handed_off)}</a><small>{format!("{at_once} of {handed_off}")}</small>{listed(true)}{later}</dd></div>
        </dl>
    };
    let minutes = by_minute(&counted);
    let shown = minutes.iter().rposition(|n| *n > 0).unwrap_or(0).max(14) + 1;
    let name_of = |minute: usize| {
        if minute >= usize::from(MOST_MINUTES) {
            format!("{MOST_MINUTES} min or more")
        } else {
            format!("{minute} to {} min", minute + 1)
        }
    };
    let href = |minute: usize| open_for(u8::try_from(minute).unwrap_or(MOST_MINUTES), f.range);
    let bins: Vec<histogram::Bin> = minutes
        .iter()
        .take(shown)
        .enumerate()
        .map(|(minute, &n)| histogram::Bin {
            n,
            label: minute.to_string(),
            href: href(minute),
            title: format!("{}: {n}", name_of(minute)),
        })
        .collect();
    #[allow(clippy::cast_precision_loss, reason = "seconds of a token's life")]
    let marks: Vec<histogram::Mark> = quantiles
        .iter()
        .map(|(name, at)| histogram::Mark { at: *at as f64 / 60.0, label: (*name).to_owned() })
        .collect();
    let name = format!(
        "Histogram of how many minutes {total} tokens were open: {}.",
        quantiles.iter().map(|(n, at)| format!("{n} {}", span(*at))).collect::<Vec<_>>().join(", ")
    );
    let rows = bins
        .iter()
        .enumerate()
        .filter(|(_, bin)| bin.n > 0)
        .map(|(minute, bin)| {
            vec![
                (name_of(minute), Some(bin.href.clone())),
                plain(bin.n.to_string()),
                plain(share(bin.n, total)),
            ]
        })
        .collect();
    let table = Table {
        caption: "Tokens by how many minutes they were open".to_owned(),
        heads: ["Open for", "Tokens", "Share"].map(str::to_owned).to_vec(),
        rows,
    };
    let chart = view! {
        {histogram::draw("lengths-fill", &name, &bins, &marks)}
        <p class="figure-axis">"Minutes"</p>
    };
    figure("lengths", title, lead.into_any(), ().into_any(), chart.into_any(), table)
}

/// Rotations by type and week.
pub fn rotations(f: &Figures) -> AnyView {
    let title = "Rotations by type and week";
    let weeks = scale::weeks(f.range.from, f.range.to);
    let first = scale::monday(f.range.from);
    let number = |kind: SecretType, start: Micros| {
        let (action, week) =
            (actions::rotated(kind.as_str()), (scale::monday(start) - first) / scale::WEEK);
        f.rotations
            .iter()
            .filter(|r| r.action == action && r.week == week)
            .map(|r| r.rows)
            .sum::<i64>()
    };
    let href = |kind: SecretType, (from, to): (Micros, Micros)| {
        timeline(&format!("action={}", actions::rotated(kind.as_str())), Range { from, to })
    };
    let columns: Vec<stacked::Column> = weeks
        .iter()
        .map(|&(from, to)| stacked::Column {
            label: time::date(from).get(5..).unwrap_or_default().to_owned(),
            parts: SecretType::ALL
                .iter()
                .map(|&kind| {
                    let n = number(kind, from);
                    let says = format!("{n} {} from {}", kind.as_str(), time::date(from));
                    (n, href(kind, (from, to)), says)
                })
                .collect(),
        })
        .collect();
    let totals: Vec<(SecretType, i64)> = SecretType::ALL
        .iter()
        .map(|&kind| {
            let action = actions::rotated(kind.as_str());
            (kind, f.rotations.iter().filter(|r| r.action == action).map(|r| r.rows).sum())
        })
        .collect();
    let all: i64 = totals.iter().map(|t| t.1).sum();
    let facts = totals
        .iter()
        .map(|(kind, n)| {
            let whole = timeline(&format!("action={}", actions::rotated(kind.as_str())), f.range);
            view! { <div><dt>{kind.label()}</dt><dd><a href=whole>{*n}</a></dd></div> }
        })
        .collect_view();
    let lead = view! { <dl class="figure-facts">{facts}</dl> };
    let names: Vec<String> = SecretType::ALL.iter().map(|k| k.as_str().to_owned()).collect();
    let said = totals.iter().map(|(k, n)| format!("{n} of {}", k.as_str())).collect::<Vec<_>>();
    let name = format!(
        "Stacked bars of {all} rotations over {} weeks: {}.",
        columns.len(),
        said.join(", ")
    );
    let rows = weeks
        .iter()
        .zip(&columns)
        .map(|(&(from, _), column)| {
            let mut row = vec![plain(time::date(from))];
            row.extend(
                column
                    .parts
                    .iter()
                    .map(|(n, href, _)| (n.to_string(), (*n > 0).then(|| href.clone()))),
            );
            row
        })
        .collect();
    let mut heads = vec!["Week from".to_owned()];
    heads.extend(names.clone());
    let table = Table { caption: "Rotations by week and type of secret".to_owned(), heads, rows };
    let (keys, chart) = if all == 0 {
        (().into_any(), nothing("Nothing was rotated in this time."))
    } else {
        (key("rotations-fill", &names), stacked::draw("rotations-fill", &name, &columns))
    };
    let table = if all == 0 { Table::default() } else { table };
    figure("rotations", title, lead.into_any(), keys, chart, table)
}

/// Bars with their table: what denied attempts and served orgs have in common.
fn list(
    id: &'static str,
    title: &'static str,
    lead: String,
    name: String,
    heads: [&str; 2],
    series: usize,
    all: &[bars::Bar],
) -> AnyView {
    let table = Table {
        caption: title.to_owned(),
        heads: heads.map(str::to_owned).to_vec(),
        rows: all
            .iter()
            .map(|bar| vec![(bar.label.clone(), Some(bar.href.clone())), plain(bar.n.to_string())])
            .collect(),
    };
    let chart = bars::draw(&format!("{id}-fill"), &name, series, all);
    figure(id, title, view! { <p>{lead}</p> }.into_any(), ().into_any(), chart, table)
}

/// Refused attempts by the check that failed.
pub fn denied(f: &Figures) -> AnyView {
    let title = "Denied attempts by check";
    if f.denied.is_empty() {
        return figure(
            "denied",
            title,
            nothing("No attempt was refused in this time."),
            ().into_any(),
            ().into_any(),
            Table::default(),
        );
    }
    let all: Vec<bars::Bar> = f
        .denied
        .iter()
        .map(|d| {
            let label = d
                .failed_check
                .parse::<Check>()
                .map_or_else(|_| d.failed_check.clone(), |check| check.label().to_owned());
            bars::Bar {
                title: format!("{label}: {}", d.attempts),
                label,
                n: d.attempts,
                href: timeline(&format!("check={}", encode(&d.failed_check)), f.range),
            }
        })
        .collect();
    let said = all.iter().map(|b| format!("{} {}", b.label, b.n)).collect::<Vec<_>>().join(", ");
    list(
        "denied",
        title,
        "An attempt that fails several checks stands under each of them.".to_owned(),
        format!("Bars of refused attempts by check: {said}."),
        ["Check that failed", "Attempts"],
        1,
        &all,
    )
}

/// The orgs that were served most.
pub fn served(f: &Figures) -> AnyView {
    let title = "Most served orgs";
    if f.served.is_empty() {
        return figure(
            "served",
            title,
            nothing("No org was served in this time."),
            ().into_any(),
            ().into_any(),
            Table::default(),
        );
    }
    let all: Vec<bars::Bar> = f
        .served
        .iter()
        .map(|s| bars::Bar {
            label: s.name.clone(),
            n: s.impersonations,
            href: timeline(
                &format!(
                    "org={}&action={}",
                    encode(&s.org_id),
                    actions::PLATFORM_IMPERSONATION_STARTED
                ),
                f.range,
            ),
            title: format!("{}: {}", s.name, s.impersonations),
        })
        .collect();
    let said = all.iter().map(|b| format!("{} {}", b.label, b.n)).collect::<Vec<_>>().join(", ");
    list(
        "served",
        title,
        format!("By impersonations that began; the first {}.", all.len()),
        format!("Bars of the orgs by impersonations: {said}."),
        ["Org", "Impersonations"],
        0,
        &all,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_in_its_minute_and_the_longest_are_together() {
        let found =
            by_minute(&[(0, 1), (59, 2), (60, 4), (29 * 60 + 59, 8), (1800, 16), (9999, 32)]);
        assert_eq!((found[0], found[1], found[29], found[30]), (3, 4, 8, 48));
        assert_eq!(found.iter().sum::<i64>(), 63);
    }

    #[test]
    fn shares_are_said_to_a_tenth_and_never_rounded_up_to_all() {
        assert_eq!(share(999, 1000), "99.9 %");
        assert_eq!(share(19_999, 20_000), "99.9 %");
        assert_eq!(share(0, 0), "0.0 %");
        assert_eq!(share(5, 5), "100.0 %");
    }
}
