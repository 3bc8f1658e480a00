//! Mail through Postfix, the real one: taken, refused for good, not taken yet, too large, and TLS
//! that it wants or that nobody can trust.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::delivery::mail::{Mail, Mailer as _, SmtpMailer};
use crate::delivery::refusal::{Again, Refusal};
use crate::model::{HandoffState, time};
use crate::store::Engine;
use crate::store::handoffs::Handoff;
use crate::store::outbox::{self, Item, Stands};
use crate::testing::postfix::Postfix;
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, matrix};

/// Nothing but what is for its own domains, as most servers are.
const PLAIN: &str = "smtpd_relay_restrictions = reject_unauth_destination\n\
                     smtpd_recipient_restrictions = reject_unlisted_recipient";

fn mailer(url: &str) -> SmtpMailer {
    SmtpMailer::new(&url.to_owned().into(), Some("keyturn.example".to_owned())).unwrap()
}

/// A desk whose mail goes through a server.
async fn bench_with(url: &str) -> Bench {
    let mut bench = Bench::new(Engine::Sqlite).await;
    Arc::get_mut(&mut bench.desk).unwrap().mailer = Arc::new(mailer(url));
    bench
}

async fn handed_off(bench: &Bench) -> Handoff {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap()
}

/// The handoff as it is now, and the newest mail about it.
async fn now_of(bench: &Bench, handoff: &Handoff) -> (Handoff, Item) {
    let mut conn = bench.desk.store.read().await.unwrap();
    let item = outbox::about(&mut conn, &handoff.id).await.unwrap().pop().unwrap();
    drop(conn);
    (bench.handoff_of(&handoff.impersonation_id).await, item)
}

async fn refused(mailer: &SmtpMailer, to: &str, body: &str) -> Refusal {
    let mail = Mail {
        message_id: "<1@keyturn.example>".into(),
        from: "Keyturn <keyturn@platform.example>".into(),
        to: to.into(),
        subject: "Hello".into(),
        body: body.into(),
    };
    mailer.send(&mail).await.unwrap_err().refusal()
}

fn holds(tried: &str, what: &str) {
    matrix::holds("Mail", "Postfix", &Postfix::version(), tried, what);
}

#[tokio::test]
async fn a_handoff_is_sent_when_the_server_has_taken_it_and_lies_in_the_mailbox() {
    let postfix = Postfix::start(&["acme.example"], &["owner@acme.example"], PLAIN).await;
    let bench = bench_with(&postfix.url()).await;
    let handoff = handed_off(&bench).await;
    assert_eq!(handoff.state, HandoffState::Queued);
    bench.clock.advance(time::HOUR);
    assert_eq!(bench.desk.send_due().await.unwrap(), 3);
    let (found, item) = now_of(&bench, &handoff).await;
    assert_eq!((found.state, found.sent_at), (HandoffState::Sent, Some(bench.now())));
    assert_eq!(item.stands(), Stands::Taken);
    let ends = bench.versions("whk_acme").await[1].retires_at;
    assert_eq!(ends, Some(bench.now() + time::DAY));
    let mails = postfix.mails("owner@acme.example", 3).await;
    let texts: Vec<String> =
        mails.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let carries = texts.iter().filter(|text| text.contains("-----BEGIN PGP MESSAGE-----"));
    assert_eq!(carries.count(), 1, "{texts:?}");
    // Each is known by the deployment's name, and so is who brought it.
    for text in &texts {
        let lines: Vec<&str> = text.lines().collect();
        let id = lines.iter().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap();
        assert!(id.starts_with('<') && id.ends_with("@platform.example>"), "{id}");
        let received = lines.iter().find(|line| line.starts_with("Received: from ")).unwrap();
        assert!(received.contains("from keyturn.example "), "{received}");
    }
    holds("a handoff to a mailbox", "sent, and the overlap begins, once it is taken");
}

#[tokio::test]
async fn an_unknown_recipient_is_undelivered_and_gets_it_once_the_address_is_right() {
    let postfix = Postfix::start(&["acme.example"], &["olive@acme.example"], PLAIN).await;
    let bench = bench_with(&postfix.url()).await;
    let handoff = handed_off(&bench).await;
    for _ in 0..3 {
        assert_eq!(bench.desk.send_due().await.unwrap(), 0);
        bench.clock.advance(time::DAY);
    }
    let (found, item) = now_of(&bench, &handoff).await;
    assert_eq!(found.state, HandoffState::Undelivered);
    assert_eq!((item.stands(), item.attempts), (Stands::Undelivered, 1));
    let said = item.last_error.unwrap();
    assert_eq!(
        said,
        "the mail server answered 550 5.1.1 … Recipient address rejected: User unknown in virtual mailbox table"
    );
    assert_eq!(bench.accepted("whk_acme").await, [2, 1]);

    let mended = "UPDATE org SET owner_address = 'olive@acme.example' WHERE id = 'org-acme'";
    bench.edit_org("org-acme", mended).await;
    let who = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.send_again(&mut tx, &who, &handoff.id).await;
    bench.desk.settle(tx, step).await.unwrap();
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    assert_eq!(now_of(&bench, &handoff).await.0.state, HandoffState::Sent);
    postfix.mails("olive@acme.example", 1).await;
    holds("an unknown recipient (550 5.1.1)", "undelivered at once; sent after mending");
}

/// Says "not yet" to the first mail for each recipient, as greylisting does.
async fn greylist(asked: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.is_empty() {
                        let action = match asked.fetch_add(1, Ordering::SeqCst) {
                            0 => "defer Greylisted, please come back",
                            _ => "dunno",
                        };
                        let answer = format!("action={action}\n\n");
                        write.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_greylisted_mail_waits_and_is_taken_later() {
    let asked = Arc::new(AtomicUsize::new(0));
    let policy = greylist(asked.clone()).await;
    let rules = format!(
        "{PLAIN}, check_policy_service inet:127.0.0.1:{policy}\nsmtpd_policy_service_timeout = 5s"
    );
    let postfix = Postfix::start(&["acme.example"], &["owner@acme.example"], &rules).await;
    let bench = bench_with(&postfix.url()).await;
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    assert_eq!(bench.desk.send_due().await.unwrap(), 0);
    let mut conn = bench.desk.store.read().await.unwrap();
    let item = outbox::about(&mut conn, &grant.id).await.unwrap().remove(0);
    drop(conn);
    assert_eq!((item.stands(), item.to_mend, item.attempts), (Stands::Waits, 0, 1));
    let said = item.last_error.unwrap();
    assert!(
        said.contains(" 450 4.7.1 ") && said.ends_with("Greylisted, please come back"),
        "{said}"
    );
    bench.clock.advance(item.next_at - bench.now());
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    postfix.mails("owner@acme.example", 1).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    holds("greylisting by a policy server (450)", "waits, and is taken at the next attempt");
}

#[tokio::test]
async fn what_is_about_the_mail_is_never_and_what_is_about_us_is_to_be_mended() {
    let rules = format!("{PLAIN}\nmessage_size_limit = 4000");
    let postfix = Postfix::start(&["acme.example"], &["owner@acme.example"], &rules).await;
    let to = "owner@acme.example";
    let plain = mailer(&postfix.url());
    let lines = "A line of some length.\n".repeat(1000);
    let mut large = refused(&plain, to, &lines).await;
    // The server may end the connection while the rest is being written, before its answer is read.
    for _ in 0..5 {
        if large.again == Again::Never {
            break;
        }
        large = refused(&plain, to, &lines).await;
    }
    assert_eq!(large.again, Again::Never, "{large}");
    assert!(large.said.starts_with("the mail server answered 552 5.3.4"), "{large}");
    let relay = refused(&plain, "olive@elsewhere.example", "x").await;
    assert_eq!(relay.again, Again::Never, "{relay}");
    assert!(
        relay.said.contains("554 5.7.1") && relay.said.ends_with("Relay access denied"),
        "{relay}"
    );
    // It wants TLS and gets none.
    let wants = refused(&mailer(&format!("smtp://127.0.0.1:{}", postfix.tls_port)), to, "x").await;
    assert_eq!(wants.again, Again::Mend, "{wants}");
    assert!(wants.said.contains("530 5.7.0 Must issue a STARTTLS command first"), "{wants}");
    // It gets TLS, with a certificate that nobody vouches for.
    let url = format!("smtp://localhost:{}?tls=required", postfix.tls_port);
    let untrusted = refused(&mailer(&url), to, "x").await;
    assert_eq!(untrusted.again, Again::Mend, "{untrusted}");
    assert!(untrusted.said.contains("TLS with the mail server failed"), "{untrusted}");
    // We want to sign in, and it knows no way.
    let url = format!("smtp://user:not-a-password@127.0.0.1:{}", postfix.port);
    let no_way = refused(&mailer(&url), to, "x").await;
    assert_eq!(no_way.again, Again::Mend, "{no_way}");
    // Nobody is there.
    let nobody = refused(&mailer("smtp://127.0.0.1:1"), to, "x").await;
    assert_eq!(nobody.again, Again::Later(None), "{nobody}");
    holds(
        "a size limit (552), relaying (554), TLS and sign-in",
        "never, or to be mended, in its words",
    );
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_loses_no_mail() {
    let rules = "smtpd_delay_reject = no\nsmtpd_client_restrictions = reject";
    let postfix = Postfix::start(&["acme.example"], &["owner@acme.example"], rules).await;
    let shut = refused(&mailer(&postfix.url()), "owner@acme.example", "x").await;
    assert_eq!(shut.again, Again::Mend, "{shut}");
    assert!(shut.said.contains("554 5.7.1"), "{shut}");
    holds("a server that refuses us at its greeting (554)", "waits for somebody to mend it");
}
