//! The document that `keyturn org import` reads: orgs as they are elsewhere. Consent is not in
//! it: only an Owner gives that.

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::delivery::mail::address::{NOT_MAILABLE, is_mailable};
use crate::desk::{Step, StepError};
use crate::model::{MemberRole, Standing};

/// The whole document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The orgs, by their short names.
    pub orgs: Vec<OrgEntry>,
}

/// One org.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgEntry {
    /// The short name, by which it is found again: lower-case letters, digits and dashes.
    pub slug: String,
    /// The name.
    pub name: String,
    /// The Owner of record.
    pub owner: OwnerEntry,
    /// The members. Who is in the database and not in here is left as they are.
    #[serde(default)]
    pub members: Vec<MemberEntry>,
    /// How a new secret reaches the Owner.
    pub runbook: Option<RunbookEntry>,
    /// Webhooks.
    #[serde(default)]
    pub webhooks: Vec<WebhookEntry>,
    /// Vault tokens.
    #[serde(default)]
    pub vault_tokens: Vec<VaultTokenEntry>,
    /// Gateways.
    #[serde(default)]
    pub gateways: Vec<GatewayEntry>,
}

/// Whom the contract names as Owner.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerEntry {
    /// The address of the member.
    pub email: String,
    /// Since when (RFC 3339). It counts for an org that is new here; an Owner who is named later
    /// is Owner from then on.
    pub since: Option<String>,
    /// Where the Owner's mail goes; the member's address where absent.
    pub address: Option<String>,
}

/// A member, by address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberEntry {
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
    /// The role.
    pub role: MemberRole,
    /// The standing.
    pub standing: Standing,
}

/// The runbook entry.
#[derive(Deserialize)]
#[serde(tag = "channel", rename_all = "snake_case", deny_unknown_fields)]
pub enum RunbookEntry {
    /// Mail encrypted to the Owner's key.
    Pgp {
        /// The public key, armored.
        pgp_key: String,
    },
    /// A vault that is shared with the customer.
    OnePassword {
        /// Its id.
        vault_id: String,
    },
}

/// A webhook.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEntry {
    /// The id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// Where its messages go.
    pub target: String,
    /// The signing key in use, `whsec_…`. It is sealed at once.
    pub key: Zeroizing<String>,
}

/// A vault token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultTokenEntry {
    /// The id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// What, or whom, it is pinned to.
    pub pinned_to: String,
    /// The accessor: what the vault knows the token by. Never the token itself.
    pub accessor: String,
}

/// A gateway.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayEntry {
    /// The id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// When its certificate ends (RFC 3339).
    pub expires_at: Option<String>,
}

// There are keys in it.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.orgs.iter().map(|o| &o.slug)).finish()
    }
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// Where it goes wrong, by line and column. Never what stands there: it may be a key.
    pub fn parse(text: &str) -> Result<Self, String> {
        if ["\"allow_platform_impersonation\"", "\"consent\""].iter().any(|w| text.contains(w)) {
            return Err(
                "consent cannot be imported: only the Owner gives it, with their own credential or by the link that they are sent"
                    .to_owned(),
            );
        }
        serde_json::from_str(text).map_err(|e| {
            format!(
                "the document does not read as one at line {}, column {}: a field is missing, unknown or of the wrong kind",
                e.line(),
                e.column()
            )
        })
    }
}

impl OrgEntry {
    pub(super) fn check(&self) -> Step<()> {
        let slug = !self.slug.is_empty()
            && self.slug.len() <= 60
            && self.slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !slug {
            return Err(StepError::Invalid(
                "an org's slug is up to 60 lower-case letters, digits and dashes",
            ));
        }
        if self.name.trim().is_empty() {
            return Err(StepError::Invalid("an org has a name"));
        }
        let members = self.members.iter().map(|m| m.email.as_str());
        let owner = [Some(self.owner.email.as_str()), self.owner.address.as_deref()];
        let mut addresses = members.chain(owner.into_iter().flatten());
        if let Some(address) = addresses.find(|address| !is_mailable(address.trim())) {
            // As it stands in the file, whatever is in it.
            let why = format!("{}: {NOT_MAILABLE}", address.escape_debug());
            return Err(StepError::NotPossible(why));
        }
        if self.members.iter().any(|m| m.name.trim().is_empty()) {
            return Err(StepError::Invalid("a member has an address and a name"));
        }
        // They stand in mails, rows and at terminals.
        let names = self.members.iter().map(|m| m.name.as_str()).chain([self.name.as_str()]);
        if names.into_iter().any(|name| name.chars().any(char::is_control)) {
            return Err(StepError::Invalid("a name is one line, without control characters"));
        }
        let ids = self.webhooks.iter().map(|w| (&w.id, &w.label));
        let ids = ids.chain(self.vault_tokens.iter().map(|v| (&v.id, &v.label)));
        let mut ids = ids.chain(self.gateways.iter().map(|g| (&g.id, &g.label)));
        if ids
            .any(|(id, label)| !crate::desk::ticket_copy::name_like(id) || label.trim().is_empty())
        {
            return Err(StepError::Invalid(
                "a secret has an id of up to 100 letters, digits, _, - and full stops, and a label",
            ));
        }
        if self.webhooks.iter().any(|w| !w.target.starts_with("https://")) {
            return Err(StepError::Invalid("a webhook's target begins with https://"));
        }
        Ok(())
    }
}
