//! The vaults that customers share with the platform, as they see them in 1Password.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use secrecy::SecretString;

use super::Inner;
use super::html::{self, Part, text, when};
use crate::demo::connect_server::{Field, Item};
use crate::secrets::webhook_key::WebhookKey;

/// The type of a field that is shown only when asked for.
const CONCEALED: &str = "CONCEALED";

pub(super) async fn show(State(side): State<Arc<Inner>>) -> Response {
    let items = side.vaults.items();
    let mut main = String::from(
        "<p class=\"lead\">The 1Password vaults that customers share with the platform. What the \
         platform puts in, its customer finds here. <a href=\"/vault\">Look again</a></p>\n",
    );
    for vault in side.vaults.vaults() {
        let id = text(&vault.id);
        main.push_str(&format!(
            "<section class=\"card\" aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n\
             <p class=\"to\">Vault <code>{id}</code></p>\n",
            text(&vault.name),
        ));
        let inside: Vec<_> = items.iter().rev().filter(|item| item.vault == vault.id).collect();
        if inside.is_empty() {
            main.push_str(
                "<p class=\"quiet\">Nothing yet. Carry NOV-4814 out in the console: the new key \
                 comes here.</p>\n",
            );
        } else {
            let rows = inside.iter().map(|item| row(&side, item)).collect::<String>();
            main.push_str(&format!("<ul class=\"items\">\n{rows}</ul>\n"));
        }
        main.push_str("</section>\n");
    }
    if side.vaults.vaults().is_empty() {
        main.push_str("<p class=\"empty\">No customer shares a vault.</p>\n");
    }
    html::page(StatusCode::OK, "Shared vault", Some(Part::Vault), &main)
}

fn row(side: &Inner, item: &Item) -> String {
    let fields = item.fields.iter().map(|field| drawn(item, field)).collect::<String>();
    let tags = item.tags.iter().map(|tag| format!(" <span class=\"mark\">{}</span>", text(tag)));
    let install = webhook_of(side, item).map(|(webhook, _)| {
        format!(
            "<form method=\"post\" action=\"/vault/items/{}/install\">\n\
             <button class=\"main\">Install as the new webhook key</button>\n\
             <p>The receiver of <code>{}</code> then accepts messages that are signed with it, \
             and goes on accepting its present key.</p>\n</form>\n",
            text(&item.id),
            text(&webhook),
        )
    });
    format!(
        "<li><h3>{}</h3>\n<p class=\"to\">{} · {} · <code>{}</code></p>\n<p>{}</p>\n{fields}{}</li>\n",
        text(&item.title),
        text(&item.category),
        when(item.created_at),
        text(&item.id),
        tags.collect::<String>().trim_start(),
        install.unwrap_or_default(),
    )
}

/// A field; one that is concealed is behind a click, as in 1Password.
fn drawn(item: &Item, field: &Field) -> String {
    let value = text(field.value.trim_end());
    if field.r#type == CONCEALED {
        let label = text(&field.label);
        return format!(
            "<details><summary>{label}: •••••••• <span class=\"sr\">of {}, concealed. Reveal it</span></summary>\n\
             <pre class=\"secret\">{value}</pre>\n</details>\n",
            text(&item.title),
        );
    }
    let label = if field.purpose == "NOTES" { "Notes" } else { &field.label };
    format!("<p class=\"to\">{}</p>\n<pre>{value}</pre>\n", text(label))
}

/// Installs the key of an item, so that it does not pass through the browser's form.
pub(super) async fn install(State(side): State<Arc<Inner>>, Path(id): Path<String>) -> Response {
    let found = side.vaults.items().into_iter().find(|item| item.id == id);
    let Some(item) = found else {
        return html::problem(StatusCode::NOT_FOUND, "There is no such item.");
    };
    let Some((webhook, key)) = webhook_of(&side, &item) else {
        return html::problem(
            StatusCode::CONFLICT,
            "There is no key in this item for a webhook of the customer that shares the vault.",
        );
    };
    side.receiver.install(&webhook, &key, side.clock.now());
    Redirect::to(&format!("/hooks#{webhook}")).into_response()
}

/// The webhook that an item has a key for: one that its title names, of the org whose vault it
/// is in.
fn webhook_of(side: &Inner, item: &Item) -> Option<(String, WebhookKey)> {
    let field = item.fields.iter().find(|field| field.r#type == CONCEALED)?;
    let key = WebhookKey::parse(SecretString::from(field.value.as_str())).ok()?;
    let org = side.vault_orgs.iter().find(|vault| vault.id == item.vault)?;
    let named = |id: &str| {
        item.title.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == id)
    };
    let hooks = side.receiver.hooks().into_iter();
    let webhook =
        hooks.filter(|hook| hook.org == org.org).map(|hook| hook.id).find(|id| named(id))?;
    Some((webhook, key))
}
