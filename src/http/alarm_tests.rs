//! A log that does not hold is said on every page, until all of them hold again.

use axum::body::Body;
use http::{Request, StatusCode, header};

use super::doors_tests::Site;
use crate::model::time;
use crate::testing::story::{ADA, CLEO};
use crate::tests::tamper::{change, opened};

impl Site {
    async fn verify_logs(&self) {
        self.bench.clock.advance(time::SECOND);
        let who = self.bench.at_work(ADA).await;
        let desk = &self.bench.desk;
        let mut tx = desk.begin().await.unwrap();
        let step = desk.begin_verification(&mut tx, &who).await;
        let begun = desk.settle(tx, step).await.unwrap();
        desk.clone().run_verification(begun, who).await;
    }

    async fn shown(&self, path: &str, cookie: &str) -> String {
        let request = Request::builder().uri(path).header(header::ACCEPT, "text/html");
        let request = request.header(header::COOKIE, cookie).body(Body::empty()).unwrap();
        let answer = self.send(request).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }
}

/// Protects everybody from working on with logs that were tampered with.
#[tokio::test]
async fn a_log_that_does_not_hold_is_said_on_every_page_until_it_holds_again() {
    let site = Site::new().await;
    opened(&site.bench).await;
    let cookie = site.cookie(CLEO).await;
    let tickets = async || site.shown("/tickets", &cookie).await;
    let action_becomes = |new: &str| {
        format!("UPDATE audit_entry SET action = {new} WHERE log_id = 'org/org-birch' AND seq = 1")
    };
    const ALARM: &str = "A log does not hold";
    const TITLE: &str = "<title>▲ A log does not hold · ";
    site.verify_logs().await;
    assert!(!tickets().await.contains(ALARM));

    change(&site.bench, &action_becomes("'x' || action")).await;
    site.verify_logs().await;
    let shown = tickets().await;
    assert!(shown.contains(ALARM) && shown.contains("row 1"), "{shown}");
    assert!(shown.contains(TITLE), "{shown}");
    let outside = site.shown("/sign-in", "").await;
    assert!(!outside.contains(ALARM), "whoever has not signed in is told nothing");
    let platform = "log_id = 'platform' AND seq = 1";
    change(&site.bench, &format!("UPDATE audit_entry SET action = 'x' || action WHERE {platform}"))
        .await;
    site.verify_logs().await;
    let shown = tickets().await;
    assert!(shown.contains("2 logs do not hold") && shown.contains("The first: log platform"));
    let listed = site.shown("/audit/integrity", &cookie).await;
    assert!(listed.contains("1 more log") && listed.contains("log org/org-birch, row 1"));
    change(
        &site.bench,
        &format!("UPDATE audit_entry SET action = substr(action, 2) WHERE {platform}"),
    )
    .await;
    site.verify_logs().await;

    change(&site.bench, &action_becomes("substr(action, 2)")).await;
    assert!(tickets().await.contains(ALARM), "nobody has looked at it since");
    site.verify_logs().await;
    assert!(!tickets().await.contains(ALARM));
}

/// Protects whoever has no scripts: the button is a form, and what it came to stands beside the log.
#[tokio::test]
async fn one_log_is_verified_from_its_place_in_the_list() {
    let site = Site::new().await;
    opened(&site.bench).await;
    let cookie = site.cookie(CLEO).await;
    let place = "/audit/integrity?org=birch";
    let before = site.shown(place, &cookie).await;
    assert!(before.contains("action=\"/do/verify_log\"") && before.contains("Not yet"));
    assert!(before.contains("only Verify now says"), "what it does not prove is said");
    let log = "log=org%2Forg-birch&back=%2Faudit%2Fintegrity%3Forg%3Dbirch";
    let request = Request::builder()
        .method("POST")
        .uri("/do/verify_log")
        .header("sec-fetch-site", "same-origin")
        .header(header::ACCEPT, "text/html")
        .header(header::COOKIE, &cookie)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = site.send(request.body(Body::from(log)).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[header::LOCATION], place);
    let mut held = false;
    for _ in 0..200 {
        let page = site.shown(place, &cookie).await;
        held = page.contains("Holds by itself");
        assert!(held || page.contains("<progress"), "{page}");
        if held {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert!(held);
    let views = site.bench.rows_of("platform", "platform.audit_viewed").await;
    let of = |v: &&crate::proof::row::AuditRow| v.detail_str("filter") == Some("org=birch");
    assert_eq!(views.iter().filter(of).count(), 1, "the view is on record with its filter");
}
