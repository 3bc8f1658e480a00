//! A gateway and its certificates: how it stands, what is under way, and for how long all is good.

use leptos::prelude::*;

use super::orgs::days_until;
use crate::desk::gateways::{Seen, Standing};
use crate::model::{Micros, time};
use crate::secrets::certificates::WARN_DAYS;
use crate::store::gateways::Certificate;
use crate::store::secrets::Secret;
use crate::web::components::{ago, at, icon, id, state};

/// Whether it is there, as an icon and a word.
pub fn standing(seen: &Seen) -> AnyView {
    match seen.standing {
        Standing::Online => state("state-ok", "check", "Online"),
        Standing::Offline => state("state-needs", "warning", "Offline"),
        Standing::Expired => state("state-needs", "cross", "Offline, certificate expired"),
        Standing::NeverSeen => state("", "ring", "Not seen yet"),
    }
}

/// How long a certificate still holds, and how urgent that is.
#[must_use]
pub fn left(expires_at: Option<Micros>, now: Micros) -> (&'static str, &'static str, String) {
    let Some(until) = expires_at else { return ("", "info", "Not known".to_owned()) };
    if until <= now {
        return ("state-needs", "cross", format!("Expired {}", time::relative(until, now)));
    }
    let days = days_until(until, now);
    let word = match days {
        0 => "Less than a day left".to_owned(),
        1 => "1 day left".to_owned(),
        _ => format!("{days} days left"),
    };
    // The tightest of the marks that it is within: 30, 14, 7 or 1 days.
    match WARN_DAYS.iter().rfind(|mark| days <= **mark) {
        None => ("state-ok", "check", word),
        Some(1) => ("state-needs", "warning", format!("{word}: replace it today")),
        Some(7) => ("state-needs", "warning", format!("{word}: replace it this week")),
        Some(mark) => ("state-needs", "warning", format!("{word}, within {mark}")),
    }
}

/// What an alert is about: a re-enrolment under way, or one that came to nothing.
fn under_way(seen: &Seen, now: Micros) -> AnyView {
    if let (Some(deadline), true) = (seen.gateway.deadline, seen.gateway.rotation_id.is_some()) {
        let told = if seen.gateway.issued.is_some() {
            "It has its new certificate, and has not been seen with it yet."
        } else {
            "It is told at its next heartbeat, and makes its own new key."
        };
        return view! {
            <div class="facts-full">
                <dt>"Re-enrolment"</dt>
                <dd>{state("", "clock", "Under way")}<small>{told}</small><small>"until "{at(deadline)}
                    {(deadline <= now).then_some(" (over)")}</small></dd>
            </div>
        }
        .into_any();
    }
    if seen.failed {
        return view! {
            <div class="facts-full">
                <dt>"Re-enrolment"</dt>
                <dd>{state("state-needs", "warning", "Failed")}
                    <small>"The gateway did not re-enrol in time. Its certificate from before goes on working; ask again, under a new impersonation."</small></dd>
            </div>
        }
        .into_any();
    }
    ().into_any()
}

/// A certificate's state in a word.
fn certificate_state(c: &Certificate, live: i64, now: Micros) -> AnyView {
    if c.revoked_at.is_some() {
        let why = match c.reason.as_deref() {
            Some("superseded") => "Revoked, superseded",
            Some("never_used") => "Revoked, never used",
            _ => "Revoked",
        };
        return state("", "cross", why);
    }
    if c.not_after <= now {
        return state("", "cross", "Expired");
    }
    if c.version > live {
        return state("", "clock", "Issued, not seen yet");
    }
    if c.version == live {
        state("state-ok", "check", "Live")
    } else {
        state("", "clock", "Old, accepted")
    }
}

/// The gateway beside a ticket.
pub fn facts(seen: &Seen, secret: &Secret, now: Micros) -> AnyView {
    let (class, glyph, word) = left(secret.expires_at, now);
    let certificates = seen
        .certificates
        .iter()
        .take(3)
        .map(|c| {
            let last = match c.last_seen_at {
                Some(t) => view! { <small>"last seen "{ago(t, now)}</small> }.into_any(),
                None => view! { <small>"never seen"</small> }.into_any(),
            };
            view! {
                <div class="facts-full">
                    <dt>"Serial "<span class="version">{format!("v{}", c.version)}</span></dt>
                    <dd>{id(&c.serial, "serial number")}{certificate_state(c, secret.version, now)}{last}</dd>
                </div>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Gateway">
            <div class="panel-head"><h2>"Gateway"</h2></div>
            <dl class="facts">
                <div class="facts-full"><dt>"State"</dt><dd>{standing(seen)}
                    {seen.gateway.last_beat_at.map(|t| view! { <small>"last heartbeat "{ago(t, now)}</small> })}</dd></div>
                <div class="facts-full"><dt>"Certificate"</dt><dd>{state(class, glyph, word)}
                    {secret.expires_at.map(|t| view! { <small>"until "{at(t)}</small> })}</dd></div>
                {under_way(seen, now)}
                {certificates}
            </dl>
        </section>
    }
    .into_any()
}

/// The gateways of an org, each with its certificates.
pub fn table(all: &[(Secret, Option<Seen>)], now: Micros) -> AnyView {
    let rows = all
        .iter()
        .map(|(secret, seen)| {
            let (class, glyph, word) = left(secret.expires_at, now);
            let serials = seen.as_ref().map(|seen| {
                seen.certificates
                    .iter()
                    .take(2)
                    .map(|c| {
                        view! {
                            <span class="sub">{id(&c.serial, "serial number")}" "
                                {certificate_state(c, secret.version, now)}
                                {c.last_seen_at.map(|t| view! { <span class="sub">"seen "{ago(t, now)}</span> })}
                            </span>
                        }
                    })
                    .collect_view()
            });
            let pending = seen.as_ref().and_then(|s| s.gateway.deadline).map(|t| {
                view! { <span class="sub">"re-enrolment until "{at(t)}</span> }
            });
            let failed = seen.as_ref().filter(|s| s.failed && s.gateway.rotation_id.is_none()).map(|_| {
                view! { <span class="sub">{state("state-needs", "warning", "Re-enrolment failed")}</span> }
            });
            view! {
                <tr>
                    <th scope="row" class="card-title">
                        <span class="icon-text">{icon("gateway")}{secret.target.clone()}</span>
                        <span class="sub">{id(&secret.id, "secret id")}</span>
                    </th>
                    <td data-label="State">
                        {seen.as_ref().map(standing)}
                        {seen.as_ref().and_then(|s| s.gateway.last_beat_at).map(|t| view! { <span class="sub">"last heartbeat "{ago(t, now)}</span> })}
                        {pending}{failed}
                    </td>
                    <td data-label="Certificate">
                        {state(class, glyph, word)}
                        {secret.expires_at.map(|t| view! { <span class="sub">"until "{at(t)}</span> })}
                    </td>
                    <td data-label="Serials">{serials}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Gateways">
            <div class="panel-head"><h2>"Gateways"</h2></div>
            <table class="table">
                <thead><tr><th scope="col">"Gateway"</th><th scope="col">"State"</th><th scope="col">"Certificate"</th><th scope="col">"Serials"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}

/// What the rotation does, before it is done: for the step, and for beneath the new version.
#[must_use]
pub fn what_happens(seen: Option<&Seen>, leak: bool) -> (&'static str, &'static str) {
    let online = seen.is_some_and(|s| s.standing == Standing::Online);
    match (online, leak) {
        (true, false) => (
            "The gateway is online: it is told at its next heartbeat, makes its own new key, and goes on without a break. The old certificate is revoked once the new one is seen.",
            "a key that never leaves the gateway",
        ),
        (false, false) => (
            "The gateway is not there: key and certificate are made for the handoff, and the customer starts the gateway again with them. The old certificate is revoked once the new one is seen.",
            "key and certificate, encrypted to the Owner’s key at once",
        ),
        (_, true) => (
            "A leak is suspected: the old certificate is revoked at once, and key and certificate are made for the handoff. The gateway is offline until the customer has installed them.",
            "key and certificate, encrypted to the Owner’s key at once",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(days: i64) -> String {
        left(Some(days * time::DAY + 1), 0).2
    }

    /// Protects who has to act from learning it too late: each mark changes what is said.
    #[test]
    fn the_nearer_the_end_the_more_urgent() {
        assert_eq!(word(31), "31 days left");
        assert_eq!(word(30), "30 days left, within 30");
        assert_eq!(word(14), "14 days left, within 14");
        assert_eq!(word(7), "7 days left: replace it this week");
        assert_eq!(word(1), "1 day left: replace it today");
        assert_eq!(word(0), "Less than a day left: replace it today");
        assert_eq!(left(Some(0), time::HOUR).2, "Expired 60 min ago");
        assert_eq!(left(Some(31 * time::DAY), 0).0, "state-ok");
        assert_eq!(left(Some(30 * time::DAY), 0).0, "state-needs");
    }
}
