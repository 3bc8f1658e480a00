//! What every answer says besides: those to a panic, and the gateways' listener's, too.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, Request, StatusCode, header};
use tower::ServiceExt as _;
use tower_http::services::ServeDir;

use crate::gateway::wire;
use crate::http::doors_tests::{DOORS, Site};
use crate::http::surrounded;
use crate::model::time;
use crate::store::Engine;
use crate::testing::story::ADA;
use crate::testing::{Bench, gateways};
use crate::web::app::App;

#[track_caller]
fn says_all(headers: &HeaderMap, what: &str) {
    let value = |name: &str| {
        let value = headers.get(name).unwrap_or_else(|| panic!("{what} has no {name}"));
        value.to_str().unwrap().to_owned()
    };
    let hsts = value("strict-transport-security");
    assert_eq!(hsts, "max-age=63072000; includeSubDomains", "{what}");
    assert_eq!(value("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(value("referrer-policy"), "same-origin", "{what}");
    let policy = value("content-security-policy");
    for part in
        ["default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"]
    {
        assert!(policy.split("; ").any(|p| p == part), "{what}: {part} in {policy}");
    }
    value("cache-control");
    if let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()) {
        let text = kind.starts_with("text/") || kind.contains("xml") || kind.contains("javascript");
        assert!(!text || kind.contains("charset=utf-8"), "{what}: {kind}");
    }
}

#[tokio::test]
async fn every_door_says_all_of_it_to_whoever_knocks() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    for door in DOORS {
        for cookie in ["none=1", &cookie] {
            let request = Request::builder()
                .method(door.0)
                .uri(door.2)
                .header(header::ACCEPT, "text/html")
                .header(header::COOKIE, cookie);
            let response = site.send(request.body(Body::from(door.3)).unwrap()).await;
            says_all(response.headers(), &format!("{} {}", door.0, door.2));
        }
    }
    for path in ["/none", "/api/none", "/tickets/%00", "/fonts/none"] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        says_all(site.send(request).await.headers(), path);
    }
}

#[tokio::test]
async fn the_answer_to_a_panic_says_it_as_well() {
    let site = Site::new().await;
    let broken: Router<Arc<App>> =
        Router::new().route("/broken", get(bang)).route("/api/broken", get(bang));
    let router = surrounded(broken, site.app.clone());
    for path in ["/broken", "/api/broken"] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        says_all(response.headers(), path);
    }
}

async fn bang() -> StatusCode {
    panic!("a fault of ours")
}

#[tokio::test]
async fn files_of_a_folder_name_their_charset() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keyturn.js"), "export {};").unwrap();
    std::fs::write(folder.path().join("keyturn_bg.wasm"), "\0asm").unwrap();
    let site = Site::new().await;
    let files = Router::new().nest_service("/pkg", ServeDir::new(folder.path()));
    let router = surrounded(files, site.app.clone());
    for (path, kind) in [
        ("/pkg/keyturn.js", "text/javascript; charset=utf-8"),
        ("/pkg/keyturn_bg.wasm", "application/wasm"),
    ] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], kind);
        says_all(response.headers(), path);
    }
}

#[tokio::test]
async fn the_gateways_listener_says_it_to_whoever_connects() {
    let bench = Bench::new(Engine::Sqlite).await;
    let until = crate::clock::Clock::now(&crate::clock::SystemClock) - bench.now();
    bench.clock.advance(until);
    let site = gateways::Site::new(&bench, -time::DAY, 3 * time::DAY).await;
    let client = reqwest::Client::builder()
        .use_rustls_tls()
        .danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    for path in [wire::EST_CACERTS, wire::CRL, "/none"] {
        let response = client.get(format!("{}{path}", site.address)).send().await.unwrap();
        says_all(response.headers(), path);
    }
}
