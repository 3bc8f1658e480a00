//! The settings about the vault whose tokens are replaced.

use std::path::PathBuf;

use url::Url;

/// Which vault, and what Keyturn may hand on of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultSettings {
    /// HashiCorp Vault or OpenBao; the embedded vault where absent.
    pub server: Option<VaultServer>,
    /// The policies that a new token may have; one that ends with `*` stands for all that begin
    /// so. Where there is none, no token is replaced.
    pub allowed_policies: Vec<String>,
}

/// A vault that is spoken to over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultServer {
    /// Where it is.
    pub url: Url,
    /// The namespace.
    pub namespace: Option<String>,
    /// By what Keyturn is known to it.
    pub credential: VaultCredential,
    /// The token role by which tokens are made.
    pub token_role: Option<String>,
    /// The file with a root certificate to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
}

/// By what Keyturn is known to the vault. What is secret of it stands in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultCredential {
    /// A token.
    TokenFile(PathBuf),
    /// An AppRole.
    AppRole {
        /// Its role id.
        role_id: String,
        /// The file with its secret id.
        secret_id_file: PathBuf,
    },
}

/// Reads the settings by their names, and adds what is wrong with them.
pub(super) fn read(
    text: impl Fn(&str) -> Option<String>,
    wrong: &mut Vec<String>,
) -> VaultSettings {
    let allowed_policies: Vec<String> = text("vault_allowed_policies")
        .unwrap_or_default()
        .split(',')
        .map(|policy| policy.trim().to_owned())
        .filter(|policy| !policy.is_empty())
        .collect();
    if allowed_policies.iter().any(|policy| policy == "*" || policy.eq_ignore_ascii_case("root")) {
        wrong.push(
            "vault_allowed_policies names policies, or how they begin (claims-*): not root, and not everything"
                .to_owned(),
        );
    }
    let name = |name: &str| {
        text(name).filter(|v| {
            !v.is_empty()
                && v.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
                && !v.contains("..")
        })
    };
    for setting in ["vault_namespace", "vault_token_role"] {
        if text(setting).is_some() && name(setting).is_none() {
            wrong.push(format!("{setting} has letters, digits, -, _, . and / only"));
        }
    }
    let credential = match (
        text("vault_token_file"),
        text("vault_approle_role_id"),
        text("vault_approle_secret_id_file"),
    ) {
        (Some(file), None, None) => Some(VaultCredential::TokenFile(file.into())),
        (None, Some(role_id), Some(file)) => {
            Some(VaultCredential::AppRole { role_id, secret_id_file: file.into() })
        }
        _ => None,
    };
    let Some(address) = text("vault_addr") else {
        for setting in [
            "vault_namespace",
            "vault_token_file",
            "vault_approle_role_id",
            "vault_approle_secret_id_file",
            "vault_token_role",
            "vault_ca_file",
        ] {
            if text(setting).is_some() {
                wrong.push(format!("{setting} is set without vault_addr: which vault is meant?"));
            }
        }
        return VaultSettings { server: None, allowed_policies };
    };
    if allowed_policies.is_empty() {
        wrong.push("vault_allowed_policies is missing: which policies may Keyturn hand on, e.g. default,claims-*".to_owned());
    }
    let url = Url::parse(&address).ok().filter(fit);
    if url.is_none() {
        wrong.push(
            "vault_addr is the address of a vault, e.g. https://vault.example:8200 (http:// only for this machine), with nothing after the port"
                .to_owned(),
        );
    }
    if credential.is_none() {
        wrong.push("the vault needs one of: vault_token_file; or vault_approle_role_id and vault_approle_secret_id_file".to_owned());
    }
    let server = url.zip(credential).map(|(url, credential)| VaultServer {
        url,
        namespace: name("vault_namespace"),
        credential,
        token_role: name("vault_token_role"),
        ca_file: text("vault_ca_file").map(PathBuf::from),
    });
    VaultSettings { server, allowed_policies }
}

/// A token must not go over a network in the clear, and belongs to no address.
fn fit(url: &Url) -> bool {
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    (url.scheme() == "https" || (url.scheme() == "http" && local))
        && url.host_str().is_some()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<VaultSettings, Vec<String>> {
        let mut wrong = Vec::new();
        let text = |name: &str| {
            pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        let read = read(text, &mut wrong);
        if wrong.is_empty() { Ok(read) } else { Err(wrong) }
    }

    const ADDR: (&str, &str) = ("vault_addr", "https://vault.example:8200");
    const FILE: (&str, &str) = ("vault_token_file", "/run/token");
    const POLICIES: (&str, &str) = ("vault_allowed_policies", "default, claims-*");

    #[test]
    fn without_an_address_it_is_the_embedded_vault() {
        let none = settings(&[]).unwrap();
        assert_eq!((none.server, none.allowed_policies), (None, vec![]));
        let some = settings(&[POLICIES]).unwrap();
        assert_eq!(some.allowed_policies, ["default", "claims-*"]);
        assert!(settings(&[FILE]).is_err(), "a token without a vault is a mistake");
    }

    #[test]
    fn a_vault_has_an_address_a_credential_and_policies() {
        let server = settings(&[ADDR, FILE, POLICIES]).unwrap().server.unwrap();
        assert_eq!(server.credential, VaultCredential::TokenFile("/run/token".into()));
        let role = [("vault_approle_role_id", "k"), ("vault_approle_secret_id_file", "/run/s")];
        let by_role = settings(&[ADDR, POLICIES, role[0], role[1]]).unwrap().server.unwrap();
        assert!(matches!(by_role.credential, VaultCredential::AppRole { .. }));
        for lacking in [
            &[ADDR, POLICIES][..],
            &[ADDR, FILE],
            &[ADDR, POLICIES, role[0]],
            &[ADDR, POLICIES, role[1]],
            &[ADDR, POLICIES, FILE, role[0], role[1]],
        ] {
            assert!(settings(lacking).is_err(), "{lacking:?}");
        }
    }

    /// Protects Keyturn's credential from the network, and the policy root from a slip.
    #[test]
    fn an_address_in_the_clear_and_the_policy_root_are_refused() {
        for good in ["http://127.0.0.1:8200", "https://vault.example/"] {
            assert!(settings(&[("vault_addr", good), FILE, POLICIES]).is_ok(), "{good}");
        }
        for bad in [
            "http://vault.example:8200",
            "https://user:pass@vault.example",
            "https://vault.example/v1",
            "https://vault.example/?a=b",
            "vault.example:8200",
            "unix:///run/vault",
            "",
        ] {
            assert!(settings(&[("vault_addr", bad), FILE, POLICIES]).is_err(), "{bad}");
        }
        for policies in ["root", "default,ROOT", "*"] {
            let wide = ("vault_allowed_policies", policies);
            assert!(settings(&[ADDR, FILE, wide]).is_err(), "{policies}");
        }
        for role in ["a b", "../x", "x?y"] {
            assert!(settings(&[ADDR, FILE, POLICIES, ("vault_token_role", role)]).is_err());
        }
    }
}
