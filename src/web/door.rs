//! The doors: who a request comes from, what was said to them last, and where they go next.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, Uri, header};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::Any;
use sqlx::pool::PoolConnection;
use tower_sessions::Session;

use super::app::App;
use super::fault::{Fault, sentence};
use super::known::Known;
use super::network;
use super::pages::error;
use super::said;
use crate::delivery::guard;
use crate::desk::staff::sign_ins::KNOWN_FOR;
use crate::desk::{AtWork, Step, StepError};

/// What the cookie's session remembers: the token of the staff session.
const TOKEN: &str = "staff";
const FLASHES: &str = "flashes";

/// The cookie by which a browser is known at its next sign-in.
const DEVICE: &str = "keyturn-device";

/// The cookie with the theme that was chosen.
pub const THEME: &str = "keyturn-theme";

/// What is said once, on the next page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// `ok`, `needs` or `alarm`.
    pub kind: String,
    /// What happened.
    pub title: String,
    /// What it means, and what to do.
    pub text: String,
}

impl Flash {
    /// Something was done.
    #[must_use]
    pub fn done(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { kind: "ok".into(), title: title.into(), text: text.into() }
    }

    /// Something was not done.
    #[must_use]
    pub fn not_done(fault: Fault, text: impl Into<String>) -> Self {
        let kind = if fault == Fault::Unavailable { "alarm" } else { "needs" };
        Self { kind: kind.into(), title: fault.title().into(), text: text.into() }
    }
}

/// A signed-in request for a page, with a connection for the whole of it.
pub struct Door {
    /// The server.
    pub app: Arc<App>,
    /// Who.
    pub who: AtWork,
    /// A connection to read with.
    pub conn: PoolConnection<Any>,
    /// The cookie's session.
    pub session: Session,
    /// The theme that was chosen: `light`, `dark` or nothing.
    pub theme: Option<&'static str>,
    /// Path and query, to come back to.
    pub here: String,
}

impl FromRequestParts<Arc<App>> for Door {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let here = place(&parts.uri);
        let session = parts.extensions.get::<Session>().cloned().ok_or_else(error::broken)?;
        let from = client(app, &parts.headers, &parts.extensions);
        // Whoever only watches is not there: an open timeline does not keep a session alive.
        let watching = parts.uri.path() == "/audit/live";
        let found = signed_in(app, &session, &from, !watching).await.map_err(|e| {
            tracing::error!(error = %e, "reading a session");
            error::broken()
        })?;
        match found {
            Some((who, conn)) => {
                Known::note(&parts.extensions, "staff", &who.staff.id);
                Ok(Self {
                    app: app.clone(),
                    who,
                    conn,
                    session,
                    theme: theme(app, &parts.headers),
                    here,
                })
            }
            None => Err(Redirect::to(&format!("/sign-in?next={}", encode(&here))).into_response()),
        }
    }
}

impl Door {
    /// What was said since the last page. It is said once.
    pub fn flashes(&self) -> impl Future<Output = Vec<Flash>> + Send + use<> {
        // The door itself cannot be shared between threads: it holds a connection.
        let session = self.session.clone();
        async move { take_flashes(&session).await }
    }
}

/// Takes what was said to a session since its last page.
pub async fn take_flashes(session: &Session) -> Vec<Flash> {
    let before_signing_in = said::take();
    match session.get::<Vec<Flash>>(FLASHES).await {
        Ok(Some(mut flashes)) => {
            flashes.splice(0..0, before_signing_in);
            if let Err(e) = session.remove::<Vec<Flash>>(FLASHES).await {
                tracing::warn!(error = %e, "a message will be shown twice");
            }
            flashes
        }
        _ => before_signing_in,
    }
}

/// Says something on the next page of a session, or of whoever has none: for them none is made.
pub async fn flash(session: &Session, said: Flash) {
    if !matches!(session.get::<String>(TOKEN).await, Ok(Some(_))) && said::say(&said) {
        return;
    }
    let mut flashes = session.get::<Vec<Flash>>(FLASHES).await.ok().flatten().unwrap_or_default();
    flashes.push(said);
    // What nobody reads does not pile up.
    let flashes = flashes.split_off(flashes.len().saturating_sub(5));
    if let Err(e) = session.insert(FLASHES, flashes).await {
        tracing::warn!(error = %e, "a message is lost");
    }
}

/// Who a session belongs to, with a connection to read with. The session is read before the
/// connection is taken: nobody holds one connection while waiting for another.
async fn signed_in(
    app: &App,
    session: &Session,
    from: &str,
    touch: bool,
) -> Result<Option<(AtWork, PoolConnection<Any>)>, StepError> {
    let token = session
        .get::<String>(TOKEN)
        .await
        .map_err(|e| StepError::Outside(format!("the session store: {e}")))?;
    let Some(token) = token else { return Ok(None) };
    let mut conn = app.desk.store.read().await?;
    let who = app.desk.at_work(&mut conn, &SecretString::from(token), from, touch).await?;
    Ok(who.map(|who| (who, conn)))
}

/// Begins a signed-in session under a new id, so that an id planted before is worth nothing.
///
/// # Errors
/// Where the session cannot be written.
pub async fn remember(session: &Session, token: &SecretString) -> Result<(), StepError> {
    let lost =
        |e: tower_sessions::session::Error| StepError::Outside(format!("the session store: {e}"));
    session.cycle_id().await.map_err(lost)?;
    session.insert(TOKEN, token.expose_secret()).await.map_err(lost)
}

/// The network address that a request comes from.
#[must_use]
pub fn client(app: &App, headers: &HeaderMap, extensions: &http::Extensions) -> String {
    network::client(&app.proxies, headers, extensions)
}

/// The theme that a cookie names.
#[must_use]
pub fn theme(app: &App, headers: &HeaderMap) -> Option<&'static str> {
    match app.cookie_of(headers, THEME) {
        Some("light") => Some("light"),
        Some("dark") => Some("dark"),
        _ => None,
    }
}

/// A path of our own to go to: nothing that a browser could take for another site.
#[must_use]
pub fn local(path: &str) -> &str {
    let safe = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '\r', '\n', '\t'])
        && !path.starts_with("/do/")
        && path.is_ascii();
    if safe { path } else { "/tickets" }
}

/// Path and query of an address, to come back to; without the query where a secret was pasted into
/// it, since the forms of every page hold this.
fn place(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let sound = url::form_urlencoded::parse(query.as_bytes())
        .all(|(name, value)| [name, value].iter().all(|t| matches!(guard::shape(t), Ok(None))));
    let whole = uri.path_and_query().filter(|_| sound).map(ToString::to_string);
    whole.unwrap_or_else(|| uri.path().to_owned())
}

/// The longest text that is looked for, in characters.
const LONGEST_SEARCH: usize = 200;

/// Checks a text that somebody looks for, in whatever field of whatever page.
///
/// # Errors
/// [`StepError::Invalid`] where it is too long, or a secret was pasted into it.
pub fn sound_search(text: &str) -> Result<(), StepError> {
    if text.chars().count() > LONGEST_SEARCH {
        return Err(StepError::Invalid("A search has at most 200 characters: leave some out."));
    }
    match guard::shape(text) {
        Ok(None) => Ok(()),
        _ => Err(StepError::Invalid(
            "This is a secret, or has the shape of one. It was not searched for, and not written down.",
        )),
    }
}

/// Percent-encodes a value for a query.
#[must_use]
pub fn encode(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// A request to a server function.
pub struct Hand {
    /// The server.
    pub app: Arc<App>,
    /// The cookie's session.
    pub session: Session,
    /// The network address.
    pub from: String,
    html: bool,
    options: ResponseOptions,
    headers: HeaderMap,
    extensions: http::Extensions,
}

impl Hand {
    /// The request that is being answered.
    ///
    /// # Errors
    /// Where a server function runs outside of a request.
    pub fn here() -> Result<Self, Fault> {
        let app = use_context::<Arc<App>>().ok_or(Fault::Unavailable)?;
        let parts = use_context::<Parts>().ok_or(Fault::Unavailable)?;
        let options = use_context::<ResponseOptions>().ok_or(Fault::Unavailable)?;
        let session = parts.extensions.get::<Session>().cloned().ok_or(Fault::Unavailable)?;
        let html = parts
            .headers
            .get(header::ACCEPT)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.contains("text/html"));
        let from = client(&app, &parts.headers, &parts.extensions);
        Ok(Self {
            app,
            session,
            from,
            html,
            options,
            headers: parts.headers,
            extensions: parts.extensions,
        })
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// [`Fault::SignIn`] where nobody is.
    pub async fn who(&self) -> Result<AtWork, Fault> {
        match signed_in(&self.app, &self.session, &self.from, true).await {
            Ok(Some((who, _))) => {
                Known::note(&self.extensions, "staff", &who.staff.id);
                Ok(who)
            }
            Ok(None) => {
                if self.html {
                    self.go("/sign-in");
                } else {
                    self.options.set_status(Fault::SignIn.status());
                }
                Err(Fault::SignIn)
            }
            Err(e) => {
                tracing::error!(error = %e, "reading a session");
                self.options.set_status(Fault::Unavailable.status());
                Err(Fault::Unavailable)
            }
        }
    }

    /// Ends the session that this browser had before, where it holds still: nobody would end it once
    /// its token is forgotten.
    ///
    /// # Errors
    /// Where it cannot be ended.
    pub async fn end_session_before(&self) -> Step<()> {
        let before = signed_in(&self.app, &self.session, &self.from, false).await?;
        let Some((who, conn)) = before else { return Ok(()) };
        drop(conn);
        let mut tx = self.app.desk.begin().await?;
        let step = self.app.desk.sign_out(&mut tx, &who).await;
        self.app.desk.settle(tx, step).await
    }

    /// Whether a page's form asks, and no program.
    #[must_use]
    pub fn from_page(&self) -> bool {
        self.html
    }

    /// The headers of the request.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header of the request.
    #[must_use]
    pub fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// Sets a header of the answer.
    pub fn set_header(&self, name: header::HeaderName, value: http::HeaderValue) {
        self.options.append_header(name, value);
    }

    /// What the browser shows of earlier sign-ins with it.
    #[must_use]
    pub fn device(&self) -> Option<SecretString> {
        let shown = self.app.cookie_of(&self.headers, DEVICE)?;
        (shown.len() <= 100).then(|| SecretString::from(shown))
    }

    /// Gives the browser something to show at its next sign-in. It opens nothing by itself.
    pub fn know_device(&self, device: &SecretString) {
        let seconds = KNOWN_FOR / crate::model::time::SECOND;
        let attributes = format!("Max-Age={seconds}; SameSite=Strict");
        let value = self.app.set_cookie(DEVICE, device.expose_secret(), &attributes);
        if let Ok(mut value) = http::HeaderValue::from_str(&value) {
            value.set_sensitive(true);
            self.set_header(header::SET_COOKIE, value);
        }
    }

    /// Answers a form with another page.
    pub fn go(&self, path: &str) {
        if let Ok(value) = http::HeaderValue::from_str(local(path)) {
            self.options.insert_header(header::LOCATION, value);
            self.options.set_status(http::StatusCode::SEE_OTHER);
        }
    }

    /// Answers: a form goes back to `back` with a message; a program gets a status.
    ///
    /// # Errors
    /// What was not done, for programs.
    pub async fn answer<T>(
        &self,
        step: Step<T>,
        back: &str,
        said: impl FnOnce(&T) -> Flash,
    ) -> Result<(), Fault> {
        match step {
            Ok(done) => {
                if self.html {
                    flash(&self.session, said(&done)).await;
                    self.go(back);
                }
                Ok(())
            }
            Err(e) => self.not_done(&e, back).await,
        }
    }

    /// Answers that something was not done.
    ///
    /// # Errors
    /// What was not done, for programs.
    pub async fn not_done(&self, e: &StepError, back: &str) -> Result<(), Fault> {
        let fault = Fault::from(e);
        if fault == Fault::Unavailable {
            tracing::error!(error = %e, "a step failed");
        }
        if !self.html {
            self.options.set_status(fault.status());
            if let Some(wait) = e.retry_after() {
                self.options.insert_header(header::RETRY_AFTER, http::HeaderValue::from(wait));
            }
            return Err(fault);
        }
        if fault == Fault::StepUp {
            self.go(&format!("/step-up?next={}", encode(local(back))));
        } else {
            flash(&self.session, Flash::not_done(fault, sentence(e))).await;
            self.go(back);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(local("/tickets/NOV-4801?x=1"), "/tickets/NOV-4801?x=1");
        for bad in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "",
            "/a\r\nb",
            "/do/end",
        ] {
            assert_eq!(local(bad), "/tickets", "{bad}");
        }
    }
}
