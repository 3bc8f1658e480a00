//! The database itself refuses to change what was logged, whoever asks it to.

use crate::store::Engine;
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    no_row_of_the_logs_is_changed_or_removed,
    a_head_only_grows,
    no_row_is_replaced_by_an_insert,
);

const TABLES: [(&str, &str); 3] =
    [("audit_entry", "body"), ("audit_subtree", "level"), ("audit_checkpoint", "note")];

/// A log with a row in each table: 256 rows make the first subtree.
async fn filled(bench: &Bench) -> Vec<i64> {
    let ada = bench.at_work(ADA).await;
    bench.impersonate(&ada, STUCK).await.unwrap();
    super::tamper::fill(bench, 256).await;
    counts(bench).await
}

async fn counts(bench: &Bench) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in ["audit_entry", "audit_subtree", "audit_checkpoint", "audit_log"] {
        counts.push(bench.number(&format!("SELECT COUNT(*) FROM {table}")).await);
    }
    assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
    counts
}

async fn refused(bench: &Bench, sql: &str) {
    let done = bench.sql(sql).await;
    let why = done.expect_err(sql).to_string();
    assert!(why.contains("append-only") || why.contains("only grows"), "{sql}: {why}");
}

async fn no_row_of_the_logs_is_changed_or_removed(bench: Bench) {
    let before = filled(&bench).await;
    for (table, column) in TABLES {
        refused(&bench, &format!("UPDATE {table} SET {column} = {column}")).await;
        refused(&bench, &format!("DELETE FROM {table}")).await;
        refused(&bench, &format!("DELETE FROM {table} WHERE log_id = 'platform'")).await;
    }
    refused(&bench, "DELETE FROM audit_log").await;
    if bench.engine() == Engine::Postgres {
        for (table, _) in TABLES {
            refused(&bench, &format!("TRUNCATE {table}")).await;
        }
        refused(&bench, "TRUNCATE audit_log CASCADE").await;
    }
    assert_eq!(counts(&bench).await, before);
    bench.verify_all().await.unwrap();
}

async fn a_head_only_grows(bench: Bench) {
    filled(&bench).await;
    for change in [
        "size = size - 1",
        "size = 0",
        "id = 'another'",
        "origin = 'elsewhere'",
        "org_id = 'org-moor'",
    ] {
        refused(&bench, &format!("UPDATE audit_log SET {change} WHERE id = 'platform'")).await;
    }
    bench.sql("UPDATE audit_log SET size = size WHERE id = 'platform'").await.unwrap();
    bench.verify_all().await.unwrap();
}

/// SQLite's `INSERT OR REPLACE` removes what is in its way without a word to the triggers on
/// DELETE; PostgreSQL's `ON CONFLICT DO UPDATE` is an UPDATE.
async fn no_row_is_replaced_by_an_insert(bench: Bench) {
    let before = filled(&bench).await;
    let entry = "log_id, seq, id, at, action, actor_id, body, leaf_hash";
    let other = "log_id, seq + 5000, id, at, action, actor_id, body, leaf_hash";
    let subtree = "log_id, level, idx, hash";
    let head = "id, origin, size, frontier, checkpoint, last_at";
    let attempts = match bench.engine() {
        Engine::Sqlite => vec![
            format!("INSERT OR REPLACE INTO audit_entry ({entry}) SELECT {entry} FROM audit_entry WHERE seq = 0"),
            format!("INSERT OR REPLACE INTO audit_entry ({entry}) SELECT {other} FROM audit_entry WHERE seq = 0"),
            format!("INSERT OR REPLACE INTO audit_subtree ({subtree}) SELECT {subtree} FROM audit_subtree"),
            "INSERT OR REPLACE INTO audit_checkpoint SELECT log_id, size, 'x', at FROM audit_checkpoint".to_owned(),
            format!("INSERT OR REPLACE INTO audit_log ({head}) SELECT id, origin, 0, frontier, checkpoint, last_at FROM audit_log WHERE id = 'platform'"),
        ],
        Engine::Postgres => vec![
            format!("INSERT INTO audit_entry ({entry}) SELECT {entry} FROM audit_entry WHERE seq = 0 ON CONFLICT (log_id, seq) DO UPDATE SET body = 'x'"),
            format!("INSERT INTO audit_entry ({entry}) SELECT {other} FROM audit_entry WHERE seq = 0 ON CONFLICT (id) DO UPDATE SET body = 'x'"),
            format!("INSERT INTO audit_subtree ({subtree}) SELECT {subtree} FROM audit_subtree ON CONFLICT (log_id, level, idx) DO UPDATE SET hash = ''"),
            "INSERT INTO audit_checkpoint SELECT * FROM audit_checkpoint ON CONFLICT (log_id, size) DO UPDATE SET note = 'x'".to_owned(),
            format!("INSERT INTO audit_log ({head}) SELECT {head} FROM audit_log WHERE id = 'platform' ON CONFLICT (id) DO UPDATE SET size = 0"),
        ],
    };
    for sql in &attempts {
        refused(&bench, sql).await;
    }
    assert_eq!(counts(&bench).await, before);
    bench.verify_all().await.unwrap();
}
