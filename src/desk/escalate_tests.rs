//! Where the Owner is unreachable, nothing is minted any more, and the case goes to Legal.

use super::StepError;
use crate::model::{EndCause, TicketState};
use crate::store::tickets;
use crate::testing::story::{ADA, BEN, CLEO, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    marking_the_owner_unreachable_stops_everything,
    escalation_ends_the_ticket_and_leaves_a_summary,
    only_an_unreachable_owner_leads_to_legal,
    attempts_have_to_be_told_and_auditors_do_neither,
);

const ATTEMPTS: &str = "Called on Monday and Tuesday, wrote twice to the address on file.";

async fn mark(bench: &Bench, who: &str, ticket: &str, attempts: &str) -> Result<(), StepError> {
    let who = bench.at_work(who).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.mark_unreachable(&mut tx, &who, ticket, attempts).await;
    bench.desk.settle(tx, step).await
}

async fn escalate(bench: &Bench, who: &str, ticket: &str) -> Result<String, StepError> {
    let who = bench.at_work(who).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.escalate(&mut tx, &who, ticket).await;
    bench.desk.settle(tx, step).await
}

async fn state(bench: &Bench, ticket: &str) -> TicketState {
    let mut conn = bench.desk.store.read().await.unwrap();
    tickets::by_id(&mut conn, ticket).await.unwrap().unwrap().state
}

async fn marking_the_owner_unreachable_stops_everything(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let token = bench.token(&grant);
    mark(&bench, BEN, STUCK, ATTEMPTS).await.unwrap();
    let ended = bench.grant(&grant.id).await;
    assert_eq!(ended.end_cause(), Some(EndCause::OtherAdmin));
    let mut conn = bench.desk.store.read().await.unwrap();
    assert!(bench.desk.check_token(&mut conn, &token).await.unwrap().is_err());
    drop(conn);
    let again = bench.impersonate(&ada, STUCK).await;
    assert!(matches!(again, Err(StepError::Refused(v)) if v.failed_names() == ["owner_reachable"]));
    let rows = bench.rows_of("platform", "platform.owner_marked_unreachable").await;
    assert_eq!(rows.last().unwrap().detail_str("attempts"), Some(ATTEMPTS));
    assert!(matches!(mark(&bench, ADA, STUCK, ATTEMPTS).await, Err(StepError::Conflict(_))));
    bench.verify_all().await.unwrap();
}

async fn escalation_ends_the_ticket_and_leaves_a_summary(bench: Bench) {
    mark(&bench, ADA, STUCK, ATTEMPTS).await.unwrap();
    let summary = escalate(&bench, ADA, STUCK).await.unwrap();
    assert!(summary.contains(STUCK) && summary.contains(ATTEMPTS), "{summary}");
    assert_eq!(state(&bench, STUCK).await, TicketState::Escalated);
    let rows = bench.rows_of("platform", "platform.escalated_to_legal").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].ticket_ref.as_deref(), Some(STUCK));
    let ada = bench.at_work(ADA).await;
    let after = bench.impersonate(&ada, STUCK).await;
    assert!(
        matches!(after, Err(StepError::Refused(v)) if v.failed_names().contains(&"ticket_open"))
    );
    assert!(matches!(escalate(&bench, ADA, STUCK).await, Err(StepError::Conflict(_))));
}

async fn only_an_unreachable_owner_leads_to_legal(bench: Bench) {
    for ticket in [STUCK, "NOV-4806", "NOV-4808"] {
        assert!(
            matches!(escalate(&bench, ADA, ticket).await, Err(StepError::Conflict(_))),
            "{ticket}"
        );
        assert_ne!(state(&bench, ticket).await, TicketState::Escalated);
    }
    assert!(matches!(escalate(&bench, ADA, "NOV-9999").await, Err(StepError::NotFound)));
    assert!(bench.rows_of("platform", "platform.escalated_to_legal").await.is_empty());
}

async fn attempts_have_to_be_told_and_auditors_do_neither(bench: Bench) {
    for attempts in ["", "   called   ", &"x".repeat(1001)] {
        assert!(matches!(mark(&bench, ADA, STUCK, attempts).await, Err(StepError::Invalid(_))));
    }
    assert!(matches!(mark(&bench, CLEO, STUCK, ATTEMPTS).await, Err(StepError::Forbidden(_))));
    assert!(matches!(escalate(&bench, CLEO, "NOV-4809").await, Err(StepError::Forbidden(_))));
    let ada = bench.at_work(ADA).await;
    assert!(bench.impersonate(&ada, STUCK).await.is_ok(), "nothing has changed");
}
