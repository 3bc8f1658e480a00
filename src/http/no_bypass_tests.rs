//! There is no bypass (US-PLAT-13): for a ticket with a failed check, no door of the server mints
//! anything, whoever knocks, with whatever flag or header, under whatever setting.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

use super::doors_tests::{DOORS, Door, For, SERVICE, Site, form};
use crate::config::proxies::Proxies;
use crate::desk::{Desk, Settings, StepError};
use crate::model::{StaffRole, TicketState, time};
use crate::store::{orgs, tickets};
use crate::testing::story::{ADA, BEN, CLEO, INELIGIBLE, STUCK, credential_of, member_id};
use crate::testing::{Bench, both_engines};
use crate::web::app::App;

both_engines!(no_setting_lets_a_failed_check_through, no_role_lets_a_failed_check_through);

/// What somebody might hope that the server listens to, as fields of a form or a query.
const FLAGS: &str = "force=true&override=1&bypass=yes&skip_checks=true&ignore_eligibility=1\
    &eligible=true&consent=true&allow_platform_impersonation=true&owner_reachable=true&admin=true\
    &role=platform_admin&emergency=1&break_glass=1&sudo=1&debug=1&test=1&dry_run=false&confirm=yes\
    &findings=%5B%5D&verdict=eligible&check=none&actor=staff-ada&reason=emergency";

/// The same as headers.
const HEADERS: [(&str, &str); 14] = [
    ("x-force", "true"),
    ("x-override", "1"),
    ("x-bypass-checks", "true"),
    ("x-emergency", "1"),
    ("x-admin", "true"),
    ("x-role", "platform_admin"),
    ("x-forwarded-user", "staff-ada"),
    ("x-remote-user", "staff-ada"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-original-url", "/do/impersonate"),
    ("x-rewrite-url", "/do/impersonate"),
    ("x-http-method-override", "PUT"),
    ("x-keyturn-eligible", "true"),
    ("x-debug", "1"),
];

/// Whose right a request comes with.
enum Who {
    Cookie(String),
    Bearer(String),
    Nobody,
}

/// What must not be there: impersonations, handoffs, and rotations under an impersonation.
async fn minted(bench: &Bench) -> [i64; 3] {
    [
        bench.number("SELECT COUNT(*) FROM impersonation").await,
        bench.number("SELECT COUNT(*) FROM handoff").await,
        bench.number("SELECT COUNT(*) FROM rotation WHERE impersonation_id IS NOT NULL").await,
    ]
}

/// The door's own request, about this ticket and its org, with everything one could hope for.
fn hopeful(door: &Door, ticket: &str, slug: &str, who: &Who) -> Request<Body> {
    let (method, route, path, body, _) = *door;
    let about = |text: &str| {
        let text = text.replace("org-acme", &format!("org-{slug}"));
        let text = text.replace("whk_acme", &format!("whk_{slug}"));
        DOORS_TICKETS.iter().fold(text, |text, other| text.replace(other, ticket))
    };
    let path = about(path);
    let path = match path.split_once('?') {
        Some((path, query)) => format!("{path}?{query}&{FLAGS}"),
        None => format!("{path}?{FLAGS}"),
    };
    let json = route.starts_with("/api/") && !route.ends_with("/introspect");
    let body = match (json, body) {
        (true, "") => "{}".to_owned(),
        (true, body) => body.to_owned(),
        (false, "") => FLAGS.to_owned(),
        (false, body) => format!("{}&{FLAGS}", about(body)),
    };
    let kind = if json { "application/json" } else { "application/x-www-form-urlencoded" };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("sec-fetch-site", "same-origin")
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, kind);
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    request = match who {
        Who::Cookie(cookie) => request.header(header::COOKIE, cookie),
        Who::Bearer(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        Who::Nobody => request,
    };
    request.body(Body::from(if method == "GET" { String::new() } else { body })).unwrap()
}

/// The tickets that the doors' own requests name.
const DOORS_TICKETS: [&str; 3] = ["NOV-4801", "NOV-4806", "NOV-4809"];

/// The org of a ticket of the story, by its short name.
async fn org_of(bench: &Bench, ticket: &str) -> String {
    let mut conn = bench.desk.store.read().await.unwrap();
    let ticket = tickets::by_id(&mut conn, ticket).await.unwrap().unwrap();
    orgs::by_id(&mut conn, &ticket.org_id).await.unwrap().unwrap().slug
}

#[tokio::test]
async fn no_door_lets_a_failed_check_through_whoever_knocks_with_whatever_flag_or_header() {
    let site = Site::new().await;
    let bench = &site.bench;
    // The Owner's own consent is the Owner's to give, and would be no bypass.
    let doors: Vec<&Door> =
        DOORS.iter().filter(|d| (d.0, d.1) != ("PUT", "/api/v1/org/consent")).collect();
    let mut knocks = 0;
    for (ticket, check) in INELIGIBLE {
        let slug = org_of(bench, ticket).await;
        let bearer =
            |member: String| Who::Bearer(credential_of(&member).expose_secret().to_owned());
        for door in &doors {
            // Signing out on the way would make the rest of them harmless.
            let everybody = [
                Who::Cookie(site.cookie(ADA).await),
                Who::Cookie(site.cookie(CLEO).await),
                bearer(member_id(&slug, "operator")),
                Who::Bearer(SERVICE.to_owned()),
                Who::Nobody,
            ];
            // Reading pages is tried with the widest right only.
            let tries = if door.0 == "GET" { 1 } else { everybody.len() };
            for who in everybody.iter().take(tries) {
                let request = hopeful(door, ticket, &slug, who);
                let _ = site.router.clone().oneshot(request).await.unwrap();
                knocks += 1;
            }
        }
        assert_eq!(minted(bench).await, [0, 0, 0], "{ticket}");
        // The refusal stays what it is, and says its check.
        let ada = bench.at_work(ADA).await;
        match bench.impersonate(&ada, ticket).await {
            Err(StepError::Refused(v)) => {
                assert!(v.failed_names().contains(&check), "{ticket}: {:?}", v.failed_names());
            }
            other => panic!("{ticket}: {other:?}"),
        }
    }
    assert!(knocks > 1000, "only {knocks}");
    // What staff did on the way gave nobody's consent.
    let given =
        "SELECT COUNT(*) FROM org WHERE id = 'org-elm' AND allow_platform_impersonation = 1";
    assert_eq!(bench.number(given).await, 0);
    assert!(bench.rows_of("platform", "consent.enabled").await.is_empty());
    assert!(bench.rows_of("platform", "platform.impersonation_started").await.is_empty());
    bench.verify_all().await.unwrap();
}

/// NOV-4809 ends with Legal: after that there is nothing left to press, and nothing to mint, not
/// even for the org's other tickets.
#[tokio::test]
async fn after_the_escalation_nothing_is_minted_at_any_door() {
    let site = Site::new().await;
    let bench = &site.bench;
    let post = async |name: &str, body: &str, staff: &str| {
        let request = form(&format!("/do/{name}"), body)
            .header(header::COOKIE, site.cookie(staff).await)
            .header(header::ACCEPT, "application/json");
        // The later of two headers of a name is not the one that counts: there is only one.
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.headers_mut().insert(header::ACCEPT, "application/json".parse().unwrap());
        site.send(request).await.status()
    };
    let auditor = post("escalate", "ticket=NOV-4809", CLEO).await;
    assert_eq!(auditor, StatusCode::FORBIDDEN);
    assert_eq!(post("escalate", "ticket=NOV-4809", ADA).await, StatusCode::OK);
    let row = bench.rows_of("platform", "platform.escalated_to_legal").await.pop().unwrap();
    assert!(row.detail_str("summary").unwrap().contains("three calls, two mails"));
    for staff in [ADA, BEN] {
        let minted = post("impersonate", "ticket=NOV-4809", staff).await;
        assert_eq!(minted, StatusCode::CONFLICT);
    }
    assert_eq!(post("escalate", "ticket=NOV-4809", ADA).await, StatusCode::CONFLICT);
    let mut conn = bench.desk.store.read().await.unwrap();
    let ticket = tickets::by_id(&mut conn, "NOV-4809").await.unwrap().unwrap();
    assert_eq!(ticket.state, TicketState::Escalated);
    drop(conn);
    assert_eq!(minted(bench).await, [0, 0, 0]);

    // The page has the summary to send, and nothing to start with.
    let page = Request::builder()
        .method(Method::GET)
        .uri("/tickets/NOV-4809")
        .header(header::COOKIE, site.cookie(ADA).await);
    let page = site.send(page.body(Body::empty()).unwrap()).await;
    let bytes = axum::body::to_bytes(page.into_body(), 1 << 22).await.unwrap();
    let html = String::from_utf8_lossy(&bytes);
    assert!(html.contains("Summary to send to Legal") && html.contains("three calls, two mails"));
    for gone in ["/do/impersonate", "/do/escalate", "/do/request_consent"] {
        assert!(!html.contains(gone), "{gone}");
    }
}

/// Every setting there is, in every form that could matter. A new one does not compile here
/// before somebody has thought of it.
async fn no_setting_lets_a_failed_check_through(bench: Bench) {
    let mut tried = 0;
    for impersonation_life in [time::MINUTE, 30 * time::MINUTE] {
        for overlap_seconds in [0, 604_800] {
            for private_targets in [false, true] {
                for base_url in ["https://keyturn.example", "http://127.0.0.1:3000", ""] {
                    let settings = Settings {
                        base_url: base_url.to_owned(),
                        impersonation_life,
                        overlap_seconds,
                        proof_life: 30 * time::DAY,
                        credential_life: crate::auth::credential::ORG_LIFE,
                        private_targets,
                        mail_from: "Keyturn <keyturn@platform.example>".to_owned(),
                        vault_policies: private_targets
                            .then(|| "*".to_owned())
                            .into_iter()
                            .collect(),
                        gateways: crate::desk::gateways::GatewaySettings::default(),
                        witness_folder: None,
                        witness: None,
                    };
                    refuses_all(&with(&bench, settings).await, &bench).await;
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 24);
    assert_eq!(minted(&bench).await, [0, 0, 0]);
}

/// A desk on the same database and keys, with other settings.
async fn with(bench: &Bench, settings: Settings) -> Desk {
    let other = Bench::open(&bench.url, bench.folder(), bench.now(), 9).await;
    let Bench { desk, .. } = other;
    let mut desk = Arc::try_unwrap(desk).expect("nobody else has it");
    desk.settings = settings;
    desk
}

async fn refuses_all(desk: &Desk, bench: &Bench) {
    let ada = bench.at_work(ADA).await;
    for (ticket, check) in INELIGIBLE {
        let mut tx = desk.begin().await.unwrap();
        match desk.impersonate(&mut tx, &ada, ticket).await {
            Err(StepError::Refused(v)) => assert_eq!(v.failed_names(), [check], "{ticket}"),
            other => panic!("{ticket}: {other:?}"),
        }
        tx.rollback().await.unwrap();
    }
    desk.store.close().await;
}

async fn no_role_lets_a_failed_check_through(bench: Bench) {
    for role in StaffRole::ALL {
        {
            let mut conn = bench.desk.store.read().await.unwrap();
            crate::store::staff::set_role(&mut conn, BEN, *role).await.unwrap();
        }
        let ben = bench.at_work(BEN).await;
        for (ticket, _) in INELIGIBLE {
            let step = bench.impersonate(&ben, ticket).await;
            assert!(
                matches!(step, Err(StepError::Refused(_) | StepError::Denied(_))),
                "{role} {ticket}: {step:?}"
            );
        }
    }
    assert_eq!(minted(&bench).await, [0, 0, 0]);
}

/// The server's own switches: the demo's doors, the trusted header, the introspection token.
#[tokio::test]
async fn no_switch_of_the_server_lets_a_failed_check_through() {
    let site = Site::new().await;
    let cookie = site.cookie(ADA).await;
    for header in [None, Some(http::HeaderName::from_static("x-forwarded-for"))] {
        for introspection_hash in [None, Some(crate::auth::credential::hash(&SERVICE.into()))] {
            let app = App {
                density: Default::default(),
                edges: Default::default(),
                desk: site.bench.desk.clone(),
                demo: None,
                pkg: None,
                introspection_hash,
                intake_hash: None,
                proxies: Proxies { header: header.clone(), ..Proxies::default() },
                embedded_vault: header.as_ref().map(|_| site.bench.vault.inner.clone()),
                stop: Default::default(),
                readiness: Default::default(),
                at_once: Default::default(),
            };
            let router = super::router(Arc::new(app));
            for (ticket, _) in INELIGIBLE {
                let door = DOORS.iter().find(|d| d.1 == "/do/impersonate").unwrap();
                assert_eq!(door.4, For::Admin);
                let who = Who::Cookie(cookie.clone());
                let answer =
                    router.clone().oneshot(hopeful(door, ticket, "acme", &who)).await.unwrap();
                assert_eq!(answer.status(), StatusCode::CONFLICT, "{ticket}");
            }
        }
    }
    assert_eq!(minted(&site.bench).await, [0, 0, 0]);
}

/// Protects the tests above from passing because nothing can be minted at all.
#[tokio::test]
async fn the_same_request_mints_where_every_check_passes() {
    let site = Site::new().await;
    let door = DOORS.iter().find(|d| d.1 == "/do/impersonate").unwrap();
    let who = Who::Cookie(site.cookie(ADA).await);
    let answer = site.send(hopeful(door, STUCK, "acme", &who)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(minted(&site.bench).await, [1, 0, 0]);
}

/// A file or an environment with a setting that nobody knows: it is refused, or says nothing.
#[test]
fn a_setting_that_would_be_a_bypass_does_not_exist() {
    use crate::config::Raw;
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "skip_eligibility",
        "allow_bypass",
        "break_glass",
        "assume_consent",
        "disable_checks",
        "owner_check",
        "emergency_access",
    ] {
        let file = folder.path().join("keyturn.toml");
        std::fs::write(&file, format!("{name} = true\n")).unwrap();
        let problems = Raw::read(Some(&file), |_| None).validate().unwrap_err();
        assert!(format!("{problems:?}").contains(name), "{name}: {problems:?}");
    }
}

/// Protects a customer's jobs: what ends with an old vault token is said before it is replaced, and
/// the form alone does not do it.
#[tokio::test]
async fn what_depends_on_an_old_vault_token_is_said_and_confirmed() {
    let site = Site::new().await;
    let bench = &site.bench;
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, "NOV-4803").await.unwrap();
    let page = async || {
        let page = Request::builder()
            .uri("/tickets/NOV-4803")
            .header(header::COOKIE, site.cookie(ADA).await)
            .header(header::ACCEPT, "text/html");
        let answer = site.send(page.body(Body::empty()).unwrap()).await;
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let said = page().await;
    assert!(said.contains("all tokens that it made"), "{said}");
    assert!(said.contains("What depends on the old token may end with it"), "{said}");
    let rotate = async |more: &str| {
        let body = format!("impersonation={}{more}", grant.id);
        let mut request = form("/do/rotate", &body)
            .header(header::COOKIE, site.cookie(ADA).await)
            .body(Body::from(body.clone()))
            .unwrap();
        request.headers_mut().insert(header::ACCEPT, "application/json".parse().unwrap());
        site.send(request).await.status()
    };
    assert_eq!(rotate("").await, StatusCode::BAD_REQUEST);
    assert_eq!(bench.versions("vtk_cedar").await.len(), 1, "nothing was done");
    assert_eq!(rotate("&dependents_end=true").await, StatusCode::OK);
    assert_eq!(bench.versions("vtk_cedar").await.len(), 2);
    assert!(page().await.contains("The new token lives until"));
}
