//! The handoff: what the Owner gets is the new key, readable by the Owner alone; it leaves even
//! when the mail server is down for a while, and once.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::desk::outbox::again::SentAgain;
use crate::desk::{Step, StepError};
use crate::model::{HandoffState, time};
use crate::proof::row::ActorType;
use crate::proof::verdict::Verdict;
use crate::store::handoffs::Handoff;
use crate::testing::mailbox::link_in;
use crate::testing::owners::{OwnerKey, decrypt, owners};
use crate::testing::receiver::receive_one;
use crate::testing::story::{ADA, BEN, CLEO, LEAKED, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    gnupg_decrypts_the_new_key_and_webhooks_verify_with_it,
    gnupg_decrypts_it_with_an_rsa_key_too,
    a_key_that_went_bad_since_stops_the_rotation_before_there_is_a_value,
    the_link_acknowledges_once,
    staff_record_how_the_owner_confirmed_it,
    nothing_is_acknowledged_before_it_was_sent,
    a_mail_waits_while_the_server_is_down_and_leaves_once,
    two_instances_send_a_mail_once,
    sent_again_it_is_the_same_message_with_a_new_link,
    what_waits_is_hastened_and_not_doubled,
    nothing_is_sent_again_to_who_was_owner_before,
    only_what_was_sent_and_not_acknowledged_is_sent_again,
);

const NEW_SECRET: &str = "Your new secret";

/// Rotates and hands off; what the Owner reads in the mail, as GnuPG decrypts it.
async fn delivered(bench: &Bench, ticket: &str, key: &OwnerKey) -> (String, String) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, ticket).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mail = bench.mailbox.about(NEW_SECRET);
    assert_eq!(bench.handoff_of(&grant.id).await.recipient_key, key.fingerprint);
    let platform = &bench.desk.keys.openpgp;
    let (text, status) =
        decrypt(key, &platform.to_armored_public().unwrap(), mail.body.expose_secret());
    let signed = format!("VALIDSIG {}", platform.fingerprint());
    assert!(status.contains(&signed), "the platform's signature is good: {status}");
    let value = text.lines().next().unwrap().to_owned();
    (value, text)
}

/// Sends a test event to a receiver, and gives the message as it arrived.
async fn test_event(
    bench: &Bench,
    slug: &str,
    secret: &str,
) -> (crate::testing::receiver::Message, Vec<i64>) {
    let (address, received) = receive_one().await;
    bench
        .sql(&format!("UPDATE secret SET target = '{address}' WHERE id = '{secret}'"))
        .await
        .unwrap();
    let who = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let org = format!("org-{slug}");
    let prepared = bench.desk.prepare_test_event(&mut tx, &who, &org, secret).await.unwrap();
    tx.rollback().await.unwrap();
    let answer = bench.desk.deliver(&prepared).await;
    assert_eq!(answer.status, Some(204), "{answer:?}");
    (received.await.unwrap(), answer.signed_by)
}

fn allow_private_targets(bench: &mut Bench) {
    Arc::get_mut(&mut bench.desk).unwrap().settings.private_targets = true;
}

async fn gnupg_decrypts_the_new_key_and_webhooks_verify_with_it(mut bench: Bench) {
    allow_private_targets(&mut bench);
    let old = bench.value("whk_acme", 1).await;
    let (value, text) = delivered(&bench, STUCK, &owners().modern).await;
    assert_eq!(value, bench.value("whk_acme", 2).await.expose_secret());
    assert_eq!(text.matches("whsec_").count(), 1, "and no other value");
    for said in ["version 2", "whk_acme", "ACME Ltd", STUCK] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let (message, signed_by) = test_event(&bench, "acme", "whk_acme").await;
    assert_eq!(signed_by, [2, 1]);
    assert!(message.accepted_with(&value));
    assert!(message.accepted_with(old.expose_secret()), "within the overlap");
    bench.clock.advance(time::DAY);
    let (message, signed_by) = test_event(&bench, "acme", "whk_acme").await;
    assert_eq!(signed_by, [2]);
    assert!(message.accepted_with(&value));
    assert!(!message.accepted_with(old.expose_secret()), "and not after it");
}

async fn gnupg_decrypts_it_with_an_rsa_key_too(mut bench: Bench) {
    allow_private_targets(&mut bench);
    let old = bench.value("whk_birch", 1).await;
    let (value, _) = delivered(&bench, LEAKED, &owners().rsa).await;
    let (message, _) = test_event(&bench, "birch", "whk_birch").await;
    assert!(message.accepted_with(&value));
    assert!(!message.accepted_with(old.expose_secret()), "a leaked key signs nothing any more");
}

/// Between the minting and the rotation the Owner may revoke the key, or it may expire.
async fn a_key_that_went_bad_since_stops_the_rotation_before_there_is_a_value(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    for key in [&owners().revoked, &owners().expired, &owners().sign_only] {
        let sql = format!("UPDATE org SET pgp_key = '{}' WHERE id = 'org-acme'", key.public);
        bench.edit_org("org-acme", &sql).await;
        match bench.rotate(&grant).await {
            Err(StepError::Refused(v)) => assert_eq!(v.failed_names(), ["handoff_possible"]),
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.versions("whk_acme").await.len(), 1, "no value was made");
    }
    assert_eq!(bench.number("SELECT COUNT(*) FROM handoff").await, 0);
    assert_eq!(bench.accepted("whk_acme").await, [1]);
}

/// A handoff that was sent, and the link in its mail.
async fn sent(bench: &Bench) -> (Handoff, SecretString) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    (handoff, link_in(&bench.mailbox.about(NEW_SECRET), "/acknowledge/"))
}

async fn by_link(bench: &Bench, link: &SecretString) -> Step<Handoff> {
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.acknowledge_by_link(&mut tx, link, None).await;
    bench.desk.settle(tx, step).await
}

async fn by_staff(bench: &Bench, staff: &str, id: &str, how: &str) -> Step<Handoff> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench
        .desk
        .acknowledge_by_staff(&mut tx, &who, id, crate::model::ConfirmedOver::Telephone, how)
        .await;
    bench.desk.settle(tx, step).await
}

async fn the_link_acknowledges_once(bench: Bench) {
    let (handoff, link) = sent(&bench).await;
    let kept = format!("SELECT COUNT(*) FROM handoff WHERE ack_hash = '{}'", link.expose_secret());
    assert_eq!(bench.number(&kept).await, 0, "only its hash is kept");
    let wrong = by_link(&bench, &"another".into()).await;
    assert!(matches!(wrong, Err(StepError::NotFound)), "{wrong:?}");
    let done = by_link(&bench, &link).await.unwrap();
    assert_eq!((done.id, done.state), (handoff.id.clone(), HandoffState::Acknowledged));
    let again = by_link(&bench, &link).await;
    assert!(matches!(again, Err(StepError::Conflict(_))), "{again:?}");
    let staff = by_staff(&bench, BEN, &handoff.id, "by phone").await;
    assert!(matches!(staff, Err(StepError::Conflict(_))), "{staff:?}");
    for (log, action) in
        [("platform", "platform.handoff_acknowledged"), ("acme", "handoff.acknowledged")]
    {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}");
        assert_eq!(rows[0].actor_type, ActorType::OrgMember);
        assert_eq!(rows[0].actor_id, "acme-owner");
    }
    // It comes after the end, and does not spoil the trail.
    assert_eq!(bench.verdict(&handoff.impersonation_id).await.verdict, Verdict::Complete);
}

async fn staff_record_how_the_owner_confirmed_it(bench: Bench) {
    let (handoff, link) = sent(&bench).await;
    let auditor = by_staff(&bench, CLEO, &handoff.id, "by phone").await;
    assert!(matches!(auditor, Err(StepError::Forbidden(_))), "{auditor:?}");
    for how in ["", "  ", &"x".repeat(301)] {
        let step = by_staff(&bench, BEN, &handoff.id, how).await;
        assert!(matches!(step, Err(StepError::Invalid(_))), "{step:?}");
    }
    let done = by_staff(&bench, BEN, &handoff.id, " by phone ").await.unwrap();
    assert_eq!(done.acknowledged_how.as_deref(), Some("telephone: by phone"));
    assert!(matches!(by_link(&bench, &link).await, Err(StepError::Conflict(_))));
    assert_eq!(bench.rows_of("acme", "handoff.acknowledged").await[0].actor_id, BEN);
}

async fn nothing_is_acknowledged_before_it_was_sent(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let id = bench.rotate(&grant).await.unwrap().handoff_id.unwrap();
    let step = by_staff(&bench, BEN, &id, "by phone").await;
    assert!(matches!(step, Err(StepError::Conflict(_))), "{step:?}");
    assert_eq!(bench.handoff_of(&grant.id).await.state, HandoffState::Sealed);
}

async fn a_mail_waits_while_the_server_is_down_and_leaves_once(bench: Bench) {
    bench.mailbox.set_down(true);
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    for _ in 0..5 {
        assert_eq!(bench.desk.send_due().await.unwrap(), 0);
        bench.clock.advance(time::HOUR);
    }
    let waiting = "SELECT COUNT(*) FROM outbox WHERE done_at IS NULL AND sealed IS NOT NULL";
    assert_eq!(bench.number(waiting).await, 3);
    let error = "SELECT COUNT(*) FROM outbox WHERE attempts = 5 AND last_error LIKE '%421%'";
    assert_eq!(bench.number(error).await, 3);
    bench.mailbox.set_down(false);
    assert_eq!(bench.desk.send_due().await.unwrap(), 3);
    bench.clock.advance(time::DAY);
    assert_eq!(bench.desk.send_due().await.unwrap(), 0);
    assert_eq!(bench.mailbox.all().len(), 3);
    assert_eq!(bench.number("SELECT COUNT(*) FROM outbox WHERE sealed IS NOT NULL").await, 0);
}

async fn two_instances_send_a_mail_once(bench: Bench) {
    let other = Bench::open(&bench.url, bench.folder(), bench.now(), 9).await;
    let ada = bench.at_work(ADA).await;
    bench.impersonate(&ada, STUCK).await.unwrap();
    let (one, two) = tokio::join!(bench.desk.send_due(), other.desk.send_due());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(bench.mailbox.all().len() + other.mailbox.all().len(), 1);
}

async fn again(bench: &Bench, staff: &str, id: &str) -> Step<SentAgain> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.send_again(&mut tx, &who, id).await;
    bench.desk.settle(tx, step).await
}

async fn sent_again_it_is_the_same_message_with_a_new_link(bench: Bench) {
    let (handoff, first) = sent(&bench).await;
    assert_eq!(again(&bench, ADA, &handoff.id).await.unwrap(), SentAgain::Anew);
    bench.desk.send_due().await.unwrap();
    let mails: Vec<_> =
        bench.mailbox.all().into_iter().filter(|m| m.subject.contains(NEW_SECRET)).collect();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].to, mails[1].to);
    assert!(mails.iter().all(|m| m.body.expose_secret().contains(&handoff.message)));
    let second = link_in(&mails[1], "/acknowledge/");
    assert_ne!(first.expose_secret(), second.expose_secret());
    assert!(matches!(by_link(&bench, &first).await, Err(StepError::NotFound)), "it is dead");
    by_link(&bench, &second).await.unwrap();
    assert_eq!(bench.rows_of("platform", "platform.handoff_sent_again").await.len(), 1);
    assert_eq!(bench.rows_of("acme", "handoff.sent_again").await.len(), 1);
    assert_eq!(bench.verdict(&handoff.impersonation_id).await.verdict, Verdict::Complete);
}

async fn what_waits_is_hastened_and_not_doubled(bench: Bench) {
    bench.mailbox.set_down(true);
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    for _ in 0..5 {
        bench.desk.send_due().await.unwrap();
        bench.clock.advance(time::MINUTE);
    }
    bench.desk.send_due().await.unwrap();
    bench.mailbox.set_down(false);
    assert_eq!(bench.desk.send_due().await.unwrap(), 0, "it would wait for a while");
    assert_eq!(again(&bench, ADA, &handoff.id).await.unwrap(), SentAgain::Hastened);
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    bench.mailbox.about(NEW_SECRET);
}

async fn nothing_is_sent_again_to_who_was_owner_before(bench: Bench) {
    let (handoff, _) = sent(&bench).await;
    let owner = "SELECT COUNT(*) FROM member WHERE id = 'acme-admin'";
    assert_eq!(bench.number(owner).await, 1, "somebody else");
    for change in [
        "owner_address = 'new@acme.example', owner_member_id = 'acme-admin'",
        "owner_address = 'new@acme.example', owner_member_id = 'acme-owner', pgp_key = NULL",
        "owner_address = NULL",
    ] {
        let sql = format!("UPDATE org SET {change} WHERE id = 'org-acme'");
        bench.edit_org("org-acme", &sql).await;
        let step = again(&bench, ADA, &handoff.id).await;
        assert!(matches!(step, Err(StepError::Conflict(_))), "{change}: {step:?}");
    }
    bench.desk.send_due().await.unwrap();
    bench.mailbox.about(NEW_SECRET);
}

async fn only_what_was_sent_and_not_acknowledged_is_sent_again(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let id = bench.rotate(&grant).await.unwrap().handoff_id.unwrap();
    assert!(matches!(again(&bench, ADA, &id).await, Err(StepError::Conflict(_))), "not sent yet");
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    assert!(matches!(again(&bench, CLEO, &id).await, Err(StepError::Forbidden(_))), "an auditor");
    assert!(matches!(again(&bench, ADA, "none").await, Err(StepError::NotFound)));
    by_link(&bench, &link_in(&bench.mailbox.about(NEW_SECRET), "/acknowledge/")).await.unwrap();
    assert!(matches!(again(&bench, ADA, &id).await, Err(StepError::Conflict(_))), "acknowledged");
    assert!(bench.rows_of("platform", "platform.handoff_sent_again").await.is_empty());
}
