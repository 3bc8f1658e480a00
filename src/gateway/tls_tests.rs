//! Who gets in, seen with `openssl s_client`.

use std::fs::write;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::{Extension, Router, routing::any};
use axum_server::tls_rustls::RustlsConfig;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rcgen::KeyPair;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

use super::tls::{self, Listening};
use crate::clock::{Clock, SystemClock};
use crate::model::time;
use crate::secrets::certificates::openssl::openssl;
use crate::secrets::certificates::{Authority, BACKDATED, LIFE, Reason, Revoked};

fn rng() -> StdRng {
    StdRng::seed_from_u64(11)
}

/// A listener that says the serial of whoever gets in.
struct Bench {
    folder: TempDir,
    authority: Authority,
    config: RustlsConfig,
    address: SocketAddr,
}

fn config(authority: &Authority, revoked: &[Revoked], crl_ends: i64) -> rustls::ServerConfig {
    let now = SystemClock.now();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let (leaf, key) = authority.issue_server(&names, now, &mut rng()).unwrap();
    let parts = Listening {
        certificate: format!("{}{}", leaf.pem, authority.chain_pem()),
        key,
        issuers: vec![authority.certificate().unwrap().clone()],
        crls: vec![authority.crl(revoked, now, crl_ends).unwrap()],
    };
    tls::listener(&parts, Arc::new(SystemClock)).unwrap()
}

impl Bench {
    async fn new() -> Self {
        let now = SystemClock.now();
        let authority = Authority::create("test", now, &mut rng()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("ca.pem"), authority.chain_pem()).unwrap();
        let config = RustlsConfig::from_config(Arc::new(config(&authority, &[], now + time::DAY)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let hello = |Extension(tls): Extension<Arc<axum_server::tls::TlsInfo>>| async move {
            format!("welcome, {} certificate(s)", tls.peer_certificates.len())
        };
        let app = Router::new().route("/", any(hello));
        let server = axum_server::from_tcp_rustls(listener, config.clone()).unwrap();
        tokio::spawn(server.serve(app.into_make_service()));
        Self { folder, authority, config, address }
    }

    /// A certificate from so long ago to so far ahead; its serial.
    fn certificate(&self, authority: &Authority, from: i64, until: i64) -> String {
        let now = SystemClock.now();
        let key = KeyPair::generate().unwrap();
        let leaf = authority.issue("gw_test", &key, now + from, now + until, &mut rng()).unwrap();
        let key = SecretString::from(key.serialize_pem());
        write(self.folder.path().join("g.pem"), format!("{}{}", leaf.pem, key.expose_secret()))
            .unwrap();
        leaf.serial
    }

    /// What the server answers to `openssl s_client` with these words.
    async fn answer(&self, more: &[&str]) -> String {
        let folder = self.folder.path().to_owned();
        let address = self.address.to_string();
        let more: Vec<String> = more.iter().map(|&word| word.to_owned()).collect();
        tokio::task::spawn_blocking(move || {
            let mut args = vec![
                "s_client",
                "-connect",
                &address,
                "-CAfile",
                "ca.pem",
                "-verify_return_error",
                "-ign_eof",
                "-servername",
                "localhost",
            ];
            args.extend(more.iter().map(String::as_str));
            let ask = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            openssl(&folder, &args, ask).1
        })
        .await
        .unwrap()
    }
}

const WITH: [&str; 2] = ["-cert", "g.pem"];

#[tokio::test]
async fn a_certificate_that_holds_gets_in_over_tls_1_3_only() {
    let bench = Bench::new().await;
    bench.certificate(&bench.authority, -BACKDATED, LIFE);
    let said = bench.answer(&WITH).await;
    assert!(said.contains("welcome") && said.contains("TLSv1.3"), "{said}");
    let said = bench.answer(&["-cert", "g.pem", "-tls1_2"]).await;
    assert!(!said.contains("welcome") && said.contains("protocol version"), "{said}");
}

#[tokio::test]
async fn without_a_certificate_a_handler_is_told_of_none() {
    let bench = Bench::new().await;
    let said = bench.answer(&[]).await;
    assert!(said.contains("welcome, 0 certificate(s)") && said.contains("TLSv1.3"), "{said}");
    bench.certificate(&bench.authority, -BACKDATED, LIFE);
    let said = bench.answer(&WITH).await;
    // With the authority, which `openssl` sends along.
    assert!(said.contains("welcome, 2 certificate(s)"), "{said}");
}

#[tokio::test]
async fn an_expired_certificate_and_one_from_elsewhere_are_refused() {
    let bench = Bench::new().await;
    bench.certificate(&bench.authority, -time::DAY, -time::MINUTE);
    let said = bench.answer(&WITH).await;
    assert!(!said.contains("welcome") && said.contains("certificate expired"), "{said}");

    let elsewhere = Authority::create("test", SystemClock.now(), &mut rng()).unwrap();
    bench.certificate(&elsewhere, -BACKDATED, LIFE);
    let said = bench.answer(&WITH).await;
    assert!(!said.contains("welcome") && said.contains("alert"), "{said}");
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_as_soon_as_the_list_is_there() {
    let bench = Bench::new().await;
    let now = SystemClock.now();
    let serial = bench.certificate(&bench.authority, -BACKDATED, LIFE);
    assert!(bench.answer(&WITH).await.contains("welcome"));
    let revoked = [Revoked { serial, at: now, reason: Reason::Superseded }];
    let with_it = config(&bench.authority, &revoked, now + time::DAY);
    bench.config.reload_from_config(Arc::new(with_it));
    let said = bench.answer(&WITH).await;
    assert!(!said.contains("welcome") && said.contains("certificate revoked"), "{said}");
}

#[tokio::test]
async fn a_revocation_list_that_is_too_old_lets_nobody_in() {
    let bench = Bench::new().await;
    bench.certificate(&bench.authority, -BACKDATED, LIFE);
    let stale = config(&bench.authority, &[], SystemClock.now() - time::MINUTE);
    bench.config.reload_from_config(Arc::new(stale));
    let said = bench.answer(&WITH).await;
    assert!(!said.contains("welcome") && said.contains("alert"), "{said}");
}

#[tokio::test]
async fn no_session_can_be_taken_up_again() {
    let bench = Bench::new().await;
    bench.certificate(&bench.authority, -BACKDATED, LIFE);
    let said = bench.answer(&["-cert", "g.pem", "-sess_out", "session.pem"]).await;
    assert!(said.contains("welcome") && !said.contains("New Session Ticket"), "{said}");
}

/// Protects against whoever else the operator's root has made an authority.
#[tokio::test]
async fn a_sibling_authority_below_the_same_root_lets_nobody_in() {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose};
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params, KeyPair::generate().unwrap())
    };
    let (root, root_key) = authority("root");
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = Issuer::from_params(&root, &root_key);
    let below = |name: &str| {
        let (params, key) = authority(name);
        let chain = format!("{}{root_pem}", params.signed_by(&key, &issuer).unwrap().pem());
        Authority::import(&chain, &key.serialize_pem().into(), SystemClock.now(), &mut rng())
            .unwrap()
    };
    let (ours, sibling) = (below("ours"), below("sibling"));
    let bench = Bench::new().await;
    let now = SystemClock.now();
    bench.config.reload_from_config(Arc::new(config(&ours, &[], now + time::DAY)));
    write(bench.folder.path().join("ca.pem"), ours.chain_pem()).unwrap();
    bench.certificate(&ours, -BACKDATED, LIFE);
    assert!(bench.answer(&WITH).await.contains("welcome"));
    bench.certificate(&sibling, -BACKDATED, LIFE);
    write(bench.folder.path().join("chain.pem"), sibling.chain_pem()).unwrap();
    let said = bench.answer(&["-cert", "g.pem", "-cert_chain", "chain.pem"]).await;
    assert!(!said.contains("welcome") && said.contains("alert"), "{said}");
}
