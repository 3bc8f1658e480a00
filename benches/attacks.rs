//! Attacks on the logs of a data folder of `keyturn bench-data`, by somebody who holds the
//! database: `make attacks`. Each is made on a copy, and has to be found by `keyturn verify` and by
//! *Verify now* on the page of the logs.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyturn::delivery::witness::FolderWitness;
use keyturn::proof::checkpoint::Checkpoint;
use keyturn::proof::merkle::{Frontier, leaf_hash};
use keyturn::store::audit;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

#[path = "site/mod.rs"]
mod site;
use site::{Failure, desk, fetch, post, router, signed_in};

/// What is done, and what has to be said of it.
struct Attack {
    name: &'static str,
    /// The log that it is about.
    log: &'static str,
    /// What the command has to say, each in a line that begins with FAULT.
    says: &'static [&'static str],
}

const ATTACKS: [Attack; 6] = [
    Attack {
        name: "one byte of a row changed",
        log: "org/org-0001",
        says: &["log org/org-0001, row 20123: its text was changed"],
    },
    Attack {
        name: "one byte of a row changed, and its hash made to fit",
        log: "platform",
        says: &["changed together with its hash"],
    },
    Attack {
        name: "one row deleted",
        log: "platform",
        says: &["log platform, row 111111: rows 111111 to 111111 are missing"],
    },
    Attack {
        name: "two rows swapped",
        log: "org/org-0002",
        says: &["log org/org-0002, row 7000: its text is that of row 7001"],
    },
    Attack {
        name: "the end cut off, with everything that knew of it",
        log: "org/org-0001",
        says: &["log org/org-0001, row ", "somebody else has seen", "recorded"],
    },
    Attack {
        name: "a log replaced by an older copy of itself",
        log: "platform",
        says: &["log platform, row ", "somebody else has seen", "recorded"],
    },
];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let data = site::data()?;
    let work = tempfile::tempdir_in(data.parent().unwrap_or(Path::new(".")))?;
    let base = work.path().join("base");
    copy(&data, &base)?;
    let kept_by = work.path().join("witness");
    // Before anything is tampered with, somebody signs in, and the logs are witnessed.
    {
        let desk = Arc::new(desk(&base, None).await?);
        signed_in(&desk, &router(&desk)).await?;
        let witness = FolderWitness::new(kept_by.clone());
        while desk.witness_due(&witness).await? > 0 {}
        desk.store.close().await;
    }
    println!("| attack | found by `keyturn verify` | in | by the page | in |");
    println!("| --- | --- | ---: | --- | ---: |");
    for attack in ATTACKS {
        let tampered = work.path().join("tampered");
        copy(&base, &tampered)?;
        make(&attack, &tampered).await?;
        let key = std::fs::read_to_string(data.join("log-key.txt"))?;
        let begun = Instant::now();
        let said = Command::new(env!("CARGO_BIN_EXE_keyturn"))
            .args(["verify", "--key", key.trim(), "--data"])
            .arg(&tampered)
            .arg("--witness")
            .arg(&kept_by)
            .output()?;
        let by_command = begun.elapsed();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let faults: Vec<&str> = text.lines().filter(|line| line.starts_with("FAULT")).collect();
        for what in attack.says {
            if said.status.code() != Some(1) || !faults.iter().any(|fault| fault.contains(what)) {
                let errors = String::from_utf8_lossy(&said.stderr);
                return Err(
                    format!("{}: not said: {what}\n{faults:#?}\n{errors}", attack.name).into()
                );
            }
        }
        // The witness's folder is elsewhere: there is what the server remembers that it saw.
        let begun = Instant::now();
        let found = by_page(&tampered, attack.log).await?;
        let by_page = begun.elapsed();
        let seconds = |took: Duration| format!("{:.0} s", took.as_secs_f64());
        println!(
            "| {} | {} | {} | {found} | {} |",
            attack.name,
            faults.join("<br>"),
            seconds(by_command),
            seconds(by_page)
        );
        std::fs::remove_dir_all(&tampered)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir(to)?;
    for file in ["keyturn.db", "keys.json"] {
        std::fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}

/// Verifies by the page; what it finds, which the header of every page then tells of.
async fn by_page(copy: &Path, log: &str) -> Result<String, Failure> {
    let desk = Arc::new(desk(copy, None).await?);
    let router = router(&desk);
    let cookie = signed_in(&desk, &router).await?;
    let begun = post(&router, "/do/verify_logs", &cookie, String::new()).await?;
    if !begun.status().is_success() {
        return Err(format!("verify now: {}", begun.status()).into());
    }
    let newest = loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut conn = desk.store.read().await?;
        let newest = keyturn::store::verification::newest(&mut conn, 1).await?;
        let newest = newest.into_iter().next().ok_or("no verification was begun")?;
        if newest.state != "running" {
            break newest;
        }
    };
    if newest.fault_log.as_deref() != Some(log) {
        return Err(format!("the page found {:?}, which is not in {log}", newest.fault).into());
    }
    let (page, _) = fetch(&router, "/tickets", &cookie).await?;
    let page = String::from_utf8_lossy(&page).into_owned();
    if !page.contains("A log does not hold") {
        return Err("no page says that a log does not hold".into());
    }
    desk.store.close().await;
    Ok(newest.fault.unwrap_or_default())
}

async fn make(attack: &Attack, copy: &Path) -> Result<(), Failure> {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", copy.join("keyturn.db").display());
    let mut conn = AnyConnection::connect(&url).await?;
    let triggers: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            .fetch_all(&mut conn)
            .await?;
    for trigger in triggers {
        run(&mut conn, format!("DROP TRIGGER {trigger}")).await?;
    }
    let log = attack.log;
    match attack.name {
        "one byte of a row changed" => change_byte(&mut conn, log, 20_123, false).await?,
        "one byte of a row changed, and its hash made to fit" => {
            change_byte(&mut conn, log, 54_321, true).await?;
        }
        "one row deleted" => {
            run(
                &mut conn,
                format!("DELETE FROM audit_entry WHERE log_id = '{log}' AND seq = 111111"),
            )
            .await?;
        }
        "two rows swapped" => {
            for (from, to) in [(7000, -1), (7001, 7000), (-1, 7001)] {
                let sql = format!(
                    "UPDATE audit_entry SET seq = {to} WHERE log_id = '{log}' AND seq = {from}"
                );
                run(&mut conn, sql).await?;
            }
        }
        "the end cut off, with everything that knew of it" => set_back(&mut conn, log, 97).await?,
        _ => set_back(&mut conn, log, 50).await?,
    }
    // Nor does the database know any more what the witness has seen.
    run(&mut conn, "DELETE FROM witness_state".to_owned()).await?;
    conn.close().await?;
    Ok(())
}

async fn run(conn: &mut AnyConnection, sql: String) -> Result<(), Failure> {
    conn.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

/// Changes one byte of a row's text: the first digit of its id.
async fn change_byte(
    conn: &mut AnyConnection,
    log: &str,
    seq: i64,
    hash: bool,
) -> Result<(), Failure> {
    let row = audit::range(conn, log, seq, 1).await?.pop().ok_or("there is no such row")?;
    let at = row.body.find("\"actor_name\":\"").ok_or("a row has an actor")? + 14;
    let mut body = row.body.into_bytes();
    body[at] = if body[at] == b'X' { b'Y' } else { b'X' };
    let leaf = if hash { leaf_hash(&body).to_vec() } else { row.leaf_hash };
    sqlx::query("UPDATE audit_entry SET body = $1, leaf_hash = $2 WHERE log_id = $3 AND seq = $4")
        .bind(String::from_utf8(body)?)
        .bind(leaf)
        .bind(log)
        .bind(seq)
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes a log what it was at a kept checkpoint, at so many per cent of its rows: nothing of it
/// tells that there was ever more.
async fn set_back(conn: &mut AnyConnection, log: &str, per_cent: i64) -> Result<(), Failure> {
    let head = audit::head(conn, log).await?.ok_or("there is no such log")?;
    let wanted = head.size * per_cent / 100;
    let kept = audit::checkpoints(conn, log).await?;
    let (size, note) =
        kept.into_iter().rfind(|(size, _)| *size <= wanted).ok_or("no checkpoint")?;
    let mut frontier = Frontier::new();
    let mut last_at = 0;
    let mut from = 0;
    while from < size {
        for row in audit::range(conn, log, from, 1000.min(size - from)).await? {
            frontier.push(row.leaf_hash.as_slice().try_into()?);
            (from, last_at) = (row.seq + 1, row.at);
        }
    }
    if frontier.root() != Checkpoint::unverified(&note)?.root {
        return Err("the older copy is not what was signed".into());
    }
    for sql in [
        format!("DELETE FROM audit_entry WHERE log_id = '{log}' AND seq >= {size}"),
        format!("DELETE FROM audit_checkpoint WHERE log_id = '{log}' AND size > {size}"),
        format!(
            "DELETE FROM audit_subtree WHERE log_id = '{log}' AND ((idx + 1) << level) > {size}"
        ),
        format!(
            "DELETE FROM audit_tile WHERE log_id = '{log}' AND ((idx + 1) << (8 * (level + 1))) > {size}"
        ),
    ] {
        run(conn, sql).await?;
    }
    sqlx::query("UPDATE audit_log SET size = $1, checkpoint = $2, frontier = $3, last_at = $4 WHERE id = $5")
        .bind(size)
        .bind(note)
        .bind(frontier.to_bytes())
        .bind(last_at)
        .bind(log)
        .execute(conn)
        .await?;
    Ok(())
}
