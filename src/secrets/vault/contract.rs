//! What every vault must do, asked of each of them: the embedded one on both engines, the client
//! against a server that keeps a vault's rules, and against a real one.

use std::path::PathBuf;

use secrecy::ExposeSecret as _;

use super::http::{Address, Credential, HttpVault};
use super::*;
use crate::testing::openbao::OpenBao;
use crate::testing::vault_server::{ROOT, VaultServer};
use crate::testing::{Bench, both_engines, matrix};

both_engines!(the_embedded_vault_keeps_the_contract);

pub(super) fn new_token(rotation_id: &str) -> NewToken {
    NewToken {
        policies: vec!["claims-import".into(), "default".into()],
        period_seconds: 86_400,
        ttl_seconds: 0,
        explicit_max_ttl_seconds: 0,
        renewable: true,
        display_name: "claims".into(),
        rotation_id: rotation_id.into(),
        ..NewToken::default()
    }
}

/// Holds for every vault; `id` keeps one run apart from another in a vault that outlives both.
async fn contract(vault: &dyn Vault, id: &str) {
    let first = format!("{id}-1");
    let made = vault.create(&new_token(&first)).await.unwrap();
    let token = made.token.expose_secret();
    assert!(token.len() > 20 && !token.contains(&made.accessor));
    assert!(!format!("{made:?}").contains(token), "it does not print");

    let facts = vault.lookup(&made.accessor).await.unwrap();
    assert_eq!(facts.accessor, made.accessor);
    let mut policies = facts.policies.clone();
    policies.sort();
    assert_eq!(policies, ["claims-import", "default"]);
    assert_eq!(facts.period_seconds, 86_400);
    assert_eq!(facts.kind, TokenKind::Service);
    assert!(facts.orphan && facts.renewable && facts.bound_cidrs.is_empty());
    assert!(facts.expires_at.is_some());
    assert_eq!(facts.uses_left, 0);
    assert_eq!(facts.rotation_id.as_deref(), Some(first.as_str()));
    assert!(!format!("{facts:?}").contains(token), "a look-up does not give the token");

    // A copy of it, and of that: nothing is lost or gained, also not in the name.
    let second = format!("{id}-2");
    let copy = vault.create(&NewToken::copy_of(&facts, &second)).await.unwrap();
    let copied = vault.lookup(&copy.accessor).await.unwrap();
    assert_ne!(copy.accessor, made.accessor);
    assert_ne!(copy.token.expose_secret(), token);
    assert_eq!(copied.period_seconds, facts.period_seconds);
    assert_eq!(copied.display_name, facts.display_name);
    assert_eq!(may_be_copied(&copied, &["claims-*".into(), "default".into()]), Ok(()));

    // Without `default`, and not periodic.
    let third = format!("{id}-3");
    let bare = NewToken {
        policies: vec!["claims-import".into()],
        period_seconds: 0,
        ttl_seconds: 3600,
        ..new_token(&third)
    };
    let bare = vault.create(&bare).await.unwrap();
    let facts = vault.lookup(&bare.accessor).await.unwrap();
    assert_eq!(facts.policies, ["claims-import"]);
    assert_eq!((facts.period_seconds, facts.ttl_seconds), (0, 3600));

    // Each is found by the rotation that made it, until it is revoked.
    assert_eq!(vault.made_for(&first).await.unwrap(), std::slice::from_ref(&made.accessor));
    assert_eq!(vault.made_for(&second).await.unwrap(), std::slice::from_ref(&copy.accessor));
    assert!(vault.made_for("no rotation").await.unwrap().is_empty());
    vault.revoke(&made.accessor).await.unwrap();
    assert_eq!(vault.lookup(&made.accessor).await, Err(VaultError::NoSuchToken));
    assert!(vault.made_for(&first).await.unwrap().is_empty());
    vault.lookup(&copy.accessor).await.expect("the other one lives on");

    // Twice is once, and what never was is gone as well.
    vault.revoke(&made.accessor).await.unwrap();
    vault.revoke("accessor-that-never-was").await.unwrap();
    assert_eq!(vault.lookup("accessor-that-never-was").await, Err(VaultError::NoSuchToken));
    vault.revoke(&copy.accessor).await.unwrap();
    vault.revoke(&bare.accessor).await.unwrap();
}

async fn the_embedded_vault_keeps_the_contract(bench: Bench) {
    contract(bench.vault.inner.as_ref(), "r").await;
}

/// A client that is known by a token in a file.
pub(super) fn by_file(url: &str, token: &str, folder: &tempfile::TempDir) -> HttpVault {
    let file: PathBuf = folder.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    HttpVault::new(Address {
        url: url.parse().unwrap(),
        namespace: None,
        credential: Credential::TokenFile(file),
        token_role: None,
        root_certificate: None,
    })
    .unwrap()
    .with_patience(std::time::Duration::from_millis(300))
}

#[tokio::test]
async fn the_client_keeps_the_contract_with_a_server_that_keeps_the_rules() {
    let (server, folder) = (VaultServer::start().await, tempfile::tempdir().unwrap());
    contract(&by_file(&server.url, ROOT, &folder), "r").await;
    assert_eq!(server.count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn the_client_keeps_the_contract_with_a_real_server() {
    let (bao, folder) = (OpenBao::start().await, tempfile::tempdir().unwrap());
    contract(&by_file(&bao.address, &bao.root_token, &folder), "r").await;
    let version = bao.health().await["version"].as_str().unwrap().to_owned();
    matrix::holds("Vault", "OpenBao", &version, "the client's contract", "kept");
}
