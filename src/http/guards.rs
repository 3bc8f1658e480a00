//! Only so many requests of one client at once. A proxy's connections are many clients', so it is
//! requests that count, and the client is who the proxy says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};

use super::api::problem::Problem;
use super::machine;
use crate::auth::throttle;
use crate::listen::held_with;
use crate::web::app::App;
use crate::web::door::client;

/// How many requests of each client are being answered.
#[derive(Debug, Clone, Default)]
pub struct Clients(Arc<Mutex<HashMap<String, usize>>>);

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
struct One {
    clients: Clients,
    client: String,
}

impl Clients {
    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // Nothing is left half-done where somebody panicked: it is a map of numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, client: String, most: usize) -> Option<One> {
        let mut counts = self.counts();
        let count = counts.entry(client.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(One { clients: self.clone(), client })
    }
}

impl Drop for One {
    fn drop(&mut self) {
        let mut counts = self.clients.counts();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// Answers 429 where a client has as many requests under way as one may.
pub async fn few_at_once(
    State((app, clients)): State<(Arc<App>, Clients)>,
    request: Request,
    next: Next,
) -> Response {
    let from = client(&app, request.headers(), request.extensions());
    match clients.begin(throttle::network(&from), app.at_once.limits.per_client) {
        Some(one) => held_with(next.run(request).await, one),
        None => {
            let text = "Too many requests from this address are under way. Try again in a moment.";
            let mut response = (StatusCode::TOO_MANY_REQUESTS, format!("{text}\n")).into_response();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
    }
}

/// Refuses what comes past the proxies where their networks are known: it came over a network, and
/// without TLS. This machine's own programs may ask, and whoever only asks whether the server is up.
pub async fn past_the_proxies(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|info| info.0.ip().to_canonical());
    let trusted = app.proxies.trusted.is_empty()
        || peer.is_none_or(|peer| peer.is_loopback() || app.proxies.trusts(peer));
    let path = request.uri().path();
    if !app.secure() || trusted || ["/healthz", "/readyz"].contains(&path) {
        return next.run(request).await;
    }
    let text = "Keyturn is reached through its proxy alone, over TLS.";
    tracing::info!("a request past the proxies was refused");
    if machine::is_below(path) {
        return Problem::new("misdirected", StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    (StatusCode::MISDIRECTED_REQUEST, format!("{text}\n")).into_response()
}

/// Counts credentials that are none, for a row of their minute: whoever tries them writes nothing.
pub async fn note_refused(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let how = if !machine::is_below(path) {
        None
    } else if request.headers().contains_key("x-vault-token") {
        Some("vault token")
    } else {
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let scheme = shown.and_then(|shown| shown.split(' ').next());
        scheme.map(|s| if s.eq_ignore_ascii_case("basic") { "basic" } else { "bearer" })
    };
    let Some(how) = how else { return next.run(request).await };
    let from = client(&app, request.headers(), request.extensions());
    let response = next.run(request).await;
    let refused = match how {
        "vault token" => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    };
    if response.status() == refused {
        app.desk.note_refused_credential(&from, how);
    }
    response
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;
    use crate::config::proxies::Proxies;
    use crate::http::doors_tests::Site;

    /// Protects from a console without TLS: over a network only the proxies are answered.
    #[tokio::test]
    async fn what_comes_past_the_proxies_is_refused() {
        let site = Site::new().await;
        let proxies = Proxies {
            header: Some(header::FORWARDED),
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            hops: None,
        };
        let app = Arc::new(App {
            density: Default::default(),
            edges: Default::default(),
            desk: site.bench.desk.clone(),
            demo: None,
            pkg: None,
            introspection_hash: None,
            intake_hash: None,
            proxies,
            embedded_vault: None,
            stop: Default::default(),
            readiness: Default::default(),
            at_once: Default::default(),
        });
        let router = crate::http::router(app);
        for (peer, path, status) in [
            ("10.1.2.3:4801", "/sign-in", 200),
            ("[::ffff:10.1.2.3]:4801", "/sign-in", 200),
            ("127.0.0.1:4801", "/sign-in", 200),
            ("192.0.2.7:4801", "/sign-in", 421),
            ("[2001:db8::7]:4801", "/style.css", 421),
            ("192.0.2.7:4801", "/api/v1/openapi.json", 421),
            ("192.0.2.7:4801", "/healthz", 200),
        ] {
            let peer: SocketAddr = peer.parse().unwrap();
            let request = Request::builder()
                .uri(path)
                .header(header::FORWARDED, "for=10.0.0.1")
                .extension(ConnectInfo(peer));
            let request = request.body(axum::body::Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{peer} {path}");
            let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
            let problem = kind.starts_with("application/problem+json");
            assert_eq!(problem, status == 421 && path.starts_with("/api"), "{path}: {kind}");
        }
    }

    #[test]
    fn each_client_has_its_own_count_and_gets_its_place_back() {
        let clients = Clients::default();
        let begin = |client: &str| clients.begin(client.to_owned(), 2);
        let (one, two) = (begin("192.0.2.1").unwrap(), begin("192.0.2.1").unwrap());
        assert!(begin("192.0.2.1").is_none());
        let other = begin("192.0.2.2").unwrap();
        drop(one);
        assert!(begin("192.0.2.1").is_some());
        drop((two, other));
        assert!(clients.counts().is_empty(), "nothing is kept of who has gone");
    }
}
