//! The strip above the timeline: it counts every row once, it keeps no page waiting, and what was
//! begun is not lost.

use std::time::Duration;

use crate::audit::density::Density;
use crate::audit::strips::{Strip, Strips};
use crate::model::time;
use crate::proof::verdict::Verdict;
use crate::store::audit::{self, Filter};
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    the_strip_counts_every_row_once,
    a_part_that_was_settled_in_the_middle_goes_on_from_there,
    nobody_waits_longer_than_their_patience_and_the_count_goes_on,
    the_same_is_not_counted_twice_at_a_time,
    many_at_once_wait_and_none_is_lost,
    by_verdict_the_last_strip_is_there_until_the_next_is,
);

/// Long enough for any count.
const LONG: Duration = Duration::from_secs(60);

async fn strip(bench: &Bench, strips: &Strips, name: &str, filter: &Filter) -> Option<Density> {
    match strips.ask(&bench.desk.store, name, filter, bench.now()).within(LONG).await {
        Strip::Counted(density) => Some(density),
        Strip::Nothing => None,
        Strip::Counting(_) => panic!("{name} is not counted in time"),
    }
}

async fn rows(bench: &Bench) -> i64 {
    let mut conn = bench.desk.store.read().await.unwrap();
    audit::count(&mut conn, &Filter::default()).await.unwrap()
}

async fn opened(bench: &Bench) {
    let who = bench.at_work(ADA).await;
    let grant = bench.impersonate(&who, STUCK).await.unwrap();
    bench.clock.advance(time::SECOND);
    bench.rotate(&grant).await.unwrap();
}

/// Waits until nothing is being counted any more.
async fn settled(strips: &Strips) {
    while strips.under_way() > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn the_strip_counts_every_row_once(bench: Bench) {
    opened(&bench).await;
    let strips = Strips::default();
    let all = rows(&bench).await;
    for later in [0, time::HOUR, 40 * time::DAY] {
        bench.clock.advance(later);
        // The second time from what was kept of the first.
        for _ in 0..2 {
            let found = strip(&bench, &strips, "", &Filter::default()).await.unwrap();
            assert_eq!((found.total(), found.counted_at), (all, bench.now()));
        }
    }
    let none = Filter { from: Some(5), to: Some(5), ..Filter::default() };
    assert_eq!(strip(&bench, &strips, "none", &none).await, None);
    // What is written later is counted, though the rest is kept.
    bench.clock.advance(time::DAY);
    bench.desk.sweep().await.unwrap();
    let more = rows(&bench).await;
    assert!(more > all);
    assert_eq!(strip(&bench, &strips, "", &Filter::default()).await.unwrap().total(), more);
}

/// Protects what is kept of the newest part, which is added to for as long as it lasts.
async fn a_part_that_was_settled_in_the_middle_goes_on_from_there(bench: Bench) {
    let strips = Strips::default();
    for step in [0, 3, 8, 11, 25, 60, 600] {
        bench.clock.advance(step * time::MINUTE);
        let who = bench.at_work(ADA).await;
        bench.desk.note_view(&who, "/audit", &format!("text=after+{step}")).await.unwrap();
        for filter in [
            Filter::default(),
            Filter { from: Some(bench.now() - time::HOUR), ..Filter::default() },
            Filter {
                admin: Some(ADA.to_owned()),
                text: Some("viewed".into()),
                ..Filter::default()
            },
        ] {
            let name = format!("{filter:?}");
            let found = strip(&bench, &strips, &name, &filter).await.unwrap();
            // What was never counted before is counted whole.
            let anew = strip(&bench, &Strips::default(), &name, &filter).await.unwrap();
            assert_eq!(found, anew, "{filter:?} after {step}");
        }
    }
}

async fn nobody_waits_longer_than_their_patience_and_the_count_goes_on(bench: Bench) {
    opened(&bench).await;
    let strips = Strips::default();
    let all = rows(&bench).await;
    let held = strips.hold().await;
    let asked = strips.ask(&bench.desk.store, "", &Filter::default(), bench.now());
    let begun = std::time::Instant::now();
    assert_eq!(asked.strip().await, Strip::Counting(None));
    assert!(begun.elapsed() < Duration::from_secs(5), "its own patience is some milliseconds");
    // Whoever asked is gone; what they asked for is not.
    assert_eq!(strips.under_way(), 1);
    drop(held);
    settled(&strips).await;
    let held = strips.hold().await;
    let again = strips.ask(&bench.desk.store, "", &Filter::default(), bench.now());
    match again.within(Duration::ZERO).await {
        Strip::Counting(Some(last)) => assert_eq!(last.total(), all),
        other => panic!("what was counted is kept: {other:?}"),
    }
    drop(held);
}

async fn the_same_is_not_counted_twice_at_a_time(bench: Bench) {
    opened(&bench).await;
    let strips = Strips::default();
    let held = strips.hold().await;
    let filter = Filter { admin: Some(ADA.to_owned()), ..Filter::default() };
    let ask = |name: &str| strips.ask(&bench.desk.store, name, &filter, bench.now());
    let asked = [ask("admin"), ask("admin"), ask("admin")];
    assert_eq!(strips.under_way(), 1);
    let other = ask("another");
    assert_eq!(strips.under_way(), 2);
    drop(held);
    let mut found = Vec::new();
    for asked in asked {
        found.push(asked.within(LONG).await);
    }
    assert!(matches!(found[0], Strip::Counted(_)), "{found:?}");
    assert!(found.iter().all(|strip| *strip == found[0]), "{found:?}");
    assert!(matches!(other.within(LONG).await, Strip::Counted(_)));
    settled(&strips).await;
}

async fn many_at_once_wait_and_none_is_lost(bench: Bench) {
    opened(&bench).await;
    let strips = Strips::default();
    let held = strips.hold().await;
    let filter = Filter::default();
    let ask = |n: usize| strips.ask(&bench.desk.store, &n.to_string(), &filter, bench.now());
    let asked: Vec<_> = (0..100).map(ask).collect();
    let waiting = strips.under_way();
    assert!((2..100).contains(&waiting), "so many and no more: {waiting}");
    drop(held);
    let mut counted = 0;
    for asked in asked {
        match asked.within(LONG).await {
            Strip::Counted(_) => counted += 1,
            Strip::Counting(None) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counted, waiting);
    settled(&strips).await;
    assert!(matches!(ask(99).within(LONG).await, Strip::Counted(_)), "whoever asks again gets it");
}

async fn by_verdict_the_last_strip_is_there_until_the_next_is(bench: Bench) {
    opened(&bench).await;
    while bench.desk.judge_due().await.unwrap() > 0 {}
    let strips = Strips::default();
    let open = Filter { verdict: Some(Verdict::Open), ..Filter::default() };
    let before = strip(&bench, &strips, "open", &open).await.unwrap();
    assert!(before.total() > 0);
    // It expires: none of its rows is of an open trail any more.
    bench.clock.advance(time::HOUR);
    bench.desk.sweep().await.unwrap();
    while bench.desk.judge_due().await.unwrap() > 0 {}
    let held = strips.hold().await;
    let asked = strips.ask(&bench.desk.store, "open", &open, bench.now());
    assert_eq!(asked.within(Duration::ZERO).await, Strip::Counting(Some(before.clone())));
    assert_eq!(before.counted_at, bench.now() - time::HOUR, "it says as of when");
    drop(held);
    assert_eq!(strip(&bench, &strips, "open", &open).await.unwrap().total(), 0);
}
