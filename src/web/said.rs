//! What is said once on the next page to who has not signed in: it is kept in a cookie of theirs,
//! since nobody has to sign in for it and the database must not grow by it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{self, Request};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};

use super::app::App;
use super::door::Flash;

const COOKIE: &str = "keyturn-said";

/// The longest that is kept: our own sentences are shorter.
const LONGEST: usize = 2000;

#[derive(Debug, Clone, Default)]
struct Said(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    flashes: Vec<Flash>,
    changed: bool,
}

tokio::task_local! {
    static SAID: Said;
}

impl Said {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        // Nothing is left half-done where somebody panicked: it is a list.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Says something on the next page that this browser asks for. False outside of a request.
pub(super) fn say(flash: &Flash) -> bool {
    SAID.try_with(|said| {
        said.with(|state| {
            state.flashes = vec![flash.clone()];
            state.changed = true;
        });
    })
    .is_ok()
}

/// Takes what was said.
pub(super) fn take() -> Vec<Flash> {
    let taken = SAID.try_with(|said| {
        said.with(|state| {
            state.changed |= !state.flashes.is_empty();
            std::mem::take(&mut state.flashes)
        })
    });
    taken.unwrap_or_default()
}

/// Around every request: reads the cookie, and writes it where it has changed.
pub async fn remembered(
    extract::State(app): extract::State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let said = Said::default();
    said.with(|state| state.flashes = read(&app, request.headers()).into_iter().collect());
    let mut response = SAID.scope(said.clone(), next.run(request)).await;
    let State { flashes, changed } = said.with(std::mem::take);
    if changed {
        let text = flashes.first().and_then(|flash| serde_json::to_vec(flash).ok());
        let text = text.map(|json| URL_SAFE_NO_PAD.encode(json)).filter(|t| t.len() <= LONGEST);
        let (text, age) = text.map_or((String::new(), 0), |text| (text, 60));
        let attributes = format!("Max-Age={age}; SameSite=Lax");
        let cookie = app.set_cookie(COOKIE, &text, &attributes);
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

/// What the cookie holds. Whoever writes it themselves reads it themselves.
fn read(app: &App, headers: &HeaderMap) -> Option<Flash> {
    let text = app.cookie_of(headers, COOKIE)?;
    if text.len() > LONGEST {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
