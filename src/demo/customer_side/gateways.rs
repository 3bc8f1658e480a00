//! The customers' gateways: how each stands, seen from where it is.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Inner;
use super::html::{self, Part, text, when};
use crate::demo::agents::Site;
use crate::gateway::agent::State as Standing;

pub(super) async fn show(State(side): State<Arc<Inner>>) -> Response {
    let mut main = String::from(
        "<p class=\"lead\">The customers' gateways, as their own agents say they stand. \
         <a href=\"/gateways\">Look again</a></p>\n",
    );
    let sites = side.agents.sites();
    if sites.is_empty() {
        main.push_str("<p class=\"empty\">No gateway runs here.</p>\n");
    }
    for org in &side.orgs {
        for site in sites.iter().filter(|site| site.gateway.org == org.slug) {
            main.push_str(&card(site, &org.name));
        }
    }
    html::page(StatusCode::OK, "Gateways", Some(Part::Gateways), &main)
}

fn card(site: &Site, org: &str) -> String {
    let id = text(&site.gateway.id);
    let head = format!(
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n\
         <p class=\"to\">{} · <code>{id}</code></p>\n",
        text(&site.gateway.label),
        text(org)
    );
    let Some(status) = &site.status else {
        return format!("{head}<p class=\"empty\">It has not said anything yet.</p>\n</section>\n");
    };
    let state = match status.state {
        Standing::Running => "<strong class=\"good\">Running</strong>",
        Standing::Refused => "<strong class=\"bad\">Down: the platform refuses it</strong>",
        Standing::Unreachable => "<strong class=\"bad\">Down: the platform is not reached</strong>",
        Standing::Broken => "<strong class=\"bad\">Down: its files cannot be used</strong>",
    };
    let before = status.previous_serial.as_ref().map_or_else(String::new, |serial| {
        format!("<dt>Serial before</dt><dd><code>{}</code></dd>", text(serial))
    });
    let answer = status.last_answer_at.map_or_else(|| "none since it was started".to_owned(), when);
    format!(
        "{head}<dl class=\"envelope\"><dt>State</dt><dd>{state}</dd>\
         <dt>Says</dt><dd>{}</dd>\
         <dt>Serial</dt><dd><code>{}</code></dd>{before}\
         <dt>Certificate ends</dt><dd>{}</dd>\
         <dt>Last answer</dt><dd>{answer}</dd>\
         <dt>Beats answered</dt><dd>{}</dd></dl>\n</section>\n",
        text(&status.said),
        text(&status.serial),
        when(status.expires_at),
        status.beats,
    )
}
