//! A log as tiles (C2SP tlog-tiles): what a monitor fetches to check the log for itself.
//!
//! Level 0 are the leaf hashes and each level above it the roots of full tiles of the one below,
//! which is just what is stored. A full tile never changes.

use sqlx::AnyConnection;

use super::AuditError;
use crate::store::audit::{self, Head};

/// How many hashes or entries a full tile has.
const WIDTH: u64 = 256;

/// What is asked for, below a log's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// `checkpoint`: the newest one.
    Checkpoint,
    /// `tile/<L>/<N>[.p/<W>]`: hashes.
    Hashes {
        /// The tile level: the tree's level divided by 8.
        level: u8,
        /// Which tile of the level.
        index: u64,
        /// How many hashes, 1 to 256.
        width: u64,
    },
    /// `tile/entries/<N>[.p/<W>]`: the rows themselves.
    Entries {
        /// Which tile.
        index: u64,
        /// How many rows, 1 to 256.
        width: u64,
    },
}

impl Path {
    /// Reads a path; nothing for one that is none, or is not written in the one way that it is
    /// written in.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path == "checkpoint" {
            return Some(Self::Checkpoint);
        }
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => {
                let width = number(width).filter(|w| (1..WIDTH).contains(w))?;
                (index_of(index)?, width)
            }
            None => (index_of(rest)?, WIDTH),
        };
        if level == "entries" {
            return Some(Self::Entries { index, width });
        }
        let level = u8::try_from(number(level)?).ok().filter(|l| *l < 8)?;
        Some(Self::Hashes { level, index, width })
    }

    /// The path of a tile of entries.
    #[must_use]
    pub fn of_entries(index: u64, width: u64) -> String {
        Self::Entries { index, width }.text()
    }

    /// How it is written.
    #[must_use]
    pub fn text(&self) -> String {
        let tile = |level: &str, index: u64, width: u64| {
            let partial = if width == WIDTH { String::new() } else { format!(".p/{width}") };
            format!("tile/{level}/{}{partial}", index_text(index))
        };
        match *self {
            Self::Checkpoint => "checkpoint".to_owned(),
            Self::Hashes { level, index, width } => tile(&level.to_string(), index, width),
            Self::Entries { index, width } => tile("entries", index, width),
        }
    }

    /// The tile of this index that a log with `count` hashes or rows on its level has, full or as
    /// far as it is.
    pub(super) fn width(index: u64, count: u64) -> u64 {
        count.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH)
    }
}

/// A number in digits, without a sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// `x001/x234/067`: groups of three digits, all but the last marked.
fn index_of(text: &str) -> Option<u64> {
    let mut index: u64 = 0;
    let groups: Vec<&str> = text.split('/').collect();
    let (last, marked) = groups.split_last()?;
    for group in marked.iter().map(|g| g.strip_prefix('x')).chain([Some(*last)]) {
        let group = group.filter(|g| g.len() == 3 && g.bytes().all(|b| b.is_ascii_digit()))?;
        index = index.checked_mul(1000)?.checked_add(group.parse().ok()?)?;
    }
    (index_text(index) == text).then_some(index)
}

fn index_text(index: u64) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// The bytes at a path; nothing where the log has not grown so far.
///
/// # Errors
/// Where the database does not answer, or a stored hash is none.
pub async fn read(
    conn: &mut AnyConnection,
    head: &Head,
    path: Path,
) -> Result<Option<Vec<u8>>, AuditError> {
    let size = u64::try_from(head.size).unwrap_or(0);
    let span = |index: u64, width: u64, count: u64| {
        let from = index.checked_mul(WIDTH)?;
        let to = from.checked_add(width)?;
        (to <= count).then_some(())?;
        Some((i64::try_from(from).ok()?, i64::try_from(to).ok()?))
    };
    match path {
        Path::Checkpoint => Ok(Some(head.checkpoint.clone().into_bytes())),
        Path::Hashes { level, index, width } => {
            let tree_level = u32::from(level) * 8;
            let Some((from, to)) = span(index, width, size.checked_shr(tree_level).unwrap_or(0))
            else {
                return Ok(None);
            };
            let hashes = if level == 0 {
                audit::leaf_hashes(conn, &head.id, from, to).await?
            } else {
                audit::subtrees(conn, &head.id, i64::from(tree_level), from, to).await?
            };
            let mut bytes = Vec::with_capacity(32 * hashes.len());
            for (_, hash) in hashes {
                bytes.extend_from_slice(&hash);
            }
            whole(head, bytes.len() as u64 == width * 32, bytes)
        }
        Path::Entries { index, width } => {
            let Some((from, to)) = span(index, width, size) else { return Ok(None) };
            let rows = audit::range(conn, &head.id, from, to - from).await?;
            let mut bytes = Vec::new();
            for row in &rows {
                let length = u16::try_from(row.body.len()).map_err(|_| {
                    unreadable(head, format!("row {} is too long for a tile", row.seq))
                })?;
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(row.body.as_bytes());
            }
            whole(head, rows.len() as u64 == width, bytes)
        }
    }
}

fn whole(head: &Head, whole: bool, bytes: Vec<u8>) -> Result<Option<Vec<u8>>, AuditError> {
    if whole { Ok(Some(bytes)) } else { Err(unreadable(head, "rows of it are missing".to_owned())) }
}

fn unreadable(head: &Head, what: String) -> AuditError {
    AuditError::Unreadable { log: head.id.clone(), what }
}

/// The rows of a tile of entries.
///
/// # Errors
/// What is wrong with it.
pub fn entries(mut bytes: &[u8]) -> Result<Vec<String>, &'static str> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or("it ends within a length")?;
        let length = usize::from(u16::from_be_bytes(*length));
        if rest.len() < length {
            return Err("it ends within a row");
        }
        let (row, rest) = rest.split_at(length);
        rows.push(String::from_utf8(row.to_vec()).map_err(|_| "a row is not text")?);
        bytes = rest;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_in_one_way_only() {
        let hashes = |level, index, width| Some(Path::Hashes { level, index, width });
        assert_eq!(Path::parse("checkpoint"), Some(Path::Checkpoint));
        assert_eq!(Path::parse("tile/0/000"), hashes(0, 0, 256));
        assert_eq!(Path::parse("tile/1/x001/x234/067.p/5"), hashes(1, 1_234_067, 5));
        assert_eq!(
            Path::parse("tile/entries/x001/000"),
            Some(Path::Entries { index: 1000, width: 256 })
        );
        for wrong in [
            "",
            "checkpoint/",
            "tile",
            "tile/0",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/x001/1",
            "tile/0/001/002",
            "tile/00/000",
            "tile/8/000",
            "tile/-1/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/../000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(Path::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (index, width) in [(0, 256), (7, 3), (999, 256), (1000, 255), (123_456_789, 1)] {
            assert_eq!(
                Path::parse(&Path::of_entries(index, width)),
                Some(Path::Entries { index, width })
            );
            let hashes = Path::Hashes { level: 3, index, width };
            assert_eq!(Path::parse(&hashes.text()), Some(hashes));
        }
        assert_eq!(Path::parse(&Path::Checkpoint.text()), Some(Path::Checkpoint));
    }

    #[test]
    fn entries_that_are_cut_are_said_to_be() {
        assert_eq!(entries(b"\0\x02ab\0\0"), Ok(vec!["ab".to_owned(), String::new()]));
        assert!(entries(b"\0").is_err());
        assert!(entries(b"\0\x02a").is_err());
        assert!(entries(b"\0\x01\xff").is_err());
    }
}
