//! The ticket: the procedure as steps, with the one next action.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use leptos::prelude::*;
use sqlx::AnyConnection;

use super::owner_change::{self, Changes};
use super::ticket_parts::{copy_note, eligibility, facts, rows_written, thread};
use super::ticket_steps::{next_action, steps, unreachable};
use super::vault_state::VaultState;
use crate::audit::trail::{Depth, Judged, ReadRow, judge};
use crate::desk::facts::Case;
use crate::desk::gateways::Seen;
use crate::desk::ticket_copy::Refreshed;
use crate::desk::{Step, StepError};
use crate::model::{Micros, OutboxKind, VersionState};
use crate::policy::eligibility::Check;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations::{self, Impersonation};
use crate::store::outbox::Stands;
use crate::store::secrets::{self, Rotation, Version};
use crate::store::tickets::{self, Message, Ticket};
use crate::store::{audit, outbox, staff};
use crate::web::components::{ago, icon, secret_type, ticket_state};
use crate::web::door::Door;
use crate::web::shell::{Part, acts, page};

/// Everything that the page shows.
pub struct View {
    /// The ticket.
    pub ticket: Ticket,
    /// The case with its verdict.
    pub case: Case,
    /// The newest grant for it.
    pub grant: Option<Grant>,
    /// Its newest rows in both logs, oldest first.
    pub rows: Vec<ReadRow>,
    /// Its messages.
    pub messages: Vec<Message>,
    /// Why each message that waits for the desk outside is not there yet, by its id.
    pub owed: BTreeMap<String, Owed>,
    /// What to say of the copy that the page shows, where it is one that is not of this moment.
    pub copy: Option<CopyNote>,
    /// The versions of its secret, newest first.
    pub versions: Vec<Version>,
    /// What there is to say of a vault token.
    pub vault: Option<VaultState>,
    /// How its gateway stands, if it is about one.
    pub gateway: Option<Seen>,
    /// Where the procedure stands.
    pub stage: Stage,
    /// Whether the viewer carries the procedure out.
    pub acts: bool,
    /// The viewer's id.
    pub viewer: String,
    /// The time of the page.
    pub now: Micros,
    /// How long an impersonation lasts.
    pub life: Micros,
    /// What there is to tell of the Owner's key on file.
    pub key_changes: Option<Changes>,
    /// Until when the viewer stays away from the org's secrets, having asked for such a change.
    pub away: Option<Micros>,
    /// How long the old key stays valid after the handoff, in seconds.
    pub overlap_seconds: i64,
}

/// A message that the desk outside does not have.
#[derive(Default)]
pub struct Owed {
    /// Why, as far as it was tried.
    pub why: String,
    /// The item that was given up, where it was.
    pub given_up: Option<String>,
}

/// A copy of a ticket that could not be brought up to date.
pub struct CopyNote {
    /// The system that keeps the ticket.
    pub system: &'static str,
    /// When it last told.
    pub told_at: Option<Micros>,
    /// Why it is not up to date.
    pub why: String,
}

/// A grant with what came of it.
pub struct Grant {
    /// The grant.
    pub grant: Impersonation,
    /// The admin's name.
    pub admin: String,
    /// Its rotation.
    pub rotation: Option<Rotation>,
    /// Its handoff.
    pub handoff: Option<Handoff>,
    /// What of the handoff still waits, and why.
    pub waiting: Option<String>,
    /// Its trail and verdict.
    pub judged: Judged,
}

/// Where the procedure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A check fails; step 1, or step 2 where only consent is missing.
    Blocked,
    /// Ready to start.
    Start,
    /// Live, nothing rotated yet.
    Rotate,
    /// Rotated, not handed off.
    HandOff,
    /// Handed off and ended.
    Over,
}

impl View {
    /// Whether consent is the only thing that is missing.
    #[must_use]
    pub fn only_consent(&self) -> bool {
        self.case.verdict.failed_names() == [Check::Consent.as_str()]
    }

    /// The version that the next rotation makes.
    #[must_use]
    pub fn next_version(&self) -> i64 {
        let newest = self.versions.first().map_or(0, |v| v.version);
        self.case.secret.as_ref().map_or(1, |s| s.version.max(newest) + 1)
    }

    /// Whether a gateway's new key was made here, for the handoff, and not by the gateway.
    #[must_use]
    pub fn bundled(&self, rotation: &Rotation) -> bool {
        let certificates = self.gateway.iter().flat_map(|seen| &seen.certificates);
        certificates.into_iter().any(|c| c.version == rotation.to_version && c.bundled != 0)
    }

    /// An older version that is still accepted.
    #[must_use]
    pub fn overlapping(&self) -> Option<&Version> {
        // A vault token has no overlap: its old version waits for the vault alone.
        let of_webhook = |v: &&Version| {
            self.vault.is_none() && v.state == VersionState::Retiring && v.accepted(self.now)
        };
        self.versions.iter().find(of_webhook)
    }
}

/// `GET /tickets/{id}`.
pub async fn show(mut door: Door, Path(id): Path<String>) -> Response {
    match load(&mut door, &id.to_uppercase()).await {
        Ok(view) => {
            let title = view.ticket.id.clone();
            let body = draw(&view);
            page(door, StatusCode::OK, &title, Part::Tickets, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, id: &str) -> Step<View> {
    let desk = door.app.desk.clone();
    let acts = acts(door);
    let conn = &mut *door.conn;
    let refreshed = desk.refresh_for_page(conn, id).await?;
    let now = desk.now();
    let Some(ticket) = tickets::by_id(conn, id).await? else {
        return Err(match refreshed {
            Refreshed::NotTold(_) => StepError::NoAnswer(
                "The ticket system did not answer, and there is no copy of this ticket here yet.",
            ),
            Refreshed::NoOrg => StepError::Conflict(
                "The ticket system has this ticket, but its organization is none that Keyturn knows. Put the org’s id or short name into the organization’s external id there.",
            ),
            _ => StepError::NotFound,
        });
    };
    let copy = desk.tickets.outside().and_then(|system| {
        let why = match refreshed {
            Refreshed::Here | Refreshed::Told => return None,
            Refreshed::NotTold(e) => e.to_string(),
            Refreshed::Unknown => "it knows no ticket of this number".to_owned(),
            Refreshed::NoOrg => "it names an organization that Keyturn does not know".to_owned(),
        };
        Some(CopyNote { system, told_at: ticket.fetched_at, why })
    });
    let grant = match grant_in_hand(conn, id, now).await? {
        None => None,
        Some(grant) => {
            let rotation = secrets::rotation_of(conn, &grant.id).await?;
            let handoff = handoffs::of_impersonation(conn, &grant.id).await?;
            let waiting = match &handoff {
                Some(h) => outbox::about(conn, &h.id)
                    .await?
                    .into_iter()
                    .find(|item| item.done_at.is_none())
                    .map(|item| {
                        let why = item
                            .last_error
                            .clone()
                            .unwrap_or_else(|| "it is about to be sent".to_owned());
                        let what = match item.kind {
                            OutboxKind::OnePassword => "the item for the shared vault",
                            _ => "the mail",
                        };
                        let so = match item.stands() {
                            Stands::Undelivered => "is undelivered",
                            _ if item.to_mend == 1 => "waits for something to be mended",
                            _ => "waits",
                        };
                        format!("{what} {so}: {why}")
                    }),
                None => None,
            };
            let key = desk.current_log_key(conn).await?;
            let judged = judge(conn, key, &grant.id, Depth::Proofs, now).await?;
            let admin =
                staff::by_id(conn, &grant.admin_id).await?.map_or_else(String::new, |s| s.name);
            Some(Grant { grant, admin, rotation, handoff, waiting, judged })
        }
    };
    // The grant in hand does not stand in its own way.
    let using = grant.as_ref().map(|g| g.grant.id.clone());
    let case = desk.case(conn, id, &door.who.staff.id, using.as_deref()).await?;
    let mut rows: Vec<ReadRow> =
        audit::of_ticket(conn, id, 6).await?.into_iter().map(ReadRow::of).collect();
    rows.reverse();
    let (mut versions, mut vault) = (Vec::new(), None);
    if let Some(secret) = &case.secret {
        versions = secrets::versions(conn, &secret.id).await?;
        vault = VaultState::of(conn, secret, &versions, now).await?;
    }
    let key_changes = match &case.org {
        Some(org) => Some(owner_change::changes(conn, &org.id, now).await?),
        None => None,
    };
    let away = match &case.org {
        Some(org) => desk.stays_away(conn, &door.who.staff.id, &org.id).await?,
        None => None,
    };
    let gateway = match &case.secret {
        Some(secret) => desk.gateway(conn, secret).await?,
        None => None,
    };
    let stage = stage(&case, grant.as_ref(), now);
    let messages = tickets::messages(conn, id).await?;
    let mut owed = BTreeMap::new();
    for message in messages.iter().filter(|m| m.waits == 1) {
        let item =
            outbox::about(conn, &message.id).await?.into_iter().find(|i| i.done_at.is_none());
        let owes = item.map_or_else(Owed::default, |item| Owed {
            given_up: (item.stands() == Stands::Undelivered).then(|| item.id.clone()),
            why: item.last_error.unwrap_or_default(),
        });
        owed.insert(message.id.clone(), owes);
    }
    Ok(View {
        key_changes,
        away,
        messages,
        owed,
        copy,
        ticket,
        case,
        grant,
        rows,
        versions,
        vault,
        gateway,
        stage,
        acts,
        viewer: door.who.staff.id.clone(),
        now,
        life: desk.settings.impersonation_life,
        overlap_seconds: desk.settings.overlap_seconds,
    })
}

/// The grant that the page is about: a live one; otherwise the newest that rotated, whose handoff
/// may still need something; otherwise the newest.
async fn grant_in_hand(
    conn: &mut AnyConnection,
    ticket: &str,
    now: Micros,
) -> Step<Option<Impersonation>> {
    let all = impersonations::of_ticket(conn, ticket).await?;
    if let Some(live) = all.iter().find(|g| g.live(now)) {
        return Ok(Some(live.clone()));
    }
    for grant in &all {
        if secrets::rotation_of(conn, &grant.id).await?.is_some() {
            return Ok(Some(grant.clone()));
        }
    }
    Ok(all.into_iter().next())
}

fn stage(case: &Case, grant: Option<&Grant>, now: Micros) -> Stage {
    if let Some(g) = grant {
        match (&g.rotation, &g.handoff, g.grant.live(now)) {
            (Some(_), Some(h), _) if h.queued_at.is_none() => return Stage::HandOff,
            (Some(_), _, _) => return Stage::Over,
            (None, _, true) => return Stage::Rotate,
            (None, _, false) => {}
        }
    }
    if !case.verdict.eligible() {
        return Stage::Blocked;
    }
    Stage::Start
}

fn draw(v: &View) -> AnyView {
    let org = v.case.org.as_ref();
    let (org_name, org_slug) =
        org.map_or_else(Default::default, |o| (o.name.clone(), o.slug.clone()));
    let begun = matches!(v.stage, Stage::Rotate | Stage::HandOff | Stage::Over);
    let first = if v.stage == Stage::Start {
        view! { {eligibility(v, false)}{next_action(v)}{rows_written(v)} }.into_any()
    } else {
        view! { {next_action(v)}{rows_written(v)}{eligibility(v, begun)} }.into_any()
    };
    let kind = v.ticket.secret_type.as_deref().and_then(|t| t.parse().ok()).map(secret_type);
    view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/tickets">"Tickets"</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1><span class="mono">{v.ticket.id.clone()}</span>" · "{v.ticket.subject.clone()}</h1>
                <div class="page-meta">
                    {ticket_state(v.ticket.state)}
                    <span>"filed "{ago(v.ticket.filed_at, v.now)}" by "{v.ticket.requester_name.clone()}</span>
                    {kind}
                </div>
            </div>
            <div class="page-actions">
                <a class="btn" href=format!("/orgs/{org_slug}")>{icon("org")}{org_name}</a>
                <a class="btn" href=format!("/audit?ticket={}", v.ticket.id)>{icon("timeline")}"Its audit rows"</a>
            </div>
        </div>
        {copy_note(v)}
        <div class="ticket">
            {steps(v)}
            <div class="ticket-work">{v.key_changes.as_ref().map(owner_change::notices)}{first}{thread(v)}{unreachable(v)}</div>
            <aside class="ticket-facts" aria-label="Facts about the ticket">{facts(v)}{gateway(v)}</aside>
        </div>
    }
    .into_any()
}

fn gateway(v: &View) -> AnyView {
    match (&v.gateway, &v.case.secret) {
        (Some(seen), Some(secret)) => super::gateway::facts(seen, secret, v.now),
        _ => ().into_any(),
    }
}

/// `GET /handoffs/{id}/message.asc`: the ciphertext, for the admin who rotated. Nobody at the
/// platform can read it. It is a row of both logs, so another site's page cannot ask for it.
pub async fn ciphertext(door: Door, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if !started_here(&headers) {
        let why = "Open this from the ticket or the impersonation, not from another site.";
        return super::error::of(door, StepError::Forbidden(why)).await;
    }
    let desk = door.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.download_handoff(&mut tx, &door.who, &id).await;
        desk.settle(tx, step).await
    };
    match step.await {
        Ok(handoff) => (
            [
                (header::CONTENT_TYPE, "application/pgp-encrypted".to_owned()),
                (
                    header::CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{}.asc\"", handoff.id),
                ),
            ],
            handoff.message,
        )
            .into_response(),
        Err(e) => super::error::of(door, e).await,
    }
}

/// Whether a request was started on our own pages or in the address field. A browser that does not
/// say is an old one, or a program with the cookie.
fn started_here(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    matches!(site, None | Some(b"same-origin" | b"none"))
}
