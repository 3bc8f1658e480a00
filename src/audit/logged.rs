//! What the logs say of a grant. The register of impersonations is a table that nothing protects:
//! what is shown of a grant is taken from the rows, and the register is held against them.

use super::trail::ReadRow;
use crate::model::{Micros, time};
use crate::proof::actions::{
    IMPERSONATION_ENDED, IMPERSONATION_STARTED, PLATFORM_IMPERSONATION_ENDED,
    PLATFORM_IMPERSONATION_STARTED,
};
use crate::proof::row::{ActorType, AuditRow};
use crate::store::impersonations::Impersonation;

/// A grant, as its rows in the logs have it. What no row says is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logged {
    /// Whether the platform's log has a row of it.
    pub in_platform: bool,
    /// Whether an org's log has one.
    pub in_org: bool,
    /// The platform admin.
    pub admin_id: Option<String>,
    /// Their name at that time.
    pub admin_name: Option<String>,
    /// The Owner for whom it was done.
    pub owner_id: Option<String>,
    /// The org.
    pub org_id: Option<String>,
    /// The ticket.
    pub ticket: Option<String>,
    /// The reason.
    pub reason: Option<String>,
    /// The token's scope.
    pub scope: Option<String>,
    /// The type of the secret.
    pub secret_type: Option<String>,
    /// The secret.
    pub secret_id: Option<String>,
    /// When it began.
    pub started_at: Option<Micros>,
    /// Whether a row says so itself; else it is the second in which the start was written.
    started_exactly: bool,
    /// When the token expires.
    pub expires_at: Option<Micros>,
    /// When it ended.
    pub ended_at: Option<Micros>,
    /// Why.
    pub cause: Option<String>,
    /// Who or what ended it.
    pub ended_by: Option<String>,
    /// Their name at that time.
    pub ended_by_name: Option<String>,
}

/// One thing in which the register contradicts the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What, as people know it.
    pub field: &'static str,
    /// What the register says.
    pub register: String,
    /// What the logs say.
    pub logs: String,
}

/// How the register of impersonations stands to the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Register {
    /// It says what the logs say.
    Agrees,
    /// It has no such grant.
    Missing,
    /// It says something else.
    Differs(Vec<Difference>),
    /// It has the grant, and neither log has a row.
    Alone,
}

impl Register {
    /// Holds a grant of the register against what the logs say.
    #[must_use]
    pub fn of(logged: Option<&Logged>, grant: Option<&Impersonation>) -> Self {
        match (logged, grant) {
            (None, _) => Self::Alone,
            (Some(_), None) => Self::Missing,
            (Some(logged), Some(grant)) => match logged.differences(grant) {
                none if none.is_empty() => Self::Agrees,
                some => Self::Differs(some),
            },
        }
    }
}

impl Logged {
    /// What these rows say, which are all of one impersonation; nothing where there are none.
    /// Where the logs contradict each other the platform's start speaks: that they do is the
    /// verdict's to say.
    #[must_use]
    pub fn of(rows: &[&ReadRow]) -> Option<Self> {
        let first = rows.first()?;
        let read = || rows.iter().filter_map(|r| r.row.as_ref());
        let find = |action: &str| read().find(|r| r.action == action);
        let start = find(PLATFORM_IMPERSONATION_STARTED).or_else(|| find(IMPERSONATION_STARTED));
        let end = find(PLATFORM_IMPERSONATION_ENDED).or_else(|| find(IMPERSONATION_ENDED));
        let admins = [ActorType::PlatformAdmin, ActorType::PlatformAdminImpersonating];
        let acting = || read().find(|r| admins.contains(&r.actor_type));
        let admin = start.or(end).or_else(acting);
        let said = |of: fn(&AuditRow) -> Option<&String>| {
            start.into_iter().chain(end).chain(read()).find_map(of).cloned()
        };
        // A row that cannot be read is still found by its columns.
        let e = &first.entry;
        let detail = |row: Option<&AuditRow>, key: &str| row?.detail_str(key).map(str::to_owned);
        let instant = |row: Option<&AuditRow>, key: &str| row?.detail_i64(key);
        let log = || rows.iter().find_map(|r| r.entry.log_id.strip_prefix("org/"));
        let begun = instant(start, "started_at");
        let second = |r: &AuditRow| r.at - r.at.rem_euclid(time::SECOND);
        Some(Self {
            in_platform: rows.iter().any(|r| r.platform()),
            in_org: rows.iter().any(|r| !r.platform()),
            admin_id: admin.map(|r| r.actor_id.clone()),
            admin_name: admin.map(|r| r.actor_name.clone()),
            owner_id: detail(start, "owner_id"),
            org_id: said(|r| r.org_id.as_ref())
                .or_else(|| e.org_id.clone())
                .or_else(|| log().map(str::to_owned)),
            ticket: said(|r| r.ticket_ref.as_ref()).or_else(|| e.ticket_ref.clone()),
            reason: said(|r| r.reason.as_ref()),
            scope: detail(start, "scope"),
            secret_type: said(|r| r.secret_type.as_ref()).or_else(|| e.secret_type.clone()),
            secret_id: said(|r| r.secret_id.as_ref()),
            started_at: begun.or_else(|| start.map(second)),
            started_exactly: begun.is_some(),
            expires_at: instant(start, "expires_at"),
            ended_at: instant(end, "ended_at").or_else(|| end.map(|r| r.at)),
            cause: detail(end, "cause"),
            ended_by: detail(end, "ended_by"),
            ended_by_name: detail(end, "ended_by_name"),
        })
    }

    /// What only the register says, for want of rows.
    #[must_use]
    pub fn of_register(grant: &Impersonation) -> Self {
        Self {
            admin_id: Some(grant.admin_id.clone()),
            owner_id: Some(grant.owner_id.clone()),
            org_id: Some(grant.org_id.clone()),
            ticket: Some(grant.ticket_id.clone()),
            reason: Some(grant.reason.clone()),
            scope: Some(grant.scope.clone()),
            secret_type: Some(grant.secret_type.as_str().to_owned()),
            secret_id: Some(grant.secret_id.clone()),
            started_at: Some(grant.started_at),
            expires_at: Some(grant.expires_at),
            ended_at: grant.ended_at,
            cause: grant.end_cause().map(|cause| cause.as_str().to_owned()),
            ended_by: grant.ended_by.clone(),
            ..Self::default()
        }
    }

    /// In what a grant of the register contradicts the rows, field by field. Of what no row says
    /// nothing is held against it, but an end that no log has.
    #[must_use]
    pub fn differences(&self, grant: &Impersonation) -> Vec<Difference> {
        let mut all = Vec::new();
        let mut hold = |field, register: Option<String>, logs: Option<String>| {
            if register != logs {
                let said = |text: Option<String>| text.unwrap_or_else(|| "nothing".to_owned());
                all.push(Difference { field, register: said(register), logs: said(logs) });
            }
        };
        let texts = [
            ("Admin", &grant.admin_id, &self.admin_id),
            ("Owner", &grant.owner_id, &self.owner_id),
            ("Org", &grant.org_id, &self.org_id),
            ("Ticket", &grant.ticket_id, &self.ticket),
            ("Reason", &grant.reason, &self.reason),
            ("Scope", &grant.scope, &self.scope),
            ("Type of secret", &grant.secret_type.as_str().to_owned(), &self.secret_type),
            ("Secret", &grant.secret_id, &self.secret_id),
        ];
        for (field, register, logs) in texts {
            if logs.is_some() {
                hold(field, Some(register.clone()), logs.clone());
            }
        }
        let slack = if self.started_exactly { 0 } else { time::MINUTE };
        if let Some(started) = self.started_at
            && (started - grant.started_at).abs() > slack
        {
            let at = |t| Some(time::rfc3339(t));
            hold("Started", at(grant.started_at), at(started));
        }
        if let Some(expires) = self.expires_at {
            let at = |t| Some(time::rfc3339(t));
            hold("Valid until", at(grant.expires_at), at(expires));
        }
        hold("Ended", grant.ended_at.map(time::rfc3339), self.ended_at.map(time::rfc3339));
        if grant.ended_at.is_some() && self.ended_at.is_some() {
            let cause = grant.end_cause().map(|cause| cause.as_str().to_owned());
            hold("Cause of the end", cause, self.cause.clone());
            hold("Ended by", grant.ended_by.clone(), self.ended_by.clone());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EndCause, SecretType};
    use crate::store::audit::Entry;

    const SECOND: Micros = time::SECOND;

    fn row(log: &str, action: &str, at: Micros, details: serde_json::Value) -> ReadRow {
        let body = serde_json::json!({
            "action": action, "actor_id": "ada", "actor_name": "Ada", "actor_type": "platform_admin",
            "at": at, "details": details, "id": format!("{log}{at}"), "impersonation_id": "i", "log": log,
            "org_id": "acme", "outcome": "success", "reason": "r", "secret_id": "whk",
            "secret_type": "webhook_signing_key", "seq": 0, "ticket_ref": "NOV-1", "v": 1,
        });
        let row: AuditRow = serde_json::from_value(body).unwrap();
        ReadRow::of(Entry {
            log_id: log.to_owned(),
            seq: 0,
            id: row.id.clone(),
            at,
            action: action.to_owned(),
            actor_id: "ada".to_owned(),
            org_id: Some("acme".to_owned()),
            impersonation_id: Some("i".to_owned()),
            ticket_ref: Some("NOV-1".to_owned()),
            secret_type: Some("webhook_signing_key".to_owned()),
            body: row.canonical().unwrap(),
            leaf_hash: Vec::new(),
        })
    }

    fn rows() -> Vec<ReadRow> {
        let start = serde_json::json!({
            "expires_at": 900 * SECOND, "owner_id": "ines", "scope": "s", "started_at": 10 * SECOND
        });
        let end = serde_json::json!({
            "cause": "handoff", "ended_at": 60 * SECOND, "ended_by": "ada", "ended_by_name": "Ada"
        });
        vec![
            row("platform", PLATFORM_IMPERSONATION_STARTED, 10 * SECOND + 7, start.clone()),
            row("org/acme", IMPERSONATION_STARTED, 10 * SECOND + 7, start),
            row("org/acme", IMPERSONATION_ENDED, 60 * SECOND, end.clone()),
            row("platform", PLATFORM_IMPERSONATION_ENDED, 60 * SECOND, end),
        ]
    }

    fn logged(rows: &[ReadRow]) -> Logged {
        Logged::of(&rows.iter().collect::<Vec<_>>()).unwrap()
    }

    fn grant() -> Impersonation {
        let secret = (SecretType::WebhookSigningKey, "whk");
        let times = (10 * SECOND, 900 * SECOND);
        let token = (String::new(), Vec::new());
        let mut grant =
            Impersonation::begin("i".into(), "ada", "acme", "NOV-1", "ines", secret, times, token);
        (grant.reason, grant.scope) = ("r".into(), "s".into());
        grant.ended(60 * SECOND, EndCause::Handoff, "ada")
    }

    #[test]
    fn a_register_that_says_what_the_logs_say_agrees() {
        let logged = logged(&rows());
        assert_eq!(Register::of(Some(&logged), Some(&grant())), Register::Agrees);
        assert_eq!(Register::of(Some(&logged), None), Register::Missing);
        assert_eq!(Register::of(None, Some(&grant())), Register::Alone);
    }

    #[test]
    fn each_field_that_was_changed_is_named_with_both_values() {
        type Change = (&'static str, fn(&mut Impersonation));
        let logged = logged(&rows());
        let changes: [Change; 11] = [
            ("Admin", |g| g.admin_id = "eve".into()),
            ("Owner", |g| g.owner_id = "eve".into()),
            ("Org", |g| g.org_id = "birch".into()),
            ("Ticket", |g| g.ticket_id = "NOV-2".into()),
            ("Reason", |g| g.reason = "x".into()),
            ("Scope", |g| g.scope = "x".into()),
            ("Type of secret", |g| g.secret_type = SecretType::VaultToken),
            ("Secret", |g| g.secret_id = "whk_2".into()),
            ("Started", |g| g.started_at += SECOND),
            ("Valid until", |g| g.expires_at += SECOND),
            ("Ended", |g| g.ended_at = None),
        ];
        for (field, change) in changes {
            let mut other = grant();
            change(&mut other);
            let found = logged.differences(&other);
            assert_eq!(found.iter().map(|d| d.field).collect::<Vec<_>>(), [field]);
            assert_ne!(found[0].register, found[0].logs);
        }
        let other = grant().ended(60 * SECOND, EndCause::Expired, "keyturn");
        let found: Vec<_> = logged.differences(&other).into_iter().map(|d| d.field).collect();
        assert_eq!(found, ["Cause of the end", "Ended by"]);
    }

    #[test]
    fn an_end_that_no_log_has_is_held_against_the_register() {
        let found = logged(&rows()[..2]).differences(&grant());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].field, found[0].logs.as_str()), ("Ended", "nothing"));
    }

    #[test]
    fn rows_from_before_the_start_was_said_are_held_to_the_minute_only() {
        let mut old = rows();
        for r in &mut old {
            if let Some(row) = &mut r.row {
                row.details.remove("started_at");
            }
        }
        let logged = logged(&old);
        assert_eq!(logged.started_at, Some(10 * SECOND));
        let mut near = grant();
        near.started_at += 30 * SECOND;
        assert_eq!(logged.differences(&near), []);
        near.started_at += time::MINUTE;
        assert_eq!(logged.differences(&near)[0].field, "Started");
    }

    #[test]
    fn without_a_start_the_other_rows_speak() {
        let logged = logged(&rows()[2..3]);
        assert!(logged.in_org && !logged.in_platform);
        assert_eq!(logged.admin_name.as_deref(), Some("Ada"));
        assert_eq!(logged.org_id.as_deref(), Some("acme"));
        assert_eq!(logged.started_at, None);
    }
}
