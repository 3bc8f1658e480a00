//! Enrolment over Secure Transport (RFC 7030): what its answers look like.
//!
//! Certificates come in a CMS message without content or signers ("certs-only", RFC 5751 section
//! 3.2.2 and RFC 5652 section 5), in DER, in base64. That message has one shape, written out here.

use base64::Engine as _;

use super::CertificateError;
use super::pem::certificates;

/// The media type of certificates.
pub const CERTIFICATES: &str = "application/pkcs7-mime; smime-type=certs-only";

/// The media type of what a request should have.
pub const ATTRIBUTES: &str = "application/csrattrs";

/// The media type of a request.
pub const REQUEST: &str = "application/pkcs10";

const SIGNED_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];

/// How long a line of base64 may be for OpenSSL, whose reader takes the first kilobyte at a time.
const LONGEST_LINE: usize = 1_000;

/// The certificates of a PEM text as a certs-only message, in base64. What is short is one line,
/// and what is long has lines of 64: RFC 8951 section 3.1 leaves it to the sender and wants
/// receivers to bear both. But strongSwan's client bears no line break, and libest and
/// `openssl base64 -d` no line over a kilobyte.
///
/// # Errors
/// Where there is no certificate in the text.
pub fn certs_only(pem: &str) -> Result<String, CertificateError> {
    let body = base64::engine::general_purpose::STANDARD.encode(message(pem)?);
    if body.len() <= LONGEST_LINE {
        return Ok(body);
    }
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 1);
    for (nth, c) in body.chars().enumerate() {
        if nth > 0 && nth % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text.push('\n');
    Ok(text)
}

const EC_PUBLIC_KEY: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ECDSA_WITH_SHA256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// What a request should have (RFC 7030 section 4.5.2), in base64: a P-256 key, and a signature
/// with SHA-256. Others that are strong enough are taken as well.
#[must_use]
pub fn wanted_attributes() -> String {
    let key = element(0x30, &[&EC_PUBLIC_KEY[..], &element(0x31, &[&P256])]);
    let all = element(0x30, &[&key[..], &ECDSA_WITH_SHA256]);
    format!("{}\n", base64::engine::general_purpose::STANDARD.encode(all))
}

fn message(pem: &str) -> Result<Vec<u8>, CertificateError> {
    let all: Vec<u8> = certificates(pem)?.iter().flat_map(|der| der.to_vec()).collect();
    let signed = element(
        0x30,
        &[
            &[0x02, 0x01, 0x01][..],
            // No digests, …
            &[0x31, 0x00],
            // … no content, …
            &element(0x30, &[&DATA]),
            &element(0xa0, &[&all]),
            // … no signers.
            &[0x31, 0x00],
        ],
    );
    Ok(element(0x30, &[&SIGNED_DATA, &element(0xa0, &[&signed])]))
}

/// One DER element (X.690 section 8.1): tag, length, contents.
fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let first = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len() - 1);
            let digits = &bytes[first..];
            // At most eight digits: the number of them fits beside the flag.
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
            out.extend_from_slice(digits);
        }
    }
    contents.iter().for_each(|part| out.extend_from_slice(part));
    out
}
