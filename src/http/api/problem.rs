//! What a program sees of an error: RFC 9457 problem details.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::desk::StepError;
use crate::policy::eligibility::Finding;
use crate::web::fault::{Fault, sentence};

/// The user name with which a service sends `introspection_token` by HTTP Basic.
pub const SERVICE_NAME: &str = "introspection";

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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_checks: Vec<FailedCheck>,
    /// At introspection: the kind of error in the words of OAuth (RFC 6749 section 5.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// At introspection: the detail once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// Below `/v1/`: the detail once more, where a vault's clients look for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub errors: Vec<String>,
}

impl Problem {
    /// A problem of a kind, e.g. `not-found`, with a sentence on this occurrence.
    #[must_use]
    pub fn new(kind: &str, status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:keyturn:{kind}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            failed_checks: Vec::new(),
            error: None,
            error_description: None,
            errors: Vec::new(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut response = (status, Json(self)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
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
    /// No credential.
    Unauthenticated,
    /// A credential that is none of ours, or that has ended.
    BadCredential,
    /// Another service's question without its credential, or with a wrong one (RFC 7662 section
    /// 2.3): it may come in two ways.
    NotTheService {
        /// Whether a credential was sent at all.
        sent: bool,
    },
    /// A form that lacks what it must have, in the words of OAuth (RFC 6749 section 5.2).
    BadForm(&'static str),
    /// The address is for who is signed in, and a program asks for it.
    NotSignedIn,
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
            ApiError::BadCredential => (
                "unauthenticated",
                StatusCode::UNAUTHORIZED,
                "This credential is unknown here, or has ended.".to_owned(),
                Vec::new(),
                None,
            ),
            ApiError::NotTheService { sent } => (
                "unauthenticated",
                StatusCode::UNAUTHORIZED,
                format!(
                    "{} Send introspection_token as a bearer (Authorization: Bearer …), or by \
                     HTTP Basic with the user name {SERVICE_NAME}.",
                    if *sent { "This is not the credential." } else { "A credential is missing." }
                ),
                Vec::new(),
                None,
            ),
            ApiError::BadForm(what) => {
                ("invalid", StatusCode::BAD_REQUEST, (*what).to_owned(), Vec::new(), None)
            }
            ApiError::NotSignedIn => (
                "unauthenticated",
                StatusCode::UNAUTHORIZED,
                "Sign in with a browser; programs read the logs below /api/v1/, with a credential."
                    .to_owned(),
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
                    Fault::Throttled | Fault::TooMany => "throttled",
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
                (name, status, sentence(e), failed, e.retry_after())
            }
        };
        let mut problem = Problem::new(fault, status, detail);
        problem.failed_checks = failed;
        // Clients of OAuth read these two (RFC 6749 section 5.2), which a problem may have besides.
        problem.error = match &self {
            ApiError::NotTheService { .. } => Some("invalid_client".to_owned()),
            ApiError::BadForm(_) => Some("invalid_request".to_owned()),
            _ => None,
        };
        problem.error_description = problem.error.as_ref().map(|_| problem.detail.clone());
        let mut response = problem.into_response();
        let headers = response.headers_mut();
        // RFC 6750 section 3: what is wrong is said only to who sent a credential.
        let bearer = match &self {
            ApiError::BadCredential | ApiError::NotTheService { sent: true } => {
                "Bearer realm=\"keyturn\", error=\"invalid_token\""
            }
            _ => "Bearer realm=\"keyturn\"",
        };
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(bearer));
        }
        if matches!(self, ApiError::NotTheService { .. }) {
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"keyturn\", charset=\"UTF-8\""),
            );
        }
        if let Some(value) = retry.and_then(|s| HeaderValue::from_str(&s.to_string()).ok()) {
            headers.insert(header::RETRY_AFTER, value);
        }
        response
    }
}
