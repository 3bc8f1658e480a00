//! Mail over SMTP.

use async_trait::async_trait;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

/// A mail. Its body may hold a link that works once, so it does not print.
#[derive(Debug, Clone)]
pub struct Mail {
    /// `Message-ID`, the same on every attempt.
    pub message_id: String,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: SecretString,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// An address that cannot be one.
    #[error("an address in the mail cannot be read")]
    Address,
    /// The mail could not be composed.
    #[error("the mail could not be composed")]
    Compose,
    /// The server did not take it.
    #[error("the mail server did not take it: {0}")]
    Server(String),
}

/// A way for mail to leave.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Hands a mail over. When this returns, somebody else is responsible for it.
    ///
    /// # Errors
    /// Where it was not taken; it is tried again later.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// SMTP, as named by a URL: `smtp://127.0.0.1:2525`, `smtps://user:password@host`,
/// `smtp://host?tls=required`.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl std::fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SmtpMailer")
    }
}

impl SmtpMailer {
    /// The mailer for an SMTP URL.
    ///
    /// # Errors
    /// Where the URL cannot be read.
    pub fn new(url: &SecretString) -> Result<Self, MailError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
            .map_err(|_| MailError::Server("the SMTP address cannot be read".to_owned()))?
            .timeout(Some(std::time::Duration::from_secs(10)))
            .build();
        Ok(Self { transport })
    }
}

fn compose(mail: &Mail) -> Result<Message, MailError> {
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|_| MailError::Address);
    // Plain ASCII with short lines goes as it is, so that an OpenPGP message in it can be given
    // to gpg as received.
    let text = mail.body.expose_secret();
    let plain = text.is_ascii() && !text.contains('\0') && text.lines().all(|l| l.len() < 900);
    let body = if plain {
        // The library refuses this encoding, by a panic, for lines above 76; SMTP takes 998.
        let lines = text.replace("\r\n", "\n").replace('\r', "").replace('\n', "\r\n");
        Body::dangerous_pre_encoded(lines.into_bytes(), ContentTransferEncoding::SevenBit)
    } else {
        Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::QuotedPrintable)
            .map_err(|_| MailError::Compose)?
    };
    Message::builder()
        .message_id(Some(mail.message_id.clone()))
        .from(mailbox(&mail.from)?)
        .to(mailbox(&mail.to)?)
        .subject(mail.subject.clone())
        .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body))
        .map_err(|_| MailError::Compose)
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = compose(mail)?;
        self.transport.send(message).await.map(|_| ()).map_err(|e| {
            // A server's own words may repeat the mail, and with it a link that works once.
            MailError::Server(match (e.status(), e.is_timeout()) {
                (Some(code), _) => format!("it answered {code}"),
                (None, true) => "it did not answer in time".to_owned(),
                (None, false) => "it could not be reached".to_owned(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(body: &str) -> Mail {
        Mail {
            message_id: "<1@keyturn>".into(),
            from: "Keyturn <keyturn@platform.example>".into(),
            to: "olive@acme.example".into(),
            subject: "Hello".into(),
            body: body.into(),
        }
    }

    #[test]
    fn an_armored_message_passes_as_it_is() {
        let armor = "-----BEGIN PGP MESSAGE-----\n\nwcBMA0=\n=aaaa\n-----END PGP MESSAGE-----\n";
        let formatted = String::from_utf8(compose(&mail(armor)).unwrap().formatted()).unwrap();
        assert!(formatted.replace("\r\n", "\n").contains(armor));
    }

    #[test]
    fn a_line_break_in_an_address_is_refused() {
        let mut bad = mail("x");
        bad.to = "olive@acme.example\r\nBcc: eve@evil.example".into();
        assert!(matches!(compose(&bad), Err(MailError::Address)));
    }

    #[test]
    fn the_body_does_not_print() {
        assert!(!format!("{:?}", mail("a link that works once")).contains("works once"));
    }
}
