#!/bin/sh
# Fails where Cargo.toml names a dependency that no source file uses.
set -eu
cd "$(dirname "$0")/.."
exec target/tools/python/bin/cargo-shear --locked --deny-warnings
