//! What pages read besides the lists and figures that the other tests ask for, is served by
//! indexes on both engines. `planner_guard` sees that none is forgotten.

use sqlx::{Connection as _, PgConnection};

use super::planner::{List, postgres_plan, run, sqlite_plan};
use super::planner_overview::figure;
use crate::model::time;
use crate::store::audit::{Filter, Seek};
use crate::store::timeline::Question;
use crate::store::{
    Engine, Key, Tx, audit, forward, handoffs, impersonations, log_keys, log_list, orgs, outbox,
    overview, owner_changes, owner_keys, saved_views, secrets, sign_ins, staff, standing, tickets,
    timeline, verification, witness,
};
use crate::testing::Bench;
use crate::testing::story::{ADA, STUCK};

/// A statement with the index it is read from, or with two where either will do; its name is the
/// call.
macro_rules! asked {
    ($b:expr, $index:expr, |$tx:ident| $call:expr) => {
        figure($b, stringify!($call), $index, async |$tx: &mut Tx| $call.await).await
    };
}

/// Tables with a row for a log, a sink, a key or a person each, by the names that statements give
/// them: whatever is said of all of them is read from all of them.
const FEW: &[&str] =
    &["audit_log", "l", "forward_sink", "s", "log_signing_key", "staff", "witness_state"];

/// What every page asks.
async fn every_page(b: &Bench) -> Vec<List> {
    let ids = ["x".to_owned(), "y".to_owned()];
    let ids = ids.as_slice();
    vec![
        asked!(b, "log_verification_failed", |tx| verification::standing_failure(tx.conn())),
        asked!(b, "impersonation_live", |tx| impersonations::open(tx.conn())),
        asked!(b, "ticket_queue_state", |tx| tickets::count_waiting(tx.conn())),
        asked!(b, "staff_session_pkey", |tx| staff::session(tx.conn(), "x")),
        asked!(b, "staff_pkey", |tx| staff::by_id(tx.conn(), "x")),
        asked!(b, "staff_email_key", |tx| staff::by_email(tx.conn(), "x")),
        asked!(b, "sign_in_count_source", |tx| sign_ins::of_others(tx.conn(), "i", "x", "y", 1)),
        asked!(b, "", |tx| staff::all(tx.conn())),
        asked!(b, "org_pkey", |tx| orgs::by_id(tx.conn(), "x")),
        asked!(b, "org_slug_key", |tx| orgs::by_slug(tx.conn(), "x")),
        asked!(b, "org_pkey", |tx| orgs::named(tx.conn(), ids)),
        asked!(b, "org_by_name", |tx| orgs::names(tx.conn(), 1000)),
        asked!(b, "member_org_id_email_key", |tx| orgs::members(tx.conn(), "x")),
        asked!(b, "secret_of_org", |tx| secrets::count_of_org(tx.conn(), "x")),
        asked!(b, "log_signing_key_pkey", |tx| log_keys::newest(tx.conn())),
        asked!(b, "", |tx| log_keys::all(tx.conn())),
        asked!(b, "audit_view_pkey", |tx| audit::viewed_since(tx.conn(), "x", "y", 1)),
        asked!(b, "audit_view_pkey", |tx| audit::note_view(tx, "x", "y", 1, 2)),
        asked!(b, "saved_view_staff_id_name_key", |tx| saved_views::of(tx.conn(), "x")),
    ]
}

/// What pages of the logs ask.
async fn of_logs(b: &Bench) -> Vec<List> {
    let ids = ["x".to_owned(), "y".to_owned()];
    let ids = ids.as_slice();
    vec![
        asked!(b, "audit_entry_time", |tx| timeline::oldest_at(tx.conn())),
        asked!(b, "audit_derived_pkey", |tx| timeline::words_made(tx.conn())),
        asked!(b, "audit_derived_pkey", |tx| timeline::words_made_to(tx.conn(), "x")),
        asked!(b, "audit_entry_id_key", |tx| audit::by_id(tx.conn(), "x")),
        asked!(b, "audit_entry_impersonation", |tx| audit::tally(tx.conn(), "x", "y")),
        asked!(b, "audit_entry_pkey", |tx| audit::range(tx.conn(), "x", 0, 100)),
        asked!(b, "audit_entry_pkey", |tx| audit::leaf_hashes(tx.conn(), "x", 0, 256)),
        asked!(b, "audit_subtree_pkey", |tx| audit::subtrees(tx.conn(), "x", 8, 0, 256)),
        asked!(b, "audit_log_pkey", |tx| audit::head(tx.conn(), "x")),
        asked!(b, "", |tx| audit::heads(tx.conn())),
        asked!(b, "audit_checkpoint_pkey", |tx| audit::kept_at(tx.conn(), "x")),
        asked!(b, "audit_checkpoint_pkey", |tx| audit::kept_from(tx.conn(), "x", 1)),
        asked!(b, "audit_checkpoint_pkey", |tx| audit::checkpoints(tx.conn(), "x")),
        asked!(b, "log_verification_newest", |tx| verification::newest(tx.conn(), 5)),
        asked!(b, "log_verification_fault_pkey", |tx| verification::wrong_in(tx.conn(), "x", 5)),
        asked!(b, "log_verification_failed|log_verification_newest", |tx| {
            verification::held_alone_since(tx.conn(), 1)
        }),
        asked!(b, "log_verification_failed", |tx| log_list::Verified::load(tx.conn())),
        asked!(b, "", |tx| log_list::total(tx.conn())),
        asked!(b, "witness_state_of_log", |tx| log_list::witnesses(tx.conn(), ids)),
        asked!(b, "witness_state_in_doubt", |tx| log_list::in_doubt(tx.conn())),
        asked!(b, "witness_state_pkey", |tx| witness::all(tx.conn(), "x")),
        asked!(b, "witness_state_of_log", |tx| witness::of_log(tx.conn(), "x")),
        asked!(b, "", |tx| witness::most(tx.conn())),
        asked!(b, "", |tx| witness::noted(tx.conn(), "x")),
        asked!(b, "witness_state_pkey|witness_state_in_doubt", |tx| {
            witness::disagreeing(tx.conn(), ids)
        }),
        asked!(b, "witness_cosigned_pkey", |tx| witness::cosigned(tx.conn(), "x", "y", 1)),
        asked!(b, "witness_cosigned_pkey", |tx| witness::newest_cosigned(tx.conn(), "x")),
        asked!(b, "forward_sink_pkey", |tx| forward::beat_at(tx.conn(), "x")),
        asked!(b, "forward_sink_pkey", |tx| forward::failures(tx.conn(), "x")),
        asked!(b, "forward_position_pkey", |tx| forward::due(tx.conn(), "x", 1)),
        asked!(b, "forward_position_pkey", |tx| forward::sinks(tx.conn(), 1)),
        asked!(b, "forward_position_pkey", |tx| forward::stuck(tx.conn(), "x")),
    ]
}

/// What pages of impersonations, of what was done under them, and of the overview ask.
async fn of_impersonations(b: &Bench) -> Vec<List> {
    let ids = ["x".to_owned(), "y".to_owned()];
    let ids = ids.as_slice();
    vec![
        asked!(b, "standing_due_pkey", |tx| standing::due(tx.conn(), 50)),
        asked!(b, "trail_standing_judged", |tx| standing::judged_last(tx.conn())),
        asked!(b, "trail_standing_pkey", |tx| standing::by_id(tx.conn(), "x")),
        asked!(b, "audit_entry_impersonation", |tx| standing::found_by_length(tx, "x", Some(5))),
        asked!(b, "impersonation_pkey", |tx| impersonations::by_ids(tx.conn(), ids)),
        asked!(b, "audit_entry_id_key", |tx| audit::by_ids(tx.conn(), ids)),
        asked!(b, "impersonation_pkey", |tx| impersonations::by_id(tx.conn(), "x")),
        asked!(b, "impersonation_one_per_admin|impersonation_live", |tx| impersonations::open_of(
            tx.conn(),
            "x",
            "y"
        )),
        asked!(b, "handoff_pkey", |tx| handoffs::by_id(tx.conn(), "x")),
        asked!(b, "handoff_of_impersonation", |tx| handoffs::of_impersonation(tx.conn(), "x")),
        asked!(b, "handoff_ack_hash_key", |tx| handoffs::by_ack(tx.conn(), "x")),
        asked!(b, "outbox_about", |tx| outbox::about(tx.conn(), "x")),
        asked!(b, "outbox_due", |tx| overview::owing(tx.conn(), 10)),
        asked!(b, "outbox_due", |tx| overview::count_owing_impersonations(tx.conn())),
        asked!(b, "rotation_impersonation_id_key|outbox_about", |tx| standing::owed(
            tx.conn(),
            "x"
        )),
        asked!(b, "org_pkey", |tx| owner_keys::unread(tx.conn(), 10)),
        asked!(b, "owner_change_pkey", |tx| owner_changes::by_id(tx.conn(), "x")),
        asked!(b, "owner_change_link_hash_key", |tx| owner_changes::by_link(tx.conn(), "x")),
        asked!(b, "owner_change_one|owner_change_of_org|owner_change_waiting", |tx| {
            owner_changes::waiting_of(tx.conn(), "x")
        }),
        asked!(b, "owner_change_waiting|owner_change_one", |tx| {
            owner_changes::waiting(tx.conn(), 10)
        }),
        asked!(b, "owner_change_of_org", |tx| owner_changes::decided_since(tx.conn(), "x", 1)),
        asked!(b, "owner_change_approval_pkey", |tx| owner_changes::approvals(tx.conn(), "x")),
        asked!(b, "audit_entry_org_action|audit_entry_action", |tx| {
            audit::has_action(tx.conn(), "x", "y")
        }),
        asked!(b, "audit_entry_action", |tx| {
            audit::orgs_of_action_since(tx.conn(), "x", 1, 10)
        }),
        asked!(b, "audit_log_org_id_key", |tx| { audit::orgs_without_record(tx.conn(), "x", 10) }),
        asked!(b, "audit_entry_org_action", |tx| {
            audit::of_action_since(tx.conn(), "x", "y", "z", 1)
        }),
        asked!(b, "secret_pkey", |tx| secrets::by_id(tx.conn(), "x")),
        asked!(b, "secret_pkey|secret_of_org", |tx| secrets::of_org(tx.conn(), "x", "y")),
        asked!(b, "secret_of_org", |tx| secrets::all_of_org(tx.conn(), "x")),
        asked!(b, "secret_version_pkey|secret_version_2_pkey", |tx| secrets::versions(
            tx.conn(),
            "x"
        )),
        asked!(b, "secret_version_fingerprint", |tx| secrets::any_issued(tx.conn(), ids)),
        asked!(b, "secret_version_2_pkey|secret_version_pkey|secret_version_fingerprint", |tx| {
            secrets::has_fingerprint(tx.conn(), "x", "y")
        }),
        asked!(b, "rotation_pkey", |tx| secrets::rotation_by_id(tx.conn(), "x")),
        asked!(b, "rotation_idempotency_by_idempotency_key_key", |tx| {
            secrets::rotation_by_key(tx.conn(), "x", "y")
        }),
        asked!(b, "rotation_secret_id_to_version_key", |tx| {
            secrets::rotations_of_secret(tx.conn(), "x")
        }),
        asked!(b, "rotation_impersonation_id_key", |tx| secrets::rotation_of(tx.conn(), "x")),
    ]
}

/// What a page of the timeline asks where each thing that is asked for is frequent.
async fn of_frequent(b: &Bench) -> Vec<List> {
    let who = b.at_work(ADA).await;
    let grant = b.impersonate(&who, STUCK).await.unwrap();
    let row = b.rows("platform").await.pop().unwrap();
    let some = |s: &str| Some(s.to_owned());
    let any = Filter::default;
    let (admin, org_id) = (some(ADA), some(&grant.org_id));
    let action = some("platform.impersonation_started");
    let pairs = [
        ("audit_term_pkey", Filter { admin: admin.clone(), text: some("started"), ..any() }),
        ("audit_entry_actor", Filter { admin: admin.clone(), org_id: org_id.clone(), ..any() }),
        ("audit_entry_action", Filter { admin: admin.clone(), action: action.clone(), ..any() }),
        ("audit_entry_action", Filter { org_id: org_id.clone(), action: action.clone(), ..any() }),
        ("audit_entry_ticket", Filter { org_id, ticket: some(&grant.ticket_id), ..any() }),
        (
            "audit_entry_secret_type",
            Filter { admin: admin.clone(), secret_type: some(grant.secret_type.as_str()), ..any() },
        ),
    ];
    let key = Key { at: b.now() + 1, id: "0".to_owned() };
    let first = Key { at: 1, id: "0".to_owned() };
    let mut all = Vec::new();
    for (index, filter) in &pairs {
        let question = {
            let mut conn = b.desk.store.read().await.unwrap();
            Question::of_rare(&mut conn, filter, 0).await.unwrap()
        };
        for seek in [Seek::Newest, Seek::Older(key.clone()), Seek::Newer(first.clone())] {
            // The last place that is asked for is the one of the last condition.
            let run = async |tx: &mut Tx| question.place_beyond(tx.conn(), &seek).await;
            let place = figure(b, format!("place by {filter:?}, {seek:?}"), index, run).await;
            assert!(place.sql.contains(" OFFSET "), "{}", place.sql);
            all.push(place);
            let run = async |tx: &mut Tx| question.look(tx.conn(), &seek, true, 5).await;
            let looked = figure(b, format!("look by {filter:?}, {seek:?}"), "audit_", run).await;
            let sign = if matches!(seek, Seek::Newer(_)) { "<= (" } else { ">= (" };
            assert!(looked.sql.contains(sign), "as far as a place: {}", looked.sql);
            all.push(looked);
        }
        let run = async |tx: &mut Tx| {
            let question = question.clone().for_all(tx.conn()).await?;
            question.count_to(tx.conn(), 100).await
        };
        all.push(figure(b, format!("count by {filter:?}"), "audit_", run).await);
        let run = async |tx: &mut Tx| question.clone().for_all(tx.conn()).await;
        all.push(figure(b, format!("rarest of all by {filter:?}"), index, run).await);
    }
    let filter = Filter { text: Some(row.id), ..Filter::default() };
    let run =
        async |tx: &mut Tx| timeline::timeline(tx.conn(), &filter, &Seek::Newest, true, 50).await;
    all.push(figure(b, "timeline by a row's id", "audit_entry_id_key", run).await);
    all
}

async fn statements(b: &Bench) -> Vec<List> {
    let mut all = every_page(b).await;
    all.extend(of_logs(b).await);
    all.extend(of_impersonations(b).await);
    all.extend(of_frequent(b).await);
    all
}

#[tokio::test]
async fn on_postgres_every_page_reads_by_indexes() {
    let bench = Bench::new(Engine::Postgres).await;
    let statements = statements(&bench).await;
    let mut conn = PgConnection::connect(&bench.url).await.unwrap();
    for off in ["enable_seqscan", "enable_bitmapscan"] {
        run(&mut conn, format!("SET {off} = off")).await;
    }
    run(&mut conn, "SET plan_cache_mode = force_generic_plan".to_owned()).await;
    let mut wrong = Vec::new();
    for List { name, index, sql } in statements {
        let plan = postgres_plan(&mut conn, &sql).await;
        let read_whole = plan.lines().filter_map(|step| step.split("Seq Scan on ").nth(1));
        let few = |table: &str| FEW.contains(&table.split(' ').next().unwrap_or_default());
        let served = |index: &str| {
            plan.contains(&format!(" using {index}"))
                || plan.contains(&format!("Conflict Arbiter Indexes: {index}"))
        };
        if !read_whole.clone().all(few) || !index.is_empty() && !index.split('|').any(served) {
            wrong.push(format!("{name}, {index}:\n{sql}\n{plan}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn on_sqlite_every_page_reads_by_indexes() {
    let statements = statements(&Bench::new(Engine::Postgres).await).await;
    let bench = Bench::new(Engine::Sqlite).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let mut wrong = Vec::new();
    for List { name, index, sql } in statements {
        let plan = sqlite_plan(&mut conn, &sql).await;
        let mut scans = plan.iter().filter_map(|step| step.strip_prefix("SCAN "));
        let few = |step: &str| {
            let table = step.split(' ').next().unwrap_or_default();
            let made = table.starts_with(['x', '(']) || table == "CONSTANT";
            made || step.contains(" USING ") || FEW.contains(&table)
        };
        // What is written by its key says nothing of how.
        let says_nothing = index.is_empty() || sql.starts_with("INSERT");
        let served = says_nothing || index.split('|').any(|index| served(&plan, index));
        if !scans.all(few) || !served {
            wrong.push(format!("{name}, {index}:\n{sql}\n{plan:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Whether a step of a plan reads by this index. SQLite has names of its own for the indexes of
/// keys, or none.
fn served(plan: &[String], index: &str) -> bool {
    let of_key = index.ends_with("_key") || index.ends_with("_pkey");
    let table = |automatic: &str| {
        let table = automatic.rsplit_once('_').map_or(automatic, |(table, _)| table);
        index.strip_prefix(table).is_some_and(|rest| rest.starts_with('_'))
    };
    plan.iter().any(|step| {
        let mut words = step.split_whitespace();
        let named = words.any(|word| {
            word.starts_with(index)
                || of_key && word.strip_prefix("sqlite_autoindex_").is_some_and(table)
        });
        named && step.contains(" INDEX ") || of_key && step.contains("PRIMARY KEY")
    })
}

/// Protects a page in the middle of a stretch of time, and of a walk that ends somewhere, from
/// being read from the end of it on: each side of what is read is a bound of the index.
#[tokio::test]
async fn on_sqlite_a_stretch_is_read_from_where_the_page_is() {
    let bench = Bench::new(Engine::Postgres).await;
    let filter = Filter { from: Some(1), to: Some(time::DAY), ..Filter::default() };
    let place = Key { at: time::HOUR, id: "x".to_owned() };
    let sqlite = Bench::new(Engine::Sqlite).await;
    let mut conn = sqlite.desk.store.read().await.unwrap();
    for (seek, bounds) in [
        (Seek::Newest, "(at>? AND at<?)"),
        (Seek::Older(place.clone()), "(at>? AND (at,id)<(?,?))"),
        (Seek::Newer(place), "((at,id)>(?,?) AND at<?)"),
    ] {
        let run = async |tx: &mut Tx| timeline::timeline(tx.conn(), &filter, &seek, true, 50).await;
        let asked = figure(&bench, format!("{seek:?}"), "audit_entry_time", run).await;
        let plan = sqlite_plan(&mut conn, &asked.sql).await;
        assert!(plan[0].ends_with(bounds), "{seek:?}: {plan:#?}");
    }
    for List { name, sql, .. } in of_frequent(&bench).await {
        if !name.starts_with("look by") {
            continue;
        }
        let plan = sqlite_plan(&mut conn, &sql).await;
        assert!(plan[0].contains("(at,id)>(?,?)"), "{name}: {plan:#?}");
        // What is looked up for each place is looked up in an index, and not in the row.
        let looked_up = plan.iter().any(|step| {
            step.starts_with("SEARCH x ") && step.contains(" USING COVERING INDEX ")
                || step.starts_with("SEARCH t ") && step.contains(" USING PRIMARY KEY ")
        });
        // Org and action lead together: then nothing is left to be looked up.
        let nothing = plan[0].contains(" audit_entry_org_action ");
        assert!(looked_up || nothing, "{name}: {plan:#?}");
    }
}
