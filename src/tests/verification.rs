//! Verifying the logs from the page: what it finds is on record and on every page.

use super::tamper::{change, fill, opened, unlock};
use crate::audit::verify::log_from;
use crate::desk::StepError;
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::row::Outcome;
use crate::store::verification::{Verification, newest, standing_failure, wrong_in};
use crate::store::{Engine, audit};
use crate::testing::story::{ADA, CLEO};
use crate::testing::{Bench, both_engines};

both_engines!(
    logs_that_hold_are_said_to_hold,
    one_that_does_not_is_named_until_all_hold_again,
    one_runs_at_a_time_and_a_dead_one_does_not_stand_in_the_way,
    of_several_the_same_one_is_named_first_and_all_are_counted,
    one_log_is_verified_alone,
    from_a_checkpoint_on_only_what_is_new_is_read,
);

pub(super) async fn verify(bench: &Bench, staff: &str) {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.begin_verification(&mut tx, &who).await;
    let begun = bench.desk.settle(tx, step).await.unwrap();
    bench.desk.clone().run_verification(begun, who).await;
}

/// Verifies one log alone; what it came to.
async fn verify_one(bench: &Bench, log: &str) -> Verification {
    bench.clock.advance(time::SECOND);
    let who = bench.at_work(CLEO).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.begin_verification_of(&mut tx, &who, log).await;
    let begun = bench.desk.settle(tx, step).await.unwrap();
    assert_eq!(begun.log_id.as_deref(), Some(log));
    bench.desk.clone().run_verification(begun, who).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    newest(&mut conn, 1).await.unwrap().remove(0)
}

/// Changes a row of a log, or changes it back.
async fn spoil(bench: &Bench, log: &str, action: &str) {
    let sql =
        format!("UPDATE audit_entry SET action = {action} WHERE log_id = '{log}' AND seq = 1");
    change(bench, &sql).await;
}

async fn logs_that_hold_are_said_to_hold(bench: Bench) {
    opened(&bench).await;
    // An auditor may: it changes nothing.
    verify(&bench, CLEO).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let last = newest(&mut conn, 1).await.unwrap().remove(0);
    assert_eq!((last.state.as_str(), last.rows_done), ("held", last.rows_total));
    assert_eq!(standing_failure(&mut conn).await.unwrap(), None);
    drop(conn);
    let rows = bench.rows_of("platform", "platform.logs_verified").await;
    assert_eq!((rows.len(), rows[0].outcome), (1, Outcome::Success));
    assert_eq!(rows[0].actor_id, CLEO);
}

async fn one_that_does_not_is_named_until_all_hold_again(bench: Bench) {
    opened(&bench).await;
    let spoil = |action: &str| {
        format!(
            "UPDATE audit_entry SET action = {action} WHERE log_id = 'org/org-birch' AND seq = 1"
        )
    };
    change(&bench, &spoil("'x' || action")).await;
    bench.clock.advance(time::SECOND);
    verify(&bench, ADA).await;
    let failure = async || {
        let mut conn = bench.desk.store.read().await.unwrap();
        standing_failure(&mut conn).await.unwrap()
    };
    let found = failure().await.unwrap();
    assert_eq!(found.fault_log.as_deref(), Some("org/org-birch"));
    assert!(found.fault.unwrap().contains("row 1"));
    assert_eq!(
        bench.rows_of("platform", "platform.logs_verified").await[0].outcome,
        Outcome::Failed
    );
    change(&bench, &spoil("substr(action, 2)")).await;
    bench.clock.advance(time::SECOND);
    verify(&bench, ADA).await;
    assert_eq!(failure().await, None, "it was mended, and all of it verified");
}

async fn one_runs_at_a_time_and_a_dead_one_does_not_stand_in_the_way(bench: Bench) {
    let who = bench.at_work(ADA).await;
    let begin = async || {
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.begin_verification(&mut tx, &who).await;
        bench.desk.settle(tx, step).await
    };
    begin().await.unwrap();
    assert!(matches!(begin().await, Err(StepError::Conflict(_))));
    bench.clock.advance(time::MINUTE);
    begin().await.unwrap();
    let mut conn = bench.desk.store.read().await.unwrap();
    let states: Vec<_> = newest(&mut conn, 5).await.unwrap().into_iter().map(|v| v.state).collect();
    assert_eq!(states, ["running", "stopped"]);
}

/// Protects whoever reads the header from another log's name on each page, by who was faster.
async fn of_several_the_same_one_is_named_first_and_all_are_counted(bench: Bench) {
    opened(&bench).await;
    let logs = ["platform", "org/org-acme", "org/org-birch"];
    for log in ["org/org-birch", "platform", "org/org-acme"] {
        spoil(&bench, log, "'x' || action").await;
    }
    let failure = async || {
        bench.clock.advance(time::SECOND);
        verify(&bench, CLEO).await;
        let mut conn = bench.desk.store.read().await.unwrap();
        let failure = standing_failure(&mut conn).await.unwrap().unwrap();
        let wrong = wrong_in(&mut conn, &failure.id, 9).await.unwrap();
        assert_eq!(wrong[0].what, failure.fault.clone().unwrap());
        (failure, wrong.into_iter().map(|w| (w.log_id, w.seq)).collect::<Vec<_>>())
    };
    for _ in 0..4 {
        let (found, wrong) = failure().await;
        assert_eq!((found.fault_log.as_deref(), found.faults), (Some("platform"), 3));
        assert_eq!(wrong, logs.map(|log| (log.to_owned(), Some(1))));
    }
    let row = bench.rows_of("platform", "platform.logs_verified").await.pop().unwrap();
    assert_eq!(row.detail_i64("logs_failed"), Some(3));
    spoil(&bench, "platform", "substr(action, 2)").await;
    let (found, wrong) = failure().await;
    assert_eq!((found.fault_log.as_deref(), found.faults), (Some("org/org-acme"), 2));
    assert_eq!(wrong.len(), 2);
}

async fn one_log_is_verified_alone(bench: Bench) {
    opened(&bench).await;
    spoil(&bench, "org/org-birch", "'x' || action").await;
    let alone = verify_one(&bench, "org/org-acme").await;
    let rows = bench.number("SELECT size FROM audit_log WHERE id = 'org/org-acme'").await;
    assert_eq!((alone.state.as_str(), alone.rows_done, alone.rows_total), ("held", rows, rows));
    let failure = async || {
        let mut conn = bench.desk.store.read().await.unwrap();
        standing_failure(&mut conn).await.unwrap()
    };
    assert_eq!(failure().await, None, "of the others nothing was said");
    let row = bench.rows_of("platform", "platform.logs_verified").await.pop().unwrap();
    assert_eq!((row.detail_str("only"), row.outcome), (Some("org/org-acme"), Outcome::Success));
    assert_eq!(row.actor_id, CLEO);

    let alone = verify_one(&bench, "org/org-birch").await;
    assert_eq!((alone.state.as_str(), alone.faults), ("failed", 1));
    assert!(alone.fault.unwrap().contains("row 1"));
    let row = bench.rows_of("platform", "platform.logs_verified").await.pop().unwrap();
    assert_eq!((row.detail_str("only"), row.outcome), (Some("org/org-birch"), Outcome::Failed));
    assert!(failure().await.is_some());
    // By itself it holds again. Only what the others recorded of it ends the alarm.
    spoil(&bench, "org/org-birch", "substr(action, 2)").await;
    assert_eq!(verify_one(&bench, "org/org-birch").await.state, "held");
    assert!(failure().await.is_some());
    bench.clock.advance(time::SECOND);
    verify(&bench, ADA).await;
    assert_eq!(failure().await, None);

    let who = bench.at_work(CLEO).await;
    for no_log in ["org/org-none", "", "Platform", "org-acme"] {
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.begin_verification_of(&mut tx, &who, no_log).await;
        assert!(matches!(step, Err(StepError::NotFound)), "{no_log}");
    }
}

/// What `keyturn verify --data --since` does: rows before the checkpoint are told by its root alone.
async fn from_a_checkpoint_on_only_what_is_new_is_read(bench: Bench) {
    fill(&bench, 600).await;
    let key = &bench.desk.keys.log;
    let verifiers = key.verifiers();
    let since = {
        let mut conn = bench.desk.store.read().await.unwrap();
        let head = audit::head(&mut conn, "platform").await.unwrap().unwrap();
        Checkpoint::open(&head.checkpoint, &verifiers, &head.origin).unwrap()
    };
    fill(&bench, 700).await;
    unlock(&bench).await;
    let check = async |since: Option<&Checkpoint>| {
        let mut conn = bench.desk.store.read().await.unwrap();
        let head = audit::head(&mut conn, "platform").await.unwrap().unwrap();
        let mut first = None;
        let heard = |rows: u64| {
            first.get_or_insert(rows);
        };
        let found = log_from(&mut conn, &verifiers, &key.origin, &head, since, &[], heard).await;
        (found.unwrap(), first)
    };
    let (held, first) = check(Some(&since)).await;
    assert_eq!(held.unwrap().report.rows, since.size + 700);
    assert!(first > Some(512), "the first tiles are not read: {first:?}");
    let spoil = |seq: u64, from: &str, to: &str| {
        format!(
            "UPDATE audit_entry SET body = REPLACE(body, '{from}', '{to}') WHERE log_id = 'platform' AND seq = {seq}"
        )
    };
    for (seq, found) in [(1200, Some(1200)), (530, Some(530)), (100, None)] {
        change(&bench, &spoil(seq, "audit_viewed", "audit_viewer")).await;
        let begun = check(Some(&since)).await.0;
        assert_eq!(begun.err().and_then(|fault| fault.row), found, "row {seq}");
        let whole = check(None).await.0;
        assert_eq!(whole.unwrap_err().row, Some(seq), "all of it is read without one");
        change(&bench, &spoil(seq, "audit_viewer", "audit_viewed")).await;
    }
    for size in [since.size, 512, 300] {
        let other = Checkpoint { size, root: [5; 32], ..since.clone() };
        let fault = check(Some(&other)).await.0.unwrap_err();
        assert!(fault.what.contains("another root"), "{size}: {fault}");
    }
    let more = Checkpoint { size: since.size + 9000, ..since.clone() };
    let fault = check(Some(&more)).await.0.unwrap_err();
    assert!(fault.row == Some(since.size + 700) && fault.what.contains("cut back"), "{fault}");
    // What the rows before it are told by has to be there.
    change(&bench, "DELETE FROM audit_subtree WHERE log_id = 'platform' AND idx = 0").await;
    assert!(check(Some(&since)).await.0.is_err());
}

/// Protects against somebody who makes a verification stop, so that it finds nothing. Only SQLite
/// keeps a value that is not of its column's type.
#[tokio::test]
async fn what_cannot_be_read_is_found_and_not_passed_over() {
    let bench = Bench::new(Engine::Sqlite).await;
    opened(&bench).await;
    bench.sql("CREATE TABLE before AS SELECT * FROM audit_entry").await.unwrap();
    for (column, row) in [("body", 1), ("action", 2), ("leaf_hash", 1), ("at", 2)] {
        let spoil = |to: &str| {
            format!(
                "UPDATE audit_entry SET {column} = {to} WHERE log_id = 'org/org-birch' AND seq = {row}"
            )
        };
        change(&bench, &spoil("CAST(x'ff00' AS BLOB)")).await;
        bench.clock.advance(time::SECOND);
        verify(&bench, ADA).await;
        let mut conn = bench.desk.store.read().await.unwrap();
        let found =
            standing_failure(&mut conn).await.unwrap().unwrap_or_else(|| panic!("{column}"));
        drop(conn);
        assert_eq!(found.fault_log.as_deref(), Some("org/org-birch"), "{column}");
        assert!(found.fault.unwrap().contains(&format!("row {row}")), "{column}");
        let back = format!(
            "(SELECT {column} FROM before b WHERE b.log_id = audit_entry.log_id AND b.seq = audit_entry.seq)"
        );
        change(&bench, &spoil(&back)).await;
    }
    let failure = async || {
        bench.clock.advance(time::SECOND);
        verify(&bench, ADA).await;
        let mut conn = bench.desk.store.read().await.unwrap();
        standing_failure(&mut conn).await.unwrap()
    };
    assert_eq!(failure().await, None, "all of it is back");
    // A head, without which no log can be begun on.
    let head = "UPDATE audit_log SET checkpoint = CAST(x'ff00' AS BLOB) WHERE id = 'org/org-birch'";
    change(&bench, head).await;
    assert!(failure().await.unwrap().fault.unwrap().contains("cannot be read"));
}
