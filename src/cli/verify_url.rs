//! `keyturn verify --url`: a customer checks its own log, and an auditor any of them, row by row,
//! without our database.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use keyturn::audit::remote::{Ask, Held, Server};
use keyturn::audit::verify::Fault;
use keyturn::proof::note::NoteVerifier;

use super::start::text;

/// A checkpoint that was kept from before, and whether the rows before it are read all the same.
pub struct Since<'a> {
    /// The file.
    pub file: Option<&'a Path>,
    /// Whether everything is read.
    pub full: bool,
}

/// Fetches the log's checkpoint and rows, checks every row, and says what was found. Exits as
/// `keyturn verify` does for a database.
pub async fn run(url: &str, credential: &Path, key: &str, since: Since<'_>) -> ExitCode {
    match verify(url, credential, key, since).await {
        Ok(Ok(held)) => {
            println!("ok    {held}");
            ExitCode::SUCCESS
        }
        Ok(Err(fault)) => {
            println!("FAULT {fault}");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("keyturn: {why}");
            ExitCode::from(2)
        }
    }
}

async fn verify(
    url: &str,
    credential: &Path,
    key: &str,
    since: Since<'_>,
) -> Result<Result<Held, Fault>, String> {
    let pinned = NoteVerifier::parse(key).map_err(|e| format!("--key: {e}"))?;
    let read =
        |file: &Path| std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()));
    let server = Server::new(url, read(credential)?.trim().into()).map_err(text)?;
    let note = since.file.map(read).transpose()?;
    let ask = Ask { pinned, since: note.as_deref(), full: since.full };
    let shown = std::io::stderr().is_terminal();
    let found = server.check(&ask, |done, total| {
        if shown && total > 10_000 {
            eprint!("\r{done} of {total} rows");
        }
    });
    let found = found.await;
    if shown {
        eprint!("\r\x1b[K");
    }
    found.map_err(text)
}
