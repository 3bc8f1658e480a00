//! What somebody with bad intentions would try, and what it comes to.

use secrecy::SecretString;

use crate::audit::verify::set_faults;
use crate::desk::StepError;
use crate::desk::rotate::{Ask, Caller};
use crate::store::{audit, orgs};
use crate::testing::story::{ADA, CLEO, STUCK, member_id};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_log_that_was_removed_whole_is_missed,
    a_log_cut_back_to_a_kept_checkpoint_is_found_by_what_an_org_recorded,
    a_dead_token_leaves_a_row_that_says_who_presented_it,
    an_auditor_who_tries_to_mint_is_written_down,
    what_is_no_ticket_number_reaches_no_log,
    what_was_typed_into_the_address_is_not_kept,
    guessing_from_one_subscriber_is_slowed_whichever_address_it_uses,
    nobody_signs_with_a_customers_key_without_consent,
    accounts_do_not_come_and_go_unseen,
    a_reply_that_holds_an_issued_value_is_refused_and_not_kept,
    a_ready_reply_goes_only_where_its_check_fails_and_the_ticket_is_open,
);

async fn a_log_that_was_removed_whole_is_missed(bench: Bench) {
    let mut conn = bench.desk.store.read().await.unwrap();
    let heads = audit::heads(&mut conn).await.unwrap();
    assert_eq!(set_faults(&mut conn, &heads).await.unwrap(), []);
    let without: Vec<_> = heads.into_iter().filter(|h| h.id != "org/org-acme").collect();
    let faults = set_faults(&mut conn, &without).await.unwrap();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].log, "org/org-acme");
}

/// No key is needed to put an older signed checkpoint back; what the other log recorded since
/// then gives it away.
async fn a_log_cut_back_to_a_kept_checkpoint_is_found_by_what_an_org_recorded(bench: Bench) {
    bench.set_consent(&member_id("acme", "owner"), false).await.unwrap();
    let before = {
        let mut conn = bench.desk.store.read().await.unwrap();
        audit::head(&mut conn, "platform").await.unwrap().unwrap()
    };
    bench.clock.advance(crate::model::time::HOUR);
    bench.set_consent(&member_id("acme", "owner"), true).await.unwrap();
    bench.verify_all().await.unwrap();
    let mut heads = {
        let mut conn = bench.desk.store.read().await.unwrap();
        audit::heads(&mut conn).await.unwrap()
    };
    *heads.iter_mut().find(|h| h.id == "platform").unwrap() = before;
    let mut conn = bench.desk.store.read().await.unwrap();
    let key = &bench.desk.keys.log;
    let fault = crate::audit::verify::cross_recorded(&mut conn, &key.verifiers(), &heads)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(fault.log, "platform");
}

async fn a_dead_token_leaves_a_row_that_says_who_presented_it(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let token = bench.token(&grant);
    bench.end(&ada, &grant.id).await.unwrap();
    let step = bench.rotate_as(&Caller::Token(token), "whk_acme", &Ask::default()).await;
    assert!(matches!(step, Err(StepError::Forbidden(_))));
    let rows = bench.rows_of("platform", "platform.rotation_refused").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].impersonation_id.as_deref(), Some(grant.id.as_str()));
    // A forged one is nobody's, and leaves none.
    let forged = Caller::Token(SecretString::from("a.b.c"));
    assert!(bench.rotate_as(&forged, "whk_acme", &Ask::default()).await.is_err());
    assert_eq!(bench.rows_of("platform", "platform.rotation_refused").await.len(), 1);
}

async fn an_auditor_who_tries_to_mint_is_written_down(bench: Bench) {
    let cleo = bench.at_work(CLEO).await;
    assert!(matches!(bench.impersonate(&cleo, STUCK).await, Err(StepError::Denied(_))));
    let rows = bench.rows_of("platform", "platform.impersonation_refused").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].actor_id, CLEO);
    assert_eq!(bench.number("SELECT COUNT(*) FROM impersonation").await, 0);
}

async fn what_is_no_ticket_number_reaches_no_log(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let before = bench.rows("platform").await.len();
    for text in ["whsec_pastedIntoTheWrongField", "", "NOV-", &"N".repeat(50_000)] {
        assert!(matches!(bench.impersonate(&ada, text).await, Err(StepError::NotFound)));
    }
    assert_eq!(bench.rows("platform").await.len(), before);
}

async fn sign_in(bench: &Bench, email: &str, from: &str) -> Result<(), StepError> {
    bench.desk.sign_in(email, "wrong password".into(), from).await.map(|_| ())
}

async fn what_was_typed_into_the_address_is_not_kept(bench: Bench) {
    let typed = "correct-horse-battery@wrong-field";
    assert!(matches!(sign_in(&bench, typed, "192.0.2.1").await, Err(StepError::WrongPassword)));
    bench.desk.write_sign_ins(true).await.unwrap();
    let kept = format!("SELECT COUNT(*) FROM sign_in_count WHERE account LIKE '%{typed}%'");
    assert_eq!(bench.number("SELECT COUNT(*) FROM sign_in_count").await, 1);
    assert_eq!(bench.rows_of("platform", "platform.sign_in_failed").await.len(), 1);
    assert_eq!(bench.number(&kept).await, 0);
    assert!(bench.rows("platform").await.iter().all(|r| !format!("{r:?}").contains(typed)));
    assert!(matches!(
        sign_in(&bench, &"a@".repeat(200), "192.0.2.1").await,
        Err(StepError::Invalid(_))
    ));
}

async fn guessing_from_one_subscriber_is_slowed_whichever_address_it_uses(bench: Bench) {
    let email = bench.at_work(ADA).await.staff.email;
    for n in 0..5 {
        let step = sign_in(&bench, &email, &format!("2001:db8:1:2::{n}")).await;
        assert!(matches!(step, Err(StepError::WrongPassword)), "{n}: {step:?}");
    }
    let sixth = sign_in(&bench, &email, "2001:db8:1:2:ffff::9").await;
    assert!(matches!(sixth, Err(StepError::Throttled(_))), "{sixth:?}");
    // The owner of the account, elsewhere, is not held up.
    let elsewhere = sign_in(&bench, &email, "198.51.100.7").await;
    assert!(matches!(elsewhere, Err(StepError::WrongPassword)), "{elsewhere:?}");
}

async fn nobody_signs_with_a_customers_key_without_consent(bench: Bench) {
    bench.set_consent(&member_id("acme", "owner"), false).await.unwrap();
    let ada = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.prepare_test_event(&mut tx, &ada, "org-acme", "whk_acme").await;
    assert!(matches!(step, Err(StepError::Conflict(_))));
    let org = orgs::by_id(tx.conn(), "org-acme").await.unwrap().unwrap();
    assert!(!org.consent().on());
}

async fn accounts_do_not_come_and_go_unseen(bench: Bench) {
    let by = crate::audit::Actor { name: "root".to_owned(), ..crate::audit::Actor::system() };
    let mut tx = bench.desk.begin().await.unwrap();
    let role = crate::model::StaffRole::PlatformAdmin;
    let password = bench.desk.hash_password(&"a password of some length".into(), &[]).unwrap();
    bench
        .desk
        .add_staff(&mut tx, "Eve@platform.example", "Eve", role, &password, &by)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    bench.desk.disable_staff(&mut tx, "eve@platform.example", &by).await.unwrap();
    tx.commit().await.unwrap();
    for action in ["platform.staff_added", "platform.staff_disabled"] {
        let rows = bench.rows_of("platform", action).await;
        assert_eq!(rows.len(), 1, "{action}");
        assert_eq!(rows[0].detail_str("staff_name"), Some("Eve"));
        assert_eq!(rows[0].actor_name, "root");
    }
}

async fn a_reply_that_holds_an_issued_value_is_refused_and_not_kept(bench: Bench) {
    bench.self_service(&member_id("acme", "owner"), "whk_acme", &Ask::default()).await.unwrap();
    let newest = bench.accepted("whk_acme").await[0];
    let value = bench.value("whk_acme", newest).await;
    let value = secrecy::ExposeSecret::expose_secret(&value).to_owned();
    let ada = bench.at_work(ADA).await;
    let post = |text: String| {
        let (bench, ada) = (&bench, &ada);
        async move {
            let mut tx = bench.desk.begin().await?;
            let step = bench.desk.post_text(&mut tx, ada, STUCK, &text).await;
            bench.desk.settle(tx, step).await
        }
    };
    let bare = value.trim_start_matches("whsec_").to_owned();
    let split: String = value.chars().flat_map(|c| [c, ' ']).collect();
    for text in [format!("Your new key is {value}."), bare, split] {
        let step = post(text).await;
        assert!(matches!(step, Err(StepError::Denied(_))), "{step:?}");
    }
    assert_eq!(bench.rows_of("platform", "platform.reply_refused").await.len(), 3);
    let kept = format!("SELECT COUNT(*) FROM audit_entry WHERE body LIKE '%{}%'", &value[6..20]);
    assert_eq!(bench.number(&kept).await, 0);
    post("We have your request, and will write again today.".to_owned()).await.unwrap();
    assert_eq!(bench.rows_of("platform", "platform.reply_posted").await.len(), 1);
    let messages = "SELECT COUNT(*) FROM ticket_message WHERE kind = 'staff'";
    assert_eq!(bench.number(messages).await, 1);
}

async fn a_ready_reply_goes_only_where_its_check_fails_and_the_ticket_is_open(bench: Bench) {
    use crate::policy::eligibility::Check;
    let post = |who: &'static str, ticket: &'static str, check: Check| {
        let bench = &bench;
        async move {
            let who = bench.at_work(who).await;
            let mut tx = bench.desk.begin().await?;
            let step = bench.desk.post_reply(&mut tx, &who, ticket, check).await;
            bench.desk.settle(tx, step).await
        }
    };
    let passes = post(ADA, STUCK, Check::Consent).await;
    assert!(matches!(passes, Err(StepError::Conflict(_))), "{passes:?}");
    let closed = post(ADA, "NOV-4815", Check::TicketOpen).await;
    assert!(matches!(closed, Err(StepError::Conflict(_))), "{closed:?}");
    let auditor = post(CLEO, "NOV-4806", Check::Consent).await;
    assert!(matches!(auditor, Err(StepError::Forbidden(_))), "{auditor:?}");
    let messages = "SELECT COUNT(*) FROM ticket_message WHERE kind = 'staff'";
    assert_eq!(bench.number(messages).await, 0);
    post(ADA, "NOV-4806", Check::Consent).await.unwrap();
    assert_eq!(bench.number(messages).await, 1);
    let rows = bench.rows_of("platform", "platform.reply_posted").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].detail_str("check"), Some("consent"));
}
