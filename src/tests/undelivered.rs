//! What a system outside will never take stops, is said, and goes again once it is put right; what
//! it does not take now waits, longer and longer, and not for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use secrecy::ExposeSecret as _;

use crate::delivery::refusal::Again;
use crate::delivery::shared_vault::{ItemId, NewItem, SharedVault, SharedVaultError};
use crate::desk::outbox::again::SentAgain;
use crate::desk::outbox::undelivered::Wish;
use crate::desk::{Step, StepError};
use crate::model::{HandoffState, Micros, time};
use crate::proof::row::{ActorType, AuditRow};
use crate::proof::verdict::Verdict;
use crate::store::handoffs::Handoff;
use crate::store::outbox::{self, Item, Stands};
use crate::testing::connect::VAULT;
use crate::testing::mailbox::link_in;
use crate::testing::story::{ADA, BEN, CLEO, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_mail_that_is_refused_stops_and_goes_again_once_the_address_is_right,
    not_now_waits_as_told_then_longer_and_is_given_up_after_days,
    what_has_to_be_mended_first_is_not_given_up,
    a_mail_that_is_no_handoff_is_sent_again_or_set_aside,
    whoever_has_it_was_sent_it_whatever_the_server_said,
    what_was_undelivered_can_be_recorded_as_passed_on,
    an_item_that_the_vault_refuses_is_tried_again_when_asked,
    words_of_a_server_that_repeat_a_value_are_kept_nowhere,
);

const OWNER: &str = "owner@acme.example";
const REFUSED: &str = "the mail server answered 550 5.1.1 … User unknown";
const NEW_SECRET: &str = "Your new secret";

/// Rotates and hands off for a ticket; nothing is sent yet.
async fn made(bench: &Bench, ticket: &str) -> Handoff {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, ticket).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap()
}

async fn now_of(bench: &Bench, handoff: &Handoff) -> Handoff {
    bench.handoff_of(&handoff.impersonation_id).await
}

async fn items(bench: &Bench, about: &str) -> Vec<Item> {
    let mut conn = bench.desk.store.read().await.unwrap();
    outbox::about(&mut conn, about).await.unwrap()
}

async fn old_ends(bench: &Bench, secret: &str) -> Option<Micros> {
    bench.versions(secret).await[1].retires_at
}

async fn again(bench: &Bench, id: &str) -> Step<SentAgain> {
    let who = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.send_again(&mut tx, &who, id).await;
    bench.desk.settle(tx, step).await
}

async fn put_right(bench: &Bench, staff: &str, item: &str, wish: Wish) -> Step<()> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.put_right(&mut tx, &who, item, wish).await;
    bench.desk.settle(tx, step).await
}

/// The rows of a pair of actions, one in each log.
async fn pair(bench: &Bench, platform: &str, slug: &str, org: &str) -> [Vec<AuditRow>; 2] {
    [bench.rows_of("platform", platform).await, bench.rows_of(slug, org).await]
}

async fn a_mail_that_is_refused_stops_and_goes_again_once_the_address_is_right(bench: Bench) {
    bench.mailbox.refuse(OWNER, Again::Never, REFUSED);
    let handoff = made(&bench, STUCK).await;
    assert_eq!((handoff.state, handoff.sent_at), (HandoffState::Queued, None));
    bench.desk.send_due().await.unwrap();
    for _ in 0..30 {
        bench.clock.advance(time::DAY);
        assert_eq!(bench.desk.send_due().await.unwrap(), 0);
    }
    let found = now_of(&bench, &handoff).await;
    assert_eq!((found.state, found.sent_at), (HandoffState::Undelivered, None));
    let item = items(&bench, &handoff.id).await.remove(0);
    assert_eq!((item.stands(), item.attempts), (Stands::Undelivered, 1), "it is tried once");
    assert_eq!(item.last_error.as_deref(), Some(REFUSED));
    assert_eq!(old_ends(&bench, "whk_acme").await, None);
    assert_eq!(bench.accepted("whk_acme").await, [2, 1], "the customer still needs the old key");
    for rows in pair(&bench, "platform.handoff_undelivered", "acme", "handoff.undelivered").await {
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].actor_type, &rows[0].impersonation_id), (ActorType::System, &None));
        assert_eq!(rows[0].detail_str("said"), Some(REFUSED));
        assert_eq!(rows[0].detail_str("what"), Some("mail"));
        assert_eq!(rows[0].ticket_ref.as_deref(), Some(STUCK));
    }
    let others = bench.rows_of("platform", "platform.mail_undelivered").await;
    assert_eq!(others.len(), 2, "the start and the end were refused, too");
    assert!(others.iter().all(|row| row.org_id.as_deref() == Some("org-acme")));
    for pair in [("platform.secret_delivered", "handoff.delivered")] {
        assert!(bench.rows_of("platform", pair.0).await.is_empty());
        assert!(bench.rows_of("acme", pair.1).await.is_empty());
    }

    // Again without having put anything right: it comes back.
    assert_eq!(again(&bench, &handoff.id).await.unwrap(), SentAgain::Anew);
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Queued);
    bench.desk.send_due().await.unwrap();
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Undelivered);

    let mended = "owner.of@acme.example";
    let sql = format!("UPDATE org SET owner_address = '{mended}' WHERE id = 'org-acme'");
    bench.edit_org("org-acme", &sql).await;
    assert_eq!(again(&bench, &handoff.id).await.unwrap(), SentAgain::Anew);
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    let mail = bench.mailbox.about(NEW_SECRET);
    assert_eq!(mail.to, mended);
    let text = mail.body.expose_secret();
    assert!(text.contains("works for 24 h 00 min from when this mail was sent"), "{text}");
    let found = now_of(&bench, &handoff).await;
    assert_eq!((found.state, found.sent_at), (HandoffState::Sent, Some(bench.now())));
    assert_eq!(found.recipient, mended);
    let ends = bench.now() + time::DAY;
    assert_eq!(old_ends(&bench, "whk_acme").await, Some(ends), "counted from now");
    for rows in pair(&bench, "platform.secret_delivered", "acme", "handoff.delivered").await {
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].detail_i64("old_valid_until"), Some(ends));
    }
    let again = bench.rows_of("acme", "handoff.sent_again").await;
    assert_eq!(again[1].detail_str("address"), Some("as it is on file by now"));
    assert!(bench.rows("acme").await.iter().all(|row| !format!("{row:?}").contains(mended)));
    acknowledge(&bench, &mail).await.unwrap();
    assert_eq!(old_ends(&bench, "whk_acme").await, Some(ends), "and not once more");
    assert_eq!(bench.verdict(&handoff.impersonation_id).await.verdict, Verdict::Complete);
    bench.verify_all().await.unwrap();
}

async fn acknowledge(bench: &Bench, mail: &crate::delivery::mail::Mail) -> Step<Handoff> {
    let link = link_in(mail, "/acknowledge/");
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.acknowledge_by_link(&mut tx, &link, None).await;
    bench.desk.settle(tx, step).await
}

async fn not_now_waits_as_told_then_longer_and_is_given_up_after_days(bench: Bench) {
    let told = Again::Later(Some(5 * time::MINUTE));
    bench.mailbox.refuse(OWNER, told, "the mail server answered 450 4.2.0 Greylisted");
    let handoff = made(&bench, STUCK).await;
    bench.desk.send_due().await.unwrap();
    let began = bench.now();
    let first = items(&bench, &handoff.id).await.remove(0);
    let pause = first.next_at - began;
    assert!((5 * time::MINUTE..6 * time::MINUTE).contains(&pause), "{pause}");
    let mut attempts = 1;
    while items(&bench, &handoff.id).await[0].stands() == Stands::Waits {
        assert!(bench.now() - began < 4 * time::DAY, "not for ever");
        bench.clock.advance(20 * time::MINUTE);
        bench.desk.send_due().await.unwrap();
        attempts += 1;
    }
    let span = bench.now() - began;
    assert!((3 * time::DAY..3 * time::DAY + time::HOUR).contains(&span), "{span}");
    let item = items(&bench, &handoff.id).await.remove(0);
    assert_eq!(item.attempts, attempts);
    let why = item.last_error.unwrap();
    assert_eq!(
        why,
        format!("the mail server answered 450 4.2.0 Greylisted; tried {attempts} times in 3 d")
    );
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Undelivered);
    assert_eq!(old_ends(&bench, "whk_acme").await, None);

    bench.mailbox.take_all();
    again(&bench, &handoff.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Sent);
}

async fn what_has_to_be_mended_first_is_not_given_up(bench: Bench) {
    let said = "the mail server answered 535 5.7.8 authentication failed";
    bench.mailbox.refuse(OWNER, Again::Mend, said);
    let handoff = made(&bench, STUCK).await;
    for _ in 0..20 {
        bench.desk.send_due().await.unwrap();
        bench.clock.advance(time::DAY);
    }
    let item = items(&bench, &handoff.id).await.remove(0);
    assert_eq!((item.stands(), item.to_mend, item.attempts), (Stands::Waits, 1, 20));
    let mut conn = bench.desk.store.read().await.unwrap();
    let waits = outbox::waiting(&mut conn, bench.now()).await.unwrap();
    assert_eq!((waits.len(), waits[0].items, waits[0].to_mend), (1, 3, 3));
    assert!(waits[0].since < bench.now() - 19 * time::DAY);
    drop(conn);
    bench.mailbox.take_all();
    assert_eq!(bench.desk.send_due().await.unwrap(), 3, "by itself");
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Sent);
    assert!(bench.rows_of("platform", "platform.mail_undelivered").await.is_empty());
}

async fn a_mail_that_is_no_handoff_is_sent_again_or_set_aside(bench: Bench) {
    bench.mailbox.refuse(OWNER, Again::Never, REFUSED);
    let handoff = made(&bench, STUCK).await;
    bench.desk.send_due().await.unwrap();
    let notices = items(&bench, &handoff.impersonation_id).await;
    let [start, end] = notices.as_slice() else { panic!("two notices") };
    assert!(start.subject.as_deref().unwrap().contains(STUCK));
    let auditor = put_right(&bench, CLEO, &start.id, Wish::SendAgain).await;
    assert!(matches!(auditor, Err(StepError::Forbidden(_))), "{auditor:?}");
    let none = put_right(&bench, ADA, "none", Wish::SendAgain).await;
    assert!(matches!(none, Err(StepError::NotFound)), "{none:?}");
    let carries = items(&bench, &handoff.id).await.remove(0);
    for wish in [Wish::SendAgain, Wish::SetAside] {
        let way = put_right(&bench, ADA, &carries.id, wish).await;
        assert!(matches!(way, Err(StepError::Conflict(_))), "it has its own way: {way:?}");
    }
    assert!(items(&bench, &handoff.id).await[0].sealed.is_some(), "and the value is kept");

    let other = "UPDATE org SET owner_address = 'another@acme.example' WHERE id = 'org-acme'";
    bench.edit_org("org-acme", other).await;
    let moved = put_right(&bench, ADA, &start.id, Wish::SendAgain).await;
    assert!(matches!(moved, Err(StepError::Conflict(_))), "its links are not theirs: {moved:?}");
    let back = format!("UPDATE org SET owner_address = '{OWNER}' WHERE id = 'org-acme'");
    bench.edit_org("org-acme", &back).await;

    bench.mailbox.take_all();
    put_right(&bench, ADA, &start.id, Wish::SendAgain).await.unwrap();
    put_right(&bench, ADA, &end.id, Wish::SetAside).await.unwrap();
    for id in [&start.id, &end.id] {
        let twice = put_right(&bench, ADA, id, Wish::SetAside).await;
        assert!(matches!(twice, Err(StepError::Conflict(_))), "{twice:?}");
    }
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    assert_eq!(bench.mailbox.to(OWNER).len(), 1);
    let notices = items(&bench, &handoff.impersonation_id).await;
    assert_eq!(notices[0].stands(), Stands::Taken);
    assert_eq!((notices[1].stands(), &notices[1].sealed), (Stands::SetAside, &None));
    for (action, item) in
        [("platform.mail_sent_again", &start.id), ("platform.mail_set_aside", &end.id)]
    {
        let rows = bench.rows_of("platform", action).await;
        assert_eq!(rows.len(), 1, "{action}");
        assert_eq!(
            (rows[0].actor_id.as_str(), rows[0].detail_str("item_id")),
            (ADA, Some(item.as_str()))
        );
    }
}

async fn whoever_has_it_was_sent_it_whatever_the_server_said(bench: Bench) {
    bench.mailbox.lose_answers(true);
    let handoff = made(&bench, STUCK).await;
    bench.desk.send_due().await.unwrap();
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Queued);
    let mut tx = bench.desk.begin().await.unwrap();
    let ben = bench.at_work(BEN).await;
    let over = crate::model::ConfirmedOver::Telephone;
    let step = bench.desk.acknowledge_by_staff(&mut tx, &ben, &handoff.id, over, "Olive").await;
    let step = bench.desk.settle(tx, step).await;
    assert!(matches!(step, Err(StepError::Conflict(_))), "it has not left: {step:?}");
    assert_eq!(old_ends(&bench, "whk_acme").await, None);

    let mail = bench.mailbox.about(NEW_SECRET);
    bench.clock.advance(time::SECOND / 2);
    let done = acknowledge(&bench, &mail).await.unwrap();
    assert_eq!((done.state, done.sent_at), (HandoffState::Acknowledged, Some(bench.now())));
    let ends = bench.now() + time::DAY;
    assert_eq!(old_ends(&bench, "whk_acme").await, Some(ends));
    let row = &bench.rows_of("acme", "handoff.acknowledged").await[0];
    assert_eq!(row.detail_i64("old_valid_until"), Some(ends));
    // And it does not go a second time.
    bench.mailbox.lose_answers(false);
    bench.clock.advance(time::DAY);
    bench.desk.send_due().await.unwrap();
    bench.mailbox.about(NEW_SECRET);
    assert_eq!(old_ends(&bench, "whk_acme").await, Some(ends));
}

async fn what_was_undelivered_can_be_recorded_as_passed_on(bench: Bench) {
    bench.mailbox.refuse(OWNER, Again::Never, REFUSED);
    let handoff = made(&bench, STUCK).await;
    bench.desk.send_due().await.unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    let ben = bench.at_work(BEN).await;
    let over = crate::model::ConfirmedOver::InPerson;
    let step =
        bench.desk.acknowledge_by_staff(&mut tx, &ben, &handoff.id, over, "on a stick").await;
    let done = bench.desk.settle(tx, step).await.unwrap();
    assert_eq!(done.state, HandoffState::Acknowledged);
    assert_eq!(old_ends(&bench, "whk_acme").await, Some(bench.now() + time::DAY));
    assert_eq!(items(&bench, &handoff.id).await[0].stands(), Stands::SetAside);
    assert_eq!(bench.verdict(&handoff.impersonation_id).await.verdict, Verdict::Complete);
}

/// A vault that the Connect server does not know, until it does.
struct Hidden(Arc<AtomicBool>);

#[async_trait]
impl SharedVault for Hidden {
    async fn put(&self, vault: &str, _: &NewItem) -> Result<ItemId, SharedVaultError> {
        if self.0.load(Ordering::SeqCst) {
            Ok(ItemId::parse("abcdefghijklmnopqrstuvwxy2").unwrap())
        } else {
            Err(SharedVaultError::NoVault(vault.to_owned()))
        }
    }

    async fn check(&self, _: &str) -> Result<(), SharedVaultError> {
        Ok(())
    }
}

async fn an_item_that_the_vault_refuses_is_tried_again_when_asked(mut bench: Bench) {
    let there = Arc::new(AtomicBool::new(false));
    Arc::get_mut(&mut bench.desk).unwrap().shared_vault = Some(Arc::new(Hidden(there.clone())));
    let handoff = made(&bench, "NOV-4814").await;
    for _ in 0..3 {
        bench.desk.send_due().await.unwrap();
        bench.clock.advance(time::DAY);
    }
    let item = items(&bench, &handoff.id).await.remove(0);
    assert_eq!((item.stands(), item.attempts), (Stands::Undelivered, 1));
    assert!(item.sealed.is_some(), "the value is nowhere else");
    assert!(item.last_error.unwrap().contains(VAULT));
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Undelivered);
    for rows in pair(&bench, "platform.handoff_undelivered", "lark", "handoff.undelivered").await {
        assert_eq!((rows.len(), rows[0].detail_str("what")), (1, Some("item")));
    }
    let mut tx = bench.desk.begin().await.unwrap();
    let ben = bench.at_work(BEN).await;
    let over = crate::model::ConfirmedOver::Telephone;
    let step = bench.desk.acknowledge_by_staff(&mut tx, &ben, &handoff.id, over, "Olive").await;
    let step = bench.desk.settle(tx, step).await;
    assert!(matches!(step, Err(StepError::Conflict(_))), "they cannot have it: {step:?}");

    there.store(true, Ordering::SeqCst);
    assert_eq!(again(&bench, &handoff.id).await.unwrap(), SentAgain::Item);
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Queued);
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Sent);
    assert_eq!(old_ends(&bench, "whk_lark").await, Some(bench.now() + time::DAY));
    assert_eq!(bench.desk.send_due().await.unwrap(), 1, "the notice");
}

/// Whatever sanitizing lets through, what was issued here is recognized and kept out of the logs.
async fn words_of_a_server_that_repeat_a_value_are_kept_nowhere(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let value = bench.value("whk_acme", 2).await.expose_secret().to_owned();
    bench.mailbox.refuse(OWNER, Again::Never, &format!("rejected: {value}"));
    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    assert_eq!(now_of(&bench, &handoff).await.state, HandoffState::Undelivered);
    for log in ["platform", "acme"] {
        let rows = format!("{:?}", bench.rows(log).await);
        assert!(!rows.contains(&value) && rows.contains("are not kept"), "{log}");
    }
    let kept = format!("SELECT COUNT(*) FROM outbox WHERE last_error LIKE '%{value}%'");
    assert_eq!(bench.number(&kept).await, 0);
}
