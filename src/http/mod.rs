//! The server: which request goes where, and the layers around all of them.

pub mod actions;
pub mod api;
pub mod guards;
pub mod layers;
pub mod live;
pub mod logs;
pub mod machine;
pub mod vault;

#[cfg(test)]
mod alarm_tests;
#[cfg(test)]
mod auditor_tests;
#[cfg(test)]
mod cookie_tests;
#[cfg(test)]
pub(crate) mod doors_tests;
#[cfg(test)]
mod leaving_tests;
#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod logs_tests;
#[cfg(test)]
mod no_bypass_tests;
#[cfg(test)]
mod overview_tests;
#[cfg(test)]
mod owner_tests;
#[cfg(test)]
mod register_tests;
#[cfg(test)]
mod remote_tests;
#[cfg(test)]
mod timeline_tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::services::ServeDir;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::auth::session_store::DatabaseSessions;
use crate::listen::{self, Doorkeeper};
use crate::web::app::App;
use crate::web::{pages, said};

/// The largest body that is read: forms and small JSON.
const MAX_BODY: usize = 64 * 1024;

/// The whole server at a socket, within its limits of connections and time, until `handle` stops
/// it.
///
/// # Errors
/// Where the socket cannot be used.
pub fn serve_at(
    app: Arc<App>,
    socket: TcpListener,
    handle: listen::Stopping,
) -> io::Result<impl Future<Output = io::Result<()>> + Send> {
    let door = Doorkeeper::new(app.at_once.limits, app.proxies.clone());
    let server = listen::server(socket, door, app.at_once.times)?.handle(handle);
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    Ok(server.serve(service))
}

/// The whole server.
pub fn router(app: Arc<App>) -> Router {
    let sessions = SessionManagerLayer::new(DatabaseSessions::new(
        app.desk.store.clone(),
        app.desk.clock.clone(),
    ))
    .with_name(if app.secure() { "__Host-keyturn" } else { "keyturn" })
    .with_secure(app.secure())
    .with_http_only(true)
    // Lax: a link in a chat leads to the page and not to the sign-in. Nothing is changed by GET.
    .with_same_site(SameSite::Lax)
    .with_path("/")
    .with_expiry(Expiry::OnInactivity(time::Duration::microseconds(crate::desk::staff::ABSOLUTE)));

    let pages = Router::new()
        .route("/", get(pages::sign_in::home))
        .route("/sign-in", get(pages::sign_in::page))
        .route("/step-up", get(pages::sign_in::step_up_page))
        .route("/lookup", get(pages::sign_in::lookup))
        .route("/tickets", get(pages::tickets::show))
        .route("/tickets/{id}", get(pages::ticket::show))
        .route("/handoffs/{id}/message.asc", get(pages::ticket::ciphertext))
        .route("/impersonations", get(pages::impersonations::show))
        .route("/impersonations/{id}", get(pages::impersonation::show))
        .route("/impersonations/{id}/evidence", get(pages::evidence_doc::document))
        .route("/impersonations/{id}/evidence.json", get(pages::evidence::file))
        .route("/audit/integrity", get(pages::integrity::show))
        .route("/audit/integrity/progress", get(pages::integrity::progress))
        .route("/verify", get(pages::evidence::verify_page))
        .route("/rotations/{id}", get(pages::rotation::show))
        .route("/audit", get(pages::audit::show))
        .route("/audit/rows/{id}", get(pages::audit::row))
        .route("/audit/export", get(pages::audit_export::file))
        .route("/audit/live", get(live::events))
        .route("/audit/strip", get(pages::audit::strip))
        .route("/logs/platform/{*path}", get(logs::platform))
        .route("/logs/org/{id}/{*path}", get(logs::org))
        .route("/overview", get(pages::overview::show))
        .route("/deliveries", get(pages::deliveries::show))
        .route("/orgs", get(pages::orgs::show))
        .route("/orgs/{slug}", get(pages::org::show))
        .route("/acknowledge/{link}", get(pages::owner::acknowledge_page))
        .route("/consent/{link}", get(pages::owner_consent::consent_page))
        .route("/withdraw/{link}", get(pages::owner_consent::withdraw_page))
        .route("/consent-reminder/{link}", get(pages::owner_consent::reminder::page))
        .route("/owner-change/{link}", get(pages::owner_change::decide_page))
        // As mails of before this name it.
        .route("/key-change/{link}", get(pages::owner_change::decide_page))
        .route("/do/{name}", post(actions::act))
        .fallback(machine::not_found)
        .layer(from_fn_with_state(app.clone(), said::remembered))
        .layer(sessions);

    let assets = Router::new()
        .route("/style.css", get(pages::assets::style))
        .route("/icons.svg", get(pages::assets::icons))
        .route("/favicon.svg", get(pages::assets::favicon))
        .route("/favicon-live.svg", get(pages::assets::favicon_live))
        .route("/fonts/{name}", get(pages::assets::font));
    let assets = match &app.pkg {
        Some(folder) => assets.nest_service("/pkg", ServeDir::new(folder)),
        None => assets,
    };

    let all = Router::new()
        .merge(pages)
        .merge(api::router())
        .merge(vault::router(&app))
        // A page of the timeline is made in less time than the best compression of it takes.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .merge(assets);
    surrounded(all, app)
}

/// The layers around every request. What an answer says always is said of those to a panic, too.
fn surrounded(all: Router<Arc<App>>, app: Arc<App>) -> Router {
    all.layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(layers::no_null))
        .layer(from_fn_with_state(app.at_once.times.body, listen::in_time))
        .layer(from_fn_with_state((app.clone(), guards::Clients::default()), guards::few_at_once))
        .layer(from_fn(layers::cross_site))
        .layer(from_fn_with_state(app.clone(), layers::own_name))
        .layer(from_fn_with_state(app.clone(), guards::past_the_proxies))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(app.clone(), guards::note_refused))
        .layer(from_fn(machine::problems))
        .layer(from_fn_with_state(app.clone(), layers::headers))
        .layer(from_fn_with_state(app.clone(), layers::trace))
        .with_state(app)
}
