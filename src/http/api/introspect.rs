//! RFC 7662: another service of the platform asks whether a token is live.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Form, Json, RequestExt};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::caller::bearer;
use super::problem::{ApiError, Problem};
use crate::auth::credential;
use crate::desk::StepError;
use crate::web::app::App;

/// RFC 7662 section 2.1.
#[derive(Deserialize, ToSchema)]
pub struct Question {
    /// The token.
    token: String,
}

/// Ask whether an impersonation token is live. Inactive, unknown and malformed tokens all get
/// `{"active": false}` and nothing else.
#[utoipa::path(post, path = "/api/v1/introspect", tag = "tokens",
    request_body(content = Question, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "RFC 7662 section 2.2"), (status = 401, body = Problem)),
    security(("service_token" = [])))]
pub async fn ask(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, ApiError> {
    let (parts, body) = request.into_parts();
    let given = bearer(&parts).map(|t| credential::hash(&t)).unwrap_or_default();
    let known = app.introspection_hash.as_deref().unwrap_or_default();
    if known.is_empty() || !bool::from(given.as_bytes().ct_eq(known.as_bytes())) {
        return Err(ApiError::Unauthenticated);
    }
    let Form(question): Form<Question> = Request::from_parts(parts, body)
        .extract()
        .await
        .map_err(|_| StepError::Invalid("The body is a form with the field token."))?;
    let mut conn = app.desk.store.read().await?;
    Ok(Json(match app.desk.check_token(&mut conn, &question.token.into()).await? {
        Err(_) => json!({ "active": false }),
        Ok((claims, _)) => {
            let mut answer = serde_json::to_value(&claims).unwrap_or_else(|_| json!({}));
            answer["active"] = json!(true);
            answer["token_type"] = json!("Bearer");
            answer
        }
    }))
}
