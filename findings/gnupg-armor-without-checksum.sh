#!/bin/sh
# GnuPG 2.2.40 reads an ASCII-armored key or message without its checksum line only where the base64
# happens to end in padding ("=" or "=="). Where the length is a multiple of three bytes, it takes the
# dashes of the END line for data, and refuses the whole: "invalid radix64 character 2D skipped".
#
# It matters because the checksum is optional (RFC 4880, and RFC 9580 says not to write it any more):
# OpenPGP.js 6 and others leave it out, so one key or message in three that they make cannot be read,
# by nothing but the length of a name. Who writes armor for GnuPG users keeps writing the checksum.
set -eu
folder=$(mktemp -d)
trap 'gpgconf --homedir "$folder" --kill all 2>/dev/null || true; rm -rf "$folder"' EXIT
chmod 700 "$folder"
command -v gpg >/dev/null || { echo "this needs Debian 12's gnupg" >&2; exit 2; }
version=$(gpg --version | head -1)
echo "$version"
case $version in *" 2.2.40") ;; *) echo "not the version of this finding" >&2; exit 2 ;; esac

new() { home=$(mktemp -d "$folder/h.XXXX"); chmod 700 "$home"; }
quiet() { gpg --homedir "$home" --batch --quiet --pinentry-mode loopback --passphrase '' "$@"; }
padded=0 bare=0
for name in a ab abc abcd abcde abcdef; do
    new
    quiet --quick-generate-key "$name <$name@example.com>" ed25519 sign,cert never 2>/dev/null
    quiet --armor --export | grep -v '^=....$' >"$folder/key.asc"
    # Without the checksum: the last line of base64 says whether it ends in padding.
    last=$(sed -n '/^-----END/!{/./p}' "$folder/key.asc" | tail -1)
    gpgconf --homedir "$home" --kill all
    new
    if gpg --homedir "$home" --batch --import "$folder/key.asc" >"$folder/said" 2>&1; then read=yes; else read=no; fi
    case $last in *=) end='with padding'; [ $read = yes ] && padded=$((padded + 1)) ;; *) end='without padding'; [ $read = no ] && bare=$((bare + 1)) ;; esac
    echo "base64 ends $end: read: $read$(grep -m1 -o 'invalid radix64 character 2D' "$folder/said" | sed 's/^/ (/; s/$/)/' || true)"
done
[ "$padded" -gt 0 ] && [ "$bare" -gt 0 ] || { echo "the behaviour has changed" >&2; exit 1; }
