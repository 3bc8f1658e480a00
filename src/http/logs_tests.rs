//! The logs as tiles: an org's to auditors' programs, and what is asked for that is not there.

use axum::body::Body;
use http::{Request, StatusCode, header};

use super::doors_tests::Site;
use crate::audit::tiles;
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::log_check::{LogChecker, RowInput};
use crate::proof::merkle::leaf_hash;
use crate::testing::story::{ADA, CLEO, STUCK, credential_of, member_id};

/// What cannot be asked of any log.
const NOT_PATHS: [&str; 5] =
    ["checkpoints", "tile/0/0", "tile/9/000", "tile/entries/000.p/256", "..%2Fplatform"];

#[tokio::test]
async fn an_orgs_log_is_checked_by_an_auditors_program() {
    let site = Site::new().await;
    let ada = site.bench.at_work(ADA).await;
    let grant = site.bench.impersonate(&ada, STUCK).await.unwrap();
    let log = format!("/api/v1/orgs/{}/log", grant.org_id);
    let token = site.issue(CLEO, 90).await.unwrap();

    // As `keyturn verify --url` asks.
    let (status, note) = site.ask(&format!("{log}/checkpoint"), &token).await;
    assert_eq!(status, StatusCode::OK);
    let note = String::from_utf8(note).unwrap();
    let name = format!("org/{}", grant.org_id);
    let key = &site.bench.desk.keys.log;
    let origin = format!("{}/{name}", key.verifiers()[0].name());
    let signed = Checkpoint::open(&note, &key.verifiers(), &origin).unwrap();
    let of_rows = format!("{log}/{}", tiles::Path::of_entries(0, signed.size));
    let (status, bytes) = site.ask(&of_rows, &token).await;
    assert_eq!(status, StatusCode::OK);
    let mut checker = LogChecker::new(&name);
    for body in tiles::entries(&bytes).unwrap() {
        let hash = leaf_hash(body.as_bytes());
        let row = RowInput { seq: checker.rows(), stored_leaf_hash: &hash, body: &body };
        checker.push(row).unwrap();
    }
    assert!(checker.rows() > 0);
    checker.finish(signed.size, &signed).unwrap();

    let views = async || {
        let rows = site.bench.rows_of("platform", "platform.audit_viewed").await;
        let of = |r: &&crate::proof::row::AuditRow| r.detail_str("page") == Some(log.as_str());
        let by: Vec<_> = rows.iter().filter(of).map(|r| r.actor_id.clone()).collect();
        assert!(by.iter().all(|id| id == CLEO), "{by:?}");
        by.len()
    };
    assert_eq!(views().await, 1, "one row in ten minutes");
    site.bench.clock.advance(11 * time::MINUTE);
    site.ask(&format!("{log}/checkpoint"), &token).await;
    assert_eq!(views().await, 2);
}

/// Protects the log from holding whatever somebody writes into an address.
#[tokio::test]
async fn what_is_not_there_is_not_found_and_leaves_no_row() {
    let site = Site::new().await;
    let token = site.issue(CLEO, 90).await.unwrap();
    let cookie = site.cookie(CLEO).await;
    let before = site.bench.rows("platform").await.len();
    let mut paths = vec![
        ("/api/v1/orgs/org-none/log/checkpoint".to_owned(), true),
        ("/api/v1/orgs/platform/log/checkpoint".to_owned(), true),
        ("/logs/org/org-none/checkpoint".to_owned(), false),
        ("/logs/org/whsec_x/tile/0/000".to_owned(), false),
    ];
    for path in NOT_PATHS {
        paths.push((format!("/api/v1/orgs/org-acme/log/{path}"), true));
        paths.push((format!("/api/v1/platform/log/{path}"), true));
        paths.push((format!("/logs/org/org-acme/{path}"), false));
        paths.push((format!("/logs/platform/{path}"), false));
    }
    for (path, by_program) in paths {
        let status = if by_program {
            site.ask(&path, &token).await.0
        } else {
            let request = Request::builder().uri(&path).header(header::COOKIE, &cookie);
            site.send(request.body(Body::empty()).unwrap()).await.status()
        };
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(site.bench.rows("platform").await.len(), before);
}

/// Whoever of an org may call at all may check what was done to it, and nobody else.
#[tokio::test]
async fn an_orgs_log_is_read_with_any_credential_of_the_org_in_standing() {
    let site = Site::new().await;
    let key = &site.bench.desk.keys.log;
    for role in ["owner", "operator"] {
        let credential = credential_of(&member_id("acme", role));
        let (status, note) = site.ask("/api/v1/org/log/checkpoint", &credential).await;
        assert_eq!(status, StatusCode::OK, "{role}");
        let note = String::from_utf8(note).unwrap();
        Checkpoint::open(&note, &key.verifiers(), "keyturn.example/org/org-acme").unwrap();
        let (status, _) = site.ask("/api/v1/org/audit-log", &credential).await;
        assert_eq!(status, StatusCode::OK, "{role}");
    }
    let departed = credential_of(&member_id("acme", "admin"));
    let (status, _) = site.ask("/api/v1/org/log/checkpoint", &departed).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "departed");
}

#[tokio::test]
async fn an_orgs_own_credential_is_none_of_an_auditors() {
    let site = Site::new().await;
    let owner = credential_of(&member_id("acme", "owner"));
    let before = site.bench.rows("platform").await.len();
    for org in ["org-acme", "org-birch", "org-none"] {
        let (status, _) = site.ask(&format!("/api/v1/orgs/{org}/log/checkpoint"), &owner).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{org}");
    }
    let token = site.issue(CLEO, 1).await.unwrap();
    site.bench.clock.advance(time::DAY);
    let rows = site.bench.rows("platform").await.len();
    assert_eq!(rows, before + 1, "that it was issued");
    let (status, _) = site.ask("/api/v1/orgs/org-acme/log/checkpoint", &token).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "expired");
    assert_eq!(site.bench.rows("platform").await.len(), rows);
}
