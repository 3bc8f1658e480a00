//! A row as a syslog message (RFC 5424), and the frame it travels in (RFC 5425, section 4.3).

use super::Outgoing;
use crate::model::time;
use crate::proof::row::Outcome;

/// The facility "log audit" (RFC 5424, section 6.2.1).
const LOG_AUDIT: u8 = 13;

/// The name of our structured data. 32473 is the enterprise number for documentation (RFC 5612):
/// Keyturn has none of its own.
const SD_ID: &str = "keyturn@32473";

/// How long a MSGID may be (section 6.2.7). No two actions are the same so far.
const LONGEST_ID: usize = 32;

/// A row as a message. `host` is what the deployment's logs are called. With `mark` its text has
/// the byte order mark before it, which says that it is UTF-8 (section 6.4); without, it is the
/// JSON that parsers of JSON expect (RFC 8259 section 8.1), which is UTF-8 too.
#[must_use]
pub fn message(host: &str, out: &Outgoing, mark: bool) -> String {
    let row = &out.row;
    let severity = match row.outcome {
        Outcome::Success => 6,
        Outcome::Refused => 4,
        Outcome::Failed => 3,
    };
    let pri = LOG_AUDIT * 8 + severity;
    let at = time::rfc3339(out.at);
    // Longer names are cut off here; `action` has them whole.
    let id = header(&row.action, LONGEST_ID);
    let mut data = String::new();
    let seq = out.seq.to_string();
    for (name, value) in [
        ("log", Some(row.log.as_str())),
        ("seq", Some(seq.as_str())),
        ("id", Some(row.id.as_str())),
        ("action", Some(row.action.as_str())),
        ("outcome", Some(row.outcome.word())),
        ("org_id", row.org_id.as_deref()),
        ("impersonation_id", row.impersonation_id.as_deref()),
        ("ticket", row.ticket_ref.as_deref()),
    ] {
        if let Some(value) = value {
            data.push_str(&format!(" {name}=\"{}\"", escaped(value)));
        }
    }
    let host = header(host, 255);
    let mark = if mark { "\u{feff}" } else { "" };
    format!("<{pri}>1 {at} {host} keyturn - {id} [{SD_ID}{data}] {mark}{}", out.body)
}

/// The message with its length in bytes before it.
#[must_use]
pub fn frame(message: &str) -> Vec<u8> {
    format!("{} {message}", message.len()).into_bytes()
}

/// What may stand in the header: printable ASCII without spaces, so many characters at most.
fn header(text: &str, longest: usize) -> String {
    let clean: String =
        text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(longest).collect();
    if clean.is_empty() { "-".to_owned() } else { clean }
}

/// A value of structured data (section 6.3.3).
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::row::{ActorType, AuditRow};
    use proptest::prelude::*;

    fn out(action: &str, outcome: Outcome, ticket: &str) -> Outgoing {
        let row = AuditRow {
            v: 1,
            log: "org/o-1".into(),
            seq: 41,
            id: "01920000-0000-7000-8000-000000000001".into(),
            at: 1_760_000_000_123_456,
            action: action.into(),
            actor_type: ActorType::PlatformAdminImpersonating,
            actor_id: "a-1".into(),
            actor_name: "Zoë".into(),
            org_id: Some("o-1".into()),
            impersonation_id: None,
            ticket_ref: Some(ticket.into()),
            reason: None,
            secret_type: None,
            secret_id: None,
            outcome,
            details: serde_json::Map::new(),
        };
        Outgoing { seq: 41, at: row.at, body: row.canonical().unwrap(), row }
    }

    #[test]
    fn a_message_reads_as_the_standard_says() {
        let out = out("vault_token.rotated", Outcome::Success, "NOV-4821");
        assert_eq!(
            message("keyturn.example", &out, true),
            format!(
                "<110>1 2025-10-09T08:53:20.123456Z keyturn.example keyturn - vault_token.rotated \
                 [keyturn@32473 log=\"org/o-1\" seq=\"41\" id=\"01920000-0000-7000-8000-000000000001\" \
                 action=\"vault_token.rotated\" outcome=\"success\" org_id=\"o-1\" ticket=\"NOV-4821\"] \u{feff}{}",
                out.body
            )
        );
        let without = message("keyturn.example", &out, false);
        assert_eq!(without, message("keyturn.example", &out, true).replace('\u{feff}', ""));
        assert!(without.ends_with(&format!("] {}", out.body)));
    }

    /// Protects a receiver that sorts by MSGID from taking one action for another.
    #[test]
    fn no_two_actions_have_the_same_id() {
        let mut of = std::collections::BTreeMap::new();
        for action in crate::proof::actions::every() {
            let said = message("h", &out(&action, Outcome::Success, "x"), false);
            let id = said.split(' ').nth(5).unwrap().to_owned();
            assert!(id.len() <= 32, "{id}");
            if let Some(other) = of.insert(id, action.clone()) {
                panic!("{action} and {other} have one MSGID");
            }
        }
        assert!(of.len() > 50);
    }

    #[test]
    fn the_severity_is_that_of_the_outcome_and_a_long_name_is_cut() {
        let long = "platform.certificate_authority_imported";
        let said = message("k e\u{e9}", &out(long, Outcome::Refused, "x"), false);
        assert!(said.starts_with("<108>1 "), "{said}");
        assert!(said.contains(" k_e_ keyturn - platform.certificate_authority_i ["), "{said}");
        assert!(said.contains(&format!("action=\"{long}\"")), "{said}");
        assert!(message("", &out("a.b", Outcome::Failed, "x"), false).starts_with("<107>1 2025"));
        assert!(
            message("", &out("a.b", Outcome::Failed, "x"), false).contains("Z - keyturn - a.b [")
        );
    }

    #[test]
    fn a_frame_counts_bytes_and_not_letters() {
        assert_eq!(frame("Zoë"), "4 Zoë".as_bytes());
    }

    proptest! {
        /// Nothing that somebody typed ends the structured data early.
        #[test]
        fn a_value_is_read_back_as_it_was(ticket in any::<String>()) {
            let said = message("h", &out("a.b", Outcome::Success, &ticket), true);
            let start = said.find(" ticket=\"").unwrap() + " ticket=\"".len();
            let (mut read, mut rest) = (String::new(), said[start..].chars());
            loop {
                match rest.next().unwrap() {
                    '\\' => read.extend(rest.next()),
                    '"' => break,
                    c => read.push(c),
                }
            }
            prop_assert_eq!(read, ticket);
            let rest: String = rest.collect();
            prop_assert!(rest.starts_with("] \u{feff}{"), "{}", rest);
        }
    }
}
