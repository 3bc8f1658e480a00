//! Tests of the verdict by property: a good trail is complete, and no spoiled one is.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::proof::Hash;
use crate::proof::actions::*;
use crate::proof::merkle::{Frontier, inclusion_proof, verify_inclusion};
use crate::proof::row::{ActorType, AuditRow, Outcome};
use crate::proof::trail_fixture::{Shape, case, shapes};
use crate::proof::verdict::{ProofState, RuleState, Verdict};

/// Changes one field of a row that the rules compare, so that somebody who rewrote one log, with
/// its whole tree, is still found out by the other.
fn alter_compared(row: &mut AuditRow, field: usize) {
    let flip = |text: &mut Option<String>| {
        *text = text.take().map(|text| format!("{text}0"));
    };
    match field {
        0 => row.v += 1,
        1 => row.log.push('0'),
        2 => row.action.push('0'),
        3 => row.actor_type = ActorType::Auditor,
        4 => row.actor_id.push('0'),
        5 => flip(&mut row.org_id),
        6 => flip(&mut row.impersonation_id),
        7 => flip(&mut row.ticket_ref),
        8 => flip(&mut row.reason),
        9 => flip(&mut row.secret_type),
        10 => flip(&mut row.secret_id),
        11 => row.outcome = Outcome::Refused,
        12 => row.org_id = None,
        13 => row.ticket_ref = None,
        14 => row.seq += 1_000_000,
        _ => row.at += 1 << 40,
    }
}

/// Changes any one field at all, by as little as can be.
fn alter_any(row: &mut AuditRow, field: usize) {
    match field {
        0..=13 => alter_compared(row, field),
        14 => row.seq += 1,
        15 => row.at += 1,
        16 => row.id.push('0'),
        17 => row.actor_name.push('0'),
        _ => {
            row.details.insert("more".into(), json!(1));
        }
    }
}

/// What a checker finds who holds the rows against the tree of the rows as they were written.
fn proof_of(written: &[AuditRow], found: &[AuditRow]) -> ProofState {
    let mut frontier = Frontier::new();
    let mut nodes = HashMap::<(u8, u64), Hash>::new();
    for row in written {
        for (level, index, hash) in frontier.push(row.leaf_hash().unwrap()) {
            nodes.insert((level, index), hash);
        }
    }
    let size = written.len() as u64;
    let holds = found.iter().enumerate().all(|(index, row)| {
        let proof = inclusion_proof(index as u64, size, &mut |level, index| {
            nodes.get(&(level, index)).copied().ok_or(())
        });
        row.leaf_hash().is_ok_and(|leaf| {
            verify_inclusion(&leaf, index as u64, size, &proof.unwrap(), &frontier.root()).is_ok()
        })
    });
    if holds {
        ProofState::Proven
    } else {
        ProofState::Broken("a row is not the one that was written".into())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_good_trail_is_complete(shape in shapes()) {
        let judged = case(&shape).judge();
        prop_assert_eq!(judged.verdict, Verdict::Complete, "{:#?}", judged);
        prop_assert!(judged.rules.iter().all(|result| result.result == RuleState::Passed));
    }

    #[test]
    fn a_trail_without_one_of_its_rows_is_never_complete(shape in shapes(), pick in any::<prop::sample::Index>()) {
        // What follows the end is not counted by it: only the check of the whole log misses it.
        let shape = Shape { acknowledged: false, ..shape };
        let mut case = case(&shape);
        let at = pick.index(case.platform.len() + case.org.len());
        if at < case.platform.len() {
            case.platform.remove(at);
        } else {
            case.org.remove(at - case.platform.len());
        }
        let judged = case.judge();
        prop_assert_eq!(judged.verdict, Verdict::Incomplete, "{:#?}", judged);
        prop_assert!(judged.failed().count() > 0);
    }

    #[test]
    fn a_rewritten_log_is_found_out_by_the_other(shape in shapes(), pick in any::<prop::sample::Index>(), field in 0usize..16) {
        let mut case = case(&shape);
        let five = [
            PLATFORM_IMPERSONATION_STARTED.to_owned(),
            IMPERSONATION_STARTED.to_owned(),
            rotated(shape.secret_type),
            IMPERSONATION_ENDED.to_owned(),
            PLATFORM_IMPERSONATION_ENDED.to_owned(),
        ];
        alter_compared(case.row(&five[pick.index(five.len())]), field);
        prop_assert_ne!(case.judge().verdict, Verdict::Complete);
    }

    #[test]
    fn any_change_of_any_detail_of_an_end_row_is_found_out(shape in shapes(), platform in any::<bool>(), pick in any::<prop::sample::Index>(), gone in any::<bool>()) {
        let mut case = case(&shape);
        let row = case.row(if platform { PLATFORM_IMPERSONATION_ENDED } else { IMPERSONATION_ENDED });
        let names: Vec<String> = row.details.keys().cloned().collect();
        let name = pick.get(&names);
        if gone {
            row.details.remove(name);
        } else {
            let changed = match &row.details[name] {
                Value::String(text) => json!(format!("{text}0")),
                number => json!(number.as_i64().unwrap() + 1),
            };
            row.details.insert(name.clone(), changed);
        }
        prop_assert_ne!(case.judge().verdict, Verdict::Complete);
    }

    #[test]
    fn any_change_of_any_field_of_any_row_is_never_complete(shape in shapes(), pick in any::<prop::sample::Index>(), field in 0usize..19) {
        let written = case(&shape);
        let mut found = written.clone();
        let at = pick.index(found.platform.len() + found.org.len());
        let row = match at.checked_sub(found.platform.len()) {
            None => &mut found.platform[at],
            Some(at) => &mut found.org[at],
        };
        alter_any(row, field);
        found.platform_proof = proof_of(&written.platform, &found.platform);
        found.org_proof = proof_of(&written.org, &found.org);
        prop_assert_eq!(found.judge().verdict, Verdict::Tampered);
    }
}
