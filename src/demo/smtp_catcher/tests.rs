use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::*;

struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects and reads the greeting.
    async fn connect(addr: SocketAddr) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(addr).await.unwrap()));
        assert!(client.reply().await.starts_with("220 "));
        client
    }

    async fn greeted(addr: SocketAddr) -> Self {
        let mut client = Self::connect(addr).await;
        assert!(client.say("EHLO test").await.starts_with("250"));
        client
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The last line of a reply; empty once the server has hung up.
    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        self.reply().await
    }

    async fn code(&mut self, line: &str) -> String {
        self.say(line).await.chars().take(3).collect()
    }

    /// A whole mail to one recipient; the reply to its end.
    async fn deliver(&mut self, to: &str, content: &str) -> String {
        assert_eq!(self.code("MAIL FROM:<desk@platform.example>").await, "250");
        assert_eq!(self.code(&format!("RCPT TO:<{to}>")).await, "250");
        assert_eq!(self.code("DATA").await, "354");
        self.say(&format!("{content}\r\n.")).await
    }
}

async fn catcher() -> (tempfile::TempDir, SocketAddr, SmtpCatcher) {
    let folder = tempfile::tempdir().unwrap();
    let clock = AtomicI64::new(1_772_323_200_000_000);
    let clock = move || clock.fetch_add(1, Ordering::Relaxed);
    let (addr, catcher) =
        SmtpCatcher::bind_anywhere(folder.path().join("mail"), clock).await.unwrap();
    (folder, addr, catcher)
}

/// Protects the demo's whole point: a mail that was sent can be seen, in memory and on disk.
#[tokio::test]
async fn a_mail_is_caught_and_kept() {
    let (folder, addr, catcher) = catcher().await;
    let mut client = Client::greeted(addr).await;
    assert_eq!(
        client.code("mail from:<desk@platform.example> BODY=8BITMIME SIZE=100").await,
        "250"
    );
    assert_eq!(client.code("RCPT TO:<olga@example.com>").await, "250");
    assert_eq!(client.code("rcpt to: <second@example.com>").await, "250");
    assert_eq!(client.code("DATA").await, "354");
    let content = "Subject: Handoff\r\nFrom: Desk\r\n <desk@platform.example>\r\n\r\n..dot\r\n...\r\nend\r\n.";
    assert_eq!(client.say(content).await, "250 taken as 1");
    assert_eq!(client.code("QUIT").await, "221");

    let mail = catcher.mails_to("OLGA@example.com").pop().unwrap();
    assert_eq!(mail.from, "desk@platform.example");
    assert_eq!(mail.to, ["olga@example.com", "second@example.com"]);
    assert_eq!(mail.received_at, 1_772_323_200_000_000);
    assert_eq!(mail.subject, "Handoff");
    assert_eq!(mail.header("from"), Some("Desk <desk@platform.example>"));
    assert_eq!(mail.body, ".dot\r\n..\r\nend\r\n");
    assert_eq!(catcher.mail(1), Some(Arc::clone(&mail)));
    assert!(catcher.mails_to("nobody@example.com").is_empty() && catcher.mail(2).is_none());

    let mut files = std::fs::read_dir(folder.path().join("mail")).unwrap();
    let path = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    let written = std::fs::read(&path).unwrap();
    let envelope = "Return-Path: <desk@platform.example>\r\nDelivered-To: olga@example.com\r\n\
                    Delivered-To: second@example.com\r\n";
    assert_eq!(written, [envelope.as_bytes(), &mail.raw].concat());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// Protects the real clients that send several mails in one session, newest shown first.
#[tokio::test]
async fn a_session_carries_several_mails() {
    let (_folder, addr, catcher) = catcher().await;
    let mut client = Client::greeted(addr).await;
    for n in 1..=3 {
        assert_eq!(
            client.deliver("olga@example.com", &format!("Subject: {n}\r\n")).await,
            format!("250 taken as {n}")
        );
    }
    let subjects: Vec<_> = catcher.mails().iter().map(|mail| mail.subject.clone()).collect();
    assert_eq!(subjects, ["3", "2", "1"]);
}

/// Protects against a client that gets the order wrong being told that all is well.
#[tokio::test]
async fn commands_out_of_order_are_refused() {
    let (_folder, addr, catcher) = catcher().await;
    let mut client = Client::connect(addr).await;
    let mut expect = async |line: &str, code: &str| {
        assert_eq!(client.code(line).await, code, "{line}");
    };
    expect("MAIL FROM:<a@b>", "503").await;
    expect("EHLO", "501").await;
    expect("HELO test", "250").await;
    expect("RCPT TO:<a@b>", "503").await;
    expect("DATA", "503").await;
    expect("MAIL FROM:a@b", "501").await;
    expect("MAIL TO:<a@b>", "501").await;
    expect("MAIL FROM:<a b>", "501").await;
    expect("MAIL FROM:<a@b> SIZE=99999999", "552").await;
    expect("MAIL FROM:<a@b> NONSENSE=1", "555").await;
    expect("MAIL FROM:<>", "250").await;
    expect("MAIL FROM:<a@b>", "503").await;
    expect("DATA", "503").await;
    expect("RCPT TO:<>", "501").await;
    expect("RCPT TO:<nobody>", "501").await;
    expect("RCPT TO:<@relay.example:a@b>", "250").await;
    expect("RSET", "250").await;
    expect("DATA", "503").await;
    expect("NOOP", "250").await;
    expect("VRFY a", "252").await;
    expect("STARTTLS", "502").await;
    expect("BREW coffee", "500").await;
    expect("", "500").await;
    expect(&"x".repeat(5000), "500").await;
    expect("NOOP", "250").await;
    assert!(catcher.mails().is_empty());
}

/// Protects the memory: a mail above 1 MiB is refused, and the session goes on.
#[tokio::test]
async fn a_mail_that_is_too_long_is_refused() {
    let (folder, addr, catcher) = catcher().await;
    let mut client = Client::greeted(addr).await;
    let line = "x".repeat(998) + "\r\n";
    let reply = client.deliver("olga@example.com", &line.repeat(1049)).await;
    assert!(reply.starts_with("552 "), "{reply}");
    let reply = client.deliver("olga@example.com", &line.repeat(1040)).await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(catcher.mails().len(), 1);
    assert_eq!(std::fs::read_dir(folder.path().join("mail")).unwrap().count(), 1);
}

/// Protects against one mail smuggled inside another: a dot between bare line feeds ends nothing.
#[tokio::test]
async fn a_bare_line_feed_does_not_end_a_mail() {
    let (_folder, addr, catcher) = catcher().await;
    let mut client = Client::greeted(addr).await;
    let content = "Subject: one\r\n\r\na\n.\r\nb\n.\nMAIL FROM:<x@y>\r\nc\r\n";
    assert!(client.deliver("olga@example.com", content).await.starts_with("250 "));
    assert_eq!(catcher.mails().len(), 1);
    assert_eq!(catcher.mails()[0].body, "a\n.\r\nb\n.\nMAIL FROM:<x@y>\r\nc\r\n\r\n");
}

/// Protects clients that send all commands at once, and many clients at the same time.
#[tokio::test]
async fn pipelined_and_parallel_clients_are_all_served() {
    let (_folder, addr, catcher) = catcher().await;
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..30 {
        clients.spawn(async move {
            let mut client = Client::connect(addr).await;
            let all = format!("EHLO t\r\nMAIL FROM:<a@b>\r\nRCPT TO:<{n}@example.com>\r\nDATA\r\n");
            client.send(&all).await;
            for code in ["250", "250", "250", "354"] {
                assert!(client.reply().await.starts_with(code));
            }
            client.send("hi\r\n.\r\nQUIT\r\n").await;
            assert!(client.reply().await.starts_with("250"));
            assert!(client.reply().await.starts_with("221"));
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    assert_eq!(catcher.mails().len(), 30);
    for n in 0..30 {
        assert_eq!(catcher.mails_to(&format!("{n}@example.com")).len(), 1);
    }
}

/// Protects against a client that hangs up in the middle: half a mail is no mail.
#[tokio::test]
async fn half_a_mail_is_not_kept() {
    let (_folder, addr, catcher) = catcher().await;
    let mut client = Client::greeted(addr).await;
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: half\r\n").await;
    drop(client);
    let mut next = Client::greeted(addr).await;
    assert!(next.deliver("c@d", "Subject: whole\r\n").await.starts_with("250 "));
    let subjects: Vec<_> = catcher.mails().iter().map(|mail| mail.subject.clone()).collect();
    assert_eq!(subjects, ["whole"]);
}

/// Protects against a client that does nothing but make errors.
#[tokio::test]
async fn endless_errors_end_the_session() {
    let (_folder, addr, _catcher) = catcher().await;
    let mut client = Client::connect(addr).await;
    for _ in 0..20 {
        assert_eq!(client.code("NONSENSE").await, "500");
    }
    assert!(client.reply().await.starts_with("421 "));
    assert_eq!(client.reply().await, "");
}

/// Protects the mails of an earlier run, even where the clock stands still: they are overwritten
/// by nothing, and shown again as they were.
#[tokio::test]
async fn a_second_run_shows_what_the_first_one_caught() {
    let folder = tempfile::tempdir().unwrap();
    let mut caught = Vec::new();
    for id in 1..=3 {
        let (addr, catcher) =
            SmtpCatcher::bind_anywhere(folder.path().to_owned(), || 5).await.unwrap();
        assert_eq!(catcher.mails(), caught);
        let mut client = Client::greeted(addr).await;
        let reply = client.deliver("c@d", &format!("Subject: {id}\r\n\r\n..hi")).await;
        assert_eq!(reply, format!("250 taken as {id}"));
        caught = catcher.mails();
    }
    assert_eq!(caught.len(), 3);
    assert_eq!((caught[2].subject.as_str(), caught[2].body.as_str()), ("1", ".hi\r\n"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

/// Protects the start of the demo from whatever else lies in the folder, and a new mail from
/// being written over one that is no longer read.
#[tokio::test]
async fn other_files_are_passed_over_and_their_numbers_are_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("notes.txt", "hello");
    put("x-1.eml", "Subject: no time\r\n\r\n");
    put(&format!("{:020}-00007.eml", 9), "Return-Path: <a@b>\r\nDelivered-To: c@d\r\n\r\nhi");
    put(&format!("{:020}-00009.eml", 8), "");
    let (addr, catcher) = SmtpCatcher::bind_anywhere(folder.path().to_owned(), || 5).await.unwrap();
    let ids: Vec<_> = catcher.mails().iter().map(|mail| mail.id).collect();
    assert_eq!(ids, [9, 7]);
    assert_eq!(catcher.mails_to("c@d").len(), 1);
    let mut client = Client::greeted(addr).await;
    assert_eq!(client.deliver("c@d", "hi").await, "250 taken as 10");
}

/// Protects against the demo's mail being readable from the network.
#[tokio::test]
async fn only_this_machine_is_listened_on() {
    let folder = tempfile::tempdir().unwrap();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = SmtpCatcher::bind(everywhere, folder.path().to_owned(), || 0).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

/// Protects the memory over a long demo: the oldest goes, its file stays.
#[tokio::test]
async fn the_oldest_mails_are_let_go_of() {
    let folder = tempfile::tempdir().unwrap();
    let mails = Mailbox::new(folder.path().to_owned(), folder::Earlier::default(), || 5);
    for _ in 0..KEPT + 2 {
        mails.deliver("a@b".into(), vec!["c@d".into()], b"\r\n".to_vec()).await.unwrap();
    }
    let kept = mails.select(|_| true);
    assert_eq!(kept.len(), KEPT);
    assert_eq!(kept.last().unwrap().id, 3);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), KEPT + 2);
}

/// Protects ports and tests: a catcher that is dropped listens no more, and its clients are let go.
#[tokio::test]
async fn a_dropped_catcher_stops() {
    let (_folder, addr, catcher) = catcher().await;
    let mut client = Client::greeted(addr).await;
    drop(catcher);
    assert_eq!(client.reply().await, "");
    assert!(TcpStream::connect(addr).await.is_err());
}
