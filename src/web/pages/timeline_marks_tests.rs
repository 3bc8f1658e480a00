use serde_json::json;

use super::super::timeline_lines::tests::{EXPIRES, counted, judged, row};
use super::super::timeline_lines::{Tie, lines};
use super::*;
use crate::proof::actions::HANDOFF_ACKNOWLEDGED;

const NOW: i64 = 5000 * time::SECOND;

type Rows = (Vec<AuditRow>, Vec<AuditRow>);

/// What is marked once the rows are spoiled: the line, its tie, and each mark as it reads.
fn marked(spoil: impl FnOnce(&mut Rows)) -> Vec<(usize, Tie, Vec<String>)> {
    let mut rows = counted();
    spoil(&mut rows);
    let j = judged(rows, NOW);
    let all = lines(&j, Some("vault_token"));
    let found = all.iter().enumerate().filter(|(_, line)| !line.marks.is_empty());
    found
        .map(|(n, line)| {
            let said = line.marks.iter().map(|m| {
                let side = if m.platform { "platform" } else { "org" };
                let [(here, value), (there, other)] = &m.values;
                format!("{side}: {} ({here} {value}, {there} {other})", m.word)
            });
            (n, line.tie(), said.collect())
        })
        .collect()
}

const ROTATION: usize = 1;

fn one(spoil: impl FnOnce(&mut Rows)) -> (usize, Tie, String) {
    let mut all = marked(spoil);
    assert_eq!(all.len(), 1, "{all:?}");
    let (line, tie, mut marks) = all.remove(0);
    assert_eq!(marks.len(), 1, "{marks:?}");
    (line, tie, marks.remove(0))
}

#[test]
fn nothing_is_marked_where_everything_goes_together() {
    assert_eq!(marked(|_| {}), []);
    // The Owner acknowledges: no admin, and nobody's turn to be the one.
    assert_eq!(marked(|(_, org)| org[4].actor_id = "owner-1".into()), []);
}

#[test]
fn a_rotation_that_names_something_else_is_marked_with_both_values() {
    let rotation = |said: &str| (ROTATION, Tie::Marked, format!("org: differs ({said})"));
    assert_eq!(
        one(|(_, org)| {
            org[1].actor_id = "admin-2".into();
            org[1].actor_name = "Bo Brandt".into();
        }),
        rotation("admin Bo Brandt (admin-2), elsewhere Ada Admin (admin-1)")
    );
    assert_eq!(
        one(|(_, org)| org[1].ticket_ref = Some("NOV-1".into())),
        rotation("ticket_ref NOV-1, elsewhere NOV-4821")
    );
    assert_eq!(
        one(|(_, org)| org[1].secret_id = Some("vtk_2".into())),
        rotation("secret_id vtk_2, elsewhere vtk_1")
    );
    assert_eq!(
        one(|(_, org)| org[1].reason = None),
        rotation("reason not said, elsewhere rotate stuck vault_token per ticket NOV-4821")
    );
    assert_eq!(
        one(|(_, org)| org[1].org_id = Some("o-2".into())),
        rotation("org_id o-2, elsewhere o-1")
    );
    assert_eq!(
        one(|(_, org)| org[1].outcome = Outcome::Failed),
        rotation("outcome failed, wanted success")
    );
    assert_eq!(
        one(|(_, org)| org[1].action = "webhook_signing_key.rotated".into()),
        rotation("rotated webhook_signing_key, secret_type vault_token")
    );
    assert_eq!(
        one(|(_, org)| org[1].actor_type = ActorType::OrgMember),
        rotation("actor_type org_member, wanted platform_admin_impersonating")
    );
}

#[test]
fn a_pair_that_agrees_and_goes_with_nothing_else_is_marked_on_both_sides() {
    let found = marked(|(platform, org)| {
        platform[2].ticket_ref = Some("NOV-1".into());
        org[3].ticket_ref = Some("NOV-1".into());
    });
    let said = |side: &str| format!("{side}: differs (ticket_ref NOV-1, elsewhere NOV-4821)");
    assert_eq!(found, [(3, Tie::Marked, vec![said("platform"), said("org")])]);
}

#[test]
fn what_a_pair_says_differently_is_told_once() {
    let mut rows = counted();
    rows.1[0].ticket_ref = Some("NOV-1".into());
    let j = judged(rows, NOW);
    let all = lines(&j, None);
    assert_eq!(all[0].tie(), Tie::Broken);
    assert!(all.iter().all(|line| line.marks.is_empty()));
}

#[test]
fn another_row_may_leave_a_field_out_and_not_say_otherwise() {
    assert_eq!(marked(|(_, org)| org[4].reason = None), []);
    let found = marked(|(platform, org)| {
        assert_eq!(org[4].action, HANDOFF_ACKNOWLEDGED);
        for row in [&mut platform[3], &mut org[4]] {
            row.ticket_ref = Some("NOV-1".into());
        }
    });
    assert_eq!(found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [4]);
}

#[test]
fn a_token_that_was_outlived_is_told_with_its_expiry_and_what_came_after() {
    let late = EXPIRES + 312 * time::SECOND;
    let found = marked(|(platform, org)| {
        for row in [&mut platform[2], &mut org[3]] {
            row.at = late;
            row.details.insert("ended_at".into(), json!(late));
        }
        for row in [&mut platform[3], &mut org[4]] {
            row.at = late + time::SECOND;
        }
    });
    let said = |side: &str| format!("{side}: too late (expired 00:15:00.0, ended 00:20:12.0)");
    assert_eq!(found, [(3, Tie::Marked, vec![said("platform"), said("org")])]);

    let found = marked(|(platform, org)| {
        org[1].at = late - time::SECOND;
        org[2].at = late;
        platform[1].at = late;
        for row in [&mut platform[2], &mut org[3]] {
            row.at = late;
            row.details.insert("ended_at".into(), json!(late));
        }
        for row in [&mut platform[3], &mut org[4]] {
            row.at = late + time::SECOND;
        }
    });
    let rotation = &found.iter().find(|(line, ..)| *line == ROTATION).unwrap().2;
    assert_eq!(rotation, &["org: too late (expired 00:15:00.0, rotated 00:20:11.0)"]);
    let handoff = &found.iter().find(|(line, ..)| *line == 2).unwrap().2;
    assert_eq!(handoff, &["platform: too late (expired 00:15:00.0, handed off 00:20:12.0)"]);
}

#[test]
fn an_end_that_was_written_for_another_time_is_told_with_both() {
    let found = marked(|(platform, org)| {
        for row in [&mut platform[2], &mut org[3]] {
            row.details.insert("ended_at".into(), json!(35 * time::SECOND));
        }
    });
    let said = "org: differs (ended 00:00:35.0, written 00:00:40.0)";
    assert_eq!(found[0].2[1], said);
}

#[test]
fn what_is_out_of_order_is_told_with_what_it_comes_before_or_after() {
    // The rotation after the end, in its own log.
    let found = marked(|(_, org)| {
        let mut again = row(false, 6, 600 * time::SECOND, "vault_token.rotated");
        again.id = "01920000-0000-7000-8000-00000000ffff".into();
        org.push(again);
    });
    let last = found.last().unwrap();
    assert!(last.2.contains(&"org: twice (again in row 6, already in row 2)".to_owned()));
    let late = "org: out of order (at 00:10:00.0, after the end at 00:00:40.0)";
    assert!(last.2.contains(&late.to_owned()), "{found:?}");

    // The handoff before the rotation: across the logs only the times tell.
    let found = marked(|(platform, org)| {
        platform[1].at = 10 * time::SECOND;
        org[2].at = 20 * time::SECOND;
    });
    let said = "platform: out of order (at 00:00:10.0, before the rotation at 00:00:20.0)";
    assert_eq!(found.iter().flat_map(|f| &f.2).collect::<Vec<_>>(), [said]);

    // Within a log.
    let found = marked(|(_, org)| org[2].at = 10 * time::SECOND);
    let said = "org: out of order (at 00:00:10.0, and the row before it at 00:00:20.0)";
    assert_eq!(found.iter().flat_map(|f| &f.2).collect::<Vec<_>>(), [said]);
}

#[test]
fn instants_are_told_as_far_apart_as_it_takes() {
    assert_eq!(instants(0, time::MINUTE), ("00:00:00.0".into(), "00:01:00.0".into()));
    let (one, other) = instants(1, 2);
    assert!(one.ends_with("00.000001Z") && other.ends_with("00.000002Z"));
    assert_eq!(instants(0, time::DAY).1, "1970-01-02 00:00:00 UTC");
}
