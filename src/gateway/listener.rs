//! The listener that gateways talk to, on a port of its own.

use std::net::TcpListener;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequestParts, OptionalFromRequestParts, State};
use axum::middleware::{from_extractor_with_state, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, RequestPartsExt as _, Router};
use axum_server::Handle;
use axum_server::tls::TlsInfo;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use http::request::Parts;
use http::{StatusCode, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinHandle;

use super::tls::{self, Listening, TlsProblem};
use super::wire::{self, Beat, BeatAnswer, Enrolled, Order, Reenrol, Refusal};
use crate::config::proxies::Proxies;
use crate::desk::authority::ListenerParts;
use crate::desk::reenrol::Issued;
use crate::desk::{Desk, StepError};
use crate::listen::{self, Doorkeeper, Limits, Times, in_time, said_always};
use crate::model::{Micros, time};
use crate::secrets::certificates::{est, serial_of};

/// How soon another instance's revocations are known here.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// When what is shown is made anew although nothing has changed: long before it would run out.
const RENEW_AFTER: Micros = time::HOUR;

/// The largest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// Why the listener does not come up.
#[derive(Debug, thiserror::Error)]
pub enum ListenerProblem {
    /// The desk.
    #[error(transparent)]
    Step(#[from] StepError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsProblem),
    /// The socket.
    #[error("the gateways' listener: {0}")]
    Socket(#[from] std::io::Error),
}

/// A running listener. It stops when it is dropped.
#[derive(Debug)]
pub struct Listener {
    handle: Handle<std::net::SocketAddr>,
    server: JoinHandle<()>,
    reloading: JoinHandle<()>,
}

impl Listener {
    /// Lets nobody new in, and waits until everybody who was has an answer, but no longer than
    /// `within`.
    pub async fn finish(mut self, within: Duration) {
        self.handle.graceful_shutdown(Some(within));
        (&mut self.server).await.ok();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.shutdown();
        self.server.abort();
        self.reloading.abort();
    }
}

/// What a handler needs.
struct Inner {
    desk: Arc<Desk>,
    /// The revocation lists in force, in PEM.
    lists: RwLock<String>,
}

/// Serves gateways at `socket` until the answer is dropped.
///
/// # Errors
/// Where there is no authority, or the socket cannot be used.
pub async fn serve(
    desk: Arc<Desk>,
    socket: TcpListener,
    limits: Limits,
    times: Times,
) -> Result<Listener, ListenerProblem> {
    let digest = desk.lists_digest().await?;
    let parts = desk.listener_parts().await?;
    let made = desk.now();
    let config = RustlsConfig::from_config(Arc::new(config_of(&parts, &desk)?));
    let inner = Arc::new(Inner { desk, lists: RwLock::new(pem_of(&parts)) });
    let handle = Handle::new();
    // Nobody stands between a gateway and this: their TLS ends here.
    let door = Doorkeeper::new(limits, Proxies::default());
    let acceptor = RustlsAcceptor::new(config.clone()).handshake_timeout(times.handshake);
    let server = listen::server(socket, door, times)?
        .map(|watched| acceptor.acceptor(watched))
        .handle(handle.clone())
        .serve(router(inner.clone(), times.body).into_make_service());
    let server = tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the gateways' listener has stopped");
        }
    });
    let reloading = tokio::spawn(reload(inner, config, digest, made));
    Ok(Listener { handle, server, reloading })
}

fn config_of(parts: &ListenerParts, desk: &Desk) -> Result<rustls::ServerConfig, TlsProblem> {
    let first = |pem: &String| CertificateDer::from_pem_slice(pem.as_bytes());
    let listening = Listening {
        certificate: parts.certificate.clone(),
        key: parts.key.clone(),
        issuers: parts.issuers.iter().map(first).collect::<Result<_, _>>()?,
        crls: parts.crls.clone(),
    };
    tls::listener(&listening, desk.clock.clone())
}

fn pem_of(parts: &ListenerParts) -> String {
    parts.crls.iter().map(|der| crate::secrets::certificates::pem_of("X509 CRL", der)).collect()
}

/// Puts new revocation lists in force: as soon as this instance has changed something, and every
/// few seconds for what others have. Connections that are there already are looked at by the
/// handlers.
async fn reload(inner: Arc<Inner>, config: RustlsConfig, mut shown: String, mut made: Micros) {
    loop {
        tokio::select! {
            () = inner.desk.lists_changed.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let digest = match inner.desk.lists_digest().await {
            Ok(digest) => digest,
            Err(error) => {
                tracing::warn!(%error, "looking for revoked certificates");
                continue;
            }
        };
        let now = inner.desk.now();
        if digest == shown && now - made < RENEW_AFTER {
            continue;
        }
        let parts = match inner.desk.listener_parts().await {
            Ok(parts) => parts,
            Err(error) => {
                tracing::error!(%error, "the gateways' listener keeps its old revocation lists");
                continue;
            }
        };
        match config_of(&parts, &inner.desk) {
            Ok(new) => {
                config.reload_from_config(Arc::new(new));
                *inner.lists.write().unwrap_or_else(PoisonError::into_inner) = pem_of(&parts);
                (shown, made) = (digest, now);
            }
            Err(error) => {
                tracing::error!(%error, "the gateways' listener keeps its old revocation lists");
            }
        }
    }
}

/// What the listener serves. All of it is behind a certificate, but for what an EST client asks
/// before it has one. A door that is forgotten here is one that a certificate opens.
fn router(inner: Arc<Inner>, body: Duration) -> Router {
    let with_certificate = Router::new()
        .route(wire::HEARTBEAT, post(beat))
        .route(wire::REENROL, post(reenrol))
        .route(wire::CRL, get(crl))
        .route(wire::EST_REENROL, post(simplereenroll))
        .fallback(nowhere)
        .layer(from_extractor_with_state::<Shown, _>(inner.clone()));
    let open = Router::new()
        .route(wire::EST_CACERTS, get(cacerts))
        .route(wire::EST_CSRATTRS, get(csrattrs));
    with_certificate
        .merge(open)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(body, in_time))
        .layer(map_response(headers))
        .with_state(inner)
}

/// What every answer says besides.
async fn headers(mut response: Response) -> Response {
    said_always(response.headers_mut(), true);
    response
}

/// The answer to an address that there is not, or to a method that one does not take.
async fn nowhere() -> Refused {
    Refused(StepError::NotFound)
}

/// The serial number of the certificate that the connection was made with.
struct Shown(String);

impl OptionalFromRequestParts<Arc<Inner>> for Shown {
    type Rejection = Refused;

    async fn from_request_parts(
        parts: &mut Parts,
        inner: &Arc<Inner>,
    ) -> Result<Option<Self>, Refused> {
        let tls = parts.extensions.get::<Arc<TlsInfo>>();
        if tls.is_none_or(|tls| tls.peer_certificates.is_empty()) {
            return Ok(None);
        }
        <Self as FromRequestParts<Arc<Inner>>>::from_request_parts(parts, inner).await.map(Some)
    }
}

impl FromRequestParts<Arc<Inner>> for Shown {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Inner>) -> Result<Self, Refused> {
        let none = || Refused(StepError::Forbidden("There is no certificate on this connection."));
        let Extension(tls) =
            parts.extract::<Extension<Arc<TlsInfo>>>().await.map_err(|_| none())?;
        let leaf = tls.peer_certificates.first().ok_or_else(none)?;
        serial_of(leaf).map(Shown).ok_or_else(none)
    }
}

/// A refusal, as problem details (RFC 9457). The connection is closed: whoever is refused shows
/// their certificate again.
struct Refused(StepError);

impl From<StepError> for Refused {
    fn from(e: StepError) -> Self {
        Self(e)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, title, detail) = match &self.0 {
            StepError::Forbidden(why) => (StatusCode::FORBIDDEN, "Refused", (*why).to_owned()),
            StepError::Denied(why) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "Request refused", (*why).to_owned())
            }
            StepError::Invalid(why) => (StatusCode::BAD_REQUEST, "Not read", (*why).to_owned()),
            StepError::Conflict(why) => (StatusCode::CONFLICT, "Not now", (*why).to_owned()),
            StepError::NotFound => {
                let detail = "There is nothing at this address for this method.".to_owned();
                (StatusCode::NOT_FOUND, "Not found", detail)
            }
            other => {
                tracing::error!(error = %other, "a gateway's request");
                let detail = "Try again in a moment.".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "Not done", detail)
            }
        };
        let refusal = Refusal { title: title.to_owned(), status: status.as_u16(), detail };
        let mut response = (status, Json(refusal)).into_response();
        let headers = response.headers_mut();
        let close = http::HeaderValue::from_static("close");
        headers.insert(header::CONNECTION, close);
        let problem = http::HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        response
    }
}

async fn beat(
    State(inner): State<Arc<Inner>>,
    Shown(serial): Shown,
    body: Bytes,
) -> Result<Json<BeatAnswer>, Refused> {
    let beat: Beat = serde_json::from_slice(&body)
        .map_err(|_| StepError::Invalid("A beat is JSON: {\"agent\": \"name/version\"}."))?;
    let beaten = inner.desk.heartbeat(&serial, &beat.agent).await?;
    let interval = inner.desk.settings.gateways.interval / time::SECOND;
    Ok(Json(BeatAnswer {
        gateway_id: beaten.certificate.secret_id,
        serial,
        expires_at: time::rfc3339(beaten.certificate.not_after),
        interval_seconds: interval.unsigned_abs(),
        reenrol: beaten.order.map(|(nonce, deadline)| Order {
            nonce: nonce.expose_secret().to_owned(),
            deadline: time::rfc3339(deadline),
        }),
    }))
}

async fn reenrol(
    State(inner): State<Arc<Inner>>,
    Shown(serial): Shown,
    body: Bytes,
) -> Result<Json<Enrolled>, Refused> {
    let ask: Reenrol = serde_json::from_slice(&body)
        .map_err(|_| StepError::Invalid("This is JSON with request and nonce."))?;
    let nonce = SecretString::from(ask.nonce);
    let request = ask.request.into_bytes();
    let issued = enrol(&inner, serial, Some(nonce), request).await?;
    Ok(Json(Enrolled {
        serial: issued.serial,
        certificate: issued.pem,
        authorities: issued.authorities,
    }))
}

/// On a task of its own: a gateway that hangs up does not leave half a step behind.
async fn enrol(
    inner: &Inner,
    serial: String,
    nonce: Option<SecretString>,
    request: Vec<u8>,
) -> Result<Issued, Refused> {
    let desk = inner.desk.clone();
    let task = tokio::spawn(async move { desk.reenrol(&serial, nonce.as_ref(), &request).await });
    Ok(task.await.map_err(|e| StepError::Outside(e.to_string()))??)
}

/// RFC 7030 section 4.2.2. Only for a gateway that has been told to re-enrol.
async fn simplereenroll(
    State(inner): State<Arc<Inner>>,
    Shown(serial): Shown,
    headers: http::HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.starts_with(est::REQUEST) {
        return Err(StepError::Invalid("The body is application/pkcs10, in base64.").into());
    }
    let issued = enrol(&inner, serial, None, body.to_vec()).await?;
    certificates(&issued.pem)
}

/// RFC 7030 section 4.1. Authorities are public: whoever has none of them yet, and no certificate,
/// asks here first, and has to compare what comes with what they know (section 4.1.1).
async fn cacerts(
    State(inner): State<Arc<Inner>>,
    shown: Option<Shown>,
) -> Result<Response, Refused> {
    // Who shows a certificate is told where it does not count any more.
    if let Some(Shown(serial)) = shown {
        inner.desk.may_ask(&serial).await?;
    }
    let mut conn = inner.desk.store.read().await.map_err(StepError::from)?;
    certificates(&inner.desk.authorities_pem(&mut conn).await?)
}

/// RFC 7030 section 4.5.2.
async fn csrattrs() -> Response {
    let headers = [("content-type", est::ATTRIBUTES), ("content-transfer-encoding", "base64")];
    (headers, est::wanted_attributes()).into_response()
}

fn certificates(pem: &str) -> Result<Response, Refused> {
    let body = est::certs_only(pem).map_err(|e| StepError::Outside(e.to_string()))?;
    let headers = [("content-type", est::CERTIFICATES), ("content-transfer-encoding", "base64")];
    Ok((headers, body).into_response())
}

/// The revocation lists in force, in PEM, one for each authority.
async fn crl(State(inner): State<Arc<Inner>>, Shown(serial): Shown) -> Result<Response, Refused> {
    inner.desk.may_ask(&serial).await?;
    let lists = inner.lists.read().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], lists).into_response())
}
