//! The dual trail of one impersonation, and the rules it is held against.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::proof::note::{NoteError, NoteVerifier, OpenedNote};
use crate::proof::row::AuditRow;
use crate::proof::trail_recorded::Beginnings;

/// Whether the rows are proven to be in their log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofState {
    /// They are: their inclusion proofs lead to the root of a signed checkpoint.
    Proven,
    /// Nobody looked.
    NotChecked,
    /// They are not, and why.
    Broken(String),
}

/// How the signatures of checkpoints in rows are checked.
#[derive(Debug, Clone, Copy)]
pub enum Signatures<'a> {
    /// Not at all.
    NotChecked,
    /// By these public keys, those of the logs.
    By(&'a [NoteVerifier]),
    /// They were checked together with many others ([`open_notes`]): what came of each note.
    ///
    /// [`open_notes`]: crate::proof::note::open_notes
    Checked(&'a Opened),
}

/// What came of opening notes, by the note.
pub type Opened = HashMap<String, Result<OpenedNote, NoteError>>;

/// All there is to judge one impersonation by.
#[derive(Debug, Clone)]
pub struct Trail<'a> {
    /// The impersonation.
    pub impersonation_id: &'a str,
    /// All its rows in the platform log, in the log's order.
    pub platform: &'a [AuditRow],
    /// All its rows in the org log, in the log's order.
    pub org: &'a [AuditRow],
    /// Whether the platform log's rows are proven.
    pub platform_proof: ProofState,
    /// Whether the org log's rows are proven.
    pub org_proof: ProofState,
    /// How the signatures of the checkpoints that the end rows hold are checked.
    pub signatures: Signatures<'a>,
    /// What the logs are proven to have begun with, to hold the checkpoints against that each has
    /// of the other. With `None` they are not compared.
    pub beginnings: Option<&'a Beginnings>,
    /// The time of the judgement, in microseconds UTC.
    pub now: i64,
}

/// A rule that a trail is held against. The order is the one they are shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// One start row in the platform log.
    PlatformStarted,
    /// One start row in the org log.
    OrgStarted,
    /// One rotation row in the org log.
    Rotated,
    /// One end row in the org log.
    OrgEnded,
    /// One end row in the platform log.
    PlatformEnded,
    /// Every row is of this impersonation, and of the log it is in.
    Belongs,
    /// One admin.
    SameAdmin,
    /// One org.
    SameOrg,
    /// One ticket.
    SameTicket,
    /// One reason.
    SameReason,
    /// One secret.
    SameTarget,
    /// The rows name the actor's capacity.
    ActorType,
    /// The five rows record something that was done.
    Outcome,
    /// Both start rows record one expiry.
    SameExpiry,
    /// Both end rows record one cause.
    SameCause,
    /// Start, rotation and end follow each other.
    Order,
    /// Everything happened while the token lived.
    Life,
    /// There are as many rows as the end rows say.
    Counts,
    /// The last rows are those that the end rows name.
    LastSeq,
    /// The platform log's end row holds the org log's checkpoint.
    OrgCheckpoint,
    /// The org log's end row holds the platform log's checkpoint.
    PlatformCheckpoint,
    /// Each log begins with what the other recorded of it.
    Recorded,
    /// The platform log's proof.
    PlatformProof,
    /// The org log's proof.
    OrgProof,
}

impl Rule {
    /// Every rule, in the order they are shown in.
    pub const ALL: [Self; 24] = [
        Self::PlatformStarted,
        Self::OrgStarted,
        Self::Rotated,
        Self::OrgEnded,
        Self::PlatformEnded,
        Self::Belongs,
        Self::SameAdmin,
        Self::SameOrg,
        Self::SameTicket,
        Self::SameReason,
        Self::SameTarget,
        Self::ActorType,
        Self::Outcome,
        Self::SameExpiry,
        Self::SameCause,
        Self::Order,
        Self::Life,
        Self::Counts,
        Self::LastSeq,
        Self::OrgCheckpoint,
        Self::PlatformCheckpoint,
        Self::Recorded,
        Self::PlatformProof,
        Self::OrgProof,
    ];

    /// The rule's name for programs, which never changes. It is also its name in JSON.
    pub fn id(self) -> &'static str {
        match self {
            Self::PlatformStarted => "platform_started",
            Self::OrgStarted => "org_started",
            Self::Rotated => "rotated",
            Self::OrgEnded => "org_ended",
            Self::PlatformEnded => "platform_ended",
            Self::Belongs => "belongs",
            Self::SameAdmin => "same_admin",
            Self::SameOrg => "same_org",
            Self::SameTicket => "same_ticket",
            Self::SameReason => "same_reason",
            Self::SameTarget => "same_target",
            Self::ActorType => "actor_type",
            Self::Outcome => "outcome",
            Self::SameExpiry => "same_expiry",
            Self::SameCause => "same_cause",
            Self::Order => "order",
            Self::Life => "life",
            Self::Counts => "counts",
            Self::LastSeq => "last_seq",
            Self::OrgCheckpoint => "org_checkpoint",
            Self::PlatformCheckpoint => "platform_checkpoint",
            Self::Recorded => "recorded",
            Self::PlatformProof => "platform_proof",
            Self::OrgProof => "org_proof",
        }
    }

    /// The rule for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::PlatformStarted => "The platform log has the start",
            Self::OrgStarted => "The org log has the start",
            Self::Rotated => "The org log has the rotation",
            Self::OrgEnded => "The org log has the end",
            Self::PlatformEnded => "The platform log has the end",
            Self::Belongs => "Every row belongs to this impersonation and its log",
            Self::SameAdmin => "Both logs name the same admin",
            Self::SameOrg => "Both logs name the same org",
            Self::SameTicket => "Both logs name the same ticket",
            Self::SameReason => "Both logs give the same reason",
            Self::SameTarget => "Both logs name the same secret",
            Self::ActorType => "The org log says that a platform admin was impersonating",
            Self::Outcome => "The rows record what was done, not what was refused",
            Self::SameExpiry => "Both logs record the same expiry",
            Self::SameCause => "Both logs give the same cause of the end",
            Self::Order => "Start, rotation and end are in order",
            Self::Life => "Everything happened while the token was valid",
            Self::Counts => "No row is missing or added, by the counts at the end",
            Self::LastSeq => "The last rows are those named at the end",
            Self::OrgCheckpoint => "The platform log holds the org log's checkpoint",
            Self::PlatformCheckpoint => "The org log holds the platform log's checkpoint",
            Self::Recorded => "Neither log was rewritten after the other recorded it",
            Self::PlatformProof => "The platform log's proof holds",
            Self::OrgProof => "The org log's proof holds",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_one_id_which_is_its_name_in_json_too() {
        for (i, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(serde_json::json!(rule), rule.id());
            assert!(Rule::ALL[..i].iter().all(|other| other.id() != rule.id()));
            assert!(Rule::ALL[..i].iter().all(|other| other.title() != rule.title()));
        }
    }
}
