//! Keyed fingerprints of issued values.
//!
//! A reply to a ticket must not carry a value that was issued. To know one again without keeping
//! it, its HMAC-SHA256 (RFC 2104) is stored. The key is what makes the fingerprint useless to
//! whoever reads the table: without it a guess cannot be tried.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use rand::{CryptoRng, RngCore};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Says what the key is used for, so that the same key used elsewhere gives other values.
const LABEL: &[u8] = b"keyturn/fingerprint/v1\0";

const KEY_LEN: usize = 32;
const SHA256_BLOCK_LEN: usize = 64;

/// The secret key of the fingerprints, 32 bytes. Changing it orphans every stored fingerprint.
pub struct FingerprintKey(SecretBox<[u8; KEY_LEN]>);

impl FingerprintKey {
    /// Takes a key of 32 random bytes.
    #[must_use]
    pub fn new(key: SecretBox<[u8; KEY_LEN]>) -> Self {
        Self(key)
    }

    /// Draws a new key.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut key = Box::new([0u8; KEY_LEN]);
        rng.fill_bytes(key.as_mut());
        Self(SecretBox::new(key))
    }

    /// The fingerprint of `value`, byte for byte as given: what counts as the same value in
    /// another dress is for the caller to try.
    #[must_use]
    pub fn fingerprint(&self, value: &[u8]) -> Fingerprint {
        // HMAC fills a short key up with zeros to one block. Doing that here lets the key be
        // passed with its length known to the compiler, and nothing is left that could fail.
        let mut block = Zeroizing::new([0u8; SHA256_BLOCK_LEN]);
        block[..KEY_LEN].copy_from_slice(self.0.expose_secret());
        let block: &[u8; SHA256_BLOCK_LEN] = &block;
        let mut mac = <Hmac<Sha256> as KeyInit>::new(block.into());
        mac.update(LABEL);
        mac.update(value);
        Fingerprint(mac.finalize().into_bytes().into())
    }
}

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey")
    }
}

/// The fingerprint of one value: 32 bytes that may be stored and compared, and say nothing about
/// the value to whoever lacks the key. Comparison takes the same time whatever the difference.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Takes a fingerprint back from the store.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store and to look up.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Fingerprint {}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprint(")?;
        for byte in &self.0[..4] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn key(seed: u64) -> FingerprintKey {
        FingerprintKey::generate(&mut StdRng::seed_from_u64(seed))
    }

    /// Protects the reply guard: an issued value is known again, and no other is taken for it.
    #[test]
    fn a_value_is_known_again_and_others_are_not() {
        let key = key(1);
        let issued = key.fingerprint(b"whsec_value");
        assert_eq!(key.fingerprint(b"whsec_value"), issued);
        assert_ne!(key.fingerprint(b"whsec_valuf"), issued);
        assert_ne!(key.fingerprint(b""), issued);
        assert_eq!(Fingerprint::from_bytes(*issued.as_bytes()), issued);
    }

    /// Protects the stored fingerprints from being tried out by whoever has the table alone.
    #[test]
    fn the_fingerprint_depends_on_the_key() {
        assert_ne!(key(1).fingerprint(b"value"), key(2).fingerprint(b"value"));
    }

    /// Protects the construction itself: a change to it would orphan every stored fingerprint
    /// unseen. The value was computed by another implementation (Python's `hmac`).
    #[test]
    fn the_construction_is_hmac_sha256_over_label_and_value() {
        let key = FingerprintKey::new(SecretBox::new(Box::new([0x0b; KEY_LEN])));
        let hex: String = key
            .fingerprint(b"Hi There")
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "5e54a2bac08a92ae3194944428ad577227cfbf07018639d0c17260600b37e8a2");
    }

    /// Protects logs: the key never shows, and of a fingerprint only the start.
    #[test]
    fn debug_output_holds_no_key() {
        let key = FingerprintKey::new(SecretBox::new(Box::new([0xab; KEY_LEN])));
        assert_eq!(format!("{key:?}"), "FingerprintKey");
        assert_eq!(format!("{:?}", key.fingerprint(b"v")).chars().count(), 22);
    }
}
