//! Log integrity: where each log stands, who else has seen it, and verifying all of them now, or one.

use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use leptos::prelude::*;
use sqlx::AnyConnection;

use super::forwarding::{self, Sinks};
use super::integrity_logs::{Ask, Logs, grouped};
use crate::audit::LogKey;
use crate::desk::{AtWork, Desk, Step};
use crate::model::{Micros, time};
use crate::store::log_keys;
use crate::store::staff;
use crate::store::verification::{self, Verification, Wrong};
use crate::web::at_once::{Long, UnderWay};
use crate::web::components::{ago, at, copy, icon, state};
use crate::web::door::{Door, Flash, Hand, local};
use crate::web::fault::Fault;
use crate::web::islands::{Far, Progress};
use crate::web::shell::{Part, page};

/// Where the page is.
pub(super) const PLACE: &str = "/audit/integrity";

struct Loaded {
    logs: Logs,
    last: Vec<Last>,
    keys: Vec<Signing>,
    sinks: Sinks,
}

/// A verification, who asked for it, and the logs that it found wrong.
struct Last {
    done: Verification,
    by: String,
    wrong: Vec<Wrong>,
}

/// How many of the logs that one verification found wrong are named.
const NAMED: usize = 20;

/// A key of the logs, as it is shown.
struct Signing {
    id: String,
    vkey: String,
    since: Option<Micros>,
    until: Option<Micros>,
}

/// `GET /audit/integrity`.
pub async fn show(mut door: Door, Query(ask): Query<Ask>) -> Response {
    match load(&mut door, &ask).await {
        Ok(loaded) => {
            let body = draw(&loaded, &ask, door.app.desk.now());
            page(door, StatusCode::OK, "Log integrity", Part::Integrity, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

/// `GET /audit/integrity/progress`: how far the newest verification is.
pub async fn progress(mut door: Door) -> Response {
    match verification::newest(&mut door.conn, 1).await {
        Ok(newest) => {
            let far = newest.first().map_or(Far { done: 0, total: 0, running: false }, far);
            Json(far).into_response()
        }
        Err(e) => super::error::of(door, e.into()).await,
    }
}

/// Verifies every log, row by row, in the background.
#[server(prefix = "/do", endpoint = "verify_logs")]
pub async fn verify_logs() -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let under_way = hand.app.at_once.begin(Long::Verification, &who.staff.id)?;
        let mut tx = desk.begin().await?;
        let step = desk.begin_verification(&mut tx, &who).await;
        desk.settle(tx, step).await.map(|begun| (begun, under_way))
    };
    let step = step.await.map(|(begun, under_way)| run(desk.clone(), begun, who, under_way));
    hand.answer(step, PLACE, |_| {
        Flash::done(
            "Verifying",
            "Every row of every log is read and hashed. It goes on if you leave.",
        )
    })
    .await
}

/// Verifies one log alone, row by row, in the background.
#[server(prefix = "/do", endpoint = "verify_log")]
pub async fn verify_log(log: String, back: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let under_way = hand.app.at_once.begin(Long::Verification, &who.staff.id)?;
        let mut tx = desk.begin().await?;
        let step = desk.begin_verification_of(&mut tx, &who, &log).await;
        desk.settle(tx, step).await.map(|begun| (begun, under_way))
    };
    let step = step.await.map(|(begun, under_way)| run(desk.clone(), begun, who, under_way));
    hand.answer(step, local(&back), |_| {
        Flash::done(
            "Verifying one log",
            "Every row of it is read and hashed. What other logs recorded of it is not looked at. It goes on if you leave.",
        )
    })
    .await
}

/// Goes on in the background, and is under way until it is done.
fn run(desk: Arc<Desk>, begun: Verification, who: AtWork, under_way: UnderWay) {
    tokio::spawn(async move {
        desk.run_verification(begun, who).await;
        drop(under_way);
    });
}

async fn load(door: &mut Door, ask: &Ask) -> Step<Loaded> {
    let desk = door.app.desk.clone();
    desk.note_view(&door.who, PLACE, &ask.query()).await?;
    let here = door.here.clone();
    let conn = &mut *door.conn;
    let key = desk.current_log_key(conn).await?;
    let keys = keys_of(conn, key).await?;
    let logs = Logs::load(conn, key, ask, &here).await?;
    let mut last = Vec::new();
    for done in verification::newest(conn, 5).await? {
        let by = staff::by_id(conn, &done.asked_by).await?.map_or_else(String::new, |s| s.name);
        // The first is told with the verification itself.
        let wrong = match done.faults {
            0 | 1 => Vec::new(),
            _ => verification::wrong_in(conn, &done.id, 1 + NAMED as i64).await?,
        };
        last.push(Last { done, by, wrong });
    }
    let sinks = forwarding::load(conn, desk.now()).await?;
    Ok(Loaded { logs, last, keys, sinks })
}

/// The keys of the logs, the current one first. Only those that are believed are shown: when they
/// began and ceased is the database's word.
async fn keys_of(conn: &mut AnyConnection, key: &LogKey) -> Step<Vec<Signing>> {
    let kept = log_keys::all(conn).await?;
    let all = key.verifiers();
    Ok(all
        .iter()
        .map(|verifier| {
            let vkey = verifier.vkey();
            let kept = kept.iter().find(|k| k.vkey == vkey);
            Signing {
                id: format!("{:08x}", verifier.key_id()),
                since: kept.map(|k| k.created_at),
                until: kept.and_then(|k| k.retired_at),
                vkey,
            }
        })
        .collect())
}

fn far(v: &Verification) -> Far {
    Far { done: v.rows_done, total: v.rows_total, running: v.state == "running" }
}

fn draw(l: &Loaded, ask: &Ask, now: Micros) -> AnyView {
    let (logs, total) = l.logs.total;
    view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/audit">"Audit"</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1>"Log integrity"</h1>
                <div class="page-meta"><span>{format!("{} logs, {} rows", grouped(logs), grouped(total))}</span></div>
            </div>
            <div class="page-actions">
                <a class="btn" href="/verify">{icon("shield-check")}"Verify a file"</a>
                <form class="inline-form" method="post" action="/do/verify_logs">
                    <button class="btn btn-primary">{icon("check")}"Verify now"</button>
                </form>
            </div>
        </div>
        <div class="stack-6">
            {verifications(l, now)}
            {l.logs.view(ask, now)}
            {signing(l)}
            {forwarding::panel(&l.sinks, now)}
        </div>
    }
    .into_any()
}

/// How far a verification is, with a link that shows it without scripts.
pub(super) fn running(v: &Verification, here: &str) -> AnyView {
    view! {
        <Progress source=format!("{PLACE}/progress") far=far(v) />" "<a href=here.to_owned()>"Look again"</a>
    }
    .into_any()
}

/// The logs besides the first that one verification found wrong.
fn further(v: &Verification, wrong: &[Wrong]) -> Option<AnyView> {
    let more = v.faults - 1;
    if more < 1 {
        return None;
    }
    let named = wrong.iter().skip(1).map(|w| view! { <li>{w.what.clone()}</li> }).collect_view();
    let left = more - i64::try_from(wrong.len().saturating_sub(1)).unwrap_or(0);
    let left = (left > 0).then(|| view! { <li>{format!("and {} more", grouped(left))}</li> });
    let said =
        if more == 1 { "1 more log".to_owned() } else { format!("{} more logs", grouped(more)) };
    let view = view! { <details><summary>{said}</summary><ul>{named}{left}</ul></details> };
    Some(view.into_any())
}

fn verifications(l: &Loaded, now: Micros) -> AnyView {
    let rows = l
        .last
        .iter()
        .map(|Last { done: v, by, wrong }| {
            let outcome = match v.state.as_str() {
                "running" => running(v, PLACE),
                "held" if v.log_id.is_some() => {
                    state("state-ok", "check", format!("All {} rows of it hold", grouped(v.rows_done)))
                }
                "held" => state("state-ok", "check", format!("All {} rows hold", grouped(v.rows_done))),
                "failed" => {
                    let said = match v.faults {
                        0 | 1 => "Does not hold".to_owned(),
                        n => format!("{} logs do not hold", grouped(n)),
                    };
                    view! {
                        {state("state-bad", "warning", said)}
                        <small>{v.fault.clone().unwrap_or_default()}</small>
                        {further(v, wrong)}
                    }
                    .into_any()
                }
                _ => state("state-needs", "cross", "Stopped before it was over"),
            };
            let of = match v.log_id.as_deref() {
                None => "All logs".to_owned(),
                Some("platform") => "Platform log".to_owned(),
                Some(id) => id.to_owned(),
            };
            view! {
                <tr>
                    <th scope="row" class="card-title">{ago(v.started_at, now)}</th>
                    <td data-label="Of">{of}</td>
                    <td data-label="Asked by">{by.clone()}</td>
                    <td data-label="Took">{v.finished_at.map(|end| time::span(end - v.started_at))}</td>
                    <td data-label="Outcome">{outcome}</td>
                </tr>
            }
        })
        .collect_view();
    let body = if l.last.is_empty() {
        view! { <div class="panel-body"><p class="muted">"Nobody has verified the logs here yet. The command is "<code>"keyturn verify"</code>"."</p></div> }.into_any()
    } else {
        view! {
            <table class="table">
                <thead><tr><th scope="col">"When"</th><th scope="col">"Of"</th><th scope="col">"Asked by"</th><th scope="col">"Took"</th><th scope="col">"Outcome"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any()
    };
    view! {
        <section class="panel" aria-label="Verifications">
            <div class="panel-head"><h2>"Verifications"</h2><p>"every row read, hashed, and held against signed checkpoints"</p></div>
            {body}
        </section>
    }
    .into_any()
}

fn signing(l: &Loaded) -> AnyView {
    let rows = l
        .keys
        .iter()
        .map(|k| {
            let since = match k.since {
                Some(since) => at(since),
                None => view! { "the log began" }.into_any(),
            };
            let until = match k.until {
                Some(until) => at(until),
                None => state("state-ok", "check", "Signs now"),
            };
            view! {
                <tr>
                    <th scope="row" class="card-title"><span class="idc"><code class="id" title=k.vkey.clone()>{k.id.clone()}</code>{copy(k.vkey.clone(), "public key")}</span></th>
                    <td data-label="Since">{since}</td>
                    <td data-label="Until">{until}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Signing keys">
            <div class="panel-head"><h2>"Signing keys"</h2><p>"each named by the one before it: "<a href="/.well-known/keyturn-log-key">"with endorsements"</a></p></div>
            <table class="table">
                <thead><tr><th scope="col">"Key"</th><th scope="col">"Since"</th><th scope="col">"Until"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}
