//! `keyturn serve`.

mod parts;
mod sinks;

use std::path::Path;
use std::sync::Arc;

use keyturn::auth::credential;
use keyturn::config::Raw;
use keyturn::delivery::witness::{FolderWitness, HttpWitness};
use keyturn::gateway::listener;
use keyturn::listen::{Times, files, within};
use keyturn::secrets::vault::embedded::EmbeddedVault;
use keyturn::telemetry::{self, Format};
use keyturn::web::app::App;
use keyturn::web::at_once::AtOnce;
use tokio::net::TcpListener;

pub use self::parts::desk;
use self::parts::{Wrong, authorities, witness_key};
use self::sinks::sinks;
use super::start::{Background, PATIENCE, pkg, prepare, serve, text};

/// Serves a deployment, or only says what its settings are.
pub async fn run(file: Option<&Path>, listen: Option<String>, check: bool) -> Result<(), String> {
    let mut raw = read(file);
    if let Some(listen) = listen {
        raw.set("listen", listen);
    }
    if check {
        print!("{}", raw.describe());
    }
    let config = raw.validate().map_err(|wrong| wrong.join("\nkeyturn: "))?;
    if check {
        return parts::check(&config).await;
    }
    let mut wrong = Wrong::default();
    let sinks = sinks(&config, &mut wrong);
    wrong.into_result()?;
    telemetry::init(if config.json_logs { Format::Json } else { Format::Text });
    let desk = Arc::new(desk(&config, PATIENCE).await?);
    prepare(&desk).await?;
    let mut background = Background::default();
    let stop = background.stop.clone();
    if let Some(folder) = &config.witness_folder {
        let witness = Arc::new(FolderWitness::new(folder.clone()));
        background.run(desk.clone().run_witness(witness, stop.clone()));
    }
    if let Some(at) = &config.witness {
        let key = witness_key(at)?;
        let own = authorities(&config)?;
        let witness =
            HttpWitness::trusting(&at.url, key, desk.clock.clone(), &own).map_err(text)?;
        background.run(desk.clone().run_witness(Arc::new(witness), stop.clone()));
    }
    for sink in sinks {
        background.run(desk.clone().run_forwarder(sink, stop.clone()));
    }
    let limits = within(config.limits, files());
    let listener =
        TcpListener::bind(config.listen).await.map_err(|e| format!("{}: {e}", config.listen))?;
    let gateways = match config.gateway_listen {
        Some(address) => {
            let socket =
                std::net::TcpListener::bind(address).map_err(|e| format!("{address}: {e}"))?;
            tracing::info!(listen = %address, "serving gateways");
            let gateways = listener::serve(desk.clone(), socket, limits, Times::default());
            Some(gateways.await.map_err(text)?)
        }
        None => {
            tracing::info!("gateway_listen is not set: no gateway can connect");
            None
        }
    };
    tracing::info!(listen = %config.listen, base_url = %config.base_url, "serving");
    // It has no state of its own: all of it is in the database.
    let embedded = config.vault.server.is_none().then(|| {
        Arc::new(EmbeddedVault::new(desk.store.clone(), desk.clock.clone(), desk.rng.clone()))
    });
    let app = App {
        density: Default::default(),
        edges: Default::default(),
        desk,
        demo: None,
        pkg: pkg(&config.pkg),
        introspection_hash: config.introspection_token.as_ref().map(credential::hash),
        intake_hash: config.intake_token.as_ref().map(credential::hash),
        proxies: config.proxies,
        embedded_vault: embedded,
        stop,
        readiness: Default::default(),
        at_once: AtOnce::new(limits, Times::default()),
    };
    serve(app, listener, background, gateways).await
}

/// The settings from a file and the environment.
pub fn read(file: Option<&Path>) -> Raw {
    Raw::read(file, |name| std::env::var(name).ok())
}
