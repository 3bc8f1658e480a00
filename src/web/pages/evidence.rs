//! The evidence of an impersonation, to take along, and the page that checks such a file in the
//! reader's own browser.

use std::collections::HashMap;

use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use leptos::prelude::*;

use crate::audit::evidence::of_impersonation;
use crate::audit::logged::{Logged, Register};
use crate::audit::trail::ReadRow;
use crate::desk::{Step, StepError};
use crate::proof::evidence::Evidence;
use crate::store::{audit, impersonations};
use crate::web::at_once::Long;
use crate::web::components::{copy, icon};
use crate::web::door::Door;
use crate::web::islands::CheckEvidence;
use crate::web::shell::{Part, page};

/// `GET /impersonations/{id}/evidence.json`: the file. That it was taken is on record; where it is
/// only checked by the page that it belongs to (`?check`), one row in ten minutes says so.
pub async fn file(
    mut door: Door,
    Path(id): Path<String>,
    Query(ask): Query<HashMap<String, String>>,
) -> Response {
    match take(&mut door, &id, ask.contains_key("check")).await {
        Ok(Taken { text, .. }) => (
            [
                (header::CONTENT_TYPE, "application/json".to_owned()),
                (
                    header::CONTENT_DISPOSITION,
                    format!("attachment; filename=\"keyturn-evidence-{id}.json\""),
                ),
            ],
            text,
        )
            .into_response(),
        Err(e) => super::error::of(door, e).await,
    }
}

/// Evidence that was taken, and the file that it is.
pub(super) struct Taken {
    pub(super) evidence: Evidence,
    pub(super) text: String,
    /// How the register of impersonations stands to the rows, and what those say.
    pub(super) register: Register,
    pub(super) logged: Logged,
}

/// Makes the evidence of an impersonation, for the file and for the document alike. It is made of
/// the logs: whether the register of impersonations still has the grant makes no difference to it.
pub(super) async fn take(door: &mut Door, id: &str, check: bool) -> Step<Taken> {
    let _under_way = door.app.at_once.begin(Long::Export, &door.who.staff.id)?;
    let desk = door.app.desk.clone();
    // Register and logs as of one moment: what is written meanwhile is no contradiction.
    let mut moment = desk.store.snapshot(&mut door.conn).await?;
    let conn = moment.conn();
    let rows: Vec<ReadRow> =
        audit::of_impersonation(conn, id).await?.into_iter().map(ReadRow::of).collect();
    let found = Logged::of(&rows.iter().collect::<Vec<_>>());
    let grant = impersonations::by_id(conn, id).await?;
    let register = Register::of(found.as_ref(), grant.as_ref());
    let logged = found.or_else(|| grant.as_ref().map(Logged::of_register));
    let logged = logged.ok_or(StepError::NotFound)?;
    let org_id = logged.org_id.clone().ok_or(StepError::NotFound)?;
    let key = desk.current_log_key(conn).await?;
    let evidence = of_impersonation(conn, key, id, &org_id).await?;
    moment.end().await?;
    let counts = (evidence.platform.rows.len(), evidence.org.rows.len());
    // That it was taken is on record before it is given out.
    let filter = format!("impersonation={id}");
    if check {
        desk.note_check(&door.who, &filter, counts).await?;
    } else {
        desk.note_export(&door.who, "evidence", &filter, counts).await?;
    }
    let text = evidence.to_text().map_err(|e| StepError::crypto("writing the evidence")(&e))?;
    Ok(Taken { evidence, text, register, logged })
}

/// `GET /verify`: a file is dropped here, and checked without being sent anywhere.
pub async fn verify_page(mut door: Door) -> Response {
    let desk = door.app.desk.clone();
    // As it is now: another instance may have rotated it.
    let key = match desk.current_log_key(&mut door.conn).await {
        Ok(key) => key.vkey(),
        Err(e) => return super::error::of(door, e).await,
    };
    let body = view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/audit">"Audit"</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1>"Verify evidence"</h1>
                <div class="page-meta"><span>"A file is checked in your browser: it is not sent to us."</span></div>
            </div>
        </div>
        <div class="split">
            <div class="stack-6">
                <section class="panel" aria-label="Evidence">
                    <div class="panel-head"><h2>"A file"</h2></div>
                    <div class="panel-body stack">
                        <CheckEvidence />
                        <p class="field-hint">"Each "<a href="/impersonations">"impersonation"</a>" offers its evidence: as such a file, and as a document to print. With scripts, its page checks it, too."</p>
                        {by_command("evidence.json", &key, true)}
                    </div>
                </section>
            </div>
            <aside aria-label="The key">
                <section class="panel" aria-label="Public key of the logs">
                    <div class="panel-head"><h2>"The logs’ public key"</h2></div>
                    <div class="panel-body stack">
                        <p class="muted">"As this server has it. Compare it with the one you were given when you began to audit, and pin that one: a server that lies about its logs lies about its key, too. Where this key took the place of yours, the "<a href="/.well-known/keyturn-log-key">"endorsements"</a>" lead from yours to it, and a file brings them along."</p>
                        <p class="idc"><code class="hash">{key.clone()}</code>{copy(key.clone(), "public key")}</p>
                    </div>
                </section>
            </aside>
        </div>
    }
    .into_any();
    page(door, StatusCode::OK, "Verify evidence", Part::Audit, body).await
}

/// The panel on the page of an impersonation.
pub fn panel(id: &str, key: &str) -> AnyView {
    let source = format!("/impersonations/{id}/evidence.json");
    view! {
        <section class="panel" aria-label="Evidence">
            <div class="panel-head"><h2>"Evidence"</h2><p>"for somebody who does not trust us"</p></div>
            <div class="panel-body stack">
                <p>
                    <a class="icon-text" href=source.clone() download="">{icon("download")}"Download the evidence"</a>
                    <small class="muted">" Its rows of both logs, with what proves them, in one file."</small>
                </p>
                <p>
                    <a class="icon-text" href=format!("/impersonations/{id}/evidence")>{icon("print")}"Read or print it"</a>
                    <small class="muted">" The same as a document, with how to check the file."</small>
                </p>
                {by_command(&format!("keyturn-evidence-{id}.json"), key, false)}
            </div>
        </section>
    }
    .into_any()
}

/// How the same is done without a browser, or without scripts in it: then it has to stand open.
fn by_command(file: &str, key: &str, open: bool) -> AnyView {
    let command = format!("keyturn verify {file} --key '{key}'");
    view! {
        <details class="disclose" open=open>
            <summary>{icon("chevron")}"Check it without a browser"</summary>
            <p class="idc"><code class="hash">{command.clone()}</code>{copy(command, "command")}</p>
            <p class="field-hint">"It needs no database and no network, and exits with 0 where the file proves a complete trail."</p>
        </details>
    }
    .into_any()
}
