//! The customers' gateways, as far as the platform is concerned: the real agent, one for each, in
//! a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;
use tokio::task::JoinHandle;

use super::story::GatewayAgent;
use crate::clock::Clock;
use crate::gateway::agent::{Agent, AgentError, Status, install};
use crate::gateway::identity::Folder;

/// The folder of a gateway's agent.
///
/// # Errors
/// Where it cannot be made.
pub(super) fn folder_of(data: &Path, gateway: &str) -> Result<Folder, AgentError> {
    let all = data.join("gateways");
    // Made by hand, so that it is for its owner alone too.
    Folder::at(&all)?;
    Ok(Folder::at(&all.join(gateway))?)
}

/// The agents. They stop when this is dropped.
pub(super) struct Agents {
    data: PathBuf,
    server: String,
    clock: Arc<dyn Clock>,
    gateways: Vec<GatewayAgent>,
    running: Mutex<BTreeMap<String, JoinHandle<()>>>,
}

/// A gateway as its customer sees it.
pub(super) struct Site {
    pub(super) gateway: GatewayAgent,
    /// What its agent wrote last.
    pub(super) status: Option<Status>,
}

impl std::fmt::Debug for Agents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agents").field("gateways", &self.gateways.len()).finish_non_exhaustive()
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        for (_, task) in
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner))
        {
            task.abort();
        }
    }
}

impl Agents {
    /// Starts the agents of `gateways`, whose folders are in `data`, for the listener at `server`.
    pub(super) fn start(
        gateways: Vec<GatewayAgent>,
        data: &Path,
        server: &str,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let agents = Self {
            data: data.to_owned(),
            server: server.to_owned(),
            clock,
            gateways,
            running: Mutex::default(),
        };
        for gateway in &agents.gateways {
            if let Err(error) = agents.restart(&gateway.id) {
                tracing::error!(%error, gateway = %gateway.id, "an agent does not start");
            }
        }
        agents
    }

    fn restart(&self, id: &str) -> Result<(), AgentError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = running.remove(id) {
            before.abort();
        }
        let folder = folder_of(&self.data, id)?;
        let agent = Agent::new(folder, &self.server, self.clock.clone())?;
        running.insert(id.to_owned(), tokio::spawn(agent.run()));
        Ok(())
    }

    /// Installs a bundle, and starts the agent again, as somebody on site would.
    pub(super) fn install(&self, id: &str, bundle: &SecretString) -> Result<(), AgentError> {
        install(&folder_of(&self.data, id)?, bundle)?;
        self.restart(id)
    }

    /// Every gateway, as it says it stands.
    pub(super) fn sites(&self) -> Vec<Site> {
        let read = |id: &str| {
            let text = folder_of(&self.data, id).ok()?.read_status()?;
            serde_json::from_slice(&text).ok()
        };
        self.gateways
            .iter()
            .map(|gateway| Site { gateway: gateway.clone(), status: read(&gateway.id) })
            .collect()
    }
}
