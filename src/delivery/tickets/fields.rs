//! Custom ticket fields: what Zendesk itself cannot know. A field is named by its title or its
//! numeric id; one that is missing, empty or not to be trusted says nothing.

use serde::Deserialize;
use serde_json::Value;

use crate::model::{Micros, time};

/// The names of the custom fields, or their ids in digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldNames {
    /// How support authenticated the requester.
    pub how: String,
    /// When it did: a date, or an instant in RFC 3339.
    pub when: String,
    /// The id of the secret.
    pub secret_id: String,
    /// The type of the secret.
    pub secret_type: String,
    /// Whether a leak is suspected.
    pub leak: String,
}

impl Default for FieldNames {
    fn default() -> Self {
        Self {
            how: "Requester authenticated by".to_owned(),
            when: "Requester authenticated at".to_owned(),
            secret_id: "Secret ID".to_owned(),
            secret_type: "Secret type".to_owned(),
            leak: "Suspected leak".to_owned(),
        }
    }
}

/// A ticket field as Zendesk describes it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TicketField {
    id: u64,
    #[serde(default)]
    title: String,
    #[serde(default)]
    active: bool,
    /// Whether end users may change it.
    #[serde(default)]
    editable_in_portal: bool,
    #[serde(default)]
    custom_field_options: Vec<FieldOption>,
}

#[derive(Debug, Clone, Deserialize)]
struct FieldOption {
    name: String,
    value: String,
}

/// The value of a custom field in a ticket.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct FieldValue {
    id: u64,
    #[serde(default)]
    value: Value,
}

/// What the custom fields of a ticket say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) authenticated: Option<(String, Micros)>,
    pub(super) secret_id: Option<String>,
    pub(super) secret_type: Option<String>,
    pub(super) leak: bool,
}

/// Reads what a ticket's custom fields say.
pub(super) fn read(names: &FieldNames, fields: &[TicketField], values: &[FieldValue]) -> Said {
    let text = |name: &str, trusted: bool| {
        let field = find(name, fields)?;
        if trusted && field.editable_in_portal {
            // Whoever files a ticket could write into it how they were authenticated.
            tracing::warn!(
                field = field.id,
                "customers may change this field: it does not authenticate anybody"
            );
            return None;
        }
        let value = &values.iter().find(|v| v.id == field.id)?.value;
        said(field, value)
    };
    let how = text(&names.how, true);
    let when = text(&names.when, true).and_then(|t| time::parse(&t));
    Said {
        authenticated: how.zip(when),
        secret_id: text(&names.secret_id, false),
        secret_type: text(&names.secret_type, false),
        leak: text(&names.leak, false)
            .is_some_and(|t| matches!(t.to_lowercase().as_str(), "true" | "yes")),
    }
}

/// The active field with this id or title. Two of one title are none: which one counts would be
/// a guess.
fn find<'a>(name: &str, fields: &'a [TicketField]) -> Option<&'a TicketField> {
    let name = name.trim();
    let mut found = fields.iter().filter(|f| {
        f.active
            && match name.parse::<u64>() {
                Ok(id) => f.id == id,
                Err(_) => f.title.trim().eq_ignore_ascii_case(name),
            }
    });
    match (found.next(), found.next()) {
        (Some(field), None) => Some(field),
        (None, _) => {
            tracing::warn!(field = name, "the ticket system has no active field of this name");
            None
        }
        (Some(_), Some(_)) => {
            tracing::warn!(field = name, "the ticket system has two fields of this name");
            None
        }
    }
}

/// A value as text; of a list to choose from, the name of what was chosen.
fn said(field: &TicketField, value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let chosen = field.custom_field_options.iter().find(|o| o.value == text);
    let text = chosen.map_or(text, |o| o.name.trim().to_owned());
    (!text.is_empty() && text.chars().count() <= 200).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(extra: Value) -> Vec<TicketField> {
        let mut all = vec![
            json!({"id": 1, "title": "Requester authenticated by", "type": "tagger", "active": true,
                "editable_in_portal": false,
                "custom_field_options": [{"id": 9, "name": "Signed in with a passkey", "value": "passkey"}]}),
            json!({"id": 2, "title": "Requester authenticated at", "type": "text", "active": true}),
            json!({"id": 3, "title": "Secret ID", "type": "text", "active": true, "editable_in_portal": true}),
            json!({"id": 4, "title": "Secret type", "type": "tagger", "active": true}),
            json!({"id": 5, "title": "Suspected leak", "type": "checkbox", "active": true}),
        ];
        all.extend(extra.as_array().cloned().unwrap_or_default());
        all.into_iter().map(|f| serde_json::from_value(f).unwrap()).collect()
    }

    fn values(values: Value) -> Vec<FieldValue> {
        serde_json::from_value(values).unwrap()
    }

    fn full() -> Vec<FieldValue> {
        values(json!([
            {"id": 1, "value": "passkey"}, {"id": 2, "value": "2026-11-23T09:00:00Z"},
            {"id": 3, "value": "whk_1"}, {"id": 4, "value": "webhook_signing_key"}, {"id": 5, "value": true}
        ]))
    }

    #[test]
    fn fields_are_found_by_title_or_id_and_a_choice_reads_as_its_name() {
        let by_title = read(&FieldNames::default(), &fields(json!([])), &full());
        assert_eq!(
            by_title.authenticated,
            Some(("Signed in with a passkey".into(), time::parse("2026-11-23T09:00:00Z").unwrap()))
        );
        assert_eq!(by_title.secret_id.as_deref(), Some("whk_1"));
        assert_eq!(by_title.secret_type.as_deref(), Some("webhook_signing_key"));
        assert!(by_title.leak);
        let names = FieldNames {
            how: "1".into(),
            when: "2".into(),
            secret_id: "3".into(),
            secret_type: "4".into(),
            leak: "5".into(),
        };
        assert_eq!(read(&names, &fields(json!([])), &full()), by_title);
    }

    #[test]
    fn what_is_missing_or_empty_says_nothing() {
        let names = FieldNames::default();
        for given in [
            json!([]),
            json!([{"id": 1, "value": null}, {"id": 2, "value": "2026-11-23"}]),
            json!([{"id": 1, "value": "  "}, {"id": 2, "value": "2026-11-23"}]),
            json!([{"id": 1, "value": ["passkey"]}, {"id": 2, "value": "2026-11-23"}]),
            json!([{"id": 1, "value": "passkey"}]),
            json!([{"id": 1, "value": "passkey"}, {"id": 2, "value": "yesterday"}]),
        ] {
            let said = read(&names, &fields(json!([])), &values(given.clone()));
            assert_eq!(said, Said::default(), "{given}");
        }
        assert_eq!(read(&names, &[], &full()), Said::default(), "no such fields at all");
    }

    #[test]
    fn two_fields_of_one_title_and_an_inactive_one_are_none() {
        let twice = json!([{"id": 7, "title": "requester authenticated by", "type": "text", "active": true}]);
        assert_eq!(read(&FieldNames::default(), &fields(twice), &full()).authenticated, None);
        let mut off = fields(json!([]));
        off[0].active = false;
        assert_eq!(read(&FieldNames::default(), &off, &full()).authenticated, None);
    }

    #[test]
    fn a_field_that_customers_may_write_authenticates_nobody() {
        let mut open = fields(json!([]));
        open[0].editable_in_portal = true;
        let said = read(&FieldNames::default(), &open, &full());
        assert_eq!(said.authenticated, None);
        assert_eq!(said.secret_id.as_deref(), Some("whk_1"), "which secret, they may say");
    }
}
