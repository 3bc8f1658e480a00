//! Comma-separated values (RFC 4180) that a spreadsheet reads as they are, also when the file is
//! opened with a double click: in UTF-8, which the byte order mark says, and nothing in it is a
//! formula, a date or a number that was none.
//!
//! A cell that begins with a sign such as `=` is run by a spreadsheet, and names and tickets hold
//! what people typed. So such a sign gets an apostrophe before it, at the beginning of a cell and
//! also behind whatever else could begin one: a spreadsheet may be set to another separator than
//! the comma, and then takes no notice of our quotes. What stands in the column `details` is JSON
//! and stays JSON: there the sign is written as `\u003d`.
//!
//! Spreadsheets also turn what looks like a number or a date into one, within quotes too: the
//! ticket `NOV-4809` becomes the first of November 4809, and the id `00012` becomes 12. Excel
//! always does, LibreOffice when it is told to look for special numbers. An apostrophe is the one
//! thing that keeps both from it and that everybody can see; `="NOV-4809"` would be a formula, a
//! blank is trimmed, and a character that nobody sees goes along with every copy. Programs read
//! the JSON Lines, where nothing is added.

use serde_json::Value;

use super::hex;
use crate::model::time;
use crate::proof::row::AuditRow;

/// The columns, in their order. It is never changed; a new one goes to the end.
const COLUMNS: [&str; 17] = [
    "log",
    "seq",
    "at",
    "action",
    "outcome",
    "actor_type",
    "actor_id",
    "actor_name",
    "org_id",
    "impersonation_id",
    "ticket_ref",
    "reason",
    "secret_type",
    "secret_id",
    "details",
    "id",
    "leaf_hash",
];

/// The byte order mark, by which spreadsheets know that this is UTF-8, and the names of the
/// columns as a line.
#[must_use]
pub fn head() -> String {
    format!("\u{feff}{}", names())
}

fn names() -> String {
    line_of(COLUMNS.map(str::to_owned))
}

/// A row as a line.
#[must_use]
pub fn line(row: &AuditRow, leaf_hash: &[u8]) -> String {
    let text = |field: &Option<String>| safe(field.as_deref().unwrap_or_default());
    let details = match row.details.is_empty() {
        true => String::new(),
        false => safe_json(&Value::Object(row.details.clone()).to_string()),
    };
    line_of([
        safe(&row.log),
        row.seq.to_string(),
        time::rfc3339(row.at),
        safe(&row.action),
        row.outcome.word().to_owned(),
        row.actor_type.word().to_owned(),
        safe(&row.actor_id),
        safe(&row.actor_name),
        text(&row.org_id),
        text(&row.impersonation_id),
        text(&row.ticket_ref),
        text(&row.reason),
        text(&row.secret_type),
        text(&row.secret_id),
        details,
        safe(&row.id),
        hex(leaf_hash),
    ])
}

/// Every cell is quoted, so that a separator or a line break in it begins no other.
fn line_of(cells: [String; COLUMNS.len()]) -> String {
    let mut line = String::new();
    for (nth, cell) in cells.iter().enumerate() {
        if nth > 0 {
            line.push(',');
        }
        line.push('"');
        line.push_str(&cell.replace('"', "\"\""));
        line.push('"');
    }
    line.push_str("\r\n");
    line
}

/// What makes a cell a formula when it comes first, the full-width forms too.
fn is_sign(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
}

/// Behind what a cell may begin where the separator is another, or the quotes are not minded.
/// Not the comma: whoever splits at commas minds them.
fn begins_cell(c: char) -> bool {
    matches!(c, ';' | '\t' | '|' | '"' | '\r' | '\n')
}

/// The text with `guard` called for each sign that could begin a formula.
fn guarded(text: &str, guard: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut beginning = true;
    for c in text.chars() {
        if beginning && is_sign(c) {
            guard(c, &mut out);
        } else {
            out.push(c);
        }
        // A spreadsheet may trim spaces before it looks.
        beginning = begins_cell(c) || (beginning && c.is_whitespace());
    }
    out
}

fn safe(text: &str) -> String {
    let with_apostrophe = |c: char, out: &mut String| {
        out.push('\'');
        out.push(c);
    };
    let out = guarded(text, with_apostrophe);
    // Some drop a leading tab or line break, and what it kept away comes first.
    let needs = out.starts_with(['\t', '\r', '\n']) || (!out.starts_with('\'') && converts(&out));
    if needs { format!("'{out}") } else { out }
}

/// How months begin in the languages of Western Europe, in lower case: a spreadsheet knows those
/// of its own language.
const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "jän",
    "mär", "mrz", "mai", "okt", "dez", "fév", "fev", "avr", "jui", "aoû", "aou", "déc", "ene",
    "abr", "ago", "dic", "gen", "mag", "giu", "lug", "ott", "mrt", "mei", "maj",
];

/// Words besides months that a number, a time or a date may hold.
const OF_NUMBERS: [&str; 9] = ["e", "am", "pm", "a", "p", "set", "out", "de", "t"];

/// Whether a spreadsheet would make something else of a text: a number, a date, a time, a share,
/// an amount or a truth. Rather too often than too seldom.
fn converts(text: &str) -> bool {
    let text = text.trim();
    // No number or date is longer; ids with nothing but digits and hyphens in them are.
    if text.chars().count() > 30 {
        return false;
    }
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return true;
    }
    if !text.contains(|c: char| c.is_numeric()) {
        return false;
    }
    let signs = |c: char| c.is_numeric() || c.is_whitespace() || " .,:/-+%()'’$€£¥".contains(c);
    let word_of_numbers = |word: &str| {
        let word = word.to_lowercase();
        OF_NUMBERS.contains(&word.as_str()) || MONTHS.iter().any(|month| word.starts_with(month))
    };
    text.chars().all(|c| c.is_alphabetic() || signs(c))
        && text.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty()).all(word_of_numbers)
}

/// In JSON such a sign behind a quote is always in a text: numbers stand behind `:`, `,` and `[`.
fn safe_json(json: &str) -> String {
    guarded(json, |c, out| out.push_str(&format!("\\u{:04x}", u32::from(c))))
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, json};

    /// Reads RFC 4180: lines of cells.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut lines, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
        let (mut quoted, mut chars) = (false, text.chars().peekable());
        while let Some(c) = chars.next() {
            match (quoted, c) {
                (true, '"') if chars.peek() == Some(&'"') => cell.extend(chars.next()),
                (_, '"') => quoted = !quoted,
                (false, ',') => cells.push(std::mem::take(&mut cell)),
                (false, '\r') => {
                    assert_eq!(chars.next(), Some('\n'));
                    cells.push(std::mem::take(&mut cell));
                    lines.push(std::mem::take(&mut cells));
                }
                _ => cell.push(c),
            }
        }
        assert!(!quoted && cell.is_empty() && cells.is_empty(), "it ends with a line");
        lines
    }

    /// What a spreadsheet that splits at `separator`, and minds quotes only where they begin a
    /// cell, takes for cells.
    fn cells_as_split_at(separator: char, text: &str) -> Vec<String> {
        let (mut all, mut cell) = (Vec::new(), String::new());
        let (mut quoted, mut chars) = (false, text.chars().peekable());
        while let Some(c) = chars.next() {
            if quoted {
                match c {
                    '"' if chars.peek() == Some(&'"') => cell.extend(chars.next()),
                    '"' => quoted = false,
                    _ => cell.push(c),
                }
            } else if c == '"' && cell.is_empty() {
                quoted = true;
            } else if c == separator || c == '\r' || c == '\n' {
                all.push(std::mem::take(&mut cell));
            } else {
                cell.push(c);
            }
        }
        all.push(cell);
        all
    }

    fn runs(cell: &str) -> bool {
        cell.trim_start().starts_with(is_sign)
    }

    #[test]
    fn a_row_reads_as_its_columns() {
        let text = format!("{}{}", names(), line(&row("vault_token.rotated"), &[0xab; 32]));
        let lines = read(&text);
        assert_eq!(lines[0], COLUMNS);
        assert_eq!(
            lines[1],
            [
                "platform",
                "41",
                "2025-10-09T08:53:20.123456Z",
                "vault_token.rotated",
                "success",
                "platform_admin",
                "stf_1",
                "Ada Okafor",
                "org-1",
                "01920000-0000-7000-8000-0000000000aa",
                "'NOV-4801",
                "rotate stuck vault_token per ticket NOV-4801",
                "vault_token",
                "vtk_1",
                r#"{"from":"192.0.2.7"}"#,
                "01920000-0000-7000-8000-000000000001",
                &"ab".repeat(32),
            ]
        );
    }

    #[test]
    fn what_a_spreadsheet_would_run_gets_an_apostrophe() {
        for (text, becomes) in [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "'\r'=1"),
            ("  =1", "  '=1"),
            ("＝1", "'＝1"),
            ("a\n=1", "a\n'=1"),
            ("a;=1", "a;'=1"),
            ("a\";=1", "a\";'=1"),
            ("a\"=1", "a\"'=1"),
            ("a-b = c", "a-b = c"),
            ("ada@platform.example", "ada@platform.example"),
            ("", ""),
        ] {
            assert_eq!(safe(text), becomes, "{text:?}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn what_a_spreadsheet_would_make_something_else_of_gets_an_apostrophe_too() {
        for text in [
            "NOV-4809", "nov-1", "MAI-4809", "Sept 5", "5 October 2026", "2026-11-30", "1/2", "12:30",
            "10:30 PM", "00012", "1e5", "1.234,5", "100%", "$ 5", "(5)", "TRUE", "false", " 12 ",
            "12345678901234567890", "30.11.2026", "2026-11-30T10:30", ".5",
        ] {
            assert_eq!(safe(text), format!("'{text}"), "{text:?}");
        }
        for text in [
            "SUP-4809", "vtk_1", "whk_acme", "Ada Okafor", "Owner 2 of acme", "org-1", "stf_1", "NOV",
            "3 checks do not pass", "01920000-0000-7000-8000-000000000001", "platform", "mtls_1", "",
        ] {
            assert_eq!(safe(text), text);
        }
    }

    #[test]
    fn the_file_begins_with_the_mark_and_the_names() {
        assert!(head().starts_with("\u{feff}\"log\",\"seq\""));
        assert!(!line(&row("x.y"), &[]).contains('\u{feff}'));
    }

    #[test]
    fn details_stay_json() {
        let mut odd = row("x.y");
        odd.details =
            json!({"why": "=cmd|' /C calc'!A0", "n": -5, "list": ["-x", -1], "q": "a;\"=1\""})
                .as_object()
                .cloned()
                .unwrap();
        let text = line(&odd, &[]);
        let cell = &read(&text)[0][14];
        assert!(cell.contains(r#""\u003dcmd"#), "{cell}");
        assert_eq!(serde_json::from_str::<Map<String, Value>>(cell).unwrap(), odd.details);
    }

    /// Texts of which most could be trouble.
    fn trouble() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            proptest::collection::vec(
                proptest::sample::select(vec![
                    "=", "+", "-", "@", "＝", "\t", "\r", "\n", ";", ",", "\"", "|", " ", "'", "a",
                    "\\", "1",
                ]),
                0..12
            )
            .prop_map(|parts| parts.concat()),
        ]
    }

    proptest! {
        #[test]
        fn no_cell_is_a_formula_wherever_it_is_split(name in trouble(), why in trouble(), key in trouble(), said in trouble()) {
            let mut odd = row("vault_token.rotated");
            odd.actor_name = name;
            odd.reason = Some(why);
            odd.details.insert(key, json!([said.clone(), {"deep": said}]));
            let text = line(&odd, &[1; 32]);
            let lines = read(&text);
            prop_assert_eq!(lines.len(), 1);
            prop_assert_eq!(lines[0].len(), COLUMNS.len());
            for cell in &lines[0] {
                prop_assert!(!runs(cell) && !cell.starts_with(['\t', '\r', '\n']), "{:?}", cell);
            }
            for separator in [',', ';', '\t', '|'] {
                for cell in cells_as_split_at(separator, &text) {
                    prop_assert!(!runs(&cell), "split at {:?}: {:?}", separator, cell);
                }
            }
            let details: Map<String, Value> = serde_json::from_str(&lines[0][14]).unwrap();
            prop_assert_eq!(details, odd.details);
        }

        #[test]
        fn a_text_that_begins_no_formula_is_left_as_it_is(text in "[a-zA-Z0-9 .,:@=+-]{0,40}") {
            let text = format!("_{text}");
            prop_assert_eq!(safe(&text), text);
        }
    }
}
