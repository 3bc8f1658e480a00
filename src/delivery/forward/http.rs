//! A sink over HTTP: a batch of one log is a request, and a status of 2xx says that it is kept.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::{HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use super::trust::Trust;
use super::{Batch, Sent, Sink, SinkProblem};
use crate::delivery::retry_after::retry_after;
use crate::model::Micros;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// After how long no further batch of a burst is begun.
const LONG_ENOUGH: Duration = Duration::from_secs(25);

/// Where JSON Lines are posted to.
pub struct HttpSink {
    client: reqwest::Client,
    address: String,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSink").field("address", &self.address).finish_non_exhaustive()
    }
}

impl HttpSink {
    /// The sink at an address, with the token it wants.
    ///
    /// # Errors
    /// Where the certificates or the token cannot be used.
    pub fn new(
        address: &str,
        token: Option<&SecretString>,
        trust: &Trust,
    ) -> Result<Self, SinkProblem> {
        let client = reqwest::Client::builder()
            .use_preconfigured_tls(trust.client()?)
            .timeout(PATIENCE)
            // The rows, and the token, go nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|e| SinkProblem(e.to_string()))?;
        let authorization = match token {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                    .map_err(|_| {
                        SinkProblem("forward_http_token cannot stand in a header".to_owned())
                    })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { client, address: address.to_owned(), authorization })
    }

    async fn post(&self, batch: &Batch) -> Result<(u16, Option<Micros>), String> {
        let (Some(first), Some(last)) = (batch.rows.first(), batch.rows.last()) else {
            return Ok((204, None));
        };
        let body: String = batch.rows.iter().map(|row| format!("{}\n", row.body)).collect();
        let mut request = self
            .client
            .post(&self.address)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header("keyturn-log", &batch.log)
            .header("keyturn-origin", &batch.origin)
            .header("keyturn-first-seq", first.seq)
            .header("keyturn-last-seq", last.seq)
            .body(body);
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let answer = request.send().await.map_err(|e| cause(&e.without_url()))?;
        Ok((answer.status().as_u16(), retry_after(answer.headers())))
    }
}

/// An error with what is behind it: reqwest's own words say little.
fn cause(e: &dyn std::error::Error) -> String {
    match e.source() {
        Some(deeper) => format!("{e}: {}", cause(deeper)),
        None => e.to_string(),
    }
}

#[async_trait]
impl Sink for HttpSink {
    fn name(&self) -> String {
        self.address.clone()
    }

    async fn send(&self, burst: &[Batch]) -> Sent {
        let began = Instant::now();
        let mut sent = Sent::default();
        for batch in burst {
            if began.elapsed() > LONG_ENOUGH {
                break;
            }
            match self.post(batch).await {
                Ok((200..=299, _)) => sent.batches.push(Ok(())),
                // It does not like this batch; another may do.
                Ok((status @ (400 | 409 | 413 | 415 | 422), _)) => {
                    sent.batches.push(Err(format!("it answers {status}")));
                }
                Ok((status, wait)) => {
                    sent.failure = Some(format!("it answers {status}"));
                    sent.wait = wait;
                    break;
                }
                Err(why) => {
                    sent.failure = Some(why);
                    break;
                }
            }
        }
        sent
    }
}
