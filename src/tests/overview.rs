//! The overview's figures, and that each leads to a list which counts the same.

use super::standing::settle;
use crate::desk::rotate::Ask as Rotate;
use crate::model::{Micros, time};
use crate::proof::verdict::Verdict;
use crate::store::audit::{Filter, Seek};
use crate::store::{audit, overview, owner_keys, standing};
use crate::testing::story::{ADA, BEN, LEAKED, STUCK, STUCK_TOO};
use crate::testing::{Bench, both_engines};

both_engines!(
    tokens_are_counted_by_how_long_they_were_open,
    rotations_are_counted_by_type_and_week_as_the_timeline_has_them,
    refused_attempts_and_served_orgs_are_counted_within_their_time,
    what_needs_a_look_is_as_long_as_its_list,
);

const EVER: (Micros, Micros) = (0, Micros::MAX);

/// One impersonation from its start to its handoff, open for so long.
async fn served(bench: &Bench, ticket: &str, open_for: Micros) -> String {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, ticket).await.unwrap();
    bench.clock.advance(open_for);
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.clock.advance(time::MINUTE);
    grant.id
}

async fn tokens_are_counted_by_how_long_they_were_open(bench: Bench) {
    let begin = bench.now();
    let first = served(&bench, STUCK, 90 * time::SECOND).await;
    let middle = bench.now();
    served(&bench, LEAKED, 10 * time::SECOND).await;
    // One that nobody ends, and that nothing is handed off with.
    let ben = bench.at_work(BEN).await;
    let left = bench.impersonate(&ben, STUCK_TOO).await.unwrap();
    settle(&bench).await;
    let counted = async |from, to| {
        let mut conn = bench.desk.store.read().await.unwrap();
        let found = overview::lengths(&mut conn, from, to).await.unwrap();
        found
            .into_iter()
            .map(|l| (l.seconds, l.tokens, l.handed_off, l.at_once))
            .collect::<Vec<_>>()
    };
    let (from, to) = EVER;
    assert_eq!(counted(from, to).await, [(10, 1, 1, 1), (90, 1, 1, 1)]);
    assert_eq!(counted(begin, middle).await, [(90, 1, 1, 1)]);
    bench.clock.advance(time::HOUR);
    bench.desk.sweep().await.unwrap();
    settle(&bench).await;
    let all = counted(from, to).await;
    assert_eq!(all.len(), 3);
    assert_eq!((all[2].1, all[2].2), (1, 0), "nothing was handed off with {}", left.id);

    let mut conn = bench.desk.store.read().await.unwrap();
    let minute = overview::open_for(&mut conn, EVER, (60, 120), None, 10).await.unwrap();
    assert_eq!(minute.iter().map(|s| s.impersonation_id.as_str()).collect::<Vec<_>>(), [first]);
    let place = crate::store::Key {
        at: minute[0].opened_at.unwrap(),
        id: minute[0].impersonation_id.clone(),
    };
    let beyond = overview::open_for(&mut conn, EVER, (60, 120), Some(&place), 10).await.unwrap();
    assert!(beyond.is_empty());

    // The figure and the list that it leads to are of the same trails.
    for (soon, n) in [(true, 2), (false, 0)] {
        let list = overview::ended_after_handoff(&mut conn, EVER, soon, None, 10).await.unwrap();
        assert_eq!(list.len(), n, "soon: {soon}");
        assert!(list.iter().all(|s| s.handed_off_at.is_some()));
    }
}

async fn rotations_are_counted_by_type_and_week_as_the_timeline_has_them(bench: Bench) {
    served(&bench, STUCK, time::MINUTE).await;
    bench.clock.advance(7 * time::DAY);
    // Self-service is a rotation as well.
    bench.self_service("hazel-admin", "whk_hazel", &Rotate::default()).await.unwrap();
    let first = crate::web::charts::scale::monday(bench.now() - 7 * time::DAY);
    let to = bench.now() + 1;
    let mut conn = bench.desk.store.read().await.unwrap();
    let found = overview::rotations(&mut conn, first, first, to).await.unwrap();
    let said: Vec<_> = found.iter().map(|r| (r.action.as_str(), r.week, r.rows)).collect();
    let action = "webhook_signing_key.rotated";
    assert_eq!(said, [(action, 0, 1), (action, 1, 1)]);
    for week in 0..2 {
        let from = first + week * 7 * time::DAY;
        let filter = Filter {
            action: Some(action.to_owned()),
            from: Some(from),
            to: Some((from + 7 * time::DAY).min(to)),
            ..Filter::default()
        };
        let rows = audit::timeline(&mut conn, &filter, &Seek::Newest, true, 50).await.unwrap();
        assert_eq!(rows.len(), 1, "week {week}");
    }
    assert!(overview::rotations(&mut conn, to, to, to + time::DAY).await.unwrap().is_empty());
}

async fn refused_attempts_and_served_orgs_are_counted_within_their_time(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    bench.impersonate(&ada, "NOV-4806").await.unwrap_err();
    bench.impersonate(&ada, "NOV-4806").await.unwrap_err();
    bench.clock.advance(time::DAY);
    let later = bench.now();
    bench.impersonate(&ada, "NOV-4807").await.unwrap_err();
    served(&bench, STUCK, time::MINUTE).await;
    served(&bench, LEAKED, time::MINUTE).await;
    served(&bench, STUCK_TOO, time::MINUTE).await;
    settle(&bench).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let denied = overview::denied(&mut conn, 0, Micros::MAX).await.unwrap();
    let times =
        |check: &str| denied.iter().find(|d| d.failed_check == check).map_or(0, |d| d.attempts);
    assert_eq!((times("consent"), denied[0].failed_check.as_str()), (2, "consent"));
    for d in &denied {
        let filter = Filter { check: Some(d.failed_check.clone()), ..Filter::default() };
        let rows = audit::timeline(&mut conn, &filter, &Seek::Newest, true, 50).await.unwrap();
        assert_eq!(i64::try_from(rows.len()).unwrap(), d.attempts, "{}", d.failed_check);
    }
    let since = overview::denied(&mut conn, later, Micros::MAX).await.unwrap();
    assert!(since.iter().all(|d| d.failed_check != "consent") && !since.is_empty());
    let orgs = overview::served(&mut conn, 0, Micros::MAX, 10).await.unwrap();
    let said: Vec<_> = orgs.iter().map(|o| (o.org_id.as_str(), o.impersonations)).collect();
    assert_eq!(said, [("org-acme", 2), ("org-birch", 1)]);
    assert_eq!(overview::served(&mut conn, 0, Micros::MAX, 1).await.unwrap().len(), 1);
    let started = Filter {
        org_id: Some("org-acme".to_owned()),
        action: Some("platform.impersonation_started".to_owned()),
        ..Filter::default()
    };
    let rows = audit::timeline(&mut conn, &started, &Seek::Newest, true, 50).await.unwrap();
    assert_eq!(rows.len(), 2);
}

async fn what_needs_a_look_is_as_long_as_its_list(bench: Bench) {
    served(&bench, STUCK, time::MINUTE).await;
    bench.desk.send_due().await.unwrap();
    let ben = bench.at_work(BEN).await;
    // Ended with nothing rotated, and one that nobody ends.
    let ended = bench.impersonate(&ben, LEAKED).await.unwrap();
    bench.end(&ben, &ended.id).await.unwrap();
    bench.impersonate(&ben, STUCK_TOO).await.unwrap();
    bench.clock.advance(time::HOUR);
    bench.desk.sweep().await.unwrap();
    settle(&bench).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let mut some = 0;
    for verdict in [Verdict::Complete, Verdict::Incomplete, Verdict::Mismatch, Verdict::Tampered] {
        let listed = standing::page(&mut conn, verdict, None, 100).await.unwrap().len();
        let counted = standing::count(&mut conn, verdict).await.unwrap();
        assert_eq!(i64::try_from(listed).unwrap(), counted, "{verdict:?}");
        some += counted;
    }
    assert_eq!(some, 3);
    let listed = standing::page_overstayed(&mut conn, None, 100).await.unwrap().len();
    let counted = standing::count_overstayed(&mut conn).await.unwrap();
    assert_eq!((i64::try_from(listed).unwrap(), counted), (1, 1));
    let listed = overview::unacknowledged(&mut conn, None, 100).await.unwrap().len();
    let counted = overview::count_unacknowledged(&mut conn).await.unwrap();
    assert_eq!((i64::try_from(listed).unwrap(), counted), (1, 1));
    assert!(overview::owing(&mut conn, 10).await.unwrap().is_empty());
    let soon = bench.now() + 30 * time::DAY;
    let keys = owner_keys::expiring(&mut conn, soon, 10).await.unwrap();
    assert!(keys.iter().any(|k| k.slug == "iris"));
}
