//! `keyturn verify`: every row of every log, against signed checkpoints and the other log's word.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::{self, StreamExt as _};
use keyturn::audit::resume;
use keyturn::audit::verify::{agree, cross_recorded, largest_first, log_from, set_faults};
use keyturn::audit::witnessed::Signed;
use keyturn::delivery::witness::Kept;
use keyturn::proof::checkpoint::Checkpoint;
use keyturn::proof::cosignature::WitnessKey;
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
    /// Whether what that checkpoint is of is read all the same.
    pub full: bool,
    /// A witness's folder.
    pub witness: Option<PathBuf>,
    /// The key of a witness whose signatures are kept in the database.
    pub witness_key: Option<String>,
}

/// A checkpoint that was kept from before, and where.
struct Since {
    file: PathBuf,
    note: String,
    origin: String,
}

impl Since {
    fn read(file: &Path) -> Result<Self, String> {
        let wrong = |e: &dyn std::fmt::Display| format!("--since {}: {e}", file.display());
        let note = std::fs::read_to_string(file).map_err(|e| wrong(&e))?;
        let origin = Checkpoint::unverified(&note).map_err(|e| wrong(&e))?.origin;
        Ok(Self { file: file.to_owned(), note, origin })
    }

    fn open(&self, verifiers: &[NoteVerifier]) -> Result<Checkpoint, String> {
        Checkpoint::open(&self.note, verifiers, &self.origin)
            .map_err(|e| format!("--since {}: {e}", self.file.display()))
    }
}

/// Refuses to look at nothing: what was asked to be held against something must be there to be.
fn asked_for_nothing(
    chosen: &[&Head],
    only: Option<&str>,
    since: Option<&Since>,
    kept: Option<(&Path, &Kept)>,
    signed: Option<&Signed>,
) -> Option<String> {
    if let (Some(only), []) = (only, chosen) {
        return Some(format!(
            "there is no log {only}, so nothing of it was verified. --log takes `platform` or `org/<org id>`; leave it out to verify every log."
        ));
    }
    if let Some(since) = since
        && chosen.iter().all(|head| head.origin != since.origin)
    {
        return Some(format!(
            "--since {} is a checkpoint of {}, and no log that is verified here is that one, so nothing was held against it. Give a checkpoint of a log of this database, or another --log.",
            since.file.display(),
            since.origin
        ));
    }
    if let Some((folder, kept)) = kept
        && chosen.iter().all(|head| kept.count(&head.origin) == 0)
    {
        return Some(format!(
            "--witness {} holds no checkpoint of a log that is verified here, so nothing was held against it. Give the folder that `witness_folder` names.",
            folder.display()
        ));
    }
    if let Some(signed) = signed
        && chosen.iter().all(|head| !signed.knows(&head.id))
    {
        return Some(
            "--witness-key: nothing is kept that this witness signed of a log that is verified here, so nothing was held against it. Give the key that `witness_key` names."
                .to_owned(),
        );
    }
    None
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
    let since = against.since.as_deref().map(Since::read).transpose()?;
    // Before the heads: a log that is served may grow, and be witnessed, in between.
    let kept = match &against.witness {
        Some(folder) => {
            Some((folder.as_path(), Kept::list(folder).map_err(|e| format!("--witness {e}"))?))
        }
        None => None,
    };
    let witness_key = against.witness_key.as_deref().map(WitnessKey::parse).transpose();
    let witness_key = witness_key.map_err(|e| format!("--witness-key: {e}"))?;
    let store = Store::open_existing(&url, 8).await.map_err(text)?;
    let mut conn = store.read().await.map_err(text)?;
    let signed = match &witness_key {
        Some(key) => Some(Signed::list(&store, &mut conn, key).await.map_err(text)?),
        None => None,
    };
    let heads = audit::heads(&mut conn).await.map_err(text)?;
    // They prove themselves: from the pinned key on, each names the next.
    let endorsements = keyturn::audit::verify::endorsements(&mut conn).await.map_err(text)?;
    let verifiers = trusted(&pinned, &endorsements).map_err(text)?;
    if heads.iter().all(|h| h.id != "platform") {
        return Err("there is no platform log".to_owned());
    }
    let mut good = true;
    for fault in set_faults(&mut conn, &heads).await.map_err(text)? {
        good = false;
        println!("FAULT {fault}");
    }
    let origins: Vec<&str> = heads.iter().map(|head| head.origin.as_str()).collect();
    for origin in kept.iter().flat_map(|(_, kept)| kept.gone(verifiers[0].name(), &origins)) {
        good = false;
        println!(
            "FAULT log {origin}: the witness has seen it, and it is not there: it was removed whole"
        );
    }
    for fault in signed.iter().flat_map(|signed| signed.faults(&heads)) {
        good = false;
        println!("FAULT {fault}");
    }
    let chosen: Vec<&Head> =
        heads.iter().filter(|h| only.as_ref().is_none_or(|id| *id == h.id)).collect();
    let kept = kept.as_ref().map(|(folder, kept)| (*folder, kept));
    if let Some(why) =
        asked_for_nothing(&chosen, only.as_deref(), since.as_ref(), kept, signed.as_ref())
    {
        return Err(why);
    }
    let earlier = since.as_ref().map(|since| since.open(&verifiers)).transpose()?;
    drop(conn);
    let progress = Progress::of(&chosen);
    let one = async |head: &Head| {
        let mut seen = match kept {
            Some((_, kept)) => kept.of(&head.origin, &verifiers)?,
            None => Vec::new(),
        };
        let since = earlier.as_ref().filter(|c| c.origin == head.origin);
        let (held, begun) = if against.full { (since, None) } else { (None, since) };
        seen.extend(held.cloned());
        let mut conn = store.read().await.map_err(text)?;
        if let Some(signed) = &signed {
            match signed.of(&mut conn, head, &verifiers).await.map_err(text)? {
                Ok(signed) => seen.extend(signed),
                Err(fault) => return Ok((head.id.clone(), 0, 0, Err(fault))),
            }
        }
        let mut counted = 0;
        let heard = |rows: u64| {
            progress.add(rows.saturating_sub(counted));
            counted = rows;
        };
        let host = verifiers[0].name();
        let found = log_from(&mut conn, &verifiers, host, head, begun, &seen, heard).await;
        let from = begun.map_or(0, |since| resume::begin(since.size));
        let compared = seen.iter().filter(|seen| seen.size > from || from == 0).count();
        Ok::<_, String>((head.id.clone(), compared, from, found.map_err(text)?))
    };
    let chosen: Vec<Head> = chosen.into_iter().cloned().collect();
    let mut found =
        stream::iter(largest_first(&chosen)).map(one).buffer_unordered(store.readers_at_once());
    let mut claims = Vec::new();
    while let Some(found) = found.next().await {
        let (log, seen, from, found) = found?;
        progress.clear();
        match found {
            Ok(verified) => {
                println!(
                    "ok    {}: {} rows, {} kept checkpoints agree{}{}",
                    log,
                    verified.report.rows,
                    verified.report.checkpoints_agreed,
                    if seen == 0 {
                        String::new()
                    } else {
                        format!(", {seen} of them kept elsewhere")
                    },
                    not_read(from)
                );
                claims.extend(verified.claims);
            }
            Err(fault) => {
                good = false;
                println!("FAULT {fault}");
            }
        }
    }
    progress.clear();
    let mut conn = store.read().await.map_err(text)?;
    // Where not every row of every log was read, what they recorded of each other is looked for.
    let agreed = if only.is_some() || (earlier.is_some() && !against.full) {
        cross_recorded(&mut conn, &verifiers, &heads).await
    } else {
        agree(&mut conn, &heads, claims).await
    };
    match agreed.map_err(text)? {
        Ok(n) => println!("ok    {n} checkpoints that one log recorded of another agree"),
        Err(fault) => {
            good = false;
            println!("FAULT {fault}");
        }
    }
    Ok(good)
}

/// What was not looked at of a log that was read from a row on.
fn not_read(from: u64) -> String {
    match from {
        0 => String::new(),
        from => format!(
            "; not read: rows 0 to {}, which are those of --since by its root alone (--full reads them, too)",
            from - 1
        ),
    }
}

/// How far it is, on the terminal of somebody who waits.
struct Progress {
    done: AtomicU64,
    total: i64,
}

impl Progress {
    fn of(heads: &[&Head]) -> Self {
        Self { done: AtomicU64::new(0), total: heads.iter().map(|head| head.size).sum() }
    }

    fn shown(&self) -> bool {
        self.total > 10_000 && std::io::stderr().is_terminal()
    }

    fn add(&self, rows: u64) {
        let done = self.done.fetch_add(rows, Ordering::Relaxed) + rows;
        if self.shown() {
            eprint!("\r{done} of {} rows", self.total);
        }
    }

    /// Makes room for a line.
    fn clear(&self) {
        if self.shown() {
            eprint!("\r\x1b[K");
        }
    }
}

/// The public key of a data folder's own keys: it says that nobody without them changed the logs.
fn own_key(folder: &std::path::Path) -> Result<NoteVerifier, String> {
    let file = folder.join("log-key.txt");
    let text_of = std::fs::read_to_string(&file)
        .map_err(|e| format!("{}: {e}. Give the logs' public key with --key.", file.display()))?;
    NoteVerifier::parse(text_of.trim()).map_err(text)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
