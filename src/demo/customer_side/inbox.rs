//! What the Owners received, by org.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Inner;
use super::html::{self, Part, text, when};
use super::opened::message_of;
use crate::demo::smtp_catcher::CaughtMail;

pub(super) async fn show(State(side): State<Arc<Inner>>) -> Response {
    let mut main = format!(
        "<p class=\"lead\">What the platform mailed to the Owners of its customers. \
         <a href=\"/\">Look for new mail</a> · <a href=\"{}\">Go to the platform's console</a></p>\n",
        text(&side.console)
    );
    let mut addressed = Vec::new();
    let mut quiet = Vec::new();
    for org in &side.orgs {
        let mails = side.mails.mails_to(&org.owner_email);
        addressed.extend(mails.iter().map(|mail| mail.id));
        if mails.is_empty() {
            quiet.push(text(&org.name));
            continue;
        }
        let head = format!(
            "<h2 id=\"{slug}\">{}</h2>\n<p class=\"to\">{}, Owner of record · {}</p>\n",
            text(&org.name),
            text(&org.owner),
            text(&org.owner_email),
            slug = text(&org.slug),
        );
        main.push_str(&section(&org.slug, &head, &mails));
    }
    let mut others = side.mails.mails();
    others.retain(|mail| !addressed.contains(&mail.id));
    if !others.is_empty() {
        let head = "<h2 id=\"others\">Other mail</h2>\n";
        main.push_str(&section("others", head, &others));
    }
    if addressed.is_empty() {
        main.push_str(
            "<p class=\"empty\">No mail yet. Start the impersonation for NOV-4801 in the console: \
             its Owner hears of it here.</p>\n",
        );
    }
    if !quiet.is_empty() {
        main.push_str(&format!("<p class=\"quiet\">No mail for: {}.</p>\n", quiet.join(", ")));
    }
    html::page(StatusCode::OK, "Inbox", Some(Part::Inbox), &main)
}

fn section(id: &str, head: &str, mails: &[Arc<CaughtMail>]) -> String {
    let rows = mails.iter().map(|mail| {
        let mark =
            if message_of(mail).is_some() { " <span class=\"mark\">encrypted</span>" } else { "" };
        format!(
            "<li><a href=\"/mail/{}\">{}</a>{mark} {}</li>\n",
            mail.id,
            text(subject(mail)),
            when(mail.received_at)
        )
    });
    let id = text(id);
    format!(
        "<section aria-labelledby=\"{id}\">\n{head}<ul class=\"mails\">\n{}</ul>\n</section>\n",
        rows.collect::<String>()
    )
}

/// The subject, or what stands for one: a link needs a name.
pub(super) fn subject(mail: &CaughtMail) -> &str {
    if mail.subject.trim().is_empty() { "(no subject)" } else { &mail.subject }
}
