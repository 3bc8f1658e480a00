//! `keyturn gateway`: the agent beside a gateway.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use keyturn::clock::SystemClock;
use keyturn::gateway::agent::{Agent, install};
use keyturn::gateway::identity::Folder;
use keyturn::telemetry::{self, Format};
use secrecy::SecretString;

use super::GatewayCommand;
use super::start::text;

/// Runs the agent, or installs a bundle for it.
pub async fn run(command: GatewayCommand) -> Result<(), String> {
    match command {
        GatewayCommand::Run { dir, server, once } => {
            telemetry::init(Format::Text);
            let folder = Folder::at(&dir).map_err(text)?;
            let mut agent = Agent::new(folder, &server, Arc::new(SystemClock)).map_err(text)?;
            if once {
                agent.turn().await.map_err(text)?;
                println!("Answered. The certificate is {}.", agent.serial());
                return Ok(());
            }
            agent.run().await;
            Ok(())
        }
        GatewayCommand::Install { dir, bundle } => {
            let text_of = read(&bundle)?;
            let folder = Folder::at(&dir).map_err(text)?;
            let installed = install(&folder, &text_of).map_err(text)?;
            println!(
                "Installed certificate {} of {}. Start the agent again: keyturn gateway run --dir {}",
                installed.serial,
                installed.gateway_id,
                dir.display()
            );
            Ok(())
        }
    }
}

fn read(file: &Path) -> Result<SecretString, String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(|e| format!("standard input: {e}"))?;
    } else {
        text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(text.into())
}
