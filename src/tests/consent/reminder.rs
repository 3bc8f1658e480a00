//! Consent without an end is asked about once a year, and does not count for ever unanswered.

use secrecy::{ExposeSecret as _, SecretString};

use crate::delivery::mail::Mail;
use crate::desk::StepError;
use crate::desk::consent::CONFIRMED_EVERY;
use crate::model::{Consent, Micros, time};
use crate::policy::eligibility::UNANSWERED_FOR;
use crate::store::orgs::{self, Org};
use crate::testing::mailbox::link_in;
use crate::testing::story::{ADA, STUCK, org_id};
use crate::testing::{Bench, both_engines};

both_engines!(
    an_owner_who_keeps_it_is_asked_again_a_year_later,
    an_owner_who_withdraws_it_by_the_link_has_withdrawn_it,
    without_an_answer_it_does_not_count_until_there_is_one,
    nobody_else_can_answer_and_no_link_works_twice,
    nobody_is_asked_about_consent_that_ends_or_is_off,
    what_somebody_changes_in_the_table_is_not_an_answer,
    where_it_is_asked_anew_an_older_link_is_worthless,
);

async fn org(bench: &Bench, slug: &str) -> Org {
    let mut conn = bench.desk.store.read().await.unwrap();
    orgs::by_id(&mut conn, &org_id(slug)).await.unwrap().unwrap()
}

/// Just before, and just when, an org's consent is a year old.
async fn a_year_old(bench: &Bench, slug: &str) {
    let o = org(bench, slug).await;
    let due = o.consent_confirmed_at.or(o.consent_changed_at).unwrap() + CONFIRMED_EVERY;
    bench.clock.advance(due - 1 - bench.now());
    bench.desk.sweep().await.unwrap();
    assert_eq!(org(bench, slug).await.consent_reminded_at, None);
    bench.clock.advance(1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(org(bench, slug).await.consent_reminded_at, Some(bench.now()));
}

fn questions(bench: &Bench) -> Vec<Mail> {
    let mut mails = bench.mailbox.all();
    mails.retain(|m| m.subject.starts_with("May the platform still act for"));
    mails
}

async fn asked(bench: &Bench, slug: &str) -> SecretString {
    bench.desk.send_due().await.unwrap();
    let name = org(bench, slug).await.name;
    let mails = questions(bench);
    let mail = mails.iter().rfind(|m| m.subject.contains(&name)).unwrap();
    link_in(mail, "/consent-reminder/")
}

async fn answer(bench: &Bench, link: &SecretString, keep: bool) -> Result<Org, StepError> {
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.answer_reminder(&mut tx, link, keep, None).await;
    bench.desk.settle(tx, step).await
}

/// The failed checks of Acme's ticket, whose requester has just signed in again.
async fn failed(bench: &Bench) -> Vec<&'static str> {
    let sql = format!("UPDATE ticket SET authenticated_at = {} WHERE id = '{STUCK}'", bench.now());
    bench.sql(&sql).await.unwrap();
    let mut conn = bench.desk.store.read().await.unwrap();
    bench.desk.case(&mut conn, STUCK, ADA, None).await.unwrap().verdict.failed_names()
}

async fn rows(bench: &Bench, action: &str) -> (usize, usize) {
    let of_org = |r: &&crate::proof::row::AuditRow| r.org_id.as_deref() == Some("org-acme");
    let platform = bench.rows_of("platform", action).await.iter().filter(of_org).count();
    (platform, bench.rows_of("acme", action).await.len())
}

async fn an_owner_who_keeps_it_is_asked_again_a_year_later(bench: Bench) {
    a_year_old(&bench, "acme").await;
    assert_eq!(rows(&bench, "consent.reminded").await, (1, 1));
    let link = asked(&bench, "acme").await;
    bench.clock.advance(UNANSWERED_FOR - 1);
    assert!(!failed(&bench).await.contains(&"consent"), "it counts while we wait");
    // Asked once, however often we look.
    bench.desk.sweep().await.unwrap();
    assert_eq!(rows(&bench, "consent.reminded").await, (1, 1));
    let kept = answer(&bench, &link, true).await.unwrap();
    assert_eq!((kept.consent(), kept.consent_reminded_at), (Consent::UntilWithdrawn, None));
    assert_eq!(kept.consent_confirmed_at, Some(bench.now()));
    assert_eq!(rows(&bench, "consent.confirmed").await, (1, 1));
    bench.clock.advance(UNANSWERED_FOR);
    assert!(!failed(&bench).await.contains(&"consent"));
    a_year_old(&bench, "acme").await;
    assert_eq!(rows(&bench, "consent.reminded").await, (2, 2));
    assert!(matches!(answer(&bench, &link, true).await, Err(StepError::NotFound)));
    bench.verify_all().await.unwrap();
}

async fn an_owner_who_withdraws_it_by_the_link_has_withdrawn_it(bench: Bench) {
    a_year_old(&bench, "acme").await;
    let link = asked(&bench, "acme").await;
    let off = answer(&bench, &link, false).await.unwrap();
    assert_eq!((off.consent(), off.consent_reminded_at), (Consent::Off, None));
    assert_eq!(rows(&bench, "consent.disabled").await, (1, 1));
    assert!(failed(&bench).await.contains(&"consent"));
    assert!(matches!(answer(&bench, &link, true).await, Err(StepError::NotFound)));
}

async fn without_an_answer_it_does_not_count_until_there_is_one(bench: Bench) {
    a_year_old(&bench, "acme").await;
    let link = asked(&bench, "acme").await;
    bench.clock.advance(UNANSWERED_FOR);
    let mut conn = bench.desk.store.read().await.unwrap();
    let case = bench.desk.case(&mut conn, STUCK, ADA, None).await.unwrap();
    drop(conn);
    let no = case.verdict.failed().find(|f| f.check.as_str() == "consent").unwrap();
    assert!(no.saw.contains("has not answered for 30 d"), "{}", no.saw);
    assert!(no.reply.contains("allow it again") && no.advice.contains("link"));
    // An admin can have a new link sent, and the Owner's own credential says it as well.
    let ada = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.request_consent(&mut tx, &ada, STUCK).await;
    bench.desk.settle(tx, step).await.unwrap();
    bench.set_consent("acme-owner", true).await.unwrap();
    assert!(!failed(&bench).await.contains(&"consent"));
    assert_eq!(rows(&bench, "consent.confirmed").await, (1, 1));
    assert!(matches!(answer(&bench, &link, true).await, Err(StepError::NotFound)));
    // Said once more, it is no news.
    bench.set_consent("acme-owner", true).await.unwrap();
    assert_eq!(rows(&bench, "consent.confirmed").await, (1, 1));
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.request_consent(&mut tx, &ada, STUCK).await;
    let again = bench.desk.settle(tx, step).await;
    assert!(matches!(again, Err(StepError::Conflict("Consent is on already."))), "{again:?}");
}

async fn nobody_else_can_answer_and_no_link_works_twice(bench: Bench) {
    a_year_old(&bench, "acme").await;
    let link = asked(&bench, "acme").await;
    assert!(matches!(answer(&bench, &"none".into(), true).await, Err(StepError::NotFound)));
    for (change, back) in [
        ("owner_member_id = 'acme-admin'", "owner_member_id = 'acme-owner'"),
        ("owner_address = 'else@acme.example'", "owner_address = 'owner@acme.example'"),
    ] {
        bench.sql(&format!("UPDATE org SET {change} WHERE id = 'org-acme'")).await.unwrap();
        assert!(matches!(answer(&bench, &link, true).await, Err(StepError::NotFound)), "{change}");
        bench.sql(&format!("UPDATE org SET {back} WHERE id = 'org-acme'")).await.unwrap();
    }
    for standing in ["departed", "suspended"] {
        let set = |s: &str| format!("UPDATE member SET standing = '{s}' WHERE id = 'acme-owner'");
        bench.sql(&set(standing)).await.unwrap();
        let step = answer(&bench, &link, true).await;
        assert!(matches!(step, Err(StepError::Forbidden(_))), "{standing}");
        bench.sql(&set("locked_out")).await.unwrap();
    }
    const LATE: Micros = 90 * time::DAY;
    bench.clock.advance(LATE);
    assert!(matches!(answer(&bench, &link, true).await, Err(StepError::NotFound)));
    bench.clock.advance(-1);
    answer(&bench, &link, true).await.unwrap();
    assert!(matches!(answer(&bench, &link, false).await, Err(StepError::NotFound)));
    assert_eq!(org(&bench, "acme").await.consent(), Consent::UntilWithdrawn);
}

async fn nobody_is_asked_about_consent_that_ends_or_is_off(bench: Bench) {
    let member = bench.member("acme-owner").await;
    let mut tx = bench.desk.begin().await.unwrap();
    let to = Consent::ForTicket(STUCK.to_owned());
    let step = bench.desk.set_consent(&mut tx, &member, &to, None).await;
    bench.desk.settle(tx, step).await.unwrap();
    bench.clock.advance(2 * CONFIRMED_EVERY);
    bench.desk.sweep().await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mails = questions(&bench);
    for (slug, asked) in [("acme", false), ("elm", false), ("birch", true), ("lark", true)] {
        let org = org(&bench, slug).await;
        assert_eq!(org.consent_reminded_at.is_some(), asked, "{slug}");
        assert_eq!(
            mails.iter().filter(|m| m.subject.contains(&org.name)).count(),
            usize::from(asked)
        );
    }
    assert!(!mails.iter().any(|m| m.body.expose_secret().contains("BEGIN PGP")));
}

async fn what_somebody_changes_in_the_table_is_not_an_answer(bench: Bench) {
    a_year_old(&bench, "acme").await;
    bench.clock.advance(UNANSWERED_FOR);
    for set in [
        "consent_reminded_at = NULL".to_owned(),
        format!("consent_reminded_at = {}", bench.now()),
        format!("consent_reminded_at = NULL, consent_confirmed_at = {}", bench.now()),
    ] {
        bench.sql(&format!("UPDATE org SET {set} WHERE id = 'org-acme'")).await.unwrap();
        assert!(failed(&bench).await.contains(&"consent"), "{set}");
    }
}

async fn where_it_is_asked_anew_an_older_link_is_worthless(bench: Bench) {
    a_year_old(&bench, "acme").await;
    let link = asked(&bench, "acme").await;
    let mut tx = bench.desk.begin().await.unwrap();
    orgs::reminders::set_reminded(&mut tx, "org-acme", None).await.unwrap();
    tx.commit().await.unwrap();
    bench.edit_org("org-acme", "UPDATE org SET slug = slug WHERE id = 'org-acme'").await;
    assert!(matches!(answer(&bench, &link, true).await, Err(StepError::NotFound)));
    bench.desk.sweep().await.unwrap();
    let another = asked(&bench, "acme").await;
    assert_ne!(another.expose_secret(), link.expose_secret());
    answer(&bench, &another, true).await.unwrap();
}
