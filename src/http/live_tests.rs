//! New rows as they are written: each that the filter lets through, once, to whoever may look.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use http::{Request, StatusCode, header};

use super::doors_tests::{Site, form};
use crate::audit::{Actor, LogId, NewRow, append};
use crate::model::time;
use crate::proof::actions;
use crate::store::Key;
use crate::store::audit::{self, Filter, Seek};
use crate::store::timeline::watch::Place;
use crate::testing::story::{ADA, CLEO, STUCK};
use crate::testing::{Bench, both_engines};
use crate::web::islands::LiveRow;

both_engines!(
    a_new_row_arrives_and_one_outside_of_the_filter_does_not,
    nothing_is_doubled_and_nothing_lost_after_a_break,
    whoever_signs_out_sees_nothing_more,
    a_row_that_appears_late_is_not_passed_over,
    what_was_not_heard_of_is_said,
    a_place_that_somebody_made_up_leads_to_no_old_row,
    a_server_that_stops_ends_its_streams,
    one_person_has_a_few_under_way_and_the_others_theirs,
);

/// Longer than a round of the stream takes.
const A_WHILE: Duration = Duration::from_millis(2500);

/// Somebody who watches.
struct Watching {
    body: BodyDataStream,
    text: String,
    /// The place that was named last.
    place: String,
}

/// What came of waiting.
#[derive(Debug)]
enum Came {
    Row(LiveRow),
    /// Something was said that is no row, and no mere sign of life.
    Word(String),
    Nothing,
    End,
}

impl Watching {
    async fn open(site: &Site, cookie: &str, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::builder()
            .uri(format!("/audit/live?{query}"))
            .header(header::ACCEPT, "text/event-stream")
            .header(header::COOKIE, cookie);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream; charset=utf-8");
        // Proxies keep it back, or pack it, unless they are told.
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store, no-transform");
        let body = response.into_body().into_data_stream();
        Self { body, text: String::new(), place: String::new() }
    }

    async fn next(&mut self) -> Came {
        let until = tokio::time::Instant::now() + A_WHILE;
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|l| l.strip_prefix(name));
                if let Some(place) = field("id: ") {
                    place.clone_into(&mut self.place);
                }
                let found = match field("event: ") {
                    Some("beat") => None,
                    Some(word) => Some(Came::Word(word.to_owned())),
                    None => field("data: ").map(|d| Came::Row(serde_json::from_str(d).unwrap())),
                };
                self.text = rest.to_owned();
                match found {
                    Some(found) => return found,
                    None => continue,
                }
            }
            match tokio::time::timeout_at(until, self.body.next()).await {
                Err(_) => return Came::Nothing,
                Ok(None) => return Came::End,
                Ok(Some(bytes)) => {
                    self.text.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
                }
            }
        }
    }

    /// The ids of the rows that come until none does.
    async fn rows(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Came::Row(row) = self.next().await {
            all.push(row.id);
        }
        all
    }
}

/// The place from which the page that was just made goes on.
async fn from_here(site: &Site) -> String {
    let mut conn = site.bench.desk.store.read().await.unwrap();
    let place = Place::here(&mut conn, site.bench.now()).await.unwrap();
    format!("since={}", crate::web::door::encode(&place.to_string()))
}

async fn a_new_row_arrives_and_one_outside_of_the_filter_does_not(bench: Bench) {
    let site = Site::on(bench).await;
    let cookie = site.cookie(CLEO).await;
    let query = format!("action=impersonation.started&{}", from_here(&site).await);
    let mut watching = Watching::open(&site, &cookie, &query, None).await;
    site.bench.clock.advance(time::SECOND);
    let who = site.bench.at_work(ADA).await;
    let grant = site.bench.impersonate(&who, STUCK).await.unwrap();
    let Came::Row(row) = watching.next().await else { panic!("no row came") };
    assert_eq!((row.action.as_str(), row.platform), ("impersonation.started", false));
    assert_eq!(row.actor, who.staff.name);
    assert_eq!(row.href, format!("/audit/rows/{}", row.id));
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
    let query = format!("org={org}&{}", from_here(&site).await);
    let mut watching = Watching::open(&site, &cookie, &query, None).await;
    site.bench.clock.advance(time::SECOND);
    let grant = site.bench.impersonate(&who, STUCK).await.unwrap();
    let mut seen = watching.rows().await;
    assert!(!seen.is_empty(), "no row came");
    let last = watching.place.clone();
    drop(watching);
    // While nobody listens.
    site.bench.clock.advance(time::SECOND);
    site.bench.rotate(&grant).await.unwrap();
    let mut again = Watching::open(&site, &cookie, &query, Some(&last)).await;
    seen.extend(again.rows().await);
    let last = again.place.clone();
    drop(again);
    let mut again = Watching::open(&site, &cookie, &query, Some(&last)).await;
    site.bench.clock.advance(time::SECOND);
    site.bench.end(&who, &grant.id).await.unwrap();
    seen.extend(again.rows().await);

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
    let mut watching = Watching::open(&site, &cookie, &from_here(&site).await, None).await;
    let mut at_another_desk = Watching::open(&site, &other, &from_here(&site).await, None).await;
    let out = form("/do/sign_out", "").header(header::COOKIE, &cookie);
    let out = site.send(out.body(Body::empty()).unwrap()).await;
    assert_eq!(out.status(), StatusCode::SEE_OTHER);
    loop {
        match watching.next().await {
            // What was written before the session ended may still be on its way.
            Came::Row(row) => assert_ne!(row.action, "impersonation.started"),
            Came::Word(word) => break assert_eq!(word, "out", "and is told so"),
            Came::Nothing => panic!("the stream goes on"),
            Came::End => panic!("the stream ends without a word"),
        }
    }
    assert!(matches!(watching.next().await, Came::End));
    let who = site.bench.at_work(ADA).await;
    site.bench.clock.advance(time::SECOND);
    site.bench.impersonate(&who, STUCK).await.unwrap();
    let rows = at_another_desk.rows().await;
    assert!(rows.len() >= 2, "another session goes on: {rows:?}");
    // A session that nobody uses ends by itself, and with it what it watches.
    site.bench.clock.advance(12 * time::HOUR);
    assert!(matches!(at_another_desk.next().await, Came::Word(word) if word == "out"));
    assert!(matches!(at_another_desk.next().await, Came::End));
    // A page that comes again is told in a way that it can hear.
    let mut refused = Watching::open(&site, &cookie, "", None).await;
    assert!(matches!(refused.next().await, Came::Word(word) if word == "out"));
    assert!(matches!(refused.next().await, Came::End));
    let request = Request::builder().uri("/audit/live").header(header::COOKIE, &cookie);
    let refused = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status(), StatusCode::SEE_OTHER);
}

/// A step takes the time of its rows before it commits, and clocks differ: a row of one log can
/// appear after one of another log that is later.
async fn a_row_that_appears_late_is_not_passed_over(bench: Bench) {
    let site = Site::on(bench).await;
    site.bench.clock.advance(time::HOUR);
    let cookie = site.cookie(CLEO).await;
    let write = async |log: LogId, at: i64| {
        let desk = &site.bench.desk;
        let mut tx = desk.begin().await.unwrap();
        let row = NewRow::new(actions::CONSENT_ENABLED, &Actor::system());
        let id = append(&mut tx, &desk.keys.log, desk.rng.as_ref(), &log, row, at).await;
        tx.commit().await.unwrap();
        id.unwrap();
    };
    let acme = || LogId::Org("org-acme".to_owned());
    let birch = || LogId::Org("org-birch".to_owned());
    let query = format!("action={}&{}", actions::CONSENT_ENABLED, from_here(&site).await);
    let mut watching = Watching::open(&site, &cookie, &query, None).await;
    site.bench.clock.advance(30 * time::SECOND);
    let now = site.bench.now();
    write(acme(), now).await;
    assert_eq!(watching.rows().await.len(), 1);
    write(birch(), now - 20 * time::SECOND).await;
    assert_eq!(watching.rows().await.len(), 1, "twenty seconds late");
    let last = watching.place.clone();
    drop(watching);
    // While nobody listens, too; and nothing comes twice.
    write(birch(), now - 10 * time::SECOND).await;
    let mut again = Watching::open(&site, &cookie, &query, Some(&last)).await;
    assert_eq!(again.rows().await.len(), 1);
    let last = again.place.clone();
    let mut again = Watching::open(&site, &cookie, &query, Some(&last)).await;
    assert_eq!(again.rows().await, Vec::<String>::new());
}

async fn what_was_not_heard_of_is_said(bench: Bench) {
    let site = Site::on(bench).await;
    let cookie = site.cookie(CLEO).await;
    let old = from_here(&site).await;
    site.bench.clock.advance(time::HOUR / 3);
    assert_eq!(site.send(page(&cookie)).await.status(), StatusCode::OK);
    let mut watching = Watching::open(&site, &cookie, &old, None).await;
    assert!(matches!(watching.next().await, Came::Row(_)), "within the hour nothing is lost");
    for _ in 0..3 {
        site.bench.clock.advance(time::HOUR / 3);
        assert_eq!(site.send(page(&cookie)).await.status(), StatusCode::OK);
    }
    for from in [old.as_str(), "since=nonsense", ""] {
        let mut watching = Watching::open(&site, &cookie, from, None).await;
        assert!(matches!(watching.next().await, Came::Word(word) if word == "gap"), "{from}");
    }
}

/// Protects the logs from being read through what only shows what is new.
async fn a_place_that_somebody_made_up_leads_to_no_old_row(bench: Bench) {
    let site = Site::on(bench).await;
    let cookie = site.cookie(CLEO).await;
    assert_eq!(site.send(page(&cookie)).await.status(), StatusCode::OK);
    site.bench.clock.advance(2 * time::MINUTE);
    let made_up = format!("{},platform=0", site.bench.now());
    let made_up = format!("since={}", crate::web::door::encode(&made_up));
    let mut watching = Watching::open(&site, &cookie, &made_up, None).await;
    assert_eq!(watching.rows().await, Vec::<String>::new());
}

fn page(cookie: &str) -> Request<Body> {
    let request = Request::builder().uri("/audit").header(header::COOKIE, cookie);
    request.body(Body::empty()).unwrap()
}

async fn a_server_that_stops_ends_its_streams(bench: Bench) {
    let site = Site::on(bench).await;
    let cookie = site.cookie(CLEO).await;
    let mut watching = Watching::open(&site, &cookie, &from_here(&site).await, None).await;
    watching.rows().await;
    site.stop.ask();
    assert!(matches!(watching.next().await, Came::End));
    let ready = Request::builder().uri("/readyz").body(Body::empty()).unwrap();
    assert_eq!(site.send(ready).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// Protects the others: each stream asks the database every second, and each export reads it whole.
async fn one_person_has_a_few_under_way_and_the_others_theirs(bench: Bench) {
    let site = Site::on(bench).await;
    let (ada, cleo) = (site.cookie(ADA).await, site.cookie(CLEO).await);
    for (path, most) in [("/audit/live", 8), ("/audit/export?format=csv", 2)] {
        let ask = |cookie: &str| {
            let request = Request::builder().uri(path).header(header::COOKIE, cookie);
            site.send(request.body(Body::empty()).unwrap())
        };
        let mut under_way = Vec::new();
        for _ in 0..most {
            let answer = ask(&ada).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            under_way.push(answer);
        }
        let rows = site.bench.rows("platform").await.len();
        let refused = ask(&ada).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        let wait: u32 = refused.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!(wait > 0);
        let text = axum::body::to_bytes(refused.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains("under way") || text.contains("8 timelines"), "{text}");
        assert_eq!(site.bench.rows("platform").await.len(), rows, "it is no row");
        assert_eq!(ask(&cleo).await.status(), StatusCode::OK, "{path}: somebody else");
        under_way.pop();
        assert_eq!(ask(&ada).await.status(), StatusCode::OK, "{path}: once one has ended");
    }
}
