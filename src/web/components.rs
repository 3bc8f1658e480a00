//! The small pieces that pages are made of.

use leptos::prelude::*;

use crate::model::{Micros, SecretType, Standing, TicketState, VersionState, time};
use crate::proof::verdict::Verdict;

/// An icon of the set. It is decoration: a word stands beside it.
pub fn icon(name: &str) -> AnyView {
    sized_icon("icon", name)
}

/// An icon with classes of its own.
pub fn sized_icon(class: &'static str, name: &str) -> AnyView {
    view! { <svg class=class aria-hidden="true"><use href=format!("/icons.svg#{name}")></use></svg> }.into_any()
}

/// An instant in a list: how long ago, with the absolute time behind it.
pub fn ago(t: Micros, now: Micros) -> AnyView {
    view! { <time datetime=time::rfc3339(t) title=time::seconds(t)>{time::relative(t, now)}</time> }
        .into_any()
}

/// An absolute instant.
pub fn at(t: Micros) -> AnyView {
    view! { <time datetime=time::rfc3339(t) title=time::rfc3339(t)>{time::seconds(t)}</time> }
        .into_any()
}

/// A long id, shortened in the middle; whole on hover.
#[must_use]
pub fn short(id: &str) -> String {
    let chars: Vec<char> = id.chars().collect();
    if chars.len() <= 16 {
        return id.to_owned();
    }
    // UUIDv7 begins with the time, so its beginning alone says little.
    let (head, tail): (String, String) =
        (chars[..5].iter().collect(), chars[chars.len() - 4..].iter().collect());
    format!("{head}…{tail}")
}

/// An id with a copy button; `what` says whose it is.
pub fn id(full: &str, what: &str) -> AnyView {
    let full = full.to_owned();
    view! {
        <span class="idc">
            <code class="id" title=full.clone()>{short(&full)}</code>
            {copy(full, what)}
        </span>
    }
    .into_any()
}

/// An id that leads to its page, with a copy button.
pub fn id_link(full: &str, href: String, what: &str) -> AnyView {
    let full = full.to_owned();
    view! {
        <span class="idc">
            <a href=href><code class="id" title=full.clone()>{short(&full)}</code></a>
            {copy(full, what)}
        </span>
    }
    .into_any()
}

/// A copy button without a word. Shown where scripts are on.
pub fn copy(value: String, what: &str) -> AnyView {
    view! {
        <button class="copy" type="button" data-copy=value aria-label=format!("Copy {what}")>
            {icon("copy")}
        </button>
    }
    .into_any()
}

/// A full fingerprint in groups of four.
pub fn fingerprint(hex: &str) -> AnyView {
    let groups: Vec<String> =
        hex.as_bytes().chunks(4).map(|g| String::from_utf8_lossy(g).into_owned()).collect();
    let spoken = format!("Fingerprint {}", groups.join(" "));
    view! {
        <code class="fingerprint" role="img" aria-label=spoken>
            {groups.into_iter().map(|g| view! { <span>{g}</span> }).collect_view()}
        </code>
    }
    .into_any()
}

/// A state: an icon and a word; `class` is `state-ok`, `state-needs`, `state-live` or nothing.
pub fn state(class: &str, icon_name: &str, word: impl Into<String>) -> AnyView {
    view! { <span class=format!("state {class}")>{icon(icon_name)}{word.into()}</span> }.into_any()
}

/// A badge: an icon and a word; `class` is `badge-ok`, `badge-needs`, `badge-live`,
/// `badge-alarm` or nothing.
pub fn badge(class: &str, icon_name: &str, word: impl Into<String>) -> AnyView {
    view! { <span class=format!("badge {class}")>{icon(icon_name)}{word.into()}</span> }.into_any()
}

/// The verdict of an impersonation as a badge.
pub fn verdict(v: Verdict) -> AnyView {
    match v {
        Verdict::Complete => badge("badge-ok", "check", "Complete"),
        Verdict::Open => badge("badge-live", "live", "Open"),
        Verdict::Incomplete => badge("badge-needs", "dashed", "Incomplete"),
        Verdict::Mismatch => badge("badge-needs", "unlink", "Mismatch"),
        Verdict::Tampered => badge("badge-alarm", "warning", "Tampered"),
    }
}

/// Where a ticket stands.
pub fn ticket_state(s: TicketState) -> AnyView {
    match s {
        TicketState::Open => state("", "ring", "Open"),
        TicketState::Pending => state("", "clock", "Pending"),
        TicketState::Escalated => state("state-needs", "scale", "Escalated"),
        TicketState::Solved => state("", "check", "Solved"),
        TicketState::Closed => state("", "lock", "Closed"),
    }
}

/// A member's standing.
pub fn standing(s: Standing) -> AnyView {
    match s {
        Standing::Active => state("state-ok", "check", "Active"),
        Standing::LockedOut => state("state-needs", "lock", "Locked out"),
        Standing::Suspended => state("state-needs", "stop", "Suspended"),
        Standing::Departed => state("", "sign-out", "Departed"),
    }
}

/// What a version is good for.
pub fn version_state(s: VersionState) -> AnyView {
    match s {
        VersionState::Pending => state("", "clock", "Waiting"),
        VersionState::Live => state("state-ok", "check", "Live"),
        VersionState::Retiring => state("", "clock", "Overlap"),
        VersionState::Retired => state("", "cross", "Retired"),
        VersionState::Failed => state("state-bad", "cross", "Failed"),
    }
}

/// The icon of a type of secret.
#[must_use]
pub fn secret_icon(t: SecretType) -> &'static str {
    match t {
        SecretType::WebhookSigningKey => "webhook",
        SecretType::VaultToken => "vault",
        SecretType::MtlsCertificate => "certificate",
    }
}

/// A type of secret by its exact name.
pub fn secret_type(t: SecretType) -> AnyView {
    view! { <span class="icon-text">{icon(secret_icon(t))}<span class="mono">{t.as_str()}</span></span> }.into_any()
}

/// The initials of a name, for an avatar.
#[must_use]
pub fn initials(name: &str) -> String {
    name.split_whitespace()
        .filter_map(|w| w.chars().next())
        .take(2)
        .collect::<String>()
        .to_uppercase()
}

/// The way to newer and older things.
pub fn pager(newer: Option<String>, older: Option<String>) -> AnyView {
    let link = |href: Option<String>, newer: bool| {
        let label = if newer {
            view! { {icon("arrow-left")}"Newer" }.into_any()
        } else {
            view! { "Older"{icon("arrow-right")} }.into_any()
        };
        match href {
            Some(href) => view! { <a class="btn btn-sm" href=href>{label}</a> }.into_any(),
            None => view! { <a class="btn btn-sm" role="link" aria-disabled="true">{label}</a> }
                .into_any(),
        }
    };
    view! { <nav class="pager" aria-label="Pages">{link(newer, true)}{link(older, false)}</nav> }
        .into_any()
}

/// What stands where a list is empty.
pub fn empty(icon_name: &str, title: &'static str, text: &'static str) -> AnyView {
    view! { <div class="empty">{icon(icon_name)}<h2>{title}</h2><p>{text}</p></div> }.into_any()
}

/// The bar that shrinks by itself: SMIL needs neither a script nor a style attribute.
pub fn time_left(left: i64, total: i64) -> AnyView {
    let total = total.max(1);
    let left = left.clamp(0, total);
    let width = 900 * left / total;
    view! {
        <div class="timeleft">
            <svg viewBox="0 0 900 4" preserveAspectRatio="none" aria-hidden="true">
                <rect class="timeleft-track" width="900" height="4"></rect>
                <rect class="timeleft-fill" width=width.to_string() height="4">
                    <animate attributeName="width" from=width.to_string() to="0" dur=format!("{left}s") fill="freeze"></animate>
                </rect>
            </svg>
            <progress max=total.to_string() value=left.to_string() aria-label="Time left of this impersonation">
                {format!("{left} s")}
            </progress>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ids_are_shortened_in_the_middle_and_short_ones_left_alone() {
        assert_eq!(short("0192f3b8-7c1e-7b2a-9d11-2f6a5b09a3c1"), "0192f…a3c1");
        assert_eq!(short("whk_acme_orders"), "whk_acme_orders");
    }

    #[test]
    fn initials_are_two_at_most() {
        assert_eq!(initials("Ada Mary Okafor"), "AM");
        assert_eq!(initials(""), "");
    }
}
