//! The webhook receiver, and the page that shows what it does.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Inner;
use super::html::{self, Part, text, when};
use super::receiver::{Delivery, Hook};

/// Takes a message, as the customer's own software would: who signed it is all that counts.
pub(super) async fn receive(
    State(side): State<Arc<Inner>>,
    Path(webhook): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match side.receiver.receive(&webhook, &headers, &body, side.clock.now()) {
        None => (StatusCode::NOT_FOUND, "there is no such webhook here").into_response(),
        Some(delivery) if delivery.accepted() => delivery.in_words().into_response(),
        Some(delivery) => {
            (StatusCode::UNAUTHORIZED, format!("refused ({})", delivery.in_words())).into_response()
        }
    }
}

pub(super) async fn show(State(side): State<Arc<Inner>>) -> Response {
    let hooks = side.receiver.hooks();
    let deliveries = side.receiver.deliveries();
    let mut main = String::from(
        "<p class=\"lead\">The customers' receivers, and the keys that they verify messages with. \
         A message that no installed key verifies is refused.</p>\n",
    );
    main.push_str(&latest(&deliveries));
    for org in &side.orgs {
        for hook in hooks.iter().filter(|hook| hook.org == org.slug) {
            main.push_str(&card(hook, &org.name));
        }
    }
    html::page(StatusCode::OK, "Webhooks", Some(Part::Webhooks), &main)
}

/// Removes an old key.
pub(super) async fn remove(
    State(side): State<Arc<Inner>>,
    Path((webhook, number)): Path<(String, u64)>,
) -> Response {
    if side.receiver.remove(&webhook, number) {
        // The webhook is one that is known, so its id is safe in an address.
        return Redirect::to(&format!("/hooks#{webhook}")).into_response();
    }
    html::problem(StatusCode::CONFLICT, "Only an old key that is installed can be removed.")
}

fn latest(deliveries: &[Delivery]) -> String {
    if deliveries.is_empty() {
        return "<p class=\"empty\">No message yet. “Send a test event” in the console sends one.</p>\n"
            .to_owned();
    }
    let rows = deliveries.iter().map(|delivery| {
        let (class, word) =
            if delivery.accepted() { ("good", "accepted") } else { ("bad", "refused") };
        format!(
            "<tr><td>{}</td><td><a href=\"#{id}\"><code>{id}</code></a></td><td><code>{}</code></td>\
             <td><strong class=\"{class}\">{word}</strong></td><td>{}</td></tr>\n",
            when(delivery.at),
            text(&delivery.message),
            text(&delivery.in_words()),
            id = text(&delivery.webhook),
        )
    });
    format!(
        "<section aria-labelledby=\"latest\">\n<h2 id=\"latest\">Latest messages</h2>\n\
         <div class=\"wide\" role=\"region\" aria-label=\"Table of the latest messages\" tabindex=\"0\"><table>\n\
         <thead><tr><th scope=\"col\">Time</th><th scope=\"col\">Webhook</th><th scope=\"col\">Message</th>\
         <th scope=\"col\">Result</th><th scope=\"col\">By key</th></tr></thead>\n<tbody>\n{}</tbody>\n\
         </table></div>\n</section>\n",
        rows.collect::<String>()
    )
}

fn card(hook: &Hook, org: &str) -> String {
    let id = text(&hook.id);
    let keys = hook.names().into_iter().zip(&hook.keys).enumerate().map(|(place, (name, key))| {
        let remove = if place == 0 {
            String::new()
        } else {
            format!(
                " <form method=\"post\" action=\"/hooks/{id}/keys/{number}/remove\">\
                 <button aria-label=\"Remove the {name} {short} of {id}\">Remove</button></form>",
                number = key.number,
                short = text(&key.shortened()),
            )
        };
        format!(
            "<li><span>{name} <code>{}</code></span> <span class=\"since\">since {}</span>{remove}</li>\n",
            text(&key.shortened()),
            when(key.since)
        )
    });
    format!(
        "<section class=\"card\" aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n\
         <p class=\"to\">{} · <code>{id}</code></p>\n<ul class=\"keys\">\n{}</ul>\n</section>\n",
        text(&hook.label),
        text(org),
        keys.collect::<String>()
    )
}
