//! The stored standing of each trail says what judging it says.

use super::tamper::{change, opened};
use crate::model::time;
use crate::proof::verdict::Verdict;
use crate::store::standing::{self, Standing};
use crate::testing::story::{ADA, BEN, LEAKED, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_trail_stands_as_it_is_judged_from_its_start_to_its_end,
    an_open_one_is_judged_again_when_its_time_is_over,
    tampering_shows_after_a_verification_and_only_then,
    refused_attempts_are_counted_by_each_check_that_failed,
    what_was_there_before_is_taken_in_and_rebuilding_gives_the_same,
    one_instance_takes_in_at_a_time_and_a_dead_one_does_not_stand_in_the_way,
    a_step_that_is_undone_leaves_nothing_due,
    owners_keys_are_read_once_for_each_key_on_file,
);

/// Takes in all that is due.
pub(super) async fn settle(bench: &Bench) {
    while bench.desk.judge_due().await.unwrap() > 0 {}
}

async fn standing_of(bench: &Bench, id: &str) -> Option<Standing> {
    settle(bench).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    standing::by_id(&mut conn, id).await.unwrap()
}

async fn count(bench: &Bench, verdict: Verdict) -> i64 {
    let mut conn = bench.desk.store.read().await.unwrap();
    standing::count(&mut conn, verdict).await.unwrap()
}

async fn a_trail_stands_as_it_is_judged_from_its_start_to_its_end(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let open = standing_of(&bench, &grant.id).await.unwrap();
    assert_eq!((open.standing.as_str(), open.overstayed), ("open", 0));
    assert_eq!(open.due_at, Some(grant.expires_at));
    assert_eq!((open.opened_at, open.ended_at), (Some(grant.started_at), None));
    assert_eq!(open.admin_id.as_deref(), Some(ADA));
    assert_eq!(open.org_id.as_deref(), Some("org-acme"));
    assert_eq!(open.ticket_ref.as_deref(), Some(STUCK));
    assert_eq!(open.secret_type.as_deref(), Some("webhook_signing_key"));

    bench.clock.advance(time::SECOND);
    bench.rotate(&grant).await.unwrap();
    bench.clock.advance(time::SECOND);
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let done = standing_of(&bench, &grant.id).await.unwrap();
    let judged = bench.verdict(&grant.id).await;
    assert_eq!(done.standing, judged.verdict.word());
    assert_eq!((done.standing.as_str(), done.overstayed, done.due_at), ("complete", 0, None));
    assert_eq!(done.end_cause.as_deref(), Some("handoff"));
    assert_eq!(done.ended_at, bench.grant(&grant.id).await.ended_at);
    assert!(done.handed_off_at.is_some());
    let mut conn = bench.desk.store.read().await.unwrap();
    let rows = crate::store::audit::of_impersonation(&mut conn, &grant.id).await.unwrap();
    let newest = rows.last().unwrap();
    assert_eq!((done.newest_at, &done.newest_id), (newest.at, &newest.id));
    let page = standing::page(&mut conn, Verdict::Complete, None, 10).await.unwrap();
    assert_eq!(page.len(), 1);
    let key = newest.key();
    assert!(standing::page(&mut conn, Verdict::Complete, Some(&key), 10).await.unwrap().is_empty());
}

async fn an_open_one_is_judged_again_when_its_time_is_over(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    assert_eq!(standing_of(&bench, &grant.id).await.unwrap().standing, "open");
    assert_eq!(bench.desk.judge_due().await.unwrap(), 0, "nothing is due before its time");
    bench.clock.advance(16 * time::MINUTE);
    // Nobody has written its end yet.
    let unended = standing_of(&bench, &grant.id).await.unwrap();
    assert_eq!((unended.standing.as_str(), unended.overstayed), ("incomplete", 1));
    bench.desk.sweep().await.unwrap();
    let ended = standing_of(&bench, &grant.id).await.unwrap();
    assert_eq!(ended.standing, bench.verdict(&grant.id).await.verdict.word());
    assert_eq!((ended.end_cause.as_deref(), ended.overstayed), (Some("expired"), 1));
    assert_eq!(ended.due_at, None);
    let mut conn = bench.desk.store.read().await.unwrap();
    assert_eq!(standing::count_overstayed(&mut conn).await.unwrap(), 1);
    assert_eq!(standing::page_overstayed(&mut conn, None, 10).await.unwrap(), [ended]);
}

async fn tampering_shows_after_a_verification_and_only_then(bench: Bench) {
    opened(&bench).await;
    settle(&bench).await;
    assert_eq!(count(&bench, Verdict::Complete).await, 2);
    change(
        &bench,
        "UPDATE audit_entry SET body = REPLACE(body, 'staff-ada', 'staff-ben') \
         WHERE log_id = 'org/org-acme' AND action = 'impersonation.ended'",
    )
    .await;
    settle(&bench).await;
    assert_eq!(count(&bench, Verdict::Tampered).await, 0);
    let who = bench.at_work(BEN).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let begun = bench.desk.begin_verification(&mut tx, &who).await;
    let begun = bench.desk.settle(tx, begun).await.unwrap();
    bench.desk.clone().run_verification(begun, who).await;
    settle(&bench).await;
    assert_eq!(count(&bench, Verdict::Tampered).await, 1);
    assert_eq!(count(&bench, Verdict::Complete).await, 1);
}

async fn refused_attempts_are_counted_by_each_check_that_failed(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    for ticket in ["NOV-4806", "NOV-4807"] {
        bench.impersonate(&ada, ticket).await.unwrap_err();
    }
    settle(&bench).await;
    let wanted: usize = bench
        .rows_of("platform", "platform.impersonation_refused")
        .await
        .iter()
        .map(|row| row.details["failed_checks"].as_array().unwrap().len())
        .sum();
    assert!(wanted >= 2);
    let kept = bench.number("SELECT COUNT(*) FROM denied_check").await;
    assert_eq!(usize::try_from(kept).unwrap(), wanted);
    let consent = "SELECT COUNT(*) FROM denied_check WHERE failed_check = 'consent'";
    assert_eq!(bench.number(consent).await, 1);
    assert_eq!(bench.number("SELECT COUNT(*) FROM standing_due").await, 0);
}

async fn what_was_there_before_is_taken_in_and_rebuilding_gives_the_same(bench: Bench) {
    opened(&bench).await;
    let ada = bench.at_work(ADA).await;
    bench.impersonate(&ada, "NOV-4806").await.unwrap_err();
    settle(&bench).await;
    let all = async || {
        let mut conn = bench.desk.store.read().await.unwrap();
        let mut all = standing::page(&mut conn, Verdict::Complete, None, 10).await.unwrap();
        all.iter_mut().for_each(|s| s.judged_at = 0);
        (all, bench.number("SELECT COUNT(*) FROM denied_check").await)
    };
    let before = all().await;
    assert_eq!((before.0.len(), before.1), (2, 1));
    let mut tx = bench.desk.begin().await.unwrap();
    standing::rebuild(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(all().await, (Vec::new(), 0));
    settle(&bench).await;
    assert_eq!(all().await, before);
}

async fn one_instance_takes_in_at_a_time_and_a_dead_one_does_not_stand_in_the_way(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    settle(&bench).await;
    bench.impersonate(&ada, STUCK).await.unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    let now = bench.now();
    assert!(standing::take_turn(&mut tx, "another", now, now + time::MINUTE).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(bench.desk.judge_due().await.unwrap(), 0);
    assert_eq!(count(&bench, Verdict::Open).await, 0);
    bench.clock.advance(time::MINUTE);
    assert!(bench.desk.judge_due().await.unwrap() > 0);
    assert_eq!(count(&bench, Verdict::Open).await, 1);
    // The other one comes back to life, and may write nothing.
    let mut tx = bench.desk.begin().await.unwrap();
    assert!(!standing::give_turn(&mut tx, "another").await.unwrap());
    tx.rollback().await.unwrap();
}

async fn a_step_that_is_undone_leaves_nothing_due(bench: Bench) {
    settle(&bench).await;
    let ada = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    bench.desk.impersonate(&mut tx, &ada, LEAKED).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(bench.number("SELECT COUNT(*) FROM standing_due").await, 0);
    assert_eq!(bench.desk.judge_due().await.unwrap(), 0);
}

async fn owners_keys_are_read_once_for_each_key_on_file(bench: Bench) {
    settle(&bench).await;
    assert_eq!(bench.desk.judge_due().await.unwrap(), 0);
    let read = bench.number("SELECT COUNT(*) FROM owner_key_expiry").await;
    assert_eq!(read, bench.number("SELECT COUNT(*) FROM org WHERE pgp_key IS NOT NULL").await);
    let expired = async || {
        let mut conn = bench.desk.store.read().await.unwrap();
        let found = crate::store::owner_keys::expiring(&mut conn, bench.now(), 50).await.unwrap();
        found.into_iter().map(|org| org.slug).collect::<Vec<_>>()
    };
    assert_eq!(expired().await, ["iris"]);
    bench
        .sql("UPDATE org SET pgp_key_since = 1, pgp_key = (SELECT pgp_key FROM org WHERE id = 'org-acme') WHERE id = 'org-iris'")
        .await
        .unwrap();
    settle(&bench).await;
    assert!(expired().await.is_empty());
}
