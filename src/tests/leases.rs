//! What an instance has taken to send is followed up soon after its death, at once after it was
//! stopped, and by nobody while it is at it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::delivery::forward::{Batch, Sent, Sink};
use crate::delivery::mail::SmtpMailer;
use crate::model::{Micros, time};
use crate::stop::Stop;
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, both_engines, child};

both_engines!(
    a_mail_of_an_instance_that_was_killed_is_sent_by_the_next_within_seconds,
    while_an_instance_is_at_it_no_other_is_however_long_that_takes,
    what_is_not_sent_when_the_server_stops_is_given_back,
    what_is_sent_soon_after_the_word_to_stop_is_recorded,
    a_sink_is_given_back_when_the_server_stops,
    a_sink_is_kept_while_a_burst_goes_on,
);

/// A mail server that takes its time with the answer to a mail.
struct Slow {
    url: String,
    /// How many mails it was given.
    given: Arc<AtomicUsize>,
    has: Arc<Notify>,
    answers: Arc<Notify>,
}

impl Slow {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let slow =
            Self { url, given: Arc::default(), has: Arc::default(), answers: Arc::default() };
        let (given, has, answers) = (slow.given.clone(), slow.has.clone(), slow.answers.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (given, has, answers) = (given.clone(), has.clone(), answers.clone());
                tokio::spawn(async move {
                    let (read, mut write) = stream.into_split();
                    let mut lines = tokio::io::BufReader::new(read).lines();
                    write.write_all(b"220 slow.example ESMTP\r\n").await.ok();
                    let mut in_mail = false;
                    while let Ok(Some(line)) = lines.next_line().await {
                        let answer: &[u8] = match line.as_str() {
                            "." if in_mail => {
                                in_mail = false;
                                given.fetch_add(1, Ordering::SeqCst);
                                has.notify_one();
                                answers.notified().await;
                                b"250 taken\r\n"
                            }
                            _ if in_mail => continue,
                            "DATA" => {
                                in_mail = true;
                                b"354 go on\r\n"
                            }
                            _ => b"250 yes\r\n",
                        };
                        write.write_all(answer).await.ok();
                    }
                });
            }
        });
        slow
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }
}

fn through(bench: &mut Bench, url: &str) {
    let mailer =
        SmtpMailer::new(&url.to_owned().into(), Some("keyturn.example".to_owned())).unwrap();
    Arc::get_mut(&mut bench.desk).unwrap().mailer = Arc::new(mailer);
}

/// A second instance on the same database. Its mails go to its own mailbox.
async fn second(bench: &Bench) -> Bench {
    Bench::open(&bench.url, bench.folder(), bench.now(), 78).await
}

async fn one_mail(bench: &Bench) {
    let ada = bench.at_work(ADA).await;
    bench.impersonate(&ada, STUCK).await.unwrap();
}

const DONE: &str = "SELECT COUNT(*) FROM outbox WHERE done_at IS NOT NULL";

#[derive(Serialize, Deserialize)]
struct Order {
    url: String,
    folder: PathBuf,
    now: Micros,
    smtp: String,
}

#[tokio::test]
#[ignore = "a test above starts it, as a process of its own"]
async fn child() {
    let Some(order) = child::order() else { return };
    let order: Order = serde_json::from_str(&order).unwrap();
    let mut bench = Bench::open(&order.url, &order.folder, order.now, 5).await;
    through(&mut bench, &order.smtp);
    bench.desk.clone().run_outbox(Stop::default()).await;
}

async fn a_mail_of_an_instance_that_was_killed_is_sent_by_the_next_within_seconds(bench: Bench) {
    one_mail(&bench).await;
    let slow = Slow::start().await;
    let order = Order {
        url: bench.url.clone(),
        folder: bench.folder().to_owned(),
        now: bench.now(),
        smtp: slow.url.clone(),
    };
    let order = serde_json::to_string(&order).unwrap();
    let mut process = child::command("tests::leases::child", &order)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sending = tokio::time::timeout(Duration::from_secs(60), slow.has.notified()).await;
    process.kill().unwrap();
    process.wait().unwrap();
    sending.expect("the child sends");
    bench.quiet().await;

    assert_eq!(bench.desk.send_due().await.unwrap(), 0, "nobody knows yet that it is dead");
    bench.clock.advance(15 * time::SECOND);
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    assert_eq!(bench.mailbox.all().len(), 1);
}

async fn while_an_instance_is_at_it_no_other_is_however_long_that_takes(mut bench: Bench) {
    let slow = Slow::start().await;
    through(&mut bench, &slow.url);
    one_mail(&bench).await;
    let other = second(&bench).await;
    let desk = bench.desk.clone();
    let sending = tokio::spawn(async move { desk.send_due().await.unwrap() });
    slow.has.notified().await;
    bench.clock.advance(14 * time::SECOND);
    tokio::time::sleep(Duration::from_secs(5)).await;
    // By now the first hold would have run out.
    other.clock.advance(28 * time::SECOND);
    assert_eq!(other.desk.send_due().await.unwrap(), 0);
    slow.answers.notify_one();
    assert_eq!(sending.await.unwrap(), 1);
    other.clock.advance(time::DAY);
    assert_eq!(other.desk.send_due().await.unwrap(), 0);
    assert_eq!((slow.given(), other.mailbox.all().len()), (1, 0), "once");
}

async fn what_is_not_sent_when_the_server_stops_is_given_back(mut bench: Bench) {
    let slow = Slow::start().await;
    through(&mut bench, &slow.url);
    one_mail(&bench).await;
    let other = second(&bench).await;
    let stop = Stop::default();
    let running = tokio::spawn(bench.desk.clone().run_outbox(stop.clone()));
    slow.has.notified().await;
    let asked = Instant::now();
    stop.ask();
    running.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
    assert_eq!(other.desk.send_due().await.unwrap(), 1, "at once");
    assert_eq!(other.mailbox.all().len(), 1);
}

async fn what_is_sent_soon_after_the_word_to_stop_is_recorded(mut bench: Bench) {
    let slow = Slow::start().await;
    through(&mut bench, &slow.url);
    one_mail(&bench).await;
    let stop = Stop::default();
    let running = tokio::spawn(bench.desk.clone().run_outbox(stop.clone()));
    slow.has.notified().await;
    stop.ask();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!running.is_finished(), "it is not cut off");
    slow.answers.notify_one();
    running.await.unwrap();
    assert_eq!(bench.number(DONE).await, 1);
}

/// A sink that takes rows when it is told to.
#[derive(Default)]
struct Held {
    asked: Notify,
    go_on: Notify,
}

#[async_trait]
impl Sink for Held {
    fn name(&self) -> String {
        "slow".to_owned()
    }

    async fn send(&self, burst: &[Batch]) -> Sent {
        self.asked.notify_one();
        self.go_on.notified().await;
        Sent { batches: vec![Ok(()); burst.len()], ..Sent::default() }
    }
}

/// The same sink, as it is for another instance: well.
struct Well;

#[async_trait]
impl Sink for Well {
    fn name(&self) -> String {
        "slow".to_owned()
    }

    async fn send(&self, burst: &[Batch]) -> Sent {
        Sent { batches: vec![Ok(()); burst.len()], ..Sent::default() }
    }
}

async fn a_sink_is_given_back_when_the_server_stops(bench: Bench) {
    one_mail(&bench).await;
    let other = second(&bench).await;
    let (sink, stop) = (Arc::new(Held::default()), Stop::default());
    let running = tokio::spawn(bench.desk.clone().run_forwarder(sink.clone(), stop.clone()));
    sink.asked.notified().await;
    assert_eq!(other.desk.forward_due(&Well, "instance-2").await.unwrap(), 0);
    let asked = Instant::now();
    stop.ask();
    running.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
    assert!(other.desk.forward_due(&Well, "instance-2").await.unwrap() > 0, "rows go on at once");
}

async fn a_sink_is_kept_while_a_burst_goes_on(bench: Bench) {
    one_mail(&bench).await;
    let other = second(&bench).await;
    let sink = Arc::new(Held::default());
    let (desk, held) = (bench.desk.clone(), sink.clone());
    let sending =
        tokio::spawn(async move { desk.forward_due(held.as_ref(), "one").await.unwrap() });
    sink.asked.notified().await;
    bench.clock.advance(14 * time::SECOND);
    tokio::time::sleep(Duration::from_secs(5)).await;
    other.clock.advance(28 * time::SECOND);
    assert_eq!(other.desk.forward_due(&Well, "instance-2").await.unwrap(), 0);
    sink.go_on.notify_one();
    assert!(sending.await.unwrap() > 0);
    assert_eq!(other.desk.forward_due(&Well, "instance-2").await.unwrap(), 0, "it has all");
}
