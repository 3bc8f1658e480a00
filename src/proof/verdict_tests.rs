//! Tests of the verdict by example: that every rule bites, and bites alone.

use serde_json::json;

use super::*;
use crate::proof::actions::*;
use crate::proof::row::{ActorType, Outcome, PLATFORM_LOG, org_log};
use crate::proof::trail_fixture::{Case, Shape, case, checkpoint, good};

/// Breaks a good trail, and looks at the verdict and at exactly which rules failed.
fn breaks(verdict: Verdict, rules: &[Rule], change: impl FnOnce(&mut Case)) {
    let mut case = good();
    change(&mut case);
    let judged = case.judge();
    let failed: Vec<Rule> = judged.failed().map(|result| result.rule).collect();
    assert_eq!(failed, rules, "{judged:#?}");
    assert_eq!(judged.verdict, verdict);
}

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
fn each_of_the_five_rows_must_be_there_even_where_the_counts_were_made_to_fit() {
    use Verdict::Incomplete;
    breaks(Incomplete, &[Rule::PlatformStarted], |case| {
        case.remove(PLATFORM_IMPERSONATION_STARTED);
        case.set_ends("platform_rows", json!(2));
    });
    breaks(Incomplete, &[Rule::OrgStarted], |case| {
        case.remove(IMPERSONATION_STARTED);
        case.set_ends("org_rows", json!(3));
    });
    breaks(Incomplete, &[Rule::Rotated], |case| {
        case.remove("vault_token.rotated");
        case.set_ends("org_rows", json!(3));
    });
    breaks(Incomplete, &[Rule::OrgEnded], |case| {
        case.remove(IMPERSONATION_ENDED);
        case.set_ends("org_rows", json!(3));
        let last = case.row("vault_token.rotated").seq;
        case.set_ends("org_last_seq", json!(last));
    });
    breaks(Incomplete, &[Rule::PlatformEnded], |case| {
        case.remove(PLATFORM_IMPERSONATION_ENDED);
        case.set_ends("platform_rows", json!(2));
        let last = case.row(PLATFORM_SECRET_HANDED_OFF).seq;
        case.set_ends("platform_last_seq", json!(last));
        case.set_ends("platform_checkpoint", json!(checkpoint(PLATFORM_LOG, last)));
    });
}

#[test]
fn a_second_rotation_is_as_bad_as_none() {
    breaks(Verdict::Mismatch, &[Rule::Rotated], |case| {
        let at = case.org.iter().position(|row| row.action == "vault_token.rotated").unwrap();
        let mut second = case.org[at].clone();
        second.seq += 1;
        second.id = "another".into();
        case.org.insert(at + 1, second);
        case.set_ends("org_rows", json!(5));
    });
}

#[test]
fn rows_of_elsewhere_are_noticed() {
    breaks(Verdict::Mismatch, &[Rule::Belongs], |case| {
        case.row("vault_token.rotated").impersonation_id = Some("another".into());
    });
    breaks(Verdict::Mismatch, &[Rule::Belongs], |case| {
        case.row("vault_token.rotated").log = org_log("o-2");
    });
    breaks(Verdict::Mismatch, &[Rule::Belongs], |case| {
        case.org[0].id = case.platform[0].id.clone();
    });
    breaks(Verdict::Mismatch, &[Rule::Belongs], |case| case.org[0].v = 2);
}

#[test]
fn the_logs_must_agree_on_who_where_why_and_what() {
    use Verdict::Mismatch;
    let rotated = "vault_token.rotated";
    breaks(Mismatch, &[Rule::SameAdmin], |case| case.row(rotated).actor_id = "admin-2".into());
    breaks(Mismatch, &[Rule::SameAdmin], |case| {
        case.row(PLATFORM_SECRET_HANDED_OFF).actor_id = "admin-2".into();
    });
    breaks(Mismatch, &[Rule::SameOrg], |case| case.platform[0].org_id = Some("o-2".into()));
    breaks(Mismatch, &[Rule::SameTicket], |case| {
        case.row(rotated).ticket_ref = Some("NOV-1".into());
    });
    breaks(Mismatch, &[Rule::SameTicket], |case| {
        case.row(HANDOFF_ACKNOWLEDGED).ticket_ref = Some("NOV-1".into());
    });
    breaks(Mismatch, &[Rule::SameReason], |case| case.org[0].reason = None);
    breaks(Mismatch, &[Rule::SameTarget], |case| {
        case.platform[0].secret_id = Some("s-2".into());
    });
    breaks(Mismatch, &[Rule::SameTarget], |case| {
        case.row(rotated).action = "mtls_certificate.rotated".into();
    });
    breaks(Mismatch, &[Rule::ActorType], |case| case.row(rotated).actor_type = ActorType::System);
    breaks(Mismatch, &[Rule::Outcome], |case| case.row(rotated).outcome = Outcome::Failed);
    breaks(Mismatch, &[Rule::SameExpiry], |case| {
        let other = case.platform[0].detail_i64("expires_at").unwrap() + 1;
        case.set(IMPERSONATION_STARTED, "expires_at", json!(other));
    });
    breaks(Mismatch, &[Rule::SameCause], |case| {
        case.set(IMPERSONATION_ENDED, "cause", json!("admin"));
    });
}

#[test]
fn rows_out_of_order_are_noticed_within_a_log_and_across_the_two() {
    breaks(Verdict::Mismatch, &[Rule::Order], |case| {
        case.row(PLATFORM_SECRET_HANDED_OFF).at -= 3;
    });
    breaks(Verdict::Mismatch, &[Rule::Order], |case| {
        let at = case.row("vault_token.rotated").at;
        case.row("vault_token.rotation_failed").at = at + 1;
    });
    breaks(Verdict::Mismatch, &[Rule::Order], |case| case.org.swap(0, 1));
}

#[test]
fn nothing_may_happen_after_the_token_expired() {
    breaks(Verdict::Mismatch, &[Rule::Life], |case| {
        let expiry = case.row(IMPERSONATION_ENDED).at - 1;
        case.set(PLATFORM_IMPERSONATION_STARTED, "expires_at", json!(expiry));
        case.set(IMPERSONATION_STARTED, "expires_at", json!(expiry));
    });
    breaks(Verdict::Mismatch, &[Rule::Life], |case| {
        let earlier = case.row(IMPERSONATION_ENDED).at - 1;
        case.set_ends("ended_at", json!(earlier));
    });
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
fn counts_tell_missing_rows_from_added_ones() {
    breaks(Verdict::Incomplete, &[Rule::Counts], |case| case.remove("vault_token.rotation_failed"));
    breaks(Verdict::Mismatch, &[Rule::Counts], |case| case.set_ends("org_rows", json!(3)));
    breaks(Verdict::Mismatch, &[Rule::Counts], |case| {
        case.set(IMPERSONATION_ENDED, "org_rows", json!(5));
    });
    breaks(Verdict::Incomplete, &[Rule::LastSeq], |case| {
        let next = case.row(PLATFORM_IMPERSONATION_ENDED).seq + 1;
        case.set_ends("platform_last_seq", json!(next));
    });
    breaks(Verdict::Mismatch, &[Rule::LastSeq], |case| case.set_ends("org_last_seq", json!(0)));
}

#[test]
fn a_use_of_the_token_after_the_end_is_noticed_and_an_acknowledgement_is_no_such_use() {
    breaks(Verdict::Mismatch, &[Rule::Order, Rule::Counts, Rule::LastSeq], |case| {
        case.row(HANDOFF_ACKNOWLEDGED).action = "vault_token.rotation_failed".into();
    });
}

#[test]
fn each_end_row_must_hold_the_other_logs_checkpoint() {
    use Verdict::Mismatch;
    let (ours, theirs) = (PLATFORM_IMPERSONATION_ENDED, IMPERSONATION_ENDED);
    let org = org_log("o-1");
    let last = good().row(theirs).seq;
    let end = good().row(ours).seq;
    for bad in [
        json!(checkpoint(&org, last)),
        json!(checkpoint("org/o-2", last + 1)),
        json!(checkpoint(&org, last + 1).replace(&format!("\n{}\n", last + 1), "\n9999\n")),
        json!("no note"),
        json!(null),
    ] {
        breaks(Mismatch, &[Rule::OrgCheckpoint], |case| case.set(ours, "org_checkpoint", bad));
    }
    for bad in [
        json!(checkpoint(PLATFORM_LOG, end - 1)),
        json!(checkpoint(PLATFORM_LOG, end + 1)),
        json!(checkpoint(&org, end)),
        json!(5),
    ] {
        breaks(Mismatch, &[Rule::PlatformCheckpoint], |case| {
            case.set(theirs, "platform_checkpoint", bad);
        });
    }
    breaks(Mismatch, &[Rule::OrgCheckpoint, Rule::PlatformCheckpoint], |case| {
        case.verifiers.clear();
    });
}

#[test]
fn a_broken_proof_outweighs_everything_else() {
    breaks(Verdict::Tampered, &[Rule::PlatformProof], |case| {
        case.platform_proof = ProofState::Broken("row 3 was changed".into());
    });
    breaks(Verdict::Tampered, &[Rule::Outcome, Rule::OrgProof], |case| {
        case.org[0].outcome = Outcome::Refused;
        case.org_proof = ProofState::Broken("row 3 was changed".into());
    });
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
