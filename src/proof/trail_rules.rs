//! The rules that a dual trail is held against, one function each; those on what the end rows
//! record are in [`crate::proof::trail_ends`].

use std::collections::BTreeSet;

use crate::proof::actions::{PLATFORM_SECRET_HANDED_OFF, may_follow_end, rotated_type};
use crate::proof::row::{ActorType, AuditRow, Outcome, PLATFORM_LOG, ROW_VERSION, org_log};
use crate::proof::trail::{ProofState, Rule};
use crate::proof::trail_ends::{counts, last_seq, life, org_checkpoint, platform_checkpoint};
use crate::proof::trail_facts::Finding::{self, Broken, Disagrees, Missing, Passed, Pending};
use crate::proof::trail_facts::{Facts, utc};
use crate::proof::trail_recorded::recorded;

/// Holds the trail against one rule.
pub(crate) fn check(rule: Rule, facts: &Facts<'_>) -> Finding {
    match rule {
        Rule::PlatformStarted => presence(&facts.platform_started, false),
        Rule::OrgStarted => presence(&facts.org_started, false),
        Rule::Rotated => presence(&facts.rotated, facts.running),
        Rule::OrgEnded => presence(&facts.org_ended, facts.running),
        Rule::PlatformEnded => presence(&facts.platform_ended, facts.running),
        Rule::Belongs => belongs(facts),
        Rule::SameAdmin => same_admin(facts),
        Rule::SameOrg => same(facts, |row| row.org_id.as_deref()),
        Rule::SameTicket => same(facts, |row| row.ticket_ref.as_deref()),
        Rule::SameReason => same_reason(facts),
        Rule::SameTarget => same_target(facts),
        Rule::ActorType => actor_type(facts),
        Rule::Outcome => outcome(facts),
        Rule::SameExpiry => same_expiry(facts),
        Rule::SameCause => same_cause(facts),
        Rule::Order => order(facts),
        Rule::Life => life(facts),
        Rule::Counts => counts(facts),
        Rule::LastSeq => last_seq(facts),
        Rule::OrgCheckpoint => org_checkpoint(facts),
        Rule::PlatformCheckpoint => platform_checkpoint(facts),
        Rule::Recorded => recorded(facts),
        Rule::PlatformProof => proof(&facts.trail.platform_proof),
        Rule::OrgProof => proof(&facts.trail.org_proof),
    }
}

fn presence(rows: &[&AuditRow], may_wait: bool) -> Finding {
    match rows {
        [row] => Passed(format!("row {}, {}", row.seq, utc(row.at))),
        [] if may_wait => Pending("not yet".into()),
        [] => Missing("there is no such row".into()),
        rows => Disagrees(format!("there are {} such rows", rows.len())),
    }
}

fn belongs(facts: &Facts<'_>) -> Finding {
    let trail = facts.trail;
    let mut ids = BTreeSet::new();
    let sides = [(trail.platform, true), (trail.org, false)];
    for (rows, platform) in sides {
        for row in rows {
            let log = match (&row.org_id, platform) {
                (_, true) => PLATFORM_LOG.to_owned(),
                (Some(org), false) => org_log(org),
                (None, false) => row.log.clone(),
            };
            let place = format!("row {} of {}", row.seq, row.log);
            if row.v != ROW_VERSION {
                return Disagrees(format!("{place} is of version {}", row.v));
            }
            if row.impersonation_id.as_deref() != Some(trail.impersonation_id) {
                return Disagrees(format!("{place} is of another impersonation"));
            }
            if row.log != log || (!platform && row.log == PLATFORM_LOG) {
                return Disagrees(format!("{place} should be in the log {log}"));
            }
            if !ids.insert(&row.id) {
                return Disagrees(format!("{place} has an id that another row has too"));
            }
        }
    }
    match ids.len() {
        0 => Pending("there are no rows".into()),
        count => Passed(format!("{count} rows")),
    }
}

/// Holds one field of the five rows against each other. All must have it; the other rows of the
/// impersonation may lack it, but not say otherwise.
fn same<'a>(facts: &Facts<'a>, field: impl Fn(&'a AuditRow) -> Option<&'a str>) -> Finding {
    let mut agreed: Option<(&str, &str)> = None;
    for (name, row) in facts.five() {
        match (field(row), agreed) {
            (None | Some(""), _) => return Disagrees(format!("{name} does not say")),
            (Some(value), Some((other, first))) if value != other => {
                return Disagrees(format!("{first} says {other:?}, {name} says {value:?}"));
            }
            (Some(value), _) => agreed = agreed.or(Some((value, name))),
        }
    }
    let Some((value, first)) = agreed else {
        return Pending("there are no rows to compare".into());
    };
    let stranger = facts.all().find(|row| field(row).is_some_and(|other| other != value));
    match stranger {
        None => Passed(value.to_owned()),
        Some(row) => Disagrees(format!(
            "{first} says {value:?}, {} says {:?}",
            row.action,
            field(row).unwrap_or_default()
        )),
    }
}

/// The reason is composed by the server: any other was not given through it.
fn same_reason(facts: &Facts<'_>) -> Finding {
    let reason = match same(facts, |row| row.reason.as_deref()) {
        Passed(reason) => reason,
        other => return other,
    };
    let first = facts.five().first().map(|(_, row)| *row);
    let kind = first.and_then(|row| row.secret_type.as_deref());
    let (Some(kind), Some(ticket)) = (kind, first.and_then(|row| row.ticket_ref.as_deref())) else {
        return Passed(reason);
    };
    let composed = format!("rotate stuck {kind} per ticket {ticket}");
    if reason == composed {
        Passed(reason)
    } else {
        Disagrees(format!("it is {reason:?}, and the procedure gives {composed:?}"))
    }
}

fn same_admin(facts: &Facts<'_>) -> Finding {
    let mut rows = facts.five();
    // Only the holder of the token rotates or hands off; acknowledging and replying is for others too.
    let held = |row: &&AuditRow| {
        row.action == PLATFORM_SECRET_HANDED_OFF
            || row.actor_type == ActorType::PlatformAdminImpersonating
    };
    rows.extend(facts.all().filter(held).map(|row| ("another row", row)));
    let Some((first, one)) = rows.first().copied() else {
        return Pending("there are no rows to compare".into());
    };
    if one.actor_id.is_empty() {
        return Disagrees(format!("{first} names nobody"));
    }
    match rows.iter().find(|(_, row)| row.actor_id != one.actor_id) {
        None => Passed(format!("{} ({})", one.actor_name, one.actor_id)),
        Some((name, row)) => Disagrees(format!(
            "{first} names {:?}, {name} ({}) names {:?}",
            one.actor_id, row.action, row.actor_id
        )),
    }
}

fn same_target(facts: &Facts<'_>) -> Finding {
    let kind = match same(facts, |row| row.secret_type.as_deref()) {
        Passed(kind) => kind,
        other => return other,
    };
    let id = match same(facts, |row| row.secret_id.as_deref()) {
        Passed(id) => id,
        other => return other,
    };
    let rotated = facts
        .rotated
        .iter()
        .find_map(|row| rotated_type(&row.action).filter(|rotated| *rotated != kind));
    match rotated {
        Some(rotated) => Disagrees(format!("it was for a {kind}, and a {rotated} was rotated")),
        None => Passed(format!("{kind} {id}")),
    }
}

fn actor_type(facts: &Facts<'_>) -> Finding {
    let wanted = ActorType::PlatformAdminImpersonating;
    let mut platform = None;
    for (name, row) in facts.five() {
        let found = row.actor_type;
        let fits = if row.log == PLATFORM_LOG {
            // In its own log the platform may call the admin by either name, but by one only.
            matches!(found, ActorType::PlatformAdmin | ActorType::PlatformAdminImpersonating)
                && *platform.get_or_insert(found) == found
        } else {
            found == wanted
        };
        if !fits {
            return Disagrees(format!("{name} has {}", found.word()));
        }
    }
    if facts.five().is_empty() {
        return Pending("there are no rows".into());
    }
    Passed(wanted.word().into())
}

fn outcome(facts: &Facts<'_>) -> Finding {
    let rows = facts.five();
    if rows.is_empty() {
        return Pending("there are no rows".into());
    }
    match rows.iter().find(|(_, row)| row.outcome != Outcome::Success) {
        None => Passed(Outcome::Success.word().into()),
        Some((name, row)) => Disagrees(format!("{name} has {}", row.outcome.word())),
    }
}

fn same_expiry(facts: &Facts<'_>) -> Finding {
    let starts = facts.platform_started.iter().chain(&facts.org_started);
    let mut agreed = None;
    for row in starts {
        let Some(expiry) = row.detail_i64("expires_at") else {
            return Disagrees(format!("the start in the log {} has no expiry", row.log));
        };
        if expiry <= row.at {
            return Disagrees(format!("it expires at {}, before it starts", utc(expiry)));
        }
        let first = *agreed.get_or_insert(expiry);
        if first != expiry {
            let (first, other) = (utc(first), utc(expiry));
            return Disagrees(format!("the start rows record two expiries: {first}, and {other}"));
        }
    }
    agreed.map_or_else(|| Pending("there is no start row".into()), |expiry| Passed(utc(expiry)))
}

fn same_cause(facts: &Facts<'_>) -> Finding {
    let mut agreed = None;
    for (name, row) in facts.ends() {
        let Some(cause) = row.detail_str("cause").filter(|cause| !cause.is_empty()) else {
            return Disagrees(format!("{name} gives no cause"));
        };
        let first = *agreed.get_or_insert(cause);
        if first != cause {
            return Disagrees(format!("the end rows give two causes: {first}, and {cause}"));
        }
    }
    agreed.map_or_else(|| Pending("there is no end row".into()), |cause| Passed(cause.to_owned()))
}

fn order(facts: &Facts<'_>) -> Finding {
    for (rows, start, end) in [
        (facts.trail.platform, &facts.platform_started, &facts.platform_ended),
        (facts.trail.org, &facts.org_started, &facts.org_ended),
    ] {
        for (one, next) in rows.iter().zip(rows.iter().skip(1)) {
            if one.seq >= next.seq || one.at > next.at {
                return Disagrees(format!(
                    "rows {} and {} of {} are not in order",
                    one.seq, next.seq, one.log
                ));
            }
        }
        let before_start =
            start.first().and_then(|start| rows.iter().find(|row| row.seq < start.seq));
        if let Some(row) = before_start {
            return Disagrees(format!("{} comes before the start", row.action));
        }
        let after_end = end.first().and_then(|end| {
            rows.iter().find(|row| row.seq > end.seq && !may_follow_end(&row.action))
        });
        if let Some(row) = after_end {
            return Disagrees(format!("{} comes after the end", row.action));
        }
    }
    // The logs share no numbering: across them only the times tell.
    let phases = [
        ("a start", facts.platform_started.iter().chain(&facts.org_started).collect::<Vec<_>>()),
        ("the rotation", facts.rotated.iter().collect()),
        ("the handoff", facts.handed_off.iter().collect()),
        ("an end", facts.org_ended.iter().chain(&facts.platform_ended).collect()),
    ];
    let mut latest: Option<(&str, i64)> = None;
    for (name, rows) in &phases {
        let (first, last) =
            (rows.iter().map(|row| row.at).min(), rows.iter().map(|row| row.at).max());
        let (Some(first), Some(last)) = (first, last) else {
            continue;
        };
        if let Some((before, at)) = latest
            && first < at
        {
            return Disagrees(format!(
                "{name} at {} comes before {before} at {}",
                utc(first),
                utc(at)
            ));
        }
        latest = Some((name, last));
    }
    match latest {
        None => Pending("there are no rows".into()),
        Some(_) if facts.running => Pending("in order so far".into()),
        Some(_) => Passed("in each log by number and time, across them by time".into()),
    }
}

fn proof(state: &ProofState) -> Finding {
    match state {
        ProofState::Proven => Passed("proven".into()),
        ProofState::NotChecked => Pending("not checked".into()),
        ProofState::Broken(why) => Broken(why.clone()),
    }
}
