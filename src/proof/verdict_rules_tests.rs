//! Every rule of the verdict by a change that breaks exactly that rule. Where others must fail
//! with it, the table says which and why.

use serde_json::{Value, json};

use super::{ProofState, Rule, RuleState, Verdict};
use crate::proof::actions::*;
use crate::proof::row::{ActorType, Outcome, PLATFORM_LOG, org_log};
use crate::proof::trail_fixture::{Case, Shape, case, checkpoint, good, rewritten};

use Verdict::{Incomplete, Mismatch, Tampered};

const OUR_START: &str = PLATFORM_IMPERSONATION_STARTED;
const THEIR_START: &str = IMPERSONATION_STARTED;
const ROTATED: &str = "vault_token.rotated";
const FAILED: &str = "vault_token.rotation_failed";
const THEIR_END: &str = IMPERSONATION_ENDED;
const OUR_END: &str = PLATFORM_IMPERSONATION_ENDED;

/// One way to break a rule.
struct Break {
    rule: Rule,
    /// What was done.
    what: &'static str,
    verdict: Verdict,
    /// Rules that fail with it, and why they must.
    with: &'static [(Rule, &'static str)],
    change: fn(&mut Case),
}

/// A change that breaks one rule and no other.
const fn alone(rule: Rule, verdict: Verdict, what: &'static str, change: fn(&mut Case)) -> Break {
    Break { rule, what, verdict, with: &[], change }
}

const COUNTED: (Rule, &str) = (Rule::Counts, "the end rows say how many there were");
const LAST: (Rule, &str) = (Rule::LastSeq, "the end rows say which was the last");

/// Removes a row, and makes the counts at the end fit.
fn without(case: &mut Case, action: &str) {
    case.remove(action);
    case.set_ends("platform_rows", json!(case.platform.len()));
    let org = case.org.iter().filter(|row| row.action != HANDOFF_ACKNOWLEDGED).count();
    case.set_ends("org_rows", json!(org));
}

/// Puts a copy of a row behind it, and makes the counts at the end fit.
fn twice(case: &mut Case, action: &str) {
    let ours = case.platform.iter().any(|row| row.action == action);
    let (rows, count) =
        if ours { (&mut case.platform, "platform_rows") } else { (&mut case.org, "org_rows") };
    let at = rows.iter().position(|row| row.action == action).unwrap();
    let mut second = rows[at].clone();
    second.seq += 1;
    second.id = "another".into();
    rows.insert(at + 1, second);
    let counted = rows.iter().filter(|row| row.action != HANDOFF_ACKNOWLEDGED).count();
    case.set_ends(count, json!(counted));
}

fn shift(case: &mut Case, action: &str, micros: i64) {
    case.row(action).at += micros;
}

fn expire_at(case: &mut Case, at: i64) {
    case.set(OUR_START, "expires_at", json!(at));
    case.set(THEIR_START, "expires_at", json!(at));
}

fn forget(case: &mut Case, action: &str, detail: &str) {
    case.row(action).details.remove(detail);
}

#[rustfmt::skip]
static TABLE: &[Break] = &[
    // The pairs: a start and an end in each log, and one rotation.
    alone(Rule::PlatformStarted, Incomplete, "no start in the platform log", |c| without(c, OUR_START)),
    alone(Rule::PlatformStarted, Mismatch, "two starts in the platform log", |c| twice(c, OUR_START)),
    alone(Rule::OrgStarted, Incomplete, "no start in the org log", |c| without(c, THEIR_START)),
    alone(Rule::OrgStarted, Mismatch, "two starts in the org log", |c| twice(c, THEIR_START)),
    alone(Rule::Rotated, Incomplete, "no rotation", |c| without(c, ROTATED)),
    alone(Rule::Rotated, Mismatch, "two rotations", |c| twice(c, ROTATED)),
    alone(Rule::OrgEnded, Incomplete, "no end in the org log", |c| {
        without(c, THEIR_END);
        let last = c.row(ROTATED).seq;
        c.set_ends("org_last_seq", json!(last));
    }),
    alone(Rule::PlatformEnded, Incomplete, "no end in the platform log", |c| {
        without(c, OUR_END);
        let last = c.row(PLATFORM_SECRET_HANDED_OFF).seq;
        c.set_ends("platform_last_seq", json!(last));
        c.set_ends("platform_checkpoint", json!(checkpoint(PLATFORM_LOG, last)));
    }),
    Break { rule: Rule::OrgEnded, verdict: Mismatch, what: "two ends in the org log", with: &[
        (Rule::Order, "what comes after an end is no use of the token, and a second end is"),
        COUNTED, LAST,
    ], change: |c| {
        let rows = c.org.len() as i64 - 1;
        twice(c, THEIR_END);
        c.set_ends("org_rows", json!(rows));
        let next = c.org.len() - 1;
        c.org[next].seq += 1;
    } },
    Break { rule: Rule::PlatformEnded, verdict: Mismatch, what: "two ends in the platform log", with: &[
        (Rule::Order, "what comes after an end is no use of the token, and a second end is"),
        COUNTED, LAST,
    ], change: |c| {
        let rows = c.platform.len();
        twice(c, OUR_END);
        c.set_ends("platform_rows", json!(rows));
    } },
    // Whose rows they are.
    alone(Rule::Belongs, Mismatch, "a row of another impersonation", |c| c.row(ROTATED).impersonation_id = Some("another".into())),
    alone(Rule::Belongs, Mismatch, "a row of no impersonation", |c| c.row(OUR_END).impersonation_id = None),
    alone(Rule::Belongs, Mismatch, "a row of another org's log", |c| c.row(FAILED).log = org_log("o-2")),
    alone(Rule::Belongs, Mismatch, "a row of the platform's side that is of an org's log", |c| c.row(PLATFORM_SECRET_HANDED_OFF).log = org_log("o-1")),
    alone(Rule::Belongs, Mismatch, "two rows of one id", |c| c.org[0].id = c.platform[0].id.clone()),
    alone(Rule::Belongs, Mismatch, "a row of a form that is not known", |c| c.org[0].v = 2),
    // What the two logs must agree on.
    alone(Rule::SameAdmin, Mismatch, "another admin rotated", |c| c.row(ROTATED).actor_id = "admin-2".into()),
    alone(Rule::SameAdmin, Mismatch, "another admin handed off", |c| c.row(PLATFORM_SECRET_HANDED_OFF).actor_id = "admin-2".into()),
    alone(Rule::SameAdmin, Mismatch, "another admin tried", |c| c.row(FAILED).actor_id = "admin-2".into()),
    alone(Rule::SameOrg, Mismatch, "another org", |c| c.platform[0].org_id = Some("o-2".into())),
    alone(Rule::SameOrg, Mismatch, "no org", |c| c.row(OUR_END).org_id = Some(String::new())).also(&[
        (Rule::OrgCheckpoint, "the org's log is known by the row that records it"),
    ]),
    alone(Rule::SameTicket, Mismatch, "another ticket", |c| c.row(ROTATED).ticket_ref = Some("NOV-1".into())),
    alone(Rule::SameTicket, Mismatch, "another ticket after the end", |c| c.row(HANDOFF_ACKNOWLEDGED).ticket_ref = Some("NOV-1".into())),
    alone(Rule::SameReason, Mismatch, "no reason", |c| c.org[0].reason = None),
    alone(Rule::SameReason, Mismatch, "a reason that the procedure does not give", |c| {
        for row in c.platform.iter_mut().chain(&mut c.org) { row.reason = Some("because".into()); }
    }),
    alone(Rule::SameReason, Mismatch, "another reason", |c| c.row(THEIR_END).reason = Some("because".into())),
    alone(Rule::SameTarget, Mismatch, "another secret", |c| c.platform[0].secret_id = Some("s-2".into())),
    alone(Rule::SameTarget, Mismatch, "another type", |c| c.row(THEIR_START).secret_type = Some("mtls_certificate".into())),
    alone(Rule::SameTarget, Mismatch, "another type was rotated", |c| c.row(ROTATED).action = "mtls_certificate.rotated".into()),
    alone(Rule::ActorType, Mismatch, "nobody impersonated", |c| c.row(ROTATED).actor_type = ActorType::System),
    alone(Rule::ActorType, Mismatch, "the org log calls the admin an admin of its own", |c| c.row(THEIR_START).actor_type = ActorType::PlatformAdmin),
    alone(Rule::ActorType, Mismatch, "the platform log calls the admin by two names", |c| c.row(OUR_END).actor_type = ActorType::PlatformAdminImpersonating),
    alone(Rule::Outcome, Mismatch, "what failed counts as done", |c| c.row(ROTATED).outcome = Outcome::Failed),
    alone(Rule::Outcome, Mismatch, "what was refused counts as begun", |c| c.platform[0].outcome = Outcome::Refused),
    alone(Rule::SameExpiry, Mismatch, "two expiries", |c| {
        let other = c.platform[0].detail_i64("expires_at").unwrap() + 1;
        c.set(THEIR_START, "expires_at", json!(other));
    }),
    alone(Rule::SameExpiry, Mismatch, "no expiry in one log", |c| forget(c, THEIR_START, "expires_at")),
    alone(Rule::SameExpiry, Mismatch, "it expires when it starts", |c| { let start = c.platform[0].at; expire_at(c, start); }).also(&[
        (Rule::Life, "the rotation is later than that"),
    ]),
    alone(Rule::SameCause, Mismatch, "two causes", |c| c.set(THEIR_END, "cause", json!("admin"))),
    alone(Rule::SameCause, Mismatch, "no cause", |c| forget(c, OUR_END, "cause")),
    alone(Rule::SameCause, Mismatch, "a cause without a word", |c| c.set_ends("cause", json!(""))),
    // Order, within a log and across the two.
    alone(Rule::Order, Mismatch, "a handoff before the rotation", |c| shift(c, PLATFORM_SECRET_HANDED_OFF, -3)),
    alone(Rule::Order, Mismatch, "a row later than the one after it", |c| { let at = c.row(ROTATED).at; c.row(FAILED).at = at + 1; }),
    alone(Rule::Order, Mismatch, "two rows of one number", |c| { let seq = c.row(ROTATED).seq; c.row(FAILED).seq = seq; }),
    alone(Rule::Order, Mismatch, "rows in another order than the log's", |c| c.org.swap(0, 1)),
    alone(Rule::Order, Mismatch, "something before the start", |c| {
        let start = c.row(THEIR_START).seq;
        let failed = c.row(FAILED).clone();
        c.org.retain(|row| row.action != FAILED);
        c.org.insert(0, failed);
        c.org[0].seq = start - 1;
        c.org[0].at = c.org[1].at;
    }),
    alone(Rule::Order, Mismatch, "the token was used after the end", |c| c.row(HANDOFF_ACKNOWLEDGED).action = FAILED.into()).also(&[
        COUNTED, LAST,
    ]),
    // Life within the token's.
    alone(Rule::Life, Mismatch, "it ended after the expiry", |c| { let end = c.row(THEIR_END).at; expire_at(c, end - 1); }),
    alone(Rule::Life, Mismatch, "it was rotated after the expiry", |c| { let rotated = c.row(ROTATED).at; expire_at(c, rotated - 1); }),
    alone(Rule::Life, Mismatch, "the end was written later than it is said to have been", |c| { let end = c.row(THEIR_END).at; c.set_ends("ended_at", json!(end - 1)); }),
    alone(Rule::Life, Mismatch, "two times of the end", |c| { let end = c.row(THEIR_END).at; c.set(OUR_END, "ended_at", json!(end - 1)); }),
    alone(Rule::Life, Mismatch, "no time of the end", |c| forget(c, OUR_END, "ended_at")),
    alone(Rule::Life, Mismatch, "the token was valid for longer than any is", |c| {
        let start = c.platform[0].at;
        expire_at(c, start + 30 * 60 * 1_000_000 + 1);
    }),
    alone(Rule::Life, Mismatch, "the token was used after the expiry, and nothing came of it", |c| {
        let expiry = c.platform[0].detail_i64("expires_at").unwrap();
        c.row(FAILED).at = expiry + 1;
    }).also(&[(Rule::Order, "what comes after it in the log is earlier")]),
    // Counts and last sequence numbers at the end rows.
    alone(Rule::Counts, Incomplete, "a row was removed", |c| c.remove(FAILED)),
    alone(Rule::Counts, Incomplete, "a row was removed from the platform log", |c| c.remove(PLATFORM_SECRET_HANDED_OFF)),
    alone(Rule::Counts, Mismatch, "fewer rows recorded than there are", |c| c.set_ends("org_rows", json!(3))),
    alone(Rule::Counts, Mismatch, "the two ends count differently", |c| c.set(THEIR_END, "org_rows", json!(5))),
    alone(Rule::Counts, Mismatch, "an end that does not count", |c| forget(c, OUR_END, "platform_rows")),
    alone(Rule::LastSeq, Incomplete, "a later row recorded than there is", |c| {
        let next = c.row(OUR_END).seq + 1;
        c.set_ends("platform_last_seq", json!(next));
    }),
    alone(Rule::LastSeq, Mismatch, "an earlier row recorded than there is", |c| c.set_ends("org_last_seq", json!(0))),
    alone(Rule::LastSeq, Mismatch, "the two ends name different last rows", |c| {
        let other = c.row(THEIR_END).seq + 1;
        c.set(OUR_END, "org_last_seq", json!(other));
    }),
    alone(Rule::LastSeq, Mismatch, "an end that does not name the last row", |c| forget(c, THEIR_END, "org_last_seq")),
    // Each log's checkpoint in the other.
    alone(Rule::OrgCheckpoint, Mismatch, "a checkpoint of before the end", |c| org_note(c, |org, end| json!(checkpoint(org, end)))),
    alone(Rule::OrgCheckpoint, Mismatch, "another org's checkpoint", |c| org_note(c, |_, end| json!(checkpoint("org/o-2", end + 1)))),
    alone(Rule::OrgCheckpoint, Mismatch, "a checkpoint that was changed", |c| org_note(c, |org, end| {
        json!(checkpoint(org, end + 1).replace(&format!("\n{}\n", end + 1), "\n9999\n"))
    })),
    alone(Rule::OrgCheckpoint, Mismatch, "no note", |c| org_note(c, |_, _| json!("no note"))),
    alone(Rule::OrgCheckpoint, Mismatch, "none", |c| forget(c, OUR_END, "org_checkpoint")),
    alone(Rule::OrgCheckpoint, Mismatch, "signed by nobody who is trusted", |c| c.verifiers.truncate(1)),
    alone(Rule::PlatformCheckpoint, Mismatch, "a checkpoint of a row too early", |c| our_note(c, |end| json!(checkpoint(PLATFORM_LOG, end - 1)))),
    alone(Rule::PlatformCheckpoint, Mismatch, "a checkpoint of a row too late", |c| our_note(c, |end| json!(checkpoint(PLATFORM_LOG, end + 1)))),
    alone(Rule::PlatformCheckpoint, Mismatch, "the org's own checkpoint", |c| our_note(c, |end| json!(checkpoint("org/o-1", end)))),
    alone(Rule::PlatformCheckpoint, Mismatch, "a number", |c| our_note(c, |_| json!(5))),
    alone(Rule::PlatformCheckpoint, Mismatch, "none", |c| forget(c, THEIR_END, "platform_checkpoint")),
    alone(Rule::PlatformCheckpoint, Mismatch, "signed by nobody who is trusted", |c| { c.verifiers.remove(0); }),
    // What one log recorded of the other is what it begins with.
    alone(Rule::Recorded, Tampered, "the platform log was rewritten after the org log recorded it", |c| our_note(c, |end| json!(rewritten(PLATFORM_LOG, end)))),
    alone(Rule::Recorded, Tampered, "the org log was rewritten after the platform log recorded it", |c| org_note(c, |org, end| json!(rewritten(org, end + 1)))),
    alone(Rule::Recorded, Tampered, "what a start recorded is not what the log begins with", |c| {
        let start = c.row(OUR_START).seq;
        c.set(THEIR_START, "platform_checkpoint", json!(rewritten(PLATFORM_LOG, start + 1)));
    }),
    alone(Rule::Recorded, Mismatch, "a start recorded what is no checkpoint", |c| c.set(THEIR_START, "platform_checkpoint", json!("no note"))),
    // The proofs.
    alone(Rule::PlatformProof, Tampered, "the platform log's proof fails", |c| c.platform_proof = broken()),
    alone(Rule::OrgProof, Tampered, "the org log's proof fails", |c| c.org_proof = broken()),
    alone(Rule::OrgProof, Tampered, "a proof outweighs everything else", |c| {
        c.org[0].outcome = Outcome::Refused;
        c.org_proof = broken();
    }).also(&[(Rule::Outcome, "it was changed as well")]),
];

impl Break {
    const fn also(self, with: &'static [(Rule, &'static str)]) -> Self {
        Self { with, ..self }
    }
}

fn broken() -> ProofState {
    ProofState::Broken("row 3 was changed".into())
}

fn org_note(case: &mut Case, note: fn(&str, u64) -> Value) {
    let end = case.row(THEIR_END).seq;
    case.set(OUR_END, "org_checkpoint", note(&org_log("o-1"), end));
}

fn our_note(case: &mut Case, note: fn(u64) -> Value) {
    let end = case.row(OUR_END).seq;
    case.set(THEIR_END, "platform_checkpoint", note(end));
}

#[test]
fn each_rule_is_broken_by_what_it_is_about_and_no_other_with_it() {
    let mut wrong = Vec::new();
    for b in TABLE {
        let mut case = good();
        assert!(case.judge().rules.iter().all(|r| r.result == RuleState::Passed));
        (b.change)(&mut case);
        let judged = case.judge();
        let failed: Vec<Rule> = judged.failed().map(|result| result.rule).collect();
        let mut expected: Vec<Rule> = b.with.iter().map(|(rule, _)| *rule).collect();
        expected.push(b.rule);
        expected.sort_by_key(|rule| *rule as usize);
        if failed != expected || judged.verdict != b.verdict {
            let saw: Vec<&str> = judged.failed().map(|r| r.saw.as_str()).collect();
            wrong.push(format!(
                "{:?}, {}: expected {:?} by {expected:?}, found {:?} by {failed:?}: {saw:?}",
                b.rule, b.what, b.verdict, judged.verdict
            ));
        }
        assert!(b.with.iter().all(|(_, why)| !why.is_empty()), "{}: say why", b.what);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_an_entry_in_which_it_fails_alone() {
    for (at, rule) in Rule::ALL.into_iter().enumerate() {
        assert_eq!(rule as usize, at, "every rule there is, in its order");
        assert!(
            TABLE.iter().any(|b| b.rule == rule && b.with.is_empty()),
            "{rule:?} has no change that breaks it alone"
        );
    }
    // A rule more must be added here, to the list of all, and to the table.
    let last = |rule: Rule| match rule {
        Rule::PlatformStarted | Rule::OrgStarted | Rule::Rotated | Rule::OrgEnded => false,
        Rule::PlatformEnded | Rule::Belongs | Rule::SameAdmin | Rule::SameOrg => false,
        Rule::SameTicket | Rule::SameReason | Rule::SameTarget | Rule::ActorType => false,
        Rule::Outcome | Rule::SameExpiry | Rule::SameCause | Rule::Order | Rule::Life => false,
        Rule::Counts | Rule::LastSeq | Rule::OrgCheckpoint | Rule::PlatformCheckpoint => false,
        Rule::Recorded | Rule::PlatformProof => false,
        Rule::OrgProof => true,
    };
    assert_eq!(Rule::ALL.into_iter().filter(|rule| last(*rule)).count(), 1);
    assert!(Rule::ALL.last().is_some_and(|rule| last(*rule)));
}

#[test]
fn what_breaks_one_trail_breaks_every_trail() {
    // The table's changes are about the rule, and not about the numbers of one example.
    let others = [
        Shape { platform_seq: 4, org_seq: 90, gap: 1, ..Shape::default() },
        Shape { start: 1 << 50, life: 60_000_000, ..Shape::default() },
    ];
    for shape in others {
        for b in TABLE {
            let mut case = case(&shape);
            (b.change)(&mut case);
            let judged = case.judge();
            assert_ne!(judged.verdict, Verdict::Complete, "{:?}, {}", b.rule, b.what);
            let rule = judged.rule(b.rule).unwrap();
            assert_eq!(rule.result, RuleState::Failed, "{:?}, {}", b.rule, b.what);
        }
    }
}
