//! `keyturn org`: bring orgs in, and give their members credentials.

use std::path::Path;

use keyturn::audit::Actor;
use keyturn::desk::import::Document;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::OrgCommand;
use super::serve::{desk, read};
use super::start::{prepare, text};

/// Imports, or makes a credential.
pub async fn run(config: Option<&Path>, command: OrgCommand) -> Result<(), String> {
    let config = read(config).validate().map_err(|wrong| wrong.join("\nkeyturn: "))?;
    let desk = desk(&config).await?;
    prepare(&desk).await?;
    // Whoever has the keys file and the database may do this; the log says under which name.
    let by = Actor {
        id: "command-line".to_owned(),
        name: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
        ..Actor::system()
    };
    match command {
        OrgCommand::Import { file, check } => {
            let content = std::fs::read_to_string(&file)
                .map(Zeroizing::new)
                .map_err(|e| format!("{}: {e}", file.display()))?;
            let document =
                Document::parse(&content).map_err(|e| format!("{}: {e}", file.display()))?;
            desk.check_accessors(&document).await.map_err(text)?;
            let mut tx = desk.begin().await.map_err(text)?;
            let step = desk.import_orgs(&mut tx, &by, &document).await;
            let imported = if check {
                let imported = step.map_err(text)?;
                tx.rollback().await.map_err(text)?;
                imported
            } else {
                desk.settle(tx, step).await.map_err(text)?
            };
            for org in imported {
                println!("{}: {} changes", org.slug, org.changes.len());
                for change in &org.changes {
                    println!("  {change}");
                }
                if org.members_left > 0 {
                    println!(
                        "  {} members are not in the file and were left as they are",
                        org.members_left
                    );
                }
            }
            if check {
                println!("Nothing was changed: this was only a check.");
            }
        }
        OrgCommand::Credential { org, member } => {
            let mut tx = desk.begin().await.map_err(text)?;
            let step = desk.issue_org_credential(&mut tx, &by, &org, &member).await;
            let token = desk.settle(tx, step).await.map_err(text)?;
            eprintln!("The credential is shown this once. Only its hash is kept.");
            println!("{}", token.expose_secret());
        }
    }
    desk.store.close().await;
    Ok(())
}
