//! Tests of the verdict by example: when one is open, and what it is called.

use serde_json::json;

use super::*;
use crate::proof::actions::*;
use crate::proof::trail_fixture::{Shape, case, good};

#[test]
fn words_are_those_of_the_product() {
    for verdict in [
        Verdict::Complete,
        Verdict::Open,
        Verdict::Incomplete,
        Verdict::Mismatch,
        Verdict::Tampered,
    ] {
        assert_eq!(json!(verdict), verdict.word());
    }
}

#[test]
fn only_an_expiry_may_be_written_late() {
    let late = case(&Shape { late_expiry: true, ..Shape::default() });
    assert_eq!(late.judge().verdict, Verdict::Complete);
    let mut other = late.clone();
    other.set_ends("cause", json!("handoff"));
    let judged = other.judge();
    assert_eq!(judged.verdict, Verdict::Mismatch);
    assert!(judged.failed().all(|result| result.rule == Rule::Life));
}

#[test]
fn a_live_one_is_open_until_its_token_expires() {
    let mut live = good().running();
    let judged = live.judge();
    assert_eq!(judged.verdict, Verdict::Open);
    assert_eq!(judged.failed().count(), 0, "{judged:#?}");
    live.remove("vault_token.rotated");
    live.remove(PLATFORM_SECRET_HANDED_OFF);
    let judged = live.judge();
    assert_eq!(judged.verdict, Verdict::Open);
    assert_eq!(judged.rule(Rule::Rotated).unwrap().result, RuleState::Pending);

    live.now = live.platform[0].detail_i64("expires_at").unwrap();
    assert_eq!(live.judge().verdict, Verdict::Incomplete, "its end should be there by now");
}

#[test]
fn a_live_one_in_one_log_only_is_not_open() {
    let mut live = good().running();
    live.org.clear();
    assert_eq!(live.judge().verdict, Verdict::Incomplete);
    let mut live = good().running();
    live.platform.clear();
    assert_eq!(live.judge().verdict, Verdict::Incomplete);
    live.org.clear();
    assert_eq!(live.judge().verdict, Verdict::Incomplete, "nothing at all is nothing proven");
}

#[test]
fn a_live_one_that_disagrees_is_a_mismatch_at_once() {
    let mut live = good().running();
    live.org[0].actor_id = "admin-2".into();
    assert_eq!(live.judge().verdict, Verdict::Mismatch);
}

#[test]
fn proofs_that_nobody_checked_are_shown_as_pending() {
    let mut case = good();
    case.platform_proof = ProofState::NotChecked;
    case.org_proof = ProofState::NotChecked;
    let judged = case.judge();
    assert_eq!(judged.verdict, Verdict::Complete);
    assert_eq!(judged.rule(Rule::OrgProof).unwrap().result, RuleState::Pending);
}
