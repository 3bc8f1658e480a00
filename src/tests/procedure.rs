//! The procedure from the ticket to the proven trail.

use crate::desk::StepError;
use crate::model::{HandoffState, VersionState, time};
use crate::proof::row::ActorType;
use crate::proof::verdict::{RuleState, Verdict};
use crate::testing::story::{ADA, BEN, LEAKED, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    the_whole_procedure_leaves_exactly_its_rows_and_is_complete,
    a_suspected_leak_leaves_no_overlap_and_the_old_key_dies_with_the_rotation,
    the_overlap_counts_from_the_handoff,
    an_impersonation_is_open_until_it_ends_and_incomplete_without_a_rotation,
    the_handoff_still_leaves_after_the_impersonation_ran_out,
    only_the_holder_hands_off_while_it_is_live,
);

async fn the_whole_procedure_leaves_exactly_its_rows_and_is_complete(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.clock.advance(20 * time::SECOND);
    let rotated = bench.rotate(&grant).await.unwrap();
    assert!(rotated.value.is_none(), "the platform never holds the value");
    bench.clock.advance(10 * time::SECOND);
    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    assert_eq!(handoff.state, HandoffState::Queued);
    assert_eq!(rotated.handoff_id.as_ref(), Some(&handoff.id));

    let (platform, org) = (bench.rows("platform").await, bench.rows("acme").await);
    let named = |rows: &[crate::proof::row::AuditRow]| {
        rows.iter().map(|r| (r.action.clone(), r.actor_type)).collect::<Vec<_>>()
    };
    let admin = ActorType::PlatformAdmin;
    let acting = ActorType::PlatformAdminImpersonating;
    assert_eq!(
        named(&platform),
        [
            ("platform.impersonation_started".to_owned(), admin),
            ("platform.secret_handed_off".to_owned(), admin),
            ("platform.impersonation_ended".to_owned(), admin),
        ]
    );
    assert_eq!(
        named(&org),
        [
            ("impersonation.started".to_owned(), acting),
            ("webhook_signing_key.rotated".to_owned(), acting),
            ("handoff.queued".to_owned(), acting),
            ("impersonation.ended".to_owned(), acting),
        ]
    );
    for row in platform.iter().chain(&org) {
        assert_eq!(row.impersonation_id.as_ref(), Some(&grant.id));
        assert_eq!(row.ticket_ref.as_deref(), Some(STUCK));
        assert_eq!(
            row.reason.as_deref(),
            Some("rotate stuck webhook_signing_key per ticket NOV-4801")
        );
        assert_eq!(row.actor_id, ADA);
        assert_eq!(row.secret_id.as_deref(), Some("whk_acme"));
    }
    for end in [&platform[2], &org[3]] {
        assert_eq!(end.detail_str("cause"), Some("handoff"));
        assert_eq!(end.detail_i64("platform_rows"), Some(3));
        assert_eq!(end.detail_i64("org_rows"), Some(4));
        assert_eq!(end.detail_i64("platform_last_seq"), Some(2));
        // Before them stands what is on record of the org.
        assert_eq!(end.detail_i64("org_last_seq"), Some(4));
    }

    let verdict = bench.verdict(&grant.id).await;
    assert_eq!(verdict.verdict, Verdict::Complete, "{verdict:#?}");
    assert!(verdict.rules.iter().all(|r| r.result == RuleState::Passed), "{verdict:#?}");
    let records = "SELECT COUNT(*) FROM audit_entry WHERE action = 'org.recorded'";
    let records = u64::try_from(bench.number(records).await).unwrap();
    assert_eq!(bench.verify_all().await.unwrap(), 7 + records);
    // The start, the new secret and the end are told to the Owner, and nobody else gets mail.
    assert_eq!(bench.desk.send_due().await.unwrap(), 3);
    assert_eq!(bench.mailbox.to("owner@acme.example").len(), 3);
    assert_eq!(bench.mailbox.all().len(), 3);
}

async fn a_suspected_leak_leaves_no_overlap_and_the_old_key_dies_with_the_rotation(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, LEAKED).await.unwrap();
    assert_eq!(bench.accepted("whk_birch").await, [1]);
    let rotated = bench.rotate(&grant).await.unwrap();
    assert_eq!(rotated.old_valid_until, Some(bench.now()));
    assert_eq!(bench.accepted("whk_birch").await, [2]);
    let old = &bench.versions("whk_birch").await[1];
    assert_eq!((old.state, &old.sealed), (VersionState::Retired, &None), "its value is erased");
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let row = &bench.rows_of("birch", "webhook_signing_key.rotated").await[0];
    assert_eq!(row.details["suspected_leak"], true);
    assert_eq!(row.detail_i64("overlap_seconds"), Some(0));
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
}

async fn the_overlap_counts_from_the_handoff(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let rotated = bench.rotate(&grant).await.unwrap();
    assert_eq!(rotated.old_valid_until, None, "it hangs on the handoff");
    bench.clock.advance(14 * time::MINUTE);
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.clock.advance(time::HOUR);
    assert_eq!(bench.versions("whk_acme").await[1].retires_at, None, "nobody has it yet");
    bench.desk.send_due().await.unwrap();
    assert_eq!(bench.versions("whk_acme").await[1].retires_at, Some(bench.now() + time::DAY));

    bench.clock.advance(time::DAY - 1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(bench.accepted("whk_acme").await, [2, 1]);
    bench.clock.advance(1);
    assert_eq!(bench.accepted("whk_acme").await, [2], "to the microsecond, swept or not");
    bench.desk.sweep().await.unwrap();
    assert!(bench.versions("whk_acme").await[1].sealed.is_none(), "and then it is erased");
}

async fn an_impersonation_is_open_until_it_ends_and_incomplete_without_a_rotation(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Open);
    bench.end(&ada, &grant.id).await.unwrap();
    let verdict = bench.verdict(&grant.id).await;
    assert_eq!(verdict.verdict, Verdict::Incomplete);
    assert_eq!(verdict.failed().map(|r| r.rule.id()).collect::<Vec<_>>(), ["rotated"]);
}

/// Without it the customer would be left without the new secret.
async fn the_handoff_still_leaves_after_the_impersonation_ran_out(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.clock.advance(16 * time::MINUTE);
    bench.desk.sweep().await.unwrap();
    // Any platform admin may, as the one who began may be gone.
    let ben = bench.at_work(BEN).await;
    assert_eq!(bench.hand_off(&ben, &grant.id).await.unwrap().state, HandoffState::Queued);
    let again = bench.hand_off(&ben, &grant.id).await;
    assert!(matches!(again, Err(StepError::Conflict(_))), "once");
    let row = &bench.rows_of("acme", "handoff.queued").await[0];
    assert_eq!(row.impersonation_id, None, "the trail was closed before");
    assert_eq!(row.detail_str("after_impersonation"), Some(grant.id.as_str()));
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
    bench.verify_all().await.unwrap();
}

async fn only_the_holder_hands_off_while_it_is_live(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let ben = bench.at_work(BEN).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let early = bench.hand_off(&ada, &grant.id).await;
    assert!(matches!(early, Err(StepError::Conflict(_))), "there is nothing to hand off yet");
    bench.rotate(&grant).await.unwrap();
    let other = bench.hand_off(&ben, &grant.id).await;
    assert!(matches!(other, Err(StepError::Forbidden(_))));
    assert_eq!(bench.handoff_of(&grant.id).await.state, HandoffState::Sealed);
    assert!(bench.grant(&grant.id).await.ended_at.is_none());
}
