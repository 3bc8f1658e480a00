//! The mails about an impersonation, and the link in them with which the Owner withdraws consent.

use secrecy::ExposeSecret as _;

use super::consent::{asked, consent_of, consents, use_link};
use crate::desk::{Step, StepError};
use crate::model::{Consent, EndCause, time};
use crate::store::orgs;
use crate::testing::mailbox::link_in;
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    each_mail_says_who_why_which_ticket_and_how_to_withdraw,
    the_withdraw_link_ends_what_runs_at_once,
    the_withdraw_link_works_once_for_a_week_and_for_the_present_owner,
    of_a_withdraw_link_only_the_hash_is_kept,
);

async fn withdraw(bench: &Bench, link: &secrecy::SecretString) -> Step<()> {
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.withdraw_by_link(&mut tx, link, None).await;
    bench.desk.settle(tx, step).await
}

/// The link to withdraw in the newest mail to an address about a start.
async fn withdraw_link(bench: &Bench, address: &str) -> secrecy::SecretString {
    bench.desk.send_due().await.unwrap();
    let mut mails = bench.mailbox.to(address);
    mails.retain(|mail| mail.subject.contains("is acting for"));
    link_in(mails.last().unwrap(), "/withdraw/")
}

/// The Owner's three mails: plain and short.
async fn each_mail_says_who_why_which_ticket_and_how_to_withdraw(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mails = bench.mailbox.to("owner@acme.example");
    assert_eq!(mails.len(), 3, "start, handoff and end");
    let mut links = std::collections::HashSet::new();
    for mail in &mails {
        let body = mail.body.expose_secret();
        let plain = body.split("-----BEGIN PGP MESSAGE").next().unwrap();
        for needed in [
            "Ada Admin",
            "rotate stuck webhook_signing_key per ticket NOV-4801",
            "PUT https://keyturn.example/api/v1/org/consent",
        ] {
            assert!(plain.contains(needed), "{}: {needed}\n{plain}", mail.subject);
        }
        assert!(mail.subject.contains(STUCK), "{}", mail.subject);
        assert!(plain.lines().count() <= 30 && plain.is_ascii(), "{plain}");
        assert!(plain.lines().all(|line| line.len() <= 110), "{plain}");
        assert!(links.insert(link_in(mail, "/withdraw/").expose_secret().to_owned()));
    }

    // With consent for the one ticket there is nothing left to withdraw at the end.
    let link = asked(&bench).await;
    use_link(&bench, &link).await.unwrap();
    let grant = bench.impersonate(&ada, "NOV-4806").await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mails = bench.mailbox.to("owner@elm.example");
    let about = |subject: &str| mails.iter().find(|m| m.subject.contains(subject)).unwrap();
    let start = about("is acting for");
    let (handoff, end) = (about("Your new secret"), about("no longer acts"));
    assert!(start.body.expose_secret().contains("for this ticket only, and goes off by itself"));
    assert!(start.body.expose_secret().contains("/withdraw/"));
    for mail in [handoff, end] {
        let body = mail.body.expose_secret();
        assert!(body.contains("for this ticket only. It is off now."), "{body}");
        assert!(!body.contains("/withdraw/"), "{body}");
    }
}

async fn the_withdraw_link_ends_what_runs_at_once(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let token = bench.token(&grant);
    let link = withdraw_link(&bench, "owner@acme.example").await;
    {
        let mut conn = bench.desk.store.read().await.unwrap();
        let seen = bench.desk.withdrawal_of_link(&mut conn, &link).await.unwrap().unwrap();
        assert_eq!(seen.grant.id, grant.id);
        assert!(
            bench.desk.check_token(&mut conn, &token).await.unwrap().is_ok(),
            "looking is free"
        );
    }
    withdraw(&bench, &link).await.unwrap();
    assert_eq!(consent_of(&bench, "acme").await, Consent::Off);
    let ended = bench.grant(&grant.id).await;
    assert_eq!(ended.end_cause(), Some(EndCause::ConsentWithdrawn));
    let mut conn = bench.desk.store.read().await.unwrap();
    assert!(bench.desk.check_token(&mut conn, &token).await.unwrap().is_err());
    drop(conn);
    for log in ["platform", "acme"] {
        let row = bench.rows_of(log, "consent.disabled").await.pop().unwrap();
        assert_eq!(row.actor_id, "acme-owner", "{log}");
        assert_eq!(row.ticket_ref.as_deref(), Some(STUCK));
        assert_eq!(row.detail_str("cause"), Some("the link in the mail about it"));
    }
    let verdict = bench.verdict(&grant.id).await;
    assert_ne!(verdict.verdict, crate::proof::verdict::Verdict::Mismatch, "{verdict:#?}");
    bench.verify_all().await.unwrap();
}

async fn the_withdraw_link_works_once_for_a_week_and_for_the_present_owner(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    bench.impersonate(&ada, STUCK).await.unwrap();
    let link = withdraw_link(&bench, "owner@acme.example").await;
    withdraw(&bench, &link).await.unwrap();
    withdraw(&bench, &link).await.unwrap();
    assert_eq!(bench.rows_of("acme", "consent.disabled").await.len(), 1, "pressed twice");
    // Given again later, the used link does not take it away.
    bench.set_consent("acme-owner", true).await.unwrap();
    assert!(matches!(withdraw(&bench, &link).await, Err(StepError::NotFound)));
    assert!(consents(&bench, "acme").await);
    assert!(matches!(withdraw(&bench, &"none".into()).await, Err(StepError::NotFound)));

    bench.impersonate(&ada, STUCK).await.unwrap();
    let late = withdraw_link(&bench, "owner@acme.example").await;
    bench.clock.advance(7 * time::DAY);
    assert!(matches!(withdraw(&bench, &late).await, Err(StepError::NotFound)));
    bench.desk.sweep().await.unwrap();

    bench.authenticated_anew().await;
    let ada = bench.at_work(ADA).await;
    bench.impersonate(&ada, STUCK).await.unwrap();
    let link = withdraw_link(&bench, "owner@acme.example").await;
    {
        let mut conn = bench.desk.store.read().await.unwrap();
        orgs::set_owner(&mut conn, "org-acme", "acme-admin", bench.now()).await.unwrap();
    }
    assert!(matches!(withdraw(&bench, &link).await, Err(StepError::NotFound)));
    assert!(consents(&bench, "acme").await);
}

async fn of_a_withdraw_link_only_the_hash_is_kept(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    bench.impersonate(&ada, STUCK).await.unwrap();
    let link = withdraw_link(&bench, "owner@acme.example").await;
    let link = link.expose_secret();
    assert_eq!(link.len(), 43, "32 bytes in base64url");
    let rows = format!("SELECT COUNT(*) FROM audit_entry WHERE body LIKE '%{link}%'");
    assert_eq!(bench.number(&rows).await, 0);
    let kept = format!("SELECT COUNT(*) FROM withdraw_link WHERE hash = '{link}'");
    assert_eq!(bench.number(&kept).await, 0);
    let hash = crate::auth::credential::hash(&link.into());
    let kept = format!("SELECT COUNT(*) FROM withdraw_link WHERE hash = '{hash}'");
    assert_eq!(bench.number(&kept).await, 1);
}
