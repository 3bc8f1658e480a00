//! The handoff into the shared vault: the item is there once, whatever goes wrong on the way, and
//! the impersonation does not wait for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use crate::delivery::one_password::Connect;
use crate::delivery::shared_vault::{ItemId, NewItem, SharedVault, SharedVaultError};
use crate::desk::StepError;
use crate::desk::outbox::again::SentAgain;
use crate::model::{HandoffState, OutboxKind, VersionState, time};
use crate::policy::eligibility::Check;
use crate::proof::row::ActorType;
use crate::proof::verdict::Verdict;
use crate::store::handoffs::Handoff;
use crate::store::impersonations::Impersonation;
use crate::store::outbox::{self, Item as Waiting};
use crate::testing::connect::{Mood, OUT_OF_SCOPE, Running, VAULT};
use crate::testing::mailbox::link_in;
use crate::testing::story::{ADA, BEN};
use crate::testing::{Bench, both_engines};

both_engines!(
    the_new_key_is_in_the_vault_and_both_logs_say_so,
    while_connect_is_down_the_impersonation_ends_and_the_item_waits,
    after_a_crash_between_the_item_and_its_record_there_is_one_item,
    a_lost_answer_makes_no_second_item,
    two_instances_put_it_there_once,
    what_somebody_has_to_set_right_is_said_and_asked_for_less_often,
    without_a_vault_that_works_nothing_is_started_and_no_value_made,
    sent_again_the_item_stays_and_the_notice_goes,
    what_is_under_way_is_not_hastened,
    whoever_sets_it_up_hears_which_vault_cannot_be_seen,
);

const TICKET: &str = "NOV-4814";
const SECRET: &str = "whk_lark";
const NOTICE: &str = "is in the shared vault";

/// The desk puts its items through this.
fn use_vault(bench: &mut Bench, vault: impl SharedVault) {
    Arc::get_mut(&mut bench.desk).unwrap().shared_vault = Some(Arc::new(vault));
}

async fn connected(bench: &mut Bench) -> Running {
    let running = Running::start(bench.folder(), bench.clock.clone()).await;
    use_vault(bench, running.client());
    running
}

/// Carries the ticket to the end of the impersonation.
async fn handed_off(bench: &Bench) -> (Impersonation, Handoff) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, TICKET).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    (bench.grant(&grant.id).await, handoff)
}

/// What waits for the vault, or did.
async fn waiting(bench: &Bench, handoff: &Handoff) -> Waiting {
    let mut conn = bench.desk.store.read().await.unwrap();
    let all = outbox::about(&mut conn, &handoff.id).await.unwrap();
    all.into_iter().find(|item| item.kind == OutboxKind::OnePassword).unwrap()
}

async fn delivered_rows(bench: &Bench) -> (usize, usize) {
    let platform = bench.rows_of("platform", "platform.secret_delivered").await.len();
    (platform, bench.rows_of("lark", "handoff.delivered").await.len())
}

async fn the_new_key_is_in_the_vault_and_both_logs_say_so(mut bench: Bench) {
    let running = connected(&mut bench).await;
    let (grant, handoff) = handed_off(&bench).await;
    assert_eq!(handoff.state, HandoffState::Queued);
    assert_eq!((handoff.sealed, handoff.message.as_str()), (None, ""), "it waits in one place");
    assert!(grant.ended_at.is_some() && handoff.delivered_at.is_none());
    bench.clock.advance(time::MINUTE);
    assert_eq!(bench.desk.send_due().await.unwrap(), 3, "the start, the end, the item");

    let value = bench.value(SECRET, 2).await;
    let items = running.items();
    assert_eq!(items.len(), 1);
    let item = &items[0];
    assert_eq!((item.vault.as_str(), item.category.as_str()), (VAULT, "API_CREDENTIAL"));
    assert_eq!(item.title, "Webhook signing key whk_lark, version 2");
    assert_eq!(item.tags, [format!("rotation:{}", handoff.rotation_id)]);
    let field = |id: &str| item.fields.iter().find(|f| f.id == id).unwrap();
    assert_eq!(field("credential").value.as_str(), value.expose_secret());
    assert_eq!(field("credential").r#type, "CONCEALED");
    for said in ["Version 2", SECRET, "LARK Ltd", TICKET, &grant.id] {
        assert!(field("notesPlain").value.contains(said), "{said}");
    }

    let done = bench.handoff_of(&grant.id).await;
    assert_eq!(done.delivered_at, Some(bench.now()));
    assert_eq!(done.item_id.as_deref(), Some(item.id.as_str()));
    assert_eq!(waiting(&bench, &done).await.sealed, None, "what waited is erased");
    let old = &bench.versions(SECRET).await[1];
    assert_eq!(old.state, VersionState::Retiring);
    assert_eq!(old.retires_at, Some(bench.now() + time::DAY), "the overlap begins with the item");

    for (log, action) in [("platform", "platform.secret_delivered"), ("lark", "handoff.delivered")]
    {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}");
        let row = &rows[0];
        assert_eq!((row.actor_type, &row.impersonation_id), (ActorType::System, &None));
        assert_eq!(row.detail_str("after_impersonation"), Some(grant.id.as_str()));
        assert_eq!(row.detail_str("item_id"), Some(item.id.as_str()));
        assert_eq!(row.detail_str("vault_id"), Some(VAULT));
        assert_eq!(row.ticket_ref.as_deref(), Some(TICKET));
    }
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
    bench.verify_all().await.unwrap();

    assert_eq!(bench.desk.send_due().await.unwrap(), 1, "and now the notice");
    let notice = bench.mailbox.about(NOTICE);
    assert_eq!(notice.to, "owner@lark.example");
    let text = notice.body.expose_secret();
    assert!(text.contains(VAULT) && text.contains(&item.title) && !text.contains("whsec_"));
    assert_eq!(acknowledged(&bench, &notice).await, HandoffState::Acknowledged);
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
}

async fn acknowledged(bench: &Bench, notice: &crate::delivery::mail::Mail) -> HandoffState {
    let link = link_in(notice, "/acknowledge/");
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.acknowledge_by_link(&mut tx, &link, None).await;
    bench.desk.settle(tx, step).await.unwrap().state
}

async fn while_connect_is_down_the_impersonation_ends_and_the_item_waits(mut bench: Bench) {
    let running = connected(&mut bench).await;
    running.set(Mood::Busy);
    let (grant, handoff) = handed_off(&bench).await;
    assert!(grant.ended_at.is_some(), "it ends all the same");
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
    assert_eq!(bench.desk.send_due().await.unwrap(), 2, "the mails of the start and the end");
    for _ in 0..4 {
        bench.clock.advance(12 * time::HOUR);
        assert_eq!(bench.desk.send_due().await.unwrap(), 0);
    }
    let item = waiting(&bench, &handoff).await;
    assert_eq!((item.done_at, item.attempts), (None, 5));
    let why = item.last_error.unwrap();
    assert!(why.contains("answered 503: it is tried again by itself"), "{why}");
    let pause = item.next_at - bench.now();
    assert!(pause < 19 * time::MINUTE, "back within minutes of its return: {pause}");
    assert_eq!(delivered_rows(&bench).await, (0, 0));
    assert_eq!(bench.accepted(SECRET).await, [2, 1], "the customer still needs the old key");
    let ben = bench.at_work(BEN).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let over = crate::model::ConfirmedOver::Telephone;
    let step = bench.desk.acknowledge_by_staff(&mut tx, &ben, &handoff.id, over, "Olive").await;
    let step = bench.desk.settle(tx, step).await;
    assert!(matches!(step, Err(StepError::Conflict(_))), "they cannot have it: {step:?}");
    assert!(bench.mailbox.all().iter().all(|mail| !mail.subject.contains(NOTICE)));

    running.set(Mood::Well);
    bench.clock.advance(pause);
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    bench.clock.advance(time::HOUR);
    assert_eq!(bench.desk.send_due().await.unwrap(), 1, "the notice");
    bench.clock.advance(time::HOUR);
    assert_eq!(bench.desk.send_due().await.unwrap(), 0);
    assert_eq!((running.items().len(), running.posts()), (1, 1));
    assert_eq!(delivered_rows(&bench).await, (1, 1));
    bench.mailbox.about(NOTICE);
}

/// Puts the item there, and never comes back: as if the process had been killed just then.
struct Killed(Connect);

#[async_trait]
impl SharedVault for Killed {
    async fn put(&self, vault: &str, item: &NewItem) -> Result<ItemId, SharedVaultError> {
        self.0.put(vault, item).await?;
        std::future::pending().await
    }

    async fn check(&self, vault: &str) -> Result<(), SharedVaultError> {
        self.0.check(vault).await
    }
}

async fn after_a_crash_between_the_item_and_its_record_there_is_one_item(mut bench: Bench) {
    let running = connected(&mut bench).await;
    use_vault(&mut bench, Killed(running.client()));
    let (grant, handoff) = handed_off(&bench).await;
    let working = bench.desk.send_due();
    tokio::time::timeout(Duration::from_secs(3), working).await.unwrap_err();
    assert_eq!((running.items().len(), delivered_rows(&bench).await), (1, (0, 0)));
    assert!(waiting(&bench, &handoff).await.sealed.is_some());

    let later = bench.now() + time::HOUR;
    let mut restarted = Bench::open(&bench.url, bench.folder(), later, 77).await;
    use_vault(&mut restarted, running.client());
    assert_eq!(restarted.desk.send_due().await.unwrap(), 1);
    assert_eq!((running.items().len(), running.posts()), (1, 1), "found again");
    assert_eq!(delivered_rows(&restarted).await, (1, 1));
    let done = restarted.handoff_of(&grant.id).await;
    assert_eq!(done.item_id.as_deref(), Some(running.items()[0].id.as_str()));
    restarted.verify_all().await.unwrap();
}

async fn a_lost_answer_makes_no_second_item(mut bench: Bench) {
    let running = connected(&mut bench).await;
    running.set(Mood::LosesAnswers);
    let (_, handoff) = handed_off(&bench).await;
    bench.desk.send_due().await.unwrap();
    let item = waiting(&bench, &handoff).await;
    assert!(item.last_error.unwrap().contains("looked for before it is tried again"));
    assert!(item.next_at >= bench.now() + 30 * time::SECOND, "it may still be at it");
    running.set(Mood::Well);
    bench.clock.advance(time::MINUTE);
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    assert_eq!((running.items().len(), running.posts()), (1, 1));
    assert_eq!(delivered_rows(&bench).await, (1, 1));
}

async fn two_instances_put_it_there_once(mut bench: Bench) {
    let running = connected(&mut bench).await;
    let mut other = Bench::open(&bench.url, bench.folder(), bench.now(), 78).await;
    use_vault(&mut other, running.client());
    handed_off(&bench).await;
    let (one, two) = tokio::join!(bench.desk.send_due(), other.desk.send_due());
    one.unwrap();
    two.unwrap();
    assert_eq!((running.items().len(), running.posts()), (1, 1));
    assert_eq!(delivered_rows(&bench).await, (1, 1));
}

async fn what_somebody_has_to_set_right_is_said_and_asked_for_less_often(mut bench: Bench) {
    let running = connected(&mut bench).await;
    let sql = format!("UPDATE org SET shared_vault_id = '{OUT_OF_SCOPE}' WHERE id = 'org-lark'");
    bench.edit_org("org-lark", &sql).await;
    let (_, handoff) = handed_off(&bench).await;
    assert_eq!(handoff.recipient, OUT_OF_SCOPE);
    bench.desk.send_due().await.unwrap();
    let item = waiting(&bench, &handoff).await;
    let why = item.last_error.unwrap();
    assert!(why.contains("not in the scope of our 1Password access token"), "{why}");
    let pause = item.next_at - bench.now();
    assert!((15 * time::SECOND..19 * time::SECOND).contains(&pause), "{pause}");
    assert_eq!((item.to_mend, item.gave_up_at), (1, None));
    for _ in 0..20 {
        bench.clock.advance(time::HOUR);
        bench.desk.send_due().await.unwrap();
    }
    let item = waiting(&bench, &handoff).await;
    let pause = item.next_at - bench.now();
    assert!((10 * time::MINUTE..13 * time::MINUTE).contains(&pause), "{pause}");
    assert_eq!((item.attempts, item.gave_up_at), (21, None));
    assert!(running.items().is_empty());

    // A deployment that has lost its configuration says that, and loses nothing.
    Arc::get_mut(&mut bench.desk).unwrap().shared_vault = None;
    bench.clock.advance(time::HOUR);
    bench.desk.send_due().await.unwrap();
    let item = waiting(&bench, &handoff).await;
    assert!(item.last_error.unwrap().contains("set one_password.url"));
    assert!(item.sealed.is_some());
}

async fn without_a_vault_that_works_nothing_is_started_and_no_value_made(mut bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let refused = |step| match step {
        Err(StepError::Refused(v)) => {
            assert_eq!(v.failed_names(), ["handoff_possible"]);
            let found = v.findings.iter().find(|f| f.check == Check::HandoffPossible);
            found.unwrap().saw.clone()
        }
        other => panic!("{other:?}"),
    };
    let saw = refused(bench.impersonate(&ada, TICKET).await.map(|_| ()));
    assert!(saw.contains("no 1Password Connect server is configured"), "{saw}");

    let _running = connected(&mut bench).await;
    for (vault, says) in [
        ("NULL", "names no vault"),
        ("''", "names no vault"),
        ("'Shared vault'", "is no id of a 1Password vault"),
        ("'ABCDEFGHIJKLMNOPQRSTUVWXY2'", "26 lower-case letters and digits"),
    ] {
        let sql = format!("UPDATE org SET shared_vault_id = {vault} WHERE id = 'org-lark'");
        bench.edit_org("org-lark", &sql).await;
        let saw = refused(bench.impersonate(&ada, TICKET).await.map(|_| ()));
        assert!(saw.contains(says), "{saw}");
    }
    let back = format!("UPDATE org SET shared_vault_id = '{VAULT}' WHERE id = 'org-lark'");
    bench.edit_org("org-lark", &back).await;
    let grant = bench.impersonate(&ada, TICKET).await.unwrap();
    // Between the minting and the rotation the entry is broken.
    let broken = "UPDATE org SET shared_vault_id = 'x' WHERE id = 'org-lark'";
    bench.edit_org("org-lark", broken).await;
    refused(bench.rotate(&grant).await.map(|_| ()));
    assert_eq!(bench.versions(SECRET).await.len(), 1, "no value was made");
    assert_eq!(bench.number("SELECT COUNT(*) FROM handoff").await, 0);
}

async fn again(bench: &Bench, handoff: &Handoff) -> SentAgain {
    let who = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.send_again(&mut tx, &who, &handoff.id).await;
    bench.desk.settle(tx, step).await.unwrap()
}

async fn sent_again_the_item_stays_and_the_notice_goes(mut bench: Bench) {
    let running = connected(&mut bench).await;
    running.set(Mood::Busy);
    let (_, handoff) = handed_off(&bench).await;
    for _ in 0..5 {
        bench.desk.send_due().await.unwrap();
        bench.clock.advance(time::MINUTE);
    }
    bench.desk.send_due().await.unwrap();
    running.set(Mood::Well);
    assert_eq!(bench.desk.send_due().await.unwrap(), 0, "it would wait for a while");
    assert_eq!(again(&bench, &handoff).await, SentAgain::Hastened);
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    bench.desk.send_due().await.unwrap();
    let first = bench.mailbox.about(NOTICE);

    assert_eq!(again(&bench, &handoff).await, SentAgain::Anew);
    bench.desk.send_due().await.unwrap();
    let notices: Vec<_> =
        bench.mailbox.all().into_iter().filter(|m| m.subject.contains(NOTICE)).collect();
    assert_eq!((notices.len(), running.items().len(), running.posts()), (2, 1, 1));
    let text = |link: SecretString| link.expose_secret().to_owned();
    let links = [&first, &notices[1]].map(|mail| text(link_in(mail, "/acknowledge/")));
    assert_ne!(links[0], links[1], "the old link is dead");
    assert_eq!(acknowledged(&bench, &notices[1]).await, HandoffState::Acknowledged);
}

/// Two attempts at once, on two instances, could both find no item and make one each.
async fn what_is_under_way_is_not_hastened(mut bench: Bench) {
    let running = connected(&mut bench).await;
    use_vault(&mut bench, Killed(running.client()));
    let (_, handoff) = handed_off(&bench).await;
    let working = bench.desk.send_due();
    tokio::time::timeout(Duration::from_secs(3), working).await.unwrap_err();
    let held = waiting(&bench, &handoff).await.next_at;
    again(&bench, &handoff).await;
    assert_eq!(waiting(&bench, &handoff).await.next_at, held, "whoever took it may be at it");
    bench.clock.advance(held - bench.now());
    use_vault(&mut bench, running.client());
    bench.desk.send_due().await.unwrap();
    assert_eq!((running.items().len(), running.posts()), (1, 1));
}

async fn whoever_sets_it_up_hears_which_vault_cannot_be_seen(mut bench: Bench) {
    let lark = |seen| vec![("LARK Ltd".to_owned(), seen)];
    let found = bench.desk.check_shared_vaults().await.unwrap();
    assert_eq!(found, lark(Err(SharedVaultError::NotConfigured)));
    let _running = connected(&mut bench).await;
    assert_eq!(bench.desk.check_shared_vaults().await.unwrap(), lark(Ok(())));
    let sql = format!("UPDATE org SET shared_vault_id = '{OUT_OF_SCOPE}' WHERE id = 'org-lark'");
    bench.sql(&sql).await.unwrap();
    let found = bench.desk.check_shared_vaults().await.unwrap();
    assert_eq!(found, lark(Err(SharedVaultError::NotInScope(OUT_OF_SCOPE.to_owned()))));
}
