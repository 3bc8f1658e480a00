//! What a gateway asks for (a PKCS#10 request, RFC 2986), and what of it counts.

use base64::Engine as _;
use rcgen::SubjectPublicKeyInfo;
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::gateway_uri;

/// The longest request that is read.
const LONGEST: usize = 16 * 1024;

/// A request that was found good: the public key, and nothing else of it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The key that the certificate is for.
    pub key: SubjectPublicKeyInfo,
    /// SHA-256 of the key, by which one that was used before is known again.
    pub key_hash: String,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum RequestProblem {
    /// Too long to be one.
    TooLong,
    /// Not a PKCS#10 request.
    Unreadable,
    /// The key is too short, or of a kind that is not accepted.
    WeakKey,
    /// Whoever made the request does not hold the key.
    BadSignature,
    /// The request names somebody else.
    OtherName,
}

impl RequestProblem {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "A certificate request has at most 16 KiB.",
            Self::Unreadable => {
                "This is not a certificate request: send PKCS#10, in PEM or in base64."
            }
            Self::WeakKey => {
                "The key is too weak: use EC P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits."
            }
            Self::BadSignature => "The certificate request is not signed by its own key.",
            Self::OtherName => {
                "The certificate request names another than the gateway that sends it."
            }
        }
    }
}

/// Judges the request of `gateway_id`, in PEM, DER, or base64 of DER (RFC 7030 section 4.2.1).
///
/// What it asks for beyond a key (the rights of an authority, usages, a longer life) is not
/// looked at: the certificate never has it. A name that is not the gateway's own is refused.
///
/// # Errors
/// What is wrong with it.
pub fn judge(request: &[u8], gateway_id: &str) -> Result<Judged, RequestProblem> {
    if request.len() > LONGEST {
        return Err(RequestProblem::TooLong);
    }
    let der = der_of(request).ok_or(RequestProblem::Unreadable)?;
    let (rest, csr) =
        X509CertificationRequest::from_der(&der).map_err(|_| RequestProblem::Unreadable)?;
    if !rest.is_empty() {
        return Err(RequestProblem::Unreadable);
    }
    let info = &csr.certification_request_info;
    // The key before the signature: a weak key's signature cannot be checked here at all.
    match info.subject_pki.parsed() {
        Ok(PublicKey::EC(point)) if matches!(point.key_size(), 256 | 384) => {}
        Ok(PublicKey::RSA(rsa)) if (2048..=8192).contains(&rsa.key_size()) => {}
        // Ed25519 (RFC 8410) has no parameters and exactly 32 bytes.
        _ if info.subject_pki.algorithm.algorithm.to_id_string() == "1.3.101.112"
            && info.subject_pki.subject_public_key.data.len() == 32 => {}
        _ => return Err(RequestProblem::WeakKey),
    }
    // Also a kind of curve that the library does not know is refused here.
    let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
        .map_err(|_| RequestProblem::WeakKey)?;
    csr.verify_signature().map_err(|_| RequestProblem::BadSignature)?;

    for attribute in info.subject.iter_attributes() {
        let own = attribute.as_str().is_ok_and(|name| name == gateway_id);
        let is_name = attribute.attr_type() == &x509_parser::oid_registry::OID_X509_COMMON_NAME;
        if is_name && !own {
            return Err(RequestProblem::OtherName);
        }
    }
    let uri = gateway_uri(gateway_id);
    for extension in csr.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension {
            let own = |name: &GeneralName<'_>| match name {
                GeneralName::URI(text) => *text == uri,
                GeneralName::DNSName(text) => *text == gateway_id,
                _ => false,
            };
            if !names.general_names.iter().all(own) {
                return Err(RequestProblem::OtherName);
            }
        }
    }
    Ok(Judged { key_hash: key_hash(info.subject_pki.raw), key })
}

/// SHA-256 of a public key (the DER of its SubjectPublicKeyInfo), in hexadecimal.
#[must_use]
pub fn key_hash(spki: &[u8]) -> String {
    Sha256::digest(spki).iter().map(|b| format!("{b:02x}")).collect()
}

fn der_of(request: &[u8]) -> Option<Vec<u8>> {
    if let Ok(der) = CertificateSigningRequestDer::from_pem_slice(request) {
        return Some(der.to_vec());
    }
    if request.first() == Some(&0x30) {
        return Some(request.to_vec());
    }
    let text: Vec<u8> = request.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
