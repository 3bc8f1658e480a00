//! HashiCorp Vault and OpenBao, over their HTTP API, which is the same for these calls.
//!
//! A new token comes wrapped (response wrapping): what stands between Keyturn and the vault sees
//! a one-time token, and if somebody opened the wrapping first, Keyturn notices and revokes what
//! was in it.

mod calls;
mod check;
mod role;
mod search;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use self::calls::{CALL, Call, PATIENCE, post};
use self::role::Role;
use self::search::Seen;
use self::wire::{Answer, Auth, Looked, Renewed};
use super::{NewToken, NewlyMade, TokenFacts, Vault, VaultError, as_asked};

/// How long a new token is looked up again that a standby node does not know yet: those answer
/// look-ups by themselves, and are a moment behind.
const STANDBY_LAGS: [u64; 4] = [50, 150, 400, 900];

/// By what Keyturn is known to the vault.
pub enum Credential {
    /// A token in a file. It is read for every call, so that whoever renews it may replace it.
    TokenFile(PathBuf),
    /// An AppRole.
    AppRole {
        /// Its id.
        role_id: String,
        /// The file with its secret id.
        secret_id_file: PathBuf,
    },
}

/// Where a vault is, and how it is spoken to.
pub struct Address {
    /// `https://vault.example:8200`.
    pub url: Url,
    /// The namespace, where the vault has several.
    pub namespace: Option<String>,
    /// By what Keyturn is known to it.
    pub credential: Credential,
    /// The token role by which tokens are made; it must make orphans. Without one Keyturn's own
    /// credential must be allowed to make any orphan.
    pub token_role: Option<String>,
    /// A root certificate to trust besides the public ones, in PEM.
    pub root_certificate: Option<Vec<u8>>,
}

/// A vault that is spoken to over HTTP.
pub struct HttpVault {
    client: reqwest::Client,
    url: Url,
    credential: Credential,
    namespace: Option<String>,
    token_role: Option<String>,
    patience: Duration,
    /// The token of the last AppRole login.
    login: Mutex<Option<SecretString>>,
    /// What was looked at already of searches that were cut short, by their rotations.
    searches: Mutex<BTreeMap<String, Seen>>,
}

impl std::fmt::Debug for HttpVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpVault").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl HttpVault {
    /// A client for the vault at `address`. Nothing is sent yet.
    ///
    /// # Errors
    /// Where the namespace or the root certificate cannot be used.
    pub fn new(address: Address) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        // What the agents of a vault want to see, so that a forged address cannot reach them.
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        if let Some(namespace) = &address.namespace {
            let value = HeaderValue::from_str(namespace)
                .map_err(|_| "the vault's namespace cannot stand in a header".to_owned())?;
            headers.insert("x-vault-namespace", value);
        }
        let mut client = reqwest::Client::builder()
            // Followed by hand, by rules of our own: a token goes with them.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CALL / 2)
            .timeout(CALL)
            .default_headers(headers);
        if let Some(pem) = &address.root_certificate {
            let roots = reqwest::Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|roots| !roots.is_empty())
                .ok_or("the vault's root certificate is not PEM")?;
            for root in roots {
                client = client.add_root_certificate(root);
            }
        }
        Ok(Self {
            client: client.build().map_err(|_| "the vault's client could not be made")?,
            url: address.url,
            credential: address.credential,
            namespace: address.namespace,
            token_role: address.token_role,
            patience: PATIENCE,
            login: Mutex::new(None),
            searches: Mutex::default(),
        })
    }

    /// The same, which waits for another time for a vault that does not work at present.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Opens a wrapping. It works once.
    async fn unwrap(&self, wrapping: &SecretString) -> Result<Auth, VaultError> {
        let call = Call { body: None, ..post("sys/wrapping/unwrap", Value::Null) };
        let body = self.as_holder(&call, wrapping).await?;
        let answer: Answer = wire::read(&body)?;
        let warnings = answer.warnings;
        let auth = answer
            .auth
            .ok_or_else(|| VaultError::Unclear("there is no token in the wrapping".into()))?;
        Ok(Auth { warnings, ..auth })
    }

    /// Revokes what was made for a rotation, but this. Where that cannot be done it is not known
    /// what there is: whoever asked has it all undone.
    async fn revoke_others(&self, rotation_id: &str, made: Option<&str>) -> Result<(), VaultError> {
        let unclear = |e: VaultError| {
            VaultError::Unclear(format!("another node may have made a token as well: {e}"))
        };
        for other in self.search(rotation_id).await.map_err(unclear)? {
            if Some(other.as_str()) != made {
                tracing::warn!("a node that stopped leading had made a token: it is revoked");
                self.revoke(&other).await.map_err(unclear)?;
            }
        }
        Ok(())
    }

    /// Asks for a token, in a wrapping: its accessor, and what opens the wrapping. The accessor
    /// comes from outside of the wrapping, and has to be that of what is in it.
    async fn ask_for(
        &self,
        body: Value,
        rotation_id: &str,
    ) -> Result<(String, SecretString), VaultError> {
        let path = match &self.token_role {
            Some(role) => format!("auth/token/create/{role}"),
            None => "auth/token/create-orphan".to_owned(),
        };
        let call = Call { wrapped: true, once: true, ..post(&path, body) };
        let asked = self.call(&call).await;
        if call.sent_on.load(Ordering::Relaxed) {
            // A node that stopped leading meanwhile may have made one as well.
            let made = asked.as_ref().ok().and_then(|body| wire::read::<Answer>(body).ok());
            let wrapping = made.and_then(|answer| answer.wrap_info);
            let made = wrapping.map(|wrapping| wrapping.wrapped_accessor.clone());
            self.revoke_others(rotation_id, made.as_deref()).await?;
        }
        let body = asked?;
        let answer: Answer = wire::read(&body)?;
        let (wrapping, accessor) = match (answer.wrap_info, answer.auth) {
            (Some(wrapping), None) => {
                let accessor = wrapping.wrapped_accessor.clone();
                if accessor.is_empty() {
                    return Err(VaultError::Unclear("the wrapping names no accessor".into()));
                }
                (wrapping, accessor)
            }
            // The token came bare: whatever stands between has seen it.
            (_, Some(auth)) if !auth.accessor.is_empty() => {
                let why = "the new token came without its wrapping".to_owned();
                return Err(self.discard(&auth.accessor, why).await);
            }
            _ => return Err(VaultError::Unclear("there is no token in its answer".into())),
        };
        if !wrapping.creation_path.ends_with(&path) {
            return Err(self.discard(&accessor, "the wrapping was made elsewhere".into()).await);
        }
        Ok((accessor, SecretString::from(wrapping.token.as_str())))
    }

    /// Takes a new token out of its wrapping, and makes sure that it is what was asked for, as it
    /// is now in the vault; or why it is of no use.
    async fn take_out(
        &self,
        new: &NewToken,
        role: Option<&Role>,
        accessor: &str,
        wrapping: &SecretString,
    ) -> Result<NewlyMade, String> {
        let auth = self.unwrap(wrapping).await.map_err(|e| {
            format!("the wrapping of the new token could not be opened ({e}); somebody else may have opened it")
        })?;
        if auth.accessor != accessor {
            return Err("the wrapping holds another token".into());
        }
        let made = self.lookup_new(accessor).await.map_err(|e| e.to_string())?;
        as_asked(new, &made, role.map_or(0, |role| role.period_seconds))
            .map_err(|how| format!("the new token is not the old one's equal: {how}"))?;
        Ok(NewlyMade {
            token: SecretString::from(auth.client_token.as_str()),
            accessor: accessor.to_owned(),
            seconds_left: made.seconds_left,
            renewable: made.renewable,
        })
    }

    /// Looks up a token that was made a moment ago.
    async fn lookup_new(&self, accessor: &str) -> Result<TokenFacts, VaultError> {
        for lag in STANDBY_LAGS {
            match self.lookup(accessor).await {
                Err(VaultError::NoSuchToken) => {
                    tokio::time::sleep(Duration::from_millis(lag)).await;
                }
                other => return other,
            }
        }
        self.lookup(accessor).await
    }

    /// Gets rid of a token that cannot be used; only then is it certain that nothing was done.
    async fn discard(&self, accessor: &str, why: String) -> VaultError {
        match self.revoke(accessor).await {
            Ok(()) => VaultError::Refused(format!("{why}; the new token was revoked")),
            Err(e) => {
                tracing::warn!(error = %e, "a new token that is of no use is not revoked yet");
                VaultError::Left { accessor: accessor.to_owned(), why }
            }
        }
    }
}

#[async_trait]
impl Vault for HttpVault {
    async fn lookup(&self, accessor: &str) -> Result<TokenFacts, VaultError> {
        let call = post("auth/token/lookup-accessor", json!({ "accessor": accessor }));
        let body = self.call(&call).await?;
        let answer: Looked = wire::read(&body)?;
        let facts = answer.data.into_facts()?;
        if facts.accessor != accessor {
            return Err(VaultError::Unclear("it told of another token".into()));
        }
        Ok(facts)
    }

    async fn create(&self, new: &NewToken) -> Result<NewlyMade, VaultError> {
        let role = self.role_for(new).await?;
        let asked = wire::asked(new, role.as_ref());
        let (accessor, opener) = self.ask_for(asked, &new.rotation_id).await?;
        match self.take_out(new, role.as_ref(), &accessor, &opener).await {
            Ok(made) => Ok(made),
            Err(why) => Err(self.discard(&accessor, why).await),
        }
    }

    async fn revoke(&self, accessor: &str) -> Result<(), VaultError> {
        let call = post("auth/token/revoke-accessor", json!({ "accessor": accessor }));
        match self.call(&call).await {
            Ok(_) | Err(VaultError::NoSuchToken) => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn made_for(&self, rotation_id: &str) -> Result<Vec<String>, VaultError> {
        self.search(rotation_id).await
    }

    async fn renew(&self, accessor: &str) -> Result<Option<i64>, VaultError> {
        let call = post("auth/token/renew-accessor", json!({ "accessor": accessor }));
        let body = self.call(&call).await?;
        let _: Renewed = wire::read(&body)?;
        Ok(self.lookup(accessor).await?.seconds_left)
    }

    async fn problems(&self) -> Vec<String> {
        self.look_for_problems().await
    }
}
