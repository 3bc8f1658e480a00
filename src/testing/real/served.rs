//! The whole server on a port of this machine, for programs that are no part of this test.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::auth::credential;
use crate::config::proxies::Proxies;
use crate::testing::Bench;
use crate::web::app::App;

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
        };
        let router = crate::http::router(Arc::new(app));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move {
            axum::serve(listener, service).await.expect("the server");
        });
        Self { bench, url, task }
    }
}
