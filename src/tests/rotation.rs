//! Rotation: self-service and impersonation through the same function, all of it or nothing.

use secrecy::ExposeSecret as _;

use crate::desk::rotate::{Ask, LONGEST_OVERLAP};
use crate::desk::{Step, StepError};
use crate::model::{Standing, time};
use crate::proof::row::{ActorType, Outcome};
use crate::secrets::webhook_key::WebhookKey;
use crate::store::orgs;
use crate::testing::story::{ADA, BEN, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    an_owner_and_an_admin_get_the_new_value_once,
    the_same_idempotency_key_gives_the_same_rotation_without_the_value,
    an_idempotency_key_is_the_callers_own,
    an_operator_may_not_and_another_orgs_secret_is_not_there,
    who_has_left_or_was_barred_may_not_rotate_with_an_old_credential,
    an_overlap_stands_in_the_way_until_asked_for_or_ended,
    a_leak_ends_every_overlap_at_once,
    what_makes_no_sense_is_refused,
    eight_at_once_lose_no_version,
    eight_at_once_under_one_token_rotate_once,
    two_admins_at_once_begin_one_impersonation,
    a_row_that_cannot_be_written_leaves_nothing_changed,
    an_older_key_that_waits_for_a_handoff_dies_with_the_next_one,
);

fn ask() -> Ask {
    Ask::default()
}

fn keyed(key: &str) -> Ask {
    Ask { idempotency_key: Some(key.to_owned()), ..ask() }
}

async fn end_overlap(bench: &Bench, member: &str, secret: &str) -> Step<()> {
    let member = bench.member(member).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.end_overlap(&mut tx, &member, secret, None).await;
    bench.desk.settle(tx, step).await
}

async fn an_owner_and_an_admin_get_the_new_value_once(bench: Bench) {
    for (nth, member) in ["acme-owner", "hazel-admin"].into_iter().enumerate() {
        let secret = ["whk_acme", "whk_hazel"][nth];
        let rotated = bench.self_service(member, secret, &ask()).await.unwrap();
        assert!(WebhookKey::parse(rotated.value.unwrap()).is_ok());
        assert_eq!(rotated.handoff_id, None);
        assert_eq!(rotated.old_valid_until, Some(bench.now() + time::DAY));
        let org = member.split('-').next().unwrap();
        let rows = bench.rows(org).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].action, "webhook_signing_key.rotated");
        assert_eq!(rows[0].actor_type, ActorType::OrgMember);
        assert_eq!(rows[0].actor_id, member);
        assert_eq!(rows[0].impersonation_id, None);
    }
    assert!(bench.rows("platform").await.is_empty(), "it is not the platform's business");
    bench.verify_all().await.unwrap();
}

async fn the_same_idempotency_key_gives_the_same_rotation_without_the_value(bench: Bench) {
    let first = bench.self_service("acme-owner", "whk_acme", &keyed("k1")).await.unwrap();
    let again = bench.self_service("acme-owner", "whk_acme", &keyed("k1")).await.unwrap();
    assert_eq!(again.rotation, first.rotation);
    assert!(again.replayed && !first.replayed);
    assert!(first.value.is_some() && again.value.is_none());
    assert_eq!(again.old_valid_until, first.old_valid_until);
    let other = Ask { suspected_leak: true, ..keyed("k1") };
    let reused = bench.self_service("acme-owner", "whk_acme", &other).await;
    assert!(matches!(reused, Err(StepError::KeyReused)), "{reused:?}");
    let reused = bench.self_service("acme-owner", "whk_acme_2", &keyed("k1")).await;
    assert!(matches!(reused, Err(StepError::KeyReused)), "{reused:?}");
    assert_eq!(bench.rows("acme").await.len(), 1);
    assert_eq!(bench.accepted("whk_acme").await, [2, 1]);
}

async fn an_idempotency_key_is_the_callers_own(bench: Bench) {
    bench.self_service("acme-owner", "whk_acme", &keyed("k1")).await.unwrap();
    let birch = bench.self_service("birch-owner", "whk_birch", &keyed("k1")).await.unwrap();
    assert!(!birch.replayed && birch.value.is_some());
}

async fn an_operator_may_not_and_another_orgs_secret_is_not_there(bench: Bench) {
    let operator = bench.self_service("acme-operator", "whk_acme", &ask()).await;
    assert!(matches!(operator, Err(StepError::Forbidden(_))), "{operator:?}");
    let foreign = bench.self_service("acme-owner", "whk_birch", &ask()).await;
    assert!(matches!(foreign, Err(StepError::NotFound)), "{foreign:?}");
    let nothing = bench.self_service("acme-owner", "whk_nothing", &ask()).await;
    assert!(matches!(nothing, Err(StepError::NotFound)), "{nothing:?}");
    assert!(matches!(
        end_overlap(&bench, "acme-operator", "whk_acme").await,
        Err(StepError::Forbidden(_))
    ));
    assert_eq!(bench.number("SELECT COUNT(*) FROM rotation").await, 0);
}

/// Also where the credential was read before the standing changed.
async fn who_has_left_or_was_barred_may_not_rotate_with_an_old_credential(bench: Bench) {
    bench.self_service("hazel-admin", "whk_hazel", &ask()).await.unwrap();
    let read_before = bench.member("hazel-admin").await;
    for standing in [Standing::Departed, Standing::Suspended] {
        {
            let mut conn = bench.desk.store.read().await.unwrap();
            orgs::set_standing(&mut conn, "hazel-admin", standing).await.unwrap();
        }
        let caller = crate::desk::rotate::Caller::Member(Box::new(read_before.clone()));
        let during = Ask { during_overlap: true, ..ask() };
        let step = bench.rotate_as(&caller, "whk_hazel", &during).await;
        assert!(matches!(step, Err(StepError::Forbidden(_))), "{standing}: {step:?}");
        let step = end_overlap(&bench, "hazel-admin", "whk_hazel").await;
        assert!(matches!(step, Err(StepError::Forbidden(_))), "{standing}: {step:?}");
    }
    assert_eq!(bench.accepted("whk_hazel").await, [2, 1]);
}

async fn an_overlap_stands_in_the_way_until_asked_for_or_ended(bench: Bench) {
    bench.self_service("acme-owner", "whk_acme", &ask()).await.unwrap();
    let second = bench.self_service("acme-owner", "whk_acme", &ask()).await;
    assert!(matches!(second, Err(StepError::Conflict(_))), "{second:?}");
    let during = Ask { during_overlap: true, ..ask() };
    bench.self_service("acme-owner", "whk_acme", &during).await.unwrap();
    assert_eq!(bench.accepted("whk_acme").await, [3, 2, 1]);
    end_overlap(&bench, "acme-owner", "whk_acme").await.unwrap();
    assert_eq!(bench.accepted("whk_acme").await, [3]);
    assert!(bench.versions("whk_acme").await[1..].iter().all(|v| v.sealed.is_none()));
    let row = bench.rows("acme").await.pop().unwrap();
    assert_eq!(row.action, "webhook.overlap_ended");
    assert_eq!(row.details["retired_versions"], serde_json::json!([2, 1]));
    assert!(matches!(
        end_overlap(&bench, "acme-owner", "whk_acme").await,
        Err(StepError::Conflict(_))
    ));
    bench.self_service("acme-owner", "whk_acme", &ask()).await.unwrap();
    bench.clock.advance(time::DAY);
    // Over by itself, whether or not the sweeper came by.
    bench.self_service("acme-owner", "whk_acme", &ask()).await.unwrap();
}

async fn a_leak_ends_every_overlap_at_once(bench: Bench) {
    bench.self_service("acme-owner", "whk_acme", &ask()).await.unwrap();
    let leak = Ask { suspected_leak: true, during_overlap: true, ..ask() };
    let rotated = bench.self_service("acme-owner", "whk_acme", &leak).await.unwrap();
    assert_eq!(rotated.old_valid_until, Some(bench.now()));
    assert_eq!(bench.accepted("whk_acme").await, [3]);
    let none = Ask { overlap_seconds: Some(0), ..ask() };
    bench.self_service("acme-owner", "whk_acme", &none).await.unwrap();
    assert_eq!(bench.accepted("whk_acme").await, [4]);
}

async fn what_makes_no_sense_is_refused(bench: Bench) {
    for bad in [
        Ask { overlap_seconds: Some(-1), ..ask() },
        Ask { overlap_seconds: Some(LONGEST_OVERLAP + 1), ..ask() },
        keyed(""),
        keyed(&"k".repeat(201)),
        keyed("schlüssel"),
    ] {
        let step = bench.self_service("acme-owner", "whk_acme", &bad).await;
        assert!(matches!(step, Err(StepError::Invalid(_))), "{bad:?}: {step:?}");
    }
    let longest = Ask { overlap_seconds: Some(LONGEST_OVERLAP), ..keyed(&"k".repeat(200)) };
    bench.self_service("acme-owner", "whk_acme", &longest).await.unwrap();
}

async fn eight_at_once_lose_no_version(bench: Bench) {
    let during = Ask { during_overlap: true, ..ask() };
    let one = || bench.self_service("acme-owner", "whk_acme", &during);
    let all = tokio::join!(one(), one(), one(), one(), one(), one(), one(), one());
    let all = [all.0, all.1, all.2, all.3, all.4, all.5, all.6, all.7];
    let mut made: Vec<i64> = all.iter().flatten().map(|r| r.rotation.to_version).collect();
    made.sort_unstable();
    let expected: Vec<i64> = (2..).take(made.len()).collect();
    assert!(!made.is_empty());
    assert_eq!(made, expected, "consecutive, and each once");
    let mut values: Vec<String> =
        all.into_iter().flatten().map(|r| r.value.unwrap().expose_secret().to_owned()).collect();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), made.len(), "each with a value of its own");
    let versions = bench.versions("whk_acme").await;
    assert_eq!(versions.len(), made.len() + 1);
    assert_eq!(
        bench.number("SELECT version FROM secret WHERE id = 'whk_acme'").await,
        versions[0].version
    );
    assert_eq!(bench.rows_of("acme", "webhook_signing_key.rotated").await.len(), made.len());
    bench.verify_all().await.unwrap();
}

async fn eight_at_once_under_one_token_rotate_once(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let one = || bench.rotate(&grant);
    let all = tokio::join!(one(), one(), one(), one(), one(), one(), one(), one());
    let all = [all.0, all.1, all.2, all.3, all.4, all.5, all.6, all.7];
    assert_eq!(all.iter().filter(|r| r.is_ok()).count(), 1);
    let lost = all.iter().filter(|r| matches!(r, Err(StepError::Conflict(_)))).count();
    assert_eq!(lost, 7, "{all:?}");
    assert_eq!(bench.versions("whk_acme").await.len(), 2);
    assert_eq!(bench.number("SELECT COUNT(*) FROM handoff").await, 1);
}

async fn two_admins_at_once_begin_one_impersonation(bench: Bench) {
    let (ada, ben) = (bench.at_work(ADA).await, bench.at_work(BEN).await);
    let (one, two) = tokio::join!(bench.impersonate(&ada, STUCK), bench.impersonate(&ben, STUCK));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
    let loser = one.err().or(two.err()).unwrap();
    assert!(matches!(loser, StepError::Refused(_) | StepError::Conflict(_)), "{loser:?}");
    assert_eq!(bench.rows("acme").await.len(), 1);
    bench.verify_all().await.unwrap();
}

/// The database refuses the audit row at the last moment.
async fn a_row_that_cannot_be_written_leaves_nothing_changed(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.refuse_rows("%.rotated").await;
    let before = bench.versions("whk_acme").await;
    let step = bench.rotate(&grant).await;
    assert!(matches!(step, Err(StepError::Store(_) | StepError::Audit(_))), "{step:?}");
    assert_eq!(bench.versions("whk_acme").await, before);
    assert_eq!(bench.accepted("whk_acme").await, [1]);
    for table in ["rotation", "handoff"] {
        assert_eq!(bench.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    let failed = bench.rows("acme").await.pop().unwrap();
    assert_eq!(failed.action, "webhook_signing_key.rotation_failed");
    assert_eq!(failed.outcome, Outcome::Failed);
    assert_eq!(failed.impersonation_id.as_ref(), Some(&grant.id));

    // Mended, the same token does it, and the trail of both attempts is complete.
    bench.take_rows_again().await;
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let verdict = bench.verdict(&grant.id).await;
    assert_eq!(verdict.verdict, crate::proof::verdict::Verdict::Complete, "{verdict:#?}");
    bench.verify_all().await.unwrap();
}

/// A rotation whose handoff never came leaves the key before it accepted until a handoff comes;
/// not for ever, once a later one has.
async fn an_older_key_that_waits_for_a_handoff_dies_with_the_next_one(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let first = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&first).await.unwrap();
    bench.end(&ada, &first.id).await.unwrap();
    let second = bench.impersonate(&ada, STUCK).await.unwrap();
    let caller = crate::desk::rotate::Caller::Token(bench.token(&second));
    let during = Ask { during_overlap: true, ..ask() };
    bench.rotate_as(&caller, "whk_acme", &during).await.unwrap();
    bench.hand_off(&ada, &second.id).await.unwrap();
    // Its overlap begins when the mail is taken.
    bench.desk.send_due().await.unwrap();
    assert_eq!(bench.accepted("whk_acme").await, [3, 2, 1]);
    bench.clock.advance(time::DAY);
    assert_eq!(bench.accepted("whk_acme").await, [3]);
}
