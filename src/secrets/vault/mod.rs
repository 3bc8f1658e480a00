//! Vault tokens: what Keyturn asks of a vault, and which tokens may be replaced by a copy.
//!
//! A vault is told apart from its answers only by its errors: whether a token was certainly not
//! made, or may have been. A rotation that cannot tell undoes it later, by the rotation's id.

mod copied;
pub mod embedded;
pub mod http;

use copied::as_asked;
pub use copied::{Refusal, may_be_copied};

#[cfg(test)]
mod contract;
#[cfg(test)]
mod http_tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::model::Micros;

/// Under which key of a token's metadata the rotation stands that made it.
pub const ROTATION_KEY: &str = "rotation_id";

/// What a vault says of a token, by its accessor. The token itself is never asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// The accessor.
    pub accessor: String,
    /// The token's own policies, without those that come from an identity.
    pub policies: Vec<String>,
    /// The period of a periodic token, in seconds; 0 for one that is not.
    pub period_seconds: i64,
    /// For how long it was made, in seconds; 0 for ever.
    pub ttl_seconds: i64,
    /// The longest it may ever live, in seconds; 0 where nothing is said.
    pub explicit_max_ttl_seconds: i64,
    /// Its type.
    pub kind: TokenKind,
    /// Whether it has no parent, with which it would die.
    pub orphan: bool,
    /// When it expires unless it is renewed; absent where it does not.
    pub expires_at: Option<Micros>,
    /// The same in seconds from when it was looked up: the vault's clock need not be ours.
    pub seconds_left: Option<i64>,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// What the vault calls it.
    pub display_name: String,
    /// How many uses it has left; 0 for any number.
    pub uses_left: i64,
    /// The networks that it works from, as the vault writes them; none for any.
    pub bound_cidrs: Vec<String>,
    /// Its metadata, without the rotation that made it.
    pub metadata: BTreeMap<String, String>,
    /// The rotation that made it.
    pub rotation_id: Option<String>,
    /// The entity of the identity that it belongs to.
    pub entity_id: Option<String>,
    /// Policies that it has through an identity, and not by itself.
    pub identity_policies: Vec<String>,
    /// The namespace that it is in; absent in the vault's root.
    pub namespace: Option<String>,
    /// The token role that it was made by. What a role says holds for its tokens as long as they
    /// live, and stands in no look-up.
    pub role: Option<String>,
    /// The path of the vault at which it was made; empty where nothing is said.
    pub path: String,
}

/// The type of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenKind {
    /// Kept by the vault, with an accessor; can be renewed and revoked.
    #[default]
    Service,
    /// Not kept by the vault: it has no accessor and cannot be revoked.
    Batch,
    /// Something that Keyturn does not know.
    Other,
}

/// A token to be made. It is an orphan, of the service type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewToken {
    /// Its policies, exactly.
    pub policies: Vec<String>,
    /// Its period, in seconds; 0 for a token that is not periodic.
    pub period_seconds: i64,
    /// How long it lives, in seconds, where it is not periodic.
    pub ttl_seconds: i64,
    /// The longest it may ever live, in seconds; 0 for no such limit.
    pub explicit_max_ttl_seconds: i64,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// What the vault is to call it, without what it puts in front by itself; empty for nothing.
    pub display_name: String,
    /// The networks that it is to work from; none for any.
    pub bound_cidrs: Vec<String>,
    /// Its metadata, without the rotation.
    pub metadata: BTreeMap<String, String>,
    /// The namespace that it is to be in.
    pub namespace: Option<String>,
    /// The token role of the token that it is to equal.
    pub role: Option<String>,
    /// The rotation: by it the token is found again when its answer was lost.
    pub rotation_id: String,
}

impl NewToken {
    /// A token that can do what an old one could.
    #[must_use]
    pub fn copy_of(old: &TokenFacts, rotation_id: &str) -> Self {
        // Vaults put "token-" in front of the name that was asked for, and call it "token" where
        // none was.
        let name = match old.display_name.as_str() {
            "token" => "",
            name => name.strip_prefix("token-").unwrap_or(name),
        };
        Self {
            policies: old.policies.clone(),
            period_seconds: old.period_seconds,
            ttl_seconds: old.ttl_seconds,
            explicit_max_ttl_seconds: old.explicit_max_ttl_seconds,
            renewable: old.renewable,
            display_name: name.to_owned(),
            bound_cidrs: old.bound_cidrs.clone(),
            metadata: old.metadata.clone(),
            namespace: old.namespace.clone(),
            role: old.role.clone(),
            rotation_id: rotation_id.to_owned(),
        }
    }
}

/// A token that was just made.
#[derive(Debug)]
pub struct NewlyMade {
    /// The token. Nobody but the customer may ever see it.
    pub token: SecretString,
    /// By what it is known from now on.
    pub accessor: String,
    /// How long it lives unless it is renewed, in seconds from when it was looked up: the vault's
    /// clock need not be ours. Absent where it does not expire.
    pub seconds_left: Option<i64>,
    /// Whether it can be renewed.
    pub renewable: bool,
}

/// Why a vault did not do what it was asked. Its words are for the customer's log, too: they name
/// no file of ours. What only whoever runs Keyturn may know is told by [`VaultError::to_operator`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Nothing reached it: it has done nothing.
    #[error("the vault cannot be reached: {0}")]
    Unreachable(String),
    /// It has no such token, or no longer.
    #[error("the vault knows no token with this accessor: it has expired or was revoked")]
    NoSuchToken,
    /// The accessor is none of a token in the namespace that Keyturn speaks to.
    #[error("the vault has no token with this accessor in Keyturn's namespace")]
    Elsewhere,
    /// It refuses Keyturn's own credential, or that may not do this.
    #[error("the vault refuses Keyturn itself: {0}")]
    Denied(String),
    /// Keyturn has no credential to show: the file with it, and what is wrong.
    #[error("Keyturn's own credential for the vault is not there")]
    Credential(String),
    /// It is not what the settings say: no such namespace, no such role. It has done nothing.
    #[error("Keyturn's settings do not fit the vault: {0}")]
    Setup(String),
    /// It does not work at present (sealed, no active node, too many requests), says so, and has
    /// done nothing.
    #[error("the vault does not work at present: {0}")]
    NotNow(String),
    /// It refuses what was asked, and has done nothing.
    #[error("the vault refuses it: {0}")]
    Refused(String),
    /// It is not known whether it did what it was asked.
    #[error("the vault did not say whether it was done: {0}")]
    Unclear(String),
    /// It made a token that is of no use, and has not revoked it yet.
    #[error("{why}; that token is still to be revoked")]
    Left {
        /// The token.
        accessor: String,
        /// Why it is of no use.
        why: String,
    },
}

impl VaultError {
    /// Whether it is certain that nothing was done.
    #[must_use]
    pub fn nothing_was_done(&self) -> bool {
        !matches!(self, VaultError::Unclear(_) | VaultError::Left { .. })
    }

    /// The same for whoever runs Keyturn, who may know where its files are.
    #[must_use]
    pub fn to_operator(&self) -> String {
        match self {
            VaultError::Credential(what) => format!("{self}: {what}"),
            other => other.to_string(),
        }
    }
}

/// A vault whose tokens Keyturn replaces.
#[async_trait]
pub trait Vault: Send + Sync + 'static {
    /// What the token with this accessor is.
    ///
    /// # Errors
    /// [`VaultError::NoSuchToken`] where there is none (any more).
    async fn lookup(&self, accessor: &str) -> Result<TokenFacts, VaultError>;

    /// Makes a token. What comes back was looked up, and is what was asked for in every property
    /// that a vault has: an orphan with exactly these policies, this period, and so on.
    ///
    /// # Errors
    /// [`VaultError::Refused`] where the vault would make another, in what it differs;
    /// [`VaultError::Unclear`] where it may have been made all the same, and [`Vault::made_for`]
    /// then finds it; [`VaultError::Left`] where it was and is known.
    async fn create(&self, new: &NewToken) -> Result<NewlyMade, VaultError>;

    /// Revokes the token with this accessor. One that is gone already is no error.
    ///
    /// # Errors
    /// Where the token may still work.
    async fn revoke(&self, accessor: &str) -> Result<(), VaultError>;

    /// The accessors of the live tokens that a rotation made.
    ///
    /// # Errors
    /// Where there may be some that were not found.
    async fn made_for(&self, rotation_id: &str) -> Result<Vec<String>, VaultError>;

    /// Lets the token with this accessor live longer, as its own holder could; how many seconds it
    /// lives then, which is absent where it does not expire.
    ///
    /// # Errors
    /// [`VaultError::NoSuchToken`] where it lives no more.
    async fn renew(&self, accessor: &str) -> Result<Option<i64>, VaultError>;

    /// Whether a text is the accessor of a live token, and not, for instance, a token.
    ///
    /// # Errors
    /// Where the vault cannot be asked.
    async fn is_accessor(&self, text: &str) -> Result<bool, VaultError> {
        match self.lookup(text).await {
            Ok(_) => Ok(true),
            Err(VaultError::NoSuchToken | VaultError::Elsewhere) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// What stands in the way of rotations, as far as it can be known without making a token; for
    /// whoever runs Keyturn.
    async fn problems(&self) -> Vec<String>;
}

/// Whether a text begins as tokens of vaults do, and is as long.
fn like_a_token(text: &str) -> bool {
    ["hvs.", "hvb.", "hvr.", "s.", "b.", "r."]
        .iter()
        .any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| rest.len() >= 20))
}
