//! Forms work from this site's own pages alone: not from another site's, and not from another
//! port of the same machine, such as the console's.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::html;

pub(super) async fn check(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || from_here(request.headers()) {
        return next.run(request).await;
    }
    html::problem(StatusCode::FORBIDDEN, "This form was not sent from a page of this site.")
}

/// Every browser sends one of the two headers with a form; a program that sends neither acts for
/// whoever started it, and not behind the back of somebody with a browser.
fn from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    match (text(header::HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            text(header::HOST).is_some_and(|host| origin == format!("http://{host}"))
        }
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the installed keys from other pages that are open in the same browser.
    #[test]
    fn only_this_site_s_own_forms_are_taken() {
        let from = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            map.insert("host", "127.0.0.1:3001".parse().unwrap());
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            from_here(&map)
        };
        assert!(from(&[("sec-fetch-site", "same-origin")]));
        assert!(from(&[("origin", "http://127.0.0.1:3001")]));
        assert!(from(&[]), "no browser");
        assert!(!from(&[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:3001")]));
        assert!(!from(&[("sec-fetch-site", "cross-site")]));
        assert!(!from(&[("sec-fetch-site", "none")]));
        assert!(!from(&[("origin", "http://127.0.0.1:3000")]), "the console");
        assert!(!from(&[("origin", "null")]));
        assert!(!from(&[("origin", "http://evil.example")]));
    }
}
