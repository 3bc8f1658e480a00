//! The shapes of secrets, issued here or not.

use super::Shape;
use super::windows::{changes, places};

/// The shape of a secret that the reading holds, if any.
pub(super) fn find(reading: &str) -> Option<Shape> {
    let text = reading.as_bytes();
    let letters: Vec<u8> = text.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    if private_key(text, &letters) {
        Some(Shape::PrivateKey)
    } else if as_written(text, b"whsec_", 32, |b| url_safe(b) || matches!(b, b'+' | b'/'))
        || split(text, b"whsec")
    {
        Some(Shape::WebhookKey)
    } else if vault_token(text) {
        Some(Shape::VaultToken)
    } else if as_written(text, b"ops_eyJ", 20, url_safe) || split(text, b"opseyJ") {
        Some(Shape::OnePasswordToken)
    } else if age_key(&letters) {
        Some(Shape::AgeKey)
    } else {
        None
    }
}

fn url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether the prefix stands there with so many characters of the value right after it.
fn as_written(text: &[u8], prefix: &[u8], at_least: usize, value: impl Fn(u8) -> bool) -> bool {
    places(text, prefix).any(|at| length(&text[at + prefix.len()..], &value) >= at_least)
}

fn length(text: &[u8], value: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| value(**byte)).count()
}

/// Whether the prefix is followed by a value that was split by white space, line breaks or
/// separators. A sentence that only mentions the prefix is followed by words, so here the value
/// has to look random. A prefix of three letters has its full stop, or it would turn up in every
/// long piece of base64.
fn split(text: &[u8], prefix: &[u8]) -> bool {
    const SHORTEST: usize = 32;
    let in_value = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let joined: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| in_value(byte) || (*byte == b'.' && prefix.contains(byte)))
        .collect();
    places(&joined, prefix).any(|at| {
        let rest = joined[at + prefix.len()..].iter().copied().filter(in_value);
        let value: Vec<u8> = rest.take(SHORTEST).collect();
        value.len() == SHORTEST && looks_random(&value, 5, 10)
    })
}

/// Whether the bytes look like random base64: enough of upper and lower case, enough changes
/// between the kinds, and no word in it.
fn looks_random(value: &[u8], of_each_case: usize, kind_changes: usize) -> bool {
    const SHORTEST_WORD: usize = 11;
    let upper = value.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let lower = value.iter().filter(|byte| byte.is_ascii_lowercase()).count();
    let changed = value.windows(2).filter(|pair| changes(pair[0], pair[1])).count();
    let word = value.chunk_by(|one, other| !changes(*one, *other)).map(<[u8]>::len).max();
    upper >= of_each_case
        && lower >= of_each_case
        && changed >= kind_changes
        && word.is_none_or(|word| word < SHORTEST_WORD)
}

fn vault_token(text: &[u8]) -> bool {
    // Root tokens have 24 characters, the others 90 and more. A domain name has its next full
    // stop before that.
    let prefixed =
        [b"hvs.", b"hvb.", b"hvr."].iter().any(|prefix| as_written(text, *prefix, 24, url_safe));
    prefixed
        || [b"hvs.", b"hvb.", b"hvr."].iter().any(|prefix| split(text, *prefix))
        || short_vault_token(text)
}

/// `s.` and 24 letters and digits. The prefix is so short that the token has to stand by itself,
/// and must not be a word.
fn short_vault_token(text: &[u8]) -> bool {
    const PREFIX: &[u8] = b"s.";
    const LENGTH: usize = 24;
    places(text, PREFIX).any(|at| {
        let value = &text[at + PREFIX.len()..];
        let alone = at == 0 || !(text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'.');
        alone
            && length(value, |byte| byte.is_ascii_alphanumeric()) == LENGTH
            && value[..LENGTH].windows(2).filter(|pair| changes(pair[0], pair[1])).count() >= 4
    })
}

/// A private key in PEM by its first line, or by how its body starts where that line is missing.
fn private_key(text: &[u8], letters: &[u8]) -> bool {
    // PKCS #8 and SEC 1, in the order Ed25519, P-256, P-256, RSA, and PKCS #1.
    const BODIES: [&[u8]; 5] = [
        b"MC4CAQAwBQYDK2VwBCIEI",
        b"MIGHAgEAMBMGByqGSM49AgEG",
        b"MHcCAQEEI",
        b"IBADANBgkqhkiG9w0BAQEFAASC",
        b"AIBAAKCAQEA",
    ];
    let dashed: Vec<u8> =
        text.iter().copied().filter(|b| b.is_ascii_alphanumeric() || *b == b'-').collect();
    // In capitals it is no sentence, and with dashes before it neither.
    begins(letters, b"BEGIN", b"PRIVATEKEY", |one, other| one == other)
        || begins(&dashed, b"--BEGIN", b"PRIVATEKEY", <[u8]>::eq_ignore_ascii_case)
        || BODIES.iter().any(|body| letters.windows(body.len()).any(|window| window == *body))
}

/// Whether `last` follows `first` with at most the name of an algorithm between them.
fn begins(text: &[u8], first: &[u8], last: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    const LONGEST_NAME: usize = 24;
    text.windows(first.len()).enumerate().filter(|(_, window)| same(window, first)).any(
        |(at, _)| {
            let rest = &text[at + first.len()..];
            let rest = &rest[..rest.len().min(LONGEST_NAME + last.len())];
            rest.windows(last.len()).position(|window| same(window, last)).is_some_and(|end| {
                rest[..end].iter().all(|byte| same(&[*byte], &[byte.to_ascii_uppercase()]))
            })
        },
    )
}

/// `AGE-SECRET-KEY-1` and bech32, which has digits where words have none.
fn age_key(letters: &[u8]) -> bool {
    const PREFIX: &[u8] = b"AGESECRETKEY1";
    const SHORTEST: usize = 20;
    places(letters, PREFIX).any(|at| {
        letters[at + PREFIX.len()..].get(..SHORTEST).is_some_and(|value| {
            value.iter().all(|byte| byte.is_ascii_alphanumeric() && !b"1bBiIoO".contains(byte))
                && value.iter().any(u8::is_ascii_digit)
        })
    })
}
