//! What every answer says besides, whoever asked and whatever became of it.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What an answer may do where it has no policy of its own: nothing.
const NOTHING: &str =
    "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=()",
    ),
];

/// Completes the headers of an answer; `secure` where clients reach the server by TLS.
pub fn said_always(headers: &mut HeaderMap, secure: bool) {
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOTHING));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if secure {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=63072000; includeSubDomains"),
        );
    }
    name_charset(headers);
}

/// All our texts are UTF-8. Not everything that makes one says so.
fn name_charset(headers: &mut HeaderMap) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = essence.starts_with("text/")
        || essence.ends_with("+xml")
        || ["application/xml", "application/javascript"].contains(&essence.as_str());
    if !text || kind.to_ascii_lowercase().contains("charset=") {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&format!("{kind}; charset=utf-8")) {
        headers.insert(header::CONTENT_TYPE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_their_charset_once() {
        for (kind, says) in [
            ("image/svg+xml", "image/svg+xml; charset=utf-8"),
            ("text/javascript", "text/javascript; charset=utf-8"),
            ("text/html; charset=utf-8", "text/html; charset=utf-8"),
            ("text/csv; charset=utf-8; header=present", "text/csv; charset=utf-8; header=present"),
            ("text/plain; format=flowed", "text/plain; format=flowed; charset=utf-8"),
            ("application/json", "application/json"),
            ("application/wasm", "application/wasm"),
            ("font/woff2", "font/woff2"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            said_always(&mut headers, false);
            assert_eq!(headers[header::CONTENT_TYPE], says);
        }
        let mut none = HeaderMap::new();
        said_always(&mut none, false);
        assert!(!none.contains_key(header::CONTENT_TYPE));
    }
}
