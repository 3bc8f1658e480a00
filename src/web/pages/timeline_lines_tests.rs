use serde_json::{Map, json};

use super::*;
use crate::proof::actions::{
    CONSENT_DISABLED, CONSENT_ENABLED, HANDOFF_ACKNOWLEDGED, HANDOFF_QUEUED, IMPERSONATION_ENDED,
    IMPERSONATION_STARTED, PLATFORM_HANDOFF_ACKNOWLEDGED, PLATFORM_IMPERSONATION_ENDED,
    PLATFORM_IMPERSONATION_STARTED, PLATFORM_SECRET_HANDED_OFF,
};
use crate::proof::merkle::leaf_hash;
use crate::proof::row::{ActorType, AuditRow, Outcome, PLATFORM_LOG, org_log};
use crate::proof::trail::{ProofState, Signatures, Trail};
use crate::store::audit::Entry;

pub(in super::super) const ID: &str = "01920000-0000-7000-8000-0000000000aa";
pub(in super::super) const EXPIRES: i64 = 900 * time::SECOND;

pub(in super::super) fn row(platform: bool, seq: u64, at: i64, action: &str) -> AuditRow {
    let mut details = Map::new();
    if action.contains("started") {
        details.insert("expires_at".into(), json!(EXPIRES));
    }
    AuditRow {
        v: 1,
        log: if platform { PLATFORM_LOG.into() } else { org_log("o-1") },
        seq,
        id: format!("01920000-0000-7000-8000-{:012}", seq + if platform { 0 } else { 1000 }),
        at,
        action: action.into(),
        actor_type: if platform {
            ActorType::PlatformAdmin
        } else {
            ActorType::PlatformAdminImpersonating
        },
        actor_id: "admin-1".into(),
        actor_name: "Ada Admin".into(),
        org_id: Some("o-1".into()),
        impersonation_id: Some(ID.into()),
        ticket_ref: Some("NOV-4821".into()),
        reason: Some("rotate stuck vault_token per ticket NOV-4821".into()),
        secret_type: Some("vault_token".into()),
        secret_id: Some("vtk_1".into()),
        outcome: Outcome::Success,
        details,
    }
}

fn read(row: AuditRow) -> ReadRow {
    let body = row.canonical().unwrap();
    ReadRow::of(Entry {
        log_id: row.log.clone(),
        seq: i64::try_from(row.seq).unwrap(),
        id: row.id.clone(),
        at: row.at,
        action: row.action.clone(),
        actor_id: row.actor_id.clone(),
        org_id: row.org_id.clone(),
        impersonation_id: row.impersonation_id.clone(),
        ticket_ref: row.ticket_ref.clone(),
        secret_type: row.secret_type.clone(),
        leaf_hash: leaf_hash(body.as_bytes()).to_vec(),
        body,
    })
}

/// A whole trail: start at 0, rotation at 20 s, handoff at 30 s, end at 40 s, acknowledged later.
pub(in super::super) fn whole() -> (Vec<AuditRow>, Vec<AuditRow>) {
    let s = time::SECOND;
    let platform = vec![
        row(true, 1, 0, PLATFORM_IMPERSONATION_STARTED),
        row(true, 2, 30 * s, PLATFORM_SECRET_HANDED_OFF),
        row(true, 3, 40 * s, PLATFORM_IMPERSONATION_ENDED),
        row(true, 9, 500 * s, PLATFORM_HANDOFF_ACKNOWLEDGED),
    ];
    let org = vec![
        row(false, 1, 0, IMPERSONATION_STARTED),
        row(false, 2, 20 * s, "vault_token.rotated"),
        row(false, 3, 30 * s, HANDOFF_QUEUED),
        row(false, 4, 40 * s, IMPERSONATION_ENDED),
        row(false, 5, 500 * s, HANDOFF_ACKNOWLEDGED),
    ];
    (platform, org)
}

pub(in super::super) fn judged(
    (platform, org): (Vec<AuditRow>, Vec<AuditRow>),
    now: i64,
) -> Judged {
    let verdict = Trail {
        impersonation_id: ID,
        platform: &platform,
        org: &org,
        platform_proof: ProofState::NotChecked,
        org_proof: ProofState::NotChecked,
        signatures: Signatures::NotChecked,
        beginnings: None,
        now,
    }
    .judge();
    Judged {
        platform: platform.into_iter().map(read).collect(),
        org: org.into_iter().map(read).collect(),
        verdict,
    }
}

/// The same with what the end rows record of it.
pub(in super::super) fn counted() -> (Vec<AuditRow>, Vec<AuditRow>) {
    let (mut platform, mut org) = whole();
    for row in platform.iter_mut().chain(&mut org).filter(|r| r.action.ends_with("ended")) {
        for (name, value) in [
            ("cause", json!("handoff")),
            ("ended_at", json!(row.at)),
            ("platform_rows", json!(3)),
            ("org_rows", json!(4)),
            ("platform_last_seq", json!(3)),
            ("org_last_seq", json!(4)),
        ] {
            row.details.insert(name.into(), value);
        }
    }
    (platform, org)
}

/// Each line as `platform | org`, with `!` before what is missing.
pub(in super::super) fn drawn(j: &Judged) -> Vec<String> {
    let cell = |c: &Cell<'_>| match c {
        Cell::Row(r) => action(r).to_owned(),
        Cell::Missing(name) => format!("!{name}"),
        Cell::Unplaced(n) => format!("!{n}"),
        Cell::Nothing => String::new(),
    };
    lines(j, Some("vault_token"))
        .iter()
        .map(|l| format!("{} | {}", cell(&l.platform), cell(&l.org)))
        .collect()
}

#[test]
fn rows_of_one_step_stand_on_one_line_in_the_order_of_time() {
    let j = judged(counted(), 1000 * time::SECOND);
    assert_eq!(
        drawn(&j),
        [
            "platform.impersonation_started | impersonation.started",
            " | vault_token.rotated",
            "platform.secret_handed_off | handoff.queued",
            "platform.impersonation_ended | impersonation.ended",
            "platform.handoff_acknowledged | handoff.acknowledged",
        ]
    );
    let ties: Vec<_> = lines(&j, None).iter().map(Line::tie).collect();
    assert_eq!(ties, [Tie::Tied, Tie::Single, Tie::Tied, Tie::Tied, Tie::Tied]);
}

#[test]
fn a_missing_row_is_a_gap_beside_its_twin() {
    let (platform, mut org) = whole();
    org.retain(|r| r.action != IMPERSONATION_ENDED);
    let j = judged((platform, org), 1000 * time::SECOND);
    assert_eq!(drawn(&j)[3], "platform.impersonation_ended | !impersonation.ended");
    assert_eq!(lines(&j, None)[3].tie(), Tie::Missing);

    let (mut platform, org) = whole();
    platform.retain(|r| r.action != PLATFORM_IMPERSONATION_STARTED);
    let j = judged((platform, org), 1000 * time::SECOND);
    assert_eq!(drawn(&j)[0], "!platform.impersonation_started | impersonation.started");
}

#[test]
fn what_is_missing_on_both_sides_has_a_line_of_its_own_where_it_belongs() {
    let (mut platform, mut org) = whole();
    for rows in [&mut platform, &mut org] {
        rows.retain(|r| !r.action.ends_with("ended") && !r.action.ends_with("rotated"));
    }
    let j = judged((platform, org), 1000 * time::SECOND);
    assert_eq!(
        drawn(&j),
        [
            "platform.impersonation_started | impersonation.started",
            "platform.secret_handed_off | handoff.queued",
            " | !vault_token.rotated",
            "!platform.impersonation_ended | !impersonation.ended",
            "platform.handoff_acknowledged | handoff.acknowledged",
        ]
    );
    assert_eq!(lines(&j, None)[3].at(), None);
}

#[test]
fn nothing_is_missing_while_it_runs() {
    let (mut platform, mut org) = whole();
    platform.truncate(1);
    org.truncate(1);
    let j = judged((platform, org), 10 * time::SECOND);
    assert_eq!(drawn(&j), ["platform.impersonation_started | impersonation.started"]);
}

#[test]
fn a_second_row_of_an_action_stands_alone() {
    let (mut platform, org) = whole();
    platform.insert(1, row(true, 8, 5 * time::SECOND, PLATFORM_IMPERSONATION_STARTED));
    let j = judged((platform, org), 1000 * time::SECOND);
    assert_eq!(drawn(&j)[1], "platform.impersonation_started | ");
}

#[test]
fn what_a_pair_does_not_agree_on_is_named_with_both_values() {
    let (platform, mut org) = whole();
    org[0].ticket_ref = Some("NOV-1".into());
    org[0].actor_id = "admin-2".into();
    org[0].actor_name = "Bo Brandt".into();
    org[0].details.insert("expires_at".into(), json!(time::MINUTE));
    let j = judged((platform, org), 1000 * time::SECOND);
    let all = lines(&j, None);
    assert_eq!(all[0].tie(), Tie::Broken);
    let fields: Vec<_> = all[0].differ.iter().map(|d| d.field).collect();
    assert_eq!(fields, ["admin", "ticket_ref", "expires_at"]);
    assert_eq!(all[0].differ[0].org, "Bo Brandt (admin-2)");
    assert_eq!(all[0].differ[1].platform, "NOV-4821");
    assert_eq!(all[0].differ[2].org, "1970-01-01T00:01:00.000000Z");
}

#[test]
fn rows_of_no_impersonation_are_a_pair_if_one_step_wrote_them() {
    let loose = |platform, seq, at, action| {
        let mut row = row(platform, seq, at, action);
        row.impersonation_id = None;
        row
    };
    let platform = read(loose(true, 1, 5, CONSENT_ENABLED));
    let org = read(loose(false, 1, 9, CONSENT_ENABLED));
    assert_eq!(loose_pair(&org, &platform).map(|l| l.tie()), Some(Tie::Tied));
    assert!(loose_pair(&org, &org).is_none());
    let later = read(loose(false, 2, 2 * time::SECOND, CONSENT_ENABLED));
    assert!(loose_pair(&platform, &later).is_none());
    let other = read(loose(false, 2, 9, CONSENT_DISABLED));
    assert!(loose_pair(&platform, &other).is_none());
    let mut elsewhere = loose(false, 3, 9, CONSENT_ENABLED);
    elsewhere.org_id = Some("o-2".into());
    assert!(loose_pair(&platform, &read(elsewhere)).is_none());
    let under = read(row(false, 1, 9, CONSENT_ENABLED));
    assert!(loose_pair(&platform, &under).is_none(), "it is of an impersonation");
}

#[test]
fn a_row_that_cannot_be_read_still_has_its_line_and_does_not_agree() {
    let mut j = judged(whole(), 1000 * time::SECOND);
    j.org[0].row = None;
    let all = lines(&j, None);
    assert_eq!(all[0].tie(), Tie::Broken);
    assert!(all[0].differ.iter().any(|d| d.field == "reason" && d.org == "not said"));
}
