//! What the settings of a deployment stand for, made of them: keys, database, outside systems. All
//! that is wrong is found in one go, as far as one thing does not depend on another.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyturn::clock::{Clock, SystemClock, SystemRng};
use keyturn::config::Config;
use keyturn::config::vault::{VaultCredential, VaultServer};
use keyturn::config::witness::Witness;
use keyturn::delivery::authorities::Authorities;
use keyturn::delivery::mail::SmtpMailer;
use keyturn::delivery::mail::address::greeting;
use keyturn::delivery::one_password::Connect;
use keyturn::delivery::shared_vault::SharedVault;
use keyturn::delivery::tickets::Tickets;
use keyturn::delivery::tickets::embedded::EmbeddedDesk;
use keyturn::delivery::tickets::fields::FieldNames;
use keyturn::delivery::tickets::zendesk::{self, Zendesk};
use keyturn::delivery::witness::HttpWitness;
use keyturn::desk::gateways::GatewaySettings;
use keyturn::desk::keys::{Keys, Names};
use keyturn::desk::staff::sign_ins::SignIns;
use keyturn::desk::{AskedWitness, Desk, Settings};
use keyturn::proof::cosignature::WitnessKey;
use keyturn::secrets::vault::Vault;
use keyturn::secrets::vault::embedded::EmbeddedVault;
use keyturn::secrets::vault::http::{Address, Credential, HttpVault};
use keyturn::store::Store;
use secrecy::ExposeSecret;

use super::sinks::sinks;
use crate::cli::start::{connect, data_folder, text};

/// What is wrong, each said once.
#[derive(Default)]
pub struct Wrong(Vec<String>);

impl Wrong {
    fn say(&mut self, why: String) {
        if !self.0.contains(&why) {
            self.0.push(why);
        }
    }

    /// What came of something; nothing where it is wrong, which is kept.
    pub fn keep<T>(&mut self, made: Result<T, String>) -> Option<T> {
        made.map_err(|why| self.say(why)).ok()
    }

    /// All of it, for whoever reads the console.
    pub fn into_result(self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0.join("\nkeyturn: ")) }
    }
}

/// Says all that is wrong with a deployment.
pub async fn check(config: &Config) -> Result<(), String> {
    let mut wrong = Wrong::default();
    sinks(config, &mut wrong);
    let mut parts = Parts::of(config, &mut wrong);
    let store = wrong.keep(open(config, Duration::ZERO).await);
    if wrong.0.is_empty() {
        println!("The settings, the keys and the database are good.");
    }
    if let Some(Outside::Made(vault)) = &parts.vault {
        for why in vault.problems().await {
            wrong.say(format!("vault: {why}"));
        }
    }
    if let Some(store) = store {
        if let Some(desk) = parts.desk(config, store.clone()) {
            for (org, seen) in desk.check_shared_vaults().await.map_err(text)? {
                if let Err(why) = seen {
                    wrong.say(format!("{org}: {why}"));
                }
            }
        }
        store.close().await;
    }
    wrong.into_result()
}

/// The desk of a deployment, whose database has `patience` to come up.
pub async fn desk(config: &Config, patience: Duration) -> Result<Desk, String> {
    let mut wrong = Wrong::default();
    let mut parts = Parts::of(config, &mut wrong);
    wrong.into_result()?;
    let store = open(config, patience).await?;
    parts.desk(config, store).ok_or_else(|| "the settings are not whole".to_owned())
}

async fn open(config: &Config, patience: Duration) -> Result<Store, String> {
    let url = match &config.database_url {
        Some(url) => url.expose_secret().to_owned(),
        None => {
            data_folder(&config.data)?;
            Store::sqlite_in(&config.data)
        }
    };
    connect(&url, config.connections, patience).await
}

/// A system that is outside, or is kept in the database.
enum Outside<T> {
    Made(T),
    InDatabase,
}

/// What is made of the settings alone. What is absent is wrong.
struct Parts {
    keys: Option<Keys>,
    vault: Option<Outside<Arc<dyn Vault>>>,
    tickets: Option<Outside<Arc<dyn Tickets>>>,
    mailer: Option<SmtpMailer>,
    shared_vault: Option<Option<Arc<dyn SharedVault>>>,
    witness: Option<Option<AskedWitness>>,
}

impl Parts {
    fn of(config: &Config, wrong: &mut Wrong) -> Self {
        // Where the authorities cannot be read, the rest is still looked at.
        let own = wrong.keep(authorities(config)).unwrap_or_default();
        let api = format!("{}/api", config.base_url);
        let names =
            Names { issuer: &config.base_url, audience: &api, log_origin: &config.log_origin };
        let keys = Keys::load(&config.keys_file, &names, SystemClock.now()).map_err(text);
        let vault = match &config.vault.server {
            None => Ok(Outside::InDatabase),
            Some(server) => address(server, config.ca_file.as_deref())
                .and_then(HttpVault::new)
                .map(|vault| Outside::Made(Arc::new(vault) as Arc<dyn Vault>)),
        };
        let hello = greeting(&config.base_url, &config.mail_from);
        let mailer = SmtpMailer::trusting(&config.smtp_url, hello, &own).map_err(text);
        let shared_vault = match &config.one_password {
            None => Ok(None),
            Some(at) => Connect::trusting(&at.url, &at.token, &own)
                .map(|way| Some(Arc::new(way) as Arc<dyn SharedVault>))
                .map_err(text),
        };
        let witness = match &config.witness {
            None => Ok(None),
            Some(at) => witness_key(at)
                .map(|key| Some(AskedWitness { name: HttpWitness::name_of(&at.url), key })),
        };
        Self {
            keys: wrong.keep(keys),
            vault: wrong.keep(vault),
            tickets: wrong.keep(tickets(config, &own)),
            mailer: wrong.keep(mailer),
            shared_vault: wrong.keep(shared_vault),
            witness: wrong.keep(witness),
        }
    }

    /// The desk, from what is whole; nothing where something is wrong.
    fn desk(&mut self, config: &Config, store: Store) -> Option<Desk> {
        let clock = Arc::new(SystemClock);
        let rng = Arc::new(SystemRng);
        let vault: Arc<dyn Vault> = match self.vault.take()? {
            Outside::Made(vault) => vault,
            Outside::InDatabase => {
                Arc::new(EmbeddedVault::new(store.clone(), clock.clone(), rng.clone()))
            }
        };
        let tickets: Arc<dyn Tickets> = match self.tickets.take()? {
            Outside::Made(tickets) => tickets,
            Outside::InDatabase => {
                Arc::new(EmbeddedDesk::new(store.clone(), &config.tickets_prefix))
            }
        };
        Some(Desk {
            keys: self.keys.take()?,
            tickets,
            store,
            clock,
            rng,
            settings: Settings {
                base_url: config.base_url.clone(),
                impersonation_life: config.impersonation_life,
                overlap_seconds: config.overlap_seconds,
                proof_life: config.proof_life,
                credential_life: config.credential_life,
                private_targets: false,
                mail_from: config.mail_from.clone(),
                vault_policies: config.vault.allowed_policies.clone(),
                gateways: GatewaySettings {
                    interval: config.gateway_interval,
                    names: config.gateway_names.clone(),
                },
                witness_folder: config.witness_folder.clone(),
                witness: self.witness.take()?,
            },
            mailer: Arc::new(self.mailer.take()?),
            vault,
            shared_vault: self.shared_vault.take()?,
            lists_changed: tokio::sync::Notify::new(),
            sign_ins: SignIns::new(&SystemRng),
        })
    }
}

/// The key that the witness signs with.
pub fn witness_key(at: &Witness) -> Result<WitnessKey, String> {
    WitnessKey::parse(&at.key).map_err(|e| format!("witness_key: {e}"))
}

/// The authorities that count besides the public ones. They are read now.
pub fn authorities(config: &Config) -> Result<Authorities, String> {
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
fn tickets(config: &Config, own: &Authorities) -> Result<Outside<Arc<dyn Tickets>>, String> {
    let Some(zendesk) = &config.zendesk else { return Ok(Outside::InDatabase) };
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
    Ok(Outside::Made(Arc::new(Zendesk::trusting(settings, own).map_err(text)?)))
}
