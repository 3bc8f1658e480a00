//! A page looks at so many rows and no more. However few that are, the pages together have every
//! row that matches, once and in order, and each says how far it came.

use super::tamper::opened;
use crate::model::Micros;
use crate::store::Key;
use crate::store::audit::{self, Entry, Filter, Seek};
use crate::store::timeline::{Looked, Question};
use crate::testing::story::ADA;
use crate::testing::{Bench, both_engines};

both_engines!(
    however_little_a_page_looks_at_the_pages_have_everything,
    one_bound_to_a_side_and_no_row_less,
);

/// Pairs of conditions that each match much, and together something, or nothing at all.
fn filters() -> Vec<Filter> {
    let some = |s: &str| Some(s.to_owned());
    let any = Filter::default;
    vec![
        Filter { admin: some(ADA), text: some("stuck"), ..any() },
        Filter { admin: some(ADA), action: some("platform.impersonation_started"), ..any() },
        Filter { org_id: some("org-acme"), action: some("impersonation.started"), ..any() },
        Filter { text: some("platform started"), ..any() },
        Filter { text: some("started ended"), ..any() },
        Filter { secret_type: some("webhook_signing_key"), text: some("platform ended"), ..any() },
        Filter {
            admin: some(ADA),
            action: some("impersonation.ended"),
            text: some("org"),
            ..any()
        },
        Filter { text: some("impersonation"), ..any() },
    ]
}

/// All rows of a filter, page by page, and whether any page stopped before it was full.
async fn paged(
    bench: &Bench,
    question: &Question,
    newer: bool,
    grouped: bool,
) -> (Vec<Entry>, bool) {
    let mut conn = bench.desk.store.read().await.unwrap();
    let (mut all, mut stopped) = (Vec::new(), false);
    let first = Key { at: Micros::MIN, id: "0".to_owned() };
    let mut seek = if newer { Seek::Newer(first) } else { Seek::Newest };
    loop {
        let Looked { rows, to } = question.look(&mut conn, &seek, grouped, 3).await.unwrap();
        assert!(to.is_none() || rows.len() < 3, "a full page says nothing");
        stopped |= to.is_some();
        let next = to.or_else(|| rows.last().filter(|_| rows.len() == 3).map(Entry::key));
        all.extend(rows);
        let Some(next) = next else { break };
        seek = if newer { Seek::Newer(next) } else { Seek::Older(next) };
    }
    if newer {
        all.reverse();
    }
    (all, stopped)
}

async fn however_little_a_page_looks_at_the_pages_have_everything(bench: Bench) {
    opened(&bench).await;
    for filter in filters() {
        for grouped in [false, true] {
            let mut conn = bench.desk.store.read().await.unwrap();
            let expected =
                audit::timeline(&mut conn, &filter, &Seek::Newest, grouped, 1000).await.unwrap();
            for rare in [0, 1, 2, 5, 3000] {
                let question = Question::of_rare(&mut conn, &filter, rare).await.unwrap();
                for newer in [false, true] {
                    let (found, stopped) = paged(&bench, &question, newer, grouped).await;
                    assert_eq!(found, expected, "{filter:?}, {rare} rows, newer {newer}");
                    assert!(!stopped || rare < 3000, "{filter:?}: so few are all looked at");
                }
                let count = question.for_all(&mut conn).await.unwrap();
                let count = count.count_to(&mut conn, 1000).await.unwrap();
                let ungrouped = audit::count(&mut conn, &filter).await.unwrap();
                assert_eq!(count, ungrouped, "{filter:?}: what leads does not change the count");
            }
        }
    }
}

/// Protects a page deep in a stretch of time from being read from the end of the stretch on.
async fn one_bound_to_a_side_and_no_row_less(bench: Bench) {
    opened(&bench).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let everything = Filter::default();
    let all = audit::timeline(&mut conn, &everything, &Seek::Newest, false, 1000).await.unwrap();
    let (from, to) = (all[all.len() - 3].at, all[2].at);
    let filter = Filter { from: Some(from), to: Some(to), ..Filter::default() };
    let inside = |e: &&Entry| e.at >= from && e.at < to;
    for place in &all {
        let key = place.key();
        let (older, newer) = (Seek::Older(key.clone()), Seek::Newer(key.clone()));
        let older = audit::timeline(&mut conn, &filter, &older, false, 1000).await.unwrap();
        let expected: Vec<_> = all
            .iter()
            .filter(inside)
            .filter(|e| (e.at, &e.id) < (key.at, &key.id))
            .cloned()
            .collect();
        assert_eq!(older, expected, "older than {key}");
        let newer = audit::timeline(&mut conn, &filter, &newer, false, 1000).await.unwrap();
        let mut expected: Vec<_> = all
            .iter()
            .filter(inside)
            .filter(|e| (e.at, &e.id) > (key.at, &key.id))
            .cloned()
            .collect();
        expected.reverse();
        assert_eq!(newer, expected, "newer than {key}");
    }
}
