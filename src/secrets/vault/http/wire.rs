//! What stands in the questions to a vault, and in its answers.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::role::Role;
use crate::model::Micros;
use crate::secrets::vault::{
    NewToken, ROTATION_KEY, TokenFacts, TokenKind, VaultError, like_a_token,
};

/// An answer that holds a token, bare or wrapped. It does not print.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) auth: Option<Auth>,
    #[serde(default)]
    pub(super) wrap_info: Option<WrapInfo>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) warnings: Vec<String>,
}

/// A token.
#[derive(Deserialize)]
pub(super) struct Auth {
    pub(super) client_token: Zeroizing<String>,
    #[serde(default)]
    pub(super) accessor: String,
    /// What the vault said besides; taken from around it.
    #[serde(skip)]
    pub(super) warnings: Vec<String>,
}

/// The answer to a renewal. How long the token lives then, a look-up says.
#[derive(Deserialize)]
pub(super) struct Renewed {
    #[serde(rename = "auth")]
    _auth: Value,
}

/// What a token may do at some paths.
#[derive(Deserialize)]
pub(super) struct Capabilities {
    pub(super) data: BTreeMap<String, Vec<String>>,
}

/// The answer to the question for a token role.
#[derive(Deserialize)]
pub(super) struct RoleRead {
    pub(super) data: RoleData,
}

/// A token role. What came into vaults later stands besides the older form of it, which older
/// roles still have.
#[derive(Deserialize)]
pub(super) struct RoleData {
    #[serde(default, deserialize_with = "or_default")]
    token_period: i64,
    #[serde(default, deserialize_with = "or_default")]
    period: i64,
    #[serde(default, deserialize_with = "or_default")]
    token_explicit_max_ttl: i64,
    #[serde(default, deserialize_with = "or_default")]
    explicit_max_ttl: i64,
    renewable: bool,
    orphan: bool,
    #[serde(default, deserialize_with = "or_default")]
    token_num_uses: i64,
    #[serde(default, deserialize_with = "or_default")]
    token_bound_cidrs: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    bound_cidrs: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    token_type: String,
}

impl RoleData {
    pub(super) fn into_role(self) -> Role {
        let newer = |newer: i64, older: i64| if newer != 0 { newer } else { older };
        Role {
            period_seconds: newer(self.token_period, self.period),
            explicit_max_ttl_seconds: newer(self.token_explicit_max_ttl, self.explicit_max_ttl),
            renewable: self.renewable,
            orphan: self.orphan,
            uses: self.token_num_uses,
            bound_cidrs: if self.token_bound_cidrs.is_empty() {
                self.bound_cidrs
            } else {
                self.token_bound_cidrs
            },
            kind: match self.token_type.as_str() {
                // "default-batch" gives what is asked for, and a service token is.
                "batch" => TokenKind::Batch,
                _ => TokenKind::Service,
            },
        }
    }
}

/// What a wrapping says of what is in it.
#[derive(Deserialize)]
pub(super) struct WrapInfo {
    pub(super) token: Zeroizing<String>,
    #[serde(default)]
    pub(super) creation_path: String,
    #[serde(default)]
    pub(super) wrapped_accessor: String,
}

/// The answer to a look-up.
#[derive(Deserialize)]
pub(super) struct Looked {
    pub(super) data: Data,
}

/// What a look-up by accessor says. Its `id`, which would be the token, is empty then, and is not
/// read.
#[derive(Deserialize)]
pub(super) struct Data {
    accessor: String,
    #[serde(deserialize_with = "or_default")]
    policies: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    period: i64,
    #[serde(default, deserialize_with = "or_default")]
    creation_ttl: i64,
    #[serde(default, deserialize_with = "or_default")]
    explicit_max_ttl: i64,
    #[serde(rename = "type")]
    kind: String,
    orphan: bool,
    #[serde(default, deserialize_with = "or_default")]
    expire_time: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    ttl: i64,
    #[serde(default, deserialize_with = "or_default")]
    renewable: bool,
    #[serde(default, deserialize_with = "or_default")]
    display_name: String,
    #[serde(default, deserialize_with = "or_default")]
    num_uses: i64,
    #[serde(default, deserialize_with = "or_default")]
    bound_cidrs: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    meta: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    entity_id: String,
    #[serde(default, deserialize_with = "or_default")]
    identity_policies: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    external_namespace_policies: BTreeMap<String, Vec<String>>,
    #[serde(default, deserialize_with = "or_default")]
    namespace_path: String,
    #[serde(default, deserialize_with = "or_default")]
    role: String,
    #[serde(default, deserialize_with = "or_default")]
    path: String,
}

/// The answer to a list.
#[derive(Deserialize)]
pub(super) struct Keys {
    pub(super) data: KeysIn,
}

/// What is listed.
#[derive(Deserialize)]
pub(super) struct KeysIn {
    pub(super) keys: Vec<String>,
}

/// `null` where something could stand.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Data {
    pub(super) fn into_facts(mut self) -> Result<TokenFacts, VaultError> {
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let expires_at = match &self.expire_time {
            None => None,
            Some(text) => Some(instant(text).ok_or_else(|| {
                VaultError::Unclear("it gives an expiry that is not a time".into())
            })?),
        };
        Ok(TokenFacts {
            accessor: self.accessor,
            policies: self.policies,
            period_seconds: self.period,
            ttl_seconds: self.creation_ttl,
            explicit_max_ttl_seconds: self.explicit_max_ttl,
            kind: match self.kind.as_str() {
                "service" => TokenKind::Service,
                "batch" => TokenKind::Batch,
                _ => TokenKind::Other,
            },
            orphan: self.orphan,
            seconds_left: expires_at.map(|_| self.ttl),
            expires_at,
            renewable: self.renewable,
            display_name: self.display_name,
            uses_left: self.num_uses,
            bound_cidrs: self.bound_cidrs,
            rotation_id: self.meta.remove(ROTATION_KEY),
            metadata: self.meta,
            entity_id: said(self.entity_id),
            identity_policies: {
                let elsewhere = self.external_namespace_policies.into_values().flatten();
                self.identity_policies.into_iter().chain(elsewhere).collect()
            },
            namespace: said(self.namespace_path),
            role: said(self.role),
            path: self.path,
        })
    }
}

fn instant(rfc3339: &str) -> Option<Micros> {
    let at = OffsetDateTime::parse(rfc3339, &Rfc3339).ok()?;
    Micros::try_from(at.unix_timestamp_nanos() / 1000).ok()
}

/// The body that asks for a token, by a role or by none. What the role sets by itself is not asked
/// for: a vault wants more rights for a period that is asked for than for one that comes anyway.
pub(super) fn asked(new: &NewToken, role: Option<&Role>) -> Value {
    let mut metadata = new.metadata.clone();
    metadata.insert(ROTATION_KEY.to_owned(), new.rotation_id.clone());
    let mut body = json!({
        "type": "service",
        "policies": new.policies,
        // Otherwise the vault adds it by itself.
        "no_default_policy": !new.policies.iter().any(|policy| policy == "default"),
        "renewable": new.renewable,
        "meta": metadata,
    });
    if !new.display_name.is_empty() {
        body["display_name"] = new.display_name.as_str().into();
    }
    if role.is_some_and(|role| role.period_seconds > 0) {
        // It is periodic without asking.
    } else if new.period_seconds > 0 {
        body["period"] = format!("{}s", new.period_seconds).into();
    } else if new.ttl_seconds > 0 {
        body["ttl"] = format!("{}s", new.ttl_seconds).into();
    }
    if new.explicit_max_ttl_seconds > 0 {
        body["explicit_max_ttl"] = format!("{}s", new.explicit_max_ttl_seconds).into();
    }
    body
}

/// Reads an answer. What does not fit is not quoted: it may hold a token.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, VaultError> {
    serde_json::from_slice(body)
        .map_err(|_| VaultError::Unclear("its answer is not what such an answer holds".into()))
}

/// What an answer that is an error says.
pub(super) fn said(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let text = serde_json::from_slice::<Errors>(body)
        .map(|said| said.errors.join("; "))
        .unwrap_or_default();
    let text = shortened(&text);
    if text.is_empty() { format!("status {}", status.as_u16()) } else { text }
}

/// As long as a UUID, which a secret id is, and longer than most names.
const LIKE_AN_ID: usize = 32;

/// A text of somebody else's on one line, not too long, and without what looks like a token,
/// wherever it stands in a word, or like an id.
pub(super) fn shortened(text: &str) -> String {
    let apart = |c: char| !c.is_alphanumeric() && !"._-".contains(c);
    let token = |word: &str| {
        word.split(apart).any(|part| {
            // A host's name has dots, and is to be read.
            like_a_token(part) || (part.len() >= LIKE_AN_ID && !part.contains('.'))
        })
    };
    let words = text
        .split_whitespace()
        .filter(|word| *word != "*")
        .map(|word| if token(word) { "(a token)" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects logs and pages from a token that a vault, or what stands before it, quotes.
    #[test]
    fn what_a_vault_says_is_short_and_without_tokens() {
        let quoted = format!("bad \"hvs.{}\": no\n\t* s.{} denied", "A".repeat(92), "b".repeat(24));
        assert_eq!(shortened(&quoted), "bad (a token) no (a token) denied");
        assert_eq!(shortened(&"x ".repeat(500)).len(), 200);
        let inside = format!("token=hvs.{} secret_id:{}", "A".repeat(92), "0f".repeat(18));
        assert_eq!(shortened(&inside), "(a token) (a token)");
        let body = br#"{"errors":["1 error occurred:\n\t* invalid accessor\n\n"]}"#;
        assert_eq!(said(StatusCode::BAD_REQUEST, body), "1 error occurred: invalid accessor");
        assert_eq!(said(StatusCode::BAD_GATEWAY, b"<html>"), "status 502");
    }

    /// Protects the same policies: a vault adds `default` unless it is told not to.
    #[test]
    fn exactly_the_policies_are_asked_for() {
        let mut new = NewToken {
            policies: vec!["claims-import".into()],
            period_seconds: 3600,
            ttl_seconds: 3600,
            explicit_max_ttl_seconds: 0,
            renewable: true,
            display_name: "claims".into(),
            metadata: [("team".to_owned(), "claims".to_owned())].into(),
            rotation_id: "r1".into(),
            ..NewToken::default()
        };
        let body = asked(&new, None);
        assert_eq!(body["no_default_policy"], true);
        assert_eq!(body["period"], "3600s");
        assert_eq!(body.get("ttl"), None);
        assert_eq!(body["meta"], json!({ "rotation_id": "r1", "team": "claims" }));
        let role = Role {
            period_seconds: 3600,
            explicit_max_ttl_seconds: 0,
            renewable: true,
            orphan: true,
            uses: 0,
            bound_cidrs: vec![],
            kind: TokenKind::Service,
        };
        let by_role = asked(&new, Some(&role));
        assert_eq!((by_role.get("period"), by_role.get("ttl")), (None, None));
        new.policies.push("default".into());
        new.period_seconds = 0;
        let body = asked(&new, None);
        assert_eq!(body["no_default_policy"], false);
        assert_eq!(body["ttl"], "3600s");
        assert_eq!(body.get("period"), None);
    }

    /// Protects against reading something into an answer that is not there.
    #[test]
    fn an_answer_that_lacks_something_is_no_answer() {
        let whole = json!({"data": {"accessor": "a", "policies": ["p"], "type": "service",
            "orphan": true, "expire_time": "2026-11-23T18:00:00.5Z", "meta": null, "id": ""}});
        let facts = |value: &Value| {
            read::<Looked>(value.to_string().as_bytes()).and_then(|looked| looked.data.into_facts())
        };
        assert_eq!(facts(&whole).unwrap().expires_at, Some(1_795_456_800_500_000));
        for missing in ["accessor", "policies", "type", "orphan"] {
            let mut lacking = whole.clone();
            lacking["data"].as_object_mut().unwrap().remove(missing);
            assert!(facts(&lacking).is_err(), "{missing}");
        }
        let mut wrong = whole;
        wrong["data"]["expire_time"] = "soon".into();
        assert!(facts(&wrong).is_err());
    }
}
