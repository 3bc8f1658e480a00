#!/bin/sh
# Authlib 1.9.10 sends the client secret by HTTP Basic as it is. RFC 6749 section 2.3.1 says that
# name and secret are form-encoded first, and a server that keeps to it decodes them: a secret with
# `+` or `%` in it is then another secret, and every introspection is refused with invalid_client.
# Whoever draws secrets for such clients draws none with these characters, or the server has to
# try both readings.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check Authlib==1.9.10 requests==2.34.2
"$folder/venv/bin/python" - <<'PYTHON'
import base64, threading, urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from authlib.integrations.requests_client import OAuth2Session

sent = []
class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        sent.append(self.headers["Authorization"])
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"active": false}')
    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
secret = "a+b%2Fc"
session = OAuth2Session("resource-server", secret)
session.introspect_token(f"http://127.0.0.1:{server.server_port}/introspect", token="x")
pair = base64.b64decode(sent[0].split(" ")[1]).decode()
password = pair.split(":", 1)[1]
encoded = urllib.parse.quote_plus(secret)
print("Authlib", version("Authlib"))
print("secret           ", secret)
print("sent             ", password)
print("as RFC 6749 says ", encoded)
print("decoded as it says", urllib.parse.unquote_plus(password))
assert password == secret != encoded, "the behaviour has changed: it form-encodes now"
PYTHON
