//! The overview: what needs a look, and how the platform has used its right to impersonate. Every
//! figure leads to the part of the timeline that it counts, or, where it counts orgs, to their list.

use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;
use sqlx::AnyConnection;

use super::deliveries::{UNTRIED, name_of};
use super::forwarding;
use super::overview_charts::{denied, lengths, rotations, served};
use crate::desk::Step;
use crate::model::{Micros, time};
use crate::proof::verdict::Verdict;
use crate::store::overview::{self, Denied, Length, Rotations, Served};
use crate::store::standing::{self, Standing};
use crate::store::{orgs as customers, outbox, owner_keys};
use crate::web::charts::scale;
use crate::web::components::{ago, icon, short};
use crate::web::door::Door;
use crate::web::pages::orgs::{self, SOON};
use crate::web::shell::{Part, page};

/// How many of each kind stand on its card.
const FIRST: i64 = 3;
/// More orgs than so many are not counted one by one.
const MANY: i64 = 1000;
/// How many orgs the chart of the most served ones has.
const TOP: i64 = 10;

/// What the page is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ask {
    days: String,
}

/// The stretches of time that can be chosen: in days, and their names.
const RANGES: [(i64, &str); 3] = [(30, "30 days"), (90, "90 days"), (365, "12 months")];

impl Ask {
    fn days(&self) -> i64 {
        RANGES.into_iter().map(|(days, _)| days).find(|d| d.to_string() == self.days).unwrap_or(30)
    }
}

/// A stretch of time: from `from` to before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first instant.
    pub from: Micros,
    /// The first instant after it.
    pub to: Micros,
}

impl Range {
    /// The last so many days before the minute after `now`.
    #[must_use]
    pub fn last(days: i64, now: Micros) -> Self {
        let to = now - now.rem_euclid(time::MINUTE) + time::MINUTE;
        Self { from: to - days * time::DAY, to }
    }
}

/// One on a card: what it is called, where it is, and since when.
struct Item {
    name: String,
    href: String,
    at: Option<Micros>,
}

/// A kind of thing that needs a look.
struct Need {
    icon: &'static str,
    title: &'static str,
    means: &'static str,
    n: i64,
    href: &'static str,
    /// Another place that shows them: the address, and what it is called.
    beside: Option<(&'static str, String)>,
    first: Vec<Item>,
}

/// What the charts are drawn from.
pub struct Figures {
    /// The stretch of time.
    pub range: Range,
    /// How long tokens were open.
    pub lengths: Vec<Length>,
    /// Rotations by type and week.
    pub rotations: Vec<Rotations>,
    /// Refused attempts by check.
    pub denied: Vec<Denied>,
    /// The most served orgs.
    pub served: Vec<Served>,
}

/// `GET /overview`.
pub async fn show(mut door: Door, Query(ask): Query<Ask>) -> Response {
    match load(&mut door, &ask).await {
        Ok((needs, figures)) => {
            let body = draw(&needs, &figures, &ask, door.app.desk.now());
            page(door, StatusCode::OK, "Overview", Part::Overview, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, ask: &Ask) -> Step<(Vec<Need>, Figures)> {
    let desk = door.app.desk.clone();
    // Who looks is on record before anything is seen.
    desk.note_view(&door.who, "/overview", &format!("days={}", ask.days())).await?;
    let now = desk.now();
    let conn = &mut *door.conn;
    let needs = needs(conn, now).await?;
    let range = Range::last(ask.days(), now);
    Ok((needs, figures(conn, range).await?))
}

/// What the charts of a stretch of time are drawn from.
///
/// # Errors
/// Where the database does not answer.
pub async fn figures(conn: &mut AnyConnection, range: Range) -> Step<Figures> {
    let Range { from, to } = range;
    Ok(Figures {
        range,
        lengths: overview::lengths(conn, from, to).await?,
        rotations: overview::rotations(conn, scale::monday(from), from, to).await?,
        denied: overview::denied(conn, from, to).await?,
        served: overview::served(conn, from, to, TOP).await?,
    })
}

fn trails(found: Vec<Standing>) -> Vec<Item> {
    found
        .into_iter()
        .map(|s| Item {
            name: match s.ticket_ref {
                Some(ticket) => format!("{ticket} · {}", short(&s.impersonation_id)),
                None => short(&s.impersonation_id),
            },
            href: format!("/impersonations/{}", s.impersonation_id),
            at: Some(s.newest_at),
        })
        .collect()
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn as_list(href: &'static str) -> Option<(&'static str, String)> {
    Some((href, "as a list".to_owned()))
}

async fn needs(conn: &mut AnyConnection, now: Micros) -> Step<Vec<Need>> {
    let mut all = Vec::new();
    for (verdict, icon, title, means, (href, list)) in [
        (
            Verdict::Tampered,
            "warning",
            "Tampered",
            "A log’s proof fails. Keep the database as it is, and call security.",
            ("/audit?verdict=tampered", "/impersonations?verdict=tampered"),
        ),
        (
            Verdict::Mismatch,
            "unlink",
            "Mismatch",
            "The two logs disagree, or a token outlived its time.",
            ("/audit?verdict=mismatch", "/impersonations?verdict=mismatch"),
        ),
        (
            Verdict::Incomplete,
            "dashed",
            "Incomplete",
            "A row that belongs there is missing.",
            ("/audit?verdict=incomplete", "/impersonations?verdict=incomplete"),
        ),
    ] {
        let first = trails(standing::page(conn, verdict, None, FIRST).await?);
        let n = standing::count(conn, verdict).await?;
        all.push(Need { icon, title, means, n, href, beside: as_list(list), first });
    }
    all.push(Need {
        icon: "clock",
        title: "Open too long",
        means: "More than a minute after the handoff, or until the token expired.",
        n: standing::count_overstayed(conn).await?,
        href: "/audit?standing=overstayed",
        beside: as_list("/impersonations?show=overstayed"),
        first: trails(standing::page_overstayed(conn, None, FIRST).await?),
    });
    let sent = overview::unacknowledged(conn, None, FIRST).await?;
    all.push(Need {
        icon: "handoff",
        title: "Handoff not acknowledged",
        means: "Handed off, and the Owner has not confirmed it.",
        n: overview::count_unacknowledged(conn).await?,
        href: "/audit?standing=unacknowledged",
        beside: as_list("/impersonations?show=unacknowledged"),
        first: sent
            .into_iter()
            .map(|h| Item {
                name: short(&h.impersonation_id),
                href: format!("/impersonations/{}", h.impersonation_id),
                at: Some(h.queued_at),
            })
            .collect(),
    });
    all.extend(deliveries(conn, now).await?);
    let owing = overview::owing(conn, MANY).await?;
    let under = overview::count_owing_impersonations(conn).await?;
    let org = |name: &str, slug: &str, at| Item {
        name: name.to_owned(),
        href: format!("/orgs/{slug}"),
        at: Some(at),
    };
    all.push(Need {
        icon: "vault",
        title: "Revoke owed",
        means: "Orgs with a vault token that was replaced and still works.",
        n: count(owing.len()),
        href: "/orgs?show=owing",
        beside: (under > 0).then(|| {
            let said = if under == 1 { "impersonation" } else { "impersonations" };
            ("/audit?standing=owing", format!("{under} {said} in the timeline"))
        }),
        first: owing.iter().take(3).map(|o| org(&o.name, &o.slug, o.since)).collect(),
    });
    let keys = owner_keys::expiring(conn, now + SOON * time::DAY, MANY).await?;
    all.push(Need {
        icon: "key",
        title: "Owner’s key expiring",
        means: "Orgs whose Owner’s key on file has expired, or does within 30 days.",
        n: count(keys.len()),
        href: "/orgs?show=key_expiring",
        beside: None,
        first: keys.iter().take(3).map(|k| org(&k.name, &k.slug, k.expires_at)).collect(),
    });
    let changed = orgs::owners_changed(conn, now).await?;
    let mut first = Vec::new();
    for (id, at) in changed.iter().take(3) {
        if let Some(o) = customers::by_id(conn, id).await? {
            first.push(org(&o.name, &o.slug, *at));
        }
    }
    all.push(Need {
        icon: "key",
        title: "Owner changed",
        means: "Orgs whose Owner, or the Owner’s key, address or channel, changed in the last 30 days.",
        n: count(changed.len()),
        href: "/orgs?show=owner_changed",
        beside: None,
        first,
    });
    Ok(all)
}

/// What is undelivered, and what waits: both are on the page of deliveries.
async fn deliveries(conn: &mut AnyConnection, now: Micros) -> Step<[Need; 2]> {
    let href = "/deliveries";
    let given_up = outbox::undelivered(conn, None, FIRST).await?;
    let undelivered = Need {
        icon: "warning",
        title: "Undelivered",
        means: "Refused for good by a system outside: put it right, and send it again.",
        n: outbox::count_undelivered(conn).await?,
        href,
        beside: None,
        first: given_up
            .iter()
            .map(|item| Item { name: name_of(item), href: href.to_owned(), at: item.gave_up_at })
            .collect(),
    };
    let kinds = outbox::waiting(conn, now - UNTRIED).await?;
    let sinks = forwarding::load(conn, now).await?;
    let of_kinds = kinds.iter().map(|kind| Item {
        name: match kind.to_mend {
            0 => format!("{}: {}", kind.kind.label(), kind.items),
            n => format!("{}: {}, {n} until something is mended", kind.kind.label(), kind.items),
        },
        href: href.to_owned(),
        at: Some(kind.since),
    });
    let silent = sinks.iter().filter(|(sink, stuck)| sink.failures > 0 || !stuck.is_empty());
    let of_sinks = silent.clone().map(|(sink, _)| Item {
        name: format!("Rows for {}: {}", sink.sink, sink.behind),
        href: href.to_owned(),
        at: sink.sent_at,
    });
    let waiting = Need {
        icon: "clock",
        title: "Waiting for a system outside",
        means: "Not taken yet, and tried again by itself.",
        n: kinds.iter().map(|kind| kind.items).sum::<i64>() + count(silent.clone().count()),
        href,
        beside: None,
        first: of_kinds.chain(of_sinks).take(4).collect(),
    };
    Ok([undelivered, waiting])
}

fn card(need: &Need, now: Micros) -> AnyView {
    let items = need
        .first
        .iter()
        .map(|item| {
            view! {
                <li>
                    <a href=item.href.clone()>{item.name.clone()}</a>
                    {item.at.map(|at| view! { <small>{ago(at, now)}</small> })}
                </li>
            }
        })
        .collect_view();
    let (class, link) = if need.n == 0 {
        ("need", view! { <a class="need-n" href=need.href>"None"</a> }.into_any())
    } else {
        let says = format!("{}: {}, all of them", need.title, need.n);
        (
            "need need-some",
            view! { <a class="need-n" href=need.href aria-label=says>{need.n}</a> }.into_any(),
        )
    };
    let beside = need.beside.as_ref().filter(|_| need.n > 0).map(|(href, said)| {
        view! { " "<a href=*href>{said.clone()}<span class="sr-only">{format!(": {}", need.title)}</span></a> }
    });
    view! {
        <li class=class>
            <h3>{icon(need.icon)}{need.title}</h3>
            {link}
            <p>{need.means}{beside}</p>
            {(!need.first.is_empty()).then(|| view! { <ul>{items}</ul> })}
        </li>
    }
    .into_any()
}

fn draw(needs: &[Need], figures: &Figures, ask: &Ask, now: Micros) -> AnyView {
    let cards = needs.iter().map(|need| card(need, now)).collect_view();
    let ranges = RANGES
        .into_iter()
        .map(|(days, name)| {
            let current = (days == ask.days()).then_some("page");
            view! { <a href=format!("/overview?days={days}") aria-current=current>"Last "{name}</a> }
        })
        .collect_view();
    let Range { from, to } = figures.range;
    view! {
        <div class="page-head">
            <div>
                <h1>"Overview"</h1>
                <p>
                    "What needs a look, and how the platform used its right to impersonate. Each figure leads to the rows that it \
                     counts, or, where it counts organizations, to those. Verdicts are those of the last judgement, a few seconds old; the page of an impersonation judges anew."
                </p>
            </div>
        </div>
        <section aria-labelledby="needs-head">
            <div class="section-head section-head-first"><h2 id="needs-head">"Needs a look"</h2><p>"Of all times."</p></div>
            <ul class="needs">{cards}</ul>
        </section>
        <section aria-labelledby="figures-head">
            <div class="section-head"><h2 id="figures-head">"Figures"</h2><p>{format!("{} to {}", time::minutes(from), time::minutes(to))}</p></div>
            <nav class="tabs" aria-label="Stretch of time">{ranges}</nav>
            <div class="figures">
                {lengths(figures)}
                {rotations(figures)}
                {denied(figures)}
                {served(figures)}
            </div>
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stretches_that_are_offered_can_be_asked_for() {
        let ask = |days: &str| Ask { days: days.to_owned() }.days();
        assert_eq!([ask("30"), ask("90"), ask("365")], [30, 90, 365]);
        assert_eq!([ask(""), ask("31"), ask("-1"), ask("1e9")], [30; 4]);
    }

    #[test]
    fn a_stretch_of_time_ends_with_the_minute_that_runs() {
        let range = Range::last(30, 90 * time::DAY + 61 * time::SECOND);
        assert_eq!(range.to, 90 * time::DAY + 2 * time::MINUTE);
        assert_eq!(range.to - range.from, 30 * time::DAY);
    }
}
