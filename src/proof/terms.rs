//! The words that a row is found by: those of its action and reason, its ticket, and the ids that
//! it names. The same rule cuts a row and what somebody types.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::proof::actions;
use crate::proof::row::AuditRow;

/// The most words that a search may have.
pub const MOST_WORDS: usize = 8;

/// Longer words are cut to this many bytes, in rows as in searches.
const LONGEST: usize = 64;

/// The words of a text, in small letters. What has a digit in it is an id and stays whole
/// (`nov-4801`, `whk_01h`), with the number of a ticket besides; anything else is cut at
/// everything that is neither letter nor digit, so that `impersonation.started` is found by
/// either half.
#[must_use]
pub fn words(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let joined = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    for piece in text.to_lowercase().split(|c| !joined(c)) {
        let piece = cut(piece.trim_matches(|c: char| !c.is_alphanumeric()));
        if piece.is_empty() {
            continue;
        }
        if piece.chars().any(|c| c.is_ascii_digit()) {
            if let Some((letters, digits)) = piece.split_once('-')
                && letters.chars().all(char::is_alphabetic)
                && digits.bytes().all(|b| b.is_ascii_digit())
            {
                all.insert(digits.to_owned());
            }
            all.insert(piece.to_owned());
        } else {
            let words = piece.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
            all.extend(words.map(str::to_owned));
        }
    }
    all
}

fn cut(word: &str) -> &str {
    let mut end = word.len().min(LONGEST);
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    word[..end].trim_end_matches(|c: char| !c.is_alphanumeric())
}

/// The word of the attempts that failed a check. Nobody's own word begins with a `!`.
#[must_use]
pub fn of_check(check: &str) -> String {
    format!("!{check}")
}

/// The words that a row is found by.
#[must_use]
pub fn of_row(row: &AuditRow) -> BTreeSet<String> {
    let mut all = words(&row.action);
    // Ids that have a column and an index of their own are looked up there.
    for text in [&row.reason, &row.ticket_ref, &row.secret_id].into_iter().flatten() {
        all.extend(words(text));
    }
    for name in ["rotation_id", "handoff_id", "after_impersonation"] {
        all.extend(row.detail_str(name).map(words).into_iter().flatten());
    }
    let refused = [actions::PLATFORM_IMPERSONATION_REFUSED, actions::PLATFORM_ROTATION_REFUSED];
    if refused.contains(&row.action.as_str())
        && let Some(checks) = row.details.get("failed_checks").and_then(Value::as_array)
    {
        all.extend(checks.iter().filter_map(Value::as_str).map(of_check));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> Vec<String> {
        words(text).into_iter().collect()
    }

    #[test]
    fn an_action_is_found_by_either_half_and_a_ticket_by_its_number() {
        assert_eq!(
            said("platform.impersonation_started"),
            ["impersonation", "platform", "started"]
        );
        assert_eq!(said("per ticket NOV-4801."), ["4801", "nov-4801", "per", "ticket"]);
        assert_eq!(said("whk_01hx (old)"), ["old", "whk_01hx"]);
        assert_eq!(
            said("01920000-0000-7000-8000-0000000000AA"),
            ["01920000-0000-7000-8000-0000000000aa"]
        );
        assert_eq!(said(" ,;-_. "), [""; 0]);
    }

    proptest! {
        /// Whoever copies a word out of a row finds the row.
        #[test]
        fn each_word_is_found_by_itself(text in "\\PC{0,80}") {
            for word in words(&text) {
                prop_assert!(words(&word).contains(&word), "{word:?}");
                prop_assert!(word.len() <= LONGEST);
            }
        }
    }
}
