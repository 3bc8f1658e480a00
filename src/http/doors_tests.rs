//! Every door of the server: each route and each server function, knocked on with no credential,
//! the wrong role, the wrong org, an expired session or token, and from another site. A route
//! that is not in the table fails the test.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use secrecy::ExposeSecret as _;
use tower::ServiceExt;

use crate::audit::strips::Strips;
use crate::auth::credential;
use crate::model::{StaffRole, time};
use crate::stop::Stop;
use crate::store::Engine;
use crate::store::orgs;
use crate::testing::Bench;
use crate::testing::story::{ADA, CLEO, STUCK, credential_of, member_id};
use crate::web::app::{App, DemoDoors, DemoPerson};

pub(crate) const SERVICE: &str = "a-service-token-of-some-length-for-tests";
pub(crate) const INTAKE: &str = "an-intake-token-of-some-length-for-tests";

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Anybody, for this reason. This list may only shrink.
    Anybody(&'static str),
    /// Any signed-in member of staff, to read.
    Staff,
    /// A platform admin, to change something.
    Admin,
    /// A member of an org with the org's credential; only Owner and Admin where `true`.
    Org { keepers: bool },
    /// An org's Owner or Admin, or an impersonation token.
    Rotator,
    /// Another service of the platform.
    Service,
    /// Whoever holds a token of the embedded vault: the token is the credential.
    Holder,
    /// The program that files tickets.
    Intake,
    /// An auditor's program.
    Auditor,
}

/// A door: the method, the route as it stands in the router, a request for it, and who may.
pub(crate) type Door = (&'static str, &'static str, &'static str, &'static str, For);

const PUBLIC_KEY: For = For::Anybody("public keys are public");
const ASSET: For = For::Anybody("style, icons and fonts say nothing of anybody");
const LINK: For =
    For::Anybody("whoever holds the Owner's single-use link; the link is the credential");
const SIGN_IN: For = For::Anybody("one has to be able to sign in");

#[rustfmt::skip]
pub(crate) const DOORS: &[Door] = &[
    ("GET", "/", "/", "", For::Anybody("leads to a page that wants a sign-in")),
    ("GET", "/sign-in", "/sign-in", "", SIGN_IN),
    ("GET", "/step-up", "/step-up", "", For::Staff),
    ("GET", "/lookup", "/lookup?q=NOV-4801", "", For::Staff),
    ("GET", "/tickets", "/tickets", "", For::Staff),
    ("GET", "/tickets/{id}", "/tickets/NOV-4801", "", For::Staff),
    ("GET", "/handoffs/{id}/message.asc", "/handoffs/none/message.asc", "", For::Staff),
    ("GET", "/impersonations", "/impersonations", "", For::Staff),
    ("GET", "/impersonations/{id}", "/impersonations/none", "", For::Staff),
    ("GET", "/impersonations/{id}/evidence", "/impersonations/none/evidence", "", For::Staff),
    ("GET", "/impersonations/{id}/evidence.json", "/impersonations/none/evidence.json", "", For::Staff),
    ("GET", "/verify", "/verify", "", For::Staff),
    ("GET", "/audit/integrity", "/audit/integrity", "", For::Staff),
    ("GET", "/audit/integrity/progress", "/audit/integrity/progress", "", For::Staff),
    ("GET", "/rotations/{id}", "/rotations/none", "", For::Staff),
    ("GET", "/audit", "/audit", "", For::Staff),
    ("GET", "/audit/rows/{id}", "/audit/rows/none", "", For::Staff),
    ("GET", "/audit/export", "/audit/export?format=csv", "", For::Staff),
    ("GET", "/audit/live", "/audit/live", "", For::Staff),
    ("GET", "/audit/strip", "/audit/strip", "", For::Staff),
    ("GET", "/logs/platform/{*path}", "/logs/platform/checkpoint", "", For::Staff),
    ("GET", "/logs/org/{id}/{*path}", "/logs/org/org-acme/checkpoint", "", For::Staff),
    ("GET", "/overview", "/overview", "", For::Staff),
    ("GET", "/deliveries", "/deliveries", "", For::Staff),
    ("GET", "/orgs", "/orgs", "", For::Staff),
    ("GET", "/orgs/{slug}", "/orgs/acme", "", For::Staff),
    ("GET", "/acknowledge/{link}", "/acknowledge/none", "", LINK),
    ("GET", "/consent/{link}", "/consent/none", "", LINK),
    ("GET", "/withdraw/{link}", "/withdraw/none", "", LINK),
    ("GET", "/consent-reminder/{link}", "/consent-reminder/none", "", LINK),
    ("GET", "/key-change/{link}", "/key-change/none", "", LINK),
    ("GET", "/owner-change/{link}", "/owner-change/none", "", LINK),
    ("GET", "/style.css", "/style.css", "", ASSET),
    ("GET", "/icons.svg", "/icons.svg", "", ASSET),
    ("GET", "/favicon.svg", "/favicon.svg", "", ASSET),
    ("GET", "/favicon-live.svg", "/favicon-live.svg", "", ASSET),
    ("GET", "/fonts/{name}", "/fonts/none", "", ASSET),
    ("POST", "/do/sign_in", "/do/sign_in", "email=a%40b&password=x&next=", SIGN_IN),
    ("POST", "/do/demo_sign_in", "/do/demo_sign_in", "email=nobody&next=", For::Anybody("the demo's own door; there is none outside of it")),
    ("POST", "/do/theme", "/do/theme", "theme=dark&back=%2F", For::Anybody("a colour is nobody's secret")),
    ("POST", "/do/acknowledge", "/do/acknowledge", "link=none", LINK),
    ("POST", "/do/consent", "/do/consent", "link=none&scope=ticket", LINK),
    ("POST", "/do/withdraw_consent", "/do/withdraw_consent", "link=none", LINK),
    ("POST", "/do/answer_reminder", "/do/answer_reminder", "link=none&wish=keep", LINK),
    ("POST", "/do/object_by_link", "/do/object_by_link", "link=none", LINK),
    ("POST", "/do/agree_by_link", "/do/agree_by_link", "link=none", LINK),
    ("POST", "/do/sign_out", "/do/sign_out", "", For::Staff),
    ("POST", "/do/step_up", "/do/step_up", "password=x&next=", For::Staff),
    ("POST", "/do/demo_step_up", "/do/demo_step_up", "next=", For::Staff),
    ("POST", "/do/verify_logs", "/do/verify_logs", "", For::Staff),
    ("POST", "/do/verify_log", "/do/verify_log", "log=platform&back=%2F", For::Staff),
    ("POST", "/do/save_view", "/do/save_view", "name=x&query=ticket%3DNOV-4801", For::Staff),
    ("POST", "/do/remove_view", "/do/remove_view", "id=x", For::Staff),
    ("POST", "/do/impersonate", "/do/impersonate", "ticket=NOV-4801", For::Admin),
    ("POST", "/do/rotate", "/do/rotate", "impersonation=none", For::Admin),
    ("POST", "/do/hand_off", "/do/hand_off", "impersonation=none", For::Admin),
    ("POST", "/do/end", "/do/end", "impersonation=none&back=%2F", For::Admin),
    ("POST", "/do/post_reply", "/do/post_reply", "ticket=NOV-4806&check=consent", For::Admin),
    ("POST", "/do/request_consent", "/do/request_consent", "ticket=NOV-4806", For::Admin),
    ("POST", "/do/test_event", "/do/test_event", "org=org-acme&secret=whk_acme&ticket=&back=%2F", For::Admin),
    ("POST", "/do/send_again", "/do/send_again", "handoff=none&back=%2F", For::Admin),
    ("POST", "/do/put_right", "/do/put_right", "item=none&wish=again", For::Admin),
    ("POST", "/do/acknowledge_staff", "/do/acknowledge_staff", "handoff=none&over=telephone&how=x&back=%2F", For::Admin),
    ("POST", "/do/mark_unreachable", "/do/mark_unreachable", "ticket=NOV-4801&attempts=called+three+times", For::Admin),
    ("POST", "/do/reply", "/do/reply", "ticket=NOV-4801&text=hello", For::Admin),
    ("POST", "/do/escalate", "/do/escalate", "ticket=NOV-4809", For::Admin),
    ("POST", "/do/change_owner_key", "/do/change_owner_key", "org=org-acme&key=none&back=%2F", For::Admin),
    ("POST", "/do/cancel_owner_change", "/do/cancel_owner_change", "change=none&back=%2F", For::Admin),
    ("POST", "/do/approve_owner_change", "/do/approve_owner_change", "change=none&back=%2F", For::Admin),
    ("POST", "/do/agree_owner_change", "/do/agree_owner_change", "change=none&signed=x&back=%2F", For::Admin),
    ("POST", "/api/v1/webhooks/{id}/rotate-secret", "/api/v1/webhooks/whk_acme/rotate-secret", "", For::Rotator),
    ("POST", "/api/v1/webhooks/{id}/end-overlap", "/api/v1/webhooks/whk_acme/end-overlap", "", For::Org { keepers: true }),
    ("POST", "/api/v1/org/secrets/{id}/rotate", "/api/v1/org/secrets/none/rotate", "", For::Rotator),
    ("POST", "/api/v1/gateways/{id}/rotate-cert", "/api/v1/gateways/none/rotate-cert", "", For::Rotator),
    ("GET", "/api/v1/org/consent", "/api/v1/org/consent", "", For::Org { keepers: false }),
    ("PUT", "/api/v1/org/consent", "/api/v1/org/consent", "{\"allow_platform_impersonation\":true,\"until_withdrawn\":true}", For::Org { keepers: true }),
    ("GET", "/api/v1/org/credentials", "/api/v1/org/credentials", "", For::Org { keepers: true }),
    ("DELETE", "/api/v1/org/credentials/{id}", "/api/v1/org/credentials/none", "", For::Org { keepers: true }),
    ("GET", "/api/v1/org/audit-log", "/api/v1/org/audit-log", "", For::Org { keepers: false }),
    ("GET", "/api/v1/org/log/{*path}", "/api/v1/org/log/checkpoint", "", For::Org { keepers: false }),
    ("GET", "/api/v1/platform/log/{*path}", "/api/v1/platform/log/checkpoint", "", For::Auditor),
    ("GET", "/api/v1/orgs/{id}/log/{*path}", "/api/v1/orgs/org-acme/log/checkpoint", "", For::Auditor),
    ("POST", "/api/v1/introspect", "/api/v1/introspect", "token=x", For::Service),
    ("GET", "/v1/auth/token/lookup-self", "/v1/auth/token/lookup-self", "", For::Holder),
    ("POST", "/v1/auth/token/renew-self", "/v1/auth/token/renew-self", "", For::Holder),
    ("PUT", "/v1/auth/token/renew-self", "/v1/auth/token/renew-self", "", For::Holder),
    ("GET", "/v1/sys/health", "/v1/sys/health", "", For::Anybody("whether the embedded vault answers; a client asks first")),
    ("POST", "/api/v1/tickets", "/api/v1/tickets", "{}", For::Intake),
    ("POST", "/api/v1/tickets/{id}/messages", "/api/v1/tickets/NOV-4801/messages", "{}", For::Intake),
    ("GET", "/.well-known/jwks.json", "/.well-known/jwks.json", "", PUBLIC_KEY),
    ("GET", "/.well-known/keyturn-log-key", "/.well-known/keyturn-log-key", "", PUBLIC_KEY),
    ("GET", "/.well-known/keyturn-openpgp-key.asc", "/.well-known/keyturn-openpgp-key.asc", "", PUBLIC_KEY),
    ("GET", "/.well-known/openpgpkey/hu/{name}", "/.well-known/openpgpkey/hu/none", "", PUBLIC_KEY),
    ("GET", "/.well-known/openpgpkey/policy", "/.well-known/openpgpkey/policy", "", PUBLIC_KEY),
    ("GET", "/.well-known/openpgpkey/{domain}/hu/{name}", "/.well-known/openpgpkey/platform.example/hu/none", "", PUBLIC_KEY),
    ("GET", "/.well-known/openpgpkey/{domain}/policy", "/.well-known/openpgpkey/platform.example/policy", "", PUBLIC_KEY),
    ("GET", "/api/v1/openapi.json", "/api/v1/openapi.json", "", For::Anybody("how to call us is no secret")),
    ("GET", "/healthz", "/healthz", "", For::Anybody("a load balancer asks")),
    ("GET", "/readyz", "/readyz", "", For::Anybody("a load balancer asks")),
];

/// How many doors are open to anybody. A new one has to be argued for.
const OPEN_DOORS: usize = 33;

pub(crate) struct Site {
    pub(crate) bench: Bench,
    pub(crate) router: Router,
    pub(crate) app: Arc<App>,
    pub(super) strips: Strips,
    pub(super) stop: Stop,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::on(Bench::new(Engine::Sqlite).await).await
    }

    /// The server on a desk that is there.
    pub(crate) async fn on(bench: Bench) -> Self {
        let people = {
            let mut conn = bench.desk.store.read().await.unwrap();
            crate::store::staff::all(&mut conn).await.unwrap()
        };
        let people = people
            .into_iter()
            .map(|s| DemoPerson { email: s.email, name: s.name, role: s.role })
            .collect();
        let strips = Strips::default();
        let stop = Stop::default();
        let app = Arc::new(App {
            density: strips.clone(),
            edges: Default::default(),
            desk: bench.desk.clone(),
            demo: Some(DemoDoors { people, customer_side: "http://127.0.0.1:1".into() }),
            pkg: None,
            introspection_hash: Some(credential::hash(&SERVICE.into())),
            intake_hash: Some(credential::hash(&INTAKE.into())),
            proxies: Default::default(),
            embedded_vault: Some(bench.vault.inner.clone()),
            stop: stop.clone(),
            readiness: Default::default(),
            at_once: Default::default(),
        });
        Self { router: super::router(app.clone()), app, bench, strips, stop }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Signs somebody in at the demo's door; the cookie.
    pub(crate) async fn cookie(&self, staff_id: &str) -> String {
        self.cookie_of(staff_id, "__Host-keyturn").await
    }

    /// The same, where the session's cookie has this name.
    pub(crate) async fn cookie_of(&self, staff_id: &str, name: &str) -> String {
        let email = {
            let mut conn = self.bench.desk.store.read().await.unwrap();
            crate::store::staff::by_id(&mut conn, staff_id).await.unwrap().unwrap().email
        };
        let body = format!("email={}&next=%2Ftickets", crate::web::door::encode(&email));
        let response = self
            .send(
                form("/do/demo_sign_in", &body)
                    .header(header::COOKIE, format!("{}=1", self.app.cookie("keyturn-kept")))
                    .body(Body::from(body.clone()))
                    .unwrap(),
            )
            .await;
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.starts_with(&format!("{name}=")), "{cookie}");
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(attribute), "{attribute}: {cookie}");
        }
        assert_eq!(cookie.contains("Secure"), name.starts_with("__Host-"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Proves once more that the person of a cookie is there; the cookie that goes on.
    pub(crate) async fn stepped_up(&self, cookie: &str) -> String {
        let request = form("/do/demo_step_up", "").header(header::COOKIE, cookie);
        let response = self.send(request.body(Body::from("next=%2Ftickets")).unwrap()).await;
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn rows(&self) -> usize {
        self.bench.rows("platform").await.len()
    }
}

pub(crate) fn form(path: &str, _body: &str) -> http::request::Builder {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("sec-fetch-site", "same-origin")
        .header(header::ACCEPT, "text/html")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
}

/// A request for a door: as a program would send it, or as a page would.
fn knock(door: &Door, page: bool) -> http::request::Builder {
    let (method, route, path, _, _) = door;
    let builder = Request::builder().method(*method).uri(*path);
    let builder = if route.starts_with("/api/v1/introspect") || !route.starts_with("/api/") {
        builder.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    } else {
        builder.header(header::CONTENT_TYPE, "application/json")
    };
    let builder = if route.starts_with("/do/") {
        builder.header("sec-fetch-site", "same-origin")
    } else {
        builder
    };
    builder.header(header::ACCEPT, if page { "text/html" } else { "application/json" })
}

fn body(door: &Door) -> Body {
    Body::from(door.3)
}

fn is_sign_in(response: &Response<Body>) -> bool {
    response
        .headers()
        .get(header::LOCATION)
        .is_some_and(|l| l.to_str().unwrap().starts_with("/sign-in"))
}

/// The routes as they stand in the source of the router, with their methods.
fn routes_in_source() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for source in [include_str!("mod.rs"), include_str!("vault.rs"), include_str!("api/mod.rs")] {
        for part in source.split(".route(").skip(1) {
            let path = part.split('"').nth(1).unwrap().to_owned();
            let handlers: String = part.chars().take_while(|c| *c != ';').collect();
            let end = handlers.find("\n        .").unwrap_or(handlers.len());
            for (word, method) in [
                ("get(", "GET"),
                ("post(", "POST"),
                ("put(", "PUT"),
                ("delete(", "DELETE"),
                ("patch(", "PATCH"),
            ] {
                if handlers[..end].contains(word) {
                    found.insert((method.to_owned(), path.clone()));
                }
            }
        }
    }
    found.remove(&("POST".to_owned(), "/do/{name}".to_owned()));
    for (path, method) in leptos::server_fn::axum::server_fn_paths() {
        found.insert((method.to_string(), path.to_owned()));
    }
    found
}

#[test]
fn every_route_and_server_function_is_in_the_table() {
    let known: BTreeSet<_> = DOORS.iter().map(|d| (d.0.to_owned(), d.1.to_owned())).collect();
    let found = routes_in_source();
    assert!(found.len() > 40, "the scan of the sources finds too little: {found:?}");
    assert_eq!(
        found.difference(&known).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "without a test"
    );
    assert_eq!(
        known.difference(&found).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "gone"
    );
}

#[test]
fn the_doors_that_are_open_to_anybody_do_not_grow() {
    let open: Vec<_> = DOORS.iter().filter(|d| matches!(d.4, For::Anybody(_))).collect();
    assert!(open.len() <= OPEN_DOORS, "{} doors are open: {open:#?}", open.len());
    assert!(open.iter().all(|d| matches!(d.4, For::Anybody(why) if !why.is_empty())));
}

#[tokio::test]
async fn without_a_credential_nobody_gets_in_and_nothing_is_written() {
    let site = Site::new().await;
    let before = site.rows().await;
    for door in DOORS {
        let page = site.send(knock(door, true).body(body(door)).unwrap()).await;
        let program = site.send(knock(door, false).body(body(door)).unwrap()).await;
        match door.4 {
            For::Anybody(_) => {}
            For::Staff | For::Admin => {
                assert!(is_sign_in(&page), "{door:?}: {page:?}");
                if door.0 == "POST" {
                    assert_eq!(program.status(), StatusCode::UNAUTHORIZED, "{door:?}");
                }
            }
            For::Holder => {
                assert_eq!(program.status(), StatusCode::FORBIDDEN, "{door:?}");
            }
            For::Org { .. } | For::Rotator | For::Service | For::Intake | For::Auditor => {
                assert_eq!(program.status(), StatusCode::UNAUTHORIZED, "{door:?}");
                assert_eq!(program.headers()[header::CONTENT_TYPE], "application/problem+json");
                assert!(program.headers().contains_key(header::WWW_AUTHENTICATE));
            }
        }
    }
    let failed_sign_ins = site.bench.rows_of("platform", "platform.sign_in_failed").await.len();
    assert_eq!(site.rows().await, before + failed_sign_ins, "only the failed sign-ins leave rows");
}

#[tokio::test]
async fn a_credential_that_is_not_one_is_none() {
    let site = Site::new().await;
    for door in DOORS.iter().filter(|d| {
        matches!(d.4, For::Org { .. } | For::Rotator | For::Service | For::Intake | For::Auditor)
    }) {
        for token in
            ["ktc_unknown", "kta_unknown", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", SERVICE]
        {
            if token == SERVICE && door.4 == For::Service {
                continue;
            }
            let request =
                knock(door, false).header(header::AUTHORIZATION, format!("Bearer {token}"));
            let response = site.send(request.body(body(door)).unwrap()).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{door:?} {token}");
        }
        // A signed-in member of staff is nobody here.
        let cookie = site.cookie(ADA).await;
        let response = site
            .send(knock(door, false).header(header::COOKIE, cookie).body(body(door)).unwrap())
            .await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{door:?} with a cookie");
    }
}

#[tokio::test]
async fn an_auditor_reads_every_page_and_changes_nothing() {
    let site = Site::new().await;
    let cookie = site.cookie(CLEO).await;
    for door in DOORS.iter().filter(|d| d.4 == For::Admin) {
        let response = site
            .send(knock(door, false).header(header::COOKIE, &cookie).body(body(door)).unwrap())
            .await;
        let status = response.status();
        // What names a thing that is not there may be answered with that; never with success.
        assert!(status == StatusCode::FORBIDDEN, "{door:?}: {status}");
    }
    assert!(
        site.bench
            .rows("platform")
            .await
            .iter()
            .all(|r| r.action != "platform.impersonation_started")
    );
    for door in DOORS.iter().filter(|d| d.4 == For::Staff && d.0 == "GET") {
        let response = site
            .send(knock(door, true).header(header::COOKIE, &cookie).body(body(door)).unwrap())
            .await;
        assert!(!is_sign_in(&response), "{door:?}");
        assert_ne!(response.status(), StatusCode::FORBIDDEN, "{door:?}");
    }
}

#[tokio::test]
async fn a_session_ends_when_idle_when_old_when_the_account_is_disabled_and_on_sign_out() {
    let site = Site::new().await;
    let tickets: &Door = DOORS.iter().find(|d| d.1 == "/tickets").unwrap();
    let start: &Door = DOORS.iter().find(|d| d.1 == "/do/impersonate").unwrap();
    let inside = |cookie: String| {
        let (site, request) = (
            &site,
            knock(tickets, true).header(header::COOKIE, cookie).body(Body::empty()).unwrap(),
        );
        async move { site.send(request).await.status() == StatusCode::OK }
    };
    let idle = site.cookie(ADA).await;
    assert!(inside(idle.clone()).await);
    site.bench.clock.advance(30 * time::MINUTE);
    assert!(!inside(idle.clone()).await, "idle for half an hour");
    let response = site
        .send(knock(start, false).header(header::COOKIE, &idle).body(body(start)).unwrap())
        .await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);

    let old = site.cookie(ADA).await;
    for _ in 0..24 {
        assert!(inside(old.clone()).await);
        site.bench.clock.advance(20 * time::MINUTE);
    }
    assert!(!inside(old).await, "eight hours, however busy");

    let out = site.cookie(ADA).await;
    let done = site
        .send(form("/do/sign_out", "").header(header::COOKIE, &out).body(Body::empty()).unwrap())
        .await;
    assert!(is_sign_in(&done));
    assert!(!inside(out).await, "signed out");

    let gone = site.cookie(ADA).await;
    let mut tx = site.bench.desk.begin().await.unwrap();
    let email = site.bench.at_work(ADA).await.staff.email;
    site.bench.desk.disable_staff(&mut tx, &email, &crate::audit::Actor::system()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!inside(gone).await, "disabled");
}

/// Protects an old vault token from being forgotten: that it is not revoked yet stands on the pages.
#[tokio::test]
async fn a_revocation_that_is_owed_stands_on_the_pages_until_it_is_done() {
    let site = Site::new().await;
    let ada = site.bench.at_work(ADA).await;
    let grant = site.bench.impersonate(&ada, "NOV-4803").await.unwrap();
    site.bench.vault.set(crate::testing::breakable::Mood::RevokesNothing);
    site.bench.rotate(&grant).await.unwrap();
    let cookie = site.cookie(CLEO).await;
    let page = async |path: &str| {
        let request = Request::builder().uri(path).header(header::ACCEPT, "text/html");
        let request = request.header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
        let body = site.send(request).await.into_body();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    for path in ["/tickets/NOV-4803", "/orgs/cedar"] {
        let shown = page(path).await;
        assert!(shown.contains("Revoke of v1 owed"), "{path}");
        assert!(shown.contains("permission denied"), "{path}: the vault's last word");
    }
    site.bench.vault.set(crate::testing::breakable::Mood::Well);
    site.bench.clock.advance(time::MINUTE);
    site.bench.desk.send_due().await.unwrap();
    for path in ["/tickets/NOV-4803", "/orgs/cedar"] {
        assert!(!page(path).await.contains("owed"), "{path}");
    }
}

#[tokio::test]
async fn a_lost_role_counts_from_the_next_request() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    {
        let mut conn = site.bench.desk.store.read().await.unwrap();
        crate::store::staff::set_role(&mut conn, ADA, StaffRole::Auditor).await.unwrap();
    }
    let start: &Door = DOORS.iter().find(|d| d.1 == "/do/impersonate").unwrap();
    let response = site
        .send(knock(start, false).header(header::COOKIE, cookie).body(body(start)).unwrap())
        .await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_session_gets_a_new_id_at_sign_in() {
    let site = Site::new().await;
    // An id that was there before: a message for somebody who is not signed in makes one.
    let before = site
        .send(
            form("/do/sign_in", "")
                .header(header::COOKIE, "__Host-keyturn-kept=1")
                .body(Body::from("email=x%40y&password=z&next="))
                .unwrap(),
        )
        .await;
    let planted = before.headers()[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let email = site.bench.at_work(ADA).await.staff.email;
    let after = site
        .send(
            form("/do/demo_sign_in", "")
                .header(header::COOKIE, format!("{planted}; __Host-keyturn-kept=1"))
                .body(Body::from(format!("email={}&next=", crate::web::door::encode(&email))))
                .unwrap(),
        )
        .await;
    let fresh =
        after.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(planted, fresh);
    let tickets: &Door = DOORS.iter().find(|d| d.1 == "/tickets").unwrap();
    let with = |cookie: String| {
        site.send(knock(tickets, true).header(header::COOKIE, cookie).body(Body::empty()).unwrap())
    };
    assert!(is_sign_in(&with(planted).await), "the planted id is worth nothing");
    assert_eq!(with(fresh).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn another_site_changes_nothing_whatever_cookie_the_browser_sends() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    let before = site.rows().await;
    for door in DOORS.iter().filter(|d| d.0 != "GET") {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
        ] {
            let request = Request::builder()
                .method(door.0)
                .uri(door.2)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::HOST, "keyturn.example")
                .header(header::COOKIE, &cookie)
                .header(name, value);
            let response = site.send(request.body(body(door)).unwrap()).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{door:?} {name}: {value}");
        }
    }
    assert_eq!(site.rows().await, before);
}

#[tokio::test]
async fn an_orgs_credential_opens_its_own_org_for_the_right_role_only() {
    let site = Site::new().await;
    let ask = |door: &Door, member: String| {
        let request = knock(door, false)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", credential_of(&member).expose_secret()),
            )
            .body(body(door))
            .unwrap();
        site.send(request)
    };
    // One who can act, for their own org.
    let active = "UPDATE member SET standing = 'active' WHERE id = 'birch-owner'";
    site.bench.sql(active).await.unwrap();
    for door in DOORS.iter().filter(|d| matches!(d.4, For::Org { keepers: true } | For::Rotator)) {
        let operator = ask(door, member_id("acme", "operator")).await;
        assert_eq!(operator.status(), StatusCode::FORBIDDEN, "{door:?}");
        if door.1.contains("{id}") {
            let stranger = ask(door, member_id("birch", "owner")).await;
            assert_eq!(stranger.status(), StatusCode::NOT_FOUND, "{door:?}: another org's");
        }
    }
    // Acme's credential says nothing of Birch, wherever it is used.
    let log: &Door = DOORS.iter().find(|d| d.1 == "/api/v1/org/audit-log").unwrap();
    let rows = ask(log, member_id("acme", "owner")).await;
    let text = axum::body::to_bytes(rows.into_body(), 1 << 20).await.unwrap();
    assert!(!String::from_utf8_lossy(&text).contains("org-birch"));
    // A revoked credential is none.
    let owner = member_id("acme", "owner");
    {
        let mut conn = site.bench.desk.store.read().await.unwrap();
        let hash = credential::hash(&credential_of(&owner));
        orgs::revoke_credential(&mut conn, &hash, site.bench.now()).await.unwrap();
    }
    for door in DOORS.iter().filter(|d| matches!(d.4, For::Org { .. } | For::Rotator)) {
        assert_eq!(ask(door, owner.clone()).await.status(), StatusCode::UNAUTHORIZED, "{door:?}");
    }
}

#[tokio::test]
async fn an_impersonation_token_opens_one_door_while_it_is_live() {
    let site = Site::new().await;
    let ada = site.bench.at_work(ADA).await;
    let grant = site.bench.impersonate(&ada, STUCK).await.unwrap();
    let token = site.bench.token(&grant);
    let ask = |door: &Door, path: &str| {
        let request = knock(door, false)
            .uri(path.to_owned())
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()))
            .body(body(door))
            .unwrap();
        site.send(request)
    };
    for door in DOORS
        .iter()
        .filter(|d| matches!(d.4, For::Org { .. } | For::Service | For::Intake | For::Auditor))
    {
        assert_eq!(ask(door, door.2).await.status(), StatusCode::UNAUTHORIZED, "{door:?}");
    }
    let webhook: &Door = DOORS.iter().find(|d| d.1.ends_with("rotate-secret")).unwrap();
    assert_eq!(
        ask(webhook, "/api/v1/webhooks/whk_birch/rotate-secret").await.status(),
        StatusCode::NOT_FOUND
    );
    let good = ask(webhook, webhook.2).await;
    assert_eq!(good.status(), StatusCode::OK);
    let text = axum::body::to_bytes(good.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.contains("handoff_id") && !text.contains("whsec_") && !text.contains("\"secret\""),
        "{text}"
    );
    site.bench.clock.advance(15 * time::MINUTE);
    for door in DOORS.iter().filter(|d| d.4 == For::Rotator) {
        assert_eq!(ask(door, door.2).await.status(), StatusCode::UNAUTHORIZED, "expired: {door:?}");
    }
}

#[tokio::test]
async fn introspection_says_active_or_nothing_at_all() {
    let site = Site::new().await;
    let ada = site.bench.at_work(ADA).await;
    let grant = site.bench.impersonate(&ada, STUCK).await.unwrap();
    let token = site.bench.token(&grant);
    let ask = |token: String| {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/api/v1/introspect")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, format!("Bearer {SERVICE}"))
            .body(Body::from(format!("token={token}")))
            .unwrap();
        let answer = site.send(request);
        async move {
            let answer = answer.await;
            assert_eq!(answer.status(), StatusCode::OK);
            let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
        }
    };
    let live = ask(token.expose_secret().to_owned()).await;
    assert_eq!(live["active"], true);
    assert_eq!(live["jti"], grant.id.as_str());
    assert_eq!(live["act"]["sub"], ADA);
    let inactive = serde_json::json!({ "active": false });
    assert_eq!(ask("nonsense".to_owned()).await, inactive);
    site.bench.end(&ada, &grant.id).await.unwrap();
    assert_eq!(ask(token.expose_secret().to_owned()).await, inactive);
}

#[tokio::test]
async fn every_page_has_its_headers_and_a_policy_without_loose_ends() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    for door in DOORS.iter().filter(|d| d.0 == "GET" && d.1 != "/audit/live") {
        let response = site
            .send(knock(door, true).header(header::COOKIE, &cookie).body(Body::empty()).unwrap())
            .await;
        let headers = response.headers();
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{door:?}"
        );
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{door:?}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "same-origin");
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap();
        let html = String::from_utf8_lossy(&bytes);
        assert!(!html.contains(" style="), "{door:?} has a style attribute");
        assert!(!html.contains(" onclick=") && !html.contains("javascript:"), "{door:?}");
    }
}

#[tokio::test]
async fn a_forged_error_in_an_address_is_never_shown() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    // A form that cannot be read, sent from a page of ours.
    let request = form("/do/impersonate", "").header(header::COOKIE, &cookie).header(
        header::REFERER,
        "https://keyturn.example/tickets/NOV-4801?__path=x&__err=YXR0YWNr",
    );
    let response = site.send(request.body(Body::from("nonsense=1")).unwrap()).await;
    let location = response.headers()[header::LOCATION].to_str().unwrap();
    assert_eq!(location, "/tickets/NOV-4801");
    let forged = Request::builder()
        .uri("/tickets?__path=%2Fdo%2Fend&__err=YXR0YWNrZXIgdGV4dA")
        .header(header::COOKIE, &cookie);
    let page = site.send(forged.body(Body::empty()).unwrap()).await;
    let bytes = axum::body::to_bytes(page.into_body(), 1 << 22).await.unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("attacker text"));
}

#[tokio::test]
async fn posting_straight_to_the_mint_is_refused_as_the_page_is() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    for (ticket, check) in crate::testing::story::INELIGIBLE {
        let body = format!("ticket={ticket}");
        let request = form("/do/impersonate", &body).header(header::COOKIE, &cookie);
        let request = request.header(header::ACCEPT, "application/json");
        let response = site.send(request.body(Body::from(body)).unwrap()).await;
        let _ = response;
        let refused = site.bench.rows_of("platform", "platform.impersonation_refused").await;
        let row = refused.iter().find(|r| r.ticket_ref.as_deref() == Some(ticket));
        let failed = row.unwrap_or_else(|| panic!("{ticket} left no row")).details["failed_checks"]
            .to_string();
        assert!(failed.contains(check), "{ticket}: {failed}");
    }
    assert_eq!(site.bench.number("SELECT COUNT(*) FROM impersonation").await, 0);
}

/// A request holds one connection and may wait for a second: that must not stop the others.
#[tokio::test]
async fn many_requests_at_once_do_not_wait_for_each_other_in_a_circle() {
    let site = Site::new().await;
    let known = site.cookie(ADA).await;
    let started = std::time::Instant::now();
    let requests = (0..60).map(|n| {
        let cookie = if n % 2 == 0 {
            known.clone()
        } else {
            "__Host-keyturn=AAAAAAAAAAAAAAAAAAAAAA".to_owned()
        };
        let path = if n % 4 == 0 { "/audit" } else { "/tickets" };
        let request = Request::builder().uri(path).header(header::COOKIE, cookie);
        site.send(request.body(Body::empty()).unwrap())
    });
    for response in futures::future::join_all(requests).await {
        assert!(response.status() == StatusCode::OK || is_sign_in(&response), "{response:?}");
    }
    assert!(
        started.elapsed().as_secs() < 9,
        "they waited for the time-out: {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_forged_line_before_the_proxys_own_is_not_believed() {
    let site = Site::new().await;
    let app = App {
        density: Default::default(),
        edges: Default::default(),
        desk: site.bench.desk.clone(),
        demo: None,
        pkg: None,
        introspection_hash: None,
        intake_hash: None,
        proxies: crate::config::proxies::Proxies {
            header: Some(http::HeaderName::from_static("x-forwarded-for")),
            trusted: Vec::new(),
            hops: None,
        },
        embedded_vault: None,
        stop: Default::default(),
        readiness: Default::default(),
        at_once: Default::default(),
    };
    let request = Request::builder()
        .header("x-forwarded-for", "203.0.113.66")
        .header("x-forwarded-for", "203.0.113.67, 198.51.100.4")
        .body(())
        .unwrap();
    assert_eq!(
        crate::web::door::client(&app, request.headers(), request.extensions()),
        "198.51.100.4"
    );
}

#[tokio::test]
async fn the_demo_answers_under_its_own_name_only() {
    let site = Site::new().await;
    for (host, status) in
        [("keyturn.example", StatusCode::OK), ("evil.example", StatusCode::MISDIRECTED_REQUEST)]
    {
        let request = Request::builder().uri("/sign-in").header(header::HOST, host);
        assert_eq!(
            site.send(request.body(Body::empty()).unwrap()).await.status(),
            status,
            "{host}"
        );
    }
}

#[tokio::test]
async fn watching_the_timeline_does_not_keep_a_session_alive() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    let ask = |path: &'static str| {
        let request = Request::builder().uri(path).header(header::COOKIE, cookie.clone());
        site.send(request.body(Body::empty()).unwrap())
    };
    for _ in 0..6 {
        site.bench.clock.advance(6 * time::MINUTE);
        let _ = ask("/audit/live").await;
    }
    assert!(is_sign_in(&ask("/tickets").await), "36 minutes of watching alone");
}
