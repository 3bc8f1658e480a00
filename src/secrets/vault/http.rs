//! HashiCorp Vault and OpenBao, over their HTTP API, which is the same for these calls.
//!
//! A new token comes wrapped (response wrapping): what stands between Keyturn and the vault sees
//! a one-time token, and if somebody opened the wrapping first, Keyturn notices and revokes what
//! was in it.

mod wire;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use self::wire::{Answer, Auth, Keys, Looked, said, shortened};
use super::{NewToken, NewlyMade, TokenFacts, Vault, VaultError, as_asked};

/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);

/// The longest answer to a call, in bytes.
const LONGEST: usize = 256 * 1024;

/// The longest list of accessors, in bytes: some hundred thousand of them.
const LONGEST_LIST: usize = 16 * 1024 * 1024;

/// How long a new token waits in its wrapping: it is opened at once.
const WRAPPED_FOR: &str = "60s";

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
    token_role: Option<String>,
    /// The token of the last AppRole login.
    login: Mutex<Option<SecretString>>,
}

impl std::fmt::Debug for HttpVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpVault").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// One call.
struct Call<'a> {
    method: Method,
    path: &'a str,
    body: Option<Value>,
    wrapped: bool,
    longest: usize,
}

fn post(path: &str, body: Value) -> Call<'_> {
    Call { method: Method::POST, path, body: Some(body), wrapped: false, longest: LONGEST }
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
            token_role: address.token_role,
            login: Mutex::new(None),
        })
    }

    /// Sends a call with a token; what came back, whatever it says.
    async fn send(
        &self,
        call: &Call<'_>,
        token: Option<&SecretString>,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), VaultError> {
        let url = format!("{}/v1/{}", self.url.as_str().trim_end_matches('/'), call.path);
        let mut request = self.client.request(call.method.clone(), url);
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose_secret())
                .map_err(|_| VaultError::Denied("Keyturn's credential is not a token".into()))?;
            value.set_sensitive(true);
            request = request.header("x-vault-token", value);
        }
        if call.wrapped {
            request = request.header("x-vault-wrap-ttl", WRAPPED_FOR);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(|e| not_sent(&e))?;
        let status = answer.status();
        let mut body = Zeroizing::new(Vec::new());
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= call.longest => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => return Err(VaultError::Unclear("its answer is too long".into())),
                Ok(None) => return Ok((status, body)),
                Err(_) => return Err(VaultError::Unclear("its answer broke off".into())),
            }
        }
    }

    /// Makes a call as Keyturn. A login that has run out is made anew, once: a call that was
    /// refused for its token has done nothing.
    async fn call(&self, call: &Call<'_>) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let token = self.token(false).await?;
        let first = judged(self.send(call, Some(&token)).await?);
        match (&first, &self.credential) {
            (Err(VaultError::Denied(_)), Credential::AppRole { .. }) => {
                let token = self.token(true).await?;
                judged(self.send(call, Some(&token)).await?)
            }
            _ => first,
        }
    }

    /// Keyturn's own token.
    async fn token(&self, anew: bool) -> Result<SecretString, VaultError> {
        match &self.credential {
            Credential::TokenFile(file) => read(file).await,
            Credential::AppRole { role_id, secret_id_file } => {
                let mut held = self.login.lock().await;
                if let (Some(token), false) = (held.as_ref(), anew) {
                    return Ok(token.clone());
                }
                let secret_id = read(secret_id_file).await?;
                let body = json!({ "role_id": role_id, "secret_id": secret_id.expose_secret() });
                let call = post("auth/approle/login", body);
                let denied = |e| match e {
                    VaultError::Refused(why) => VaultError::Denied(why),
                    // Whatever became of the login, nothing was done for anybody.
                    VaultError::Unclear(why) => VaultError::Unreachable(why),
                    e => e,
                };
                let body = self.send(&call, None).await.and_then(judged).map_err(denied)?;
                let answer: Answer = wire::read(&body).map_err(denied)?;
                let auth = answer
                    .auth
                    .ok_or_else(|| VaultError::Denied("the login gave no token".into()))?;
                let token = SecretString::from(auth.client_token.as_str());
                *held = Some(token.clone());
                Ok(token)
            }
        }
    }

    /// Opens a wrapping. It works once.
    async fn unwrap(&self, wrapping: &SecretString) -> Result<Auth, VaultError> {
        let call = Call { body: None, ..post("sys/wrapping/unwrap", Value::Null) };
        let body = judged(self.send(&call, Some(wrapping)).await?)?;
        let answer: Answer = wire::read(&body)?;
        answer.auth.ok_or_else(|| VaultError::Unclear("there is no token in the wrapping".into()))
    }

    /// Takes a new token out of its wrapping, and makes sure that it is what was asked for.
    async fn take_out(
        &self,
        new: &NewToken,
        accessor: &str,
        wrapping: &SecretString,
    ) -> Result<SecretString, VaultError> {
        let auth = self.unwrap(wrapping).await.map_err(|e| {
            VaultError::Unclear(format!("the wrapping of the new token could not be opened ({e}); somebody else may have opened it"))
        })?;
        if auth.accessor != accessor {
            return Err(VaultError::Unclear("the wrapping holds another token".into()));
        }
        let made = self.lookup(accessor).await?;
        as_asked(new, &made)
            .map_err(|how| VaultError::Unclear(format!("the new token is not as asked: {how}")))?;
        Ok(SecretString::from(auth.client_token.as_str()))
    }

    /// Gets rid of a token that cannot be used; only then is it certain that nothing was done.
    async fn discard(&self, accessor: &str, why: &VaultError) -> VaultError {
        match self.revoke(accessor).await {
            Ok(()) => VaultError::Refused(format!("{why}; the new token was revoked")),
            Err(_) => VaultError::Unclear(why.to_string()),
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
        let path = match &self.token_role {
            Some(role) => format!("auth/token/create/{role}"),
            None => "auth/token/create-orphan".to_owned(),
        };
        let call = Call { wrapped: true, ..post(&path, wire::asked(new)) };
        let body = self.call(&call).await?;
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
                let why = VaultError::Unclear("the new token came without its wrapping".into());
                return Err(self.discard(&auth.accessor, &why).await);
            }
            _ => return Err(VaultError::Unclear("there is no token in its answer".into())),
        };
        if !wrapping.creation_path.ends_with(&path) {
            let why = VaultError::Unclear("the wrapping was made elsewhere".into());
            return Err(self.discard(&accessor, &why).await);
        }
        let opener = SecretString::from(wrapping.token.as_str());
        match self.take_out(new, &accessor, &opener).await {
            Ok(token) => Ok(NewlyMade { token, accessor }),
            Err(why) => Err(self.discard(&accessor, &why).await),
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
        let path = "auth/token/accessors/?list=true";
        let call = Call {
            method: Method::GET,
            body: None,
            longest: LONGEST_LIST,
            ..post(path, Value::Null)
        };
        let body = self.call(&call).await?;
        let all: Keys = wire::read(&body)?;
        let (mut found, mut looked_up, mut denied) = (Vec::new(), 0, None);
        for accessor in all.data.keys {
            match self.lookup(&accessor).await {
                Ok(facts) if facts.rotation_id.as_deref() == Some(rotation_id) => {
                    found.push(accessor);
                }
                Ok(_) => looked_up += 1,
                // It expired between the list and now.
                Err(VaultError::NoSuchToken) => {}
                // Vaults are known to have single accessors that nobody may look up.
                Err(e @ VaultError::Denied(_)) => denied = Some(e),
                Err(e) => return Err(e),
            }
        }
        match denied {
            Some(e) if looked_up == 0 && found.is_empty() => Err(e),
            _ => Ok(found),
        }
    }
}

/// The credential in a file.
async fn read(file: &std::path::Path) -> Result<SecretString, VaultError> {
    let text = tokio::fs::read_to_string(file).await.map(Zeroizing::new);
    match text {
        Ok(text) if !text.trim().is_empty() => Ok(SecretString::from(text.trim())),
        Ok(_) => Err(VaultError::Denied(format!("{} is empty", file.display()))),
        Err(e) => Err(VaultError::Denied(format!("{}: {e}", file.display()))),
    }
}

/// Why a call did not come through, and whether it may have arrived all the same.
fn not_sent(e: &reqwest::Error) -> VaultError {
    if e.is_connect() || e.is_builder() {
        let mut cause: &dyn std::error::Error = e;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        return VaultError::Unreachable(shortened(&cause.to_string()));
    }
    let why = if e.is_timeout() { "it did not answer in 10 seconds" } else { "the call broke off" };
    VaultError::Unclear(why.into())
}

/// What an answer's status and errors mean.
fn judged(
    (status, body): (StatusCode, Zeroizing<Vec<u8>>),
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    if status.is_success() {
        return Ok(body);
    }
    let said = said(status, &body);
    let lower = said.to_lowercase();
    // "bad token" is what is looked up; "invalid token" is Keyturn's own.
    let gone = lower.contains("invalid accessor") || lower.contains("bad token");
    Err(match status.as_u16() {
        400 | 403 | 404 if gone => VaultError::NoSuchToken,
        401 | 403 => VaultError::Denied(said),
        // 408 and 499 come from what stands between, which may have passed the call on.
        408 | 499 => VaultError::Unclear(said),
        300..=499 => VaultError::Refused(said),
        _ => VaultError::Unclear(said),
    })
}
