//! Protects: what Zendesk says is read as published, what it does not say is not guessed, and a
//! comment is posted once whatever happens on the way.

use serde_json::json;

use super::fields::FieldNames;
use super::zendesk::{Settings, Zendesk};
use super::{Comment, Tickets, TicketsError};
use crate::model::{TicketState, time};
use crate::testing::zendesk_server::{EMAIL, Ill, TOKEN, ZendeskServer};

fn client_as(url: &str, token: &str) -> Zendesk {
    Zendesk::new(Settings {
        url: url.to_owned(),
        email: EMAIL.to_owned(),
        token: token.into(),
        prefix: "NOV-".to_owned(),
        fields: FieldNames::default(),
    })
    .unwrap()
}

fn client(server: &ZendeskServer) -> Zendesk {
    client_as(&server.url, TOKEN)
}

async fn desk() -> (ZendeskServer, Zendesk, u64) {
    let server = ZendeskServer::start().await;
    let olive = server.user("Olive Hartmann", "olive@brightwater.example");
    let org = server.organization("Brightwater", Some("brightwater"));
    server.file(4821, olive, Some(org), "2026-11-23T08:00:00Z");
    server.say(
        4821,
        json!("passkey"),
        json!("2026-11-23T07:59:00Z"),
        (json!("whk_1"), json!("webhook_signing_key")),
        true,
    );
    let client = client(&server);
    (server, client, olive)
}

fn comment(marker: &str) -> Comment {
    Comment {
        public: true,
        body: "Please sign in to support.".into(),
        at: 0,
        marker: marker.into(),
    }
}

#[tokio::test]
async fn a_ticket_is_read_with_its_requester_its_organization_and_the_custom_fields() {
    let (server, zendesk, _) = desk().await;
    let ticket = zendesk.look_up("NOV-4821").await.unwrap().unwrap();
    assert_eq!(ticket.number, "NOV-4821");
    assert_eq!(ticket.state, TicketState::Open);
    assert_eq!(ticket.requester_name, "Olive Hartmann");
    assert_eq!(ticket.requester_email.as_deref(), Some("olive@brightwater.example"));
    assert_eq!(ticket.org.as_deref(), Some("brightwater"));
    assert_eq!(
        ticket.authenticated,
        Some((
            "signed in to support with a passkey".into(),
            time::parse("2026-11-23T07:59:00Z").unwrap()
        ))
    );
    assert_eq!(ticket.secret_id.as_deref(), Some("whk_1"));
    assert_eq!(ticket.secret_type.as_deref(), Some("webhook_signing_key"));
    assert!(ticket.suspected_leak);
    assert_eq!(ticket.filed_at, time::parse("2026-11-23T08:00:00Z").unwrap());
    assert_eq!(ticket.comments.len(), 1);
    assert!(ticket.comments[0].by_customer && ticket.comments[0].public);
    assert_eq!(ticket.comments[0].author, "Olive Hartmann");
    assert!(server.requests().contains(&"GET /api/v2/tickets/4821.json".to_owned()));
}

#[tokio::test]
async fn states_are_mapped_and_one_that_is_not_known_is_closed() {
    let (server, zendesk, _) = desk().await;
    for (status, state) in [
        ("new", TicketState::Open),
        ("open", TicketState::Open),
        ("pending", TicketState::Pending),
        ("hold", TicketState::Pending),
        ("solved", TicketState::Solved),
        ("closed", TicketState::Closed),
        ("deleted", TicketState::Closed),
    ] {
        server.set(4821, "status", json!(status));
        let ticket = zendesk.look_up("NOV-4821").await.unwrap().unwrap();
        assert_eq!(ticket.state, state, "{status}");
    }
}

#[tokio::test]
async fn what_zendesk_does_not_say_is_not_known() {
    let (server, zendesk, olive) = desk().await;
    server.set(4821, "custom_fields", json!([]));
    server.set(4821, "organization_id", json!(null));
    server.set_user(olive, "verified", json!(false));
    let ticket = zendesk.look_up("NOV-4821").await.unwrap().unwrap();
    assert_eq!(ticket.authenticated, None);
    assert_eq!((ticket.secret_id, ticket.secret_type), (None, None));
    assert!(!ticket.suspected_leak);
    assert_eq!(ticket.org, None);
    assert_eq!(ticket.requester_email, None, "an address that nobody verified is nobody's");
    assert_eq!(ticket.requester_name, "Olive Hartmann (address not verified)");
    server.set(4821, "requester_id", json!(1));
    let ticket = zendesk.look_up("NOV-4821").await.unwrap().unwrap();
    assert_eq!(ticket.requester_email, None);
    assert_eq!(ticket.requester_name, "somebody unknown");
}

#[tokio::test]
async fn numbers_that_are_not_of_the_desk_are_not_asked_for() {
    let (server, zendesk, _) = desk().await;
    for number in ["4821", "ABC-4821", "NOV-", "NOV-04821", "NOV-48/../1", "NOV-4821.json"] {
        assert_eq!(zendesk.look_up(number).await, Ok(None), "{number}");
    }
    assert!(server.requests().is_empty());
    assert_eq!(zendesk.look_up("NOV-1").await, Ok(None), "404");
}

#[tokio::test]
async fn every_failure_has_its_own_words_and_shows_no_token() {
    let (server, zendesk, _) = desk().await;
    for (ill, error) in [
        (Ill::Status(401), TicketsError::Account),
        (Ill::Status(403), TicketsError::Forbidden),
        (Ill::Status(500), TicketsError::Unwell { status: 500, wait: None }),
        (Ill::Status(503), TicketsError::Unwell { status: 503, wait: None }),
        (Ill::Status(302), TicketsError::Unreadable("it leads elsewhere")),
        (Ill::AnswerLost, TicketsError::NoAnswer),
    ] {
        server.fall_ill(&[ill]);
        let found = zendesk.look_up("NOV-4821").await;
        assert_eq!(found, Err(error), "{ill:?}");
        assert!(!format!("{found:?}{}{zendesk:?}", found.clone().unwrap_err()).contains(TOKEN));
    }
    assert!(zendesk.look_up("NOV-4821").await.unwrap().is_some(), "and then it works again");
    let wrong = client_as(&server.url, "wrong");
    assert_eq!(wrong.look_up("NOV-4821").await, Err(TicketsError::Account));
    let nobody = client_as("http://127.0.0.1:9", TOKEN);
    assert_eq!(nobody.look_up("NOV-4821").await, Err(TicketsError::NoAnswer));
}

#[tokio::test]
async fn who_is_asked_to_wait_does_not_ask_meanwhile() {
    let (server, zendesk, _) = desk().await;
    server.fall_ill(&[Ill::Busy(1)]);
    assert_eq!(zendesk.look_up("NOV-4821").await, Err(TicketsError::Busy { wait: 1_000_000 }));
    let asked = server.requests().len();
    assert!(matches!(zendesk.look_up("NOV-4821").await, Err(TicketsError::Busy { .. })));
    assert_eq!(server.requests().len(), asked, "no request left");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert!(zendesk.look_up("NOV-4821").await.unwrap().is_some());
}

#[tokio::test]
async fn an_answer_that_fails_half_way_is_no_ticket() {
    let (server, zendesk, _) = desk().await;
    for failing in 1..5 {
        let zendesk_anew = client(&server);
        server.fall_ill(&vec![Ill::Well; failing]);
        server.fall_ill(&[Ill::Status(500)]);
        assert_eq!(
            zendesk_anew.look_up("NOV-4821").await,
            Err(TicketsError::Unwell { status: 500, wait: None }),
            "the call after {failing}"
        );
    }
    assert!(zendesk.look_up("NOV-4821").await.unwrap().is_some());
}

#[tokio::test]
async fn a_public_comment_and_an_internal_one_are_posted() {
    let (server, zendesk, _) = desk().await;
    let id = zendesk.post("NOV-4821", &comment("m1")).await.unwrap();
    let note = Comment { public: false, body: "Called back.".into(), at: 0, marker: "m2".into() };
    zendesk.post("NOV-4821", &note).await.unwrap();
    let comments = server.comments_of(4821);
    assert_eq!(comments.len(), 3);
    assert_eq!(comments[1]["id"].to_string(), id);
    assert_eq!(comments[1]["public"], true);
    assert_eq!(comments[2]["public"], false);
    assert!(!comments[1]["body"].to_string().contains("m1"), "customers see no marker");
}

#[tokio::test]
async fn a_comment_whose_answer_was_lost_is_found_and_not_posted_again() {
    let (server, zendesk, _) = desk().await;
    server.page(1);
    // The ticket, its one audit, and the update, whose answer is lost.
    server.fall_ill(&[Ill::Well, Ill::Well, Ill::AnswerLost]);
    assert_eq!(zendesk.post("NOV-4821", &comment("m1")).await, Err(TicketsError::NoAnswer));
    assert_eq!(server.comments_of(4821).len(), 2, "it had arrived");
    let id = zendesk.post("NOV-4821", &comment("m1")).await.unwrap();
    let comments = server.comments_of(4821);
    assert_eq!(comments.len(), 2);
    assert_eq!(comments[1]["id"].to_string(), id);
    assert_eq!(zendesk.post("NOV-4821", &comment("m1")).await.unwrap(), id);
}

#[tokio::test]
async fn two_attempts_at_the_same_moment_post_one_comment() {
    let (server, zendesk, _) = desk().await;
    let marked = comment("m1");
    let (a, b) = tokio::join!(zendesk.post("NOV-4821", &marked), zendesk.post("NOV-4821", &marked));
    assert_eq!(server.comments_of(4821).len(), 2);
    assert!(a.is_ok() || b.is_ok());
    for outcome in [a, b] {
        assert!(matches!(outcome, Ok(_) | Err(TicketsError::Changed)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_refused_comment_says_so_and_nothing_is_posted() {
    let (server, zendesk, _) = desk().await;
    for (ills, error) in [
        (vec![Ill::Status(500)], TicketsError::Unwell { status: 500, wait: None }),
        (vec![Ill::Well, Ill::Status(403)], TicketsError::Forbidden),
        (vec![Ill::Well, Ill::Well, Ill::Status(409)], TicketsError::Changed),
        (vec![Ill::Well, Ill::Well, Ill::Status(404)], TicketsError::Unknown),
    ] {
        server.fall_ill(&ills);
        assert_eq!(zendesk.post("NOV-4821", &comment("m1")).await, Err(error));
    }
    server.set(4821, "status", json!("closed"));
    assert_eq!(
        zendesk.post("NOV-4821", &comment("m1")).await,
        Err(TicketsError::Refused("Status: closed prevents ticket update".to_owned()))
    );
    assert_eq!(zendesk.post("NOV-1", &comment("m1")).await, Err(TicketsError::Unknown));
    assert_eq!(server.comments_of(4821).len(), 1);
}
