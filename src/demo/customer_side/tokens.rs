//! The page of the customer's vault tokens, where each can be tried.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Inner;
use super::html::{self, Part, text, when};
use super::wallet::{Kept, Pinned};

pub(super) async fn show(State(side): State<Arc<Inner>>) -> Response {
    let mut main = String::from(
        "<p class=\"lead\">The tokens by which the customers' own jobs get at the vault. \
         Trying one is what such a job does first: it asks the vault who it is.</p>\n",
    );
    let pinned = side.wallet.all();
    for org in &side.orgs {
        for held in pinned.iter().filter(|held| held.org == org.slug) {
            main.push_str(&card(held, &org.name, &side.wallet.address()));
        }
    }
    html::page(StatusCode::OK, "Vault tokens", Some(Part::Tokens), &main)
}

/// Shows a token to the vault.
pub(super) async fn try_out(
    State(side): State<Arc<Inner>>,
    Path((id, number)): Path<(String, u64)>,
) -> Response {
    if side.wallet.try_out(&id, number, side.clock.now()).await {
        // The id is one that is known, so it is safe in an address.
        return Redirect::to(&format!("/tokens#{id}")).into_response();
    }
    html::problem(StatusCode::NOT_FOUND, "There is no such token here.")
}

fn card(held: &Pinned, org: &str, address: &str) -> String {
    let id = text(&held.id);
    let tokens = held.tokens.iter().enumerate().map(|(place, kept)| {
        let name = held.name(place);
        format!(
            "<li><span>{name} <code>{short}</code></span> <span class=\"since\">since {since}</span>\
             <form method=\"post\" action=\"/tokens/{id}/{number}/try\">\
             <button aria-label=\"Try the {name} {short} of {id}\">Try it</button></form>\n{said}\
             <details><summary>As a command</summary>\n<pre class=\"secret\">{command}</pre></details></li>\n",
            short = text(&kept.shortened()),
            since = when(kept.since),
            said = said(kept),
            number = kept.number,
            command = text(&format!(
                "curl -i -H 'X-Vault-Token: {}' {address}",
                kept.token.as_str()
            )),
        )
    });
    format!(
        "<section class=\"card\" aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n\
         <p class=\"to\">{} · <code>{id}</code></p>\n<ul class=\"keys\">\n{}</ul>\n</section>\n",
        text(&held.label),
        text(org),
        tokens.collect::<String>()
    )
}

fn said(kept: &Kept) -> String {
    let Some(said) = &kept.said else { return String::new() };
    let (class, word) = match said.status {
        Some(200) => ("good", "accepted (200)".to_owned()),
        Some(status) => ("bad", format!("refused ({status})")),
        None => ("bad", "not answered".to_owned()),
    };
    format!(
        "<p class=\"said\"><strong class=\"{class}\">{word}</strong>: {}, {}</p>\n",
        text(&said.text),
        when(said.at)
    )
}
