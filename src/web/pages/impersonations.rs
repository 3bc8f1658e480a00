//! Impersonations: what is live, then every grant there ever was, each with its verdict.

use std::collections::HashMap;

use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use sqlx::AnyConnection;

use super::audit_filter::address;
pub use super::impersonations_filter::Ask;
use super::impersonations_filter::Show;
use super::impersonations_row::{Line, row};
use crate::audit::logged::{Logged, Register};
use crate::audit::trail::{Depth, judge};
use crate::desk::Step;
use crate::model::Micros;
use crate::proof::verdict::Verdict;
use crate::store::impersonations::{self, Impersonation};
use crate::store::standing::{self, MOST_MINUTES, Standing};
use crate::store::{Key, orgs, overview, staff};
use crate::web::components::{empty, pager};
use crate::web::door::{Door, encode};
use crate::web::shell::{Part, page};

const PAGE: usize = 25;

struct List {
    lines: Vec<Line>,
    counts: Vec<(Show, i64)>,
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

/// One on the list, before it is judged: by its id, with its place in the list.
struct Found {
    id: String,
    place: Key,
    grant: Option<Impersonation>,
}

impl Found {
    fn granted(grant: Impersonation) -> Self {
        let place = Key { at: grant.started_at, id: grant.id.clone() };
        Self { id: grant.id.clone(), place, grant: Some(grant) }
    }

    fn standing(standing: Standing, place: impl FnOnce(&Standing) -> Key) -> Self {
        let place = place(&standing);
        Self { id: standing.impersonation_id, place, grant: None }
    }
}

async fn found(
    conn: &mut AnyConnection,
    show: Show,
    before: Option<&Key>,
    limit: i64,
) -> Step<Vec<Found>> {
    let by_newest = |s: &Standing| Key { at: s.newest_at, id: s.newest_id.clone() };
    let by_start =
        |s: &Standing| Key { at: s.opened_at.unwrap_or(0), id: s.impersonation_id.clone() };
    Ok(match show {
        Show::Live => {
            let grants = impersonations::page(conn, true, before, limit).await?;
            grants.into_iter().map(Found::granted).collect()
        }
        Show::All => {
            let grants = impersonations::page(conn, false, before, limit).await?;
            // One that was taken out of the register stays on the list, where it would stand.
            let full = i64::try_from(grants.len()).is_ok_and(|n| n >= limit);
            let down_to = grants.last().filter(|_| full).map_or(Micros::MIN, |g| g.started_at);
            let lost = standing::page_ungranted(conn, before, down_to, limit).await?;
            let mut all: Vec<Found> = grants.into_iter().map(Found::granted).collect();
            all.extend(lost.into_iter().map(|s| Found::standing(s, by_start)));
            all.sort_by(|a, b| (b.place.at, &b.place.id).cmp(&(a.place.at, &a.place.id)));
            all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            all
        }
        Show::Verdict(verdict) => {
            let page = standing::page(conn, verdict, before, limit).await?;
            page.into_iter().map(|s| Found::standing(s, by_newest)).collect()
        }
        Show::Overstayed => {
            let page = standing::page_overstayed(conn, before, limit).await?;
            page.into_iter().map(|s| Found::standing(s, by_newest)).collect()
        }
        Show::Unacknowledged => {
            let page = overview::unacknowledged(conn, before, limit).await?;
            page.into_iter()
                .map(|h| Found {
                    id: h.impersonation_id,
                    place: Key { at: h.queued_at, id: h.id },
                    grant: None,
                })
                .collect()
        }
        Show::OpenFor { from, to, minutes } => {
            let least = i64::from(minutes) * 60;
            let most = if minutes >= MOST_MINUTES { i64::MAX } else { least + 60 };
            let page = overview::open_for(conn, (from, to), (least, most), before, limit).await?;
            page.into_iter().map(|s| Found::standing(s, by_start)).collect()
        }
        Show::HandedOff { from, to, soon } => {
            let page = overview::ended_after_handoff(conn, (from, to), soon, before, limit).await?;
            page.into_iter().map(|s| Found::standing(s, by_start)).collect()
        }
    })
}

async fn load(door: &mut Door, ask: &Ask) -> Step<List> {
    let desk = door.app.desk.clone();
    let (now, show) = (desk.now(), ask.show());
    // Who looks is on record before anything is seen.
    desk.note_view(&door.who, "/impersonations", &show.query()).await?;
    // Register and logs as of one moment: what is written meanwhile is no contradiction.
    let mut moment = desk.store.snapshot(&mut door.conn).await?;
    let conn = moment.conn();
    let open = impersonations::open(conn).await?;
    let live = open.iter().filter(|g| g.live(now)).count();
    let before = ask.before.as_deref().and_then(|k| k.parse::<Key>().ok());
    let mut list = found(conn, show, before.as_ref(), PAGE as i64 + 1).await?;
    let more = list.len() > PAGE;
    list.truncate(PAGE);
    let older = list.last().filter(|_| more).map(|l| l.place.clone());
    if show == Show::All {
        list = live_first(open, list, before.is_none());
    }
    let admins: HashMap<String, String> =
        staff::all(conn).await?.into_iter().map(|s| (s.id, s.name)).collect();
    let mut names: HashMap<String, Option<(String, String)>> = HashMap::new();
    let mut lines = Vec::with_capacity(list.len());
    let key = desk.current_log_key(conn).await?;
    for Found { id, grant, .. } in list {
        let grant = match grant {
            Some(grant) => Some(grant),
            None => impersonations::by_id(conn, &id).await?,
        };
        let judged = judge(conn, key, &id, Depth::Proofs, now).await?;
        let rows: Vec<_> = judged.platform.iter().chain(&judged.org).collect();
        let said = Logged::of(&rows);
        let register = Register::of(said.as_ref(), grant.as_ref());
        let logged = said.or_else(|| grant.as_ref().map(Logged::of_register)).unwrap_or_default();
        let org = match &logged.org_id {
            None => None,
            Some(org_id) => match names.get(org_id) {
                Some(known) => known.clone(),
                None => {
                    let found = orgs::by_id(conn, org_id).await?.map(|o| (o.name, o.slug));
                    names.insert(org_id.clone(), found.clone());
                    found
                }
            },
        };
        let name =
            |id: &String| admins.get(id).or(logged.admin_name.as_ref()).unwrap_or(id).clone();
        lines.push(Line {
            admin: logged.admin_id.as_ref().map(name),
            verdict: judged.verdict.verdict,
            id,
            grant,
            logged,
            register,
            org,
        });
    }
    let mut counts = vec![(Show::Live, i64::try_from(live).unwrap_or(i64::MAX))];
    for verdict in [Verdict::Incomplete, Verdict::Mismatch, Verdict::Tampered] {
        counts.push((Show::Verdict(verdict), standing::count(conn, verdict).await?));
    }
    counts.push((Show::Overstayed, standing::count_overstayed(conn).await?));
    counts.push((Show::Unacknowledged, overview::count_unacknowledged(conn).await?));
    moment.end().await?;
    Ok(List { lines, counts, older })
}

/// What is open stands at the top of the first page, wherever it would be by its time; it does not
/// come again further down.
fn live_first(open: Vec<Impersonation>, page: Vec<Found>, first: bool) -> Vec<Found> {
    let ended = |f: &Found| f.grant.as_ref().is_none_or(|g| g.ended_at.is_some());
    let past = page.into_iter().filter(ended);
    if first { open.into_iter().map(Found::granted).chain(past).collect() } else { past.collect() }
}

fn nothing(show: Show) -> AnyView {
    let (title, text) = match show {
        Show::Live => {
            ("Nothing is live", "A grant is here from its start until it ends, at most 30 minutes.")
        }
        Show::All => (
            "No impersonation yet",
            "A platform admin starts one from a ticket that passes every check.",
        ),
        _ => ("None", "No impersonation is like that."),
    };
    empty("shield", title, text)
}

fn tab(show: Show) -> &'static str {
    match show {
        Show::Live => "Live",
        Show::Overstayed => "Open too long",
        Show::Unacknowledged => "Not acknowledged",
        Show::Verdict(Verdict::Incomplete) => "Incomplete",
        Show::Verdict(Verdict::Mismatch) => "Mismatch",
        Show::Verdict(Verdict::Tampered) => "Tampered",
        _ => "All",
    }
}

fn draw(list: &List, ask: &Ask, now: Micros) -> AnyView {
    let show = ask.show();
    let table = if list.lines.is_empty() {
        nothing(show)
    } else {
        let rows = list.lines.iter().map(|l| row(l, now)).collect_view();
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
    let path = address("/impersonations", &show.query());
    let older = list.older.as_ref().map(|k| {
        let glue = if show == Show::All { '?' } else { '&' };
        format!("{path}{glue}before={}", encode(&k.to_string()))
    });
    let newer = ask.before.as_ref().map(|_| path.clone());
    let tabs = list
        .counts
        .iter()
        .map(|(of, n)| {
            view! {
                <a href=address("/impersonations", &of.query()) aria-current=(*of == show).then_some("page")>
                    {tab(*of)}<span class="count">{*n}</span>
                </a>
            }
        })
        .collect_view();
    view! {
        <div class="page-head">
            <div>
                <h1>"Impersonations"</h1>
                <p>"Every grant ever made: who, where, for which secret, how long it was open, and whether both logs agree about it."</p>
            </div>
        </div>
        <nav class="tabs" aria-label="Filter impersonations">
            <a href="/impersonations" aria-current=(show == Show::All).then_some("page")>"All"</a>
            {tabs}
        </nav>
        {show.says().map(|text| view! { <p class="list-says">{text}</p> })}
        <div class="panel">{table}</div>
        {pager(newer, older)}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SecretType, time};

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
        let page = || {
            let grants = [grant("c", 9, Some(10)), open.clone(), grant("a", 1, Some(2))];
            grants.into_iter().map(Found::granted).collect()
        };
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
