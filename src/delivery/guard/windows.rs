//! Which pieces of a reading could be an issued value, and their fingerprints.
//!
//! Trying every piece of every permitted length would be far too much work, and a text does not
//! say where a value starts when it was run together with what stands around it. Three things cut
//! it down: the last character of a base64 value has bits that must be zero; a value is random,
//! and words are not; and Keyturn itself only makes keys of one length, so that the other lengths
//! are tried wherever something suggests where the value starts or ends, or the random stretch is
//! short.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use super::readings::{from_hex, hex_runs, is_base64, spellings, squeezed};
use super::{MOST_CANDIDATES, Unchecked};
use crate::secrets::fingerprint::FingerprintKey;

/// The webhook keys that Standard Webhooks permits, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The length of the webhook keys that Keyturn makes, in bytes.
const OWN_KEY_BYTES: usize = 32;
/// The shortest webhook key in base64 without padding, in characters.
const SHORTEST_KEY: usize = 32;
/// The longest random stretch in which every length is tried at every place.
const SHORT_STRETCH: usize = 256;
/// The same for hex, in bytes.
const SHORT_HEX: usize = 80;
/// The words that may be a value as they stand.
const WORD: std::ops::RangeInclusive<usize> = 16..=400;
/// The most pieces that are looked at, repeated ones included.
const MOST_TRIES: usize = 300_000;

/// Where the pieces go: each is fingerprinted once.
pub(super) struct Sink<'k> {
    key: &'k FingerprintKey,
    // Hashes and not the pieces, so that this is not one more place that holds secrets. That two
    // of 50,000 pieces have the same one happens once in ten billion texts of that size.
    seen: HashSet<u64>,
    hasher: RandomState,
    tries: usize,
    found: Vec<String>,
}

impl<'k> Sink<'k> {
    pub(super) fn new(key: &'k FingerprintKey) -> Self {
        Self { key, seen: HashSet::new(), hasher: RandomState::new(), tries: 0, found: Vec::new() }
    }

    pub(super) fn into_fingerprints(self) -> Vec<String> {
        self.found
    }

    fn offer(&mut self, value: &[u8]) -> Result<(), Unchecked> {
        self.tries += 1;
        if self.tries > MOST_TRIES {
            return Err(Unchecked::TooDense);
        }
        if self.seen.insert(self.hasher.hash_one(value)) {
            if self.found.len() == MOST_CANDIDATES {
                return Err(Unchecked::TooDense);
            }
            self.found.push(hex(self.key.fingerprint(value).as_bytes()));
        }
        Ok(())
    }

    /// Offers the piece as the key part of `whsec_…`, when its length and its last character
    /// permit it. The piece is standard base64 without padding.
    fn offer_key(&mut self, piece: &[u8]) -> Result<(), Unchecked> {
        let loose_bits = match piece.len() % 4 {
            0 => 0,
            2 => 4,
            3 => 2,
            _ => return Ok(()),
        };
        let last = piece.last().map_or(0, |byte| match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        });
        if last.trailing_zeros() < loose_bits || !KEY_BYTES.contains(&(piece.len() * 3 / 4)) {
            return Ok(());
        }
        let mut value = Vec::with_capacity(96);
        value.extend_from_slice(b"whsec_");
        value.extend_from_slice(piece);
        value.extend(std::iter::repeat_n(b'=', (4 - piece.len() % 4) % 4));
        self.offer(&value)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xF])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// Offers every piece of the reading that could be an issued value.
pub(super) fn offer_all(reading: &str, sink: &mut Sink<'_>) -> Result<(), Unchecked> {
    words(reading, sink)?;
    vault_tokens(reading, sink)?;
    for spelling in spellings(reading) {
        for run in spelling.split(|byte| !is_base64(byte)) {
            ends(run, sink)?;
            stretches(run, sink)?;
        }
        let squeezed = squeezed(&spelling);
        after_prefix(&squeezed, sink)?;
        ends(&squeezed, sink)?;
        stretches(&squeezed, sink)?;
    }
    for run in hex_runs(reading) {
        raw_keys(&run, sink)?;
    }
    Ok(())
}

/// Values that stand by themselves, of whatever kind, and vault tokens without their prefix.
fn words(reading: &str, sink: &mut Sink<'_>) -> Result<(), Unchecked> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || "_-.+/=".contains(c);
    for word in reading.split(|c| !in_word(c)).filter(|word| WORD.contains(&word.len())) {
        sink.offer(word.as_bytes())?;
        sink.offer(word.trim_matches(['.', '-', '_', '=']).as_bytes())?;
        for part in word.split(['=', '.', '+', '/']).filter(|part| WORD.contains(&part.len())) {
            sink.offer(part.as_bytes())?;
            for prefix in VAULT_PREFIXES {
                if token_lengths(prefix).any(|length| length == part.len()) {
                    sink.offer(format!("{prefix}.{part}").as_bytes())?;
                }
            }
        }
    }
    Ok(())
}

const VAULT_PREFIXES: [&str; 4] = ["hvs", "hvb", "hvr", "s"];

/// How long a vault token is after the prefix and the full stop: 24 for those of OpenBao and for
/// root tokens, which hold nothing but chance; the others hold more, and differ.
fn token_lengths(prefix: &str) -> impl Iterator<Item = usize> + use<> {
    let longer = match prefix {
        "hvs" | "hvr" => Some(90..=120),
        "hvb" => Some(138..=300),
        _ => None,
    };
    std::iter::once(24).chain(longer.into_iter().flatten())
}

/// Vault tokens that were split, or run together with what follows them.
fn vault_tokens(reading: &str, sink: &mut Sink<'_>) -> Result<(), Unchecked> {
    for separators in [&b""[..], b".", b"._-"] {
        let joined: Vec<u8> = reading
            .bytes()
            .filter(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
            .filter(|byte| !separators.contains(byte))
            .collect();
        for prefix in VAULT_PREFIXES {
            // Without its full stop the short prefix is only the letter s.
            let stop = if separators.is_empty() { "." } else { "" };
            if prefix == "s" && stop.is_empty() {
                continue;
            }
            let start = format!("{prefix}{stop}");
            for at in places(&joined, start.as_bytes()) {
                let rest = &joined[at + start.len()..];
                let rest = rest.split(|byte| *byte == b'.').next().unwrap_or(rest);
                for length in token_lengths(prefix).take_while(|&length| length <= rest.len()) {
                    let mut value = format!("{prefix}.").into_bytes();
                    value.extend_from_slice(&rest[..length]);
                    sink.offer(&value)?;
                }
            }
        }
    }
    Ok(())
}

/// Where `wanted` starts in `bytes`, in whatever case.
pub(super) fn places<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let windows = bytes.windows(wanted.len()).enumerate();
    windows.filter(|(_, window)| window.eq_ignore_ascii_case(wanted)).map(|(at, _)| at)
}

/// Keys that follow their prefix. The underscore is gone, or reads as `/`.
fn after_prefix(squeezed: &[u8], sink: &mut Sink<'_>) -> Result<(), Unchecked> {
    const PREFIX: &[u8] = b"whsec";
    for at in places(squeezed, PREFIX) {
        let rest = &squeezed[at + PREFIX.len()..];
        starts(rest, sink)?;
        if let Some(rest) = rest.strip_prefix(b"/") {
            starts(rest, sink)?;
        }
    }
    Ok(())
}

/// A key of any length at the start of the run.
fn starts(run: &[u8], sink: &mut Sink<'_>) -> Result<(), Unchecked> {
    key_lengths().filter(|&n| n <= run.len()).try_for_each(|n| sink.offer_key(&run[..n]))
}

/// A key of any length at either end of the run.
fn ends(run: &[u8], sink: &mut Sink<'_>) -> Result<(), Unchecked> {
    starts(run, sink)?;
    key_lengths()
        .filter(|&n| n <= run.len())
        .try_for_each(|n| sink.offer_key(&run[run.len() - n..]))
}

/// The lengths of keys in base64 without padding.
fn key_lengths() -> impl Iterator<Item = usize> {
    KEY_BYTES.map(base64_length)
}

fn base64_length(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// Keys anywhere in the stretches of the run that look random.
fn stretches(run: &[u8], sink: &mut Sink<'_>) -> Result<(), Unchecked> {
    for stretch in random_stretches(run) {
        let stretch = &run[stretch];
        if stretch.len() <= SHORT_STRETCH {
            for length in key_lengths() {
                stretch.windows(length).try_for_each(|piece| sink.offer_key(piece))?;
            }
        } else {
            ends(stretch, sink)?;
            let own = base64_length(OWN_KEY_BYTES);
            stretch.windows(own).try_for_each(|piece| sink.offer_key(piece))?;
        }
    }
    Ok(())
}

/// The stretches that random base64 could be in: upper and lower case both, and every few
/// characters a change between upper case, lower case, digits and signs. Of random pieces of 32
/// characters, four in ten million do not look like it; of words run together, few do.
fn random_stretches(run: &[u8]) -> Vec<Range<usize>> {
    const UPPER: usize = 1;
    const LOWER: usize = 1;
    const CHANGES: usize = 6;
    let mut counts = Counts::default();
    let mut found: Vec<Range<usize>> = Vec::new();
    for end in 0..run.len() {
        counts.take_in(run, end);
        if end >= SHORTEST_KEY {
            counts.let_go(run, end - SHORTEST_KEY);
        }
        let looks = counts.upper >= UPPER && counts.lower >= LOWER && counts.changes >= CHANGES;
        if end + 1 >= SHORTEST_KEY && looks {
            let start = end + 1 - SHORTEST_KEY;
            match found.last_mut() {
                Some(last) if last.end >= start => last.end = end + 1,
                _ => found.push(start..end + 1),
            }
        }
    }
    found
}

/// What is in a window that slides over a run.
#[derive(Default)]
struct Counts {
    upper: usize,
    lower: usize,
    changes: usize,
}

impl Counts {
    fn take_in(&mut self, run: &[u8], at: usize) {
        self.upper += usize::from(run[at].is_ascii_uppercase());
        self.lower += usize::from(run[at].is_ascii_lowercase());
        self.changes += usize::from(at > 0 && changes(run[at - 1], run[at]));
    }

    fn let_go(&mut self, run: &[u8], at: usize) {
        self.upper -= usize::from(run[at].is_ascii_uppercase());
        self.lower -= usize::from(run[at].is_ascii_lowercase());
        // The change into a character goes with it; that into the first never was one.
        self.changes -= usize::from(at > 0 && changes(run[at - 1], run[at]));
    }
}

/// Whether two neighbours are of different kinds: upper case, lower case, digits, signs.
pub(super) fn changes(one: u8, other: u8) -> bool {
    let kind = |byte: u8| match byte {
        b'A'..=b'Z' => 0,
        b'a'..=b'z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    kind(one) != kind(other)
}

/// Keys whose bytes were written in hex instead of base64.
fn raw_keys(run: &[u8], sink: &mut Sink<'_>) -> Result<(), Unchecked> {
    for bytes in [from_hex(run), from_hex(&run[1..])] {
        for length in KEY_BYTES {
            if length != OWN_KEY_BYTES && bytes.len() > SHORT_HEX {
                continue;
            }
            for piece in bytes.windows(length) {
                sink.offer_key(BASE64.encode(piece).as_bytes())?;
            }
        }
    }
    Ok(())
}
