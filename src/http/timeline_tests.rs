//! The timeline's filter as an address: what must not be in it, and how it folds.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode, header};

use super::doors_tests::Site;
use crate::testing::story::CLEO;

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
