#!/bin/sh
# Installs what the tests need and the machine lacks: Debian's packages, and in
# end2end/ the npm packages of its lock file. Does nothing where all is there.
set -eu
cd "$(dirname "$0")/.."

packages=
need() { packages="$packages $1"; }
has() { command -v "$1" >/dev/null 2>&1; }

[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || need chromium
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need postgresql
has gpg || need gnupg
has openssl || need openssl
has node || need nodejs
has npm || need npm
has runuser || need util-linux

if [ -n "$packages" ]; then
    if [ "$(id -u)" != 0 ] || ! has apt-get; then
        echo "The tests need these packages of Debian:$packages" >&2
        exit 1
    fi
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
fi

cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1 || rustup component add clippy rustfmt

node=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
if [ "$node" -lt 20 ]; then
    echo "The browser tests need Node.js 20 or newer; this is $(node --version)." >&2
    exit 1
fi

cd end2end
if ! cmp -s package-lock.json node_modules/.installed-from; then
    npm ci --no-fund --no-audit
    cp package-lock.json node_modules/.installed-from
fi
