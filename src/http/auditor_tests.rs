//! Auditors' programs read the logs with a credential of their own, and nothing else;
//! and the evidence document is the file in other words.

use axum::body::Body;
use http::{Request, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::doors_tests::{DOORS, For, Site};
use crate::audit::Actor;
use crate::audit::tiles;
use crate::auth::credential::hex;
use crate::desk::{Step, StepError};
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::evidence::verify;
use crate::proof::merkle::{Frontier, leaf_hash};
use crate::testing::story::{ADA, CLEO, STUCK};

const LOG: &str = "/api/v1/platform/log";

impl Site {
    pub(super) async fn issue(&self, staff: &str, days: u32) -> Step<SecretString> {
        let email = self.bench.at_work(staff).await.staff.email;
        let desk = &self.bench.desk;
        let mut tx = desk.begin().await?;
        let by = Actor::system();
        let step = desk.issue_auditor_credential(&mut tx, &by, &email, days).await;
        desk.settle(tx, step).await.map(|(token, _)| token)
    }

    pub(super) async fn ask(&self, path: &str, token: &SecretString) -> (StatusCode, Vec<u8>) {
        let request = Request::builder()
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        let answer = self.send(request.body(Body::empty()).unwrap()).await;
        let status = answer.status();
        (status, axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap().to_vec())
    }
}

#[tokio::test]
async fn the_platforms_log_is_checked_by_an_auditors_program() {
    let site = Site::new().await;
    let token = site.issue(CLEO, 90).await.unwrap();
    let (status, note) = site.ask(&format!("{LOG}/checkpoint"), &token).await;
    assert_eq!(status, StatusCode::OK);
    let key = &site.bench.desk.keys.log;
    let note = String::from_utf8(note).unwrap();
    let signed = Checkpoint::open(&note, &key.verifiers(), "keyturn.example/platform").unwrap();
    let (status, bytes) =
        site.ask(&format!("{LOG}/{}", tiles::Path::of_entries(0, signed.size)), &token).await;
    assert_eq!(status, StatusCode::OK);
    let mut frontier = Frontier::new();
    for row in tiles::entries(&bytes).unwrap() {
        frontier.push(leaf_hash(row.as_bytes()));
    }
    assert_eq!(frontier.root(), signed.root);

    // Both are on record: that it was given out, without what it is, and that it is used.
    let issued = site.bench.rows_of("platform", "platform.auditor_credential_issued").await;
    assert_eq!(issued.len(), 1);
    assert!(!issued[0].canonical().unwrap().contains(token.expose_secret()));
    let views = async || {
        let rows = site.bench.rows_of("platform", "platform.audit_viewed").await;
        rows.iter().filter(|r| r.actor_id == CLEO && r.detail_str("page") == Some(LOG)).count()
    };
    assert_eq!(views().await, 1, "one row in ten minutes");
    site.bench.clock.advance(11 * time::MINUTE);
    site.ask(&format!("{LOG}/checkpoint"), &token).await;
    assert_eq!(views().await, 2);
}

#[tokio::test]
async fn an_auditors_credential_opens_no_other_door() {
    let site = Site::new().await;
    let token = site.issue(CLEO, 90).await.unwrap();
    for door in DOORS.iter().filter(|d| !matches!(d.4, For::Anybody(_) | For::Auditor)) {
        let request = Request::builder()
            .method(door.0)
            .uri(door.2)
            .header("sec-fetch-site", "same-origin")
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        let answer = site.send(request.body(Body::from(door.3)).unwrap()).await;
        let status = answer.status();
        let refused = status == StatusCode::UNAUTHORIZED
            || status == StatusCode::FORBIDDEN
            || (status.is_redirection()
                && answer.headers()[header::LOCATION].to_str().unwrap().starts_with("/sign-in"));
        assert!(refused, "{door:?}: {status}");
    }
    let (status, _) = site.ask(&format!("{LOG}/../../org/log/checkpoint"), &token).await;
    assert_ne!(status, StatusCode::OK);
}

#[tokio::test]
async fn one_that_expired_was_revoked_or_lost_its_auditor_is_refused() {
    let site = Site::new().await;
    let path = format!("{LOG}/checkpoint");
    assert!(matches!(site.issue(ADA, 90).await, Err(StepError::Conflict(_))), "an admin has none");
    assert!(matches!(site.issue(CLEO, 0).await, Err(StepError::Invalid(_))));
    assert!(matches!(site.issue(CLEO, 367).await, Err(StepError::Invalid(_))));

    let short = site.issue(CLEO, 1).await.unwrap();
    let long = site.issue(CLEO, 90).await.unwrap();
    site.bench.clock.advance(time::DAY);
    assert_eq!(site.ask(&path, &short).await.0, StatusCode::UNAUTHORIZED, "expired");
    assert_eq!(site.ask(&path, &long).await.0, StatusCode::OK);

    let email = site.bench.at_work(CLEO).await.staff.email;
    let desk = &site.bench.desk;
    let mut tx = desk.begin().await.unwrap();
    let step = desk.revoke_auditor_credentials(&mut tx, &Actor::system(), &email).await;
    assert_eq!(desk.settle(tx, step).await.unwrap(), 2);
    assert_eq!(site.ask(&path, &long).await.0, StatusCode::UNAUTHORIZED, "revoked");

    let again = site.issue(CLEO, 90).await.unwrap();
    let mut tx = desk.begin().await.unwrap();
    let step = desk.disable_staff(&mut tx, &email, &Actor::system()).await;
    desk.settle(tx, step).await.unwrap();
    assert_eq!(site.ask(&path, &again).await.0, StatusCode::UNAUTHORIZED, "disabled");
    assert!(site.issue(CLEO, 90).await.is_err());
}

#[tokio::test]
async fn the_document_names_the_digest_of_the_file_that_it_brings_along() {
    use base64::Engine as _;
    let site = Site::new().await;
    let ada = site.bench.at_work(ADA).await;
    let grant = site.bench.impersonate(&ada, STUCK).await.unwrap();
    site.bench.rotate(&grant).await.unwrap();
    site.bench.hand_off(&ada, &grant.id).await.unwrap();
    let exports = site.bench.rows_of("platform", "platform.audit_exported").await.len();
    let request = Request::builder()
        .uri(format!("/impersonations/{}/evidence", grant.id))
        .header(header::ACCEPT, "text/html")
        .header(header::COOKIE, site.cookie(CLEO).await);
    let answer = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let page = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    let exported = site.bench.rows_of("platform", "platform.audit_exported").await;
    assert_eq!(exported.len(), exports + 1, "taking it as a document is on record, too");
    let row = exported.last().unwrap();
    assert_eq!(row.detail_str("what"), Some("evidence"));
    assert_eq!(row.detail_i64("platform_rows"), Some(3), "start, handoff, end");
    assert_eq!(row.detail_i64("org_rows"), Some(4), "start, rotation, handoff, end");

    let encoded = page.split("data:application/json;base64,").nth(1).unwrap();
    let encoded = encoded.split('"').next().unwrap();
    let file = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    assert!(page.contains(&hex(&Sha256::digest(&file))));
    let text = String::from_utf8(file).unwrap();
    let report = verify(&text, &site.bench.desk.keys.log.verifiers(), 0).unwrap();
    assert!(report.proves_complete(), "{report:#?}");
    for rule in &report.verdict.rules {
        assert!(page.contains(rule.rule.title()), "{}", rule.rule.title());
    }
}

/// Protects auditors from comparing their key with one that signs no more.
#[tokio::test]
async fn the_page_for_files_names_the_key_as_it_is_now() {
    let site = Site::new().await;
    let cookie = site.cookie(CLEO).await;
    let desk = &site.bench.desk;
    let mut tx = desk.begin().await.unwrap();
    let step = desk.rotate_log_key(&mut tx, &Actor::system()).await;
    let rotated = desk.settle(tx, step).await.unwrap();
    assert_eq!(desk.keys.log.vkey(), rotated.old, "this instance has not noticed yet");
    let request = Request::builder().uri("/verify").header(header::COOKIE, cookie);
    let answer = site.send(request.body(Body::empty()).unwrap()).await;
    let page = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.contains(&rotated.new) && !page.contains(&rotated.old), "{page}");
    assert!(page.contains(&format!("keyturn verify evidence.json --key '{}'", rotated.new)));
}
