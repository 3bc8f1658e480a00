//! How long an answer over HTTP asks to wait (RFC 9110, section 10.2.3).

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::model::{Micros, time as span};

/// How long an answer asks to wait, if it does: it gives seconds, or an instant, which counts from
/// the answer's own date, whatever our clock says.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Micros> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds) * span::SECOND);
    }
    let at = instant(text)?;
    let from = instant(headers.get(DATE)?.to_str().ok()?)?;
    let wait = i64::try_from((at - from).whole_microseconds()).ok()?;
    Some(wait.max(0))
}

/// An HTTP date in the form that is still written.
fn instant(text: &str) -> Option<OffsetDateTime> {
    // RFC 2822 with its zone spelled "GMT".
    OffsetDateTime::parse(text, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(http::HeaderName, &str)]) -> Option<Micros> {
        let headers = pairs.iter().map(|(name, text)| (name.clone(), text.parse().unwrap()));
        retry_after(&headers.collect())
    }

    #[test]
    fn seconds_and_dates_are_read_and_nothing_else() {
        assert_eq!(asked(&[(RETRY_AFTER, "120")]), Some(120 * span::SECOND));
        assert_eq!(asked(&[(RETRY_AFTER, " 0 ")]), Some(0));
        let now = (DATE, "Wed, 21 Oct 2026 07:28:00 GMT");
        let later = (RETRY_AFTER, "Wed, 21 Oct 2026 07:30:30 GMT");
        assert_eq!(asked(&[now.clone(), later.clone()]), Some(150 * span::SECOND));
        assert_eq!(asked(&[later]), None, "nobody says what its clock says");
        let past = (RETRY_AFTER, "Wed, 21 Oct 2026 07:20:00 GMT");
        assert_eq!(asked(&[now, past]), Some(0));
        for bad in ["", "-1", "soon", "1.5", "99999999999999999999"] {
            assert_eq!(asked(&[(RETRY_AFTER, bad)]), None, "{bad}");
        }
        assert_eq!(asked(&[]), None);
    }
}
