//! `keyturn verify`: every row of every log, against signed checkpoints and the other log's word.

use std::path::PathBuf;
use std::process::ExitCode;

use keyturn::audit::verify::{cross_recorded, missing_logs, whole_log};
use keyturn::proof::note::NoteVerifier;
use keyturn::store::{Store, audit};

use super::start::text;

/// Verifies, prints a line for each log, and exits with 0 where everything holds, 1 where
/// something does not, 2 where it could not be looked at.
pub async fn run(
    data: Option<PathBuf>,
    url: Option<String>,
    log: Option<String>,
    key: Option<String>,
) -> ExitCode {
    match verify(data, url, log, key).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("keyturn: {why}");
            ExitCode::from(2)
        }
    }
}

async fn verify(
    data: Option<PathBuf>,
    url: Option<String>,
    only: Option<String>,
    key: Option<String>,
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
    let verifier = match (key, &data) {
        (Some(key), _) => NoteVerifier::parse(&key).map_err(text)?,
        (None, Some(folder)) => own_key(folder)?,
        (None, None) => return Err("say whose signatures count: --key VKEY".to_owned()),
    };
    let store = Store::open_existing(&url, 2).await.map_err(text)?;
    let mut conn = store.read().await.map_err(text)?;
    let heads = audit::heads(&mut conn).await.map_err(text)?;
    if heads.iter().all(|h| h.id != "platform") {
        return Err("there is no platform log".to_owned());
    }
    let mut good = true;
    for fault in missing_logs(&mut conn, &heads).await.map_err(text)? {
        good = false;
        println!("FAULT {fault}");
    }
    for head in heads.iter().filter(|h| only.as_ref().is_none_or(|id| *id == h.id)) {
        let size = head.size;
        let progress = |rows: u64| {
            if size > 10_000 {
                eprint!("\r{}: {rows} of {size} rows", head.id);
            }
        };
        match whole_log(&mut conn, &verifier, verifier.name(), head, progress)
            .await
            .map_err(text)?
        {
            Ok(report) => println!(
                "ok    {}: {} rows, {} kept checkpoints agree",
                head.id, report.rows, report.checkpoints_agreed
            ),
            Err(fault) => {
                good = false;
                println!("FAULT {fault}");
            }
        }
    }
    match cross_recorded(&mut conn, &verifier, &heads).await.map_err(text)? {
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
