//! The facts of a grant as the logs have them, and what the register of impersonations says
//! otherwise.

use leptos::prelude::*;

use super::impersonation::Loaded;
use super::rows::life;
use crate::audit::logged::{Logged, Register};
use crate::model::{EndCause, Micros, SecretType, time};
use crate::web::components::{at, icon, id, secret_type};

/// An alarm where the register does not say what the logs say.
pub(super) fn notice(register: &Register, logged: &Logged) -> Option<AnyView> {
    let whose = match (logged.in_platform, logged.in_org) {
        (true, true) => "both logs do",
        (true, false) => "the platform’s log does",
        _ => "the org’s log does",
    };
    let (title, said, differences) = match register {
        Register::Agrees => return None,
        Register::Missing => (
            format!("The register of impersonations has no such grant; {whose}"),
            "Whoever has the database can take a grant out of the register, and not out of the logs. What stands here is drawn from the log rows. Keep the database as it is, and call security.",
            Vec::new(),
        ),
        Register::Differs(differences) => (
            "The register of impersonations contradicts the logs".to_owned(),
            "Whoever has the database can change a grant in the register, and not in the logs. What stands here is drawn from the log rows. Keep the database as it is, and call security.",
            differences.clone(),
        ),
        Register::Alone => (
            "Neither log has a row of this impersonation; the register of impersonations has the grant".to_owned(),
            "No grant is ever made without its rows. What stands here is only what the register says. Verify the logs, and call security.",
            Vec::new(),
        ),
    };
    let items = differences
        .into_iter()
        .map(|d| {
            view! { <li><strong>{d.field}</strong>": the register says "<span class="mono">{d.register}</span>", the logs say "<span class="mono">{d.logs}</span></li> }
        })
        .collect::<Vec<_>>();
    Some(
        view! {
            <div class="notice notice-alarm" role="alert">
                {icon("warning")}
                <div>
                    <h2>{title}</h2>
                    <p>{said}</p>
                    {(!items.is_empty()).then(|| view! { <ul>{items}</ul> })}
                </div>
            </div>
        }
        .into_any(),
    )
}

/// What nobody says.
fn or_not_said(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| "not said".to_owned())
}

fn ended(l: &Loaded, now: Micros) -> AnyView {
    let logged = &l.logged;
    let live = l.live(now);
    match (logged.ended_at, logged.expires_at) {
        (Some(ended), expires) => {
            let cause = logged.cause.as_deref().unwrap_or("unknown");
            let cause = cause.parse::<EndCause>().map_or(cause, |c| c.label()).to_owned();
            let lasted = logged.started_at.map(|started| {
                let after = time::span(ended - started);
                match expires {
                    Some(expires) => format!(", after {after} of {}", life(expires - started)),
                    None => format!(", after {after}"),
                }
            });
            view! { {at(ended)}<small>{cause}{lasted}</small> }.into_any()
        }
        (None, Some(expires)) if live => {
            view! { "live"<small>"until "{at(expires)}</small> }.into_any()
        }
        (None, Some(expires)) if l.awaits_end() && expires <= now => {
            view! { "expired"<small>{at(expires)}", its end is being written"</small> }.into_any()
        }
        (None, Some(expires)) => view! { "no log says"<small>{if expires <= now { "expired " } else { "expires " }}{at(expires)}</small> }
            .into_any(),
        (None, None) => "no log says".into_any(),
    }
}

fn secret(l: &Loaded) -> AnyView {
    let named = l.logged.secret_type.as_deref();
    let kind = match named.and_then(|t| t.parse::<SecretType>().ok()) {
        Some(kind) => secret_type(kind),
        None => {
            view! { <span class="mono">{named.unwrap_or("not said").to_owned()}</span> }.into_any()
        }
    };
    let label = l.secret.as_ref().map(|s| format!(", {}", s.label));
    view! { {kind}<small><span class="mono">{l.logged.secret_id.clone()}</span>{label}</small> }
        .into_any()
}

pub(super) fn facts(l: &Loaded, now: Micros) -> AnyView {
    let g = &l.logged;
    let owner = match &l.owner {
        Some(m) => format!("{}, {}", m.name, m.role.label()),
        None => or_not_said(g.owner_id.as_ref()),
    };
    let org = match &l.org {
        Some(o) => view! { <a href=format!("/orgs/{}", o.slug)>{o.name.clone()}</a> }.into_any(),
        None => view! { <span class="mono">{or_not_said(g.org_id.as_ref())}</span> }.into_any(),
    };
    let ticket = match &g.ticket {
        Some(t) => {
            view! { <a class="mono" href=format!("/tickets/{t}")>{t.clone()}</a> }.into_any()
        }
        None => "not said".into_any(),
    };
    let whence = if l.register == Register::Alone {
        "as the register has it"
    } else {
        "as the logs have it"
    };
    view! {
        <section class="panel" aria-label="Facts of the grant">
            <div class="panel-head"><h2>"The grant"</h2><p>{whence}</p></div>
            <dl class="facts">
                <div><dt>"Id"</dt><dd>{id(&l.id, "impersonation id")}</dd></div>
                <div><dt>"Admin"</dt><dd>{l.admin.clone()}</dd></div>
                <div><dt>"On behalf of"</dt><dd>{owner}</dd></div>
                <div><dt>"Org"</dt><dd>{org}</dd></div>
                <div><dt>"Ticket"</dt><dd>{ticket}</dd></div>
                <div><dt>"Reason"</dt><dd>{or_not_said(g.reason.as_ref())}</dd></div>
                <div><dt>"Scope"</dt><dd><span class="mono">{or_not_said(g.scope.as_ref())}</span><small>"on this one secret only"</small></dd></div>
                <div><dt>"Secret"</dt><dd>{secret(l)}</dd></div>
                {l.rotation.as_ref().map(|r| view! {
                    <div>
                        <dt>"Rotation"</dt>
                        <dd><a href=format!("/rotations/{}", r.id)>{format!("version {} to {}", r.from_version, r.to_version)}</a></dd>
                    </div>
                })}
                <div><dt>"Started"</dt><dd>{match g.started_at { Some(t) => at(t), None => "no log says".into_any() }}</dd></div>
                <div><dt>"Ended"</dt><dd>{ended(l, now)}</dd></div>
                {l.ended_by.clone().map(|by| view! { <div><dt>"Ended by"</dt><dd>{by}</dd></div> })}
            </dl>
        </section>
    }
    .into_any()
}
