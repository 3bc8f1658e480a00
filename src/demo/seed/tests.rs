use std::collections::HashSet;
use std::sync::Arc;

use crate::audit::{LogId, verify};
use crate::clock::ManualClock;
use crate::demo::testing;
use crate::model::{MemberRole, Standing, TicketState, time};
use crate::policy::eligibility::Check;
use crate::store::{orgs, secrets as store, tickets as filed};

use super::*;

/// 2026-03-01.
const NOW: i64 = 1_772_323_200_000_000;
const SIDE: &str = "http://127.0.0.1:3001";
const NO_MAIL: &str = "smtp://127.0.0.1:1";

async fn seeded() -> (tempfile::TempDir, Desk, Story) {
    let folder = tempfile::tempdir().unwrap();
    let desk = testing::desk(folder.path(), Arc::new(ManualClock::at(NOW)), NO_MAIL, SIDE).await;
    let story = seed(&desk, folder.path(), SIDE).await.unwrap();
    (folder, desk, story)
}

/// Protects the whole point of the demo: each ticket shows the case that it is there to show, and
/// fails for that reason alone.
#[tokio::test]
async fn each_ticket_is_the_case_it_is_meant_to_be() {
    let expected = [
        ("NOV-4801", None),
        ("NOV-4802", None),
        ("NOV-4803", None),
        ("NOV-4804", None),
        ("NOV-4805", None),
        ("NOV-4806", Some(Check::Consent)),
        ("NOV-4807", Some(Check::RequesterIsOwner)),
        ("NOV-4808", Some(Check::RequesterIsOwner)),
        ("NOV-4809", Some(Check::OwnerReachable)),
        ("NOV-4810", Some(Check::RequesterAuthenticated)),
        ("NOV-4811", Some(Check::RequesterIsOwner)),
        ("NOV-4812", Some(Check::SelfServiceUnavailable)),
        ("NOV-4813", Some(Check::HandoffPossible)),
        ("NOV-4814", None),
        ("NOV-4815", Some(Check::TicketOpen)),
        ("NOV-4816", Some(Check::SecretKnown)),
    ];
    let (_folder, desk, _) = seeded().await;
    let mut conn = desk.store.read().await.unwrap();
    let admin = staff::all(&mut conn).await.unwrap().remove(0).id;
    for (number, check) in expected {
        let case = desk.case(&mut conn, number, &admin, None).await.unwrap();
        let failed: Vec<_> = case.verdict.failed().map(|f| f.check).collect();
        assert_eq!(failed, Vec::from_iter(check), "{number}: {:?}", case.verdict);
        assert_eq!(case.verdict.eligible(), check.is_none(), "{number}");
    }
    let all = filed::page(&mut conn, &filed::Filter::default(), None, 100).await.unwrap();
    assert_eq!(all.len(), expected.len());
}

/// Protects what tells the cases of one check apart: who asks, what has happened, and what with.
#[tokio::test]
async fn each_case_has_the_facts_of_its_story() {
    let (_folder, desk, _) = seeded().await;
    let mut conn = desk.store.read().await.unwrap();
    let mut saw = async |number: &str, check: Check| {
        let case = desk.case(&mut conn, number, "nobody", None).await.unwrap();
        case.verdict.findings.iter().find(|f| f.check == check).unwrap().saw.clone()
    };
    let asks = Check::RequesterIsOwner;
    assert_eq!(saw("NOV-4807", asks).await, "the requester is an Admin of the org");
    assert!(saw("NOV-4808", asks).await.contains("an Operator of the org"));
    assert!(saw("NOV-4811", asks).await.contains("after the ticket was filed"));
    assert!(saw("NOV-4809", Check::OwnerReachable).await.contains("Called the number"));
    assert_eq!(
        saw("NOV-4812", Check::SelfServiceUnavailable).await,
        "1 active Admin of the org can sign in"
    );
    assert!(saw("NOV-4813", Check::HandoffPossible).await.contains("expired"));
    assert!(saw("NOV-4814", Check::HandoffPossible).await.starts_with("1Password to vault "));
    assert!(saw("NOV-4816", Check::SecretKnown).await.contains("is not a secret of this org"));
    assert!(saw("NOV-4803", Check::SecretKnown).await.starts_with("vault_token "));
    assert!(saw("NOV-4806", Check::Consent).await.contains("is false"));

    let case = desk.case(&mut conn, "NOV-4802", "nobody", None).await.unwrap();
    assert!(case.ticket.unwrap().suspected_leak());
    for (number, left) in [("NOV-4804", 3 * time::DAY), ("NOV-4805", -20 * time::HOUR)] {
        let case = desk.case(&mut conn, number, "nobody", None).await.unwrap();
        assert_eq!(case.secret.unwrap().expires_at, Some(NOW + left), "{number}");
    }
}

/// Protects the ticket queue: nothing from the future, nothing older than two days, and nothing
/// secret in what customers write.
#[tokio::test]
async fn tickets_are_recent_and_hold_no_secret() {
    let (_folder, desk, story) = seeded().await;
    let mut conn = desk.store.read().await.unwrap();
    for ticket in filed::page(&mut conn, &filed::Filter::default(), None, 100).await.unwrap() {
        let age = NOW - ticket.filed_at;
        assert!((10 * time::MINUTE..=2 * time::DAY).contains(&age), "{}", ticket.id);
        let messages = filed::messages(&mut conn, &ticket.id).await.unwrap();
        assert_eq!(messages[0].kind, "customer");
        assert!(messages.iter().all(|m| m.at <= NOW), "{}", ticket.id);
        let said = messages.iter().map(|m| m.body.as_str()).collect::<String>();
        assert!(said.contains(ticket.secret_id.as_deref().unwrap()), "{}", ticket.id);
        assert!(!said.contains("whsec_") && !said.contains("ktc_") && !said.contains("  "));
        assert!(story.webhooks.iter().all(|w| !said.contains(w.key.as_str())));
        let closed = ticket.state == TicketState::Closed;
        assert_eq!(closed, ticket.id == "NOV-4815");
    }
}

/// Protects the run after this one: nothing is seeded twice, and the webhooks follow the port.
#[tokio::test]
async fn the_second_start_changes_only_the_addresses() {
    let (folder, desk, first) = seeded().await;
    let elsewhere = "http://127.0.0.1:4001";
    let again = seed(&desk, folder.path(), elsewhere).await.unwrap();
    let text = |story: &Story| serde_json::to_string(story).unwrap();
    assert_eq!(text(&again), text(&first));
    let mut conn = desk.store.read().await.unwrap();
    assert_eq!(staff::all(&mut conn).await.unwrap().len(), 3);
    for webhook in &first.webhooks {
        let secret = store::by_id(&mut conn, &webhook.id).await.unwrap().unwrap();
        assert_eq!(secret.target, format!("{elsewhere}/hooks/{}", webhook.id));
    }
    let gateway = store::by_id(&mut conn, "gw_bergen2h7q9x").await.unwrap().unwrap();
    assert_eq!(gateway.target, "bergen-2.gw.fjordline.example");

    std::fs::remove_file(Story::file_in(folder.path())).unwrap();
    drop(conn);
    assert!(matches!(seed(&desk, folder.path(), SIDE).await, Err(DemoError::Lost)));
}

/// Protects what scripts rely on: the first org and key are those of NOV-4801, every sign-in and
/// credential works, and each Owner has one.
#[tokio::test]
async fn the_story_opens_every_door() {
    let (_folder, desk, story) = seeded().await;
    assert_eq!(story.orgs[0].slug, "brightwater");
    assert_eq!(story.owner_pgp[0].org, "brightwater");
    assert_eq!((story.orgs.len(), story.owner_pgp.len()), (13, 12));
    for person in &story.staff {
        let password = person.password.as_str().into();
        let step = desk.sign_in(&person.email, password, "127.0.0.1").await;
        assert_eq!(step.unwrap().staff.role, person.role);
    }
    let mut conn = desk.store.read().await.unwrap();
    let mut tokens = HashSet::new();
    for org in &story.orgs {
        assert_eq!(org.credentials[0].role, MemberRole::Owner, "{}", org.slug);
        for credential in &org.credentials {
            let hash = crate::auth::credential::hash(&credential.token.as_str().into());
            let member = orgs::member_by_credential(&mut conn, &hash).await.unwrap().unwrap();
            assert_eq!(
                (member.email.as_str(), member.role),
                (credential.member.as_str(), credential.role)
            );
            assert_ne!(member.standing, Standing::Departed);
            assert!(tokens.insert(credential.token.as_str()));
        }
    }
}

/// Protects the proof: the history is in the logs as rows that verify, in order, and each change
/// of consent is the Owner's.
#[tokio::test]
async fn the_history_is_in_the_logs() {
    let (_folder, desk, _) = seeded().await;
    let mut conn = desk.store.read().await.unwrap();
    let platform = crate::store::audit::head(&mut conn, "platform").await.unwrap().unwrap();
    // Thirteen Owners consented, one withdrew it, one cannot be reached; three accounts, and the
    // gateways' authority.
    assert_eq!(platform.size, 19);
    let marigold = orgs::by_slug(&mut conn, "marigold").await.unwrap().unwrap();
    assert_eq!(marigold.consent_changed_at, Some(NOW - 9 * time::DAY));
    let log = LogId::Org(marigold.id);
    let head = crate::store::audit::head(&mut conn, &log.as_string()).await.unwrap().unwrap();
    // Given, withdrawn, and what is on record since.
    assert_eq!((head.size, head.last_at), (3, NOW));
    let verifiers = desk.keys.log.verifiers();
    for head in crate::store::audit::heads(&mut conn).await.unwrap() {
        let origin = &desk.keys.log.origin;
        let found = verify::whole_log(&mut conn, &verifiers, origin, &head, |_| {}).await.unwrap();
        assert!(found.is_ok(), "{}: {found:?}", head.id);
    }
}

/// Protects the newcomer who plays the Owner of NOV-4813: what the ready reply says, done with GnuPG
/// and the Owner's own key, ends in a key that is accepted.
#[tokio::test]
async fn the_reply_about_the_expired_key_leads_out() {
    use crate::delivery::openpgp::{gnupg::Gnupg, inspect};
    let (_folder, desk, story) = seeded().await;
    let (reply, key) = {
        let mut conn = desk.store.read().await.unwrap();
        let case = desk.case(&mut conn, "NOV-4813", "nobody", None).await.unwrap();
        (case.verdict.reply().unwrap().to_owned(), case.org.unwrap().pgp_key.unwrap())
    };
    assert!(
        crate::delivery::guard::shape(&reply).unwrap().is_none(),
        "the guard lets it through: {reply}"
    );
    let fingerprint = crate::delivery::openpgp::fingerprint_of(&key).unwrap();
    let owner = story.owner_pgp.iter().find(|owner| owner.fingerprint == fingerprint).unwrap();
    let gpg = Gnupg::new();
    gpg.travel(NOW - gpg.now());
    gpg.run(&["--import"], owner.private_key.as_bytes());
    let mut printed = Vec::new();
    for command in reply.lines().filter(|line| line.starts_with("gpg ")) {
        let args: Vec<&str> = command.split(' ').skip(1).collect();
        printed = gpg.run(&args, b"").stdout;
    }
    let sent = String::from_utf8(printed).unwrap();
    let report = inspect(&sent, gpg.now()).unwrap_or_else(|e| panic!("{reply}\nleads to: {e}"));
    assert_eq!(report.fingerprint, fingerprint);
}
