//! What is not as it should be in the year, and how often.

use crate::proof::verdict::Verdict;

/// What is wrong with an impersonation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its admin ended it before anything was rotated.
    NothingRotated,
    /// Its time ran out before anything was rotated.
    ExpiredUnrotated,
    /// Neither log has an end.
    NeverEnded,
    /// The org's log has no end.
    OrgEndMissing,
    /// The platform's log has no start.
    PlatformStartMissing,
    /// The platform's log has the handoff, and the org's has not.
    HandoffTwinMissing,
    /// Neither log has the handoff, and both count it.
    HandoffMissing,
    /// The org's start row gives another reason.
    OtherReason,
    /// The org's end row gives another cause.
    OtherCause,
    /// Another admin rotated.
    OtherAdmin,
    /// It was handed off before it was rotated.
    OutOfOrder,
    /// It was handed off and ended after its token had expired.
    Outlived,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::NothingRotated,
        Self::ExpiredUnrotated,
        Self::NeverEnded,
        Self::OrgEndMissing,
        Self::PlatformStartMissing,
        Self::HandoffTwinMissing,
        Self::HandoffMissing,
        Self::OtherReason,
        Self::OtherCause,
        Self::OtherAdmin,
        Self::OutOfOrder,
        Self::Outlived,
    ];

    /// The fault of the `n`th impersonation: of a thousand, twenty-eight have one.
    #[must_use]
    pub fn of(n: usize) -> Option<Self> {
        Some(match n % 1000 {
            50 | 550 => Self::OrgEndMissing,
            75 | 575 => Self::PlatformStartMissing,
            100 | 350 | 600 | 850 => Self::NothingRotated,
            125 | 625 => Self::OtherAdmin,
            150 | 400 | 650 | 900 => Self::ExpiredUnrotated,
            175 | 675 => Self::Outlived,
            200 | 700 => Self::OtherReason,
            225 | 725 => Self::HandoffTwinMissing,
            275 | 775 => Self::HandoffMissing,
            300 | 800 => Self::NeverEnded,
            325 | 825 => Self::OutOfOrder,
            450 | 950 => Self::OtherCause,
            _ => return None,
        })
    }

    /// The verdict on such a trail.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::NothingRotated
            | Self::ExpiredUnrotated
            | Self::NeverEnded
            | Self::OrgEndMissing
            | Self::PlatformStartMissing
            | Self::HandoffTwinMissing
            | Self::HandoffMissing => Verdict::Incomplete,
            Self::OtherReason
            | Self::OtherCause
            | Self::OtherAdmin
            | Self::OutOfOrder
            | Self::Outlived => Verdict::Mismatch,
        }
    }

    /// Whether its token was open for too long, as the overview has it.
    #[must_use]
    pub fn overstays(self) -> bool {
        matches!(self, Self::ExpiredUnrotated | Self::NeverEnded)
    }

    /// What is wrong, after "n of them".
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Self::NothingRotated => "ended with nothing rotated",
            Self::ExpiredUnrotated => "expired with nothing rotated",
            Self::NeverEnded => "expired, and neither log has an end",
            Self::OrgEndMissing => "no end in the org's log",
            Self::PlatformStartMissing => "no start in the platform's log",
            Self::HandoffTwinMissing => "a handoff in the platform's log only",
            Self::HandoffMissing => "a handoff in neither log, though both count it",
            Self::OtherReason => "another reason in the org's log",
            Self::OtherCause => "another cause of the end in the org's log",
            Self::OtherAdmin => "rotated by another admin",
            Self::OutOfOrder => "handed off before it was rotated",
            Self::Outlived => "outlived its token",
        }
    }
}
