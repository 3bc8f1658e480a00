//! What leaves the console: exports as a program reads them, what is refused, how one that cannot
//! be ended as it should ends; and what is shown of forwarding.

use axum::body::Body;
use http::{Request, Response, StatusCode, header};

use super::doors_tests::Site;
use crate::delivery::forward::http::HttpSink;
use crate::model::time;
use crate::proof::actions;
use crate::testing::sinks::LinesServer;
use crate::testing::story::CLEO;

async fn ask(site: &Site, query: &str) -> Response<Body> {
    let cookie = site.cookie(CLEO).await;
    let request = Request::builder().uri(format!("/audit/export?{query}"));
    site.send(request.header(header::COOKIE, cookie).body(Body::empty()).unwrap()).await
}

async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn each_form_is_a_file_that_nobody_keeps() {
    let site = Site::new().await;
    for (format, kind, ending) in [
        ("csv", "text/csv; charset=utf-8; header=present", ".csv\""),
        ("jsonl", "application/x-ndjson", "Z.jsonl\""),
        ("ocsf", "application/x-ndjson", ".ocsf.jsonl\""),
    ] {
        let response = ask(&site, &format!("format={format}&action=platform.signed_in")).await;
        assert_eq!(response.status(), StatusCode::OK);
        let header = |name| response.headers()[name].to_str().unwrap();
        assert_eq!(header(header::CONTENT_TYPE), kind);
        assert_eq!(header(header::CACHE_CONTROL), "no-store");
        let file = header(header::CONTENT_DISPOSITION);
        assert!(file.starts_with("attachment; filename=\"keyturn-audit-"), "{file}");
        assert!(file.ends_with(ending), "{file}");
        let record = site.bench.rows("platform").await.pop().unwrap();
        assert_eq!(record.action, actions::PLATFORM_AUDIT_EXPORTED);
        assert_eq!(record.detail_str("filter"), Some("action=platform.signed_in"));
        let lines = i64::try_from(text(response).await.lines().count()).unwrap();
        let head = i64::from(format == "csv");
        assert_eq!(Some(lines - head), record.detail_i64("count"), "{format}");
        assert!(lines > head);
    }
}

/// Protects the reader from a file of other rows than were asked for.
#[tokio::test]
async fn what_cannot_be_meant_is_said_and_is_no_export() {
    let site = Site::new().await;
    for (query, says) in [
        ("", "csv, jsonl or ocsf"),
        ("format=xlsx", "csv, jsonl or ocsf"),
        ("format=csv&from=yesterday", "cannot be read as a time"),
        ("format=csv&org=none", "no such org"),
        ("format=csv&before=5.a", "leave before and after out"),
        ("format=csv&format=ocsf", "a field stands in it twice"),
        ("format=csv&org=a&org=b", "a field stands in it twice"),
        ("format=csv&from=2026-11-23&to=2026-11-22", "not later than"),
    ] {
        let response = ask(&site, query).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
        let text = text(response).await;
        assert!(text.contains(says) && text.contains("Nothing was exported"), "{query}: {text}");
    }
    let exports = site.bench.rows_of("platform", actions::PLATFORM_AUDIT_EXPORTED).await;
    assert_eq!(exports, []);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_given_out() {
    let site = Site::new().await;
    site.bench.refuse_rows("platform.audit_exported").await;
    let response = ask(&site, "format=jsonl").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!text(response).await.contains("leaf_hash"));
}

#[tokio::test]
async fn a_file_that_cannot_be_finished_ends_with_a_cut_connection() {
    let site = Site::new().await;
    crate::tests::tamper::fill(&site.bench, 600).await;
    let response = ask(&site, "format=csv").await;
    assert_eq!(response.status(), StatusCode::OK);
    // Nothing but the head was read so far.
    site.bench.sql("DROP TRIGGER audit_entry_no_delete").await.unwrap();
    let gone = "DELETE FROM audit_entry WHERE log_id = 'platform' AND seq = 550";
    assert_eq!(site.bench.sql(gone).await.unwrap(), 1);
    let body = axum::body::to_bytes(response.into_body(), 1 << 24).await;
    assert!(body.is_err(), "it is not a shorter file");
}

/// Protects an operator from a sink that silently gets nothing.
#[tokio::test]
async fn the_page_of_the_logs_integrity_says_how_far_a_sink_has_come() {
    let site = Site::new().await;
    let cookie = site.cookie(CLEO).await;
    let page = async || {
        let request = Request::builder().uri("/audit/integrity").header(header::COOKIE, &cookie);
        text(site.send(request.body(Body::empty()).unwrap()).await).await
    };
    assert!(page().await.contains("Rows are sent nowhere else"));
    let server = LinesServer::start().await;
    server.answers(&[500]);
    let sink = HttpSink::new(&server.address, None, &Default::default()).unwrap();
    site.bench.desk.forward_due(&sink, "me").await.unwrap();
    let shown = page().await;
    assert!(shown.contains("Does not take rows") && shown.contains("it answers 500"), "{shown}");
    assert!(shown.contains(&server.address) && shown.contains("never"));
    site.bench.clock.advance(time::MINUTE);
    site.bench.desk.forward_due(&sink, "me").await.unwrap();
    assert!(page().await.contains("Has all rows"));
    site.bench.clock.advance(10 * time::MINUTE);
    assert!(page().await.contains("Not running"));
}

/// What is asked for is written into a log that nobody can shorten.
#[tokio::test]
async fn live_rows_are_refused_where_a_page_would_be_and_nothing_of_it_is_written_down() {
    let site = Site::new().await;
    let cookie = site.cookie(CLEO).await;
    let rows = site.bench.rows("platform").await.len();
    for query in [
        "action=%28%28%28%28".to_owned(),
        format!("ticket={}", "x".repeat(50_000)),
        "action=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr".to_owned(),
        "text=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr".to_owned(),
    ] {
        let request = Request::builder().uri(format!("/audit/live?{query}"));
        let request = request.header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
        assert_eq!(site.send(request).await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(site.bench.rows("platform").await.len(), rows);
}

/// Another site must not make somebody seem to have exported.
#[tokio::test]
async fn another_site_leads_nobody_into_an_export() {
    let site = Site::new().await;
    let cookie = site.cookie(CLEO).await;
    for path in ["/audit/export?format=csv", "/audit/live", "/impersonations/none/evidence.json"] {
        for (from, refused) in [("cross-site", true), ("same-site", true), ("none", false)] {
            let rows = site.bench.rows("platform").await.len();
            let request = Request::builder()
                .uri(path)
                .header(header::COOKIE, &cookie)
                .header("sec-fetch-site", from);
            let status = site.send(request.body(Body::empty()).unwrap()).await.status();
            assert_eq!(status == StatusCode::FORBIDDEN, refused, "{path} {from}: {status}");
            if refused {
                assert_eq!(site.bench.rows("platform").await.len(), rows);
            }
        }
    }
}
