//! Addresses that there are not, and methods that an address does not take, where programs ask:
//! a problem with its status, and never a redirect.

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::http::doors_tests::{DOORS, SERVICE, Site};
use crate::store::Engine;
use crate::testing::Bench;
use crate::testing::story::{ADA, credential_of, member_id};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"];

/// What there is not, however nearly.
const NOWHERE: [&str; 29] = [
    "/api",
    "/api/",
    "/api/v1",
    "/api/v1/",
    "/api/v2/org/consent",
    "/api/v1/Org/consent",
    "/api/v1/org/consent/",
    "/api/v1/org/consent/x",
    "/api/v1/org//consent",
    "//api/v1/org/consent",
    "/api//v1/org/consent",
    "/api/v1/org/consent%2F",
    "/api/v1/org/log",
    "/api/v1/org/log/",
    "/api/v1/webhooks",
    "/api/v1/webhooks/whk_acme",
    "/api/v1/webhooks/whk_acme/rotate-secret/",
    "/api/v1/openapi.json/",
    "/api/v1/introspect/",
    "/v1",
    "/v1/",
    "/v1/sys/health/",
    "/v1/auth/token/lookup-self/",
    "/v1/secret/data/x",
    "/.well-known",
    "/.well-known/",
    "/.well-known/openid-configuration",
    "/.well-known/jwks.json/",
    "/logs/org",
];

async fn problem(response: Response<Body>, status: StatusCode, said: &str) -> Value {
    assert_eq!(response.status(), status, "{said}");
    let headers = response.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{said}");
    assert!(!headers.contains_key(header::LOCATION), "{said}");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{said}");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{said}");
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    if bytes.is_empty() {
        return Value::Null; // a HEAD
    }
    let problem: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(problem["status"], status.as_u16(), "{said}");
    for member in ["type", "title", "detail"] {
        assert!(!problem[member].as_str().unwrap().is_empty(), "{said}: {member}");
    }
    problem
}

/// Whoever asks: nobody, a browser that opens it, one that is signed in, an org, a service.
async fn callers(site: &Site) -> Vec<Vec<(header::HeaderName, String)>> {
    let owner = credential_of(&member_id("acme", "owner"));
    let bearer = |token: &str| (header::AUTHORIZATION, format!("Bearer {token}"));
    let page = (header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8".to_owned());
    vec![
        vec![],
        vec![page.clone()],
        vec![page, (header::COOKIE, site.cookie(ADA).await)],
        vec![bearer(owner.expose_secret())],
        vec![bearer(SERVICE), (header::ACCEPT, "application/json".to_owned())],
    ]
}

async fn ask(
    site: &Site,
    method: &str,
    path: &str,
    headers: &[(header::HeaderName, String)],
    body: &str,
) -> Response<Body> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    site.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

/// Protects a withdrawal of consent from being a success that did nothing: with a slash at its
/// end it was led to the sign-in page, which answers 200.
#[tokio::test]
async fn what_there_is_not_is_a_problem_to_whoever_asks_for_it() {
    let site = Site::new().await;
    let before = site.bench.rows("platform").await.len();
    let callers = callers(&site).await;
    let signed_in = site.bench.rows("platform").await.len();
    let slashes = DOORS.iter().filter(|d| super::is_below(d.1) && !d.1.contains("*"));
    let mut paths: Vec<String> = slashes.map(|d| format!("{}/", d.2)).collect();
    paths.extend(NOWHERE.iter().map(|&path| path.to_owned()));
    assert!(paths.len() > 40);
    for path in &paths {
        for method in METHODS {
            for headers in &callers {
                let body = "{\"allow_platform_impersonation\":false}";
                let answer = ask(&site, method, path, headers, body).await;
                let said = format!("{method} {path} {headers:?}");
                let problem = problem(answer, StatusCode::NOT_FOUND, &said).await;
                if method == "HEAD" {
                    continue; // It has no body.
                }
                assert_eq!(problem["type"], "urn:keyturn:not-found", "{said}");
                if path.trim_start_matches('/').starts_with("v1") {
                    assert_eq!(problem["errors"][0], problem["detail"], "as a vault's: {said}");
                }
            }
        }
    }
    assert!(before <= signed_in);
    assert_eq!(site.bench.rows("platform").await.len(), signed_in, "nothing was done");
}

#[tokio::test]
async fn a_method_that_an_address_does_not_take_is_refused_with_those_that_it_does() {
    let site = Site::new().await;
    for caller in callers(&site).await {
        for door in DOORS.iter().filter(|d| super::is_below(d.1)) {
            let takes: Vec<_> = DOORS.iter().filter(|d| d.1 == door.1).map(|d| d.0).collect();
            for method in METHODS {
                if takes.contains(&method) || method == "HEAD" && takes.contains(&"GET") {
                    continue;
                }
                let answer = ask(&site, method, door.2, &caller, "{}").await;
                let allow = answer.headers()[header::ALLOW].to_str().unwrap().to_owned();
                let said = format!("{method} {} allows {allow}", door.2);
                for taken in &takes {
                    assert!(allow.split(',').any(|a| a.trim() == *taken), "{said}");
                }
                problem(answer, StatusCode::METHOD_NOT_ALLOWED, &said).await;
            }
        }
    }
}

/// What axum itself refuses, or a layer around all, has the same form.
#[tokio::test]
async fn whatever_is_refused_before_a_handler_sees_it_is_a_problem_too() {
    let site = Site::new().await;
    let owner = credential_of(&member_id("acme", "owner"));
    let bearer = (header::AUTHORIZATION, format!("Bearer {}", owner.expose_secret()));
    let large = "x".repeat(65 * 1024);
    let elsewhere = (header::ORIGIN, "https://evil.example".to_owned());
    let host = (header::HOST, "keyturn.example".to_owned());
    let other_host = (header::HOST, "evil.example".to_owned());
    let post = "/api/v1/webhooks/whk_acme/rotate-secret";
    for (method, path, headers, body, status) in [
        ("GET", "/api/v1/org/audit-log?from=x", vec![bearer.clone()], "", 400),
        ("POST", "/api/v1/webhooks/%ff/rotate-secret", vec![bearer.clone()], "", 400),
        ("PUT", "/api/v1/org/consent", vec![bearer.clone()], large.as_str(), 413),
        ("POST", post, vec![bearer.clone(), elsewhere, host], "", 403),
        ("GET", "/.well-known/jwks.json", vec![other_host], "", 421),
    ] {
        let answer = ask(&site, method, path, &headers, body).await;
        let said = format!("{method} {path}");
        let problem = problem(answer, StatusCode::from_u16(status).unwrap(), &said).await;
        let text = problem.to_string();
        assert!(!text.contains("xxx") && !text.contains("ktc_"), "{said}: {text}");
    }
}

/// A log's tiles are read by programs, also with a session: they are told that there is none.
#[tokio::test]
async fn a_program_without_a_session_is_not_led_to_a_page_for_a_log() {
    let site = Site::new().await;
    for path in ["/logs/platform/checkpoint", "/logs/org/org-acme/tile/entries/000.p/1"] {
        for accept in ["*/*", "application/json"] {
            let headers = [(header::ACCEPT, accept.to_owned())];
            let answer = ask(&site, "GET", path, &headers, "").await;
            assert!(answer.headers().contains_key(header::WWW_AUTHENTICATE));
            problem(answer, StatusCode::UNAUTHORIZED, path).await;
        }
        let page = [(header::ACCEPT, "text/html".to_owned())];
        let answer = ask(&site, "GET", path, &page, "").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "a person signs in, and sees it");
    }
    for path in ["/logs/platform/checkpoints", "/logs/platform/checkpoint/", "/logs/org/org-acme/x"]
    {
        let page = [(header::ACCEPT, "text/html".to_owned())];
        let answer = ask(&site, "GET", path, &page, "").await;
        problem(answer, StatusCode::NOT_FOUND, path).await;
    }
}

/// Elsewhere only who opens a page is led to the sign-in.
#[tokio::test]
async fn what_is_no_page_is_not_found_by_a_program_and_leads_a_person_to_the_sign_in() {
    let site = Site::new().await;
    for path in ["/nowhere", "/tickets/", "/apis", "/v10/x", "/do/end/"] {
        for method in METHODS {
            let ours = [("sec-fetch-site", "same-origin")];
            let mut headers: Vec<_> = ours
                .iter()
                .map(|(n, v)| (header::HeaderName::from_static(n), (*v).to_owned()))
                .collect();
            let answer = ask(&site, method, path, &headers, "").await;
            problem(answer, StatusCode::NOT_FOUND, &format!("{method} {path}")).await;
            headers.push((header::ACCEPT, "text/html".to_owned()));
            let answer = ask(&site, method, path, &headers, "").await;
            let reads = matches!(method, "GET" | "HEAD");
            let expected = if reads { StatusCode::SEE_OTHER } else { StatusCode::NOT_FOUND };
            assert_eq!(answer.status(), expected, "{method} {path}");
        }
    }
}

/// PostgreSQL's texts cannot hold U+0000: it was a fault of ours there, which it is not.
#[tokio::test]
async fn the_null_character_is_refused_before_anything_is_looked_up() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let site = Site::on(Bench::new(engine).await).await;
        let page = [
            (header::ACCEPT, "text/html".to_owned()),
            (header::COOKIE, site.cookie(ADA).await),
            (header::HeaderName::from_static("sec-fetch-site"), "same-origin".to_owned()),
        ];
        let before = site.bench.rows("platform").await.len();
        for (path, status) in [
            ("/tickets/NOV%00", 404),
            ("/orgs/%00", 404),
            ("/audit?q=%00", 400),
            ("/lookup?q=a%00b", 400),
            ("/api/v1/org/log/%00", 404),
        ] {
            let answer = ask(&site, "GET", path, &page, "").await;
            assert_eq!(answer.status().as_u16(), status, "{path} {engine:?}");
        }
        for door in DOORS.iter().filter(|d| d.1.starts_with("/do/")) {
            let answer = site
                .send(
                    super::super::doors_tests::form(door.1, "")
                        .header(header::COOKIE, &page[1].1)
                        .body(Body::from(format!("{}&x=%00", door.3)))
                        .unwrap(),
                )
                .await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{} {engine:?}", door.1);
        }
        assert_eq!(site.bench.rows("platform").await.len(), before);
    }
}
