//! The embedded desk's intake: what a program files is a ticket like any other, filed once, and
//! nothing that holds a secret is kept.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::auth::credential;
use crate::desk::StepError;
use crate::model::time;
use crate::store::tickets;
use crate::testing::story::ADA;
use crate::testing::{Bench, both_engines};
use crate::web::app::App;

both_engines!(
    a_ticket_that_a_program_files_can_be_served,
    the_same_again_is_the_same_ticket,
    a_text_with_a_secret_is_refused_and_not_kept,
    attachments_are_refused_with_the_reason,
    where_no_credential_is_set_up_there_is_no_intake,
    a_signed_in_answer_makes_an_old_ticket_count_again,
);

const TOKEN: &str = "an-intake-token-of-some-length-for-tests";

async fn send_as(
    bench: &Bench,
    token: Option<&str>,
    request: Request<Body>,
) -> (StatusCode, Value) {
    let router = crate::http::router(Arc::new(App {
        density: Default::default(),
        edges: Default::default(),
        desk: bench.desk.clone(),
        demo: None,
        pkg: None,
        introspection_hash: None,
        intake_hash: token.map(|t| credential::hash(&t.into())),
        proxies: Default::default(),
        embedded_vault: None,
        stop: Default::default(),
        readiness: Default::default(),
        at_once: Default::default(),
    }));
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

fn post(path: &str, kind: &str) -> http::request::Builder {
    Request::builder()
        .method("POST")
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, kind)
}

async fn send(bench: &Bench, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = post(path, "application/json");
    send_as(bench, Some(TOKEN), request.body(Body::from(body.to_string())).unwrap()).await
}

fn ticket(bench: &Bench, number: Option<&str>) -> Value {
    json!({
        "number": number,
        "org": "acme",
        "subject": "Our webhook key is stuck",
        "requester": { "name": "Owner of acme", "email": "owner@acme.example" },
        "authenticated": { "how": "signed in to support", "at": time::rfc3339(bench.now()) },
        "secret": { "type": "webhook_signing_key", "id": "whk_acme" },
        "suspected_leak": false,
        "message": "Please replace it.",
    })
}

async fn a_ticket_that_a_program_files_can_be_served(bench: Bench) {
    let (status, filed) = send(&bench, "/api/v1/tickets", &ticket(&bench, None)).await;
    assert_eq!(status, StatusCode::CREATED, "{filed}");
    let number = filed["number"].as_str().unwrap().to_owned();
    assert_eq!(number, "NOV-4821", "the next free one");
    let ada = bench.at_work(ADA).await;
    let grant = bench.desk.start_impersonation(&ada, &number).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let row = bench.rows_of("platform", "platform.ticket_filed").await.pop().unwrap();
    assert_eq!(row.ticket_ref.as_deref(), Some("NOV-4821"));
    assert_eq!(row.secret_id.as_deref(), Some("whk_acme"));
    assert!(!format!("{row:?}").contains("Please replace"), "no text");

    // What is not said counts as no.
    let mut bare = ticket(&bench, Some("NOV-5000"));
    bare["authenticated"] = Value::Null;
    bare["secret"] = Value::Null;
    bare["requester"]["email"] = json!("stranger@elsewhere.example");
    assert_eq!(send(&bench, "/api/v1/tickets", &bare).await.0, StatusCode::CREATED);
    match bench.desk.start_impersonation(&ada, "NOV-5000").await {
        Err(StepError::Refused(v)) => {
            for check in ["requester_authenticated", "requester_is_owner", "secret_known"] {
                assert!(v.failed_names().contains(&check), "{check}");
            }
        }
        other => panic!("{other:?}"),
    }
    let (_, next) = send(&bench, "/api/v1/tickets", &ticket(&bench, None)).await;
    assert_eq!(next["number"], "NOV-5001");
    bench.verify_all().await.unwrap();
}

async fn the_same_again_is_the_same_ticket(bench: Bench) {
    let body = ticket(&bench, Some("NOV-6000"));
    assert_eq!(send(&bench, "/api/v1/tickets", &body).await.0, StatusCode::CREATED);
    assert_eq!(send(&bench, "/api/v1/tickets", &body).await.0, StatusCode::OK);
    let mut other = body.clone();
    other["subject"] = json!("Something else");
    assert_eq!(send(&bench, "/api/v1/tickets", &other).await.0, StatusCode::CONFLICT);
    other["number"] = json!("NOV-4801");
    assert_eq!(send(&bench, "/api/v1/tickets", &other).await.0, StatusCode::CONFLICT);

    let keyed = |body: &Value| {
        let request = post("/api/v1/tickets", "application/json")
            .header("idempotency-key", "one")
            .body(Body::from(body.to_string()))
            .unwrap();
        send_as(&bench, Some(TOKEN), request)
    };
    let unnumbered = ticket(&bench, None);
    let (first, filed) = keyed(&unnumbered).await;
    let (second, again) = keyed(&unnumbered).await;
    assert_eq!((first, second), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(filed, again);
    let mut changed = unnumbered.clone();
    changed["message"] = json!("Something else");
    assert_eq!(keyed(&changed).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(bench.rows_of("platform", "platform.ticket_filed").await.len(), 2);

    let path = "/api/v1/tickets/NOV-6000/messages";
    let message =
        json!({ "kind": "customer", "author": "Olive", "text": "Any news?", "id": "m-1" });
    let (first, added) = send(&bench, path, &message).await;
    let (second, again) = send(&bench, path, &message).await;
    assert_eq!((first, second), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(added, again);
    let mut other = message.clone();
    other["text"] = json!("Something else");
    assert_eq!(send(&bench, path, &other).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(bench.rows_of("platform", "platform.ticket_message_received").await.len(), 1);
    let gone = send(&bench, "/api/v1/tickets/NOV-1/messages", &message).await;
    assert_eq!(gone.0, StatusCode::NOT_FOUND);
}

async fn a_text_with_a_secret_is_refused_and_not_kept(bench: Bench) {
    let key = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let before = bench.number("SELECT COUNT(*) FROM ticket").await;
    for field in ["message", "subject"] {
        let mut body = ticket(&bench, Some("NOV-6000"));
        body[field] = json!(format!("It is {key}"));
        let (status, problem) = send(&bench, "/api/v1/tickets", &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!problem.to_string().contains("whsec_"));
        assert!(problem["detail"].as_str().unwrap().contains("holds a secret"), "{problem}");
    }
    assert_eq!(bench.number("SELECT COUNT(*) FROM ticket").await, before);
    let message = json!({ "kind": "customer", "author": "Olive", "text": key });
    let (status, _) = send(&bench, "/api/v1/tickets/NOV-4801/messages", &message).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let mut conn = bench.desk.store.read().await.unwrap();
    assert_eq!(tickets::messages(&mut conn, "NOV-4801").await.unwrap().len(), 1);
    let rows = bench.rows_of("platform", "platform.ticket_message_refused").await;
    assert_eq!(rows.len(), 3, "that it came is written down");
    assert!(!format!("{rows:?}").contains("whsec_"));

    // A body that cannot be read is not quoted either.
    let request = post("/api/v1/tickets", "application/json")
        .body(Body::from(format!("{{\"org\": {{\"{key}\": 1}}}}")))
        .unwrap();
    let (status, problem) = send_as(&bench, Some(TOKEN), request).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(!problem.to_string().contains("whsec_"), "{problem}");
    let mut unknown = ticket(&bench, None);
    unknown["org"] = json!("nobody");
    assert_eq!(send(&bench, "/api/v1/tickets", &unknown).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

async fn attachments_are_refused_with_the_reason(bench: Bench) {
    let mut body = ticket(&bench, Some("NOV-6000"));
    body["attachments"] = json!([{ "file_name": "log.txt" }]);
    let (status, problem) = send(&bench, "/api/v1/tickets", &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["detail"].as_str().unwrap().contains("Attachments are not taken"));
    for kind in ["multipart/form-data; boundary=x", "text/plain"] {
        let request = post("/api/v1/tickets", kind).body(Body::from("--x\r\n\r\n--x--")).unwrap();
        let (status, problem) = send_as(&bench, Some(TOKEN), request).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        assert!(problem["detail"].as_str().unwrap().contains("JSON"));
    }
    assert_eq!(bench.number("SELECT COUNT(*) FROM ticket WHERE id = 'NOV-6000'").await, 0);
}

async fn where_no_credential_is_set_up_there_is_no_intake(bench: Bench) {
    for path in ["/api/v1/tickets", "/api/v1/tickets/NOV-4801/messages"] {
        let request = || post(path, "application/json").body(Body::from("{}")).unwrap();
        assert_eq!(send_as(&bench, None, request()).await.0, StatusCode::NOT_FOUND, "{path}");
        let other = send_as(&bench, Some("another-token-of-some-length"), request()).await;
        assert_eq!(other.0, StatusCode::UNAUTHORIZED, "{path}");
    }
}

async fn a_signed_in_answer_makes_an_old_ticket_count_again(bench: Bench) {
    let refused = async || {
        let ada = bench.at_work(ADA).await;
        match bench.impersonate(&ada, "NOV-4801").await {
            Err(StepError::Refused(v)) => v.failed_names().join(" "),
            other => panic!("{other:?}"),
        }
    };
    bench.clock.advance(7 * time::DAY);
    assert_eq!(refused().await, "requester_authenticated");
    let path = "/api/v1/tickets/NOV-4801/messages";
    let answer = |at: crate::model::Micros, kind: &str| {
        let proof = json!({ "how": "signed in to support", "at": time::rfc3339(at) });
        json!({ "kind": kind, "author": "Olive", "text": "Go on.", "authenticated": proof })
    };
    for wrong in [
        answer(bench.now() + time::SECOND, "customer"),
        answer(bench.now(), "note"),
        json!({ "kind": "customer", "author": "O", "text": "x", "authenticated": { "how": " ", "at": time::rfc3339(bench.now()) } }),
        json!({ "kind": "customer", "author": "O", "text": "x", "authenticated": { "how": "SSO", "at": "today" } }),
    ] {
        let status = send(&bench, path, &wrong).await.0;
        let said = [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];
        assert!(said.contains(&status), "{wrong}: {status}");
    }
    // Without a proof an answer is words; and an old proof that comes late is none.
    let words = json!({ "kind": "customer", "author": "Olive", "text": "It is me." });
    assert_eq!(send(&bench, path, &words).await.0, StatusCode::CREATED);
    let late = answer(bench.now() - 7 * time::DAY - time::SECOND, "customer");
    assert_eq!(send(&bench, path, &late).await.0, StatusCode::CREATED);
    assert_eq!(refused().await, "requester_authenticated");
    assert_eq!(send(&bench, path, &answer(bench.now(), "customer")).await.0, StatusCode::CREATED);
    // What is older than what is known changes nothing.
    assert_eq!(send(&bench, path, &late).await.0, StatusCode::CREATED);
    let ada = bench.at_work(ADA).await;
    bench.impersonate(&ada, "NOV-4801").await.unwrap();
    let rows = bench.rows_of("platform", "platform.ticket_message_received").await;
    let with = rows.iter().filter(|r| r.details.contains_key("authenticated_at")).count();
    assert_eq!((rows.len(), with), (4, 3));
    bench.verify_all().await.unwrap();
}
