//! The customer's own world, on a port of its own: the Owners' mail, the private keys that open
//! it, the shared vaults, the receiver of the webhooks, and the tokens for the vault. It is what the
//! platform never sees, so it reads nothing of the platform's: only mail that arrived, items that
//! were put into a vault, and messages that were posted to it.

mod gateways;
mod hooks;
mod html;
mod inbox;
mod letter;
mod opened;
mod receiver;
mod same_origin;
mod tokens;
mod vault;
mod wallet;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use secrecy::SecretString;
use tokio::net::TcpListener;

use self::opened::Keychain;
use self::receiver::Receiver;
use self::wallet::Wallet;
use super::agents::Agents;
use super::connect_server::{Access, ConnectServer, Vault};
use super::smtp_catcher::SmtpCatcher;
use super::story::{OrgAccess, SharedVault};
use super::{DemoError, Story};
use crate::clock::{Clock, Rng};

/// More than any message of a webhook, or form of this site.
const LONGEST_BODY: usize = 64 * 1024;

/// What the customer's side knows.
#[derive(Clone)]
pub struct CustomerSide(Arc<Inner>);

/// The same, as the pages see it.
struct Inner {
    /// Where the console is: its links in mails can be followed.
    console: String,
    orgs: Vec<OrgAccess>,
    mails: Arc<SmtpCatcher>,
    keychain: Keychain,
    receiver: Receiver,
    wallet: Wallet,
    vaults: ConnectServer,
    /// Whose vault is which.
    vault_orgs: Vec<SharedVault>,
    agents: Agents,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for CustomerSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CustomerSide")
    }
}

impl CustomerSide {
    /// The customers of `story`, who know the platform by its public OpenPGP key. What they
    /// install is kept in `folder`.
    ///
    /// # Errors
    /// Where what an earlier run kept cannot be read, or a key of the story cannot.
    pub(super) fn new(
        story: &Story,
        mails: Arc<SmtpCatcher>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        agents: Agents,
        folder: &Path,
    ) -> Result<Self, DemoError> {
        let vaults = story.shared_vaults.vaults.iter().map(|vault| Vault {
            id: vault.id.clone(),
            name: name_of(&story.orgs, &vault.org),
            access: Access::Write,
        });
        let vaults = ConnectServer::open(
            &folder.join("shared_vaults.json"),
            &SecretString::from(story.shared_vaults.token.as_str()),
            vaults.collect(),
            Arc::clone(&clock),
            rng,
        )?;
        let receiver = Receiver::open(folder, &story.webhooks, clock.now())?;
        let wallet = Wallet::open(folder, &story.vault_tokens, &story.address, clock.now())?;
        Ok(Self(Arc::new(Inner {
            console: story.address.clone(),
            orgs: story.orgs.clone(),
            mails,
            keychain: Keychain::new(&story.owner_pgp, &story.platform_pgp.public_key)?,
            receiver,
            wallet,
            vaults,
            vault_orgs: story.shared_vaults.vaults.clone(),
            agents,
            clock,
        })))
    }
}

/// What people call the vault of an org.
fn name_of(orgs: &[OrgAccess], slug: &str) -> String {
    let org = orgs.iter().find(|org| org.slug == slug);
    format!("Shared by {}", org.map_or(slug, |org| &org.name))
}

/// Serves the customer's side until the task is dropped.
///
/// # Errors
/// Where the listener breaks.
pub async fn serve(listener: TcpListener, state: CustomerSide) -> std::io::Result<()> {
    axum::serve(listener, router(state.0)).await
}

fn router(state: Arc<Inner>) -> Router {
    let for_browsers = Router::new()
        .route("/", get(inbox::show))
        .route("/mail/{id}", get(letter::show))
        .route("/mail/{id}/decrypt", post(letter::decrypt))
        .route("/mail/{id}/install", post(letter::install))
        .route("/mail/{id}/keep", post(letter::keep))
        .route("/gateways", get(gateways::show))
        .route("/hooks", get(hooks::show))
        .route("/hooks/{webhook}/keys/{number}/remove", post(hooks::remove))
        .route("/vault", get(vault::show))
        .route("/tokens/{secret}/{number}/try", post(tokens::try_out))
        .route("/tokens", get(tokens::show))
        .route("/vault/items/{item}/install", post(vault::install))
        .route("/style.css", get(style))
        .route("/favicon.svg", get(favicon))
        .fallback(nowhere)
        .layer(from_fn(same_origin::check));
    // The platform posts here from elsewhere; a signature is what it is let in by.
    Router::new()
        .route("/hooks/{webhook}", post(hooks::receive))
        // And here with the access token of the Connect server.
        .merge(state.vaults.router())
        .merge(for_browsers)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(map_response(harden))
        .with_state(state)
}

async fn style() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("customer_side/style.css")).into_response()
}

async fn favicon() -> Response {
    const ENVELOPE: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\">\
        <rect width=\"16\" height=\"16\" rx=\"4\" fill=\"#0f766e\"/>\
        <path d=\"M3 5h10v6.5H3zM3 5l5 4 5-4\" fill=\"none\" stroke=\"#fff\"/></svg>";
    ([(header::CONTENT_TYPE, "image/svg+xml")], ENVELOPE).into_response()
}

async fn nowhere() -> Response {
    html::problem(StatusCode::NOT_FOUND, "There is no such page here.")
}

/// No scripts, nothing from elsewhere, nothing kept by the browser: decrypted secrets pass here.
async fn harden(mut response: Response) -> Response {
    const HEADERS: [(header::HeaderName, &str); 5] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
