//! Rows in real receivers of syslog: all of them, in a form that they parse, also when the
//! receiver is stopped and started again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::delivery::forward::Sink;
use crate::delivery::forward::syslog::SyslogSink;
use crate::model::time;
use crate::proof::row::AuditRow;
use crate::store::Engine;
use crate::store::{audit, forward};
use crate::testing::real::syslog::{Program, Receiver};
use crate::testing::sinks::TestAuthority;
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, matrix};
use crate::tests::tamper::fill;

const ME: &str = "instance-1";

/// `log seq action MSGID` of every row there is.
async fn all_rows(bench: &Bench) -> BTreeSet<String> {
    let mut conn = bench.desk.store.read().await.unwrap();
    let mut all = BTreeSet::new();
    for head in audit::heads(&mut conn).await.unwrap() {
        for entry in audit::range(&mut conn, &head.id, 0, i64::MAX).await.unwrap() {
            let row = AuditRow::parse(&entry.body).unwrap();
            let id: String = row.action.chars().take(32).collect();
            all.insert(format!("{} {} {} {id}", row.log, row.seq, row.action));
        }
    }
    all
}

async fn behind(bench: &Bench, sink: &dyn Sink) -> Option<i64> {
    let mut conn = bench.desk.store.read().await.unwrap();
    let all = forward::sinks(&mut conn, 0).await.unwrap();
    all.into_iter().find(|s| s.sink == sink.name()).map(|s| s.behind)
}

/// Sends, as time goes by, until nothing is left.
async fn drain(bench: &Bench, sink: &dyn Sink, receiver: &Receiver) {
    for _ in 0..60 {
        bench.desk.forward_due(sink, ME).await.unwrap();
        if behind(bench, sink).await == Some(0) {
            return;
        }
        bench.clock.advance(10 * time::SECOND);
    }
    panic!("{:?} rows are left: {}", behind(bench, sink).await, receiver.log());
}

/// Every row of a story, of three bursts and of what follows while the receiver is stopped in the
/// middle of it and started again.
async fn all_rows_arrive(program: Program, client: bool, mark: bool) -> Receiver {
    let bench = Bench::new(Engine::Sqlite).await;
    let authority = TestAuthority::new();
    let mut receiver = Receiver::start(program, &authority, client).await;
    let trust = authority.trusted(client);
    let sink = SyslogSink::new(&receiver.address, &trust, "keyturn.example").unwrap();
    let sink = sink.byte_order_mark(mark);
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    fill(&bench, 1200).await;
    for _ in 0..3 {
        bench.desk.forward_due(&sink, ME).await.unwrap();
        bench.clock.advance(10 * time::SECOND);
        // Stopped while a burst is on its way.
        let (_, ()) = tokio::join!(bench.desk.forward_due(&sink, ME), async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            tokio::task::block_in_place(|| receiver.stop());
        });
        fill(&bench, 150).await;
        bench.clock.advance(10 * time::SECOND);
        bench.desk.forward_due(&sink, ME).await.unwrap();
        receiver.start_again().await;
        bench.clock.advance(time::MINUTE);
    }
    bench.end(&ada, &grant.id).await.unwrap();
    drain(&bench, &sink, &receiver).await;
    let rows = all_rows(&bench).await;
    for _ in 0..100 {
        if rows.is_subset(&receiver.parsed()) || !receiver.unparsed().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let there = receiver.parsed();
    if receiver.unparsed().is_empty() {
        let lost: Vec<_> = rows.difference(&there).take(5).collect();
        assert!(lost.is_empty(), "{program:?} lost {lost:?} of {}: {}", rows.len(), receiver.log());
        assert!(there.is_subset(&rows), "{:?}", there.difference(&rows).next());
        assert!(rows.len() > 1600);
    }
    receiver
}

async fn with_and_without_certificates(program: Program) {
    for client in [false, true] {
        let receiver = all_rows_arrive(program, client, false).await;
        let unparsed = receiver.unparsed();
        assert!(unparsed.is_empty(), "{program:?}: {:?}", unparsed.first());
        let (name, version) = receiver.who().await;
        let with = if client { "with" } else { "without" };
        let tried = format!("TLS {with} client certificates, stopped and started three times");
        matrix::holds("Syslog", name, &version, &tried, "every row arrives, parsed as JSON");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_parsed_by_rsyslog_with_gnutls() {
    with_and_without_certificates(Program::RsyslogGnutls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_parsed_by_rsyslog_with_openssl() {
    with_and_without_certificates(Program::RsyslogOpenssl).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_parsed_by_syslog_ng() {
    with_and_without_certificates(Program::SyslogNg).await;
}

/// What the setting is for: with the mark mmjsonparse reads nothing, and syslog-ng all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_mark_syslog_ng_parses_rows_and_mmjsonparse_does_not() {
    let receiver = all_rows_arrive(Program::RsyslogGnutls, false, true).await;
    assert!(receiver.parsed().is_empty() && !receiver.unparsed().is_empty());
    let receiver = all_rows_arrive(Program::SyslogNg, false, true).await;
    assert!(receiver.unparsed().is_empty(), "{:?}", receiver.unparsed().first());
}

/// A receiver that asks for a certificate gets no row from who has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_nothing_counts_as_taken_where_one_is_asked_for() {
    for program in [Program::RsyslogGnutls, Program::RsyslogOpenssl, Program::SyslogNg] {
        let bench = Bench::new(Engine::Sqlite).await;
        let authority = TestAuthority::new();
        let receiver = Receiver::start(program, &authority, true).await;
        let nobody = authority.trusted(false);
        let sink = SyslogSink::new(&receiver.address, &nobody, "keyturn.example").unwrap();
        assert_eq!(bench.desk.forward_due(&sink, ME).await.unwrap(), 0, "{program:?}");
        assert!(receiver.parsed().is_empty(), "{program:?}");
    }
}

/// Protects rows from waiting: a receiver that refuses a session taken up again, as rsyslog's driver
/// ossl does where it asks for certificates, took only one burst of three at once, and the others
/// after a wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_burst_is_taken_the_first_time_that_it_is_sent() {
    for program in [Program::RsyslogGnutls, Program::RsyslogOpenssl, Program::SyslogNg] {
        let bench = Bench::new(Engine::Sqlite).await;
        let authority = TestAuthority::new();
        let receiver = Receiver::start(program, &authority, true).await;
        let trust = authority.trusted(true);
        let sink = SyslogSink::new(&receiver.address, &trust, "keyturn.example").unwrap();
        for burst in 0..5 {
            fill(&bench, 3).await;
            let taken = bench.desk.forward_due(&sink, ME).await.unwrap();
            assert!(taken >= 3, "{program:?}, burst {burst}: {taken}: {}", receiver.log());
            bench.clock.advance(10 * time::SECOND);
        }
    }
}
