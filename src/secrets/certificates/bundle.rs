//! What a gateway keeps on its disk, and what is handed over when it is down: its key, its
//! certificate and the authorities it trusts, as one PEM text.

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};

use super::authority::{certificates, parse, pem_of, validity_of};
use super::{Serial, Validity, serial_text};

/// A gateway's identity.
pub struct Bundle {
    key: PrivateKeyDer<'static>,
    /// The gateway's certificate first, then the authorities.
    chain: Vec<CertificateDer<'static>>,
    /// The name in the certificate.
    pub gateway_id: String,
    /// The serial number of the certificate.
    pub serial: Serial,
    /// From when to when it holds.
    pub validity: Validity,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle")
            .field("gateway_id", &self.gateway_id)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// Why a text is not a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleProblem {
    /// There is no private key in it.
    #[error("there is no private key in the bundle (PEM, PKCS#8)")]
    NoKey,
    /// There is no certificate in it.
    #[error("there is no certificate in the bundle (PEM)")]
    NoCertificate,
    /// There is nothing to check the server with.
    #[error("the authority's certificate is missing from the bundle")]
    NoAuthority,
    /// The key belongs to another certificate.
    #[error("the private key is not the one of the certificate")]
    OtherKey,
    /// The certificate has no name.
    #[error("the certificate does not say which gateway it is for")]
    NoName,
}

impl Bundle {
    /// Puts a bundle together.
    #[must_use]
    pub fn write(key_pem: &SecretString, certificate: &str, authorities: &str) -> SecretString {
        let part = |text: &str| format!("{}\n", text.trim_end());
        SecretString::from(format!(
            "{}{}{}",
            part(key_pem.expose_secret()),
            part(certificate),
            part(authorities)
        ))
    }

    /// Reads a bundle, wherever in `text` its parts stand: what is around them is not looked at.
    ///
    /// # Errors
    /// What is missing from it, or does not belong together.
    pub fn read(text: &SecretString) -> Result<Self, BundleProblem> {
        let text = text.expose_secret();
        let key =
            PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| BundleProblem::NoKey)?;
        let chain = certificates(text).map_err(|_| BundleProblem::NoCertificate)?;
        if chain.len() < 2 {
            return Err(BundleProblem::NoAuthority);
        }
        let leaf = parse(&chain[0]).map_err(|_| BundleProblem::NoCertificate)?;
        let pair = KeyPair::try_from(&key).map_err(|_| BundleProblem::NoKey)?;
        if leaf.public_key().subject_public_key.data.as_ref() != pair.der_bytes() {
            return Err(BundleProblem::OtherKey);
        }
        let gateway_id = leaf
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .ok_or(BundleProblem::NoName)?
            .to_owned();
        let serial = serial_text(leaf.raw_serial());
        let validity = validity_of(&leaf);
        Ok(Self { key, chain, gateway_id, serial, validity })
    }

    /// The same bundle without what stood around it.
    #[must_use]
    pub fn to_pem(&self) -> SecretString {
        let key = SecretString::from(pem_of("PRIVATE KEY", self.key.secret_der()));
        let chain: Vec<String> = self.chain.iter().map(|der| pem_of("CERTIFICATE", der)).collect();
        let (leaf, authorities) = chain.split_at(1);
        Self::write(&key, &leaf.concat(), &authorities.concat())
    }

    /// The key, for a connection.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// The gateway's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        // `read` saw that there are at least two.
        &self.chain[0]
    }

    /// The authorities whose word on the server counts.
    #[must_use]
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.chain[1..]
    }
}
