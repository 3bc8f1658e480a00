//! Public keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::Value;

use crate::web::app::App;

/// The keys that sign impersonation tokens, as a JWK Set (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "keys", responses((status = 200)))]
pub async fn jwks(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.desk.keys.token.jwks())
}

/// The key that signs the logs' checkpoints, as a C2SP verifier key.
#[utoipa::path(get, path = "/.well-known/keyturn-log-key", tag = "keys", responses((status = 200)))]
pub async fn log_key(State(app): State<Arc<App>>) -> String {
    format!("{}\n", app.desk.keys.log.vkey())
}

/// The key that signs messages to Owners, armored.
#[utoipa::path(get, path = "/.well-known/keyturn-openpgp-key.asc", tag = "keys", responses((status = 200)))]
pub async fn openpgp_key(State(app): State<Arc<App>>) -> Response {
    match app.desk.keys.openpgp.to_armored_public() {
        Ok(armored) => ([(header::CONTENT_TYPE, "application/pgp-keys")], armored).into_response(),
        Err(e) => {
            tracing::error!(error = %e, "writing the OpenPGP key");
            http::StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}
