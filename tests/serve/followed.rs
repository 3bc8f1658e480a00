//! What a server had in hand when it was killed or stopped, and the next one on the same data.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use keyturn::store::{Store, audit};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::deployment::{Deployment, read};

/// A mail that a server handed over.
#[derive(Debug, Clone)]
struct Given {
    to: String,
    message_id: String,
}

/// A mail server that says nothing more once it has the first mail, and takes all others.
#[derive(Clone, Default)]
struct Mails(Arc<Mutex<Vec<Given>>>);

impl Mails {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let mails = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mails = mails.clone();
                tokio::spawn(async move { mails.talk(stream).await });
            }
        });
        url
    }

    async fn talk(&self, stream: tokio::net::TcpStream) {
        let (read, mut write) = stream.into_split();
        let mut lines = tokio::io::BufReader::new(read).lines();
        write.write_all(b"220 slow.example ESMTP\r\n").await.ok();
        let (mut to, mut message_id, mut in_mail) = (String::new(), String::new(), false);
        while let Ok(Some(line)) = lines.next_line().await {
            let answer: &[u8] = match line.as_str() {
                "." if in_mail => {
                    in_mail = false;
                    let given = Given { to: to.clone(), message_id: message_id.clone() };
                    let first = {
                        let mut all = self.0.lock().unwrap();
                        all.push(given);
                        all.len() == 1
                    };
                    if first {
                        std::future::pending::<()>().await;
                    }
                    b"250 taken\r\n"
                }
                line if in_mail => {
                    if let Some(id) = line.strip_prefix("Message-ID: ") {
                        message_id = id.to_owned();
                    }
                    continue;
                }
                "DATA" => {
                    in_mail = true;
                    b"354 go on\r\n"
                }
                line => {
                    if let Some(rest) = line.strip_prefix("RCPT TO:<") {
                        to = rest.split('>').next().unwrap().to_owned();
                    }
                    b"250 yes\r\n"
                }
            };
            write.write_all(answer).await.ok();
        }
    }

    fn to(&self, address: &str) -> Vec<Given> {
        self.0.lock().unwrap().iter().filter(|given| given.to == address).cloned().collect()
    }

    async fn wait(&self, address: &str, count: usize, within: Duration, log: &Path) {
        let begun = Instant::now();
        while self.to(address).len() < count {
            assert!(begun.elapsed() < within, "{address}: {:?} {}", self.0, read(log));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl std::fmt::Debug for Mails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

fn gpg(home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("gpg");
    command.args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]);
    let output = command.env("GNUPGHOME", home).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// An Owner's key, and the same key with its expiry extended.
fn key_and_renewed(home: &Path, address: &str) -> (String, String) {
    let user = format!("Owner <{address}>");
    gpg(home, &["--quick-generate-key", &user, "future-default", "default", "1y"]);
    let before = gpg(home, &["--armor", "--export", address]);
    let listed = gpg(home, &["--with-colons", "--list-keys", address]);
    let fingerprints: Vec<&str> = listed
        .lines()
        .filter(|line| line.starts_with("fpr:"))
        .filter_map(|line| line.split(':').nth(9))
        .collect();
    gpg(home, &["--quick-set-expire", fingerprints[0], "2y"]);
    gpg(home, &["--quick-set-expire", fingerprints[0], "2y", fingerprints[1]]);
    (before, gpg(home, &["--armor", "--export", address]))
}

fn org(slug: &str, key: Option<&str>) -> Value {
    let address = format!("owner@{slug}.example");
    let member =
        json!({ "email": address, "name": "Owner", "role": "owner", "standing": "active" });
    let mut org = json!({
        "slug": slug, "name": slug, "owner": { "email": address }, "members": [member],
    });
    if let Some(key) = key {
        org["runbook"] = json!({ "channel": "pgp", "pgp_key": key });
    }
    org
}

fn import(deployment: &Deployment, orgs: &[Value]) {
    let file = deployment.folder.path().join("orgs.json");
    std::fs::write(&file, json!({ "orgs": orgs }).to_string()).unwrap();
    let output = deployment.command(&["org", "import"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Protects a mail from the death of the machine that was sending it: the next server on the same
/// data sends it within seconds, and what only waited at once.
#[tokio::test]
async fn a_mail_of_a_server_that_was_killed_is_sent_by_the_next_within_seconds() {
    let mails = Mails::default();
    let mut deployment = Deployment::new();
    deployment.settings.push(("KEYTURN_SMTP_URL", mails.start().await));
    let log = deployment.folder.path().join("log");
    let home = tempfile::tempdir().unwrap();
    let (held, held_renewed) = key_and_renewed(home.path(), "owner@held.example");
    let (waits, waits_renewed) = key_and_renewed(home.path(), "owner@waits.example");
    import(&deployment, &[org("held", Some(&held)), org("waits", Some(&waits))]);

    let mut serving = deployment.serve().await;
    import(&deployment, &[org("held", Some(&held_renewed))]);
    mails.wait("owner@held.example", 1, Duration::from_secs(20), &log).await;
    serving.kill();
    let killed = Instant::now();
    // Nobody serves while this one is written.
    import(&deployment, &[org("waits", Some(&waits_renewed))]);

    let mut next = deployment.serve().await;
    mails.wait("owner@waits.example", 1, Duration::from_secs(5), &log).await;
    mails.wait("owner@held.example", 2, Duration::from_secs(20), &log).await;
    assert!(killed.elapsed() < Duration::from_secs(25), "{:?}", killed.elapsed());
    let both = mails.to("owner@held.example");
    assert_eq!(both[0].message_id, both[1].message_id, "a mail server sees that it is the same");
    assert!(both[0].message_id.ends_with("@platform.example>"), "{both:?}");
    // It was taken: it does not go out once more.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        (mails.to("owner@held.example").len(), mails.to("owner@waits.example").len()),
        (2, 1)
    );
    next.ask_to_stop();
    assert!(next.ended().await.1, "{}", read(&log));
}

/// A sink that takes so many requests, and says nothing to the others until it is told to go on.
struct Sink {
    rows: Mutex<BTreeMap<String, BTreeMap<i64, String>>>,
    taken: tokio::sync::Semaphore,
    asked: tokio::sync::Notify,
}

async fn take(State(sink): State<Arc<Sink>>, headers: HeaderMap, body: String) -> StatusCode {
    let Ok(permit) = sink.taken.try_acquire() else {
        sink.asked.notify_one();
        std::future::pending::<()>().await;
        return StatusCode::NO_CONTENT;
    };
    permit.forget();
    let log = headers["keyturn-log"].to_str().unwrap().to_owned();
    let first: i64 = headers["keyturn-first-seq"].to_str().unwrap().parse().unwrap();
    let mut rows = sink.rows.lock().unwrap();
    let rows = rows.entry(log).or_default();
    for (seq, row) in (first..).zip(body.lines()) {
        let before = rows.insert(seq, row.to_owned());
        assert!(before.is_none_or(|before| before == row), "a row is what it was");
    }
    StatusCode::OK
}

/// Protects what watches over the logs from a gap at every restart: rows go on at once, and none is
/// missing.
#[tokio::test]
async fn rows_go_on_at_once_when_a_server_is_stopped_in_a_burst_and_started_again() {
    let sink = Arc::new(Sink {
        rows: Mutex::default(),
        taken: tokio::sync::Semaphore::new(5),
        asked: tokio::sync::Notify::new(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/rows", listener.local_addr().unwrap());
    let router = Router::new().route("/rows", post(take)).with_state(sink.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let mut deployment = Deployment::new();
    deployment.settings.push(("KEYTURN_FORWARD_HTTP", address));
    let orgs: Vec<Value> = (0..20).map(|n| org(&format!("org-{n}"), None)).collect();
    import(&deployment, &orgs);
    let mut serving = deployment.serve().await;
    let stuck = tokio::time::timeout(Duration::from_secs(30), sink.asked.notified()).await;
    stuck.expect("a burst of more than five requests");
    serving.ask_to_stop();
    let (took, well) = serving.ended().await;
    let log = read(&deployment.folder.path().join("log"));
    assert!(well && took < Duration::from_secs(15), "{took:?} {log}");
    let before = sink.rows.lock().unwrap().len();
    assert_eq!(before, 5, "a log a request");

    sink.taken.add_permits(100_000);
    let mut next = deployment.serve().await;
    let ready = Instant::now();
    let total = async || {
        let url = Store::sqlite_in(&deployment.folder.path().join("data"));
        let store = Store::connect(&url, 1).await.unwrap();
        let mut conn = store.read().await.unwrap();
        let heads = audit::heads(&mut conn).await.unwrap();
        drop(conn);
        store.close().await;
        heads.into_iter().map(|head| (head.id, head.size)).collect::<BTreeMap<_, _>>()
    };
    loop {
        let there = sink.rows.lock().unwrap().len();
        if there > before {
            break;
        }
        assert!(ready.elapsed() < Duration::from_secs(5), "rows go on at once");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    loop {
        let logs = total().await;
        assert_eq!(logs.len(), 21, "of the platform and of each org");
        let there: BTreeMap<String, i64> = {
            let rows = sink.rows.lock().unwrap();
            // As many as come without a gap.
            let whole = |rows: &BTreeMap<i64, String>| {
                (0..).zip(rows.keys()).take_while(|(seq, there)| seq == *there).count()
            };
            rows.iter().map(|(log, rows)| (log.clone(), whole(rows) as i64)).collect()
        };
        if there == logs {
            break;
        }
        assert!(ready.elapsed() < Duration::from_secs(20), "{there:?} {logs:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    next.ask_to_stop();
    assert!(next.ended().await.1);
}
