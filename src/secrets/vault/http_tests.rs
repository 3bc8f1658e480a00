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
    assert!(matches!(vault.lookup(&accessor).await, Err(VaultError::Refused(_))));
    site.server.set(Fault::Sealed);
    let sealed = vault.lookup(&accessor).await.unwrap_err();
    assert_eq!(sealed, VaultError::Unclear("1 error occurred: Vault is sealed".into()));
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
        assert!(!facts.policies.contains(&"from-an-identity".to_owned()));
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
async fn a_credential_that_does_not_hold_is_named_by_its_file() {
    let site = Site::new().await;
    let wrong = by_file(&site.server.url, "hvs.not-a-token", &site.folder);
    let e = wrong.lookup("a").await.unwrap_err();
    assert!(matches!(&e, VaultError::Denied(why) if why.contains("invalid token")), "{e:?}");
    assert!(!e.to_string().contains("not-a-token"));
    std::fs::write(site.folder.path().join("token"), " \n").unwrap();
    let e = wrong.lookup("a").await.unwrap_err().to_string();
    assert!(e.contains("is empty"), "{e}");
    std::fs::remove_file(site.folder.path().join("token")).unwrap();
    let e = wrong.lookup("a").await.unwrap_err().to_string();
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
    assert!(matches!(without.lookup("a").await, Err(VaultError::Refused(_))));
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
