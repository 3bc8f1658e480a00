#!/bin/sh
# Unpacks Debian's syslog-ng into target/tools/syslog-ng, beside rsyslog, with which its package
# conflicts. Nothing of it is set up, and no service is started. Does nothing where it is there.
set -eu
cd "$(dirname "$0")/.."
to=target/tools/syslog-ng
[ -e "$to/.done" ] && exit 0
from=$(mktemp -d)
trap 'rm -rf "$from"' EXIT
# With the libraries that a machine may lack.
(cd "$from" && apt-get download -qq syslog-ng-core libivykis0 libnet1 libwrap0 libpcre3 libjson-c5 2>/dev/null) || {
    echo "syslog-ng-core cannot be downloaded with apt-get" >&2
    exit 1
}
rm -rf "$to"
mkdir -p "$to"
for package in "$from"/*.deb; do dpkg -x "$package" "$to"; done
touch "$to/.done"
