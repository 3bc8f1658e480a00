//! What `serve --check` says of settings that are not good.

use crate::deployment::{Deployment, free_port};

/// What it says, which is that something is wrong.
fn wrong(deployment: &Deployment) -> String {
    let output = deployment.command(&["serve", "--check"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let good = String::from_utf8(output.stdout).unwrap();
    assert!(!good.contains("are good"), "{good}");
    said
}

/// Protects whoever sets it up from mending one thing after the other: all that is wrong is said at
/// once, each by the setting that it is about, and what does not depend on it is looked at.
#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let mut deployment = Deployment::new();
    let nobody = free_port();
    std::fs::write(deployment.folder.path().join("token"), "s.a-made-up-token").unwrap();
    deployment.settings = vec![
        ("KEYTURN_CA_FILE", "/nowhere/authorities.pem".to_owned()),
        ("KEYTURN_KEYS_FILE", "/nowhere/keys.json".to_owned()),
        ("KEYTURN_DATABASE_URL", format!("postgres://u:made-up@127.0.0.1:{nobody}/keyturn")),
        ("KEYTURN_FORWARD_HTTP", "https://logs.example/rows".to_owned()),
        ("KEYTURN_FORWARD_CA_FILE", "/nowhere/forward.pem".to_owned()),
        ("KEYTURN_FORWARD_CLIENT_CERT_FILE", "/nowhere/client.pem".to_owned()),
        ("KEYTURN_FORWARD_CLIENT_KEY_FILE", "/nowhere/client.key".to_owned()),
        ("KEYTURN_VAULT_ADDR", "https://vault.example:8200".to_owned()),
        ("KEYTURN_VAULT_TOKEN_FILE", "token".to_owned()),
        ("KEYTURN_VAULT_ALLOWED_POLICIES", "claims-*".to_owned()),
        ("KEYTURN_VAULT_CA_FILE", "/nowhere/vault.pem".to_owned()),
    ];
    let said = wrong(&deployment);
    for part in [
        "keyturn: ca_file /nowhere/authorities.pem: ",
        "/nowhere/keys.json: ",
        &format!("127.0.0.1:{nobody} does not answer"),
        "forward_ca_file /nowhere/forward.pem: ",
        "forward_client_cert_file /nowhere/client.pem: ",
        "forward_client_key_file /nowhere/client.key: ",
        "vault_ca_file /nowhere/vault.pem: ",
    ] {
        assert_eq!(said.matches(part).count(), 1, "{part}: {said}");
    }
    assert!(said.lines().all(|line| line.starts_with("keyturn: ")), "{said}");
    assert!(!said.contains("made-up"), "{said}");

    // A vault is asked whatever else is wrong.
    deployment.settings.retain(|(name, _)| *name != "KEYTURN_VAULT_CA_FILE");
    deployment.settings.retain(|(name, _)| *name != "KEYTURN_CA_FILE");
    deployment.settings.push(("KEYTURN_VAULT_ADDR", format!("http://127.0.0.1:{nobody}")));
    let said = wrong(&deployment);
    assert!(said.contains("keyturn: vault: ") && said.contains("cannot be reached"), "{said}");
    assert!(said.contains("/nowhere/keys.json: "), "{said}");

    // With one thing left, that one alone is said.
    deployment.settings = vec![("KEYTURN_CA_FILE", "/nowhere/authorities.pem".to_owned())];
    let said = wrong(&deployment);
    assert_eq!(said.lines().count(), 1, "{said}");
}
