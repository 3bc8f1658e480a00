//! Trails to test with: the rows as the procedure writes them, and handles to spoil them by.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::proof::Hash;
use crate::proof::actions::*;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::{NoteKey, NoteVerifier};
use crate::proof::row::{ActorType, AuditRow, Outcome, PLATFORM_LOG, org_log};
use crate::proof::trail::Signatures;
use crate::proof::trail_recorded::{Beginnings, recordings};
use crate::proof::verdict::{ProofState, Rule, Trail, TrailVerdict};

const SECOND: i64 = 1_000_000;
pub(crate) const IMPERSONATION: &str = "01920000-0000-7000-8000-0000000000aa";

/// What may differ between good trails.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) start: i64,
    pub(crate) platform_seq: u64,
    pub(crate) org_seq: u64,
    pub(crate) gap: u64,
    pub(crate) life: i64,
    pub(crate) handed_off: bool,
    pub(crate) failed_first: bool,
    pub(crate) late_expiry: bool,
    pub(crate) acknowledged: bool,
    pub(crate) secret_type: &'static str,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            start: 1_760_000_000 * SECOND,
            platform_seq: 100,
            org_seq: 7,
            gap: 3,
            life: 900 * SECOND,
            handed_off: true,
            failed_first: true,
            late_expiry: false,
            acknowledged: true,
            secret_type: VAULT_TOKEN,
        }
    }
}

pub(crate) fn shapes() -> impl Strategy<Value = Shape> {
    let flags = any::<(bool, bool, bool, bool)>();
    let numbers = (0i64..1 << 51, 0u64..10_000, 0u64..10_000, 1u64..5, 60i64..1800);
    (numbers, flags, prop::sample::select(SECRET_TYPES.to_vec())).prop_map(
        |((start, platform_seq, org_seq, gap, life), flags, secret_type)| Shape {
            start,
            platform_seq,
            org_seq,
            gap,
            life: life * SECOND,
            handed_off: flags.0,
            failed_first: flags.1,
            late_expiry: flags.2,
            acknowledged: flags.3,
            secret_type,
        },
    )
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) platform: Vec<AuditRow>,
    pub(crate) org: Vec<AuditRow>,
    pub(crate) verifiers: Vec<NoteVerifier>,
    pub(crate) platform_proof: ProofState,
    pub(crate) org_proof: ProofState,
    pub(crate) now: i64,
}

// Made once: without optimization a key takes longer than a verdict.
static KEYS: LazyLock<[NoteKey; 2]> = LazyLock::new(|| {
    let key = |name, seed| NoteKey::new(name, &[seed; 32]).unwrap();
    [key("audit.example/platform", 1), key("audit.example/org/o-1", 2)]
});

/// The root that the logs have, at every size.
const ROOT: Hash = [9; 32];

pub(crate) fn checkpoint(log: &str, size: u64) -> String {
    of_root(log, size, ROOT)
}

/// A checkpoint of a log that was another one then.
pub(crate) fn rewritten(log: &str, size: u64) -> String {
    of_root(log, size, [8; 32])
}

fn of_root(log: &str, size: u64, root: Hash) -> String {
    let checkpoint = Checkpoint { origin: format!("audit.example/{log}"), size, root };
    let key = &KEYS[usize::from(log != PLATFORM_LOG)];
    checkpoint.sign(key).unwrap()
}

/// The rows as the procedure writes them.
pub(crate) fn case(shape: &Shape) -> Case {
    let expires_at = shape.start + shape.life;
    let mut ids = 0u64;
    let mut row = |log: &str, seq: u64, at: i64, action: &str, actor_type: ActorType| {
        ids += 1;
        AuditRow {
            v: 1,
            log: log.into(),
            seq,
            id: format!("01920000-0000-7000-8000-{ids:012}"),
            at,
            action: action.into(),
            actor_type,
            actor_id: "admin-1".into(),
            actor_name: "Ada Admin".into(),
            org_id: Some("o-1".into()),
            impersonation_id: Some(IMPERSONATION.into()),
            ticket_ref: Some("NOV-4821".into()),
            reason: Some(format!("rotate stuck {} per ticket NOV-4821", shape.secret_type)),
            secret_type: Some(shape.secret_type.into()),
            secret_id: Some("s-1".into()),
            outcome: Outcome::Success,
            details: Map::new(),
        }
    };
    let admin = ActorType::PlatformAdmin;
    let impersonating = ActorType::PlatformAdminImpersonating;
    let org_name = org_log("o-1");
    let expiry = json!(expires_at);
    let (mut platform_seq, mut org_seq) = (shape.platform_seq, shape.org_seq);
    let mut at = shape.start;

    let mut started = row(PLATFORM_LOG, platform_seq, at, PLATFORM_IMPERSONATION_STARTED, admin);
    started.details.insert("expires_at".into(), expiry.clone());
    let mut platform = vec![started];
    let mut started = row(&org_name, org_seq, at, IMPERSONATION_STARTED, impersonating);
    started.details.insert("expires_at".into(), expiry);
    let mut org = vec![started];
    if shape.failed_first {
        org_seq += shape.gap;
        at += SECOND;
        let action = rotation_failed(shape.secret_type);
        let mut failed = row(&org_name, org_seq, at, &action, impersonating);
        failed.outcome = Outcome::Failed;
        org.push(failed);
    }
    org_seq += shape.gap;
    at += 5 * SECOND;
    org.push(row(&org_name, org_seq, at, &rotated(shape.secret_type), impersonating));
    if shape.handed_off {
        platform_seq += shape.gap;
        at += 2;
        platform.push(row(PLATFORM_LOG, platform_seq, at, PLATFORM_SECRET_HANDED_OFF, admin));
    }
    let (cause, ended_at) = if shape.late_expiry {
        at = expires_at + 3_600 * SECOND;
        ("expired", expires_at)
    } else {
        ("handoff", at)
    };
    org_seq += shape.gap;
    platform_seq += shape.gap;
    let mut details = Map::new();
    details.insert("cause".into(), json!(cause));
    details.insert("ended_at".into(), json!(ended_at));
    details.insert("platform_rows".into(), json!(platform.len() + 1));
    details.insert("org_rows".into(), json!(org.len() + 1));
    details.insert("platform_last_seq".into(), json!(platform_seq));
    details.insert("org_last_seq".into(), json!(org_seq));
    let mut ended = row(&org_name, org_seq, at, IMPERSONATION_ENDED, impersonating);
    ended.details = details.clone();
    let note = checkpoint(PLATFORM_LOG, platform_seq);
    ended.details.insert("platform_checkpoint".into(), json!(note));
    org.push(ended);
    let mut ended = row(PLATFORM_LOG, platform_seq, at, PLATFORM_IMPERSONATION_ENDED, admin);
    ended.details = details;
    let note = checkpoint(&org_name, org_seq + 1);
    ended.details.insert("org_checkpoint".into(), json!(note));
    platform.push(ended);
    if shape.acknowledged {
        let member = ActorType::OrgMember;
        let mut late = row(&org_name, org_seq + 1, at + SECOND, HANDOFF_ACKNOWLEDGED, member);
        late.actor_id = "owner-1".into();
        org.push(late);
    }
    Case {
        platform,
        org,
        verifiers: KEYS.iter().map(|key| key.verifier().clone()).collect(),
        platform_proof: ProofState::Proven,
        org_proof: ProofState::Proven,
        now: expires_at + 7_200 * SECOND,
    }
}

pub(crate) fn good() -> Case {
    case(&Shape::default())
}

impl Case {
    pub(crate) fn judge(&self) -> TrailVerdict {
        let beginnings = self.beginnings();
        let verdict = Trail {
            impersonation_id: IMPERSONATION,
            platform: &self.platform,
            org: &self.org,
            platform_proof: self.platform_proof.clone(),
            org_proof: self.org_proof.clone(),
            signatures: Signatures::By(&self.verifiers),
            beginnings: Some(&beginnings),
            now: self.now,
        }
        .judge();
        let listed: Vec<Rule> = verdict.rules.iter().map(|result| result.rule).collect();
        assert_eq!(listed, Rule::ALL, "every rule is listed, whatever the trail");
        assert!(verdict.rules.iter().all(|result| !result.saw.is_empty()));
        verdict
    }

    /// What the logs are proven to have begun with: whatever was recorded, with their one root.
    fn beginnings(&self) -> Beginnings {
        let mut all = Beginnings::default();
        for recording in recordings(&self.platform, &self.org) {
            let of = if recording.of_platform { &mut all.platform } else { &mut all.org };
            of.extend(recording.checkpoint().map(|checkpoint| (checkpoint.size, ROOT)));
        }
        all
    }

    pub(crate) fn row(&mut self, action: &str) -> &mut AuditRow {
        self.platform.iter_mut().chain(&mut self.org).find(|row| row.action == action).unwrap()
    }

    pub(crate) fn remove(&mut self, action: &str) {
        self.platform.retain(|row| row.action != action);
        self.org.retain(|row| row.action != action);
    }

    /// Sets a detail of both end rows, or of those there are.
    pub(crate) fn set_ends(&mut self, name: &str, value: Value) {
        for row in self.platform.iter_mut().chain(&mut self.org) {
            if [PLATFORM_IMPERSONATION_ENDED, IMPERSONATION_ENDED].contains(&row.action.as_str()) {
                row.details.insert(name.into(), value.clone());
            }
        }
    }

    pub(crate) fn set(&mut self, action: &str, name: &str, value: Value) {
        self.row(action).details.insert(name.into(), value);
    }

    /// Leaves what there is while it runs.
    pub(crate) fn running(mut self) -> Self {
        self.remove(PLATFORM_IMPERSONATION_ENDED);
        self.remove(IMPERSONATION_ENDED);
        self.remove(HANDOFF_ACKNOWLEDGED);
        self.now = self.platform[0].at + 10 * SECOND;
        self
    }
}
