//! What rows are forwarded to: a syslog receiver over TLS, and an address that takes JSON Lines.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::delivery::forward::trust::Trust;

/// A certificate authority for a test.
pub(crate) struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl TestAuthority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than what it issues has: OpenSSL would take that for signed by itself.
        params.distinguished_name.push(DnType::CommonName, "An authority of the tests");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these names, and its key, in PEM.
    pub(crate) fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    /// Trust in this authority, with a certificate of it where asked for.
    pub(crate) fn trusted(&self, identity: bool) -> Trust {
        let identity = identity.then(|| {
            let (certificate, key) = self.issue(&["keyturn.example"]);
            (certificate.into_bytes(), SecretString::from(key))
        });
        Trust { authorities: Some(self.pem.clone().into_bytes()), besides: None, identity }
    }
}

/// How the receiver behaves on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As RFC 5425 says.
    Well,
    /// It ends after us, without the closure alert.
    NoAlert,
    /// It drops the connection after so many messages.
    Drops(usize),
    /// It ends the connection at once, and reads nothing.
    EndsFirst,
    /// It reads everything, and never ends.
    NeverEnds,
}

/// A syslog receiver.
pub(crate) struct SyslogServer {
    pub(crate) address: String,
    /// What it has read, in order.
    messages: Arc<Mutex<Vec<String>>>,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl SyslogServer {
    /// With a certificate of that authority; with `clients`, only those it knows get in.
    pub(crate) async fn start(authority: &TestAuthority, clients: bool) -> Self {
        let (certificate, key) = authority.issue(&["localhost", "127.0.0.1"]);
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = if clients {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap()).with_single_cert(chain, key)
        } else {
            builder.with_no_client_auth().with_single_cert(chain, key)
        };
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: format!("localhost:{}", listener.local_addr().unwrap().port()),
            messages: Arc::default(),
            moods: Arc::default(),
            connections: Arc::default(),
        };
        let (messages, moods, count) =
            (server.messages.clone(), server.moods.clone(), server.connections.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let mood = moods.lock().unwrap().pop_front().unwrap_or(Mood::Well);
                tokio::spawn(receive(acceptor.clone(), stream, mood, messages.clone()));
            }
        });
        server
    }

    /// The moods of the next connections; after them it is well.
    pub(crate) fn moods(&self, moods: &[Mood]) {
        self.moods.lock().unwrap().extend(moods);
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }
}

async fn receive(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    mood: Mood,
    messages: Arc<Mutex<Vec<String>>>,
) {
    let Ok(mut tls) = acceptor.accept(stream).await else { return };
    if mood == Mood::EndsFirst {
        tls.shutdown().await.ok();
        return;
    }
    let (mut bytes, mut seen) = (Vec::new(), 0);
    loop {
        // Little by little, so that a drop leaves something unread.
        let mut some = [0; 512];
        match tls.read(&mut some).await {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&some[..n]),
            Err(_) => return,
        }
        while let Some((message, used)) = frame(&bytes) {
            messages.lock().unwrap().push(message);
            bytes.drain(..used);
            seen += 1;
            if mood == Mood::Drops(seen) {
                return;
            }
        }
    }
    assert!(bytes.is_empty(), "half a frame before the end of the connection");
    match mood {
        Mood::NoAlert => {}
        Mood::NeverEnds => std::future::pending().await,
        _ => tls.shutdown().await.unwrap_or_default(),
    }
}

/// The first whole frame (RFC 5425, section 4.3), and how many bytes it has.
fn frame(bytes: &[u8]) -> Option<(String, usize)> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
    let end = space + 1 + length;
    let message = bytes.get(space + 1..end)?;
    Some((String::from_utf8(message.to_vec()).unwrap(), end))
}

/// An address that takes JSON Lines.
pub(crate) struct LinesServer {
    pub(crate) address: String,
    inside: Arc<Inside>,
}

#[derive(Default)]
struct Inside {
    answers: Mutex<VecDeque<u16>>,
    at_most: Mutex<Option<usize>>,
    requests: Mutex<Vec<(HeaderMap, String)>>,
}

impl LinesServer {
    pub(crate) async fn start() -> Self {
        let inside = Arc::<Inside>::default();
        let take = |State(inside): State<Arc<Inside>>, headers: HeaderMap, body: String| async move {
            inside.requests.lock().unwrap().push((headers, body));
            let too_many = {
                let requests = inside.requests.lock().unwrap();
                let rows = requests.last().map_or(0, |(_, body)| body.lines().count());
                inside.at_most.lock().unwrap().is_some_and(|at_most| rows > at_most)
            };
            let answer = inside.answers.lock().unwrap().pop_front();
            let status = answer.unwrap_or(if too_many { 413 } else { 200 });
            StatusCode::from_u16(status).unwrap()
        };
        let router =
            Router::new().route("/in", axum::routing::post(take)).with_state(inside.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/in", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inside }
    }

    /// The next answers; after them it takes everything.
    pub(crate) fn answers(&self, statuses: &[u16]) {
        self.inside.answers.lock().unwrap().extend(statuses);
    }

    /// What is larger than so many rows it answers with 413 (RFC 9110, section 15.5.14).
    pub(crate) fn takes_at_most(&self, rows: usize) {
        *self.inside.at_most.lock().unwrap() = Some(rows);
    }

    pub(crate) fn requests(&self) -> Vec<(HeaderMap, String)> {
        self.inside.requests.lock().unwrap().clone()
    }
}
