//! Which algorithms of a key are used, and what people call them.

use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::ser::Serialize as _;
use pgp::types::{
    EcdhPublicParams, EcdsaPublicParams, EddsaLegacyPublicParams, KeyDetails, PublicParams,
};

/// What can be broken by who has the means of a state is below this.
const SHORTEST: u16 = 2048;

/// What there is to say about the algorithm of a primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Primary {
    /// Its signatures can be checked, and relied on.
    Sound,
    /// Its signatures can be forged.
    Weak(String),
    /// Its signatures cannot be checked here.
    Unknown(String),
}

/// Judges the algorithm with which a key signs what it says about itself.
pub(super) fn primary(key: &impl KeyDetails) -> Primary {
    match (key.algorithm(), key.public_params()) {
        (_, params @ (PublicParams::RSA(_) | PublicParams::DSA(_))) => {
            let bits = bits(params);
            match (bits < SHORTEST, params) {
                (false, _) => Primary::Sound,
                (true, PublicParams::RSA(_)) => Primary::Weak(format!("RSA {bits}")),
                (true, _) => Primary::Weak(format!("DSA {bits}")),
            }
        }
        (_, PublicParams::ECDSA(EcdsaPublicParams::Unsupported { curve, .. }))
        | (_, PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Unsupported { curve, .. })) => {
            Primary::Unknown(curve.name().to_owned())
        }
        // OpenPGP does not ask for the lower of the two forms that each signature has on this
        // curve, and the library refuses the higher one: every second key would be damaged.
        (_, PublicParams::ECDSA(EcdsaPublicParams::Secp256k1 { .. })) => {
            Primary::Unknown("secp256k1".to_owned())
        }
        (_, PublicParams::ECDSA(_))
        | (_, PublicParams::EdDSALegacy(_))
        | (_, PublicParams::Ed25519(_))
        | (_, PublicParams::Ed448(_)) => Primary::Sound,
        (algorithm, _) => Primary::Unknown(named(algorithm)),
    }
}

/// The name of an algorithm that may be encrypted with; as an error, of one that may not.
pub(super) fn encryption(key: &impl KeyDetails) -> Result<String, String> {
    let name = match (key.algorithm(), key.public_params()) {
        (
            PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSAEncrypt,
            params @ PublicParams::RSA(_),
        ) => {
            let bits = bits(params);
            let name = format!("RSA {bits}");
            return if bits < SHORTEST { Err(name) } else { Ok(name) };
        }
        (_, PublicParams::ECDH(EcdhPublicParams::Curve25519Legacy { .. }))
        | (_, PublicParams::X25519(_)) => "Curve25519",
        (_, PublicParams::X448(_)) => "X448",
        (_, PublicParams::ECDH(EcdhPublicParams::P256 { .. })) => "NIST P-256",
        (_, PublicParams::ECDH(EcdhPublicParams::P384 { .. })) => "NIST P-384",
        (_, PublicParams::ECDH(EcdhPublicParams::P521 { .. })) => "NIST P-521",
        (_, PublicParams::ECDH(params)) => return Err(params.curve().name().to_owned()),
        (algorithm, _) => return Err(named(algorithm)),
    };
    Ok(name.to_owned())
}

/// How much longer it takes to check a signature by this key than one by a key of our days. A key
/// with many signatures of its own would otherwise keep a server busy for seconds.
pub(super) fn cost(key: &impl KeyDetails) -> usize {
    match key.public_params() {
        PublicParams::DSA(_) => 8,
        params @ PublicParams::RSA(_) => {
            let thousands = usize::from(bits(params)) / 4096;
            (thousands * thousands).max(1)
        }
        _ => 1,
    }
}

/// RSA and DSA keys are written as their modulus first, and that as its length in bits first
/// (section 3.2).
fn bits(params: &PublicParams) -> u16 {
    match params.to_bytes().as_deref() {
        Ok([high, low, ..]) => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

fn named(algorithm: PublicKeyAlgorithm) -> String {
    match u8::from(algorithm) {
        16 | 20 => "Elgamal".to_owned(),
        // Registered for OpenPGP, and not supported by the library as it is built here.
        30 => "ML-DSA-65+Ed25519".to_owned(),
        31 => "ML-DSA-87+Ed448".to_owned(),
        32..=34 => "SLH-DSA".to_owned(),
        35 => "ML-KEM-768+X25519".to_owned(),
        36 => "ML-KEM-1024+X448".to_owned(),
        number => format!("of algorithm {number}"),
    }
}
