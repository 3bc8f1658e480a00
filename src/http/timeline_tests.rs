//! The timeline's filter as an address: what must not be in it, and how it folds.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode, header};

use super::doors_tests::Site;
use crate::model::time;
use crate::testing::story::{ADA, CLEO, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(a_row_leads_to_the_page_of_the_timeline_that_holds_it);

async fn get(site: &Site, address: &str) -> Response<Body> {
    let cookie = site.cookie(CLEO).await;
    let request = Request::builder().uri(address).header(header::COOKIE, cookie);
    site.send(request.body(Body::empty()).unwrap()).await
}

async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Protects a secret that somebody pasted from the log, which keeps what was searched for, and
/// from the page, which shows it again.
#[tokio::test]
async fn a_secret_in_any_field_is_refused_and_stands_nowhere_afterwards() {
    let site = Site::new().await;
    let secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo";
    for page in ["/audit?", "/audit/live?", "/audit/strip?", "/audit/export?format=csv&"] {
        for field in ["text", "action", "ticket", "admin", "org", "impersonation", "from"] {
            let address = format!("{page}{field}=whsec_{secret}%3D");
            let response = get(&site, &address).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{address}");
            assert!(!text(response).await.contains(secret), "{address}");
        }
    }
    for row in site.bench.rows("platform").await {
        assert!(!row.canonical().unwrap().contains(secret));
    }
}

#[tokio::test]
async fn the_page_of_the_logs_finds_one_and_does_not_repeat_a_secret() {
    let site = Site::new().await;
    let found = text(get(&site, "/audit/integrity?org=birch").await).await;
    assert!(found.contains("/logs/org/org-birch/checkpoint"));
    assert!(!found.contains("/logs/platform/checkpoint"), "it is the log of no org");
    let secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo";
    let none = text(get(&site, &format!("/audit/integrity?org=whsec_{secret}%3D")).await).await;
    assert!(none.contains("No such log") && !none.contains(secret));
    let all = text(get(&site, "/audit/integrity").await).await;
    assert!(all.contains("/logs/platform/checkpoint") && all.contains("Not yet"));
}

/// Protects a page from waiting for its strip, and its reader from never seeing it.
#[tokio::test]
async fn a_strip_that_is_not_counted_yet_has_its_place_and_comes_later() {
    let site = Site::new().await;
    let held = site.strips.hold().await;
    let response = get(&site, "/audit?ticket=NOV-4801&fold=0").await;
    assert_eq!(response.status(), StatusCode::OK);
    let page = text(response).await;
    assert!(page.contains("How many rows there are when is being counted."));
    // By itself with scripts, by a link without.
    assert!(page.contains("/audit/strip?ticket=NOV-4801"), "where it comes from");
    assert!(page.contains("href=\"/audit?ticket=NOV-4801&amp;fold=0\""), "the same page again");
    assert_eq!(get(&site, "/audit/strip?ticket=NOV-4801").await.status(), StatusCode::ACCEPTED);
    drop(held);
    let strip = loop {
        let response = get(&site, "/audit/strip?ticket=NOV-4801").await;
        match response.status() {
            StatusCode::OK => break text(response).await,
            StatusCode::ACCEPTED => tokio::time::sleep(Duration::from_millis(5)).await,
            other => panic!("{other}"),
        }
    };
    assert!(
        strip.starts_with("<section ") && strip.ends_with("</section>"),
        "a piece of a page: {strip}"
    );
    assert!(strip.contains("matches") || strip.contains("leads to its rows"), "{strip}");
}

#[tokio::test]
async fn a_strip_is_refused_as_the_page_is_and_asking_for_one_is_on_record() {
    let site = Site::new().await;
    for bad in ["org=none", "verdict=x", "from=yesterday", "text=%2D%2D", "before=x", "org=a&org=b"]
    {
        let response = get(&site, &format!("/audit/strip?{bad}")).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad}");
        assert!(text(response).await.is_empty(), "{bad}");
    }
    assert!(get(&site, "/audit/strip?text=stuck").await.status().is_success());
    let looked = site.bench.rows_of("platform", "platform.audit_viewed").await;
    assert_eq!(looked.last().unwrap().details["filter"], "text=stuck");
}

/// The story with an impersonation in it, and a day's work after that.
async fn busy(bench: &Bench) {
    let who = bench.at_work(ADA).await;
    let grant = bench.impersonate(&who, STUCK).await.unwrap();
    bench.clock.advance(time::SECOND);
    bench.rotate(&grant).await.unwrap();
    bench.clock.advance(time::SECOND);
    bench.hand_off(&who, &grant.id).await.unwrap();
    bench.clock.advance(time::SECOND);
    bench.set_consent("birch-owner", false).await.unwrap();
}

/// Protects whoever follows a link to a row and then looks around: the row is there, wherever in
/// the logs it stands, whatever it is of, and however the database orders its ids.
async fn a_row_leads_to_the_page_of_the_timeline_that_holds_it(bench: Bench) {
    busy(&bench).await;
    every_row_is_where_its_page_leads(bench).await;
}

#[tokio::test]
async fn a_row_leads_there_in_a_database_that_orders_texts_as_people_do() {
    let bench = Bench::in_words_order().await;
    busy(&bench).await;
    // Where a row was to be found by an id that no text comes after, it was not, here.
    assert_eq!(bench.number("SELECT CASE WHEN '~' < '0' THEN 1 ELSE 0 END").await, 1);
    every_row_is_where_its_page_leads(bench).await;
}

async fn every_row_is_where_its_page_leads(bench: Bench) {
    let site = Site::on(bench).await;
    for n in 0..40 {
        site.bench.clock.advance(time::SECOND);
        let page = text(get(&site, &format!("/audit?text=page{n}")).await).await;
        assert!(page.contains("Audit timeline"));
    }
    let mut ids = Vec::new();
    for log in ["platform", "acme", "birch"] {
        ids.extend(site.bench.rows(log).await.into_iter().map(|row| (row.id, row.ticket_ref)));
    }
    assert!(ids.iter().any(|(_, ticket)| ticket.is_some()));
    site.bench.clock.advance(time::SECOND);
    // Every few of them: signing in and looking are most.
    for (id, _) in ids.iter().filter(|(id, t)| t.is_some() || id.ends_with(['0', '4', '8'])) {
        let page = text(get(&site, &format!("/audit/rows/{id}")).await).await;
        let (before, _) = page.split_once("In the timeline").unwrap();
        let (_, href) = before.rsplit_once("href=\"/audit").unwrap();
        let href = format!("/audit{}", href.split('"').next().unwrap().replace("&amp;", "&"));
        let (address, anchor) = href.split_once('#').unwrap();
        assert_eq!(anchor, format!("r-{id}"));
        let around = text(get(&site, address).await).await;
        assert!(around.contains(&format!("id=\"{anchor}\"")), "{href}");
    }
}
