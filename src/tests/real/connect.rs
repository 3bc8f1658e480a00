//! 1Password's own clients at the demo's Connect server.

use std::sync::Arc;

use crate::clock::ManualClock;
use crate::testing::connect::{OUT_OF_SCOPE, Running, TOKEN, VAULT};
use crate::testing::matrix;
use crate::testing::programs::{node, npm_version, pypi_version, python};

const JAVASCRIPT: &str = r#"
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/x.js");
const { OnePasswordConnect, ItemBuilder } = require("@1password/connect");
const [url, token, vault, other] = process.argv.slice(1);
const op = OnePasswordConnect({ serverURL: url, token, keepAlive: false });
const must = (holds, what) => { if (!holds) throw new Error(what); };
const vaults = await op.listVaults();
must(vaults.some((v) => v.id === vault) && !vaults.some((v) => v.id === other), "the vaults in scope");
must((await op.getVaultById(vault)).id === vault, "a vault");
const item = new ItemBuilder()
  .setTitle("Webhook key of the test")
  .setCategory("API_CREDENTIAL")
  .addField({ label: "credential", value: "hunter2", type: "CONCEALED" })
  .addField({ label: "note", value: "for the orders" })
  .build();
const made = await op.createItem(vault, item);
must(/^[a-z0-9]{26}$/.test(made.id), `an id: ${made.id}`);
const read = await op.getItemById(vault, made.id);
must(read.fields.length === 2 && read.fields.every((f) => f.id), "fields with ids");
must(read.fields[0].value === "hunter2", "the value");
const found = await op.getItemByTitle(vault, "Webhook key of the test");
must(found.id === made.id, "found by its title");
const listed = await op.listItems(vault);
must(listed.length === 1 && listed[0].fields === undefined, "listed without its values");
let refused;
try { await op.createItem(other, item); } catch (e) { refused = e; }
must(refused && refused.status === 403, `another's vault: ${JSON.stringify(refused)}`);
console.log("all of it");
"#;

const PYTHON: &str = r#"
import sys
from onepasswordconnectsdk.client import new_client
from onepasswordconnectsdk.errors import FailedToRetrieveItemException
from onepasswordconnectsdk.models import Field, Item, ItemVault
url, token, vault, other = sys.argv[1:5]
client = new_client(url, token)
vaults = client.get_vaults()
assert [v.id for v in vaults if v.id == vault] and not [v for v in vaults if v.id == other]
item = Item(title="Webhook key of the test", category="API_CREDENTIAL",
    vault=ItemVault(id=vault), fields=[Field(label="credential", value="hunter2", type="CONCEALED"), Field(label="note", value="x")])
made = client.create_item(vault, item)
read = client.get_item(made.id, vault)
assert [f.value for f in read.fields] == ["hunter2", "x"], read.fields
assert len({f.id for f in read.fields}) == 2 and all(f.id for f in read.fields), read.fields
assert client.get_item_by_title("Webhook key of the test", vault).id == made.id
assert [i.id for i in client.get_items(vault)] == [made.id]
try:
    client.get_items(other)
    raise SystemExit("another's vault was read")
except FailedToRetrieveItemException as refusal:
    assert "403" in str(refusal), refusal
print("all of it")
"#;

async fn server() -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let server =
        Running::start(folder.path(), Arc::new(ManualClock::at(1_760_000_000_000_000))).await;
    (server, folder)
}

/// Its paths end in a slash, and its fields come without ids.
#[tokio::test]
async fn the_javascript_client_makes_and_reads_items() {
    let (server, _folder) = server().await;
    let said = node(JAVASCRIPT, &[&server.url(), TOKEN, VAULT, OUT_OF_SCOPE]).await;
    assert!(said.contains("all of it"), "{said}");
    let version = npm_version("@1password/connect");
    matrix::holds(
        "Shared vaults",
        "@1password/connect",
        &version,
        "the demo's Connect server",
        "vaults, items",
    );
}

#[tokio::test]
async fn the_python_client_makes_and_reads_items() {
    let (server, _folder) = server().await;
    let said = python(PYTHON, &[&server.url(), TOKEN, VAULT, OUT_OF_SCOPE]).await;
    assert!(said.contains("all of it"), "{said}");
    let version = pypi_version("onepasswordconnectsdk");
    matrix::holds(
        "Shared vaults",
        "onepasswordconnectsdk",
        &version,
        "the demo's Connect server",
        "vaults, items",
    );
}

/// What there is not is no page to a client that reads JSON.
#[tokio::test]
async fn what_there_is_not_is_said_in_the_form_of_the_others() {
    let (server, _folder) = server().await;
    for (path, status) in
        [("/v1/files", 404), ("/v1/vaults/x/", 400), ("/v1/", 404), ("/v1/heartbeat/", 404)]
    {
        let client = reqwest::Client::new();
        let answer =
            client.get(format!("{}{path}", server.url())).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        if path != "/v1/" {
            let said: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(said["status"], status, "{path}");
        }
    }
}
