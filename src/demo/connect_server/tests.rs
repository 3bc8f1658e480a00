//! The client against the server: the item as it was specified, once, and every refusal.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use tower::ServiceExt as _;

use super::*;
use crate::clock::{ManualClock, SeededRng};
use crate::delivery::shared_vault::{NewItem, SharedVault as _, SharedVaultError as Failed};
use crate::testing::connect::{Mood, OUT_OF_SCOPE, READ_ONLY, Running, TOKEN, VAULT};

const VALUE: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const UNKNOWN: &str = "nowherenowherenowherenowhe";

fn new_item(rotation: &str) -> NewItem {
    NewItem {
        title: "Webhook signing key whk_lark, version 2".to_owned(),
        tag: format!("rotation:{rotation}"),
        label: "Webhook signing key".to_owned(),
        value: VALUE.into(),
        notes: "Version 2 of “Menu sync”, for NOV-4814.\nA second line.".to_owned(),
    }
}

async fn running() -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), Arc::new(ManualClock::at(7))).await;
    (folder, running)
}

/// Protects the form of the item: what the Owner's 1Password makes of it hangs on each word.
#[tokio::test]
async fn the_item_is_as_it_was_specified() {
    let (_folder, running) = running().await;
    let client = running.client();
    client.check(VAULT).await.unwrap();
    let id = client.put(VAULT, &new_item("one")).await.unwrap();
    let path = format!("/v1/vaults/{VAULT}/items");
    let (status, item) = ask(&running.server, Method::GET, &format!("{path}/{id}"), "").await;
    assert_eq!(status, StatusCode::OK);
    let notes = new_item("").notes;
    for (pointer, expected) in [
        ("/id", json!(id.as_str())),
        ("/title", json!("Webhook signing key whk_lark, version 2")),
        ("/category", json!("API_CREDENTIAL")),
        ("/vault", json!({ "id": VAULT })),
        ("/tags", json!(["rotation:one"])),
        (
            "/fields",
            json!([
                { "id": "credential", "type": "CONCEALED", "label": "Webhook signing key", "value": VALUE },
                { "id": "notesPlain", "type": "STRING", "purpose": "NOTES", "value": notes },
            ]),
        ),
    ] {
        assert_eq!(item.pointer(pointer), Some(&expected), "{pointer}");
    }
    let (_, list) = ask(&running.server, Method::GET, &path, "").await;
    assert_eq!(list[0]["id"], json!(id.as_str()));
    assert!(list[0].get("fields").is_none() && !list.to_string().contains("whsec_"), "{list}");
}

/// Protects the customer from two items of which one is the right one, whatever was lost on the
/// way; and a later rotation from being taken for this one.
#[tokio::test]
async fn however_often_it_is_asked_for_there_is_one_item() {
    let (_folder, running) = running().await;
    let client = running.client();
    for (mood, failed) in [
        (Mood::Busy, Failed::Busy { status: 503, wait: None }),
        (Mood::LosesAnswers, Failed::Unsure("broke off its answer")),
    ] {
        running.set(mood);
        assert_eq!(client.put(VAULT, &new_item("one")).await.unwrap_err(), failed);
    }
    assert_eq!(running.items().len(), 1, "it was made, and the answer was lost");
    let found = client.put(VAULT, &new_item("one")).await.unwrap();
    running.set(Mood::Well);
    assert_eq!(client.put(VAULT, &new_item("one")).await.unwrap(), found);
    assert_eq!((running.items().len(), running.posts()), (1, 1));

    running.set(Mood::Babbles);
    let failed = client.put(VAULT, &new_item("two")).await.unwrap_err();
    assert_eq!(failed, Failed::Unsure("its answer cannot be read"));
    let other = client.put(VAULT, &new_item("two")).await.unwrap();
    assert_ne!(other, found);
    let items = running.items();
    assert_eq!(
        items.iter().map(|i| i.tags[0].as_str()).collect::<Vec<_>>(),
        ["rotation:one", "rotation:two"]
    );
}

/// Protects the hint that the console gives: each refusal is told from the others.
#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let (_folder, running) = running().await;
    let item = new_item("one");
    for (token, vault, failed) in [
        ("another", VAULT, Failed::Token),
        (TOKEN, READ_ONLY, Failed::ReadOnly),
        (TOKEN, OUT_OF_SCOPE, Failed::NotInScope(OUT_OF_SCOPE.to_owned())),
        (TOKEN, UNKNOWN, Failed::NoVault(UNKNOWN.to_owned())),
        (TOKEN, "short", Failed::VaultId("short".to_owned())),
        (
            TOKEN,
            "../../vaults/abcdefghijklm",
            Failed::VaultId("../../vaults/abcdefghijklm".to_owned()),
        ),
    ] {
        let client = running.client_with(token);
        let found = client.put(vault, &item).await.unwrap_err();
        assert_eq!(found, failed);
        assert!(!found.waits());
        assert!(!format!("{found} {found:?}").contains("whsec_"));
        let checked = client.check(vault).await;
        assert_eq!(checked, if failed == Failed::ReadOnly { Ok(()) } else { Err(failed) });
    }
    for title in ["", "with \"quotes\"", "with \\", "two\nlines"] {
        let item = NewItem { title: title.to_owned(), ..new_item("one") };
        let found = running.client().put(VAULT, &item).await.unwrap_err();
        assert_eq!(found, Failed::Title, "{title:?}");
    }
    assert!(running.items().is_empty());

    let url = running.url();
    drop(running);
    let client = crate::delivery::one_password::Connect::new(&url, &TOKEN.into()).unwrap();
    let gone = client.put(VAULT, &item).await.unwrap_err();
    assert!(matches!(gone, Failed::Unreachable(_)) && gone.waits(), "{gone:?}");
}

/// Protects against taking anything that answers for a Connect server.
#[tokio::test]
async fn an_answer_that_is_not_a_connect_server_s_is_none() {
    use crate::delivery::one_password::Connect;
    use axum::response::Redirect;
    let long = "[".repeat(300_000);
    for (answer, failed) in [
        (Redirect::to("/elsewhere").into_response(), Failed::Unexpected(303)),
        (StatusCode::NOT_FOUND.into_response(), Failed::Unexpected(404)),
        ((StatusCode::FORBIDDEN, "<h1>no</h1>").into_response(), Failed::Unexpected(403)),
        (StatusCode::NO_CONTENT.into_response(), Failed::Unexpected(204)),
        (StatusCode::TOO_MANY_REQUESTS.into_response(), Failed::Busy { status: 429, wait: None }),
        (StatusCode::BAD_GATEWAY.into_response(), Failed::Busy { status: 502, wait: None }),
        ("<html>".into_response(), Failed::Unreadable),
        (
            Json(json!([{ "id": "x", "title": new_item("one").title, "tags": ["rotation:one"] }]))
                .into_response(),
            Failed::Unreadable,
        ),
        (long.into_response(), Failed::Unreadable),
        (
            (StatusCode::BAD_REQUEST, Json(json!({ "status": 400, "message": VALUE })))
                .into_response(),
            Failed::NotTaken,
        ),
    ] {
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let router: Router = Router::new().fallback(move || {
            let (parts, body) = (parts.clone(), body.clone());
            async move { Response::from_parts(parts, Body::from(body)) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let client = Connect::new(&url, &TOKEN.into()).unwrap();
        let found = client.put(VAULT, &new_item("one")).await.unwrap_err();
        assert_eq!(found, failed);
        assert!(!format!("{found} {found:?}").contains("whsec_"));
        task.abort();
    }
}

async fn send(server: &ConnectServer, request: Request<Body>) -> (StatusCode, Value) {
    let answer = server.router::<()>().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn ask(
    server: &ConnectServer,
    method: Method,
    path: &str,
    body: &str,
) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::from(body.to_owned()));
    send(server, request.unwrap()).await
}

/// Protects the tests above from a server that takes everything.
#[tokio::test]
async fn the_server_keeps_the_published_rules() {
    let (_folder, running) = running().await;
    let server = &running.server;
    let items = format!("/v1/vaults/{VAULT}/items");
    let good = json!({
        "title": "t", "category": "API_CREDENTIAL", "vault": { "id": VAULT },
        "fields": [{ "id": "credential", "type": "CONCEALED", "value": VALUE }],
    });
    let with = |pointer: &str, value: Value| {
        let mut item = good.clone();
        *item.pointer_mut(pointer).unwrap() = value;
        item.to_string()
    };
    for (body, message) in [
        ("{".to_owned(), "Invalid request body"),
        (with("/category", json!("SECRET")), "Invalid item category"),
        (with("/vault", json!({ "id": UNKNOWN })), "Invalid Vault UUID"),
        (with("/vault", Value::Null), "Invalid Vault UUID"),
        (
            with("/fields", json!([good["fields"][0], good["fields"][0]])),
            "Invalid field: its id is not unique",
        ),
        (with("/fields/0/type", json!("HIDDEN")), "Invalid field type"),
    ] {
        let (status, said) = ask(server, Method::POST, &items, &body).await;
        assert_eq!(
            (status, &said),
            (StatusCode::BAD_REQUEST, &json!({ "status": 400, "message": message }))
        );
    }
    let (status, _) = ask(server, Method::POST, &items, &"x".repeat(LONGEST_BODY + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(server.items().is_empty());
    let (status, made) = ask(server, Method::POST, &items, &good.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let id = made["id"].as_str().unwrap().to_owned();

    for (path, status, message) in [
        ("/v1/vaults/x/items".to_owned(), 400, "Invalid Vault UUID".to_owned()),
        (format!("/v1/vaults/{UNKNOWN}/items"), 404, format!("vault {UNKNOWN} not found")),
        (
            format!("/v1/vaults/{OUT_OF_SCOPE}"),
            403,
            format!("vault {OUT_OF_SCOPE} is not in scope"),
        ),
        (format!("{items}/x"), 400, "Invalid Item UUID".to_owned()),
        (format!("{items}/{UNKNOWN}"), 404, format!("item {UNKNOWN} not found")),
        (format!("/v1/vaults/{READ_ONLY}/items/{id}"), 404, format!("item {id} not found")),
        (format!("{items}?filter=title%20co%20%22t%22"), 400, "Invalid filter".to_owned()),
    ] {
        let (found, said) = ask(server, Method::GET, &path, "").await;
        assert_eq!(found.as_u16(), status, "{path}");
        assert_eq!(said, json!({ "status": status, "message": message }), "{path}");
    }
    for (title, count) in [("t", 1), ("T", 0), ("tt", 0)] {
        let path = format!("{items}?filter=title%20eq%20%22{title}%22");
        let (_, list) = ask(server, Method::GET, &path, "").await;
        assert_eq!(list.as_array().unwrap().len(), count, "{title}");
    }
    let (_, vaults) = ask(server, Method::GET, "/v1/vaults", "").await;
    let ids: Vec<_> = vaults.as_array().unwrap().iter().map(|v| v["id"].clone()).collect();
    assert_eq!(ids, [json!(VAULT), json!(READ_ONLY)], "none that is out of scope");
}

/// Protects the vault: without the token there is nothing, not even whether a vault exists.
#[tokio::test]
async fn nothing_is_told_without_the_token() {
    let (_folder, running) = running().await;
    let refused =
        (StatusCode::UNAUTHORIZED, json!({ "status": 401, "message": "Invalid token signature" }));
    for path in
        ["/v1/vaults".to_owned(), format!("/v1/vaults/{VAULT}/items"), "/v1/vaults/x".to_owned()]
    {
        for token in
            [None, Some(""), Some("Bearer "), Some("Bearer x"), Some("Basic x"), Some(TOKEN)]
        {
            let mut request = Request::get(&path);
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let found = send(&running.server, request.body(Body::empty()).unwrap()).await;
            assert_eq!(found, refused, "{path} {token:?}");
        }
    }
}

/// Protects what was delivered from a restart, and from other accounts of the machine.
#[tokio::test]
async fn items_stay_and_only_their_owner_can_read_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let clock = || Arc::new(ManualClock::at(7));
    let first = Running::start(folder.path(), clock()).await;
    let id = first.client().put(VAULT, &new_item("one")).await.unwrap();
    let file = folder.path().join("connect.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    drop(first);
    let again = Running::start(folder.path(), clock()).await;
    assert_eq!(again.client().put(VAULT, &new_item("one")).await.unwrap(), id);
    assert_eq!(again.items().len(), 1);

    std::fs::write(&file, "{").unwrap();
    let opened =
        ConnectServer::open(&file, &TOKEN.into(), vec![], clock(), Arc::new(SeededRng::new(1)));
    assert!(matches!(opened, Err(DemoError::Json { .. })));
    std::fs::write(&file, "[]").unwrap();
    let gone = Running::start(folder.path(), clock()).await;
    std::fs::remove_dir_all(folder.path()).unwrap();
    let failed = gone.client().put(VAULT, &new_item("one")).await.unwrap_err();
    assert!(matches!(failed, Failed::Unsure(_)), "{failed:?}");
    assert!(gone.items().is_empty());
}
