//! Sessions of a browser: each proof of who is there begins a new one, and ends the one before.

use axum::body::Body;
use http::{Request, Response, StatusCode, header};

use crate::desk::{AtWork, StepError};
use crate::http::doors_tests::{DOORS, For, Site, form};
use crate::model::time;
use crate::testing::story::{ADA, CLEO};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_step_up_begins_another_session_and_ends_the_one_before,
    a_second_sign_in_at_the_same_browser_ends_the_first,
    what_watches_goes_on_after_a_step_up_and_ends_with_the_sign_out,
    a_session_is_replaced_once,
);

async fn get(site: &Site, path: &str, cookie: &str) -> Response<Body> {
    let request = Request::builder()
        .uri(path)
        .header(header::ACCEPT, "text/html")
        .header(header::COOKIE, cookie);
    site.send(request.body(Body::empty()).unwrap()).await
}

async fn post(site: &Site, path: &str, body: &str, cookie: &str) -> Response<Body> {
    let request = form(path, body).header(header::COOKIE, cookie);
    site.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn inside(site: &Site, cookie: &str) -> bool {
    get(site, "/tickets", cookie).await.status() == StatusCode::OK
}

fn session_of(response: &Response<Body>) -> String {
    let mut all = response.headers().get_all(header::SET_COOKIE).iter();
    let set = all.find_map(|v| v.to_str().ok().filter(|v| v.starts_with("__Host-keyturn=")));
    set.expect("a session's cookie").split(';').next().unwrap().to_owned()
}

async fn open_sessions(bench: &Bench) -> i64 {
    bench.number("SELECT COUNT(*) FROM staff_session WHERE ended_at IS NULL").await
}

async fn a_step_up_begins_another_session_and_ends_the_one_before(bench: Bench) {
    let site = Site::on(bench).await;
    let before = site.cookie(ADA).await;
    let open = open_sessions(&site.bench).await;
    site.bench.clock.advance(6 * time::MINUTE);
    let done = post(&site, "/do/demo_step_up", "next=%2Forgs", &before).await;
    assert_eq!(done.headers()[header::LOCATION], "/orgs");
    let after = session_of(&done);
    assert_ne!(before, after);
    assert!(!inside(&site, &before).await, "whoever has the older cookie has nothing");
    assert!(inside(&site, &after).await);
    assert_eq!(open_sessions(&site.bench).await, open, "none is left open");
    let minted = post(&site, "/do/impersonate", "ticket=NOV-4801", &after).await;
    assert!(!minted.headers()[header::LOCATION].to_str().unwrap().starts_with("/step-up"));
    // The limit of its age is the sign-in's.
    for _ in 0..23 {
        site.bench.clock.advance(20 * time::MINUTE);
        assert!(inside(&site, &after).await);
    }
    site.bench.clock.advance(15 * time::MINUTE);
    assert!(!inside(&site, &after).await, "eight hours since the sign-in");
}

async fn a_second_sign_in_at_the_same_browser_ends_the_first(bench: Bench) {
    let site = Site::on(bench).await;
    let first = site.cookie(ADA).await;
    let elsewhere = site.cookie(ADA).await;
    let out = site.bench.rows_of("platform", "platform.signed_out").await.len();
    let open = open_sessions(&site.bench).await;
    let email = site.bench.at_work(CLEO).await.staff.email;
    let body = format!("email={}&next=%2Forgs", crate::web::door::encode(&email));
    let cookies = format!("{first}; __Host-keyturn-kept=1");
    let second = session_of(&post(&site, "/do/demo_sign_in", &body, &cookies).await);
    assert_eq!(open_sessions(&site.bench).await, open, "one began, one ended");
    assert!(!inside(&site, &first).await);
    assert!(inside(&site, &second).await && inside(&site, &elsewhere).await);
    let rows = site.bench.rows_of("platform", "platform.signed_out").await;
    assert_eq!(rows.len(), out + 1, "and its end is on record");
    assert_eq!(rows[out].actor_id, ADA);
}

/// Ada, signed in.
async fn at_work(bench: &Bench) -> AtWork {
    let email = bench.at_work(ADA).await.staff.email;
    let mut tx = bench.desk.begin().await.unwrap();
    let token = bench.desk.sign_in_demo(&mut tx, &email, "192.0.2.7").await.unwrap().token;
    tx.commit().await.unwrap();
    let mut conn = bench.desk.store.read().await.unwrap();
    bench.desk.at_work(&mut conn, &token, "192.0.2.7", false).await.unwrap().unwrap()
}

async fn what_watches_goes_on_after_a_step_up_and_ends_with_the_sign_out(bench: Bench) {
    let site = Site::on(bench).await;
    let cookie = site.cookie(ADA).await;
    let ada = at_work(&site.bench).await;
    let still = async || {
        let mut conn = site.bench.desk.store.read().await.unwrap();
        site.bench.desk.still_at_work(&mut conn, &ada).await.unwrap()
    };
    let mut who = ada.clone();
    for _ in 0..3 {
        let mut tx = site.bench.desk.begin().await.unwrap();
        let token = site.bench.desk.step_up_demo(&mut tx, &who).await.unwrap();
        tx.commit().await.unwrap();
        assert!(still().await);
        let mut conn = site.bench.desk.store.read().await.unwrap();
        who = site.bench.desk.at_work(&mut conn, &token, "x", false).await.unwrap().unwrap();
    }
    let mut tx = site.bench.desk.begin().await.unwrap();
    site.bench.desk.sign_out(&mut tx, &who).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!still().await);
    assert!(inside(&site, &cookie).await, "the browser's own session is another");
}

/// Protects an account from whoever knows whose it is, and what everybody takes.
#[tokio::test]
async fn no_account_gets_a_password_that_others_guess() {
    let bench = Bench::new(crate::store::Engine::Sqlite).await;
    let person = ["dora.keller@platform.example", "Dora Keller"];
    for password in ["passwordpassword1", "Dora Keller Keyturn", "keyturn.example1"] {
        let step = bench.desk.hash_password(&password.into(), &person);
        let said = step.unwrap_err().to_string();
        assert!(said.contains("too easily guessed") && !said.contains(password), "{said}");
    }
    let short = bench.desk.hash_password(&"Z7#kq0tmW2xLs".into(), &person).unwrap_err();
    assert!(short.to_string().contains("15 to 1,000"), "{short}");
    bench.desk.hash_password(&"a made-up password".into(), &person).unwrap();
}

/// Protects from a session that is replaced twice, by whoever has its older token.
async fn a_session_is_replaced_once(bench: Bench) {
    let ada = at_work(&bench).await;
    let mut tx = bench.desk.begin().await.unwrap();
    bench.desk.step_up_demo(&mut tx, &ada).await.unwrap();
    tx.commit().await.unwrap();
    let rows = bench.rows("platform").await.len();
    let mut tx = bench.desk.begin().await.unwrap();
    let again = bench.desk.step_up_demo(&mut tx, &ada).await;
    let again = bench.desk.settle(tx, again).await;
    assert!(matches!(again, Err(StepError::Conflict(_))), "{again:?}");
    assert_eq!(bench.rows("platform").await.len(), rows);
}

#[tokio::test]
async fn whoever_signs_out_leaves_nothing_in_the_cache_and_can_do_so_on_every_page() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    for door in DOORS.iter().filter(|d| d.0 == "GET" && d.4 == For::Staff) {
        let response = get(&site, door.2, &cookie).await;
        let kind = response.headers().get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap());
        let whole = kind.is_some_and(|k| k.starts_with("text/html")) && door.1 != "/audit/strip";
        if !whole || response.status().is_redirection() {
            continue;
        }
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap();
        let html = String::from_utf8_lossy(&bytes);
        assert!(
            !html.contains("<html") || html.contains("action=\"/do/sign_out\""),
            "{} has no way out",
            door.1
        );
    }
    let out = post(&site, "/do/sign_out", "", &cookie).await;
    assert_eq!(out.headers()["clear-site-data"], "\"cache\"", "pinned keys stay");
    assert!(!inside(&site, &cookie).await);
}

/// Protects the pages from texts that are no search, and the log of whoever pasted a secret.
#[tokio::test]
async fn what_is_looked_for_has_a_bound_and_is_no_secret() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    let (long, longest) = ("ä".repeat(201), "ä".repeat(200));
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let asked = async |path: &str, text: &str| {
        let path = format!("{path}?q={}", crate::web::door::encode(text));
        let response = get(&site, &path, &cookie).await;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    };
    for path in ["/lookup", "/tickets"] {
        let (status, html) = asked(path, &long).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(html.contains("at most 200 characters"), "{html}");
        let (status, html) = asked(path, secret).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(html.contains("shape of one") && !html.contains("MfKQ9r8"), "{html}");
        let (status, _) = asked(path, &longest).await;
        assert!(status.is_success() || status.is_redirection(), "{path}: {status}");
    }
}
