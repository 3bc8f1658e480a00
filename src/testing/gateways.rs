//! Gateways that really run: their folder, their agent, and the listener.

use std::net::TcpListener;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

use super::Bench;
use super::story::ADA;
use crate::desk::rotate::{Ask, Caller, Rotated};
use crate::desk::{AtWork, Step};
use crate::gateway::agent::{Agent, install};
use crate::gateway::identity::Folder;
use crate::gateway::listener::{self, Listener};
use crate::listen::{Limits, Times};
use crate::model::{Micros, SecretType, time};
use crate::secrets::certificates::Validity;
use crate::store::gateways::{self, Certificate};
use crate::store::impersonations::Impersonation;
use crate::store::secrets;

/// The gateway of the story.
pub(crate) const DUNE: &str = "gw_dune";
/// The ticket about it.
pub(crate) const GATEWAY: &str = "NOV-4804";

/// A listener, and a folder with the identity of [`DUNE`].
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) address: String,
    pub(crate) port: u16,
    _listener: Listener,
}

impl Site {
    /// A gateway whose certificate holds from so long ago to so far ahead.
    pub(crate) async fn new(bench: &Bench, from: Micros, until: Micros) -> Self {
        Self::within(bench, from, until, Times::default()).await
    }

    /// The same, where the listener keeps to these times.
    pub(crate) async fn within(bench: &Bench, from: Micros, until: Micros, times: Times) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = plant(bench, from, until).await;
        install(&Folder::at(folder.path()).unwrap(), &bundle).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let listener =
            listener::serve(bench.desk.clone(), socket, Limits::default(), times).await.unwrap();
        Self { folder, address: format!("https://localhost:{port}"), port, _listener: listener }
    }

    /// The agent, as if the gateway had just been started.
    pub(crate) fn agent(&self, bench: &Bench) -> Agent {
        agent_in(bench, self.folder.path(), &self.address)
    }
}

pub(crate) fn agent_in(bench: &Bench, folder: &Path, address: &str) -> Agent {
    Agent::new(Folder::at(folder).unwrap(), address, bench.clock.clone()).unwrap()
}

/// Issues the certificate that the gateway of the story has; its bundle.
pub(crate) async fn plant(bench: &Bench, from: Micros, until: Micros) -> SecretString {
    let now = bench.now();
    let mut tx = bench.desk.begin().await.unwrap();
    bench.desk.ensure_authority(&mut tx, now - 400 * time::DAY).await.unwrap();
    let secret = secrets::by_id(tx.conn(), DUNE).await.unwrap().unwrap();
    let validity = Validity { not_before: now + from, not_after: now + until };
    let bundle =
        bench.desk.plant_certificate(&mut tx, &secret, validity, Some(now + from)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(bundle.expose_secret().contains("PRIVATE KEY"));
    bundle
}

impl Bench {
    /// Starts the impersonation for the gateway's ticket, and asks for a new certificate.
    pub(crate) async fn rotate_gateway(&self) -> (AtWork, Impersonation, Rotated) {
        let ada = self.at_work(ADA).await;
        let grant = self.impersonate(&ada, GATEWAY).await.unwrap();
        let caller = Caller::Token(self.token(&grant));
        let rotated = self.rotate_certificate(&caller, &Ask::default()).await.unwrap();
        (ada, grant, rotated)
    }

    pub(crate) async fn rotate_certificate(&self, caller: &Caller, ask: &Ask) -> Step<Rotated> {
        self.desk.rotate(SecretType::MtlsCertificate, DUNE, caller, ask).await
    }

    /// The certificates of the gateway, newest first.
    pub(crate) async fn certificates(&self) -> Vec<Certificate> {
        let mut conn = self.desk.store.read().await.unwrap();
        gateways::certificates(&mut conn, DUNE, 100).await.unwrap()
    }

    pub(crate) async fn certificate(&self, serial: &str) -> Certificate {
        let mut conn = self.desk.store.read().await.unwrap();
        gateways::certificate(&mut conn, serial).await.unwrap().unwrap()
    }
}
