//! The REST API: the customer's own calls, and those under an impersonation token.

pub mod caller;
pub mod consent;
pub mod credentials;
pub mod intake;
pub mod introspect;
pub mod keys;
pub mod openapi;
pub mod org_log;
pub mod problem;
pub mod read;
pub mod rotate;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use http::StatusCode;

use crate::web::app::App;

/// Every route of the API.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/webhooks/{id}/rotate-secret", post(rotate::webhook))
        .route("/api/v1/webhooks/{id}/end-overlap", post(rotate::end_overlap))
        .route("/api/v1/org/secrets/{id}/rotate", post(rotate::vault_token))
        .route("/api/v1/gateways/{id}/rotate-cert", post(rotate::certificate))
        .route("/api/v1/org/consent", get(consent::show).put(consent::write))
        .route("/api/v1/org/credentials", get(credentials::list))
        .route("/api/v1/org/credentials/{id}", delete(credentials::revoke))
        .route("/api/v1/org/audit-log", get(org_log::show))
        .route("/api/v1/org/log/{*path}", get(super::logs::own))
        .route("/api/v1/platform/log/{*path}", get(super::logs::for_auditors))
        .route("/api/v1/orgs/{id}/log/{*path}", get(super::logs::org_for_auditors))
        .route("/api/v1/introspect", post(introspect::ask))
        .route("/api/v1/tickets", post(intake::file))
        .route("/api/v1/tickets/{id}/messages", post(intake::add_message))
        .route("/.well-known/jwks.json", get(keys::jwks))
        .route("/.well-known/keyturn-log-key", get(keys::log_key))
        .route("/.well-known/keyturn-openpgp-key.asc", get(keys::openpgp_key))
        .route("/.well-known/openpgpkey/hu/{name}", get(keys::web_key))
        .route("/.well-known/openpgpkey/policy", get(keys::web_key_policy))
        .route("/.well-known/openpgpkey/{domain}/hu/{name}", get(keys::web_key_of))
        .route("/.well-known/openpgpkey/{domain}/policy", get(keys::web_key_policy_of))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
}

/// `GET /healthz`: the process answers.
async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers too, and takes writes, and nobody has asked to stop.
async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    if app.stop.asked() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    let found = async {
        let mut conn = app.desk.store.read().await?;
        crate::store::audit::head(&mut conn, "platform").await
    };
    if !matches!(found.await, Ok(Some(_))) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n");
    }
    if !app.readiness.of(&app.desk.store, app.desk.now()).await {
        return (StatusCode::SERVICE_UNAVAILABLE, "the database takes no writes\n");
    }
    (StatusCode::OK, "ready\n")
}
