//! Consent is the Owner's: by the Owner's credential or by the one link, never by staff.

use secrecy::ExposeSecret as _;

use crate::desk::{Step, StepError};
use crate::model::{Standing, time};
use crate::proof::row::ActorType;
use crate::store::orgs;
use crate::testing::mailbox::link_in;
use crate::testing::story::{ADA, CLEO, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    only_the_owner_of_record_switches_it,
    an_owner_who_left_does_not_switch_it,
    the_link_works_once_and_makes_the_ticket_eligible,
    the_link_lasts_24_hours_to_the_microsecond,
    an_older_link_never_undoes_what_the_owner_decided_later,
    a_link_is_for_who_was_owner_when_it_was_sent,
    of_the_link_only_the_hash_is_kept_and_no_row_has_it,
    the_link_is_sent_only_where_it_is_called_for,
);

async fn request(bench: &Bench, staff: &str, ticket: &str) -> Step<()> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.request_consent(&mut tx, &who, ticket).await;
    bench.desk.settle(tx, step).await
}

async fn use_link(bench: &Bench, link: &secrecy::SecretString) -> Step<orgs::Org> {
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.consent_by_link(&mut tx, link, None).await;
    bench.desk.settle(tx, step).await
}

async fn consents(bench: &Bench, slug: &str) -> bool {
    let mut conn = bench.desk.store.read().await.unwrap();
    orgs::by_slug(&mut conn, slug).await.unwrap().unwrap().consents()
}

/// Asks for Elm's consent; the link as the Owner receives it.
async fn asked(bench: &Bench) -> secrecy::SecretString {
    request(bench, ADA, "NOV-4806").await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mails = bench.mailbox.to("owner@elm.example");
    assert_eq!(bench.mailbox.all().len(), mails.len(), "to the address on file and nowhere else");
    link_in(mails.last().unwrap(), "/consent/")
}

async fn only_the_owner_of_record_switches_it(bench: Bench) {
    for member in ["acme-admin", "acme-operator"] {
        let step = bench.set_consent(member, false).await;
        assert!(matches!(step, Err(StepError::Forbidden(_))), "{member}: {step:?}");
    }
    // A second member with the role is not the Owner of record either.
    let mut second = bench.member("acme-owner").await;
    second.id = "acme-second-owner".to_owned();
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.set_consent(&mut tx, &second, false, None).await;
    let step = bench.desk.settle(tx, step).await;
    assert!(matches!(step, Err(StepError::Forbidden(_))), "{step:?}");
    assert!(consents(&bench, "acme").await);

    bench.set_consent("acme-owner", false).await.unwrap();
    assert!(!consents(&bench, "acme").await);
    for log in ["platform", "acme"] {
        let rows = bench.rows(log).await;
        assert_eq!(rows.len(), 1, "{log}");
        assert_eq!(rows[0].action, "consent.disabled");
        assert_eq!(rows[0].actor_type, ActorType::OrgMember);
        assert_eq!(rows[0].actor_id, "acme-owner");
    }
}

async fn an_owner_who_left_does_not_switch_it(bench: Bench) {
    for standing in [Standing::Departed, Standing::Suspended] {
        {
            let mut conn = bench.desk.store.read().await.unwrap();
            orgs::set_standing(&mut conn, "acme-owner", standing).await.unwrap();
        }
        let step = bench.set_consent("acme-owner", false).await;
        assert!(matches!(step, Err(StepError::Forbidden(_))), "{standing}: {step:?}");
    }
    assert!(consents(&bench, "acme").await);
}

async fn the_link_works_once_and_makes_the_ticket_eligible(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    assert!(bench.impersonate(&ada, "NOV-4806").await.is_err());
    let link = asked(&bench).await;
    assert!(!consents(&bench, "elm").await, "asking changes nothing");
    use_link(&bench, &link).await.unwrap();
    assert!(consents(&bench, "elm").await);
    let again = use_link(&bench, &link).await;
    assert!(matches!(again, Err(StepError::NotFound)), "{again:?}");
    // Switched off again, the used link does not switch it on.
    bench.set_consent("elm-owner", false).await.unwrap();
    assert!(use_link(&bench, &link).await.is_err());
    bench.set_consent("elm-owner", true).await.unwrap();
    bench.impersonate(&ada, "NOV-4806").await.unwrap();
    let row = &bench.rows_of("elm", "consent.enabled").await[0];
    assert_eq!(row.ticket_ref.as_deref(), Some("NOV-4806"));
    assert_eq!(row.actor_id, "elm-owner");
}

async fn the_link_lasts_24_hours_to_the_microsecond(bench: Bench) {
    let one = asked(&bench).await;
    bench.clock.advance(24 * time::HOUR - 1);
    use_link(&bench, &one).await.unwrap();
    bench.set_consent("elm-owner", false).await.unwrap();
    let two = asked(&bench).await;
    bench.clock.advance(24 * time::HOUR);
    let late = use_link(&bench, &two).await;
    assert!(matches!(late, Err(StepError::NotFound)), "{late:?}");
    assert!(!consents(&bench, "elm").await);
}

async fn an_older_link_never_undoes_what_the_owner_decided_later(bench: Bench) {
    let one = asked(&bench).await;
    let two = asked(&bench).await;
    assert!(use_link(&bench, &one).await.is_err(), "the newest link is the only one");
    bench.set_consent("elm-owner", true).await.unwrap();
    bench.set_consent("elm-owner", false).await.unwrap();
    assert!(use_link(&bench, &two).await.is_err(), "the Owner has decided since");
    assert!(!consents(&bench, "elm").await);
}

async fn a_link_is_for_who_was_owner_when_it_was_sent(bench: Bench) {
    let link = asked(&bench).await;
    {
        let mut conn = bench.desk.store.read().await.unwrap();
        orgs::set_owner(&mut conn, "org-elm", "elm-admin", bench.now()).await.unwrap();
    }
    assert!(matches!(use_link(&bench, &link).await, Err(StepError::NotFound)));
    assert!(!consents(&bench, "elm").await);
}

async fn of_the_link_only_the_hash_is_kept_and_no_row_has_it(bench: Bench) {
    request(&bench, ADA, "NOV-4806").await.unwrap();
    let sealed = "SELECT COUNT(*) FROM outbox WHERE sealed IS NOT NULL";
    assert_eq!(bench.number(sealed).await, 1);
    bench.desk.send_due().await.unwrap();
    assert_eq!(bench.number(sealed).await, 0, "the mail is erased once it has left");
    let link = link_in(&bench.mailbox.about("May the platform act"), "/consent/");
    let link = link.expose_secret();
    assert_eq!(link.len(), 43, "32 bytes in base64url");
    let kept = format!("SELECT COUNT(*) FROM consent_link WHERE hash = '{link}'");
    assert_eq!(bench.number(&kept).await, 0);
    let rows = format!("SELECT COUNT(*) FROM audit_entry WHERE body LIKE '%{link}%'");
    assert_eq!(bench.number(&rows).await, 0);
    let hash = crate::auth::credential::hash(&link.into());
    let kept = format!("SELECT COUNT(*) FROM consent_link WHERE hash = '{hash}'");
    assert_eq!(bench.number(&kept).await, 1);
}

async fn the_link_is_sent_only_where_it_is_called_for(bench: Bench) {
    let auditor = request(&bench, CLEO, "NOV-4806").await;
    assert!(matches!(auditor, Err(StepError::Forbidden(_))), "{auditor:?}");
    for (ticket, why) in [(STUCK, "consent is on"), ("NOV-4815", "the ticket is closed")] {
        let step = request(&bench, ADA, ticket).await;
        assert!(matches!(step, Err(StepError::Conflict(_))), "{why}: {step:?}");
    }
    assert!(matches!(request(&bench, ADA, "NOV-9999").await, Err(StepError::NotFound)));
    assert_eq!(bench.number("SELECT COUNT(*) FROM outbox").await, 0);
    assert_eq!(bench.number("SELECT COUNT(*) FROM consent_link").await, 0);
}
