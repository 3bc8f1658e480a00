//! The queue: a ticket by its number, a search, and each one's eligibility at a glance.

use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use crate::desk::Step;
use crate::model::{Micros, TicketState, time};
use crate::policy::eligibility::Verdict;
use crate::store::Key;
use crate::store::tickets::{self, Filter, Ticket};
use crate::web::components::{ago, empty, icon, pager, secret_type, state, ticket_state};
use crate::web::door::{Door, encode, sound_search};
use crate::web::shell::{Part, page};

const PAGE: usize = 25;

/// What the page is asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Ask {
    #[serde(default)]
    q: String,
    #[serde(default)]
    show: String,
    before: Option<String>,
}

struct Line {
    ticket: Ticket,
    org: String,
    slug: String,
    verdict: Verdict,
}

struct Queue {
    lines: Vec<Line>,
    older: Option<Key>,
    counts: Vec<(TicketState, i64)>,
}

/// `GET /tickets`.
pub async fn show(mut door: Door, Query(ask): Query<Ask>) -> Response {
    match load(&mut door, &ask).await {
        Ok(queue) => {
            let body = draw(&queue, &ask, door.app.desk.now());
            page(door, StatusCode::OK, "Tickets", Part::Tickets, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, ask: &Ask) -> Step<Queue> {
    sound_search(&ask.q)?;
    let desk = door.app.desk.clone();
    let filter = Filter {
        state: ask.show.parse().ok(),
        org_id: None,
        text: Some(ask.q.trim().to_owned()).filter(|q| !q.is_empty()),
    };
    let before = ask.before.as_deref().and_then(|k| k.parse::<Key>().ok());
    let mut found =
        tickets::page(&mut door.conn, &filter, before.as_ref(), PAGE as i64 + 1).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let older = found.last().filter(|_| more).map(Ticket::key);
    let mut lines = Vec::with_capacity(found.len());
    for ticket in found {
        let case = desk.case_at_a_glance(&mut door.conn, &ticket.id, &door.who.staff.id).await?;
        let (org, slug) =
            case.org.as_ref().map_or_else(Default::default, |o| (o.name.clone(), o.slug.clone()));
        lines.push(Line { ticket, org, slug, verdict: case.verdict });
    }
    Ok(Queue { lines, older, counts: tickets::counts(&mut door.conn).await? })
}

/// The eligibility of a ticket in one cell.
fn glance(verdict: &Verdict) -> AnyView {
    let all = verdict.findings.len();
    let passed = all - verdict.failed().count();
    if verdict.eligible() {
        return view! { <span>{state("state-ok", "check", "Eligible")}<span class="aside">{format!("{passed} of {all}")}</span></span> }
            .into_any();
    }
    let first = verdict.failed().next().map_or("", |f| f.check.label());
    view! { <span>{state("state-needs", "cross", first)}<span class="aside">{format!("{passed} of {all}")}</span></span> }
        .into_any()
}

fn draw(queue: &Queue, ask: &Ask, now: Micros) -> AnyView {
    let total: i64 = queue.counts.iter().map(|(_, n)| n).sum();
    let tab = |show: &str, label: &'static str, n: i64| {
        view! {
            <a href=if show.is_empty() { "/tickets".to_owned() } else { format!("/tickets?show={show}") }
                aria-current=(ask.show == show).then_some("page")>
                {label}<span class="count">{n}</span>
            </a>
        }
    };
    let tabs = TicketState::ALL
        .iter()
        .map(|s| {
            let n = queue.counts.iter().find(|(state, _)| state == s).map_or(0, |(_, n)| *n);
            let label = match s {
                TicketState::Open => "Open",
                TicketState::Pending => "Pending",
                TicketState::Escalated => "Escalated",
                TicketState::Solved => "Solved",
                TicketState::Closed => "Closed",
            };
            tab(s.as_str(), label, n)
        })
        .collect_view();
    let rows = queue
        .lines
        .iter()
        .map(|l| {
            let kind = match l.ticket.secret_type.as_deref().map(str::parse) {
                Some(Ok(kind)) => secret_type(kind),
                _ => view! { <span class="muted">"not named"</span> }.into_any(),
            };
            view! {
                <tr>
                    <td class="card-title"><a class="main-link ticket-no" href=format!("/tickets/{}", l.ticket.id)>{l.ticket.id.clone()}</a></td>
                    <td class="subject">{l.ticket.subject.clone()}</td>
                    <td data-label="Org"><a href=format!("/orgs/{}", l.slug)>{l.org.clone()}</a></td>
                    <td data-label="Secret">{kind}</td>
                    <td data-label="State">{ticket_state(l.ticket.state)}</td>
                    <td data-label="Eligibility">{glance(&l.verdict)}</td>
                    <td class="num nowrap" data-label="Filed">{ago(l.ticket.filed_at, now)}</td>
                </tr>
            }
        })
        .collect_view();
    let table = if queue.lines.is_empty() {
        empty(
            "ticket",
            "No ticket here",
            "Tickets come from support. Search for another text, or look at all of them.",
        )
    } else {
        view! {
            <table class="table table-rows tickets">
                <thead>
                    <tr>
                        <th scope="col">"Ticket"</th><th scope="col">"Subject"</th><th scope="col">"Org"</th>
                        <th scope="col">"Secret"</th><th scope="col">"State"</th><th scope="col">"Eligibility"</th>
                        <th scope="col" class="num">"Filed"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any()
    };
    let older = queue.older.as_ref().map(|k| {
        format!(
            "/tickets?q={}&show={}&before={}",
            encode(&ask.q),
            encode(&ask.show),
            encode(&k.to_string())
        )
    });
    let newer = ask
        .before
        .as_ref()
        .map(|_| format!("/tickets?q={}&show={}", encode(&ask.q), encode(&ask.show)));
    view! {
        <div class="page-head">
            <div>
                <h1>"Tickets"</h1>
                <p>{format!("What customers ask for, as of {}.", time::minutes(now))}</p>
            </div>
        </div>
        <div class="finder">
            <form action="/lookup" method="get">
                <div class="field">
                    <label for="no">"Ticket number"</label>
                    <input class="input input-lg input-mono" id="no" name="q" placeholder="NOV-4801" required autocomplete="off" />
                </div>
                <button class="btn btn-lg btn-primary">"Open ticket"</button>
            </form>
            <form action="/tickets" method="get">
                <div class="field">
                    <label for="q">"Search the queue"</label>
                    <input class="input input-lg" id="q" name="q" type="search" value=ask.q.clone() />
                </div>
                <button class="btn btn-lg">{icon("search")}"Search"</button>
            </form>
        </div>
        <nav class="tabs" aria-label="Filter tickets">{tab("", "All", total)}{tabs}</nav>
        <div class="panel">{table}</div>
        {pager(newer, older)}
    }
    .into_any()
}
