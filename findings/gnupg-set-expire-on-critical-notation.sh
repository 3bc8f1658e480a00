#!/bin/sh
# GnuPG 2.2.40 lets its user make a key with a critical notation in its self-signature (an option of
# gpg.conf does it: cert-notation !name=value), and then treats the key as one without a valid name,
# since it does not know the notation itself. "gpg --quick-set-expire", which would make a new
# self-signature, ends with status 0 and changes nothing.
#
# It matters for whoever advises "extend the key": the command says that it was done. Only a new key
# leads out. Sequoia and RFC 9580 treat such a signature as invalid, too.
set -eu
folder=$(mktemp -d)
trap 'gpgconf --homedir "$folder" --kill all 2>/dev/null || true; rm -rf "$folder"' EXIT
chmod 700 "$folder"
version=$(gpg --version | head -1)
echo "$version"
case $version in *" 2.2.40") ;; *) echo "not the version of this finding" >&2; exit 2 ;; esac

quiet() { gpg --homedir "$folder" --batch --yes --pinentry-mode loopback --passphrase '' "$@"; }
quiet --cert-notation '!note@example.com=1' --quick-generate-key 'O <o@example.com>' ed25519 sign,cert never >/dev/null 2>&1
key=$(quiet --with-colons --list-keys 2>/dev/null | awk -F: '/^fpr/ { print $10; exit }')
before=$(quiet --export "$key" 2>/dev/null | sha256sum)
if quiet --quick-set-expire "$key" 2y >"$folder/said" 2>&1; then status=0; else status=$?; fi
after=$(quiet --export "$key" 2>/dev/null | sha256sum)
echo "gpg --quick-set-expire: exit status $status: $(head -1 "$folder/said")"
if [ "$before" = "$after" ]; then echo "the key has not changed"; fi
[ "$status" = 0 ] && [ "$before" = "$after" ] || { echo "the behaviour has changed" >&2; exit 1; }
