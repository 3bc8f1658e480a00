//! `keyturn verify --url`: a customer checks its own log, and an auditor any of them, row by row,
//! without our database.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use keyturn::audit::tiles::{self, Path as Tile};
use keyturn::proof::checkpoint::Checkpoint;
use keyturn::proof::log_check::{LogChecker, RowInput};
use keyturn::proof::log_keys::{from_lines, trusted};
use keyturn::proof::merkle::leaf_hash;
use keyturn::proof::note::NoteVerifier;

use super::start::text;

/// The largest answer that is read: a tile of 256 rows of 64 KiB each.
const LARGEST: usize = 17 * 1024 * 1024;

/// Fetches the log's checkpoint and rows, checks every row, and says what was found. Exits as
/// `keyturn verify` does for a database.
pub async fn run(url: &str, credential: &Path, key: &str, since: Option<&Path>) -> ExitCode {
    match verify(url, credential, key, since).await {
        Ok(Ok(line)) => {
            println!("ok    {line}");
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
    since: Option<&Path>,
) -> Result<Result<String, String>, String> {
    let verifier = NoteVerifier::parse(key).map_err(|e| format!("--key: {e}"))?;
    let source = Source::new(url, credential)?;
    let note = String::from_utf8(source.get("checkpoint").await?)
        .map_err(|_| "the checkpoint is not text".to_owned())?;
    let claimed = Checkpoint::unverified(&note).map_err(text)?;
    let verifiers = trusted(&[verifier], &source.endorsements().await?).map_err(text)?;
    // Only the current key speaks for what the log is now; those before it for what it was.
    let current = verifiers.get(..1).unwrap_or_default();
    let checkpoint = match Checkpoint::open(&note, current, &claimed.origin) {
        Ok(checkpoint) => checkpoint,
        Err(e) => return Ok(Err(format!("the newest checkpoint: {e}"))),
    };
    let log = checkpoint
        .origin
        .strip_prefix(&format!("{}/", verifiers[0].name()))
        .ok_or_else(|| format!("the key is not for the log {}", checkpoint.origin))?
        .to_owned();
    let mut checker = LogChecker::new(&log);
    if let Some(file) = since {
        match earlier(file, &verifiers, &checkpoint) {
            Ok(before) => checker.expect_checkpoint(before.size, before.root),
            Err(why) => return Ok(Err(why)),
        }
    }
    for index in 0..checkpoint.size.div_ceil(256) {
        let width = (checkpoint.size - index * 256).min(256);
        let rows = tiles::entries(&source.get(&Tile::of_entries(index, width)).await?)
            .map_err(|e| format!("rows {}…: {e}", index * 256))?;
        for body in rows {
            let seq = checker.rows();
            let hash = leaf_hash(body.as_bytes());
            if let Err(bad) = checker.push(RowInput { seq, stored_leaf_hash: &hash, body: &body }) {
                return Ok(Err(format!("log {log}, row {}: {}", bad.seq, bad.why)));
            }
        }
        if checkpoint.size > 10_000 {
            eprint!("\r{log}: {} of {} rows", checker.rows(), checkpoint.size);
        }
    }
    Ok(match checker.finish(checkpoint.size, &checkpoint) {
        Ok(report) => Ok(format!("{log}: {} rows", report.rows)),
        Err(fault) => Err(fault.sentence),
    })
}

/// A checkpoint that was kept from before, of the same log.
pub fn earlier(
    file: &Path,
    verifiers: &[NoteVerifier],
    newest: &Checkpoint,
) -> Result<Checkpoint, String> {
    let note = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let before = Checkpoint::open(&note, verifiers, &newest.origin)
        .map_err(|e| format!("{}: {e}", file.display()))?;
    if before.size > newest.size {
        return Err(format!(
            "the log has {} rows, and had {} when {} was signed: it was cut back",
            newest.size,
            before.size,
            file.display()
        ));
    }
    Ok(before)
}

struct Source {
    client: reqwest::Client,
    base: String,
    credential: secrecy::SecretString,
}

impl Source {
    fn new(url: &str, credential: &Path) -> Result<Self, String> {
        let base = url.trim_end_matches('/').to_owned();
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        if !base.starts_with("https://") && !local.iter().any(|l| base.starts_with(l)) {
            return Err("--url is an https:// address: the credential would be readable otherwise"
                .to_owned());
        }
        let kept = std::fs::read_to_string(credential)
            .map_err(|e| format!("{}: {e}", credential.display()))?;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(text)?;
        Ok(Self { client, base, credential: kept.trim().into() })
    }

    /// How the logs' keys followed each other, as the server publishes it: each note proves
    /// itself, from the pinned key on.
    async fn endorsements(&self) -> Result<Vec<String>, String> {
        let wrong = |e: url::ParseError| format!("{}: {e}", self.base);
        let address = url::Url::parse(&self.base)
            .and_then(|base| base.join("/.well-known/keyturn-log-key"))
            .map_err(wrong)?;
        let lines = String::from_utf8(self.fetch(address.as_str()).await?)
            .map_err(|_| format!("{address}: it is not text"))?;
        Ok(from_lines(&lines))
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        self.fetch(&format!("{}/{path}", self.base)).await
    }

    async fn fetch(&self, address: &str) -> Result<Vec<u8>, String> {
        use secrecy::ExposeSecret as _;
        let wrong = |e: reqwest::Error| format!("{address}: {}", e.without_url());
        let mut answer = self
            .client
            .get(address)
            .bearer_auth(self.credential.expose_secret())
            .send()
            .await
            .map_err(wrong)?;
        if !answer.status().is_success() {
            return Err(format!("{address}: the server answers {}", answer.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(wrong)? {
            if bytes.len() + chunk.len() > LARGEST {
                return Err(format!("{address}: the answer is too large"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}
