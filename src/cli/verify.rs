//! `keyturn verify`: every row of every log, against signed checkpoints and the other log's word.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use keyturn::audit::verify::{cross_recorded, missing_logs, whole_log_against};
use keyturn::delivery::witness;
use keyturn::proof::checkpoint::Checkpoint;
use keyturn::proof::log_keys::trusted;
use keyturn::proof::note::NoteVerifier;
use keyturn::store::audit::Head;
use keyturn::store::{Store, audit};

use super::start::text;

/// Verifies, prints a line for each log, and exits with 0 where everything holds, 1 where
/// something does not, 2 where it could not be looked at.
pub async fn run(
    data: Option<PathBuf>,
    url: Option<String>,
    log: Option<String>,
    against: Against,
) -> ExitCode {
    match verify(data, url, log, against).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("keyturn: {why}");
            ExitCode::from(2)
        }
    }
}

/// What the logs are held against, besides themselves.
pub struct Against {
    /// Whose signatures count.
    pub key: Option<String>,
    /// A checkpoint that was kept from before.
    pub since: Option<PathBuf>,
    /// A witness's folder.
    pub witness: Option<PathBuf>,
}

impl Against {
    /// The checkpoints of a log that others kept.
    fn of(&self, origin: &str, verifiers: &[NoteVerifier]) -> Result<Vec<Checkpoint>, String> {
        let mut files = Vec::new();
        if let Some(folder) = &self.witness
            && let Some(place) = witness::place(folder, origin)
            && place.is_dir()
        {
            let wrong = |e: std::io::Error| format!("{}: {e}", place.display());
            for size in witness::sizes(&place).map_err(wrong)? {
                files.push(place.join(format!("{size:020}.note")));
            }
        }
        let mut all = Vec::new();
        for file in files {
            all.push(opened(&file, origin, verifiers)?);
        }
        if let Some(file) = &self.since {
            let note = read(file)?;
            if Checkpoint::unverified(&note).is_ok_and(|c| c.origin == origin) {
                all.push(opened(file, origin, verifiers)?);
            }
        }
        Ok(all)
    }

    /// Logs that the witness saw, and that are not there any more.
    fn gone(&self, heads: &[Head]) -> Result<Vec<String>, String> {
        let Some(folder) = &self.witness else { return Ok(Vec::new()) };
        if !folder.is_dir() {
            return Err(format!("{} is no folder", folder.display()));
        }
        let mut gone = Vec::new();
        let mut open = vec![(folder.clone(), String::new())];
        while let Some((place, origin)) = open.pop() {
            let wrong = |e: std::io::Error| format!("{}: {e}", place.display());
            if !origin.is_empty()
                && !witness::sizes(&place).map_err(wrong)?.is_empty()
                && heads.iter().all(|h| h.origin != origin)
            {
                gone.push(origin.clone());
            }
            for entry in std::fs::read_dir(&place).map_err(wrong)? {
                let entry = entry.map_err(wrong)?;
                if entry.path().is_dir() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let below = if origin.is_empty() { name } else { format!("{origin}/{name}") };
                    open.push((entry.path(), below));
                }
            }
        }
        Ok(gone)
    }
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}

fn opened(file: &Path, origin: &str, verifiers: &[NoteVerifier]) -> Result<Checkpoint, String> {
    Checkpoint::open(&read(file)?, verifiers, origin)
        .map_err(|e| format!("{}: {e}", file.display()))
}

async fn verify(
    data: Option<PathBuf>,
    url: Option<String>,
    only: Option<String>,
    against: Against,
) -> Result<bool, String> {
    let url = match (&data, url) {
        (Some(folder), _) => {
            if !folder.join("keyturn.db").is_file() {
                return Err(format!("there is no keyturn.db in {}", folder.display()));
            }
            Store::sqlite_in(folder)
        }
        (None, Some(url)) => url,
        (None, None) => {
            return Err("say which database: --data FOLDER or --database-url URL".to_owned());
        }
    };
    let pinned = [match (&against.key, &data) {
        (Some(key), _) => NoteVerifier::parse(key).map_err(text)?,
        (None, Some(folder)) => own_key(folder)?,
        (None, None) => return Err("say whose signatures count: --key VKEY".to_owned()),
    }];
    let store = Store::open_existing(&url, 2).await.map_err(text)?;
    let mut conn = store.read().await.map_err(text)?;
    let heads = audit::heads(&mut conn).await.map_err(text)?;
    // They prove themselves: from the pinned key on, each names the next.
    let endorsements = keyturn::audit::verify::endorsements(&mut conn).await.map_err(text)?;
    let verifiers = trusted(&pinned, &endorsements).map_err(text)?;
    if heads.iter().all(|h| h.id != "platform") {
        return Err("there is no platform log".to_owned());
    }
    let mut good = true;
    for fault in missing_logs(&mut conn, &heads).await.map_err(text)? {
        good = false;
        println!("FAULT {fault}");
    }
    for origin in against.gone(&heads)? {
        good = false;
        println!(
            "FAULT log {origin}: the witness has seen it, and it is not there: it was removed whole"
        );
    }
    for head in heads.iter().filter(|h| only.as_ref().is_none_or(|id| *id == h.id)) {
        let size = head.size;
        let progress = |rows: u64| {
            if size > 10_000 {
                eprint!("\r{}: {rows} of {size} rows", head.id);
            }
        };
        let seen = against.of(&head.origin, &verifiers)?;
        match whole_log_against(&mut conn, &verifiers, verifiers[0].name(), head, &seen, progress)
            .await
            .map_err(text)?
        {
            Ok(report) => println!(
                "ok    {}: {} rows, {} kept checkpoints agree{}",
                head.id,
                report.rows,
                report.checkpoints_agreed,
                if seen.is_empty() {
                    String::new()
                } else {
                    format!(", {} of them kept elsewhere", seen.len())
                }
            ),
            Err(fault) => {
                good = false;
                println!("FAULT {fault}");
            }
        }
    }
    match cross_recorded(&mut conn, &verifiers, &heads).await.map_err(text)? {
        Ok(n) => println!("ok    {n} checkpoints that one log recorded of another agree"),
        Err(fault) => {
            good = false;
            println!("FAULT {fault}");
        }
    }
    Ok(good)
}

/// The public key of a data folder's own keys: it says that nobody without them changed the logs.
fn own_key(folder: &std::path::Path) -> Result<NoteVerifier, String> {
    let file = folder.join("log-key.txt");
    let text_of = std::fs::read_to_string(&file)
        .map_err(|e| format!("{}: {e}. Give the logs' public key with --key.", file.display()))?;
    NoteVerifier::parse(text_of.trim()).map_err(text)
}
