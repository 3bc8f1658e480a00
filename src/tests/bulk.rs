//! Rows written many at once are the very rows that one append after the other writes.

use sqlx::Row as _;

use std::path::Path;

use crate::audit::append::keep;
use crate::audit::bulk::Bulk;
use crate::audit::{Actor, LogId, LogKey, NewRow, append, create_log};
use crate::clock::{Rng as _, SeededRng};
use crate::model::{Micros, time};
use crate::store::orgs::{self, NewOrg};
use crate::store::{Engine, Store};
use crate::testing::{Bench, both_engines, postgres};

/// Every table that an append writes to, as text.
async fn dump(store: &Store) -> Vec<String> {
    let mut conn = store.read().await.unwrap();
    let hex = match store.engine() {
        Engine::Sqlite => |column: &str| format!("hex({column})"),
        Engine::Postgres => |column: &str| format!("upper(encode({column}, 'hex'))"),
    };
    let parts = [
        format!(
            "SELECT log_id || ' ' || seq || ' ' || id || ' ' || at || ' ' || action || ' ' || actor_id || ' ' || \
                 COALESCE(org_id, '-') || COALESCE(impersonation_id, '-') || COALESCE(ticket_ref, '-') || \
                 COALESCE(secret_type, '-') || body || {} FROM audit_entry ORDER BY log_id, seq",
            hex("leaf_hash")
        ),
        "SELECT term || ' ' || at || ' ' || id FROM audit_term ORDER BY 1".to_owned(),
        format!(
            "SELECT log_id || ' ' || level || ' ' || idx || ' ' || {} FROM audit_subtree ORDER BY 1",
            hex("hash")
        ),
        format!(
            "SELECT log_id || ' ' || level || ' ' || idx || ' ' || {} FROM audit_tile ORDER BY 1",
            hex("hashes")
        ),
        "SELECT log_id || ' ' || size || ' ' || at || ' ' || note FROM audit_checkpoint ORDER BY 1"
            .to_owned(),
        format!(
            "SELECT id || ' ' || size || ' ' || last_at || ' ' || checkpoint || {} FROM audit_log ORDER BY 1",
            hex("frontier")
        ),
    ];
    let mut all = Vec::new();
    for sql in parts {
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *conn).await.unwrap();
        all.extend(rows.iter().map(|row| row.get::<String, _>(0)));
    }
    all
}

/// Rows of three logs, at times that stand still, go on, and run back.
fn rows(start: Micros) -> Vec<(LogId, NewRow, Micros, bool)> {
    let rng = SeededRng::new(7);
    let draw = |below: u64| {
        let mut bytes = [0; 8];
        rng.fill(&mut bytes);
        u64::from_le_bytes(bytes) % below
    };
    let mut at = start;
    (0..700)
        .map(|n| {
            let log = match draw(5) {
                0 => LogId::Platform,
                1 => LogId::Org("org-acme".to_owned()),
                _ => LogId::Org("org-birch".to_owned()),
            };
            at += [0, 1, time::SECOND, 59 * time::SECOND, -time::SECOND]
                [usize::try_from(draw(5)).unwrap()];
            let mut row = NewRow::new("member.signed_in", &Actor::system()).with("n", n);
            if draw(3) == 0 {
                row = row.org("org-acme").ticket("NOV-4801");
                row.reason =
                    Some("rotate stuck webhook_signing_key per ticket NOV-4801".to_owned());
            }
            (log, row, at, draw(40) == 0)
        })
        .collect()
}

both_engines!(rows_written_many_at_once_are_those_of_one_append_after_the_other);

/// A database with three empty logs in it.
async fn fresh(engine: Engine, folder: &Path, key: &LogKey, now: Micros) -> Store {
    let url = match engine {
        Engine::Sqlite => Store::sqlite_in(folder),
        Engine::Postgres => postgres::database().await,
    };
    let store = Store::connect(&url, 2).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    create_log(tx.conn(), key, &LogId::Platform, now).await.unwrap();
    for org in ["org-acme", "org-birch"] {
        let new = NewOrg {
            id: org,
            slug: org,
            name: org,
            consent: false,
            owner_address: "owner@example",
            channel: None,
            pgp_key: None,
            shared_vault_id: None,
            created_at: now,
        };
        orgs::insert(tx.conn(), &new).await.unwrap();
        create_log(tx.conn(), key, &LogId::Org(org.to_owned()), now).await.unwrap();
    }
    tx.commit().await.unwrap();
    store
}

async fn rows_written_many_at_once_are_those_of_one_append_after_the_other(bench: Bench) {
    let (key, now) = (&bench.desk.keys.log, bench.now());
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let one = fresh(bench.engine(), folders[0].path(), key, now).await;
    let many = fresh(bench.engine(), folders[1].path(), key, now).await;
    let all = rows(now + time::HOUR);

    let rng = SeededRng::new(11);
    for (log, row, at, kept) in all.clone() {
        let mut tx = one.begin().await.unwrap();
        let appended = append(&mut tx, key, &rng, &log, row, at).await.unwrap();
        if kept {
            keep(&mut tx, &log, &appended).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    let rng = SeededRng::new(11);
    let mut bulk = Bulk::new(key, &rng);
    // The second half is written by one that takes the logs up where they are.
    for (n, part) in all.chunks(200).enumerate() {
        if n == 2 {
            bulk = Bulk::new(key, &rng);
        }
        let mut tx = many.begin().await.unwrap();
        for (log, row, at, kept) in part {
            bulk.open(&mut tx, log).await.unwrap();
            bulk.append(log, row.clone(), *at).unwrap();
            if *kept {
                bulk.keep(log).unwrap();
            }
        }
        bulk.flush(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    let (one, many) = (dump(&one).await, dump(&many).await);
    assert!(one.iter().any(|row| row.starts_with("org/org-birch 0 0 ")), "a tile was full");
    assert_eq!(one.len(), many.len());
    for (one, many) in one.iter().zip(&many) {
        assert_eq!(one, many);
    }
}
