//! A test event, checked by the libraries that customers check theirs with.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::clock::{Clock as _, SystemClock};
use crate::store::Engine;
use crate::testing::programs::{node, npm_version, pypi_version, python};
use crate::testing::receiver::{Message, receive_one};
use crate::testing::story::ADA;
use crate::testing::{Bench, matrix};

const JAVASCRIPT: &str = r#"
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/x.js");
const { body, headers, keys, wrong } = JSON.parse(process.argv[1]);
for (const library of ["standardwebhooks", "svix"]) {
  const { Webhook } = require(library);
  for (const key of keys) new Webhook(key).verify(body, headers);
  for (const [text, key] of [[body, wrong], [body + " ", keys[0]]]) {
    let refused = false;
    try { new Webhook(key).verify(text, headers); } catch { refused = true; }
    if (!refused) throw new Error(`${library} takes what is not signed`);
  }
}
console.log("verified");
"#;

const PYTHON: &str = r#"
import json, sys
import standardwebhooks.webhooks, svix.webhooks
given = json.loads(sys.argv[1])
body, headers, wrong = given["body"], given["headers"], given["wrong"]
for library in (standardwebhooks.webhooks, svix.webhooks):
    for key in given["keys"]:
        library.Webhook(key).verify(body, headers)
    for text, key in ((body, wrong), (body + " ", given["keys"][0])):
        try:
            library.Webhook(key).verify(text, headers)
        except library.WebhookVerificationError:
            continue
        raise SystemExit(f"{library} takes what is not signed")
print("verified")
"#;

/// A test event as it arrives during an overlap, and the keys that are live.
async fn signed_event() -> (Message, Vec<String>) {
    let mut bench = Bench::new(Engine::Sqlite).await;
    // Receivers compare with their own clock.
    bench.clock.advance(SystemClock.now() - bench.now());
    Arc::get_mut(&mut bench.desk).unwrap().settings.private_targets = true;
    let old = bench.value("whk_acme", 1).await.expose_secret().to_owned();
    let ask = crate::desk::rotate::Ask::default();
    let rotated = bench.self_service("acme-owner", "whk_acme", &ask).await.unwrap();
    let new = rotated.value.unwrap().expose_secret().to_owned();
    let (address, received) = receive_one().await;
    let sql = format!("UPDATE secret SET target = '{address}' WHERE id = 'whk_acme'");
    bench.sql(&sql).await.unwrap();
    let ada = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.prepare_test_event(&mut tx, &ada, "org-acme", "whk_acme").await;
    tx.rollback().await.unwrap();
    let answer = bench.desk.deliver(&step.unwrap()).await;
    assert_eq!(answer.status, Some(204), "{answer:?}");
    (received.await.unwrap(), vec![new, old])
}

/// With the new key and, within the overlap, with the old one; with no other, and nothing changed.
#[tokio::test]
async fn a_test_event_verifies_in_javascript_and_python_with_both_keys() {
    let (message, keys) = signed_event().await;
    let wrong = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let given =
        json!({ "body": message.body, "headers": message.headers, "keys": keys, "wrong": wrong });
    let given = given.to_string();
    let said = node(JAVASCRIPT, &[&given]).await;
    assert!(said.contains("verified"), "{said}");
    let said = python(PYTHON, &[&given]).await;
    assert!(said.contains("verified"), "{said}");
    for (library, language, version) in [
        ("standardwebhooks", "JavaScript", npm_version("standardwebhooks")),
        ("svix", "JavaScript", npm_version("svix")),
        ("standardwebhooks", "Python", pypi_version("standardwebhooks")),
        ("svix", "Python", pypi_version("svix")),
    ] {
        let program = format!("{library} ({language})");
        matrix::holds(
            "Webhooks",
            &program,
            &version,
            "a test event in an overlap",
            "verifies with both keys",
        );
    }
}
