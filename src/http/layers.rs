//! What surrounds every request.

mod trace;

use std::any::Any;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};

use super::machine;
use crate::listen::said_always;
use crate::web::app::App;

pub use trace::trace;

/// Refuses a request that would change something and does not come from our own pages.
///
/// A browser says where a request comes from (`Sec-Fetch-Site`, or `Origin`), and a page cannot
/// make it lie. The API takes no cookies, so programs, which say nothing of the kind, may call
/// it; from another site's page it is refused as well. So with the embedded vault.
pub async fn cross_site(request: Request, next: Next) -> Response {
    // What leaves a row behind each time is for our own pages, and for whoever types the address.
    let path = request.uri().path();
    let noted =
        ["/audit/export", "/audit/live"].contains(&path) || path.ends_with("/evidence.json");
    let led_here = request
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none");
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads && !(noted && led_here) {
        return next.run(request).await;
    }
    let program = machine::is_below(request.uri().path());
    if allowed(request.headers(), program) {
        return next.run(request).await;
    }
    tracing::info!(method = %request.method(), "a cross-site request was refused");
    (StatusCode::FORBIDDEN, "Refused: this request comes from another site.\n").into_response()
}

fn allowed(headers: &HeaderMap, program: bool) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => {
            let after = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            after == Some(host)
        }
        (Some(_), None) => false,
        (None, _) => program,
    }
}

/// Refuses an address, or a form of a page, with the character U+0000 in it: PostgreSQL's texts
/// cannot hold it, and nothing that people write has it.
pub async fn no_null(request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path().contains("%00") {
        return (StatusCode::NOT_FOUND, "There is nothing at this address.\n").into_response();
    }
    if uri.query().is_some_and(|query| query.contains("%00")) {
        return (StatusCode::BAD_REQUEST, "This address has a character that no text has.\n")
            .into_response();
    }
    if !uri.path().starts_with("/do/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(form) = axum::body::to_bytes(body, super::MAX_BODY).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "This form is too large.\n").into_response();
    };
    if form.contains(&0) || form.windows(3).any(|three| three == b"%00") {
        return (StatusCode::BAD_REQUEST, "This form has a character that no text has.\n")
            .into_response();
    }
    next.run(Request::from_parts(parts, axum::body::Body::from(form))).await
}

/// The demo signs people in with a button, so it answers only under its own name: another name
/// that leads to this machine (DNS rebinding) gets nothing.
pub async fn own_name(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.demo.is_some() {
        let own = app.desk.settings.base_url.split("://").last().unwrap_or_default();
        let host = request.headers().get(header::HOST).and_then(|v| v.to_str().ok());
        if !host.is_none_or(|host| host == own || host == own.replace("127.0.0.1", "localhost")) {
            return (StatusCode::MISDIRECTED_REQUEST, "The demo answers at 127.0.0.1 only.\n")
                .into_response();
        }
    }
    next.run(request).await
}

/// Headers that every answer has.
pub async fn headers(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    said_always(response.headers_mut(), app.secure());
    response
}

/// What a client sees of a panic: nothing of it.
#[must_use]
pub fn panicked(what: Box<dyn Any + Send + 'static>) -> Response {
    let text = what
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| what.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    tracing::error!(text, "a request panicked");
    crate::web::pages::error::broken()
}

#[cfg(test)]
mod header_tests;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (header::HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn only_our_own_pages_may_change_anything() {
        assert!(allowed(&headers(&[("sec-fetch-site", "same-origin")]), false));
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!allowed(&headers(&[("sec-fetch-site", site)]), false), "{site}");
            assert!(!allowed(&headers(&[("sec-fetch-site", site)]), true), "{site}");
        }
    }

    #[test]
    fn without_fetch_metadata_the_origin_has_to_be_ours() {
        assert!(allowed(
            &headers(&[("origin", "https://k.example"), ("host", "k.example")]),
            false
        ));
        assert!(!allowed(
            &headers(&[("origin", "https://evil.example"), ("host", "k.example")]),
            false
        ));
        assert!(!allowed(&headers(&[("origin", "null"), ("host", "k.example")]), false));
        assert!(!allowed(&headers(&[("origin", "https://k.example")]), false));
    }

    #[test]
    fn a_program_may_call_the_api_and_nothing_else() {
        assert!(allowed(&headers(&[("host", "k.example")]), true));
        assert!(!allowed(&headers(&[("host", "k.example")]), false));
    }
}
