//! Public keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::Value;

use super::problem::ApiError;
use crate::desk::StepError;
use crate::proof::log_keys;
use crate::web::app::App;

/// The keys that sign impersonation tokens, as a JWK Set (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "keys", responses((status = 200)))]
pub async fn jwks(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.desk.keys.token.jwks())
}

/// The keys of the logs, a line each: first the one that signs their checkpoints now, as a C2SP
/// verifier key; then `retired` and those before it, the newest first; then `endorsement` and the
/// notes in which each named the next, the oldest first, in base64.
#[utoipa::path(get, path = "/.well-known/keyturn-log-key", tag = "keys", responses((status = 200)))]
pub async fn log_key(State(app): State<Arc<App>>) -> Result<String, ApiError> {
    let mut conn = app.desk.store.read().await.map_err(StepError::from)?;
    let key = app.desk.current_log_key(&mut conn).await?;
    Ok(log_keys::to_lines(&key.verifiers(), &key.endorsements()))
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
