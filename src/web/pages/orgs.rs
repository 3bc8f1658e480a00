//! The customers, and what the procedure would need of each.

use std::collections::BTreeSet;

use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;
use sqlx::AnyConnection;

use crate::desk::Step;
use crate::model::{Consent, Micros, Standing, TicketState, time};
use crate::policy::eligibility::HandoffFacts;
use crate::policy::owner_change::STAYS_AWAY_FOR;
use crate::proof::actions;
use crate::store::orgs::{self, Org};
use crate::store::tickets::{self, Filter};
use crate::store::{audit, overview, owner_keys, secrets};
use crate::web::components::{empty, icon, standing, state};
use crate::web::door::{Door, encode};
use crate::web::shell::{Part, page};

const PAGE: usize = 50;
/// Beyond so many open tickets of one org their exact number says nothing more.
const MANY: i64 = 100;
/// The most orgs that a list of what needs a look has.
const MOST: i64 = 1000;
/// A key that expires within so many days is told of.
pub const SOON: i64 = 30;

/// What the page is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ask {
    show: String,
    after: Option<String>,
}

/// Which orgs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    All,
    /// With a vault token that was replaced and is not revoked.
    Owing,
    /// With a key of the Owner's that expires soon, or has.
    KeyExpiring,
    /// Whose way to the Owner was changed in the last 30 days.
    OwnerChanged,
}

impl Ask {
    fn show(&self) -> Show {
        match self.show.as_str() {
            "owing" => Show::Owing,
            "key_expiring" => Show::KeyExpiring,
            "owner_changed" => Show::OwnerChanged,
            _ => Show::All,
        }
    }
}

struct Line {
    org: Org,
    owner: Option<(String, Standing)>,
    secrets: i64,
    tickets: i64,
    channel: HandoffFacts,
}

struct List {
    lines: Vec<Line>,
    next: Option<String>,
}

/// `GET /orgs`.
pub async fn show(mut door: Door, Query(ask): Query<Ask>) -> Response {
    match load(&mut door, &ask).await {
        Ok(list) => {
            let body = draw(&list, &ask, door.app.desk.now());
            page(door, StatusCode::OK, "Organizations", Part::Orgs, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, ask: &Ask) -> Step<List> {
    let desk = door.app.desk.clone();
    let conn = &mut *door.conn;
    let mut found = match ask.show() {
        Show::All => page_of_all(conn, ask).await?,
        Show::Owing => {
            let ids = overview::owing(conn, MOST).await?.into_iter().map(|o| o.id);
            by_ids(conn, ids.collect()).await?
        }
        Show::KeyExpiring => {
            let until = desk.now() + SOON * time::DAY;
            let ids = owner_keys::expiring(conn, until, MOST).await?.into_iter().map(|o| o.id);
            by_ids(conn, ids.collect()).await?
        }
        Show::OwnerChanged => {
            let ids = owners_changed(conn, desk.now()).await?.into_iter().map(|(id, _)| id);
            by_ids(conn, ids.collect()).await?
        }
    };
    let more = ask.show() == Show::All && found.len() > PAGE;
    if more {
        found.truncate(PAGE);
    }
    let next = found.last().filter(|_| more).map(|o| o.id.clone());
    let mut lines = Vec::with_capacity(found.len());
    for org in found {
        let owner = orgs::members(conn, &org.id)
            .await?
            .into_iter()
            .find(|m| Some(&m.id) == org.owner_member_id.as_ref())
            .map(|m| (m.name, m.standing));
        lines.push(Line {
            owner,
            secrets: secrets::count_of_org(conn, &org.id).await?,
            tickets: open_tickets(conn, &org.id).await?,
            channel: desk.handoff_facts(&org, desk.now()),
            org,
        });
    }
    Ok(List { lines, next })
}

/// The orgs whose Owner's key, address or channel, or whose Owner, was changed in the last 30 days,
/// as the platform's log has it, and when last.
///
/// # Errors
/// Where the database does not answer.
pub async fn owners_changed(conn: &mut AnyConnection, now: Micros) -> Step<Vec<(String, Micros)>> {
    let mut all: Vec<(String, Micros)> = Vec::new();
    for action in [actions::PLATFORM_OWNER_KEY_CHANGED, actions::PLATFORM_OWNER_RECORD_CHANGED] {
        let since = now - STAYS_AWAY_FOR;
        all.extend(audit::orgs_of_action_since(conn, action, since, MOST).await?);
    }
    all.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
    let mut seen = BTreeSet::new();
    all.retain(|(id, _)| seen.insert(id.clone()));
    Ok(all)
}

async fn page_of_all(conn: &mut AnyConnection, ask: &Ask) -> Step<Vec<Org>> {
    let after = match ask.after.as_deref() {
        Some(id) => orgs::by_id(conn, id).await?,
        None => None,
    };
    let after = after.as_ref().map(|o| (o.name.as_str(), o.id.as_str()));
    Ok(orgs::page(conn, after, PAGE as i64 + 1).await?)
}

async fn by_ids(conn: &mut AnyConnection, ids: Vec<String>) -> Step<Vec<Org>> {
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.extend(orgs::by_id(conn, &id).await?);
    }
    Ok(all)
}

async fn open_tickets(conn: &mut AnyConnection, org_id: &str) -> Step<i64> {
    let mut n = 0;
    for state in [TicketState::Open, TicketState::Pending] {
        let filter =
            Filter { state: Some(state), org_id: Some(org_id.to_owned()), ..Filter::default() };
        let found = tickets::page(conn, &filter, None, MANY).await?.len();
        n += i64::try_from(found).unwrap_or(MANY);
    }
    Ok(n)
}

/// Whether the channel of an org's runbook entry works, in one cell.
pub fn channel(works: &HandoffFacts, now: Micros) -> AnyView {
    match works {
        HandoffFacts::NoChannel => state("state-needs", "warning", "No channel named"),
        HandoffFacts::Broken { channel, .. } => {
            state("state-needs", "cross", format!("{}: does not work", channel.label()))
        }
        HandoffFacts::Works { channel, expires_at: None, .. } => {
            state("state-ok", "check", channel.label())
        }
        HandoffFacts::Works { channel, expires_at: Some(t), .. } => {
            let days = days_until(*t, now);
            let word = format!("{}, key for {days} d", channel.label());
            if days <= SOON {
                state("state-needs", "warning", word)
            } else {
                state("state-ok", "check", word)
            }
        }
    }
}

/// Whole days until an instant; 0 where it is past.
#[must_use]
pub fn days_until(t: Micros, now: Micros) -> i64 {
    (t - now).max(0) / time::DAY
}

/// Consent as a state, with how far it goes.
pub fn consent(org: &Org) -> AnyView {
    match org.consent() {
        Consent::UntilWithdrawn => state("state-ok", "check", "On"),
        Consent::ForTicket(only) => state("state-ok", "check", format!("On, for {only} only")),
        Consent::Off => state("state-needs", "cross", "Off"),
    }
}

fn draw(list: &List, ask: &Ask, now: Micros) -> AnyView {
    let rows = list
        .lines
        .iter()
        .map(|l| {
            let owner = match (&l.owner, l.org.owner_unreachable_at) {
                (None, _) => state("state-needs", "warning", "Nobody on record"),
                (Some(_), Some(_)) => state("state-needs", "scale", "Unreachable"),
                (Some((_, s)), None) => standing(*s),
            };
            view! {
                <tr>
                    <td class="card-title">
                        <span><a class="main-link" href=format!("/orgs/{}", l.org.slug)>{l.org.name.clone()}</a>" "<code class="id">{l.org.slug.clone()}</code></span>
                    </td>
                    <td data-label="Owner">{owner}</td>
                    <td data-label="Consent">{consent(&l.org)}</td>
                    <td data-label="Channel">{channel(&l.channel, now)}</td>
                    <td class="num" data-label="Secrets">{l.secrets}</td>
                    <td class="num" data-label="Open tickets">{l.tickets}</td>
                </tr>
            }
        })
        .collect_view();
    let table = if list.lines.is_empty() && ask.show() != Show::All {
        empty("check", "None", "No organization is like that.")
    } else if list.lines.is_empty() {
        empty(
            "org",
            "No organization here",
            "Organizations come from the customer records, with their Owner and runbook entry.",
        )
    } else {
        view! {
            <table class="table table-rows">
                <thead>
                    <tr>
                        <th scope="col">"Org"</th><th scope="col">"Owner of record"</th><th scope="col">"Consent"</th>
                        <th scope="col">"Channel"</th><th scope="col" class="num">"Secrets"</th>
                        <th scope="col" class="num">"Open tickets"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any()
    };
    let turn = (list.next.is_some() || ask.after.is_some()).then(|| {
        view! {
            <nav class="pager" aria-label="Pages">
                {ask.after.is_some().then(|| view! { <a class="btn btn-sm" href="/orgs">{icon("arrow-left")}"First page"</a> })}
                {list.next.as_ref().map(|id| view! {
                    <a class="btn btn-sm" href=format!("/orgs?after={}", encode(id))>"Next page"{icon("arrow-right")}</a>
                })}
            </nav>
        }
    });
    let tab = |show: Show, href: &'static str, name: &'static str| {
        view! { <a href=href aria-current=(show == ask.show()).then_some("page")>{name}</a> }
    };
    view! {
        <div class="page-head">
            <div>
                <h1>"Organizations"</h1>
                <p>"The customers, by name, and what the procedure would need of each."</p>
            </div>
        </div>
        <nav class="tabs" aria-label="Filter organizations">
            {tab(Show::All, "/orgs", "All")}
            {tab(Show::Owing, "/orgs?show=owing", "Revoke owed")}
            {tab(Show::KeyExpiring, "/orgs?show=key_expiring", "Owner’s key expiring")}
            {tab(Show::OwnerChanged, "/orgs?show=owner_changed", "Owner changed")}
        </nav>
        <div class="panel">{table}</div>
        {turn}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_never_below_nothing() {
        assert_eq!(days_until(2 * time::DAY + 5, 0), 2);
        assert_eq!(days_until(0, time::DAY), 0);
    }
}
