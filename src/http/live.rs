//! `GET /audit/live`: new rows of the timeline as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::Query;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use crate::desk::StepError;
use crate::model::{Micros, time};
use crate::store::Key;
use crate::store::audit::{self, Seek};
use crate::web::door::Door;
use crate::web::islands::LiveRow;
use crate::web::pages::audit::{self as audit_page, Ask};

/// How often the database is asked.
const EVERY: Duration = Duration::from_secs(1);

/// How far back a stream may begin: it shows what is new, and is no way to read the logs.
const FURTHEST_BACK: Micros = time::HOUR;

/// Rows that were written after the newest one of the page, and that match its filter. The
/// stream ends after a minute, and the browser asks again. With every round it is looked whether
/// the session still holds.
pub async fn events(mut door: Door, headers: HeaderMap, Query(ask): Query<Ask>) -> Response {
    // What is asked for is written down, and what cannot be meant must not widen what is shown.
    match audit_page::checked(&mut door, &ask).await {
        Ok((_, problems)) if problems.is_empty() => {}
        Ok(_) => return StatusCode::BAD_REQUEST.into_response(),
        Err(e) => {
            tracing::error!(error = %e, "reading what live rows are held against");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    let Door { app, conn, who, .. } = door;
    // A connection is not held for as long as somebody watches.
    drop(conn);
    if let Err(e) = app.desk.note_view(&who, "/audit", &ask.query()).await {
        tracing::error!(error = %e, "noting a view");
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let filter = ask.filter();
    // After a break the browser says which row it saw last.
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).or(ask.after.as_deref());
    let earliest = app.desk.now() - FURTHEST_BACK;
    let start = last
        .and_then(|k| k.parse::<Key>().ok())
        .filter(|key| key.at >= earliest)
        .unwrap_or(Key::before(app.desk.now() + 1));
    let rounds = 0_u32;
    let stream = futures::stream::unfold(
        (app, who, filter, start, rounds),
        |(app, who, filter, mut at, rounds)| async move {
            if rounds >= 60 {
                return None;
            }
            tokio::time::sleep(EVERY).await;
            let found = async {
                let mut conn = app.desk.store.read().await?;
                if !app.desk.still_at_work(&mut conn, &who).await? {
                    return Ok(None);
                }
                let newer = Seek::Newer(at.clone());
                Ok::<_, StepError>(Some(
                    audit::timeline(&mut conn, &filter, &newer, false, 20).await?,
                ))
            };
            let rows = match found.await {
                Ok(Some(rows)) => rows,
                // Whoever has signed out meanwhile sees nothing more.
                Ok(None) => return None,
                Err(e) => {
                    tracing::warn!(error = %e, "live rows");
                    return None;
                }
            };
            let events: Vec<_> = rows
                .iter()
                .filter_map(|entry| {
                    let row = crate::proof::row::AuditRow::parse(&entry.body).ok()?;
                    let live = LiveRow {
                        id: entry.id.clone(),
                        platform: entry.log_id == "platform",
                        action: entry.action.clone(),
                        actor: row.actor_name,
                        clock: time::clock(entry.at),
                        href: format!("/audit/rows/{}", entry.id),
                    };
                    Event::default().json_data(live).ok().map(|e| e.id(entry.key().to_string()))
                })
                .collect();
            if let Some(last) = rows.last() {
                at = last.key();
            }
            Some((
                futures::stream::iter(events.into_iter().map(Ok::<_, Infallible>)),
                (app, who, filter, at, rounds + 1),
            ))
        },
    );
    Sse::new(futures::StreamExt::flatten(stream)).keep_alive(KeepAlive::default()).into_response()
}
