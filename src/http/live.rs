//! `GET /audit/live`: new rows of the timeline as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::Query;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;

use crate::model::time;
use crate::store::Key;
use crate::store::audit::{self, Seek};
use crate::web::door::Door;
use crate::web::islands::LiveRow;
use crate::web::pages::audit::Ask;

/// How often the database is asked.
const EVERY: Duration = Duration::from_secs(1);

/// Rows that were written after the newest one of the page, and that match its filter. The
/// stream ends with the session's right to it: it is asked for anew every minute.
pub async fn events(
    door: Door,
    Query(ask): Query<Ask>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let Door { app, conn, .. } = door;
    // A connection is not held for as long as somebody watches.
    drop(conn);
    let filter = ask.filter();
    let start = ask.after.as_deref().and_then(|k| k.parse::<Key>().ok());
    let start = start.unwrap_or(Key { at: app.desk.now(), id: "~".to_owned() });
    let rounds = 0_u32;
    let stream = futures::stream::unfold(
        (app, filter, start, rounds),
        |(app, filter, mut at, rounds)| async move {
            if rounds >= 60 {
                return None;
            }
            tokio::time::sleep(EVERY).await;
            let found = async {
                let mut conn = app.desk.store.read().await?;
                audit::timeline(&mut conn, &filter, &Seek::Newer(at.clone()), false, 20).await
            };
            let rows = match found.await {
                Ok(rows) => rows,
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
                    Event::default().json_data(live).ok().map(|e| Ok(e.id(entry.key().to_string())))
                })
                .collect();
            if let Some(last) = rows.last() {
                at = last.key();
            }
            Some((futures::stream::iter(events), (app, filter, at, rounds + 1)))
        },
    );
    Sse::new(futures::StreamExt::flatten(stream)).keep_alive(KeepAlive::default())
}
