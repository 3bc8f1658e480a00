//! Consent is the Owner's: by the Owner's credential or by the one link, never by staff.

mod reminder;

use secrecy::ExposeSecret as _;

use crate::desk::{Step, StepError};
use crate::model::{Consent, EndCause, Standing, TicketState, time};
use crate::proof::row::ActorType;
use crate::store::{orgs, tickets};
use crate::testing::mailbox::link_in;
use crate::testing::story::{ADA, CLEO, LEAKED, STUCK, STUCK_TOO};
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
    the_link_gives_consent_for_its_ticket_unless_the_owner_says_otherwise,
    consent_for_one_ticket_goes_off_by_itself_when_its_impersonation_ends,
    consent_for_one_ticket_serves_no_other,
    consent_for_one_ticket_goes_off_with_the_ticket,
    consent_for_another_ticket_ends_what_runs,
    consent_until_withdrawn_stays_when_an_impersonation_ends,
    consent_for_a_ticket_wants_an_open_one_of_the_org,
    a_test_event_goes_as_far_as_consent_does,
);

async fn request(bench: &Bench, staff: &str, ticket: &str) -> Step<()> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.request_consent(&mut tx, &who, ticket).await;
    bench.desk.settle(tx, step).await
}

pub(super) async fn use_link(bench: &Bench, link: &secrecy::SecretString) -> Step<orgs::Org> {
    use_link_for(bench, link, false).await
}

async fn use_link_for(
    bench: &Bench,
    link: &secrecy::SecretString,
    until_withdrawn: bool,
) -> Step<orgs::Org> {
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.consent_by_link(&mut tx, link, until_withdrawn, None).await;
    bench.desk.settle(tx, step).await
}

async fn give(bench: &Bench, member: &str, to: &Consent) -> Step<()> {
    let member = bench.member(member).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.set_consent(&mut tx, &member, to, None).await;
    bench.desk.settle(tx, step).await
}

fn only(ticket: &str) -> Consent {
    Consent::ForTicket(ticket.to_owned())
}

pub(super) async fn consent_of(bench: &Bench, slug: &str) -> Consent {
    let mut conn = bench.desk.store.read().await.unwrap();
    orgs::by_slug(&mut conn, slug).await.unwrap().unwrap().consent()
}

pub(super) async fn consents(bench: &Bench, slug: &str) -> bool {
    consent_of(bench, slug).await.on()
}

/// Asks for Elm's consent; the link as the Owner receives it.
pub(super) async fn asked(bench: &Bench) -> secrecy::SecretString {
    request(bench, ADA, "NOV-4806").await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mut mails = bench.mailbox.all();
    mails.retain(|mail| mail.subject.contains("May the platform act"));
    let elsewhere = mails.iter().any(|mail| mail.to != "owner@elm.example");
    assert!(!elsewhere, "to the address on file and nowhere else");
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
    let step = bench.desk.set_consent(&mut tx, &second, &Consent::Off, None).await;
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

async fn the_link_gives_consent_for_its_ticket_unless_the_owner_says_otherwise(bench: Bench) {
    let link = asked(&bench).await;
    use_link(&bench, &link).await.unwrap();
    assert_eq!(consent_of(&bench, "elm").await, only("NOV-4806"));
    for log in ["platform", "elm"] {
        let row = bench.rows_of(log, "consent.enabled").await.pop().unwrap();
        assert_eq!(row.detail_str("only_for_ticket"), Some("NOV-4806"), "{log}");
        assert_eq!(row.ticket_ref.as_deref(), Some("NOV-4806"));
    }
    bench.set_consent("elm-owner", false).await.unwrap();
    let link = asked(&bench).await;
    use_link_for(&bench, &link, true).await.unwrap();
    assert_eq!(consent_of(&bench, "elm").await, Consent::UntilWithdrawn);
    let row = bench.rows_of("elm", "consent.enabled").await.pop().unwrap();
    assert_eq!(row.details["until_withdrawn"], serde_json::json!(true));
    assert!(!row.details.contains_key("only_for_ticket"));
}

/// The rows of it come after the closing rows, which count what the impersonation wrote: the
/// trail must stay complete.
async fn consent_for_one_ticket_goes_off_by_itself_when_its_impersonation_ends(bench: Bench) {
    let link = asked(&bench).await;
    use_link(&bench, &link).await.unwrap();
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, "NOV-4806").await.unwrap();
    bench.rotate(&grant).await.unwrap();
    assert!(consents(&bench, "elm").await, "while it runs");
    bench.hand_off(&ada, &grant.id).await.unwrap();
    assert_eq!(consent_of(&bench, "elm").await, Consent::Off);
    assert_eq!(bench.grant(&grant.id).await.end_cause(), Some(EndCause::Handoff));
    for (log, end) in [("platform", "platform.impersonation_ended"), ("elm", "impersonation.ended")]
    {
        let rows = bench.rows(log).await;
        let off = rows.iter().position(|r| r.action == "consent.disabled").unwrap();
        assert_eq!(rows[off - 1].action, end, "{log}: right after the end");
        let row = &rows[off];
        assert_eq!(row.detail_str("cause"), Some("its one ticket is done"));
        assert_eq!(row.detail_str("after_impersonation"), Some(grant.id.as_str()));
        assert_eq!(row.impersonation_id, None, "it is not one of the impersonation's rows");
        assert_eq!(row.ticket_ref.as_deref(), Some("NOV-4806"));
        assert_eq!(row.actor_type, ActorType::System);
    }
    let verdict = bench.verdict(&grant.id).await;
    assert_eq!(verdict.verdict, crate::proof::verdict::Verdict::Complete, "{verdict:#?}");
    bench.verify_all().await.unwrap();
    // It has to be asked for again.
    match bench.impersonate(&ada, "NOV-4806").await {
        Err(StepError::Refused(v)) => assert_eq!(v.failed_names(), ["consent"]),
        other => panic!("{other:?}"),
    }

    // However it ends: here time runs out, and that is written later.
    let link = asked(&bench).await;
    use_link(&bench, &link).await.unwrap();
    let grant = bench.impersonate(&ada, "NOV-4806").await.unwrap();
    bench.clock.advance(15 * time::MINUTE);
    bench.desk.sweep().await.unwrap();
    assert_eq!(bench.grant(&grant.id).await.end_cause(), Some(EndCause::Expired));
    assert_eq!(consent_of(&bench, "elm").await, Consent::Off);
    bench.verify_all().await.unwrap();
}

async fn consent_for_one_ticket_serves_no_other(bench: Bench) {
    give(&bench, "acme-owner", &only(STUCK)).await.unwrap();
    let ada = bench.at_work(ADA).await;
    match bench.impersonate(&ada, STUCK_TOO).await {
        Err(StepError::Refused(v)) => assert_eq!(v.failed_names(), ["consent"]),
        other => panic!("{other:?}"),
    }
    // The Owner can be asked for that one too.
    request(&bench, ADA, STUCK_TOO).await.unwrap();
    assert!(matches!(request(&bench, ADA, STUCK).await, Err(StepError::Conflict(_))));
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.end(&ada, &grant.id).await.unwrap();
    assert_eq!(consent_of(&bench, "acme").await, Consent::Off);
}

async fn consent_for_one_ticket_goes_off_with_the_ticket(bench: Bench) {
    // Solved or closed by the support desk, with an impersonation running.
    for (nth, state) in [TicketState::Solved, TicketState::Closed].into_iter().enumerate() {
        let ticket = [STUCK, STUCK_TOO][nth];
        give(&bench, "acme-owner", &only(ticket)).await.unwrap();
        bench.desk.sweep().await.unwrap();
        assert!(consents(&bench, "acme").await, "the ticket is open");
        let ada = bench.at_work(ADA).await;
        let grant = bench.impersonate(&ada, ticket).await.unwrap();
        let mut tx = bench.desk.begin().await.unwrap();
        tickets::set_state(&mut tx, ticket, state).await.unwrap();
        tx.commit().await.unwrap();
        bench.desk.sweep().await.unwrap();
        assert_eq!(consent_of(&bench, "acme").await, Consent::Off, "{state}");
        let ended = bench.grant(&grant.id).await;
        assert_eq!(ended.end_cause(), Some(EndCause::ConsentWithdrawn));
        bench.verify_all().await.unwrap();
    }
    // Escalated: in the same transaction.
    give(&bench, "birch-owner", &only(LEAKED)).await.unwrap();
    let ada = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let attempts = "Called twice, wrote to the address on file.";
    bench.desk.mark_unreachable(&mut tx, &ada, LEAKED, attempts).await.unwrap();
    bench.desk.escalate(&mut tx, &ada, LEAKED).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(consent_of(&bench, "birch").await, Consent::Off);
    let row = bench.rows_of("birch", "consent.disabled").await.pop().unwrap();
    assert_eq!(row.detail_str("cause"), Some("its one ticket is done"));
}

async fn consent_for_another_ticket_ends_what_runs(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let token = bench.token(&grant);
    // Narrowed to the ticket it runs for, it goes on.
    give(&bench, "acme-owner", &only(STUCK)).await.unwrap();
    assert!(bench.grant(&grant.id).await.live(bench.now()));
    give(&bench, "acme-owner", &only(STUCK_TOO)).await.unwrap();
    let ended = bench.grant(&grant.id).await;
    assert_eq!(ended.end_cause(), Some(EndCause::ConsentWithdrawn));
    assert_eq!(consent_of(&bench, "acme").await, only(STUCK_TOO), "the new one stays");
    let mut conn = bench.desk.store.read().await.unwrap();
    assert!(bench.desk.check_token(&mut conn, &token).await.unwrap().is_err());
}

async fn consent_until_withdrawn_stays_when_an_impersonation_ends(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.end(&ada, &grant.id).await.unwrap();
    bench.desk.sweep().await.unwrap();
    assert_eq!(consent_of(&bench, "acme").await, Consent::UntilWithdrawn);
    assert!(bench.rows_of("acme", "consent.disabled").await.is_empty());
}

async fn consent_for_a_ticket_wants_an_open_one_of_the_org(bench: Bench) {
    for ticket in ["NOV-9999", LEAKED, ""] {
        let step = give(&bench, "acme-owner", &only(ticket)).await;
        assert!(matches!(step, Err(StepError::NotFound)), "{ticket}: {step:?}");
    }
    let closed = give(&bench, "acme-owner", &only("NOV-4815")).await;
    assert!(matches!(closed, Err(StepError::Conflict(_))), "{closed:?}");
    assert_eq!(consent_of(&bench, "acme").await, Consent::UntilWithdrawn, "nothing has changed");
    assert!(bench.rows("acme").await.is_empty());
    // Asked by link while it was open; over by the time the link is used.
    let link = asked(&bench).await;
    let mut tx = bench.desk.begin().await.unwrap();
    tickets::set_state(&mut tx, "NOV-4806", TicketState::Closed).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(use_link(&bench, &link).await, Err(StepError::Conflict(_))));
    assert!(!consents(&bench, "elm").await);
}

async fn a_test_event_goes_as_far_as_consent_does(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let prepare = async |secret: &'static str| {
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.prepare_test_event(&mut tx, &ada, "org-acme", secret).await;
        tx.rollback().await.unwrap();
        step.is_ok()
    };
    assert!(prepare("whk_acme").await && prepare("whk_acme_2").await);
    give(&bench, "acme-owner", &only(STUCK)).await.unwrap();
    assert!(prepare("whk_acme").await);
    assert!(!prepare("whk_acme_2").await, "consent is for the other one");
    give(&bench, "acme-owner", &Consent::Off).await.unwrap();
    assert!(!prepare("whk_acme").await);
}
