//! What the Owner does over HTTP: consent by the API, the pages of the links, and objecting to
//! another key; and the panel in which staff ask for one.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::doors_tests::{Site, form};
use crate::model::{Consent, org::in_fours, time};
use crate::store::orgs;
use crate::testing::mailbox::link_in;
use crate::testing::owners::owners;
use crate::testing::story::{ADA, BEN, CLEO, STUCK, credential_of, member_id};
use crate::web::door::encode;

impl Site {
    async fn put_consent(&self, member: &str, body: Value) -> (StatusCode, Value) {
        self.consent_call(Method::PUT, member, body.to_string()).await
    }

    async fn consent_call(
        &self,
        method: Method,
        member: &str,
        body: String,
    ) -> (StatusCode, Value) {
        let token = credential_of(member);
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/org/consent")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        let answer = self.send(request.body(Body::from(body)).unwrap()).await;
        let status = answer.status();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn consent_of(&self, slug: &str) -> Consent {
        let mut conn = self.bench.desk.store.read().await.unwrap();
        orgs::by_slug(&mut conn, slug).await.unwrap().unwrap().consent()
    }

    /// A page, as somebody without a session sees it, or with this cookie.
    async fn page(&self, path: &str, cookie: Option<&str>) -> (StatusCode, String) {
        let mut request = Request::builder().uri(path).header(header::ACCEPT, "text/html");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let answer = self.send(request.body(Body::empty()).unwrap()).await;
        let status = answer.status();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Posts a form as a page does; where it leads.
    async fn post(&self, name: &str, body: &str, cookie: Option<&str>) -> (StatusCode, String) {
        let mut request = form(&format!("/do/{name}"), body);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let answer = self.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        let to = answer.headers().get(header::LOCATION).map(|l| l.to_str().unwrap().to_owned());
        (answer.status(), to.unwrap_or_default())
    }
}

#[tokio::test]
async fn consent_by_the_api_says_for_one_ticket_or_until_withdrawn() {
    let site = Site::new().await;
    let owner = member_id("elm", "owner");
    let allow = "allow_platform_impersonation";
    for (body, why) in [
        (json!({ allow: true }), "ticket_ref"),
        (json!({ allow: true, "ticket_ref": "NOV-4806", "until_withdrawn": true }), "not both"),
        (json!({ allow: false, "ticket_ref": "NOV-4806" }), "as a whole"),
        (json!({ allow: false, "until_withdrawn": true }), "as a whole"),
    ] {
        let (status, problem) = site.put_consent(&owner, body.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{body}: {detail}");
    }
    for body in ["", "true", "{}", "{\"allow_platform_impersonation\": true, \"force\": true}"] {
        let (status, _) = site.consent_call(Method::PUT, &owner, body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    for ticket in ["NOV-9999", STUCK] {
        let body = json!({ allow: true, "ticket_ref": ticket });
        let (status, _) = site.put_consent(&owner, body).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{ticket}: of another org, or of none");
    }
    assert_eq!(site.consent_of("elm").await, Consent::Off, "nothing of it was done");

    let body = json!({ allow: true, "ticket_ref": "NOV-4806" });
    let (status, state) = site.put_consent(&owner, body).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({ allow: true, "ticket_ref": "NOV-4806", "until_withdrawn": false });
    assert_eq!(state, expected);
    assert_eq!(site.consent_call(Method::GET, &owner, String::new()).await.1, expected);
    let (_, state) =
        site.put_consent(&owner, json!({ allow: true, "until_withdrawn": true })).await;
    assert_eq!(state, json!({ allow: true, "until_withdrawn": true }));
    let (_, state) = site.put_consent(&owner, json!({ allow: false })).await;
    assert_eq!(state, json!({ allow: false, "until_withdrawn": false }));
    // The Admin of the story has departed.
    for (member, refused) in
        [("admin", StatusCode::UNAUTHORIZED), ("operator", StatusCode::FORBIDDEN)]
    {
        let body = json!({ allow: true, "ticket_ref": "NOV-4806" });
        let (status, _) = site.put_consent(&member_id("elm", member), body).await;
        assert_eq!(status, refused, "{member}");
    }
    // Each change is in both logs, with how far it goes.
    for log in ["platform", "elm"] {
        let rows = site.bench.rows(log).await;
        let actions: Vec<_> = rows.iter().map(|r| r.action.as_str()).collect();
        assert_eq!(actions, ["consent.enabled", "consent.enabled", "consent.disabled"], "{log}");
        assert_eq!(rows[0].detail_str("only_for_ticket"), Some("NOV-4806"));
        assert_eq!(rows[1].details["until_withdrawn"], json!(true));
    }
}

#[tokio::test]
async fn the_consent_page_asks_for_this_ticket_unless_the_owner_chooses_otherwise() {
    let site = Site::new().await;
    let ada = site.cookie(ADA).await;
    site.post("request_consent", "ticket=NOV-4806", Some(&ada)).await;
    site.bench.desk.send_due().await.unwrap();
    let link = link_in(&site.bench.mailbox.about("May the platform act"), "/consent/");
    let link = link.expose_secret();
    let path = format!("/consent/{link}");
    let (status, html) = site.page(&path, None).await;
    assert_eq!(status, StatusCode::OK);
    let ticket = html.split("value=\"ticket\"").nth(1).unwrap();
    assert!(ticket.split('>').next().unwrap().contains("checked"), "the narrower one is chosen");
    let until = html.split("value=\"until_withdrawn\"").nth(1).unwrap();
    assert!(!until.split('>').next().unwrap().contains("checked"));
    for said in ["For NOV-4806 only", "rotate the one secret", "Ada Admin", "once, until"] {
        assert!(html.contains(said), "{said}");
    }
    assert_eq!(site.consent_of("elm").await, Consent::Off, "opening it changes nothing");
    let wrong = format!("link={link}&scope=everything");
    let (status, _) = site.post("consent", &wrong, None).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(site.consent_of("elm").await, Consent::Off, "a choice that is none");
    // A form without the choice is for the ticket: the default.
    let (_, to) = site.post("consent", &format!("link={link}"), None).await;
    assert_eq!(to, path);
    assert_eq!(site.consent_of("elm").await, Consent::ForTicket("NOV-4806".into()));
    assert_eq!(site.page(&path, None).await.0, StatusCode::NOT_FOUND, "used up");
    // Staff see how far it goes.
    let (_, html) = site.page("/tickets/NOV-4806", Some(&ada)).await;
    assert!(html.contains("given for NOV-4806 only") && html.contains("for this ticket only"));
    let (_, html) = site.page("/orgs/elm", Some(&ada)).await;
    assert!(html.contains("Consent for NOV-4806 only"));
}

#[tokio::test]
async fn the_withdraw_page_shows_and_only_its_button_withdraws() {
    let site = Site::new().await;
    let ada = site.bench.at_work(ADA).await;
    let grant = site.bench.impersonate(&ada, STUCK).await.unwrap();
    site.bench.desk.send_due().await.unwrap();
    let link = link_in(&site.bench.mailbox.about("is acting for"), "/withdraw/");
    let link = link.expose_secret();
    let path = format!("/withdraw/{link}");
    for _ in 0..2 {
        let (status, html) = site.page(&path, None).await;
        assert_eq!(status, StatusCode::OK);
        for said in ["Withdraw consent now", STUCK, "Ada Admin", "until you withdraw it"] {
            assert!(html.contains(said), "{said}");
        }
    }
    assert!(site.bench.grant(&grant.id).await.live(site.bench.now()), "opening changes nothing");
    let (_, to) = site.post("withdraw_consent", &format!("link={link}"), None).await;
    assert_eq!(to, path);
    assert!(!site.bench.grant(&grant.id).await.live(site.bench.now()));
    assert_eq!(site.consent_of("acme").await, Consent::Off);
    let (status, html) = site.page(&path, None).await;
    assert!(status == StatusCode::OK && html.contains("Consent is off"));
    assert_eq!(site.page("/withdraw/none", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn staff_ask_for_another_key_and_the_owner_objects_on_the_page() {
    let site = Site::new().await;
    let ada = site.cookie(ADA).await;
    let (old, new) = (&owners().modern.fingerprint, &owners().rsa.fingerprint);
    let (_, html) = site.page("/orgs/acme", Some(&ada)).await;
    assert!(html.contains("/do/change_owner_key"));
    let body = |key: &str| format!("org=org-acme&key={}&back=%2Forgs%2Facme", encode(key));
    // A bad key says what is wrong with it.
    let (_, to) =
        site.post("change_owner_key", &body(&owners().sign_only.public), Some(&ada)).await;
    assert_eq!(to, "/orgs/acme");
    let (_, html) = site.page("/orgs/acme", Some(&ada)).await;
    assert!(html.contains("no subkey for encryption"));
    // The sign-in has to be recent; the page says so before anybody pastes a key.
    site.bench.clock.advance(6 * time::MINUTE);
    let (_, to) = site.post("change_owner_key", &body(&owners().rsa.public), Some(&ada)).await;
    assert_eq!(to, "/step-up?next=%2Forgs%2Facme");
    let (_, html) = site.page("/orgs/acme", Some(&ada)).await;
    assert!(
        html.contains("/step-up?next=%2Forgs%2Facme") && !html.contains("/do/change_owner_key")
    );
    let ada = site.stepped_up(&ada).await;
    site.post("change_owner_key", &body(&owners().rsa.public), Some(&ada)).await;

    let spoken = |fingerprint: &str| format!("Fingerprint {}", in_fours(fingerprint));
    let (_, html) = site.page("/orgs/acme", Some(&ada)).await;
    for said in
        [&spoken(old), &spoken(new), "Has not answered", "Ada Admin", "/do/cancel_owner_change"]
    {
        assert!(html.contains(said), "{said}");
    }
    let (_, html) = site.page(&format!("/tickets/{STUCK}"), Some(&ada)).await;
    assert!(html.contains("A change of the Owner’s OpenPGP key waits"));
    assert!(html.contains("Another admin has to do this") && !html.contains("Start impersonation"));
    let cleo = site.cookie(CLEO).await;
    let (_, html) = site.page("/orgs/acme", Some(&cleo)).await;
    assert!(html.contains(&spoken(new)) && !html.contains("_owner_"), "an auditor only reads");
    let ben = site.cookie(BEN).await;
    let (_, html) = site.page("/orgs/acme", Some(&ben)).await;
    assert!(html.contains("/do/approve_owner_change") && html.contains("/do/agree_owner_change"));
    let (_, html) = site.page("/orgs/acme", Some(&ada)).await;
    assert!(!html.contains("/do/approve_owner_change"), "whoever asked does not approve");

    site.bench.desk.send_due().await.unwrap();
    let link = link_in(&site.bench.mailbox.about("Do you agree?"), "/owner-change/");
    let link = link.expose_secret();
    let path = format!("/owner-change/{link}");
    for _ in 0..2 {
        let (status, html) = site.page(&path, None).await;
        assert_eq!(status, StatusCode::OK);
        assert!(html.contains(&spoken(old)) && html.contains(&spoken(new)), "both fingerprints");
        assert!(html.contains("Yes, I agree") && html.contains("/do/object_by_link"));
    }
    // As mails of before named the page.
    assert_eq!(site.page(&format!("/key-change/{link}"), None).await.0, StatusCode::OK);
    site.post("agree_by_link", &format!("link={link}"), None).await;
    let (status, html) = site.page(&path, None).await;
    assert!(status == StatusCode::OK && html.contains("You agreed"));
    site.post("object_by_link", &format!("link={link}"), None).await;
    let (status, html) = site.page(&path, None).await;
    assert!(status == StatusCode::OK && html.contains("What is on file stays"));
    let (_, html) = site.page("/orgs/acme", Some(&ada)).await;
    assert!(html.contains("The Owner objected to another OpenPGP key"));
}

#[tokio::test]
async fn a_key_that_was_replaced_is_told_of_for_thirty_days() {
    let site = Site::new().await;
    let ada = site.bench.at_work(ADA).await;
    let mut tx = site.bench.desk.begin().await.unwrap();
    let key = &owners().rsa.public;
    site.bench.desk.ask_key_change(&mut tx, &ada, "org-acme", key).await.unwrap();
    tx.commit().await.unwrap();
    site.bench.desk.send_due().await.unwrap();
    let link = link_in(&site.bench.mailbox.about("Do you agree?"), "/owner-change/");
    let change = {
        let mut tx = site.bench.desk.begin().await.unwrap();
        let change = site.bench.desk.agree_by_link(&mut tx, &link, None).await.unwrap();
        tx.commit().await.unwrap();
        change
    };
    let ben = site.cookie(BEN).await;
    let body = format!("change={}&back=%2Forgs%2Facme", change.id);
    site.post("approve_owner_change", &body, Some(&ben)).await;
    let changed = format!("key was changed on {}", time::date(site.bench.now()));
    let told = async || {
        let cookie = site.cookie(BEN).await;
        // The Owner has answered in support meanwhile.
        let again = format!("UPDATE ticket SET authenticated_at = {}", site.bench.now());
        site.bench.sql(&again).await.unwrap();
        let (status, html) = site.page(&format!("/tickets/{STUCK}"), Some(&cookie)).await;
        assert_eq!(status, StatusCode::OK);
        // A line, and no check: the procedure goes on.
        assert!(html.contains("9 of 9 pass"));
        html.contains(&changed)
    };
    assert!(told().await);
    let ben = site.cookie(BEN).await;
    let (_, html) = site.page("/overview", Some(&ben)).await;
    assert!(html.contains("Owner changed: 1, all of them"), "{html}");
    let (_, html) = site.page("/orgs?show=owner_changed", Some(&ben)).await;
    assert!(html.contains("/orgs/acme") && !html.contains("/orgs/birch"), "{html}");
    site.bench.clock.advance(30 * time::DAY - 1);
    assert!(told().await);
    site.bench.clock.advance(1);
    assert!(!told().await);
}

/// Protects whoever pastes what an Owner sent, which holds two keys: both are named, and one is
/// chosen.
#[tokio::test]
async fn of_several_keys_in_a_text_one_is_chosen() {
    let site = Site::new().await;
    let ada = site.cookie(ADA).await;
    let keys = owners();
    let both = format!("{}\n{}", keys.rsa.public, keys.sign_only.public);
    let body = |which: &str| {
        format!("org=org-acme&key={}&which={}&back=%2Forgs%2Facme", encode(&both), encode(which))
    };
    for none_of_them in ["", &"AB".repeat(20)] {
        site.post("change_owner_key", &body(none_of_them), Some(&ada)).await;
        let (_, html) = site.page("/orgs/acme", Some(&ada)).await;
        for named in [&keys.rsa.fingerprint, &keys.sign_only.fingerprint, "rosa@customer.example"] {
            assert!(html.contains(named), "{named}");
        }
        assert!(html.contains("name=\"which\""));
    }
    // As it is shown elsewhere, in groups of four.
    let which = in_fours(&keys.rsa.fingerprint).to_lowercase();
    site.post("change_owner_key", &body(&which), Some(&ada)).await;
    let (_, html) = site.page("/orgs/acme", Some(&ada)).await;
    assert!(html.contains("Has not answered") && html.contains(&in_fours(&keys.rsa.fingerprint)));
}

/// Protects Owners whose program looks the platform's key up by the address in the mail.
#[tokio::test]
async fn the_platform_s_key_is_in_the_web_key_directory() {
    use crate::delivery::openpgp::{gnupg::Gnupg, local_part_hash};
    use crate::testing::{matrix, openpgp::Program, programs::run_well};
    let site = Site::new().await;
    let get = async |path: String| {
        let answer = site.send(Request::get(path).body(Body::empty()).unwrap()).await;
        let status = answer.status();
        (status, axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap())
    };
    // Where another's program looks for it.
    let place = async |way: &str, host: &str| {
        let mut sq = std::process::Command::new("sq");
        sq.args(["wkd", way, "keyturn@platform.example"]);
        let url = run_well(sq).await;
        url.trim().strip_prefix(host).unwrap_or_else(|| panic!("{url}")).to_owned()
    };
    let base = "/.well-known/openpgpkey";
    let name = local_part_hash("keyturn").unwrap();
    let (status, direct) = get(place("direct-url", "https://platform.example").await).await;
    assert_eq!(status, StatusCode::OK);
    let advanced = place("url", "https://openpgpkey.platform.example").await;
    let (status, advanced) = get(advanced).await;
    assert_eq!((status, &advanced), (StatusCode::OK, &direct));
    for policy in [format!("{base}/policy"), format!("{base}/platform.example/policy")] {
        assert_eq!(get(policy).await.0, StatusCode::OK);
    }
    let other = local_part_hash("somebody").unwrap();
    for nowhere in [
        format!("{base}/hu/{other}"),
        format!("{base}/other.example/hu/{name}"),
        format!("{base}/other.example/policy"),
    ] {
        assert_eq!(get(nowhere.clone()).await.0, StatusCode::NOT_FOUND, "{nowhere}");
    }
    let gpg = Gnupg::new();
    gpg.travel(site.bench.now() - gpg.now());
    gpg.run(&["--import"], &direct);
    let listed = gpg.run(&["--with-colons", "--list-keys", "keyturn@platform.example"], b"").stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.contains(&site.bench.desk.keys.openpgp.fingerprint()), "{listed}");
    for (program, tried, what) in [
        (Program::Sq, "sq wkd url, direct-url", "the key is at both addresses"),
        (Program::Gnupg, "gpg --import of what is there", "the platform’s key, by its address"),
    ] {
        let tried = format!("Web Key Directory: {tried}");
        matrix::holds("OpenPGP", program.name(), &program.version(), &tried, what);
    }
}

/// The yearly question, as the Owner's browser sees it.
#[tokio::test]
async fn the_page_of_a_reminder_changes_nothing_until_a_button_is_pressed() {
    let site = Site::new().await;
    let long_ago = site.bench.now() - 365 * time::DAY;
    let sql = format!("UPDATE org SET consent_changed_at = {long_ago} WHERE id = 'org-acme'");
    site.bench.edit_org("org-acme", &sql).await;
    site.bench.desk.sweep().await.unwrap();
    site.bench.desk.send_due().await.unwrap();
    let mails = site.bench.mailbox.to("owner@acme.example");
    let mail = mails.iter().rfind(|m| m.subject.starts_with("May the platform still")).unwrap();
    let link = link_in(mail, "/consent-reminder/");
    let path = format!("/consent-reminder/{}", link.expose_secret());
    for _ in 0..2 {
        let (status, html) = site.page(&path, None).await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            html.contains("Keep it") && html.contains("Withdraw it") && !html.contains("style=")
        );
    }
    let body = |wish: &str| format!("link={}&wish={wish}", link.expose_secret());
    site.post("answer_reminder", &body("maybe"), None).await;
    assert_eq!(site.page(&path, None).await.0, StatusCode::OK, "nothing was decided");
    let cookie = site.cookie(BEN).await;
    let (_, html) = site.page("/orgs/acme", Some(&cookie)).await;
    let panel = html.split("aria-label=\"Consent\"").nth(1).unwrap_or(&html);
    assert!(panel.contains("Asked whether it stands"), "{panel:.900}");
    assert!(panel.contains("counts for 30 days"), "{panel:.900}");
    let (_, to) = site.post("answer_reminder", &body("keep"), None).await;
    assert_eq!(to, path);
    assert_eq!(site.page(&path, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(site.page("/consent-reminder/none", None).await.0, StatusCode::NOT_FOUND);
    let cookie = site.cookie(BEN).await;
    let (_, html) = site.page("/orgs/acme", Some(&cookie)).await;
    assert!(html.contains("Confirmed") && !html.contains("Asked whether it stands"));
}
