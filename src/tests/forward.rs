//! Forwarding: each row reaches the sink at least once, those of a log in their order, whatever
//! breaks; the position lasts, and one instance sends at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;

use super::tamper::{change, fill, opened};
use crate::delivery::forward::http::HttpSink;
use crate::delivery::forward::syslog::SyslogSink;
use crate::delivery::forward::{Batch, Sent, Sink};
use crate::model::time;
use crate::proof::merkle::leaf_hash;
use crate::proof::row::AuditRow;
use crate::store::forward::{self, SinkState, Stuck};
use crate::testing::sinks::{LinesServer, Mood, SyslogServer, TestAuthority};
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    every_row_reaches_a_receiver_that_breaks_off_again_and_again,
    a_receiver_that_cannot_prove_who_it_is_gets_nothing,
    a_receiver_that_never_ends_the_connection_has_not_taken_anything,
    an_http_sink_that_fails_first_gets_every_row_afterwards,
    a_batch_that_is_refused_holds_up_its_own_log_only,
    a_sink_that_takes_small_batches_only_gets_small_ones,
    a_restart_and_another_instance_go_on_where_it_was,
    while_one_instance_sends_no_other_does,
    a_row_that_was_changed_is_not_sent_and_is_said,
    nothing_secret_is_sent,
);

const ME: &str = "instance-1";

fn syslog(server: &SyslogServer, authority: &TestAuthority) -> SyslogSink {
    SyslogSink::new(&server.address, &authority.trusted(false), "keyturn.example").unwrap()
}

async fn state(bench: &Bench, sink: &dyn Sink) -> (SinkState, Vec<Stuck>) {
    let mut conn = bench.desk.store.read().await.unwrap();
    let all = forward::sinks(&mut conn, 0).await.unwrap();
    let one = all.into_iter().find(|s| s.sink == sink.name()).unwrap();
    let stuck = forward::stuck(&mut conn, &sink.name()).await.unwrap();
    (one, stuck)
}

/// Sends until there is nothing left, as time goes by; how many rows were taken.
async fn drain(bench: &Bench, sink: &dyn Sink) -> usize {
    let mut taken = 0;
    for _ in 0..60 {
        taken += bench.desk.forward_due(sink, ME).await.unwrap();
        if state(bench, sink).await.0.behind == 0 {
            return taken;
        }
        bench.clock.advance(10 * time::SECOND);
    }
    panic!("it never gets there: {:?}", state(bench, sink).await);
}

async fn all_rows(bench: &Bench) -> i64 {
    bench.number("SELECT COUNT(*) FROM audit_entry").await
}

/// The rows of each log, as they came first; that none came before the one before it.
fn in_order(texts: impl IntoIterator<Item = String>) -> BTreeMap<String, Vec<AuditRow>> {
    let mut logs: BTreeMap<String, Vec<AuditRow>> = BTreeMap::new();
    for text in texts {
        let row = AuditRow::parse(&text).unwrap();
        let seen = logs.entry(row.log.clone()).or_default();
        let seq = usize::try_from(row.seq).unwrap();
        assert!(seq <= seen.len(), "row {seq} of {} comes before row {}", row.log, seen.len());
        match seen.get(seq) {
            Some(before) => assert!(*before == row, "row {seq} came twice and differently"),
            None => seen.push(row),
        }
    }
    logs
}

async fn assert_all_there(bench: &Bench, logs: &BTreeMap<String, Vec<AuditRow>>) {
    let there: usize = logs.values().map(Vec::len).sum();
    assert_eq!(i64::try_from(there), Ok(all_rows(bench).await));
    assert!(logs["platform"] == bench.rows("platform").await);
}

/// The texts of the rows in syslog messages.
fn bodies(messages: &[String]) -> Vec<String> {
    messages
        .iter()
        .map(|m| m.split_once("] {").map(|(_, body)| format!("{{{body}")).unwrap())
        .collect()
}

async fn every_row_reaches_a_receiver_that_breaks_off_again_and_again(bench: Bench) {
    opened(&bench).await;
    fill(&bench, 700).await;
    let authority = TestAuthority::new();
    let server = SyslogServer::start(&authority, true).await;
    let trust = authority.trusted(true);
    let sink = SyslogSink::new(&server.address, &trust, "keyturn.example").unwrap();
    server.moods(&[
        Mood::Drops(3),
        Mood::EndsFirst,
        Mood::Drops(150),
        Mood::NoAlert,
        Mood::EndsFirst,
        Mood::Drops(1),
    ]);
    // The first attempt fails, and it is not tried again at once.
    assert_eq!(bench.desk.forward_due(&sink, ME).await.unwrap(), 0);
    let (after, _) = state(&bench, &sink).await;
    assert_eq!((after.failures, after.sent_at), (1, None));
    assert!(after.last_error.is_some());
    assert_eq!(bench.desk.forward_due(&sink, ME).await.unwrap(), 0);
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);

    let taken = drain(&bench, &sink).await;
    assert_eq!(i64::try_from(taken), Ok(all_rows(&bench).await));
    let messages = server.messages();
    let logs = in_order(bodies(&messages));
    assert_all_there(&bench, &logs).await;
    assert!(i64::try_from(messages.len()).unwrap() > all_rows(&bench).await, "some came twice");
    let (after, stuck) = state(&bench, &sink).await;
    assert_eq!((after.failures, after.last_error, stuck), (0, None, Vec::new()));
    assert!(after.sent_at.is_some());
    let first = messages[0].split_once(" keyturn - ").unwrap().0;
    assert!(first.starts_with("<1") && first.ends_with(" keyturn.example"), "{first}");
}

async fn a_receiver_that_cannot_prove_who_it_is_gets_nothing(bench: Bench) {
    fill(&bench, 3).await;
    let (theirs, other) = (TestAuthority::new(), TestAuthority::new());
    let server = SyslogServer::start(&theirs, false).await;
    let stranger = syslog(&server, &other);
    let https = format!("https://{}/in", server.address);
    let over_http = HttpSink::new(&https, None, &other.trusted(false)).unwrap();
    // The public authorities do not know it either.
    let public = SyslogSink::new(&server.address, &Default::default(), "k").unwrap();
    for sink in [&stranger as &dyn Sink, &over_http, &public] {
        assert_eq!(bench.desk.forward_due(sink, ME).await.unwrap(), 0);
        let said = state(&bench, sink).await.0.last_error.unwrap();
        assert!(said.contains("invalid peer certificate"), "{}: {said}", sink.name());
        bench.clock.advance(time::HOUR);
    }
    // One of the right authority, for another name.
    let port = server.address.rsplit(':').next().unwrap();
    let elsewhere = format!("ip6-localhost:{port}");
    if let Ok(sink) = SyslogSink::new(&elsewhere, &theirs.trusted(false), "k") {
        assert_eq!(bench.desk.forward_due(&sink, ME).await.unwrap(), 0);
    }
    // And a receiver that wants to know who we are does not take a stranger's rows for taken.
    let strict = SyslogServer::start(&theirs, true).await;
    let nobody = syslog(&strict, &theirs);
    assert_eq!(bench.desk.forward_due(&nobody, ME).await.unwrap(), 0);
    assert!(state(&bench, &nobody).await.0.last_error.is_some());
    assert_eq!((server.messages(), strict.messages()), (Vec::new(), Vec::new()));
    assert_eq!(bench.number("SELECT COUNT(*) FROM forward_position").await, 0);
}

async fn a_receiver_that_never_ends_the_connection_has_not_taken_anything(bench: Bench) {
    fill(&bench, 3).await;
    let authority = TestAuthority::new();
    let server = SyslogServer::start(&authority, false).await;
    server.moods(&[Mood::NeverEnds]);
    let sink = syslog(&server, &authority).patience(Duration::from_millis(900));
    assert_eq!(bench.desk.forward_due(&sink, ME).await.unwrap(), 0);
    let (after, _) = state(&bench, &sink).await;
    assert!(after.last_error.unwrap().contains("section 4.4"));
    assert_eq!(after.behind, all_rows(&bench).await);
    let sink = syslog(&server, &authority);
    drain(&bench, &sink).await;
    assert_all_there(&bench, &in_order(bodies(&server.messages()))).await;
}

async fn an_http_sink_that_fails_first_gets_every_row_afterwards(bench: Bench) {
    opened(&bench).await;
    fill(&bench, 450).await;
    let server = LinesServer::start().await;
    server.answers(&[500, 200, 503, 302]);
    let token = SecretString::from("hunter2-hunter2");
    let sink = HttpSink::new(&server.address, Some(&token), &Default::default()).unwrap();
    assert!(!format!("{sink:?}").contains("hunter2"));
    assert_eq!(bench.desk.forward_due(&sink, ME).await.unwrap(), 0);
    assert_eq!(state(&bench, &sink).await.0.last_error.as_deref(), Some("it answers 500"));
    drain(&bench, &sink).await;
    let mut texts = Vec::new();
    for (headers, body) in server.requests() {
        let header = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(header("authorization"), "Bearer hunter2-hunter2");
        assert_eq!(header("content-type"), "application/x-ndjson");
        let rows: Vec<AuditRow> = body.lines().map(|l| AuditRow::parse(l).unwrap()).collect();
        assert!(rows.iter().all(|r| r.log == header("keyturn-log")));
        assert_eq!(header("keyturn-origin"), format!("keyturn.example/{}", rows[0].log));
        assert_eq!(header("keyturn-first-seq"), rows[0].seq.to_string());
        assert_eq!(header("keyturn-last-seq"), rows[rows.len() - 1].seq.to_string());
        texts.extend(lines(&body));
    }
    assert_all_there(&bench, &in_order(texts)).await;
}

async fn a_batch_that_is_refused_holds_up_its_own_log_only(bench: Bench) {
    opened(&bench).await;
    let server = LinesServer::start().await;
    server.answers(&[413]);
    let sink = HttpSink::new(&server.address, None, &Default::default()).unwrap();
    let taken = bench.desk.forward_due(&sink, ME).await.unwrap();
    let (after, stuck) = state(&bench, &sink).await;
    assert_eq!(stuck.len(), 1);
    assert_eq!(stuck[0].last_error.as_deref(), Some("it answers 413"));
    assert_eq!((after.behind, after.last_error), (stuck[0].size, None));
    assert_eq!(i64::try_from(taken).unwrap() + after.behind, all_rows(&bench).await);
    drain(&bench, &sink).await;
    assert_eq!(state(&bench, &sink).await.1, []);
}

async fn a_sink_that_takes_small_batches_only_gets_small_ones(bench: Bench) {
    opened(&bench).await;
    fill(&bench, 300).await;
    let server = LinesServer::start().await;
    server.takes_at_most(90);
    let sink = HttpSink::new(&server.address, None, &Default::default()).unwrap();
    let taken = drain(&bench, &sink).await;
    assert_eq!(i64::try_from(taken), Ok(all_rows(&bench).await));
    let small = server.requests().into_iter().filter(|(_, body)| body.lines().count() <= 90);
    assert_all_there(&bench, &in_order(small.flat_map(|(_, body)| lines(&body)))).await;
}

fn lines(body: &str) -> Vec<String> {
    body.lines().map(str::to_owned).collect()
}

async fn a_restart_and_another_instance_go_on_where_it_was(bench: Bench) {
    fill(&bench, 5).await;
    let server = LinesServer::start().await;
    let sink = HttpSink::new(&server.address, None, &Default::default()).unwrap();
    drain(&bench, &sink).await;
    let before = server.requests().len();
    let other = Bench::open(&bench.url, bench.folder(), bench.now(), 77).await;
    let again = HttpSink::new(&server.address, None, &Default::default()).unwrap();
    assert_eq!(other.desk.forward_due(&again, "instance-2").await.unwrap(), 0);
    assert_eq!(server.requests().len(), before, "nothing is sent twice");
    fill(&bench, 2).await;
    assert_eq!(other.desk.forward_due(&again, "instance-2").await.unwrap(), 2);
    let (headers, _) = server.requests().pop().unwrap();
    assert_eq!(headers["keyturn-first-seq"], "5");
    assert_eq!(bench.desk.forward_due(&sink, ME).await.unwrap(), 0);
}

/// A sink that takes its time.
#[derive(Default)]
struct Slow {
    asked: Notify,
    go_on: Notify,
}

#[async_trait]
impl Sink for Slow {
    fn name(&self) -> String {
        "slow".to_owned()
    }

    async fn send(&self, burst: &[Batch]) -> Sent {
        self.asked.notify_one();
        self.go_on.notified().await;
        Sent { batches: vec![Ok(()); burst.len()], ..Sent::default() }
    }
}

async fn while_one_instance_sends_no_other_does(bench: Bench) {
    fill(&bench, 5).await;
    let sink = Arc::new(Slow::default());
    let (desk, first) = (bench.desk.clone(), sink.clone());
    let sending = tokio::spawn(async move { desk.forward_due(first.as_ref(), ME).await.unwrap() });
    sink.asked.notified().await;
    let server = LinesServer::start().await;
    let other = Bench::open(&bench.url, bench.folder(), bench.now(), 78).await;
    struct Named(HttpSink);
    #[async_trait]
    impl Sink for Named {
        fn name(&self) -> String {
            "slow".to_owned()
        }
        async fn send(&self, burst: &[Batch]) -> Sent {
            self.0.send(burst).await
        }
    }
    let same = Named(HttpSink::new(&server.address, None, &Default::default()).unwrap());
    assert_eq!(other.desk.forward_due(&same, "instance-2").await.unwrap(), 0);
    assert!(server.requests().is_empty(), "the other has it");
    // One that has died holds it for a while only. What it then says it sent counts no more.
    other.clock.advance(15 * time::SECOND);
    let all = bench.number("SELECT COUNT(*) FROM audit_entry").await;
    let sent = other.desk.forward_due(&same, "instance-2").await.unwrap();
    assert_eq!(i64::try_from(sent).unwrap(), all);
    sink.go_on.notify_one();
    assert_eq!(sending.await.unwrap(), 0, "another instance was first");
    let next = "SELECT next_seq FROM forward_position WHERE log_id = 'platform'";
    assert_eq!(bench.number(next).await, 5);
}

async fn a_row_that_was_changed_is_not_sent_and_is_said(bench: Bench) {
    opened(&bench).await;
    // A second before any other of its kind: the first rows are good.
    change(
        &bench,
        "UPDATE audit_entry SET body = REPLACE(body, 'stf', 'xyz') || ' ' WHERE log_id = 'platform' AND seq = 2",
    )
    .await;
    let server = LinesServer::start().await;
    let sink = HttpSink::new(&server.address, None, &Default::default()).unwrap();
    for _ in 0..4 {
        bench.desk.forward_due(&sink, ME).await.unwrap();
        bench.clock.advance(time::HOUR);
    }
    let (after, stuck) = state(&bench, &sink).await;
    assert_eq!(stuck.len(), 1);
    assert_eq!((stuck[0].log_id.as_str(), stuck[0].next_seq), ("platform", 2));
    assert!(stuck[0].last_error.as_deref().unwrap().contains("row 2 of platform"));
    assert_eq!(after.behind, stuck[0].size - 2, "the other logs go on");
    // A row that is gone is not skipped either.
    change(&bench, "DELETE FROM audit_entry WHERE log_id = 'platform' AND seq = 2").await;
    bench.desk.forward_due(&sink, ME).await.unwrap();
    let (_, stuck) = state(&bench, &sink).await;
    assert!(stuck[0].last_error.as_deref().unwrap().contains("row 2 of platform is not there"));
    for (_, body) in server.requests() {
        for line in body.lines() {
            let row = AuditRow::parse(line).unwrap();
            assert!(row.log != "platform" || row.seq < 2);
            assert_eq!(row.leaf_hash().unwrap(), leaf_hash(line.as_bytes()));
        }
    }
}

async fn nothing_secret_is_sent(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let token = bench.token(&grant);
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let value = bench.value(&grant.secret_id, 2).await;
    let authority = TestAuthority::new();
    let server = SyslogServer::start(&authority, false).await;
    drain(&bench, &syslog(&server, &authority)).await;
    let lines = LinesServer::start().await;
    let sink = HttpSink::new(&lines.address, None, &Default::default()).unwrap();
    drain(&bench, &sink).await;
    let mut all = server.messages();
    all.extend(lines.requests().into_iter().map(|(headers, body)| format!("{headers:?}{body}")));
    let all = all.join("\n");
    assert!(all.contains("webhook_signing_key.rotated"), "the rotation was sent");
    for secret in [&value, &token] {
        let text = secret.expose_secret();
        assert!(!all.contains(text) && !all.contains(text.trim_start_matches("whsec_")));
    }
}
