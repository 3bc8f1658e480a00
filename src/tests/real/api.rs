//! The API's description and what the API does, by programs that take descriptions at their word.

use std::path::Path;
use std::process::Command;

use secrecy::ExposeSecret as _;

use crate::store::Engine;
use crate::testing::programs::{self, from_pypi, pypi_version, python};
use crate::testing::real::served::{INTAKE, SERVICE, Served};
use crate::testing::story::{CLEO, credential_of, member_id};
use crate::testing::{Bench, matrix};

/// Protects whoever makes a client from the description: it is what OpenAPI 3.1 says.
#[tokio::test]
async fn the_description_is_valid() {
    let served = Served::start(Bench::new(Engine::Sqlite).await).await;
    let folder = tempfile::tempdir().unwrap();
    let file = description(&served, folder.path()).await;
    let mut command = Command::new(from_pypi("openapi-spec-validator"));
    command.args(["--errors", "all", "--schema", "3.1"]).arg(file);
    let said = programs::run_well(command).await;
    assert!(said.contains("OK"), "{said}");
    let version = pypi_version("openapi-spec-validator");
    let tried = "GET /api/v1/openapi.json";
    matrix::holds("API", "openapi-spec-validator", &version, tried, "valid OpenAPI 3.1");
}

/// The description, as a file.
pub(super) async fn description(served: &Served, folder: &Path) -> std::path::PathBuf {
    let file = folder.join("openapi.json");
    let address = format!("{}/api/v1/openapi.json", served.url);
    let text = reqwest::get(address).await.unwrap().text().await.unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

/// What schemathesis has to know besides the description: a credential for each door, and names
/// of things that there are.
///
/// One check is told what else a good request may be answered with: 422, which the description
/// has, for what no schema says (an org that there is not, a secret in a text).
fn settings(auditor: &str) -> String {
    let owner = credential_of(&member_id("acme", "owner"));
    let owner = owner.expose_secret();
    let service = SERVICE.replace('"', "\\\"");
    format!(
        r#"
[auth.openapi.org_credential]
bearer = "{owner}"
[auth.openapi.impersonation_token]
bearer = "{owner}"
[auth.openapi.auditor_credential]
bearer = "{auditor}"
[auth.openapi.intake_token]
bearer = "{INTAKE}"
[auth.openapi.service_token]
bearer = "{service}"
[auth.openapi.service_basic]
username = "introspection"
password = "{service}"

[[operations]]
include-path = "/api/v1/orgs/{{id}}/log/{{path}}"
[operations.parameters]
"path.id" = "org-acme"
[[operations]]
include-path = "/api/v1/tickets/{{id}}/messages"
[operations.parameters]
"path.id" = "NOV-4801"
[[operations]]
include-path-regex = "/api/v1/webhooks/.*"
[operations.parameters]
"path.id" = "whk_acme"

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 422, "5xx"]
"#
    )
}

/// Every check that schemathesis has, on every operation, for a number of examples of each.
pub(crate) async fn what_is_described_is_done(engine: Engine, examples: u32, area: &str) {
    let bench = Bench::new(engine).await;
    let auditor = {
        let mut tx = bench.desk.begin().await.unwrap();
        let who = bench.at_work(CLEO).await.staff.email;
        let by = crate::audit::Actor::system();
        let issued = bench.desk.issue_auditor_credential(&mut tx, &by, &who, 90).await.unwrap();
        tx.commit().await.unwrap();
        issued.0
    };
    let served = Served::start(bench).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), settings(auditor.expose_secret()))
        .unwrap();
    let mut command = Command::new(from_pypi("schemathesis"));
    command
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .args(["--config-file", "schemathesis.toml", "run"])
        .arg(format!("{}/api/v1/openapi.json", served.url))
        .args(["--checks", "all", "--workers", "1", "--no-color", "--continue-on-failure"])
        .args(["--generation-database", "none", "--request-timeout", "20"])
        .args(["--max-examples", &examples.to_string(), "--seed", "4801"]);
    let said = programs::run_well(command).await;
    // It fails where a check does; that it made cases at all stands in its summary.
    assert!(said.contains(" generated, ") && !said.contains("\u{274c}"), "{said}");
    let version = pypi_version("schemathesis");
    let tried = format!("{examples} examples of each operation, all checks, {engine:?}");
    matrix::holds(area, "schemathesis", &version, &tried, "no issues found");
}

/// A short run; `make interop` has the long one.
#[tokio::test]
async fn what_is_described_is_done_in_short() {
    what_is_described_is_done(Engine::Sqlite, 5, "API").await;
}

const AUTHLIB: &str = r#"
import json, sys
from authlib.integrations.requests_client import OAuth2Session
url, name, secret, token = sys.argv[1:5]
session = OAuth2Session(name, secret)
answer = session.introspect_token(url, token=token)
print(json.dumps({"status": answer.status_code, "body": answer.json(),
    "challenges": answer.headers.get("WWW-Authenticate", "")}))
"#;

/// Protects the services that ask with a library: most send the secret by HTTP Basic.
#[tokio::test]
async fn authlib_introspects() {
    let bench = Bench::new(Engine::Sqlite).await;
    let ada = bench.at_work(crate::testing::story::ADA).await;
    let grant = bench.impersonate(&ada, crate::testing::story::STUCK).await.unwrap();
    let token = bench.token(&grant);
    let served = Served::start(bench).await;
    let url = format!("{}/api/v1/introspect", served.url);
    let ask = async |name: &str, secret: &str, token: &str| {
        let said = python(AUTHLIB, &[&url, name, secret, token]).await;
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    let live = ask("introspection", SERVICE, token.expose_secret()).await;
    assert_eq!(live["status"], 200, "{live}");
    assert_eq!(live["body"]["active"], true, "{live}");
    assert_eq!(live["body"]["jti"], grant.id.as_str());
    let dead = ask("introspection", SERVICE, "nonsense").await;
    assert_eq!(dead["body"], serde_json::json!({ "active": false }));
    for (name, secret) in [("introspection", "not-the-token"), ("keyturn", SERVICE)] {
        let refused = ask(name, secret, token.expose_secret()).await;
        assert_eq!(refused["status"], 401, "{refused}");
        assert_eq!(refused["body"]["error"], "invalid_client", "{refused}");
        let challenges = refused["challenges"].as_str().unwrap();
        assert!(challenges.contains("Basic realm=\"keyturn\""), "{challenges}");
        assert!(challenges.contains("error=\"invalid_token\""), "{challenges}");
    }
    let version = pypi_version("Authlib");
    matrix::holds(
        "API",
        "Authlib",
        &version,
        "introspection by HTTP Basic",
        "active, inactive, refused",
    );
}
