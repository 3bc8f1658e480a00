//! Where programs look for a key by an address: the Web Key Directory
//! (draft-koch-openpgp-webkey-service).

use pgp::crypto::hash::HashAlgorithm;

/// z-base-32 (RFC 6189, section 5.1.6).
const LETTERS: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

/// The name under which the key of `local`@… stands in the directory of its domain; nothing where
/// the hash cannot be made.
#[must_use]
pub fn local_part_hash(local: &str) -> Option<String> {
    let hash = HashAlgorithm::Sha1.digest(local.to_ascii_lowercase().as_bytes()).ok()?;
    // 160 bits are 32 letters of 5, with none left over.
    let name = hash.chunks(5).flat_map(|five| {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).rev().map(move |letter| {
            let index = usize::try_from(bits >> (5 * letter) & 31).unwrap_or_default();
            char::from(LETTERS[index])
        })
    });
    Some(name.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects against a key that stands where nobody looks: the draft's own example.
    #[test]
    fn the_name_is_the_one_of_the_specification() {
        let name = local_part_hash("Joe.Doe");
        assert_eq!(name.as_deref(), Some("iy9q119eutrkn8s1mk4r39qejnbu3n5q"));
    }
}
