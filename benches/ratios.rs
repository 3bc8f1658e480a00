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

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use keyturn::audit::verify::{Claim, agree, largest_first, whole_log_against};
use keyturn::audit::{LogId, create_log};
use keyturn::desk::{AtWork, Desk};
use keyturn::model::{StaffRole, time};
use keyturn::proof::Hash;
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

/// Reads every row of a log with all its columns, and hashes it into the tree.
async fn read_and_hash(desk: &Desk, head: &audit::Head) -> Result<Hash, Failure> {
    let mut conn = desk.store.read().await?;
    let (mut frontier, mut from) = (Frontier::new(), 0);
    while from < head.size {
        let rows = audit::range(&mut conn, &head.id, from, 1000).await?;
        let Some(last) = rows.last() else { break };
        from = last.seq + 1;
        for row in &rows {
            frontier.push(leaf_hash(row.body.as_bytes()));
        }
    }
    Ok(frontier.root())
}

/// The processor time that this process has used, in seconds. Linux counts it in hundredths.
fn processor_time() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

/// How long something takes: by the clock, and of the processors.
async fn timed<T>(what: impl Future<Output = Result<T, Failure>>) -> Result<(f64, f64), Failure> {
    let (begun, used) = (Instant::now(), processor_time()?);
    std::hint::black_box(what.await?);
    Ok((begun.elapsed().as_secs_f64(), processor_time()? - used))
}

async fn verify(data: &Path) -> Result<(), Failure> {
    let desk = desk(data, None).await?;
    let heads = audit::heads(&mut *desk.store.read().await?).await?;
    let verifiers = desk.keys.log.verifiers();
    let rows: i64 = heads.iter().map(|h| h.size).sum();
    let at_once = desk.store.readers_at_once();
    println!(
        "## Verifying whole logs, and what they recorded of each other: {rows} rows in {} logs\n",
        heads.len()
    );
    let plain = async |at_once: usize| {
        let roots = stream::iter(largest_first(&heads))
            .map(|head| read_and_hash(&desk, head))
            .buffer_unordered(at_once);
        roots.try_collect::<Vec<Hash>>().await
    };
    let whole = async || {
        let one = async |head: &audit::Head| {
            let mut conn = desk.store.read().await?;
            let found = whole_log_against(&mut conn, &verifiers, ORIGIN, head, &[], |_| {}).await?;
            found.map(|verified| verified.claims).map_err(|fault| Failure::from(fault.to_string()))
        };
        let found = stream::iter(largest_first(&heads)).map(one).buffer_unordered(at_once);
        let claims: Vec<Vec<Claim>> = found.try_collect().await?;
        let mut conn = desk.store.read().await?;
        let claims = claims.into_iter().flatten().collect();
        agree(&mut conn, &heads, claims).await?.map_err(|fault| Failure::from(fault.to_string()))
    };
    let mut ratios = Vec::new();
    for round in 1..=5 {
        let (one, one_used) = timed(plain(1)).await?;
        let (many, many_used) = timed(plain(at_once)).await?;
        let (took, used) = timed(whole()).await?;
        ratios.push((one / took, many / took, one_used / used));
        println!(
            "round {round}: reading and hashing {one:.1} s over one connection (processors {one_used:.1} s), \
             {many:.1} s over {at_once} ({many_used:.1} s); verifying {took:.1} s ({used:.1} s)"
        );
    }
    let median = |of: fn(&(f64, f64, f64)) -> f64| {
        let mut all: Vec<f64> = ratios.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        100.0 * all[all.len() / 2]
    };
    let (one, many, used) = (median(|r| r.0), median(|r| r.1), median(|r| r.2));
    println!(
        "\nmedian: {one:.0} % of the speed of reading and hashing over one connection, {many:.0} % over as many; \
         {used:.0} % by processor time\n"
    );
    desk.store.close().await;
    if many < 75.0 {
        return Err(format!(
            "verifying is slower than three quarters of reading and hashing: {many:.0} %"
        )
        .into());
    }
    Ok(())
}
