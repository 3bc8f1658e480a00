//! A vault token that is replaced by a real OpenBao: over TLS by an authority of its own, known by
//! an AppRole, in a namespace, through a token role; from the impersonation to its end.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

use crate::desk::StepError;
use crate::proof::verdict::Verdict;
use crate::secrets::vault::Vault as _;
use crate::secrets::vault::http::{Address, Credential, HttpVault};
use crate::store::Engine;
use crate::testing::openbao::documented_policy;
use crate::testing::openbao_raft::Raft;
use crate::testing::owners::{decrypt, owners};
use crate::testing::story::ADA;
use crate::testing::{Bench, matrix};

const TEAM: Option<&str> = Some("team/cedar");

/// The namespace with policy, role and AppRole; the old token and its accessor.
async fn prepared(raft: &Raft, folder: &std::path::Path) -> (HttpVault, String, String) {
    raft.ask(None, "POST", "sys/namespaces/team", json!({})).await;
    raft.ask(Some("team"), "POST", "sys/namespaces/cedar", json!({})).await;
    let ask = |method, path, body| raft.ask(TEAM, method, path, body);
    ask("PUT", "sys/policies/acl/keyturn", json!({ "policy": documented_policy() })).await;
    let reads = json!({ "policy": "path \"secret/*\" { capabilities = [\"read\"] }" });
    ask("PUT", "sys/policies/acl/cedar-import", reads).await;
    let role = json!({ "orphan": true, "allowed_policies_glob": "cedar-*", "token_period": "45s" });
    ask("POST", "auth/token/roles/keyturn", role).await;
    ask("POST", "sys/auth/approle", json!({ "type": "approle" })).await;
    let approle = json!({ "token_policies": "keyturn", "token_ttl": "20m" });
    ask("POST", "auth/approle/role/keyturn", approle).await;
    let id = ask("GET", "auth/approle/role/keyturn/role-id", Value::Null).await;
    let secret = ask("POST", "auth/approle/role/keyturn/secret-id", json!({})).await;
    let file = folder.join("secret-id");
    std::fs::write(&file, secret["data"]["secret_id"].as_str().unwrap()).unwrap();
    let vault = HttpVault::new(Address {
        url: raft.address(0).parse().unwrap(),
        namespace: TEAM.map(str::to_owned),
        credential: Credential::AppRole {
            role_id: id["data"]["role_id"].as_str().unwrap().to_owned(),
            secret_id_file: file,
        },
        token_role: Some("keyturn".into()),
        root_certificate: Some(raft.authority.clone().into_bytes()),
    })
    .unwrap();
    let body =
        json!({ "policies": ["cedar-import"], "period": "45s", "meta": { "team": "cedar" } });
    let old = ask("POST", "auth/token/create-orphan", body).await;
    let part = |name: &str| old["auth"][name].as_str().unwrap().to_owned();
    (vault, part("client_token"), part("accessor"))
}

async fn works(raft: &Raft, token: &str) -> bool {
    raft.tried(0, Some(token), TEAM, "GET", "auth/token/lookup-self", Value::Null).await.0 == 200
}

/// Protects the whole procedure where users have it: with the real program, restarted and sealed in
/// the middle.
#[tokio::test]
async fn a_rotation_is_carried_to_its_end_over_tls_in_a_namespace() {
    let (mut raft, folder) = (Raft::start(1).await, tempfile::tempdir().unwrap());
    let (vault, old, accessor) = prepared(&raft, folder.path()).await;
    assert_eq!(vault.problems().await, Vec::<String>::new());
    let mut bench = Bench::new(Engine::Sqlite).await;
    bench.keep_tokens_in(Arc::new(vault));
    let sql =
        format!("UPDATE secret_version SET reference = '{accessor}' WHERE secret_id = 'vtk_cedar'");
    bench.sql(&sql).await.unwrap();
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, "NOV-4803").await.unwrap();

    // Ended in the middle, it is waited for, and named; then sealed, and named.
    raft.end(0);
    let refused = bench.rotate(&grant).await;
    assert!(
        matches!(&refused, Err(StepError::Vault(why)) if why.contains("cannot be reached")),
        "{refused:?}"
    );
    raft.run(0).await;
    let refused = bench.rotate(&grant).await;
    assert!(
        matches!(&refused, Err(StepError::Vault(why)) if why.contains("it is sealed")),
        "{refused:?}"
    );
    raft.unseal(0).await;
    assert!(works(&raft, &old).await);

    let rotated = bench.rotate(&grant).await.unwrap();
    assert!(rotated.old_valid_until.is_some(), "revoked at once");
    assert!(!works(&raft, &old).await);
    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    let platform = bench.desk.keys.openpgp.to_armored_public().unwrap();
    let (text, _) = decrypt(&owners().modern, &platform, &handoff.message);
    let new = text.lines().next().unwrap().to_owned();
    let accessor = bench.versions("vtk_cedar").await[0].reference.clone().unwrap();
    let body = json!({ "accessor": accessor });
    let facts = raft.ask(TEAM, "POST", "auth/token/lookup-accessor", body).await["data"].clone();
    assert_eq!(facts["policies"], json!(["cedar-import", "default"]));
    assert_eq!(facts["meta"]["team"], "cedar");
    assert_eq!(facts["namespace_path"], "team/cedar/");
    assert_eq!(facts["role"], "keyturn");
    // It is renewed by its accessor until the Owner has it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    bench.clock.advance(25 * crate::model::time::SECOND);
    assert_eq!(bench.desk.keep_vault_tokens().await.unwrap(), 1);
    let body = json!({ "accessor": accessor });
    let facts = raft.ask(TEAM, "POST", "auth/token/lookup-accessor", body).await["data"].clone();
    assert!(facts["last_renewal_time"].is_i64(), "{facts}");
    assert!(facts["ttl"].as_i64().unwrap() >= 44, "{facts}");
    let lookup = json!({ "token": new });
    raft.ask(TEAM, "POST", "auth/token/lookup", lookup).await;
    let mail = bench.mailbox_after_sending("Your new secret").await;
    assert!(mail.contains("The old secret has stopped working."), "{mail}");
    let verdict = bench.verdict(&grant.id).await;
    assert_eq!(verdict.verdict, Verdict::Complete, "{verdict:#?}");
    bench.verify_all().await.unwrap();
    drop(SecretString::from(new));
    let (_, health) = raft.tried(0, None, None, "GET", "sys/health", Value::Null).await;
    let version = health["version"].as_str().unwrap().to_owned();
    matrix::holds(
        "Vault",
        "OpenBao",
        &version,
        "rotation over TLS, AppRole, namespace, token role; stopped, sealed and restarted in between",
        "carried to its end; complete",
    );
}
