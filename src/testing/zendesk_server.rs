//! A Zendesk for tests: it answers in Zendesk's published shapes, and can be told to be ill.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The agent whose token it is.
pub(crate) const EMAIL: &str = "agent@platform.example";
/// The API token.
pub(crate) const TOKEN: &str = "6wiIBWbGkBMo1mRDMuVwkw1EPsNkeUj95PIz2akv";

/// How the server misbehaves, once for each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ill {
    /// It answers with this status and changes nothing.
    Status(u16),
    /// It asks to wait so many seconds.
    Busy(u64),
    /// It never answers.
    Silent,
    /// It does what it was asked, and the answer is lost.
    AnswerLost,
    /// It is well for this request.
    Well,
}

#[derive(Default)]
struct Desk {
    tickets: Vec<Value>,
    users: Vec<Value>,
    organizations: Vec<Value>,
    fields: Vec<Value>,
    comments: Vec<(u64, Value)>,
    audits: Vec<(u64, Value)>,
    ill: VecDeque<Ill>,
    down: bool,
    requests: Vec<String>,
    page: usize,
    clock: i64,
}

/// The server. It stops with the value.
pub(crate) struct ZendeskServer {
    pub(crate) url: String,
    desk: Arc<Mutex<Desk>>,
    task: JoinHandle<()>,
}

impl Drop for ZendeskServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = Arc<Mutex<Desk>>;

impl ZendeskServer {
    pub(crate) async fn start() -> Self {
        let desk: Shared =
            Arc::new(Mutex::new(Desk { page: 100, fields: usual_fields(), ..Desk::default() }));
        let routes = Router::new()
            .route("/api/v2/tickets/{id}", get(ticket).put(update))
            .route("/api/v2/tickets/{id}/comments.json", get(comments))
            .route("/api/v2/tickets/{id}/audits.json", get(audits))
            .route("/api/v2/users/{id}", get(user))
            .route("/api/v2/organizations/{id}", get(organization))
            .route("/api/v2/ticket_fields.json", get(fields))
            .fallback(|| async { missing() })
            .layer(from_fn_with_state(desk.clone(), door))
            .with_state(desk.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, desk, task }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Desk) -> T) -> T {
        f(&mut self.desk.lock().unwrap())
    }

    /// A user with a verified address; its id.
    pub(crate) fn user(&self, name: &str, email: &str) -> u64 {
        self.with(|d| {
            let id = 20_000 + d.users.len() as u64;
            d.users.push(json!({
                "id": id, "name": name, "email": email, "verified": true, "suspended": false,
                "role": "end-user", "active": true,
                "url": format!("https://example.zendesk.com/api/v2/users/{id}.json"),
            }));
            id
        })
    }

    /// An organization with an external id; its id.
    pub(crate) fn organization(&self, name: &str, external_id: Option<&str>) -> u64 {
        self.with(|d| {
            let id = 50_000 + d.organizations.len() as u64;
            d.organizations.push(json!({
                "id": id, "name": name, "external_id": external_id, "domain_names": [],
                "url": format!("https://example.zendesk.com/api/v2/organizations/{id}.json"),
            }));
            id
        })
    }

    /// Files a ticket with its first comment.
    pub(crate) fn file(&self, id: u64, requester: u64, organization: Option<u64>, at: &str) {
        self.with(|d| {
            d.tickets.push(json!({
                "id": id, "url": format!("https://example.zendesk.com/api/v2/tickets/{id}.json"),
                "subject": "Cannot replace the key", "raw_subject": "Cannot replace the key",
                "description": "We are locked out.", "status": "open", "priority": null,
                "type": null, "requester_id": requester, "submitter_id": requester,
                "organization_id": organization, "external_id": null, "tags": [],
                "via": { "channel": "web" }, "created_at": at, "updated_at": at,
                "custom_fields": [], "satisfaction_rating": null,
            }));
            d.comments.push((
                id,
                json!({
                    "id": id * 100, "type": "Comment", "author_id": requester,
                    "body": "We are locked out.", "html_body": "<p>We are locked out.</p>",
                    "plain_body": "We are locked out.", "public": true, "attachments": [],
                    "audit_id": id * 100 + 1, "created_at": at,
                    "metadata": { "system": { "ip_address": "1.1.1.1" } },
                }),
            ));
            d.audits.push((
                id,
                json!({
                    "id": id * 100 + 1, "ticket_id": id, "author_id": requester, "created_at": at,
                    "metadata": { "system": {}, "custom": {} }, "via": { "channel": "web" },
                    "events": [{ "id": id * 100, "type": "Comment", "public": true,
                        "body": "We are locked out.", "attachments": [] }],
                }),
            ));
        });
    }

    /// A comment that somebody writes at Zendesk.
    pub(crate) fn comment(&self, ticket: u64, author: u64, public: bool, text: &str, at: &str) {
        self.with(|d| {
            let n = 800_000 + d.comments.len() as u64;
            d.comments.push((
                ticket,
                json!({
                    "id": n, "type": "Comment", "author_id": author, "body": text,
                    "html_body": text, "plain_body": text, "public": public, "attachments": [],
                    "audit_id": n + 1, "created_at": at, "metadata": { "system": {} },
                }),
            ));
        });
    }

    /// Changes a property of a ticket.
    pub(crate) fn set(&self, id: u64, name: &str, value: Value) {
        self.with(|d| {
            let ticket = d.tickets.iter_mut().find(|t| t["id"] == id).unwrap();
            ticket[name] = value;
        });
    }

    /// Fills the usual custom fields of a ticket.
    pub(crate) fn say(&self, id: u64, how: Value, when: Value, secret: (Value, Value), leak: bool) {
        let values = json!([
            { "id": 901, "value": how }, { "id": 902, "value": when },
            { "id": 903, "value": secret.0 }, { "id": 904, "value": secret.1 },
            { "id": 905, "value": leak },
        ]);
        self.set(id, "custom_fields", values);
    }

    /// Changes a property of a user.
    pub(crate) fn set_user(&self, id: u64, name: &str, value: Value) {
        self.with(|d| d.users.iter_mut().find(|u| u["id"] == id).unwrap()[name] = value);
    }

    /// Has the next requests meet with this, one for each.
    pub(crate) fn fall_ill(&self, ills: &[Ill]) {
        self.with(|d| d.ill.extend(ills));
    }

    /// Whether it answers at all: while it is down, every request ends without an answer.
    pub(crate) fn down(&self, down: bool) {
        self.with(|d| d.down = down);
    }

    /// How many audits stand on a page.
    pub(crate) fn page(&self, size: usize) {
        self.with(|d| d.page = size);
    }

    /// Every comment of a ticket, oldest first.
    pub(crate) fn comments_of(&self, id: u64) -> Vec<Value> {
        self.with(|d| d.comments.iter().filter(|c| c.0 == id).map(|c| c.1.clone()).collect())
    }

    /// Method and path of every request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.with(|d| d.requests.clone())
    }
}

fn usual_fields() -> Vec<Value> {
    let field = |id: u64, title: &str, kind: &str| {
        json!({
            "id": id, "type": kind, "title": title, "raw_title": title, "active": true,
            "required": false, "editable_in_portal": false, "visible_in_portal": false,
            "removable": true, "url": format!("https://example.zendesk.com/api/v2/ticket_fields/{id}.json"),
        })
    };
    let mut how = field(901, "Requester authenticated by", "tagger");
    how["custom_field_options"] = json!([
        { "id": 1, "name": "signed in to support with a passkey", "value": "passkey" }
    ]);
    vec![
        field(1, "Subject", "subject"),
        how,
        field(902, "Requester authenticated at", "text"),
        field(903, "Secret ID", "text"),
        field(904, "Secret type", "text"),
        field(905, "Suspected leak", "checkbox"),
    ]
}

/// Authentication and illness, before anything is looked at.
async fn door(State(desk): State<Shared>, request: Request, next: Next) -> Response {
    let (ill, down) = {
        let mut desk = desk.lock().unwrap();
        desk.requests.push(format!("{} {}", request.method(), request.uri().path()));
        (desk.ill.pop_front().unwrap_or(Ill::Well), desk.down)
    };
    if down {
        return lost();
    }
    match ill {
        Ill::Silent => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return lost();
        }
        Ill::Status(code) => return said(code),
        Ill::Busy(seconds) => {
            let mut answer = failed(
                429,
                json!({
                    "error": "APIRateLimitExceeded",
                    "description": "Number of allowed API requests per minute exceeded",
                }),
            );
            answer.headers_mut().insert("retry-after", seconds.into());
            return answer;
        }
        Ill::AnswerLost | Ill::Well => {}
    }
    let expected = format!("Basic {}", STANDARD.encode(format!("{EMAIL}/token:{TOKEN}")));
    let given = request.headers().get("authorization").and_then(|v| v.to_str().ok());
    if given != Some(expected.as_str()) {
        return said(401);
    }
    let answer = next.run(request).await;
    if ill == Ill::AnswerLost { lost() } else { answer }
}

/// The connection ends in the middle of the answer.
fn lost() -> Response {
    let broken = broken_stream();
    Response::new(axum::body::Body::from_stream(broken))
}

fn broken_stream() -> impl futures::Stream<Item = Result<Vec<u8>, std::io::Error>> + Send {
    futures::stream::iter([Err(std::io::Error::other("gone"))])
}

fn failed(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn said(status: u16) -> Response {
    let body = match status {
        401 => json!({ "error": "Couldn't authenticate you" }),
        403 => json!({ "error": { "title": "Forbidden",
            "message": "You do not have access to this page. Please contact the account owner of this help desk for further help." } }),
        404 => return missing(),
        409 => json!({ "error": "UpdateConflict",
            "description": "Safe Update prevented the update due to outdated ticket data. Please fetch the latest ticket data and try again." }),
        422 => json!({ "error": "RecordInvalid", "description": "Record validation errors",
            "details": { "status": [{ "description": "Status: closed prevents ticket update" }] } }),
        _ => json!({ "error": "InternalError", "description": "We are having difficulties" }),
    };
    failed(status, body)
}

fn missing() -> Response {
    failed(404, json!({ "error": "RecordNotFound", "description": "Not found" }))
}

fn number(id: &str) -> Option<u64> {
    id.strip_suffix(".json")?.parse().ok()
}

fn one(list: &[Value], id: &str, name: &str) -> Response {
    match number(id).and_then(|id| list.iter().find(|v| v["id"] == id)) {
        Some(found) => Json(json!({ name: found })).into_response(),
        None => missing(),
    }
}

async fn ticket(State(desk): State<Shared>, Path(id): Path<String>) -> Response {
    one(&desk.lock().unwrap().tickets, &id, "ticket")
}

async fn user(State(desk): State<Shared>, Path(id): Path<String>) -> Response {
    one(&desk.lock().unwrap().users, &id, "user")
}

async fn organization(State(desk): State<Shared>, Path(id): Path<String>) -> Response {
    one(&desk.lock().unwrap().organizations, &id, "organization")
}

async fn fields(State(desk): State<Shared>) -> Json<Value> {
    let fields = desk.lock().unwrap().fields.clone();
    Json(json!({ "ticket_fields": fields,
        "meta": { "has_more": false, "after_cursor": null, "before_cursor": null },
        "links": { "next": null, "prev": null } }))
}

async fn comments(
    State(desk): State<Shared>,
    Path(id): Path<u64>,
    Query(query): Query<Vec<(String, String)>>,
) -> Json<Value> {
    let desk = desk.lock().unwrap();
    let mut found: Vec<Value> =
        desk.comments.iter().filter(|c| c.0 == id).map(|c| c.1.clone()).collect();
    if query.contains(&("sort_order".to_owned(), "desc".to_owned())) {
        found.reverse();
    }
    let count = found.len();
    found.truncate(100);
    let mut answer =
        json!({ "comments": found, "count": count, "next_page": null, "previous_page": null });
    if query.contains(&("include".to_owned(), "users".to_owned())) {
        answer["users"] = Value::Array(desk.users.clone());
    }
    Json(answer)
}

async fn audits(
    State(desk): State<Shared>,
    Path(id): Path<u64>,
    Query(query): Query<Vec<(String, String)>>,
) -> Json<Value> {
    let desk = desk.lock().unwrap();
    let from: usize = query
        .iter()
        .find(|(name, _)| name == "page[after]")
        .map_or(0, |(_, cursor)| cursor.parse().unwrap());
    let all: Vec<&Value> = desk.audits.iter().filter(|a| a.0 == id).map(|a| &a.1).collect();
    let end = (from + desk.page).min(all.len());
    Json(json!({ "audits": all[from..end],
        "meta": { "has_more": end < all.len(), "after_cursor": end.to_string(), "before_cursor": null },
        "links": { "next": null, "prev": null } }))
}

async fn update(
    State(desk): State<Shared>,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let mut desk = desk.lock().unwrap();
    let desk = &mut *desk;
    desk.clock += 1;
    let now = format!("2026-11-23T12:{:02}:{:02}Z", desk.clock / 60, desk.clock % 60);
    let Some(id) = number(&id) else { return missing() };
    let Some(ticket) = desk.tickets.iter_mut().find(|t| t["id"] == id) else { return missing() };
    if ticket["status"] == "closed" {
        return said(422);
    }
    let asked = &body["ticket"];
    if asked["safe_update"] == true && asked["updated_stamp"] != ticket["updated_at"] {
        return said(409);
    }
    ticket["updated_at"] = json!(now);
    let n = 700_000 + 2 * desk.comments.len() as u64;
    let public = asked["comment"]["public"].as_bool().unwrap();
    let text = asked["comment"]["body"].as_str().unwrap();
    desk.comments.push((
        id,
        json!({
            "id": n, "type": "Comment", "author_id": 99, "body": text, "html_body": text,
            "plain_body": text, "public": public, "attachments": [], "audit_id": n + 1,
            "created_at": now, "metadata": { "system": {} },
        }),
    ));
    let audit = json!({
        "id": n + 1, "ticket_id": id, "author_id": 99, "created_at": now,
        "metadata": { "system": {}, "custom": asked["metadata"] }, "via": { "channel": "api" },
        "events": [{ "id": n, "type": "Comment", "public": public, "body": text, "attachments": [] }],
    });
    desk.audits.push((id, audit.clone()));
    Json(json!({ "ticket": ticket, "audit": audit })).into_response()
}
