//! Why a ticket could be served is in the rows: the ticket's facts and each check as it came out,
//! at the start and again at the rotation, and nothing that the customer wrote.

use crate::model::TicketState;
use crate::policy::eligibility::Check;
use crate::policy::grounds::{Asked, TicketThen};
use crate::proof::actions::{IMPERSONATION_STARTED, PLATFORM_IMPERSONATION_STARTED, rotated};
use crate::proof::row::AuditRow;
use crate::testing::story::{ADA, LEAKED, STUCK, member_id};
use crate::testing::{Bench, both_engines};

both_engines!(
    the_start_keeps_the_ticket_and_every_check_as_it_came_out,
    the_rotation_keeps_what_was_asked_again_in_its_transaction,
    a_vault_tokens_rotation_keeps_it_too,
    self_service_has_no_grounds,
);

fn read(row: &AuditRow) -> (TicketThen, Asked) {
    let asked = Asked::read(&row.details).unwrap();
    assert_eq!(asked.eligible, Some(true));
    let names: Vec<_> = asked.checks.iter().map(|c| c.check.as_str()).collect();
    assert_eq!(names, Check::ALL.iter().map(|c| c.as_str()).collect::<Vec<_>>());
    assert!(asked.checks.iter().all(|c| c.passed == Some(true) && !c.saw.is_empty()));
    (TicketThen::read(&row.details).unwrap(), asked)
}

/// What a row must not hold: the customer's words and names, and what staff would answer.
fn fit_for_both_sides(row: &AuditRow) {
    let text = row.canonical().unwrap();
    for word in ["A secret is stuck", "Please help", "@", "advice", "reply"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

async fn the_start_keeps_the_ticket_and_every_check_as_it_came_out(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, LEAKED).await.unwrap();
    let row = bench.rows_of("platform", PLATFORM_IMPERSONATION_STARTED).await.remove(0);
    let (ticket, asked) = read(&row);
    assert_eq!(asked.asked_at, Some(bench.now()));
    assert_eq!((ticket.number.as_str(), ticket.state), (LEAKED, TicketState::Open));
    assert_eq!(ticket.requester.unwrap().member_id, member_id("birch", "owner"));
    assert_eq!(ticket.authenticated.unwrap().how, "signed in to support");
    assert_eq!(ticket.secret_id.as_deref(), Some("whk_birch"));
    assert!(ticket.suspected_leak && ticket.kept_by.is_none());
    assert_eq!(row.detail_i64("started_at"), Some(grant.started_at));
    fit_for_both_sides(&row);
    let theirs = bench.rows_of("birch", IMPERSONATION_STARTED).await.remove(0);
    assert!(Asked::read(&theirs.details).is_none(), "the org's start is short, as it was");
}

async fn the_rotation_keeps_what_was_asked_again_in_its_transaction(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.clock.advance(crate::model::time::MINUTE);
    bench.rotate(&grant).await.unwrap();
    let row = bench.rows_of("acme", &rotated("webhook_signing_key")).await.remove(0);
    let (ticket, asked) = read(&row);
    assert_eq!(asked.asked_at, Some(bench.now()), "asked anew, not copied from the start");
    assert_eq!(ticket.state, TicketState::Pending, "as it stood by then");
    assert!(!ticket.suspected_leak);
    fit_for_both_sides(&row);
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.verify_all().await.unwrap();
}

async fn a_vault_tokens_rotation_keeps_it_too(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, "NOV-4803").await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let row = bench.rows_of("cedar", &rotated("vault_token")).await.remove(0);
    assert_eq!(read(&row).0.secret_id.as_deref(), Some("vtk_cedar"));
}

async fn self_service_has_no_grounds(bench: Bench) {
    bench.self_service("acme-owner", "whk_acme", &Default::default()).await.unwrap();
    let row = bench.rows_of("acme", &rotated("webhook_signing_key")).await.remove(0);
    assert!(Asked::read(&row.details).is_none() && TicketThen::read(&row.details).is_none());
}
