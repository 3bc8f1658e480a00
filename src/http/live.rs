//! `GET /audit/live`: new rows of the timeline as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Query;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use crate::desk::{AtWork, Step};
use crate::model::{Micros, time};
use crate::store::audit::{Entry, Filter};
use crate::store::timeline::watch::{Place, Watch};
use crate::web::app::App;
use crate::web::at_once::{Long, UnderWay};
use crate::web::door::Door;
use crate::web::islands::LiveRow;
use crate::web::pages::audit::{self as audit_page, Ask};
use crate::web::pages::error;

/// How often the database is asked.
const EVERY: Duration = Duration::from_secs(1);

/// In how many rounds a stream ends; the browser then asks again, and that it looks is noted anew.
const ROUNDS: u32 = 60;

/// After so many rounds in which nothing happened it is said that this is so. A browser that hears
/// nothing for much longer knows that the stream is dead.
const BEAT: u32 = 4;

/// How far back a stream may begin: it shows what is new, and is no way to read the logs.
const FURTHEST_BACK: Micros = time::HOUR;

/// In how many rounds a row is looked for that matches only once its trail is judged.
const UNTIL_JUDGED: u32 = 10;

/// Where the browser is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Since {
    /// The place of the page, or of what came last.
    since: Option<String>,
}

/// Rows that were written after the page was read, and that match its filter. With every round it
/// is looked whether the session still holds. What comes besides rows: `beat`, that there was
/// nothing new; `gap`, that not all is shown since the page was read; `out`, that nobody is signed
/// in any more. Each has the place from which to go on.
pub async fn events(
    door: Result<Door, Response>,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
    Query(Since { since }): Query<Since>,
) -> Response {
    let mut door = match door {
        Ok(door) => door,
        // A stream that is refused is not tried again, and the browser does not say why.
        Err(to_sign_in) if to_sign_in.status().is_redirection() && is_stream(&headers) => {
            return streamed(futures::stream::iter([Ok(Event::default().event("out").data("-"))]));
        }
        Err(response) => return response,
    };
    // What is asked for is written down, and what cannot be meant must not widen what is shown.
    match audit_page::checked(&mut door, &ask).await {
        Ok((_, problems)) if problems.is_empty() => {}
        Ok(_) => return StatusCode::BAD_REQUEST.into_response(),
        Err(e) => {
            tracing::error!(error = %e, "reading what live rows are held against");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    let under_way = match door.app.at_once.begin(Long::Stream, &door.who.staff.id) {
        Ok(under_way) => under_way,
        Err(e) => return error::of(door, e).await,
    };
    let Door { app, conn, who, .. } = door;
    // A connection is not held for as long as somebody watches.
    drop(conn);
    if let Err(e) = app.desk.note_view(&who, "/audit", &ask.query()).await {
        tracing::error!(error = %e, "noting a view");
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    // After a break the browser says what it saw last.
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    let last = last.or(since.as_deref()).and_then(|place| place.parse::<Place>().ok());
    match Watching::begin(app, who, under_way, ask.filter(), last).await {
        Ok(watching) => streamed(watching.events()),
        Err(e) => {
            tracing::error!(error = %e, "beginning to watch");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// An answer that nothing on the way keeps back or packs together: proxies do so unless told.
fn streamed(
    events: impl futures::Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> Response {
    let mut response = Sse::new(events).into_response();
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    response
}

/// Somebody who watches.
struct Watching {
    app: Arc<App>,
    who: AtWork,
    _under_way: UnderWay,
    filter: Filter,
    watch: Watch,
    /// What is said before anything else.
    first: Vec<Event>,
    rounds: u32,
    quiet: u32,
    over: bool,
}

/// What a round comes to.
enum Round {
    /// New rows, and the place behind them.
    Rows(Vec<Entry>, Place),
    Nothing,
    SignedOut,
}

impl Watching {
    async fn begin(
        app: Arc<App>,
        who: AtWork,
        under_way: UnderWay,
        filter: Filter,
        last: Option<Place>,
    ) -> Step<Self> {
        let now = app.desk.now();
        let judged = filter.verdict.is_some()
            || filter.standing.is_some()
            || filter.open_for.is_some()
            || filter.check.is_some();
        let rounds = if judged { UNTIL_JUDGED } else { 1 };
        let mut conn = app.desk.store.read().await?;
        let known = last.filter(|place| place.at() >= now - FURTHEST_BACK);
        let gap = known.is_none();
        let place = match known {
            Some(place) => place,
            None => Place::here(&mut conn, now).await?,
        };
        let watch = Watch::from(&mut conn, &place, rounds).await?;
        // The first bytes at once: whoever waits for them knows that the stream stands.
        let name = if gap || !watch.is_complete() { "gap" } else { "beat" };
        let hello = Event::default()
            .event(name)
            .id(place.to_string())
            .data("-")
            .retry(Duration::from_secs(1));
        drop(conn);
        let first = vec![hello];
        Ok(Self {
            app,
            who,
            _under_way: under_way,
            filter,
            watch,
            first,
            rounds: 0,
            quiet: 0,
            over: false,
        })
    }

    fn events(self) -> impl futures::Stream<Item = Result<Event, Infallible>> + Send {
        futures::stream::unfold(self, |mut watching| async move {
            let events = watching.next().await?;
            Some((futures::stream::iter(events.into_iter().map(Ok)), watching))
        })
        .flatten()
    }

    async fn next(&mut self) -> Option<Vec<Event>> {
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first));
        }
        // Where the server stops, the browser comes again as soon as there is one.
        if self.over || self.rounds >= ROUNDS || !self.app.stop.rest(EVERY).await {
            return None;
        }
        self.rounds += 1;
        match self.round().await {
            Ok(Round::Nothing) => {
                self.quiet += 1;
                Some(Vec::new())
            }
            Ok(Round::Rows(rows, place)) => {
                self.quiet = 0;
                let mut events: Vec<Event> = rows.iter().filter_map(shown).collect();
                events.push(Event::default().event("beat").id(place.to_string()).data("-"));
                Some(events)
            }
            // Whoever has signed out meanwhile sees nothing more.
            Ok(Round::SignedOut) => {
                self.over = true;
                Some(vec![Event::default().event("out").data("-")])
            }
            Err(e) => {
                tracing::warn!(error = %e, "live rows");
                None
            }
        }
    }

    async fn round(&mut self) -> Step<Round> {
        let desk = &self.app.desk;
        let mut conn = desk.store.read().await?;
        if !desk.still_at_work(&mut conn, &self.who).await? {
            return Ok(Round::SignedOut);
        }
        let rows = self.watch.round(&mut conn, &self.filter).await?;
        if rows.is_empty() && self.quiet + 1 < BEAT {
            return Ok(Round::Nothing);
        }
        let place = self.watch.place(&mut conn, desk.now()).await?;
        Ok(Round::Rows(rows, place))
    }
}

fn shown(entry: &Entry) -> Option<Event> {
    let row = crate::proof::row::AuditRow::parse(&entry.body).ok()?;
    let live = LiveRow {
        id: entry.id.clone(),
        platform: entry.log_id == "platform",
        action: entry.action.clone(),
        actor: row.actor_name,
        clock: time::clock(entry.at),
        href: format!("/audit/rows/{}", entry.id),
    };
    Event::default().json_data(live).ok()
}
