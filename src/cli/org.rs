//! `keyturn org`: bring orgs in, and give their members credentials.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use keyturn::audit::Actor;
use keyturn::desk::import::{Document, NotImported, Outcome};
use keyturn::model::{Micros, time};
use keyturn::store::orgs::credentials::OrgCredential;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::OrgCommand;
use super::serve::{desk, read};
use super::start::{prepare, text};

/// What could not be brought in kept nothing else out.
const IN_PART: u8 = 3;

/// Imports, or makes a credential. The exit status of an import is 0 where all of it is in, 3 where
/// a part of it is, and 1 where none of it is.
pub async fn run(config: Option<&Path>, command: OrgCommand) -> Result<ExitCode, String> {
    let config = read(config).validate().map_err(|wrong| wrong.join("\nkeyturn: "))?;
    let desk = desk(&config, Duration::ZERO).await?;
    prepare(&desk).await?;
    // Whoever has the keys file and the database may do this; the log says under which name.
    let by = Actor {
        id: "command-line".to_owned(),
        name: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
        ..Actor::system()
    };
    let mut code = ExitCode::SUCCESS;
    match command {
        OrgCommand::Import { file, check } => {
            let content = std::fs::read_to_string(&file)
                .map(Zeroizing::new)
                .map_err(|e| format!("{}: {e}", file.display()))?;
            let document =
                Document::parse(&content).map_err(|e| format!("{}: {e}", file.display()))?;
            let outcomes = desk.import_orgs(&by, &document, check).await.map_err(text)?;
            code = report(&outcomes);
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
        OrgCommand::Credentials { org } => {
            let now = desk.now();
            for c in desk.org_credentials(&org).await.map_err(text)? {
                println!("{}", line(&c, now));
            }
        }
        OrgCommand::RevokeCredential { org, credential } => {
            let mut tx = desk.begin().await.map_err(text)?;
            let step = desk.revoke_org_credential(&mut tx, &by, &org, &credential).await;
            desk.settle(tx, step).await.map_err(text)?;
            println!("Revoked. Both logs say so.");
        }
    }
    desk.store.close().await;
    Ok(code)
}

/// A credential in a line.
fn line(c: &OrgCredential, now: Micros) -> String {
    let at = |t: Option<Micros>, none: &str| t.map_or_else(|| none.to_owned(), time::seconds);
    let state = match (c.works(now), c.revoked_at) {
        (true, _) => "works",
        (false, Some(_)) => "revoked",
        (false, None) => "expired",
    };
    format!(
        "{}  {}  {state}  given {}  until {}  last used {}",
        c.id,
        c.member_email,
        time::seconds(c.created_at),
        at(c.revoked_at.or(c.expires_at), "never"),
        at(c.last_used_at, "never"),
    )
}

/// Says what became of each org; the exit status.
fn report(outcomes: &[Outcome]) -> ExitCode {
    let (mut whole, mut some) = (true, outcomes.is_empty());
    for outcome in outcomes {
        match outcome {
            Ok(org) => {
                some = true;
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
                if let Some((fingerprint, problem)) = &org.key_problem {
                    whole = false;
                    eprintln!("{}: the Owner's key {fingerprint}: {problem}.", org.slug);
                }
            }
            Err(not) => {
                let NotImported { slug, fingerprint, why } = not.as_ref();
                whole = false;
                let key = fingerprint.as_ref().map(|f| format!(" (key {f})")).unwrap_or_default();
                eprintln!("{slug}: not imported{key}: {why}.");
            }
        }
    }
    match (whole, some) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => ExitCode::from(IN_PART),
        (false, false) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyturn::desk::StepError;
    use keyturn::desk::import::Imported;

    /// Protects scripts that import: in part is neither done nor failed.
    #[test]
    fn the_exit_status_says_whether_all_some_or_none_went_in() {
        let imported = || {
            let slug = "zephyr".to_owned();
            Ok(Imported { slug, changes: vec![], members_left: 0, key_problem: None })
        };
        let refused = || {
            let (slug, why) = ("acme".to_owned(), StepError::Invalid("no name"));
            Err(Box::new(NotImported { slug, fingerprint: None, why }))
        };
        let code = |outcomes: &[Outcome]| format!("{:?}", report(outcomes));
        let is = |code: ExitCode| format!("{code:?}");
        assert_eq!(code(&[imported(), imported()]), is(ExitCode::SUCCESS));
        assert_eq!(code(&[]), is(ExitCode::SUCCESS));
        assert_eq!(code(&[imported(), refused()]), is(ExitCode::from(IN_PART)));
        assert_eq!(code(&[refused()]), is(ExitCode::FAILURE));
    }
}
