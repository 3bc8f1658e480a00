//! One rotation: which version replaced which, by whom and under what, and how far the new value
//! has come.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use super::impersonation_handoff::{self, Delivery};
use super::org_secrets::validity;
use crate::desk::{Step, StepError};
use crate::model::{Micros, time};
use crate::store::impersonations::{self, Impersonation};
use crate::store::orgs::{self, Org};
use crate::store::secrets::{self, Rotation, Secret, Version};
use crate::store::staff;
use crate::web::components::{at, copy, icon, id, secret_type, short, version_state};
use crate::web::door::Door;
use crate::web::shell::{Part, acting, page};

struct Loaded {
    rotation: Rotation,
    org: Org,
    secret: Secret,
    versions: Vec<Version>,
    grant: Option<Impersonation>,
    by: String,
    delivery: Option<Delivery>,
}

/// `GET /rotations/{id}`.
pub async fn show(mut door: Door, Path(id): Path<String>) -> Response {
    match load(&mut door, &id).await {
        Ok(loaded) => {
            let body = draw(&loaded, acting(&door), door.app.desk.now());
            let title = format!("Rotation {}", short(&loaded.rotation.id));
            page(door, StatusCode::OK, &title, Part::Orgs, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, id: &str) -> Step<Loaded> {
    let conn = &mut *door.conn;
    let rotation = secrets::rotation_by_id(conn, id).await?.ok_or(StepError::NotFound)?;
    let org = orgs::by_id(conn, &rotation.org_id).await?.ok_or(StepError::NotFound)?;
    let secret = secrets::of_org(conn, &rotation.org_id, &rotation.secret_id)
        .await?
        .ok_or(StepError::NotFound)?;
    let mut versions = secrets::versions(conn, &secret.id).await?;
    versions.retain(|v| v.version == rotation.from_version || v.version == rotation.to_version);
    let (mut grant, mut delivery) = (None, None);
    if let Some(under) = &rotation.impersonation_id {
        grant = impersonations::by_id(conn, under).await?;
        delivery = Delivery::of(conn, under).await?;
    }
    let by = match staff::by_id(conn, &rotation.actor_id).await? {
        Some(admin) => format!("{}, platform admin", admin.name),
        None => orgs::members(conn, &org.id)
            .await?
            .into_iter()
            .find(|m| m.id == rotation.actor_id)
            .map_or_else(
                || rotation.actor_id.clone(),
                |m| format!("{}, {} of the customer", m.name, m.role.label()),
            ),
    };
    Ok(Loaded { rotation, org, secret, versions, grant, by, delivery })
}

fn draw(l: &Loaded, viewer: Option<&str>, now: Micros) -> AnyView {
    let r = &l.rotation;
    let back = format!("/rotations/{}", r.id);
    let org_href = format!("/orgs/{}", l.org.slug);
    let handoff = match &r.impersonation_id {
        Some(_) => {
            let over = l.grant.as_ref().is_none_or(|grant| grant.ended_at.is_some());
            impersonation_handoff::panel(l.delivery.as_ref(), over, viewer, &back)
        }
        None => view! {
            <section class="panel" aria-label="Handoff">
                <div class="panel-head"><h2>"Handoff"</h2><p>"self-service"</p></div>
                <div class="panel-body"><p class="muted">"The customer rotated it with its own credential: whatever was new was in the answer, once."</p></div>
            </section>
        }
        .into_any(),
    };
    let timeline = r.impersonation_id.as_ref().map(|under| {
        view! {
            <a class="btn" href=format!("/audit?impersonation={under}")>{icon("timeline")}"In the timeline"</a>
        }
    });
    view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/orgs">"Orgs"</a></li><li><a href=org_href.clone()>{l.org.name.clone()}</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1>"Rotation "<code class="id" title=r.id.clone()>{short(&r.id)}</code>" "{copy(r.id.clone(), "rotation id")}</h1>
                <div class="page-meta">
                    <span>{format!("{} from version {} to {}", l.secret.label, r.from_version, r.to_version)}</span>
                </div>
            </div>
            <div class="page-actions">{timeline}</div>
        </div>
        <div class="split">
            <div class="stack-6">
                {versions(l, now)}
                {handoff}
            </div>
            <aside aria-label="The rotation">{facts(l, &org_href)}</aside>
        </div>
    }
    .into_any()
}

fn versions(l: &Loaded, now: Micros) -> AnyView {
    let rows = l
        .versions
        .iter()
        .map(|v| {
            let (word, when) = validity(v, now);
            let which = if v.version == l.rotation.to_version { "new" } else { "old" };
            view! {
                <tr>
                    <th scope="row" class="card-title"><span class="version">{format!("v{}", v.version)}</span>" "<span class="muted">{which}</span></th>
                    <td data-label="State">{version_state(word)}</td>
                    <td data-label="When">{when}</td>
                    <td data-label="Known outside as">{v.reference.as_deref().map(|name| id(name, "name outside"))}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Versions">
            <div class="panel-head"><h2>"Versions"</h2><p>"of this rotation"</p></div>
            <table class="table">
                <thead><tr><th scope="col">"Version"</th><th scope="col">"State"</th><th scope="col">"When"</th><th scope="col">"Known outside as"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}

fn facts(l: &Loaded, org_href: &str) -> AnyView {
    let r = &l.rotation;
    let under = match &r.impersonation_id {
        Some(under) => view! {
            <a class="mono" href=format!("/impersonations/{under}")>{short(under)}</a>
            <small>{l.grant.as_ref().map(|g| g.reason.clone())}</small>
        }
        .into_any(),
        None => "nobody: self-service".into_any(),
    };
    let leak = if r.suspected_leak == 0 { "no" } else { "yes: the old one stops at once" };
    let overlap = match r.overlap_seconds {
        0 => "none".to_owned(),
        seconds => time::span(seconds * time::SECOND),
    };
    view! {
        <section class="panel" aria-label="Facts of the rotation">
            <div class="panel-head"><h2>"The rotation"</h2></div>
            <dl class="facts">
                <div><dt>"Id"</dt><dd>{id(&r.id, "rotation id")}</dd></div>
                <div><dt>"Made"</dt><dd>{at(r.created_at)}</dd></div>
                <div><dt>"By"</dt><dd>{l.by.clone()}</dd></div>
                <div><dt>"Impersonation"</dt><dd>{under}</dd></div>
                {l.grant.as_ref().map(|g| view! {
                    <div><dt>"Ticket"</dt><dd><a class="mono" href=format!("/tickets/{}", g.ticket_id)>{g.ticket_id.clone()}</a></dd></div>
                })}
                <div><dt>"Org"</dt><dd><a href=org_href.to_owned()>{l.org.name.clone()}</a></dd></div>
                <div>
                    <dt>"Secret"</dt>
                    <dd>{secret_type(l.secret.secret_type)}<small><span class="mono">{l.secret.id.clone()}</span>{format!(", {}", l.secret.label)}</small></dd>
                </div>
                <div><dt>"Leak suspected"</dt><dd>{leak}</dd></div>
                <div><dt>"Overlap"</dt><dd>{overlap}</dd></div>
            </dl>
        </section>
    }
    .into_any()
}
