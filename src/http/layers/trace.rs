//! One line a request, and the number by which the other lines of that request are found.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use crate::web::app::App;
use crate::web::door::client;
use crate::web::known::Known;

/// One line a request: the route and not the address, which may hold a link that works once. Every
/// line that is written meanwhile has the request's number and where it came from.
pub async fn trace(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(none)".to_owned(), |p| p.as_str().to_owned());
    let from = client(&app, request.headers(), request.extensions());
    let known = Known::default();
    request.extensions_mut().insert(known.clone());
    let span = tracing::info_span!("request", id = app.desk.new_id(), from);
    let started = std::time::Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    let ms = started.elapsed().as_millis() as u64;
    let who = known.who();
    span.in_scope(|| {
        if status >= 500 {
            tracing::error!(%method, route, status, ms, who, "request");
        } else {
            tracing::info!(%method, route, status, ms, who, "request");
        }
    });
    response
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use axum::body::Body;
    use http::header;
    use secrecy::ExposeSecret as _;
    use serde_json::Value;
    use tracing::instrument::WithSubscriber as _;

    use super::*;
    use crate::http::doors_tests::{INTAKE, SERVICE, Site};
    use crate::testing::story::{ADA, credential_of, member_id};

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, event: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(event)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a request leaves in the log.
    async fn lines(site: &Site, method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<Value> {
        let kept = Kept::default();
        let into = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_writer(move || into.clone()).finish();
        let request = || {
            let request = Request::builder().method(method).uri(path);
            let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
            request.body(Body::empty()).unwrap()
        };
        // Other tests run beside this one and look at nothing. So whether anybody does is asked anew,
        // once the first request has made all its places known.
        let looked_at = async {
            site.send(request()).await;
            tracing::callsite::rebuild_interest_cache();
            kept.0.lock().unwrap().clear();
            site.send(request()).await
        };
        looked_at.with_subscriber(subscriber).await;
        let written = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Protects whoever has to find out what happened: which lines belong together, where the
    /// request came from, and from whom.
    #[tokio::test]
    async fn each_line_has_the_request_and_each_request_its_who_and_where_from() {
        let site = Site::new().await;
        let cookie = site.cookie(ADA).await;
        let owner = member_id("acme", "owner");
        let member = credential_of(&owner);
        let bearer = |token: &str| format!("Bearer {token}");
        let (member, intake, service) =
            (bearer(member.expose_secret()), bearer(INTAKE), bearer(SERVICE));
        let authorization = header::AUTHORIZATION.as_str();
        let mut seen = std::collections::BTreeSet::new();
        for (method, path, headers, who) in [
            ("GET", "/tickets", &[("cookie", cookie.as_str())][..], format!("staff:{ADA}")),
            ("GET", "/tickets", &[], "nobody".to_owned()),
            (
                "GET",
                "/api/v1/org/consent",
                &[(authorization, member.as_str())],
                format!("member:{owner}"),
            ),
            ("GET", "/api/v1/org/consent", &[(authorization, "Bearer ktc_x")], "nobody".to_owned()),
            ("POST", "/api/v1/tickets", &[(authorization, &intake)], "program:intake".to_owned()),
            (
                "POST",
                "/api/v1/introspect",
                &[(authorization, &service)],
                "program:introspection".to_owned(),
            ),
        ] {
            let lines = lines(&site, method, path, headers).await;
            let last = lines.iter().find(|l| l["fields"]["message"] == "request").unwrap();
            assert_eq!(last["fields"]["who"], who, "{path}");
            for line in &lines {
                assert_eq!(line["span"]["from"], "unknown", "no connection here: {line}");
                assert_eq!(line["span"]["id"], last["span"]["id"]);
                assert!(!line.to_string().contains("ktc_"), "{line}");
            }
            let id = last["span"]["id"].as_str().unwrap().to_owned();
            assert!(seen.insert(id), "each request has a number of its own");
        }
        // What is said before there is an answer has the number as well.
        let forged = [("sec-fetch-site", "cross-site"), ("cookie", cookie.as_str())];
        let lines = lines(&site, "POST", "/do/sign_out", &forged).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0]["fields"]["message"], "a cross-site request was refused");
        assert_eq!(lines[0]["span"]["id"], lines[1]["span"]["id"]);
    }
}
