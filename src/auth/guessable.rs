//! Passwords that somebody guesses soon: common ones, patterns, and words that others know here.

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

/// How many letters and digits a password has besides words that others know here.
const LEAST_OF_ITS_OWN: usize = 8;

/// Whether a password would be found in less than about a hundred million guesses, by whoever knows
/// `words` besides what everybody knows.
#[must_use]
pub fn is_guessable(password: &SecretString, words: &[&str]) -> bool {
    let words = parts(words);
    if rest_without(password.expose_secret(), &words) < LEAST_OF_ITS_OWN {
        return true;
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    zxcvbn(password.expose_secret(), &words).score() < Score::Three
}

/// How many letters and digits of a password are no part of such words.
fn rest_without(password: &str, words: &[String]) -> usize {
    let mut words: Vec<_> = words.iter().map(|word| word.to_lowercase()).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut rest = Zeroizing::new(password.to_lowercase());
    for word in words.iter().filter(|word| !word.is_empty()) {
        rest = Zeroizing::new(rest.replace(word.as_str(), " "));
    }
    rest.chars().filter(|c| c.is_alphanumeric()).count()
}

/// The texts and the words in them: an address is guessed by its parts.
fn parts(texts: &[&str]) -> Vec<String> {
    let mut parts = Vec::new();
    for text in texts {
        parts.push((*text).to_owned());
        let words = text.split(|c: char| !c.is_alphanumeric());
        parts.extend(words.filter(|word| word.chars().count() > 2).map(str::to_owned));
        // Names are written without what stands between them, too.
        parts.push(text.chars().filter(|c| c.is_alphanumeric()).collect());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: [&str; 4] =
        ["ada.okafor@platform.example", "Ada Okafor", "https://keyturn.example", "Keyturn"];

    #[test]
    fn what_is_common_or_known_here_is_guessable_however_long() {
        for password in [
            "passwordpassword",
            "password12345678",
            "1234567890123456",
            "qwertyuiopasdfghjkl",
            "aaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "iloveyouiloveyou",
            "Ada.Okafor@Platform.Example",
            "AdaOkaforKeyturn",
            "keyturnkeyturn1",
            "Ada Okafor Keyturn!",
            "Keyturn, Ada, 2031",
        ] {
            assert!(is_guessable(&password.into(), &HERE), "{password}");
        }
    }

    #[test]
    fn what_nobody_guesses_is_taken_whatever_it_is_made_of() {
        for password in [
            "a made-up password",
            "correct horse battery",
            "vR7#kq0Zt!mW2xLs",
            "мой длинный пароль",
        ] {
            assert!(!is_guessable(&password.into(), &HERE), "{password}");
        }
        let long = "a text that is longer than anybody types ".repeat(24);
        assert!(!is_guessable(&long.into(), &HERE));
    }
}
