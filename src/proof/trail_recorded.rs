//! The checkpoints of one log that rows of the other hold: neither log can be rewritten alone, also
//! not by who holds its key.

use std::collections::BTreeSet;

use crate::proof::Hash;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::row::{AuditRow, PLATFORM_LOG, org_log};
use crate::proof::trail_facts::Facts;
use crate::proof::trail_facts::Finding::{self, Broken, Disagrees, Passed, Pending};

/// A checkpoint of one log in a row of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recording<'a> {
    /// The row that holds it.
    pub row: &'a AuditRow,
    /// Whether it is the platform log's, in a row of an org's.
    pub of_platform: bool,
    /// The signed note.
    pub note: &'a str,
}

impl Recording<'_> {
    /// What it claims, with the signature not checked; nothing where it is no checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        Checkpoint::unverified(self.note).ok()
    }

    /// The log that it is of.
    #[must_use]
    pub fn log(&self) -> String {
        match (self.of_platform, &self.row.org_id) {
            (true, _) => PLATFORM_LOG.to_owned(),
            (false, org) => org_log(org.as_deref().unwrap_or_default()),
        }
    }
}

/// All checkpoints of the one log that rows of the other hold.
pub fn recordings<'a>(
    platform: impl IntoIterator<Item = &'a AuditRow>,
    org: impl IntoIterator<Item = &'a AuditRow>,
) -> Vec<Recording<'a>> {
    let of = |row: &'a AuditRow, of_platform: bool, field: &str| {
        row.detail_str(field).map(|note| Recording { row, of_platform, note })
    };
    let in_platform = platform.into_iter().filter_map(|row| of(row, false, "org_checkpoint"));
    let in_org = org.into_iter().filter_map(|row| of(row, true, "platform_checkpoint"));
    in_platform.chain(in_org).collect()
}

/// What both logs once were: each size and root from which a proof leads to the log as it is
/// signed now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beginnings {
    /// Those of the platform log.
    pub platform: BTreeSet<(u64, Hash)>,
    /// Those of the org log.
    pub org: BTreeSet<(u64, Hash)>,
}

/// Whether each log still begins with what the other recorded of it. That the end rows hold a
/// checkpoint which can be read, and is of the right log, is for other rules to say.
pub(crate) fn recorded(facts: &Facts<'_>) -> Finding {
    let trail = facts.trail;
    let all = recordings(trail.platform, trail.org);
    let Some(beginnings) = trail.beginnings else {
        return Pending("not compared".into());
    };
    let mut compared = 0;
    for recording in &all {
        let place = format!(
            "{} (row {} of {})",
            recording.row.action, recording.row.seq, recording.row.log
        );
        let is_end = facts.ends().iter().any(|(_, end)| end.id == recording.row.id);
        let Some(checkpoint) = recording.checkpoint() else {
            if is_end {
                continue;
            }
            return Disagrees(format!("{place} holds a checkpoint that cannot be read"));
        };
        let known = if recording.of_platform { &beginnings.platform } else { &beginnings.org };
        if !known.contains(&(checkpoint.size, checkpoint.root)) {
            return Broken(format!(
                "{place} recorded {} with {} rows, and the log does not begin with those: it was \
                 rewritten, cut or replaced by an older copy",
                checkpoint.origin, checkpoint.size
            ));
        }
        compared += 1;
    }
    match compared {
        0 => Pending("neither log recorded the other yet".into()),
        1 => Passed("1 checkpoint, and the log begins with it".into()),
        n => Passed(format!("{n} checkpoints, and each log begins with those of it")),
    }
}
