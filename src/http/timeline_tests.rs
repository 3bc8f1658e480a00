//! The timeline's filter as an address: what must not be in it, and how it folds.

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
    for page in ["/audit?", "/audit/live?", "/audit/export?format=csv&"] {
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
