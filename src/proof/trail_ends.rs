//! The rules on what the end rows record: when it ended, how many rows there are, which were the
//! last, and how far the other log had come.

use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::{NoteError, open_note};
use crate::proof::row::{ActorType, AuditRow, Outcome, PLATFORM_LOG, org_log};
use crate::proof::trail::Signatures;
use crate::proof::trail_facts::Finding::{self, Disagrees, Missing, Passed, Pending};
use crate::proof::trail_facts::{Facts, Recorded, Side, utc};

/// The longest that a token may live, in microseconds: half an hour.
const LONGEST_LIFE: i64 = 30 * 60 * 1_000_000;

/// The cause of an end by expiry: the only one that may be written later than it happened.
const EXPIRED: &str = "expired";

pub(crate) fn life(facts: &Facts<'_>) -> Finding {
    let Some(expiry) = facts.expires_at else {
        return Pending("no start row records an expiry".into());
    };
    let start = facts.platform_started.iter().chain(&facts.org_started).map(|row| row.at).min();
    if let Some(start) = start.filter(|start| expiry.saturating_sub(*start) > LONGEST_LIFE) {
        return Disagrees(format!(
            "the token was valid from {} to {}: none is for more than 30 minutes",
            utc(start),
            utc(expiry)
        ));
    }
    let ends = facts.ends();
    // A dead token that somebody presents all the same is refused, and that is no use of it.
    let used = facts.all().filter(|row| {
        row.actor_type == ActorType::PlatformAdminImpersonating
            && row.outcome != Outcome::Refused
            && ends.iter().all(|(_, end)| end.id != row.id)
    });
    let used: Vec<&AuditRow> = used.collect();
    for (name, rows) in [
        ("the rotation", &facts.rotated),
        ("the handoff", &facts.handed_off),
        ("a use of the token", &used),
    ] {
        for row in rows {
            if row.at > expiry || start.is_some_and(|start| row.at < start) {
                return Disagrees(format!(
                    "{name} was at {}, and the token expired at {}",
                    utc(row.at),
                    utc(expiry)
                ));
            }
        }
    }
    let mut agreed = None;
    for (name, row) in facts.ends() {
        let Some(ended) = row.detail_i64("ended_at") else {
            return Disagrees(format!("{name} does not record when it ended"));
        };
        if ended > expiry {
            return Disagrees(format!(
                "{name} was at {}, after the expiry at {}",
                utc(ended),
                utc(expiry)
            ));
        }
        let late = row.detail_str("cause") == Some(EXPIRED) && ended == expiry && row.at > ended;
        if ended != row.at && !late {
            return Disagrees(format!("{name} was written at {} for {}", utc(row.at), utc(ended)));
        }
        // Both end rows are written in one go, also those that are written late.
        if *agreed.get_or_insert((ended, row.at)) != (ended, row.at) {
            return Disagrees("the end rows record two different times of the end".into());
        }
    }
    match agreed {
        Some((ended, _)) => Passed(format!("ended at {}, valid until {}", utc(ended), utc(expiry))),
        None => Pending(format!("not ended, valid until {}", utc(expiry))),
    }
}

/// Compares what each log has with what the end rows record of it.
fn compare_sides(
    facts: &Facts<'_>,
    key: impl Fn(&Side<'_>) -> &'static str,
    found: impl Fn(&[&AuditRow]) -> u64,
) -> Finding {
    let (mut saw, mut missing) = (Vec::new(), false);
    for side in [facts.platform_side(), facts.org_side()] {
        let recorded = match facts.recorded(key(&side)) {
            Recorded::Number(number) => number,
            Recorded::Nowhere => return Pending("there is no end row".into()),
            Recorded::Unclear(why) => return Disagrees(why),
        };
        let last = match facts.recorded(side.last_key) {
            Recorded::Number(number) => Some(number),
            Recorded::Nowhere | Recorded::Unclear(_) => None,
        };
        let found = found(&side.counted(last));
        let line = format!("{} log: {found}, recorded {recorded}", side.log);
        if found > recorded {
            return Disagrees(line);
        }
        missing |= found < recorded;
        saw.push(line);
    }
    let saw = saw.join("; ");
    if missing { Missing(saw) } else { Passed(saw) }
}

pub(crate) fn counts(facts: &Facts<'_>) -> Finding {
    compare_sides(facts, |side| side.rows_key, |rows| rows.len() as u64)
}

pub(crate) fn last_seq(facts: &Facts<'_>) -> Finding {
    let highest = |rows: &[&AuditRow]| rows.iter().map(|row| row.seq).max().unwrap_or(0);
    compare_sides(facts, |side| side.last_key, highest)
}

pub(crate) fn org_checkpoint(facts: &Facts<'_>) -> Finding {
    let Some(holder) = facts.platform_ended.first() else {
        return Pending("the platform log has no end row".into());
    };
    let checkpoint = match read_checkpoint(facts, holder, "org_checkpoint") {
        Ok(checkpoint) => checkpoint,
        Err(why) => return Disagrees(why),
    };
    let log = org_log(holder.org_id.as_deref().unwrap_or_default());
    if !checkpoint.names_log(&log) {
        return Disagrees(format!("it is of {:?}, not of {log}", checkpoint.origin));
    }
    let last = match (facts.org_ended.first(), facts.recorded("org_last_seq")) {
        (Some(end), _) => end.seq,
        (None, Recorded::Number(last)) => last,
        (None, _) => return Pending("the org log's last row is not known".into()),
    };
    cover(&checkpoint, checkpoint.size > last, "at least", last.saturating_add(1), facts)
}

pub(crate) fn platform_checkpoint(facts: &Facts<'_>) -> Finding {
    let Some(holder) = facts.org_ended.first() else {
        return Pending("the org log has no end row".into());
    };
    let checkpoint = match read_checkpoint(facts, holder, "platform_checkpoint") {
        Ok(checkpoint) => checkpoint,
        Err(why) => return Disagrees(why),
    };
    if !checkpoint.names_log(PLATFORM_LOG) {
        return Disagrees(format!("it is of {:?}, not of {PLATFORM_LOG}", checkpoint.origin));
    }
    let last = match (facts.platform_ended.first(), facts.recorded("platform_last_seq")) {
        (Some(end), _) => end.seq,
        (None, Recorded::Number(last)) => last,
        (None, _) => return Pending("the platform log's last row is not known".into()),
    };
    cover(&checkpoint, checkpoint.size == last, "exactly", last, facts)
}

fn cover(
    checkpoint: &Checkpoint,
    fits: bool,
    how: &str,
    wanted: u64,
    facts: &Facts<'_>,
) -> Finding {
    let size = checkpoint.size;
    if !fits {
        return Disagrees(format!("it covers {size} rows, and should cover {how} {wanted}"));
    }
    let signature = match facts.trail.signatures {
        Signatures::NotChecked => "signature not checked",
        Signatures::By(_) | Signatures::Checked(_) => "signature checked",
    };
    Passed(format!("it covers {size} rows of {}; {signature}", checkpoint.origin))
}

fn read_checkpoint(facts: &Facts<'_>, holder: &AuditRow, key: &str) -> Result<Checkpoint, String> {
    let note = holder
        .detail_str(key)
        .ok_or_else(|| format!("the end row in {} holds none", holder.log))?;
    let opened = match facts.trail.signatures {
        Signatures::NotChecked => {
            return Checkpoint::unverified(note).map_err(|error| error.to_string());
        }
        Signatures::By(verifiers) => open_note(note, verifiers),
        // What was not among them is nobody's.
        Signatures::Checked(all) => all.get(note).cloned().unwrap_or(Err(NoteError::Unsigned)),
    };
    opened
        .map_err(Into::into)
        .and_then(|opened| Checkpoint::parse(&opened.text))
        .map_err(|error| error.to_string())
}
