//! `GET /audit/export`: the rows that the timeline's filter lets through, as a file that is
//! written while it is read.

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use leptos::prelude::*;
use serde::Deserialize;

use super::audit_filter::{Ask, Problem, address};
use crate::audit::export::Format;
use crate::desk::export::{Export, Wanted};
use crate::desk::{Desk, Step};
use crate::listen::held_with;
use crate::model::{Micros, time};
use crate::web::at_once::Long;
use crate::web::components::icon;
use crate::web::door::Door;
use crate::web::shell::{Part, page};

/// The form that is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Form {
    format: String,
}

/// `GET /audit/export`. What cannot be meant is answered with 400, and is no export.
pub async fn file(
    mut door: Door,
    ask: Result<Query<Ask>, QueryRejection>,
    form: Result<Query<Form>, QueryRejection>,
) -> Response {
    let (Ok(Query(ask)), Ok(Query(form))) = (ask, form) else {
        let text = "The address cannot be read: a field stands in it twice.";
        return refused(door, vec![Problem { field: "place", text: text.to_owned() }]).await;
    };
    let under_way = match door.app.at_once.begin(Long::Export, &door.who.staff.id) {
        Ok(under_way) => under_way,
        Err(e) => return super::error::of(door, e).await,
    };
    match begin(&mut door, &ask, &form).await {
        Ok(Ok(export)) => {
            let Door { app, conn, .. } = door;
            // A connection is not held for as long as somebody reads.
            drop(conn);
            held_with(stream(app.desk.clone(), export), under_way)
        }
        Ok(Err(problems)) => refused(door, problems).await,
        Err(e) => super::error::of(door, e).await,
    }
}

async fn begin(door: &mut Door, ask: &Ask, form: &Form) -> Step<Result<Export, Vec<Problem>>> {
    let (_, mut problems) = super::audit::checked(door, ask).await?;
    let format = Format::parse(&form.format);
    if format.is_none() {
        let text = "The format is csv, jsonl or ocsf.".to_owned();
        problems.push(Problem { field: "format", text });
    }
    if ask.before.is_some() || ask.after.is_some() {
        let text = "An export is of all rows that match: leave before and after out.".to_owned();
        problems.push(Problem { field: "place", text });
    }
    let format = match format {
        Some(format) if problems.is_empty() => format,
        _ => return Ok(Err(problems)),
    };
    let wanted = Wanted { format, filter: ask.filter(), query: ask.query_sound(&problems) };
    Ok(Ok(door.app.desk.begin_export(&mut door.conn, &door.who, wanted).await?))
}

/// The file, a batch of rows at a time. Where it cannot be ended as it should, the connection is
/// cut: nobody takes a part of it for the whole.
fn stream(desk: std::sync::Arc<Desk>, export: Export) -> Response {
    let format = export.format();
    let name = file_name(desk.now(), format);
    let rows = futures::stream::try_unfold((desk, export), |(desk, mut export)| async move {
        match desk.export_more(&mut export).await {
            Ok(Some(text)) => Ok(Some((Bytes::from(text), (desk, export)))),
            Ok(None) => Ok(None),
            Err(e) => {
                tracing::error!(error = %e, "an export was cut off");
                Err(std::io::Error::other("the export was cut off"))
            }
        }
    });
    let head = futures::stream::iter([Ok(Bytes::from(format.head()))]);
    (
        [
            (header::CONTENT_TYPE, format.media_type().to_owned()),
            (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ],
        Body::from_stream(futures::StreamExt::chain(head, rows)),
    )
        .into_response()
}

/// `keyturn-audit-20261123T095210Z.csv`.
fn file_name(now: Micros, format: Format) -> String {
    let at: String = time::rfc3339(now).chars().take(19).filter(|c| !"-:".contains(*c)).collect();
    format!("keyturn-audit-{at}Z.{}", format.ending())
}

async fn refused(door: Door, problems: Vec<Problem>) -> Response {
    let list = problems
        .into_iter()
        .map(|p| view! { <dt><code>{p.field}</code></dt><dd>{p.text}</dd> })
        .collect_view();
    let body = view! {
        <div class="error-page">
            <p class="error-code">"400"</p>
            <h1>"Nothing was exported"</h1>
            <p>"A field of the address cannot be what was meant. An export without it would hold other rows than were asked for."</p>
            <dl class="what">{list}</dl>
            <div class="form-actions"><a class="btn" href="/audit">"To the audit timeline"</a></div>
        </div>
    }
    .into_any();
    page(door, StatusCode::BAD_REQUEST, "Nothing was exported", Part::Audit, body).await
}

/// The links beside the rows that they export.
pub fn links(query: &str) -> AnyView {
    let all = Format::ALL
        .map(|format| {
            let format_field = format!("format={}", format.word());
            let query =
                if query.is_empty() { format_field } else { format!("{query}&{format_field}") };
            let href = address("/audit/export", &query);
            view! { <li><a href=href>{format.label()}</a></li> }
        })
        .into_iter()
        .collect_view();
    view! {
        <nav class="exports" aria-label="Export">
            <span class="icon-text">{icon("download")}"Export every matching row"</span>
            <ul>{all}</ul>
        </nav>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_its_time_and_its_form() {
        let name = |format| file_name(1_760_000_000_123_456, format);
        assert_eq!(name(Format::Csv), "keyturn-audit-20251009T085320Z.csv");
        assert_eq!(name(Format::Ocsf), "keyturn-audit-20251009T085320Z.ocsf.jsonl");
    }
}
