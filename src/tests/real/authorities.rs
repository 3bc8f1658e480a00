//! What is outside, behind HAProxy with a certificate that an authority of one's own issued:
//! trusted with `ca_file`, and by nobody without it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::clock::ManualClock;
use crate::delivery::authorities::Authorities;
use crate::delivery::mail::{Mail, Mailer as _, SmtpMailer};
use crate::delivery::one_password::Connect;
use crate::delivery::shared_vault::SharedVault as _;
use crate::delivery::tickets::fields::FieldNames;
use crate::delivery::tickets::zendesk::{Settings, Zendesk};
use crate::delivery::tickets::{Tickets as _, TicketsError};
use crate::delivery::witness::{HttpWitness, Seen, Witness as _, WitnessError};
use crate::demo::smtp_catcher::SmtpCatcher;
use crate::store::Engine;
use crate::testing::connect::{self, VAULT};
use crate::testing::programs::{Running, free_port, version_of};
use crate::testing::sinks::TestAuthority;
use crate::testing::witness::WitnessServer;
use crate::testing::zendesk_server::{self, ZendeskServer};
use crate::testing::{Bench, matrix};

/// HAProxy, which speaks TLS and hands on what is within.
struct Front {
    _running: Running,
    _folder: TempDir,
    port: u16,
}

impl Front {
    /// Before what listens at `behind`, an address of any kind.
    async fn before(authority: &TestAuthority, behind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = authority.issue(&["localhost", "127.0.0.1"]);
        let pem = folder.path().join("front.pem");
        std::fs::write(&pem, format!("{certificate}{key}")).unwrap();
        let port = free_port();
        let behind = behind.rsplit("//").next().unwrap();
        let config = format!(
            "global\n  maxconn 50\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 20s\n  \
             timeout server 20s\nlisten front\n  bind 127.0.0.1:{port} ssl crt {}\n  server one {behind}\n",
            pem.display()
        );
        let running = start(folder.path(), &config, port).await;
        Self { _running: running, _folder: folder, port }
    }
}

async fn start(folder: &Path, config: &str, port: u16) -> Running {
    let (file, log) = (folder.join("config"), folder.join("log"));
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-db", "-f"]).arg(&file);
    let mut running = Running::start(&mut command, &log);
    running.listens_at(port, &log).await;
    running
}

/// With the right authority, with another, with none.
fn ways(authority: &TestAuthority) -> [(Authorities, bool); 3] {
    let of = |pem: &str| Authorities::read(pem.as_bytes()).unwrap();
    [
        (of(&authority.pem), true),
        (of(&TestAuthority::new().pem), false),
        (Authorities::default(), false),
    ]
}

async fn note(tried: &str) {
    let version = version_of("/usr/sbin/haproxy", "-v").await;
    matrix::holds("Own authorities", "HAProxy", &version, tried, "trusted with ca_file alone");
}

#[tokio::test]
async fn a_connect_server() {
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::at(1_760_000_000_000_000));
    let server = connect::Running::start(folder.path(), clock).await;
    let front = Front::before(&authority, &server.url()).await;
    let url = format!("https://localhost:{}", front.port);
    for (authorities, good) in ways(&authority) {
        let client = Connect::trusting(&url, &connect::TOKEN.into(), &authorities).unwrap();
        let seen = client.check(VAULT).await;
        assert_eq!(seen.is_ok(), good, "{seen:?}");
    }
    note("TLS before a Connect server").await;
}

#[tokio::test]
async fn a_zendesk() {
    let authority = TestAuthority::new();
    let server = ZendeskServer::start().await;
    let front = Front::before(&authority, &server.url).await;
    for (authorities, good) in ways(&authority) {
        let settings = Settings {
            url: format!("https://localhost:{}", front.port),
            email: zendesk_server::EMAIL.to_owned(),
            token: zendesk_server::TOKEN.into(),
            prefix: "NOV-".to_owned(),
            fields: FieldNames::default(),
        };
        let found = Zendesk::trusting(settings, &authorities).unwrap().look_up("NOV-4821").await;
        match found {
            Ok(found) => assert!(good && found.is_none()),
            Err(e) => assert!(!good && !matches!(e, TicketsError::Unknown), "{e:?}"),
        }
        assert!(!server.requests().is_empty(), "the right one comes first");
    }
    note("TLS before a Zendesk").await;
}

#[tokio::test]
async fn a_witness() {
    let (authority, bench) = (TestAuthority::new(), Bench::new(Engine::Sqlite).await);
    let server = WitnessServer::start(&bench).await;
    let front = Front::before(&authority, &server.address).await;
    let url = format!("https://127.0.0.1:{}", front.port);
    let head = {
        let mut conn = bench.desk.store.read().await.unwrap();
        crate::store::audit::head(&mut conn, "platform").await.unwrap().unwrap()
    };
    for (authorities, good) in ways(&authority) {
        let key = server.signer().public().clone();
        let witness = HttpWitness::trusting(&url, key, bench.clock.clone(), &authorities).unwrap();
        let seen = Seen {
            origin: head.origin.clone(),
            old_size: 0,
            proof: Vec::new(),
            size: u64::try_from(head.size).unwrap(),
            note: head.checkpoint.clone(),
        };
        let answer = witness.add(&seen).await;
        let silent = matches!(answer, Err(WitnessError::Unreachable(_)));
        assert_eq!(!silent, good, "{answer:?}");
    }
    note("TLS before a witness").await;
}

#[tokio::test]
async fn a_mail_server() {
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let (address, mails) = SmtpCatcher::bind_anywhere(folder.path().into(), || 5).await.unwrap();
    let front = Front::before(&authority, &address.to_string()).await;
    let url = format!("smtps://localhost:{}", front.port).into();
    let mail = Mail {
        message_id: "<1@keyturn.example>".to_owned(),
        from: "Keyturn <keyturn@platform.example>".to_owned(),
        to: "olive@acme.example".to_owned(),
        subject: "a test".to_owned(),
        body: "nothing".into(),
    };
    for (authorities, good) in ways(&authority) {
        let sent = SmtpMailer::trusting(&url, None, &authorities).unwrap().send(&mail).await;
        assert_eq!(sent.is_ok(), good, "{sent:?}");
        assert_eq!(mails.mails().len(), 1, "one came, with the right authority");
    }
    note("TLS before a mail server").await;
}
