#!/bin/sh
# Installs what the tests need and the machine lacks: Debian's packages (.ci/packages.txt),
# syslog-ng (.ci/syslog-ng.sh), PyPI's (.ci/requirements.txt) into target/tools/python, and in end2end/ the npm packages of its
# lock file. Does nothing where all is there.
set -eu
cd "$(dirname "$0")/.."

packages=
need() { packages="$packages $1"; }
has() { command -v "$1" >/dev/null 2>&1; }

ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need postgresql
has python3 && python3 -c 'import venv, ensurepip' 2>/dev/null || need python3-venv
while read -r sign package; do
    case $sign in '' | '#'*) continue ;; /*) [ -e "$sign" ] || need "$package" ;; *) has "$sign" || need "$package" ;; esac
done <.ci/packages.txt

if [ -n "$packages" ]; then
    if [ "$(id -u)" != 0 ] || ! has apt-get; then
        echo "The tests need these packages of Debian:$packages" >&2
        exit 1
    fi
    apt-get update -qq
    # The tests start a Postfix of their own each: Debian's is to have no configuration, and so
    # not to run.
    case $packages in *postfix*)
        echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections ;;
    esac
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
fi

.ci/syslog-ng.sh

cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1 || rustup component add clippy rustfmt

python=target/tools/python
if ! cmp -s .ci/requirements.txt "$python/.installed-from"; then
    rm -rf "$python"
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check --requirement .ci/requirements.txt
    cp .ci/requirements.txt "$python/.installed-from"
fi

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
