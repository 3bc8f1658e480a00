#!/bin/sh
# A certificate whose subject has the same name as its issuer, but another key, is "self-signed" to
# OpenSSL 3.0: verification fails with error 18, although the chain holds, and also where its
# authority key identifier names the issuer's key. pyca/cryptography, which has a path validation
# of its own, accepts the same chain. Libraries that fill in one default name for both, as rcgen
# does, make such pairs: they work between programs with rustls and fail at the first one with
# OpenSSL, e.g. rsyslog's driver ossl, which then names a self-signed certificate.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cryptography==50.0.2
cd "$folder"
cat >make.py <<'PYTHON'
import datetime
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store
from importlib.metadata import version

name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "one name for both")])
now = datetime.datetime.now(datetime.timezone.utc)
ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

def certificate(public, ca):
    builder = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(public)
        .serial_number(x509.random_serial_number()).not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
    usage = dict.fromkeys(["digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"], False)
    usage["key_cert_sign" if ca else "digital_signature"] = True
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if ca:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    else:
        aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        builder = (builder.add_extension(aki, critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("leaf.example")]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False))
    return builder.sign(ca_key, hashes.SHA256())

ca, leaf = certificate(ca_key.public_key(), True), certificate(key.public_key(), False)
for file, made in (("ca.pem", ca), ("leaf.pem", leaf)):
    open(file, "wb").write(made.public_bytes(serialization.Encoding.PEM))
verifier = PolicyBuilder().store(Store([ca])).time(now).build_server_verifier(x509.DNSName("leaf.example"))
print("cryptography", version("cryptography"), "accepts:", len(verifier.verify(leaf, [])), "certificates in the chain")
PYTHON
"$folder/venv/bin/python" make.py
openssl version
case "$(openssl version)" in "OpenSSL 3.0."*) ;; *) echo "another version than OpenSSL 3.0: look again" >&2; exit 1 ;; esac
openssl verify -CAfile ca.pem leaf.pem 2>&1 | tee said || true
grep -q 'error 18' said || { echo "the behaviour has changed"; exit 1; }
