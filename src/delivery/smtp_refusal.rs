//! What the refusal of a mail server means (RFC 5321, RFC 3463, RFC 4954).

use lettre::transport::smtp::Error;

use super::refusal::{Again, Refusal, plain_words};

/// What an error of sending a mail means.
pub(super) fn of(e: &Error) -> Refusal {
    let Some(code) = e.status() else { return without_answer(e) };
    let words = std::error::Error::source(e).map_or_else(String::new, ToString::to_string);
    answered(u16::from(code), &words)
}

fn without_answer(e: &Error) -> Refusal {
    // Never the library's own words: they may quote what was sent.
    let (again, said) = if e.is_tls() || is_of_tls(e) {
        (
            Again::Mend,
            "TLS with the mail server failed: see that its certificate is good and for the name in smtp",
        )
    } else if e.is_client() {
        (
            Again::Mend,
            "the mail server does not offer what smtp asks for: see whether it knows STARTTLS and a way to sign in",
        )
    } else if e.is_timeout() {
        (Again::Later(None), "the mail server did not answer in time")
    } else if e.is_response() {
        (Again::Later(None), "the mail server's answer cannot be read")
    } else {
        (Again::Later(None), "the mail server could not be reached, or broke off")
    };
    Refusal { again, said: said.to_owned() }
}

/// Whether TLS is behind an error. The library counts a certificate that nobody vouches for among
/// the faults of the connection.
fn is_of_tls(e: &Error) -> bool {
    let mut next = std::error::Error::source(e);
    while let Some(cause) = next {
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if cause.is::<rustls::Error>() || wrapped.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// What an answer of 4xx or 5xx means. Of the server's words the two codes are kept, and what is
/// certainly none of the mail's.
fn answered(code: u16, words: &str) -> Refusal {
    let (enhanced, text) = split(words);
    let again = match (code, enhanced.as_deref()) {
        (400..=499, _) => Again::Later(None),
        // To sign in, TLS, commands, parameters, our address: ours, whoever the mail is for.
        (500..=504 | 530 | 534 | 535 | 538, _)
        | (_, Some("5.1.7" | "5.1.8" | "5.7.8" | "5.7.9" | "5.7.11")) => Again::Mend,
        _ => Again::Never,
    };
    let mut said = format!("the mail server answered {code}");
    let kept = Some(plain_words(&text)).filter(|kept| !kept.is_empty());
    for part in enhanced.into_iter().chain(kept) {
        said.push(' ');
        said.push_str(&part);
    }
    Refusal { again, said }
}

/// The enhanced status code, and the text without it: it stands at the beginning of each line.
fn split(words: &str) -> (Option<String>, String) {
    let mut first = None;
    let mut text = Vec::new();
    for line in words.lines() {
        let (begin, rest) = line.split_once(' ').unwrap_or((line, ""));
        if is_enhanced(begin) {
            first.get_or_insert_with(|| begin.to_owned());
            text.push(rest);
        } else {
            text.push(line);
        }
    }
    (first, text.join(" "))
}

fn is_enhanced(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let digits =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 3 && matches!(parts[0], "4" | "5") && parts.iter().all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_not_now_ours_or_never() {
        let later = Again::Later(None);
        for (code, words, again, said) in [
            (
                550,
                "5.1.1 <zoe@zephyr.example>: Recipient address rejected: User unknown",
                Again::Never,
                "the mail server answered 550 5.1.1 … Recipient address rejected: User unknown",
            ),
            (
                552,
                "5.3.4 Message size exceeds fixed limit",
                Again::Never,
                "the mail server answered 552 5.3.4 Message size exceeds fixed limit",
            ),
            (554, "5.7.1 Spam", Again::Never, "the mail server answered 554 5.7.1 Spam"),
            (450, "4.2.0 Greylisted", later, "the mail server answered 450 4.2.0 Greylisted"),
            (421, "Too busy", later, "the mail server answered 421 Too busy"),
            (
                454,
                "4.7.0 Temporary failure",
                later,
                "the mail server answered 454 4.7.0 Temporary failure",
            ),
            (
                535,
                "5.7.8 Error: authentication failed",
                Again::Mend,
                "the mail server answered 535 5.7.8 Error: authentication failed",
            ),
            (
                530,
                "5.7.0 Must issue a STARTTLS command first",
                Again::Mend,
                "the mail server answered 530 5.7.0 Must issue a STARTTLS command first",
            ),
            (
                502,
                "5.5.2 Error: command not recognized",
                Again::Mend,
                "the mail server answered 502 5.5.2 Error: command not recognized",
            ),
            (
                553,
                "5.1.8 Sender address rejected",
                Again::Mend,
                "the mail server answered 553 5.1.8 Sender address rejected",
            ),
            (550, "", Again::Never, "the mail server answered 550"),
        ] {
            assert_eq!(answered(code, words), Refusal { again, said: said.to_owned() });
        }
    }

    #[test]
    fn of_several_lines_the_code_is_said_once() {
        let said = answered(550, "5.1.1 The account does not exist.\n5.1.1 Please try again.").said;
        assert_eq!(
            said,
            "the mail server answered 550 5.1.1 The account does not exist. Please try again."
        );
    }
}
