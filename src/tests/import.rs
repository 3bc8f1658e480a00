//! Orgs from a document: the same again changes nothing, secrets are sealed at once, every change
//! is in both logs, and what only an Owner or a rotation may change is not changed.

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::audit::Actor;
use crate::auth::credential;
use crate::desk::import::{Document, Imported, Outcome};
use crate::desk::{Step, StepError};
use crate::model::{Channel, OwnerChangeKind, OwnerChangeState, Standing, time};
use crate::policy::owner_change::COOL_OFF;
use crate::store::{orgs, owner_changes, secrets, tickets};
use crate::testing::mailbox::link_in;
use crate::testing::owners::owners;
use crate::testing::story::{ADA, BEN};
use crate::testing::{Bench, both_engines};

both_engines!(
    an_org_is_brought_in_and_served_and_the_same_document_changes_nothing,
    what_a_document_may_not_change_stays,
    a_changed_document_changes_what_differs_in_both_logs,
    a_credential_is_given_once_and_works,
    whoever_the_owner_is_and_where_is_changed_by_nobody_alone,
    one_org_that_cannot_be_brought_in_keeps_no_other_out,
    the_same_key_renewed_is_taken_and_the_owner_is_told,
    a_check_changes_nothing_and_says_the_same,
);

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn document(bench: &Bench) -> Value {
    json!({ "orgs": [{
        "slug": "zephyr",
        "name": "Zephyr Ltd",
        "owner": { "email": "zoe@zephyr.example", "since": time::rfc3339(bench.now() - 400 * time::DAY), "address": null },
        "members": [
            { "email": "zoe@zephyr.example", "name": "Zoe", "role": "owner", "standing": "locked_out" },
            { "email": "abe@zephyr.example", "name": "Abe", "role": "admin", "standing": "departed" },
        ],
        "runbook": { "channel": "pgp", "pgp_key": owners().modern.public },
        "webhooks": [{ "id": "whk_zephyr", "label": "Orders", "target": "https://hooks.zephyr.example/o", "key": KEY }],
        "vault_tokens": [{ "id": "vtk_zephyr", "label": "Importer", "pinned_to": "Abe", "accessor": "9793c9b3-e04a-46f3-e7b8-748d7da248da" }],
        "gateways": [{ "id": "gw_zephyr", "label": "Plant 1", "expires_at": "2031-01-01T00:00:00Z" }],
    }]})
}

fn by() -> Actor {
    Actor { id: "command-line".into(), name: "root".into(), ..Actor::system() }
}

async fn import(bench: &Bench, document: &Value) -> Step<Vec<Imported>> {
    let document = Document::parse(&document.to_string()).unwrap();
    let outcomes = bench.desk.import_orgs(&by(), &document, false).await?;
    outcomes.into_iter().map(|outcome| outcome.map_err(|not| not.why)).collect()
}

async fn an_org_is_brought_in_and_served_and_the_same_document_changes_nothing(bench: Bench) {
    let document = document(&bench);
    let first = import(&bench, &document).await.unwrap();
    assert_eq!(first[0].changes.len(), 9, "{first:#?}");
    let org = {
        let mut conn = bench.desk.store.read().await.unwrap();
        orgs::by_slug(&mut conn, "zephyr").await.unwrap().unwrap()
    };
    assert_eq!(org.consent(), crate::model::org::Consent::Off, "only an Owner gives consent");
    assert_eq!(org.owner_address.as_deref(), Some("zoe@zephyr.example"));
    assert_eq!(bench.value("whk_zephyr", 1).await.expose_secret(), KEY, "sealed, and it opens");
    let dump = {
        let mut conn = bench.desk.store.read().await.unwrap();
        let versions = secrets::versions(&mut conn, "whk_zephyr").await.unwrap();
        let sealed = versions[0].sealed.clone().unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("MfKQ9r8G"));
        let token = secrets::versions(&mut conn, "vtk_zephyr").await.unwrap();
        assert!(token[0].reference.as_deref().unwrap().starts_with("9793c9b3"));
        format!("{:?}", bench.rows("platform").await)
    };
    assert!(!dump.contains("whsec_") && !dump.contains("zoe@"), "no key and no private data");

    let rows = bench.rows("platform").await.len();
    let again = import(&bench, &document).await.unwrap();
    assert_eq!(again[0].changes, Vec::<String>::new());
    assert_eq!(bench.rows("platform").await.len(), rows);
    bench.verify_all().await.unwrap();

    // And it can be served, once its Owner has given consent.
    let mut tx = bench.desk.begin().await.unwrap();
    let mut ticket =
        tickets::Ticket::new("NOV-7000", &org.id, "Stuck", "Zoe", bench.now() - time::HOUR);
    ticket.requester_member = org.owner_member_id.clone();
    ticket.authenticated_how = Some("signed in".into());
    ticket.authenticated_at = Some(bench.now() - time::HOUR);
    ticket.secret_type = Some("webhook_signing_key".into());
    ticket.secret_id = Some("whk_zephyr".into());
    tickets::insert(tx.conn(), &ticket).await.unwrap();
    tx.commit().await.unwrap();
    let ada = bench.at_work(ADA).await;
    match bench.impersonate(&ada, "NOV-7000").await {
        Err(StepError::Refused(v)) => assert_eq!(v.failed_names(), ["consent"]),
        other => panic!("{other:?}"),
    }
}

async fn what_a_document_may_not_change_stays(bench: Bench) {
    for text in [
        "{\"orgs\": [{\"consent\": true}]}",
        "{\"orgs\": [{\"allow_platform_impersonation\": true}]}",
    ] {
        assert!(Document::parse(text).unwrap_err().contains("only the Owner"), "{text}");
    }
    let wrong = Document::parse(&format!("{{\"orgs\": [{{\"{KEY}\": 1}}]}}")).unwrap_err();
    assert!(wrong.contains("column") && !wrong.contains("whsec_"), "{wrong}");

    let good = document(&bench);
    import(&bench, &good).await.unwrap();
    let rows = bench.rows("platform").await.len();
    let with = |path: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        changed
    };
    let other_key = json!("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    for (path, value) in [
        ("/orgs/0/runbook/pgp_key", json!(owners().expired.public)),
        ("/orgs/0/webhooks/0/key", other_key),
        ("/orgs/0/webhooks/0/key", json!("not a key")),
        ("/orgs/0/webhooks/0/id", json!("whk_acme")),
        ("/orgs/0/webhooks/0/target", json!("http://hooks.zephyr.example")),
        ("/orgs/0/vault_tokens/0/accessor", json!("another")),
        ("/orgs/0/vault_tokens/0/accessor", json!(format!("hvs.{}", "A".repeat(92)))),
        ("/orgs/0/vault_tokens/0/accessor", json!(format!("s.{}", "A".repeat(24)))),
        ("/orgs/0/vault_tokens/0/accessor", json!("")),
        ("/orgs/0/gateways/0/id", json!("whk_zephyr")),
        ("/orgs/0/owner/email", json!("nobody@zephyr.example")),
        ("/orgs/0/slug", json!("Not A Slug")),
        ("/orgs/0/owner/email", json!("zoe..x@zephyr.example")),
        ("/orgs/0/members/1/email", json!("a@b@zephyr.example")),
        ("/orgs/0/owner/address", json!("post..box@zephyr.example")),
    ] {
        let step = import(&bench, &with(path, value.clone())).await;
        assert!(
            matches!(
                step,
                Err(StepError::Invalid(_)
                    | StepError::Conflict(_)
                    | StepError::BadKey(_)
                    | StepError::NotPossible(_))
            ),
            "{path} {value}: {step:?}"
        );
        let said = step.unwrap_err().to_string();
        assert!(!said.contains("AAAAAA"), "a token is not repeated: {said}");
        // Which of many addresses it is cannot be guessed.
        if let Some(address) = value.as_str().filter(|v| v.contains("..") || v.contains("@b@")) {
            assert!(said.starts_with(&format!("{address}: an address has one @")), "{said}");
        }
    }
    assert_eq!(bench.rows("platform").await.len(), rows, "whole or not at all");
    assert_eq!(bench.value("whk_zephyr", 1).await.expose_secret(), KEY);
    // After a rotation the document still has the first key, and changes nothing.
    let owner = member(&bench, "zoe@zephyr.example").await;
    let caller = crate::desk::rotate::Caller::Member(Box::new(owner));
    bench.rotate_as(&caller, "whk_zephyr", &Default::default()).await.unwrap();
    assert!(import(&bench, &good).await.unwrap()[0].changes.is_empty());
    assert_eq!(bench.accepted("whk_zephyr").await[0], 2);
}

async fn member(bench: &Bench, email: &str) -> orgs::Member {
    let mut conn = bench.desk.store.read().await.unwrap();
    let org = orgs::by_slug(&mut conn, "zephyr").await.unwrap().unwrap();
    let members = orgs::members(&mut conn, &org.id).await.unwrap();
    members.into_iter().find(|m| m.email == email).unwrap()
}

async fn a_changed_document_changes_what_differs_in_both_logs(bench: Bench) {
    let mut changed = document(&bench);
    import(&bench, &changed).await.unwrap();
    bench.clock.advance(time::DAY);
    let org = &mut changed["orgs"][0];
    org["name"] = json!("Zephyr plc");
    org["owner"]["email"] = json!("abe@zephyr.example");
    org["owner"]["since"] = json!("1990-01-01T00:00:00Z");
    org["members"] = json!([
        { "email": "ABE@zephyr.example", "name": "Abe", "role": "owner", "standing": "active" },
        { "email": "nia@zephyr.example", "name": "Nia", "role": "viewer", "standing": "active" },
    ]);
    org["webhooks"][0]["target"] = json!("https://hooks.zephyr.example/new");
    let before = bench.rows_of("platform", "platform.org_imported").await.len();
    let imported = import(&bench, &changed).await.unwrap();
    assert_eq!(imported[0].changes.len(), 5, "{imported:#?}");
    assert_eq!(imported[0].members_left, 1, "who is not named is left as they are");
    assert_eq!(member(&bench, "zoe@zephyr.example").await.standing, Standing::LockedOut);
    let org = {
        let mut conn = bench.desk.store.read().await.unwrap();
        orgs::by_slug(&mut conn, "zephyr").await.unwrap().unwrap()
    };
    assert_eq!(org.owner_member_id, Some(member(&bench, "zoe@zephyr.example").await.id));
    assert_eq!(org.name, "Zephyr plc");
    let platform = bench.rows_of("platform", "platform.org_imported").await;
    assert_eq!(platform.len() - before, 4, "another Owner is asked for, in rows of its own");
    let log = format!("org/{}", org.id);
    let mut conn = bench.desk.store.read().await.unwrap();
    let rows = crate::store::audit::range(&mut conn, &log, 0, 1000).await.unwrap();
    assert_eq!(rows.iter().filter(|r| r.action == "org.imported").count(), platform.len());
    drop(conn);
    bench.verify_all().await.unwrap();
}

/// Whoever has the command line could otherwise name an Owner, an address or a vault of their own.
async fn whoever_the_owner_is_and_where_is_changed_by_nobody_alone(bench: Bench) {
    let first = document(&bench);
    import(&bench, &first).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let now = async || there(&bench, "zephyr").await.unwrap();
    let set = |path: &str, to: Value| {
        let mut other = first.clone();
        *other.pointer_mut("/orgs/0").unwrap().pointer_mut(path).unwrap() = to;
        other
    };
    let other_owner = {
        let mut other = set("/owner/email", json!("nia@zephyr.example"));
        let nia = json!({ "email": "nia@zephyr.example", "name": "Nia", "role": "owner", "standing": "locked_out" });
        other["orgs"][0]["members"].as_array_mut().unwrap().push(nia);
        other
    };
    let mut other_address = first.clone();
    other_address["orgs"][0]["owner"]["address"] = json!("elsewhere@zephyr.example");
    let vault = json!({ "channel": "one_password", "vault_id": "abcdefghijklmnopqrstuvwxyz" });
    let other_key = set("/runbook/pgp_key", json!(owners().rsa.public));
    for (document, kind) in [
        (&other_address, OwnerChangeKind::Address),
        (&other_key, OwnerChangeKind::PgpKey),
        (&set("/runbook", vault), OwnerChangeKind::Channel),
        (&other_owner, OwnerChangeKind::Owner),
    ] {
        let before = now().await;
        let changes = import(&bench, document).await.unwrap().remove(0).changes;
        assert!(
            changes.iter().any(|c| c.contains("waits for the Owner’s yes")),
            "{kind}: {changes:?}"
        );
        assert!(
            import(&bench, document).await.unwrap()[0].changes.is_empty(),
            "{kind}: asked for once"
        );
        let unchanged = now().await;
        assert_eq!(unchanged.owner_member_id, before.owner_member_id, "{kind}");
        assert_eq!(unchanged.owner_address, before.owner_address, "{kind}");
        assert_eq!(unchanged.channel, before.channel, "{kind}");
        assert_eq!(unchanged.pgp_key, before.pgp_key, "{kind}");
        // It is asked of who the Owner was before, where they were before.
        bench.desk.send_due().await.unwrap();
        let mail = bench.mailbox.about(&format!("Do you agree? Another {}", kind.label()));
        assert_eq!(mail.to, "zoe@zephyr.example", "{kind}");
        let link = link_in(&mail, "/owner-change/");
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.agree_by_link(&mut tx, &link, None).await;
        let change = bench.desk.settle(tx, step).await.unwrap();
        assert_eq!(change.kind, kind);
        let ben = bench.at_work(BEN).await;
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.approve_owner_change(&mut tx, &ben, &change.id).await;
        let waits = bench.desk.settle(tx, step).await.unwrap();
        assert_eq!(waits.state, OwnerChangeState::Waiting, "{kind}: its day is not over");
        bench.clock.advance(COOL_OFF - 1);
        bench.desk.sweep().await.unwrap();
        assert_eq!(now().await, unchanged, "{kind}: to the microsecond");
        bench.clock.advance(1);
        bench.desk.sweep().await.unwrap();
        let mut conn = bench.desk.store.read().await.unwrap();
        let done = owner_changes::by_id(&mut conn, &change.id).await.unwrap().unwrap();
        assert_eq!(done.state, OwnerChangeState::Applied, "{kind}");
        drop(conn);
        let changed = now().await;
        match kind {
            OwnerChangeKind::Address => {
                assert_eq!(changed.owner_address.as_deref(), Some("elsewhere@zephyr.example"));
                let back = format!(
                    "UPDATE org SET owner_address = 'zoe@zephyr.example' WHERE id = '{}'",
                    changed.id
                );
                bench.edit_org(&changed.id, &back).await;
            }
            OwnerChangeKind::PgpKey => {
                assert_eq!(changed.pgp_key.as_ref(), Some(&owners().rsa.public))
            }
            OwnerChangeKind::Channel => assert!(changed.channel_is(Channel::OnePassword)),
            OwnerChangeKind::Owner => {
                let nia = member(&bench, "nia@zephyr.example").await.id;
                assert_eq!(changed.owner_member_id, Some(nia));
                assert_eq!(changed.owner_since, Some(bench.now()), "nobody is named into the past");
                assert_eq!(changed.owner_address.as_deref(), Some("nia@zephyr.example"));
            }
        }
    }
    let rows = bench.rows_of("platform", "platform.owner_record_changed").await;
    assert_eq!(rows.len(), 3);
    assert!(!format!("{rows:?}").contains("@zephyr.example"), "logs are kept for good");
    bench.verify_all().await.unwrap();
}

async fn a_credential_is_given_once_and_works(bench: Bench) {
    import(&bench, &document(&bench)).await.unwrap();
    let issue = async |email: &str| {
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.issue_org_credential(&mut tx, &by(), "zephyr", email).await;
        bench.desk.settle(tx, step).await
    };
    let token = issue("Zoe@zephyr.example").await.unwrap();
    assert!(token.expose_secret().starts_with("ktc_"));
    let found = {
        let mut conn = bench.desk.store.read().await.unwrap();
        orgs::member_by_credential(&mut conn, &credential::hash(&token)).await.unwrap().unwrap()
    };
    assert_eq!(found.email, "zoe@zephyr.example");
    assert!(matches!(issue("abe@zephyr.example").await, Err(StepError::Conflict(_))), "departed");
    assert!(matches!(issue("x@y.example").await, Err(StepError::NotFound)));
    let rows = bench.rows_of("platform", "platform.org_credential_issued").await;
    assert_eq!(rows.len(), 1);
    assert!(!format!("{rows:?}").contains(token.expose_secret()));
    bench.verify_all().await.unwrap();
}

/// A document of three orgs, of which the second has this key.
fn three(bench: &Bench, key: &str) -> Value {
    let mut all = document(bench);
    let org = |slug: &str, key: &str| {
        json!({
            "slug": slug, "name": slug, "owner": { "email": format!("o@{slug}.example") },
            "members": [{ "email": format!("o@{slug}.example"), "name": "O", "role": "owner", "standing": "locked_out" }],
            "runbook": { "channel": "pgp", "pgp_key": key },
        })
    };
    let orgs = all["orgs"].as_array_mut().unwrap();
    orgs.push(org("breeze", key));
    orgs.push(org("calm", &owners().rsa.public));
    all
}

async fn run(bench: &Bench, document: &Value, check: bool) -> Vec<Outcome> {
    let document = Document::parse(&document.to_string()).unwrap();
    bench.desk.import_orgs(&by(), &document, check).await.unwrap()
}

async fn there(bench: &Bench, slug: &str) -> Option<orgs::Org> {
    let mut conn = bench.desk.store.read().await.unwrap();
    orgs::by_slug(&mut conn, slug).await.unwrap()
}

async fn one_org_that_cannot_be_brought_in_keeps_no_other_out(bench: Bench) {
    let outcomes = run(&bench, &three(&bench, &owners().expired.public), false).await;
    let refused = outcomes[1].as_ref().unwrap_err();
    assert_eq!(refused.slug, "breeze");
    assert_eq!(refused.fingerprint.as_deref(), Some(owners().expired.fingerprint.as_str()));
    assert!(refused.why.to_string().contains("expired on"), "{}", refused.why);
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert!(there(&bench, "breeze").await.is_none(), "nothing of it");
    assert!(there(&bench, "zephyr").await.is_some() && there(&bench, "calm").await.is_some());
    bench.verify_all().await.unwrap();
    // A key that has expired since it was put on file: the org goes in, the key is named.
    let mended = run(&bench, &three(&bench, &owners().modern.public), false).await;
    assert!(mended.iter().all(|outcome| outcome.as_ref().is_ok_and(|o| o.key_problem.is_none())));
    let update =
        format!("UPDATE org SET pgp_key = '{}' WHERE slug = 'breeze'", owners().expired.public);
    let id = there(&bench, "breeze").await.unwrap().id;
    bench.edit_org(&id, &update).await;
    let again = run(&bench, &three(&bench, &owners().expired.public), false).await;
    let (fingerprint, problem) = again[1].as_ref().unwrap().key_problem.clone().unwrap();
    assert_eq!(fingerprint, owners().expired.fingerprint);
    assert!(problem.to_string().contains("expired on"), "{problem}");
}

async fn the_same_key_renewed_is_taken_and_the_owner_is_told(bench: Bench) {
    let first = document(&bench);
    import(&bench, &first).await.unwrap();
    let gpg = crate::delivery::openpgp::gnupg::Gnupg::new();
    gpg.run(&["--import"], owners().modern.secret.as_bytes());
    gpg.travel(owners().now - gpg.now());
    gpg.run(&["--quick-set-expire", &owners().modern.fingerprint, "2y"], b"");
    let mut renewed = first.clone();
    renewed["orgs"][0]["runbook"]["pgp_key"] = json!(gpg.export(&owners().modern.fingerprint));
    let changes = import(&bench, &renewed).await.unwrap().remove(0).changes;
    assert_eq!(changes, ["OpenPGP key on file: renewed"]);
    let on_file = there(&bench, "zephyr").await.unwrap().pgp_key.unwrap();
    let report = crate::delivery::openpgp::inspect(&on_file, bench.now()).unwrap();
    assert!(report.expires_at.is_some());
    assert_eq!(bench.rows_of("platform", "platform.owner_key_renewed").await.len(), 1);
    bench.desk.send_due().await.unwrap();
    assert_eq!(bench.mailbox.about("was renewed").to, "zoe@zephyr.example");
    // The older document again takes nothing back.
    assert!(import(&bench, &first).await.unwrap()[0].changes.is_empty());
    assert_eq!(there(&bench, "zephyr").await.unwrap().pgp_key.unwrap(), on_file);
    bench.verify_all().await.unwrap();
}

async fn a_check_changes_nothing_and_says_the_same(bench: Bench) {
    let document = three(&bench, &owners().expired.public);
    let before = bench.rows("platform").await.len();
    let said = run(&bench, &document, true).await;
    assert_eq!(bench.rows("platform").await.len(), before);
    assert!(there(&bench, "zephyr").await.is_none());
    let done = run(&bench, &document, false).await;
    let changes = |all: &[Outcome]| -> Vec<usize> {
        all.iter().map(|outcome| outcome.as_ref().map_or(0, |o| o.changes.len())).collect()
    };
    assert_eq!(changes(&said), changes(&done));
}
