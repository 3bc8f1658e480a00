//! How a system outside says no: not now, not before somebody has mended what stands in the way,
//! or never; and how much of its own words is kept.

use crate::delivery::guard;
use crate::model::Micros;

/// Whether what was not taken is to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Not now. It is tried again by itself, and not before so long, where the system said how long.
    Later(Option<Micros>),
    /// Something between the system and us has to be mended first, which has nothing to do with
    /// what was to be delivered. It is tried again by itself, less often, and not given up.
    Mend,
    /// This will never be taken as it is.
    Never,
}

/// That something was not taken, and the words to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub struct Refusal {
    /// Whether it is tried again.
    pub again: Again,
    /// Why, in words that may be shown and kept.
    pub said: String,
}

/// How much is kept of what a server said, in characters.
const LONGEST_WORDS: usize = 160;

/// The longest word that is kept: no link and no key is as short, whatever it is split into.
const LONGEST_WORD: usize = 20;

/// What stands where something was left out.
const LEFT_OUT: &str = "…";

/// What may be kept of a server's own words. They may repeat what was sent: a link that works
/// once, an address, a message. So only what reads as plain words and short numbers stays, and
/// nothing at all where that still looks like a secret.
#[must_use]
pub fn plain_words(text: &str) -> String {
    let mut said = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        // Whatever is quoted from here on is armor.
        if word.contains("-----") {
            break;
        }
        let word = if is_plain(word) { word } else { LEFT_OUT };
        if word == LEFT_OUT && said.ends_with(LEFT_OUT) {
            continue;
        }
        let more = word.chars().count() + usize::from(!said.is_empty());
        if chars + more > LONGEST_WORDS {
            if !said.ends_with(LEFT_OUT) {
                said.push_str(LEFT_OUT);
            }
            break;
        }
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(word);
        chars += more;
    }
    if said == LEFT_OUT || !matches!(guard::shape(&said), Ok(None)) {
        return String::new();
    }
    said
}

/// Whether a word is one of a language, or a number that a person would say.
fn is_plain(word: &str) -> bool {
    let mark = |c: char| "()[]<>,.:;!?\"'`".contains(c);
    let core = word.trim_matches(mark);
    if core.is_empty() {
        return word.chars().count() <= 3;
    }
    if word.chars().count() > LONGEST_WORD + 4 || core.chars().count() > LONGEST_WORD {
        return false;
    }
    let number = core.chars().all(|c| c.is_ascii_digit()) && core.len() <= 10;
    let parts = core.split(['-', '\'', '\u{2019}']);
    number || parts.clone().all(is_cased) && parts.clone().any(|part| !part.is_empty())
}

/// Letters as words have them: all small, all capital, or the first one capital.
fn is_cased(part: &str) -> bool {
    let mut rest = part.chars();
    let Some(first) = rest.next() else { return true };
    first.is_alphabetic()
        && (rest.clone().all(|c| c.is_alphabetic() && !c.is_uppercase())
            || first.is_uppercase() && rest.all(char::is_uppercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_itself_stays() {
        for (text, kept) in [
            (
                "<zoe@zephyr.example>: Recipient address rejected: User unknown in local recipient table",
                "… Recipient address rejected: User unknown in local recipient table",
            ),
            ("Message size exceeds fixed limit", "Message size exceeds fixed limit"),
            (
                "The email account that you tried to reach does not exist. Please try \
                 double-checking the recipient's email address. For more information, go to \
                 https://support.mail.example/?p=NoSuchUser 4fb4d7f45d1cf-5cd a32si",
                "The email account that you tried to reach does not exist. Please try \
                 double-checking the recipient's email address. For more information, go to …",
            ),
            ("Greylisted, try again in 300 seconds", "Greylisted, try again in 300 seconds"),
            ("Boîte aux lettres inconnue", "Boîte aux lettres inconnue"),
            ("", ""),
        ] {
            assert_eq!(plain_words(text), kept);
        }
    }

    /// Protects the links and values of a mail from being shown because a server quotes it.
    #[test]
    fn nothing_of_the_mail_that_is_secret_stays() {
        let token = "q7Zr0kV3mQx1bT9wLs5nYc2hJd8fGp4aUe6iOo_-RtA";
        for text in [
            format!("rejected: https://keyturn.example/acknowledge/{token}"),
            format!("rejected: {token}"),
            // As a server wraps it, after any number of characters.
            format!("rejected: {} {}", &token[..20], &token[20..]),
            format!("rejected: {} {} {}", &token[..14], &token[14..28], &token[28..]),
            "rejected: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
            "rejected: hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY".to_owned(),
            "rejected: zoe@zephyr.example".to_owned(),
            "rejected:\n-----BEGIN PGP MESSAGE-----\n\nwcBMA0abcdef\nabcd\n-----END PGP MESSAGE-----"
                .to_owned(),
            "rejected: \u{202e}evil\u{1b}[31m".to_owned(),
        ] {
            let kept = plain_words(&text);
            assert!(kept.is_empty() || ["rejected:", "rejected: …"].contains(&kept.as_str()), "{kept}");
        }
        let pieces: Vec<String> =
            token.as_bytes().chunks(9).map(|c| String::from_utf8_lossy(c).into()).collect();
        assert_eq!(plain_words(&pieces.join(" ")), "");
    }

    #[test]
    fn it_is_never_long() {
        let kept = plain_words(&"word ".repeat(500));
        assert!(kept.chars().count() <= LONGEST_WORDS + 1, "{kept}");
        assert!(kept.ends_with(LEFT_OUT));
        assert_eq!(plain_words(&"w".repeat(500)), "");
    }
}
