//! The year that measuring is done with: its logs hold, and the trails are as it says they are.

use std::collections::BTreeMap;

use crate::audit::logged::Logged;
use crate::audit::trail::{Depth, judge};
use crate::audit::verify::{cross_recorded, set_faults, whole_log};
use crate::demo::year::{Plan, YearError, fill};
use crate::model::time;
use crate::policy::eligibility::Check;
use crate::policy::grounds::Asked;
use crate::proof::actions::PLATFORM_IMPERSONATION_STARTED;
use crate::proof::verdict::{Rule, RuleState, Verdict};
use crate::store::impersonations;
use crate::store::{Engine, Store, audit};
use crate::testing::{Bench, both_engines, postgres};

both_engines!(a_year_is_as_it_says_it_is, what_does_not_come_out_is_refused);

const PLAN: Plan =
    Plan { events: 14_000, orgs: 5, impersonations: 410, seed: 1, until: 1_790_000_000_000_000 };

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
    assert!(written.mismatch > 0 && written.incomplete > 0 && written.long_open > 0);

    let mut conn = store.read().await.unwrap();
    let heads = audit::heads(&mut conn).await.unwrap();
    assert_eq!(heads.iter().map(|h| h.size).sum::<i64>(), 14_000);
    assert_eq!(set_faults(&mut conn, &heads).await.unwrap(), []);
    for head in &heads {
        whole_log(&mut conn, &key.verifiers(), &key.origin, head, |_| {}).await.unwrap().unwrap();
    }
    cross_recorded(&mut conn, &key.verifiers(), &heads).await.unwrap().unwrap();

    let mut verdicts = BTreeMap::new();
    let mut long_open = 0;
    for grant in impersonations::page(&mut conn, false, None, 1000).await.unwrap() {
        let now = PLAN.until + time::DAY;
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
        let asked = Asked::read(&start.unwrap().details).unwrap();
        assert!(asked.eligible == Some(true) && asked.checks.len() == Check::ALL.len());
        let verdict = judged.verdict;
        let there = |rule| verdict.rule(rule).is_some_and(|r| r.result == RuleState::Passed);
        if !there(Rule::OrgEnded) && !there(Rule::PlatformEnded) {
            long_open += 1;
        } else {
            *verdicts.entry(verdict.verdict.word()).or_insert(0) += 1;
        }
    }
    assert_eq!(long_open, written.long_open);
    let expected = [
        (Verdict::Complete.word(), written.complete),
        (Verdict::Incomplete.word(), written.incomplete),
        (Verdict::Mismatch.word(), written.mismatch),
    ];
    assert_eq!(verdicts, BTreeMap::from(expected));
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
