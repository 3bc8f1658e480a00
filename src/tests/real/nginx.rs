//! nginx in front, with `proxy_pass` alone: it keeps answers back until they are whole, speaks
//! HTTP/1.0 to the server behind it, and answers 502 while there is none.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{StatusCode, header};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::http::doors_tests::Site;
use crate::store::Engine;
use crate::store::timeline::watch::Place;
use crate::testing::programs::{Running, free_port};
use crate::testing::story::{ADA, CLEO, STUCK};
use crate::testing::{Bench, matrix};

/// A proxy that runs until it is dropped.
struct Nginx {
    _running: Running,
    folder: TempDir,
    address: String,
}

impl Nginx {
    async fn before(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = free_port();
        let at = folder.path().display();
        let file = folder.path().join("nginx.conf");
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/errors;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             server {{ listen 127.0.0.1:{own};\n\
             location / {{ proxy_pass http://127.0.0.1:{port}; }} }} }}\n"
        );
        std::fs::write(&file, config).unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(&file).arg("-e").arg(folder.path().join("early"));
        let mut running = Running::start(&mut command, &log);
        running.listens_at(own, &log).await;
        Self { _running: running, folder, address: format!("http://127.0.0.1:{own}") }
    }
}

fn version() -> String {
    let said = Command::new("/usr/sbin/nginx").arg("-v").output().expect("nginx");
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    said.rsplit('/').next().unwrap_or_default().trim().to_owned()
}

async fn serve(router: Router, port: u16) -> tokio::task::JoinHandle<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() })
}

/// A stream as a browser opens it.
async fn open(address: &str, cookie: &str, since: &str) -> reqwest::Response {
    let client = reqwest::Client::new();
    let request = client
        .get(format!("{address}/audit/live?since={}", crate::web::door::encode(since)))
        .header(header::ACCEPT, "text/event-stream")
        .header(header::ACCEPT_ENCODING, "gzip")
        .header("sec-fetch-site", "same-origin")
        .header(header::COOKIE, cookie);
    request.send().await.unwrap()
}

/// The lines of a stream until one has `word` in it.
async fn until(mut answer: reqwest::Response, word: &str) -> String {
    let mut text = String::new();
    // The place behind a row comes after it.
    while text.split_once(word).is_none_or(|(_, rest)| !rest.contains("id: ")) {
        let part = tokio::time::timeout(Duration::from_secs(20), answer.chunk()).await;
        let part = part.unwrap_or_else(|_| panic!("no {word} in 20 s: {text}"));
        text.push_str(&String::from_utf8_lossy(&part.unwrap().expect("more")));
    }
    text
}

fn last_place(text: &str) -> String {
    text.lines().rev().find_map(|l| l.strip_prefix("id: ")).expect("a place").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_rows_come_through_a_proxy_that_was_told_nothing() {
    let port = free_port();
    let mut bench = Bench::new(Engine::Sqlite).await;
    let desk = Arc::get_mut(&mut bench.desk).expect("nobody else has the desk");
    // What `proxy_pass` alone says the host is.
    desk.settings.base_url = format!("http://127.0.0.1:{port}");
    let site = Site::on(bench).await;
    let cookie = site.cookie_of(CLEO, "keyturn").await;
    let server = serve(site.router.clone(), port).await;
    let nginx = Nginx::before(port).await;
    let place = {
        let mut conn = site.bench.desk.store.read().await.unwrap();
        Place::here(&mut conn, site.bench.now()).await.unwrap().to_string()
    };

    let begun = Instant::now();
    let stream = open(&nginx.address, &cookie, &place).await;
    assert_eq!(stream.status(), StatusCode::OK);
    assert!(begun.elapsed() < Duration::from_secs(2), "the first bytes are kept back");
    let written = tokio::spawn({
        let desk = site.bench.desk.clone();
        let who = site.bench.at_work(ADA).await;
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let mut tx = desk.begin().await.unwrap();
            let step = desk.impersonate(&mut tx, &who, STUCK).await;
            desk.settle(tx, step).await.unwrap();
            Instant::now()
        }
    });
    let seen = until(stream, "impersonation.started").await;
    let late = written.await.unwrap().elapsed();
    assert!(late < Duration::from_secs(2), "{late:?}");
    let place = last_place(&seen);

    // The server is started anew: what was written meanwhile comes, from where the page was.
    server.abort();
    drop(server.await);
    let refused = open(&nginx.address, &cookie, &place).await;
    assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
    let who = site.bench.at_work(ADA).await;
    let grant =
        crate::store::impersonations::open(&mut site.bench.desk.store.read().await.unwrap())
            .await
            .unwrap()
            .remove(0);
    site.bench.end(&who, &grant.id).await.unwrap();
    let _server = serve(site.router.clone(), port).await;
    let seen = until(open(&nginx.address, &cookie, &place).await, "impersonation.ended").await;
    for row in ["\"impersonation.started\"", "\"impersonation.ended\""] {
        assert!(seen.matches(row).count() <= 1, "twice: {seen}");
    }
    let log = nginx.folder.path().join("errors");
    assert!(Path::new(&log).exists());
    matrix::holds(
        "In front",
        "nginx",
        &version(),
        "proxy_pass alone, buffering on; the server behind it restarted",
        "live rows within two seconds; after the 502 from where the page was, none twice",
    );
}
