//! The rotation endpoints: the same for the customer itself and under an impersonation token.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{OrgMember, Rotator};
use super::problem::{ApiError, Problem};
use super::read;
use crate::desk::StepError;
use crate::desk::rotate::{Ask, Certified, Rotated};
use crate::model::{SecretType, time};
use crate::web::app::App;

/// How a rotation is asked for. Every field may be left out, and so may the body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RotateRequest {
    /// The old key may have leaked: it stops working at once. Under an impersonation the ticket
    /// says so, and this is ignored.
    suspected_leak: bool,
    /// How long the old key stays valid, 0 to 604800 seconds; 86400 by default. Self-service only.
    #[serde(deserialize_with = "read::whole")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 604_800)]
    overlap_seconds: Option<i64>,
    /// Rotate although the overlap of the last rotation is not over.
    during_overlap: bool,
}

/// How the rotation of something without an overlap is asked for. Every field may be left out, and
/// so may the body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[allow(
    dead_code,
    reason = "for the description: what is read is a RotateRequest, which refuses an overlap in words"
)]
pub struct RotateNowRequest {
    /// The old value may have leaked. Under an impersonation the ticket says so, and this is
    /// ignored.
    suspected_leak: bool,
}

/// What a rotation came to.
#[derive(Serialize, ToSchema)]
pub struct RotateResponse {
    /// The rotation.
    rotation_id: String,
    /// The secret.
    secret_id: String,
    /// The new version.
    version: i64,
    /// The version it replaced.
    previous_version: i64,
    /// When the previous version stops working, RFC 3339; absent while that hangs on the handoff,
    /// or, for a vault token, on the vault's word that it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_valid_until: Option<String>,
    /// The sealed handoff, under an impersonation. The value is never in the answer then.
    #[serde(skip_serializing_if = "Option::is_none")]
    handoff_id: Option<String>,
    /// For a gateway: `reenrol` (it is online, and makes its own new key when it is told at its
    /// next heartbeat) or `bundle` (key and certificate were made for the handoff).
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    /// For a gateway: the serial number of the certificate before.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_serial: Option<String>,
    /// For a gateway that gets a bundle: the new serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    /// For a gateway that re-enrols: until when, RFC 3339. Afterwards the rotation has failed, and
    /// the certificate before goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    reenrol_by: Option<String>,
    /// The new value: in self-service, in the first answer, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Whether an `Idempotency-Key` was seen before, and this is the same rotation.
    replayed: bool,
}

impl From<&Rotated> for RotateResponse {
    fn from(r: &Rotated) -> Self {
        let (mode, previous_serial, serial, reenrol_by) = match &r.certified {
            None => (None, None, None, None),
            Some(Certified::Reenrol { old_serial, deadline }) => {
                (Some("reenrol"), old_serial.clone(), None, Some(time::rfc3339(*deadline)))
            }
            Some(Certified::Bundle { old_serial, serial }) => {
                (Some("bundle"), old_serial.clone(), Some(serial.clone()), None)
            }
        };
        Self {
            mode,
            previous_serial,
            serial,
            reenrol_by,
            rotation_id: r.rotation.id.clone(),
            secret_id: r.rotation.secret_id.clone(),
            version: r.rotation.to_version,
            previous_version: r.rotation.from_version,
            previous_valid_until: r.old_valid_until.map(time::rfc3339),
            handoff_id: r.handoff_id.clone(),
            secret: r.value.as_ref().map(|v| v.expose_secret().to_owned()),
            replayed: r.replayed,
        }
    }
}

/// Replace the signing key of a webhook.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/rotate-secret", operation_id = "rotate_webhook_key", tag = "rotation",
    params(("id" = String, Path, description = "The webhook's id"),
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 200, pattern = r"^[!-~]([ -~]{0,198}[!-~])?$", description = "The same key gives the same rotation")),
    request_body = Option<RotateRequest>,
    responses((status = 200, body = RotateResponse), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)),
    security(("org_credential" = []), ("impersonation_token" = [])))]
pub async fn webhook(
    state: State<Arc<App>>,
    rotator: Rotator,
    id: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    rotate(state, SecretType::WebhookSigningKey, rotator, id, &headers, &body).await
}

/// Replace a vault token. The old one has no overlap: it is revoked once the new one is recorded.
#[utoipa::path(post, path = "/api/v1/org/secrets/{id}/rotate", operation_id = "rotate_vault_token", tag = "rotation",
    params(("id" = String, Path, description = "The vault token's id"),
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 200, pattern = r"^[!-~]([ -~]{0,198}[!-~])?$", description = "The same key gives the same rotation; 409 while it is in flight")),
    request_body = Option<RotateNowRequest>,
    responses((status = 200, body = RotateResponse), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem, description = "The vault does not do its part; the old token works")),
    security(("org_credential" = []), ("impersonation_token" = [])))]
pub async fn vault_token(
    state: State<Arc<App>>,
    rotator: Rotator,
    id: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    rotate(state, SecretType::VaultToken, rotator, id, &headers, &body).await
}

/// Replace the certificate of a gateway. One that is online is told to re-enrol at its next
/// heartbeat; for one that is down a bundle is made: key, certificate and authorities.
#[utoipa::path(post, path = "/api/v1/gateways/{id}/rotate-cert", operation_id = "rotate_gateway_certificate", tag = "rotation",
    params(("id" = String, Path, description = "The gateway's id"),
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 200, pattern = r"^[!-~]([ -~]{0,198}[!-~])?$", description = "The same key gives the same rotation")),
    request_body = Option<RotateNowRequest>,
    responses((status = 200, body = RotateResponse), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)),
    security(("org_credential" = []), ("impersonation_token" = [])))]
pub async fn certificate(
    state: State<Arc<App>>,
    rotator: Rotator,
    id: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    rotate(state, SecretType::MtlsCertificate, rotator, id, &headers, &body).await
}

async fn rotate(
    State(app): State<Arc<App>>,
    secret_type: SecretType,
    rotator: Rotator,
    Path(id): Path<String>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, ApiError> {
    let request: RotateRequest = if body.iter().all(u8::is_ascii_whitespace) {
        RotateRequest::default()
    } else {
        // `null` is a body that says nothing, too.
        read::json::<Option<RotateRequest>>(body)?.unwrap_or_default()
    };
    let idempotency_key = read::idempotency_key(headers)?;
    let ask = Ask {
        suspected_leak: request.suspected_leak,
        overlap_seconds: request.overlap_seconds,
        during_overlap: request.during_overlap,
        idempotency_key,
        from: Some(rotator.from),
    };
    // On a task of its own: a rotation that fails is written down, whether or not the caller waits.
    let desk = app.desk.clone();
    let rotation =
        tokio::spawn(async move { desk.rotate(secret_type, &id, &rotator.caller, &ask).await });
    let rotated = rotation.await.map_err(|e| StepError::Outside(e.to_string()))??;
    let mut response = (StatusCode::OK, Json(RotateResponse::from(&rotated))).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// End the overlap of a webhook's keys: older keys stop being accepted now.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/end-overlap", operation_id = "end_webhook_overlap", tag = "rotation",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)),
    security(("org_credential" = [])))]
pub async fn end_overlap(
    State(app): State<Arc<App>>,
    who: OrgMember,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.desk.begin().await?;
    let step = app.desk.end_overlap(&mut tx, &who.member, &id, Some(who.from)).await;
    app.desk.settle(tx, step).await?;
    Ok(StatusCode::NO_CONTENT)
}
