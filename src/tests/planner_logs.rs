//! What is counted of the logs, and what proofs and searches read of them besides lists, is served
//! by indexes on both engines.

use sqlx::{Connection as _, PgConnection};

use super::planner::{List, filters, postgres_plan, run, sqlite_plan};
use super::planner_overview::figure;
use crate::store::audit::{self, Filter, Stretch};
use crate::store::proven;
use crate::store::timeline::Question;
use crate::store::{Engine, Tx};
use crate::testing::Bench;
use crate::testing::story::{ADA, STUCK};

/// The statements. An index is named by the beginning of its name: where no order is asked for,
/// an engine may take another one with the same first column.
async fn statements(b: &Bench) -> Vec<List> {
    let mut all = Vec::new();
    for (what, index, filter) in filters() {
        // Everything is counted from whichever index is smallest.
        let counted_from = if filter == Filter::default() { "" } else { index };
        let run = async |tx: &mut Tx| audit::count(tx.conn(), &filter).await;
        all.push(figure(b, format!("count by {what}"), counted_from, run).await);
        let run = async |tx: &mut Tx| {
            let question = Question::of(tx.conn(), &filter).await?.for_all(tx.conn()).await?;
            question.counts(tx.conn(), &[(0, 300), (300, 600), (600, 900)]).await
        };
        all.push(figure(b, format!("strip by {what}"), index, run).await);
    }
    all.extend(names(b).await);
    all.extend(proofs(b).await);
    all
}

/// What asks whether a word is an id: the last one asked is the one that finds it.
async fn names(b: &Bench) -> Vec<List> {
    let ada = b.at_work(ADA).await;
    let grant = b.impersonate(&ada, STUCK).await.unwrap();
    let row = b.rows("platform").await.pop().unwrap();
    let mut all = Vec::new();
    for (text, index, column) in [
        (grant.id, "audit_entry_impersonation", "impersonation_id"),
        (row.id, "audit_entry_id_key", "id"),
        (grant.org_id, "audit_entry_org", "org_id"),
        (ADA.to_owned(), "audit_entry_actor", "actor_id"),
    ] {
        let filter = Filter { text: Some(text), ..Filter::default() };
        let run = async |tx: &mut Tx| Question::of(tx.conn(), &filter).await;
        let asked = figure(b, format!("whether a word is in {column}"), index, run).await;
        assert!(asked.sql.contains(&format!("WHERE {column} = $1")), "{}", asked.sql);
        all.push(asked);
    }
    all
}

async fn proofs(b: &Bench) -> Vec<List> {
    let ids = ["x".to_owned(), "y".to_owned()];
    let stretch = |level| Stretch { log_id: "platform".to_owned(), level, from: 0, to: 256 };
    let (leaves, roots) = ([stretch(0), stretch(0)], [stretch(8), stretch(16)]);
    vec![
        figure(b, "rows of trails", "audit_entry_impersonation", async |tx: &mut Tx| {
            audit::of_impersonations(tx.conn(), &ids).await
        })
        .await,
        figure(b, "heads", "audit_log_pkey", async |tx: &mut Tx| {
            audit::heads_of(tx.conn(), &ids).await
        })
        .await,
        figure(b, "tiles", "audit_tile_pkey", async |tx: &mut Tx| {
            audit::tiles(tx.conn(), &roots).await
        })
        .await,
        figure(b, "a stretch of tiles", "audit_tile_pkey", async |tx: &mut Tx| {
            proven::tiles_of(tx.conn(), "platform", 0, 0, 64).await
        })
        .await,
        figure(b, "rows to verify", "audit_entry_pkey", async |tx: &mut Tx| {
            proven::rows(tx.conn(), "platform", 0, 1000).await
        })
        .await,
        figure(b, "rows to verify, as one text", "audit_entry_pkey", async |tx: &mut Tx| {
            proven::together(tx.conn(), "platform", 0, 256, &[0; 256 * 32]).await
        })
        .await,
        figure(b, "checkpoints to verify", "audit_checkpoint_pkey", async |tx: &mut Tx| {
            proven::checkpoints(tx.conn(), "platform", 0, 1000).await
        })
        .await,
        figure(b, "leaves", "audit_entry_pkey", async |tx: &mut Tx| {
            audit::nodes(tx.conn(), &leaves).await
        })
        .await,
        figure(b, "roots of subtrees", "audit_subtree_pkey", async |tx: &mut Tx| {
            audit::nodes(tx.conn(), &roots).await
        })
        .await,
    ]
}

/// A word alone is counted without looking at a single row.
fn from_the_key_alone(name: &str) -> bool {
    ["a word", "a verdict", "a check", "a word and time"].iter().any(|what| {
        name.strip_prefix("count by ") == Some(what) || name.strip_prefix("strip by ") == Some(what)
    })
}

#[tokio::test]
async fn on_postgres_what_is_counted_and_proven_is_read_from_an_index() {
    let bench = Bench::new(Engine::Postgres).await;
    let statements = statements(&bench).await;
    assert_eq!(statements.iter().filter(|s| from_the_key_alone(&s.name)).count(), 8);
    let mut conn = PgConnection::connect(&bench.url).await.unwrap();
    for off in ["enable_seqscan", "enable_bitmapscan"] {
        run(&mut conn, format!("SET {off} = off")).await;
    }
    run(&mut conn, "SET plan_cache_mode = force_generic_plan".to_owned()).await;
    for List { name, index, sql } in statements {
        let plan = postgres_plan(&mut conn, &sql).await;
        assert!(!plan.contains("Seq Scan"), "{name}:\n{sql}\n{plan}");
        assert!(plan.contains(&format!(" using {index}")), "{name}, {index}:\n{sql}\n{plan}");
        if from_the_key_alone(&name) {
            let alone = plan.contains("Index Only Scan") && !plan.contains("audit_entry");
            assert!(alone, "{name}:\n{sql}\n{plan}");
        }
    }
}

#[tokio::test]
async fn on_sqlite_what_is_counted_and_proven_is_read_from_an_index() {
    let statements = statements(&Bench::new(Engine::Postgres).await).await;
    let bench = Bench::new(Engine::Sqlite).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    for List { name, index, sql } in statements {
        let plan = sqlite_plan(&mut conn, &sql).await;
        for step in &plan {
            // What a statement made for itself may be read from end to end.
            let of_table = step.strip_prefix("SCAN ").is_some_and(|of| !of.starts_with(['x', '(']));
            let whole = of_table && !step.contains(" USING ") && step != "SCAN CONSTANT ROW";
            assert!(!whole, "{name}:\n{sql}\n{plan:#?}");
        }
        // SQLite names the index of a key after its table, or not at all.
        let table = index.trim_end_matches("_pkey").trim_end_matches("_id_key");
        let automatic = format!("sqlite_autoindex_{table}_");
        let served = plan.iter().any(|step| {
            let named = step.contains(" INDEX ")
                && step.split_whitespace().any(|word| {
                    word.starts_with(index) || table != index && word.starts_with(&automatic)
                });
            named || index.ends_with("_pkey") && step.contains("USING PRIMARY KEY")
        });
        assert!(served, "{name}, {index}:\n{sql}\n{plan:#?}");
        if from_the_key_alone(&name) {
            assert!(!sql.contains("audit_entry"), "{name}: {sql}");
            assert!(plan.iter().any(|s| s.contains(" d USING PRIMARY KEY")), "{name}: {plan:#?}");
        }
    }
}
