//! What somebody plants in the database, or takes out of what follows from the logs: it stops
//! nothing, and comes back.

use super::tamper::{bytes, change, opened};
use crate::audit::trail::{Depth, judge};
use crate::model::time;
use crate::proof::verdict::Verdict;
use crate::store::audit::{self, Filter, Seek};
use crate::testing::story::CLEO;
use crate::testing::{Bench, both_engines};

both_engines!(
    a_node_beyond_the_end_of_a_log_is_found,
    a_spoiled_head_is_tampering_and_holds_up_no_other_trail,
    a_trail_that_was_struck_from_the_list_is_back_after_a_verification,
    a_word_said_often_is_asked_for_once,
    a_row_that_no_tile_could_hold_is_not_written,
);

/// Otherwise the log could not grow past that place, and nobody could take the node out again.
async fn a_node_beyond_the_end_of_a_log_is_found(bench: Bench) {
    opened(&bench).await;
    let hash = bytes(bench.engine(), &[7; 32]);
    for sql in [
        format!(
            "INSERT INTO audit_tile (log_id, level, idx, hashes) VALUES ('platform', 0, 5, {hash})"
        ),
        format!(
            "INSERT INTO audit_tile (log_id, level, idx, hashes) VALUES ('platform', 1, 0, {hash})"
        ),
        format!(
            "INSERT INTO audit_subtree (log_id, level, idx, hash) VALUES ('platform', 16, 0, {hash})"
        ),
        format!(
            "INSERT INTO audit_subtree (log_id, level, idx, hash) VALUES ('platform', 40, 0, {hash})"
        ),
    ] {
        change(&bench, &sql).await;
        let fault = bench.verify_all().await.expect_err("it must be found");
        assert!(fault.what.contains("beyond its head"), "{fault}");
        let table = if sql.contains("audit_tile") { "audit_tile" } else { "audit_subtree" };
        let level = if table == "audit_tile" { "idx IN (0, 5)" } else { "level > 8" };
        change(&bench, &format!("DELETE FROM {table} WHERE log_id = 'platform' AND {level}")).await;
        bench.verify_all().await.unwrap();
    }
}

async fn a_spoiled_head_is_tampering_and_holds_up_no_other_trail(bench: Bench) {
    opened(&bench).await;
    while bench.desk.judge_due().await.unwrap() > 0 {}
    let rows = {
        let mut conn = bench.desk.store.read().await.unwrap();
        let all = Filter { action: Some("impersonation.started".into()), ..Filter::default() };
        audit::timeline(&mut conn, &all, &Seek::Newest, false, 10).await.unwrap()
    };
    let spoiled = rows[0].log_id.clone();
    let short = bytes(bench.engine(), &[0]);
    change(&bench, &format!("UPDATE audit_log SET frontier = {short} WHERE id = '{spoiled}'"))
        .await;
    change(&bench, "UPDATE trail_standing SET due_at = 0, standing = 'open'").await;
    bench.clock.advance(time::MINUTE);
    while bench.desk.judge_due().await.unwrap() > 0 {}
    let mut conn = bench.desk.store.read().await.unwrap();
    for row in rows {
        let id = row.impersonation_id.unwrap();
        let key = &bench.desk.keys.log;
        let judged = judge(&mut conn, key, &id, Depth::Proofs, bench.now()).await.unwrap();
        let standing = crate::store::standing::by_id(&mut conn, &id).await.unwrap().unwrap();
        assert_eq!(standing.standing, judged.verdict.verdict.word());
        let tampered = judged.verdict.verdict == Verdict::Tampered;
        assert_eq!(tampered, row.log_id == spoiled, "{id}");
    }
}

async fn a_trail_that_was_struck_from_the_list_is_back_after_a_verification(bench: Bench) {
    opened(&bench).await;
    while bench.desk.judge_due().await.unwrap() > 0 {}
    let all = bench.number("SELECT COUNT(*) FROM trail_standing").await;
    assert!(all >= 2);
    let one = "(SELECT MIN(impersonation_id) FROM trail_standing)";
    change(&bench, &format!("DELETE FROM trail_standing WHERE impersonation_id = {one}")).await;
    // Whitewashed, or blackened: what the table says of itself is not asked.
    change(&bench, "UPDATE trail_standing SET standing = 'mismatch', newest_at = 1").await;
    let who = bench.at_work(CLEO).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.begin_verification(&mut tx, &who).await;
    let begun = bench.desk.settle(tx, step).await.unwrap();
    bench.desk.clone().run_verification(begun, who).await;
    bench.clock.advance(time::SECOND);
    while bench.desk.judge_due().await.unwrap() > 0 {}
    assert_eq!(bench.number("SELECT COUNT(*) FROM trail_standing").await, all);
    let wrong = "SELECT COUNT(*) FROM trail_standing WHERE standing = 'mismatch'";
    assert_eq!(bench.number(wrong).await, 0);
}

async fn a_word_said_often_is_asked_for_once(bench: Bench) {
    opened(&bench).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let mut found = Vec::new();
    for text in ["per stuck".to_owned(), "per stuck ".repeat(2000)] {
        let filter = Filter { text: Some(text), ..Filter::default() };
        found.push(audit::timeline(&mut conn, &filter, &Seek::Newest, false, 100).await.unwrap());
    }
    assert!(!found[0].is_empty());
    assert_eq!(found[0], found[1]);
}

async fn a_row_that_no_tile_could_hold_is_not_written(bench: Bench) {
    use crate::audit::{Actor, LogId, NewRow};
    let rows = bench.rows("platform").await.len();
    for (length, taken) in [(65_000, true), (66_000, false)] {
        let row =
            NewRow::new("platform.signed_in", &Actor::system()).with("long", "x".repeat(length));
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.log(&mut tx, &LogId::Platform, row).await;
        assert_eq!(bench.desk.settle(tx, step).await.is_ok(), taken, "{length}");
    }
    assert_eq!(bench.rows("platform").await.len(), rows + 1);
}
