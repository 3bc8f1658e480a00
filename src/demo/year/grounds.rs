//! Why a ticket of the year could be served, in the form in which the desk keeps it.

use crate::model::{MemberRole, Micros, SecretType, TicketState};
use crate::policy::eligibility::Check;
use crate::policy::grounds::{
    Asked, AuthenticatedThen, Checked, Grounds, RequesterThen, TicketThen,
};

/// The facts of a ticket of the Owner's that passed every check at `asked_at`.
pub(super) fn grounds(
    (number, state, filed_at): (&str, TicketState, Micros),
    owner: &str,
    (secret_type, secret_id): (SecretType, &str),
    asked_at: Micros,
) -> Grounds {
    let checks = Check::ALL.iter().map(|check| Checked {
        check: check.as_str().to_owned(),
        passed: Some(true),
        saw: "as the procedure wants it".to_owned(),
    });
    Grounds {
        // The year's logs keep no record of their orgs: the first start writes them.
        record_row: None,
        ticket: Some(TicketThen {
            number: number.to_owned(),
            state,
            filed_at,
            requester: Some(RequesterThen { member_id: owner.to_owned(), role: MemberRole::Owner }),
            authenticated: Some(AuthenticatedThen { how: "support SSO".to_owned(), at: filed_at }),
            secret_type: Some(secret_type.as_str().to_owned()),
            secret_id: Some(secret_id.to_owned()),
            suspected_leak: false,
            kept_by: None,
        }),
        asked: Asked { eligible: Some(true), asked_at: Some(asked_at), checks: checks.collect() },
    }
}
