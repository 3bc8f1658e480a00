//! What is said of one row of a log: its note, its fields, its text.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::{Channel, EndCause, Micros, time};
use crate::policy::eligibility::Check;
use crate::proof::actions;
use crate::proof::row::{AuditRow, Outcome};

/// What stands after the action: the one thing that tells this row from others of its kind.
#[must_use]
pub fn note(row: &AuditRow) -> String {
    let text = |key: &str| row.detail_str(key).unwrap_or_default().to_owned();
    let said = match row.action.as_str() {
        actions::PLATFORM_IMPERSONATION_STARTED | actions::IMPERSONATION_STARTED => row
            .detail_i64("expires_at")
            .map(|t| format!("for {}", life(t - row.at)))
            .unwrap_or_default(),
        actions::PLATFORM_IMPERSONATION_ENDED | actions::IMPERSONATION_ENDED => {
            let cause = text("cause");
            cause.parse::<EndCause>().map_or(cause, |c| c.label().to_owned())
        }
        actions::PLATFORM_IMPERSONATION_REFUSED | actions::PLATFORM_ROTATION_REFUSED => {
            failed_checks(row)
        }
        actions::PLATFORM_AUDIT_VIEWED => match text("filter") {
            filter if filter.is_empty() => text("page"),
            filter => format!("{}?{filter}", text("page")),
        },
        actions::PLATFORM_SECRET_HANDED_OFF | actions::HANDOFF_QUEUED | actions::HANDOFF_SENT => {
            let channel = text("channel");
            channel.parse::<Channel>().map_or(channel, |c| c.label().to_owned())
        }
        actions::PLATFORM_SECRET_DELIVERED | actions::HANDOFF_DELIVERED => {
            match row.detail_str("item_id") {
                Some(item) => format!("item {item}"),
                None => "taken by the mail server".to_owned(),
            }
        }
        actions::PLATFORM_HANDOFF_UNDELIVERED
        | actions::HANDOFF_UNDELIVERED
        | actions::PLATFORM_MAIL_UNDELIVERED
        | actions::PLATFORM_REPLY_UNDELIVERED => text("said"),
        actions::PLATFORM_MAIL_SENT_AGAIN | actions::PLATFORM_MAIL_SET_ASIDE => text("subject"),
        actions::PLATFORM_HANDOFF_ACKNOWLEDGED | actions::HANDOFF_ACKNOWLEDGED => text("how"),
        actions::CONSENT_ENABLED => match row.detail_str("only_for_ticket") {
            Some(ticket) => format!("for {ticket} only"),
            None => "until withdrawn".to_owned(),
        },
        actions::CONSENT_DISABLED
        | actions::CONSENT_CONFIRMED
        | actions::PLATFORM_OWNER_KEY_CHANGE_CANCELLED
        | actions::OWNER_KEY_CHANGE_CANCELLED
        | actions::PLATFORM_OWNER_RECORD_CHANGE_CANCELLED
        | actions::OWNER_RECORD_CHANGE_CANCELLED => text("cause"),
        actions::PLATFORM_HANDOFF_REFUSED => text("what"),
        actions::PLATFORM_TEST_EVENT_SENT | actions::WEBHOOK_TEST_EVENT_SENT => row
            .detail_i64("status")
            .map_or_else(|| "no answer".to_owned(), |status| format!("answered {status}")),
        actions::VAULT_TOKEN_OLD_REVOKED | actions::PLATFORM_VAULT_TOKEN_OLD_REVOKED => row
            .detail_i64("version")
            .map_or_else(String::new, |version| format!("v{version} is refused")),
        actions::VAULT_TOKEN_EXPIRED_UNREAD | actions::PLATFORM_VAULT_TOKEN_EXPIRED_UNREAD => row
            .detail_i64("version")
            .map_or_else(String::new, |version| format!("v{version} ended unread")),
        name if name.ends_with(".rotation_failed") => text("why"),
        name if actions::rotated_type(name).is_some() => {
            match (row.detail_i64("from_version"), row.detail_i64("to_version")) {
                (Some(from), Some(to)) => format!("v{from} → v{to}"),
                _ => String::new(),
            }
        }
        _ => String::new(),
    };
    match row.outcome {
        Outcome::Success => said,
        other if said.is_empty() => other.word().to_owned(),
        other => format!("{}: {said}", other.word()),
    }
}

/// How long a token lives. Its times are whole seconds, so what the row is later than its start is
/// rounded away.
#[must_use]
pub fn life(length: Micros) -> String {
    let seconds = (length.max(0) + time::SECOND - 1) / time::SECOND;
    if seconds % 60 == 0 {
        format!("{} min", seconds / 60)
    } else {
        time::span(seconds * time::SECOND)
    }
}

/// The failed checks of a refusal, as people know them.
fn failed_checks(row: &AuditRow) -> String {
    let names = row.details.get("failed_checks").and_then(Value::as_array);
    let label = |name: &str| {
        Check::ALL
            .iter()
            .find(|c| c.as_str() == name)
            .map_or(name.to_owned(), |c| c.label().to_owned())
    };
    names
        .map(|all| all.iter().filter_map(Value::as_str).map(label).collect::<Vec<_>>().join(", "))
        .unwrap_or_default()
}

/// How a field is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown<'a> {
    /// Words.
    Plain(Cow<'a, str>),
    /// An id, with a copy button.
    Id(&'a str),
    /// Several lines, each as it is.
    Lines(Cow<'a, str>),
}

/// Every field that a row has, by the names that it has in the log.
#[must_use]
pub fn fields(row: &AuditRow) -> Vec<(&str, Shown<'_>)> {
    fn plain<'a>(name: &'a str, value: impl Into<Cow<'a, str>>) -> (&'a str, Shown<'a>) {
        (name, Shown::Plain(value.into()))
    }
    let mut all = vec![
        plain("log", &row.log),
        plain("seq", row.seq.to_string()),
        ("id", Shown::Id(&row.id)),
        plain("at", time::rfc3339(row.at)),
        plain("action", &row.action),
        plain("outcome", row.outcome.word()),
        plain("actor_type", row.actor_type.word()),
        plain("actor", format!("{} ({})", row.actor_name, row.actor_id)),
    ];
    let optional = [
        ("impersonation_id", &row.impersonation_id, true),
        ("org_id", &row.org_id, false),
        ("ticket_ref", &row.ticket_ref, false),
        ("reason", &row.reason, false),
        ("secret_type", &row.secret_type, false),
        ("secret_id", &row.secret_id, false),
    ];
    for (name, value, is_id) in optional {
        if let Some(value) = value {
            all.push(if is_id { (name, Shown::Id(value)) } else { plain(name, value) });
        }
    }
    all.extend(row.details.iter().map(|(name, value)| (name.as_str(), detail(name, value))));
    all
}

fn detail<'a>(name: &str, value: &'a Value) -> Shown<'a> {
    let instant = ["_at", "_until", ".at"].iter().any(|end| name.ends_with(end));
    match value {
        Value::String(text) if text.trim_end().contains('\n') => Shown::Lines(text.into()),
        Value::String(text) => Shown::Plain(text.into()),
        Value::Number(n) if instant => {
            Shown::Plain(n.as_i64().map_or_else(|| n.to_string(), time::rfc3339).into())
        }
        Value::Array(items) if items.iter().all(|i| i.is_string() || i.is_number()) => {
            let words: Vec<_> = items
                .iter()
                .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned))
                .collect();
            Shown::Plain(words.join(", ").into())
        }
        Value::Array(_) | Value::Object(_) => {
            let mut lines = Vec::new();
            several(None, value, &mut lines);
            Shown::Lines(lines.join("\n").into())
        }
        other => Shown::Plain(other.to_string().into()),
    }
}

/// What has parts, a line each: a check is told as how it came out and what it saw.
fn several(name: Option<&str>, value: &Value, lines: &mut Vec<String>) {
    let within = |key: &str| name.map_or(key.to_owned(), |name| format!("{name}.{key}"));
    match value {
        Value::Array(items) => {
            for item in items {
                let came_out = match item["passed"].as_bool() {
                    Some(true) => "passed: ",
                    Some(false) => "failed: ",
                    None => "",
                };
                lines.push(match (item["check"].as_str(), item["saw"].as_str()) {
                    (Some(check), Some(saw)) => format!("{check}: {came_out}{saw}"),
                    _ => item.to_string(),
                });
            }
        }
        Value::Object(parts) => {
            // What has parts of its own comes last.
            let (simple, deep): (Vec<_>, Vec<_>) =
                parts.iter().partition(|(_, part)| !part.is_array() && !part.is_object());
            for (key, part) in simple.into_iter().chain(deep) {
                let name = within(key);
                match (part, detail(&name, part)) {
                    (Value::Array(_) | Value::Object(_), _) => several(Some(&name), part, lines),
                    (_, Shown::Plain(text) | Shown::Lines(text)) => {
                        lines.push(format!("{name}: {text}"));
                    }
                    (_, Shown::Id(text)) => lines.push(format!("{name}: {text}")),
                }
            }
        }
        other => lines.push(other.to_string()),
    }
}

/// The stored text of a row, indented for reading.
#[must_use]
pub fn pretty(body: &str) -> String {
    let (mut from, mut to) = (serde_json::Deserializer::from_str(body), Vec::new());
    let written =
        serde_transcode::transcode(&mut from, &mut serde_json::Serializer::pretty(&mut to));
    match (written, from.end(), String::from_utf8(to)) {
        (Ok(()), Ok(()), Ok(text)) => text,
        _ => body.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_read_as_times_and_lists_as_lists() {
        assert_eq!(
            detail("old_valid_until", &json!(0)),
            Shown::Plain("1970-01-01T00:00:00.000000Z".into())
        );
        assert_eq!(detail("platform_rows", &json!(3)), Shown::Plain("3".into()));
        assert_eq!(detail("signed_by_versions", &json!([4, 3])), Shown::Plain("4, 3".into()));
        assert_eq!(
            detail("eligibility", &json!([{"check": "consent", "saw": "on"}])),
            Shown::Lines("consent: on".into())
        );
        let ticket =
            json!({"authenticated": {"at": 0, "how": "SSO"}, "filed_at": 0, "number": "NOV-1"});
        let lines = "filed_at: 1970-01-01T00:00:00.000000Z\nnumber: NOV-1\n\
                     authenticated.at: 1970-01-01T00:00:00.000000Z\nauthenticated.how: SSO";
        assert_eq!(detail("ticket", &ticket), Shown::Lines(lines.into()));
        let asked = json!({"checks": [{"check": "consent", "passed": false, "saw": "off"}], "eligible": false});
        let lines = "eligible: false\nconsent: failed: off";
        assert_eq!(detail("eligibility", &asked), Shown::Lines(lines.into()));
        assert_eq!(detail("org_checkpoint", &json!("a\nb\n")), Shown::Lines("a\nb\n".into()));
    }

    #[test]
    fn the_life_of_a_token_is_said_in_whole_minutes_where_it_is_some() {
        assert_eq!(life(15 * time::MINUTE), "15 min");
        assert_eq!(life(15 * time::MINUTE - 400_000), "15 min");
        assert_eq!(life(90 * time::SECOND), "1 min 30 s");
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_it_is() {
        assert_eq!(pretty("{not json"), "{not json");
        assert_eq!(pretty("{\"a\":1} and more"), "{\"a\":1} and more");
        assert_eq!(pretty("{\"a\":1}"), "{\n  \"a\": 1\n}");
    }
}
