//! The seeded story of `keyturn demo`: cases for every branch of the procedure, a mail catcher,
//! and the customer's own side.

mod agents;
pub mod connect_server;
pub mod customer_side;
mod owner_keys;
pub mod seed;
pub mod smtp_catcher;
pub mod story;
pub mod year;

use std::path::Path;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use self::agents::Agents;
use self::customer_side::CustomerSide;
use self::smtp_catcher::SmtpCatcher;
pub use self::story::Story;
use self::story::{PlatformKey, Service, SharedVaults};
use crate::clock::{Rng, new_token};
use crate::desk::keys::write_private;
use crate::desk::{Desk, StepError};
use crate::model::StaffRole;

/// Where the two sides of the demo are reached, without a slash at the end.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The platform's console: `http://127.0.0.1:3000`.
    pub console: String,
    /// The customer's side: `http://127.0.0.1:3001`.
    pub customer_side: String,
    /// Where gateways connect to: `https://127.0.0.1:3002`.
    pub gateways: String,
}

/// Somebody the sign-in page has a button for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoPerson {
    /// Address.
    pub email: String,
    /// Name.
    pub name: String,
    /// Role.
    pub role: StaffRole,
}

/// The policies that the demo lets a new vault token have.
#[must_use]
pub fn vault_policies() -> Vec<String> {
    ["default", "claims-*", "ledger-*"].map(str::to_owned).to_vec()
}

/// A running demo: the story in the database, and the customer's side on its port. It stops when
/// it is dropped.
#[derive(Debug)]
pub struct Demo {
    people: Vec<DemoPerson>,
    customer_side: JoinHandle<()>,
}

impl Demo {
    /// Seeds the story where that has not been done, writes `demo.json` with the addresses of this
    /// run into `folder`, and serves the customer's side at `listener`.
    ///
    /// `introspection` is the credential with which a service asks whether a token is live. The
    /// mail catcher is taken ready-made, since its port has to be known to the desk's mailer.
    ///
    /// # Errors
    /// Where the story cannot be told, or `demo.json` cannot be written.
    pub async fn start(
        desk: &Desk,
        folder: &Path,
        addresses: &Addresses,
        introspection: &SecretString,
        listener: TcpListener,
        mails: SmtpCatcher,
    ) -> Result<Self, DemoError> {
        let mut story = seed::seed(desk, folder, &addresses.customer_side).await?;
        story.address.clone_from(&addresses.console);
        story.customer_side.clone_from(&addresses.customer_side);
        story.shared_vaults = SharedVaults {
            connect: addresses.customer_side.clone(),
            token: Zeroizing::new(
                connect_token(folder, desk.rng.as_ref())?.expose_secret().to_owned(),
            ),
            vaults: seed::shared_vaults(),
        };
        story.gateway_listener.clone_from(&addresses.gateways);
        story.services = vec![Service {
            name: "introspection".to_owned(),
            token: Zeroizing::new(introspection.expose_secret().to_owned()),
        }];
        let public_key = desk
            .keys
            .openpgp
            .to_armored_public()
            .map_err(|e| StepError::crypto("writing the platform's public key")(&e))?;
        story.platform_pgp =
            PlatformKey { public_key, fingerprint: desk.keys.openpgp.fingerprint() };
        story.save(folder)?;

        let clock = Arc::clone(&desk.clock);
        let rng = Arc::clone(&desk.rng);
        let gateways = story.gateways.clone();
        let agents = Agents::start(gateways, folder, &addresses.gateways, clock.clone());
        let side = CustomerSide::new(&story, Arc::new(mails), clock, rng, agents, folder)?;
        let customer_side = tokio::spawn(async move {
            if let Err(error) = customer_side::serve(listener, side).await {
                tracing::error!(%error, "the customer's side has stopped");
            }
        });
        let people = story.staff.into_iter().map(|person| DemoPerson {
            email: person.email,
            name: person.name,
            role: person.role,
        });
        Ok(Self { people: people.collect(), customer_side })
    }

    /// The demo's staff, in the order of the buttons.
    #[must_use]
    pub fn people(&self) -> &[DemoPerson] {
        &self.people
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.customer_side.abort();
    }
}

/// The access token of the demo's 1Password Connect server: made once, kept in a file of its own,
/// since the desk needs it before the story is told.
///
/// # Errors
/// Where the file can be neither read nor written.
pub fn connect_token(folder: &Path, rng: &dyn Rng) -> Result<SecretString, DemoError> {
    let file = folder.join("connect-token");
    match std::fs::read_to_string(&file) {
        Ok(token) => Ok(SecretString::from(token)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let token = new_token(rng);
            write_private(&file, token.expose_secret().as_bytes(), true)
                .map_err(DemoError::io(&file))?;
            Ok(token)
        }
        Err(e) => Err(DemoError::io(&file)(e)),
    }
}

/// Why the demo could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A step of the procedure.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// A log.
    #[error(transparent)]
    Audit(#[from] crate::audit::AuditError),
    /// An Owner's key.
    #[error("an Owner's key: {0}")]
    OwnerKey(#[from] pgp::errors::Error),
    /// A file that could not be read or written.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file that does not hold what it should.
    #[error("{file} does not hold what the demo wrote there: {source}")]
    Json {
        /// The file.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The database has accounts, and there is no `demo.json` with their passwords.
    #[error(
        "the database has accounts, but demo.json is gone from the data folder: put it back, or \
         start over with `make demo-reset`"
    )]
    Lost,
    /// A gateway's agent.
    #[error("a gateway's agent: {0}")]
    Agent(crate::gateway::agent::AgentError),
    /// The story does not hang together.
    #[error("the demo's script is wrong: {0}")]
    Script(&'static str),
}

impl DemoError {
    fn io(file: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let file = file.display().to_string();
        move |source| Self::Io { file, source }
    }

    fn json(file: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        let file = file.display().to_string();
        move |source| Self::Json { file, source }
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
