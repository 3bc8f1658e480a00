//! Reading a caught mail: headers (RFC 5322, RFC 2047) and parts (RFC 2045, RFC 2046). What makes
//! no sense is shown as it came rather than refused: a catcher is there to look at.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padding is often wrong in mails, and what it says is known from the length.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Parts within parts within parts: deeper than any honest mail.
const DEEPEST: usize = 8;

type Headers = Vec<(String, String)>;

/// One part of a mail, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The media type in lower case, without its parameters; `text/plain` where none is given.
    pub content_type: String,
    /// The name it wants to be saved under.
    pub file_name: Option<String>,
    /// The content, its transfer encoding undone.
    pub content: Vec<u8>,
}

pub(super) struct Message {
    pub(super) subject: String,
    pub(super) headers: Headers,
    pub(super) body: String,
    pub(super) parts: Vec<Part>,
}

pub(super) fn read(raw: &[u8]) -> Message {
    let (headers, content) = split(raw);
    let mut parts = Vec::new();
    collect(&headers, content, DEEPEST, &mut parts);
    let read = |part: &Part| String::from_utf8_lossy(&part.content).into_owned();
    let mut texts =
        parts.iter().filter(|p| p.content_type == "text/plain" && p.file_name.is_none());
    let body = match texts.next() {
        // A mail program shows them below one another.
        Some(first) => Some(texts.fold(read(first), |shown, part| shown + "\r\n" + &read(part))),
        None => parts.first().map(read),
    };
    Message {
        subject: find(&headers, "Subject").map(decode_words).unwrap_or_default(),
        body: body.unwrap_or_default(),
        headers,
        parts,
    }
}

/// The first header of this name, whatever its case.
pub(super) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut named = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.as_str())
}

/// The headers, unfolded, and what follows the empty line after them.
fn split(raw: &[u8]) -> (Headers, &[u8]) {
    let mut headers = Headers::new();
    let mut rest = raw;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim_end().to_owned(), value.trim_start().to_owned()));
        }
    }
    (headers, rest)
}

fn collect(headers: &Headers, content: &[u8], depth: usize, parts: &mut Vec<Part>) {
    let content_type = find(headers, "Content-Type").unwrap_or("text/plain");
    let media_type = content_type.split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    if media_type.starts_with("multipart/")
        && depth > 0
        && let Some(boundary) = parameter(content_type, "boundary")
    {
        for inner in between(content, &boundary) {
            let (headers, content) = split(inner);
            collect(&headers, content, depth - 1, parts);
        }
        return;
    }
    let file_name = find(headers, "Content-Disposition")
        .and_then(|disposition| parameter(disposition, "filename"))
        .or_else(|| parameter(content_type, "name"));
    let encoding = find(headers, "Content-Transfer-Encoding").unwrap_or("7bit");
    parts.push(Part { content_type: media_type, file_name, content: decode(encoding, content) });
}

/// What stands between the lines `--boundary`, up to `--boundary--` (RFC 2046, section 5.1.1). The
/// line break before a boundary belongs to the boundary.
fn between<'a>(content: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let mark = format!("--{boundary}");
    let mut found = Vec::new();
    let mut begun: Option<usize> = None;
    let mut at = 0;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if let Some(after) = line.strip_prefix(mark.as_bytes()) {
            let after = after.trim_ascii_end();
            if after.is_empty() || after == b"--" {
                if let Some(begun) = begun {
                    let part = &content[begun..at.max(begun)];
                    let part = part.strip_suffix(b"\n").unwrap_or(part);
                    found.push(part.strip_suffix(b"\r").unwrap_or(part));
                }
                if !after.is_empty() {
                    return found;
                }
                begun = Some(at + line.len());
            }
        }
        at += line.len();
    }
    // A mail that was cut off still has its last part.
    found.extend(begun.map(|begun| &content[begun..]));
    found
}

/// A parameter of a header, `; name=value` or `; name="value"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once(';') {
        let (key, value) = after.split_once('=')?;
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned());
        }
        rest = after;
    }
    None
}

fn decode(encoding: &str, content: &[u8]) -> Vec<u8> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => decode_base64(content).unwrap_or_else(|| content.to_vec()),
        "quoted-printable" => decode_quoted_printable(content),
        _ => content.to_vec(),
    }
}

fn decode_base64(content: &[u8]) -> Option<Vec<u8>> {
    let letters: Vec<u8> = content.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    BASE64.decode(letters).ok()
}

/// RFC 2045, section 6.7. An `=` that begins nothing known stays as it is.
fn decode_quoted_printable(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        let ending: &[u8] = match line {
            [.., b'\r', b'\n'] => b"\r\n",
            [.., b'\n'] => b"\n",
            _ => b"",
        };
        let (text, ending) = match text.strip_suffix(b"=") {
            Some(text) => (text, &b""[..]),
            None => (text, ending),
        };
        let mut rest = text;
        while let Some((first, after)) = rest.split_first() {
            let byte = if *first == b'=' { hex_byte(after) } else { None };
            match byte {
                Some(byte) => {
                    out.push(byte);
                    rest = &after[2..];
                }
                None => {
                    out.push(*first);
                    rest = after;
                }
            }
        }
        out.extend_from_slice(ending);
    }
    out
}

/// The byte that two hexadecimal digits at the start stand for.
fn hex_byte(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| text.get(at).and_then(|digit| char::from(*digit).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// `=?utf-8?B?…?=` and `=?utf-8?Q?…?=` in a header (RFC 2047). White space between two of them
/// belongs to neither. Other character sets are left as they came.
fn decode_words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, from_word) = rest.split_at(at);
        let Some((word, after)) = encoded_word(from_word) else {
            out.push_str(before);
            out.push_str("=?");
            rest = &from_word[2..];
            after_word = false;
            continue;
        };
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&word);
        rest = after;
        after_word = true;
    }
    out.push_str(rest);
    out
}

fn encoded_word(text: &str) -> Option<(String, &str)> {
    let mut fields = text.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (fields.next()?, fields.next()?, fields.next()?);
    let (encoded, after) = rest.split_once("?=")?;
    if !["utf-8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known)) {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => decode_base64(encoded.as_bytes())?,
        "Q" | "q" => decode_quoted_printable(encoded.replace('_', " ").as_bytes()),
        _ => return None,
    };
    Some((String::from_utf8_lossy(&bytes).into_owned(), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Message {
        read(text.replace('\n', "\r\n").as_bytes())
    }

    /// Protects what the newcomer reads on the demo's page, in each way a mailer may encode it.
    #[test]
    fn bodies_are_decoded() {
        let plain = of("Subject: a\n\nGrüße\n.\n");
        assert_eq!(plain.body, "Grüße\r\n.\r\n");
        let base64 = of("Content-Transfer-Encoding: BASE64\n\nR3LD\nvMOfZQ==\n");
        assert_eq!(base64.body, "Grüße");
        let quoted = of("Content-Transfer-Encoding: quoted-printable\n\na=3Db =\nc=C3=BC =zz\n");
        assert_eq!(quoted.body, "a=b cü =zz\r\n");
        let broken = of("Content-Transfer-Encoding: base64\n\n!!!\n");
        assert_eq!(broken.body, "!!!\r\n");
    }

    /// Protects headers that are folded, encoded, repeated, or without a body after them.
    #[test]
    fn headers_are_unfolded_and_subjects_decoded() {
        let mail =
            of("Subject: =?utf-8?b?R3LDvMOfZQ==?=\n =?UTF-8?Q?_an_alle=21?= (1)\nX-A: 1\nx-a: 2");
        assert_eq!(mail.subject, "Grüße an alle! (1)");
        assert_eq!(find(&mail.headers, "X-a"), Some("1"));
        assert_eq!(mail.headers.len(), 3);
        assert_eq!(of("Subject: =?koi8-r?B?xA==?= =? x\n\n").subject, "=?koi8-r?B?xA==?= =? x");
        assert_eq!(of("\nno headers\n").body, "no headers\r\n");
    }

    /// Protects mails with an attachment, such as an encrypted message beside its explanation.
    #[test]
    fn parts_are_found_and_the_plain_text_is_the_body() {
        let mail = of("Content-Type: multipart/mixed; boundary=\"=_b;1\"\n\npreamble\n--=_b;1\n\
            Content-Type: multipart/alternative; boundary=inner\n\n--inner\n\
            Content-Type: text/html\n\n<p>hi</p>\n--inner\nContent-Type: text/plain; charset=utf-8\n\n\
            hi\n--inner--\n--=_b;1\nContent-Type: application/octet-stream; name=n.bin\n\
            Content-Disposition: attachment; filename=\"a b.asc\"\n\
            Content-Transfer-Encoding: base64\n\nAAEC\n--=_b;1--\nepilogue\n");
        assert_eq!(mail.body, "hi");
        let types: Vec<_> = mail.parts.iter().map(|part| part.content_type.as_str()).collect();
        assert_eq!(types, ["text/html", "text/plain", "application/octet-stream"]);
        assert_eq!(mail.parts[2].file_name.as_deref(), Some("a b.asc"));
        assert_eq!(mail.parts[2].content, [0, 1, 2]);
    }

    /// Protects against a mail that nests without end.
    #[test]
    fn nesting_has_a_floor() {
        let level = "Content-Type: multipart/mixed; boundary=b\n\n--b\n";
        assert_eq!(of(&level.repeat(1000)).parts.len(), 1);
    }

    proptest! {
        /// Protects the catcher from a panic on whatever it is sent.
        #[test]
        fn no_mail_panics(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&raw);
        }

        /// As above, with the characters that mean something.
        #[test]
        fn no_strange_mail_panics(raw in "(Content-Type: multipart/x; boundary=b|Subject|=\\?utf-8\\?q\\?|--b|--|:|=|\"|;| |\r\n|\n){0,40}") {
            read(raw.as_bytes());
        }
    }
}
