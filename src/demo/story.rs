//! `demo.json`: what a script needs to play the demo's people. It holds passwords and private
//! keys, so only its owner can read it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::DemoError;
use crate::desk::keys::write_private;
use crate::model::{MemberRole, StaffRole};

/// Everything in `demo.json`.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Story {
    /// Where the console is.
    pub address: String,
    /// Where the customer's side is.
    pub customer_side: String,
    /// The demo's staff.
    pub staff: Vec<StaffSignIn>,
    /// The demo's customers, in the order of the tickets.
    pub orgs: Vec<OrgAccess>,
    /// The Owners' private keys, in the order of the tickets.
    pub owner_pgp: Vec<OwnerKey>,
    /// The platform's public key, for checking its signatures.
    pub platform_pgp: PlatformKey,
    /// Other services of the platform, that may ask whether a token is live.
    pub services: Vec<Service>,
    /// The webhooks as the customers have them.
    pub webhooks: Vec<Webhook>,
    /// The vault tokens as the customers have them.
    #[serde(default)]
    pub vault_tokens: Vec<VaultToken>,
    /// The 1Password vaults that customers share with the platform.
    #[serde(default)]
    pub shared_vaults: SharedVaults,
    /// The gateways whose agents run.
    #[serde(default)]
    pub gateways: Vec<GatewayAgent>,
    /// Where gateways connect to.
    #[serde(default)]
    pub gateway_listener: String,
}

// Passwords and private keys do not belong into a log.
impl std::fmt::Debug for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Story").field("orgs", &self.orgs.len()).finish_non_exhaustive()
    }
}

/// A member of staff who can sign in.
#[derive(Clone, Serialize, Deserialize)]
pub struct StaffSignIn {
    /// Address.
    pub email: String,
    /// Name.
    pub name: String,
    /// Role.
    pub role: StaffRole,
    /// Password.
    pub password: Zeroizing<String>,
}

/// A customer: who owns it, and credentials for the REST API.
#[derive(Clone, Serialize, Deserialize)]
pub struct OrgAccess {
    /// Short name.
    pub slug: String,
    /// Name.
    pub name: String,
    /// The name of the Owner of record.
    pub owner: String,
    /// The Owner's address on file.
    pub owner_email: String,
    /// Credentials.
    pub credentials: Vec<Credential>,
}

/// A credential of an org.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credential {
    /// What its holder is.
    pub role: MemberRole,
    /// The holder's address.
    pub member: String,
    /// The credential.
    pub token: Zeroizing<String>,
}

/// An Owner's private key.
#[derive(Clone, Serialize, Deserialize)]
pub struct OwnerKey {
    /// The org's short name.
    pub org: String,
    /// The address on file.
    pub email: String,
    /// The key, ASCII-armored, without a passphrase.
    pub private_key: Zeroizing<String>,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// The platform's public key, as an Owner would import it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct PlatformKey {
    /// The key, ASCII-armored.
    pub public_key: String,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// A service of the platform.
#[derive(Clone, Serialize, Deserialize)]
pub struct Service {
    /// What it is for.
    pub name: String,
    /// Its credential.
    pub token: Zeroizing<String>,
}

/// The shared vaults, and how the platform gets at them.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct SharedVaults {
    /// Where the 1Password Connect server is, without `/v1`.
    pub connect: String,
    /// Its access token.
    pub token: Zeroizing<String>,
    /// The vaults.
    pub vaults: Vec<SharedVault>,
}

/// A vault that a customer shares with the platform.
#[derive(Clone, Serialize, Deserialize)]
pub struct SharedVault {
    /// The org's short name.
    pub org: String,
    /// Its id.
    pub id: String,
}

/// A webhook, as its customer has it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Webhook {
    /// The org's short name.
    pub org: String,
    /// `whk_…`.
    pub id: String,
    /// What the customer calls it.
    pub label: String,
    /// The key that was installed when the story began.
    pub key: Zeroizing<String>,
}

/// A vault token, as its customer has it.
#[derive(Clone, Serialize, Deserialize)]
pub struct VaultToken {
    /// The org's short name.
    pub org: String,
    /// `vtk_…`.
    pub id: String,
    /// What the customer calls it.
    pub label: String,
    /// Its accessor.
    pub accessor: String,
    /// The token that was in use when the story began.
    pub token: Zeroizing<String>,
}

/// A gateway whose agent runs; its key and certificate are in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayAgent {
    /// The org's short name.
    pub org: String,
    /// `gw_…`.
    pub id: String,
    /// What the customer calls it.
    pub label: String,
}

impl Story {
    /// Where it is kept in a data folder.
    #[must_use]
    pub fn file_in(folder: &Path) -> PathBuf {
        folder.join("demo.json")
    }

    /// Reads it back; `None` where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read, or does not hold a story.
    pub fn load(folder: &Path) -> Result<Option<Self>, DemoError> {
        let file = Self::file_in(folder);
        match std::fs::read(&file) {
            Ok(text) => Ok(Some(
                serde_json::from_slice(&Zeroizing::new(text)).map_err(DemoError::json(&file))?,
            )),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(DemoError::io(&file)(e)),
        }
    }

    /// Writes it, readable for its owner alone.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), DemoError> {
        let file = Self::file_in(folder);
        let text = Zeroizing::new(serde_json::to_vec_pretty(self).map_err(DemoError::json(&file))?);
        replace_private(&file, &text).map_err(DemoError::io(&file))
    }
}

/// Replaces a file that only its owner can read, whole or not at all.
pub(super) fn replace_private(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let beside = file.with_extension("json.new");
    // The mode is given when the file is made; what an earlier attempt left is made anew.
    match std::fs::remove_file(&beside) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    write_private(&beside, content, true)?;
    std::fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects passwords and private keys from other accounts of the machine, on every write.
    #[test]
    fn it_is_written_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mut story = Story { address: "http://a".to_owned(), ..Story::default() };
        for port in 1..3 {
            story.customer_side = format!("http://127.0.0.1:{port}");
            std::fs::write(folder.path().join("demo.json.new"), "left over").unwrap();
            story.save(folder.path()).unwrap();
            let mode = std::fs::metadata(Story::file_in(folder.path())).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
            let again = Story::load(folder.path()).unwrap().unwrap();
            assert_eq!(again.customer_side, story.customer_side);
        }
        assert_eq!(format!("{story:?}"), "Story { orgs: 0, .. }");
    }

    /// Protects against taking a damaged story for none, and seeding over it.
    #[test]
    fn none_is_not_the_same_as_damaged() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Story::load(folder.path()).unwrap().is_none());
        std::fs::write(Story::file_in(folder.path()), "{").unwrap();
        assert!(matches!(Story::load(folder.path()), Err(DemoError::Json { .. })));
    }
}
