#!/bin/sh
# Fails where Cargo.toml names a dependency that no source file uses.
set -eu
cd "$(dirname "$0")/.."

version=0.9.2
tools=${CARGO_TARGET_DIR:-target}/tools

if [ "$("$tools/bin/cargo-machete" --version 2>/dev/null)" != "$version" ]; then
    CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-machete --version "=$version" --locked --debug \
        --root "$tools" --target-dir "$tools"
fi
exec "$tools/bin/cargo-machete" --skip-target-dir .
