//! One call to a vault: sent, sent on to where a standby node points, tried again where that is
//! safe, and judged by what came back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::wire::{self, Answer, said, shortened};
use super::{Credential, HttpVault};
use crate::secrets::vault::VaultError;

/// How long one call may take.
pub(super) const CALL: Duration = Duration::from_secs(10);

/// For how long a call is tried again that has done nothing: a node is restarted, or another one
/// elected, within this time.
pub(super) const PATIENCE: Duration = Duration::from_secs(7);

/// The first pause between two attempts, where the vault does not say how long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest answer to a call, in bytes.
const LONGEST: usize = 256 * 1024;

/// How long a new token waits in its wrapping: it is opened at once.
const WRAPPED_FOR: &str = "60s";

/// How often one call is sent on: from a standby node to the active one, and once more where that
/// has changed meanwhile.
const SENT_ON: usize = 2;

/// One call.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<Value>,
    pub(super) wrapped: bool,
    /// Whether to do it twice is not the same as to do it once.
    pub(super) once: bool,
    pub(super) longest: usize,
    /// Whether a node sent it on, or said that it does not lead: one that stops leading in the
    /// middle of a call says the same, and may have done it.
    pub(super) sent_on: AtomicBool,
}

pub(super) fn post(path: &str, body: Value) -> Call<'_> {
    Call {
        method: Method::POST,
        path,
        body: Some(body),
        wrapped: false,
        once: false,
        longest: LONGEST,
        sent_on: AtomicBool::new(false),
    }
}

pub(super) fn get(path: &str) -> Call<'_> {
    Call { method: Method::GET, body: None, ..post(path, Value::Null) }
}

/// What came back, whatever it says.
pub(super) struct Came {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Why a call did not do it, and whether it may be made again.
struct Failed {
    why: VaultError,
    again: bool,
    after: Option<Duration>,
}

impl HttpVault {
    /// Sends a call with a token, and on to where it is sent; what came back at last.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        token: Option<&SecretString>,
    ) -> Result<Came, VaultError> {
        let url = format!("{}/v1/{}", self.url.as_str().trim_end_matches('/'), call.path);
        let mut at = Url::parse(&url).map_err(|_| VaultError::Setup("its address".into()))?;
        for _ in 0..=SENT_ON {
            let came = self.send_to(&at, call, token).await?;
            if !came.status.is_redirection() {
                return Ok(came);
            }
            call.sent_on.store(true, Ordering::Relaxed);
            let location = came.headers.get(LOCATION).and_then(|v| v.to_str().ok());
            at = sent_on(&at, came.status, location)?;
        }
        Err(VaultError::NotNow(format!("its nodes send Keyturn on to one another, last to {at}")))
    }

    async fn send_to(
        &self,
        url: &Url,
        call: &Call<'_>,
        token: Option<&SecretString>,
    ) -> Result<Came, VaultError> {
        let mut request = self.client.request(call.method.clone(), url.clone());
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
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut body = Zeroizing::new(Vec::new());
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= call.longest => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => return Err(VaultError::Unclear("its answer is too long".into())),
                Ok(None) => return Ok(Came { status, headers, body }),
                Err(_) => return Err(VaultError::Unclear("its answer broke off".into())),
            }
        }
    }

    /// Makes a call with a token, again and again while that is safe and can help.
    pub(super) async fn patiently(
        &self,
        call: &Call<'_>,
        token: Option<&SecretString>,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let failed = match self.send(call, token).await {
                Ok(came) => match self.judged(call, came) {
                    Ok(body) => return Ok(body),
                    Err(failed) => failed,
                },
                Err(why) => {
                    let again = match &why {
                        VaultError::Unreachable(_) | VaultError::NotNow(_) => true,
                        VaultError::Unclear(_) => !call.once,
                        _ => false,
                    };
                    Failed { why, again, after: None }
                }
            };
            let wait = failed.after.unwrap_or(pause);
            if !failed.again || !is_within(began.elapsed(), wait, self.patience) {
                return Err(failed.why);
            }
            tracing::debug!(path = call.path, why = %failed.why, "the vault is asked again");
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    /// Makes a call as Keyturn. A login that has run out is made anew, once: a call that was
    /// refused for its token has done nothing.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let token = self.token(false).await?;
        let first = self.patiently(call, Some(&token)).await;
        match (&first, &self.credential) {
            (Err(VaultError::Denied(_)), Credential::AppRole { .. }) => {
                let token = self.token(true).await?;
                self.patiently(call, Some(&token)).await
            }
            _ => first,
        }
    }

    /// Makes a call, once, with another token than Keyturn's.
    pub(super) async fn as_holder(
        &self,
        call: &Call<'_>,
        token: &SecretString,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let call = Call {
            method: call.method.clone(),
            body: call.body.clone(),
            once: true,
            ..post(call.path, Value::Null)
        };
        self.patiently(&call, Some(token)).await
    }

    /// Keyturn's own token.
    pub(super) async fn token(&self, anew: bool) -> Result<SecretString, VaultError> {
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
                let body = self.patiently(&call, None).await.map_err(denied)?;
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

    /// What an answer's status and errors mean.
    fn judged(&self, call: &Call<'_>, came: Came) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let Came { status, headers, body } = came;
        if status.is_success() {
            return Ok(body);
        }
        let said = said(status, &body);
        let lower = said.to_lowercase();
        let never = |why| Failed { why, again: false, after: None };
        let not_now = |why: String| Failed {
            why: VaultError::NotNow(why),
            again: true,
            after: retry_after(&headers),
        };
        // "bad token" is what is looked up; "invalid token" is Keyturn's own.
        let gone = lower.contains("invalid accessor") || lower.contains("bad token");
        Err(match status.as_u16() {
            400 | 403 | 404 if gone => never(VaultError::NoSuchToken),
            404 if lower.contains("namespace not found") => {
                let name = self.namespace.as_deref().unwrap_or_default();
                never(VaultError::Setup(format!(
                    "it has no namespace {name}, or none by this name"
                )))
            }
            400 if lower.contains("unknown role") => {
                let name = self.token_role.as_deref().unwrap_or_default();
                never(VaultError::Setup(format!("it has no token role {name}")))
            }
            404 if lower.contains("no handler for route") => never(VaultError::Setup(said)),
            // What an accessor says that names no namespace, asked for in one.
            500 if lower.contains("different namespace") => never(VaultError::Elsewhere),
            401 | 403 => never(VaultError::Denied(said)),
            // Its state is behind what was written before; of a limit; standby nodes that do not
            // answer: what is answered so has done nothing.
            412 | 429 => not_now(said),
            472 | 473 => not_now("the node that answers is a standby, and none is active".into()),
            500 | 503 if no_active(&lower) => {
                call.sent_on.store(true, Ordering::Relaxed);
                not_now(said)
            }
            // Of a call that is made once it is not known whether it was sealed in mid-way.
            503 if lower.contains("sealed") && !call.once => not_now("it is sealed".into()),
            // 408 and 499 come from what stands between, which may have passed the call on.
            408 | 499 | 500..=599 => Failed {
                why: VaultError::Unclear(said),
                again: !call.once,
                after: retry_after(&headers),
            },
            300..=499 => never(VaultError::Refused(said)),
            _ => never(VaultError::Unclear(said)),
        })
    }
}

/// What a node says that knows of no active one: it has passed nothing on.
fn no_active(lower: &str) -> bool {
    lower.contains("active cluster node not found") || lower.contains("node not active")
}

/// Whether there is time for a wait. Whoever stands between may name any number of seconds.
fn is_within(elapsed: Duration, wait: Duration, patience: Duration) -> bool {
    elapsed.saturating_add(wait) <= patience
}

/// How long to wait, in seconds; a date is not looked at.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Where a call is sent on to. Keyturn's token goes with it: only to the same call at another
/// node, and never in the clear over a network.
fn sent_on(from: &Url, status: StatusCode, location: Option<&str>) -> Result<Url, VaultError> {
    let refused = |why: &str| {
        let to = shortened(location.unwrap_or("nowhere"));
        Err(VaultError::Setup(format!("it sends Keyturn on to {to}, which is not followed: {why}")))
    };
    if !matches!(status.as_u16(), 307 | 308) {
        return refused("only 307 and 308 are");
    }
    let Some(to) = location.and_then(|location| from.join(location).ok()) else {
        return refused("it is no address");
    };
    let at_home = |url: &Url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let in_the_clear = to.scheme() == "http" && from.scheme() == "http" && at_home(&to);
    if to.scheme() != "https" && !in_the_clear {
        return refused("it is not https");
    }
    if to.path() != from.path()
        || to.query() != from.query()
        || !to.username().is_empty()
        || to.password().is_some()
    {
        return refused("it is not the same call at another node");
    }
    Ok(to)
}

/// The credential in a file.
async fn read(file: &std::path::Path) -> Result<SecretString, VaultError> {
    let text = tokio::fs::read_to_string(file).await.map(Zeroizing::new);
    let wrong = match text {
        Ok(text) if !text.trim().is_empty() => return Ok(SecretString::from(text.trim())),
        Ok(_) => format!("{} is empty", file.display()),
        Err(e) => format!("{}: {e}", file.display()),
    };
    tracing::error!(wrong, "Keyturn's own credential for the vault");
    Err(VaultError::Credential(wrong))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects Keyturn's token from an address that is not the vault's: it goes with a call that
    /// is sent on.
    /// Protects whoever works the outbox off from one header.
    #[test]
    fn a_wait_as_long_as_a_number_can_be_is_too_long() {
        let seconds = Duration::from_secs;
        assert!(is_within(seconds(2), seconds(5), seconds(7)));
        assert!(!is_within(seconds(2), seconds(6), seconds(7)));
        assert!(!is_within(seconds(2), seconds(u64::MAX), seconds(7)));
    }

    #[test]
    fn a_call_is_sent_on_to_another_node_only() {
        let go = |from: &str, status: u16, to: Option<&str>| {
            let from = Url::parse(from).unwrap();
            sent_on(&from, StatusCode::from_u16(status).unwrap(), to).map(|url| url.to_string())
        };
        let from = "https://vault.example:8200/v1/auth/token/lookup-accessor";
        let other = "https://node-2.example:8200/v1/auth/token/lookup-accessor";
        assert_eq!(go(from, 307, Some(other)).unwrap(), other);
        assert_eq!(go(from, 308, Some("/v1/auth/token/lookup-accessor")).unwrap(), from);
        let local = "http://127.0.0.1:8200/v1/x";
        assert_eq!(
            go(local, 307, Some("http://127.0.0.1:8300/v1/x")).unwrap(),
            "http://127.0.0.1:8300/v1/x"
        );
        for (from, status, to) in [
            (from, 302, Some(other)),
            (from, 307, None),
            (from, 307, Some("http://node-2.example:8200/v1/auth/token/lookup-accessor")),
            (from, 307, Some("http://127.0.0.1:8200/v1/auth/token/lookup-accessor")),
            (from, 307, Some("https://node-2.example:8200/")),
            (from, 307, Some("https://node-2.example:8200/v1/auth/token/lookup-accessor?x=1")),
            (from, 307, Some("https://a:b@node-2.example/v1/auth/token/lookup-accessor")),
            (local, 307, Some("http://vault.example:8200/v1/x")),
        ] {
            let e = go(from, status, to).unwrap_err();
            let named = to.is_none_or(|to| e.to_string().contains(to));
            assert!(named && matches!(e, VaultError::Setup(_)), "{e:?}");
        }
    }

    #[test]
    fn how_long_to_wait_is_read_where_it_is_said() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, HeaderValue::from_static("3"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(3)));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT"));
        assert_eq!(retry_after(&headers), None);
    }
}
