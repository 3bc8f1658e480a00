//! A small 1Password Connect server: the shared vaults of the demo, and what the tests deliver
//! to. It keeps the published rules of the REST API 1.7 for what is used of it: vaults, and
//! items that are listed without their values, shown and made. What is put in stays, in a file
//! that only its owner can read.

mod keep;
mod rules;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as InPath, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use self::keep::Keep;
use self::rules::Refused;
use super::DemoError;
use crate::clock::{Clock, Rng};

pub use self::keep::{Field, Item};

/// More than any item, in bytes.
const LONGEST_BODY: usize = 64 * 1024;

/// A vault, and what the server's one access token may do in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    /// 26 lower-case letters and digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What the access token may do.
    pub access: Access,
}

/// What an access token may do in a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write.
    Write,
    /// Read alone.
    Read,
    /// The vault is not in its scope.
    None,
}

/// The server. It does not print.
#[derive(Clone)]
pub struct ConnectServer(Arc<Inner>);

struct Inner {
    /// SHA-256 of the access token.
    token: [u8; 32],
    vaults: Vec<Vault>,
    items: Mutex<Keep>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for ConnectServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConnectServer")
    }
}

impl ConnectServer {
    /// A server for these vaults, that accepts `token` and keeps its items in `file`.
    ///
    /// # Errors
    /// Where what an earlier run kept cannot be read.
    pub fn open(
        file: &Path,
        token: &SecretString,
        vaults: Vec<Vault>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Self, DemoError> {
        Ok(Self(Arc::new(Inner {
            token: Sha256::digest(token.expose_secret()).into(),
            vaults,
            items: Mutex::new(Keep::open(file)?),
            clock,
            rng,
        })))
    }

    /// What it answers under `/v1`.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        // 1Password's own clients end some of them in a slash, and the server takes both.
        Router::new()
            .route("/v1/vaults", get(vaults))
            .route("/v1/vaults/", get(vaults))
            .route("/v1/vaults/{vault}", get(vault))
            .route("/v1/vaults/{vault}/", get(vault))
            .route("/v1/vaults/{vault}/items", get(items).post(make))
            .route("/v1/vaults/{vault}/items/", get(items).post(make))
            .route("/v1/vaults/{vault}/items/{item}", get(item))
            .route("/v1/vaults/{vault}/items/{item}/", get(item))
            .route("/v1/{*nowhere}", any(nowhere))
            .layer(from_fn_with_state(self.clone(), authorized))
            .layer(DefaultBodyLimit::max(LONGEST_BODY))
            .with_state(self.clone())
    }

    /// The vaults, for their owner's eyes.
    #[must_use]
    pub fn vaults(&self) -> &[Vault] {
        &self.0.vaults
    }

    /// The items of every vault, oldest first, for their owner's eyes.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        self.0.items().all().to_vec()
    }
}

impl Inner {
    fn items(&self) -> MutexGuard<'_, Keep> {
        // Nothing that is done under the lock can leave it half changed.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vault of an address, if the token may do that there.
    fn vault(&self, id: &str, write: bool) -> Result<&Vault, Refused> {
        rules::id(id, "Vault")?;
        let found = self.vaults.iter().find(|vault| vault.id == id);
        match found.map(|vault| (vault, vault.access)) {
            None => Err(Refused::new(StatusCode::NOT_FOUND, format!("vault {id} not found"))),
            Some((_, Access::None)) => {
                Err(Refused::new(StatusCode::FORBIDDEN, format!("vault {id} is not in scope")))
            }
            Some((_, Access::Read)) if write => Err(Refused::new(
                StatusCode::UNAUTHORIZED,
                "Unauthorized Request, token does not have write access to the Vault",
            )),
            Some((vault, _)) => Ok(vault),
        }
    }
}

/// Lets in who holds the access token. Digests are compared, in a time that does not tell where
/// they differ.
async fn authorized(
    State(server): State<ConnectServer>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let digest = Sha256::digest(shown.unwrap_or_default());
    if shown.is_some() && bool::from(digest.as_slice().ct_eq(&server.0.token)) {
        next.run(request).await
    } else {
        Refused::new(StatusCode::UNAUTHORIZED, "Invalid token signature").into_response()
    }
}

#[derive(Deserialize)]
struct Filter {
    filter: Option<String>,
}

async fn vaults(
    State(server): State<ConnectServer>,
    Query(query): Query<Filter>,
) -> Result<Json<Vec<Value>>, Refused> {
    let wanted = query.filter.map(|filter| rules::equals(&filter, "name")).transpose()?;
    let seen = server.0.vaults.iter().filter(|vault| {
        vault.access != Access::None && wanted.as_ref().is_none_or(|name| *name == vault.name)
    });
    Ok(Json(seen.map(|vault| described(&server, vault)).collect()))
}

async fn vault(
    State(server): State<ConnectServer>,
    InPath(id): InPath<String>,
) -> Result<Json<Value>, Refused> {
    let vault = server.0.vault(&id, false)?;
    Ok(Json(described(&server, vault)))
}

fn described(server: &ConnectServer, vault: &Vault) -> Value {
    let count = server.0.items().all().iter().filter(|item| item.vault == vault.id).count();
    json!({ "id": vault.id, "name": vault.name, "type": "USER_CREATED", "items": count })
}

async fn items(
    State(server): State<ConnectServer>,
    InPath(vault): InPath<String>,
    Query(query): Query<Filter>,
) -> Result<Json<Vec<Value>>, Refused> {
    let vault = server.0.vault(&vault, false)?;
    let wanted = query.filter.map(|filter| rules::equals(&filter, "title")).transpose()?;
    let items = server.0.items();
    let listed = items.all().iter().filter(|item| {
        item.vault == vault.id && wanted.as_ref().is_none_or(|title| *title == item.title)
    });
    Ok(Json(listed.map(Item::summary).collect()))
}

async fn item(
    State(server): State<ConnectServer>,
    InPath((vault, id)): InPath<(String, String)>,
) -> Result<Json<Value>, Refused> {
    let vault = server.0.vault(&vault, false)?;
    rules::id(&id, "Item")?;
    let items = server.0.items();
    let found = items.all().iter().find(|item| item.vault == vault.id && item.id == id);
    match found {
        Some(item) => Ok(Json(item.full())),
        None => Err(Refused::new(StatusCode::NOT_FOUND, format!("item {id} not found"))),
    }
}

async fn make(
    State(server): State<ConnectServer>,
    InPath(vault): InPath<String>,
    body: Bytes,
) -> Result<Json<Value>, Refused> {
    let vault = server.0.vault(&vault, true)?;
    let new = rules::new_item(&body, &vault.id)?;
    let now = server.0.clock.now();
    let item = new.into_item(|| keep::new_id(server.0.rng.as_ref()), now);
    let answer = item.full();
    // What is answered is there: only what was written down is.
    server.0.items().add(item).map_err(|error| {
        tracing::warn!(%error, "an item could not be written down");
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "the item could not be kept")
    })?;
    Ok(Json(answer))
}

/// What there is not, in the form that every refusal has: no page.
async fn nowhere() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "this server does not have that")
}

#[cfg(test)]
mod tests;
