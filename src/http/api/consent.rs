//! `allow_platform_impersonation`, by the Owner's own credential (US-PLAT-12).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::OrgMember;
use super::problem::{ApiError, Problem};
use crate::desk::StepError;
use crate::store::orgs;
use crate::web::app::App;

/// The org's consent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Whether the platform may act for the org.
    allow_platform_impersonation: bool,
}

/// Read the org's consent.
#[utoipa::path(get, path = "/api/v1/org/consent", tag = "consent",
    responses((status = 200, body = Consent), (status = 401, body = Problem)),
    security(("org_credential" = [])))]
pub async fn read(State(app): State<Arc<App>>, who: OrgMember) -> Result<Json<Consent>, ApiError> {
    let mut conn = app.desk.store.read().await?;
    let org = orgs::by_id(&mut conn, &who.member.org_id).await?.ok_or(StepError::NotFound)?;
    Ok(Json(Consent { allow_platform_impersonation: org.consents() }))
}

/// Set the org's consent. Switched off, it ends a live impersonation at once.
#[utoipa::path(put, path = "/api/v1/org/consent", tag = "consent", request_body = Consent,
    responses((status = 200, body = Consent), (status = 401, body = Problem), (status = 403, body = Problem)),
    security(("org_credential" = [])))]
pub async fn write(
    State(app): State<Arc<App>>,
    who: OrgMember,
    body: Bytes,
) -> Result<Json<Consent>, ApiError> {
    let consent: Consent = serde_json::from_slice(&body).map_err(|_| {
        StepError::Invalid("The body is {\"allow_platform_impersonation\": true} or false.")
    })?;
    let mut tx = app.desk.begin().await?;
    let step = app
        .desk
        .set_consent(&mut tx, &who.member, consent.allow_platform_impersonation, Some(who.from))
        .await;
    app.desk.settle(tx, step).await?;
    Ok(Json(consent))
}
