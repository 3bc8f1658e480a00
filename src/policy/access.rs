//! What a member of staff may do, by role.

use crate::model::{Micros, StaffRole, time};

/// How old a proof of presence (a sign-in or a step-up) may be when an impersonation is minted.
pub const STEP_UP_MAX_AGE: Micros = 5 * time::MINUTE;

/// What staff can do in the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Look at tickets, orgs, impersonations and both logs.
    Read,
    /// Carry the procedure out: mint, rotate, hand off, end, reply, mark, escalate.
    CarryOut,
}

/// Whether `role` may do `act`. An auditor changes nothing.
#[must_use]
pub const fn may(role: StaffRole, act: Act) -> bool {
    match (role, act) {
        (StaffRole::PlatformAdmin, Act::Read | Act::CarryOut) | (StaffRole::Auditor, Act::Read) => {
            true
        }
        (StaffRole::Auditor, Act::CarryOut) => false,
    }
}

/// Whether a proof of presence made at `proven_at` still suffices to mint.
#[must_use]
pub const fn fresh(proven_at: Micros, now: Micros) -> bool {
    proven_at <= now && now - proven_at <= STEP_UP_MAX_AGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_reads_and_changes_nothing() {
        assert!(may(StaffRole::Auditor, Act::Read));
        assert!(!may(StaffRole::Auditor, Act::CarryOut));
    }

    #[test]
    fn presence_lasts_five_minutes_to_the_microsecond_and_never_begins_in_the_future() {
        assert!(fresh(0, STEP_UP_MAX_AGE));
        assert!(!fresh(0, STEP_UP_MAX_AGE + 1));
        assert!(!fresh(1, 0));
    }
}
