//! The certificate authority: made here once, or the operator's own intermediate.

use std::sync::Arc;

use rand::{CryptoRng, RngCore};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData, RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use secrecy::{ExposeSecret, SecretString};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{BACKDATED, CertificateError, Serial, gateway_uri, new_serial, offset, serial_text};
use crate::model::{Micros, time};

/// How long the deployment's own authority lives: ten years.
const AUTHORITY_LIFE: Micros = 3650 * time::DAY;

/// How long the listener's own certificate lives. It is made anew at each start and each day.
const SERVER_LIFE: Micros = 30 * time::DAY;

/// The longest chain that is taken.
const MOST_IN_CHAIN: usize = 6;

/// From when to when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first instant.
    pub not_before: Micros,
    /// The last instant.
    pub not_after: Micros,
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its serial number.
    pub serial: Serial,
    /// From when to when it holds: what was asked for, within the authority's own.
    pub validity: Validity,
    /// The certificate in PEM.
    pub pem: String,
}

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A newer one took its place.
    Superseded,
    /// Its key may have leaked.
    KeyCompromise,
    /// It was issued and never used.
    NeverUsed,
}

impl Reason {
    /// The word that is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::KeyCompromise => "key_compromise",
            Self::NeverUsed => "never_used",
        }
    }

    /// The reason of a stored word; one that nobody knows is read as the gravest.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "superseded" => Self::Superseded,
            "never_used" => Self::NeverUsed,
            _ => Self::KeyCompromise,
        }
    }
}

/// A certificate that must not be accepted any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Which.
    pub serial: Serial,
    /// Since when.
    pub at: Micros,
    /// Why.
    pub reason: Reason,
}

/// An authority with its key.
pub struct Authority {
    /// The issuing certificate first, then those above it.
    chain: Vec<CertificateDer<'static>>,
    validity: Validity,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("validity", &self.validity).finish_non_exhaustive()
    }
}

fn signing(e: rcgen::Error) -> CertificateError {
    CertificateError::Signing(e.to_string())
}

fn unreadable(what: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> CertificateError {
    move |why| CertificateError::Unreadable { what, why: why.to_string() }
}

fn not_an_authority(why: impl Into<String>) -> CertificateError {
    CertificateError::NotAnAuthority(why.into())
}

impl Authority {
    /// Makes an authority for a deployment that goes by `name`. The key is drawn by the library's
    /// own generator, the operating system's.
    ///
    /// # Errors
    /// Where the library cannot make one.
    pub fn create(
        name: &str,
        now: Micros,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, CertificateError> {
        let key = KeyPair::generate().map_err(signing)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Keyturn gateway authority of {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(SerialNumber::from_slice(&new_serial(rng)));
        params.not_before = offset(now - BACKDATED);
        params.not_after = offset(now + AUTHORITY_LIFE);
        let der = params.self_signed(&key).map_err(signing)?.der().clone();
        Self::assemble(vec![der], key)
    }

    /// Puts an authority together again from what was kept: nothing is checked but that the parts
    /// can be read and belong together.
    ///
    /// # Errors
    /// Where they cannot, or do not.
    pub fn open(chain_pem: &str, key_pem: &SecretString) -> Result<Self, CertificateError> {
        let chain = certificates(chain_pem)?;
        let key = KeyPair::from_pem(key_pem.expose_secret()).map_err(|e| {
            unreadable("the key")(&format!(
                "{e}; it is PKCS#8 without a passphrase (`openssl pkcs8 -topk8 -nocrypt`), \
                 EC P-256, P-384, Ed25519, or RSA of at least 2048 bits"
            ))
        })?;
        Self::assemble(chain, key)
    }

    fn assemble(
        chain: Vec<CertificateDer<'static>>,
        key: KeyPair,
    ) -> Result<Self, CertificateError> {
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        let x509 = parse(first)?;
        if x509.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(not_an_authority(
                "the key is not the one of the chain's first certificate: the issuing \
                 certificate comes first",
            ));
        }
        let validity = validity_of(&x509);
        let issuer = Issuer::from_ca_cert_der(first, key).map_err(signing)?;
        Ok(Self { chain, validity, issuer })
    }

    /// Takes an operator's own authority, and checks that gateways' certificates can come from
    /// it: it is an authority, may sign certificates and revocation lists, holds now, each
    /// certificate of the chain is signed by the next, and what it issues is accepted.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn import(
        chain_pem: &str,
        key_pem: &SecretString,
        now: Micros,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, CertificateError> {
        let chain = certificates(chain_pem)?;
        let parsed = chain.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        for (nth, x509) in parsed.iter().enumerate() {
            let which = format!("certificate {} of the chain", nth + 1);
            let ca = x509.basic_constraints().ok().flatten().is_some_and(|bc| bc.value.ca);
            if !ca {
                return Err(not_an_authority(format!(
                    "{which} is not an authority (basicConstraints CA:TRUE is missing)"
                )));
            }
            let usage = x509.key_usage().ok().flatten();
            if usage.as_ref().is_none_or(|u| !u.value.key_cert_sign()) {
                return Err(not_an_authority(format!(
                    "{which} may not sign certificates (keyUsage keyCertSign is missing)"
                )));
            }
            if nth == 0 && usage.is_none_or(|u| !u.value.crl_sign()) {
                return Err(not_an_authority(
                    "the issuing certificate may not sign revocation lists (keyUsage cRLSign is \
                     missing)",
                ));
            }
            if let Ok(Some(purposes)) = x509.extended_key_usage()
                && !(purposes.value.any
                    || (purposes.value.client_auth && purposes.value.server_auth))
            {
                return Err(not_an_authority(format!(
                    "{which} is limited to other purposes (extendedKeyUsage has to allow \
                     clientAuth and serverAuth, or be absent)"
                )));
            }
            let validity = validity_of(x509);
            if now > validity.not_after {
                return Err(not_an_authority(format!(
                    "{which} has expired at {}",
                    time::seconds(validity.not_after)
                )));
            }
            if now < validity.not_before {
                return Err(not_an_authority(format!(
                    "{which} holds only from {}",
                    time::seconds(validity.not_before)
                )));
            }
            if let Some(above) = parsed.get(nth + 1)
                && (x509.issuer() != above.subject()
                    || x509.verify_signature(Some(above.public_key())).is_err())
            {
                return Err(not_an_authority(format!(
                    "{which} is not signed by the next one: the issuing certificate comes first, \
                     then the one above it, and so on"
                )));
            }
        }
        let authority = Self::open(chain_pem, key_pem)?;
        authority.try_out(now, rng)?;
        Ok(authority)
    }

    /// Issues a certificate and a revocation list to nobody, and checks both as the listener
    /// would: constraints on names or usages in the operator's certificate show here and not at
    /// the first gateway.
    fn try_out(
        &self,
        now: Micros,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(), CertificateError> {
        let refused = |e: &dyn std::fmt::Display| {
            not_an_authority(format!("what this authority issues is not accepted: {e}"))
        };
        let key = KeyPair::generate().map_err(signing)?;
        let leaf = self.issue("gw_trial", &key, now, now + time::DAY, rng)?;
        let crl = self.crl(&[], now, now + time::DAY)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(self.anchor()?),
            Arc::new(rustls::crypto::ring::default_provider()),
        )
        .with_crls([crl.into()])
        .only_check_end_entity_revocation()
        .enforce_revocation_expiration()
        .build()
        .map_err(|e| refused(&e))?;
        let at = std::time::Duration::from_secs((now / time::SECOND).unsigned_abs());
        let der = CertificateDer::from_pem_slice(leaf.pem.as_bytes()).map_err(|e| refused(&e))?;
        verifier
            .verify_client_cert(&der, &[], UnixTime::since_unix_epoch(at))
            .map_err(|e| refused(&e))?;
        Ok(())
    }

    /// The issuing certificate as the one anchor of trust: what another authority below the same
    /// root issues is not accepted.
    fn anchor(&self) -> Result<RootCertStore, CertificateError> {
        let mut roots = RootCertStore::empty();
        let first = self.chain.first().ok_or(CertificateError::NoCertificate)?;
        roots
            .add(first.clone())
            .map_err(|e| not_an_authority(format!("the issuing certificate: {e}")))?;
        Ok(roots)
    }

    /// From when to when the issuing certificate holds.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The issuing certificate, and those above it, in PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|der| pem_of("CERTIFICATE", der)).collect()
    }

    /// The issuing certificate.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.chain.first()
    }

    /// The key in PKCS#8 PEM, to be sealed.
    #[must_use]
    pub fn key_pem(&self) -> SecretString {
        SecretString::from(self.issuer.key().serialize_pem())
    }

    /// Issues a gateway's certificate for `key`: a client certificate of its own name. It never
    /// outlives the authority.
    ///
    /// # Errors
    /// Where the library does not sign.
    pub fn issue(
        &self,
        gateway_id: &str,
        key: &impl PublicKeyData,
        from: Micros,
        until: Micros,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Leaf, CertificateError> {
        let uri = gateway_uri(gateway_id);
        let san = SanType::URI(uri.as_str().try_into().map_err(signing)?);
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.sign(gateway_id, vec![san], usage, key, from, until, rng)
    }

    /// Issues the listener's own certificate, with a new key, for the names it is reached under.
    ///
    /// # Errors
    /// Where a name cannot stand in a certificate.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Micros,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(Leaf, SecretString), CertificateError> {
        let key = KeyPair::generate().map_err(signing)?;
        let sans = names
            .iter()
            .map(|name| match name.parse() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => name.as_str().try_into().map(SanType::DnsName).map_err(signing),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let name = names.first().map_or("keyturn", String::as_str);
        let (from, until) = (now - BACKDATED, now + SERVER_LIFE);
        let leaf = self.sign(name, sans, usage, &key, from, until, rng)?;
        Ok((leaf, SecretString::from(key.serialize_pem())))
    }

    #[allow(clippy::too_many_arguments, reason = "a certificate is these seven things")]
    fn sign(
        &self,
        name: &str,
        sans: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        key: &impl PublicKeyData,
        from: Micros,
        until: Micros,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Leaf, CertificateError> {
        let serial = new_serial(rng);
        let validity = Validity {
            not_before: from.max(self.validity.not_before),
            not_after: until.min(self.validity.not_after),
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = sans;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = offset(validity.not_before);
        params.not_after = offset(validity.not_after);
        let certificate = params.signed_by(key, &self.issuer).map_err(signing)?;
        Ok(Leaf { serial: serial_text(&serial), validity, pem: certificate.pem() })
    }

    /// The revocation list (RFC 5280 section 5), in DER. Its number is the time it was made, so
    /// that a later one has a higher number whichever instance made it.
    ///
    /// # Errors
    /// Where the library does not sign.
    pub fn crl(
        &self,
        revoked: &[Revoked],
        now: Micros,
        until: Micros,
    ) -> Result<Vec<u8>, CertificateError> {
        let revoked_certs = revoked
            .iter()
            .map(|r| RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial_bytes(&r.serial)),
                revocation_time: offset(r.at),
                reason_code: Some(match r.reason {
                    Reason::Superseded => RevocationReason::Superseded,
                    Reason::KeyCompromise => RevocationReason::KeyCompromise,
                    Reason::NeverUsed => RevocationReason::CessationOfOperation,
                }),
                invalidity_date: None,
            })
            .collect();
        let list = CertificateRevocationListParams {
            this_update: offset(now - BACKDATED),
            next_update: offset(until),
            crl_number: SerialNumber::from_slice(&now.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer).map_err(signing)?.der().to_vec())
    }
}

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
        Ok((rest, x509)) if rest.is_empty() => Ok(x509),
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

fn serial_bytes(serial: &str) -> Vec<u8> {
    (0..serial.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(serial.get(at..at + 2)?, 16).ok())
        .collect()
}
