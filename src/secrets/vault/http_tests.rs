//! What the client refuses, and what it makes of a vault that fails.

use secrecy::ExposeSecret as _;

use super::contract::{by_file, new_token};
use super::http::{Address, Credential, HttpVault};
use super::*;
use crate::testing::vault_server::{Fault, ROOT, SECRET_ID, VaultServer};

struct Site {
    server: VaultServer,
    folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        Self { server: VaultServer::start().await, folder: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> HttpVault {
        by_file(&self.server.url, ROOT, &self.folder)
    }

    fn app_role(&self) -> HttpVault {
        let file = self.folder.path().join("secret-id");
        std::fs::write(&file, SECRET_ID).unwrap();
        HttpVault::new(Address {
            url: self.server.url.parse().unwrap(),
            namespace: None,
            credential: Credential::AppRole { role_id: "keyturn".into(), secret_id_file: file },
            token_role: Some("keyturn".into()),
            root_certificate: None,
        })
        .unwrap()
        .with_patience(std::time::Duration::from_millis(300))
    }
}

/// Protects the new token on its way: it is taken out of a wrapping, which opens once.
#[tokio::test]
async fn a_new_token_comes_wrapped() {
    let site = Site::new().await;
    let made = site.root().create(&new_token("r1")).await.unwrap();
    assert!(site.server.works(made.token.expose_secret()));
    assert_eq!(
        site.server.calls(),
        ["auth/token/create-orphan", "sys/wrapping/unwrap", "auth/token/lookup-accessor"]
    );
}

/// Protects the customer from a token that somebody saw, and from one that is not as asked: it is
/// revoked at once, and then nothing was done.
#[tokio::test]
async fn a_token_that_cannot_be_used_is_revoked_at_once() {
    for (fault, says) in [
        (Fault::NoWrapping, "without its wrapping"),
        (Fault::OpenedBefore, "somebody else may have opened it"),
        (Fault::MorePolicies, "the same policies"),
        (Fault::NotOrphan, "not an orphan"),
    ] {
        let site = Site::new().await;
        site.server.set(fault);
        let e = site.root().create(&new_token("r1")).await.unwrap_err();
        assert!(e.nothing_was_done(), "{fault:?}: {e}");
        assert!(e.to_string().contains(says), "{fault:?}: {e}");
        assert!(!e.to_string().contains("hvs."), "{e}");
        assert_eq!(site.server.count(), 0, "{fault:?}");
    }
}

/// Protects against taking a lost answer for a refusal: the token may be there, and is found.
#[tokio::test]
async fn an_answer_that_is_lost_leaves_it_open_and_the_token_is_found() {
    let site = Site::new().await;
    site.server.set(Fault::LosesNewTokens);
    let e = site.root().create(&new_token("r1")).await.unwrap_err();
    assert!(matches!(&e, VaultError::Unclear(why) if why.contains("broke off")), "{e:?}");
    site.server.set(Fault::None);
    assert_eq!(site.root().made_for("r1").await.unwrap().len(), 1);
}

/// Protects the server from a vault, or what pretends to be one.
#[tokio::test]
async fn what_is_no_proper_answer_is_none() {
    let site = Site::new().await;
    let accessor = site.server.plant("service", &["claims-import"], 60, 0);
    let vault = site.root();
    site.server.set(Fault::Redirects);
    let sent_on = vault.lookup(&accessor).await.unwrap_err();
    assert!(matches!(&sent_on, VaultError::Setup(why) if why.contains("http://127.0.0.1:9/")));
    site.server.set(Fault::Sealed);
    let sealed = vault.lookup(&accessor).await.unwrap_err();
    assert_eq!(sealed, VaultError::NotNow("it is sealed".into()));
    let sealed = vault.create(&new_token("r1")).await.unwrap_err();
    assert!(!sealed.nothing_was_done(), "it may have been sealed in mid-way: {sealed}");
    site.server.set(Fault::Endless);
    let endless = vault.lookup(&accessor).await.unwrap_err();
    assert_eq!(endless, VaultError::Unclear("its answer is too long".into()));
    let url = site.server.url.clone();
    drop(site.server);
    tokio::task::yield_now().await;
    let nobody = by_file(&url.replace("127.0.0.1", "127.0.0.2"), ROOT, &site.folder);
    let gone = nobody.revoke(&accessor).await.unwrap_err();
    assert!(matches!(gone, VaultError::Unreachable(_)), "{gone:?}");
    assert!(gone.nothing_was_done());
}

/// Protects the refusals: what the vault says of a token decides, not what is asked for.
#[tokio::test]
async fn root_batch_and_limited_tokens_are_seen_for_what_they_are() {
    let site = Site::new().await;
    let vault = site.root();
    let allowed = ["*".to_owned()];
    for (kind, policies, uses, refusal) in [
        ("service", &["root"][..], 0, Some(Refusal::Root)),
        ("batch", &["claims-import"], 0, Some(Refusal::NotService)),
        ("service", &["claims-import"], 3, Some(Refusal::LimitedUses)),
        ("service", &[], 0, Some(Refusal::NoPolicies)),
        ("service", &["claims-import"], 0, None),
    ] {
        let accessor = site.server.plant(kind, policies, 60, uses);
        let facts = vault.lookup(&accessor).await.unwrap();
        assert_eq!(may_be_copied(&facts, &allowed).err(), refusal, "{kind} {policies:?}");
    }
}

/// Protects a narrow credential of Keyturn's: by a role it can make what the role allows, and a
/// login that has run out is made anew.
#[tokio::test]
async fn an_app_role_with_a_token_role_suffices() {
    let site = Site::new().await;
    let vault = site.app_role();
    let made = vault.create(&new_token("r1")).await.unwrap();
    let logins = |site: &Site| {
        site.server.calls().iter().filter(|path| *path == "auth/approle/login").count()
    };
    assert_eq!(logins(&site), 1);
    site.server.forget_logins();
    vault.lookup(&made.accessor).await.unwrap();
    assert_eq!(logins(&site), 2, "once more, and then it is kept");
    assert_eq!(vault.made_for("r1").await.unwrap(), std::slice::from_ref(&made.accessor));
    vault.revoke(&made.accessor).await.unwrap();
    assert_eq!(logins(&site), 2);

    let beyond = NewToken { policies: vec!["billing".into()], ..new_token("r2") };
    let e = vault.create(&beyond).await.unwrap_err();
    assert!(matches!(&e, VaultError::Refused(why) if why.contains("subset")), "{e:?}");
    let bare = HttpVault::new(Address {
        url: site.server.url.parse().unwrap(),
        namespace: None,
        credential: Credential::AppRole {
            role_id: "keyturn".into(),
            secret_id_file: site.folder.path().join("secret-id"),
        },
        token_role: None,
        root_certificate: None,
    });
    let e = bare.unwrap().create(&new_token("r3")).await.unwrap_err();
    assert!(matches!(e, VaultError::Denied(_)), "without the role it may not: {e:?}");
}

/// Protects whoever sets it up: what is wrong with Keyturn's own credential is said, without it.
#[tokio::test]
async fn a_credential_that_does_not_hold_is_named_by_its_file_to_us_alone() {
    let site = Site::new().await;
    let wrong = by_file(&site.server.url, "hvs.not-a-token", &site.folder);
    let e = wrong.lookup("a").await.unwrap_err();
    assert!(matches!(&e, VaultError::Denied(why) if why.contains("invalid token")), "{e:?}");
    assert!(!e.to_string().contains("not-a-token"));
    std::fs::write(site.folder.path().join("token"), " \n").unwrap();
    let e = wrong.lookup("a").await.unwrap_err();
    assert!(e.to_operator().contains("is empty"), "{e}");
    let path = site.folder.path().to_str().unwrap();
    assert!(e.to_operator().contains(path) && !e.to_string().contains(path), "{e}");
    std::fs::remove_file(site.folder.path().join("token")).unwrap();
    let e = wrong.lookup("a").await.unwrap_err().to_operator();
    assert!(e.contains("No such file"), "{e}");
    let vault = site.app_role();
    std::fs::write(site.folder.path().join("secret-id"), "old").unwrap();
    let e = vault.lookup("a").await.unwrap_err();
    assert!(matches!(&e, VaultError::Denied(why) if why.contains("invalid role")), "{e:?}");
    assert_eq!(format!("{vault:?}"), format!("HttpVault {{ url: \"{}/\", .. }}", site.server.url));
}

/// Protects a customer's namespace from the one above it.
#[tokio::test]
async fn the_namespace_goes_with_every_call() {
    let server = VaultServer::start_in(Some("customers/harbor")).await;
    let folder = tempfile::tempdir().unwrap();
    let without = by_file(&server.url, ROOT, &folder);
    assert!(matches!(without.lookup("a").await, Err(VaultError::Setup(_))));
    let address = |namespace: &str| Address {
        url: server.url.parse().unwrap(),
        namespace: Some(namespace.into()),
        credential: Credential::TokenFile(folder.path().join("token")),
        token_role: None,
        root_certificate: None,
    };
    let within = HttpVault::new(address("customers/harbor")).unwrap();
    within.create(&new_token("r1")).await.unwrap();
    assert!(HttpVault::new(address("line\nbreak")).is_err());
    let broken = Address { root_certificate: Some(b"no PEM".to_vec()), ..address("x") };
    assert!(HttpVault::new(broken).is_err());
}

/// Protects a rotation from a vault that is restarted, elects another node or has a limit: what did
/// nothing is asked again, for a while, and what may have done something is not done twice.
#[tokio::test]
async fn what_does_not_work_at_present_is_asked_again() {
    for (status, text) in [
        (412, "required index state not present"),
        (429, "rate limit quota exceeded"),
        (472, ""),
        (473, ""),
        (500, "local node not active but active cluster node not found"),
    ] {
        let site = Site::new().await;
        let accessor = site.server.plant("service", &["claims-import"], 60, 0);
        site.server.say((0, 2), status, text, Some("0"));
        let vault = site.root();
        vault.lookup(&accessor).await.unwrap_or_else(|e| panic!("{status}: {e}"));
        site.server.say((0, 2), status, text, Some("0"));
        vault.create(&new_token("r1")).await.unwrap_or_else(|e| panic!("{status}: {e}"));
        assert_eq!(site.server.count(), 2, "{status}: one was made");
        // And not for ever.
        site.server.say((0, 1000), status, text, None);
        let made = vault.create(&new_token("r2")).await.unwrap_err();
        for e in
            [vault.lookup(&accessor).await.unwrap_err(), vault.revoke(&accessor).await.unwrap_err()]
        {
            assert!(matches!(e, VaultError::NotNow(_)) && e.nothing_was_done(), "{status}: {e:?}");
        }
        // A node that stops leading in the middle of making one says the same.
        let unclear = matches!(made, VaultError::Unclear(_));
        assert_eq!(unclear, status == 500, "{status}: {made:?}");
        assert_eq!(made.nothing_was_done(), status != 500, "{status}: {made:?}");
    }
    for (status, text) in [(500, "internal error"), (502, ""), (503, "Vault is sealed"), (504, "")]
    {
        let site = Site::new().await;
        let accessor = site.server.plant("service", &["claims-import"], 60, 0);
        let vault = site.root();
        site.server.say((0, 2), status, text, Some("0"));
        vault.lookup(&accessor).await.unwrap_or_else(|e| panic!("{status}: {e}"));
        site.server.say((0, 2), status, text, Some("0"));
        vault.revoke(&accessor).await.unwrap_or_else(|e| panic!("{status}: {e}"));
        let before = site.server.calls().len();
        site.server.say((0, 2), status, text, Some("0"));
        let e = vault.create(&new_token("r1")).await.unwrap_err();
        assert!(matches!(e, VaultError::Unclear(_)), "{status}: {e:?}");
        assert_eq!(site.server.calls().len(), before + 1, "{status}: asked for once");
    }
}

/// Protects the vault from us: as long as it asks to be left alone, it is.
#[tokio::test]
async fn retry_after_is_kept() {
    let site = Site::new().await;
    let accessor = site.server.plant("service", &["claims-import"], 60, 0);
    let vault = site.root().with_patience(std::time::Duration::from_secs(3));
    site.server.say((0, 1), 429, "rate limit quota exceeded", Some("1"));
    let began = tokio::time::Instant::now();
    vault.lookup(&accessor).await.unwrap();
    assert!(began.elapsed() >= std::time::Duration::from_secs(1));
    site.server.say((0, 1), 429, "rate limit quota exceeded", Some("60"));
    let began = tokio::time::Instant::now();
    let e = vault.lookup(&accessor).await.unwrap_err();
    assert!(matches!(&e, VaultError::NotNow(why) if why.contains("quota")), "{e}");
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "longer than anybody waits");
}

/// Protects the vault from being searched from the start for ever: a search that is cut short goes
/// on where it was.
#[tokio::test]
async fn a_search_goes_on_where_it_was() {
    let site = Site::new().await;
    for _ in 0..50 {
        site.server.plant("service", &["claims-import"], 60, 0);
    }
    let vault = site.root();
    vault.create(&new_token("r1")).await.unwrap();
    let before = site.server.calls().len();
    let mut passes = 0;
    let found = loop {
        passes += 1;
        site.server.say((21, 1000), 429, "rate limit quota exceeded", Some("60"));
        match vault.made_for("r1").await {
            Ok(found) => break found,
            Err(e) => assert!(matches!(e, VaultError::NotNow(_)), "{e:?}"),
        }
        assert!(passes < 10, "it gets to the end");
    };
    assert_eq!(found.len(), 1);
    let calls = site.server.calls().len() - before;
    assert!(calls <= 51 + 3 * passes, "each token is looked at once: {calls} in {passes}");
}

/// Protects from calling a rotation undone while its token lives: a vault that refuses Keyturn
/// itself in mid-way has not shown that nothing is left.
#[tokio::test]
async fn a_search_in_which_keyturn_is_refused_finds_nothing_out() {
    let site = Site::new().await;
    for _ in 0..5 {
        site.server.plant("service", &["claims-import"], 60, 0);
    }
    let vault = site.root();
    site.server.set(Fault::LosesNewTokens);
    vault.create(&new_token("r1")).await.unwrap_err();
    site.server.set(Fault::None);
    for after in 0..8 {
        site.server.say((after, 1000), 403, "permission denied", None);
        // One that has looked at nothing before: a list, and six look-ups.
        let e = site.root().made_for("r1").await;
        assert_eq!(e.is_ok(), after == 7, "after {after}: {e:?}");
        // One that goes on.
        let e = vault.made_for("r1").await;
        assert!(e.is_err() || e.as_ref().unwrap().len() == 1, "after {after}: {e:?}");
    }
    site.server.say((0, 0), 403, "", None);
    assert_eq!(vault.made_for("r1").await.unwrap().len(), 1);
}

/// Protects what is known: a token that was made, is of no use and is not revoked yet is named.
#[tokio::test]
async fn a_token_that_cannot_be_discarded_is_left_by_its_accessor() {
    let site = Site::new().await;
    site.server.set(Fault::MorePolicies);
    // The answer to the look-up is the third call; after it nothing is taken any more.
    site.server.say((3, 1000), 429, "rate limit quota exceeded", None);
    let e = site.root().create(&new_token("r1")).await.unwrap_err();
    let VaultError::Left { accessor, why } = &e else { panic!("{e:?}") };
    assert!(why.contains("the same policies") && !e.nothing_was_done(), "{why}");
    site.server.set(Fault::None);
    site.server.say((0, 0), 403, "", None);
    assert_eq!(site.root().made_for("r1").await.unwrap(), std::slice::from_ref(accessor));
}
