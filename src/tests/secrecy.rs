//! The new value is nowhere but in the sealed column, in the Owner's encrypted message or in the
//! vault that the customer shares; and the token nowhere but in its sealed column.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::auth::credential::hex;
use crate::desk::rotate::{Ask, Caller};
use crate::model::{Micros, time};
use crate::store::Engine;
use crate::testing::connect::{Mood, Running};
use crate::testing::owners::{decrypt, owners};
use crate::testing::story::{ADA, BEN, LEAKED, STUCK};
use crate::testing::{Bench, both_engines, child};

both_engines!(a_whole_run_leaves_no_trace_of_a_value_or_a_token);

#[derive(Serialize, Deserialize)]
struct Order {
    url: String,
    folder: PathBuf,
    now: Micros,
}

/// The forms in which a secret text could stand somewhere.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec(), hex(secret.as_bytes()).into_bytes()];
    // Base64 of a longer text that has it somewhere inside.
    for offset in 0..3 {
        let padded = [vec![0; offset], secret.as_bytes().to_vec()].concat();
        let encoded = STANDARD.encode(padded);
        forms.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
    }
    if let Some(key) = secret.strip_prefix("whsec_") {
        let raw = STANDARD.decode(key).unwrap();
        forms.extend([key.as_bytes().to_vec(), hex(&raw).into_bytes(), raw.clone()]);
        forms.push(URL_SAFE_NO_PAD.encode(&raw).into_bytes());
    }
    forms
}

fn holds(text: &[u8], form: &[u8]) -> bool {
    text.windows(form.len()).any(|window| window == form)
}

#[track_caller]
fn assert_absent(secrets: &[String], place: &str, text: &[u8]) {
    for (nth, secret) in secrets.iter().enumerate() {
        for (form, bytes) in forms(secret).iter().enumerate() {
            assert!(!holds(text, bytes), "secret {nth} is in {place}, in form {form}");
        }
    }
}

/// Protects the test below from seeing nothing.
#[test]
fn a_secret_is_found_in_each_of_its_forms() {
    let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let raw: Vec<u8> = (0..32).collect();
    for text in [
        format!("the key is {secret}.").into_bytes(),
        format!("{:?}", Some(secret)).into_bytes(),
        STANDARD.encode(format!("a{secret}b")).into_bytes(),
        STANDARD.encode(format!("ab{secret}c")).into_bytes(),
        STANDARD.encode(format!("abc{secret}d")).into_bytes(),
        format!("\\x{}", hex(format!("x{secret}x").as_bytes())).into_bytes(),
        [b"raw ".to_vec(), raw.clone(), b".".to_vec()].concat(),
        hex(&raw).into_bytes(),
    ] {
        let found = forms(secret).iter().any(|form| holds(&text, form));
        assert!(found, "{}", String::from_utf8_lossy(&text));
    }
    assert!(!forms(secret).iter().any(|form| holds(b"nothing of the kind", form)));
}

async fn a_whole_run_leaves_no_trace_of_a_value_or_a_token(bench: Bench) {
    let first = bench.value("whk_acme", 1).await;
    let folder = bench.folder().to_owned();
    let order = Order { url: bench.url.clone(), folder: folder.clone(), now: bench.now() };
    let order = serde_json::to_string(&order).unwrap();
    let run = child::command("tests::secrecy::child", &order)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let printed = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&printed));

    // The Owner of Acme has the value, by the message alone.
    let mails = read(&folder, "mails");
    let platform = bench.desk.keys.openpgp.to_armored_public().unwrap();
    let message = String::from_utf8_lossy(&mails);
    let (text, _) = decrypt(&owners().modern, &platform, &message);
    let value = text.lines().next().unwrap().to_owned();
    assert_eq!(value, bench.value("whk_acme", 2).await.expose_secret());

    let mut values = vec![first.expose_secret().to_owned(), value];
    for (secret, version) in [("whk_birch", 2), ("whk_hazel", 2)] {
        values.push(bench.value(secret, version).await.expose_secret().to_owned());
    }
    // The customer of the shared vault has the value there: a file of the other side's.
    let kept = read(&folder, "connect.json");
    let in_vault = bench.value("whk_lark", 2).await.expose_secret().to_owned();
    assert!(holds(&kept, in_vault.as_bytes()), "it was delivered");
    std::fs::remove_file(folder.join("connect.json")).unwrap();
    values.extend([in_vault, crate::testing::connect::TOKEN.to_owned()]);
    let token = String::from_utf8(read(&folder, "token")).unwrap();
    std::fs::remove_file(folder.join("token")).unwrap();
    let links = String::from_utf8(read(&folder, "links")).unwrap();
    std::fs::remove_file(folder.join("links")).unwrap();
    values.push(token);
    assert_absent(&values, "the mails", &mails);
    let mut secrets = values;
    secrets.extend(links.lines().map(ToOwned::to_owned));
    assert_eq!(secrets.len(), 10);

    let traced = read(&folder, "trace");
    assert!(traced.len() > 100_000 && holds(&traced, b"INSERT INTO audit_entry"), "all is traced");
    assert_absent(&secrets, "the trace", &traced);
    assert_absent(&secrets, "what was printed", &printed);
    let debug = read(&folder, "debug");
    assert!(holds(&debug, b"Rotated {") && holds(&debug, b"handoff_id"), "it was printed");
    assert_absent(&secrets, "Debug output", &debug);

    match bench.engine() {
        Engine::Sqlite => {
            let wal = read(&folder, "keyturn.db-wal");
            assert!(holds(&wal, b"whk_acme"), "what was written is looked at");
            assert_absent(&secrets, "the write-ahead log", &wal);
            bench.sql("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
            let file = read(&folder, "keyturn.db");
            assert!(holds(&file, b"whk_acme"), "what was written is looked at");
            assert_absent(&secrets, "the database file", &file);
        }
        Engine::Postgres => {
            let tables = tables(&bench).await;
            assert!(tables.len() > 15, "{tables:?}");
            for table in tables {
                assert_absent(&secrets, &table, dump(&bench, &table).await.as_bytes());
            }
            assert!(dump(&bench, "secret_version").await.contains("whk_acme"));
        }
    }
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

async fn tables(bench: &Bench) -> Vec<String> {
    let mut conn = bench.desk.store.read().await.unwrap();
    let sql = "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'";
    sqlx::query_scalar(sql).fetch_all(&mut *conn).await.unwrap()
}

/// Every row of a table as text; bytes come as hexadecimal.
async fn dump(bench: &Bench, table: &str) -> String {
    let mut conn = bench.desk.store.read().await.unwrap();
    let sql = sqlx::AssertSqlSafe(format!("SELECT CAST(t AS TEXT) FROM {table} t"));
    let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *conn).await.unwrap();
    rows.join("\n")
}

/// A process of its own, since what SQLite's threads trace goes to the one subscriber of a
/// process.
#[tokio::test]
#[ignore = "the test above starts it, as a process of its own"]
async fn child() {
    let Some(order) = child::order() else { return };
    let order: Order = serde_json::from_str(&order).unwrap();
    let file = |name: &str| std::fs::File::create(order.folder.join(name)).unwrap();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(file("trace")))
        .init();
    let mut bench = Bench::open(&order.url, &order.folder, order.now, 5).await;
    let connect = Running::start(&order.folder, bench.clock.clone()).await;
    std::sync::Arc::get_mut(&mut bench.desk).unwrap().shared_vault =
        Some(std::sync::Arc::new(connect.client()));
    let mut debug = String::new();
    let mut note = |what: &dyn std::fmt::Debug| debug.push_str(&format!("{what:?}\n{what:#?}\n"));

    // Under impersonation, with what can go wrong on the way.
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let token = bench.token(&grant);
    note(&grant);
    let caller = Caller::Token(token.clone());
    note(&caller);
    let rotated = bench.rotate_as(&caller, "whk_acme", &Ask::default()).await.unwrap();
    note(&rotated);
    note(&bench.rotate_as(&caller, "whk_acme", &Ask::default()).await.unwrap_err());
    note(&bench.versions("whk_acme").await);
    bench.mailbox.set_down(true);
    note(&bench.hand_off(&ada, &grant.id).await.unwrap());
    bench.desk.send_due().await.unwrap();
    bench.mailbox.set_down(false);
    bench.clock.advance(time::HOUR);
    bench.desk.send_due().await.unwrap();
    note(&bench.rotate_as(&caller, "whk_acme", &Ask::default()).await.unwrap_err());
    let mut tx = bench.desk.begin().await.unwrap();
    let prepared = bench.desk.prepare_test_event(&mut tx, &ada, "org-acme", "whk_acme").await;
    note(&prepared.as_ref().unwrap());
    tx.rollback().await.unwrap();
    note(&bench.desk.deliver(&prepared.unwrap()).await);

    // Self-service, asked twice; and an overlap that ends.
    let ask = Ask { idempotency_key: Some("once".to_owned()), ..Ask::default() };
    note(&bench.self_service("hazel-admin", "whk_hazel", &ask).await.unwrap());
    note(&bench.self_service("hazel-admin", "whk_hazel", &ask).await.unwrap());
    let ben = bench.at_work(BEN).await;
    let leaked = bench.impersonate(&ben, LEAKED).await.unwrap();
    note(&bench.rotate(&leaked).await.unwrap());
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.request_consent(&mut tx, &ben, "NOV-4806").await;
    bench.desk.settle(tx, step).await.unwrap();
    bench.desk.send_due().await.unwrap();

    // Into a shared vault, which answers only after a while, and whose answers are lost at first.
    let ada = bench.at_work(ADA).await;
    let shared = bench.impersonate(&ada, "NOV-4814").await.unwrap();
    note(&bench.rotate(&shared).await.unwrap());
    note(&bench.handoff_of(&shared.id).await);
    note(&bench.hand_off(&ada, &shared.id).await.unwrap());
    for mood in [Mood::Busy, Mood::LosesAnswers, Mood::Babbles, Mood::Well] {
        connect.set(mood);
        bench.desk.send_due().await.unwrap();
        bench.clock.advance(time::MINUTE);
    }
    bench.desk.send_due().await.unwrap();
    let delivered = bench.handoff_of(&shared.id).await;
    assert!(delivered.item_id.is_some() && connect.items().len() == 1);
    note(&delivered);
    note(&connect.client());
    note(&connect.server);
    bench.clock.advance(time::DAY);
    bench.desk.sweep().await.unwrap();
    note(&bench.verify_all().await.unwrap());
    note(&bench.desk.keys);
    note(&bench.mailbox);

    use crate::testing::mailbox::link_in;
    let links = [
        ("Your new secret, encrypted", "/acknowledge/"),
        ("is in the shared vault", "/acknowledge/"),
        ("May the platform act", "/consent/"),
    ]
    .map(|(about, path)| link_in(&bench.mailbox.about(about), path));
    let mails: Vec<String> =
        bench.mailbox.all().iter().map(|mail| mail.body.expose_secret().to_owned()).collect();
    let put = |name: &str, text: &str| std::fs::write(order.folder.join(name), text).unwrap();
    put("mails", &mails.join("\n"));
    put("debug", &debug);
    put("token", token.expose_secret());
    put("links", &links.map(|link| link.expose_secret().to_owned()).join("\n"));
}
