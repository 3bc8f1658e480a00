//! Why a ticket could be served, as a row of a log keeps it: the ticket's facts and the verdict of
//! the nine checks, as they were when they were asked.
//!
//! It holds no free text of the ticket's: its subject and its messages are the customer's words, in
//! which anything may stand, and a row stays.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::eligibility::Verdict;
use crate::model::{MemberRole, Micros, TicketState};
use crate::proof::actions::RECORD_ROW;

/// The name of the ticket's facts among a row's details.
pub const TICKET: &str = "ticket";

/// The name of the verdict among a row's details.
pub const ELIGIBILITY: &str = "eligibility";

/// A ticket, as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketThen {
    /// Its number.
    pub number: String,
    /// Where it stood.
    pub state: TicketState,
    /// When it was filed.
    pub filed_at: Micros,
    /// Who asked, if it was a member of the org.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<RequesterThen>,
    /// How support authenticated them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<AuthenticatedThen>,
    /// The type of secret that it named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// The secret that it named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// Whether a leak was suspected.
    pub suspected_leak: bool,
    /// The system outside that keeps it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<KeeperThen>,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequesterThen {
    /// The member.
    pub member_id: String,
    /// Their role in the org.
    pub role: MemberRole,
}

/// How support authenticated the requester.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticatedThen {
    /// How.
    pub how: String,
    /// When.
    pub at: Micros,
}

/// Who keeps the ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperThen {
    /// The system's name.
    pub system: String,
    /// When it last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Micros>,
}

/// The checks, as they came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Whether all of them passed. Rows of before this was kept do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligible: Option<bool>,
    /// When they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Micros>,
    /// Each of them, in order.
    pub checks: Vec<Checked>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Its name.
    pub check: String,
    /// Whether it passed. Rows of before this was kept do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
    /// The fact it saw.
    pub saw: String,
}

impl Asked {
    /// A verdict, asked at `asked_at`.
    #[must_use]
    pub fn of(verdict: &Verdict, asked_at: Micros) -> Self {
        let checks = verdict.findings.iter().map(|f| Checked {
            check: f.check.as_str().to_owned(),
            passed: Some(f.passed),
            saw: f.saw.clone(),
        });
        Self {
            eligible: Some(verdict.eligible()),
            asked_at: Some(asked_at),
            checks: checks.collect(),
        }
    }

    /// What a row's details say of the checks; nothing where they do not, or cannot be read.
    #[must_use]
    pub fn read(details: &Map<String, Value>) -> Option<Self> {
        let value = details.get(ELIGIBILITY)?;
        // The older form: what each saw, and no more.
        let value = if value.is_array() { json!({ "checks": value }) } else { value.clone() };
        serde_json::from_value(value).ok()
    }
}

impl TicketThen {
    /// What a row's details say of the ticket; nothing where they do not, or cannot be read.
    #[must_use]
    pub fn read(details: &Map<String, Value>) -> Option<Self> {
        serde_json::from_value(details.get(TICKET)?.clone()).ok()
    }
}

/// Both, as they go into a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grounds {
    /// The ticket; absent where there is none.
    pub ticket: Option<TicketThen>,
    /// The checks.
    pub asked: Asked,
    /// The row of the org's log that they rest on, from 0; absent where none is proven.
    pub record_row: Option<u64>,
}

impl Grounds {
    /// Name and value of each detail of the row.
    pub fn details(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let ticket = self.ticket.as_ref().map(|ticket| (TICKET, json!(ticket)));
        let record = self.record_row.map(|row| (RECORD_ROW, json!(row)));
        ticket.into_iter().chain([(ELIGIBILITY, json!(self.asked))]).chain(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::eligibility::{Check, Finding};

    fn grounds() -> Grounds {
        let finding = |check: Check, passed| Finding {
            check,
            passed,
            saw: "x".into(),
            advice: "y".into(),
            reply: "z".into(),
            impersonation: None,
        };
        let mut findings: Vec<_> = Check::ALL.iter().map(|c| finding(*c, true)).collect();
        findings[1].passed = false;
        Grounds {
            ticket: Some(TicketThen {
                number: "NOV-1".into(),
                state: TicketState::Pending,
                filed_at: 7,
                requester: Some(RequesterThen { member_id: "m".into(), role: MemberRole::Owner }),
                authenticated: Some(AuthenticatedThen { how: "support SSO".into(), at: 8 }),
                secret_type: Some("vault_token".into()),
                secret_id: Some("vtk".into()),
                suspected_leak: false,
                kept_by: None,
            }),
            asked: Asked::of(&Verdict { findings }, 9),
            record_row: Some(3),
        }
    }

    #[test]
    fn what_goes_into_a_row_is_read_from_it_again() {
        let grounds = grounds();
        assert_eq!(grounds.asked.eligible, Some(false));
        let details: Map<_, _> =
            grounds.details().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(TicketThen::read(&details), grounds.ticket);
        assert_eq!(Asked::read(&details), Some(grounds.asked));
        assert_eq!(details[RECORD_ROW], json!(3));
        assert_eq!(details[TICKET]["requester"], json!({"member_id": "m", "role": "owner"}));
        let second = &details[ELIGIBILITY]["checks"][1];
        assert_eq!(second["passed"], json!(false));
        assert!(second.get("advice").is_none() && second.get("reply").is_none());
    }

    #[test]
    fn the_older_form_says_what_each_check_saw_and_not_how_it_came_out() {
        let mut details = Map::new();
        details.insert(ELIGIBILITY.into(), json!([{"check": "consent", "saw": "on"}]));
        let asked = Asked::read(&details).unwrap();
        assert_eq!((asked.eligible, asked.asked_at), (None, None));
        let check = Checked { check: "consent".into(), passed: None, saw: "on".into() };
        assert_eq!(asked.checks, [check]);
        assert_eq!(TicketThen::read(&details), None);
        details.insert(ELIGIBILITY.into(), json!("yes"));
        assert_eq!(Asked::read(&details), None);
    }
}
