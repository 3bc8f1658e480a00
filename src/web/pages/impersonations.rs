//! Impersonations: what is live, then every grant there ever was, each with its verdict.

use std::collections::HashMap;

use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use crate::audit::trail::{Depth, judge};
use crate::desk::Step;
use crate::model::{Micros, time};
use crate::proof::verdict::Verdict;
use crate::store::impersonations::{self, Impersonation};
use crate::store::{Key, orgs, staff};
use crate::web::components::{ago, copy, empty, pager, secret_type, short, state, verdict};
use crate::web::door::{Door, encode};
use crate::web::islands::Countdown;
use crate::web::shell::{Part, page};

const PAGE: usize = 25;

/// What the page is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ask {
    show: String,
    before: Option<String>,
}

impl Ask {
    fn live_only(&self) -> bool {
        self.show == "live"
    }
}

struct Line {
    grant: Impersonation,
    admin: String,
    org: Option<(String, String)>,
    verdict: Verdict,
}

struct List {
    lines: Vec<Line>,
    live: usize,
    older: Option<Key>,
}

/// `GET /impersonations`.
pub async fn show(mut door: Door, Query(ask): Query<Ask>) -> Response {
    match load(&mut door, &ask).await {
        Ok(list) => {
            let body = draw(&list, &ask, door.app.desk.now());
            page(door, StatusCode::OK, "Impersonations", Part::Impersonations, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, ask: &Ask) -> Step<List> {
    let desk = door.app.desk.clone();
    let now = desk.now();
    let filter = if ask.live_only() { "show=live" } else { "" };
    // Who looks is on record before anything is seen.
    desk.note_view(&door.who, "/impersonations", filter).await?;
    let conn = &mut *door.conn;
    let open = impersonations::open(conn).await?;
    let live = open.iter().filter(|g| g.live(now)).count();
    let before = ask.before.as_deref().and_then(|k| k.parse::<Key>().ok());
    let mut past =
        impersonations::page(conn, ask.live_only(), before.as_ref(), PAGE as i64 + 1).await?;
    let more = past.len() > PAGE;
    past.truncate(PAGE);
    let older = past.last().filter(|_| more).map(|g| Key { at: g.started_at, id: g.id.clone() });
    let grants = if ask.live_only() { past } else { live_first(open, past, before.is_none()) };
    let admins: HashMap<String, String> =
        staff::all(conn).await?.into_iter().map(|s| (s.id, s.name)).collect();
    let mut names: HashMap<String, Option<(String, String)>> = HashMap::new();
    let mut lines = Vec::with_capacity(grants.len());
    for grant in grants {
        let org = match names.get(&grant.org_id) {
            Some(known) => known.clone(),
            None => {
                let found = orgs::by_id(conn, &grant.org_id).await?.map(|o| (o.name, o.slug));
                names.insert(grant.org_id.clone(), found.clone());
                found
            }
        };
        let key = desk.current_log_key(conn).await?;
        let judged = judge(conn, key, &grant.id, Depth::Proofs, now).await?;
        lines.push(Line {
            admin: admins.get(&grant.admin_id).cloned().unwrap_or_else(|| grant.admin_id.clone()),
            org,
            verdict: judged.verdict.verdict,
            grant,
        });
    }
    Ok(List { lines, live, older })
}

/// What is open stands at the top of the first page, wherever it would be by its time; it does not
/// come again further down.
fn live_first(
    open: Vec<Impersonation>,
    page: Vec<Impersonation>,
    first: bool,
) -> Vec<Impersonation> {
    let past = page.into_iter().filter(|g| g.ended_at.is_some());
    if first { open.into_iter().chain(past).collect() } else { past.collect() }
}

/// How long it was, or what is left of it.
fn length(grant: &Impersonation, now: Micros) -> AnyView {
    match grant.ended_at {
        Some(ended) => time::span(ended - grant.started_at).into_any(),
        None if grant.live(now) => view! {
            <span><Countdown seconds=(grant.expires_at - now) / time::SECOND />" left"</span>
        }
        .into_any(),
        None => "expired".into_any(),
    }
}

fn ended(grant: &Impersonation, now: Micros) -> AnyView {
    match (grant.ended_at, grant.end_cause()) {
        (Some(_), Some(cause)) => cause.label().into_any(),
        (Some(_), None) => "unknown".into_any(),
        (None, _) if grant.live(now) => state("state-live", "live", "Live"),
        (None, _) => state("state-needs", "clock", "Its end is being written"),
    }
}

fn draw(list: &List, ask: &Ask, now: Micros) -> AnyView {
    let rows = list
        .lines
        .iter()
        .map(|l| {
            let g = &l.grant;
            let org = match &l.org {
                Some((name, slug)) => {
                    view! { <a href=format!("/orgs/{slug}")>{name.clone()}</a> }.into_any()
                }
                None => view! { <span class="mono">{g.org_id.clone()}</span> }.into_any(),
            };
            view! {
                <tr class=g.live(now).then_some("is-live")>
                    <td class="card-title">
                        <span class="idc">
                            <a class="main-link" href=format!("/impersonations/{}", g.id)><code class="id" title=g.id.clone()>{short(&g.id)}</code></a>
                            {copy(g.id.clone(), "impersonation id")}
                        </span>
                    </td>
                    <td data-label="Ticket"><a class="mono nowrap" href=format!("/tickets/{}", g.ticket_id)>{g.ticket_id.clone()}</a></td>
                    <td data-label="Org">{org}</td>
                    <td data-label="Admin">{l.admin.clone()}</td>
                    <td data-label="Secret">{secret_type(g.secret_type)}</td>
                    <td data-label="Verdict">{verdict(l.verdict)}</td>
                    <td data-label="Ended">{ended(g, now)}</td>
                    <td class="num nowrap" data-label="Length">{length(g, now)}</td>
                    <td class="num nowrap" data-label="Started">{ago(g.started_at, now)}</td>
                </tr>
            }
        })
        .collect_view();
    let table = if list.lines.is_empty() {
        let (title, text) = if ask.live_only() {
            ("Nothing is live", "A grant is here from its start until it ends, at most 30 minutes.")
        } else {
            (
                "No impersonation yet",
                "A platform admin starts one from a ticket that passes every check.",
            )
        };
        empty("shield", title, text)
    } else {
        view! {
            <table class="table table-rows">
                <thead>
                    <tr>
                        <th scope="col">"Id"</th><th scope="col">"Ticket"</th><th scope="col">"Org"</th>
                        <th scope="col">"Admin"</th><th scope="col">"Secret"</th><th scope="col">"Verdict"</th>
                        <th scope="col">"Ended"</th><th scope="col" class="num">"Length"</th>
                        <th scope="col" class="num">"Started"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any()
    };
    let path = if ask.live_only() { "/impersonations?show=live" } else { "/impersonations" };
    let older = list.older.as_ref().map(|k| {
        let glue = if ask.live_only() { '&' } else { '?' };
        format!("{path}{glue}before={}", encode(&k.to_string()))
    });
    let newer = ask.before.as_ref().map(|_| path.to_owned());
    let current = |live: bool| (ask.live_only() == live).then_some("page");
    view! {
        <div class="page-head">
            <div>
                <h1>"Impersonations"</h1>
                <p>"Every grant ever made: who, where, for which secret, how long it was open, and whether both logs agree about it."</p>
            </div>
        </div>
        <nav class="tabs" aria-label="Filter impersonations">
            <a href="/impersonations" aria-current=current(false)>"All"</a>
            <a href="/impersonations?show=live" aria-current=current(true)>"Live"<span class="count">{list.live}</span></a>
        </nav>
        <div class="panel">{table}</div>
        {pager(newer, older)}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SecretType;

    fn grant(id: &str, started: Micros, ended: Option<Micros>) -> Impersonation {
        let secret = (SecretType::WebhookSigningKey, "whk_1");
        let times = (started, started + 15 * time::MINUTE);
        let token = ("kek".to_owned(), Vec::new());
        let mut grant =
            Impersonation::begin(id.into(), "a", "o", "NOV-1", "m", secret, times, token);
        grant.ended_at = ended;
        grant
    }

    #[test]
    fn what_is_open_is_on_top_of_the_first_page_and_on_no_other() {
        let open = grant("b", 5, None);
        let page = || vec![grant("c", 9, Some(10)), open.clone(), grant("a", 1, Some(2))];
        let ids = |first| {
            live_first(vec![open.clone()], page(), first)
                .into_iter()
                .map(|g| g.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(true), ["b", "c", "a"]);
        assert_eq!(ids(false), ["c", "a"]);
    }
}
