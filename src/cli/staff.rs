//! `keyturn keys` and `keyturn staff`.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use keyturn::audit::Actor;
use keyturn::clock::{Clock, SystemClock, SystemRng};
use keyturn::desk::keys::create;
use keyturn::model::time;
use secrecy::{ExposeSecret as _, SecretString};

use super::StaffCommand;
use super::serve::{desk, read};
use super::start::{prepare, text};

/// Makes new keys.
pub fn new_keys(file: &Path, user_id: &str) -> Result<(), String> {
    create(file, &SystemRng, SystemClock.now(), user_id).map_err(text)?;
    println!(
        "The keys are in {}. Keep a copy in a safe: what they seal cannot be opened without them.",
        file.display()
    );
    Ok(())
}

/// Whoever has the keys file and the database may do what the command line does; the log says
/// under which name.
pub fn by() -> Actor {
    Actor {
        id: "command-line".to_owned(),
        name: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
        ..Actor::system()
    }
}

/// Adds or disables an account.
pub async fn run(config: Option<&Path>, command: StaffCommand) -> Result<(), String> {
    let config = read(config).validate().map_err(|wrong| wrong.join("\nkeyturn: "))?;
    let desk = desk(&config, Duration::ZERO).await?;
    prepare(&desk).await?;
    let by = by();
    match command {
        StaffCommand::Add { email, name, role } => {
            let mut password = zeroize::Zeroizing::new(String::new());
            std::io::stdin().take(2000).read_to_string(&mut password).map_err(text)?;
            let password = SecretString::from(password.trim_end_matches(['\r', '\n']));
            let password = desk.hash_password(&password, &[&email, &name]).map_err(text)?;
            // Not before it was typed, and hashed: whoever holds a step holds up everybody.
            let mut tx = desk.begin().await.map_err(text)?;
            let step = desk.add_staff(&mut tx, &email, &name, role, &password, &by).await;
            let staff = desk.settle(tx, step).await.map_err(text)?;
            println!("{} can sign in as {}.", staff.email, staff.role.label());
        }
        StaffCommand::Credential { email, days } => {
            let mut tx = desk.begin().await.map_err(text)?;
            let step = desk.issue_auditor_credential(&mut tx, &by, &email, days).await;
            let (token, until) = desk.settle(tx, step).await.map_err(text)?;
            eprintln!(
                "The credential is shown this once, and good until {}. Only its hash is kept.",
                time::seconds(until)
            );
            println!("{}", token.expose_secret());
        }
        StaffCommand::RevokeCredentials { email } => {
            let mut tx = desk.begin().await.map_err(text)?;
            let step = desk.revoke_auditor_credentials(&mut tx, &by, &email).await;
            let gone = desk.settle(tx, step).await.map_err(text)?;
            println!("{gone} credentials of {email} are refused from now on.");
        }
        StaffCommand::Disable { email } => {
            let mut tx = desk.begin().await.map_err(text)?;
            let step = desk.disable_staff(&mut tx, &email, &by).await;
            desk.settle(tx, step).await.map_err(text)?;
            println!("{email} is disabled. Sessions and a live impersonation have ended.");
        }
    }
    desk.store.close().await;
    Ok(())
}
