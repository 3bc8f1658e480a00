//! One row of a log, to be linked to: everything it says, and the proof that it is in its log.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use super::places::{self, Proven};
use super::row_html::field_list;
use super::rows::{note, pretty};
use super::timeline_lines::action;
use crate::audit::trail::ReadRow;
use crate::auth::credential::hex;
use crate::desk::{Step, StepError};
use crate::model::time;
use crate::store::Key;
use crate::store::audit::{self, Entry};
use crate::store::orgs::{self, Org};
use crate::web::components::{at, copy, icon, id_link};
use crate::web::door::{Door, encode};
use crate::web::shell::{Part, page};

/// `GET /audit/rows/{id}`: one row, to be linked to.
pub async fn show(mut door: Door, Path(id): Path<String>) -> Response {
    match load(&mut door, &id).await {
        Ok((row, proven, org)) => {
            let title = format!("Row {}", place(&row));
            let body = draw(&row, proven.as_ref(), org.as_ref());
            page(door, StatusCode::OK, &title, Part::Audit, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, id: &str) -> Step<(ReadRow, Option<Proven>, Option<Org>)> {
    let desk = door.app.desk.clone();
    let entry = audit::by_id(&mut door.conn, id).await?.ok_or(StepError::NotFound)?;
    // Who looks is on record before anything is seen.
    desk.note_view(&door.who, &format!("/audit/rows/{}", entry.id), "").await?;
    let key = desk.current_log_key(&mut door.conn).await?;
    let proven = places::prove(&mut door.conn, key, &entry).await?;
    let org = match &entry.org_id {
        Some(org) => orgs::by_id(&mut door.conn, org).await?,
        None => None,
    };
    Ok((ReadRow::of(entry), proven, org))
}

/// Its number and its log, in words: the log's id is among the fields.
fn place(row: &ReadRow) -> String {
    let log = if row.platform() { "platform" } else { "org" };
    format!("{} of the {log} log", row.entry.seq)
}

/// The page of the timeline that the row is on, at the row. An impersonation is there as a whole;
/// any other row is among the first of the page that begins after its instant, where its twin is.
fn around(e: &Entry) -> String {
    let from = encode(&Key::before(e.at + 1).to_string());
    let page = match (&e.impersonation_id, &e.ticket_ref) {
        (Some(id), _) => format!("/audit?impersonation={}", encode(id)),
        (None, Some(ticket)) => format!("/audit?ticket={}&before={from}", encode(ticket)),
        (None, None) => format!("/audit?before={from}"),
    };
    format!("{page}#r-{}", e.id)
}

fn draw(row: &ReadRow, proven: Option<&Proven>, org: Option<&Org>) -> AnyView {
    let e = &row.entry;
    let what = format!("row {}", place(row));
    let said = row.row.as_ref().map(note).filter(|s| !s.is_empty());
    let impersonation = e.impersonation_id.as_ref().map(|id| {
        view! {
            <span>"Impersonation "{id_link(id, format!("/impersonations/{id}"), "impersonation id")}</span>
        }
    });
    let around = around(e);
    let fields = match &row.row {
        Some(row) => view! { <dl class="ev-fields" inner_html=field_list(row)></dl> }.into_any(),
        None => view! { <p>"The row cannot be read. Its stored text is below."</p> }.into_any(),
    };
    view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/audit">"Audit"</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1><span class="mono">{action(row).to_owned()}</span></h1>
                <div class="page-meta">
                    <span>{what.clone()}</span>
                    <span>{at(e.at)}</span>
                    {said.map(|s| view! { <span>{s}</span> })}
                    {org.map(|o| view! { <a href=format!("/orgs/{}", o.slug)>{o.name.clone()}</a> })}
                    {e.ticket_ref.clone().map(|t| view! { <a class="mono" href=format!("/tickets/{t}")>{t.clone()}</a> })}
                    {impersonation}
                </div>
            </div>
            <div class="page-actions"><a class="btn" href=around>{icon("timeline")}"In the timeline"</a></div>
        </div>
        <div class="stack-6">
            {verdict(row, proven)}
            <section class="panel" aria-label="Fields">
                <div class="panel-head"><h2>"Fields"</h2><p>"as they stand in the log"</p></div>
                <div class="panel-body">{fields}</div>
            </section>
            {proven.map(|p| proof(row, p))}
            <section class="panel" aria-label="Raw JSON">
                <div class="panel-head"><h2>"Raw JSON"</h2><p>"indented for reading; the leaf is its canonical form (RFC 8785)"</p></div>
                <div class="panel-body">
                    <pre class="raw" tabindex="0" role="region" aria-label=format!("Raw JSON of {what}")>{pretty(&e.body)}</pre>
                </div>
            </section>
        </div>
    }
    .into_any()
}

/// Whether the row is what was signed.
fn verdict(row: &ReadRow, proven: Option<&Proven>) -> AnyView {
    let wrong = row.fault().or_else(|| match proven {
        None => Some("there is no such log".to_owned()),
        Some(p) => p.holds.clone().err(),
    });
    match wrong {
        None => view! {
            <section class="verdict-card is-complete" aria-label="Proof">
                {icon("shield-check")}
                <div>
                    <h2>"Proven"</h2>
                    <p>"The row hashes to its leaf, and the leaf leads to the root that the log’s checkpoint signs."</p>
                </div>
            </section>
        }
        .into_any(),
        Some(why) => view! {
            <section class="verdict-card is-alarm" aria-label="Proof">
                {icon("warning")}
                <div>
                    <h2>"Tampered"</h2>
                    <p>"The row is not what was signed: "{why}". Keep the database as it is, and call security."</p>
                </div>
            </section>
        }
        .into_any(),
    }
}

fn proof(row: &ReadRow, proven: &Proven) -> AnyView {
    let e = &row.entry;
    let leaf = hex(&e.leaf_hash);
    let tree = &proven.tree;
    let root = match &tree.root {
        Ok(root) => view! { <code class="hash">{root.clone()}</code> }.into_any(),
        Err(why) => view! { {format!("none: {why}")} }.into_any(),
    };
    let path = if proven.path.is_empty() {
        view! { <p class="muted">"None is needed: the leaf is the root, or no proof could be made."</p> }
            .into_any()
    } else {
        let items = proven
            .path
            .iter()
            .map(|hash| view! { <li><code class="hash">{hash.clone()}</code></li> })
            .collect_view();
        view! { <ol class="proof-path">{items}</ol> }.into_any()
    };
    view! {
        <section class="panel" aria-label="Place in the tree">
            <div class="panel-head"><h2>"Place in the tree"</h2><p>"RFC 6962, checked as this page was made"</p></div>
            <dl class="facts">
                <div><dt>"Leaf"</dt><dd>{format!("{} of {}, counted from 0, in ", e.seq, tree.size)}<span class="mono">{e.log_id.clone()}</span></dd></div>
                <div><dt>"Leaf hash"</dt><dd><span class="idc"><code class="hash">{leaf.clone()}</code>{copy(leaf, "leaf hash")}</span></dd></div>
                <div><dt>"Inclusion proof"</dt><dd>{path}</dd></div>
                <div><dt>"Root"</dt><dd>{root}<small>"signed "{time::seconds(tree.signed_at)}</small></dd></div>
                <div class="facts-full">
                    <dt>"Checkpoint (C2SP signed note)"</dt>
                    <dd><pre class="raw" tabindex="0" role="region" aria-label="Checkpoint">{tree.note.clone()}</pre></dd>
                </div>
            </dl>
        </section>
    }
    .into_any()
}
