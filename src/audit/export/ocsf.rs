//! Rows as events of the Open Cybersecurity Schema Framework, version 1.6.0: with it came the switch of an
//! account (Authentication, activity 7), which an impersonation is.
//!
//! Every action has a class; one that is not known here is API Activity. What the schema has no
//! place for stands in `unmapped`, so that nothing of a row is lost.

use serde_json::{Map, Value, json};

use super::hex;
use crate::model::time;
use crate::proof::actions;
use crate::proof::row::{ActorType, AuditRow, Outcome};

/// The version of the schema.
pub const VERSION: &str = "1.6.0";

/// A class of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    AccountChange,
    Authentication,
    EntityManagement,
    ApiActivity,
}

impl Class {
    const fn uid(self) -> u32 {
        match self {
            Class::AccountChange => 3001,
            Class::Authentication => 3002,
            Class::EntityManagement => 3004,
            Class::ApiActivity => 6003,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Class::AccountChange => "Account Change",
            Class::Authentication => "Authentication",
            Class::EntityManagement => "Entity Management",
            Class::ApiActivity => "API Activity",
        }
    }

    const fn category(self) -> (u32, &'static str) {
        match self {
            Class::AccountChange | Class::Authentication | Class::EntityManagement => {
                (3, "Identity & Access Management")
            }
            Class::ApiActivity => (6, "Application Activity"),
        }
    }
}

const LOGON: (Class, u32, &str) = (Class::Authentication, 1, "Logon");
const LOGOFF: (Class, u32, &str) = (Class::Authentication, 2, "Logoff");
const ACCOUNT_SWITCH: (Class, u32, &str) = (Class::Authentication, 7, "Account Switch");
const ENTITY_CREATE: (Class, u32, &str) = (Class::EntityManagement, 1, "Create");
const ENTITY_UPDATE: (Class, u32, &str) = (Class::EntityManagement, 3, "Update");
const ENTITY_DELETE: (Class, u32, &str) = (Class::EntityManagement, 4, "Delete");
const READ: (Class, u32, &str) = (Class::ApiActivity, 2, "Read");
const OTHER: (Class, u32, &str) = (Class::ApiActivity, 99, "Other");

/// The class and the activity of an action.
fn kind(action: &str) -> (Class, u32, &'static str) {
    match action {
        actions::PLATFORM_IMPERSONATION_STARTED | actions::IMPERSONATION_STARTED => ACCOUNT_SWITCH,
        actions::PLATFORM_IMPERSONATION_REFUSED => ACCOUNT_SWITCH,
        actions::PLATFORM_IMPERSONATION_ENDED
        | actions::IMPERSONATION_ENDED
        | actions::PLATFORM_SIGNED_OUT => LOGOFF,
        actions::PLATFORM_SIGNED_IN
        | actions::PLATFORM_SIGN_IN_FAILED
        | actions::PLATFORM_SIGN_INS_THROTTLED
        | actions::PLATFORM_CREDENTIALS_REFUSED
        | actions::PLATFORM_STEPPED_UP => LOGON,
        actions::PLATFORM_STAFF_ADDED => (Class::AccountChange, 1, "Create"),
        actions::PLATFORM_STAFF_DISABLED => (Class::AccountChange, 5, "Disable"),
        actions::PLATFORM_ORG_IMPORTED
        | actions::ORG_IMPORTED
        | actions::PLATFORM_ORG_CREDENTIAL_ISSUED
        | actions::ORG_CREDENTIAL_ISSUED
        | actions::PLATFORM_CERTIFICATE_AUTHORITY_MADE
        | actions::PLATFORM_CERTIFICATE_AUTHORITY_IMPORTED => ENTITY_CREATE,
        actions::CONSENT_ENABLED
        | actions::CONSENT_DISABLED
        | actions::CONSENT_CONFIRMED
        | actions::PLATFORM_OWNER_KEY_CHANGED
        | actions::OWNER_KEY_CHANGED
        | actions::PLATFORM_OWNER_KEY_RENEWED
        | actions::OWNER_KEY_RENEWED
        | actions::PLATFORM_OWNER_RECORD_CHANGED
        | actions::OWNER_RECORD_CHANGED
        | actions::PLATFORM_ROTATION_REFUSED
        | actions::MTLS_CERTIFICATE_REENROLLED
        | actions::MTLS_CERTIFICATE_CONNECTED => ENTITY_UPDATE,
        actions::PLATFORM_ORG_CREDENTIAL_REVOKED
        | actions::ORG_CREDENTIAL_REVOKED
        | actions::VAULT_TOKEN_OLD_REVOKED
        | actions::PLATFORM_VAULT_TOKEN_OLD_REVOKED
        | actions::VAULT_TOKEN_EXPIRED_UNREAD
        | actions::PLATFORM_VAULT_TOKEN_EXPIRED_UNREAD
        | actions::WEBHOOK_OVERLAP_ENDED => ENTITY_DELETE,
        actions::PLATFORM_AUDIT_VIEWED
        | actions::PLATFORM_AUDIT_EXPORTED
        | actions::PLATFORM_HANDOFF_DOWNLOADED
        | actions::HANDOFF_DOWNLOADED
        | actions::PLATFORM_LOGS_VERIFIED => READ,
        other => {
            let of_secret = actions::SECRET_TYPES
                .iter()
                .any(|t| actions::rotated(t) == other || actions::rotation_failed(t) == other);
            if of_secret { ENTITY_UPDATE } else { OTHER }
        }
    }
}

/// A row as an event, one line of JSON.
#[must_use]
pub fn event(row: &AuditRow, leaf_hash: &[u8]) -> String {
    let (class, activity, activity_name) = kind(&row.action);
    let (category, category_name) = class.category();
    let (severity, severity_name) = match row.outcome {
        Outcome::Success => (1, "Informational"),
        Outcome::Refused | Outcome::Failed => (3, "Medium"),
    };
    let (status, status_name) = match row.outcome {
        Outcome::Success => (1, "Success"),
        Outcome::Refused | Outcome::Failed => (2, "Failure"),
    };
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
    put("activity_id", json!(activity));
    put("activity_name", json!(activity_name));
    put("category_uid", json!(category));
    put("category_name", json!(category_name));
    put("class_uid", json!(class.uid()));
    put("class_name", json!(class.name()));
    put("type_uid", json!(class.uid() * 100 + activity));
    put("type_name", json!(format!("{}: {activity_name}", class.name())));
    put("severity_id", json!(severity));
    put("severity", json!(severity_name));
    put("status_id", json!(status));
    put("status", json!(status_name));
    put("status_code", json!(row.outcome.word()));
    put("time", json!(row.at.div_euclid(1000)));
    put("message", json!(message(row)));
    put("metadata", metadata(row));
    put("actor", json!({ "user": actor(row) }));
    put("src_endpoint", source(row));
    put("unmapped", unmapped(row, leaf_hash));
    match class {
        Class::Authentication => {
            put("user", subject(row));
            put("service", json!({ "name": "Keyturn" }));
            if activity == ACCOUNT_SWITCH.1 {
                put("account_switch_type_id", json!(2));
                put("account_switch_type", json!("Impersonate"));
            }
        }
        Class::AccountChange => {
            put("user", account(row));
        }
        Class::EntityManagement => {
            put("entity", entity(row));
            if let Some(reason) = &row.reason {
                put("comment", json!(reason));
            }
        }
        Class::ApiActivity => {
            put("api", json!({ "operation": row.action, "service": { "name": "Keyturn" } }));
        }
    }
    Value::Object(event).to_string()
}

fn message(row: &AuditRow) -> String {
    match &row.reason {
        Some(reason) => format!("{}: {reason}", row.action),
        None => row.action.clone(),
    }
}

fn metadata(row: &AuditRow) -> Value {
    let mut data = json!({
        "version": VERSION,
        "product": {
            "name": "Keyturn",
            "vendor_name": "Keyturn",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "uid": row.id,
        "event_code": row.action,
        "log_name": row.log,
        "sequence": row.seq,
        "original_time": time::rfc3339(row.at),
    });
    for (name, value) in [("correlation_uid", &row.impersonation_id), ("tenant_uid", &row.org_id)] {
        if let Some(value) = value {
            data[name] = json!(value);
        }
    }
    data
}

/// Who did it.
fn actor(row: &AuditRow) -> Value {
    let (type_id, kind) = match row.actor_type {
        ActorType::PlatformAdmin | ActorType::PlatformAdminImpersonating => (2, "Admin"),
        ActorType::Auditor | ActorType::OrgMember => (1, "User"),
        ActorType::System => (3, "System"),
    };
    json!({ "uid": row.actor_id, "name": row.actor_name, "type_id": type_id, "type": kind })
}

/// As whom they sign in or act: under an impersonation the Owner of the org, whom the row names
/// by the org only.
fn subject(row: &AuditRow) -> Value {
    match (&row.org_id, &row.impersonation_id) {
        (Some(org), Some(_)) => json!({
            "uid": format!("owner of {org}"),
            "type_id": 1,
            "type": "User",
            "org": { "uid": org },
        }),
        _ => actor(row),
    }
}

/// The account that was changed.
fn account(row: &AuditRow) -> Value {
    json!({
        "uid": row.detail_str("staff_id").unwrap_or("unknown"),
        "name": row.detail_str("staff_name").unwrap_or("unknown"),
    })
}

/// What was changed: the secret, or what the action's name begins with.
fn entity(row: &AuditRow) -> Value {
    let subject = row.action.strip_prefix("platform.").unwrap_or(&row.action);
    let kind =
        row.secret_type.as_deref().unwrap_or_else(|| subject.split('.').next().unwrap_or(subject));
    let uid = row.secret_id.as_deref().or(row.org_id.as_deref()).unwrap_or(&row.id);
    json!({ "type": kind, "uid": uid })
}

/// From where: the network address, or the program itself.
fn source(row: &AuditRow) -> Value {
    match row.detail_str("from").filter(|from| from.parse::<std::net::IpAddr>().is_ok()) {
        Some(ip) => json!({ "ip": ip }),
        None => json!({ "name": "keyturn" }),
    }
}

/// What has no place in the schema.
fn unmapped(row: &AuditRow, leaf_hash: &[u8]) -> Value {
    let mut rest = json!({
        "actor_type": row.actor_type.word(),
        "at_microseconds": row.at,
        "leaf_hash": hex(leaf_hash),
    });
    for (name, value) in [
        ("ticket_ref", &row.ticket_ref),
        ("reason", &row.reason),
        ("secret_type", &row.secret_type),
        ("secret_id", &row.secret_id),
    ] {
        if let Some(value) = value {
            rest[name] = json!(value);
        }
    }
    if !row.details.is_empty() {
        rest["details"] = Value::Object(row.details.clone());
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    fn of(action: &str) -> Value {
        serde_json::from_str(&event(&row(action), &[0xab; 32])).unwrap()
    }

    #[test]
    fn a_rotation_is_written_so() {
        assert_eq!(
            of("vault_token.rotated"),
            json!({
                "activity_id": 3,
                "activity_name": "Update",
                "category_uid": 3,
                "category_name": "Identity & Access Management",
                "class_uid": 3004,
                "class_name": "Entity Management",
                "type_uid": 300_403,
                "type_name": "Entity Management: Update",
                "severity_id": 1,
                "severity": "Informational",
                "status_id": 1,
                "status": "Success",
                "status_code": "success",
                "time": 1_760_000_000_123_i64,
                "message": "vault_token.rotated: rotate stuck vault_token per ticket NOV-4801",
                "comment": "rotate stuck vault_token per ticket NOV-4801",
                "metadata": {
                    "version": "1.6.0",
                    "product": { "name": "Keyturn", "vendor_name": "Keyturn", "version": env!("CARGO_PKG_VERSION") },
                    "uid": "01920000-0000-7000-8000-000000000001",
                    "event_code": "vault_token.rotated",
                    "correlation_uid": "01920000-0000-7000-8000-0000000000aa",
                    "tenant_uid": "org-1",
                    "log_name": "platform",
                    "sequence": 41,
                    "original_time": "2025-10-09T08:53:20.123456Z",
                },
                "actor": { "user": { "uid": "stf_1", "name": "Ada Okafor", "type_id": 2, "type": "Admin" } },
                "src_endpoint": { "ip": "192.0.2.7" },
                "entity": { "type": "vault_token", "uid": "vtk_1" },
                "unmapped": {
                    "actor_type": "platform_admin",
                    "at_microseconds": 1_760_000_000_123_456_i64,
                    "leaf_hash": "ab".repeat(32),
                    "ticket_ref": "NOV-4801",
                    "reason": "rotate stuck vault_token per ticket NOV-4801",
                    "secret_type": "vault_token",
                    "secret_id": "vtk_1",
                    "details": { "from": "192.0.2.7" },
                },
            })
        );
    }

    #[test]
    fn the_ends_of_an_impersonation_are_a_switch_of_account_and_its_logoff() {
        for action in ["platform.impersonation_started", "impersonation.started"] {
            let event = of(action);
            assert_eq!(event["type_uid"], 300_207);
            assert_eq!(event["account_switch_type_id"], 2);
            assert_eq!(event["user"]["org"]["uid"], "org-1");
            assert_eq!(event["actor"]["user"]["uid"], "stf_1");
        }
        for action in ["platform.impersonation_ended", "impersonation.ended"] {
            assert_eq!(of(action)["type_uid"], 300_202);
        }
    }

    #[test]
    fn what_did_not_succeed_is_a_failure() {
        for outcome in [Outcome::Refused, Outcome::Failed] {
            let mut failed = row("vault_token.rotation_failed");
            failed.outcome = outcome;
            let event: Value = serde_json::from_str(&event(&failed, &[])).unwrap();
            assert_eq!((&event["status_id"], &event["severity_id"]), (&json!(2), &json!(3)));
            assert_eq!(event["type_uid"], 300_403);
            assert_eq!(event["status_code"], outcome.word());
        }
    }

    /// Every action that there is, and one that nobody knows, has what its class demands.
    #[test]
    fn every_action_has_a_class_and_what_the_class_requires() {
        let mut all = actions::every();
        all.push("something.new".to_owned());
        for action in all {
            let event = of(&action);
            let class = event["class_uid"].as_u64().unwrap();
            let activity = event["activity_id"].as_u64().unwrap();
            assert_eq!(event["type_uid"], class * 100 + activity, "{action}");
            assert_eq!(event["category_uid"], class / 1000, "{action}");
            assert_eq!(event["metadata"]["event_code"], action.as_str());
            let required: &[&str] = match class {
                3001 => &["user"],
                3002 => &["user", "service"],
                3004 => &["entity"],
                6003 => &["api", "actor", "src_endpoint"],
                other => panic!("{action}: class {other}"),
            };
            for field in required {
                assert!(event[field].is_object(), "{action} lacks {field}");
            }
        }
        assert_eq!(of("something.new")["type_uid"], 600_399);
    }
}
