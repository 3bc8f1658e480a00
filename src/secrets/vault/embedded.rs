//! The embedded vault: service tokens with policies, a period, an accessor and an expiry, in
//! Keyturn's own database. Only the hash of a token is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{NewToken, NewlyMade, TokenFacts, TokenKind, Vault, VaultError, like_a_token};
use crate::clock::{Clock, Rng};
use crate::model::{Micros, time};
use crate::store::vault_tokens::{self, VaultToken};
use crate::store::{Store, StoreError, Tx};

/// What every token begins with, as in other vaults.
const PREFIX: &str = "hvs.";

/// The longest that a token lives without being renewed, in seconds: 768 hours, as in other
/// vaults.
const LONGEST: i64 = 768 * 3600;

/// The embedded vault.
pub struct EmbeddedVault {
    store: Store,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for EmbeddedVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmbeddedVault")
    }
}

fn hash(token: &SecretString) -> String {
    let digest = Sha256::digest(token.expose_secret().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn down(e: StoreError) -> VaultError {
    tracing::warn!(error = %e, "the embedded vault");
    VaultError::Unclear("the database does not answer".into())
}

impl EmbeddedVault {
    /// The vault in this database.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        Self { store, clock, rng }
    }

    /// Draws a token, and writes it through a connection in hand.
    ///
    /// # Errors
    /// Where it asks for what this vault does not have, or cannot be written.
    pub async fn create_on(
        &self,
        conn: &mut sqlx::AnyConnection,
        new: &NewToken,
    ) -> Result<NewlyMade, VaultError> {
        if new.policies.is_empty() || new.policies.iter().any(|policy| policy == "root") {
            return Err(VaultError::Refused("a token has policies, and never root".into()));
        }
        if !new.metadata.is_empty()
            || !new.bound_cidrs.is_empty()
            || new.role.is_some()
            || new.namespace.is_some()
        {
            return Err(VaultError::Refused(
                "the embedded vault has no metadata, networks, roles or namespaces".into(),
            ));
        }
        let random = |length: usize| {
            let mut bytes = Zeroizing::new(vec![0; length]);
            self.rng.fill(&mut bytes);
            Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes))
        };
        // 69 bytes are 92 letters: as long as the tokens of other vaults.
        let token = SecretString::from(format!("{PREFIX}{}", random(69).as_str()));
        let accessor = random(18).to_string();
        let lives = match (new.period_seconds, new.ttl_seconds) {
            (period, _) if period > 0 => period,
            (_, ttl) if ttl > 0 => ttl.min(LONGEST),
            _ => LONGEST,
        };
        let lives = match new.explicit_max_ttl_seconds {
            max if max > 0 => lives.min(max),
            _ => lives,
        };
        let now = self.clock.now();
        let row = VaultToken {
            accessor: accessor.clone(),
            token_hash: hash(&token),
            policies: serde_json::json!(new.policies).to_string(),
            period_seconds: new.period_seconds,
            ttl_seconds: lives,
            explicit_max_ttl_seconds: new.explicit_max_ttl_seconds,
            renewable: i64::from(new.renewable),
            display_name: match new.display_name.as_str() {
                "" => "token".to_owned(),
                name => format!("token-{name}"),
            },
            rotation_id: Some(new.rotation_id.clone()).filter(|id| !id.is_empty()),
            created_at: now,
            expires_at: now + lives * time::SECOND,
            revoked_at: None,
        };
        vault_tokens::insert(conn, &row).await.map_err(down)?;
        Ok(NewlyMade { token, accessor, seconds_left: Some(lives), renewable: new.renewable })
    }

    /// What the holder of a token may know of it; absent where the token does not work.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_self(
        &self,
        token: &SecretString,
    ) -> Result<Option<TokenFacts>, VaultError> {
        let mut conn = self.store.read().await.map_err(down)?;
        let now = self.clock.now();
        let found = vault_tokens::by_hash(&mut conn, &hash(token), now).await.map_err(down)?;
        found.map(|row| facts(row, now)).transpose()
    }

    /// Lets a token live for its period, or for as long as it was made for, from now on; absent
    /// where the token does not work.
    ///
    /// # Errors
    /// [`VaultError::Refused`] where it cannot be renewed.
    pub async fn renew_self(&self, token: &SecretString) -> Result<Option<TokenFacts>, VaultError> {
        let mut tx = self.store.begin().await.map_err(down)?;
        let now = self.clock.now();
        let found = vault_tokens::by_hash(tx.conn(), &hash(token), now).await.map_err(down)?;
        self.renewed(tx, found, now).await
    }

    async fn renewed(
        &self,
        mut tx: Tx,
        found: Option<VaultToken>,
        now: Micros,
    ) -> Result<Option<TokenFacts>, VaultError> {
        let Some(row) = found else { return Ok(None) };
        if row.renewable == 0 {
            return Err(VaultError::Refused("lease is not renewable".into()));
        }
        let mut until = now + row.ttl_seconds * time::SECOND;
        if row.explicit_max_ttl_seconds > 0 {
            until = until.min(row.created_at + row.explicit_max_ttl_seconds * time::SECOND);
        }
        if row.period_seconds == 0 {
            until = until.min(row.created_at + LONGEST * time::SECOND);
        }
        if !vault_tokens::renew(&mut tx, &row.accessor, until, now).await.map_err(down)? {
            return Ok(None);
        }
        tx.commit().await.map_err(down)?;
        facts(VaultToken { expires_at: until, ..row }, now).map(Some)
    }

    /// How long a token has left, in seconds.
    #[must_use]
    pub fn seconds_left(&self, facts: &TokenFacts) -> i64 {
        facts.expires_at.map_or(0, |at| ((at - self.clock.now()) / time::SECOND).max(0))
    }
}

fn facts(row: VaultToken, now: Micros) -> Result<TokenFacts, VaultError> {
    Ok(TokenFacts {
        accessor: row.accessor,
        policies: serde_json::from_str(&row.policies)
            .map_err(|_| VaultError::Unclear("its policies cannot be read".into()))?,
        period_seconds: row.period_seconds,
        ttl_seconds: row.ttl_seconds,
        explicit_max_ttl_seconds: row.explicit_max_ttl_seconds,
        kind: TokenKind::Service,
        orphan: true,
        seconds_left: Some((row.expires_at - now) / time::SECOND),
        expires_at: Some(row.expires_at),
        renewable: row.renewable != 0,
        display_name: row.display_name,
        uses_left: 0,
        bound_cidrs: Vec::new(),
        metadata: BTreeMap::new(),
        rotation_id: row.rotation_id,
        entity_id: None,
        identity_policies: Vec::new(),
        namespace: None,
        role: None,
        path: String::new(),
    })
}

#[async_trait]
impl Vault for EmbeddedVault {
    async fn lookup(&self, accessor: &str) -> Result<TokenFacts, VaultError> {
        let mut conn = self.store.read().await.map_err(down)?;
        let now = self.clock.now();
        let found = vault_tokens::by_accessor(&mut conn, accessor, now).await.map_err(down)?;
        facts(found.ok_or(VaultError::NoSuchToken)?, now)
    }

    async fn create(&self, new: &NewToken) -> Result<NewlyMade, VaultError> {
        let mut tx = self.store.begin().await.map_err(down)?;
        let made = self.create_on(tx.conn(), new).await?;
        tx.commit().await.map_err(down)?;
        Ok(made)
    }

    async fn revoke(&self, accessor: &str) -> Result<(), VaultError> {
        let mut tx = self.store.begin().await.map_err(down)?;
        vault_tokens::revoke(&mut tx, accessor, self.clock.now()).await.map_err(down)?;
        tx.commit().await.map_err(down)
    }

    async fn made_for(&self, rotation_id: &str) -> Result<Vec<String>, VaultError> {
        let mut conn = self.store.read().await.map_err(down)?;
        vault_tokens::of_rotation(&mut conn, rotation_id, self.clock.now()).await.map_err(down)
    }

    async fn renew(&self, accessor: &str) -> Result<Option<i64>, VaultError> {
        let mut tx = self.store.begin().await.map_err(down)?;
        let now = self.clock.now();
        let found = vault_tokens::by_accessor(tx.conn(), accessor, now).await.map_err(down)?;
        let renewed = self.renewed(tx, found, now).await?;
        Ok(renewed.ok_or(VaultError::NoSuchToken)?.seconds_left)
    }

    /// One that is not known may still be that of a vault that is set up later; a token that works,
    /// or looks like one, is refused.
    async fn is_accessor(&self, text: &str) -> Result<bool, VaultError> {
        let live = self.lookup_self(&SecretString::from(text)).await?.is_some();
        Ok(!live && !like_a_token(text))
    }

    async fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
