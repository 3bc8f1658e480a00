//! The gateways' listener, as clients of EST (RFC 7030) use it: `curl` with `openssl`, and the one
//! of strongSwan.

use std::path::Path;
use std::process::Command;

use crate::clock::{Clock as _, SystemClock};
use crate::gateway::identity::Folder;
use crate::gateway::wire;
use crate::model::time::DAY;
use crate::secrets::certificates::openssl::{must, openssl};
use crate::store::Engine;
use crate::store::gateways::Certificate;
use crate::testing::gateways::{DUNE, Site};
use crate::testing::programs::{debian_version, run_well, version_of};
use crate::testing::{Bench, matrix};

/// What `curl` gets: the status, and what came with it.
async fn curl(site: &Site, arguments: &[&str], path: &str) -> (u16, String) {
    let mut command = Command::new("curl");
    command
        .current_dir(site.folder.path())
        .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"])
        .args(arguments)
        .arg(format!("{}{path}", site.address));
    let said = run_well(command).await;
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// Certificates in a certs-only message, as `openssl` reads them.
fn certificates(folder: &Path, base64: &str) -> String {
    let p7 = format!("-----BEGIN PKCS7-----\n{}\n-----END PKCS7-----\n", base64.trim_end());
    std::fs::write(folder.join("p7"), p7).unwrap();
    must(folder, &["pkcs7", "-in", "p7", "-print_certs"])
}

/// A listener by the machine's clock, which `curl` and `openssl` go by.
async fn site() -> (Bench, Site) {
    let bench = Bench::new(Engine::Sqlite).await;
    bench.clock.advance(SystemClock.now() - bench.now());
    bench.authenticated_anew().await;
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    (bench, site)
}

/// A client that has nothing yet asks for the authorities, and checks them against what it was
/// told of them (RFC 7030 section 4.1.1); then it connects to them alone, and asks what to send.
#[tokio::test]
async fn a_client_without_a_certificate_gets_the_authorities_and_what_to_ask_for() {
    let (_bench, site) = site().await;
    let folder = site.folder.path().to_owned();
    let (status, body) = curl(&site, &["--insecure"], wire::EST_CACERTS).await;
    assert_eq!(status, 200, "{body}");
    let pem = certificates(&folder, &body);
    assert!(pem.contains("Keyturn gateway authority"), "{pem}");
    std::fs::write(folder.join("anchors.pem"), pem).unwrap();
    let (status, _) = curl(&site, &["--cacert", "anchors.pem"], wire::EST_CACERTS).await;
    assert_eq!(status, 200, "the listener's own certificate is of that authority");
    let (status, body) = curl(&site, &["--cacert", "anchors.pem"], wire::EST_CSRATTRS).await;
    assert_eq!(status, 200, "{body}");
    std::fs::write(folder.join("attributes"), body).unwrap();
    let said = must(&folder, &["base64", "-d", "-in", "attributes", "-out", "attributes.der"]);
    assert!(said.is_empty(), "{said}");
    let said = must(&folder, &["asn1parse", "-inform", "DER", "-in", "attributes.der"]);
    for part in ["id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"] {
        assert!(said.contains(part), "{said}");
    }
    let version = version_of("curl", "--version").await;
    matrix::holds(
        "Certificates",
        "curl",
        &version,
        "EST cacerts and csrattrs without a certificate",
        "200",
    );
}

/// Protects everything else: TLS lets in who has no certificate, and no handler does.
#[tokio::test]
async fn without_a_certificate_nothing_else_is_answered_and_nothing_is_done() {
    let (bench, site) = site().await;
    // A re-enrolment is due, and whoever has no certificate does not get it.
    bench.rotate_gateway().await;
    let (rows, before) = (bench.rows("platform").await.len(), bench.certificates().await);
    let source = include_str!("../../gateway/wire.rs");
    let all: Vec<&str> = source
        .lines()
        .filter(|line| line.starts_with("pub const ") && line.contains("&str"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert_eq!(all.len(), 6, "every address of the listener: {all:?}");
    let open = [wire::EST_CACERTS, wire::EST_CSRATTRS];
    let closed = all.iter().copied().filter(|path| !open.contains(path));
    let elsewhere =
        ["/", "/gateway/v1", "/.well-known/est/simpleenroll", "/.well-known/est/fullcmc"];
    for path in closed.chain(elsewhere) {
        for method in ["GET", "POST", "PUT"] {
            let kind = "content-type: application/pkcs10";
            let arguments = ["--insecure", "-X", method, "-H", kind, "--data", "{\"agent\":\"x\"}"];
            let (status, body) = curl(&site, &arguments, path).await;
            assert_eq!(status, 403, "{method} {path}: {body}");
            assert!(body.contains("There is no certificate on this connection"), "{path}: {body}");
        }
    }
    for path in open {
        let (status, _) = curl(&site, &["--insecure", "-X", "POST"], path).await;
        assert_eq!(status, 405, "{path}");
    }
    assert_eq!(bench.rows("platform").await.len(), rows);
    let after = bench.certificates().await;
    let seen = |all: &[Certificate]| {
        all.iter().map(|c| (c.serial.clone(), c.last_seen_at)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&after), seen(&before));
}

/// Whoever shows a certificate shows one that counts, for what is open as well.
#[tokio::test]
async fn with_a_certificate_that_does_not_count_the_open_addresses_are_closed_too() {
    let (bench, site) = site().await;
    let folder = site.folder.path().to_owned();
    let identity = ["--insecure", "--cert", "identity.pem"];
    assert_eq!(curl(&site, &identity, wire::EST_CACERTS).await.0, 200);
    let serial = bench.certificates().await[0].serial.clone();
    {
        let mut tx = bench.desk.begin().await.unwrap();
        let revoked = crate::store::gateways::revoke(&mut tx, &serial, "superseded", bench.now());
        revoked.await.unwrap();
        tx.commit().await.unwrap();
    }
    // The connection is new, and the list that is in force may not name it yet: the database does.
    let mut command = Command::new("curl");
    command.current_dir(&folder).args([
        "--silent",
        "--max-time",
        "20",
        "--write-out",
        "%{http_code}",
    ]);
    command.args(identity).arg(format!("{}{}", site.address, wire::EST_CACERTS));
    let (_, said) = crate::testing::programs::run(command).await;
    assert!(!said.ends_with("200"), "{said}");
}

/// Re-enrolment with a request that `openssl` made.
#[tokio::test]
async fn a_client_with_its_certificate_reenrols() {
    let (bench, site) = site().await;
    let folder = site.folder.path().to_owned();
    site.agent(&bench).turn().await.unwrap();
    bench.rotate_gateway().await;
    let subject = format!("/CN={DUNE}");
    must(
        &folder,
        &[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "new.key",
            "-subj",
            &subject,
            "-outform",
            "DER",
            "-out",
            "request.der",
        ],
    );
    must(&folder, &["base64", "-in", "request.der", "-out", "request"]);
    let (_, version) = openssl(&folder, &["version"], "");
    let arguments = [
        "--insecure",
        "--cert",
        "identity.pem",
        "-H",
        "content-type: application/pkcs10",
        "--data-binary",
        "@request",
    ];
    let (status, body) = curl(&site, &arguments, wire::EST_REENROL).await;
    assert_eq!(status, 200, "{body}");
    let pem = certificates(&folder, &body);
    assert!(pem.contains(DUNE), "{pem}");
    assert!(Folder::at(&folder).unwrap().identity().is_ok());
    let version = version.split_whitespace().nth(1).unwrap_or("unknown").to_owned();
    matrix::holds(
        "Certificates",
        "OpenSSL and curl",
        &version,
        "EST simplereenroll",
        "a certificate",
    );
}

/// strongSwan's client of EST. It speaks TLS 1.3, which is all that the listener speaks, where its
/// settings say so.
fn strongswan(folder: &Path, arguments: &[&str]) -> Command {
    let settings = folder.join("strongswan.conf");
    std::fs::write(&settings, "pki {\n  tls {\n    version_max = 1.3\n  }\n}\n").unwrap();
    let mut command = Command::new("pki");
    command.current_dir(folder).env("STRONGSWAN_CONF", settings).args(arguments);
    command
}

/// What strongSwan writes to its output, without what it says besides.
async fn strongswan_writes(folder: &Path, arguments: &[&str], file: &str) {
    let mut command = strongswan(folder, arguments);
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = ran.unwrap_or_else(|e| panic!("pki: {e}: run `make test-tools`"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}:\n{said}");
    std::fs::write(folder.join(file), output.stdout).unwrap();
}

/// A whole client of EST, by people who never saw this one: it fetches the authorities without a
/// certificate, and re-enrols with the one that it has and a key that it made.
#[tokio::test]
async fn strongswans_client_fetches_the_authorities_and_reenrols() {
    let (bench, site) = site().await;
    let folder = site.folder.path().to_owned();
    // Whom to trust at first comes another way (RFC 7030 section 4.1.1).
    let (_, body) = curl(&site, &["--insecure"], wire::EST_CACERTS).await;
    std::fs::write(folder.join("anchors.pem"), certificates(&folder, &body)).unwrap();
    let url = site.address.as_str();
    let arguments = [
        "--estca",
        "--url",
        url,
        "--cacert",
        "anchors.pem",
        "--caout",
        "ca.pem",
        "--outform",
        "pem",
    ];
    run_well(strongswan(&folder, &arguments)).await;
    let said = must(&folder, &["x509", "-in", "ca.pem", "-noout", "-subject"]);
    assert!(said.contains("Keyturn gateway authority"), "{said}");
    // Told to re-enrol, it does so with a key that strongSwan makes.
    site.agent(&bench).turn().await.unwrap();
    bench.rotate_gateway().await;
    strongswan_writes(&folder, &["--gen", "--type", "ecdsa", "--size", "256"], "new.key").await;
    let name = format!("CN={DUNE}");
    let arguments = ["--req", "--in", "new.key", "--type", "ecdsa", "--dn", &name];
    strongswan_writes(&folder, &arguments, "request.der").await;
    must(&folder, &["x509", "-in", "identity.pem", "-out", "old.pem"]);
    must(&folder, &["pkey", "-in", "identity.pem", "-out", "old.key"]);
    let arguments = [
        "--est",
        "--url",
        url,
        "--in",
        "request.der",
        "--cacert",
        "ca.pem",
        "--cert",
        "old.pem",
        "--key",
        "old.key",
        "--outform",
        "pem",
    ];
    strongswan_writes(&folder, &arguments, "new.pem").await;
    let said = must(&folder, &["x509", "-in", "new.pem", "-noout", "-subject", "-serial"]);
    assert!(said.contains(DUNE), "{said}");
    let newest = &bench.certificates().await[0];
    assert!(said.to_lowercase().contains(&newest.serial.to_lowercase()), "{said} {newest:?}");
    let version = debian_version("strongswan-pki");
    matrix::holds(
        "Certificates",
        "strongSwan",
        &version,
        "pki --estca without a certificate, pki --est with the gateway’s",
        "the authorities; a certificate for a new key",
    );
}
