//! The folder of caught mails: a file for each, written before the mail is answered for, and read
//! again by the next run.

use std::io;
use std::path::Path;

use tokio::io::AsyncWriteExt as _;

use super::CaughtMail;

/// What an earlier run left.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// The highest id in use.
    pub(super) last_id: u64,
    /// The newest mails, oldest first.
    pub(super) mails: Vec<CaughtMail>,
}

/// Writes a mail as a mail program opens it, with the envelope as headers before the others.
pub(super) async fn write(
    folder: &Path,
    received_at: i64,
    id: u64,
    from: &str,
    to: &[String],
    raw: &[u8],
) -> io::Result<()> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    // Links in these mails are worth something, if only in the demo.
    #[cfg(unix)]
    options.mode(0o600);
    let mut envelope = format!("Return-Path: <{from}>\r\n");
    for recipient in to {
        envelope.push_str(&format!("Delivered-To: {recipient}\r\n"));
    }
    let mut file = options.open(folder.join(format!("{received_at:020}-{id:05}.eml"))).await?;
    file.write_all(envelope.as_bytes()).await?;
    file.write_all(raw).await?;
    file.flush().await
}

/// Reads the newest mails of a folder, at most so many. Files of other names are passed over.
pub(super) async fn read(folder: &Path, most: usize) -> io::Result<Earlier> {
    let mut found = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        if let Some((received_at, id)) = entry.file_name().to_str().and_then(named) {
            found.push((id, received_at, entry.path()));
        }
    }
    found.sort();
    let last_id = found.last().map_or(0, |(id, ..)| *id);
    let older = found.len().saturating_sub(most);
    let mut mails = Vec::with_capacity(found.len() - older);
    for (id, received_at, path) in found.split_off(older) {
        let (from, to, raw) = opened(tokio::fs::read(path).await?);
        mails.push(CaughtMail::read(id, received_at, from, to, raw));
    }
    Ok(Earlier { last_id, mails })
}

/// The time and the id in `<time>-<id>.eml`.
fn named(file: &str) -> Option<(i64, u64)> {
    let (received_at, id) = file.strip_suffix(".eml")?.split_once('-')?;
    Some((received_at.parse().ok()?, id.parse().ok()?))
}

/// Takes the envelope off again. A mail that itself begins with `Delivered-To` would lose that
/// header to the envelope; nobody but a mail server puts it there.
fn opened(file: Vec<u8>) -> (String, Vec<String>, Vec<u8>) {
    let (mut from, mut to, mut at) = (String::new(), Vec::new(), 0);
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        if at == 0
            && let Some(path) = text.strip_prefix("Return-Path: ")
        {
            path.trim().trim_matches(['<', '>']).clone_into(&mut from);
        } else if let Some(recipient) = text.strip_prefix("Delivered-To: ") {
            to.push(recipient.trim().to_owned());
        } else {
            break;
        }
        at += line.len();
    }
    let raw = file.get(at..).unwrap_or_default().to_vec();
    (from, to, raw)
}
