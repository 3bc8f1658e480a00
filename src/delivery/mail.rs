//! Mail over SMTP.

pub mod address;
mod compose;

use async_trait::async_trait;
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::authorities::Authorities;
use super::refusal::{Again, Refusal};
use super::smtp_refusal;

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
    /// The address of the mail server cannot be read.
    #[error("the SMTP address cannot be read")]
    Url,
    /// The server did not take it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl MailError {
    /// Whether it is to be tried again, and why it was not taken.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            // The addresses and the text are what they are.
            Self::Address | Self::Compose => {
                Refusal { again: Again::Never, said: self.to_string() }
            }
            Self::Url => Refusal { again: Again::Mend, said: self.to_string() },
        }
    }
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
    /// Whether the server lets us come as far as to name a sender. Its answers do not say which
    /// command they are to, so it is asked once more where it matters.
    async fn lets_us_in(&self) -> bool {
        match self.transport.test_connection().await {
            Ok(fine) => fine,
            // Where it cannot be told now, the answer to the mail stands.
            Err(e) => !e.is_permanent(),
        }
    }

    /// The mailer for an SMTP URL. `greeting` is the name by which it says who it is; without one
    /// it says its network address, which many servers take for a sign of spam.
    ///
    /// # Errors
    /// Where the URL cannot be read.
    pub fn new(url: &SecretString, greeting: Option<String>) -> Result<Self, MailError> {
        Self::trusting(url, greeting, &Authorities::default())
    }

    /// The same, where the server's certificate may be of one of these authorities.
    ///
    /// # Errors
    /// As [`SmtpMailer::new`].
    pub fn trusting(
        url: &SecretString,
        greeting: Option<String>,
        authorities: &Authorities,
    ) -> Result<Self, MailError> {
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
            .map_err(|_| MailError::Url)?
            .timeout(Some(std::time::Duration::from_secs(10)));
        if let Some(tls) = authorities.mail(url.expose_secret()) {
            transport = transport.tls(tls);
        }
        if let Some(name) = greeting {
            transport = transport.hello_name(ClientId::Domain(name));
        }
        Ok(Self { transport: transport.build() })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = compose::compose(mail)?;
        let Err(e) = self.transport.send(message).await else { return Ok(()) };
        let answer = smtp_refusal::of(&e);
        if answer.again == Again::Never && !self.lets_us_in().await {
            // It refuses whatever comes from us: that is not about this mail.
            return Err(Refusal { again: Again::Mend, ..answer }.into());
        }
        Err(answer.into())
    }
}

#[cfg(test)]
mod tests {
    use super::compose::compose;
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

    /// Protects the message and the link from a name that needs encoding.
    #[test]
    fn beside_other_letters_the_message_and_the_link_pass_as_they_are() {
        let armor = "-----BEGIN PGP MESSAGE-----\n\nwcBMA0=\n=aaaa\n-----END PGP MESSAGE-----\n";
        let link = format!("https://keyturn.example/acknowledge/{}=", "a".repeat(60));
        let body = format!("Inès Moreau-Díaz did it.\n\n{armor}\nOpen it:\n{link}\n");
        let mut mail = mail(&body);
        mail.subject = "Für Zoë".into();
        let formatted = String::from_utf8(compose(&mail).unwrap().formatted()).unwrap();
        let formatted = formatted.replace("\r\n", "\n");
        assert!(formatted.contains(armor), "{formatted}");
        assert!(formatted.contains(&format!("\n{link}\n")), "{formatted}");
        assert!(formatted.is_ascii() && formatted.contains("In=C3=A8s"), "{formatted}");
    }

    /// Protects mail from servers that take none from who does not say a name.
    #[tokio::test]
    async fn it_greets_by_the_name_of_the_deployment() {
        use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let mailer = SmtpMailer::new(&url.into(), Some("keyturn.example".into())).unwrap();
        let asked = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            client.write_all(b"220 here\r\n").await.unwrap();
            BufReader::new(client).lines().next_line().await.unwrap().unwrap()
        });
        // It hangs up after the greeting.
        mailer.send(&mail("x")).await.unwrap_err();
        assert_eq!(asked.await.unwrap(), "EHLO keyturn.example");
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
