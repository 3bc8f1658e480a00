//! Every list is served by an index that has its order: the engines' own planners say so.
//!
//! The statement that a function runs is read from PostgreSQL's list of what its connections ran
//! last; it is the same text on both engines.

use sqlx::{AnyConnection, Connection as _, PgConnection, Row as _};

use crate::model::{Stand, TicketState, time};
use crate::proof::verdict::Verdict;
use crate::store::audit::{self, Filter, Seek};
use crate::store::log_list::{self, Wanted};
use crate::store::{Engine, Key, Result, Tx, impersonations, orgs, outbox, tickets, verification};
use crate::testing::Bench;

/// What a list is called, the index that serves it, and its statement.
pub(super) struct List {
    pub(super) name: String,
    pub(super) index: &'static str,
    pub(super) sql: String,
}

/// Runs a list in a transaction, and asks another connection for its statement.
pub(super) async fn list<T>(
    bench: &Bench,
    name: impl Into<String>,
    index: &'static str,
    run: impl AsyncFnOnce(&mut Tx) -> Result<T>,
) -> List {
    let name = name.into();
    let mut tx = bench.desk.begin().await.unwrap();
    let pid: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(tx.conn()).await.unwrap();
    run(&mut tx).await.unwrap();
    let mut other = bench.desk.store.read().await.unwrap();
    let sql: String = sqlx::query_scalar("SELECT query FROM pg_stat_activity WHERE pid = $1")
        .bind(pid)
        .fetch_one(&mut *other)
        .await
        .unwrap();
    assert!(sql.contains("ORDER BY") && sql.contains("LIMIT"), "{name} is a list: {sql}");
    List { name, index, sql }
}

async fn lists(b: &Bench) -> Vec<List> {
    let mut all = Vec::new();
    let key = Key { at: 1, id: "x".to_owned() };
    for before in [None, Some(&key)] {
        let name = |list: &str| format!("{list}, beyond {before:?}");
        for (list_of, index, filter) in [
            ("tickets", "ticket_queue", tickets::Filter::default()),
            (
                "open tickets",
                "ticket_queue_state",
                tickets::Filter { state: Some(TicketState::Open), ..Default::default() },
            ),
            (
                "an org's tickets",
                "ticket_of_org",
                tickets::Filter { org_id: Some("org-acme".to_owned()), ..Default::default() },
            ),
        ] {
            let run = async |tx: &mut Tx| tickets::page(tx.conn(), &filter, before, 50).await;
            all.push(list(b, name(list_of), index, run).await);
        }
        let run = async |tx: &mut Tx| impersonations::page(tx.conn(), false, before, 50).await;
        all.push(list(b, name("impersonations"), "impersonation_by_start", run).await);
        let run = async |tx: &mut Tx| impersonations::page(tx.conn(), true, before, 50).await;
        all.push(list(b, name("live impersonations"), "impersonation_live_by_start", run).await);
        let after = before.map(|_| ("a name", "an id"));
        let run = async |tx: &mut Tx| orgs::page(tx.conn(), after, 50).await;
        all.push(list(b, name("orgs"), "org_by_name", run).await);
    }
    for (what, wanted) in [
        ("logs", Wanted::default()),
        ("logs of an org", Wanted { org: Some("acme".to_owned()), ..Wanted::default() }),
        ("logs in doubt", Wanted { in_doubt: true, ..Wanted::default() }),
    ] {
        let run = async |tx: &mut Tx| log_list::page(tx.conn(), &wanted, 50).await;
        all.push(list(b, what, "audit_log_pkey", run).await);
    }
    let run = async |tx: &mut Tx| verification::failed_since(tx.conn(), 1).await;
    all.push(list(b, "failed verifications", "log_verification_failed", run).await);
    let run = async |tx: &mut Tx| verification::newest_held(tx.conn()).await;
    all.push(list(b, "the newest verification that held", "log_verification_failed", run).await);
    let run = async |tx: &mut Tx| impersonations::of_ticket(tx.conn(), "NOV-4801").await;
    all.push(list(b, "a ticket's impersonations", "impersonation_of_ticket", run).await);
    let run =
        async |tx: &mut Tx| outbox::take_next(tx, crate::model::OutboxKind::Mail, "x", 0, 1).await;
    all.push(list(b, "what is due", "outbox_due", run).await);
    let run = async |tx: &mut Tx| audit::of_ticket(tx.conn(), "NOV-4801", 50).await;
    all.push(list(b, "a ticket's rows", "audit_entry_ticket", run).await);
    let run = async |tx: &mut Tx| audit::of_impersonation(tx.conn(), "x").await;
    all.push(list(b, "an impersonation's rows", "audit_entry_impersonation", run).await);
    for seek in [Seek::Newest, Seek::Older(key.clone()), Seek::Newer(key.clone())] {
        for (what, index, filter) in filters() {
            for grouped in [false, true] {
                let name = format!("timeline by {what}, {seek:?}, grouped {grouped}");
                let run = async |tx: &mut Tx| {
                    audit::timeline(tx.conn(), &filter, &seek, grouped, 50).await
                };
                all.push(list(b, name, index, run).await);
            }
        }
    }
    all.extend(super::planner_overview::lists(b).await);
    all
}

/// What a timeline is narrowed to, and the index that then leads.
pub(super) fn filters() -> Vec<(&'static str, &'static str, Filter)> {
    let x = || Some("x".to_owned());
    let any = Filter::default;
    vec![
        ("nothing", "audit_entry_time", any()),
        ("org", "audit_entry_org", Filter { org_id: x(), ..any() }),
        ("ticket", "audit_entry_ticket", Filter { ticket: x(), ..any() }),
        ("admin", "audit_entry_actor", Filter { admin: x(), ..any() }),
        ("impersonation", "audit_entry_impersonation", Filter { impersonation: x(), ..any() }),
        ("action", "audit_entry_action", Filter { action: x(), ..any() }),
        ("secret type", "audit_entry_secret_type", Filter { secret_type: x(), ..any() }),
        ("a word", "audit_term_pkey", Filter { text: x(), ..any() }),
        ("words", "audit_term_pkey", Filter { text: Some("x y".to_owned()), ..any() }),
        ("a verdict", "audit_term_pkey", Filter { verdict: Some(Verdict::Open), ..any() }),
        ("a length", "audit_term_pkey", Filter { open_for: Some(5), ..any() }),
        ("a standing", "audit_term_pkey", Filter { standing: Some(Stand::Late), ..any() }),
        ("a check", "audit_term_pkey", Filter { check: x(), ..any() }),
        ("a word and time", "audit_term_pkey", Filter { text: x(), from: Some(1), ..any() }),
        ("org and action", "audit_entry_org_action", Filter { org_id: x(), action: x(), ..any() }),
        ("org and a word", "audit_entry_org", Filter { org_id: x(), text: x(), ..any() }),
        ("time", "audit_entry_time", Filter { from: Some(1), to: Some(time::DAY), ..any() }),
        (
            "org, type and a word",
            "audit_entry_org",
            Filter { org_id: x(), secret_type: x(), text: x(), ..any() },
        ),
        (
            "admin, action and a verdict",
            "audit_entry_actor",
            Filter { admin: x(), action: x(), verdict: Some(Verdict::Open), ..any() },
        ),
        (
            "org, action and a word",
            "audit_entry_org_action",
            Filter { org_id: x(), action: x(), text: x(), ..any() },
        ),
        (
            "org, action and time",
            "audit_entry_org_action",
            Filter { org_id: x(), action: x(), from: Some(1), to: Some(time::DAY), ..any() },
        ),
        (
            "a check, a word and time",
            "audit_term_pkey",
            Filter { check: x(), text: x(), from: Some(1), to: Some(time::DAY), ..any() },
        ),
        ("org and time", "audit_entry_org", Filter { org_id: x(), from: Some(1), ..any() }),
    ]
}

#[tokio::test]
async fn on_postgres_every_list_is_read_from_its_index_in_order() {
    let bench = Bench::new(Engine::Postgres).await;
    let lists = lists(&bench).await;
    let mut conn = PgConnection::connect(&bench.url).await.unwrap();
    // With few rows it is cheaper to read them all and sort them. Sorting and reading them all
    // made dear, what is left is what it will do with many.
    for off in ["enable_seqscan", "enable_sort", "enable_incremental_sort", "enable_bitmapscan"] {
        run(&mut conn, format!("SET {off} = off")).await;
    }
    run(&mut conn, "SET plan_cache_mode = force_generic_plan".to_owned()).await;
    for List { name, index, sql } in lists {
        let plan = postgres_plan(&mut conn, &sql).await;
        assert!(!plan.contains("Sort") && !plan.contains("Seq Scan"), "{name}:\n{sql}\n{plan}");
        assert!(plan.contains(&format!(" using {index} on ")), "{name}, {index}:\n{sql}\n{plan}");
    }
}

/// PostgreSQL's plan of a statement that does not know its values yet.
pub(super) async fn postgres_plan(conn: &mut PgConnection, sql: &str) -> String {
    run(conn, format!("PREPARE asked AS {sql}")).await;
    let values = match (1..).take_while(|n| sql.contains(&format!("${n}"))).count() {
        0 => String::new(),
        n => format!("({})", vec!["NULL"; n].join(", ")),
    };
    let plan = run(conn, format!("EXPLAIN EXECUTE asked{values}")).await.join("\n");
    run(conn, "DEALLOCATE asked".to_owned()).await;
    plan
}

/// SQLite's plan of a statement, step by step.
pub(super) async fn sqlite_plan(conn: &mut AnyConnection, sql: &str) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::raw_sql(explain).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(3)).collect()
}

/// The first column of what a statement gives.
pub(super) async fn run(conn: &mut PgConnection, sql: String) -> Vec<String> {
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).fetch_all(conn).await;
    let rows = rows.unwrap_or_else(|e| panic!("{sql}: {e}"));
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

#[tokio::test]
async fn on_sqlite_every_list_is_read_from_its_index_in_order() {
    let statements = lists(&Bench::new(Engine::Postgres).await).await;
    let bench = Bench::new(Engine::Sqlite).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    for List { name, index, sql } in statements {
        let plan = sqlite_plan(&mut conn, &sql).await;
        for step in &plan {
            let whole = step.starts_with("SCAN") && !step.contains(" USING ");
            assert!(!whole && !step.contains("TEMP B-TREE"), "{name}:\n{sql}\n{plan:#?}");
        }
        // The two name the index of a primary key each in its own way, and SQLite has no name for
        // the order in which a table itself is kept.
        let key = index.strip_suffix("_pkey").map(|table| format!("sqlite_autoindex_{table}_1"));
        let names = [Some(index), key.as_deref()];
        let used = plan[0].split_whitespace().any(|word| names.contains(&Some(word)))
            || key.is_some() && plan[0].contains("USING PRIMARY KEY");
        assert!(used, "{name}, {index}:\n{sql}\n{plan:#?}");
    }
}
