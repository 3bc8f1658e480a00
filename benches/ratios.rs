//! What the product costs against the least that could do the same, measured in one run and in
//! turns, so that a busy machine slows both sides alike: `make bench`.
//!
//! - The timeline, page by page and filter by filter, in a data folder of `keyturn bench-data`:
//!   against an axum handler that serves the very same bytes, and against the bare query. It fails
//!   where a page takes too long (`site/timeline.rs`).
//! - Minting an impersonation token: against a bare commit of two rows.
//! - Verifying whole logs: against reading and hashing the same rows.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use keyturn::audit::verify::{cross_recorded, largest_first, whole_log};
use keyturn::audit::{LogId, create_log};
use keyturn::desk::{AtWork, Desk};
use keyturn::model::{StaffRole, time};
use keyturn::proof::merkle::{Frontier, leaf_hash};
use keyturn::store::audit;

#[path = "site/mod.rs"]
mod site;
#[path = "site/timeline.rs"]
mod timeline;
use site::{Failure, ORIGIN, desk};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let data = site::data()?;
    let mut words = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let (only, filter) = (words.next(), words.next());
    let wanted = |what: &str| only.as_deref().is_none_or(|only| only == what);
    let mut missed = Vec::new();
    if wanted("timeline") {
        missed = timeline::measure(&data, filter.as_deref()).await?;
    }
    if wanted("mint") {
        mint().await?;
    }
    if wanted("verify") {
        verify(&data).await?;
    }
    if missed.is_empty() {
        return Ok(());
    }
    for missed in &missed {
        eprintln!("{missed}");
    }
    Err(format!("{} pages are not as fast as they have to be", missed.len()).into())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

// Minting --------------------------------------------------------------------------------

async fn mint() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let desk = desk(folder.path(), None).await?;
    let mut tx = desk.begin().await?;
    create_log(tx.conn(), &desk.keys.log, &LogId::Platform, desk.now()).await?;
    tx.commit().await?;
    keyturn::demo::seed::seed(&desk, folder.path(), "http://127.0.0.1:1").await?;
    let who = {
        let mut conn = desk.store.read().await?;
        let all = keyturn::store::staff::all(&mut conn).await?;
        let admin = all.into_iter().find(|s| s.role == StaffRole::PlatformAdmin);
        AtWork {
            staff: admin.ok_or("the story has no admin")?,
            session_id: "bench".to_owned(),
            proven_at: desk.now(),
            session_ends_at: desk.now() + time::HOUR,
            from: "127.0.0.1".to_owned(),
        }
    };
    let mut tx = desk.begin().await?;
    sqlx::query("CREATE TABLE bare (id TEXT PRIMARY KEY, body TEXT NOT NULL)")
        .execute(tx.conn())
        .await?;
    tx.commit().await?;
    let body = "x".repeat(700);
    let (mut mints, mut bares) = (Vec::new(), Vec::new());
    for n in 0..200 {
        let begun = Instant::now();
        let mut tx = desk.begin().await?;
        let step = desk.impersonate(&mut tx, &who, "NOV-4801").await;
        let grant = desk.settle(tx, step).await?;
        mints.push(begun.elapsed());

        let begun = Instant::now();
        let mut tx = desk.begin().await?;
        for log in ["platform", "org"] {
            sqlx::query("INSERT INTO bare (id, body) VALUES ($1, $2)")
                .bind(format!("{log}-{n}"))
                .bind(&body)
                .execute(tx.conn())
                .await?;
        }
        tx.commit().await?;
        bares.push(begun.elapsed());

        let mut tx = desk.begin().await?;
        let step = desk.end_by_admin(&mut tx, &who, &grant.id).await;
        desk.settle(tx, step).await?;
    }
    let (mint, bare) = (median(mints), median(bares));
    println!("## Minting: all nine checks, the token, rows in both logs, one durable commit\n");
    println!(
        "mint {mint:.2} ms, bare commit of two rows {bare:.2} ms at the median of 200: {:.1} times\n",
        mint / bare
    );
    desk.store.close().await;
    Ok(())
}

// Verification ---------------------------------------------------------------------------

async fn verify(data: &Path) -> Result<(), Failure> {
    let desk = desk(data, None).await?;
    let mut conn = desk.store.read().await?;
    let heads = audit::heads(&mut conn).await?;
    let verifiers = desk.keys.log.verifiers();
    let rows: i64 = heads.iter().map(|h| h.size).sum();
    println!("## Verifying whole logs: {rows} rows in {} logs\n", heads.len());
    let mut ratios = Vec::new();
    for round in 1..=3 {
        let begun = Instant::now();
        let mut root = Vec::new();
        for head in &heads {
            let (mut frontier, mut from) = (Frontier::new(), 0);
            while from < head.size {
                let rows = audit::range(&mut conn, &head.id, from, 1000).await?;
                let Some(last) = rows.last() else { break };
                from = last.seq + 1;
                for row in &rows {
                    frontier.push(leaf_hash(row.body.as_bytes()));
                }
            }
            root.push(frontier.root());
        }
        std::hint::black_box(root);
        let bare = begun.elapsed().as_secs_f64();

        let begun = Instant::now();
        let one = async |head: &audit::Head| {
            let mut conn = desk.store.read().await.map_err(|e| e.to_string())?;
            let found = whole_log(&mut conn, &verifiers, ORIGIN, head, |_| {}).await;
            found.map_err(|e| e.to_string())?.map_err(|fault| fault.to_string())
        };
        let mut found = stream::iter(largest_first(&heads))
            .map(one)
            .buffer_unordered(desk.store.readers_at_once());
        while let Some(found) = found.next().await {
            found?;
        }
        drop(found);
        let whole = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        cross_recorded(&mut conn, &verifiers, &heads).await?.map_err(|fault| fault.to_string())?;
        let cross = begun.elapsed().as_secs_f64();
        ratios.push(bare / whole);
        println!(
            "round {round}: reading and hashing {bare:.1} s, verifying {whole:.1} s ({:.0} % of that speed); \
             what the logs recorded of each other {cross:.1} s",
            100.0 * bare / whole
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "\nmedian: {:.0} % of reading and hashing the same rows\n",
        100.0 * ratios[ratios.len() / 2]
    );
    drop(conn);
    desk.store.close().await;
    Ok(())
}
