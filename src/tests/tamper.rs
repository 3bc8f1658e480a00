//! Somebody with a client of the database drops the triggers and changes the past: verification
//! finds it, and names the log and the row.

use crate::audit::verify::{Fault, set_faults};
use crate::audit::{Actor, LogId, NewRow};
use crate::desk::StepError;
use crate::model::time;
use crate::proof::merkle::{Frontier, leaf_hash};
use crate::store::{Engine, audit};
use crate::testing::story::{ADA, BEN, LEAKED, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_changed_text_is_found_in_its_row,
    a_text_changed_together_with_its_hash_is_found,
    a_text_changed_with_its_hash_and_the_head_is_found,
    a_removed_row_is_found_in_its_place,
    two_swapped_rows_are_found,
    a_log_cut_at_the_end_is_found,
    a_log_set_back_to_an_older_copy_is_found_by_the_other_logs,
    a_column_that_says_something_else_than_the_text_is_found,
    a_value_that_looks_like_two_columns_raises_no_false_alarm,
    a_row_added_behind_the_head_is_found,
    a_row_that_is_in_no_log_is_found,
    a_head_that_is_not_what_was_signed_is_found_and_takes_no_more_rows,
    verifying_while_rows_are_written_raises_no_false_alarm,
);

/// Adds rows to the platform's log.
pub(crate) async fn fill(bench: &Bench, rows: usize) {
    let mut tx = bench.desk.begin().await.unwrap();
    for _ in 0..rows {
        let row = NewRow::new("platform.audit_viewed", &Actor::system());
        bench.desk.log(&mut tx, &LogId::Platform, row).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Two impersonations from beginning to end, an hour apart, with other rows between; and the
/// triggers dropped.
pub(crate) async fn opened(bench: &Bench) {
    for (staff, ticket) in [(ADA, STUCK), (BEN, LEAKED)] {
        let who = bench.at_work(staff).await;
        let grant = bench.impersonate(&who, ticket).await.unwrap();
        bench.clock.advance(time::SECOND);
        bench.rotate(&grant).await.unwrap();
        bench.hand_off(&who, &grant.id).await.unwrap();
        fill(bench, 3).await;
        bench.clock.advance(time::HOUR);
    }
    bench.verify_all().await.unwrap();
    unlock(bench).await;
}

/// Drops what keeps the tables append-only, as whoever owns the database can.
pub(crate) async fn unlock(bench: &Bench) {
    let tables = [
        "audit_entry",
        "audit_subtree",
        "audit_tile",
        "audit_checkpoint",
        "audit_log",
        "witness_cosigned",
    ];
    match bench.engine() {
        Engine::Postgres => {
            for table in tables {
                bench.sql(&format!("ALTER TABLE {table} DISABLE TRIGGER USER")).await.unwrap();
            }
        }
        Engine::Sqlite => {
            let names: Vec<String> = {
                let mut conn = bench.desk.store.read().await.unwrap();
                let sql = "SELECT name FROM sqlite_master WHERE type = 'trigger'";
                sqlx::query_scalar(sql).fetch_all(&mut *conn).await.unwrap()
            };
            assert!(!names.is_empty());
            for name in names {
                bench.sql(&format!("DROP TRIGGER {name}")).await.unwrap();
            }
        }
    }
}

/// Bytes as both engines read them in SQL.
pub(super) fn bytes(engine: Engine, bytes: &[u8]) -> String {
    let hex = crate::auth::credential::hex(bytes);
    match engine {
        Engine::Sqlite => format!("x'{hex}'"),
        Engine::Postgres => format!("'\\x{hex}'::bytea"),
    }
}

pub(crate) async fn change(bench: &Bench, sql: &str) {
    assert!(bench.sql(sql).await.unwrap() > 0, "{sql}");
}

async fn entry(bench: &Bench, log: &str, seq: i64) -> audit::Entry {
    let mut conn = bench.desk.store.read().await.unwrap();
    audit::range(&mut conn, log, seq, 1).await.unwrap().remove(0)
}

/// Writes another text into a row, with the hash that goes with it where `hashed`.
async fn rewrite(bench: &Bench, log: &str, seq: i64, hashed: bool) {
    let body = entry(bench, log, seq).await.body.replace("Ada", "Eve").replace("Ben", "Eve");
    let hash = bytes(bench.engine(), &leaf_hash(body.as_bytes()));
    let hash = if hashed { format!(", leaf_hash = {hash}") } else { String::new() };
    change(
        bench,
        &format!(
            "UPDATE audit_entry SET body = '{body}'{hash} WHERE log_id = '{log}' AND seq = {seq}"
        ),
    )
    .await;
}

/// Makes the frontier of a log that of the rows it has.
pub(super) async fn mend_frontier(bench: &Bench, log: &str) {
    let mut frontier = Frontier::new();
    {
        let mut conn = bench.desk.store.read().await.unwrap();
        for row in audit::range(&mut conn, log, 0, 10_000).await.unwrap() {
            frontier.push(leaf_hash(row.body.as_bytes()));
        }
    }
    let frontier = bytes(bench.engine(), &frontier.to_bytes());
    change(bench, &format!("UPDATE audit_log SET frontier = {frontier} WHERE id = '{log}'")).await;
}

async fn found(bench: &Bench) -> Fault {
    let fault = bench.verify_all().await.expect_err("it must be found");
    assert!(fault.to_string().contains(&fault.log));
    fault
}

async fn size(bench: &Bench, log: &str) -> i64 {
    bench.number(&format!("SELECT size FROM audit_log WHERE id = '{log}'")).await
}

async fn a_changed_text_is_found_in_its_row(bench: Bench) {
    opened(&bench).await;
    rewrite(&bench, "org/org-acme", 1, false).await;
    let fault = found(&bench).await;
    assert_eq!((fault.log.as_str(), fault.row), ("org/org-acme", Some(1)), "{fault}");
}

async fn a_text_changed_together_with_its_hash_is_found(bench: Bench) {
    opened(&bench).await;
    rewrite(&bench, "platform", 1, true).await;
    let fault = found(&bench).await;
    // The checkpoint kept at row 0 clears that row; the one kept at the end of the
    // impersonation, two rows on, does not agree any more.
    assert_eq!((fault.log.as_str(), fault.row), ("platform", Some(1)), "{fault}");
}

/// The newest rows, which no kept checkpoint covers, are covered by the newest one.
async fn a_text_changed_with_its_hash_and_the_head_is_found(bench: Bench) {
    opened(&bench).await;
    let who = bench.at_work(ADA).await;
    fill(&bench, 1).await;
    bench.impersonate(&who, "NOV-4806").await.unwrap_err();
    let last = size(&bench, "platform").await - 1;
    rewrite(&bench, "platform", last, true).await;
    mend_frontier(&bench, "platform").await;
    let fault = found(&bench).await;
    assert_eq!(fault.log, "platform", "{fault}");
    assert!(fault.row.is_some_and(|row| row <= last.cast_unsigned()), "{fault}");

    // Nor does it help to bring an older checkpoint back, which does not cover it.
    let older = "UPDATE audit_log SET checkpoint = (SELECT note FROM audit_checkpoint \
        WHERE log_id = 'platform' ORDER BY size LIMIT 1) WHERE id = 'platform'";
    change(&bench, older).await;
    change(&bench, "DELETE FROM audit_checkpoint WHERE log_id = 'platform' AND size > 1").await;
    assert_eq!(found(&bench).await.log, "platform");
}

async fn a_removed_row_is_found_in_its_place(bench: Bench) {
    opened(&bench).await;
    change(&bench, "DELETE FROM audit_entry WHERE log_id = 'platform' AND seq = 2").await;
    let fault = found(&bench).await;
    assert_eq!((fault.log.as_str(), fault.row), ("platform", Some(2)), "{fault}");
    // The rows after it moved up by one make it no better.
    for seq in 3..size(&bench, "platform").await {
        let up = format!(
            "UPDATE audit_entry SET seq = {} WHERE log_id = 'platform' AND seq = {seq}",
            seq - 1
        );
        change(&bench, &up).await;
    }
    let fault = found(&bench).await;
    assert_eq!((fault.log.as_str(), fault.row), ("platform", Some(2)), "{fault}");
}

async fn two_swapped_rows_are_found(bench: Bench) {
    opened(&bench).await;
    for (from, to) in [(1, 9001), (2, 1), (9001, 2)] {
        let sql = format!(
            "UPDATE audit_entry SET seq = {to} WHERE log_id = 'org/org-birch' AND seq = {from}"
        );
        change(&bench, &sql).await;
    }
    let fault = found(&bench).await;
    assert_eq!((fault.log.as_str(), fault.row), ("org/org-birch", Some(1)), "{fault}");
}

async fn a_log_cut_at_the_end_is_found(bench: Bench) {
    opened(&bench).await;
    let last = size(&bench, "platform").await - 1;
    let cut = format!("DELETE FROM audit_entry WHERE log_id = 'platform' AND seq = {last}");
    change(&bench, &cut).await;
    let fault = found(&bench).await;
    assert_eq!(
        (fault.log.as_str(), fault.row),
        ("platform", Some(last.cast_unsigned())),
        "{fault}"
    );
    // With the head's number brought down as well.
    change(&bench, "UPDATE audit_log SET size = size - 1 WHERE id = 'platform'").await;
    assert_eq!(found(&bench).await.log, "platform");
}

/// Everything of the log itself is set back to where it once really was: it agrees with itself,
/// and only what the other log recorded of it gives it away.
async fn a_log_set_back_to_an_older_copy_is_found_by_the_other_logs(bench: Bench) {
    opened(&bench).await;
    for log in ["org/org-birch", "platform"] {
        let keep = bench
            .number(&format!("SELECT MIN(size) FROM audit_checkpoint WHERE log_id = '{log}'"))
            .await;
        for sql in [
            format!("DELETE FROM audit_entry WHERE log_id = '{log}' AND seq >= {keep}"),
            format!(
                "UPDATE audit_log SET size = {keep}, checkpoint = (SELECT note FROM audit_checkpoint \
                 WHERE log_id = '{log}' AND size = {keep}), last_at = (SELECT at FROM audit_entry \
                 WHERE log_id = '{log}' AND seq = {keep} - 1) WHERE id = '{log}'"
            ),
        ] {
            change(&bench, &sql).await;
        }
        mend_frontier(&bench, log).await;
        let kept = found(&bench).await;
        assert_eq!(kept.log, log, "while newer checkpoints are still there: {kept}");
        let sql = format!("DELETE FROM audit_checkpoint WHERE log_id = '{log}' AND size > {keep}");
        change(&bench, &sql).await;

        let mut conn = bench.desk.store.read().await.unwrap();
        let heads = audit::heads(&mut conn).await.unwrap();
        let key = &bench.desk.keys.log;
        let verifiers = key.verifiers();
        let head = heads.iter().find(|head| head.id == log).unwrap();
        let alone =
            crate::audit::verify::whole_log(&mut conn, &verifiers, &key.origin, head, |_| {});
        alone.await.unwrap().expect("by itself it is in order");
        let fault = crate::audit::verify::cross_recorded(&mut conn, &verifiers, &heads)
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(fault.log, log, "{fault}");
    }
}

async fn a_column_that_says_something_else_than_the_text_is_found(bench: Bench) {
    opened(&bench).await;
    for column in ["action", "actor_id", "org_id", "impersonation_id", "ticket_ref", "secret_type"]
    {
        for value in ["'x'", "NULL"] {
            if value == "NULL" && ["action", "actor_id"].contains(&column) {
                continue;
            }
            let mut tx = bench.desk.begin().await.unwrap();
            let sql = format!(
                "UPDATE audit_entry SET {column} = {value} WHERE log_id = 'platform' AND seq = 1"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(tx.conn()).await.unwrap();
            let fault = bench.verify_on(tx.conn()).await.expect_err(column);
            tx.rollback().await.unwrap();
            assert_eq!((fault.log.as_str(), fault.row), ("platform", Some(1)), "{column}: {fault}");
        }
    }
    bench.verify_all().await.unwrap();
}

/// Verification reads the columns as one text: no value may be taken for two, or two for one.
async fn a_value_that_looks_like_two_columns_raises_no_false_alarm(bench: Bench) {
    let mut tx = bench.desk.begin().await.unwrap();
    for (id, ticket) in [("a", "b 1:c"), ("ü\n2:x -", "'%_\\\u{1f600}"), ("", " - - -"), ("-", "")]
    {
        let actor = Actor { id: id.to_owned(), ..Actor::system() };
        let row = NewRow::new("platform.audit_viewed", &actor).ticket(ticket);
        bench.desk.log(&mut tx, &LogId::Platform, row).await.unwrap();
    }
    tx.commit().await.unwrap();
    bench.verify_all().await.unwrap();
    unlock(&bench).await;
    let moved =
        "UPDATE audit_entry SET actor_id = 'a 5:b', ticket_ref = '1:c' WHERE actor_id = 'a'";
    bench.sql(moved).await.unwrap();
    bench.verify_all().await.expect_err("a part of one column was moved into another");
}

async fn a_row_added_behind_the_head_is_found(bench: Bench) {
    opened(&bench).await;
    let size = size(&bench, "platform").await;
    let sql = format!(
        "INSERT INTO audit_entry (log_id, seq, id, at, action, actor_id, body, leaf_hash) \
         SELECT log_id, {size}, 'more', at, action, actor_id, body, leaf_hash FROM audit_entry \
         WHERE log_id = 'platform' AND seq = 3"
    );
    change(&bench, &sql).await;
    let fault = found(&bench).await;
    assert_eq!(
        (fault.log.as_str(), fault.row),
        ("platform", Some(size.cast_unsigned())),
        "{fault}"
    );
}

/// It would stand on the timeline, and no log would have to answer for it.
async fn a_row_that_is_in_no_log_is_found(bench: Bench) {
    opened(&bench).await;
    for (log, seq) in [("platform", -1), ("org/nobody", 0)] {
        let mut tx = bench.desk.begin().await.unwrap();
        let unguarded = match bench.engine() {
            Engine::Sqlite => "PRAGMA defer_foreign_keys = ON",
            Engine::Postgres => "ALTER TABLE audit_entry DROP CONSTRAINT audit_entry_log_id_fkey",
        };
        let added = format!(
            "INSERT INTO audit_entry (log_id, seq, id, at, action, actor_id, body, leaf_hash) \
             SELECT '{log}', {seq}, 'more', at, action, actor_id, body, leaf_hash FROM audit_entry \
             WHERE log_id = 'platform' AND seq = 3"
        );
        for sql in [unguarded, &added] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(tx.conn()).await.unwrap();
        }
        let heads = audit::heads(tx.conn()).await.unwrap();
        let faults = set_faults(tx.conn(), &heads).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].log, log);
        assert!(faults[0].what.contains(&format!("number {seq} of it")), "{}", faults[0]);
    }
}

/// Otherwise our own next signature would make the changed past good.
async fn a_head_that_is_not_what_was_signed_is_found_and_takes_no_more_rows(bench: Bench) {
    opened(&bench).await;
    let last = size(&bench, "platform").await - 1;
    let body = entry(&bench, "platform", last).await.body.replace("system", "auditor");
    let hash = bytes(bench.engine(), &leaf_hash(body.as_bytes()));
    let sql = format!(
        "UPDATE audit_entry SET body = '{body}', leaf_hash = {hash} WHERE log_id = 'platform' AND seq = {last}"
    );
    change(&bench, &sql).await;
    mend_frontier(&bench, "platform").await;
    assert_eq!(found(&bench).await.log, "platform");
    let ada = bench.at_work(ADA).await;
    let step = bench.impersonate(&ada, STUCK).await;
    assert!(matches!(step, Err(StepError::Audit(_))), "{step:?}");
    assert_eq!(size(&bench, "platform").await, last + 1);
    assert_eq!(bench.rows("acme").await.len(), 4, "and nothing else was done either");
}

async fn verifying_while_rows_are_written_raises_no_false_alarm(bench: Bench) {
    let heads = {
        let mut conn = bench.desk.store.read().await.unwrap();
        audit::heads(&mut conn).await.unwrap()
    };
    fill(&bench, 300).await;
    opened(&bench).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let before: u64 = heads.iter().map(|head| u64::try_from(head.size).unwrap()).sum();
    assert_eq!(bench.verify_heads(&mut conn, &heads).await.unwrap(), before);
}
