//! Proxies in front, as their manuals set them up: the log names the client, not the proxy.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http::header;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::proxies::Proxies;
use crate::store::Engine;
use crate::testing::programs::{Running, free_port, version_of};
use crate::testing::real::served::Served;
use crate::testing::{Bench, matrix};

/// Whom the log names for a failed sign-in through `port` of a proxy, with what a client forged.
async fn named(served: &Served, port: u16, local: &str) -> String {
    let client = reqwest::Client::builder()
        .local_address(local.parse::<std::net::IpAddr>().unwrap())
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let before = served.bench.rows_of("platform", "platform.sign_in_failed").await.len();
    let answer = client
        .post(format!("http://127.0.0.1:{port}/do/sign_in"))
        .header("sec-fetch-site", "same-origin")
        .header(header::ACCEPT, "text/html")
        .header(header::COOKIE, "__Host-keyturn-kept=1")
        .header("x-forwarded-for", "203.0.113.66")
        .header("forwarded", "for=203.0.113.66")
        .form(&[("email", "nobody@platform.example"), ("password", "x"), ("next", "")])
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    served.bench.desk.write_sign_ins(true).await.unwrap();
    let rows = served.bench.rows_of("platform", "platform.sign_in_failed").await;
    assert_eq!(rows.len(), before + 1);
    rows[before].detail_str("from").unwrap().to_owned()
}

fn behind(header: &'static str, trusted: &str) -> Proxies {
    Proxies {
        header: Some(http::HeaderName::from_static(header)),
        trusted: trusted.split(',').filter_map(|n| n.trim().parse().ok()).collect(),
        hops: None,
    }
}

async fn start(
    program: &str,
    arguments: &[&str],
    config: &str,
    folder: &Path,
    port: u16,
) -> Running {
    let file = folder.join("config");
    std::fs::write(&file, config).unwrap();
    let log = folder.join("log");
    let mut command = Command::new(program);
    command.args(arguments).arg(&file);
    let mut running = Running::start(&mut command, &log);
    running.listens_at(port, &log).await;
    running
}

fn nginx(folder: &Path, port: u16, forwarded: &str, behind: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr warn;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
         fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         server {{ listen 127.0.0.1:{port}; location / {{\n\
         proxy_set_header Host $host; proxy_set_header X-Forwarded-For {forwarded};\n\
         proxy_pass {behind}; }} }} }}\n"
    )
}

/// nginx as its manual says, and as some write it, with the client's port.
#[tokio::test]
async fn behind_nginx_the_client_is_named() {
    for forwarded in ["$proxy_add_x_forwarded_for", "$remote_addr:$remote_port"] {
        let bench = Bench::new(Engine::Sqlite).await;
        let served = Served::behind(bench, behind("x-forwarded-for", "")).await;
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = nginx(folder.path(), port, forwarded, &served.url);
        let _nginx = start("/usr/sbin/nginx", &["-c"], &config, folder.path(), port).await;
        assert_eq!(named(&served, port, "127.0.0.9").await, "127.0.0.9", "{forwarded}");
    }
    let version = version_of("/usr/sbin/nginx", "-v").await;
    let tried = "X-Forwarded-For with and without ports, and a forged one before it";
    matrix::holds("Proxies", "nginx", &version, tried, "the client is named");
}

/// HAProxy in front of nginx: two proxies in a row, and `Forwarded`, which HAProxy writes as well.
#[tokio::test]
async fn behind_haproxy_and_nginx_the_client_is_named_and_not_the_proxy_between() {
    let bench = Bench::new(Engine::Sqlite).await;
    let served = Served::behind(bench, behind("x-forwarded-for", "127.0.0.1/32")).await;
    let (inner, inner_port) = (tempfile::tempdir().unwrap(), free_port());
    let config = nginx(inner.path(), inner_port, "$proxy_add_x_forwarded_for", &served.url);
    let _nginx = start("/usr/sbin/nginx", &["-c"], &config, inner.path(), inner_port).await;
    let (outer, outer_port) = (tempfile::tempdir().unwrap(), free_port());
    let server = format!("127.0.0.1:{inner_port}");
    let config = haproxy(outer_port, "option forwardfor", &server);
    let _haproxy =
        start("/usr/sbin/haproxy", &["-db", "-f"], &config, outer.path(), outer_port).await;
    assert_eq!(named(&served, outer_port, "127.0.0.9").await, "127.0.0.9");
    // Past HAProxy, straight to nginx: that is then the client's own connection.
    assert_eq!(named(&served, inner_port, "127.0.0.8").await, "127.0.0.8");
    // Past both: what is said in the header is not believed.
    let port = served.url.rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(named(&served, port, "127.0.0.7").await, "127.0.0.7");
    let version = version_of("/usr/sbin/haproxy", "-v").await;
    matrix::holds(
        "Proxies",
        "HAProxy",
        &version,
        "in front of nginx, X-Forwarded-For",
        "the client is named",
    );
}

/// All that a connection answers to `sent`, until the other side ends it.
async fn answered(port: u16, sent: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let end = stream.read_to_end(&mut read);
    // A connection that is reset has ended, too.
    tokio::time::timeout(Duration::from_secs(20), end).await.expect("an end").ok();
    String::from_utf8_lossy(&read).into_owned()
}

/// Protects from a request inside of another, which the one side sees and the other does not: with
/// two lengths nobody goes by the second, and nothing behind the first request is answered.
#[tokio::test]
async fn a_request_with_two_lengths_is_the_last_of_its_connection() {
    let bench = Bench::new(Engine::Sqlite).await;
    let served = Served::behind(bench, behind("x-forwarded-for", "127.0.0.1/32")).await;
    let straight = served.url.rsplit(':').next().unwrap().parse().unwrap();
    let (inner, inner_port) = (tempfile::tempdir().unwrap(), free_port());
    let config = nginx(inner.path(), inner_port, "$proxy_add_x_forwarded_for", &served.url);
    let _nginx = start("/usr/sbin/nginx", &["-c"], &config, inner.path(), inner_port).await;
    let (outer, outer_port) = (tempfile::tempdir().unwrap(), free_port());
    let server = format!("127.0.0.1:{straight}");
    let config = haproxy(outer_port, "option forwardfor", &server);
    let _haproxy =
        start("/usr/sbin/haproxy", &["-db", "-f"], &config, outer.path(), outer_port).await;
    let hidden = "GET /healthz HTTP/1.1\r\nHost: keyturn.example\r\n\r\n";
    let body = format!("0\r\n\r\n{hidden}");
    let (whole, chunked) =
        (format!("Content-Length: {}", body.len()), "Transfer-Encoding: chunked".to_owned());
    for port in [straight, inner_port, outer_port] {
        for lengths in [[&whole, &chunked], [&chunked, &whole]] {
            let [first, second] = lengths;
            let sent = format!(
                "POST /do/theme HTTP/1.1\r\nHost: keyturn.example\r\nSec-Fetch-Site: cross-site\r\n\
                 {first}\r\n{second}\r\n\r\n{body}"
            );
            let said = answered(port, &sent).await;
            assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{first}, {second}: {said}");
            let status = said.split(' ').nth(1).unwrap();
            assert!(["400", "403"].contains(&status), "{said}");
        }
        for wrong in [
            "Content-Length: 4\r\nContent-Length: 5".to_owned(),
            "Transfer-Encoding: chunked, x".to_owned(),
            "Content-Length: -1".to_owned(),
            "Content-Length: 4, 5".to_owned(),
        ] {
            let sent = format!(
                "POST /do/theme HTTP/1.1\r\nHost: keyturn.example\r\n{wrong}\r\n\r\n{body}"
            );
            let said = answered(port, &sent).await;
            let status = said.split(' ').nth(1).unwrap_or_default();
            assert!(["400", "501"].contains(&status), "{port} {wrong}: {said}");
            assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{wrong}: {said}");
        }
        let plain = hidden.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        assert!(answered(port, &plain).await.starts_with("HTTP/1.1 200"), "it serves");
    }
    for (name, program) in [("nginx", "/usr/sbin/nginx"), ("HAProxy", "/usr/sbin/haproxy")] {
        let version = version_of(program, "-v").await;
        let tried = "requests with two lengths, and with lengths that are none";
        matrix::holds("Proxies", name, &version, tried, "one answer, and the connection ends");
    }
}

fn haproxy(port: u16, names: &str, server: &str) -> String {
    format!(
        "global\n  maxconn 100\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n  \
         timeout server 20s\nfrontend in\n  bind 127.0.0.1:{port}\n  default_backend out\n\
         backend out\n  {names}\n  server one {server}\n"
    )
}
