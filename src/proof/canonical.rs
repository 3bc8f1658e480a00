//! The canonical form of JSON (RFC 8785): one text for one value, so that a hash of it means
//! something.

use serde::Serialize;
use serde_json::{Map, Value};

/// The largest whole number that RFC 8785 can write exactly: `2^53 - 1` (its section 3.2.2.3
/// takes numbers as IEEE 754 doubles).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Why a value has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// The value cannot be written as JSON at all.
    #[error("the value cannot be written as JSON")]
    Serialize(#[from] serde_json::Error),
    /// A whole number that would lose digits.
    #[error("the number {0} is too large to be written exactly")]
    NumberTooLarge(String),
}

/// The canonical JSON text of a value (RFC 8785): no spaces, members sorted by UTF-16 code
/// units, numbers as ECMAScript writes them.
///
/// # Errors
/// When the value is not JSON (a map with keys that are not text), or holds a whole number beyond
/// [`MAX_SAFE_INTEGER`] either way: two such numbers would share one text. A number that is not
/// finite is no error and becomes `null`, as everywhere in `serde_json`.
pub fn canonical_json(value: &impl Serialize) -> Result<String, CanonicalError> {
    let value = serde_json::to_value(value)?;
    refuse_large_numbers(&value)?;
    Ok(serde_json_canonicalizer::to_string(&value)?)
}

/// Whether `serde_json` writes these members as RFC 8785 does, which takes a fraction of the time
/// of sorting a copy of them: the names are ASCII and in order already, so that bytes and UTF-16
/// code units sort alike, and every number is a whole one that is written exactly. Both escape
/// text in the same way (section 3.2.2.2).
pub fn written_canonically(members: &Map<String, Value>) -> bool {
    members.keys().all(|name| name.is_ascii())
        && members.keys().is_sorted()
        && members.values().all(plain)
}

fn plain(value: &Value) -> bool {
    match value {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_i64().map(i64::unsigned_abs))
            .is_some_and(|magnitude| magnitude <= MAX_SAFE_INTEGER),
        Value::Array(items) => items.iter().all(plain),
        Value::Object(members) => written_canonically(members),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

fn refuse_large_numbers(value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match magnitude {
                Some(magnitude) if magnitude > MAX_SAFE_INTEGER => {
                    Err(CanonicalError::NumberTooLarge(number.to_string()))
                }
                _ => Ok(()),
            }
        }
        Value::Array(items) => items.iter().try_for_each(refuse_large_numbers),
        Value::Object(members) => members.values().try_for_each(refuse_large_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_example_of_rfc_8785_comes_out_as_printed_there() {
        let value: Value = serde_json::from_str(
            r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
                "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        )
        .unwrap();
        assert_eq!(
            canonical_json(&value).unwrap(),
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
    }

    #[test]
    fn members_are_sorted_by_utf_16_code_units() {
        // By code point U+FB33 comes before U+1F600; by UTF-16 it comes after the surrogates.
        let value = json!({"\u{fb33}": 1, "\u{1f600}": 2, "\u{20ac}": 3, "1": 4, "\r": 5});
        assert_eq!(
            canonical_json(&value).unwrap(),
            "{\"\\r\":5,\"1\":4,\"\u{20ac}\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn a_number_that_would_lose_digits_is_refused_and_not_rounded() {
        assert_eq!(canonical_json(&MAX_SAFE_INTEGER).unwrap(), "9007199254740991");
        for value in [json!(MAX_SAFE_INTEGER + 1), json!({"a": [i64::MIN]}), json!([u64::MAX])] {
            assert!(matches!(canonical_json(&value), Err(CanonicalError::NumberTooLarge(_))));
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_of_itself_is_itself(
            members in prop::collection::btree_map(any::<String>(), (any::<String>(), -1_000_000_000i64..1_000_000_000), 0..6)
        ) {
            let once = canonical_json(&members).unwrap();
            let back: Value = serde_json::from_str(&once).unwrap();
            prop_assert_eq!(canonical_json(&back).unwrap(), once);
        }
    }
}
