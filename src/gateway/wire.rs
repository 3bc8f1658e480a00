//! What gateways and the listener say to each other: JSON over mutual TLS.

use serde::{Deserialize, Serialize};

/// Where a gateway beats.
pub const HEARTBEAT: &str = "/gateway/v1/heartbeat";
/// Where it re-enrols.
pub const REENROL: &str = "/gateway/v1/reenrol";
/// Where the revocation list is.
pub const CRL: &str = "/gateway/v1/crl";
/// The authorities' certificates (RFC 7030 section 4.1).
pub const EST_CACERTS: &str = "/.well-known/est/cacerts";
/// What a request for a certificate should have (RFC 7030 section 4.5).
pub const EST_CSRATTRS: &str = "/.well-known/est/csrattrs";
/// Re-enrolment (RFC 7030 section 4.2.2).
pub const EST_REENROL: &str = "/.well-known/est/simplereenroll";

/// A beat.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Beat {
    /// Which agent it is, and of which version.
    pub agent: String,
}

/// The answer to a beat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeatAnswer {
    /// The gateway's id.
    pub gateway_id: String,
    /// The serial number of the certificate that the beat came with.
    pub serial: String,
    /// When that certificate ends, RFC 3339.
    pub expires_at: String,
    /// When to beat again, in seconds.
    pub interval_seconds: u64,
    /// Whether to re-enrol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reenrol: Option<Order>,
}

/// To re-enrol.
#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    /// What the request has to carry, once.
    pub nonce: String,
    /// Until when, RFC 3339.
    pub deadline: String,
}

// Whoever has the nonce needs the gateway's certificate too; it is kept out of logs all the same.
impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// A request for a new certificate.
#[derive(Clone, Serialize, Deserialize)]
pub struct Reenrol {
    /// The certificate request (RFC 2986) in PEM.
    pub request: String,
    /// The nonce of the order.
    pub nonce: String,
}

impl std::fmt::Debug for Reenrol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reenrol")
    }
}

/// A new certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolled {
    /// Its serial number.
    pub serial: String,
    /// The certificate in PEM.
    pub certificate: String,
    /// The authorities to trust, in PEM.
    pub authorities: String,
}

/// Why the listener refuses, as problem details (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong, in a few words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What to do.
    pub detail: String,
}
