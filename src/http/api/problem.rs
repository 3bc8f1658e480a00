//! What a program sees of an error: RFC 9457 problem details.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::desk::StepError;
use crate::policy::eligibility::Finding;
use crate::web::fault::{Fault, sentence};

/// RFC 9457 section 3.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A name for the kind of problem, e.g. `urn:keyturn:refused`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence, for people.
    pub detail: String,
    /// Where the procedure refused: every failed check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_checks: Vec<FailedCheck>,
}

/// A check that did not pass.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedCheck {
    /// Its name.
    pub check: String,
    /// What it saw.
    pub saw: String,
    /// What to do.
    pub advice: String,
}

impl From<&Finding> for FailedCheck {
    fn from(f: &Finding) -> Self {
        Self { check: f.check.as_str().to_owned(), saw: f.saw.clone(), advice: f.advice.clone() }
    }
}

/// An error of the API.
#[derive(Debug)]
pub enum ApiError {
    /// No credential, or none that we know.
    Unauthenticated,
    /// The body can be read and does not say enough, or too much (RFC 9110 section 15.5.21).
    Unprocessable(&'static str),
    /// The body is not of a kind that is read here.
    Unsupported(&'static str),
    /// The body does not read as what it must be, and what is wrong.
    Malformed(String),
    /// A step was not taken.
    Step(StepError),
}

impl<E: Into<StepError>> From<E> for ApiError {
    fn from(e: E) -> Self {
        ApiError::Step(e.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (fault, status, detail, failed, retry) = match &self {
            ApiError::Unauthenticated => (
                "unauthenticated",
                StatusCode::UNAUTHORIZED,
                "Send a credential: Authorization: Bearer …".to_owned(),
                Vec::new(),
                None,
            ),
            ApiError::Unprocessable(what) => {
                ("invalid", StatusCode::UNPROCESSABLE_ENTITY, (*what).to_owned(), Vec::new(), None)
            }
            ApiError::Unsupported(why) => (
                "unsupported",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                (*why).to_owned(),
                Vec::new(),
                None,
            ),
            ApiError::Malformed(why) => {
                ("invalid", StatusCode::BAD_REQUEST, why.clone(), Vec::new(), None)
            }
            ApiError::Step(e) => {
                let fault = Fault::from(e);
                if fault == Fault::Unavailable {
                    tracing::error!(error = %e, "an API call failed");
                }
                let name = match fault {
                    Fault::SignIn | Fault::StepUp => "unauthenticated",
                    Fault::Forbidden => "forbidden",
                    Fault::NotFound => "not-found",
                    Fault::Refused => "refused",
                    Fault::Conflict => "conflict",
                    Fault::Invalid => "invalid",
                    Fault::Throttled => "throttled",
                    Fault::Unavailable => "unavailable",
                };
                // RFC draft on Idempotency-Key: the same key for another request is 422.
                let status = if matches!(e, StepError::KeyReused | StepError::Unprocessable(_)) {
                    StatusCode::UNPROCESSABLE_ENTITY
                } else {
                    fault.status()
                };
                let failed = match e {
                    StepError::Refused(verdict) => {
                        verdict.failed().map(FailedCheck::from).collect()
                    }
                    _ => Vec::new(),
                };
                let retry = match e {
                    StepError::Throttled(seconds) => Some(*seconds),
                    _ => None,
                };
                (name, status, sentence(e), failed, retry)
            }
        };
        let problem = Problem {
            kind: format!("urn:keyturn:{fault}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail,
            failed_checks: failed,
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"keyturn\""),
            );
        }
        if let Some(value) = retry.and_then(|s| HeaderValue::from_str(&s.to_string()).ok()) {
            headers.insert(header::RETRY_AFTER, value);
        }
        response
    }
}
