//! Log integrity: where each log stands, who else has seen it, and verifying all of them now.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use leptos::prelude::*;
use sqlx::AnyConnection;

use super::forwarding::{self, Sinks};
use super::places::{Tree, Trees, trees};
use crate::audit::LogKey;
use crate::audit::trail::Proofs;
use crate::desk::Step;
use crate::model::{Micros, time};
use crate::store::audit::{self, Head};
use crate::store::log_keys;
use crate::store::verification::{self, Verification};
use crate::store::witness::{self, Witnessed};
use crate::store::{orgs, staff};
use crate::web::components::{ago, at, copy, icon, short, state};
use crate::web::door::{Door, Flash, Hand};
use crate::web::fault::Fault;
use crate::web::islands::{Far, Progress};
use crate::web::shell::{Part, page};

const PLACE: &str = "/audit/integrity";

struct Row {
    head: Head,
    org: Option<(String, String)>,
    witnesses: Vec<Witnessed>,
}

struct Loaded {
    rows: Vec<Row>,
    trees: Trees,
    last: Vec<(Verification, String)>,
    keys: Vec<Signing>,
    sinks: Sinks,
}

/// A key of the logs, as it is shown.
struct Signing {
    id: String,
    vkey: String,
    since: Option<Micros>,
    until: Option<Micros>,
}

/// `GET /audit/integrity`.
pub async fn show(mut door: Door) -> Response {
    match load(&mut door).await {
        Ok(loaded) => {
            let body = draw(&loaded, door.app.desk.now());
            page(door, StatusCode::OK, "Log integrity", Part::Audit, body).await
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
        let mut tx = desk.begin().await?;
        let step = desk.begin_verification(&mut tx, &who).await;
        desk.settle(tx, step).await
    };
    let step = step.await;
    if let Ok(begun) = &step {
        tokio::spawn(desk.clone().run_verification(begun.clone(), who));
    }
    hand.answer(step, PLACE, |_| {
        Flash::done(
            "Verifying",
            "Every row of every log is read and hashed. It goes on if you leave.",
        )
    })
    .await
}

async fn load(door: &mut Door) -> Step<Loaded> {
    let desk = door.app.desk.clone();
    desk.note_view(&door.who, PLACE, "").await?;
    let conn = &mut *door.conn;
    let mut rows = Vec::new();
    for head in audit::heads(conn).await? {
        let org = match &head.org_id {
            Some(id) => orgs::by_id(conn, id).await?.map(|o| (o.name, o.slug)),
            None => None,
        };
        let witnesses = witness::of_log(conn, &head.id).await?;
        rows.push(Row { head, org, witnesses });
    }
    let key = desk.current_log_key(conn).await?;
    let keys = keys_of(conn, key).await?;
    let trees =
        trees(conn, key, &Proofs::default(), rows.iter().map(|r| r.head.id.clone()).collect())
            .await?;
    let mut last = Vec::new();
    for done in verification::newest(conn, 5).await? {
        let by = staff::by_id(conn, &done.asked_by).await?.map_or_else(String::new, |s| s.name);
        last.push((done, by));
    }
    let sinks = forwarding::load(conn, desk.now()).await?;
    Ok(Loaded { rows, trees, last, keys, sinks })
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

fn draw(l: &Loaded, now: Micros) -> AnyView {
    let total: i64 = l.rows.iter().map(|r| r.head.size).sum();
    view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/audit">"Audit"</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1>"Log integrity"</h1>
                <div class="page-meta"><span>{format!("{} logs, {total} rows", l.rows.len())}</span></div>
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
            {logs(l, now)}
            {signing(l)}
            {forwarding::panel(&l.sinks, now)}
        </div>
    }
    .into_any()
}

fn verifications(l: &Loaded, now: Micros) -> AnyView {
    let rows = l
        .last
        .iter()
        .map(|(v, by)| {
            let outcome = match v.state.as_str() {
                "running" => view! {
                    <Progress source=format!("{PLACE}/progress") far=far(v) />" "<a href=PLACE>"Look again"</a>
                }
                .into_any(),
                "held" => state("state-ok", "check", format!("All {} rows hold", v.rows_done)),
                "failed" => view! {
                    {state("state-bad", "warning", "Does not hold")}
                    <small>{v.fault.clone().unwrap_or_default()}</small>
                }
                .into_any(),
                _ => state("state-needs", "cross", "Stopped before it was over"),
            };
            view! {
                <tr>
                    <th scope="row" class="card-title">{ago(v.started_at, now)}</th>
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
                <thead><tr><th scope="col">"When"</th><th scope="col">"Asked by"</th><th scope="col">"Took"</th><th scope="col">"Outcome"</th></tr></thead>
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

fn logs(l: &Loaded, now: Micros) -> AnyView {
    let rows = l
        .rows
        .iter()
        .map(|r| {
            let name = match &r.org {
                None => view! { "Platform log" }.into_any(),
                Some((name, slug)) => {
                    view! { <a href=format!("/orgs/{slug}")>{name.clone()}</a> }.into_any()
                }
            };
            let address = format!("/logs/{}/checkpoint", r.head.id);
            view! {
                <tr>
                    <th scope="row" class="card-title">{name}</th>
                    <td data-label="Rows">{r.head.size}</td>
                    <td data-label="Root">{root(l.trees.get(&r.head.id))}</td>
                    <td data-label="Checkpoint"><a href=address>{ago(r.head.last_at, now)}</a></td>
                    <td data-label="Witness">{witnessed(r, now)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Logs">
            <div class="panel-head"><h2>"Logs"</h2><p>"as signed now"</p></div>
            <table class="table">
                <thead><tr>
                    <th scope="col">"Log"</th><th scope="col">"Rows"</th><th scope="col">"Root"</th>
                    <th scope="col">"Checkpoint"</th><th scope="col">"Witness"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
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

fn root(tree: Option<&Tree>) -> AnyView {
    match tree.map(|t| &t.root) {
        Some(Ok(root)) => {
            let full = root.clone();
            view! { <span class="idc"><code class="id" title=full.clone()>{short(root)}</code>{copy(full, "root")}</span> }
                .into_any()
        }
        Some(Err(why)) => {
            view! { {state("state-bad", "warning", "Does not hold")}<small>{why.clone()}</small> }
                .into_any()
        }
        None => state("state-bad", "warning", "Gone"),
    }
}

fn witnessed(r: &Row, now: Micros) -> AnyView {
    if r.witnesses.is_empty() {
        return state("", "info", "None");
    }
    r.witnesses
        .iter()
        .map(|w| match &w.last_error {
            Some(why) => view! {
                <span title=w.witness.clone()>{state("state-needs", "warning", "Does not agree, or does not answer")}</span>
                <small>{why.clone()}" "{at(w.at)}</small>
            }
            .into_any(),
            None if w.size == r.head.size => {
                view! { <span title=w.witness.clone()>{state("state-ok", "check", "Has seen all")}</span> }.into_any()
            }
            None => view! {
                <span title=w.witness.clone()>{state("", "clock", format!("{} rows behind", r.head.size - w.size))}</span>
                <small>{ago(w.at, now)}</small>
            }
            .into_any(),
        })
        .collect_view()
        .into_any()
}
