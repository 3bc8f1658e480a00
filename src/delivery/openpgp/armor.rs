//! Reading keys as people paste them: from a mail, a chat or a web page.
//!
//! GnuPG reads text before and after the key, blanks at the ends of lines, any line breaks, and a
//! key without the empty line after BEGIN; so does this. Beyond that it takes off what a reply put
//! before each line (`> `). The checksum is not compared (RFC 9580, section 6.1): what the key says
//! is signed.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BEGIN: &str = "-----BEGIN PGP ";
const END: &str = "-----END PGP ";
const DASHES: &str = "-----";

/// A line's last `=` is easily lost, and what it says is known from the length.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why no key could be taken out of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// A key begins and does not end.
    CutOff,
    /// What stands between BEGIN and END is not base64.
    Garbled,
}

/// The public key blocks of a text, as bytes, in their order. Blocks of other kinds are passed
/// over, but not what they wrap.
pub(super) fn key_blocks(text: &str) -> Result<Vec<Vec<u8>>, Unread> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let line = rest[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1);
        let before = &rest[line..at];
        let after = &rest[at + BEGIN.len()..];
        let Some(label_end) = after.find(DASHES) else { break };
        let inside = &after[label_end + DASHES.len()..];
        rest = inside;
        if &after[..label_end] != "PUBLIC KEY BLOCK" {
            continue;
        }
        let end = inside.find(END).ok_or(Unread::CutOff)?;
        if inside[..end].contains(BEGIN) {
            return Err(Unread::CutOff);
        }
        blocks.push(decode(&inside[..end], before)?);
        rest = &inside[end + END.len()..];
    }
    Ok(blocks)
}

/// The bytes of a block. `before` is what stands before BEGIN on its line.
fn decode(inside: &str, before: &str) -> Result<Vec<u8>, Unread> {
    let mut letters = String::with_capacity(inside.len());
    let mut headers = true;
    for line in inside.split(['\n', '\r']) {
        let line = line.strip_prefix(before).unwrap_or(line);
        let line = line.trim_matches(|c| is_blank(c) || c == '>');
        // Base64 has no colon, so a header is known by it even where no empty line follows.
        if line.is_empty() || headers && line.contains(':') {
            continue;
        }
        headers = false;
        for word in line.split(is_blank).filter(|word| !word.is_empty()) {
            // Padding is `=` or `==`; more than that is the checksum.
            match word.strip_prefix('=') {
                Some(checksum) if checksum.len() > 1 => {}
                _ => letters.push_str(word),
            }
        }
    }
    BASE64.decode(letters).map_err(|_| Unread::Garbled)
}

/// White space of any kind, and what has no width at all.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAEC\nAwQF\nBg==\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
    const BYTES: &[u8] = &[0, 1, 2, 3, 4, 5, 6];

    fn one(text: &str) -> Vec<u8> {
        let mut blocks = key_blocks(text).unwrap_or_else(|e| panic!("{e:?}: {text}"));
        assert_eq!(blocks.len(), 1, "{text}");
        blocks.remove(0)
    }

    /// Protects Owners who paste their key from wherever it is.
    #[test]
    fn a_key_is_read_however_it_was_pasted() {
        for (how, text) in [
            ("as it is", KEY.to_owned()),
            ("blanks at line ends", KEY.replace('\n', "  \n")),
            ("CR LF", KEY.replace('\n', "\r\n")),
            ("CR alone", KEY.replace('\n', "\r")),
            ("no empty line", KEY.replacen("\n\n", "\n", 1)),
            ("headers", KEY.replacen("\n\n", "\nVersion: X 1\nComment:\n\n", 1)),
            ("headers and no empty line", KEY.replacen("\n\n", "\nVersion: X 1\n", 1)),
            ("double spaced", KEY.replace('\n', "\n\n")),
            ("in a reply", format!("-----Original Message-----\nFrom: Olga\n{KEY}Regards\n")),
            ("text on the line", format!("Here it is: {KEY}")),
            ("quoted", KEY.lines().map(|line| format!("> {line}\n")).collect()),
            (
                "quoted, bare",
                KEY.lines().map(|line| format!("> {line}").trim_end().to_owned() + "\n").collect(),
            ),
            ("quoted twice", KEY.lines().map(|line| format!("> > {line}\n")).collect()),
            ("indented", KEY.lines().map(|line| format!("    {line}\n")).collect()),
            ("hard spaces", KEY.replace("AwQF", "Aw\u{a0}QF\u{200b}")),
            ("byte order mark", format!("\u{feff}{KEY}")),
            ("in one line", KEY.replace('\n', " ")),
            ("no checksum", KEY.replace("=abcd\n", "")),
            ("padding on its own line", KEY.replace("Bg==", "Bg\n==")),
            ("padding lost", KEY.replace("Bg==", "Bg")),
            (
                "inside a signed message",
                format!(
                    "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}-----BEGIN PGP SIGNATURE-----\n\nAA\n-----END PGP SIGNATURE-----\n",
                    KEY.replace("-----BEGIN", "- -----BEGIN").replace("-----END", "- -----END")
                ),
            ),
        ] {
            assert_eq!(one(&text), BYTES, "{how}");
        }
        assert_eq!(key_blocks(&format!("{KEY}\nand\n{KEY}")).unwrap().len(), 2);
    }

    /// Protects against half a key, and against text that is none.
    #[test]
    fn what_is_cut_off_or_garbled_is_told_apart_from_what_is_none() {
        assert_eq!(key_blocks("").unwrap().len(), 0);
        assert_eq!(key_blocks("-----BEGIN PGP ").unwrap().len(), 0);
        assert_eq!(key_blocks(&KEY.replace("PUBLIC KEY BLOCK", "MESSAGE")).unwrap().len(), 0);
        assert_eq!(key_blocks(&KEY[..60]), Err(Unread::CutOff));
        assert_eq!(key_blocks(&format!("{}{KEY}", &KEY[..45])), Err(Unread::CutOff));
        assert_eq!(key_blocks(&KEY.replace("AwQF", "A*QF")), Err(Unread::Garbled));
    }
}
