use super::super::timeline_lines::tests::{counted, drawn, judged, row};
use super::super::timeline_lines::{Tie, lines};
use crate::model::time;
use crate::proof::actions::*;

const NOW: i64 = 1000 * time::SECOND;

const WHOLE: [&str; 5] = [
    "platform.impersonation_started | impersonation.started",
    " | vault_token.rotated",
    "platform.secret_handed_off | handoff.queued",
    "platform.impersonation_ended | impersonation.ended",
    "platform.handoff_acknowledged | handoff.acknowledged",
];

/// The lines of the whole trail without the rows of these actions.
fn without(actions: &[&str]) -> Vec<String> {
    let (mut platform, mut org) = counted();
    for rows in [&mut platform, &mut org] {
        rows.retain(|r| !actions.contains(&r.action.as_str()));
    }
    drawn(&judged((platform, org), NOW))
}

#[test]
fn each_row_of_a_pair_that_is_missing_is_a_gap_beside_its_twin() {
    assert_eq!(without(&[]), WHOLE);
    let pairs = [(0, 0), (2, 2), (3, 3), (4, 4)];
    for (line, _) in pairs {
        let (platform, org) = WHOLE[line].split_once(" | ").unwrap();
        for (gone, expected) in
            [(platform, format!("!{platform} | {org}")), (org, format!("{platform} | !{org}"))]
        {
            let found = without(&[gone]);
            assert_eq!(found[line], expected, "without {gone}");
            let others = found.iter().enumerate().filter(|(n, _)| *n != line);
            assert!(others.into_iter().all(|(n, l)| l == WHOLE[n]), "without {gone}: {found:?}");
        }
    }
}

#[test]
fn what_the_counts_miss_and_nothing_names_is_said_before_the_end() {
    // Both rows of the handoff: each log has one fewer than its end says.
    let found = without(&[PLATFORM_SECRET_HANDED_OFF, HANDOFF_QUEUED]);
    assert_eq!(found.len(), 5);
    assert_eq!(found[2], "!1 | !1");
    let (platform, mut org) = counted();
    org.retain(|r| r.action != HANDOFF_QUEUED);
    // A rotation that failed stood in the org's log, too.
    let mut platform = platform;
    for row in platform.iter_mut().chain(&mut org).filter(|r| r.action.ends_with("ended")) {
        row.details.insert("org_rows".into(), serde_json::json!(6));
    }
    let j = judged((platform, org), NOW);
    let found = drawn(&j);
    assert_eq!(found[2], "platform.secret_handed_off | !handoff.queued");
    assert_eq!(found[3], " | !2");
    assert_eq!(lines(&j, None)[3].tie(), Tie::Missing);
    assert_eq!(found[4], WHOLE[3]);
}

#[test]
fn a_gap_that_is_drawn_is_counted_once() {
    // The start, the rotation and an end: three rows of the org's log, each in its place.
    let found = without(&[IMPERSONATION_STARTED, "vault_token.rotated", IMPERSONATION_ENDED]);
    assert_eq!(
        found,
        [
            "platform.impersonation_started | !impersonation.started",
            "platform.secret_handed_off | handoff.queued",
            " | !vault_token.rotated",
            "platform.impersonation_ended | !impersonation.ended",
            WHOLE[4],
        ]
    );
}

#[test]
fn what_the_end_rows_count_as_whole_has_no_gap() {
    // Whoever hands off by a way that writes one row only: the counts say that none is missing.
    let (mut platform, mut org) = counted();
    org.retain(|r| r.action != HANDOFF_QUEUED);
    for row in platform.iter_mut().chain(&mut org).filter(|r| r.action.ends_with("ended")) {
        row.details.insert("org_rows".into(), serde_json::json!(3));
    }
    assert_eq!(drawn(&judged((platform, org), NOW))[2], "platform.secret_handed_off | ");
}

#[test]
fn without_any_end_a_handoff_still_lacks_its_twin() {
    let (mut platform, mut org) = counted();
    platform.truncate(2);
    org.truncate(2);
    let running = judged((platform, org), 35 * time::SECOND);
    assert_eq!(drawn(&running).last().unwrap(), "platform.secret_handed_off | !handoff.queued");
}

#[test]
fn a_handoff_that_was_sent_again_is_a_pair_too() {
    let (mut platform, org) = counted();
    platform.push(row(true, 10, 600 * time::SECOND, PLATFORM_HANDOFF_SENT_AGAIN));
    let found = drawn(&judged((platform, org), NOW));
    assert_eq!(found[5], "platform.handoff_sent_again | !handoff.sent_again");
}
