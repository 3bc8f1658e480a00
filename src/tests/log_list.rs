//! The list of the logs on the page of their integrity.

use super::tamper::opened;
use crate::model::time;
use crate::store::log_list::{self, Verified, Wanted};
use crate::testing::story::CLEO;
use crate::testing::{Bench, both_engines};

both_engines!(
    a_page_after_the_other_lists_every_log_once,
    a_log_is_found_by_its_org_and_a_percent_sign_is_only_that,
    a_log_that_a_witness_doubts_is_found,
    what_held_and_what_did_not_since_is_told,
);

async fn ids(bench: &Bench, wanted: &Wanted, limit: i64) -> Vec<String> {
    let mut conn = bench.desk.store.read().await.unwrap();
    let found = log_list::page(&mut conn, wanted, limit).await.unwrap();
    found.into_iter().map(|l| l.head.id).collect()
}

async fn a_page_after_the_other_lists_every_log_once(bench: Bench) {
    opened(&bench).await;
    let all = ids(&bench, &Wanted::default(), 1000).await;
    assert!(all.len() > 1 && all.is_sorted() && !all.contains(&"platform".to_owned()), "{all:?}");
    let mut seen = Vec::new();
    while let [id] =
        &ids(&bench, &Wanted { after: seen.last().cloned(), ..Wanted::default() }, 1).await[..]
    {
        seen.push(id.clone());
    }
    assert_eq!(seen, all);
    let mut conn = bench.desk.store.read().await.unwrap();
    let (logs, rows) = log_list::total(&mut conn).await.unwrap();
    assert_eq!(logs, i64::try_from(all.len() + 1).unwrap(), "the platform's too");
    assert_eq!(rows, bench.number("SELECT COUNT(*) FROM audit_entry").await);
}

async fn a_log_is_found_by_its_org_and_a_percent_sign_is_only_that(bench: Bench) {
    opened(&bench).await;
    let find = async |text: &str| {
        ids(&bench, &Wanted { org: Some(text.to_owned()), ..Wanted::default() }, 9).await
    };
    assert_eq!(find("ORG-BIRCH").await, ["org/org-birch"]);
    assert!(find("%").await.is_empty() && find("_").await.is_empty());
    assert!(find("platform").await.is_empty(), "it is no org's");
}

async fn a_log_that_a_witness_doubts_is_found(bench: Bench) {
    opened(&bench).await;
    let doubted = Wanted { in_doubt: true, ..Wanted::default() };
    assert!(ids(&bench, &doubted, 9).await.is_empty());
    for (log, error) in [("org/org-birch", "'another content'"), ("org/org-acme", "NULL")] {
        let sql = format!(
            "INSERT INTO witness_state (witness, log_id, size, at, answer, last_error) \
             VALUES ('w', '{log}', 1, 1, '', {error})"
        );
        bench.sql(&sql).await.unwrap();
    }
    assert_eq!(ids(&bench, &doubted, 9).await, ["org/org-birch"]);
    let mut conn = bench.desk.store.read().await.unwrap();
    assert_eq!(log_list::in_doubt(&mut conn).await.unwrap(), 1);
    let logs = ["org/org-birch", "org/org-acme", "platform"].map(str::to_owned);
    let seen = log_list::witnesses(&mut conn, &logs).await.unwrap();
    assert_eq!((seen.len(), seen["org/org-acme"].len()), (2, 1));
}

async fn what_held_and_what_did_not_since_is_told(bench: Bench) {
    opened(&bench).await;
    let verify = async || {
        let who = bench.at_work(CLEO).await;
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.begin_verification(&mut tx, &who).await;
        let begun = bench.desk.settle(tx, step).await.unwrap();
        bench.desk.clone().run_verification(begun, who).await;
        bench.clock.advance(time::SECOND);
        let mut conn = bench.desk.store.read().await.unwrap();
        Verified::load(&mut conn).await.unwrap()
    };
    let first = verify().await;
    let held = first.held.unwrap();
    assert!(first.failed.is_empty());
    let spoil =
        "UPDATE audit_entry SET action = 'x' || action WHERE log_id = 'org/org-birch' AND seq = 1";
    super::tamper::change(&bench, spoil).await;
    let second = verify().await;
    assert_eq!(second.held, Some(held), "what was said of the logs then stays said");
    assert_eq!(second.failed.len(), 1);
    assert_eq!(
        (second.failed[0].log_id.as_str(), second.failed[0].seq),
        ("org/org-birch", Some(1))
    );
}
