//! Connections that are handed out again: none that cannot do its work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::desk::StepError;
use crate::store::readiness::Readiness;
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    many_wrong_passwords_hold_up_nobody,
    guesses_side_by_side_are_not_more_guesses,
    readiness_is_a_write_that_was_taken,
    a_transaction_that_somebody_else_ended_is_no_lasting_harm,
);

/// Protects whoever works from whoever guesses: checking passwords is slow on purpose.
async fn many_wrong_passwords_hold_up_nobody(bench: Bench) {
    let bench = Arc::new(bench);
    let guesses: Vec<_> = (0..60)
        .map(|n| {
            let bench = bench.clone();
            tokio::spawn(async move {
                let from = format!("198.51.100.{n}");
                let email = format!("nobody-{n}@platform.example");
                bench.desk.sign_in(&email, "a wrong password".into(), &from).await.map(|_| ())
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let who = bench.at_work(ADA).await;
    let mut waited = Vec::new();
    while guesses.iter().any(|g| !g.is_finished()) {
        let begun = Instant::now();
        bench.desk.store.try_writing(bench.now()).await.unwrap();
        waited.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    waited.sort();
    assert!(waited.len() > 10, "the guesses were over before anybody else came: {waited:?}");
    // Not each of them, since the machine may be busy with other tests.
    let most = waited[waited.len() * 9 / 10];
    assert!(most < Duration::from_millis(250), "somebody waited for {most:?}: {waited:?}");
    for guess in guesses {
        let step = guess.await.unwrap();
        assert!(matches!(step, Err(StepError::WrongPassword)), "{step:?}");
    }
    assert_eq!(bench.rows_of("platform", "platform.sign_in_failed").await.len(), 0, "no row each");
    bench.impersonate(&who, STUCK).await.unwrap();
}

/// Protects from guessing in parallel: it is no way round the pause after five wrong ones.
async fn guesses_side_by_side_are_not_more_guesses(bench: Bench) {
    let email = bench.at_work(ADA).await.staff.email;
    let tries = (0..20).map(|_| bench.desk.sign_in(&email, "a wrong password".into(), "192.0.2.9"));
    let mut wrong = 0;
    for step in futures::future::join_all(tries).await {
        match step {
            Err(StepError::WrongPassword) => wrong += 1,
            Err(StepError::Throttled(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(wrong, 5);
    bench.desk.write_sign_ins(false).await.unwrap();
    assert_eq!(bench.number("SELECT CAST(SUM(count) AS BIGINT) FROM sign_in_count").await, 5);
    assert_eq!(bench.rows_of("platform", "platform.sign_in_failed").await.len(), 5);
}

async fn readiness_is_a_write_that_was_taken(bench: Bench) {
    let (store, readiness) = (&bench.desk.store, Readiness::default());
    assert!(readiness.of(store, bench.now()).await);
    bench.sql("ALTER TABLE readiness RENAME TO gone").await.unwrap();
    assert!(readiness.of(store, bench.now()).await, "an answer holds for a second");
    bench.clock.advance(crate::model::time::SECOND);
    assert!(!readiness.of(store, bench.now()).await);
    bench.sql("ALTER TABLE gone RENAME TO readiness").await.unwrap();
    bench.clock.advance(crate::model::time::SECOND);
    assert!(readiness.of(store, bench.now()).await);
}

/// The driver counts transactions by itself, and the database has its own mind.
async fn a_transaction_that_somebody_else_ended_is_no_lasting_harm(bench: Bench) {
    for _ in 0..10 {
        let mut tx = bench.desk.begin().await.unwrap();
        sqlx::raw_sql("ROLLBACK").execute(tx.conn()).await.unwrap();
        drop(tx);
    }
    let who = bench.at_work(ADA).await;
    let grant = bench.impersonate(&who, STUCK).await.unwrap();
    bench.end(&who, &grant.id).await.unwrap();
}

/// Protects from sessions that remember a time in which the database took no writes: after a
/// failover, or after somebody had it read-only for a while.
#[tokio::test]
async fn a_session_that_takes_no_writes_is_not_handed_out_again() {
    let bench = Bench::new(crate::store::Engine::Postgres).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(bench.desk.store.write().await.unwrap());
    }
    for _ in 0..8 {
        held.push(bench.desk.store.read().await.unwrap());
    }
    for conn in &mut held {
        sqlx::raw_sql("SET default_transaction_read_only = on").execute(&mut **conn).await.unwrap();
    }
    drop(held);
    let who = bench.at_work(ADA).await;
    bench.impersonate(&who, STUCK).await.unwrap();
    assert!(Readiness::default().of(&bench.desk.store, bench.now()).await);
    bench.sql("UPDATE readiness SET asked_at = 1").await.unwrap();
}
