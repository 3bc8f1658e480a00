//! Addresses, as the mailer reads them: what it refuses is refused where it enters.

use lettre::Address;
use lettre::message::Mailbox;

/// What is said of an address that is refused.
pub const NOT_MAILABLE: &str = "an address has one @ between a name and a domain, and no full stop at an end or two in a row: mail could not be sent to this one";

/// Whether mail can be sent to this bare address, `olga@example.com`.
#[must_use]
pub fn is_mailable(address: &str) -> bool {
    // Read twice: as what stands in the envelope, and as what stands in the header.
    address.parse::<Address>().is_ok() && address.parse::<Mailbox>().is_ok()
}

/// The address and its domain in `Keyturn <keyturn@platform.example>`; nothing where mail could
/// not come from it.
#[must_use]
pub fn sender(mailbox: &str) -> Option<(String, String)> {
    let mailbox = mailbox.parse::<Mailbox>().ok()?;
    Some((mailbox.email.to_string(), mailbox.email.domain().to_owned()))
}

/// The name by which a mail server knows us: where the console is reached, or else the domain that
/// mail comes from. Nothing where neither is the name of a host.
#[must_use]
pub fn greeting(base_url: &str, mail_from: &str) -> Option<String> {
    let host = url::Url::parse(base_url).ok().and_then(|url| match url.host() {
        Some(url::Host::Domain(name)) if name.contains('.') => Some(name.to_owned()),
        _ => None,
    });
    host.or_else(|| sender(mail_from).map(|(_, domain)| domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects against an address that passes every check and to which no mail ever leaves.
    #[test]
    fn what_the_mailer_cannot_send_to_is_no_address() {
        for good in ["zoe@zephyr.example", "a.b+c@zephyr.example", "inès@zephyr.example"] {
            assert!(is_mailable(good), "{good}");
        }
        for bad in [
            "",
            "zoe",
            "@zephyr.example",
            "zoe@",
            "zoe..x@zephyr.example",
            "a@b@zephyr.example",
            ".zoe@zephyr.example",
            "zoe@zephyr..example",
            "zoe @zephyr.example",
            "zoe@zephyr.example\r\nBcc: eve@evil.example",
            "Zoe <zoe@zephyr.example>",
        ] {
            assert!(!is_mailable(bad), "{bad:?}");
        }
    }

    /// Protects mail from servers that take none from a host without a name.
    #[test]
    fn the_deployment_greets_by_its_own_name() {
        let from = "Keyturn <keyturn@platform.example>";
        let name = |base: &str| greeting(base, from);
        assert_eq!(name("https://keyturn.example:8443").as_deref(), Some("keyturn.example"));
        for unnamed in ["http://127.0.0.1:3000", "http://localhost:3000", "https://[::1]"] {
            assert_eq!(name(unnamed).as_deref(), Some("platform.example"), "{unnamed}");
        }
        assert_eq!(greeting("http://127.0.0.1", "nobody"), None);
        let (address, domain) = sender(from).unwrap();
        assert_eq!(
            (address.as_str(), domain.as_str()),
            ("keyturn@platform.example", "platform.example")
        );
    }
}
