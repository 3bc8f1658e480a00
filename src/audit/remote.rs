//! A log as a server serves it (C2SP tlog-tiles), checked row by row by whoever has no access to
//! its database: a customer its own, an auditor any of them.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::resume;
use super::tiles::{self, Path};
use super::verify::Fault;
use crate::proof::Hash;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::log_check::{LogChecker, RowFault, RowInput};
use crate::proof::log_keys::{from_lines, trusted};
use crate::proof::merkle::{Frontier, leaf_hash};
use crate::proof::note::NoteVerifier;

/// The largest answer that is read: a tile of 256 rows of 64 KiB each.
const LARGEST: usize = 17 * 1024 * 1024;

/// The rows of a tile.
const TILE: u64 = 256;

/// Why nothing can be said of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotLooked(pub String);

/// What a log is held against, and from where on it is read.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The key that is trusted: the logs' current one, or one that leads to it.
    pub pinned: NoteVerifier,
    /// A signed checkpoint of the log that was kept from before.
    pub since: Option<&'a str>,
    /// Whether everything is read also where there is one.
    pub full: bool,
}

/// A log that holds, and what of it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The log.
    pub log: String,
    /// How many rows it has.
    pub rows: u64,
    /// The first row that was read; as many as there are where none was.
    pub read_from: u64,
    /// How many rows the checkpoint from before has, where there is one.
    pub since: Option<u64>,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { log, rows, read_from, since } = self;
        write!(f, "{log}: {rows} rows")?;
        match since {
            None => write!(f, ", all of them read"),
            Some(since) if *read_from == 0 => {
                write!(f, ", all of them read; the first {since} are those of the checkpoint")
            }
            Some(since) => {
                if read_from < rows {
                    write!(f, "; read: rows {read_from} to {}", rows - 1)?;
                } else {
                    write!(f, "; none is new, and none was read")?;
                }
                write!(
                    f,
                    "; not read: rows 0 to {}, which are those of the checkpoint of {since} rows by its root alone (--full reads them, too)",
                    read_from - 1
                )
            }
        }
    }
}

/// A log on a server.
pub struct Server {
    client: reqwest::Client,
    base: Url,
    credential: SecretString,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Server {
    /// The log at an address, read with a credential.
    ///
    /// # Errors
    /// Where the address is none that a credential may be sent to.
    pub fn new(url: &str, credential: SecretString) -> Result<Self, NotLooked> {
        let base = Url::parse(url.trim_end_matches('/'))
            .map_err(|e| NotLooked(format!("--url {url}: {e}")))?;
        let here = matches!(base.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if base.scheme() != "https" && !(base.scheme() == "http" && here) {
            return Err(NotLooked(
                "--url is an https:// address: the credential would be readable otherwise"
                    .to_owned(),
            ));
        }
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| NotLooked(e.to_string()))?;
        Ok(Self { client, base, credential })
    }

    /// Checks the log. `progress` hears how many rows are done, and of how many. What is wrong with
    /// the log is the inner result.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    pub async fn check(
        &self,
        ask: &Ask<'_>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Result<Held, Fault>, NotLooked> {
        let note = String::from_utf8(self.get(Path::Checkpoint).await?)
            .map_err(|_| NotLooked("the checkpoint is not text".to_owned()))?;
        let claimed = Checkpoint::unverified(&note).map_err(not_looked)?;
        let verifiers = trusted(std::slice::from_ref(&ask.pinned), &self.endorsements().await?)
            .map_err(not_looked)?;
        let log = verifiers
            .first()
            .and_then(|current| claimed.origin.strip_prefix(current.name())?.strip_prefix('/'))
            .ok_or_else(|| NotLooked(format!("the key is not for the log {}", claimed.origin)))?
            .to_owned();
        let fault = |row: Option<u64>, what: String| Ok(Err(Fault { log: log.clone(), row, what }));
        if !self.is_asked_for(&log) {
            return fault(None, format!("it is served in the place of another, at {}", self.base));
        }
        // Only the current key speaks for what the log is now; those before it for what it was.
        let current = verifiers.get(..1).unwrap_or_default();
        let newest = match Checkpoint::open(&note, current, &claimed.origin) {
            Ok(newest) => newest,
            Err(e) => return fault(None, format!("its newest checkpoint: {e}")),
        };
        let since = match ask.since {
            Some(note) => Some(
                Checkpoint::open(note, &verifiers, &newest.origin)
                    .map_err(|e| NotLooked(format!("the checkpoint from before: {e}")))?,
            ),
            None => None,
        };
        if let Some(since) = &since {
            if since.size > newest.size {
                let what = format!(
                    "rows {} to {} are missing: it had {} rows when the checkpoint from before was signed, and has {}: it was cut back",
                    newest.size,
                    since.size - 1,
                    since.size,
                    newest.size
                );
                return fault(Some(newest.size), what);
            }
            if since.size == newest.size && !ask.full {
                if since.root != newest.root {
                    return fault(None, rewritten(since.size));
                }
                let (rows, since) = (newest.size, Some(since.size));
                return Ok(Ok(Held { log, rows, read_from: rows, since }));
            }
        }
        let begin = since.as_ref().filter(|_| !ask.full).map_or(0, |s| resume::begin(s.size));
        let frontier = self.frontier(begin, newest.size).await?;
        if since.as_ref().is_some_and(|s| s.size == begin && s.root != frontier.root()) {
            return fault(None, rewritten(begin));
        }
        let mut checker = LogChecker::resume(&log, frontier);
        if let Some(since) = since.as_ref().filter(|since| since.size > begin) {
            checker.expect_checkpoint(since.size, since.root);
        }
        let mut roots = Vec::new();
        for index in begin / TILE..newest.size.div_ceil(TILE) {
            let rows = self.rows(index, newest.size).await?;
            let hashes: Vec<Hash> = rows.iter().map(|body| leaf_hash(body.as_bytes())).collect();
            roots.push(root_of(&hashes));
            for (body, hash) in rows.iter().zip(&hashes) {
                let row = RowInput { seq: checker.rows(), stored_leaf_hash: hash, body };
                match checker.push(row) {
                    Ok(_) => {}
                    Err(bad) if matches!(bad.why, RowFault::Checkpoint { .. }) => {
                        return match self.changed(begin, newest.size, &roots).await? {
                            Some(row) => fault(Some(row), CHANGED.to_owned()),
                            None => fault(Some(bad.seq), bad.why.to_string()),
                        };
                    }
                    Err(bad) => return fault(Some(bad.seq), bad.why.to_string()),
                }
            }
            progress(checker.rows(), newest.size);
        }
        match checker.finish(newest.size, &newest) {
            Ok(report) => Ok(Ok(Held {
                log,
                rows: report.rows,
                read_from: begin,
                since: since.map(|since| since.size),
            })),
            Err(found) => match self.changed(begin, newest.size, &roots).await? {
                Some(row) => fault(Some(row), CHANGED.to_owned()),
                None => fault(found.first_bad_seq, found.sentence),
            },
        }
    }

    /// Whether the address is one of this log, as far as it says.
    fn is_asked_for(&self, log: &str) -> bool {
        let path: Vec<&str> = self.base.path().rsplit('/').take(3).collect();
        match path[..] {
            ["log", "platform", ..] => log == "platform",
            ["log", "org", ..] => log.starts_with("org/"),
            ["log", id, "orgs"] => log.strip_prefix("org/") == Some(id),
            _ => true,
        }
    }

    /// The frontier of the rows that are not read, by one hash tile a level.
    async fn frontier(&self, begin: u64, size: u64) -> Result<Frontier, NotLooked> {
        let mut tiles = Vec::new();
        for path in resume::needed(begin, size) {
            tiles.push(self.get(path).await?);
        }
        resume::frontier(begin, &tiles)
            .ok_or_else(|| NotLooked(format!("{}: a tile is too short", self.base)))
    }

    /// The rows of a tile.
    async fn rows(&self, index: u64, size: u64) -> Result<Vec<String>, NotLooked> {
        let width = Path::width(index, size);
        let bytes = self.get(Path::Entries { index, width }).await?;
        tiles::entries(&bytes).map_err(|e| NotLooked(format!("rows {}…: {e}", index * TILE)))
    }

    /// The first row that is not the one that the log's tree has in its place, looked for once it
    /// is known that there is one. `roots` are those of the tiles that were read. The tree's tiles
    /// are the server's word: where they say nothing else than the rows do, none is found.
    async fn changed(
        &self,
        begin: u64,
        size: u64,
        roots: &[Option<Hash>],
    ) -> Result<Option<u64>, NotLooked> {
        let mut above: Option<(u64, Vec<u8>)> = None;
        for (index, root) in (begin / TILE..).zip(roots) {
            if let Some(root) = root {
                let tile = index / TILE;
                if above.as_ref().is_none_or(|(had, _)| *had != tile) {
                    let width = Path::width(tile, size / TILE);
                    above = Some((
                        tile,
                        self.get(Path::Hashes { level: 1, index: tile, width }).await?,
                    ));
                }
                let nth = usize::try_from(index % TILE).unwrap_or(usize::MAX);
                let kept =
                    above.as_ref().and_then(|(_, hashes)| hashes.as_chunks::<32>().0.get(nth));
                if kept == Some(root) {
                    continue;
                }
            }
            let width = Path::width(index, size);
            let leaves = self.get(Path::Hashes { level: 0, index, width }).await?;
            let rows = self.rows(index, size).await?;
            let mut pairs = rows.iter().zip(leaves.as_chunks::<32>().0);
            if let Some(nth) = pairs.position(|(row, leaf)| leaf_hash(row.as_bytes()) != *leaf) {
                return Ok(Some(index * TILE + nth as u64));
            }
        }
        Ok(None)
    }

    /// How the logs' keys followed each other, as the server publishes it: each note proves
    /// itself, from the pinned key on.
    async fn endorsements(&self) -> Result<Vec<String>, NotLooked> {
        let address = self
            .base
            .join("/.well-known/keyturn-log-key")
            .map_err(|e| NotLooked(format!("{}: {e}", self.base)))?;
        let lines = String::from_utf8(self.fetch(address.as_str()).await?)
            .map_err(|_| NotLooked(format!("{address}: it is not text")))?;
        Ok(from_lines(&lines))
    }

    async fn get(&self, path: Path) -> Result<Vec<u8>, NotLooked> {
        self.fetch(&format!("{}/{}", self.base, path.text())).await
    }

    async fn fetch(&self, address: &str) -> Result<Vec<u8>, NotLooked> {
        let wrong = |e: reqwest::Error| NotLooked(format!("{address}: {}", e.without_url()));
        let mut answer = self
            .client
            .get(address)
            .bearer_auth(self.credential.expose_secret())
            .send()
            .await
            .map_err(wrong)?;
        if !answer.status().is_success() {
            return Err(NotLooked(format!("{address}: the server answers {}", answer.status())));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(wrong)? {
            if bytes.len() + chunk.len() > LARGEST {
                return Err(NotLooked(format!("{address}: the answer is too large")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

const CHANGED: &str =
    "its text was changed: it is not the one that the log's tree has in its place";

/// That a log is not the one that a checkpoint from before was of.
fn rewritten(rows: u64) -> String {
    format!(
        "at least one of its first {rows} rows was changed: the checkpoint from before, of {rows} rows, has another root"
    )
}

/// The root over a full tile; nothing over one that is not full.
fn root_of(hashes: &[Hash]) -> Option<Hash> {
    let mut frontier = Frontier::new();
    for hash in hashes {
        frontier.push(*hash);
    }
    (frontier.size() == TILE).then(|| frontier.root())
}

fn not_looked(e: impl std::fmt::Display) -> NotLooked {
    NotLooked(e.to_string())
}
