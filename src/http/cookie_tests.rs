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
