//! What is issued and what is refused, seen with the `openssl` command.

use std::fs::write;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rcgen::KeyPair;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

use super::openssl::{P256, must, openssl, request};
use super::*;
use crate::clock::{Clock, SystemClock};

const GATEWAY: &str = "gw_bergen2h7q9x";

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn now() -> Micros {
    SystemClock.now()
}

fn bench() -> (TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create("keyturn.example", now(), &mut rng()).unwrap();
    write(folder.path().join("ca.pem"), authority.chain_pem()).unwrap();
    (folder, authority)
}

fn issue(folder: &Path, authority: &Authority, csr: &str) -> Result<Leaf, RequestProblem> {
    let judged = judge(csr.as_bytes(), GATEWAY)?;
    let leaf = authority.issue(GATEWAY, &judged.key, now() - BACKDATED, now() + LIFE, &mut rng());
    let leaf = leaf.unwrap();
    write(folder.join("leaf.pem"), &leaf.pem).unwrap();
    Ok(leaf)
}

/// A plain client certificate of the gateway's own name, for 90 days, whatever was asked for.
fn assert_plain(folder: &Path, leaf: &Leaf) {
    must(
        folder,
        &["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.pem", "leaf.pem"],
    );
    let text = must(folder, &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    assert!(text.contains("CA:FALSE"), "{text}");
    assert!(!text.contains("CA:TRUE"), "{text}");
    assert!(text.contains(&format!("Subject: CN = {GATEWAY}")), "{text}");
    assert!(text.contains(&format!("URI:urn:keyturn:gateway:{GATEWAY}")), "{text}");
    assert!(text.contains("TLS Web Client Authentication"), "{text}");
    for more in ["Server", "Certificate Sign", "CRL Sign", "Code Signing", "DNS:"] {
        assert!(!text.contains(more), "{more}: {text}");
    }
    let serial = must(folder, &["x509", "-in", "leaf.pem", "-noout", "-serial"]);
    assert_eq!(serial.trim(), format!("serial={}", leaf.serial));
    let ninety = (90 * 86_400).to_string();
    must(folder, &["x509", "-in", "leaf.pem", "-noout", "-checkend", "7775000"]);
    let (lives_longer, _) =
        openssl(folder, &["x509", "-in", "leaf.pem", "-noout", "-checkend", &ninety], "");
    assert!(!lives_longer, "it ends after 90 days");
}

#[test]
fn openssl_accepts_what_is_issued_for_every_good_kind_of_key() {
    for kind in [
        &P256[..],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-newkey", "ed25519"],
        &["-newkey", "rsa:2048"],
    ] {
        let (folder, authority) = bench();
        let csr = request(folder.path(), kind, &format!("/CN={GATEWAY}"), &[]);
        let leaf = issue(folder.path(), &authority, &csr).unwrap();
        assert_plain(folder.path(), &leaf);
    }
}

#[test]
fn a_request_for_more_gets_a_plain_certificate() {
    for more in [
        &[
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=keyCertSign,cRLSign",
        ][..],
        &["-addext", "extendedKeyUsage=serverAuth,codeSigning"],
        // The ways to ask for a longer life: an option, and a private key usage period.
        &[
            "-days",
            "4000",
            "-addext",
            "2.5.29.16=DER:30:22:80:0F:32:30:32:30:30:31:30:31:30:30:30:30:30:30:5A:81:0F:32:30:39:39:30:31:30:31:30:30:30:30:30:30:5A",
        ],
    ] {
        let (folder, authority) = bench();
        let csr = request(folder.path(), &P256, &format!("/CN={GATEWAY}"), more);
        let leaf = issue(folder.path(), &authority, &csr).unwrap();
        assert_plain(folder.path(), &leaf);
    }
}

#[test]
fn a_request_for_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (subject, more) in [
        ("/CN=gw_other", &[][..]),
        (&*format!("/CN={GATEWAY}/CN=gw_other"), &[]),
        (&*format!("/CN={GATEWAY}"), &["-addext", "subjectAltName=DNS:gw_other"]),
        (
            &*format!("/CN={GATEWAY}"),
            &["-addext", "subjectAltName=URI:urn:keyturn:gateway:gw_other"],
        ),
        (&*format!("/CN={GATEWAY}"), &["-addext", "subjectAltName=IP:127.0.0.1"]),
    ] {
        let csr = request(folder.path(), &P256, subject, more);
        assert_eq!(
            judge(csr.as_bytes(), GATEWAY).unwrap_err(),
            RequestProblem::OtherName,
            "{subject} {more:?}"
        );
    }
}

#[test]
fn a_weak_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for kind in [
        &["-newkey", "rsa:1024"][..],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-192"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
    ] {
        let csr = request(folder.path(), kind, &format!("/CN={GATEWAY}"), &[]);
        assert_eq!(
            judge(csr.as_bytes(), GATEWAY).unwrap_err(),
            RequestProblem::WeakKey,
            "{kind:?}"
        );
    }
}

#[test]
fn a_request_that_is_not_signed_by_its_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    request(folder.path(), &P256, &format!("/CN={GATEWAY}"), &[]);
    must(folder.path(), &["req", "-in", "r.csr", "-outform", "DER", "-out", "r.der"]);
    let mut der = std::fs::read(folder.path().join("r.der")).unwrap();
    assert!(judge(&der, GATEWAY).is_ok(), "DER is read");
    let last = der.len() - 1;
    der[last] ^= 1;
    assert_eq!(judge(&der, GATEWAY).unwrap_err(), RequestProblem::BadSignature);
    for nonsense in
        [&b""[..], b"hello", b"-----BEGIN CERTIFICATE REQUEST-----", &[0x30, 0x80, 0, 0]]
    {
        assert_eq!(judge(nonsense, GATEWAY).unwrap_err(), RequestProblem::Unreadable);
    }
    assert_eq!(judge(&vec![b'a'; 20_000], GATEWAY).unwrap_err(), RequestProblem::TooLong);
}

#[test]
fn the_revocation_list_names_what_was_revoked_and_openssl_refuses_it() {
    let (folder, authority) = bench();
    let folder = folder.path();
    let csr = request(folder, &P256, &format!("/CN={GATEWAY}"), &[]);
    let leaf = issue(folder, &authority, &csr).unwrap();
    let check = ["verify", "-crl_check", "-CAfile", "ca.pem", "-CRLfile", "crl.pem", "leaf.pem"];
    let list = |revoked: &[Revoked]| {
        let der = authority.crl(revoked, now(), now() + time::DAY).unwrap();
        write(folder.join("crl.der"), der).unwrap();
        must(folder, &["crl", "-inform", "DER", "-in", "crl.der", "-out", "crl.pem"]);
        openssl(folder, &check, "")
    };
    assert!(list(&[]).0);
    let at = now();
    let (accepted, said) =
        list(&[Revoked { serial: leaf.serial.clone(), at, reason: Reason::Superseded }]);
    assert!(!accepted && said.contains("revoked"), "{said}");
    let text = must(folder, &["crl", "-in", "crl.pem", "-noout", "-text"]);
    assert!(text.contains(&leaf.serial) && text.contains("Superseded"), "{text}");
}

#[test]
fn a_bundle_is_read_back_also_out_of_a_letter() {
    let (_, authority) = bench();
    let key = KeyPair::generate().unwrap();
    let leaf = authority.issue(GATEWAY, &key, now(), now() + LIFE, &mut rng()).unwrap();
    let key_pem = SecretString::from(key.serialize_pem());
    let text = Bundle::write(&key_pem, &leaf.pem, &authority.chain_pem());
    let letter = SecretString::from(format!("Dear Owner\n{}\nThis is it.\n", text.expose_secret()));
    let bundle = Bundle::read(&letter).unwrap();
    assert_eq!((bundle.gateway_id.as_str(), &bundle.serial), (GATEWAY, &leaf.serial));
    assert_eq!(bundle.to_pem().expose_secret(), text.expose_secret());
    assert!(!format!("{bundle:?}").contains("PRIVATE"));

    let other = SecretString::from(KeyPair::generate().unwrap().serialize_pem());
    let read = |key: &SecretString, leaf: &str, chain: &str| {
        Bundle::read(&Bundle::write(key, leaf, chain)).unwrap_err()
    };
    let chain = authority.chain_pem();
    assert_eq!(read(&other, &leaf.pem, &chain), BundleProblem::OtherKey);
    assert_eq!(read(&key_pem, &leaf.pem, ""), BundleProblem::NoAuthority);
    assert_eq!(read(&key_pem, "", ""), BundleProblem::NoCertificate);
    assert_eq!(read(&String::new().into(), &leaf.pem, &chain), BundleProblem::NoKey);
}

#[test]
fn openssl_reads_the_certificates_that_est_answers_with() {
    let (folder, authority) = bench();
    let folder = folder.path();
    let one = authority.chain_pem();
    for (copies, lines) in [(1, 1..=1), (4, 20..=60)] {
        let body = est::certs_only(&one.repeat(copies)).unwrap();
        assert!(lines.contains(&body.lines().count()), "{copies}: {body}");
        write(folder.join("certs.base64"), &body).unwrap();
        let decoded = ["base64", "-d", "-in", "certs.base64", "-out", "certs.p7"];
        if copies == 1 {
            must(folder, &[&decoded[..], &["-A"]].concat());
        } else {
            must(folder, &decoded);
        }
        let out = must(folder, &["pkcs7", "-inform", "DER", "-in", "certs.p7", "-print_certs"]);
        let name = "subject=CN = Keyturn gateway authority of keyturn.example";
        assert_eq!(out.matches(name).count(), copies, "{out}");
    }
}

/// A root and an intermediate made with `openssl`, as an operator has them.
struct Operator {
    folder: TempDir,
}

impl Operator {
    fn new(usage: &str, days: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let f = folder.path();
        let mut root = vec!["req", "-x509", "-nodes", "-keyout", "root.key", "-out", "root.pem"];
        root.extend_from_slice(&P256);
        root.extend_from_slice(&["-days", "3650", "-subj", "/C=NO/O=Fjordline/CN=Root"]);
        root.extend_from_slice(&["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        must(f, &root);
        request(f, &P256, "/C=NO/O=Fjordline/CN=Gateways", &[]);
        write(f.join("ext"), usage).unwrap();
        must(
            f,
            &[
                "x509",
                "-req",
                "-in",
                "r.csr",
                "-CA",
                "root.pem",
                "-CAkey",
                "root.key",
                "-CAcreateserial",
                "-days",
                days,
                "-extfile",
                "ext",
                "-out",
                "mid.pem",
            ],
        );
        Self { folder }
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    fn import(&self, files: &[&str], key: &str, at: Micros) -> Result<Authority, CertificateError> {
        let chain: String = files.iter().map(|file| self.text(file)).collect();
        Authority::import(&chain, &self.text(key).into(), at, &mut rng())
    }
}

const FIT: &str = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
                   subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";

#[test]
fn an_operators_own_intermediate_issues_what_openssl_accepts_up_to_the_root() {
    let operator = Operator::new(FIT, "800");
    let authority = operator.import(&["mid.pem", "root.pem"], "r.key", now()).unwrap();
    let folder = operator.folder.path();
    let csr = request(folder, &P256, &format!("/CN={GATEWAY}"), &["-keyout", "other.key"]);
    issue(folder, &authority, &csr).unwrap();
    must(
        folder,
        &["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "mid.pem", "leaf.pem"],
    );
    let der = authority.crl(&[], now(), now() + time::DAY).unwrap();
    write(folder.join("crl.der"), der).unwrap();
    must(folder, &["crl", "-inform", "DER", "-in", "crl.der", "-CAfile", "mid.pem", "-noout"]);
}

#[test]
fn a_certificate_never_outlives_its_authority() {
    let operator = Operator::new(FIT, "20");
    let authority = operator.import(&["mid.pem", "root.pem"], "r.key", now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = authority.issue(GATEWAY, &key, now(), now() + LIFE, &mut rng()).unwrap();
    assert_eq!(leaf.validity.not_after, authority.validity().not_after);
}

#[test]
fn an_authority_that_is_not_fit_is_refused_with_what_is_wrong() {
    // The clock is read after the certificates are made: they hold from the second they were made.
    let refused = |usage: &str, files: &[&str], key: &str, later: Micros, says: &str| {
        let made = Operator::new(usage, "30");
        let why = made.import(files, key, now() + later).unwrap_err().to_string();
        assert!(why.contains(says), "{says:?} was expected of {usage:?}: {why}");
    };
    let both = &["mid.pem", "root.pem"];
    let leaf = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n";
    refused(leaf, both, "r.key", 0, "is not an authority");
    let no_sign = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n";
    refused(no_sign, both, "r.key", 0, "keyCertSign");
    let no_list = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
    refused(no_list, both, "r.key", 0, "cRLSign");
    refused(FIT, both, "root.key", 0, "not the one of the chain");
    refused(FIT, &["root.pem", "mid.pem"], "root.key", 0, "not signed by the next");
    refused(FIT, both, "r.key", 40 * time::DAY, "has expired");
    refused(FIT, both, "r.key", -time::DAY, "holds only from");
    let servers = format!("{FIT}extendedKeyUsage=serverAuth\n");
    refused(&servers, both, "r.key", 0, "limited to other purposes");
    let fenced = format!("{FIT}nameConstraints=critical,permitted;URI:.example.org\n");
    refused(&fenced, both, "r.key", 0, "not accepted");

    let text = SecretString::from("nonsense");
    let read = |chain: &str| Authority::import(chain, &text, now(), &mut rng()).unwrap_err();
    assert_eq!(read("nonsense"), CertificateError::NoCertificate);
}

#[test]
fn an_authority_is_opened_again_with_its_key() {
    let (_, authority) = bench();
    let again = Authority::open(&authority.chain_pem(), &authority.key_pem()).unwrap();
    assert_eq!(again.validity(), authority.validity());
    assert!(!format!("{again:?}").contains("PRIVATE"));
}
