//! The server on a real socket, and who would hold it up.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Limits, Times, within};
use crate::config::proxies::Proxies;
use crate::model::time;
use crate::store::Engine;
use crate::testing::Bench;
use crate::testing::gateways::Site;
use crate::testing::real::served::Served;

const PATIENCE: Duration = Duration::from_secs(20);

fn short() -> Times {
    Times {
        first_request: Duration::from_millis(700),
        idle: Duration::from_millis(900),
        body: Duration::from_millis(800),
        write: Duration::from_millis(800),
        handshake: Duration::from_millis(700),
    }
}

async fn served(limits: Limits, times: Times) -> Served {
    let bench = Bench::new(Engine::Sqlite).await;
    Served::within(bench, Proxies::default(), limits, times).await
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.url.trim_start_matches("http://")).await.unwrap()
    }
}

/// All that comes until the other side ends it.
async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    // A connection that is reset has ended, too.
    timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("an end").ok();
    String::from_utf8_lossy(&read).into_owned()
}

async fn some(stream: &mut TcpStream) -> String {
    let mut read = vec![0; 16 * 1024];
    let n = timeout(PATIENCE, stream.read(&mut read)).await.expect("an answer").unwrap();
    String::from_utf8_lossy(&read[..n]).into_owned()
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: keyturn.example\r\n\r\n";

#[tokio::test]
async fn whoever_sends_nothing_or_half_a_request_is_cut_off_in_time() {
    let server = served(Limits::default(), short()).await;
    for part in ["", "GET", "PRI * HTTP/2.0\r\n\r\nSM", "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Y: "]
    {
        let mut stream = server.connect().await;
        stream.write_all(part.as_bytes()).await.unwrap();
        let started = Instant::now();
        rest(&mut stream).await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(3), "{part:?}: {took:?}");
    }
    // A byte now and then is no request either.
    let mut stream = server.connect().await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Y: ").await.unwrap();
    let mut sent = 0;
    while stream.write_all(b"z").await.is_ok() && sent < 100 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        sent += 1;
    }
    assert!(sent < 60, "it was still let in after {sent} bytes");
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_and_not_for_ever() {
    let server = served(Limits::default(), short()).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(HEALTH).await.unwrap();
        assert!(some(&mut stream).await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let started = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    assert!(started.elapsed() < Duration::from_secs(3));
}

/// Protects from a body that comes by the byte: nothing of it is done, and it says so.
#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_refused_as_a_whole() {
    let server = served(Limits::default(), short()).await;
    for (path, kind) in
        [("/api/v1/introspect", "application/problem+json"), ("/do/sign_in", "text/plain")]
    {
        let token = crate::testing::real::served::SERVICE;
        let mut stream = server.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: k.example\r\nOrigin: http://k.example\r\n\
             Authorization: Bearer {token}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let slowly = async {
            while write.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = slowly => {}
            _ = timeout(PATIENCE, read.read_to_end(&mut answer)) => {}
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        assert!(answer.contains(kind) && answer.contains("in time"), "{path}: {answer}");
    }
}

/// Protects the live timeline: it goes on for longer than any of the times.
#[tokio::test]
async fn an_answer_that_goes_on_is_not_cut_off() {
    let server = served(Limits::default(), short()).await;
    let cookie = server.cookie(crate::testing::story::CLEO).await;
    let mut stream = server.connect().await;
    let ask = format!(
        "GET /audit/live HTTP/1.1\r\nHost: k.example\r\nAccept: text/event-stream\r\n\
         Cookie: {}\r\n\r\n",
        cookie
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let until = Instant::now() + Duration::from_secs(6);
    let mut heard = String::new();
    while Instant::now() < until {
        let mut read = [0; 4096];
        match timeout(Duration::from_millis(500), stream.read(&mut read)).await {
            Ok(n) => {
                let n = n.unwrap();
                assert!(n > 0, "cut off after {heard}");
                heard.push_str(&String::from_utf8_lossy(&read[..n]));
            }
            Err(_) => continue,
        }
    }
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
    assert!(heard.matches("event: beat").count() + heard.matches("event: gap").count() >= 2);
}

/// Protects from connections that are only held open: they are the first to go, and nobody else
/// waits for that.
#[tokio::test]
async fn a_thousand_half_open_connections_keep_nobody_out() {
    let limits = Limits { connections: 300, per_client: 10_000 };
    let server = served(limits, Times::default()).await;
    super::files();
    let before = open_files();
    let mut half = Vec::new();
    for _ in 0..1000 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").await.unwrap();
        half.push(stream);
    }
    for _ in 0..20 {
        let mut stream = server.connect().await;
        let started = Instant::now();
        stream.write_all(HEALTH).await.unwrap();
        assert!(some(&mut stream).await.starts_with("HTTP/1.1 200"));
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    // Our own ends of them are among these.
    let held = open_files() - before - half.len();
    assert!(held <= limits.connections + 40, "{held}");
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn one_client_has_its_share_and_a_proxy_the_whole() {
    let limits = Limits { connections: 100, per_client: 16 };
    let door = super::Doorkeeper::new(limits, Proxies::default());
    let client = |n: u8| std::net::IpAddr::from([192, 0, 2, n]);
    let busy: Vec<_> = (0..16)
        .map(|_| {
            let (place, told) = door.enter(client(1)).unwrap();
            (place.answer(), told)
        })
        .collect();
    assert!(door.enter(client(1)).is_none(), "all of its own are being answered");
    let other = door.enter(client(2)).unwrap();
    drop(busy);
    assert_eq!(door.held(), 1);
    // Where some only wait, the one that waited longest makes room for a new one of the client.
    let mut waiting: Vec<_> = (0..16).map(|_| door.enter(client(1)).unwrap()).collect();
    waiting[0].0.answer();
    let _new = door.enter(client(1)).unwrap();
    assert!(waiting[1].1.try_recv().is_ok(), "the first was used since");
    assert!(waiting[0].1.try_recv().is_err() && waiting[2].1.try_recv().is_err());
    drop((other, waiting));

    let proxies = Proxies {
        header: Some(http::header::FORWARDED),
        trusted: vec!["192.0.2.0/24".parse().unwrap()],
        hops: None,
    };
    let door = super::Doorkeeper::new(limits, proxies);
    let many: Vec<_> = (0..100).map(|_| door.enter(client(1)).unwrap()).collect();
    let answering: Vec<_> = many.iter().map(|(place, _)| place.answer()).collect();
    assert!(door.enter(client(1)).is_none(), "there is still a limit in all");
    drop(answering);
    assert!(door.enter(client(1)).is_some());
}

/// Protects from a request flood through a proxy, whose connections are everybody's.
#[tokio::test]
async fn behind_a_proxy_the_requests_of_one_client_are_counted() {
    let proxies = Proxies {
        header: Some(http::HeaderName::from_static("x-forwarded-for")),
        trusted: vec!["127.0.0.1/32".parse().unwrap()],
        hops: None,
    };
    let bench = Bench::new(Engine::Sqlite).await;
    let limits = Limits { connections: 1000, per_client: 16 };
    let server = Served::within(bench, proxies, limits, Times::default()).await;
    let begin = async |from: &str| {
        let mut stream = server.connect().await;
        let head = format!(
            "POST /api/v1/introspect HTTP/1.1\r\nHost: k.example\r\nX-Forwarded-For: {from}\r\n\
             Authorization: Bearer {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\na",
            crate::testing::real::served::SERVICE
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let mut slow = Vec::new();
    for _ in 0..16 {
        slow.push(begin("203.0.113.9").await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ask = |from: &str| {
        format!("GET /healthz HTTP/1.1\r\nHost: k.example\r\nX-Forwarded-For: {from}\r\n\r\n")
    };
    let mut stream = server.connect().await;
    stream.write_all(ask("203.0.113.9").as_bytes()).await.unwrap();
    let refused = some(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 2"), "{refused}");
    stream.write_all(ask("203.0.113.10").as_bytes()).await.unwrap();
    assert!(some(&mut stream).await.starts_with("HTTP/1.1 200"), "others are let in");
    drop(slow);
    tokio::time::sleep(Duration::from_millis(300)).await;
    stream.write_all(ask("203.0.113.9").as_bytes()).await.unwrap();
    assert!(some(&mut stream).await.starts_with("HTTP/1.1 200"), "and so is it again");
}

/// Protects the gateways: whoever opens a connection to their listener and says nothing, or half
/// a TLS handshake, is cut off.
#[tokio::test]
async fn a_handshake_that_does_not_come_ends_the_connection() {
    let bench = Bench::new(Engine::Sqlite).await;
    let site = Site::within(&bench, -time::DAY, 60 * time::DAY, short()).await;
    for part in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port)).await.unwrap();
        stream.write_all(part).await.unwrap();
        let started = Instant::now();
        rest(&mut stream).await;
        assert!(started.elapsed() < Duration::from_secs(3), "{part:?}");
    }
}

#[test]
fn there_are_never_more_connections_than_files() {
    let limits = Limits { connections: 2000, per_client: 256 };
    assert_eq!(within(limits, None).connections, 2000);
    assert_eq!(within(limits, Some(524_288)).connections, 2000);
    assert_eq!(within(limits, Some(1024)).connections, 384);
    assert_eq!(within(limits, Some(100)).connections, 16);
}
