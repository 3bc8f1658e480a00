//! Vault tokens: what Keyturn asks of a vault, and which tokens may be replaced by a copy.
//!
//! A vault is told apart from its answers only by its errors: whether a token was certainly not
//! made, or may have been. A rotation that cannot tell undoes it later, by the rotation's id.

pub mod embedded;
pub mod http;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod http_tests;

use std::collections::BTreeSet;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::model::Micros;

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
    /// Whether it can be renewed.
    pub renewable: bool,
    /// What the vault calls it.
    pub display_name: String,
    /// How many uses it has left; 0 for any number.
    pub uses_left: i64,
    /// Whether it works from certain networks only.
    pub bound_to_networks: bool,
    /// The rotation that made it.
    pub rotation_id: Option<String>,
}

/// The type of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Kept by the vault, with an accessor; can be renewed and revoked.
    Service,
    /// Not kept by the vault: it has no accessor and cannot be revoked.
    Batch,
    /// Something that Keyturn does not know.
    Other,
}

/// A token to be made. It is an orphan, of the service type.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// What the vault is to call it.
    pub display_name: String,
    /// The rotation: by it the token is found again when its answer was lost.
    pub rotation_id: String,
}

impl NewToken {
    /// A token that can do what an old one could.
    #[must_use]
    pub fn copy_of(old: &TokenFacts, rotation_id: &str) -> Self {
        // Vaults put "token-" in front of the name that was asked for.
        let name = old.display_name.strip_prefix("token-").unwrap_or(&old.display_name);
        Self {
            policies: old.policies.clone(),
            period_seconds: old.period_seconds,
            ttl_seconds: old.ttl_seconds,
            explicit_max_ttl_seconds: old.explicit_max_ttl_seconds,
            renewable: old.renewable,
            display_name: name.to_owned(),
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
}

/// Why a vault did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Nothing reached it: it has done nothing.
    #[error("the vault cannot be reached: {0}")]
    Unreachable(String),
    /// It has no such token, or no longer.
    #[error("the vault knows no token with this accessor: it has expired or was revoked")]
    NoSuchToken,
    /// It refuses Keyturn's own credential, or that may not do this.
    #[error("the vault refuses Keyturn itself: {0}")]
    Denied(String),
    /// It refuses what was asked, and has done nothing.
    #[error("the vault refuses it: {0}")]
    Refused(String),
    /// It is not known whether it did what it was asked.
    #[error("the vault did not say whether it was done: {0}")]
    Unclear(String),
}

impl VaultError {
    /// Whether it is certain that nothing was done.
    #[must_use]
    pub fn nothing_was_done(&self) -> bool {
        !matches!(self, VaultError::Unclear(_))
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

    /// Makes a token. What comes back is what was asked for: an orphan with exactly these
    /// policies and this period.
    ///
    /// # Errors
    /// [`VaultError::Unclear`] where it may have been made all the same; [`Vault::made_for`] then
    /// finds it.
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
}

/// Why a token is not replaced by a copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It can do everything.
    #[error("it has the policy root: a root token is never copied")]
    Root,
    /// It has no accessor and cannot be revoked.
    #[error("it is a batch token, which cannot be revoked; only service tokens are rotated")]
    NotService,
    /// It has no policies of its own.
    #[error("it has no policies of its own, so a copy could do nothing")]
    NoPolicies,
    /// It has policies that the deployment does not let Keyturn hand on.
    #[error("it has policies that may not be handed on here: {}", .0.join(", "))]
    NotAllowed(Vec<String>),
    /// It is good for a number of uses.
    #[error("it is good for a limited number of uses, which a copy would start anew")]
    LimitedUses,
    /// A copy could be used from more places.
    #[error("it is bound to certain networks, and a copy would not be")]
    BoundToNetworks,
}

/// Whether a token may be replaced by one with the same policies and period. `allowed` names
/// policies; one that ends with `*` stands for all that begin so. `root` is never allowed.
///
/// # Errors
/// The first reason why not.
pub fn may_be_copied(old: &TokenFacts, allowed: &[String]) -> Result<(), Refusal> {
    if old.policies.iter().any(|policy| policy.eq_ignore_ascii_case("root")) {
        return Err(Refusal::Root);
    }
    if old.kind != TokenKind::Service {
        return Err(Refusal::NotService);
    }
    if old.policies.is_empty() {
        return Err(Refusal::NoPolicies);
    }
    let within = |policy: &str| {
        allowed.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => policy.starts_with(beginning),
            None => policy == pattern,
        })
    };
    let beyond: BTreeSet<&String> = old.policies.iter().filter(|policy| !within(policy)).collect();
    if !beyond.is_empty() {
        return Err(Refusal::NotAllowed(beyond.into_iter().cloned().collect()));
    }
    if old.uses_left != 0 {
        return Err(Refusal::LimitedUses);
    }
    if old.bound_to_networks {
        return Err(Refusal::BoundToNetworks);
    }
    Ok(())
}

/// Whether a token is what was asked for; otherwise in what it differs.
fn as_asked(new: &NewToken, made: &TokenFacts) -> Result<(), &'static str> {
    let set = |policies: &[String]| policies.iter().cloned().collect::<BTreeSet<_>>();
    if made.kind != TokenKind::Service {
        return Err("it is not a service token");
    }
    if !made.orphan {
        return Err("it is not an orphan");
    }
    if set(&made.policies) != set(&new.policies) {
        return Err("it does not have the same policies");
    }
    if made.period_seconds != new.period_seconds {
        return Err("it does not have the same period");
    }
    if made.rotation_id.as_deref() != Some(&new.rotation_id) {
        return Err("it does not say which rotation made it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(policies: &[&str]) -> TokenFacts {
        TokenFacts {
            accessor: "a".into(),
            policies: policies.iter().map(|&p| p.into()).collect(),
            period_seconds: 3600,
            ttl_seconds: 3600,
            explicit_max_ttl_seconds: 0,
            kind: TokenKind::Service,
            orphan: true,
            expires_at: None,
            renewable: true,
            display_name: "token-claims".into(),
            uses_left: 0,
            bound_to_networks: false,
            rotation_id: None,
        }
    }

    /// Protects the vault from a copy that can do more than the deployment lets Keyturn hand on.
    #[test]
    fn what_may_not_be_handed_on_is_not_copied() {
        let allowed = ["default".to_owned(), "claims-*".to_owned()];
        let may = |facts: &TokenFacts| may_be_copied(facts, &allowed);
        assert_eq!(may(&facts(&["default", "claims-import"])), Ok(()));
        assert_eq!(may(&facts(&["claims-"])), Ok(()));
        for root in [&["root"][..], &["default", "root"], &["ROOT"]] {
            assert_eq!(may(&facts(root)), Err(Refusal::Root));
            assert_eq!(may_be_copied(&facts(root), &["*".to_owned()]), Err(Refusal::Root));
        }
        let refused = may(&facts(&["claims-import", "billing", "defaults", "admin"]));
        let beyond = ["admin", "billing", "defaults"].map(str::to_owned).to_vec();
        assert_eq!(refused, Err(Refusal::NotAllowed(beyond)));
        assert!(may_be_copied(&facts(&["default"]), &[]).is_err(), "nothing said, nothing allowed");
        assert_eq!(may(&facts(&[])), Err(Refusal::NoPolicies));
        for kind in [TokenKind::Batch, TokenKind::Other] {
            assert_eq!(may(&TokenFacts { kind, ..facts(&["default"]) }), Err(Refusal::NotService));
        }
        let limited = TokenFacts { uses_left: 3, ..facts(&["default"]) };
        assert_eq!(may(&limited), Err(Refusal::LimitedUses));
        let bound = TokenFacts { bound_to_networks: true, ..facts(&["default"]) };
        assert_eq!(may(&bound), Err(Refusal::BoundToNetworks));
    }

    /// Protects the customer from a new token that dies with its parent, or can do more or less.
    #[test]
    fn what_was_made_is_compared_with_what_was_asked_for() {
        let old = facts(&["default", "claims-import"]);
        let new = NewToken::copy_of(&old, "r1");
        assert_eq!(new.display_name, "claims", "the vault puts the prefix in front by itself");
        let good =
            TokenFacts { rotation_id: Some("r1".into()), ..facts(&["claims-import", "default"]) };
        assert_eq!(as_asked(&new, &good), Ok(()));
        let more = ["claims-import", "default", "more"].map(str::to_owned).to_vec();
        for bad in [
            TokenFacts { orphan: false, ..good.clone() },
            TokenFacts { kind: TokenKind::Batch, ..good.clone() },
            TokenFacts { policies: more, ..good.clone() },
            TokenFacts { policies: vec!["default".into()], ..good.clone() },
            TokenFacts { period_seconds: 0, ..good.clone() },
            TokenFacts { rotation_id: None, ..good.clone() },
        ] {
            assert!(as_asked(&new, &bad).is_err(), "{bad:?}");
        }
    }
}
