//! What programs send, read strictly: where it goes wrong is said, never what is there, since that
//! may be a secret.

use http::HeaderMap;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize as _, Deserializer};
use serde_json::Value;

use super::problem::ApiError;
use crate::desk::StepError;

/// The pattern of an `Idempotency-Key`, as the description says it.
pub const KEY_PATTERN: &str = "^[!-~]([ -~]{0,198}[!-~])?$";

/// A body of JSON. PostgreSQL's texts cannot hold U+0000, and nothing that people write does: it
/// is refused here, wherever it stands.
///
/// # Errors
/// [`ApiError::Malformed`], with the line and the column.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|e| malformed(&e))?;
    if has_null_character(&value) {
        return Err(ApiError::Malformed("The body has the character U+0000 in a text.".to_owned()));
    }
    // From the text again: only there a name that comes twice is an error, with its place.
    serde_json::from_slice(body).map_err(|e| malformed(&e))
}

/// A whole number, or nothing. `38.0` is one to JSON Schema, by which clients go.
///
/// # Errors
/// Where it is no number, or has a fraction.
pub fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(from)? else { return Ok(None) };
    // Up to here every whole number is one of its own as a float.
    let exact = |float: &f64| float.fract() == 0.0 && float.abs() < 9.0e15;
    let whole = number.as_i64().or_else(|| number.as_f64().filter(exact).map(|f| f as i64));
    whole.map(Some).ok_or_else(|| D::Error::custom("not a whole number"))
}

/// Where a body does not read.
fn malformed(e: &serde_json::Error) -> ApiError {
    ApiError::Malformed(format!(
        "The body does not read as what it must be, at line {}, column {}. GET /api/v1/openapi.json describes it.",
        e.line(),
        e.column()
    ))
}

fn has_null_character(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(all) => all.iter().any(has_null_character),
        Value::Object(all) => {
            all.iter().any(|(name, value)| name.contains('\0') || has_null_character(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The `Idempotency-Key` of a request.
///
/// # Errors
/// Where there is one that cannot be kept.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, StepError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    value
        .to_str()
        .ok()
        .filter(|key| {
            (1..=200).contains(&key.len()) && key.bytes().all(|b| (b' '..=b'~').contains(&b))
        })
        .map(|key| Some(key.to_owned()))
        .ok_or(StepError::Invalid("An Idempotency-Key has 1 to 200 ASCII characters."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::consent::ConsentRequest;

    #[test]
    fn what_does_not_read_is_placed_and_not_repeated() {
        for body in [
            "",
            "{",
            "[]",
            r#"{"allow_platform_impersonation": "hunter2"}"#,
            r#"{"allow_platform_impersonation": true, "hunter2": 1}"#,
            r#"{"allow_platform_impersonation": true, "allow_platform_impersonation": true}"#,
            "{\"allow_platform_impersonation\": true, \"ticket_ref\": \"a\\u0000hunter2\"}",
        ] {
            let Err(ApiError::Malformed(why)) = json::<ConsentRequest>(body.as_bytes()) else {
                panic!("{body}")
            };
            assert!(!why.contains("hunter2"), "{body}: {why}");
        }
        assert!(json::<ConsentRequest>(br#"{"allow_platform_impersonation": false}"#).is_ok());
    }

    #[test]
    fn a_whole_number_may_have_a_point_and_no_fraction() {
        let read = |text: &str| whole(&mut serde_json::Deserializer::from_str(text));
        for (text, is) in [("38", 38), ("38.0", 38), ("0", 0), ("-1.0", -1), ("6.048e5", 604_800)] {
            assert_eq!(read(text).unwrap(), Some(is), "{text}");
        }
        assert_eq!(read("null").unwrap(), None);
        for text in ["38.5", "1e300", "\"38\"", "true", "9223372036854775808"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_is_printable_ascii() {
        let key = |text: &[u8]| {
            let value = http::HeaderValue::from_bytes(text).unwrap();
            idempotency_key(&HeaderMap::from_iter([(
                http::HeaderName::from_static("idempotency-key"),
                value,
            )]))
        };
        assert_eq!(key(b"a b~").unwrap().as_deref(), Some("a b~"));
        assert!(key(&[b'x'; 200]).is_ok());
        for bad in [&b""[..], b"a\tb", "\u{e9}".as_bytes(), &[b'x'; 201]] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
    }
}
