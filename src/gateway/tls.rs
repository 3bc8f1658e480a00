//! The two ends of the connection: TLS 1.3 only, each proves who it is.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;
use crate::model::time;
use crate::secrets::certificates::Bundle;

/// Why an end of the connection cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsProblem {
    /// The TLS library.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A certificate or a key that cannot be read.
    #[error("TLS: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The check of clients.
    #[error("TLS, checking gateways: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The time by the App's clock, for checks of certificates.
struct ByClock(Arc<dyn Clock>);

impl std::fmt::Debug for ByClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByClock")
    }
}

impl TimeProvider for ByClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now() / time::SECOND).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What the listener presents and whom it accepts.
pub struct Listening {
    /// The listener's own certificate, and the one that issued it, in PEM.
    pub certificate: String,
    /// Its key.
    pub key: SecretString,
    /// The issuing certificates of gateways, each an anchor of its own.
    pub issuers: Vec<CertificateDer<'static>>,
    /// A revocation list for each issuer, in DER.
    pub crls: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("issuers", &self.issuers.len()).finish_non_exhaustive()
    }
}

/// The listener's end. A client with a certificate that has expired, was revoked or came from
/// elsewhere, or whose issuer's revocation list is missing or too old, does not get in. One
/// without a certificate does: an EST client asks for the authorities before it has one (RFC 7030
/// section 4.1.1). All else the listener's router keeps from it.
///
/// # Errors
/// Where a part cannot be used.
pub fn listener(parts: &Listening, clock: Arc<dyn Clock>) -> Result<ServerConfig, TlsProblem> {
    let mut roots = RootCertStore::empty();
    for issuer in &parts.issuers {
        roots.add(issuer.clone())?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .with_crls(parts.crls.iter().map(|der| der.clone().into()))
        .only_check_end_entity_revocation()
        .enforce_revocation_expiration()
        .allow_unauthenticated()
        .build()?;
    let chain = CertificateDer::pem_slice_iter(parts.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(parts.key.expose_secret().as_bytes())?;
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(ByClock(clock)))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    // A session taken up again would not be looked up in the revocation list again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The gateway's end: it shows its certificate, and trusts the authorities of its bundle only.
///
/// # Errors
/// Where the bundle cannot be used.
pub fn gateway(bundle: &Bundle, clock: Arc<dyn Clock>) -> Result<ClientConfig, TlsProblem> {
    let mut roots = RootCertStore::empty();
    for authority in bundle.authorities() {
        roots.add(authority.clone())?;
    }
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(ByClock(clock)))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![bundle.certificate().clone()], bundle.key())?;
    config.resumption = Resumption::disabled();
    Ok(config)
}
