//! Only so many requests of one client at once. A proxy's connections are many clients', so it is
//! requests that count, and the client is who the proxy says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};

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
    use super::*;

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
