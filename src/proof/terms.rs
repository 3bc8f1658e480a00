//! The words that a row is found by: those of its action and reason, its ticket, the ids that it
//! names, and the name of who did it. The same rule cuts a row and what somebody types.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::proof::actions;
use crate::proof::row::{ActorType, AuditRow, PLATFORM_LOG};

/// Which rule this is. Whoever changes the words that [`of_row`] gives adds one: then the next
/// start makes the words of the rows that are there already.
pub const VERSION: i64 = 2;

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

/// Whether a detail of this name is an id, or something like one, that somebody may search for.
fn names_something(name: &str) -> bool {
    name.ends_with("_id")
        || name.ends_with("serial")
        || name.ends_with("fingerprint")
        || matches!(
            name,
            "id" | "after_impersonation"
                | "credential"
                | "member"
                | "asked_by"
                | "only_for_ticket"
                | "recipient_key"
        )
}

/// Whether a value looks like an id. A secret never stands in a row; if one did, it would not be
/// made a word of.
fn id_like(value: &str) -> bool {
    const SECRETS: [&str; 7] = ["whsec", "hvs", "hvb", "hvr", "eyj", "kt_", "ops_"];
    let small = value.to_ascii_lowercase();
    value.len() <= LONGEST
        && value.bytes().any(|b| b.is_ascii_digit())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && !SECRETS.iter().any(|start| small.starts_with(start))
}

/// Whether the name of who did it is among a row's words. What the members of an org do with what
/// is their own is most of all rows, and concerns the platform least; it is found by their ids.
fn names_actor(row: &AuditRow) -> bool {
    const OURS: [&str; 6] =
        ["consent.", "owner_", "handoff.", "webhook.test_event", "org.", "impersonation."];
    row.log == PLATFORM_LOG
        || row.impersonation_id.is_some()
        || row.ticket_ref.is_some()
        || matches!(
            row.actor_type,
            ActorType::PlatformAdmin | ActorType::PlatformAdminImpersonating | ActorType::Auditor
        )
        || OURS.iter().any(|start| row.action.starts_with(start))
}

/// The words that a row is found by.
#[must_use]
pub fn of_row(row: &AuditRow) -> BTreeSet<String> {
    let mut all = words(&row.action);
    // Ids that have a column and an index of their own are looked up there.
    for text in [&row.reason, &row.ticket_ref, &row.secret_id].into_iter().flatten() {
        all.extend(words(text));
    }
    if names_actor(row) {
        all.extend(words(&row.actor_name));
    }
    let ids = row.details.iter().filter(|(name, _)| names_something(name));
    let ids = ids.filter_map(|(_, value)| value.as_str()).filter(|value| id_like(value));
    all.extend(ids.flat_map(words));
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

    fn row(details: Value) -> AuditRow {
        AuditRow {
            v: 1,
            log: PLATFORM_LOG.into(),
            seq: 1,
            id: "01920000-0000-7000-8000-000000000001".into(),
            at: 0,
            action: "handoff.sent".into(),
            actor_type: ActorType::PlatformAdmin,
            actor_id: "adm_1".into(),
            actor_name: "Ada Admin".into(),
            org_id: Some("org_1".into()),
            impersonation_id: None,
            ticket_ref: None,
            reason: None,
            secret_type: None,
            secret_id: None,
            outcome: crate::proof::row::Outcome::Success,
            details: details.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn a_row_is_found_by_each_id_that_its_details_name() {
        let id = "01920000-0000-7000-8000-0000000000aa";
        for name in [
            "rotation_id",
            "handoff_id",
            "verification_id",
            "key_change_id",
            "message_id",
            "item_id",
            "owner_id",
            "staff_id",
            "after_impersonation",
            "credential",
            "member",
            "serial",
            "old_serial",
            "new_fingerprint",
            "something_new_id",
        ] {
            let found = of_row(&row(serde_json::json!({ name: id })));
            assert!(found.contains(id), "{name}");
        }
        for name in ["scope", "why", "page", "filter", "accessor", "kid"] {
            assert!(!of_row(&row(serde_json::json!({ name: id }))).contains(id), "{name}");
        }
    }

    /// Protects the table of words from whatever a mistake might put into a row one day.
    #[test]
    fn nothing_that_looks_like_a_secret_becomes_a_word() {
        let plain = of_row(&row(serde_json::json!({})));
        for secret in [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "hvs.CAESIJ1xwQdOAMlZ8oWsMWMxkJL2xGc2v",
            "hvs_CAESIJ1xwQdOAMlZ8oWsMWMxkJL2xGc2v",
            "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln",
            "eyJhbGciOiJFZERTQSJ9",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw/+MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw==",
            "correct horse battery 9 staple",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            for name in ["token_id", "item_id", "serial"] {
                let found = of_row(&row(serde_json::json!({ name: secret })));
                assert_eq!(found, plain, "{name}: {secret}");
            }
        }
    }

    #[test]
    fn a_row_is_found_by_the_name_of_who_did_it_unless_it_is_the_orgs_own_business() {
        let named = |row: &AuditRow| of_row(row).is_superset(&words("Ada Admin"));
        assert!(named(&row(serde_json::json!({}))));
        let mut own = row(serde_json::json!({}));
        own.log = "org/org_1".into();
        own.actor_type = ActorType::OrgMember;
        assert!(named(&own), "the Owner's part in a handoff");
        own.action = "api_key.used".into();
        assert!(!named(&own), "an org's own traffic");
        own.ticket_ref = Some("NOV-1".into());
        assert!(named(&own));
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
