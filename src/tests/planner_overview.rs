//! The lists behind the overview are served by indexes that have their order, and its figures are
//! counted from indexes.

use sqlx::{Connection as _, PgConnection};

use super::planner::{List, list, postgres_plan, run, sqlite_plan};
use crate::proof::verdict::Verdict;
use crate::store::{Engine, Key, Result, Tx, overview, owner_keys, standing};
use crate::testing::Bench;

/// The lists.
pub(super) async fn lists(b: &Bench) -> Vec<List> {
    let mut all = Vec::new();
    let key = Key { at: 1, id: "x".to_owned() };
    for before in [None, Some(&key)] {
        let name = |list: &str| format!("{list}, beyond {before:?}");
        let run = async |tx: &mut Tx| standing::page(tx.conn(), Verdict::Open, before, 5).await;
        all.push(list(b, name("trails by verdict"), "trail_standing_word", run).await);
        let run = async |tx: &mut Tx| standing::page_overstayed(tx.conn(), before, 5).await;
        all.push(list(b, name("open too long"), "trail_standing_overstayed", run).await);
        let run =
            async |tx: &mut Tx| overview::open_for(tx.conn(), (0, 9), (60, 120), before, 5).await;
        all.push(list(b, name("open for minutes"), "trail_standing_opened", run).await);
        let run = async |tx: &mut Tx| {
            overview::ended_after_handoff(tx.conn(), (0, 9), true, before, 5).await
        };
        all.push(list(b, name("ended after the handoff"), "trail_standing_opened", run).await);
        let run = async |tx: &mut Tx| standing::page_ungranted(tx.conn(), before, 0, 5).await;
        all.push(list(b, name("trails without a grant"), "trail_standing_opened", run).await);
        let run = async |tx: &mut Tx| overview::unacknowledged(tx.conn(), before, 5).await;
        all.push(list(b, name("not acknowledged"), "handoff_unacknowledged", run).await);
    }
    let run = async |tx: &mut Tx| standing::due_by_time(tx.conn(), 9, 5).await;
    all.push(list(b, "trails that are due", "trail_standing_due", run).await);
    let run = async |tx: &mut Tx| owner_keys::expiring(tx.conn(), 9, 5).await;
    all.push(list(b, "keys that expire", "owner_key_expiry_at", run).await);
    all
}

/// A figure, the index it is counted from, and its statement.
pub(super) async fn figure<T>(
    bench: &Bench,
    name: impl Into<String>,
    index: &'static str,
    ask: impl AsyncFnOnce(&mut Tx) -> Result<T>,
) -> List {
    let name = name.into();
    let mut tx = bench.desk.begin().await.unwrap();
    let pid: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(tx.conn()).await.unwrap();
    ask(&mut tx).await.unwrap();
    let mut other = bench.desk.store.read().await.unwrap();
    let sql: String = sqlx::query_scalar("SELECT query FROM pg_stat_activity WHERE pid = $1")
        .bind(pid)
        .fetch_one(&mut *other)
        .await
        .unwrap();
    List { name, index, sql }
}

async fn figures(b: &Bench) -> Vec<List> {
    vec![
        figure(b, "lengths", "trail_standing_opened", async |tx: &mut Tx| {
            overview::lengths(tx.conn(), 0, 9).await
        })
        .await,
        figure(b, "rotations", "audit_entry_action", async |tx: &mut Tx| {
            overview::rotations(tx.conn(), 0, 0, 9).await
        })
        .await,
        figure(b, "denied", "denied_check_at", async |tx: &mut Tx| {
            overview::denied(tx.conn(), 0, 9).await
        })
        .await,
        figure(b, "served", "trail_standing_opened", async |tx: &mut Tx| {
            overview::served(tx.conn(), 0, 9, 10).await
        })
        .await,
        figure(b, "verdicts", "trail_standing_word", async |tx: &mut Tx| {
            standing::count(tx.conn(), Verdict::Open).await
        })
        .await,
        figure(b, "overstayed", "trail_standing_overstayed", async |tx: &mut Tx| {
            standing::count_overstayed(tx.conn()).await
        })
        .await,
        figure(b, "unacknowledged", "handoff_unacknowledged", async |tx: &mut Tx| {
            overview::count_unacknowledged(tx.conn()).await
        })
        .await,
    ]
}

#[tokio::test]
async fn on_postgres_every_figure_is_counted_from_an_index() {
    let bench = Bench::new(Engine::Postgres).await;
    let figures = figures(&bench).await;
    let mut conn = PgConnection::connect(&bench.url).await.unwrap();
    for off in ["enable_seqscan", "enable_bitmapscan"] {
        run(&mut conn, format!("SET {off} = off")).await;
    }
    run(&mut conn, "SET plan_cache_mode = force_generic_plan".to_owned()).await;
    for List { name, index, sql } in figures {
        let plan = postgres_plan(&mut conn, &sql).await;
        assert!(!plan.contains("Seq Scan"), "{name}:\n{sql}\n{plan}");
        assert!(plan.contains(&format!(" using {index} on ")), "{name}, {index}:\n{sql}\n{plan}");
    }
}

#[tokio::test]
async fn on_sqlite_every_figure_is_counted_from_an_index() {
    let figures = figures(&Bench::new(Engine::Postgres).await).await;
    let bench = Bench::new(Engine::Sqlite).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    for List { name, index, sql } in figures {
        let plan = sqlite_plan(&mut conn, &sql).await;
        // What was counted may then be sorted: it is a handful.
        let counted = plan.iter().any(|step| {
            step.contains(" INDEX ") && step.split_whitespace().any(|word| word == index)
        });
        assert!(counted, "{name}, {index}:\n{sql}\n{plan:#?}");
    }
}
