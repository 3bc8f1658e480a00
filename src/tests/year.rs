//! The year that measuring is done with: its logs hold, and the trails are as it says they are.

use std::collections::BTreeSet;

use crate::audit::logged::Logged;
use crate::audit::standing;
use crate::audit::trail::{Depth, judge};
use crate::audit::verify::{cross_recorded, set_faults, whole_log};
use crate::demo::year::{Fault, Plan, YearError, fill};
use crate::model::time;
use crate::policy::eligibility::Check;
use crate::policy::grounds::Asked;
use crate::proof::actions::PLATFORM_IMPERSONATION_STARTED;
use crate::proof::row::AuditRow;
use crate::proof::terms;
use crate::proof::verdict::{Rule, Verdict};
use crate::store::standing as stored;
use crate::store::{Engine, Store, audit, impersonations, overview};
use crate::testing::{Bench, both_engines, postgres};
use crate::web::pages::timeline_lines::{Tie, lines};

both_engines!(
    a_year_is_as_it_says_it_is,
    a_year_follows_from_its_seed,
    what_does_not_come_out_is_refused
);

const PLAN: Plan =
    Plan { events: 14_000, orgs: 5, impersonations: 460, seed: 1, until: 1_790_000_000_000_000 };

async fn empty(engine: Engine, folder: &std::path::Path) -> Store {
    let url = match engine {
        Engine::Sqlite => Store::sqlite_in(folder),
        Engine::Postgres => postgres::database().await,
    };
    Store::connect(&url, 2).await.unwrap()
}

async fn a_year_is_as_it_says_it_is(bench: Bench) {
    let folder = tempfile::tempdir().unwrap();
    let store = empty(bench.engine(), folder.path()).await;
    let key = &bench.desk.keys.log;
    let mut heard = 0;
    let written = fill(&store, key, &PLAN, |done| heard = done).await.unwrap();
    assert_eq!((written.events, heard), (PLAN.events, PLAN.events));
    assert!(written.faults.iter().all(|n| *n > 0), "each kind occurs: {written:?}");

    let mut conn = store.read().await.unwrap();
    let heads = audit::heads(&mut conn).await.unwrap();
    assert_eq!(heads.iter().map(|h| h.size).sum::<i64>(), 14_000);
    assert_eq!(set_faults(&mut conn, &heads).await.unwrap(), []);
    for head in &heads {
        whole_log(&mut conn, &key.verifiers(), &key.origin, head, |_| {}).await.unwrap().unwrap();
    }
    cross_recorded(&mut conn, &key.verifiers(), &heads).await.unwrap().unwrap();

    // What rows are found by besides their action, reason, ticket and secret (names and most ids)
    // is to be no more than a third of that: it is the largest table after the rows.
    let (mut first, mut all) = (0, 0);
    for head in &heads {
        for entry in audit::range(&mut conn, &head.id, 0, 20_000).await.unwrap() {
            let row = AuditRow::parse(&entry.body).unwrap();
            let texts = [Some(&row.action), row.reason.as_ref(), row.ticket_ref.as_ref()];
            let texts = texts.into_iter().chain([row.secret_id.as_ref()]).flatten();
            first += texts.flat_map(|text| terms::words(text)).collect::<BTreeSet<_>>().len();
            all += terms::of_row(&row).len();
        }
    }
    assert!(3 * all <= 4 * first, "{all} words, {first} of them of action, reason and ticket");

    // As the server takes them in, a day after the year.
    let now = PLAN.until + time::DAY;
    let grants = impersonations::page(&mut conn, false, None, 1000).await.unwrap();
    assert_eq!(grants.len(), PLAN.impersonations);
    let mut standings = Vec::new();
    for grant in grants {
        let judged = judge(&mut conn, key, &grant.id, Depth::Rows, now).await.unwrap();
        let rows: Vec<_> = judged.platform.iter().chain(&judged.org).collect();
        let said = Logged::of(&rows).unwrap();
        if said.ended_at.is_some() {
            assert_eq!(said.differences(&grant), [], "the register says what the logs say");
        }
        let start = judged
            .platform
            .iter()
            .filter_map(|r| r.row.as_ref())
            .find(|r| r.action == PLATFORM_IMPERSONATION_STARTED);
        if let Some(start) = start {
            let asked = Asked::read(&start.details).unwrap();
            assert!(asked.eligible == Some(true) && asked.checks.len() == Check::ALL.len());
        }
        // Its ticket says which it is.
        let n: usize = grant.ticket_id.strip_prefix("NOV-").unwrap().parse().unwrap();
        let fault = Fault::of(n - 10_000);
        let expected = fault.map_or(Verdict::Complete, Fault::verdict);
        assert_eq!(judged.verdict.verdict, expected, "{fault:?}: {:?}", judged.verdict);
        if let Some(fault) = fault {
            let mut failed = judged.verdict.failed();
            assert!(failed.any(|r| r.rule == rule_of(fault)), "{fault:?}: {:?}", judged.verdict);
        }
        // What is wrong with a trail is drawn in it, and nothing is where nothing is wrong.
        let drawn = lines(&judged, Some(grant.secret_type.as_str()));
        let odd = drawn.iter().any(|line| !matches!(line.tie(), Tie::Single | Tie::Tied));
        assert_eq!(odd, judged.verdict.verdict != Verdict::Complete, "{drawn:?}");
        let found = standing::of(&grant.id, &judged, Some(&grant), now).unwrap();
        let (unacknowledged, owing) = stored::owed(&mut conn, &grant.id).await.unwrap();
        let stands = standing::stands(&found, unacknowledged, owing);
        standings.push((found, stands));
    }
    drop(conn);
    let mut tx = store.begin().await.unwrap();
    for (standing, stands) in &standings {
        stored::save(&mut tx, standing, stands).await.unwrap();
    }
    tx.commit().await.unwrap();
    // What it says is what the overview and the lists show.
    let mut conn = store.read().await.unwrap();
    let is = |n: usize| i64::try_from(n).unwrap();
    for verdict in [
        Verdict::Complete,
        Verdict::Open,
        Verdict::Incomplete,
        Verdict::Mismatch,
        Verdict::Tampered,
    ] {
        let shown = stored::count(&mut conn, verdict).await.unwrap();
        assert_eq!(shown, is(written.with(verdict)), "{}", verdict.word());
    }
    assert_eq!(stored::count_overstayed(&mut conn).await.unwrap(), is(written.overstayed()));
    let sent = overview::count_unacknowledged(&mut conn).await.unwrap();
    assert_eq!(sent, is(written.unacknowledged));
}

/// The rule that fails for a fault.
fn rule_of(fault: Fault) -> Rule {
    match fault {
        Fault::NothingRotated | Fault::ExpiredUnrotated => Rule::Rotated,
        Fault::NeverEnded | Fault::OrgEndMissing => Rule::OrgEnded,
        Fault::PlatformStartMissing => Rule::PlatformStarted,
        Fault::HandoffTwinMissing | Fault::HandoffMissing => Rule::Counts,
        Fault::OtherReason => Rule::SameReason,
        Fault::OtherCause => Rule::SameCause,
        Fault::OtherAdmin => Rule::SameAdmin,
        Fault::OutOfOrder => Rule::Order,
        Fault::Outlived => Rule::Life,
    }
}

/// The same seed gives the same year, another one another.
async fn a_year_follows_from_its_seed(bench: Bench) {
    let plan = Plan { events: 2000, impersonations: 60, ..PLAN };
    let key = &bench.desk.keys.log;
    let mut roots = Vec::new();
    for seed in [7, 7, 8] {
        let folder = tempfile::tempdir().unwrap();
        let store = empty(bench.engine(), folder.path()).await;
        fill(&store, key, &Plan { seed, ..plan.clone() }, |_| {}).await.unwrap();
        let mut conn = store.read().await.unwrap();
        let heads = audit::heads(&mut conn).await.unwrap();
        roots.push(heads.into_iter().map(|h| h.frontier).collect::<Vec<_>>());
    }
    assert_eq!(roots[0], roots[1]);
    assert_ne!(roots[0], roots[2]);
}

async fn what_does_not_come_out_is_refused(bench: Bench) {
    let folder = tempfile::tempdir().unwrap();
    let store = empty(bench.engine(), folder.path()).await;
    let key = &bench.desk.keys.log;
    let few = Plan { events: 3000, ..PLAN };
    assert!(matches!(fill(&store, key, &few, |_| {}).await, Err(YearError::Plan(_))));
    // Never into a database that somebody uses.
    let used = fill(&bench.desk.store, key, &PLAN, |_| {}).await;
    assert!(matches!(used, Err(YearError::InUse)));
}
