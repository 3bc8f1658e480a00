//! `keyturn ca`.

use std::path::Path;
use std::time::Duration;

use keyturn::model::time;
use secrecy::SecretString;

use super::AuthorityCommand;
use super::serve::{desk, read};
use super::start::{prepare, text};

/// Shows or replaces the authority of a deployment.
pub async fn run(file: Option<&Path>, command: AuthorityCommand) -> Result<(), String> {
    let config = read(file).validate().map_err(|wrong| wrong.join("\nkeyturn: "))?;
    let desk = desk(&config, Duration::ZERO).await?;
    prepare(&desk).await?;
    let done = match command {
        AuthorityCommand::Show => {
            let mut conn = desk.store.read().await.map_err(text)?;
            let chain = keyturn::store::gateways::active_authority(&mut conn)
                .await
                .map_err(text)?
                .ok_or("there is no certificate authority")?
                .chain;
            print!("{chain}");
            Ok(())
        }
        AuthorityCommand::Import { chain, key } => {
            let open = |file: &Path| {
                std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
            };
            let (chain, key) = (open(&chain)?, SecretString::from(open(&key)?));
            let mut tx = desk.begin().await.map_err(text)?;
            let step = desk.import_authority(&mut tx, &chain, &key).await;
            let until = desk.settle(tx, step).await.map_err(text)?;
            println!(
                "Gateways get certificates of this authority from now on. It holds until {}.",
                time::seconds(until)
            );
            Ok(())
        }
    };
    desk.store.close().await;
    done
}
