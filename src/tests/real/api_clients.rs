//! Clients that others make of the API's description, used.

use std::process::Command;

use secrecy::ExposeSecret as _;

use super::api::description;
use crate::store::Engine;
use crate::testing::programs::{self, from_npm, from_pypi, npm_version, pypi_version};
use crate::testing::real::served::Served;
use crate::testing::story::{credential_of, member_id};
use crate::testing::{Bench, matrix};

const USES_PYTHON: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
from keyturn_client import AuthenticatedClient, errors
from keyturn_client.api.consent import read_consent, write_consent
from keyturn_client.api.audit import read_org_log, read_org_tiles
from keyturn_client.models import ConsentRequest, ConsentState, OrgLog, Problem
client = AuthenticatedClient(base_url=sys.argv[2], token=sys.argv[3], raise_on_unexpected_status=True)
state = read_consent.sync(client=client)
assert isinstance(state, ConsentState), state
off = write_consent.sync(client=client, body=ConsentRequest(allow_platform_impersonation=False))
assert isinstance(off, ConsentState) and off.allow_platform_impersonation is False, off
half = write_consent.sync_detailed(client=client, body=ConsentRequest(allow_platform_impersonation=True))
assert half.status_code == 422 and isinstance(half.parsed, Problem), half
log = read_org_log.sync(client=client, from_=0, limit=2)
assert isinstance(log, OrgLog) and len(log.rows) == 2, log
nobody = AuthenticatedClient(base_url=sys.argv[2], token="ktc_unknown")
refused = read_consent.sync_detailed(client=nobody)
assert refused.status_code == 401 and isinstance(refused.parsed, Problem), refused
print("consent is off")
"#;

/// Protects customers who write Python.
#[tokio::test]
async fn a_client_made_for_python_works() {
    let served = Served::start(Bench::new(Engine::Sqlite).await).await;
    let folder = tempfile::tempdir().unwrap();
    let file = description(&served, folder.path()).await;
    let mut command = Command::new(from_pypi("openapi-python-client"));
    // The generator formats what it made with this.
    let bin = from_pypi("ruff");
    let path = format!("{}:/usr/bin:/bin", bin.parent().unwrap().display());
    command
        .current_dir(folder.path())
        .env("PATH", path)
        .args(["generate", "--meta", "none", "--output-path", "keyturn_client"])
        .arg("--path")
        .arg(file);
    let said = programs::run_well(command).await;
    // It knows no media types but its own: of an armored key it makes no model, and says so.
    assert_eq!(said.matches("WARNING").count(), 1, "{said}");
    assert!(said.contains("application/pgp-keys"), "{said}");
    let owner = credential_of(&member_id("acme", "owner"));
    let made = folder.path().display().to_string();
    let said = programs::python(USES_PYTHON, &[&made, &served.url, owner.expose_secret()]).await;
    assert!(said.contains("consent is off"), "{said}");
    let rows = served.bench.rows_of("acme", "consent.disabled").await;
    assert_eq!(rows.len(), 1, "what the client did is in the log");
    let version = pypi_version("openapi-python-client");
    matrix::holds(
        "API",
        "openapi-python-client",
        &version,
        "generate, call",
        "consent, log, problems",
    );
}

const USES_TYPESCRIPT: &str = r#"
import type { components, operations, paths } from "./keyturn";

type State = paths["/api/v1/org/consent"]["get"]["responses"]["200"]["content"]["application/json"];
type Problem = operations["write_consent"]["responses"]["422"]["content"]["application/problem+json"];

const [url, token] = process.argv.slice(2);
const headers = { authorization: `Bearer ${token}` };
const got = await fetch(`${url}/api/v1/org/consent`, { headers });
const state: State = await got.json();
const on: boolean = state.allow_platform_impersonation;
if (got.status !== 200 || typeof on !== "boolean") throw new Error(JSON.stringify(state));
const body: components["schemas"]["ConsentRequest"] = { allow_platform_impersonation: true };
const sent = await fetch(`${url}/api/v1/org/consent`, { method: "PUT", headers, body: JSON.stringify(body) });
const problem: Problem = await sent.json();
if (sent.status !== 422 || problem.status !== 422 || !problem.detail) throw new Error(JSON.stringify(problem));
// @ts-expect-error: what is not described is no part of the types
problem.nowhere;
console.log("as described");
"#;

const SETTINGS: &str = r#"{ "compilerOptions": { "strict": true, "noEmit": false, "target": "es2022",
  "module": "es2022", "moduleResolution": "bundler", "lib": ["es2022", "dom"], "types": [],
  "skipLibCheck": false }, "files": ["globals.d.ts", "keyturn.d.ts", "use.ts"] }"#;

/// Protects customers who write TypeScript: the types are those of the answers.
#[tokio::test]
async fn types_made_for_typescript_fit_the_answers() {
    let served = Served::start(Bench::new(Engine::Sqlite).await).await;
    let folder = tempfile::tempdir().unwrap();
    let file = description(&served, folder.path()).await;
    let mut command = Command::new(from_npm("openapi-typescript"));
    command.arg(file).arg("--output").arg(folder.path().join("keyturn.d.ts"));
    programs::run_well(command).await;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("globals.d.ts", "declare const process: { argv: string[] };\n");
    write("use.ts", USES_TYPESCRIPT);
    write("tsconfig.json", SETTINGS);
    write("package.json", "{ \"type\": \"module\" }");
    let mut command = Command::new(from_npm("tsc"));
    command.arg("--project").arg(folder.path());
    programs::run_well(command).await;
    let owner = credential_of(&member_id("acme", "owner"));
    let mut command = Command::new("node");
    command.arg(folder.path().join("use.js")).arg(&served.url).arg(owner.expose_secret());
    let said = programs::run_well(command).await;
    assert!(said.contains("as described"), "{said}");
    let version = npm_version("openapi-typescript");
    matrix::holds(
        "API",
        "openapi-typescript",
        &version,
        "generate, compile, call",
        "consent, problems",
    );
}
