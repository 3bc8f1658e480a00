//! Tickets that Zendesk keeps: what it says is what counts, what it does not say counts as no,
//! nothing is begun on an old copy, and what we owe it arrives once.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::json;
use tower::ServiceExt as _;

use crate::delivery::tickets::fields::FieldNames;
use crate::delivery::tickets::zendesk::{Settings, Zendesk};
use crate::delivery::tickets::{Comment, TicketsError};
use crate::desk::StepError;
use crate::desk::outbox::undelivered::Wish;
use crate::desk::ticket_copy::{PATIENCE, Refreshed};
use crate::model::{TicketState, time};
use crate::store::outbox::{self, Item, Stands};
use crate::store::tickets::{self, Message, Ticket};
use crate::testing::story::{ADA, STUCK, org_id};
use crate::testing::zendesk_server::{EMAIL, Ill, TOKEN, ZendeskServer};
use crate::testing::{Bench, both_engines};
use crate::web::app::{App, DemoDoors, DemoPerson};

both_engines!(
    a_ticket_of_zendesk_is_served_from_beginning_to_end,
    what_zendesk_does_not_say_counts_as_no,
    nothing_is_begun_while_zendesk_is_down_and_all_is_well_once_it_is_back,
    a_rotation_wants_a_ticket_of_this_minute_too,
    a_ticket_that_changes_its_org_takes_nothing_along,
    a_reply_waits_and_is_posted_once,
    a_reply_to_a_closed_ticket_is_undelivered_and_goes_once_it_is_open_again,
    a_reply_waits_as_long_as_zendesk_asks_to,
    what_the_case_is_with_us_is_not_undone_from_outside,
    a_secret_in_a_comment_is_not_kept,
    the_page_shows_the_copy_and_says_since_when,
    a_silent_zendesk_holds_up_one_page_and_not_the_next,
    tickets_of_our_own_are_found_and_answered_by_the_same_trait,
);

const NUMBER: &str = "NOV-9001";

struct Outside {
    server: ZendeskServer,
    owner: u64,
}

/// A ticket of Acme's Owner at Zendesk that has all it needs.
async fn set_up(bench: &mut Bench) -> Outside {
    let server = ZendeskServer::start().await;
    let settings = Settings {
        url: server.url.clone(),
        email: EMAIL.to_owned(),
        token: TOKEN.into(),
        prefix: "NOV-".to_owned(),
        fields: FieldNames::default(),
    };
    bench.keep_tickets_in(Arc::new(Zendesk::new(settings).unwrap()));
    let owner = server.user("Owner of acme", "OWNER@acme.example");
    let org = server.organization("Acme", Some("Acme"));
    let filed = time::rfc3339(bench.now() - time::HOUR);
    server.file(9001, owner, Some(org), &filed);
    let secret = (json!("whk_acme"), json!("webhook_signing_key"));
    server.say(9001, json!("passkey"), json!(filed), secret, false);
    Outside { server, owner }
}

async fn copy(bench: &Bench) -> Option<Ticket> {
    let mut conn = bench.desk.store.read().await.unwrap();
    tickets::by_id(&mut conn, NUMBER).await.unwrap()
}

async fn messages(bench: &Bench) -> Vec<Message> {
    let mut conn = bench.desk.store.read().await.unwrap();
    tickets::messages(&mut conn, NUMBER).await.unwrap()
}

/// The checks that fail for a mint now, with what the first of them saw.
async fn refused(bench: &Bench) -> (Vec<&'static str>, String) {
    let ada = bench.at_work(ADA).await;
    match bench.desk.start_impersonation(&ada, NUMBER).await {
        Err(StepError::Refused(v)) => (v.failed_names(), v.failed().next().unwrap().saw.clone()),
        other => panic!("{other:?}"),
    }
}

async fn reply(bench: &Bench, text: &str) {
    let ada = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.post_text(&mut tx, &ada, NUMBER, text).await;
    bench.desk.settle(tx, step).await.unwrap();
}

async fn a_ticket_of_zendesk_is_served_from_beginning_to_end(mut bench: Bench) {
    let outside = set_up(&mut bench).await;
    assert!(copy(&bench).await.is_none());
    let ada = bench.at_work(ADA).await;
    let grant = bench.desk.start_impersonation(&ada, NUMBER).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let ticket = copy(&bench).await.unwrap();
    assert_eq!(ticket.org_id, org_id("acme"));
    assert_eq!(ticket.requester_member.as_deref(), Some("acme-owner"));
    assert_eq!(ticket.authenticated_how.as_deref(), Some("signed in to support with a passkey"));
    let fetched = bench.rows_of("platform", "platform.ticket_fetched").await;
    assert_eq!(fetched.len(), 1, "one row for what was new, none for what was said again");
    assert_eq!(fetched[0].details["changed"], json!(["ticket"]));
    assert_eq!(messages(&bench).await.len(), 1);
    outside.server.set(9001, "subject", json!("Another subject"));
    bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
    bench.clock.advance(time::SECOND);
    bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
    assert_eq!(copy(&bench).await.unwrap().fetched_at, Some(bench.now()));
    let fetched = bench.rows_of("platform", "platform.ticket_fetched").await;
    assert_eq!(fetched.len(), 2);
    assert_eq!(fetched[1].details["changed"], json!(["subject"]));
    bench.verify_all().await.unwrap();
}

async fn what_zendesk_does_not_say_counts_as_no(mut bench: Bench) {
    let outside = set_up(&mut bench).await;
    let server = &outside.server;
    let filed = json!(time::rfc3339(bench.now() - time::HOUR));
    let secret = || (json!("whk_acme"), json!("webhook_signing_key"));
    server.say(9001, json!(null), filed.clone(), secret(), false);
    assert_eq!(refused(&bench).await.0, ["requester_authenticated"]);
    server.say(9001, json!("passkey"), json!(""), secret(), false);
    assert_eq!(refused(&bench).await.0, ["requester_authenticated"]);
    server.say(9001, json!("passkey"), filed.clone(), (json!(""), json!(null)), false);
    assert_eq!(refused(&bench).await.0, ["secret_known"]);
    let other = (json!("whk_birch"), json!("webhook_signing_key"));
    server.say(9001, json!("passkey"), filed.clone(), other, false);
    assert_eq!(refused(&bench).await.0, ["secret_known"], "another org's");
    server.say(9001, json!("passkey"), filed, secret(), false);
    server.set_user(outside.owner, "verified", json!(false));
    assert_eq!(refused(&bench).await.0, ["requester_is_owner"]);
    server.set_user(outside.owner, "verified", json!(true));
    server.set_user(outside.owner, "email", json!("operator@acme.example"));
    assert_eq!(refused(&bench).await.0, ["requester_is_owner"]);
    server.set_user(outside.owner, "email", json!("owner@acme.example"));
    server.set(9001, "status", json!("solved"));
    assert_eq!(refused(&bench).await.0, ["ticket_open"]);
    server.set(9001, "status", json!("hold"));
    let ada = bench.at_work(ADA).await;
    bench.desk.start_impersonation(&ada, NUMBER).await.unwrap();
}

async fn nothing_is_begun_while_zendesk_is_down_and_all_is_well_once_it_is_back(mut bench: Bench) {
    let outside = set_up(&mut bench).await;
    outside.server.down(true);
    // Never seen: there is nothing to go by.
    let (failed, saw) = refused(&bench).await;
    assert!(failed.contains(&"ticket_open"), "{failed:?} {saw}");
    assert!(copy(&bench).await.is_none());
    outside.server.down(false);
    assert_eq!(bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap(), Refreshed::Told);
    outside.server.down(true);
    bench.clock.advance(time::MINUTE + 1);
    let (failed, saw) = refused(&bench).await;
    assert_eq!(failed, ["ticket_open"]);
    assert!(saw.contains("the ticket system did not answer"), "{saw}");
    assert_eq!(bench.number("SELECT COUNT(*) FROM impersonation").await, 0);
    let rows = bench.rows_of("platform", "platform.impersonation_refused").await;
    assert_eq!(rows.last().unwrap().details["failed_checks"], json!(["ticket_open"]));
    for ill in [Ill::Status(401), Ill::Status(403), Ill::Status(500)] {
        outside.server.down(false);
        outside.server.fall_ill(&[ill]);
        assert_eq!(refused(&bench).await.0, ["ticket_open"], "{ill:?}");
    }
    let ada = bench.at_work(ADA).await;
    bench.desk.start_impersonation(&ada, NUMBER).await.unwrap();
    // A ticket that was here before Zendesk was, and that it does not know, is nobody's.
    let refused = bench.desk.start_impersonation(&bench.at_work("staff-ben").await, STUCK).await;
    let Err(StepError::Refused(verdict)) = refused else { panic!("{refused:?}") };
    assert!(verdict.failed_names().contains(&"ticket_open"));
}

async fn a_rotation_wants_a_ticket_of_this_minute_too(mut bench: Bench) {
    let outside = set_up(&mut bench).await;
    let ada = bench.at_work(ADA).await;
    let grant = bench.desk.start_impersonation(&ada, NUMBER).await.unwrap();
    bench.clock.advance(2 * time::MINUTE);
    outside.server.down(true);
    match bench.rotate(&grant).await {
        Err(StepError::Refused(v)) => assert_eq!(v.failed_names(), ["ticket_open"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.accepted("whk_acme").await, [1], "the old key still works");
    outside.server.down(false);
    outside.server.set(9001, "status", json!("solved"));
    assert!(matches!(bench.rotate(&grant).await, Err(StepError::Refused(_))), "solved meanwhile");
    outside.server.set(9001, "status", json!("open"));
    bench.rotate(&grant).await.unwrap();
}

async fn a_ticket_that_changes_its_org_takes_nothing_along(mut bench: Bench) {
    let outside = set_up(&mut bench).await;
    let server = &outside.server;
    let ada = bench.at_work(ADA).await;
    let grant = bench.desk.start_impersonation(&ada, NUMBER).await.unwrap();
    let birch = server.organization("Birch", Some("org-birch"));
    server.set(9001, "organization_id", json!(birch));
    let step = bench.rotate(&grant).await;
    assert!(matches!(step, Err(StepError::Refused(_))), "{step:?}");
    assert_eq!(copy(&bench).await.unwrap().org_id, org_id("birch"));
    let nobody = server.organization("Nobody", None);
    server.set(9001, "organization_id", json!(nobody));
    assert_eq!(bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap(), Refreshed::NoOrg);
    assert!(copy(&bench).await.unwrap().org_unknown());
    let (failed, _) = refused(&bench).await;
    for check in ["consent", "requester_is_owner", "self_service_unavailable"] {
        assert!(failed.contains(&check), "{check}: {failed:?}");
    }
    // One that was never of an org of ours is not written down at all.
    let filed = time::rfc3339(bench.now() - time::HOUR);
    server.file(9002, outside.owner, Some(nobody), &filed);
    assert_eq!(bench.desk.refresh_ticket("NOV-9002", PATIENCE).await.unwrap(), Refreshed::NoOrg);
    assert_eq!(bench.number("SELECT COUNT(*) FROM ticket WHERE id = 'NOV-9002'").await, 0);
    // And one that is gone there is closed here.
    server.set(9001, "id", json!(7));
    assert_eq!(bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap(), Refreshed::Unknown);
    assert_eq!(copy(&bench).await.unwrap().state, TicketState::Closed);
    bench.verify_all().await.unwrap();
}

async fn a_reply_waits_and_is_posted_once(mut bench: Bench) {
    let outside = set_up(&mut bench).await;
    let server = &outside.server;
    bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
    server.down(true);
    reply(&bench, "We are looking into it.").await;
    assert_eq!(bench.desk.send_due().await.unwrap(), 0);
    let waiting = messages(&bench).await.pop().unwrap();
    assert_eq!((waiting.waits, waiting.body.as_str()), (1, "We are looking into it."));
    assert_eq!(server.comments_of(9001).len(), 1);

    // Back, but the answer to the update is lost.
    server.down(false);
    bench.clock.advance(2 * time::MINUTE);
    server.fall_ill(&[Ill::Well, Ill::Well, Ill::AnswerLost]);
    assert_eq!(bench.desk.send_due().await.unwrap(), 0);
    assert_eq!(server.comments_of(9001).len(), 2, "it had arrived");
    // Meanwhile the page reads it back.
    bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
    bench.clock.advance(2 * time::MINUTE);
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    bench.clock.advance(2 * time::MINUTE);
    assert_eq!(bench.desk.send_due().await.unwrap(), 0);
    assert_eq!(server.comments_of(9001).len(), 2, "and was not posted again");
    assert_eq!(server.comments_of(9001)[1]["public"], true);
    bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
    let all = messages(&bench).await;
    let ours: Vec<_> = all.iter().filter(|m| m.body == "We are looking into it.").collect();
    assert_eq!(ours.len(), 1, "{all:?}");
    assert_eq!((ours[0].waits, ours[0].author.as_str()), (0, "Ada Admin"));
    assert_eq!(bench.number("SELECT COUNT(*) FROM outbox WHERE sealed IS NOT NULL").await, 0);
    assert_eq!(bench.rows_of("platform", "platform.reply_posted").await.len(), 1);
}

/// The item of the newest reply.
async fn owed(bench: &Bench) -> Item {
    let message = messages(bench).await.pop().unwrap();
    let mut conn = bench.desk.store.read().await.unwrap();
    outbox::about(&mut conn, &message.id).await.unwrap().remove(0)
}

async fn a_reply_to_a_closed_ticket_is_undelivered_and_goes_once_it_is_open_again(
    mut bench: Bench,
) {
    let server = set_up(&mut bench).await.server;
    bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
    reply(&bench, "We are looking into it.").await;
    server.set(9001, "status", json!("closed"));
    for _ in 0..5 {
        assert_eq!(bench.desk.send_due().await.unwrap(), 0);
        bench.clock.advance(time::DAY);
    }
    let item = owed(&bench).await;
    assert_eq!((item.stands(), item.attempts), (Stands::Undelivered, 1));
    let why = item.last_error.clone().unwrap();
    assert!(why.contains("Status: closed prevents ticket update"), "{why}");
    let rows = bench.rows_of("platform", "platform.reply_undelivered").await;
    assert_eq!((rows.len(), rows[0].ticket_ref.as_deref()), (1, Some(NUMBER)));
    assert_eq!(rows[0].detail_str("said"), Some(why.as_str()));
    let (_, html) = page(&bench, "/tickets/NOV-9001").await;
    assert!(html.contains("Not in the ticket system") && html.contains("closed prevents"));
    let (_, html) = page(&bench, "/deliveries").await;
    assert!(html.contains("NOV-9001, a reply") && html.contains("/do/put_right"));

    server.set(9001, "status", json!("open"));
    let who = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.put_right(&mut tx, &who, &item.id, Wish::SendAgain).await;
    bench.desk.settle(tx, step).await.unwrap();
    assert_eq!(bench.desk.send_due().await.unwrap(), 1);
    assert_eq!(server.comments_of(9001).len(), 2);
    assert_eq!(owed(&bench).await.stands(), Stands::Taken);
}

async fn a_reply_waits_as_long_as_zendesk_asks_to(mut bench: Bench) {
    let server = set_up(&mut bench).await.server;
    bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
    reply(&bench, "We are looking into it.").await;
    server.fall_ill(&[Ill::Busy(600)]);
    assert_eq!(bench.desk.send_due().await.unwrap(), 0);
    let item = owed(&bench).await;
    assert!(item.last_error.unwrap().contains("asks to wait 600 s"));
    assert!(item.next_at >= bench.now() + 600 * time::SECOND);
    assert_eq!(server.comments_of(9001).len(), 1);
}

async fn what_the_case_is_with_us_is_not_undone_from_outside(mut bench: Bench) {
    let _outside = set_up(&mut bench).await;
    bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
    for state in [TicketState::Escalated, TicketState::Pending] {
        let mut tx = bench.desk.begin().await.unwrap();
        tickets::set_state(&mut tx, NUMBER, state).await.unwrap();
        tx.commit().await.unwrap();
        bench.clock.advance(time::SECOND);
        bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
        assert_eq!(copy(&bench).await.unwrap().state, state);
    }
}

async fn a_secret_in_a_comment_is_not_kept(mut bench: Bench) {
    let outside = set_up(&mut bench).await;
    let at = time::rfc3339(bench.now());
    let key = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    outside.server.comment(9001, outside.owner, true, &format!("Our key is {key}"), &at);
    outside.server.set(9001, "subject", json!(format!("Replace {key}")));
    for _ in 0..2 {
        bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
        bench.clock.advance(time::SECOND);
    }
    let all = messages(&bench).await;
    assert_eq!(all.len(), 2);
    assert!(all[1].body.contains("Not shown"), "{}", all[1].body);
    assert!(copy(&bench).await.unwrap().subject.contains("Not shown"));
    assert!(!format!("{all:?}").contains("whsec_"));
    assert!(!format!("{:?}", bench.rows("platform").await).contains("whsec_"));
    assert_eq!(bench.rows_of("platform", "platform.ticket_fetched").await.len(), 1);
}

/// A page, as Ada sees it.
async fn page(bench: &Bench, path: &str) -> (StatusCode, String) {
    let ada = bench.at_work(ADA).await.staff;
    let people = vec![DemoPerson { email: ada.email, name: ada.name, role: ada.role }];
    let router = crate::http::router(Arc::new(App {
        density: Default::default(),
        edges: Default::default(),
        desk: bench.desk.clone(),
        demo: Some(DemoDoors { people, customer_side: "http://127.0.0.1:1".into() }),
        pkg: None,
        introspection_hash: None,
        intake_hash: None,
        proxies: Default::default(),
        embedded_vault: None,
        stop: Default::default(),
        readiness: Default::default(),
        at_once: Default::default(),
    }));
    let sign_in = Request::builder()
        .method("POST")
        .uri("/do/demo_sign_in")
        .header("sec-fetch-site", "same-origin")
        .header(header::ACCEPT, "text/html")
        .header(header::COOKIE, "__Host-keyturn-kept=1")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("email=staff-ada%40platform.example&next="))
        .unwrap();
    let answer = router.clone().oneshot(sign_in).await.unwrap();
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let ask = Request::builder().uri(path).header(header::COOKIE, cookie);
    let answer = router.oneshot(ask.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

async fn the_page_shows_the_copy_and_says_since_when(mut bench: Bench) {
    let outside = set_up(&mut bench).await;
    outside.server.fall_ill(&[Ill::Status(503)]);
    let (status, html) = page(&bench, "/tickets/NOV-9001").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(html.contains("did not answer, and there is no copy"), "{html}");
    let (status, html) = page(&bench, "/tickets/NOV-9001").await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("Cannot replace the key") && html.contains("Eligible"));
    assert!(!html.contains("could not say how this ticket stands"));

    outside.server.down(true);
    bench.clock.advance(5 * time::MINUTE);
    reply(&bench, "We are looking into it.").await;
    bench.desk.send_due().await.unwrap();
    let (status, html) = page(&bench, "/tickets/NOV-9001").await;
    assert_eq!(status, StatusCode::OK);
    for part in [
        "could not say how this ticket stands now",
        "5 min ago",
        "the ticket system did not answer",
        "Waits for the ticket system",
        "1 check stops this",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("Start impersonation"), "nothing can be started");
    let (_, list) = page(&bench, "/tickets?q=9001").await;
    assert!(list.contains("Eligible"), "a list shows what was known");

    outside.server.down(false);
    outside.server.set(9001, "organization_id", json!(null));
    outside.server.file(9003, outside.owner, None, &time::rfc3339(bench.now()));
    let (status, html) = page(&bench, "/tickets/NOV-9003").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(html.contains("external id"), "{html}");
    let (status, _) = page(&bench, "/tickets/NOV-9999").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// A Zendesk that takes the question and says nothing costs a page three seconds, once.
async fn a_silent_zendesk_holds_up_one_page_and_not_the_next(mut bench: Bench) {
    let outside = set_up(&mut bench).await;
    bench.desk.refresh_ticket(NUMBER, PATIENCE).await.unwrap();
    bench.clock.advance(5 * time::MINUTE);
    outside.server.fall_ill(&[Ill::Silent]);
    let (status, html) = page(&bench, "/tickets/NOV-9001").await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("could not say how this ticket stands now"));
    let asked = outside.server.requests().len();
    let before = std::time::Instant::now();
    let (status, _) = page(&bench, "/tickets/NOV-9001").await;
    assert_eq!(status, StatusCode::OK);
    assert!(before.elapsed().as_secs() < 2, "{:?}", before.elapsed());
    assert_eq!(outside.server.requests().len(), asked, "it was left alone");
    // Who wants to begin something asks all the same.
    let ada = bench.at_work(ADA).await;
    bench.desk.start_impersonation(&ada, NUMBER).await.unwrap();
}

async fn tickets_of_our_own_are_found_and_answered_by_the_same_trait(bench: Bench) {
    let tickets = &bench.desk.tickets;
    assert_eq!((tickets.outside(), tickets.prefix()), (None, "NOV-"));
    assert_eq!(bench.desk.refresh_ticket(STUCK, PATIENCE).await.unwrap(), Refreshed::Here);
    let found = tickets.look_up(STUCK).await.unwrap().unwrap();
    assert_eq!(found.org.as_deref(), Some("org-acme"));
    assert_eq!(found.requester_email.as_deref(), Some("owner@acme.example"));
    assert!(found.authenticated.is_some() && found.comments.len() == 1);
    assert_eq!(tickets.look_up("NOV-9999").await, Ok(None));
    let comment = Comment {
        public: false,
        body: "Called back.".into(),
        at: bench.now(),
        marker: "m1".into(),
    };
    for _ in 0..2 {
        assert_eq!(tickets.post(STUCK, &comment).await.as_deref(), Ok("m1"));
    }
    let found = tickets.look_up(STUCK).await.unwrap().unwrap();
    assert_eq!(found.comments.len(), 2, "once");
    assert!(!found.comments[1].public);
    assert_eq!(tickets.post("NOV-9999", &comment).await, Err(TicketsError::Unknown));
}
