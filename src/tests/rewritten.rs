//! Somebody who holds the key of the logs, and the database, rewrites one log and signs it anew.
//! By itself it is in order; what the other log recorded of it gives it away, to a verification, to
//! the page and to whoever has the evidence.

use crate::audit::evidence::of_impersonation;
use crate::audit::nodes::Edges;
use crate::audit::timeline::{Item, page};
use crate::audit::verify::{whole_log, whole_log_against};
use crate::desk::export::Wanted;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::evidence::verify;
use crate::proof::merkle::{Frontier, leaf_hash};
use crate::proof::trail::Rule;
use crate::proof::verdict::{RuleState, Verdict};
use crate::store::audit::{self, Filter, Seek};
use crate::store::impersonations::Impersonation;
use crate::store::verification::standing_failure;
use crate::testing::story::{ADA, STUCK, member_id};
use crate::testing::{Bench, both_engines};
use crate::tests::tamper::{bytes, change, unlock};
use crate::tests::verification::verify as pressed;

both_engines!(
    one_log_rewritten_with_its_key_is_given_away_by_the_other,
    the_page_finds_what_only_the_other_log_knows,
    what_the_other_log_did_not_record_whoever_kept_a_checkpoint_finds,
    a_row_of_no_impersonation_that_was_changed_with_its_hash_is_marked_and_does_not_leave,
    a_checkpoint_that_evidence_is_made_of_is_missed,
);

/// A finished impersonation, with rows after it, and the triggers dropped.
async fn finished(bench: &Bench) -> Impersonation {
    let ada = bench.at_work(ADA).await;
    bench.desk.note_view(&ada, "/before", "").await.unwrap();
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.note_view(&ada, "/after", "").await.unwrap();
    unlock(bench).await;
    grant
}

/// Writes another text into the first row of an action, and makes everything of its log fit: hash,
/// frontier, every kept checkpoint and the newest.
async fn forge(bench: &Bench, log: &str, action: &str, from: &str, to: &str) {
    let key = bench.desk.keys.log.signer().unwrap();
    let (rows, head, kept) = {
        let mut conn = bench.desk.store.read().await.unwrap();
        let rows = audit::range(&mut conn, log, 0, 10_000).await.unwrap();
        let head = audit::head(&mut conn, log).await.unwrap().unwrap();
        let sql = format!("SELECT size FROM audit_checkpoint WHERE log_id = '{log}'");
        let kept: Vec<i64> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *conn).await.unwrap();
        (rows, head, kept)
    };
    assert!(rows.len() < 256, "a larger log has tiles to forge, too");
    let (mut frontier, mut roots, mut done) = (Frontier::new(), vec![], false);
    for row in rows {
        let mut body = row.body.clone();
        if row.action == action && !done {
            body = body.replacen(from, to, 1);
            done = body != row.body;
            let hash = bytes(bench.engine(), &leaf_hash(body.as_bytes()));
            change(bench, &format!(
                "UPDATE audit_entry SET body = '{body}', leaf_hash = {hash} WHERE log_id = '{log}' AND seq = {}",
                row.seq
            )).await;
        }
        frontier.push(leaf_hash(body.as_bytes()));
        roots.push(frontier.root());
    }
    assert!(done, "no row {action} with {from}");
    let note = |size: i64| {
        let n = usize::try_from(size).unwrap();
        let checkpoint =
            Checkpoint { origin: head.origin.clone(), size: n as u64, root: roots[n - 1] };
        checkpoint.sign(&key).unwrap()
    };
    for size in kept {
        change(
            bench,
            &format!(
                "UPDATE audit_checkpoint SET note = '{}' WHERE log_id = '{log}' AND size = {size}",
                note(size)
            ),
        )
        .await;
    }
    let frontier = bytes(bench.engine(), &frontier.to_bytes());
    change(
        bench,
        &format!(
            "UPDATE audit_log SET frontier = {frontier}, checkpoint = '{}' WHERE id = '{log}'",
            note(head.size)
        ),
    )
    .await;
}

async fn one_log_rewritten_with_its_key_is_given_away_by_the_other(bench: Bench) {
    let grant = finished(&bench).await;
    bench.verify_all().await.unwrap();
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
    let mut conn = bench.desk.store.read().await.unwrap();
    let key = &bench.desk.keys.log;
    for (log, action) in [
        ("platform", "platform.secret_handed_off"),
        ("org/org-acme", "webhook_signing_key.rotated"),
    ] {
        forge(&bench, log, action, "Ada", "Eve").await;
        let head = audit::head(&mut conn, log).await.unwrap().unwrap();
        let alone = whole_log(&mut conn, &key.verifiers(), &key.origin, &head, |_| {}).await;
        alone.unwrap().expect("by itself it is in order");
        let fault = bench.verify_all().await.unwrap_err();
        assert_eq!(fault.log, log, "{fault}");
        assert!(fault.row.is_some(), "{fault}");

        let judged = bench.verdict(&grant.id).await;
        let failed: Vec<Rule> = judged.failed().map(|rule| rule.rule).collect();
        assert_eq!((judged.verdict, failed), (Verdict::Tampered, vec![Rule::Recorded]));

        let file = of_impersonation(&mut conn, key, &grant.id, "org-acme").await.unwrap();
        let report = verify(&file.to_text().unwrap(), &key.verifiers(), bench.now()).unwrap();
        assert!(!report.holds(), "{report:#?}");
        let recorded = report.verdict.rule(Rule::Recorded).unwrap();
        assert_eq!(recorded.result, RuleState::Failed, "{recorded:?}");

        // As it was: so that the other log is tried by itself.
        forge(&bench, log, action, "Eve", "Ada").await;
        assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
    }
}

/// Protects who looks at the pages, and never runs the command.
async fn the_page_finds_what_only_the_other_log_knows(bench: Bench) {
    finished(&bench).await;
    forge(&bench, "org/org-acme", "webhook_signing_key.rotated", "Ada", "Eve").await;
    pressed(&bench, ADA).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let found = standing_failure(&mut conn).await.unwrap().unwrap();
    assert_eq!(found.fault_log.as_deref(), Some("org/org-acme"));
    let fault = found.fault.unwrap();
    assert!(fault.contains(", row ") && fault.contains(" recorded it with "), "{fault}");
}

/// What the logs cannot do for each other, whoever keeps a checkpoint of them can.
async fn what_the_other_log_did_not_record_whoever_kept_a_checkpoint_finds(bench: Bench) {
    finished(&bench).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let key = &bench.desk.keys.log;
    let kept = audit::head(&mut conn, "platform").await.unwrap().unwrap().checkpoint;
    let seen = Checkpoint::unverified(&kept).unwrap();
    // Behind the end, nothing of it is recorded by the other.
    forge(&bench, "platform", "platform.audit_viewed", "Ada", "Eve").await;
    let head = audit::head(&mut conn, "platform").await.unwrap().unwrap();
    let (verifiers, seen) = (key.verifiers(), [seen]);
    let against = whole_log_against(&mut conn, &verifiers, &key.origin, &head, &seen, |_| {});
    assert!(against.await.unwrap().is_err());
}

async fn a_row_of_no_impersonation_that_was_changed_with_its_hash_is_marked_and_does_not_leave(
    bench: Bench,
) {
    finished(&bench).await;
    bench.set_consent(&member_id("acme", "owner"), false).await.unwrap();
    let ada = bench.at_work(ADA).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let key = &bench.desk.keys.log;
    let of = Filter { action: Some("consent.disabled".to_owned()), ..Filter::default() };
    let rows = audit::timeline(&mut conn, &of, &Seek::Newest, false, 2).await.unwrap();
    let row = rows.into_iter().find(|row| row.log_id == "org/org-acme").unwrap();
    let changed = row.body.replacen("success", "refused", 1);
    assert_ne!(changed, row.body);
    let hash = bytes(bench.engine(), &leaf_hash(changed.as_bytes()));
    change(
        &bench,
        &format!(
            "UPDATE audit_entry SET body = '{changed}', leaf_hash = {hash} WHERE id = '{}'",
            row.id
        ),
    )
    .await;
    let (filter, edges) = (Filter::default(), Edges::default());
    let shown =
        page(&mut conn, key, &filter, &Seek::Newest, 50, &edges, bench.now()).await.unwrap();
    let (mut marked, mut others) = (0, 0);
    for item in &shown.items {
        let Item::Row(row) = item else { continue };
        match (row.entry.action.as_str(), row.platform()) {
            ("consent.disabled", false) => marked += usize::from(row.fault().is_some()),
            (_, true) => {
                others += 1;
                assert_eq!(row.fault(), None, "{}: the other log is in order", row.entry.action);
            }
            // Of a tile that is not full the leaves prove each other: all of it is in doubt.
            _ => {}
        }
    }
    assert!(marked == 1 && others > 1, "{marked} marked, {others} others");

    let wanted = Wanted {
        format: crate::audit::export::Format::JsonLines,
        filter: of,
        query: "action=consent.disabled".to_owned(),
    };
    let mut export = bench.desk.begin_export(&mut conn, &ada, wanted).await.unwrap();
    assert_eq!(export.rows(), 2);
    assert!(bench.desk.export_more(&mut export).await.is_err(), "it is cut off");
}

async fn a_checkpoint_that_evidence_is_made_of_is_missed(bench: Bench) {
    let grant = finished(&bench).await;
    for (log, action) in [
        ("platform", "platform.impersonation_started"),
        ("org/org-acme", "impersonation.started"),
        ("platform", "platform.impersonation_ended"),
        ("org/org-acme", "impersonation.ended"),
    ] {
        let seq = bench
            .number(&format!(
                "SELECT seq FROM audit_entry WHERE log_id = '{log}' AND action = '{action}' AND impersonation_id = '{}'",
                grant.id
            ))
            .await;
        let mut tx = bench.desk.begin().await.unwrap();
        let sql =
            format!("DELETE FROM audit_checkpoint WHERE log_id = '{log}' AND size = {}", seq + 1);
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(tx.conn()).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{action}");
        let fault = bench.verify_on(tx.conn()).await.unwrap_err();
        tx.rollback().await.unwrap();
        assert_eq!((fault.log.as_str(), fault.row), (log, Some(seq.cast_unsigned())), "{fault}");
        assert!(fault.what.contains("checkpoint"), "{fault}");
    }
    bench.verify_all().await.unwrap();
}
