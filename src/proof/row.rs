//! One row of an audit log, and the leaf it is in the log's tree.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::proof::Hash;
use crate::proof::canonical::{
    CanonicalError, MAX_SAFE_INTEGER, canonical_json, written_canonically,
};
use crate::proof::merkle::leaf_hash;

/// The version of the row format, in every row.
pub const ROW_VERSION: u8 = 1;

/// The name of the platform log.
pub const PLATFORM_LOG: &str = "platform";

/// The name of an org's log: `org/<org id>`.
pub fn org_log(org_id: &str) -> String {
    format!("org/{org_id}")
}

/// In what capacity somebody acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorType {
    /// A platform admin in their own name.
    PlatformAdmin,
    /// A platform admin in a customer's org, under an impersonation.
    PlatformAdminImpersonating,
    /// An auditor of the platform.
    Auditor,
    /// A member of the customer's org.
    OrgMember,
    /// The server by itself.
    System,
}

impl ActorType {
    /// The word that stands for it in a row.
    pub fn word(self) -> &'static str {
        match self {
            Self::PlatformAdmin => "platform_admin",
            Self::PlatformAdminImpersonating => "platform_admin_impersonating",
            Self::Auditor => "auditor",
            Self::OrgMember => "org_member",
            Self::System => "system",
        }
    }
}

/// How an action came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was not allowed.
    Refused,
    /// It was tried and did not work.
    Failed,
}

impl Outcome {
    /// The word that stands for it in a row.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// One row of an audit log. Its canonical JSON (RFC 8785) is the leaf in the log's tree.
// Its fields stand in the order of the canonical form, so that it can be written as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRow {
    /// What was done: a name of [`crate::proof::actions`].
    pub action: String,
    /// Who: the id.
    pub actor_id: String,
    /// Who: the name as it was at that time.
    pub actor_name: String,
    /// In what capacity.
    pub actor_type: ActorType,
    /// When it happened: microseconds since 1970, UTC.
    pub at: i64,
    /// What else there is to say. Numbers in it are whole numbers.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// The row's id, a UUIDv7.
    pub id: String,
    /// The impersonation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonation_id: Option<String>,
    /// The log the row is in: [`PLATFORM_LOG`] or what [`org_log`] gives.
    pub log: String,
    /// The org it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<String>,
    /// How it came out.
    pub outcome: Outcome,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of the secret it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// The type of the secret it is about: one of [`crate::proof::actions::SECRET_TYPES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// The place in the log, counted from 0. It is in the leaf, so that a row moved elsewhere
    /// is noticed.
    pub seq: u64,
    /// The support ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_ref: Option<String>,
    /// The version of the format: [`ROW_VERSION`].
    pub v: u8,
}

/// Why a text is not a row of an audit log.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// It is not JSON, or lacks a field, or has one that rows do not have.
    #[error("it is not a row: {0}")]
    NotARow(#[from] serde_json::Error),
    /// It is of a version this code does not know.
    #[error("it is a row of version {0}, and only version {ROW_VERSION} is known")]
    OtherVersion(u8),
    /// A number with a fraction, which has more than one reading.
    #[error("the details hold a number that is not whole")]
    FractionInDetails,
    /// It has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// It is a row, but written in another way than the canonical one.
    #[error("it is not in canonical form")]
    NotCanonical,
}

impl AuditRow {
    /// The canonical JSON text of the row (RFC 8785): what is stored, hashed and exported.
    ///
    /// # Errors
    /// When the version is another, or a number cannot be written exactly.
    pub fn canonical(&self) -> Result<String, RowError> {
        if self.v != ROW_VERSION {
            return Err(RowError::OtherVersion(self.v));
        }
        if self.details.values().any(holds_fraction) {
            return Err(RowError::FractionInDetails);
        }
        let exact = self.seq <= MAX_SAFE_INTEGER && self.at.unsigned_abs() <= MAX_SAFE_INTEGER;
        if exact && written_canonically(&self.details) {
            return Ok(serde_json::to_string(self)?);
        }
        Ok(canonical_json(self)?)
    }

    /// The row's leaf hash (RFC 6962, section 2.1) over its canonical text.
    ///
    /// # Errors
    /// As [`AuditRow::canonical`].
    pub fn leaf_hash(&self) -> Result<Hash, RowError> {
        Ok(leaf_hash(self.canonical()?.as_bytes()))
    }

    /// Reads a row, and accepts only the canonical text: another spelling of the same row would
    /// have another hash.
    ///
    /// # Errors
    /// Says why the text is not a row.
    pub fn parse(text: &str) -> Result<Self, RowError> {
        let row: Self = serde_json::from_str(text)?;
        if row.canonical()? != text {
            return Err(RowError::NotCanonical);
        }
        Ok(row)
    }

    /// A text among the details.
    pub fn detail_str(&self, key: &str) -> Option<&str> {
        self.details.get(key)?.as_str()
    }

    /// A whole number among the details.
    pub fn detail_i64(&self, key: &str) -> Option<i64> {
        self.details.get(key)?.as_i64()
    }

    /// A whole number that is not negative among the details.
    pub fn detail_u64(&self, key: &str) -> Option<u64> {
        self.details.get(key)?.as_u64()
    }
}

fn holds_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(holds_fraction),
        Value::Object(members) => members.values().any(holds_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn row() -> AuditRow {
        AuditRow {
            v: 1,
            log: org_log("o-1"),
            seq: 41,
            id: "01920000-0000-7000-8000-000000000001".into(),
            at: 1_760_000_000_000_000,
            action: "vault_token.rotated".into(),
            actor_type: ActorType::PlatformAdminImpersonating,
            actor_id: "a-1".into(),
            actor_name: "Zoë".into(),
            org_id: Some("o-1".into()),
            impersonation_id: None,
            ticket_ref: Some("NOV-4821".into()),
            reason: None,
            secret_type: None,
            secret_id: None,
            outcome: Outcome::Success,
            details: Map::new(),
        }
    }

    #[test]
    fn the_text_of_a_row_never_changes() {
        // This exact text is in proofs that were handed out: a change here breaks them all.
        assert_eq!(
            row().canonical().unwrap(),
            r#"{"action":"vault_token.rotated","actor_id":"a-1","actor_name":"Zoë","actor_type":"platform_admin_impersonating","at":1760000000000000,"id":"01920000-0000-7000-8000-000000000001","log":"org/o-1","org_id":"o-1","outcome":"success","seq":41,"ticket_ref":"NOV-4821","v":1}"#
        );
    }

    #[test]
    fn the_words_are_those_in_the_rows() {
        for actor in [
            ActorType::PlatformAdmin,
            ActorType::PlatformAdminImpersonating,
            ActorType::Auditor,
            ActorType::OrgMember,
            ActorType::System,
        ] {
            assert_eq!(json!(actor), actor.word());
        }
        for outcome in [Outcome::Success, Outcome::Refused, Outcome::Failed] {
            assert_eq!(json!(outcome), outcome.word());
        }
    }

    #[test]
    fn only_the_canonical_text_is_read() {
        let good = row().canonical().unwrap();
        assert_eq!(AuditRow::parse(&good).unwrap(), row());
        for same_row in [
            format!(" {good}"),
            good.replace("\"seq\":41", "\"seq\": 41"),
            good.replace("ë", "\\u00eb"),
            good.replacen('{', "{\"reason\":null,", 1),
            good.replace("\"id\"", "\"details\":{},\"id\""),
        ] {
            assert!(
                matches!(AuditRow::parse(&same_row), Err(RowError::NotCanonical)),
                "{same_row}"
            );
        }
    }

    #[test]
    fn what_is_not_a_row_is_refused() {
        let good = row().canonical().unwrap();
        for bad in [
            String::new(),
            "null".to_owned(),
            good.replacen('{', "{\"a\":1,", 1),
            good.replacen('{', "{\"action\":\"x\",", 1),
            good.replace("\"seq\":41", "\"seq\":-1"),
            good.replace("\"success\"", "\"fine\""),
            good.replace("\"id\":\"01920000-0000-7000-8000-000000000001\",", ""),
        ] {
            assert!(matches!(AuditRow::parse(&bad), Err(RowError::NotARow(_))), "{bad}");
        }
        let other = good.replace("\"v\":1", "\"v\":2");
        assert!(matches!(AuditRow::parse(&other), Err(RowError::OtherVersion(2))));
        assert!(AuditRow::parse(&good.replace("\"seq\":41", "\"seq\":9007199254740993")).is_err());
    }

    #[test]
    fn duplicate_members_and_fractions_in_details_are_refused() {
        let mut with = row();
        with.details.insert("n".into(), json!(2));
        let good = with.canonical().unwrap();
        let twice = good.replace("{\"n\":2}", "{\"n\":1,\"n\":2}");
        assert!(matches!(AuditRow::parse(&twice), Err(RowError::NotCanonical)));
        with.details.insert("n".into(), json!({"deep": [2.5]}));
        assert!(matches!(with.canonical(), Err(RowError::FractionInDetails)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seq in 0u64..1 << 53, at in -(1i64 << 52)..1 << 52, name in any::<String>(), key in any::<String>(), text in any::<String>()) {
            let mut row = row();
            row.seq = seq;
            row.at = at;
            row.actor_name = name;
            row.details.insert(key, json!([text, at, true, null]));
            let written = row.canonical().unwrap();
            prop_assert_eq!(AuditRow::parse(&written).unwrap(), row);
        }

        #[test]
        fn a_row_is_written_as_the_standard_says(name in any::<String>(), reason in any::<Option<String>>(), keys in prop::collection::vec("[ -~]{0,3}|.{0,3}", 0..5), seq in any::<u64>(), at in any::<i64>(), deep in any::<i64>()) {
            let mut row = row();
            (row.seq, row.at, row.actor_name, row.reason) = (seq, at, name.clone(), reason);
            for key in &keys {
                row.details.insert(key.clone(), json!({ key.clone(): [name, deep, false], "": null, "b": {}, "a": 0 }));
            }
            prop_assert_eq!(row.canonical().ok(), canonical_json(&row).ok());
            row.seq = 0;
            row.at = 0;
            prop_assert_eq!(row.canonical().ok(), canonical_json(&row).ok());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = AuditRow::parse(&text);
        }
    }
}
