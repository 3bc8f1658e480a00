#!/bin/sh
# Makes sure that the Rust target of the browser library is installed; fails where it cannot be had.
set -eu
target=wasm32-unknown-unknown

there() { ls "$(rustc --print sysroot)/lib/rustlib/$target/lib/"libcore-*.rlib >/dev/null 2>&1; }

there && exit 0
command -v rustup >/dev/null 2>&1 && rustup target add "$target" && there && exit 0
echo "The Rust target $target is not installed: rustup target add $target" >&2
exit 1
