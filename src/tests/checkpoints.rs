//! What a log last said is kept within a minute, also where nothing is written to it any more.

use sqlx::Row as _;

use super::tamper::{change, fill, unlock};
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::store::Engine;
use crate::store::audit;
use crate::store::kept::{NOT_KEPT, not_kept};
use crate::testing::{Bench, both_engines};

both_engines!(
    the_last_checkpoint_of_a_quiet_log_is_kept,
    each_minute_with_rows_has_a_checkpoint,
    a_head_that_is_not_what_was_signed_is_not_kept,
    the_quiet_logs_are_found_through_the_index_of_checkpoints,
);

const NEWEST: &str = "SELECT MAX(size) FROM audit_checkpoint WHERE log_id = 'platform'";

async fn size(bench: &Bench) -> i64 {
    bench.number("SELECT size FROM audit_log WHERE id = 'platform'").await
}

/// A checkpoint that is kept, and half a minute later rows that no kept one has.
async fn quiet(bench: &Bench) -> i64 {
    bench.clock.advance(2 * time::MINUTE);
    fill(bench, 1).await;
    bench.clock.advance(30 * time::SECOND);
    fill(bench, 3).await;
    assert_eq!(bench.number(NEWEST).await, size(bench).await - 3);
    size(bench).await
}

async fn the_last_checkpoint_of_a_quiet_log_is_kept(bench: Bench) {
    let size = quiet(&bench).await;
    bench.clock.advance(29 * time::SECOND);
    bench.desk.sweep().await.unwrap();
    assert_eq!(bench.number(NEWEST).await, size - 3, "whoever writes next may keep a later one");
    bench.clock.advance(time::SECOND);
    bench.desk.sweep().await.unwrap();
    assert_eq!(bench.number(NEWEST).await, size);
    let all = "SELECT COUNT(*) FROM audit_checkpoint";
    let before = bench.number(all).await;
    bench.clock.advance(time::HOUR);
    bench.desk.sweep().await.unwrap();
    assert_eq!(bench.number(all).await, before, "nothing was written");
    let mut conn = bench.desk.store.read().await.unwrap();
    assert!(not_kept(&mut conn, bench.now(), 10).await.unwrap().is_empty());
    let kept = audit::checkpoints(&mut conn, "platform").await.unwrap();
    let key = &bench.desk.keys.log;
    let origin = format!("{}/platform", key.origin);
    let last = Checkpoint::open(&kept.last().unwrap().1, &key.verifiers(), &origin).unwrap();
    assert_eq!(i64::try_from(last.size), Ok(size));
    drop(conn);
    bench.verify_all().await.unwrap();
}

/// Rows just before the minute is over do not put it off for another.
async fn each_minute_with_rows_has_a_checkpoint(bench: Bench) {
    bench.clock.advance(2 * time::MINUTE);
    fill(&bench, 1).await;
    let start = bench.now();
    for second in 1..=180 {
        bench.clock.advance(time::SECOND);
        if second % 60 == 1 || second % 60 == 59 {
            fill(&bench, 1).await;
        }
        bench.desk.sweep().await.unwrap();
    }
    let kept = bench
        .number(&format!(
            "SELECT COUNT(*) FROM audit_checkpoint WHERE log_id = 'platform' AND at > {start}"
        ))
        .await;
    assert_eq!(kept, 3);
    let widest = "SELECT MAX(c.at - (SELECT MAX(b.at) FROM audit_checkpoint b WHERE b.log_id = c.log_id \
                  AND b.size < c.size)) FROM audit_checkpoint c WHERE c.log_id = 'platform'";
    let since = format!("{widest} AND c.at > {start}");
    assert_eq!(bench.number(&since).await, time::MINUTE);
}

async fn a_head_that_is_not_what_was_signed_is_not_kept(bench: Bench) {
    let size = quiet(&bench).await;
    unlock(&bench).await;
    bench.clock.advance(time::HOUR);
    change(&bench, "UPDATE audit_log SET size = size + 1 WHERE id = 'platform'").await;
    assert!(bench.desk.sweep().await.is_err(), "it is said");
    assert_eq!(bench.number(NEWEST).await, size - 3);
    change(&bench, "UPDATE audit_log SET size = size - 1 WHERE id = 'platform'").await;
    bench.desk.sweep().await.unwrap();
    assert_eq!(bench.number(NEWEST).await, size);
}

async fn the_quiet_logs_are_found_through_the_index_of_checkpoints(bench: Bench) {
    let mut conn = bench.desk.store.read().await.unwrap();
    let asked = NOT_KEPT.replace("$1", "1").replace("$2", "9");
    let (explain, column, index) = match bench.engine() {
        Engine::Sqlite => ("EXPLAIN QUERY PLAN", 3, "sqlite_autoindex_audit_checkpoint_1"),
        Engine::Postgres => {
            // With few rows it is cheaper to read them all.
            for off in ["enable_seqscan", "enable_bitmapscan", "enable_sort"] {
                let sql = sqlx::AssertSqlSafe(format!("SET {off} = off"));
                sqlx::raw_sql(sql).execute(&mut *conn).await.unwrap();
            }
            ("EXPLAIN", 0, "using audit_checkpoint_pkey on")
        }
    };
    let sql = sqlx::AssertSqlSafe(format!("{explain} {asked}"));
    let rows = sqlx::raw_sql(sql).fetch_all(&mut *conn).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get::<String, _>(column)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains(index), "{plan}");
    for slow in ["Seq Scan", "TEMP B-TREE", "Sort", "SCAN c"] {
        assert!(!plan.contains(slow), "{slow}: {plan}");
    }
}
