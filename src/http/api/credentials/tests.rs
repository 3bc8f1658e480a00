//! A credential ends, is seen, and can be taken away.

use axum::body::Body;
use http::{Request, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::auth::credential::ORG_LIFE;
use crate::http::doors_tests::Site;
use crate::model::time;
use crate::testing::story::{ADA, credential_of, member_id};

async fn ask(site: &Site, method: &str, path: &str, member: &str) -> (StatusCode, Value) {
    let token = credential_of(member);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()))
        .header("sec-fetch-site", "same-origin");
    let answer = site.send(request.body(Body::empty()).unwrap()).await;
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

const ALL: &str = "/api/v1/org/credentials";
const LOG: &str = "/api/v1/org/audit-log";

async fn standing(site: &Site, member: &str, standing: &str) {
    let sql = format!("UPDATE member SET standing = '{standing}' WHERE id = '{member}'");
    site.bench.sql(&sql).await.unwrap();
}

#[tokio::test]
async fn a_credential_ends_to_the_microsecond() {
    let site = Site::new().await;
    let owner = member_id("acme", "owner");
    site.bench.clock.advance(ORG_LIFE - 1);
    assert_eq!(ask(&site, "GET", LOG, &owner).await.0, StatusCode::OK);
    site.bench.clock.advance(1);
    assert_eq!(ask(&site, "GET", LOG, &owner).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn its_last_use_is_noted_once_an_hour() {
    let site = Site::new().await;
    let (owner, operator) = (member_id("acme", "owner"), member_id("acme", "operator"));
    standing(&site, &owner, "active").await;
    let used = async || {
        let id = "credential-acme-operator";
        let sql = format!("SELECT COALESCE(last_used_at, 0) FROM org_credential WHERE id = '{id}'");
        site.bench.number(&sql).await
    };
    assert_eq!(used().await, 0);
    let first = site.bench.now();
    ask(&site, "GET", LOG, &operator).await;
    assert_eq!(used().await, first);
    site.bench.clock.advance(time::HOUR - 1);
    ask(&site, "GET", LOG, &operator).await;
    assert_eq!(used().await, first);
    site.bench.clock.advance(1);
    ask(&site, "GET", LOG, &operator).await;
    assert_eq!(used().await, first + time::HOUR);
    let (status, list) = ask(&site, "GET", ALL, &owner).await;
    assert_eq!(status, StatusCode::OK);
    let all = list["credentials"].as_array().unwrap();
    assert_eq!(all.len(), 3);
    let of_operator = all.iter().find(|c| c["id"] == "credential-acme-operator").unwrap();
    assert_eq!(of_operator["last_used_at"], time::rfc3339(first + time::HOUR));
    assert!(of_operator["expires_at"].is_string() && of_operator["revoked_at"].is_null());
    assert!(!list.to_string().contains("ktc_"));
}

#[tokio::test]
async fn the_owner_revokes_one_and_nobody_else_does() {
    let site = Site::new().await;
    let (owner, operator) = (member_id("acme", "owner"), member_id("acme", "operator"));
    let path = format!("{ALL}/credential-acme-operator");
    for (who, is) in [
        (&owner, StatusCode::FORBIDDEN),
        (&operator, StatusCode::FORBIDDEN),
        (&member_id("birch", "operator"), StatusCode::FORBIDDEN),
    ] {
        let (status, problem) = ask(&site, "DELETE", &path, who).await;
        assert_eq!(status, is, "{who}");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    let (_, problem) = ask(&site, "GET", ALL, &owner).await;
    assert!(problem["detail"].as_str().unwrap().contains("locked out"), "{problem}");
    standing(&site, &owner, "active").await;
    standing(&site, &member_id("birch", "owner"), "active").await;
    let birch = member_id("birch", "owner");
    assert_eq!(ask(&site, "DELETE", &path, &birch).await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask(&site, "GET", LOG, &operator).await.0, StatusCode::OK);
    assert_eq!(ask(&site, "DELETE", &path, &owner).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ask(&site, "GET", LOG, &operator).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&site, "DELETE", &path, &owner).await.0, StatusCode::CONFLICT);
    for (log, action) in
        [("platform", "platform.org_credential_revoked"), ("acme", "org.credential_revoked")]
    {
        let rows = site.bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].detail_str("credential"), Some("credential-acme-operator"));
    }
    site.bench.verify_all().await.unwrap();
    let cookie = site.cookie(ADA).await;
    let request = Request::builder().uri("/orgs/acme").header(header::COOKIE, cookie);
    let page = site.send(request.body(Body::empty()).unwrap()).await;
    let bytes = axum::body::to_bytes(page.into_body(), 1 << 22).await.unwrap();
    let html = String::from_utf8_lossy(&bytes);
    assert!(html.contains("API credentials") && html.contains("Revoked"));
}

#[tokio::test]
async fn from_the_command_line_too() {
    let site = Site::new().await;
    let by = crate::audit::Actor::system();
    let revoke = async |slug: &str, id: &str| {
        let mut tx = site.bench.desk.begin().await.unwrap();
        let step = site.bench.desk.revoke_org_credential(&mut tx, &by, slug, id).await;
        site.bench.desk.settle(tx, step).await.is_ok()
    };
    let id = "credential-acme-operator";
    assert!(!revoke("nobody", id).await && !revoke("birch", id).await);
    assert!(revoke("acme", id).await && !revoke("acme", id).await);
    let all = site.bench.desk.org_credentials("acme").await.unwrap();
    assert_eq!(all.iter().filter(|c| c.works(site.bench.now())).count(), 2);
    assert!(site.bench.desk.org_credentials("nobody").await.is_err());
}
