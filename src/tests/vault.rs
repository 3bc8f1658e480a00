//! The rotation of vault tokens: the whole procedure, self-service, and everything that can go
//! wrong with the vault short of a crash.

use secrecy::{ExposeSecret as _, SecretString};

use crate::desk::StepError;
use crate::desk::rotate::{Ask, Caller, Rotated};
use crate::model::{VersionState, time};
use crate::proof::row::{ActorType, AuditRow, Outcome};
use crate::proof::verdict::Verdict;
use crate::secrets::vault::{TokenFacts, TokenKind, Vault as _};
use crate::store::vault_intents;
use crate::testing::breakable::Mood;
use crate::testing::owners::{decrypt, owners};
use crate::testing::story::ADA;
use crate::testing::{Bench, both_engines};

const TICKET: &str = "NOV-4803";
const SECRET: &str = "vtk_cedar";

both_engines!(
    under_an_impersonation_the_owner_gets_a_token_that_works_and_the_old_one_is_refused,
    the_customer_gets_the_value_once_and_an_operator_nothing,
    the_same_idempotency_key_rotates_once_and_says_so_while_it_is_in_flight,
    of_several_at_once_one_rotates,
    what_may_not_be_copied_is_refused_and_the_old_token_works,
    a_vault_that_is_down_changes_nothing,
    a_vault_that_refuses_to_revoke_is_asked_until_it_does,
    a_lost_answer_is_cleared_up_later_and_not_before,
    consent_that_is_withdrawn_meanwhile_takes_the_new_token_back,
    a_row_that_cannot_be_written_takes_the_new_token_back,
    a_token_that_is_gone_or_not_on_record_is_not_rotated,
    a_vault_token_has_no_overlap,
);

pub(super) fn old_token(bench: &Bench) -> SecretString {
    bench.vault.first.lock().unwrap().clone().unwrap()
}

/// Whether a token works, as its holder sees it.
pub(super) async fn works(bench: &Bench, token: &SecretString) -> bool {
    bench.vault.inner.lookup_self(token).await.unwrap().is_some()
}

/// How many tokens of the vault work.
pub(super) async fn working(bench: &Bench) -> i64 {
    let now = bench.now();
    bench
        .number(&format!(
            "SELECT COUNT(*) FROM vault_token WHERE revoked_at IS NULL AND expires_at > {now}"
        ))
        .await
}

fn ask() -> Ask {
    Ask::default()
}

async fn self_service(bench: &Bench, ask: &Ask) -> crate::desk::Step<Rotated> {
    bench.self_service("cedar-owner", SECRET, ask).await
}

async fn last_failure(bench: &Bench) -> AuditRow {
    bench.rows_of("cedar", "vault_token.rotation_failed").await.pop().expect("it is written down")
}

/// Nothing is different from before, and nothing is left over.
async fn unchanged(bench: &Bench) {
    assert!(works(bench, &old_token(bench)).await, "the old token works");
    assert_eq!(working(bench).await, 1);
    assert_eq!(bench.accepted(SECRET).await, [1]);
    for table in ["rotation", "handoff", "outbox"] {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE id IN (SELECT id FROM vault_intent)");
        assert_eq!(bench.number(&sql).await, 0, "{table}");
    }
    let open = "SELECT COUNT(*) FROM vault_intent WHERE state NOT IN ('done', 'failed')";
    assert_eq!(bench.number(open).await, 0);
}

async fn under_an_impersonation_the_owner_gets_a_token_that_works_and_the_old_one_is_refused(
    bench: Bench,
) {
    let old = old_token(&bench);
    assert!(works(&bench, &old).await);
    let before = bench.vault.inner.lookup_self(&old).await.unwrap().unwrap();
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, TICKET).await.unwrap();
    let rotated = bench.rotate(&grant).await.unwrap();
    assert!(rotated.value.is_none(), "nobody at the platform sees it");
    assert_eq!(rotated.old_valid_until, Some(bench.now()), "revoked at once");
    assert!(!works(&bench, &old).await);

    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    let platform = bench.desk.keys.openpgp.to_armored_public().unwrap();
    let (text, _) = decrypt(&owners().modern, &platform, &handoff.message);
    let new = SecretString::from(text.lines().next().unwrap());
    assert!(new.expose_secret().starts_with("hvs."));
    let after = bench.vault.inner.lookup_self(&new).await.unwrap().expect("it works");
    assert_eq!(working(&bench).await, 1);
    assert_eq!(after.policies, before.policies);
    assert_eq!(after.period_seconds, before.period_seconds);
    assert_eq!(after.display_name, before.display_name);
    assert_eq!(after.rotation_id.as_ref(), Some(&rotated.rotation.id));

    // Only the accessor stays with us.
    let versions = bench.versions(SECRET).await;
    assert_eq!(versions[0].reference.as_ref(), Some(&after.accessor));
    assert!(versions.iter().all(|v| v.sealed.is_none()));
    assert_eq!(versions[1].state, VersionState::Retired);
    // A reply that holds it is caught, although it is kept nowhere.
    let mut tx = bench.desk.begin().await.unwrap();
    let reply = format!("Here you are: {}", new.expose_secret());
    assert!(bench.desk.guard(&mut tx, &ada, "org-cedar", TICKET, &reply).await.is_err());
    tx.rollback().await.unwrap();

    let verdict = bench.verdict(&grant.id).await;
    assert_eq!(verdict.verdict, Verdict::Complete, "{verdict:#?}");
    for (log, action) in
        [("cedar", "vault_token.old_revoked"), ("platform", "platform.vault_token_old_revoked")]
    {
        let row = bench.rows_of(log, action).await.pop().unwrap();
        assert_eq!(row.impersonation_id, None, "it is no use of the token");
        assert_eq!(row.detail_str("after_impersonation"), Some(grant.id.as_str()));
        assert_eq!(row.detail_str("accessor"), Some(before.accessor.as_str()));
        assert_eq!(row.ticket_ref.as_deref(), Some(TICKET));
    }
    let mail = bench.mailbox_after_sending("Your new secret").await;
    assert!(mail.contains("The old secret has stopped working."), "{mail}");
    bench.verify_all().await.unwrap();
}

async fn the_customer_gets_the_value_once_and_an_operator_nothing(bench: Bench) {
    let old = old_token(&bench);
    let refused = bench.self_service("cedar-operator", SECRET, &ask()).await;
    assert!(matches!(refused, Err(StepError::Forbidden(_))), "{refused:?}");
    let foreign = bench.self_service("acme-owner", SECRET, &ask()).await;
    assert!(matches!(foreign, Err(StepError::NotFound)), "{foreign:?}");
    assert!(bench.rows("cedar").await.is_empty());
    unchanged(&bench).await;

    let rotated = self_service(&bench, &ask()).await.unwrap();
    let new = rotated.value.expect("the customer's own answer holds it");
    assert!(works(&bench, &new).await && !works(&bench, &old).await);
    assert_eq!(working(&bench).await, 1);
    let rows = bench.rows("cedar").await;
    let actions: Vec<_> = rows.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["vault_token.rotated", "vault_token.old_revoked"]);
    assert_eq!(rows[0].actor_type, ActorType::OrgMember);
    assert_eq!(rows[0].actor_id, "cedar-owner");
    assert!(bench.rows("platform").await.is_empty(), "it is not the platform's business");

    // And once more: the new one is the old one now.
    let again = self_service(&bench, &ask()).await.unwrap();
    assert!(works(&bench, &again.value.unwrap()).await && !works(&bench, &new).await);
    assert_eq!(working(&bench).await, 1);
    bench.verify_all().await.unwrap();
}

async fn the_same_idempotency_key_rotates_once_and_says_so_while_it_is_in_flight(bench: Bench) {
    let keyed = Ask { idempotency_key: Some("once".to_owned()), ..ask() };
    bench.desk.deaths.die_at("before create");
    assert!(bench.desk.deaths.until_dead(self_service(&bench, &keyed)).await);
    let meanwhile = self_service(&bench, &keyed).await;
    assert!(
        matches!(meanwhile, Err(StepError::Conflict(why)) if why.contains("in progress")),
        "{meanwhile:?}"
    );
    bench.clock.advance(time::HOUR);
    assert_eq!(bench.desk.clear_vault_intents().await.unwrap(), 1);
    unchanged(&bench).await;

    // What came to nothing was no rotation: the same key makes one now.
    bench.desk.deaths.die_at("nowhere");
    let first = self_service(&bench, &keyed).await.unwrap();
    let again = self_service(&bench, &keyed).await.unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!(again.rotation, first.rotation);
    assert!(first.value.is_some() && again.value.is_none());
    assert_eq!(again.old_valid_until, first.old_valid_until);
    let other = Ask { suspected_leak: true, ..keyed.clone() };
    let reused = self_service(&bench, &other).await;
    assert!(matches!(reused, Err(StepError::KeyReused)), "{reused:?}");
    assert_eq!(bench.rows_of("cedar", "vault_token.rotated").await.len(), 1);
}

async fn of_several_at_once_one_rotates(bench: Bench) {
    let plain = ask();
    let one = || self_service(&bench, &plain);
    let all = tokio::join!(one(), one(), one(), one(), one(), one());
    let all = [all.0, all.1, all.2, all.3, all.4, all.5];
    let made: Vec<_> = all.iter().flatten().collect();
    assert!(!made.is_empty());
    for lost in all.iter().filter_map(|step| step.as_ref().err()) {
        assert!(matches!(lost, StepError::Conflict(_)), "{lost:?}");
    }
    // One after the other may both succeed; never do two tokens work.
    assert_eq!(working(&bench).await, 1);
    let last = made.iter().max_by_key(|r| r.rotation.to_version).unwrap();
    assert!(works(&bench, last.value.as_ref().unwrap()).await);
    assert_eq!(bench.versions(SECRET).await.len(), made.len() + 1);
    bench.verify_all().await.unwrap();
}

async fn what_may_not_be_copied_is_refused_and_the_old_token_works(bench: Bench) {
    let old = bench.vault.inner.lookup_self(&old_token(&bench)).await.unwrap().unwrap();
    let policies = |all: &[&str]| all.iter().map(|&p| p.to_owned()).collect();
    for (facts, says) in [
        (TokenFacts { policies: policies(&["root"]), ..old.clone() }, "policy root"),
        (TokenFacts { kind: TokenKind::Batch, ..old.clone() }, "batch token"),
        (TokenFacts { policies: policies(&["default", "billing"]), ..old.clone() }, "billing"),
        (TokenFacts { uses_left: 1, ..old.clone() }, "number of uses"),
    ] {
        *bench.vault.facts.lock().unwrap() = Some(facts);
        let step = self_service(&bench, &ask()).await;
        assert!(
            matches!(&step, Err(StepError::NotPossible(why)) if why.contains(says)),
            "{says}: {step:?}"
        );
        let row = last_failure(&bench).await;
        assert!(row.detail_str("why").unwrap().contains(says), "{row:?}");
        assert_eq!(row.outcome, Outcome::Failed);
        unchanged(&bench).await;
    }
    assert_eq!(bench.rows("cedar").await.len(), 4);
}

async fn a_vault_that_is_down_changes_nothing(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, TICKET).await.unwrap();
    bench.vault.set(Mood::Down);
    let step = bench.rotate(&grant).await;
    assert!(matches!(step, Err(StepError::Vault(_))), "{step:?}");
    unchanged(&bench).await;
    let row = last_failure(&bench).await;
    assert_eq!(row.impersonation_id.as_ref(), Some(&grant.id), "it belongs to the trail");
    assert_eq!(row.actor_type, ActorType::PlatformAdminImpersonating);
    assert!(row.detail_str("why").unwrap().contains("connection refused"));

    // Back again, the same token does it; the trail of both attempts is complete.
    bench.vault.set(Mood::Well);
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let verdict = bench.verdict(&grant.id).await;
    assert_eq!(verdict.verdict, Verdict::Complete, "{verdict:#?}");
    assert_eq!(working(&bench).await, 1);
}

async fn a_vault_that_refuses_to_revoke_is_asked_until_it_does(bench: Bench) {
    let old = old_token(&bench);
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, TICKET).await.unwrap();
    bench.vault.set(Mood::RevokesNothing);
    let rotated = bench.rotate(&grant).await.unwrap();
    assert_eq!(rotated.old_valid_until, None, "it is not known yet");
    bench.hand_off(&ada, &grant.id).await.unwrap();
    assert!(works(&bench, &old).await);
    assert_eq!(bench.accepted(SECRET).await, [2, 1], "owed, and shown as such");
    let mail = bench.mailbox_after_sending("Your new secret").await;
    assert!(mail.contains("is being revoked in the vault"), "{mail}");
    let owed = {
        let mut conn = bench.desk.store.read().await.unwrap();
        crate::store::outbox::about(&mut conn, &rotated.rotation.id).await.unwrap().remove(0)
    };
    assert!(owed.last_error.unwrap().contains("permission denied"));
    assert!(owed.done_at.is_none());
    for _ in 0..20 {
        bench.clock.advance(time::MINUTE);
        bench.desk.send_due().await.unwrap();
        assert!(works(&bench, &old).await);
    }
    assert!(bench.rows_of("cedar", "vault_token.old_revoked").await.is_empty());

    bench.vault.set(Mood::Well);
    bench.clock.advance(time::MINUTE);
    bench.desk.send_due().await.unwrap();
    assert!(!works(&bench, &old).await);
    assert_eq!(bench.accepted(SECRET).await, [2]);
    let old_version = bench.versions(SECRET).await.pop().unwrap();
    assert_eq!(old_version.retires_at, Some(bench.now()), "when it really stopped working");
    assert_eq!(bench.rows_of("cedar", "vault_token.old_revoked").await.len(), 1);
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
    bench.verify_all().await.unwrap();
}

async fn a_lost_answer_is_cleared_up_later_and_not_before(bench: Bench) {
    bench.vault.set(Mood::LosesNewTokens);
    let step = self_service(&bench, &ask()).await;
    assert!(matches!(&step, Err(StepError::Vault(why)) if why.contains("did not say")), "{step:?}");
    bench.vault.set(Mood::Well);
    assert_eq!(working(&bench).await, 2, "the lost one lives, and nobody has it");
    assert!(works(&bench, &old_token(&bench)).await);

    // The vault may still be at it, so nothing is cleared up yet, and nothing else begins.
    assert_eq!(bench.desk.clear_vault_intents().await.unwrap(), 0);
    let meanwhile = self_service(&bench, &ask()).await;
    assert!(matches!(meanwhile, Err(StepError::Conflict(_))), "{meanwhile:?}");
    bench.clock.advance(3 * time::MINUTE);
    bench.vault.set(Mood::Down);
    assert_eq!(bench.desk.clear_vault_intents().await.unwrap_or(9), 0);
    let open = {
        let mut conn = bench.desk.store.read().await.unwrap();
        vault_intents::open_of(&mut conn, SECRET).await.unwrap().unwrap()
    };
    assert_eq!(open.state, "undoing");
    assert!(open.last_error.unwrap().contains("connection refused"));

    bench.vault.set(Mood::Well);
    assert_eq!(bench.desk.clear_vault_intents().await.unwrap(), 0, "one at a time");
    bench.clock.advance(time::MINUTE);
    assert_eq!(bench.desk.clear_vault_intents().await.unwrap(), 1);
    unchanged(&bench).await;
    let row = last_failure(&bench).await;
    assert_eq!(row.actor_type, ActorType::System);
    self_service(&bench, &ask()).await.unwrap();
    assert_eq!(working(&bench).await, 1);
    bench.verify_all().await.unwrap();
}

async fn consent_that_is_withdrawn_meanwhile_takes_the_new_token_back(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, TICKET).await.unwrap();
    bench.desk.deaths.pause_at("token made");
    let withdraw = async {
        bench.desk.deaths.wait_for_pause().await;
        assert_eq!(working(&bench).await, 2);
        bench.set_consent("cedar-owner", false).await.unwrap();
        bench.desk.deaths.go_on();
    };
    let (step, ()) = tokio::join!(bench.rotate(&grant), withdraw);
    assert!(matches!(step, Err(StepError::Forbidden(_))), "{step:?}");
    unchanged(&bench).await;
    let row = last_failure(&bench).await;
    assert_eq!(row.impersonation_id, None, "the impersonation has ended before");
    assert_eq!(row.detail_str("after_impersonation"), Some(grant.id.as_str()));
    bench.verify_all().await.unwrap();
}

async fn a_row_that_cannot_be_written_takes_the_new_token_back(bench: Bench) {
    bench.refuse_rows("%.rotated").await;
    let step = self_service(&bench, &ask()).await;
    assert!(matches!(step, Err(StepError::Store(_) | StepError::Audit(_))), "{step:?}");
    unchanged(&bench).await;
    assert_eq!(bench.actions("cedar").await, ["vault_token.rotation_failed"], "once");
    bench.take_rows_again().await;
    self_service(&bench, &ask()).await.unwrap();
    assert_eq!(working(&bench).await, 1);
}

async fn a_token_that_is_gone_or_not_on_record_is_not_rotated(bench: Bench) {
    let accessor = bench.versions(SECRET).await[0].reference.clone().unwrap();
    bench.vault.inner.revoke(&accessor).await.unwrap();
    let step = self_service(&bench, &ask()).await;
    assert!(
        matches!(&step, Err(StepError::NotPossible(why)) if why.contains("expired or was revoked")),
        "{step:?}"
    );
    assert_eq!(working(&bench).await, 0, "none is made for one that is gone");
    bench.sql("UPDATE secret_version SET reference = NULL").await.unwrap();
    let step = self_service(&bench, &ask()).await;
    assert!(matches!(step, Err(StepError::Conflict(_))), "{step:?}");
}

async fn a_vault_token_has_no_overlap(bench: Bench) {
    for bad in [Ask { overlap_seconds: Some(60), ..ask() }, Ask { during_overlap: true, ..ask() }] {
        let step = self_service(&bench, &bad).await;
        assert!(matches!(step, Err(StepError::Invalid(_))), "{step:?}");
    }
    let caller = Caller::Member(Box::new(bench.member("cedar-owner").await));
    let as_webhook = bench
        .desk
        .rotate(crate::model::SecretType::WebhookSigningKey, SECRET, &caller, &ask())
        .await;
    assert!(matches!(as_webhook, Err(StepError::NotFound)), "{as_webhook:?}");
    unchanged(&bench).await;
    self_service(&bench, &Ask { overlap_seconds: Some(0), ..ask() }).await.unwrap();
}
