//! The frame around every page.

use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use hydration_context::SsrSharedContext;
use leptos::config::LeptosOptions;
use leptos::nonce::{provide_nonce, use_nonce};
use leptos::prelude::*;
use leptos::reactive::owner::Owner;

use super::app::App;
use super::components::{icon, initials, time_left};
use super::door::{Door, Flash};
use super::islands::{Countdown, Helpers, Palette, Place};
use super::pages::error;
use crate::desk::Step;
use crate::model::{Micros, time};
use crate::policy::access::{self, Act};
use crate::store::impersonations::{self, Impersonation};
use crate::store::verification::{self, Verification};
use crate::store::{orgs, staff, tickets};

/// Which part of the console a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Tickets.
    Tickets,
    /// Impersonations.
    Impersonations,
    /// The audit timeline.
    Audit,
    /// Organizations.
    Orgs,
    /// What needs a look.
    Overview,
    /// Whether the logs hold.
    Integrity,
    /// None of the rail's.
    None,
}

const RAIL: [(Part, &str, &str, &str); 6] = [
    (Part::Tickets, "/tickets", "ticket", "Tickets"),
    (Part::Impersonations, "/impersonations", "shield", "Impersonations"),
    (Part::Audit, "/audit", "timeline", "Audit"),
    (Part::Orgs, "/orgs", "org", "Organizations"),
    (Part::Overview, "/overview", "chart", "Overview"),
    (Part::Integrity, "/audit/integrity", "merkle", "Integrity"),
];

/// The parts of the rail, for the palette.
fn places() -> Vec<Place> {
    let place = |&(_, href, icon, label): &(Part, &str, &str, &str)| Place {
        label: label.to_owned(),
        href: href.to_owned(),
        icon: icon.to_owned(),
    };
    RAIL.iter().map(place).collect()
}

/// A live impersonation, for the bar.
struct Live {
    grant: Impersonation,
    admin: String,
    org: String,
    slug: String,
}

/// What every page says while logs do not hold.
struct Alarm {
    /// In the title, too.
    short: String,
    /// The first fault.
    first: String,
}

impl Alarm {
    fn of(v: Verification) -> Self {
        let fault = v.fault.unwrap_or_default();
        match v.faults {
            0 | 1 => Self { short: "A log does not hold".to_owned(), first: fault },
            n => Self {
                short: format!("{n} logs do not hold"),
                first: format!("The first: {fault}"),
            },
        }
    }
}

/// Puts a page into the frame and answers with it.
pub async fn page(
    door: Door,
    status: StatusCode,
    title: &str,
    part: Part,
    body: AnyView,
) -> Response {
    let mut door = door;
    match framed(&mut door, title, part, body).await {
        Ok(html) => (status, html).into_response(),
        Err(e) => {
            tracing::error!(error = %e, "drawing the frame");
            error::broken()
        }
    }
}

async fn framed(door: &mut Door, title: &str, part: Part, body: AnyView) -> Step<Response> {
    let now = door.app.desk.now();
    let live = live(door, now).await?;
    let open = tickets::count_waiting(&mut door.conn).await?;
    let broken = verification::standing_failure(&mut door.conn).await?;
    let flashes = door.flashes().await;
    let title = match live.first() {
        Some(first) => format!("● LIVE · {} · Keyturn", first.grant.ticket_id),
        None => format!("{title} · Keyturn"),
    };
    let alarm = broken.map(Alarm::of);
    let title = match &alarm {
        Some(alarm) => format!("▲ {} · {title}", alarm.short),
        None => title,
    };
    let favicon = if live.is_empty() { "/favicon.svg" } else { "/favicon-live.svg" };
    let nav = || rail(part, open, live.len());
    let session = || session(door, now);
    let acts = acts(door);
    let inner = view! {
        <a class="skip-link" href="#main">"Skip to content"</a>
        {alarm.map(|alarm| view! {
            <section class="alarmbar" role="alert">
                {icon("warning")}
                <p><strong>{alarm.short}"."</strong>" "{alarm.first}". Keep the database as it is, and call security. "<a href="/audit/integrity">"Log integrity"</a></p>
            </section>
        })}
        {live_bar(&live, acts, &door.here, now)}
        <div class="app">
            <header class="rail">
                <a class="brand" href="/">{icon("brand")}"Keyturn"</a>
                {nav()}
                {session()}
            </header>
            <header class="mobilebar">
                <details class="mobilebar-menu">
                    <summary>
                        <span class="brand">{icon("brand")}"Keyturn"</span>
                        <span class="btn btn-sm">{icon("menu")}"Menu"</span>
                    </summary>
                    <div class="mobilebar-body">{nav()}{session()}</div>
                </details>
            </header>
            <div class="stage">
                <section class="topbar" aria-label="Look up">
                    <form class="lookup" role="search" action="/lookup" method="get">
                        <label class="sr-only" for="lookup">"Look up a ticket, org or impersonation"</label>
                        {icon("search")}
                        <input class="input" id="lookup" name="q" type="search" placeholder="Ticket, org, impersonation id …"
                            autocomplete="off" spellcheck="false" />
                        <kbd aria-hidden="true">"/"</kbd>
                        <button class="sr-only" type="submit">"Look up"</button>
                    </form>
                    <Palette places=places() />
                    <p class="asof">
                        {door.app.demo.is_some().then(|| view! { <span class="demo-tag">"Demo"</span> })}
                        <span>"As of "<time datetime=time::rfc3339(now)>{time::seconds(now)}</time></span>
                    </p>
                </section>
                <main class="main" id="main" tabindex="-1">{flash_list(flashes)}{body}</main>
            </div>
        </div>
    }
    .into_any();
    Ok(document(&door.app, door.theme, &title, favicon, "", inner))
}

async fn live(door: &mut Door, now: Micros) -> Step<Vec<Live>> {
    let mut all = Vec::new();
    for grant in impersonations::open(&mut door.conn).await? {
        if !grant.live(now) {
            continue;
        }
        let admin = staff::by_id(&mut door.conn, &grant.admin_id)
            .await?
            .map_or_else(String::new, |s| s.name);
        let org = orgs::by_id(&mut door.conn, &grant.org_id).await?;
        let (org, slug) = org.map_or_else(Default::default, |o| (o.name, o.slug));
        all.push(Live { grant, admin, org, slug });
    }
    Ok(all)
}

fn live_bar(live: &[Live], acts: bool, here: &str, now: Micros) -> AnyView {
    if live.is_empty() {
        return ().into_any();
    }
    let rows = live
        .iter()
        .map(|l| {
            let left = (l.grant.expires_at - now) / time::SECOND;
            let total = (l.grant.expires_at - l.grant.started_at) / time::SECOND;
            view! {
                <div class="livebar-row">
                    <span class="livebar-mark">{icon("live")}"Live"</span>
                    <p class="livebar-what">
                        <strong>{l.admin.clone()}</strong>" in "
                        <a href=format!("/orgs/{}", l.slug)><strong>{l.org.clone()}</strong></a>
                        " for one secret, "
                        <span class="nowrap">{l.grant.secret_type.as_str()}</span>" "
                        <code>{l.grant.secret_id.clone()}</code>" on "
                        <a href=format!("/tickets/{}", l.grant.ticket_id)>{l.grant.ticket_id.clone()}</a>
                    </p>
                    <p class="livebar-time"><Countdown seconds=left />" left"</p>
                    {acts.then(|| view! {
                        <form method="post" action="/do/end">
                            <input type="hidden" name="impersonation" value=l.grant.id.clone() />
                            <input type="hidden" name="back" value=here.to_owned() />
                            <button class="btn btn-sm btn-live">{icon("stop")}"End now"</button>
                        </form>
                    })}
                    {time_left(left, total)}
                </div>
            }
        })
        .collect_view();
    view! { <section class="livebar" aria-label="Live impersonation">{rows}</section> }.into_any()
}

fn rail(part: Part, open: i64, live: usize) -> AnyView {
    let items = RAIL
        .iter()
        .map(|&(which, href, glyph, label)| {
            let count = match which {
                Part::Tickets if open > 0 => {
                    view! { <span class="count">{open}<span class="sr-only">" open"</span></span> }.into_any()
                }
                Part::Impersonations if live > 0 => {
                    view! { <span class="count count-live">{format!("{live} live")}</span> }.into_any()
                }
                _ => ().into_any(),
            };
            view! {
                <li>
                    <a href=href aria-current=(which == part).then_some("page")>{icon(glyph)}{label}{count}</a>
                </li>
            }
        })
        .collect_view();
    view! { <nav class="nav" aria-label="Main"><ul>{items}</ul></nav> }.into_any()
}

fn session(door: &Door, now: Micros) -> AnyView {
    let who = &door.who;
    let theme = |value: &'static str, label: &'static str, glyph: &'static str| {
        let pressed = door.theme.unwrap_or("auto") == value;
        view! {
            <button name="theme" value=value aria-pressed=pressed.to_string() aria-label=label title=label>
                {icon(glyph)}
            </button>
        }
    };
    view! {
        <section class="session" aria-label="Your session">
            <p class="session-who">
                <span class="avatar" aria-hidden="true">{initials(&who.staff.name)}</span>
                <strong>{who.staff.name.clone()}</strong>
                <span>{who.staff.role.label()}</span>
            </p>
            <p class="session-left">
                {icon("clock")}
                <span>
                    "Session ends in "
                    <time datetime=time::rfc3339(who.session_ends_at) title=time::seconds(who.session_ends_at)>
                        {time::span(who.session_ends_at - now)}
                    </time>
                </span>
            </p>
            <div class="session-tools">
                <form class="theme" method="post" action="/do/theme" aria-label="Theme">
                    <input type="hidden" name="back" value=door.here.clone() />
                    {theme("auto", "System theme", "auto")}
                    {theme("light", "Light theme", "sun")}
                    {theme("dark", "Dark theme", "moon")}
                </form>
                <form method="post" action="/do/sign_out">
                    <button class="btn btn-quiet btn-sm">{icon("sign-out")}"Sign out"</button>
                </form>
            </div>
        </section>
    }
    .into_any()
}

fn flash_list(flashes: Vec<Flash>) -> AnyView {
    if flashes.is_empty() {
        return ().into_any();
    }
    let items = flashes
        .into_iter()
        .map(|f| {
            let (class, glyph, role) = match f.kind.as_str() {
                "ok" => ("flash notice notice-ok", "check", "status"),
                "alarm" => ("flash notice notice-alarm", "warning", "alert"),
                _ => ("flash notice notice-needs", "refused", "alert"),
            };
            view! {
                <div class=class role=role>
                    {icon(glyph)}
                    <div><strong>{f.title}</strong><p>{f.text}</p></div>
                </div>
            }
        })
        .collect_view();
    view! { <div class="flashes">{items}</div> }.into_any()
}

/// A page without the rail: sign-in, step-up, and what the Owner sees.
///
/// It does not say that a log does not hold. Who has not signed in is told nothing of the logs, least
/// of all whoever tampered with them; an Owner can do nothing about it here, and is told by people;
/// and step-up stands between two pages that do say it.
pub fn solo(
    app: &Arc<App>,
    theme: Option<&'static str>,
    status: StatusCode,
    title: &str,
    flashes: Vec<Flash>,
    body: AnyView,
) -> Response {
    let inner = view! {
        <a class="skip-link" href="#main">"Skip to content"</a>
        <header class="solo-head">
            <span class="brand">{icon("brand")}"Keyturn"</span>
            {app.demo.is_some().then(|| view! { <span class="demo-tag">"Demo"</span> })}
        </header>
        <main class="solo-main" id="main" tabindex="-1">{flash_list(flashes)}{body}</main>
        <footer class="solo-foot"><p>"Every step here is written to an audit log that nobody can rewrite unnoticed."</p></footer>
    }
    .into_any();
    let mut response =
        document(app, theme, &format!("{title} · Keyturn"), "/favicon.svg", "solo", inner);
    *response.status_mut() = status;
    response
}

/// The whole document. The nonce of its one inline script is in the policy of its header.
fn document(
    app: &App,
    theme: Option<&'static str>,
    title: &str,
    favicon: &'static str,
    body_class: &'static str,
    inner: AnyView,
) -> Response {
    let owner = Owner::new_root(Some(Arc::new(SsrSharedContext::new_islands())));
    let (html, nonce) = owner.with(|| {
        provide_nonce();
        let nonce = use_nonce().map(|n| n.to_string()).unwrap_or_default();
        let scripts = app.pkg.is_some().then(|| {
            let options = LeptosOptions::builder()
                .output_name("keyturn")
                .site_root("target/site")
                .site_pkg_dir("pkg")
                .build();
            view! { <HydrationScripts options=options islands=true /> }
        });
        let page = view! {
            <html lang="en" data-theme=theme>
                <head>
                    <meta charset="utf-8" />
                    <meta name="viewport" content="width=device-width, initial-scale=1" />
                    <meta name="color-scheme" content="light dark" />
                    <title inner_html=escape(title)></title>
                    <link rel="stylesheet" href=super::pages::assets::STYLE_PATH.as_str() />
                    <link rel="icon" type="image/svg+xml" href=favicon />
                    {scripts}
                </head>
                <body class=(!body_class.is_empty()).then_some(body_class)>
                    {inner}
                    <Helpers />
                </body>
            </html>
        };
        (page.to_html(), nonce)
    });
    let mut response = Html(format!("<!DOCTYPE html>{html}")).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy(&nonce)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A piece of a page, which an island puts in its place. There is no island in it.
pub fn fragment(view: impl FnOnce() -> AnyView) -> Response {
    let owner = Owner::new_root(Some(Arc::new(SsrSharedContext::new_islands())));
    let mut response = Html(owner.with(|| view().to_html())).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

/// Text as HTML: for the one element that takes no markers of the framework among its text.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The content security policy: our own files, one inline script by its nonce, nothing else.
#[must_use]
pub fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; object-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
         font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Whether the person at the door may carry the procedure out.
#[must_use]
pub fn acts(door: &Door) -> bool {
    access::may(door.who.staff.role, Act::CarryOut)
}

/// The id of the person at the door, where they may carry the procedure out.
#[must_use]
pub fn acting(door: &Door) -> Option<&str> {
    acts(door).then_some(door.who.staff.id.as_str())
}
