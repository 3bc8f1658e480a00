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
}

/// Protects everybody from working on with logs that were tampered with.
#[tokio::test]
async fn a_log_that_does_not_hold_is_said_on_every_page_until_it_holds_again() {
    let site = Site::new().await;
    opened(&site.bench).await;
    let cookie = site.cookie(CLEO).await;
    let tickets = async || {
        let request = Request::builder().uri("/tickets").header(header::ACCEPT, "text/html");
        let request = request.header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
        let answer = site.send(request).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let action_becomes = |new: &str| {
        format!("UPDATE audit_entry SET action = {new} WHERE log_id = 'org/org-birch' AND seq = 1")
    };
    const ALARM: &str = "A log does not hold";
    site.verify_logs().await;
    assert!(!tickets().await.contains(ALARM));

    change(&site.bench, &action_becomes("'x' || action")).await;
    site.verify_logs().await;
    let shown = tickets().await;
    assert!(shown.contains(ALARM) && shown.contains("row 1"), "{shown}");

    change(&site.bench, &action_becomes("substr(action, 2)")).await;
    assert!(tickets().await.contains(ALARM), "nobody has looked at it since");
    site.verify_logs().await;
    assert!(!tickets().await.contains(ALARM));
}
