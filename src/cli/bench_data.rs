//! `keyturn bench-data`: a year of a platform, in an empty data folder.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Instant;

use keyturn::clock::{Clock as _, SystemClock, SystemRng};
use keyturn::demo::year::{Plan, Written, fill};
use keyturn::desk::keys::{Keys, Names, create};
use keyturn::proof::verdict::Verdict;
use keyturn::store::Store;

use super::start::{connect, data_folder, text};

const ORIGIN: &str = "keyturn.bench";
const ADDRESS: &str = "http://127.0.0.1:3000";

/// What is asked for on the command line.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// Rows, in all logs together.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Orgs, each with a log of its own.
    #[arg(long, default_value_t = 500)]
    orgs: usize,
    /// Impersonations, of which 28 in 1000 are not as they should be.
    #[arg(long, default_value_t = 20_000)]
    impersonations: usize,
    /// What everything follows from: the same seed gives the same year.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The data folder; it must not hold a database yet.
    #[arg(long, default_value = "data/bench")]
    data: std::path::PathBuf,
}

/// Fills the folder, and says what is in it.
pub async fn run(asked: &Asked) -> Result<(), String> {
    if asked.orgs == 0 {
        return Err("--orgs is at least 1".to_owned());
    }
    let data = &asked.data;
    let database = data.join("keyturn.db");
    if database.metadata().is_ok_and(|found| found.len() > 0) {
        return Err(format!("{} is there already: name an empty folder", database.display()));
    }
    data_folder(data)?;
    let keys_file = data.join("keys.json");
    let now = SystemClock.now();
    if !keys_file.exists() {
        create(&keys_file, &SystemRng, now, "Keyturn bench <keyturn@platform.example>")
            .map_err(text)?;
    }
    let api = format!("{ADDRESS}/api");
    let names = Names { issuer: ADDRESS, audience: &api, log_origin: ORIGIN };
    let keys = Keys::load(&keys_file, &names, now).map_err(text)?;
    let store = connect(&Store::sqlite_in(data), 2, std::time::Duration::ZERO).await?;
    store.hurry().await.map_err(text)?;
    let plan = Plan {
        events: asked.events,
        orgs: asked.orgs,
        impersonations: asked.impersonations,
        seed: asked.seed,
        until: now,
    };
    let begun = Instant::now();
    let live = std::io::stderr().is_terminal();
    let mut said = 0;
    let progress = |done: u64| {
        let hundredths = done * 100 / asked.events.max(1);
        if live {
            eprint!("\r{done} of {} rows ({hundredths} %)", asked.events);
            std::io::stderr().flush().ok();
        } else if hundredths / 10 > said {
            said = hundredths / 10;
            eprintln!("{done} of {} rows ({hundredths} %)", asked.events);
        }
    };
    let written = fill(&store, &keys.log, &plan, progress).await.map_err(text)?;
    store.close().await;
    if live {
        eprintln!();
    }
    std::fs::write(data.join("log-key.txt"), format!("{}\n", keys.log.vkey())).map_err(text)?;
    write_settings(data)?;
    say(&written, asked, begun.elapsed().as_secs_f64());
    Ok(())
}

fn say(w: &Written, asked: &Asked, seconds: f64) {
    let folder = asked.data.display();
    println!(
        "{} rows in {} logs in {seconds:.1} s, in {folder}.\n\n\
         As the pages show them, of {} impersonations\n  \
         {} are complete\n\
         {}{}  \
         {} were open too long (expired)\n\
         {} handoffs are not acknowledged; {} attempts were refused.\n\n\
         Look at it:\n  \
         keyturn staff --config {folder}/keyturn.toml add --email you@example.com --name You --role auditor\n  \
         keyturn serve --config {folder}/keyturn.toml\n  \
         keyturn verify --data {folder}",
        w.events,
        asked.orgs + 1,
        asked.impersonations,
        w.complete,
        with(w, Verdict::Incomplete),
        with(w, Verdict::Mismatch),
        w.overstayed(),
        w.unacknowledged,
        w.refused,
    );
}

/// How many impersonations have a verdict, and why, a line each.
fn with(w: &Written, verdict: Verdict) -> String {
    let mut said = format!("  {} are {}:\n", w.with(verdict), verdict.word());
    for (fault, n) in w.by_fault().filter(|(fault, _)| fault.verdict() == verdict) {
        said.push_str(&format!("    {n} {}\n", fault.says()));
    }
    said
}

/// Settings with which the folder can be served on this machine.
fn write_settings(data: &Path) -> Result<(), String> {
    let folder = std::fs::canonicalize(data).map_err(text)?;
    let folder = folder.display();
    let settings = format!(
        "base_url = \"{ADDRESS}\"\ndata = \"{folder}\"\nkeys_file = \"{folder}/keys.json\"\n\
         log_origin = \"{ORIGIN}\"\nsmtp_url = \"smtp://127.0.0.1:2525\"\n\
         mail_from = \"Keyturn <keyturn@platform.example>\"\n"
    );
    std::fs::write(data.join("keyturn.toml"), settings).map_err(text)
}
