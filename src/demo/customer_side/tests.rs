use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt as _;

use crate::clock::{Clock as _, Rng as _, SystemClock, SystemRng};
use crate::delivery::openpgp::SigningKey;
use crate::demo::story::{PlatformKey, Webhook};
use crate::secrets::webhook_key::{WebhookKey, signature_header};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::*;

const HOOK: &str = "whk_test";

fn key(letter: &str) -> WebhookKey {
    WebhookKey::parse(SecretString::from(format!("whsec_{}", letter.repeat(44)))).unwrap()
}

/// A customer with one webhook, whose key is `key("A")`; what it kept is in `folder`.
async fn side(folder: &Path) -> CustomerSide {
    let (_, mails) = SmtpCatcher::bind_anywhere(folder.join("mail"), || 5).await.unwrap();
    let platform = SigningKey::generate(
        &mut SystemRng.generator(),
        SystemClock.now(),
        "Keyturn <keyturn@platform.example>",
    )
    .unwrap();
    let story = Story {
        address: "http://127.0.0.1:3000".to_owned(),
        platform_pgp: PlatformKey {
            public_key: platform.to_armored_public().unwrap(),
            fingerprint: platform.fingerprint(),
        },
        orgs: vec![OrgAccess {
            slug: "acme".to_owned(),
            name: "Acme & <Sons>".to_owned(),
            owner: "Olive".to_owned(),
            owner_email: "olive@acme.example".to_owned(),
            credentials: vec![],
        }],
        webhooks: vec![Webhook {
            org: "acme".to_owned(),
            id: HOOK.to_owned(),
            label: "Events".to_owned(),
            key: Zeroizing::new(key("A").expose().expose_secret().to_owned()),
        }],
        ..Story::default()
    };
    let clock: Arc<SystemClock> = Arc::new(SystemClock);
    let agents = Agents::start(Vec::new(), folder, "https://127.0.0.1:1", clock.clone());
    let rng = Arc::new(SystemRng);
    CustomerSide::new(&story, Arc::new(mails), clock, rng, agents, folder).unwrap()
}

async fn ask(side: &CustomerSide, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = router(Arc::clone(&side.0)).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(side: &CustomerSide, path: &str) -> (StatusCode, HeaderMap, String) {
    ask(side, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn post_from(side: &CustomerSide, path: &str, site: &str) -> StatusCode {
    let request = Request::post(path).header("sec-fetch-site", site).body(Body::empty()).unwrap();
    ask(side, request).await.0
}

/// A message as the platform posts it: from no browser, and signed by these keys.
async fn message(side: &CustomerSide, hook: &str, keys: &[WebhookKey]) -> (StatusCode, String) {
    let (seconds, body) = (SystemClock.now() / crate::model::time::SECOND, "{}");
    let request = Request::post(format!("/hooks/{hook}"))
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", seconds.to_string())
        .header("webhook-signature", signature_header(keys, "msg_1", seconds, b"{}").unwrap())
        .body(Body::from(body));
    let (status, _, text) = ask(side, request.unwrap()).await;
    (status, text)
}

/// Protects the proof of the overlap: what each installed key says is told, key by key.
#[tokio::test]
async fn a_message_is_verified_with_each_installed_key() {
    let folder = tempfile::tempdir().unwrap();
    let side = side(folder.path()).await;
    let said = |status, text: &str| (status, text.to_owned());
    let ok = StatusCode::OK;
    assert_eq!(message(&side, HOOK, &[key("A")]).await, said(ok, "installed key: accepted"));
    let refused = said(StatusCode::UNAUTHORIZED, "refused (installed key: refused)");
    assert_eq!(message(&side, HOOK, &[key("B")]).await, refused);

    assert!(side.0.receiver.install(HOOK, &key("B"), 7));
    assert!(side.0.receiver.install(HOOK, &key("B"), 8), "twice is once");
    let both = message(&side, HOOK, &[key("B"), key("A")]).await;
    assert_eq!(both, said(ok, "new key: accepted, old key: accepted"));
    let new = message(&side, HOOK, &[key("B")]).await;
    assert_eq!(new, said(ok, "new key: accepted, old key: refused"));
    assert_eq!(message(&side, HOOK, &[key("C")]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(message(&side, "whk_other", &[key("A")]).await.0, StatusCode::NOT_FOUND);

    let bare = Request::post(format!("/hooks/{HOOK}")).body(Body::empty()).unwrap();
    assert_eq!(ask(&side, bare).await.0, StatusCode::UNAUTHORIZED);
}

/// Protects the end of an overlap: an old key can be taken away, the newest cannot.
#[tokio::test]
async fn an_old_key_is_removed_and_the_newest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let side = side(folder.path()).await;
    side.0.receiver.install(HOOK, &key("B"), 7);
    let page = get(&side, "/hooks").await.2;
    assert_eq!(page.matches("Remove</button>").count(), 1);
    assert!(page.contains("whsec_…AAAA") && page.contains("whsec_…BBBB"));
    assert!(!page.contains(&"A".repeat(5)) && !page.contains(&"B".repeat(5)), "shortened");

    let (old, newest) =
        (format!("/hooks/{HOOK}/keys/1/remove"), format!("/hooks/{HOOK}/keys/2/remove"));
    assert_eq!(post_from(&side, &newest, "same-origin").await, StatusCode::CONFLICT);
    assert_eq!(post_from(&side, &old, "same-site").await, StatusCode::FORBIDDEN);
    assert_eq!(post_from(&side, &old, "same-origin").await, StatusCode::SEE_OTHER);
    assert_eq!(post_from(&side, &old, "same-origin").await, StatusCode::CONFLICT);
    assert_eq!(message(&side, HOOK, &[key("A")]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(message(&side, HOOK, &[key("B")]).await.1, "installed key: accepted");
}

/// Protects what was installed and received from a restart, and from other accounts.
#[tokio::test]
async fn a_restart_changes_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let first = side(folder.path()).await;
    first.0.receiver.install(HOOK, &key("B"), 7);
    message(&first, HOOK, &[key("B")]).await;
    let file = folder.path().join("customer_side.json");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);

    let again = side(folder.path()).await;
    assert_eq!(again.0.receiver.deliveries(), first.0.receiver.deliveries());
    assert_eq!(get(&again, "/hooks").await.2, get(&first, "/hooks").await.2);
}

/// Protects every answer: no scripts, nothing kept, nothing framed, also where it is an error.
#[tokio::test]
async fn every_answer_is_hardened_and_every_page_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let side = side(folder.path()).await;
    for (path, status) in [
        ("/", StatusCode::OK),
        ("/hooks", StatusCode::OK),
        ("/vault", StatusCode::OK),
        ("/v1/vaults", StatusCode::UNAUTHORIZED),
        ("/style.css", StatusCode::OK),
        ("/mail/7", StatusCode::NOT_FOUND),
        ("/mail/x", StatusCode::BAD_REQUEST),
        ("/nowhere", StatusCode::NOT_FOUND),
        ("/hooks/whk_test", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let (found, headers, body) = get(&side, path).await;
        assert_eq!(found, status, "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        if headers.get("content-type").is_some_and(|kind| kind == "text/html; charset=utf-8") {
            assert!(
                body.contains("Demo: the customer's side.</strong> The platform cannot see this.")
            );
            assert_eq!(body.matches("<h1>").count(), 1, "{path}");
        }
    }
    let long = Request::post(format!("/hooks/{HOOK}")).body(Body::from(vec![0; LONGEST_BODY + 1]));
    assert_eq!(ask(&side, long.unwrap()).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

/// Protects the Owner from mail of strangers: what it holds is text, and there is nothing in it to
/// open or to install.
#[tokio::test]
async fn nothing_is_opened_or_installed_from_a_mail_without_a_message() {
    use crate::delivery::mail::{Mail, Mailer as _, SmtpMailer};
    let folder = tempfile::tempdir().unwrap();
    let (addr, mails) = SmtpCatcher::bind_anywhere(folder.path().join("mail"), || 5).await.unwrap();
    let mailer = SmtpMailer::new(&SecretString::from(format!("smtp://{addr}")), None).unwrap();
    let mail = Mail {
        message_id: "<1@x>".to_owned(),
        from: "eve@evil.example".to_owned(),
        to: "olive@acme.example".to_owned(),
        subject: "<script>alert(1)</script>".to_owned(),
        body: "http://127.0.0.1:3000/consent/abc <img src=x>".into(),
    };
    mailer.send(&mail).await.unwrap();
    drop(mails);
    // The next run finds it in the folder.
    let side = side(folder.path()).await;
    let inbox = get(&side, "/").await.2;
    assert!(inbox.contains("Acme &amp; &lt;Sons&gt;") && !inbox.contains("<script"));
    let page = get(&side, "/mail/1").await.2;
    assert!(page.contains("<a href=\"http://127.0.0.1:3000/consent/abc\">"));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<form"));
    for path in ["/mail/1/decrypt", "/mail/1/install"] {
        assert_eq!(post_from(&side, path, "same-origin").await, StatusCode::CONFLICT);
        assert_eq!(post_from(&side, path, "cross-site").await, StatusCode::FORBIDDEN);
    }
}
