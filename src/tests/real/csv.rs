//! An export as CSV in LibreOffice, as it opens with a double click.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::audit::export::csv;
use crate::proof::row::{ActorType, AuditRow, Outcome};
use crate::testing::matrix;
use crate::testing::programs::{self, python, version_of};

/// Reads what LibreOffice made of it: for each cell its type and its text.
const READ: &str = r#"
import json, re, sys
from xml.etree import ElementTree
office, table = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}", "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
rows = []
for row in ElementTree.parse(sys.argv[1]).iter(f"{table}table-row"):
    cells = []
    for cell in row.findall(f"{table}table-cell"):
        text = "\n".join("".join(p.itertext()) for p in cell)
        kind = "formula" if cell.get(f"{table}formula") else cell.get(f"{office}value-type")
        cells += [[kind, text]] * min(int(cell.get(f"{table}number-columns-repeated", 1)), 40)
    rows.append(cells)
print(json.dumps(rows))
"#;

fn row(ticket: &str, actor: &str, secret: &str, reason: &str) -> AuditRow {
    AuditRow {
        v: 1,
        log: "platform".into(),
        seq: 41,
        id: "01920000-0000-7000-8000-000000000001".into(),
        at: 1_760_000_000_123_456,
        action: "vault_token.rotated".into(),
        actor_type: ActorType::PlatformAdmin,
        actor_id: "stf_1".into(),
        actor_name: actor.into(),
        org_id: Some("org-1".into()),
        impersonation_id: None,
        ticket_ref: Some(ticket.into()),
        reason: Some(reason.into()),
        secret_type: Some("vault_token".into()),
        secret_id: Some(secret.into()),
        outcome: Outcome::Success,
        details: serde_json::json!({ "n": 1 }).as_object().cloned().unwrap(),
    }
}

/// What LibreOffice makes of a file with these settings of its import: the separator, the quote,
/// the characters (0 is what the machine has, where the mark says nothing else), the first line,
/// columns, language, quoted cells as texts, special numbers.
async fn opened(file: &Path, import: &str) -> Vec<Vec<(String, String)>> {
    let folder = file.parent().unwrap();
    let mut command = Command::new("soffice");
    command
        .arg(format!("-env:UserInstallation=file://{}/profile", folder.display()))
        .args(["--headless", "--convert-to", "fods", "--outdir"])
        .arg(folder)
        .arg(format!("--infilter=Text - txt - csv (StarCalc):{import}"))
        .arg(file)
        .env("HOME", folder);
    programs::run_well(command).await;
    let made = file.with_extension("fods").display().to_string();
    let said: Value = serde_json::from_str(&python(READ, &[&made]).await).unwrap();
    let cells = |row: &Value| {
        let cell = |c: &Value| {
            let text = |n: usize| c[n].as_str().unwrap_or_default().to_owned();
            (text(0), text(1))
        };
        row.as_array().unwrap().iter().map(cell).collect()
    };
    said.as_array().unwrap().iter().map(cells).collect()
}

/// Protects a reader from a ticket that has become a date, in every way of opening the file.
#[tokio::test]
async fn every_cell_is_the_text_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.csv");
    let rows = [
        row("NOV-4809", "Zoë Moreau-Díaz", "00012", "rotate per ticket NOV-4809"),
        row("MAI-4810", "12:30", "1e5", "1/2"),
        row("SUP-4811", "=1+1", "vtk_1", "TRUE"),
        row("NOV-4812", "\u{65e5}\u{672c}", "2026-11-30", "100%"),
    ];
    let text: String = rows.iter().map(|row| csv::line(row, &[0xab; 32])).collect();
    std::fs::write(&file, format!("{}{text}", csv::head())).unwrap();
    // As it comes; special numbers too; the same in German; characters as the machine has them.
    for import in [
        "44,34,76,1,,0,false,false",
        "44,34,76,1,,0,false,true",
        "44,34,76,1,,1031,false,true",
        "44,34,76,1,,0,true,true",
    ] {
        let sheet = opened(&file, import).await;
        assert_eq!(sheet[0][0], ("string".to_owned(), "log".to_owned()), "{import}");
        for (nth, row) in rows.iter().enumerate() {
            let cells = &sheet[nth + 1];
            let as_written = |text: &str| text.strip_prefix('\'').unwrap_or(text).to_owned();
            for (column, text) in [
                (7, row.actor_name.as_str()),
                (10, row.ticket_ref.as_deref().unwrap()),
                (11, row.reason.as_deref().unwrap()),
                (13, row.secret_id.as_deref().unwrap()),
            ] {
                let (kind, shown) = &cells[column];
                assert_eq!(
                    (kind.as_str(), as_written(shown)),
                    ("string", text.to_owned()),
                    "{import}"
                );
            }
            assert_eq!(cells[2].0, "string", "an instant is not shortened: {import}");
            assert!(cells.iter().all(|(kind, _)| kind != "formula"), "{import}");
        }
    }
    // That LibreOffice would make a date of it otherwise.
    let bare = folder.path().join("bare.csv");
    std::fs::write(&bare, "\"NOV-4809\"\r\n").unwrap();
    assert_eq!(opened(&bare, "44,34,76,1,,0,false,true").await[0][0].0, "date");
    let version = version_of("soffice", "--version").await;
    let tried = "a CSV export, with and without special numbers, two languages";
    matrix::holds(
        "Exports",
        "LibreOffice",
        &version,
        tried,
        "no text becomes a date, a number or a formula",
    );
}
