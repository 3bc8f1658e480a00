//! The readings of a text: as it is written, and as it reads once escapes, tags, list marks,
//! base64 and hex are undone.

use std::collections::HashSet;

use super::{LONGEST_TEXT, Unchecked};

/// How many layers of dress are taken off: two of encoding, and two of what a mail client or a
/// web form puts around them.
const MOST_LAYERS: usize = 4;

/// How much text all readings may come to. An ordinary reply has two or three readings.
const MOST_CHARS: usize = 20 * LONGEST_TEXT;

/// The shortest stretch of decoded text that is read on: the shortest value that is issued is a
/// vault token of 26 characters. Random bytes practically never hold so much text in a row.
const SHORTEST_TEXT: usize = 24;

/// The shortest run of hex that is decoded: 24 bytes, the shortest webhook key.
const SHORTEST_HEX: usize = 48;

/// Every reading of the text, each once, the text itself first.
pub(super) fn of(text: &str) -> Result<Vec<String>, Unchecked> {
    let chars = text.chars().count();
    if chars > LONGEST_TEXT {
        return Err(Unchecked::TooLong { chars });
    }
    let mut readings = Readings { found: Vec::new(), seen: HashSet::new(), room: MOST_CHARS };
    readings.add(text, 0)?;
    let mut next = 0;
    while let Some((reading, layer)) = readings.found.get(next).cloned() {
        next += 1;
        if layer == MOST_LAYERS {
            continue;
        }
        readings.add(&unescaped(&reading), layer + 1)?;
        readings.add(&without_tags(&reading), layer + 1)?;
        for changed in [false, true] {
            readings.add(&without_marks(&reading, changed), layer + 1)?;
        }
        for spelling in spellings(&reading) {
            let squeezed = squeezed(&spelling);
            // Nobody says where the encoded part starts: of four beginnings one is aligned.
            for start in 0..squeezed.len().min(4) {
                for text in texts_in(&from_base64(&squeezed[start..])) {
                    readings.add(&text, layer + 1)?;
                }
            }
        }
        for run in hex_runs(&reading) {
            for bytes in [from_hex(&run), from_hex(&run[1..])] {
                for text in texts_in(&bytes) {
                    readings.add(&text, layer + 1)?;
                }
            }
        }
    }
    Ok(readings.found.into_iter().map(|(reading, _)| reading).collect())
}

struct Readings {
    found: Vec<(String, usize)>,
    seen: HashSet<String>,
    room: usize,
}

impl Readings {
    fn add(&mut self, text: &str, layer: usize) -> Result<(), Unchecked> {
        let text = folded(text);
        if self.seen.insert(text.clone()) {
            self.room = self.room.checked_sub(text.len()).ok_or(Unchecked::TooDense)?;
            self.found.push((text, layer));
        }
        Ok(())
    }
}

/// The text in ASCII as far as it looks like ASCII, without the characters that do not show.
fn folded(text: &str) -> String {
    text.chars().filter(|&c| !invisible(c)).map(ascii_lookalike).collect()
}

/// Characters that take no room of their own, so that a value with them looks like the value.
fn invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x300..=0x36F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x20D0..=0x20FF | 0x3164
        | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF9..=0xFFFB | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// The ASCII character that this one is a form of, or looks just like.
fn ascii_lookalike(c: char) -> char {
    let ascii = |start: u8, offset: u32| {
        u8::try_from(offset).ok().and_then(|offset| start.checked_add(offset)).map_or(c, char::from)
    };
    match u32::from(c) {
        0..=0x7F => c,
        fullwidth @ 0xFF01..=0xFF5E => ascii(b'!', fullwidth - 0xFF01),
        // The letters and digits in bold, italics, typewriter … that text formatters write with.
        letter @ 0x1D400..=0x1D6A3 => match (letter - 0x1D400) % 52 {
            upper @ 0..26 => ascii(b'A', upper),
            lower => ascii(b'a', lower - 26),
        },
        digit @ 0x1D7CE..=0x1D7FF => ascii(b'0', (digit - 0x1D7CE) % 10),
        0x2010..=0x2015 | 0x2212 => '-',
        0x2044 | 0x2215 => '/',
        _ => match c {
            'А' | 'Α' => 'A',
            'В' | 'Β' => 'B',
            'С' => 'C',
            'Е' | 'Ε' => 'E',
            'Н' | 'Η' => 'H',
            'І' | 'Ι' => 'I',
            'К' | 'Κ' | '\u{212A}' => 'K',
            'М' | 'Μ' => 'M',
            'О' | 'Ο' => 'O',
            'Р' | 'Ρ' => 'P',
            'Ѕ' => 'S',
            'Т' | 'Τ' => 'T',
            'Х' | 'Χ' => 'X',
            'Ζ' => 'Z',
            'а' => 'a',
            'с' => 'c',
            'е' => 'e',
            'һ' => 'h',
            'і' => 'i',
            'о' | 'ο' => 'o',
            'р' => 'p',
            'ѕ' => 's',
            'х' => 'x',
            'у' => 'y',
            _ => c,
        },
    }
}

/// The text with the escapes of URLs, HTML, JSON and quoted-printable undone.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (with, taken) = match byte {
            b'%' | b'&' | b'\\' | b'=' => escape(&text[at..]).unwrap_or((Some(byte.into()), 1)),
            _ => {
                out.push(byte);
                at += 1;
                continue;
            }
        };
        match with {
            // A byte of a longer UTF-8 sequence, when it comes from `%`.
            Some(c) if byte == b'%' => out.extend(u8::try_from(u32::from(c))),
            Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {}
        }
        at += taken;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What the escape at the start of the text stands for, if anything, and its length in bytes.
fn escape(text: &str) -> Option<(Option<char>, usize)> {
    let hex = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).map(Some)
    };
    let start = text.as_bytes().get(..2)?;
    match start {
        [b'%', _] => Some((hex(1, 3)?, 3)),
        b"\\x" => Some((hex(2, 4)?, 4)),
        b"\\u" if text.as_bytes().get(2) == Some(&b'{') => {
            let end = text.bytes().take(10).position(|b| b == b'}')?;
            Some((hex(3, end)?, end + 1))
        }
        b"\\u" => Some((hex(2, 6)?, 6)),
        b"\\n" | b"\\r" | b"\\t" => Some((Some('\n'), 2)),
        b"=\n" => Some((None, 2)),
        b"=\r" if text.as_bytes().get(2) == Some(&b'\n') => Some((None, 3)),
        b"=3" if text.as_bytes().get(2).is_some_and(|b| b"dD".contains(b)) => Some((Some('='), 3)),
        b"&#" => {
            let end = text.bytes().take(12).position(|b| b == b';')?;
            let c = match text.as_bytes().get(2)? {
                b'x' | b'X' => hex(3, end)?,
                _ => Some(text.get(2..end)?.parse().ok().and_then(char::from_u32)?),
            };
            Some((c, end + 1))
        }
        [b'&', _] => {
            let end = text.bytes().take(12).position(|b| b == b';')?;
            let name = text.get(1..end)?;
            let c = match name {
                "amp" => '&',
                "equals" => '=',
                "hyphen" | "dash" => '-',
                "lowbar" => '_',
                "lt" => '<',
                "gt" => '>',
                "period" => '.',
                "plus" => '+',
                "sol" => '/',
                _ if name.bytes().all(|b| b.is_ascii_alphabetic()) => ' ',
                _ => return None,
            };
            Some((Some(c), end + 1))
        }
        _ => None,
    }
}

/// The text without HTML tags, which put letters between those of a value.
fn without_tags(text: &str) -> String {
    const LONGEST_TAG: usize = 200;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        let inside = &rest[open + 1..];
        // `bytes` may stop within a character, but `>` is never a part of one.
        rest = match inside.bytes().take(LONGEST_TAG).position(|b| b == b'>' || b == b'<') {
            Some(end) if inside.as_bytes()[end] == b'>' => &inside[end + 1..],
            _ => {
                out.push('<');
                inside
            }
        };
    }
    out.push_str(rest);
    out
}

/// The text without what stands before a line or between the pieces of a value and could be
/// taken for a part of it: line numbers, comment and quotation marks, the `+` of joined strings.
/// With `changed`, the one sign before a changed line too, which may as well belong to the value.
fn without_marks(text: &str, changed: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_start().trim_start_matches(['>', '|', '#', '*']);
        let line = if changed { line.strip_prefix(['+', '-']).unwrap_or(line) } else { line };
        let words: Vec<&str> = line
            .split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`'))
            .filter(|word| word.bytes().any(|byte| byte.is_ascii_alphanumeric()))
            .collect();
        let numbered = words.len() > 1 && is_number(words[0]);
        for word in words.iter().skip(usize::from(numbered)) {
            out.push_str(word);
            out.push(' ');
        }
        out.push('\n');
    }
    out
}

/// Whether the word is the number of a line or of a point in a list.
fn is_number(word: &str) -> bool {
    let digits = word.trim_end_matches(['.', ')', ':', '|']);
    digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the byte is one of the 64 of standard base64.
pub(super) fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// The text as standard base64 would spell it, and as the URL-safe kind would: there `-` and `_`
/// belong to the value, here they only separate.
pub(super) fn spellings(text: &str) -> [Vec<u8>; 2] {
    let url_safe = text.bytes().map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    });
    [text.as_bytes().to_vec(), url_safe.collect()]
}

/// Only the base64 of the bytes: no white space, line breaks, quotation marks, separators.
pub(super) fn squeezed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(is_base64).collect()
}

/// The bytes that a run of standard base64 stands for. Padding is not needed, and what the last
/// character holds beyond a whole byte is let go.
fn from_base64(run: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(run.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in run {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = (bits << 6 | u32::from(value)) & 0xFFFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xFF) as u8);
        }
    }
    out
}

/// The runs of hex digits that are long enough to hold a key, whatever separates the digits.
pub(super) fn hex_runs(text: &str) -> Vec<Vec<u8>> {
    // `0x` and `\x` before each byte separate too, although they hold a digit and a letter.
    let text = text.replace("0x", " ").replace("\\x", " ");
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).collect();
    digits
        .split(|byte| !byte.is_ascii_hexdigit())
        .filter(|run| run.len() >= SHORTEST_HEX)
        .map(<[u8]>::to_vec)
        .collect()
}

/// The bytes that a run of hex digits stands for. An odd digit at the end is let go.
pub(super) fn from_hex(run: &[u8]) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    };
    run.chunks_exact(2).map(|pair| value(pair[0]) << 4 | (value(pair[1]) & 0xF)).collect()
}

/// The stretches of readable text in decoded bytes. The zero bytes of UTF-16 are passed over.
fn texts_in(bytes: &[u8]) -> Vec<String> {
    let bytes: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != 0).collect();
    bytes
        .utf8_chunks()
        .flat_map(|chunk| chunk.valid().split(|c: char| c.is_control() && !c.is_whitespace()))
        .filter(|text| text.len() >= SHORTEST_TEXT)
        .map(str::to_owned)
        .collect()
}
