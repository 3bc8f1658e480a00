//! Certificates and serial numbers as texts.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::CertificateError;
use super::authority::{Validity, not_an_authority, unreadable};
use crate::model::time;

/// The longest chain that is taken.
const MOST_IN_CHAIN: usize = 6;

/// DER in PEM, as `openssl` writes it.
#[must_use]
pub fn pem_of(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Every certificate in a PEM text, in its order.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| unreadable("the chain")(&e))?;
    match found.len() {
        0 => Err(CertificateError::NoCertificate),
        n if n > MOST_IN_CHAIN => {
            Err(not_an_authority(format!("a chain has at most {MOST_IN_CHAIN} certificates")))
        }
        _ => Ok(found),
    }
}

pub(super) fn parse<'a>(
    der: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], x509)) => Ok(x509),
        Ok(_) => Err(unreadable("a certificate")(&"there is something after its end")),
        Err(e) => Err(unreadable("a certificate")(&e)),
    }
}

pub(super) fn validity_of(x509: &X509Certificate<'_>) -> Validity {
    let at = |t: x509_parser::time::ASN1Time| t.timestamp().saturating_mul(time::SECOND);
    Validity {
        not_before: at(x509.validity().not_before),
        not_after: at(x509.validity().not_after),
    }
}

pub(super) fn serial_bytes(serial: &str) -> Vec<u8> {
    (0..serial.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(serial.get(at..at + 2)?, 16).ok())
        .collect()
}
