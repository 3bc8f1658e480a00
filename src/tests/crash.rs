//! `kill -9` at any moment of the procedure leaves, of each step, everything or nothing.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use crate::audit::verify::Fault;
use crate::desk::rotate::{Ask, Caller};
use crate::model::{Micros, time};
use crate::proof::verdict::Verdict;
use crate::store::{Engine, audit};
use crate::testing::story::{ADA, BEN, LEAKED, STUCK};
use crate::testing::{Bench, child};

/// What the child is to work on.
#[derive(Serialize, Deserialize)]
struct Order {
    url: String,
    folder: PathBuf,
    now: Micros,
    seed: u64,
}

#[tokio::test]
async fn killed_on_sqlite_it_leaves_nothing_half_done() {
    kill_again_and_again(Engine::Sqlite, 50).await;
}

#[tokio::test]
async fn killed_on_postgres_it_leaves_nothing_half_done() {
    kill_again_and_again(Engine::Postgres, 10).await;
}

#[tokio::test]
#[ignore = "the tests above start it, as a process of its own"]
async fn child() {
    let Some(order) = child::order() else { return };
    let order: Order = serde_json::from_str(&order).unwrap();
    let bench = Bench::open(&order.url, &order.folder, order.now, order.seed).await;
    // What the one before left open has expired by now.
    bench.desk.sweep().await.unwrap();
    bench.desk.clear_vault_intents().await.unwrap();
    println!("begun");
    for turn in order.seed.. {
        let (staff, ticket) = match turn % 3 {
            0 => (ADA, STUCK),
            1 => (BEN, LEAKED),
            _ => (ADA, "NOV-4803"),
        };
        let who = bench.at_work(staff).await;
        let grant = bench.impersonate(&who, ticket).await.unwrap();
        // A vault token has no overlap.
        let ask = Ask { during_overlap: turn % 3 != 2, ..Ask::default() };
        let caller = Caller::Token(bench.token(&grant));
        bench.rotate_as(&caller, &grant.secret_id, &ask).await.unwrap();
        bench.hand_off(&who, &grant.id).await.unwrap();
        bench.clock.advance(time::SECOND);
    }
}

async fn kill_again_and_again(engine: Engine, rounds: u64) {
    let bench = Bench::new(engine).await;
    bench.desk.store.close().await;
    let mut chance = rand::rngs::StdRng::seed_from_u64(41);
    let mut now = bench.now();
    let mut seen = 0;
    for round in 1..=rounds {
        now += time::HOUR;
        let (url, folder) = (bench.url.clone(), bench.folder().to_owned());
        let order = Order { url, folder, now, seed: round << 16 };
        let longest = if engine == Engine::Sqlite { 250 } else { 700 };
        run_and_kill(&order, Duration::from_millis(chance.gen_range(0..longest)));

        let after = Bench::open(&bench.url, bench.folder(), now + time::HOUR, round).await;
        after.quiet().await;
        let context = format!("round {round}");
        nothing_is_half_done(&after, &context).await;
        one_vault_token_works(&after, &context).await;
        logs_verify(&after, round % 10 == 0 || round == rounds)
            .await
            .unwrap_or_else(|fault| panic!("{context}: {fault}"));
        if round == rounds {
            // What was cut off ends at its expiry, and no trail disagrees with itself.
            after.desk.sweep().await.unwrap();
            nothing_is_half_done(&after, "swept").await;
            seen = every_trail_agrees(&after).await;
        }
        after.desk.store.close().await;
    }
    // On a busy machine it gets through less before it is killed.
    assert!(seen > 1, "the child got somewhere: {seen} impersonations");
}

/// What the logs recorded of each other takes longer to compare than each log by itself.
async fn logs_verify(bench: &Bench, with_each_other: bool) -> Result<u64, Fault> {
    let mut conn = bench.desk.store.read().await.unwrap();
    let heads = audit::heads(&mut conn).await.unwrap();
    if with_each_other {
        bench.verify_heads(&mut conn, &heads).await
    } else {
        bench.verify_each(&mut conn, &heads).await.map(|(rows, _)| rows)
    }
}

/// Starts the child, and kills it some time after it has begun.
fn run_and_kill(order: &Order, after: Duration) {
    let order = serde_json::to_string(order).unwrap();
    let mut child = child::command("tests::crash::child", &order)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 && !line.contains("begun") {}
    std::thread::sleep(after);
    let early = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    if early.is_some() || !line.contains("begun") {
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("the child ended by itself: {line}{said}");
    }
}

/// Each is a question for what must not be there.
const HALF_DONE: [&str; 11] = [
    "SELECT COUNT(*) FROM rotation r WHERE NOT EXISTS (SELECT 1 FROM secret_version v \
     WHERE v.secret_id = r.secret_id AND v.version = r.to_version)",
    "SELECT COUNT(*) FROM secret_version v WHERE v.version > 1 AND NOT EXISTS (SELECT 1 FROM rotation r \
     WHERE r.secret_id = v.secret_id AND r.to_version = v.version AND r.from_version = v.version - 1)",
    "SELECT COUNT(*) FROM rotation r WHERE r.impersonation_id IS NOT NULL AND NOT EXISTS \
     (SELECT 1 FROM handoff h WHERE h.rotation_id = r.id AND h.impersonation_id = r.impersonation_id)",
    "SELECT COUNT(*) FROM handoff h WHERE NOT EXISTS (SELECT 1 FROM rotation r WHERE r.id = h.rotation_id)",
    "SELECT COUNT(*) FROM secret s WHERE s.version <> \
     (SELECT MAX(v.version) FROM secret_version v WHERE v.secret_id = s.id)",
    "SELECT COUNT(*) FROM secret s WHERE 1 <> \
     (SELECT COUNT(*) FROM secret_version v WHERE v.secret_id = s.id AND v.state = 'live')",
    "SELECT COUNT(*) FROM secret_version v JOIN secret s ON s.id = v.secret_id \
     WHERE (v.state = 'live') <> (v.version = s.version)",
    "SELECT COUNT(*) FROM impersonation i WHERE 2 <> (SELECT COUNT(*) FROM audit_entry e \
     WHERE e.impersonation_id = i.id AND e.action IN ('platform.impersonation_started', 'impersonation.started'))",
    "SELECT COUNT(*) FROM impersonation i WHERE (CASE WHEN i.ended_at IS NULL THEN 0 ELSE 2 END) <> \
     (SELECT COUNT(*) FROM audit_entry e WHERE e.impersonation_id = i.id \
      AND e.action IN ('platform.impersonation_ended', 'impersonation.ended'))",
    "SELECT COUNT(*) FROM impersonation i WHERE (i.ended_at IS NULL) <> (i.token_sealed IS NOT NULL)",
    "SELECT COUNT(*) FROM handoff h WHERE (h.state IN ('queued', 'sent', 'undelivered')) <> \
     EXISTS (SELECT 1 FROM outbox o WHERE o.about = h.id)",
];

async fn nothing_is_half_done(bench: &Bench, context: &str) {
    for question in HALF_DONE {
        assert_eq!(bench.number(question).await, 0, "{context}: {question}");
    }
    // What the rows tell of is there, and what is there has its row.
    let mut told = [BTreeSet::new(), BTreeSet::new()];
    for org in ["acme", "birch", "cedar"] {
        for row in bench.rows(org).await {
            let (place, detail) = match row.action.as_str() {
                "webhook_signing_key.rotated" | "vault_token.rotated" => (0, "rotation_id"),
                "handoff.queued" => (1, "handoff_id"),
                _ => continue,
            };
            assert!(told[place].insert(row.detail_str(detail).unwrap().to_owned()), "twice");
        }
    }
    let done = [
        ids(bench, "SELECT id FROM rotation").await,
        ids(bench, "SELECT id FROM handoff WHERE state <> 'sealed'").await,
    ];
    assert_eq!(told, done, "{context}");
}

async fn ids(bench: &Bench, sql: &'static str) -> BTreeSet<String> {
    let mut conn = bench.desk.store.read().await.unwrap();
    let ids: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *conn).await.unwrap();
    ids.into_iter().collect()
}

/// Once what was cut off is cleared up and what is owed is done, exactly one vault token works: the
/// one of the newest version.
async fn one_vault_token_works(bench: &Bench, context: &str) {
    bench.desk.clear_vault_intents().await.unwrap();
    bench.desk.send_due().await.unwrap();
    let live = "SELECT COUNT(*) FROM vault_token WHERE revoked_at IS NULL";
    assert_eq!(bench.number(live).await, 1, "{context}");
    let newest = "SELECT COUNT(*) FROM vault_token t JOIN secret_version v ON v.reference = t.accessor \
         JOIN secret s ON s.id = v.secret_id AND s.version = v.version WHERE t.revoked_at IS NULL";
    assert_eq!(bench.number(newest).await, 1, "{context}");
    let open = "SELECT COUNT(*) FROM vault_intent WHERE state NOT IN ('done', 'failed')";
    assert_eq!(bench.number(open).await, 0, "{context}");
}

/// How many impersonations there were; none of their trails disagrees with itself.
async fn every_trail_agrees(bench: &Bench) -> usize {
    let all = ids(bench, "SELECT id FROM impersonation").await;
    for id in &all {
        let verdict = bench.verdict(id).await;
        assert!(
            matches!(verdict.verdict, Verdict::Complete | Verdict::Incomplete),
            "{id}: {verdict:#?}"
        );
    }
    all.len()
}
