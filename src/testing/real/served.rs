//! The whole server on a port of this machine, for programs that are no part of this test.

use std::net::TcpListener;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tower_sessions::Session;

use crate::auth::credential;
use crate::auth::session_store::DatabaseSessions;
use crate::config::proxies::Proxies;
use crate::listen::{Limits, Stopping, Times};
use crate::testing::Bench;
use crate::web::app::App;
use crate::web::at_once::AtOnce;

/// The token with which services introspect. It has what HTTP Basic and forms treat specially.
pub(crate) const SERVICE: &str = "a+service%2Ftoken of=some&length-for:tests";

/// The token with which a program files tickets.
pub(crate) const INTAKE: &str = "an-intake-token-of-some-length-for-tests";

/// A server that runs until it is dropped.
pub(crate) struct Served {
    pub(crate) bench: Bench,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    pub(crate) async fn start(bench: Bench) -> Self {
        Self::behind(bench, Proxies::default()).await
    }

    /// Behind proxies that name the client.
    pub(crate) async fn behind(bench: Bench, proxies: Proxies) -> Self {
        Self::within(bench, proxies, Limits::default(), Times::default()).await
    }

    /// With limits of its own.
    pub(crate) async fn within(
        bench: Bench,
        proxies: Proxies,
        limits: Limits,
        times: Times,
    ) -> Self {
        let app = App {
            density: Default::default(),
            edges: Default::default(),
            desk: bench.desk.clone(),
            demo: None,
            pkg: None,
            introspection_hash: Some(credential::hash(&SERVICE.into())),
            intake_hash: Some(credential::hash(&INTAKE.into())),
            proxies,
            embedded_vault: Some(bench.vault.inner.clone()),
            stop: Default::default(),
            readiness: Default::default(),
            at_once: AtOnce::new(limits, times),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let serving = crate::http::serve_at(Arc::new(app), listener, Stopping::new());
        let serving = serving.expect("the socket");
        let task = tokio::spawn(async move { serving.await.expect("the server") });
        Self { bench, url, task }
    }

    /// The cookie of somebody who has signed in.
    pub(crate) async fn cookie(&self, staff_id: &str) -> String {
        let desk = &self.bench.desk;
        let email = self.bench.at_work(staff_id).await.staff.email;
        let mut tx = desk.begin().await.expect("a step");
        let signed_in = desk.sign_in_demo(&mut tx, &email, "127.0.0.1").await.expect("an account");
        tx.commit().await.expect("a commit");
        let sessions = DatabaseSessions::new(desk.store.clone(), desk.clock.clone());
        let session = Session::new(None, Arc::new(sessions), None);
        crate::web::door::remember(&session, &signed_in.token).await.expect("a session");
        session.save().await.expect("the database");
        format!("__Host-keyturn={}", session.id().expect("it was saved"))
    }
}
