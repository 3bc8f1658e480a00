//! The frame of every page, and text made safe to stand in one.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};

use crate::model::{Micros, time};

/// Which of the parts of the site a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Inbox,
    Vault,
    Webhooks,
    Tokens,
    Gateways,
}

/// A text as a page may hold it, between tags or in a quoted attribute.
pub(super) fn text(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for letter in raw.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// An instant.
pub(super) fn when(at: Micros) -> String {
    format!("<time datetime=\"{}\">{}</time>", time::rfc3339(at), time::seconds(at))
}

/// A page of `part` whose `main` is safe already; `title` is made so here.
pub(super) fn page(status: StatusCode, title: &str, part: Option<Part>, main: &str) -> Response {
    let title = text(title);
    let here = |this| if part == Some(this) { " aria-current=\"page\"" } else { "" };
    let (inbox, vault, webhooks) = (here(Part::Inbox), here(Part::Vault), here(Part::Webhooks));
    let tokens = here(Part::Tokens);
    let gateways = here(Part::Gateways);
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · the customer's side</title>\n\
         <link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
         <header>\n\
         <p class=\"where\"><strong>Demo: the customer's side.</strong> The platform cannot see this.</p>\n\
         <nav aria-label=\"Pages\"><a href=\"/\"{inbox}>Inbox</a><a href=\"/vault\"{vault}>Shared vault</a><a href=\"/hooks\"{webhooks}>Webhooks</a><a href=\"/tokens\"{tokens}>Vault tokens</a>\
         <a href=\"/gateways\"{gateways}>Gateways</a></nav>\n\
         </header>\n<main id=\"main\" tabindex=\"-1\">\n<h1>{title}</h1>\n{main}</main>\n</body>\n</html>\n"
    );
    (status, Html(page)).into_response()
}

/// A page that says what went wrong.
pub(super) fn problem(status: StatusCode, what: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("That did not work");
    let main = format!("<p>{}</p>\n<p><a href=\"/\">Go to the inbox</a></p>\n", text(what));
    page(status, title, None, &main)
}

/// The text of a mail, with those addresses that begin with `known` made into links.
pub(super) fn linked(raw: &str, known: &str) -> String {
    let mut out = String::with_capacity(raw.len() + 64);
    let mut rest = raw;
    // An address that is the start of another's (`:300` of `:3000`) is not known.
    let known = format!("{}/", known.trim_end_matches('/'));
    while let Some(at) = rest.find(&known) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| c.is_whitespace() || "<>\"'".contains(c));
        let link = from[..end.unwrap_or(from.len())].trim_end_matches(['.', ',', ')', ';']);
        out.push_str(&text(before));
        out.push_str(&format!("<a href=\"{0}\">{0}</a>", text(link)));
        rest = &from[link.len()..];
    }
    out.push_str(&text(rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the pages from whatever a mail or a webhook's caller puts in.
    #[test]
    fn what_others_wrote_stays_text() {
        assert_eq!(text("<b a=\"1\" b='2'>&"), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;");
        let hostile = linked("http://c:1/<script> http://c:1/\"onclick=x", "http://c:1");
        assert_eq!(
            hostile,
            "<a href=\"http://c:1/\">http://c:1/</a>&lt;script&gt; \
             <a href=\"http://c:1/\">http://c:1/</a>&quot;onclick=x"
        );
    }

    /// Protects the Owner's two links, and against any other address becoming one.
    #[test]
    fn the_console_s_addresses_become_links() {
        let link = "<a href=\"http://c:1/consent/a_-b\">http://c:1/consent/a_-b</a>";
        assert_eq!(
            linked("see http://c:1/consent/a_-b).\n", "http://c:1"),
            format!("see {link}).\n")
        );
        for other in ["http://c:10/x", "https://evil.example/", "javascript:alert(1)", "http://c:1"]
        {
            assert_eq!(linked(other, "http://c:1"), text(other));
        }
    }
}
