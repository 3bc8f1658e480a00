#!/bin/sh
# RFC 8951 section 3.1 has receivers of EST answers bear white space in their base64, and leaves it
# to senders. strongSwan 5.9.8's client (pki --estca, pki --est) bears none: an answer with lines of
# 64 is decoded to rubbish ("could not parse single CA certificate"), the same on one line is read.
# libest's client, and "openssl base64 -d", bear no line over a kilobyte (cisco/libest issue 100). So
# a server that wants both sends short answers on one line, and cannot please both with long ones.
# By default that client also speaks TLS up to 1.2 only: version_max = 1.3 has to be set for it.
set -eu
folder=$(mktemp -d)
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq strongswan-pki libstrongswan libstrongswan-standard-plugins libcharon-extra-plugins 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 3 -subj "/CN=A made-up authority" 2>/dev/null
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost 2>/dev/null
printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n' >ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3 -extfile ext -out server.pem 2>/dev/null
openssl crl2pkcs7 -nocrl -certfile ca.pem -outform DER -out ca.p7
cat >serve.py <<'PYTHON'
import base64, http.server, ssl, textwrap
whole = base64.b64encode(open("ca.p7", "rb").read()).decode()
print(len(whole), "letters of base64", flush=True)

class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        broken = self.path.startswith("/broken/")
        body = ("\n".join(textwrap.wrap(whole, 64)) + "\n" if broken else whole).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/pkcs7-mime; smime-type=certs-only")
        self.send_header("Content-Transfer-Encoding", "base64")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.load_cert_chain("server.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
open("port", "w").write(str(server.server_address[1]))
server.serve_forever()
PYTHON
python3 serve.py &
pid=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
printf 'pki {\n  tls {\n    version_max = 1.3\n  }\n}\n' >strongswan.conf
# The program looks for its plugins in one place, which is this folder's for as long as it runs.
cat >pki.sh <<'SHELL'
mount -t overlay overlay -o "lowerdir=$PWD/root/usr/lib:/usr/lib" /usr/lib
exec "$PWD/root/usr/bin/pki" "$@"
SHELL
pki() { unshare --user --map-root-user --mount sh pki.sh "$@" 2>&1 | grep -v '^plugin ' || true; }
version=$(pki --help | head -1)
echo "$version"
case "$version" in *"strongSwan 5.9.8 "*) ;; *) echo "another version than 5.9.8: look again" >&2; exit 1 ;; esac
export STRONGSWAN_CONF="$folder/strongswan.conf"
url=https://localhost:$(cat port)
for way in whole broken; do
    pki --estca --url "$url/$way" --cacert ca.pem --caout "$way.pem" --outform pem >"$way.said"
    echo "$way: $(tail -1 "$way.said")"
done
: >default.conf
export STRONGSWAN_CONF="$folder/default.conf"
pki --estca --url "$url/whole" --cacert ca.pem --caout default.pem >default.said
echo "whole, default settings: $(head -1 default.said)"
openssl x509 -in whole.pem -noout -subject || { cat whole.said; exit 1; }
[ ! -e broken.pem ] && grep -q 'could not parse single CA certificate' broken.said || { echo "the behaviour has changed"; cat broken.said; exit 1; }
[ ! -e default.pem ] && grep -q "alert 'protocol version'" default.said || { echo "the default has changed"; cat default.said; exit 1; }
