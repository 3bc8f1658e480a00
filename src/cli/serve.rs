//! `keyturn serve`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyturn::auth::credential;
use keyturn::clock::{Clock, SystemClock, SystemRng};
use keyturn::config::vault::{VaultCredential, VaultServer};
use keyturn::config::witness::Witness;
use keyturn::config::{Config, Raw};
use keyturn::delivery::authorities::Authorities;
use keyturn::delivery::mail::SmtpMailer;
use keyturn::delivery::mail::address::greeting;
use keyturn::delivery::one_password::Connect;
use keyturn::delivery::tickets::Tickets;
use keyturn::delivery::tickets::embedded::EmbeddedDesk;
use keyturn::delivery::tickets::fields::FieldNames;
use keyturn::delivery::tickets::zendesk::{self, Zendesk};
use keyturn::delivery::witness::{FolderWitness, HttpWitness};
use keyturn::desk::gateways::GatewaySettings;
use keyturn::desk::keys::{Keys, Names};
use keyturn::desk::{AskedWitness, Desk, Settings};
use keyturn::gateway::listener;
use keyturn::proof::cosignature::WitnessKey;
use keyturn::secrets::vault::Vault;
use keyturn::secrets::vault::embedded::EmbeddedVault;
use keyturn::secrets::vault::http::{Address, Credential, HttpVault};
use keyturn::store::Store;
use keyturn::telemetry::{self, Format};
use keyturn::web::app::App;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

use super::forward::sinks;
use super::start::{Background, PATIENCE, connect, data_folder, pkg, prepare, serve, text};

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
        sinks(&config)?;
        let desk = desk(&config, Duration::ZERO).await?;
        println!("The settings, the keys and the database are good.");
        let vault = desk.vault.problems().await;
        let vaults = desk.check_shared_vaults().await.map_err(text)?;
        desk.store.close().await;
        let wrong: Vec<String> = vault
            .into_iter()
            .map(|why| format!("vault: {why}"))
            .chain(
                vaults
                    .into_iter()
                    .filter_map(|(org, seen)| seen.err().map(|why| format!("{org}: {why}"))),
            )
            .collect();
        return if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\nkeyturn: ")) };
    }
    let sinks = sinks(&config)?;
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
    let listener =
        TcpListener::bind(config.listen).await.map_err(|e| format!("{}: {e}", config.listen))?;
    let gateways = match config.gateway_listen {
        Some(address) => {
            let socket =
                std::net::TcpListener::bind(address).map_err(|e| format!("{address}: {e}"))?;
            tracing::info!(listen = %address, "serving gateways");
            Some(listener::serve(desk.clone(), socket).await.map_err(text)?)
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
    };
    serve(app, listener, background, gateways).await
}

/// The settings from a file and the environment.
pub fn read(file: Option<&Path>) -> Raw {
    Raw::read(file, |name| std::env::var(name).ok())
}

/// The desk of a deployment, whose database has `patience` to come up.
pub async fn desk(config: &Config, patience: Duration) -> Result<Desk, String> {
    let clock = Arc::new(SystemClock);
    let rng = Arc::new(SystemRng);
    let url = match &config.database_url {
        Some(url) => url.expose_secret().to_owned(),
        None => {
            data_folder(&config.data)?;
            Store::sqlite_in(&config.data)
        }
    };
    let api = format!("{}/api", config.base_url);
    let names = Names { issuer: &config.base_url, audience: &api, log_origin: &config.log_origin };
    let own = authorities(config)?;
    let store = connect(&url, config.connections, patience).await?;
    let vault: Arc<dyn Vault> = match &config.vault.server {
        Some(server) => Arc::new(HttpVault::new(address(server, config.ca_file.as_deref())?)?),
        None => Arc::new(EmbeddedVault::new(store.clone(), clock.clone(), rng.clone())),
    };
    Ok(Desk {
        keys: Keys::load(&config.keys_file, &names, clock.now()).map_err(text)?,
        tickets: tickets(config, &store, &own)?,
        store,
        clock,
        rng,
        settings: Settings {
            base_url: config.base_url.clone(),
            impersonation_life: config.impersonation_life,
            overlap_seconds: config.overlap_seconds,
            private_targets: false,
            mail_from: config.mail_from.clone(),
            vault_policies: config.vault.allowed_policies.clone(),
            gateways: GatewaySettings {
                interval: config.gateway_interval,
                names: config.gateway_names.clone(),
            },
            witness_folder: config.witness_folder.clone(),
            witness: match &config.witness {
                Some(at) => Some(AskedWitness {
                    name: HttpWitness::name_of(&at.url),
                    key: witness_key(at)?,
                }),
                None => None,
            },
        },
        mailer: Arc::new(
            SmtpMailer::trusting(
                &config.smtp_url,
                greeting(&config.base_url, &config.mail_from),
                &own,
            )
            .map_err(text)?,
        ),
        vault,
        shared_vault: match &config.one_password {
            Some(at) => Some(Arc::new(Connect::trusting(&at.url, &at.token, &own).map_err(text)?)),
            None => None,
        },
        lists_changed: tokio::sync::Notify::new(),
    })
}

/// The key that the witness signs with.
fn witness_key(at: &Witness) -> Result<WitnessKey, String> {
    WitnessKey::parse(&at.key).map_err(|e| format!("witness_key: {e}"))
}

/// The authorities that count besides the public ones. They are read now.
fn authorities(config: &Config) -> Result<Authorities, String> {
    let Some(file) = &config.ca_file else { return Ok(Authorities::default()) };
    let wrong = |e: &dyn std::fmt::Display| format!("ca_file {}: {e}", file.display());
    let pem = std::fs::read(file).map_err(|e| wrong(&e))?;
    Authorities::read(&pem).map_err(|e| wrong(&e))
}

/// How the vault's client finds and knows the vault. Its root certificate is read now.
fn address(server: &VaultServer, own: Option<&Path>) -> Result<Address, String> {
    let files = [("vault_ca_file", server.ca_file.as_deref()), ("ca_file", own)];
    let file = files.into_iter().find_map(|(name, file)| file.map(|file| (name, file)));
    let root_certificate = match file {
        None => None,
        Some((name, file)) => {
            Some(std::fs::read(file).map_err(|e| format!("{name} {}: {e}", file.display()))?)
        }
    };
    Ok(Address {
        url: server.url.clone(),
        namespace: server.namespace.clone(),
        credential: match &server.credential {
            VaultCredential::TokenFile(file) => Credential::TokenFile(file.clone()),
            VaultCredential::AppRole { role_id, secret_id_file } => Credential::AppRole {
                role_id: role_id.clone(),
                secret_id_file: secret_id_file.clone(),
            },
        },
        token_role: server.token_role.clone(),
        root_certificate,
    })
}

/// Where the deployment's tickets live.
fn tickets(config: &Config, store: &Store, own: &Authorities) -> Result<Arc<dyn Tickets>, String> {
    let Some(zendesk) = &config.zendesk else {
        return Ok(Arc::new(EmbeddedDesk::new(store.clone(), &config.tickets_prefix)));
    };
    let usual = FieldNames::default();
    let settings = zendesk::Settings {
        url: zendesk.url.clone(),
        email: zendesk.email.clone(),
        token: zendesk.token.clone(),
        prefix: config.tickets_prefix.clone(),
        fields: FieldNames {
            how: zendesk.field_how.clone().unwrap_or(usual.how),
            when: zendesk.field_when.clone().unwrap_or(usual.when),
            secret_id: zendesk.field_secret_id.clone().unwrap_or(usual.secret_id),
            secret_type: zendesk.field_secret_type.clone().unwrap_or(usual.secret_type),
            leak: zendesk.field_leak.clone().unwrap_or(usual.leak),
        },
    };
    Ok(Arc::new(Zendesk::trusting(settings, own).map_err(text)?))
}
