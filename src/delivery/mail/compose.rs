//! A mail as it goes over the wire: whatever a name looks like and however old a server is, an
//! OpenPGP message and a link arrive as they were written (docs/adr/0017).
//!
//! They stand in parts of plain ASCII with short lines, which no server has a reason to encode.
//! Text with other letters stands in parts of its own, encoded, and an OpenPGP message in an
//! attachment.

use lettre::Message;
use lettre::message::header::{ContentDisposition, ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use secrecy::ExposeSecret as _;

use super::{Mail, MailError};

const BEGIN: &str = "-----BEGIN PGP MESSAGE-----";
const END: &str = "-----END PGP MESSAGE-----";

/// What the attachment is called; mail programs go by the ending.
const FILE_NAME: &str = "message.asc";

/// SMTP takes 998 characters in a line.
const LONGEST_LINE: usize = 900;

/// A piece of the text.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// Goes as it is.
    Plain(String),
    /// Has to be encoded.
    Encoded(String),
}

pub(super) fn compose(mail: &Mail) -> Result<Message, MailError> {
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|_| MailError::Address);
    let (text, armor) = apart(mail.body.expose_secret());
    let mut parts = pieces(&text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Plain(text) => Ok(part(ContentType::TEXT_PLAIN).body(as_it_is(&text))),
            Piece::Encoded(text) => encoded(&text),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(armor) = armor {
        let kind = ContentType::parse(&format!("application/octet-stream; name=\"{FILE_NAME}\""))
            .map_err(|_| MailError::Compose)?;
        let attached = part(kind).header(ContentDisposition::attachment(FILE_NAME));
        parts.push(attached.body(as_it_is(&armor)));
    }
    let message = Message::builder()
        .message_id(Some(mail.message_id.clone()))
        .from(mailbox(&mail.from)?)
        .to(mailbox(&mail.to)?)
        .subject(mail.subject.clone());
    let message = if parts.len() == 1 {
        message.singlepart(parts.remove(0))
    } else {
        // No line of a part begins like this: the id is in none of them.
        let id = mail.message_id.chars().filter(char::is_ascii_alphanumeric).take(48);
        let boundary = format!("=_{}", id.collect::<String>());
        let mut all = MultiPart::mixed().boundary(boundary).build();
        for part in parts {
            all = all.singlepart(part);
        }
        message.multipart(all)
    };
    message.map_err(|_| MailError::Compose)
}

fn part(kind: ContentType) -> lettre::message::SinglePartBuilder {
    SinglePart::builder().header(kind)
}

fn as_it_is(text: &str) -> Body {
    // The library refuses this encoding, by a panic, for lines above 76.
    Body::dangerous_pre_encoded(crlf(text).into_bytes(), ContentTransferEncoding::SevenBit)
}

fn encoded(text: &str) -> Result<SinglePart, MailError> {
    let body = Body::new_with_encoding(crlf(text), ContentTransferEncoding::QuotedPrintable);
    Ok(part(ContentType::TEXT_PLAIN).body(body.map_err(|_| MailError::Compose)?))
}

fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "").replace('\n', "\r\n")
}

/// The text without the OpenPGP message in it, and that.
fn apart(body: &str) -> (String, Option<String>) {
    let found = body.find(BEGIN).and_then(|from| {
        let end = from + body[from..].find(END)? + END.len();
        Some((from, end))
    });
    match found {
        Some((from, end)) if is_plain(&body[from..end]) => {
            let text = format!("{}{}", &body[..from], body[end..].trim_start());
            (text, Some(format!("{}\n", &body[from..end])))
        }
        _ => (body.to_owned(), None),
    }
}

/// The text in as few pieces as keep each link out of those that are encoded.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut add = |text: &str| match (pieces.last_mut(), is_plain(text)) {
        (Some(Piece::Plain(before)), true) | (Some(Piece::Encoded(before)), false) => {
            before.push_str(text);
        }
        (_, true) => pieces.push(Piece::Plain(text.to_owned())),
        (_, false) => pieces.push(Piece::Encoded(text.to_owned())),
    };
    if is_plain(text) || !text.contains("://") {
        add(text);
        return pieces;
    }
    for paragraph in text.split_inclusive("\n\n") {
        // A paragraph stays in one piece, but for one that has a link beside other letters.
        match is_plain(paragraph) || !paragraph.contains("://") {
            true => add(paragraph),
            false => paragraph.split_inclusive('\n').for_each(&mut add),
        }
    }
    pieces
}

fn is_plain(text: &str) -> bool {
    text.is_ascii() && !text.contains('\0') && text.lines().all(|line| line.len() < LONGEST_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects links from being broken at an `=`, and readers from a mail in shreds.
    #[test]
    fn a_link_is_never_in_an_encoded_piece() {
        let plain = |text: &str| Piece::Plain(text.to_owned());
        let encoded = |text: &str| Piece::Encoded(text.to_owned());
        assert_eq!(pieces("all\n\nhttps://x/a=b\n"), [plain("all\n\nhttps://x/a=b\n")]);
        assert_eq!(pieces("Grüße\n\nno link\n"), [encoded("Grüße\n\nno link\n")]);
        assert_eq!(
            pieces("Inès\n\nopen:\nhttps://x/a=b\n\nZoë\n"),
            [encoded("Inès\n\n"), plain("open:\nhttps://x/a=b\n\n"), encoded("Zoë\n")]
        );
        assert_eq!(
            pieces("Inès asks:\nhttps://x/a=b\nZoë\n"),
            [encoded("Inès asks:\n"), plain("https://x/a=b\n"), encoded("Zoë\n")]
        );
        let long = "x".repeat(LONGEST_LINE);
        assert_eq!(pieces(&format!("{long}\n\nhttps://x/\n")).len(), 2);
    }

    /// Protects the message from what stands around it.
    #[test]
    fn the_message_is_taken_out_of_the_text() {
        let armor = format!("{BEGIN}\n\nwcBM\n=aaaa\n{END}");
        let (text, found) = apart(&format!("Zoë\n\n{armor}\n\nbye\n"));
        assert_eq!(found.as_deref(), Some(format!("{armor}\n").as_str()));
        assert_eq!(text, "Zoë\n\nbye\n");
        assert_eq!(apart("hello"), ("hello".to_owned(), None));
        assert_eq!(apart(BEGIN).1, None);
    }
}
