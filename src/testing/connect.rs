//! A 1Password Connect server on a port of its own, that can be told to fail.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::clock::{Clock, SeededRng};
use crate::delivery::one_password::Connect;
use crate::demo::connect_server::{Access, ConnectServer, Item, Vault};

/// A vault that the access token may write into.
pub(crate) const VAULT: &str = "abcdefghijklmnopqrstuvwxy2";
/// One that it may only read.
pub(crate) const READ_ONLY: &str = "readonlyreadonlyreadonly22";
/// One that is not in its scope.
pub(crate) const OUT_OF_SCOPE: &str = "outofscopeoutofscopeoutof2";

/// The access token.
pub(crate) const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.of-the-tests.c2lnbmF0dXJl";

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mood {
    /// As it should.
    Well,
    /// Answers 503 to everything.
    Busy,
    /// Makes what it is asked for, and breaks off the answer.
    LosesAnswers,
    /// Makes what it is asked for, and answers something else.
    Babbles,
}

struct Switch {
    mood: AtomicU8,
    posts: AtomicUsize,
}

/// The server, until it is dropped.
pub(crate) struct Running {
    pub(crate) server: ConnectServer,
    address: SocketAddr,
    switch: Arc<Switch>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Starts one that keeps its items in `folder`.
    pub(crate) async fn start(folder: &Path, clock: Arc<dyn Clock>) -> Self {
        let vault =
            |id: &str, access| Vault { id: id.to_owned(), name: "Shared".to_owned(), access };
        let vaults = vec![
            vault(VAULT, Access::Write),
            vault(READ_ONLY, Access::Read),
            vault(OUT_OF_SCOPE, Access::None),
        ];
        let file = folder.join("connect.json");
        let rng = Arc::new(SeededRng::new(4814));
        let server = ConnectServer::open(&file, &TOKEN.into(), vaults, clock, rng).unwrap();
        let switch = Arc::new(Switch { mood: AtomicU8::new(0), posts: AtomicUsize::new(0) });
        let router: Router = server.router().layer(from_fn_with_state(Arc::clone(&switch), behave));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { server, address, switch, task }
    }

    /// From now on it behaves like this.
    pub(crate) fn set(&self, mood: Mood) {
        self.switch.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// How often it was asked to make an item.
    pub(crate) fn posts(&self) -> usize {
        self.switch.posts.load(Ordering::SeqCst)
    }

    /// The items it has.
    pub(crate) fn items(&self) -> Vec<Item> {
        self.server.items()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Connect {
        self.client_with(TOKEN)
    }

    /// A client of it with another access token.
    pub(crate) fn client_with(&self, token: &str) -> Connect {
        Connect::new(&self.url(), &SecretString::from(token)).unwrap()
    }
}

async fn behave(State(switch): State<Arc<Switch>>, request: Request, next: Next) -> Response {
    let post = request.method() == Method::POST;
    if post {
        switch.posts.fetch_add(1, Ordering::SeqCst);
    }
    let mood = switch.mood.load(Ordering::SeqCst);
    if mood == Mood::Busy as u8 {
        return axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answer = next.run(request).await;
    if !post || mood == Mood::Well as u8 {
        return answer;
    }
    if mood == Mood::Babbles as u8 {
        return "<html>welcome</html>".into_response();
    }
    let broken = futures::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("gone")) });
    Body::from_stream(broken).into_response()
}
