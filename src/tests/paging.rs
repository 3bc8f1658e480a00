//! The timeline page by page, both ways: everything once, in order, and nothing torn apart.

use super::tamper::opened;
use crate::audit::nodes::Edges;
use crate::audit::timeline::{Item, Page, one_step, page};
use crate::audit::{Actor, LogId, NewRow};
use crate::model::{Micros, time};
use crate::store::audit::{Entry, Filter, Seek};
use crate::testing::story::member_id;
use crate::testing::{Bench, both_engines};

both_engines!(
    page_by_page_everything_is_there_once_both_ways,
    two_rows_of_one_step_are_not_parted,
    two_rows_of_one_step_are_not_parted_where_one_log_is_ahead,
);

async fn read(bench: &Bench, seek: &Seek, limit: usize) -> Page {
    let mut conn = bench.desk.store.read().await.unwrap();
    let (key, filter, edges) = (&bench.desk.keys.log, Filter::default(), Edges::default());
    page(&mut conn, key, &filter, seek, limit, &edges, bench.now()).await.unwrap()
}

/// The pages from the newest to the oldest, as the links lead.
async fn down(bench: &Bench, limit: usize) -> Vec<Page> {
    let (mut pages, mut seek) = (Vec::new(), Seek::Newest);
    loop {
        let page = read(bench, &seek, limit).await;
        let older = page.older.clone();
        pages.push(page);
        let Some(older) = older else { return pages };
        seek = Seek::Older(older);
    }
}

/// The pages from the oldest to the newest, given in the order of [`down`].
async fn up(bench: &Bench, limit: usize) -> Vec<Page> {
    let mut pages = vec![down(bench, limit).await.pop().unwrap()];
    while let Some(newer) = pages.last().and_then(|page| page.newer.clone()) {
        pages.push(read(bench, &Seek::Newer(newer), limit).await);
    }
    pages.reverse();
    pages
}

/// What stands on a page: a row by its id, an impersonation by its.
fn names(page: &Page) -> Vec<String> {
    let name = |item: &Item| match item {
        Item::Row(row) => row.entry.id.clone(),
        Item::Group(group) => group.id.clone(),
    };
    page.items.iter().map(name).collect()
}

/// The rows of a page that belong to no impersonation.
fn loose(page: &Page) -> Vec<&Entry> {
    let rows = page.items.iter().filter_map(|item| match item {
        Item::Row(row) => Some(&row.entry),
        Item::Group(_) => None,
    });
    rows.collect()
}

/// Consent withdrawn and given again by several Owners: a row in both logs each.
async fn consents(bench: &Bench) {
    for org in ["acme", "birch"] {
        for on in [false, true] {
            bench.clock.advance(time::MINUTE);
            bench.set_consent(&member_id(org, "owner"), on).await.unwrap();
        }
    }
}

async fn page_by_page_everything_is_there_once_both_ways(bench: Bench) {
    opened(&bench).await;
    consents(&bench).await;
    let all = names(&read(&bench, &Seek::Newest, 500).await);
    assert!(all.len() > 12, "{}", all.len());
    for limit in 1..=6 {
        for (way, pages) in
            [("the past", down(&bench, limit).await), ("the present", up(&bench, limit).await)]
        {
            assert!(pages.iter().all(|page| (1..=limit).contains(&page.items.len())));
            let found: Vec<String> = pages.iter().flat_map(names).collect();
            assert_eq!(found, all, "a page of {limit}, to {way}");
        }
    }
}

/// Reads the timeline both ways and sees that no page begins with the other half of what the page
/// before it ends with; gives how many pairs there are.
async fn pairs(bench: &Bench, limit: usize) -> usize {
    let mut pairs = 0;
    for pages in [down(bench, limit).await, up(bench, limit).await] {
        let parted =
            pages.windows(2).any(|two| match (&two[0].items.last(), &two[1].items.first()) {
                (Some(Item::Row(one)), Some(Item::Row(other))) => {
                    one_step(&one.entry, &other.entry)
                }
                _ => false,
            });
        assert!(!parted, "a page of {limit}");
        pairs = pages
            .iter()
            .map(|page| loose(page).windows(2).filter(|two| one_step(two[0], two[1])).count())
            .sum();
    }
    pairs
}

async fn two_rows_of_one_step_are_not_parted(bench: Bench) {
    opened(&bench).await;
    consents(&bench).await;
    let all = pairs(&bench, 500).await;
    assert!(all >= 4, "{all}");
    for limit in 2..=7 {
        assert_eq!(pairs(&bench, limit).await, all, "a page of {limit}");
    }
}

/// By how much.
const AHEAD: Micros = time::SECOND / 3;

/// Another instance's clock may be ahead: the log that it wrote to gives its own, later time.
async fn two_rows_of_one_step_are_not_parted_where_one_log_is_ahead(bench: Bench) {
    for n in 0..12 {
        bench.clock.advance(time::MINUTE + AHEAD);
        let mut tx = bench.desk.begin().await.unwrap();
        let row = NewRow::new("platform.signed_in", &Actor::system());
        bench.desk.log(&mut tx, &LogId::Platform, row).await.unwrap();
        tx.commit().await.unwrap();
        bench.clock.advance(-AHEAD);
        bench.set_consent(&member_id("acme", "owner"), n % 2 == 1).await.unwrap();
    }
    // Where the other row of that instant stands between the two, they are not beside each other.
    let all = pairs(&bench, 500).await;
    assert!((1..=12).contains(&all), "{all}");
    for limit in 2..=5 {
        assert_eq!(pairs(&bench, limit).await, all, "a page of {limit}");
    }
}
