//! One line of the list of impersonations.

use leptos::prelude::*;

use crate::audit::logged::{Logged, Register};
use crate::model::{EndCause, Micros, SecretType, time};
use crate::proof::verdict::Verdict;
use crate::store::impersonations::Impersonation;
use crate::web::components::{ago, copy, secret_type, short, state, verdict};
use crate::web::islands::Countdown;

/// What is said of one. It is from the logs, as far as they have a row of it.
pub(super) struct Line {
    pub(super) id: String,
    pub(super) grant: Option<Impersonation>,
    pub(super) logged: Logged,
    pub(super) register: Register,
    pub(super) org: Option<(String, String)>,
    pub(super) admin: Option<String>,
    pub(super) verdict: Verdict,
}

impl Line {
    /// The grant, while its token works.
    fn live(&self, now: Micros) -> Option<&Impersonation> {
        self.grant.as_ref().filter(|g| g.live(now))
    }
}

/// How long it was, or what is left of it.
fn length(l: &Line, now: Micros) -> AnyView {
    match (l.logged.started_at, l.logged.ended_at, l.live(now)) {
        (Some(started), Some(ended), _) => time::span(ended - started).into_any(),
        (_, _, Some(grant)) => view! {
            <span><Countdown seconds=(grant.expires_at - now) / time::SECOND />" left"</span>
        }
        .into_any(),
        _ => "expired".into_any(),
    }
}

fn ended(l: &Line, now: Micros) -> AnyView {
    match (l.logged.ended_at, &l.logged.cause) {
        (Some(_), Some(cause)) => {
            cause.parse::<EndCause>().map_or(cause.as_str(), |c| c.label()).to_owned().into_any()
        }
        (Some(_), None) => "unknown".into_any(),
        (None, _) if l.live(now).is_some() => state("state-live", "live", "Live"),
        (None, _) if l.grant.as_ref().is_some_and(|g| g.ended_at.is_none()) => {
            state("state-needs", "clock", "Its end is being written")
        }
        (None, _) => state("state-needs", "dashed", "No end in the logs"),
    }
}

/// What is wrong with the register of impersonations, in a word or two.
fn register(l: &Line) -> Option<AnyView> {
    let word = match &l.register {
        Register::Agrees => return None,
        Register::Missing => "Not in the register",
        Register::Differs(_) => "The register differs",
        Register::Alone => "In neither log",
    };
    Some(state("state-bad", "warning", word))
}

pub(super) fn row(l: &Line, now: Micros) -> AnyView {
    let g = &l.logged;
    let org = match (&l.org, &g.org_id) {
        (Some((name, slug)), _) => {
            view! { <a href=format!("/orgs/{slug}")>{name.clone()}</a> }.into_any()
        }
        (None, Some(id)) => view! { <span class="mono">{id.clone()}</span> }.into_any(),
        (None, None) => "not named".into_any(),
    };
    let ticket = g.ticket.clone().map(|ticket| {
        view! { <a class="mono nowrap" href=format!("/tickets/{ticket}")>{ticket.clone()}</a> }
    });
    let secret = g.secret_type.as_deref().map(|kind| match kind.parse::<SecretType>() {
        Ok(kind) => secret_type(kind),
        Err(_) => view! { <span class="mono">{kind.to_owned()}</span> }.into_any(),
    });
    view! {
        <tr class=l.live(now).is_some().then_some("is-live")>
            <td class="card-title">
                <span class="idc">
                    <a class="main-link" href=format!("/impersonations/{}", l.id)><code class="id" title=l.id.clone()>{short(&l.id)}</code></a>
                    {copy(l.id.clone(), "impersonation id")}
                </span>
            </td>
            <td data-label="Ticket">{ticket}</td>
            <td data-label="Org">{org}</td>
            <td data-label="Admin">{l.admin.clone()}</td>
            <td data-label="Secret">{secret}</td>
            <td data-label="Verdict">{verdict(l.verdict)}{register(l).map(|said| view! { <small>{said}</small> })}</td>
            <td data-label="Ended">{ended(l, now)}</td>
            <td class="num nowrap" data-label="Length">{length(l, now)}</td>
            <td class="num nowrap" data-label="Started">{g.started_at.map(|t| ago(t, now))}</td>
        </tr>
    }
    .into_any()
}
