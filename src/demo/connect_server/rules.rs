//! What a Connect server takes and what it refuses, by the published description of its REST API.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::keep::{Field, Item};
use crate::delivery::shared_vault::is_id;
use crate::model::Micros;

const CATEGORIES: [&str; 22] = [
    "LOGIN",
    "PASSWORD",
    "API_CREDENTIAL",
    "SERVER",
    "DATABASE",
    "CREDIT_CARD",
    "MEMBERSHIP",
    "PASSPORT",
    "SOFTWARE_LICENSE",
    "OUTDOOR_LICENSE",
    "SECURE_NOTE",
    "WIRELESS_ROUTER",
    "BANK_ACCOUNT",
    "DRIVER_LICENSE",
    "IDENTITY",
    "REWARD_PROGRAM",
    "DOCUMENT",
    "EMAIL_ACCOUNT",
    "SOCIAL_SECURITY_NUMBER",
    "MEDICAL_RECORD",
    "SSH_KEY",
    "CUSTOM",
];

const FIELD_TYPES: [&str; 9] =
    ["STRING", "EMAIL", "CONCEALED", "URL", "OTP", "DATE", "MONTH_YEAR", "MENU", "SSHKEY"];

const PURPOSES: [&str; 4] = ["", "USERNAME", "PASSWORD", "NOTES"];

/// A refusal, in the form that they all have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "status": self.status.as_u16(), "message": self.message });
        (self.status, Json(body)).into_response()
    }
}

fn bad(message: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, message)
}

/// The id of an address has the form of one.
pub(super) fn id(text: &str, what: &str) -> Result<(), Refused> {
    if is_id(text) { Ok(()) } else { Err(bad(&format!("Invalid {what} UUID"))) }
}

/// The text that a filter `attribute eq "…"` asks for (SCIM, RFC 7644 section 3.4.2.2: the text
/// is a JSON string).
pub(super) fn equals(filter: &str, attribute: &str) -> Result<String, Refused> {
    filter
        .strip_prefix(attribute)
        .and_then(|rest| rest.trim_start().strip_prefix("eq "))
        .and_then(|text| serde_json::from_str(text.trim()).ok())
        .ok_or_else(|| bad("Invalid filter"))
}

/// An item as somebody asks for it to be made.
#[derive(Deserialize)]
pub(super) struct NewItem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    category: String,
    vault: Option<VaultRef>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    fields: Vec<NewField>,
}

/// What a field is of that says nothing of it.
fn plain() -> String {
    "STRING".to_owned()
}

#[derive(Deserialize)]
struct VaultRef {
    id: String,
}

#[derive(Deserialize)]
struct NewField {
    #[serde(default)]
    id: String,
    #[serde(default = "plain")]
    r#type: String,
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    value: Zeroizing<String>,
}

/// Reads an item that is to be made in `vault`.
pub(super) fn new_item(body: &[u8], vault: &str) -> Result<NewItem, Refused> {
    let item: NewItem = serde_json::from_slice(body).map_err(|_| bad("Invalid request body"))?;
    if item.vault.as_ref().is_none_or(|there| there.id != vault) {
        return Err(bad("Invalid Vault UUID"));
    }
    if !CATEGORIES.contains(&item.category.as_str()) {
        return Err(bad("Invalid item category"));
    }
    for field in &item.fields {
        if !FIELD_TYPES.contains(&field.r#type.as_str()) {
            return Err(bad("Invalid field type"));
        }
        if !PURPOSES.contains(&field.purpose.as_str()) {
            return Err(bad("Invalid field purpose"));
        }
        let same = |other: &&NewField| !field.id.is_empty() && other.id == field.id;
        if item.fields.iter().filter(same).count() > 1 {
            return Err(bad("Invalid field: its id is not unique"));
        }
    }
    Ok(item)
}

impl NewItem {
    /// The item, with the ids that whoever asked left to the server.
    pub(super) fn into_item(self, mut id: impl FnMut() -> String, now: Micros) -> Item {
        let item = id();
        let fields = self.fields.into_iter().map(|field| Field {
            id: if field.id.is_empty() { id() } else { field.id },
            r#type: field.r#type,
            purpose: field.purpose,
            label: field.label,
            value: field.value,
        });
        Item {
            id: item,
            vault: self.vault.map(|vault| vault.id).unwrap_or_default(),
            title: self.title,
            category: self.category,
            tags: self.tags,
            fields: fields.collect(),
            created_at: now,
        }
    }
}
