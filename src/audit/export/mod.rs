//! The forms in which rows of the logs leave the console: pure functions from a row to text.

pub mod csv;
pub mod ocsf;

use super::trail::ReadRow;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, safe to open in a spreadsheet.
    Csv,
    /// A line for each row, which is the leaf of the log's tree, byte by byte.
    JsonLines,
    /// A line for each row, an event of the Open Cybersecurity Schema Framework.
    Ocsf,
}

impl Format {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Format; 3] = [Format::Csv, Format::JsonLines, Format::Ocsf];

    /// The word in the address and in the row that says that there was an export.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::JsonLines => "jsonl",
            Format::Ocsf => "ocsf",
        }
    }

    /// The form that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.word() == word)
    }

    /// What to call it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Format::Csv => "CSV",
            Format::JsonLines => "JSON Lines",
            Format::Ocsf => "OCSF",
        }
    }

    /// How a file's name ends.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::JsonLines => "jsonl",
            Format::Ocsf => "ocsf.jsonl",
        }
    }

    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            // RFC 4180, section 3.
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::JsonLines | Format::Ocsf => "application/x-ndjson",
        }
    }

    /// What stands before the first row.
    #[must_use]
    pub fn head(self) -> String {
        match self {
            Format::Csv => csv::head(),
            Format::JsonLines | Format::Ocsf => String::new(),
        }
    }

    /// A row, with the end of its line.
    ///
    /// # Errors
    /// What is wrong with a row that is not what was hashed, or that cannot be read: nothing of
    /// it is to leave as if it were one.
    pub fn line(self, read: &ReadRow) -> Result<String, String> {
        if let Some(fault) = read.fault() {
            return Err(fault);
        }
        let Some(row) = &read.row else { return Err("a row cannot be read".to_owned()) };
        Ok(match self {
            Format::Csv => csv::line(row, &read.entry.leaf_hash),
            // The canonical text has no line breaks: RFC 8785 escapes them.
            Format::JsonLines => format!("{}\n", read.entry.body),
            Format::Ocsf => format!("{}\n", ocsf::event(row, &read.entry.leaf_hash)),
        })
    }
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::merkle::leaf_hash;
    use crate::proof::row::{ActorType, AuditRow, Outcome};
    use crate::store::audit::Entry;
    use serde_json::json;

    /// A row of the platform's log.
    pub(super) fn row(action: &str) -> AuditRow {
        let mut details = serde_json::Map::new();
        details.insert("from".into(), json!("192.0.2.7"));
        AuditRow {
            v: 1,
            log: "platform".into(),
            seq: 41,
            id: "01920000-0000-7000-8000-000000000001".into(),
            at: 1_760_000_000_123_456,
            action: action.into(),
            actor_type: ActorType::PlatformAdmin,
            actor_id: "stf_1".into(),
            actor_name: "Ada Okafor".into(),
            org_id: Some("org-1".into()),
            impersonation_id: Some("01920000-0000-7000-8000-0000000000aa".into()),
            ticket_ref: Some("NOV-4801".into()),
            reason: Some("rotate stuck vault_token per ticket NOV-4801".into()),
            secret_type: Some("vault_token".into()),
            secret_id: Some("vtk_1".into()),
            outcome: Outcome::Success,
            details,
        }
    }

    pub(super) fn stored(row: &AuditRow) -> ReadRow {
        let body = row.canonical().unwrap();
        ReadRow::of(Entry {
            log_id: row.log.clone(),
            seq: i64::try_from(row.seq).unwrap(),
            id: row.id.clone(),
            at: row.at,
            action: row.action.clone(),
            actor_id: row.actor_id.clone(),
            org_id: row.org_id.clone(),
            impersonation_id: row.impersonation_id.clone(),
            ticket_ref: row.ticket_ref.clone(),
            secret_type: row.secret_type.clone(),
            leaf_hash: leaf_hash(body.as_bytes()).to_vec(),
            body,
        })
    }

    #[test]
    fn a_json_line_is_the_leaf_that_was_hashed() {
        let read = stored(&row("vault_token.rotated"));
        let line = Format::JsonLines.line(&read).unwrap();
        let text = line.strip_suffix('\n').unwrap();
        assert_eq!(leaf_hash(text.as_bytes()).as_slice(), read.entry.leaf_hash.as_slice());
        assert!(!text.contains('\n'));
    }

    #[test]
    fn every_form_writes_one_line_a_row_whatever_stands_in_it() {
        let mut odd = row("vault_token.rotated");
        odd.actor_name = "two\nlines\u{2028}three".into();
        for format in [Format::JsonLines, Format::Ocsf] {
            let line = format.line(&stored(&odd)).unwrap();
            assert_eq!(line.matches('\n').count(), 1, "{format:?}");
        }
    }

    /// Protects whoever reads the file from rows that somebody changed in the database.
    #[test]
    fn a_row_that_is_not_what_was_hashed_does_not_leave() {
        let good = stored(&row("vault_token.rotated"));
        let altered = |change: &dyn Fn(&mut Entry)| {
            let mut entry = good.entry.clone();
            change(&mut entry);
            ReadRow::of(entry)
        };
        let other_text = altered(&|entry| entry.body = entry.body.replace("Ada", "Eve"));
        let other_column = altered(&|entry| entry.ticket_ref = None);
        let unreadable = altered(&|entry| {
            entry.body = "{}".to_owned();
            entry.leaf_hash = leaf_hash(b"{}").to_vec();
        });
        for format in Format::ALL {
            for wrong in [&other_text, &other_column, &unreadable] {
                let said = format.line(wrong).unwrap_err();
                assert!(said.contains("row 41 of platform"), "{said}");
            }
        }
    }

    #[test]
    fn each_word_names_its_form_and_nothing_else_does() {
        for format in Format::ALL {
            assert_eq!(Format::parse(format.word()), Some(format));
        }
        for wrong in ["", "CSV", "xlsx", "csv "] {
            assert_eq!(Format::parse(wrong), None, "{wrong}");
        }
    }
}
