//! One customer: who can do what, whether they consent, and what there is to rotate.

mod credentials;

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use super::impersonation_handoff::masked;
use super::org_secrets::{self, Held};
use super::orgs::{SOON, consent, days_until};
use super::owner_change::{self, Changes};
use super::vault_state::VaultState;
use crate::delivery::openpgp;
use crate::desk::{Step, StepError};
use crate::model::{Channel, Consent, Micros, time};
use crate::policy::access;
use crate::policy::eligibility::unanswered_too_long;
use crate::store::orgs::credentials::OrgCredential;
use crate::store::orgs::{self, Member, Org};
use crate::store::secrets;
use crate::store::tickets::{self, Filter, Ticket};
use crate::web::components::{
    ago, at, copy, empty, fingerprint, icon, id, standing, state, ticket_state,
};
use crate::web::door::{Door, encode};
use crate::web::shell::{Part, acting, page};

const TICKETS: i64 = 50;

const CREDENTIALS: i64 = 50;

struct Loaded {
    org: Org,
    members: Vec<Member>,
    held: Vec<Held>,
    tickets: Vec<Ticket>,
    credentials: Vec<OrgCredential>,
    key_changes: Changes,
    /// Whether the viewer has just proven to be there.
    fresh: bool,
}

impl Loaded {
    fn owner(&self) -> Option<&Member> {
        self.members.iter().find(|m| Some(&m.id) == self.org.owner_member_id.as_ref())
    }
}

/// `GET /orgs/{slug}`.
pub async fn show(mut door: Door, Path(slug): Path<String>) -> Response {
    match load(&mut door, &slug).await {
        Ok(loaded) => {
            let body = draw(&loaded, acting(&door), door.app.desk.now());
            let title = loaded.org.name.clone();
            page(door, StatusCode::OK, &title, Part::Orgs, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, slug: &str) -> Step<Loaded> {
    let now = door.app.desk.now();
    let fresh = access::fresh(door.who.proven_at, now);
    let desk = door.app.desk.clone();
    let conn = &mut *door.conn;
    let org = orgs::by_slug(conn, slug).await?.ok_or(StepError::NotFound)?;
    if let Some(key) = &org.pgp_key {
        openpgp::prepare(key).await;
    }
    let mut held = Vec::new();
    for secret in secrets::all_of_org(conn, &org.id).await? {
        let versions = secrets::versions(conn, &secret.id).await?;
        let rotations = secrets::rotations_of_secret(conn, &secret.id).await?;
        let vault = VaultState::of(conn, &secret, &versions, now).await?;
        let gateway = desk.gateway(conn, &secret).await?;
        held.push(Held { secret, versions, rotations, vault, gateway });
    }
    let filter = Filter { org_id: Some(org.id.clone()), ..Filter::default() };
    Ok(Loaded {
        members: orgs::members(conn, &org.id).await?,
        credentials: orgs::credentials::list(conn, &org.id, CREDENTIALS).await?,
        tickets: tickets::page(conn, &filter, None, TICKETS).await?,
        key_changes: owner_change::changes(conn, &org.id, now).await?,
        fresh,
        held,
        org,
    })
}

fn draw(l: &Loaded, viewer: Option<&str>, now: Micros) -> AnyView {
    let (o, acts) = (&l.org, viewer.is_some());
    let back = format!("/orgs/{}", o.slug);
    view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/orgs">"Organizations"</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1>{o.name.clone()}</h1>
                <div class="page-meta">
                    {id(&o.id, "org id")}
                    <span>"customer since "{time::date(o.created_at)}</span>
                    {match o.consent() {
                        Consent::Off => state("state-needs", "cross", "Consent off"),
                        Consent::UntilWithdrawn => state("state-ok", "check", "Consent on"),
                        Consent::ForTicket(only) => state("state-ok", "check", format!("Consent for {only} only")),
                    }}
                </div>
            </div>
            <div class="page-actions">
                <a class="btn" href=format!("/audit?org={}", encode(&o.id))>{icon("timeline")}"Its audit timeline"</a>
            </div>
        </div>
        <div class="split">
            <div class="stack-6">
                {members(l)}
                {credentials::panel(&l.credentials, now)}
                {org_secrets::secrets(&l.held, now)}
                {org_secrets::gateways(&l.held, now)}
                {org_secrets::vault_tokens(&l.held, &l.members)}
                {acts.then(|| org_secrets::test_events(o, &l.held, &l.tickets, &back))}
                {ticket_list(&l.tickets, now)}
            </div>
            <aside class="stack" aria-label="Owner, consent and runbook">
                {owner(l)}
                {consent_panel(o, now)}
                {runbook(o, now)}
                {owner_change::panel(o, &l.key_changes, viewer, l.fresh)}
            </aside>
        </div>
    }
    .into_any()
}

fn members(l: &Loaded) -> AnyView {
    let may: Vec<_> = l.members.iter().filter(|m| m.role.may_rotate()).collect();
    let can = may.iter().filter(|m| m.standing == crate::model::Standing::Active).count();
    let rows = l
        .members
        .iter()
        .map(|m| {
            let of_record = Some(&m.id) == l.org.owner_member_id.as_ref();
            view! {
                <tr>
                    <th scope="row" class="card-title">
                        <span>
                            {m.name.clone()}
                            {of_record.then(|| view! { " "<span class="badge">{icon("shield")}"Owner of record"</span> })}
                        </span>
                    </th>
                    <td data-label="Role">{m.role.label()}</td>
                    <td data-label="Standing">{standing(m.standing)}</td>
                    <td class="muted" data-label="Role since">{time::date(m.role_since)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Members">
            <div class="panel-head"><h2>"Members"</h2><p>{format!("{can} of {} Owners and Admins can sign in", may.len())}</p></div>
            <table class="table">
                <thead><tr><th scope="col">"Member"</th><th scope="col">"Role"</th><th scope="col">"Standing"</th><th scope="col">"Role since"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}

fn owner(l: &Loaded) -> AnyView {
    let o = &l.org;
    let who = match l.owner() {
        Some(m) => view! {
            <div><dt>"Name"</dt><dd>{m.name.clone()}</dd></div>
            <div><dt>"Standing"</dt><dd>{standing(m.standing)}</dd></div>
        }
        .into_any(),
        None => view! { <div><dt>"Name"</dt><dd>{state("state-needs", "warning", "Nobody on record")}</dd></div> }
            .into_any(),
    };
    let address = o.owner_address.as_deref().filter(|a| !a.is_empty());
    view! {
        <section class="panel" aria-label="Owner of record">
            <div class="panel-head"><h2>"Owner of record"</h2></div>
            <dl class="facts">
                {who}
                {o.owner_since.map(|t| view! { <div><dt>"Since"</dt><dd>{time::date(t)}</dd></div> })}
                <div><dt>"Address on file"</dt><dd>{address.map_or("none".to_owned(), masked)}</dd></div>
                {o.owner_unreachable_at.map(|t| view! {
                    <div>
                        <dt>"Reachable"</dt>
                        <dd>
                            {state("state-needs", "scale", "Unreachable")}
                            <small>"marked "{at(t)}</small>
                            <small>{o.owner_unreachable_attempts.clone()}</small>
                        </dd>
                    </div>
                })}
            </dl>
        </section>
    }
    .into_any()
}

fn consent_panel(o: &Org, now: Micros) -> AnyView {
    view! {
        <section class="panel" aria-label="Consent">
            <div class="panel-head"><h2>"Consent"</h2>{consent(o)}</div>
            <dl class="facts">
                <div><dt>"Setting"</dt><dd><code>"allow_platform_impersonation"</code></dd></div>
                {match o.consent() {
                    Consent::Off => None,
                    Consent::ForTicket(only) => Some(view! {
                        <div>
                            <dt>"For"</dt>
                            <dd><a href=format!("/tickets/{only}")>{only.clone()}</a>" only"<small>"goes off by itself when that is done"</small></dd>
                        </div>
                    }.into_any()),
                    Consent::UntilWithdrawn => Some(view! { <div><dt>"For"</dt><dd>"any ticket, until withdrawn"</dd></div> }.into_any()),
                }}
                {o.consent_changed_at.map(|t| view! { <div><dt>"Since"</dt><dd>{at(t)}</dd></div> })}
                {o.consent_confirmed_at.map(|t| view! { <div><dt>"Confirmed"</dt><dd>{at(t)}</dd></div> })}
                {o.consent_reminded_at.map(|t| view! {
                    <div>
                        <dt>"Asked whether it stands"</dt>
                        <dd>{at(t)}<small>{
                            if unanswered_too_long(Some(t), now) { "no answer: it does not count until the Owner says so" }
                            else { "without an answer it counts for 30 days" }
                        }</small></dd>
                    </div>
                })}
            </dl>
            <p class="panel-foot">"Only the Owner can change this. Staff have no way to."</p>
        </section>
    }
    .into_any()
}

fn runbook(o: &Org, now: Micros) -> AnyView {
    let channel = o.channel.as_deref().map(str::parse::<Channel>);
    let word = match &channel {
        None => state("state-needs", "warning", "None named"),
        Some(Err(e)) => state("state-needs", "warning", e.to_string()),
        Some(Ok(c)) => view! { {c.label()} }.into_any(),
    };
    let vault = matches!(channel, Some(Ok(Channel::OnePassword))).then(|| {
        let vault = match o.shared_vault_id.as_deref() {
            Some(vault) => id(vault, "vault id"),
            None => state("state-needs", "warning", "The entry names no vault"),
        };
        view! { <div><dt>"Shared vault"</dt><dd>{vault}</dd></div> }
    });
    view! {
        <section class="panel" aria-label="Runbook entry">
            <div class="panel-head"><h2>"Runbook entry"</h2></div>
            <dl class="facts">
                <div><dt>"Channel"</dt><dd>{word}</dd></div>
                {vault}
                {key(o, now)}
                {o.pgp_key_since.filter(|_| o.pgp_key.is_some()).map(|t| view! { <div><dt>"On file since"</dt><dd>{time::date(t)}</dd></div> })}
            </dl>
        </section>
    }
    .into_any()
}

/// The Owner's key on file: whether it can be encrypted to now, and as what it is known.
fn key(o: &Org, now: Micros) -> AnyView {
    let report = match o.pgp_key.as_deref().map(|k| openpgp::inspect(k, now)) {
        None => {
            return view! { <div><dt>"PGP key"</dt><dd>"none on file"</dd></div> }.into_any();
        }
        Some(Err(problem)) => {
            return view! {
                <div class="facts-full">
                    <dt>"PGP key"</dt>
                    <dd>{state("state-needs", "cross", "Cannot be used")}<small>{sentence(&problem.to_string())}</small></dd>
                </div>
            }
            .into_any();
        }
        Some(Ok(report)) => report,
    };
    let expiry = match report.expires_at {
        None => "never expires".to_owned(),
        Some(t) => format!("expires {}, in {} days", time::date(t), days_until(t, now)),
    };
    let word = match report.expires_at {
        Some(t) if days_until(t, now) <= SOON => state("state-needs", "warning", "Expires soon"),
        _ => state("state-ok", "check", "Valid"),
    };
    let names = report
        .user_ids
        .iter()
        .map(|name| view! { <span class="sub">{name.clone()}</span> })
        .collect_view();
    view! {
        <div><dt>"PGP key"</dt><dd>{word}<small>{expiry}</small></dd></div>
        <div class="facts-full">
            <dt>"Fingerprint"</dt>
            <dd><span class="idc">{fingerprint(&report.fingerprint)}{copy(report.fingerprint.clone(), "fingerprint")}</span></dd>
        </div>
        <div class="facts-full"><dt>"Names on the key"</dt><dd>{names}</dd></div>
        <div class="facts-full">
            <dt>{match report.encryption_subkey_fingerprint == report.fingerprint {
                true => format!("Encrypts by itself, {}", report.algorithm),
                false => format!("Encrypts with its subkey, {}", report.algorithm),
            }}</dt>
            <dd>{fingerprint(&report.encryption_subkey_fingerprint)}</dd>
        </div>
    }
    .into_any()
}

/// What is wrong, as a sentence of its own.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let full = format!("{first}{}", chars.as_str());
    if full.ends_with('.') { full } else { format!("{full}.") }
}

fn ticket_list(all: &[Ticket], now: Micros) -> AnyView {
    let rows = all
        .iter()
        .map(|t| {
            view! {
                <tr>
                    <td class="card-title"><a class="main-link mono nowrap" href=format!("/tickets/{}", t.id)>{t.id.clone()}</a></td>
                    <td class="subject">{t.subject.clone()}</td>
                    <td data-label="State">{ticket_state(t.state)}</td>
                    <td class="num nowrap" data-label="Filed">{ago(t.filed_at, now)}</td>
                </tr>
            }
        })
        .collect_view();
    let body = if all.is_empty() {
        empty("ticket", "No ticket", "What this customer asks support for comes here.")
    } else {
        view! {
            <table class="table table-rows">
                <thead><tr><th scope="col">"Ticket"</th><th scope="col">"Subject"</th><th scope="col">"State"</th><th scope="col" class="num">"Filed"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any()
    };
    view! {
        <section class="panel" aria-label="Tickets">
            <div class="panel-head"><h2>"Tickets"</h2><p>{(all.len() as i64 == TICKETS).then(|| format!("the newest {TICKETS}"))}</p></div>
            {body}
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_problem_reads_as_a_sentence() {
        assert_eq!(sentence("this key expired"), "This key expired.");
        assert_eq!(sentence("Done."), "Done.");
    }
}
