//! Cookies that browsers keep, and what is said to one that keeps none.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode, header};

use super::doors_tests::{Site, form};
use crate::store::Engine;
use crate::testing::Bench;
use crate::testing::story::ADA;

async fn site_at(base_url: &str) -> Site {
    let mut bench = Bench::new(Engine::Sqlite).await;
    let desk = Arc::get_mut(&mut bench.desk).expect("nobody else has the desk");
    base_url.clone_into(&mut desk.settings.base_url);
    Site::on(bench).await
}

fn set(response: &Response<Body>) -> Vec<String> {
    let all = response.headers().get_all(header::SET_COOKIE).iter();
    all.map(|v| v.to_str().unwrap().to_owned()).collect()
}

async fn sign_in_page(site: &Site, path: &str, cookie: &str) -> (Vec<String>, String) {
    let request = Request::builder().uri(path).header(header::COOKIE, cookie);
    let response = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let cookies = set(&response);
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (cookies, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn by_button(site: &Site, cookie: &str) -> Response<Body> {
    let email = site.bench.at_work(ADA).await.staff.email;
    let body = format!("email={}&next=%2Forgs", crate::web::door::encode(&email));
    let request = form("/do/demo_sign_in", &body).header(header::COOKIE, cookie);
    site.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn cookies_are_secure_where_the_console_is() {
    for (base_url, name, secure) in [
        ("https://keyturn.example", "__Host-keyturn", true),
        ("http://127.0.0.1:3000", "keyturn", false),
    ] {
        let site = site_at(base_url).await;
        let (probe, _) = sign_in_page(&site, "/sign-in", "").await;
        assert_eq!(probe.len(), 1, "{probe:?}");
        let kept = probe[0].split(';').next().unwrap();
        let signed_in = by_button(&site, kept).await;
        assert_eq!(signed_in.headers()[header::LOCATION], "/orgs");
        let session = set(&signed_in);
        assert!(session[0].starts_with(&format!("{name}=")), "{session:?}");
        for cookie in probe.iter().chain(&session) {
            assert_eq!(cookie.contains("Secure"), secure, "{cookie}");
            for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
                assert!(cookie.contains(attribute), "{attribute}: {cookie}");
            }
        }
        let themed = form("/do/theme", "").body(Body::from("theme=dark&back=%2F")).unwrap();
        let theme = set(&site.send(themed).await);
        assert_eq!(theme.len(), 1, "{theme:?}");
        for cookie in probe.iter().chain(&session).chain(&theme) {
            assert_eq!(cookie.starts_with("__Host-"), secure, "{cookie}");
            assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
            assert!(cookie.contains("HttpOnly") && !cookie.contains("Domain"), "{cookie}");
        }
        let dark = theme[0].split(';').next().unwrap();
        let (_, shown) = sign_in_page(&site, "/sign-in", dark).await;
        assert!(shown.contains("data-theme=\"dark\""), "{shown}");
        let (_, shown) = sign_in_page(&site, "/sign-in", &format!("x{dark}")).await;
        assert!(!shown.contains("data-theme=\"dark\""));
        let session = session[0].split(';').next().unwrap().to_owned();
        let request = Request::builder().uri("/tickets").header(header::COOKIE, session);
        let inside = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(inside.status(), StatusCode::OK);
    }
}

/// Protects from a sign-in that leads back to itself without a word.
#[tokio::test]
async fn a_browser_that_keeps_no_cookie_is_told_so_and_nobody_is_signed_in() {
    const SAID: &str = "Your browser did not keep our cookie";
    let site = site_at("http://127.0.0.1:3000").await;
    let before = site.bench.rows("platform").await.len();
    let refused = by_button(&site, "other=1").await;
    assert_eq!(refused.status(), StatusCode::SEE_OTHER);
    let back = refused.headers()[header::LOCATION].to_str().unwrap().to_owned();
    assert_eq!(back, "/sign-in?next=%2Forgs&kept=no");
    assert!(set(&refused).is_empty(), "{refused:?}");
    let with_password = form("/do/sign_in", "");
    let with_password = site
        .send(with_password.body(Body::from("email=a%40b.example&password=x&next=")).unwrap())
        .await;
    let back_again = with_password.headers()[header::LOCATION].to_str().unwrap();
    assert!(back_again.ends_with("&kept=no"), "{back_again}");
    assert_eq!(site.bench.rows("platform").await.len(), before, "nobody tried to come in");

    let (_, shown) = sign_in_page(&site, &back, "").await;
    assert!(shown.contains(SAID) && shown.contains("http://127.0.0.1:3000/sign-in"), "{shown}");
    // Whoever keeps it is not told otherwise by a link that somebody made.
    let (_, shown) = sign_in_page(&site, &back, "keyturn-kept=1").await;
    assert!(!shown.contains(SAID));
    let (_, shown) = sign_in_page(&site, "/sign-in", "").await;
    assert!(!shown.contains(SAID));
}

async fn with_password(site: &Site, email: &str, password: &str, cookie: &str) -> Response<Body> {
    let (email, password) = (crate::web::door::encode(email), crate::web::door::encode(password));
    let body = format!("email={email}&password={password}&next=%2Forgs");
    let request = form("/do/sign_in", &body).header(header::COOKIE, cookie);
    site.send(request.body(Body::from(body)).unwrap()).await
}

/// Protects the database from whoever has no account: what they are told is kept by themselves.
#[tokio::test]
async fn who_signs_nobody_in_leaves_no_row_and_is_told_why_once() {
    let site = site_at("https://keyturn.example").await;
    let rows = site.bench.rows("platform").await.len();
    let mut said = String::new();
    for n in 0..6 {
        let email = format!("nobody-{n}@platform.example");
        let refused = with_password(&site, &email, "wrong", "__Host-keyturn-kept=1").await;
        assert_eq!(refused.status(), StatusCode::SEE_OTHER);
        let cookies = set(&refused);
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        said = cookies[0].split(';').next().unwrap().to_owned();
    }
    for (path, body) in
        [("/do/consent", "link=none&scope=ticket"), ("/do/withdraw_consent", "link=none")]
    {
        let request = form(path, body).body(Body::from(body)).unwrap();
        site.send(request).await;
    }
    for table in ["web_session", "staff_session", "sign_in_count", "staff_device"] {
        let count = format!("SELECT COUNT(*) FROM {table}");
        assert_eq!(site.bench.number(&count).await, 0, "{table}");
    }
    assert_eq!(site.bench.rows("platform").await.len(), rows);
    let (cookies, shown) = sign_in_page(&site, "/sign-in", &said).await;
    assert!(shown.contains("the address or the password is wrong"), "{shown}");
    assert!(
        cookies.iter().any(|c| c.starts_with("__Host-keyturn-said=;") && c.contains("Max-Age=0"))
    );
    for nonsense in ["x", "e30", "", &"x".repeat(4000)] {
        let nonsense = &format!("__Host-keyturn-said={nonsense}");
        let (_, shown) = sign_in_page(&site, "/sign-in", nonsense).await;
        assert!(!shown.contains("is wrong"));
    }
}

/// Protects staff from being locked out by who sits in their network: the browser is known again.
#[tokio::test]
async fn a_browser_that_signed_in_is_known_by_a_cookie_of_its_own() {
    for (base_url, name) in [
        ("https://keyturn.example", "__Host-keyturn-device"),
        ("http://127.0.0.1:3000", "keyturn-device"),
    ] {
        let site = site_at(base_url).await;
        let kept = &format!("{}=1", site.app.cookie("keyturn-kept"));
        let (email, password) = ("dora@platform.example", "a made-up password");
        let mut tx = site.bench.desk.begin().await.unwrap();
        let (role, by) = (crate::model::StaffRole::Auditor, crate::audit::Actor::system());
        let hashed = site.bench.desk.hash_password(&password.into(), &[]).unwrap();
        let added = site.bench.desk.add_staff(&mut tx, email, "Dora", role, &hashed, &by).await;
        added.unwrap();
        tx.commit().await.unwrap();
        let signed_in = with_password(&site, email, password, kept).await;
        assert_eq!(signed_in.headers()[header::LOCATION], "/orgs");
        let cookies = set(&signed_in);
        let device = cookies.iter().find(|c| c.starts_with(&format!("{name}="))).unwrap();
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=7776000"] {
            assert!(device.contains(attribute), "{attribute}: {device}");
        }
        assert_eq!(device.contains("Secure"), name.starts_with("__Host-"), "{device}");
        let device = device.split(';').next().unwrap();
        // By itself it opens nothing.
        let request = Request::builder().uri("/tickets").header(header::COOKIE, device);
        let outside = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(outside.status(), StatusCode::SEE_OTHER);
        for _ in 0..7 {
            with_password(&site, email, "wrong", kept).await;
        }
        let stranger = with_password(&site, email, password, kept).await;
        assert_ne!(stranger.headers()[header::LOCATION], "/orgs");
        let known = with_password(&site, email, password, &format!("{kept}; {device}")).await;
        assert_eq!(known.headers()[header::LOCATION], "/orgs");
    }
}

/// Protects the log from whoever tries credentials: a row a minute says how many.
#[tokio::test]
async fn credentials_that_are_none_are_summed_up() {
    let site = site_at("https://keyturn.example").await;
    let rows = site.bench.rows("platform").await.len();
    for (path, name, value) in [
        ("/api/v1/org/consent", "authorization", "Bearer ktc_none"),
        ("/api/v1/org/consent", "authorization", "Bearer ktc_other"),
        ("/api/v1/platform/log/checkpoint", "authorization", "Bearer kta_none"),
        ("/v1/auth/token/lookup-self", "x-vault-token", "hvs.none"),
        ("/api/v1/org/consent", "accept", "*/*"),
    ] {
        let request = Request::builder().uri(path).header(name, value);
        site.send(request.body(Body::empty()).unwrap()).await;
    }
    assert_eq!(site.bench.rows("platform").await.len(), rows);
    site.bench.desk.write_sign_ins(true).await.unwrap();
    let written = site.bench.rows_of("platform", "platform.credentials_refused").await;
    let mut counts: Vec<_> = written
        .iter()
        .map(|row| (row.details["how"].as_str().unwrap(), row.details["count"].as_i64().unwrap()))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [("bearer", 3), ("vault token", 1)]);
    assert!(!format!("{written:?}").contains("none\""));
}
