//! Public keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::Value;

use super::problem::ApiError;
use crate::delivery::mail::address::sender;
use crate::delivery::openpgp::{SignerProblem, local_part_hash};
use crate::desk::StepError;
use crate::proof::log_keys;
use crate::web::app::App;

/// The keys that sign impersonation tokens, as a JWK Set (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "read_token_keys", tag = "keys", responses((status = 200, body = Object)))]
pub async fn jwks(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.desk.keys.token.jwks())
}

/// The keys of the logs, a line each: first the one that signs their checkpoints now, as a C2SP
/// verifier key; then `retired` and those before it, the newest first; then `endorsement` and the
/// notes in which each named the next, the oldest first, in base64.
#[utoipa::path(get, path = "/.well-known/keyturn-log-key", operation_id = "read_log_keys", tag = "keys", responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn log_key(State(app): State<Arc<App>>) -> Result<String, ApiError> {
    let mut conn = app.desk.store.read().await.map_err(StepError::from)?;
    let key = app.desk.current_log_key(&mut conn).await?;
    Ok(log_keys::to_lines(&key.verifiers(), &key.endorsements()))
}

/// The key that signs messages to Owners, armored.
#[utoipa::path(get, path = "/.well-known/keyturn-openpgp-key.asc", operation_id = "read_openpgp_key", tag = "keys", responses((status = 200, body = String, content_type = "application/pgp-keys")))]
pub async fn openpgp_key(State(app): State<Arc<App>>) -> Response {
    match app.desk.published_key() {
        Ok(key) => ([(header::CONTENT_TYPE, "application/pgp-keys")], key.armored).into_response(),
        Err(e) => unwritten(&e),
    }
}

/// The same in the place where programs look it up by the address that mail comes from, for the
/// domain that answers here (Web Key Directory, direct method).
pub async fn web_key(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    binary(&app, &name)
}

/// The same for the domain named in the address (advanced method).
pub async fn web_key_of(
    State(app): State<Arc<App>>,
    Path((domain, name)): Path<(String, String)>,
) -> Response {
    match sends_from(&app, &domain) {
        true => binary(&app, &name),
        false => ApiError::from(StepError::NotFound).into_response(),
    }
}

/// The directory's policy: nothing is asked of anybody, but the file says that it is one.
pub async fn web_key_policy() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "").into_response()
}

/// The same for the domain named in the address.
pub async fn web_key_policy_of(
    State(app): State<Arc<App>>,
    Path(domain): Path<String>,
) -> Response {
    match sends_from(&app, &domain) {
        true => web_key_policy().await,
        false => ApiError::from(StepError::NotFound).into_response(),
    }
}

fn sends_from(app: &App, domain: &str) -> bool {
    sender(&app.desk.settings.mail_from).is_some_and(|(_, ours)| ours.eq_ignore_ascii_case(domain))
}

fn binary(app: &App, name: &str) -> Response {
    let ours = sender(&app.desk.settings.mail_from)
        .and_then(|(address, _)| local_part_hash(address.rsplit_once('@')?.0));
    if ours.as_deref() != Some(name) {
        return ApiError::from(StepError::NotFound).into_response();
    }
    match app.desk.published_key() {
        Ok(key) => {
            let open = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
            ([(header::CONTENT_TYPE, "application/octet-stream"), open], key.bytes).into_response()
        }
        Err(e) => unwritten(&e),
    }
}

fn unwritten(e: &SignerProblem) -> Response {
    tracing::error!(error = %e, "writing the OpenPGP key");
    http::StatusCode::SERVICE_UNAVAILABLE.into_response()
}
