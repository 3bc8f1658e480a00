//! The demo as a newcomer plays it: NOV-4801 over real sockets, with a real mail client and the
//! reference verifier, up to a test event that both keys accept.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use reqwest::{Client, Response, StatusCode};

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::desk::AtWork;
use crate::desk::rotate::{Ask, Caller};
use crate::secrets::vault::embedded::EmbeddedVault;
use crate::store::tickets;

struct Playing {
    folder: tempfile::TempDir,
    desk: Arc<Desk>,
    demo: Demo,
    side: String,
}

async fn play() -> Playing {
    let folder = tempfile::tempdir().unwrap();
    let (desk, demo, side) = start(folder.path()).await;
    Playing { folder, desk, demo, side }
}

/// What `keyturn demo` does at each start.
async fn start(folder: &Path) -> (Arc<Desk>, Demo, String) {
    let (smtp, mails) =
        SmtpCatcher::bind_anywhere(folder.join("mail"), || SystemClock.now()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let side = format!("http://{}", listener.local_addr().unwrap());
    let smtp = format!("smtp://{smtp}");
    let desk = Arc::new(testing::desk(folder, Arc::new(SystemClock), &smtp, &side).await);
    let gateways = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = Addresses {
        console: desk.settings.base_url.clone(),
        customer_side: side.clone(),
        gateways: format!("https://{}", gateways.local_addr().unwrap()),
    };
    let token = SecretString::from("kti_token");
    let demo = Demo::start(&desk, folder, &addresses, &token, listener, mails).await.unwrap();
    (desk, demo, side)
}

async fn signed_in(desk: &Desk, person: &DemoPerson) -> AtWork {
    let mut tx = desk.begin().await.unwrap();
    let step = desk.sign_in_demo(&mut tx, &person.email, "127.0.0.1").await;
    let session = desk.settle(tx, step).await.unwrap();
    let mut conn = desk.store.read().await.unwrap();
    desk.at_work(&mut conn, &session.token, "127.0.0.1", true).await.unwrap().unwrap()
}

/// Carries a ticket through to the mail: the org, and the secret.
async fn carry_out(desk: &Desk, who: &AtWork, number: &str) -> (String, String) {
    let mut tx = desk.begin().await.unwrap();
    let step = desk.impersonate(&mut tx, who, number).await;
    let grant = desk.settle(tx, step).await.unwrap();
    let caller = Caller::Token(desk.token_of(&grant).unwrap());
    desk.rotate(grant.secret_type, &grant.secret_id, &caller, &Ask::default()).await.unwrap();
    let mut tx = desk.begin().await.unwrap();
    let step = desk.hand_off(&mut tx, who, &grant.id).await;
    desk.settle(tx, step).await.unwrap();
    // The start, the message, the end.
    assert_eq!(desk.send_due().await.unwrap(), 3);
    (grant.org_id, grant.secret_id)
}

async fn test_event(desk: &Desk, who: &AtWork, org: &str, secret: &str) -> (Option<u16>, String) {
    let mut tx = desk.begin().await.unwrap();
    let step = desk.prepare_test_event(&mut tx, who, org, secret).await;
    let message = desk.settle(tx, step).await.unwrap();
    let answer = desk.deliver(&message).await;
    (answer.status, answer.text)
}

fn browser() -> Client {
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn get(url: &str) -> String {
    browser().get(url).send().await.unwrap().text().await.unwrap()
}

async fn click(site: &str, path: &str) -> Response {
    browser().post(format!("{site}{path}")).header("origin", site).send().await.unwrap()
}

/// The address of the mail that the inbox marks as encrypted.
async fn encrypted_mail(side: &str) -> String {
    let inbox = get(side).await;
    let line = inbox.lines().find(|line| line.contains("encrypted</span>")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

fn key_in(page: &str) -> String {
    let from = &page[page.find("whsec_").unwrap()..];
    from.split(|c: char| c.is_whitespace() || c == '<').next().unwrap().to_owned()
}

/// Decrypts with the real GnuPG, which has the Owner's private key and the platform's public one.
fn gpg_decrypts(story: &Story, message: &str) -> String {
    let private = std::fs::Permissions::from_mode(0o700);
    let home = tempfile::Builder::new().prefix("g").permissions(private).tempdir().unwrap();
    let run = |action: &str, input: &str| {
        let mut gpg = Command::new("gpg")
            .arg("--homedir")
            .arg(home.path())
            .args(["--batch", "--quiet", "--no-auto-key-locate", action])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs GnuPG (`gpg`)");
        gpg.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = gpg.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run("--import", &story.owner_pgp[0].private_key);
    run("--import", &story.platform_pgp.public_key);
    let clear = run("--decrypt", message);
    let agent = ["--kill", "gpg-agent"];
    drop(Command::new("gpgconf").arg("--homedir").arg(home.path()).args(agent).output());
    clear
}

/// Protects the demo itself: from the ticket to a message that the customer accepts.
#[tokio::test]
async fn a_ticket_is_carried_through_to_the_customer() {
    let mut playing = play().await;
    let who = signed_in(&playing.desk, &playing.demo.people()[0]).await;
    let (org, secret) = carry_out(&playing.desk, &who, "NOV-4801").await;
    let side = playing.side.clone();

    // Before the Owner has installed it, the old key still does.
    let answer = test_event(&playing.desk, &who, &org, &secret).await;
    assert_eq!(answer, (Some(200), "installed key: accepted".to_owned()));

    let mail = encrypted_mail(&side).await;
    let page = get(&format!("{side}{mail}")).await;
    assert!(page.contains("href=\"http://127.0.0.1:3000/acknowledge/"));
    assert!(!page.contains("whsec_"));
    let opened = click(&side, &format!("{mail}/decrypt")).await;
    assert_eq!(opened.status(), StatusCode::OK);
    let opened = opened.text().await.unwrap();
    assert!(opened.contains("The signature is valid.") && opened.contains(&secret));
    let key = key_in(&opened);

    let story = Story::load(playing.folder.path()).unwrap().unwrap();
    // gpg finds the message in the page by its marks, as it does in a mail.
    let clear = gpg_decrypts(&story, &page);
    assert_eq!(key_in(&clear), key);

    let installed = click(&side, &format!("{mail}/install")).await;
    assert_eq!(installed.status(), StatusCode::SEE_OTHER);
    assert_eq!(installed.headers()["location"], format!("/hooks#{secret}"));
    let both = (Some(200), "new key: accepted, old key: accepted".to_owned());
    assert_eq!(test_event(&playing.desk, &who, &org, &secret).await, both);
    assert!(get(&format!("{side}/hooks")).await.contains("new key: accepted, old key: accepted"));

    // After a restart, at another port, the mail and both keys are still there.
    let inbox = get(&side).await;
    drop(playing.demo);
    playing.desk.store.close().await;
    let (desk, demo, side) = start(playing.folder.path()).await;
    (playing.desk, playing.demo, playing.side) = (desk, demo, side.clone());
    assert_eq!(get(&side).await, inbox);
    assert_eq!(test_event(&playing.desk, &who, &org, &secret).await, both);
}

/// Protects the case of the leak: the old key signs nothing any more.
#[tokio::test]
async fn after_a_leak_only_the_new_key_is_accepted() {
    let playing = play().await;
    let who = signed_in(&playing.desk, &playing.demo.people()[1]).await;
    let (org, secret) = carry_out(&playing.desk, &who, "NOV-4802").await;
    let (status, text) = test_event(&playing.desk, &who, &org, &secret).await;
    assert_eq!((status, text.as_str()), (Some(401), "refused (installed key: refused)"));
    let mail = encrypted_mail(&playing.side).await;
    click(&playing.side, &format!("{mail}/install")).await;
    let (status, text) = test_event(&playing.desk, &who, &org, &secret).await;
    assert_eq!((status, text.as_str()), (Some(200), "new key: accepted, old key: refused"));
}

/// Protects the case of the token of somebody who left: the Owner takes the new one out of the mail,
/// it works, and the old one is refused.
#[tokio::test]
async fn a_vault_token_is_replaced_and_kept_by_the_customer() {
    let playing = play().await;
    let (desk, side) = (&playing.desk, &playing.side);
    let story = Story::load(playing.folder.path()).unwrap().unwrap();
    let old = story.vault_tokens.iter().find(|token| token.id == "vtk_3c8n5w2p").unwrap();
    let vault = EmbeddedVault::new(desk.store.clone(), desk.clock.clone(), desk.rng.clone());
    let look = async |token: &str| vault.lookup_self(&SecretString::from(token)).await.unwrap();
    let before = look(&old.token).await.expect("it works");
    assert_eq!(before.policies, ["default", "claims-import"]);

    let who = signed_in(desk, &playing.demo.people()[0]).await;
    let (_, secret) = carry_out(desk, &who, "NOV-4803").await;
    assert_eq!(secret, old.id);
    assert!(look(&old.token).await.is_none(), "the old one is refused");

    let mail = encrypted_mail(side).await;
    let opened = click(side, &format!("{mail}/decrypt")).await.text().await.unwrap();
    assert!(opened.contains("Keep as the new vault token") && !opened.contains("webhook key"));
    let kept = click(side, &format!("{mail}/keep")).await;
    assert_eq!(kept.headers()["location"], "/tokens#vtk_3c8n5w2p");
    let page = get(&format!("{side}/tokens")).await;
    assert!(page.contains("new token") && page.contains("old token"));
    let card = page.split("aria-labelledby=\"vtk_3c8n5w2p\"").nth(1).unwrap();
    let new = card.split("X-Vault-Token: ").nth(1).unwrap().split('&').next().unwrap();
    assert_ne!(new, old.token.as_str());
    assert_eq!(look(new).await.expect("the new one works").policies, before.policies);
    // The console is not served here, and the page says so instead of failing.
    let tried = click(side, "/tokens/vtk_3c8n5w2p/2/try").await;
    assert_eq!(tried.status(), StatusCode::SEE_OTHER);
    let nothing = click(side, "/tokens/vtk_3c8n5w2p/7/try").await;
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
}

/// Protects the case of the shared vault: the item is in it, with a key that the receiver takes,
/// and stays there when the demo is started again.
#[tokio::test]
async fn a_new_key_comes_into_the_shared_vault() {
    let mut playing = play().await;
    let side = playing.side.clone();
    let page = format!("{side}/vault");
    assert!(get(&page).await.contains("Nothing yet."));
    let who = signed_in(&playing.desk, &playing.demo.people()[0]).await;
    let (org, secret) = carry_out(&playing.desk, &who, "NOV-4814").await;

    let shown = get(&page).await;
    assert!(shown.contains(&format!("Webhook signing key {secret}, version")));
    let (open, concealed) = shown.split_once("<details>").unwrap();
    assert!(!open.contains("whsec_"), "it is behind a click");
    assert_eq!(concealed.matches("whsec_").count(), 1);
    playing.desk.send_due().await.unwrap();
    let inbox = get(&side).await;
    assert!(inbox.contains("Your new secret is in the shared vault"), "and the Owner is told");

    let form = shown.split("action=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let installed = click(&side, &form).await;
    assert_eq!(installed.headers()["location"], format!("/hooks#{secret}"));
    let both = (Some(200), "new key: accepted, old key: accepted".to_owned());
    assert_eq!(test_event(&playing.desk, &who, &org, &secret).await, both);
    assert_eq!(click(&side, "/vault/items/x/install").await.status(), StatusCode::NOT_FOUND);
    let elsewhere = browser().post(format!("{side}{form}")).header("origin", "http://evil.example");
    assert_eq!(elsewhere.send().await.unwrap().status(), StatusCode::FORBIDDEN);

    drop(playing.demo);
    playing.desk.store.close().await;
    (playing.desk, playing.demo, playing.side) = start(playing.folder.path()).await;
    assert_eq!(get(&format!("{}/vault", playing.side)).await, shown);

    // A script finds its way in by what demo.json says, and nobody does without.
    let story = Story::load(playing.folder.path()).unwrap().unwrap();
    let at = format!("{}/v1/vaults/{}", playing.side, story.shared_vaults.vaults[0].id);
    let ask = |token: &str| browser().get(&at).header("authorization", format!("Bearer {token}"));
    let good = ask(&story.shared_vaults.token).send().await.unwrap();
    assert_eq!(good.status(), StatusCode::OK);
    assert_eq!(ask("x").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(get(&at).await, r#"{"message":"Invalid token signature","status":401}"#);
}

/// Protects the case of the missing consent: the Owner's link is in the inbox, and after it the
/// ticket can be served.
#[tokio::test]
async fn the_owner_re_enables_consent_by_the_link_in_the_inbox() {
    let playing = play().await;
    let desk = &playing.desk;
    let who = signed_in(desk, &playing.demo.people()[0]).await;
    let mut tx = desk.begin().await.unwrap();
    let step = desk.request_consent(&mut tx, &who, "NOV-4806").await;
    desk.settle(tx, step).await.unwrap();
    desk.send_due().await.unwrap();

    let page = get(&format!("{}/mail/1", playing.side)).await;
    let link = page.split("href=\"http://127.0.0.1:3000/consent/").nth(1).unwrap();
    let link = SecretString::from(link.split('"').next().unwrap());
    let mut tx = desk.begin().await.unwrap();
    let step = desk.consent_by_link(&mut tx, &link, false, None).await;
    desk.settle(tx, step).await.unwrap();
    let mut conn = desk.store.read().await.unwrap();
    let case = desk.case(&mut conn, "NOV-4806", &who.staff.id, None).await.unwrap();
    assert!(case.verdict.eligible(), "{:?}", case.verdict.failed_names());
    assert!(tickets::by_id(&mut conn, "NOV-4806").await.unwrap().is_some());
}

/// Protects scripts: `demo.json` has this run's addresses, and people have their buttons.
#[tokio::test]
async fn each_start_writes_its_own_addresses() {
    let mut playing = play().await;
    let kept = |playing: &Playing| Story::load(playing.folder.path()).unwrap().unwrap();
    let first = kept(&playing);
    assert_eq!(
        (first.address.as_str(), &first.customer_side),
        ("http://127.0.0.1:3000", &playing.side)
    );
    assert_eq!(
        (first.services[0].name.as_str(), first.services[0].token.as_str()),
        ("introspection", "kti_token")
    );
    let people = playing.demo.people();
    let buttons: Vec<_> = people.iter().map(|p| (p.name.as_str(), p.role)).collect();
    let admin = StaffRole::PlatformAdmin;
    let expected =
        [("Ada Okafor", admin), ("Grace Lindqvist", admin), ("Ines Moreau", StaffRole::Auditor)];
    assert_eq!(buttons, expected);

    drop(playing.demo);
    playing.desk.store.close().await;
    let (desk, demo, side) = start(playing.folder.path()).await;
    (playing.desk, playing.demo, playing.side) = (desk, demo, side);
    let second = kept(&playing);
    assert_eq!(second.customer_side, playing.side);
    assert_ne!(second.customer_side, first.customer_side);
    assert_eq!(second.staff[0].password, first.staff[0].password);
}
