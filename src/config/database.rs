//! How the database is reached. What goes over a network is encrypted, and to the server that is
//! meant: whoever stands between could read and write what everything here rests on.

use std::net::IpAddr;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Why this address of a PostgreSQL database is not used, if it is not. Nothing secret is said.
#[must_use]
pub fn unsafe_over_a_network(url: &str) -> Option<String> {
    if !is_postgres(url) {
        return None;
    }
    // What cannot be read as an address is said by whoever connects.
    let options: PgConnectOptions = url.parse().ok()?;
    let host = options.get_host();
    if options.get_socket().is_some() || host.starts_with('/') || stays_here(host) {
        return None;
    }
    if matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
        return None;
    }
    Some(format!(
        "the database at {host}:{} is reached over a network, and who answers there has to prove \
         who it is: add sslmode=verify-full to database_url (postgres://…/keyturn?sslmode=verify-full), \
         and where the server's certificate is of an authority of your own, database_ca_file",
        options.get_port()
    ))
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn stays_here(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// The settings `database_url` and `database_ca_file` as one address.
pub(super) fn read(
    text: &dyn Fn(&str) -> Option<String>,
    wrong: &mut Vec<String>,
) -> Option<SecretString> {
    let url = text("database_url");
    let authority = text("database_ca_file");
    let Some(url) = url else {
        if authority.is_some() {
            wrong.push("database_ca_file is for a database_url of PostgreSQL".to_owned());
        }
        return None;
    };
    if !is_postgres(&url) && !url.starts_with("sqlite:") {
        wrong.push("database_url begins with postgres:// or sqlite:".to_owned());
        return None;
    }
    wrong.extend(unsafe_over_a_network(&url));
    let Some(file) = authority else { return Some(url.into()) };
    match with_authority(&url, Path::new(&file)) {
        Ok(url) => Some(url),
        Err(why) => {
            wrong.push(format!("database_ca_file {why}"));
            None
        }
    }
}

/// The address, with the authorities in this file counting for the server.
fn with_authority(url: &str, file: &Path) -> Result<SecretString, String> {
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    if !is_postgres(url) {
        return Err("is for a database_url of PostgreSQL".to_owned());
    }
    if ["sslrootcert=", "ssl-root-cert=", "ssl-ca="].iter().any(|name| url.contains(name)) {
        return Err("and sslrootcert in database_url say the same: leave one out".to_owned());
    }
    let certificates = CertificateDer::pem_file_iter(file).map_err(|e| named(&e))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|e| named(&e))?;
    if certificates.is_empty() {
        return Err(named(&"there is no certificate in it (PEM)"));
    }
    let file = file.to_str().ok_or_else(|| named(&"its name is no text"))?;
    let file: String = url::form_urlencoded::byte_serialize(file.as_bytes()).collect();
    let sign = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{sign}sslrootcert={file}").into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_may_go_without() {
        for url in [
            "postgres://a:hunter2@127.0.0.1/k",
            "postgres://a@127.3.2.1:6000/k?sslmode=disable",
            "postgresql://a@[::1]/k",
            "postgres://a@localhost/k?sslmode=prefer",
            "postgres:///k?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/k",
            "sqlite:data/keyturn.db",
            "postgres://a:hunter2@db.example/k?sslmode=verify-full",
            "postgres://a@192.0.2.1/k?application_name=x&ssl-mode=verify-full",
        ] {
            assert_eq!(unsafe_over_a_network(url), None, "{url}");
        }
        for (url, place) in [
            ("postgres://a:hunter2@db.example/k", "db.example:5432"),
            ("postgres://a:hunter2@db.example:6000/k?sslmode=disable", "db.example:6000"),
            ("postgres://a:hunter2@db.example/k?sslmode=prefer", "db.example"),
            ("postgres://a:hunter2@db.example/k?sslmode=require", "db.example"),
            ("postgres://a:hunter2@db.example/k?sslmode=verify-ca", "db.example"),
            ("postgres://a:hunter2@192.0.2.1/k", "192.0.2.1:5432"),
            ("postgres://a:hunter2@[2001:db8::1]/k", "2001:db8::1"),
            ("postgres://a:hunter2@127.0.0.1.example/k", "127.0.0.1.example"),
            ("postgres://a:hunter2@localhost.example/k", "localhost.example"),
            ("postgres://a:hunter2@127.0.0.1/k?host=db.example", "db.example"),
            ("postgres://a:hunter2@127.0.0.1/k?hostaddr=192.0.2.1", "192.0.2.1"),
        ] {
            let why = unsafe_over_a_network(url).unwrap_or_else(|| panic!("{url}"));
            assert!(why.contains(place) && why.contains("sslmode=verify-full"), "{why}");
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn an_authority_of_ones_own_is_read_and_stands_in_the_address() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("an authority & more.pem");
        let of = |url: &str, ca: &Path| {
            let (url, ca) = (url.to_owned(), ca.display().to_string());
            let text = |name: &str| match name {
                "database_url" if !url.is_empty() => Some(url.clone()),
                "database_ca_file" => Some(ca.clone()),
                _ => None,
            };
            let mut wrong = Vec::new();
            let url = read(&text, &mut wrong);
            if wrong.is_empty() {
                Ok(url.map(|url| url.expose_secret().to_owned()))
            } else {
                Err(wrong)
            }
        };
        let url = "postgres://a@db.example/k?sslmode=verify-full";
        let wrong = of(url, &file).unwrap_err();
        assert!(wrong[0].starts_with("database_ca_file /"), "{wrong:?}");
        std::fs::write(&file, "no certificate\n").unwrap();
        assert!(of(url, &file).unwrap_err()[0].contains("no certificate"));
        let authority = crate::testing::sinks::TestAuthority::new();
        std::fs::write(&file, &authority.pem).unwrap();
        let whole = of(url, &file).unwrap().unwrap();
        assert!(whole.starts_with(&format!("{url}&sslrootcert=")), "{whole}");
        assert!(of("", &file).unwrap_err()[0].contains("for a database_url"));
        assert!(of("sqlite:x", &file).unwrap_err()[0].contains("PostgreSQL"));
        let twice = format!("{url}&sslrootcert=/etc/ca.pem");
        assert!(of(&twice, &file).unwrap_err()[0].contains("leave one out"));
    }
}
