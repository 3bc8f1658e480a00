#!/bin/sh
# RFC 5424 section 6.4 wants a byte order mark before a message in UTF-8. rsyslog 8.2302 keeps it in
# %msg%, and its mmjsonparse then does not take the message for JSON, also with cookie="": every
# row of a sender that keeps to the RFC goes unparsed, without a word in the log. RFC 8259 section
# 8.1 says that JSON has no such mark. Without it, the same message is parsed. (syslog-ng 3.38
# drops the mark.)
set -eu
folder=$(mktemp -d)
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq rsyslog libestr0 libfastjson4 liblognorm5 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
libraries=$(find "$folder/root" -name '*.so*' -not -path '*/rsyslog/*' -exec dirname {} + | sort -u | paste -sd:)
modules=$(dirname "$(find "$folder/root" -name imtcp.so)")
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >config <<CONFIG
global(workDirectory="$folder")
module(load="imtcp")
module(load="mmjsonparse")
template(name="line" type="string" string="%msgid% %\$.ok% %\$!n%\n")
input(type="imtcp" address="127.0.0.1" port="$port" ruleset="r")
ruleset(name="r") {
  action(type="mmjsonparse" cookie="")
  set \$.ok = \$parsesuccess;
  action(type="omfile" file="$folder/lines" template="line")
}
CONFIG
LD_LIBRARY_PATH=$libraries "$folder/root/usr/sbin/rsyslogd" -n -f config -i pid -M "$modules" >log 2>&1 &
pid=$!
python3 - "$port" <<'PYTHON'
import socket, sys, time
for _ in range(100):
    try:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        break
    except OSError:
        time.sleep(0.1)
for name, mark in (("without", ""), ("with", "\ufeff")):
    text = f'<110>1 2025-10-09T08:53:20Z host app - {name} - {mark}{{"n": 7}}'.encode()
    s.sendall(f"{len(text)} ".encode() + text)
s.close()
PYTHON
for _ in $(seq 50); do
    [ -e lines ] && [ "$(wc -l <lines)" = 2 ] && break
    sleep 0.1
done
version=$(LD_LIBRARY_PATH=$libraries "$folder/root/usr/sbin/rsyslogd" -v | head -1)
echo "$version"
case "$version" in *" 8.2302.0 "*) ;; *) echo "another version than 8.2302.0: look again" >&2; exit 1 ;; esac
echo "the mark, whether it was parsed, and the JSON's field n:"
cat lines || cat log
grep -q '^without OK 7$' lines && grep -q '^with FAIL ' lines || { echo "the behaviour has changed"; cat log; exit 1; }
