//! The org's own credentials: which there are, and their end.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::OrgMember;
use super::problem::{ApiError, Problem};
use crate::desk::StepError;
use crate::desk::org_credential::LISTED;
use crate::model::time;
use crate::store::orgs::credentials::{self, OrgCredential};
use crate::web::app::App;

/// A credential. What it is known by is kept nowhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialOfOrg {
    /// Its id.
    id: String,
    /// Whose.
    member: String,
    /// When it was given out.
    #[schema(format = DateTime)]
    created_at: String,
    /// Until when it works.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// When it was last used, to the hour.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// When it was revoked.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

impl From<OrgCredential> for CredentialOfOrg {
    fn from(c: OrgCredential) -> Self {
        Self {
            id: c.id,
            member: c.member_name,
            created_at: time::rfc3339(c.created_at),
            expires_at: c.expires_at.map(time::rfc3339),
            last_used_at: c.last_used_at.map(time::rfc3339),
            revoked_at: c.revoked_at.map(time::rfc3339),
        }
    }
}

/// The newest credentials of an org, up to 200.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialsOfOrg {
    /// Newest first.
    credentials: Vec<CredentialOfOrg>,
}

/// List the org's credentials, also those that do not work any more. For its Owners and Admins.
#[utoipa::path(get, path = "/api/v1/org/credentials", operation_id = "list_org_credentials", tag = "credentials",
    responses((status = 200, body = CredentialsOfOrg), (status = 401, body = Problem), (status = 403, body = Problem)),
    security(("org_credential" = [])))]
pub async fn list(
    State(app): State<Arc<App>>,
    who: OrgMember,
) -> Result<Json<CredentialsOfOrg>, ApiError> {
    who.not_locked_out()?;
    if !who.member.role.may_rotate() {
        return Err(StepError::Forbidden("Only an Owner or an Admin of the org sees these.").into());
    }
    let mut conn = app.desk.store.read().await?;
    let all = credentials::list(&mut conn, &who.member.org_id, LISTED).await?;
    Ok(Json(CredentialsOfOrg { credentials: all.into_iter().map(Into::into).collect() }))
}

/// Revoke a credential of the org's, by that of the Owner of record.
#[utoipa::path(delete, path = "/api/v1/org/credentials/{id}", operation_id = "revoke_org_credential", tag = "credentials",
    params(("id" = String, Path, description = "The credential's id")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem, description = "It was revoked already")),
    security(("org_credential" = [])))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    who: OrgMember,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    who.not_locked_out()?;
    let mut tx = app.desk.begin().await?;
    let step = app.desk.revoke_credential_as_owner(&mut tx, &who.member, &id, Some(who.from)).await;
    app.desk.settle(tx, step).await?;
    Ok(StatusCode::NO_CONTENT)
}
