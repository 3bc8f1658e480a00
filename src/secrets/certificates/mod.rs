//! Gateway certificates: the deployment's certificate authority, what it issues, and what it
//! refuses to. Nothing here knows of a database, a network or a clock.
//!
//! A gateway's certificate is a client certificate and nothing more (RFC 5280): not an authority,
//! `digitalSignature` and `clientAuth` only, its own name. From a request (RFC 2986) only the
//! public key is taken.

mod authority;
mod bundle;
pub mod est;
mod request;

#[cfg(test)]
pub(crate) mod openssl;
#[cfg(test)]
mod tests;

pub use authority::{Authority, Leaf, Reason, Revoked, Validity, pem_of};
pub use bundle::{Bundle, BundleProblem};
pub use request::{Judged, RequestProblem, judge, key_hash};

use rand::{CryptoRng, RngCore};

use crate::model::{Micros, time};

/// How long a gateway's certificate lives: 90 days.
pub const LIFE: Micros = 90 * time::DAY;

/// How far back a certificate begins, for gateways whose clock is behind.
pub const BACKDATED: Micros = 5 * time::MINUTE;

/// When to warn that a certificate ends, in days before it does.
pub const WARN_DAYS: [i64; 4] = [30, 14, 7, 1];

/// Why the authority could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// What was read as a chain holds no certificate.
    #[error("the chain holds no certificate: it is PEM, the issuing certificate first")]
    NoCertificate,
    /// A text that is not what it should be.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// What was read.
        what: &'static str,
        /// Why it cannot be.
        why: String,
    },
    /// A chain and key that cannot issue certificates for gateways.
    #[error("{0}")]
    NotAnAuthority(String),
    /// The library refused to sign.
    #[error("signing: {0}")]
    Signing(String),
}

/// The serial number of a certificate as `openssl x509 -serial` prints it: upper-case hexadecimal.
pub type Serial = String;

/// 16 random bytes, positive and without zeros at the front (RFC 5280 section 4.1.2.2 allows 20).
fn new_serial(rng: &mut (impl RngCore + CryptoRng)) -> [u8; 16] {
    let mut serial = [0; 16];
    rng.fill_bytes(&mut serial);
    serial[0] = (serial[0] & 0x7f) | 0x40;
    serial
}

/// A serial number as people and `openssl` write it.
#[must_use]
pub fn serial_text(bytes: &[u8]) -> Serial {
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

/// The serial number of a certificate in DER.
#[must_use]
pub fn serial_of(der: &[u8]) -> Option<Serial> {
    let (rest, x509) = x509_parser::parse_x509_certificate(der).ok()?;
    rest.is_empty().then(|| serial_text(x509.raw_serial()))
}

/// The URI in a gateway's certificate that says whose it is.
#[must_use]
pub fn gateway_uri(gateway_id: &str) -> String {
    format!("urn:keyturn:gateway:{gateway_id}")
}

fn offset(at: Micros) -> ::time::OffsetDateTime {
    ::time::OffsetDateTime::from_unix_timestamp(at / time::SECOND)
        .unwrap_or(::time::OffsetDateTime::UNIX_EPOCH)
}
