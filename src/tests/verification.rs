//! Verifying the logs from the page: what it finds is on record and on every page.

use super::tamper::{change, opened};
use crate::desk::StepError;
use crate::model::time;
use crate::proof::row::Outcome;
use crate::store::verification::{newest, standing_failure};
use crate::testing::story::{ADA, CLEO};
use crate::testing::{Bench, both_engines};

both_engines!(
    logs_that_hold_are_said_to_hold,
    one_that_does_not_is_named_until_all_hold_again,
    one_runs_at_a_time_and_a_dead_one_does_not_stand_in_the_way,
);

async fn verify(bench: &Bench, staff: &str) {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.begin_verification(&mut tx, &who).await;
    let begun = bench.desk.settle(tx, step).await.unwrap();
    bench.desk.clone().run_verification(begun, who).await;
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
