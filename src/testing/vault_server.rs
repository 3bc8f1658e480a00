//! A vault over HTTP that keeps the rules of HashiCorp Vault and OpenBao for the calls that
//! Keyturn makes: a token is known by its accessor alone, `default` is added unless it is refused,
//! a role makes only what it allows, a period that is asked for wants sudo, what a role sets stands
//! in no look-up, a wrapping opens once. It is here for what a real one cannot be made to do: to
//! lose its answers, and to be deceived on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The token that may do everything.
pub(crate) const ROOT: &str = "hvs.root-of-the-test-server";
/// The secret id of the AppRole `keyturn`.
pub(crate) const SECRET_ID: &str = "6a1f0d8e-secret-id";
/// What the AppRole's tokens may do.
const KEYTURN: [&str; 4] = [
    "auth/token/lookup-accessor",
    "auth/token/revoke-accessor",
    "auth/token/create/keyturn",
    "auth/token/accessors/",
];

/// The period that the token role `keyturn` sets, in seconds.
pub(crate) const ROLE_PERIOD: i64 = 86_400;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// What stands before the vault takes the wish for a wrapping away.
    NoWrapping,
    /// Somebody opens the wrapping before Keyturn can.
    OpenedBefore,
    /// It makes tokens that can do more.
    MorePolicies,
    /// It makes tokens that die with Keyturn's own.
    NotOrphan,
    /// It makes a token, and its answer is lost.
    LosesNewTokens,
    /// Its answers have no end.
    Endless,
    /// It sends everybody elsewhere.
    Redirects,
    /// It is sealed.
    Sealed,
}

#[derive(Clone)]
struct Token {
    accessor: String,
    policies: Vec<String>,
    /// As it was asked for: a role's is not shown.
    period: i64,
    ttl: i64,
    max: i64,
    role: Option<&'static str>,
    renewable: bool,
    orphan: bool,
    kind: String,
    display_name: String,
    meta: BTreeMap<String, String>,
    num_uses: i64,
}

#[derive(Default)]
struct Inside {
    tokens: BTreeMap<String, Token>,
    wrapped: BTreeMap<String, Value>,
    made: u64,
    calls: Vec<String>,
    bodies: Vec<String>,
}

pub(crate) struct VaultServer {
    pub(crate) url: String,
    inside: Arc<Shared>,
    served: JoinHandle<()>,
}

/// What it says to some of the calls instead of doing them.
#[derive(Clone, Copy)]
struct Says {
    after: usize,
    times: usize,
    status: u16,
    text: &'static str,
    retry_after: Option<&'static str>,
}

struct Shared {
    inside: Mutex<Inside>,
    says: Mutex<Option<Says>>,
    fault: Mutex<Fault>,
    namespace: Option<&'static str>,
}

impl Drop for VaultServer {
    fn drop(&mut self) {
        self.served.abort();
    }
}

fn error(status: u16, text: &str) -> Response {
    let body = json!({ "errors": [format!("1 error occurred:\n\t* {text}\n\n")] });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn denied() -> Response {
    error(403, "permission denied")
}

fn seconds(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.trim_end_matches('s').parse().unwrap(),
        other => other.as_i64().unwrap_or(0),
    }
}

impl VaultServer {
    pub(crate) async fn start() -> Self {
        Self::start_in(None).await
    }

    pub(crate) async fn start_in(namespace: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fault = Mutex::new(Fault::None);
        let inside =
            Arc::new(Shared { inside: Mutex::default(), says: Mutex::default(), fault, namespace });
        let router = Router::new().fallback(answer).with_state(inside.clone());
        let served = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, inside, served }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.inside.fault.lock().unwrap() = fault;
    }

    /// After so many more calls it answers the next ones with this, so many times, and does nothing.
    pub(crate) fn say(
        &self,
        (after, times): (usize, usize),
        status: u16,
        text: &'static str,
        retry_after: Option<&'static str>,
    ) {
        let after = self.calls().len() + after;
        let says = Says { after, times, status, text, retry_after };
        *self.inside.says.lock().unwrap() = Some(says);
    }

    /// Makes a token by hand; its accessor.
    pub(crate) fn plant(
        &self,
        kind: &str,
        policies: &[&str],
        period: i64,
        num_uses: i64,
    ) -> String {
        let mut inside = self.inside.inside.lock().unwrap();
        let token = Token {
            accessor: String::new(),
            policies: policies.iter().map(|&p| p.to_owned()).collect(),
            period,
            ttl: period,
            max: 0,
            role: None,
            renewable: kind == "service",
            orphan: true,
            kind: kind.to_owned(),
            display_name: "token-claims".to_owned(),
            meta: BTreeMap::new(),
            num_uses,
        };
        inside.add(token).1
    }

    /// Whether a token works.
    pub(crate) fn works(&self, token: &str) -> bool {
        self.inside.inside.lock().unwrap().tokens.contains_key(token)
    }

    /// How many tokens work.
    pub(crate) fn count(&self) -> usize {
        self.inside.inside.lock().unwrap().tokens.len()
    }

    /// The paths that were called.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.inside.inside.lock().unwrap().calls.clone()
    }

    /// The logins run out.
    pub(crate) fn forget_logins(&self) {
        let mut inside = self.inside.inside.lock().unwrap();
        inside.tokens.retain(|_, token| token.display_name != "approle");
    }
}

impl Inside {
    fn add(&mut self, mut token: Token) -> (String, String) {
        self.made += 1;
        let name = format!("hvs.{:0>92}", self.made);
        token.accessor = format!("accessor-{}", self.made);
        let accessor = token.accessor.clone();
        self.tokens.insert(name.clone(), token);
        (name, accessor)
    }

    fn by_accessor(&self, accessor: &str) -> Option<(&String, &Token)> {
        self.tokens.iter().find(|(_, token)| token.accessor == accessor)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().trim_start_matches("/v1/").to_owned();
    let fault = *shared.fault.lock().unwrap();
    match fault {
        Fault::Redirects => {
            return (StatusCode::TEMPORARY_REDIRECT, [("location", "http://127.0.0.1:9/")])
                .into_response();
        }
        Fault::Sealed => return error(503, "Vault is sealed"),
        Fault::Endless => {
            let chunks = futures::stream::repeat_with(|| {
                Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 4096]))
            });
            return axum::body::Body::from_stream(chunks).into_response();
        }
        _ => {}
    }
    let made = {
        let mut inside = shared.inside.lock().unwrap();
        inside.calls.push(path.clone());
        let call = inside.calls.len();
        let said = shared
            .says
            .lock()
            .unwrap()
            .filter(|s| call > s.after && call.saturating_sub(s.after) <= s.times);
        if let Some(said) = said {
            let mut answer = error(said.status, said.text);
            if let Some(after) = said.retry_after {
                answer.headers_mut().insert("retry-after", HeaderValue::from_static(after));
            }
            return answer;
        }
        inside.bodies.push(String::from_utf8_lossy(&body).into_owned());
        let namespace = parts.headers.get("x-vault-namespace").and_then(|v| v.to_str().ok());
        if namespace != shared.namespace {
            return error(404, "namespace not found");
        }
        serve(&mut inside, &path, &parts.headers, &body, fault)
    };
    if fault == Fault::LosesNewTokens && path.starts_with("auth/token/create") {
        let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
        return axum::body::Body::from_stream(broken).into_response();
    }
    made
}

fn serve(
    inside: &mut Inside,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
    fault: Fault,
) -> Response {
    if headers.get("x-vault-request").is_none_or(|v| v != "true") {
        return error(412, "missing 'X-Vault-Request' header");
    }
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if path == "auth/approle/login" {
        if body != json!({ "role_id": "keyturn", "secret_id": SECRET_ID }) {
            return error(400, "invalid role or secret ID");
        }
        let token = Token {
            policies: vec!["keyturn".into()],
            kind: "service".into(),
            display_name: "approle".into(),
            orphan: true,
            period: 0,
            ttl: 1200,
            max: 0,
            role: None,
            renewable: true,
            accessor: String::new(),
            meta: BTreeMap::new(),
            num_uses: 0,
        };
        let (name, accessor) = inside.add(token);
        return Json(json!({ "auth": { "client_token": name, "accessor": accessor } }))
            .into_response();
    }
    let presented = headers.get("x-vault-token").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if path == "sys/wrapping/unwrap" {
        return match inside.wrapped.remove(presented) {
            Some(answer) => Json(answer).into_response(),
            None => error(400, "wrapping token is not valid or does not exist"),
        };
    }
    let may = match inside.tokens.get(presented) {
        _ if presented == ROOT => true,
        Some(token) => token.policies == ["keyturn"] && KEYTURN.contains(&path),
        None => return error(403, "permission denied\n\t* invalid token"),
    };
    if !may {
        return denied();
    }
    match path {
        "auth/token/lookup-accessor" => lookup(inside, body["accessor"].as_str().unwrap()),
        "auth/token/revoke-accessor" => {
            let accessor = body["accessor"].as_str().unwrap();
            let found = inside.by_accessor(accessor).map(|(name, _)| name.clone());
            match found {
                Some(name) => {
                    inside.tokens.remove(&name);
                    StatusCode::NO_CONTENT.into_response()
                }
                // As a real one: what is gone is gone, with a warning.
                None => Json(json!({ "warnings": ["No token found with this accessor"] }))
                    .into_response(),
            }
        }
        "auth/token/accessors/" => {
            let keys: Vec<_> = inside.tokens.values().map(|t| t.accessor.clone()).collect();
            Json(json!({ "data": { "keys": keys } })).into_response()
        }
        _ if path.starts_with("auth/token/create") => create(inside, path, headers, &body, fault),
        _ => error(404, "no handler for route"),
    }
}

fn lookup(inside: &Inside, accessor: &str) -> Response {
    let Some((_, token)) = inside.by_accessor(accessor) else {
        return error(400, "invalid accessor");
    };
    let meta = (!token.meta.is_empty()).then_some(&token.meta);
    Json(json!({ "data": {
        // Never the token itself.
        "id": "",
        "accessor": token.accessor,
        "policies": token.policies,
        "entity_id": "",
        "path": token.role.map_or("auth/token/create-orphan".to_owned(), |role| format!("auth/token/create/{role}")),
        "role": token.role,
        "creation_ttl": token.ttl,
        "period": token.period,
        "explicit_max_ttl": token.max,
        "type": token.kind,
        "orphan": token.orphan,
        "expire_time": "2026-12-23T18:00:00.123456789Z",
        "renewable": token.renewable,
        "display_name": token.display_name,
        "num_uses": token.num_uses,
        "meta": meta,
    } }))
    .into_response()
}

fn create(
    inside: &mut Inside,
    path: &str,
    headers: &HeaderMap,
    body: &Value,
    fault: Fault,
) -> Response {
    let by_role = path == "auth/token/create/keyturn";
    if !by_role && path != "auth/token/create-orphan" {
        return error(400, "unknown role");
    }
    let mut policies: BTreeSet<String> = body["policies"]
        .as_array()
        .map(|all| all.iter().map(|p| p.as_str().unwrap().to_owned()).collect())
        .unwrap_or_default();
    if body["no_default_policy"] != true {
        policies.insert("default".into());
    }
    // The role's allowed_policies: what is not a subset of them is refused.
    if by_role && !policies.iter().all(|p| p == "default" || p.starts_with("claims")) {
        return error(400, "token policies must be subset of the role's allowed policies");
    }
    if fault == Fault::MorePolicies {
        policies.insert("from-the-role".into());
    }
    let period = seconds(&body["period"]);
    let root = headers.get("x-vault-token").is_some_and(|token| token == ROOT);
    if period > 0 && !root {
        return error(400, "root or sudo privileges required to create periodic token");
    }
    let in_force = match (period, by_role) {
        (0, true) => ROLE_PERIOD,
        (asked, true) => asked.min(ROLE_PERIOD),
        (asked, false) => asked,
    };
    let meta: BTreeMap<String, String> =
        serde_json::from_value(body["meta"].clone()).unwrap_or_default();
    let token = Token {
        accessor: String::new(),
        policies: policies.into_iter().collect(),
        period,
        ttl: if in_force > 0 { in_force } else { seconds(&body["ttl"]) },
        max: seconds(&body["explicit_max_ttl"]),
        role: by_role.then_some("keyturn"),
        renewable: body["renewable"] != false,
        orphan: fault != Fault::NotOrphan,
        kind: body["type"].as_str().unwrap_or("service").to_owned(),
        display_name: match body["display_name"].as_str() {
            Some(name) => format!("token-{name}"),
            None => "token".to_owned(),
        },
        meta,
        num_uses: 0,
    };
    let policies = token.policies.clone();
    let (name, accessor) = inside.add(token);
    let auth = json!({ "auth": { "client_token": name, "accessor": accessor, "policies": policies,
        "token_type": "service", "orphan": true } });
    if fault == Fault::NoWrapping || !headers.contains_key("x-vault-wrap-ttl") {
        return Json(auth).into_response();
    }
    inside.made += 1;
    let wrapping = format!("hvs.wrapping-{}", inside.made);
    if fault != Fault::OpenedBefore {
        inside.wrapped.insert(wrapping.clone(), auth);
    }
    Json(json!({ "auth": null, "wrap_info": { "token": wrapping, "accessor": "of-the-wrapping",
        "ttl": 60, "creation_path": path, "wrapped_accessor": accessor } }))
    .into_response()
}
