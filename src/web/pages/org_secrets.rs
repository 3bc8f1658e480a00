//! What an org has to rotate: versions, never values.

use leptos::prelude::*;

use super::vault_state::{VaultState, holder};
use crate::desk::gateways::Seen;
use crate::model::{Micros, SecretType, VersionState, time};
use crate::store::orgs::{Member, Org};
use crate::store::secrets::{Rotation, Secret, Version};
use crate::store::tickets::Ticket;
use crate::web::components::{empty, icon, id, secret_type, version_state};

/// A secret with its versions, newest first.
#[derive(Debug, Clone)]
pub struct Held {
    /// The secret.
    pub secret: Secret,
    /// Its versions.
    pub versions: Vec<Version>,
    /// The rotations that made them, newest first.
    pub rotations: Vec<Rotation>,
    /// What there is to say of a vault token.
    pub vault: Option<VaultState>,
    /// How it stands, if it is a gateway.
    pub gateway: Option<Seen>,
}

fn of_type(held: &[Held], wanted: SecretType) -> Vec<&Held> {
    held.iter().filter(|h| h.secret.secret_type == wanted).collect()
}

/// What a version is good for at `now`, and until or since when. The overlap ends when it ends,
/// also where nobody has swept it yet.
#[must_use]
pub fn validity(v: &Version, now: Micros) -> (VersionState, String) {
    match (v.state, v.retires_at) {
        (VersionState::Pending, _) => (
            VersionState::Pending,
            format!("made {}, not fetched yet", time::minutes(v.created_at)),
        ),
        (VersionState::Failed, _) => {
            (VersionState::Failed, format!("made {}, never in use", time::minutes(v.created_at)))
        }
        (VersionState::Live, _) => {
            (VersionState::Live, format!("since {}", time::minutes(v.created_at)))
        }
        (VersionState::Retiring, None) => {
            let until = match &v.reference {
                // A name outside: it ends there.
                Some(_) => "until it is revoked",
                None => "until some time after the handoff",
            };
            (VersionState::Retiring, until.to_owned())
        }
        (VersionState::Retiring, Some(until)) if until > now => {
            (VersionState::Retiring, format!("until {}", time::seconds(until)))
        }
        (VersionState::Retiring | VersionState::Retired, Some(since)) => {
            (VersionState::Retired, format!("since {}", time::seconds(since)))
        }
        (VersionState::Retired, None) => (VersionState::Retired, "replaced".to_owned()),
    }
}

/// Every secret with its versions.
pub fn secrets(held: &[Held], now: Micros) -> AnyView {
    let rows = held.iter().map(|h| secret_rows(h, now)).collect_view();
    let body = if held.is_empty() {
        empty(
            "key",
            "No secrets",
            "Webhooks, vault tokens and gateways of this customer come here.",
        )
    } else {
        view! {
            <table class="table">
                <thead><tr><th scope="col">"Secret"</th><th scope="col">"Version"</th><th scope="col">"State"</th><th scope="col">"When"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any()
    };
    view! {
        <section class="panel" aria-label="Secrets">
            <div class="panel-head"><h2>"Secrets"</h2><p>"versions, never values"</p></div>
            {body}
        </section>
    }
    .into_any()
}

fn secret_rows(h: &Held, now: Micros) -> AnyView {
    let s = &h.secret;
    let span = h.versions.len().max(1);
    let head = view! {
        <th scope="row" class="card-title" rowspan=span.to_string()>
            <span>
                {secret_type(s.secret_type)}
                <span class="sub">{s.label.clone()}</span>
                <span class="sub">{id(&s.id, "secret id")}</span>
            </span>
        </th>
    }
    .into_any();
    if h.versions.is_empty() {
        return view! {
            <tr>
                {head}
                <td data-label="Version"><span class="version">{format!("v{}", s.version)}</span></td>
                <td data-label="State">{version_state(VersionState::Live)}</td>
                <td data-label="When">{format!("since {}", time::minutes(s.created_at))}</td>
            </tr>
        }
        .into_any();
    }
    let mut head = Some(head);
    h.versions
        .iter()
        .map(|v| {
            let (word, when) = validity(v, now);
            view! {
                <tr class=(word == VersionState::Retired).then_some("is-gone")>
                    {head.take()}
                    <td data-label="Version"><span class="version">{format!("v{}", v.version)}</span></td>
                    <td data-label="State">{version_state(word)}</td>
                    <td data-label="When">
                        {when}
                        {h.rotations.iter().find(|r| r.to_version == v.version).map(|r| view! {
                            " "<a href=format!("/rotations/{}", r.id)>"by this rotation"</a>
                        })}
                    </td>
                </tr>
            }
        })
        .collect_view()
        .into_any()
}

/// The gateways, by the certificates that they hold.
pub fn gateways(held: &[Held], now: Micros) -> AnyView {
    let all: Vec<_> = of_type(held, SecretType::MtlsCertificate)
        .into_iter()
        .map(|h| (h.secret.clone(), h.gateway.clone()))
        .collect();
    if all.is_empty() { ().into_any() } else { super::gateway::table(&all, now) }
}

/// The vault tokens, and whom they are pinned to.
pub fn vault_tokens(held: &[Held], members: &[Member]) -> AnyView {
    let all = of_type(held, SecretType::VaultToken);
    if all.is_empty() {
        return ().into_any();
    }
    let debts = all.iter().filter_map(|h| h.vault.as_ref()).map(VaultState::debts).collect_view();
    let rows = all
        .into_iter()
        .map(|h| {
            let s = &h.secret;
            let holder = holder(s, members);
            let vault = h.vault.as_ref();
            let pinned = holder.map_or_else(|| s.target.clone(), |m| m.name.clone());
            view! {
                <tr>
                    <th scope="row" class="card-title"><span class="icon-text">{icon("vault")}{s.label.clone()}</span></th>
                    <td data-label="Pinned to">{pinned}</td>
                    <td data-label="Standing">{holder.map(|m| crate::web::components::standing(m.standing))}</td>
                    <td data-label="Accessor">{vault.and_then(|v| v.accessor.as_deref()).map(|a| id(a, "accessor"))}</td>
                    <td data-label="Policies">{vault.and_then(VaultState::abilities)}</td>
                    <td data-label="Secret">{id(&s.id, "secret id")}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Vault tokens">
            <div class="panel-head"><h2>"Vault tokens"</h2></div>
            {debts}
            <table class="table">
                <thead><tr><th scope="col">"Token"</th><th scope="col">"Pinned to"</th><th scope="col">"Standing"</th><th scope="col">"Accessor"</th><th scope="col">"Policies"</th><th scope="col">"Secret"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}

/// A form for each webhook that sends a really signed message to it.
pub fn test_events(org: &Org, held: &[Held], tickets: &[Ticket], back: &str) -> AnyView {
    let all = of_type(held, SecretType::WebhookSigningKey);
    if all.is_empty() {
        return ().into_any();
    }
    let forms = all
        .into_iter()
        .map(|h| {
            let s = &h.secret;
            let field = format!("test-ticket-{}", s.id);
            let options = tickets
                .iter()
                .filter(|t| t.state.can_be_served())
                .map(|t| view! { <option value=t.id.clone()>{t.id.clone()}</option> })
                .collect_view();
            view! {
                <form class="panel-body panel-form field-row" method="post" action="/do/test_event">
                    <input type="hidden" name="org" value=org.id.clone() />
                    <input type="hidden" name="secret" value=s.id.clone() />
                    <input type="hidden" name="back" value=back.to_owned() />
                    <p class="field webhook-target">
                        <span class="icon-text">{icon("webhook")}<strong>{s.label.clone()}</strong></span>
                        <code class="hash">{s.target.clone()}</code>
                    </p>
                    <div class="field">
                        <label for=field.clone()>"For ticket"</label>
                        <select class="select" id=field name="ticket"><option value="">"None"</option>{options}</select>
                    </div>
                    <button class="btn">{icon("send")}"Send a test event"<span class="sr-only">" to "{s.label.clone()}</span></button>
                </form>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Test events">
            <div class="panel-head"><h2>"Test events"</h2><p>"signed with every key that is accepted now"</p></div>
            {forms}
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(state: VersionState, retires_at: Option<Micros>) -> Version {
        Version {
            secret_id: "whk_1".into(),
            version: 3,
            state,
            created_at: 0,
            retires_at,
            kek_id: None,
            sealed: None,
            reference: None,
        }
    }

    #[test]
    fn an_overlap_that_is_over_is_shown_as_over_though_nobody_has_swept_it() {
        let v = version(VersionState::Retiring, Some(time::HOUR));
        assert_eq!(validity(&v, 0).0, VersionState::Retiring);
        assert_eq!(
            validity(&v, time::HOUR),
            (VersionState::Retired, "since 1970-01-01 01:00:00 UTC".into())
        );
    }

    #[test]
    fn before_the_handoff_an_overlap_has_no_end_yet() {
        let v = version(VersionState::Retiring, None);
        assert_eq!(
            validity(&v, 0),
            (VersionState::Retiring, "until some time after the handoff".into())
        );
    }
}
