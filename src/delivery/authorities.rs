//! Authorities of one's own: what is outside may have a certificate that no public authority
//! issued.

use lettre::transport::smtp::client::{Certificate as MailCertificate, Tls, TlsParameters};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Why authorities cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthoritiesProblem {
    /// There is no certificate in the text.
    #[error("it has no certificate in PEM")]
    Empty,
    /// A certificate in it cannot be read.
    #[error("certificate {0} of it cannot be read")]
    Unreadable(usize),
}

/// The authorities that count besides the public ones; none by default.
#[derive(Debug, Clone, Default)]
pub struct Authorities {
    all: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads certificates in PEM, each an authority.
    ///
    /// # Errors
    /// Where there is none, or one of them cannot be an authority to anybody.
    pub fn read(pem: &[u8]) -> Result<Self, AuthoritiesProblem> {
        let mut all = Vec::new();
        for (nth, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let unreadable = AuthoritiesProblem::Unreadable(nth + 1);
            let certificate = certificate.map_err(|_| unreadable.clone())?;
            rustls::RootCertStore::empty().add(certificate.clone()).map_err(|_| unreadable)?;
            all.push(certificate);
        }
        if all.is_empty() { Err(AuthoritiesProblem::Empty) } else { Ok(Self { all }) }
    }

    /// A client of HTTP that trusts them too.
    pub(super) fn client(&self) -> reqwest::ClientBuilder {
        // What was read above is read again here; one that this could not read would not be trusted.
        let roots = self.all.iter().filter_map(|der| reqwest::Certificate::from_der(der).ok());
        roots.fold(reqwest::Client::builder(), reqwest::ClientBuilder::add_root_certificate)
    }

    /// How a mail server at this address is spoken to; nothing where that is as the address alone
    /// says.
    pub(super) fn mail(&self, address: &str) -> Option<Tls> {
        let url = url::Url::parse(address).ok()?;
        if self.all.is_empty() {
            return None;
        }
        let wanted = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, how)| how);
        let parameters = || {
            let builder = TlsParameters::builder(url.host_str()?.to_owned());
            let roots =
                self.all.iter().filter_map(|der| MailCertificate::from_der(der.to_vec()).ok());
            roots.fold(builder, |b, root| b.add_root_certificate(root)).build_rustls().ok()
        };
        match (url.scheme(), wanted.as_deref()) {
            ("smtps", _) => parameters().map(Tls::Wrapper),
            ("smtp", Some("required")) => parameters().map(Tls::Required),
            ("smtp", Some("opportunistic")) => parameters().map(Tls::Opportunistic),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sinks::TestAuthority;

    #[test]
    fn a_file_of_authorities_is_read_wholly_or_not_at_all() {
        let (one, two) = (TestAuthority::new().pem, TestAuthority::new().pem);
        assert_eq!(Authorities::read(one.as_bytes()).unwrap().all.len(), 1);
        assert_eq!(Authorities::read(format!("{one}\n{two}").as_bytes()).unwrap().all.len(), 2);
        let broken =
            format!("{one}-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n");
        for (text, why) in [
            ("", AuthoritiesProblem::Empty),
            ("no PEM", AuthoritiesProblem::Empty),
            (broken.as_str(), AuthoritiesProblem::Unreadable(2)),
        ] {
            assert_eq!(Authorities::read(text.as_bytes()).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn mail_stays_as_safe_as_its_address_says() {
        let own = Authorities::read(TestAuthority::new().pem.as_bytes()).unwrap();
        assert!(matches!(own.mail("smtps://u:p@mail.example"), Some(Tls::Wrapper(_))));
        assert!(matches!(own.mail("smtp://mail.example:587?tls=required"), Some(Tls::Required(_))));
        assert!(own.mail("smtp://127.0.0.1:2525").is_none());
        assert!(Authorities::default().mail("smtps://mail.example").is_none());
    }
}
