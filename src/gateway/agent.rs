//! The agent beside a gateway: it beats, re-enrols when told, and says how it stands.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{AlertDescription, Error as TlsError};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::{Folder, FolderProblem};
use super::tls::{self, TlsProblem};
use super::wire::{self, Beat, BeatAnswer, Enrolled, Order, Reenrol, Refusal};
use crate::clock::Clock;
use crate::model::Micros;
use crate::secrets::certificates::{Bundle, BundleProblem};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon to try again after something did not work, where the interval is longer.
const SOON: Duration = Duration::from_secs(5);

/// What is waited before the first answer has said how often to beat.
const UNTIL_TOLD: Duration = Duration::from_secs(5);

/// Why a beat or a re-enrolment did not come about.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderProblem),
    /// The identity cannot be used for a connection.
    #[error(transparent)]
    Tls(#[from] TlsProblem),
    /// The address is not one of an https server.
    #[error("--server is an address like https://keyturn.example:3002")]
    Address,
    /// The server did not let this certificate in.
    #[error("refused: {0}")]
    Refused(String),
    /// The server could not be reached, or not trusted.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// The server answered with something else than an answer.
    #[error("the server's answer makes no sense: {0}")]
    NoSense(String),
    /// A new key or request could not be made.
    #[error("making a key: {0}")]
    Key(String),
    /// What came back is no certificate for the new key.
    #[error("the new certificate: {0}")]
    Bundle(#[from] BundleProblem),
    /// A bundle for another gateway.
    #[error(
        "the bundle is for {theirs}, and this is {ours}: use an empty folder for another gateway"
    )]
    OtherGateway {
        /// Whose the bundle is.
        theirs: String,
        /// Whose the folder is.
        ours: String,
    },
}

/// Installs a bundle as the identity of a folder. What is there already must be of the same
/// gateway; it is kept until the new one has been accepted.
///
/// # Errors
/// Where the text is no bundle, it is another gateway's, or it cannot be written.
pub fn install(folder: &Folder, text: &SecretString) -> Result<Bundle, AgentError> {
    let bundle = Bundle::read(text)?;
    match folder.identity() {
        Ok(there) if there.gateway_id != bundle.gateway_id => {
            return Err(AgentError::OtherGateway {
                theirs: bundle.gateway_id,
                ours: there.gateway_id,
            });
        }
        // A damaged identity is what a bundle mends.
        Ok(_) | Err(FolderProblem::Empty(_) | FolderProblem::Bundle { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    folder.swap_in(&bundle)?;
    Ok(bundle)
}

/// How an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The last beat was answered.
    Running,
    /// The server refuses this certificate.
    Refused,
    /// The server cannot be reached.
    Unreachable,
    /// The folder or the identity cannot be used.
    Broken,
}

/// What `status.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How it stands.
    pub state: State,
    /// The gateway.
    pub gateway_id: String,
    /// The serial number of its certificate.
    pub serial: String,
    /// The one before, where it changed under this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_serial: Option<String>,
    /// When the certificate ends, microseconds since 1970.
    pub expires_at: Micros,
    /// When this was written, microseconds since 1970.
    pub at: Micros,
    /// When the last beat was answered, microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_answer_at: Option<Micros>,
    /// How many beats were answered since the agent was started.
    pub beats: u64,
    /// What was said last, in words.
    pub said: String,
}

/// An agent with its folder.
pub struct Agent {
    folder: Folder,
    server: url::Url,
    clock: Arc<dyn Clock>,
    bundle: Bundle,
    http: reqwest::Client,
    beats: u64,
    last_answer_at: Option<Micros>,
    previous_serial: Option<String>,
    interval: Duration,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

fn client(bundle: &Bundle, clock: &Arc<dyn Clock>) -> Result<reqwest::Client, AgentError> {
    reqwest::Client::builder()
        .use_preconfigured_tls(tls::gateway(bundle, clock.clone())?)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .map_err(|e| AgentError::NoConnection(e.to_string()))
}

impl Agent {
    /// An agent over `folder`, for the listener at `server`.
    ///
    /// # Errors
    /// Where the folder has no identity, or the address is none.
    pub fn new(folder: Folder, server: &str, clock: Arc<dyn Clock>) -> Result<Self, AgentError> {
        let server = url::Url::parse(server).map_err(|_| AgentError::Address)?;
        if server.scheme() != "https" || server.host_str().is_none() {
            return Err(AgentError::Address);
        }
        let bundle = folder.identity()?;
        let http = client(&bundle, &clock)?;
        Ok(Self {
            folder,
            server,
            clock,
            bundle,
            http,
            beats: 0,
            last_answer_at: None,
            previous_serial: None,
            interval: UNTIL_TOLD,
        })
    }

    /// The serial number of the certificate that it beats with.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.bundle.serial
    }

    /// Beats for ever. What goes wrong is said, and tried again.
    pub async fn run(mut self) {
        loop {
            let wait = match self.turn().await {
                Ok(()) => self.interval,
                Err(_) => self.interval.min(SOON),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// One beat, and the re-enrolment where the answer tells to; written to `status.json`.
    ///
    /// # Errors
    /// What went wrong, as it stands in `status.json` too.
    pub async fn turn(&mut self) -> Result<(), AgentError> {
        let done = self.beat_and_obey().await;
        let (state, said) = match &done {
            Ok(said) => (State::Running, said.clone()),
            Err(e @ AgentError::Refused(_)) => (State::Refused, e.to_string()),
            Err(e @ (AgentError::NoConnection(_) | AgentError::NoSense(_))) => {
                (State::Unreachable, e.to_string())
            }
            Err(e) => (State::Broken, e.to_string()),
        };
        let status = Status {
            state,
            gateway_id: self.bundle.gateway_id.clone(),
            serial: self.bundle.serial.clone(),
            previous_serial: self.previous_serial.clone(),
            expires_at: self.bundle.validity.not_after,
            at: self.clock.now(),
            last_answer_at: self.last_answer_at,
            beats: self.beats,
            said,
        };
        match &done {
            Ok(_) => {
                tracing::debug!(gateway = %status.gateway_id, serial = %status.serial, "{}", status.said)
            }
            Err(_) => {
                tracing::warn!(gateway = %status.gateway_id, serial = %status.serial, "{}", status.said)
            }
        }
        let written = serde_json::to_vec_pretty(&status)
            .map_err(|e| AgentError::NoSense(e.to_string()))
            .and_then(|json| Ok(self.folder.write_status(&json)?));
        done?;
        written
    }

    async fn beat_and_obey(&mut self) -> Result<String, AgentError> {
        let answer = match self.beat().await {
            Ok(answer) => answer,
            Err(e) => self.fall_back(e).await?,
        };
        let Some(order) = answer.reenrol else {
            return Ok(format!("beat answered, certificate {}", answer.serial));
        };
        let new = self.reenrol(&order).await?;
        let old = self.bundle.serial.clone();
        self.folder.swap_in(&new)?;
        self.use_bundle(new)?;
        // At once, so that the old certificate is not needed a whole interval longer.
        if let Err(e) = self.beat().await {
            self.fall_back(e).await?;
            return Err(AgentError::Refused(format!(
                "the new certificate was not accepted; back to {old}"
            )));
        }
        tracing::info!(gateway = %self.bundle.gateway_id, %old, new = %self.bundle.serial, "re-enrolled");
        self.previous_serial = Some(old.clone());
        Ok(format!("re-enrolled: {} in the place of {old}", self.bundle.serial))
    }

    fn use_bundle(&mut self, bundle: Bundle) -> Result<(), AgentError> {
        self.http = client(&bundle, &self.clock)?;
        self.bundle = bundle;
        Ok(())
    }

    /// After a beat that did not work: where the identity before is still there, it is tried, and
    /// kept if it works. Otherwise the error stands.
    async fn fall_back(&mut self, error: AgentError) -> Result<BeatAnswer, AgentError> {
        let Ok(Some(previous)) = self.folder.previous() else { return Err(error) };
        let http = client(&previous, &self.clock)?;
        let Ok(answer) = self.beat_with(&http).await else { return Err(error) };
        tracing::warn!(error = %error, serial = %self.bundle.serial, "rolling back to the identity before");
        self.folder.roll_back()?;
        self.use_bundle(previous)?;
        self.answered(&answer)?;
        Ok(answer)
    }

    async fn beat(&mut self) -> Result<BeatAnswer, AgentError> {
        let answer = self.beat_with(&self.http).await?;
        self.answered(&answer)?;
        // This certificate has been accepted.
        self.folder.settle()?;
        Ok(answer)
    }

    fn answered(&mut self, answer: &BeatAnswer) -> Result<(), AgentError> {
        self.beats += 1;
        self.last_answer_at = Some(self.clock.now());
        self.interval = Duration::from_secs(answer.interval_seconds.clamp(1, 3600));
        Ok(())
    }

    async fn beat_with(&self, http: &reqwest::Client) -> Result<BeatAnswer, AgentError> {
        let beat = Beat { agent: concat!("keyturn/", env!("CARGO_PKG_VERSION")).to_owned() };
        self.post(http, wire::HEARTBEAT, &beat).await
    }

    /// Makes a new key and has it certified. The key has not left this process.
    async fn reenrol(&self, order: &Order) -> Result<Bundle, AgentError> {
        let key = KeyPair::generate().map_err(|e| AgentError::Key(e.to_string()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.bundle.gateway_id.as_str());
        let request = params
            .serialize_request(&key)
            .and_then(|request| request.pem())
            .map_err(|e| AgentError::Key(e.to_string()))?;
        let ask = Reenrol { request, nonce: order.nonce.clone() };
        let enrolled: Enrolled = self.post(&self.http, wire::REENROL, &ask).await?;
        let key = SecretString::from(key.serialize_pem());
        let bundle =
            Bundle::read(&Bundle::write(&key, &enrolled.certificate, &enrolled.authorities))?;
        if bundle.gateway_id != self.bundle.gateway_id {
            return Err(AgentError::NoSense("a certificate of another gateway".to_owned()));
        }
        Ok(bundle)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        http: &reqwest::Client,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, AgentError> {
        let address = self.server.join(path).map_err(|_| AgentError::Address)?;
        let answer = http.post(address).json(body).send().await.map_err(|e| unsent(&e))?;
        let status = answer.status();
        // In TLS 1.3 a refused certificate may show only here (RFC 8446 section 4.4.2.4).
        let text = answer.bytes().await.map_err(|e| unsent(&e))?;
        if status.is_success() {
            return serde_json::from_slice(&text).map_err(|e| AgentError::NoSense(e.to_string()));
        }
        match serde_json::from_slice::<Refusal>(&text) {
            Ok(refusal) if status.is_client_error() => {
                Err(AgentError::Refused(format!("{}. {}", refusal.title, refusal.detail)))
            }
            _ => Err(AgentError::NoConnection(format!("status {}", status.as_u16()))),
        }
    }
}

/// What a request that got no answer means: an alert of the server about this certificate is a
/// refusal, anything else may pass.
fn unsent(error: &reqwest::Error) -> AgentError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = error.to_string();
    while let Some(e) = cause {
        let tls = e.downcast_ref::<TlsError>().or_else(|| {
            let io = e.downcast_ref::<std::io::Error>()?;
            io.get_ref()?.downcast_ref::<TlsError>()
        });
        if let Some(TlsError::AlertReceived(alert)) = tls {
            let why = match alert {
                AlertDescription::CertificateExpired => "the certificate has expired",
                AlertDescription::CertificateRevoked => "the certificate has been revoked",
                AlertDescription::UnknownCA | AlertDescription::BadCertificate => {
                    "the certificate is not known to this server"
                }
                _ => return AgentError::Refused(format!("TLS alert {alert:?}")),
            };
            return AgentError::Refused(why.to_owned());
        }
        last = e.to_string();
        cause = e.source();
    }
    AgentError::NoConnection(last)
}
