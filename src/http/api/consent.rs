//! `allow_platform_impersonation`, by the Owner's own credential (US-PLAT-12).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::OrgMember;
use super::problem::{ApiError, Problem};
use super::read;
use crate::desk::StepError;
use crate::model::{Consent, time};
use crate::policy::eligibility::UNANSWERED_FOR;
use crate::store::orgs;
use crate::web::app::App;

/// The consent that is wanted. Consent is for one ticket, or until it is withdrawn; which, has to
/// be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentRequest {
    /// Whether the platform may act for the org.
    allow_platform_impersonation: bool,
    /// The number of the one ticket that it may act for, `NOV-4801`. Consent goes off by itself
    /// when that ticket's impersonation ends.
    #[serde(default)]
    #[schema(pattern = "^[A-Z]{1,10}-[0-9]{1,12}$")]
    ticket_ref: Option<String>,
    /// Whether it may act until consent is withdrawn.
    #[serde(default)]
    until_withdrawn: bool,
}

impl ConsentRequest {
    fn wanted(self) -> Result<Consent, ApiError> {
        match (self.allow_platform_impersonation, self.ticket_ref, self.until_withdrawn) {
            (false, None, false) => Ok(Consent::Off),
            (true, Some(ticket), false) => Ok(Consent::ForTicket(ticket)),
            (true, None, true) => Ok(Consent::UntilWithdrawn),
            (true, None, false) => Err(ApiError::Unprocessable(
                "Consent is for one ticket unless you say otherwise, so say which: add \
                 \"ticket_ref\": \"NOV-…\". Or add \"until_withdrawn\": true.",
            )),
            (true, Some(_), true) => Err(ApiError::Unprocessable(
                "Consent is for one ticket or until it is withdrawn, not both: send \
                 \"ticket_ref\" or \"until_withdrawn\": true.",
            )),
            (false, ..) => Err(ApiError::Unprocessable(
                "Consent is withdrawn as a whole: send {\"allow_platform_impersonation\": false} \
                 and nothing else.",
            )),
        }
    }
}

/// The org's consent as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsentState {
    /// Whether the platform may act for the org.
    allow_platform_impersonation: bool,
    /// The one ticket that it may act for; absent where it is not for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket_ref: Option<String>,
    /// Whether it may act until consent is withdrawn.
    until_withdrawn: bool,
    /// Until when it counts unless it is confirmed, by saying the same once more (RFC 3339); absent
    /// where nothing is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    confirm_by: Option<String>,
}

impl From<Consent> for ConsentState {
    fn from(consent: Consent) -> Self {
        Self {
            confirm_by: None,
            allow_platform_impersonation: consent.on(),
            until_withdrawn: consent == Consent::UntilWithdrawn,
            ticket_ref: consent.only_for().map(str::to_owned),
        }
    }
}

/// Read the org's consent.
#[utoipa::path(get, path = "/api/v1/org/consent", operation_id = "read_consent", tag = "consent",
    responses((status = 200, body = ConsentState), (status = 401, body = Problem)),
    security(("org_credential" = [])))]
pub async fn show(
    State(app): State<Arc<App>>,
    who: OrgMember,
) -> Result<Json<ConsentState>, ApiError> {
    let mut conn = app.desk.store.read().await?;
    let org = orgs::by_id(&mut conn, &who.member.org_id).await?.ok_or(StepError::NotFound)?;
    let asked = org.consent_reminded_at.map(|at| time::rfc3339(at + UNANSWERED_FOR));
    Ok(Json(ConsentState { confirm_by: asked, ..org.consent().into() }))
}

/// Set the org's consent. A live impersonation that it does not cover any more ends at once.
#[utoipa::path(put, path = "/api/v1/org/consent", operation_id = "write_consent", tag = "consent", request_body = ConsentRequest,
    responses((status = 200, body = ConsentState), (status = 400, body = Problem),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem, description = "The ticket is not one of the org's"),
        (status = 409, body = Problem, description = "The ticket is not open any more"),
        (status = 422, body = Problem, description = "It does not say for one ticket or until withdrawn")),
    security(("org_credential" = [])))]
pub async fn write(
    State(app): State<Arc<App>>,
    who: OrgMember,
    body: Bytes,
) -> Result<Json<ConsentState>, ApiError> {
    let asked: ConsentRequest = read::json(&body)?;
    let wanted = asked.wanted()?;
    let mut tx = app.desk.begin().await?;
    let step = app.desk.set_consent(&mut tx, &who.member, &wanted, Some(who.from)).await;
    app.desk.settle(tx, step).await?;
    Ok(Json(wanted.into()))
}
