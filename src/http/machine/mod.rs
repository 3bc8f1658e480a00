//! The part of the site that programs ask, and that no person opens: whatever goes wrong there is
//! answered with RFC 9457 problem details and a status that says so, never with a page and never
//! with a redirect to one. A client that follows redirects would take the page for a success.

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::http::api::problem::Problem;
use crate::web::app::App;
use crate::web::door::Door;
use crate::web::pages;

/// What is only for programs: everything below these.
const ROOTS: [&str; 4] = ["/api", "/v1", "/.well-known", "/logs"];

/// Whether an address is one of those that only programs ask for.
#[must_use]
pub fn is_below(path: &str) -> bool {
    // `//api/…` is the same to whoever wrote it.
    let path = format!("/{}", path.trim_start_matches('/'));
    ROOTS.iter().any(|root| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Whether somebody looks at the answer: a browser says so when it opens a page.
#[must_use]
pub fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|v| v.to_str().is_ok_and(|v| v.contains("text/html")))
}

/// The answer to an address that there is not. Only who opens a page is led to the sign-in.
pub async fn not_found(State(app): State<Arc<App>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if is_below(parts.uri.path()) || !reads || !wants_page(&parts.headers) {
        return of_status(StatusCode::NOT_FOUND).into_response();
    }
    match Door::from_request_parts(&mut parts, &app).await {
        Ok(door) => pages::error::not_found(door).await,
        Err(answer) => answer,
    }
}

/// The problem that a status alone says.
fn of_status(status: StatusCode) -> Problem {
    let (kind, detail) = match status {
        StatusCode::FORBIDDEN => ("forbidden", "This request comes from another site's page."),
        StatusCode::NOT_FOUND => (
            "not-found",
            "There is nothing at this address. GET /api/v1/openapi.json lists those that there \
             are; none of them ends in a slash.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method-not-allowed", "This address takes the methods that the header Allow names.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "The body is larger than 64 KiB."),
        StatusCode::REQUEST_TIMEOUT => {
            ("too-slow", "The body did not come in time, and nothing was done. Send it again.")
        }
        StatusCode::TOO_MANY_REQUESTS => (
            "throttled",
            "Too many requests from this address are under way. Try again once some have ended.",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported", "The body is not of a kind that is read here.")
        }
        StatusCode::MISDIRECTED_REQUEST => {
            ("misdirected", "The demo answers at 127.0.0.1 and localhost only.")
        }
        status if status.is_server_error() => (
            "unavailable",
            "Something is broken on our side, and nothing was changed. Try again in a moment.",
        ),
        _ => (
            "invalid",
            "The address, its parameters or the body do not read as GET /api/v1/openapi.json \
             describes them.",
        ),
    };
    Problem::new(kind, status, detail)
}

/// Around everything: an error below these addresses that is not in a program's form yet gets it,
/// whoever it came from (a wrong method, a body that is too large, a parameter that does not read,
/// a panic). Its headers stay, such as `Allow`.
pub async fn problems(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !is_below(path) {
        return next.run(request).await;
    }
    // Clients of a vault read `errors`, which a problem may have besides (RFC 9457 section 3.2).
    let vault = path.trim_start_matches('/').starts_with("v1");
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let problem = kind.is_some_and(|kind| kind.starts_with("application/problem+json"));
    let error = status.is_client_error() || status.is_server_error();
    if !error || kind.is_some_and(|kind| kind.starts_with("application/json")) || problem && !vault
    {
        return response;
    }
    let mut said = of_status(status);
    if vault {
        said.errors = vec![said.detail.clone()];
    }
    let mut answer = said.into_response();
    for (name, value) in response.headers() {
        let of_the_body = [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CONTENT_ENCODING,
            header::TRANSFER_ENCODING,
        ];
        if !of_the_body.contains(name) {
            answer.headers_mut().append(name, value.clone());
        }
    }
    answer
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests;
