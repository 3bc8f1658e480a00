//! Calls to Zendesk: one account, no redirects, short waits, answers of a bounded size.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::TicketsError;
use crate::delivery::authorities::Authorities;
use crate::delivery::refusal::plain_words;
use crate::delivery::retry_after::retry_after;
use crate::model::{Micros, time};

/// How long one call may take.
const LONGEST: Duration = Duration::from_secs(8);

/// The largest answer that is read: a page of a hundred comments fits.
const LARGEST: usize = 8 * 1024 * 1024;

/// How long a system that did not answer is left alone by those who can do without.
const SILENCE: Duration = Duration::from_secs(5);

/// The longest wait that an answer may ask for.
const LONGEST_WAIT: Micros = 15 * time::MINUTE;

/// The wait after a 429 that does not say how long.
const USUAL_WAIT: Micros = time::MINUTE;

/// How much of a refusal is read.
const LARGEST_REFUSAL: usize = 16 * 1024;

pub(super) struct Http {
    base: Url,
    user: String,
    token: SecretString,
    client: reqwest::Client,
    /// No call before this instant: a 429 asked for it.
    not_before: Mutex<Option<Instant>>,
    /// Until then it counts as silent: a call went without an answer.
    silent_until: Mutex<Option<Instant>>,
}

impl Http {
    pub(super) fn new(
        base: &str,
        email: &str,
        token: SecretString,
        authorities: &Authorities,
    ) -> Result<Self, TicketsError> {
        let base = Url::parse(&format!("{}/", base.trim_end_matches('/')))
            .map_err(|_| TicketsError::Unreadable("its address"))?;
        let client = authorities
            .client()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(3))
            .timeout(LONGEST)
            .user_agent("Keyturn")
            .build()
            .map_err(|_| TicketsError::Unreadable("its address"))?;
        // API tokens: the name is the address with `/token` behind it, the password is the token.
        let user = format!("{email}/token");
        Ok(Self {
            base,
            user,
            token,
            client,
            not_before: Mutex::new(None),
            silent_until: Mutex::new(None),
        })
    }

    /// GET; nothing where it answers 404.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, TicketsError> {
        match self.call(Method::GET, path, query, None).await {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| TicketsError::Unreadable("not of the published shape")),
            Err(TicketsError::Unknown) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, TicketsError> {
        let bytes = self.call(Method::PUT, path, &[], Some(body)).await?;
        serde_json::from_slice(&bytes)
            .map_err(|_| TicketsError::Unreadable("not of the published shape"))
    }

    /// Whether a call went without an answer a moment ago.
    pub(super) fn silent(&self) -> bool {
        left(&self.silent_until).is_some()
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Vec<u8>, TicketsError> {
        // Set before, cleared by an answer: a caller that stops waiting is one more sign of it.
        set(&self.silent_until, Some(Instant::now() + LONGEST));
        let outcome = self.call_plainly(method, path, query, body).await;
        let silent = matches!(outcome, Err(TicketsError::NoAnswer));
        set(&self.silent_until, silent.then(|| Instant::now() + SILENCE));
        outcome
    }

    async fn call_plainly(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Vec<u8>, TicketsError> {
        if let Some(wait) = self.asked_to_wait() {
            return Err(TicketsError::Busy { wait });
        }
        let url = self.base.join(path).map_err(|_| TicketsError::Unreadable("its address"))?;
        let mut request = self
            .client
            .request(method, url)
            .basic_auth(&self.user, Some(self.token.expose_secret()))
            .header(reqwest::header::ACCEPT, "application/json")
            .query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|e| {
            // Never the error itself: it would hold the address, and with it what was asked.
            tracing::warn!(timeout = e.is_timeout(), "the ticket system did not answer");
            TicketsError::NoAnswer
        })?;
        let status = response.status();
        if status.is_success() {
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|_| TicketsError::NoAnswer)? {
                if bytes.len() + chunk.len() > LARGEST {
                    return Err(TicketsError::Unreadable("too large"));
                }
                bytes.extend_from_slice(&chunk);
            }
            return Ok(bytes);
        }
        Err(match status {
            StatusCode::UNAUTHORIZED => TicketsError::Account,
            StatusCode::FORBIDDEN => TicketsError::Forbidden,
            StatusCode::NOT_FOUND => TicketsError::Unknown,
            StatusCode::CONFLICT => TicketsError::Changed,
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = retry_after(response.headers()).unwrap_or(USUAL_WAIT);
                self.wait(wait.clamp(time::SECOND, LONGEST_WAIT))
            }
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
                TicketsError::Refused(reason(response).await)
            }
            s if s.is_server_error() => TicketsError::Unwell {
                status: s.as_u16(),
                wait: retry_after(response.headers()).map(|wait| wait.min(LONGEST_WAIT)),
            },
            s if s.is_redirection() => TicketsError::Unreadable("it leads elsewhere"),
            _ => TicketsError::Unreadable("an unknown status"),
        })
    }

    fn asked_to_wait(&self) -> Option<i64> {
        i64::try_from(left(&self.not_before)?.as_micros()).ok()
    }

    fn wait(&self, wait: Micros) -> TicketsError {
        let length = Duration::from_micros(wait.unsigned_abs());
        set(&self.not_before, Some(Instant::now() + length));
        TicketsError::Busy { wait }
    }
}

/// Why it refuses, in its own words: those on each field say more than the one on the whole. They
/// may repeat the comment, so only plain words are kept.
async fn reason(mut response: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if bytes.len() + chunk.len() > LARGEST_REFUSAL {
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let details = said["details"].as_object().into_iter().flat_map(|fields| fields.values());
    let mut words: Vec<&str> = details
        .flat_map(|errors| errors.as_array().into_iter().flatten())
        .filter_map(|error| error["description"].as_str())
        .collect();
    if words.is_empty() {
        words.extend(said["description"].as_str());
    }
    match plain_words(&words.join("; ")) {
        kept if kept.is_empty() => "the ticket may be closed there".to_owned(),
        kept => kept,
    }
}

fn left(until: &Mutex<Option<Instant>>) -> Option<Duration> {
    (*until.lock().ok()?)?.checked_duration_since(Instant::now())
}

fn set(until: &Mutex<Option<Instant>>, to: Option<Instant>) {
    if let Ok(mut until) = until.lock() {
        *until = to;
    }
}
