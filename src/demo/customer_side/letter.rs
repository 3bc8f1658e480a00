//! One mail, and what is in the encrypted message that it may carry.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use secrecy::SecretString;

use super::html::{self, Part, text, when};
use super::opened::{Opened, message_of};
use super::{Inner, inbox};
use crate::demo::agents::Site;
use crate::demo::smtp_catcher::CaughtMail;

/// Why a mail shows nothing.
pub(super) enum Shut {
    NoMail,
    NotOpened,
    NoKeyInIt,
    NotInstalled(String),
}

impl IntoResponse for Shut {
    fn into_response(self) -> Response {
        let (status, what) = match self {
            Self::NotInstalled(why) => return html::problem(StatusCode::CONFLICT, &why),
            Self::NoMail => (StatusCode::NOT_FOUND, "There is no such mail."),
            Self::NotOpened => (
                StatusCode::CONFLICT,
                "The recipient's private key does not open anything in this mail.",
            ),
            Self::NoKeyInIt => (
                StatusCode::CONFLICT,
                "There is nothing in this message, signed by the platform, for a webhook, a vault \
                 token or a gateway of its recipient.",
            ),
        };
        html::problem(status, what)
    }
}

type Page = Result<Response, Shut>;

pub(super) async fn show(State(side): State<Arc<Inner>>, Path(id): Path<u64>) -> Page {
    let mail = side.mails.mail(id).ok_or(Shut::NoMail)?;
    let mut main = envelope(&mail);
    main.push_str(&format!(
        "<section aria-labelledby=\"text\">\n<h2 id=\"text\">The mail</h2>\n<pre>{}</pre>\n</section>\n",
        html::linked(mail.body.replace("\r\n", "\n").trim_end(), &side.console)
    ));
    for file in mail.parts.iter().filter(|part| part.file_name.is_some()) {
        main.push_str(&format!(
            "<section>\n<h2>Attached: {}</h2>\n<pre>\n{}\n</pre>\n</section>\n",
            text(file.file_name.as_deref().unwrap_or_default()),
            text(String::from_utf8_lossy(&file.content).trim_end())
        ));
    }
    if message_of(&mail).is_some() {
        main.push_str(&format!(
            "<form method=\"post\" action=\"/mail/{id}/decrypt\">\n\
             <button class=\"main\">Decrypt with the Owner's private key</button>\n\
             <p>The key is the Owner's. Outside of this demo it never leaves their machine.</p>\n</form>\n"
        ));
    }
    Ok(html::page(StatusCode::OK, inbox::subject(&mail), Some(Part::Inbox), &main))
}

/// The decrypted text. It is on this page and nowhere else.
pub(super) async fn decrypt(State(side): State<Arc<Inner>>, Path(id): Path<u64>) -> Page {
    let (mail, opened) = open(&side, id)?;
    let signature = match &opened.signed_by {
        Some(key) => format!(
            "<p class=\"good\"><strong>The signature is valid.</strong> \
             It was made with the platform's key <code>{}</code>.</p>\n",
            text(key)
        ),
        None => "<p class=\"bad\"><strong>There is no valid signature of the platform.</strong> \
                 Do not use what stands in this message.</p>\n"
            .to_owned(),
    };
    let mut main = envelope(&mail);
    main.push_str(&signature);
    main.push_str(&format!(
        "<section aria-labelledby=\"text\">\n<h2 id=\"text\">The decrypted message</h2>\n\
         <pre class=\"secret\">{}</pre>\n</section>\n",
        text(&opened.text)
    ));
    if let Some(webhook) = webhook_of(&side, &mail, &opened) {
        main.push_str(&format!(
            "<form method=\"post\" action=\"/mail/{id}/install\">\n\
             <button class=\"main\">Install as the new webhook key</button>\n\
             <p>The receiver of <code>{}</code> then accepts messages that are signed with it, \
             and goes on accepting its present key.</p>\n</form>\n",
            text(&webhook)
        ));
    }
    if let Some(secret) = token_for(&side, &mail, &opened) {
        main.push_str(&format!(
            "<form method=\"post\" action=\"/mail/{id}/keep\">\n\
             <button class=\"main\">Keep as the new vault token</button>\n\
             <p>The jobs of <code>{}</code> then use it. It can be tried on the page of the vault \
             tokens.</p>\n</form>\n",
            text(&secret)
        ));
    }
    if let Some((gateway, _)) = gateway_of(&side, &mail, &opened) {
        main.push_str(&format!(
            "<form method=\"post\" action=\"/mail/{id}/install\">\n\
             <button class=\"main\">Install the bundle and restart</button>\n\
             <p>The gateway <code>{}</code> then starts again with the new key and certificate.</p>\n</form>\n",
            text(&gateway)
        ));
    }
    main.push_str(&format!("<p><a href=\"/mail/{id}\">Back to the mail</a></p>\n"));
    Ok(html::page(StatusCode::OK, inbox::subject(&mail), Some(Part::Inbox), &main))
}

/// Decrypts once more, so that the key does not pass through the browser's form.
pub(super) async fn install(State(side): State<Arc<Inner>>, Path(id): Path<u64>) -> Page {
    let (mail, opened) = open(&side, id)?;
    if let Some((gateway, bundle)) = gateway_of(&side, &mail, &opened) {
        side.agents.install(&gateway, &bundle).map_err(|e| Shut::NotInstalled(e.to_string()))?;
        return Ok(Redirect::to(&format!("/gateways#{gateway}")).into_response());
    }
    let webhook = webhook_of(&side, &mail, &opened).ok_or(Shut::NoKeyInIt)?;
    let key = opened.webhook_key().ok_or(Shut::NoKeyInIt)?;
    side.receiver.install(&webhook, &key, side.clock.now());
    Ok(Redirect::to(&format!("/hooks#{webhook}")).into_response())
}

/// The same for a vault token.
pub(super) async fn keep(State(side): State<Arc<Inner>>, Path(id): Path<u64>) -> Page {
    let (mail, opened) = open(&side, id)?;
    let secret = token_for(&side, &mail, &opened).ok_or(Shut::NoKeyInIt)?;
    let token = opened.vault_token().ok_or(Shut::NoKeyInIt)?;
    side.wallet.add(&secret, token, side.clock.now());
    Ok(Redirect::to(&format!("/tokens#{secret}")).into_response())
}

fn open(side: &Inner, id: u64) -> Result<(Arc<CaughtMail>, Opened), Shut> {
    let mail = side.mails.mail(id).ok_or(Shut::NoMail)?;
    let message = message_of(&mail).ok_or(Shut::NotOpened)?;
    let opened = side.keychain.open(&mail.to, &message).ok_or(Shut::NotOpened)?;
    Ok((mail, opened))
}

/// The webhook that the message has a key for: one that it names, of the org that it went to. An
/// unsigned message could be from anybody.
fn webhook_of(side: &Inner, mail: &CaughtMail, opened: &Opened) -> Option<String> {
    opened.signed_by.as_ref()?;
    opened.webhook_key()?;
    let to = |address: &str| mail.to.iter().any(|to| to.eq_ignore_ascii_case(address));
    let org = side.orgs.iter().find(|org| to(&org.owner_email))?;
    let hooks = side.receiver.hooks().into_iter();
    hooks.filter(|hook| hook.org == org.slug).map(|hook| hook.id).find(|id| opened.names(id))
}

/// The secret that the message has a vault token for, by the same rules.
fn token_for(side: &Inner, mail: &CaughtMail, opened: &Opened) -> Option<String> {
    opened.signed_by.as_ref()?;
    opened.vault_token()?;
    let to = |address: &str| mail.to.iter().any(|to| to.eq_ignore_ascii_case(address));
    let org = side.orgs.iter().find(|org| to(&org.owner_email))?;
    let pinned = side.wallet.all().into_iter();
    pinned.filter(|held| held.org == org.slug).map(|held| held.id).find(|id| opened.names(id))
}

/// The gateway that the message has a bundle for, of the org that it went to, and the bundle.
fn gateway_of(side: &Inner, mail: &CaughtMail, opened: &Opened) -> Option<(String, SecretString)> {
    opened.signed_by.as_ref()?;
    let (gateway, bundle) = opened.bundle()?;
    let to = |address: &str| mail.to.iter().any(|to| to.eq_ignore_ascii_case(address));
    let org = side.orgs.iter().find(|org| to(&org.owner_email))?;
    let here = |site: &Site| site.gateway.org == org.slug && site.gateway.id == gateway;
    side.agents.sites().iter().any(here).then_some((gateway, bundle))
}

fn envelope(mail: &CaughtMail) -> String {
    let from = mail.header("From").unwrap_or(&mail.from);
    format!(
        "<dl class=\"envelope\"><dt>From</dt><dd>{}</dd><dt>To</dt><dd>{}</dd>\
         <dt>Received</dt><dd>{}</dd></dl>\n",
        text(from),
        text(&mail.to.join(", ")),
        when(mail.received_at)
    )
}
