#!/bin/sh
# pysequoia 0.1.35 decrypts no message that is signed, compressed and encrypted, which is what
# "gpg --sign --encrypt" makes by default: RuntimeError: Unexpected message structure. The same
# message made with --compress-algo none opens. Its check of the structure knows the layers
# "encrypted" and "signed", and not the "compressed" one between them.
#
# It matters because the library is Sequoia's, whose other front end (sq) opens both, and because the
# error looks like a broken message. Who writes to its users does not compress.
set -eu
folder=$(mktemp -d)
trap 'gpgconf --homedir "$folder/h" --kill all 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir -m 700 "$folder/h"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysequoia==0.1.35
versions="$(gpg --version | head -1), pysequoia $("$folder/venv/bin/python" -c 'import importlib.metadata as m; print(m.version("pysequoia"))')"
echo "$versions"
case "$versions" in "gpg (GnuPG) 2."*", pysequoia 0.1.35") ;; *) echo "another version than 0.1.35: look again" >&2; exit 1 ;; esac

quiet() { gpg --homedir "$folder/h" --batch --yes --quiet --trust-model always --pinentry-mode loopback --passphrase '' "$@" 2>/dev/null; }
quiet --quick-generate-key 'O <o@example.com>' rsa2048 sign,cert,encr never
key=$(quiet --with-colons --list-keys | awk -F: '/^fpr/ { print $10; exit }')
quiet --armor --export-secret-keys "$key" >"$folder/key.asc"
echo hello | quiet --local-user "$key" --recipient "$key" --sign --encrypt >"$folder/default"
echo hello | quiet --local-user "$key" --recipient "$key" --sign --encrypt --compress-algo none >"$folder/none"
cat >"$folder/open.py" <<'PY'
import sys, warnings
warnings.simplefilter("ignore")
import pysequoia
cert = pysequoia.Cert.from_file(sys.argv[1])
message = open(sys.argv[2], "rb").read()
try:
    opened = pysequoia.decrypt(decryptor=cert.secrets.decryptor(), bytes=message, store=lambda ids: [cert])
    print("opened:", opened.bytes.decode().strip(), f"({len(opened.valid_sigs)} good signature)")
except RuntimeError as error:
    print("refused:", str(error).splitlines()[0])
PY
default=$("$folder/venv/bin/python" "$folder/open.py" "$folder/key.asc" "$folder/default")
none=$("$folder/venv/bin/python" "$folder/open.py" "$folder/key.asc" "$folder/none")
echo "gpg --sign --encrypt: $default"
echo "gpg --sign --encrypt --compress-algo none: $none"
case "$default|$none" in "refused: Unexpected message structure|opened: hello"*) ;; *) echo "the behaviour has changed" >&2; exit 1 ;; esac
