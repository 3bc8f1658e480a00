//! New rows as they are written: each that the filter lets through, once, to whoever may look.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use http::{Request, StatusCode, header};

use super::doors_tests::{Site, form};
use crate::model::time;
use crate::store::Key;
use crate::store::audit::{self, Filter, Seek};
use crate::testing::story::{ADA, CLEO, STUCK};
use crate::testing::{Bench, both_engines};
use crate::web::islands::LiveRow;

both_engines!(
    a_new_row_arrives_and_one_outside_of_the_filter_does_not,
    nothing_is_doubled_and_nothing_lost_after_a_break,
    whoever_signs_out_sees_nothing_more,
);

/// Longer than a round of the stream takes.
const A_WHILE: Duration = Duration::from_millis(2500);

/// Somebody who watches.
struct Watching {
    body: BodyDataStream,
    text: String,
}

/// What came of waiting.
#[derive(Debug)]
enum Came {
    Row(String, LiveRow),
    Nothing,
    End,
}

impl Watching {
    async fn open(site: &Site, cookie: &str, query: &str, last: Option<&str>) -> Self {
        let mut request =
            Request::builder().uri(format!("/audit/live?{query}")).header(header::COOKIE, cookie);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    async fn next(&mut self) -> Came {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|l| l.strip_prefix(name));
                let found = field("data: ").map(|data| {
                    let row = serde_json::from_str(data).unwrap();
                    Came::Row(field("id: ").unwrap().to_owned(), row)
                });
                self.text = rest.to_owned();
                match found {
                    Some(row) => return row,
                    // A comment that keeps the connection alive.
                    None => continue,
                }
            }
            match tokio::time::timeout(A_WHILE, self.body.next()).await {
                Err(_) => return Came::Nothing,
                Ok(None) => return Came::End,
                Ok(Some(bytes)) => {
                    self.text.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
                }
            }
        }
    }

    /// The rows that come until none does: (event id, row id).
    async fn rows(&mut self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        while let Came::Row(event, row) = self.next().await {
            all.push((event, row.id));
        }
        all
    }
}

/// The place from which the page that was just made goes on.
fn from_here(site: &Site) -> String {
    format!("after={}", Key::before(site.bench.now() + 1))
}

async fn a_new_row_arrives_and_one_outside_of_the_filter_does_not(bench: Bench) {
    let site = Site::on(bench).await;
    let cookie = site.cookie(CLEO).await;
    let query = format!("action=impersonation.started&{}", from_here(&site));
    let mut watching = Watching::open(&site, &cookie, &query, None).await;
    site.bench.clock.advance(time::SECOND);
    let who = site.bench.at_work(ADA).await;
    let grant = site.bench.impersonate(&who, STUCK).await.unwrap();
    let Came::Row(event, row) = watching.next().await else { panic!("no row came") };
    assert_eq!((row.action.as_str(), row.platform), ("impersonation.started", false));
    assert_eq!(row.actor, who.staff.name);
    assert_eq!(row.href, format!("/audit/rows/{}", row.id));
    assert!(event.ends_with(&row.id), "the event is named by the row's place: {event}");
    // What follows is written into the same logs, and matches nothing.
    site.bench.clock.advance(time::SECOND);
    site.bench.end(&who, &grant.id).await.unwrap();
    assert!(matches!(watching.next().await, Came::Nothing));
}

async fn nothing_is_doubled_and_nothing_lost_after_a_break(bench: Bench) {
    let site = Site::on(bench).await;
    let cookie = site.cookie(CLEO).await;
    let who = site.bench.at_work(ADA).await;
    let start = Key::before(site.bench.now() + 1);
    let org = {
        let mut conn = site.bench.desk.store.read().await.unwrap();
        crate::store::tickets::by_id(&mut conn, STUCK).await.unwrap().unwrap().org_id
    };
    let query = format!("org={org}&after={start}");
    let mut watching = Watching::open(&site, &cookie, &query, None).await;
    site.bench.clock.advance(time::SECOND);
    let grant = site.bench.impersonate(&who, STUCK).await.unwrap();
    let Came::Row(last, first) = watching.next().await else { panic!("no row came") };
    let mut seen = vec![first.id];
    drop(watching);
    // While nobody listens.
    site.bench.clock.advance(time::SECOND);
    site.bench.rotate(&grant).await.unwrap();
    let mut again = Watching::open(&site, &cookie, &query, Some(&last)).await;
    let come = again.rows().await;
    let last = come.last().unwrap().0.clone();
    seen.extend(come.into_iter().map(|(_, id)| id));
    drop(again);
    let mut again = Watching::open(&site, &cookie, &query, Some(&last)).await;
    site.bench.clock.advance(time::SECOND);
    site.bench.end(&who, &grant.id).await.unwrap();
    seen.extend(again.rows().await.into_iter().map(|(_, id)| id));

    let filter = Filter { org_id: Some(org), ..Filter::default() };
    let mut conn = site.bench.desk.store.read().await.unwrap();
    let newer = Seek::Newer(start);
    let written = audit::timeline(&mut conn, &filter, &newer, false, 100).await.unwrap();
    assert!(written.len() >= 5);
    assert_eq!(seen, written.into_iter().map(|e| e.id).collect::<Vec<_>>());
}

async fn whoever_signs_out_sees_nothing_more(bench: Bench) {
    let site = Site::on(bench).await;
    let (cookie, other) = (site.cookie(CLEO).await, site.cookie(CLEO).await);
    let mut watching = Watching::open(&site, &cookie, &from_here(&site), None).await;
    let mut at_another_desk = Watching::open(&site, &other, &from_here(&site), None).await;
    let out = form("/do/sign_out", "").header(header::COOKIE, &cookie);
    let out = site.send(out.body(Body::empty()).unwrap()).await;
    assert_eq!(out.status(), StatusCode::SEE_OTHER);
    loop {
        match watching.next().await {
            // What was written before the session ended may still be on its way.
            Came::Row(_, row) => assert_ne!(row.action, "impersonation.started"),
            Came::Nothing => panic!("the stream goes on"),
            Came::End => break,
        }
    }
    let who = site.bench.at_work(ADA).await;
    site.bench.clock.advance(time::SECOND);
    site.bench.impersonate(&who, STUCK).await.unwrap();
    let rows = at_another_desk.rows().await;
    assert!(rows.len() >= 2, "another session goes on: {rows:?}");
    // A session that nobody uses ends by itself, and with it what it watches.
    site.bench.clock.advance(12 * time::HOUR);
    assert!(matches!(at_another_desk.next().await, Came::End));
    let request = Request::builder().uri("/audit/live").header(header::COOKIE, &cookie);
    let refused = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status(), StatusCode::SEE_OTHER);
}
