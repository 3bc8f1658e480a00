//! What a token role makes of its tokens. It stands in no look-up of a token, and holds as long as
//! the token lives: a period, an explicit maximum. So the role is read; and where Keyturn may not
//! read it, the vault is asked to make a token by it that is revoked at once, unopened.

use serde_json::json;

use super::wire::{self, RoleRead};
use super::{HttpVault, calls::get};
use crate::secrets::vault::copied::in_words;
use crate::secrets::vault::{NewToken, TokenKind, VaultError};

/// Asked for where nothing is meant by it: what comes instead of it is the role's. Ten years.
const ENDLESS: i64 = 315_360_000;

/// How long a token lives, in seconds, that is made to find out about its role.
const BRIEFLY: i64 = 2;

/// A token role, as it holds for the tokens that it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) period_seconds: i64,
    pub(super) explicit_max_ttl_seconds: i64,
    pub(super) renewable: bool,
    pub(super) orphan: bool,
    pub(super) uses: i64,
    pub(super) bound_cidrs: Vec<String>,
    pub(super) kind: TokenKind,
}

impl HttpVault {
    /// The role by which a token is made, if it makes what is asked for; absent where none is in
    /// use.
    pub(super) async fn role_for(&self, new: &NewToken) -> Result<Option<Role>, VaultError> {
        let ours = self.token_role.as_deref();
        if let Some(other) = new.role.as_deref().filter(|role| Some(*role) != ours) {
            let by = ours.map_or("no role".to_owned(), |ours| format!("the role {ours}"));
            return Err(VaultError::Refused(format!(
                "the old token was made by the token role {other}, whose rules hold for it as long as it lives, and Keyturn makes tokens by {by} (vault_token_role)"
            )));
        }
        let Some(name) = ours else {
            if new.bound_cidrs.is_empty() {
                return Ok(None);
            }
            return Err(VaultError::Refused(format!(
                "the old token is bound to networks ({}), which only a token role can do, and Keyturn makes tokens by none (vault_token_role)",
                new.bound_cidrs.join(", ")
            )));
        };
        let role = match self.read_role(name).await {
            Err(VaultError::Denied(_)) => self.try_role(new).await?,
            read => read?,
        };
        role.makes(new).map_err(|how| {
            VaultError::Refused(format!("the token role {name} makes another token: {how}"))
        })?;
        Ok(Some(role))
    }

    pub(super) async fn read_role(&self, name: &str) -> Result<Role, VaultError> {
        let path = format!("auth/token/roles/{name}");
        // Not with a new login where it is refused: to be refused is usual here.
        let token = self.token(false).await?;
        let body = match self.patiently(&get(&path), Some(&token)).await {
            // A role that is not there is answered with nothing at all.
            Err(VaultError::Refused(_)) => {
                return Err(VaultError::Setup(format!("it has no token role {name}")));
            }
            other => other?,
        };
        Ok(wire::read::<RoleRead>(&body)?.data.into_role())
    }

    /// Finds out what the role does to a token by one that is revoked before it is opened.
    async fn try_role(&self, new: &NewToken) -> Result<Role, VaultError> {
        let body = json!({
            "policies": new.policies,
            "no_default_policy": !new.policies.iter().any(|policy| policy == "default"),
            "ttl": format!("{BRIEFLY}s"),
            "explicit_max_ttl": format!("{ENDLESS}s"),
            "renewable": true,
            "meta": { (crate::secrets::vault::ROTATION_KEY): new.rotation_id },
        });
        let (accessor, opener) = self.ask_for(body, &new.rotation_id).await?;
        let looked_up = self.lookup_new(&accessor).await;
        let why = "a token that was made to find out about its role".to_owned();
        if let left @ VaultError::Left { .. } = self.discard(&accessor, why).await {
            return Err(left);
        }
        let facts = looked_up?;
        // It is dead by now; what the vault said of it is in the wrapping, too.
        let said = self.unwrap(&opener).await.map_err(|e| match e {
            VaultError::Unclear(why) => VaultError::Refused(why),
            e => e,
        })?;
        Ok(Role {
            period_seconds: if facts.ttl_seconds == BRIEFLY { 0 } else { facts.ttl_seconds },
            explicit_max_ttl_seconds: said.warnings.iter().find_map(|w| lesser_max(w)).unwrap_or(0),
            renewable: facts.renewable,
            orphan: facts.orphan,
            uses: facts.uses_left,
            bound_cidrs: facts.bound_cidrs,
            kind: facts.kind,
        })
    }
}

/// The explicit maximum of a role, from the vault's word that it is less than what was asked for.
fn lesser_max(warning: &str) -> Option<i64> {
    let rest = warning.strip_prefix("Explicit max TTL specified both")?;
    let (_, seconds) = rest.split_once("lesser value of ")?;
    seconds.split_whitespace().next()?.parse().ok()
}

impl Role {
    /// Whether it makes what is asked for; otherwise in what it differs.
    fn makes(&self, new: &NewToken) -> Result<(), String> {
        // Tokens of one role: whatever it says of the one it says of the other.
        let same = new.role.is_some();
        let sorted = |texts: &[String]| {
            let mut texts = texts.to_vec();
            texts.sort();
            texts
        };
        let differs = |what: &str, its: i64, old: i64| {
            Err(format!("its {what} is {}, that of the old one {}", in_words(its), in_words(old)))
        };
        if self.kind != TokenKind::Service {
            return Err("a batch token".into());
        }
        if !self.orphan {
            return Err("one that is not an orphan".into());
        }
        if self.uses != 0 {
            return Err(format!("one that is good for {} uses", self.uses));
        }
        if new.renewable && !self.renewable {
            return Err("one that cannot be renewed".into());
        }
        if sorted(&self.bound_cidrs) != sorted(&new.bound_cidrs) {
            let list = |of: &[String]| {
                if of.is_empty() { "no networks".to_owned() } else { of.join(", ") }
            };
            return Err(format!(
                "one that is bound to {}, and the old one to {}",
                list(&self.bound_cidrs),
                list(&new.bound_cidrs)
            ));
        }
        if !same && self.period_seconds != 0 && self.period_seconds != new.period_seconds {
            return differs("period", self.period_seconds, new.period_seconds);
        }
        let max = self.explicit_max_ttl_seconds;
        if !same && max != 0 && max != new.explicit_max_ttl_seconds {
            return differs("explicit maximum", max, new.explicit_max_ttl_seconds);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_maximum_is_read_from_what_the_vault_says() {
        let said = "Explicit max TTL specified both during creation call and in role; using the lesser value of 7200 seconds";
        assert_eq!(lesser_max(said), Some(7200));
        let period = "Period specified both during creation call and in role; using the lesser value of 3600 seconds";
        assert_eq!(lesser_max(period), None);
        assert_eq!(lesser_max("Policy \"claims\" does not exist"), None);
    }
}
