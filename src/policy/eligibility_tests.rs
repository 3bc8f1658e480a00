//! What the nine checks must keep: no input with a failed check is eligible, every refusal names
//! each failed check, and the order of facts makes no difference.

use proptest::prelude::*;

use super::eligibility::{
    Check, Facts, HandoffFacts, Kept, LiveFacts, MemberFacts, Mend, OLDEST_COPY, OrgFacts,
    OwnerFacts, PROOF_LIFE, RecordFacts, SecretFacts, TicketFacts, decide,
};
use crate::model::{Channel, Consent, MemberRole, Micros, SecretType, Standing, TicketState, time};
use crate::proof::org_record::Part;

const NOW: Micros = 1_800_000_000 * time::SECOND;

fn good() -> Facts {
    Facts {
        ticket_id: "NOV-1".into(),
        ticket: Some(TicketFacts {
            state: TicketState::Open,
            filed_at: NOW - time::HOUR,
            requester_name: "Olive Ownsby".into(),
            authenticated: Some(("support SSO".into(), NOW - time::HOUR)),
            proof_life: PROOF_LIFE,
            kept: Kept::Here,
        }),
        org: Some(OrgFacts {
            id: "org-1".into(),
            name: "Acme".into(),
            consent: Consent::UntilWithdrawn,
            consent_changed_at: Some(0),
            consent_reminded_at: None,
        }),
        owner: Some(OwnerFacts {
            member_id: "m1".into(),
            name: "Olive".into(),
            since: NOW - 900 * time::DAY,
            unreachable: None,
        }),
        requester: Some(member("m1", MemberRole::Owner, Standing::LockedOut)),
        members: Some(vec![
            member("m1", MemberRole::Owner, Standing::LockedOut),
            member("m2", MemberRole::Admin, Standing::Departed),
            member("m3", MemberRole::Operator, Standing::Active),
        ]),
        secret: SecretFacts::Known {
            id: "whk_1".into(),
            secret_type: SecretType::WebhookSigningKey,
            version: 3,
        },
        handoff: HandoffFacts::Works {
            channel: Channel::Pgp,
            to: "AB12".into(),
            expires_at: Some(NOW + time::DAY),
        },
        record: RecordFacts::Proven { row: 0 },
        live: Some(vec![]),
    }
}

fn member(id: &str, role: MemberRole, standing: Standing) -> MemberFacts {
    MemberFacts { id: id.into(), role, standing }
}

fn outside(told_at: Option<Micros>) -> Kept {
    Kept::Outside { system: "Zendesk".into(), told_at }
}

#[test]
fn a_copy_of_a_ticket_counts_for_a_minute_and_no_longer() {
    let mut facts = good();
    for told_at in [NOW, NOW - OLDEST_COPY] {
        facts.ticket.as_mut().unwrap().kept = outside(Some(told_at));
        assert!(decide(&facts, NOW).eligible(), "{told_at}");
    }
    facts.ticket.as_mut().unwrap().kept = outside(Some(NOW - OLDEST_COPY - 1));
    let verdict = decide(&facts, NOW);
    assert_eq!(verdict.failed_names(), ["ticket_open"]);
    assert!(verdict.failed().next().unwrap().saw.contains("the ticket system did not answer"));
}

#[test]
fn the_good_case_is_eligible_and_lists_all_nine_checks() {
    let verdict = decide(&good(), NOW);
    assert!(verdict.eligible(), "{verdict:#?}");
    assert_eq!(verdict.findings.iter().map(|f| f.check).collect::<Vec<_>>(), Check::ALL);
}

/// Ways to break exactly the check named, leaving the others as they are.
fn breakages() -> Vec<(Check, Facts)> {
    let mut all = Vec::new();
    let mut add = |check, change: &dyn Fn(&mut Facts)| {
        let mut facts = good();
        change(&mut facts);
        all.push((check, facts));
    };
    for state in [TicketState::Escalated, TicketState::Solved, TicketState::Closed] {
        add(Check::TicketOpen, &|f| f.ticket.as_mut().unwrap().state = state);
    }
    for told_at in [None, Some(NOW - OLDEST_COPY - 1), Some(NOW + 1)] {
        add(Check::TicketOpen, &|f| f.ticket.as_mut().unwrap().kept = outside(told_at));
    }
    add(Check::RequesterAuthenticated, &|f| f.ticket.as_mut().unwrap().authenticated = None);
    add(Check::RequesterAuthenticated, &|f| {
        f.ticket.as_mut().unwrap().authenticated = Some((" ".into(), 0))
    });
    add(Check::RequesterAuthenticated, &|f| {
        f.ticket.as_mut().unwrap().authenticated = Some(("SSO".into(), NOW + 1))
    });
    add(Check::RequesterIsOwner, &|f| f.requester = None);
    for role in MemberRole::ALL {
        // A second member with role owner is not the Owner of record either.
        add(Check::RequesterIsOwner, &|f| {
            f.requester = Some(member("m9", *role, Standing::LockedOut))
        });
    }
    add(Check::RequesterIsOwner, &|f| f.owner.as_mut().unwrap().since = NOW - time::MINUTE);
    add(Check::RequesterIsOwner, &|f| f.owner.as_mut().unwrap().since = NOW - time::HOUR);
    add(Check::OwnerReachable, &|f| {
        f.owner.as_mut().unwrap().unreachable = Some((NOW, "3 calls".into()))
    });
    add(Check::SelfServiceUnavailable, &|f| {
        f.members.as_mut().unwrap()[1].standing = Standing::Active
    });
    add(Check::SelfServiceUnavailable, &|f| {
        f.members.as_mut().unwrap()[0].standing = Standing::Active
    });
    add(Check::SelfServiceUnavailable, &|f| f.members = None);
    add(Check::Consent, &|f| f.org.as_mut().unwrap().consent = Consent::Off);
    add(Check::Consent, &|f| f.org.as_mut().unwrap().consent = Consent::ForTicket("NOV-2".into()));
    add(Check::Consent, &|f| f.org = None);
    add(Check::SecretKnown, &|f| f.secret = SecretFacts::NotNamed);
    add(Check::SecretKnown, &|f| f.secret = SecretFacts::Missing { id: "x".into() });
    add(Check::SecretKnown, &|f| f.secret = SecretFacts::OfAnotherOrg { id: "x".into() });
    add(Check::SecretKnown, &|f| {
        f.secret = SecretFacts::WrongType { id: "x".into(), found: "y".into() }
    });
    add(Check::HandoffPossible, &|f| f.handoff = HandoffFacts::NoChannel);
    add(Check::HandoffPossible, &|f| {
        f.handoff =
            HandoffFacts::Broken { channel: Channel::Pgp, problem: "revoked".into(), mend: None };
    });
    add(Check::HandoffPossible, &|f| {
        f.handoff =
            HandoffFacts::Works { channel: Channel::Pgp, to: "AB".into(), expires_at: Some(NOW) };
    });
    add(Check::NothingElseOpen, &|f| f.live = None);
    add(Check::NothingElseOpen, &|f| {
        f.live =
            Some(vec![LiveFacts { id: "i".into(), ticket_id: "NOV-2".into(), same_admin: true }]);
    });
    all
}

#[test]
fn each_breakage_fails_its_own_check_and_no_other() {
    let mut broken = std::collections::HashSet::new();
    for (check, facts) in breakages() {
        let verdict = decide(&facts, NOW);
        assert!(!verdict.eligible());
        assert_eq!(verdict.failed_names(), vec![check.as_str()], "{facts:#?}");
        let finding = verdict.failed().next().unwrap();
        assert!(!finding.saw.is_empty() && !finding.advice.is_empty(), "{finding:?}");
        broken.insert(check);
    }
    assert_eq!(broken.len(), Check::ALL.len(), "every check has a test that breaks it");
}

#[test]
fn an_admin_is_sent_to_self_service_and_an_operator_is_refused() {
    let mut facts = good();
    facts.requester = Some(member("m2", MemberRole::Admin, Standing::Departed));
    assert!(decide(&facts, NOW).reply().unwrap().contains("Rotate API keys"));
    facts.requester = Some(member("m3", MemberRole::Operator, Standing::Active));
    let verdict = decide(&facts, NOW);
    assert!(verdict.reply().unwrap().contains("Owner"));
    assert!(verdict.failed().next().unwrap().advice.contains("never authorised"));
}

/// What the check says of the consent that it saw.
#[test]
fn consent_for_one_ticket_says_which_and_serves_no_other() {
    let saw = |consent: Consent| {
        let mut facts = good();
        facts.org.as_mut().unwrap().consent = consent;
        let verdict = decide(&facts, NOW);
        let found = verdict.findings.iter().find(|f| f.check == Check::Consent).unwrap().clone();
        (found.passed, verdict.eligible(), found.saw)
    };
    let until = (true, true, "given until withdrawn, on 1970-01-01".to_owned());
    assert_eq!(saw(Consent::UntilWithdrawn), until);
    let this = (true, true, "given for NOV-1 only, on 1970-01-01".to_owned());
    assert_eq!(saw(Consent::ForTicket("NOV-1".into())), this);
    let other = (false, false, "given for NOV-2 only, not for this ticket".to_owned());
    assert_eq!(saw(Consent::ForTicket("NOV-2".into())), other);
}

#[test]
fn a_missing_ticket_fails_what_hangs_on_it_and_says_so() {
    let mut facts = good();
    facts.ticket = None;
    let verdict = decide(&facts, NOW);
    assert_eq!(
        verdict.failed_names(),
        ["ticket_open", "requester_authenticated", "requester_is_owner"]
    );
}

/// Protects against whoever can write to the database: each check that rests on the org's tables
/// fails where its log says something else, and no other.
#[test]
fn what_the_log_does_not_prove_does_not_count() {
    for (part, check) in [
        (Part::Consent, "consent"),
        (Part::Owner, "requester_is_owner"),
        (Part::Reachable, "owner_reachable"),
        (Part::Members, "self_service_unavailable"),
        (Part::Channel, "handoff_possible"),
    ] {
        let mut facts = good();
        facts.record = RecordFacts::Differs { row: 7, parts: vec![part] };
        let verdict = decide(&facts, NOW);
        assert_eq!(verdict.failed_names(), [check]);
        let failed = verdict.failed().next().unwrap();
        assert!(failed.saw.contains("row 7") && failed.advice.contains("call security"));
    }
    let mut facts = good();
    facts.record = RecordFacts::Unproven("row 7 is missing".to_owned());
    assert_eq!(decide(&facts, NOW).failed_names().len(), 5);
}

#[test]
fn self_service_names_roles_and_no_people() {
    let mut facts = good();
    facts.members.as_mut().unwrap()[1].standing = Standing::Active;
    let verdict = decide(&facts, NOW);
    let finding = verdict.failed().next().unwrap();
    assert!(finding.reply.contains("1 active Admin"));
    assert!(!finding.reply.contains("m2"));
}

fn word<T: Copy + std::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

prop_compose! {
    fn any_member()(id in "m[1-4]", role in word(MemberRole::ALL), standing in word(Standing::ALL)) -> MemberFacts {
        MemberFacts { id, role, standing }
    }
}

fn any_consent() -> impl Strategy<Value = Consent> {
    prop_oneof![
        Just(Consent::Off),
        Just(Consent::UntilWithdrawn),
        prop::sample::select(vec!["NOV-1", "NOV-2", "NOV-11", "nov-1", ""])
            .prop_map(|ticket| Consent::ForTicket(ticket.to_owned())),
    ]
}

fn any_record() -> impl Strategy<Value = RecordFacts> {
    let part = word(&[Part::Consent, Part::Owner, Part::Reachable, Part::Members, Part::Channel]);
    prop_oneof![
        Just(RecordFacts::NotAsked),
        Just(RecordFacts::Proven { row: 3 }),
        Just(RecordFacts::Unproven("gone".to_owned())),
        prop::collection::vec(part, 1..3).prop_map(|parts| RecordFacts::Differs { row: 3, parts }),
    ]
}

prop_compose! {
    fn any_facts()(
        state in prop::option::of(word(TicketState::ALL)),
        filed in -2i64..2,
        kept in prop::option::of(prop::option::of(-1i64..120)),
        authenticated in prop::option::of((prop::sample::select(vec!["", "SSO"]), -1i64..2)),
        consent in prop::option::of(any_consent()),
        owner in prop::option::of(("m[1-2]", -3i64..3, any::<bool>())),
        requester in prop::option::of(any_member()),
        members in prop::option::of(prop::collection::vec(any_member(), 0..5)),
        secret in 0..5,
        handoff in 0..4,
        live in prop::option::of(prop::collection::vec(("[a-d]", any::<bool>()), 0..3)),
        record in any_record(),
    ) -> Facts {
        Facts {
            ticket_id: "NOV-1".into(),
            ticket: state.map(|state| TicketFacts {
                state,
                filed_at: NOW + filed,
                requester_name: "R".into(),
                authenticated: authenticated.map(|(how, at)| (how.to_owned(), NOW + at)),
                proof_life: PROOF_LIFE,
                kept: kept.map_or(Kept::Here, |told| outside(told.map(|ago| NOW - ago * time::SECOND))),
            }),
            org: consent.map(|consent| OrgFacts { id: "o".into(), name: "O".into(), consent, consent_changed_at: None, consent_reminded_at: None }),
            owner: owner.map(|(member_id, since, lost)| OwnerFacts {
                member_id, name: "O".into(), since: NOW + since, unreachable: lost.then(|| (NOW, "calls".into())),
            }),
            requester,
            members,
            secret: match secret {
                0 => SecretFacts::NotNamed,
                1 => SecretFacts::Missing { id: "s".into() },
                2 => SecretFacts::OfAnotherOrg { id: "s".into() },
                3 => SecretFacts::WrongType { id: "s".into(), found: "f".into() },
                _ => SecretFacts::Known { id: "s".into(), secret_type: SecretType::VaultToken, version: 1 },
            },
            handoff: match handoff {
                0 => HandoffFacts::NoChannel,
                1 => HandoffFacts::Broken { channel: Channel::Pgp, problem: "p".into(), mend: None },
                2 => HandoffFacts::Works { channel: Channel::Pgp, to: "t".into(), expires_at: Some(NOW) },
                _ => HandoffFacts::Works { channel: Channel::OnePassword, to: "t".into(), expires_at: None },
            },
            record,
            live: live.map(|l| l.into_iter().map(|(id, same_admin)| LiveFacts { id, ticket_id: "NOV-2".into(), same_admin }).collect()),
        }
    }
}

/// The same rules, said once more and differently: what must hold of an eligible ticket.
fn all_hold(f: &Facts) -> bool {
    let (Some(t), Some(org), Some(owner), Some(r), Some(members), Some(live)) =
        (&f.ticket, &f.org, &f.owner, &f.requester, &f.members, &f.live)
    else {
        return false;
    };
    [TicketState::Open, TicketState::Pending].contains(&t.state)
        && match &t.kept {
            Kept::Here => true,
            Kept::Outside { told_at, .. } => {
                told_at.is_some_and(|at| (0..=60 * time::SECOND).contains(&(NOW - at)))
            }
        }
        && t.authenticated.as_ref().is_some_and(|(how, at)| !how.is_empty() && *at <= NOW)
        && matches!(f.record, RecordFacts::NotAsked | RecordFacts::Proven { .. })
        && r.id == owner.member_id
        && owner.since < t.filed_at
        && owner.unreachable.is_none()
        && !members.iter().any(|m| {
            m.standing == Standing::Active
                && [MemberRole::Owner, MemberRole::Admin].contains(&m.role)
        })
        && match &org.consent {
            Consent::Off => false,
            Consent::UntilWithdrawn => true,
            Consent::ForTicket(only) => only == &f.ticket_id,
        }
        && matches!(f.secret, SecretFacts::Known { .. })
        && matches!(&f.handoff, HandoffFacts::Works { expires_at, .. } if expires_at.is_none_or(|at| at > NOW))
        && live.is_empty()
}

proptest! {
    #[test]
    fn eligible_means_that_every_rule_holds(facts in any_facts()) {
        let verdict = decide(&facts, NOW);
        prop_assert_eq!(verdict.eligible(), all_hold(&facts));
        prop_assert_eq!(verdict.findings.len(), Check::ALL.len());
    }

    #[test]
    fn any_failed_check_makes_it_ineligible_and_is_named(facts in any_facts()) {
        let verdict = decide(&facts, NOW);
        for finding in verdict.failed() {
            prop_assert!(!verdict.eligible());
            prop_assert!(verdict.failed_names().contains(&finding.check.as_str()));
            prop_assert!(!finding.saw.is_empty());
            prop_assert!(!finding.advice.is_empty());
        }
    }

    #[test]
    fn breaking_more_never_mends_anything(picks in prop::collection::vec(0usize..20, 1..4)) {
        let all = breakages();
        let (check, facts) = &all[picks[0] % all.len()];
        prop_assert!(!decide(facts, NOW).eligible());
        prop_assert!(decide(facts, NOW).failed_names().contains(&check.as_str()));
    }

    #[test]
    fn the_order_of_facts_makes_no_difference(facts in any_facts(), seed in any::<u64>()) {
        let before = decide(&facts, NOW);
        let mut shuffled = facts;
        let turn = |len: usize| if len == 0 { 0 } else { usize::try_from(seed % 97).unwrap() % len };
        if let Some(members) = &mut shuffled.members {
            members.reverse();
            let by = turn(members.len());
            members.rotate_left(by);
        }
        if let Some(live) = &mut shuffled.live {
            live.sort_by(|a, b| b.id.cmp(&a.id).then(a.same_admin.cmp(&b.same_admin)));
            live.dedup_by(|a, b| a.id == b.id);
            let after = decide(&shuffled, NOW);
            live_reversed(&mut shuffled);
            prop_assert_eq!(&after, &decide(&shuffled, NOW));
        }
        let after = decide(&shuffled, NOW);
        prop_assert_eq!(before.failed_names(), after.failed_names());
    }
}

fn live_reversed(facts: &mut Facts) {
    if let Some(live) = &mut facts.live {
        live.reverse();
    }
}

/// Every sentence that staff and customers read of a refusal. A change of wording shows here.
#[test]
fn what_a_refusal_says() {
    let text: Vec<String> = breakages()
        .into_iter()
        .map(|(check, facts)| {
            let verdict = decide(&facts, NOW);
            let finding = verdict.failed().next().unwrap().clone();
            format!(
                "{check}\n  saw: {}\n  do: {}\n  reply: {}",
                finding.saw, finding.advice, finding.reply
            )
        })
        .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}

/// Protects the Owner from a reply that they cannot act on: it says what is wrong, and each command.
#[test]
fn the_reply_about_a_key_has_the_commands_that_mend_it() {
    let reply = |mend| {
        let mut f = good();
        let (channel, problem) = (Channel::Pgp, "it expired".to_owned());
        f.handoff = HandoffFacts::Broken { channel, problem, mend };
        decide(&f, NOW).reply().unwrap().to_owned()
    };
    let commands = vec!["gpg --one AB".to_owned(), "gpg --two AB".to_owned()];
    let with = reply(Some(Mend { reason: "this key expired on 2026-03-01".into(), commands }));
    assert!(with.contains("for you: this key expired on 2026-03-01."), "{with}");
    assert!(with.contains("\n\ngpg --one AB\ngpg --two AB\n\n"), "{with}");
    let without = reply(Some(Mend { reason: "the Owner has revoked it".into(), commands: vec![] }));
    assert!(without.starts_with(&reply(None)) && without.contains("revoked"), "{without}");
}

/// Protects an org from what somebody once signed in for.
#[test]
fn a_proof_of_the_requester_counts_for_its_time_and_no_microsecond_longer() {
    let found = |life: Micros, ago: Micros, filed: Micros| {
        let mut facts = good();
        let ticket = facts.ticket.as_mut().unwrap();
        ticket.proof_life = life;
        ticket.authenticated = Some(("support SSO".into(), NOW - ago));
        ticket.filed_at = NOW - filed;
        let verdict = decide(&facts, NOW);
        let failed = verdict.failed_names();
        assert_eq!(failed.is_empty(), verdict.eligible());
        assert!(failed.is_empty() || failed == ["requester_authenticated"], "{failed:?}");
        verdict.failed().next().cloned()
    };
    const DAY: Micros = time::DAY;
    assert_eq!(found(PROOF_LIFE, 7 * DAY, 7 * DAY), None);
    let old = found(PROOF_LIFE, 7 * DAY + 1, 8 * DAY).unwrap();
    assert!(old.saw.contains("counts for 7 d") && !old.saw.contains("month"), "{}", old.saw);
    assert!(old.advice.contains("sign in") && old.reply.contains("sign in"));
    // It is set otherwise.
    assert_eq!(found(DAY, DAY, DAY), None);
    assert!(found(DAY, DAY + 1, DAY + 1).is_some());
    // A ticket of long ago counts where its Owner has answered since, and only then.
    assert_eq!(found(PROOF_LIFE, DAY, 90 * DAY), None);
    let old = found(PROOF_LIFE, 90 * DAY, 90 * DAY).unwrap();
    assert!(old.saw.contains("more than a month ago"), "{}", old.saw);
    assert!(old.reply.contains("still want"), "{}", old.reply);
    // No setting makes more than a month of it.
    assert_eq!(found(Micros::MAX, 30 * DAY, 90 * DAY), None);
    assert!(found(Micros::MAX, 30 * DAY + 1, 90 * DAY).is_some());
}
