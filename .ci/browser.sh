#!/bin/sh
# Builds the library that the browser loads into target/site/pkg/.
# `--optional`: what is missing for it is a message, not a failure; the pages work without it.
set -eu
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
profile=wasm-release
built=${CARGO_TARGET_DIR:-target}
site=target/site
optional=
[ "${1-}" = --optional ] && optional=yes

give_up() {
    echo "browser library: $1" >&2
    if [ -n "$optional" ]; then
        echo "browser library: left out; every page works without it, only its live parts stand still." >&2
        rm -rf "$site/pkg"
        exit 0
    fi
    exit 1
}

.ci/wasm-target.sh || give_up "it needs the Rust target $target"

# The glue and the library must be of one version of wasm-bindgen, or they do not fit.
version_of() { sed -n "/^name = \"$1\"\$/{n;s/^version = \"\(.*\)\"\$/\1/p;}" "$2"; }
glue=$(version_of wasm-bindgen-cli-support .ci/browser-glue/Cargo.lock)
library=$(version_of wasm-bindgen Cargo.lock)
[ "$glue" = "$library" ] || give_up "Cargo.lock has wasm-bindgen $library, .ci/browser-glue has $glue: run make pin-browser-glue"

cargo build --locked --manifest-path .ci/browser-glue/Cargo.toml --target-dir "$built/tools" \
    || give_up "its glue writer did not build"

cargo rustc --lib --crate-type cdylib --profile "$profile" --target "$target" \
    --no-default-features --features hydrate \
    || give_up "it did not compile"

# A server that is running never sees half of it.
rm -rf "$site/pkg.new"
mkdir -p "$site"
"$built/tools/debug/browser-glue" "$built/$target/$profile/keyturn.wasm" "$site/pkg.new" keyturn \
    || give_up "its glue could not be written"
rm -rf "$site/pkg"
mv "$site/pkg.new" "$site/pkg"
echo "browser library: $site/pkg ($(($(wc -c <"$site/pkg/keyturn_bg.wasm") / 1024)) KB of WebAssembly)"
