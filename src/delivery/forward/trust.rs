//! Whom a sink is believed to be, and as whom we come.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};

use super::SinkProblem;

/// What decides about a TLS connection to a sink.
#[derive(Debug, Default)]
pub struct Trust {
    /// The certificates of the authorities that count, in PEM; the public ones where absent.
    pub authorities: Option<Vec<u8>>,
    /// Further ones that count, in PEM, where only the public ones would.
    pub besides: Option<Vec<u8>>,
    /// Our certificate with its chain, and its key, both in PEM.
    pub identity: Option<(Vec<u8>, SecretString)>,
}

impl Trust {
    /// The settings of a client.
    ///
    /// # Errors
    /// Where a certificate or the key cannot be read.
    pub fn client(&self) -> Result<ClientConfig, SinkProblem> {
        let wrong = |what: &str, e: &dyn std::fmt::Display| SinkProblem(format!("{what}: {e}"));
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            None => {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                for certificate in
                    CertificateDer::pem_slice_iter(self.besides.as_deref().unwrap_or_default())
                {
                    let certificate = certificate.map_err(|e| wrong("ca_file", &e))?;
                    roots.add(certificate).map_err(|e| wrong("ca_file", &e))?;
                }
            }
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|e| wrong("forward_ca_file", &e))?;
                    roots.add(certificate).map_err(|e| wrong("forward_ca_file", &e))?;
                }
            }
        }
        if roots.is_empty() {
            return Err(SinkProblem("forward_ca_file has no certificate".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong("TLS", &e))?
            .with_root_certificates(roots);
        let Some((chain, key)) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| wrong("forward_client_cert_file", &e))?;
        // What cannot be read of a key is not repeated.
        let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
            .map_err(|_| SinkProblem("forward_client_key_file has no key in PEM".to_owned()))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|e| wrong("forward_client_cert_file and forward_client_key_file", &e))
    }
}
