//! The OpenPGP programs that Owners use, and the mail as it reaches them.

use std::path::Path;
use std::process::Command;

use secrecy::ExposeSecret as _;

use crate::clock::{Clock as _, Rng as _, SystemClock, SystemRng};
use crate::delivery::mail::{Mail, Mailer as _, SmtpMailer};
use crate::delivery::openpgp::gnupg::Gnupg;
use crate::delivery::openpgp::{SigningKey, encrypt_and_sign, inspect};
use crate::demo::smtp_catcher::SmtpCatcher;
use crate::store::Engine;
use crate::testing::openpgp::{Key, Program};
use crate::testing::programs::{from_pypi, node_script};
use crate::testing::{Bench, matrix};

const SECRET: &str = "whsec_value\nfor the webhook\n";

fn platform() -> SigningKey {
    let rng = &mut SystemRng.generator();
    SigningKey::generate(rng, SystemClock.now(), "Keyturn <keyturn@platform.example>").unwrap()
}

/// A secret for the holder of a key, signed.
fn sealed(key: &Key, platform: &SigningKey) -> String {
    let rng = &mut SystemRng.generator();
    encrypt_and_sign(rng, SystemClock.now(), &key.public, platform, SECRET.as_bytes()).unwrap()
}

/// Protects Owners who use a key in another program than the one that made it: what is sent to them
/// opens in each, with a good signature.
#[test]
fn a_key_that_announces_the_newer_packet_opens_in_older_programs() {
    let platform = platform();
    let signer = platform.to_armored_public().unwrap();
    for (maker, kind) in [(Program::PySequoia, "rfc4880"), (Program::Rpgp, "legacy")] {
        let key = maker.make(kind);
        let message = sealed(&key, &platform);
        for program in [
            maker,
            Program::Gnupg,
            Program::Rnp,
            Program::OpenPgpJs5,
            Program::OpenPgpJs6,
            Program::Sqop,
            Program::Gosop,
        ] {
            let opened = program.open(&key.secret, &signer, &message);
            let opened = opened.unwrap_or_else(|e| panic!("{maker:?} {kind} in {program:?}: {e}"));
            assert_eq!(opened.text, SECRET, "{program:?}");
            assert_eq!(opened.signed, Some(true), "{program:?}");
            let tried = format!("a message to a key of {} ({kind})", maker.name());
            let what = "opens, the platform's signature is good";
            matrix::holds("OpenPGP", program.name(), &program.version(), &tried, what);
        }
    }
}

/// A mail with a name that is not ASCII, as it came out of a mail server, and the parts of it.
struct Received {
    folder: tempfile::TempDir,
    raw: Vec<u8>,
    message: String,
    link: String,
}

async fn received(message: &str) -> Received {
    let folder = tempfile::tempdir().unwrap();
    let (addr, mails) = SmtpCatcher::bind_anywhere(folder.path().join("mail"), || 5).await.unwrap();
    let greeting = Some("keyturn.example".to_owned());
    let mailer = SmtpMailer::new(&format!("smtp://{addr}").into(), greeting).unwrap();
    let link = format!("https://keyturn.example/acknowledge/{}==", "aB-_".repeat(16));
    let body = format!(
        "Inès Moreau-Díaz of the platform replaced 東京's secret.\n\n{message}\n\
         When you have it, tell us with this link:\n{link}\n\n\
         Zażółć gęślą jaźń, and a line of nearly a thousand characters: {}\n",
        "wide ".repeat(180),
    );
    let mail = Mail {
        message_id: "<1@platform.example>".to_owned(),
        from: "Schlüsseldienst <keyturn@platform.example>".to_owned(),
        to: "olga@customer.example".to_owned(),
        subject: "[NOV-4801] Ihr neuer Schlüssel für 東京".to_owned(),
        body: body.into(),
    };
    mailer.send(&mail).await.unwrap();
    let caught = mails.mails().pop().unwrap();
    assert_eq!(caught.subject, mail.subject);
    Received { folder, raw: caught.raw.clone(), message: message.trim().to_owned(), link }
}

/// What a script says of a mail: its subject, its text, its files.
fn read_by(command: &mut Command, mail: &Path) -> serde_json::Value {
    let output = command.arg(mail).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Protects the handoff on its way: whatever letters a name has, the saved mail opens in GnuPG, and
/// mail programs find the text, an unbroken link and the message.
#[tokio::test]
async fn the_mail_survives_any_name_and_opens_as_it_was_saved() {
    let (key, platform) = (Program::Gnupg.make("ed25519 cv25519"), platform());
    let got = received(&sealed(&key, &platform)).await;
    let saved = String::from_utf8(got.raw.clone()).unwrap();
    assert!(saved.is_ascii(), "no server has a reason to encode it anew");
    assert!(saved.lines().all(|line| line.len() <= 998));
    assert!(saved.replace("\r\n", "\n").contains(&got.link), "whole, also in the raw mail");

    let signer = platform.to_armored_public().unwrap();
    let opened = Program::Gnupg.open(&key.secret, &signer, &saved).unwrap();
    assert_eq!((opened.text.as_str(), opened.signed), (SECRET, Some(true)));
    let what = "`gpg --decrypt` of the saved mail gives the secret, the signature is good";
    let tried = "a handoff's mail with names in other letters";
    matrix::holds("Mail", "GnuPG", &Program::Gnupg.version(), tried, what);

    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testing/mail");
    let file = got.folder.path().join("saved.eml");
    std::fs::write(&file, &got.raw).unwrap();
    let mut python = Command::new(from_pypi("python"));
    python.arg(scripts.join("read.py"));
    let by_node = |reader: &str| {
        let mut node = node_script(&scripts.join("read.cjs"));
        node.arg(reader);
        node
    };
    for (name, mut command) in [
        ("Python's email", python),
        ("mailparser", by_node("mailparser")),
        ("postal-mime", by_node("postal-mime")),
    ] {
        let read = read_by(&mut command, &file);
        let text = |field: &str| read[field].as_str().unwrap_or_default().replace("\r\n", "\n");
        assert_eq!(text("subject"), "[NOV-4801] Ihr neuer Schlüssel für 東京", "{name}");
        assert!(text("from").contains("Schlüsseldienst"), "{name}: {read}");
        for said in ["Inès Moreau-Díaz", "東京", "Zażółć gęślą jaźń", &got.link] {
            assert!(text("text").contains(said), "{name}: {said}: {read}");
        }
        let files = read["files"].as_array().unwrap();
        assert_eq!(files.len(), 1, "{name}: {read}");
        assert_eq!(files[0]["name"], "message.asc", "{name}");
        let attached = files[0]["content"].as_str().unwrap().replace("\r\n", "\n");
        assert_eq!(attached.trim(), got.message, "{name}");
        // What a reader saves opens in another program, too.
        let opened = Program::OpenPgpJs6.open(&key.secret, &signer, &attached).unwrap();
        assert_eq!((opened.text.as_str(), opened.signed), (SECRET, Some(true)));
        let version = read["version"].as_str().unwrap();
        let what = "subject, names, link and message are found whole; OpenPGP.js opens it";
        matrix::holds("Mail", name, version, tried, what);
    }
}

/// Protects the Owner from a message that anybody could have made: with nothing but their own key
/// GnuPG cannot check the signature; the one command in the mail lets it.
#[tokio::test]
async fn the_owner_checks_the_signature_by_the_command_in_the_mail() {
    let mut bench = Bench::new(Engine::Sqlite).await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::sync::Arc::get_mut(&mut bench.desk).unwrap().settings.base_url = address;
    let site = crate::http::doors_tests::Site::on(bench).await;
    let router = site.router.clone();
    let served = tokio::spawn(async move { axum::serve(listener, router).await });

    let bench = &site.bench;
    let owner = &crate::testing::owners::owners().modern;
    let ada = bench.at_work(crate::testing::story::ADA).await;
    let grant = bench.impersonate(&ada, crate::testing::story::STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mail = bench.mailbox.about("Your new secret");
    let body = mail.body.expose_secret().to_owned();
    let fingerprint = bench.desk.keys.openpgp.fingerprint();
    assert!(body.contains(&crate::model::org::in_fours(&fingerprint)), "{body}");

    let now = bench.now();
    let secret = owner.secret.clone();
    // The command runs as the Owner would run it, beside the server.
    let done = tokio::task::spawn_blocking(move || {
        let gpg = Gnupg::new();
        gpg.travel(now - gpg.now());
        gpg.run(&["--import"], secret.as_bytes());
        let before = gpg.try_run(&["--decrypt"], body.as_bytes());
        let unknown = before.expect_err("the signer is not known yet");
        assert!(unknown.contains("NO_PUBKEY"), "{unknown}");
        let command = body.lines().find(|line| line.starts_with("curl ")).expect("one command");
        let ran =
            Command::new("sh").args(["-c", command]).env("GNUPGHOME", gpg.home()).output().unwrap();
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
        let opened = gpg.run(&["--decrypt"], body.as_bytes());
        assert!(opened.status.contains(&format!("VALIDSIG {fingerprint}")), "{}", opened.status);
        String::from_utf8(opened.stdout).unwrap()
    });
    let text = done.await.unwrap();
    assert_eq!(text.lines().next(), Some(bench.value("whk_acme", 2).await.expose_secret()));
    let what = "the command in the mail imports the platform's key; exit 0, good signature";
    matrix::holds("OpenPGP", "GnuPG", &Program::Gnupg.version(), "checking who signed", what);
    served.abort();
}

/// Protects the good case of the judgement from a change of the library: what is accepted is what
/// GnuPG encrypts to, as well.
#[test]
fn what_is_accepted_names_the_part_that_is_encrypted_to() {
    let key = Program::Gnupg.make("rsa2048 alone");
    let report = inspect(&key.public, SystemClock.now()).unwrap();
    assert_eq!(report.encryption_subkey_fingerprint, report.fingerprint);
}
