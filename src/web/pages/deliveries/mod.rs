//! What has to reach a system outside and has not: what is undelivered, and what still waits.

pub mod actions;

use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use sqlx::AnyConnection;

use super::forwarding;
use super::impersonation_handoff::not_taken;
use crate::desk::Step;
use crate::model::{Micros, OutboxKind, time};
use crate::store::outbox::{self, Item, Waiting};
use crate::store::{handoffs, orgs};
use crate::web::components::{ago, icon};
use crate::web::door::Door;
use crate::web::shell::{Part, acts, page};

/// What was written so long ago and has not been tried waits, too: nobody works it off.
pub const UNTRIED: Micros = time::MINUTE;

/// How many items of each list are shown.
const SHOWN: i64 = 50;

/// An item, and where it belongs.
struct Line {
    item: Item,
    /// The org's short name and name.
    org: Option<(String, String)>,
    /// Where it is seen to: the page of its rotation, or of its ticket.
    place: Option<(String, &'static str)>,
    /// Whether a handoff hangs on it.
    handoff: bool,
}

struct Loaded {
    undelivered: Vec<Line>,
    n: i64,
    waiting: Vec<(Waiting, Vec<Line>)>,
    sinks: forwarding::Sinks,
}

/// `GET /deliveries`.
pub async fn show(mut door: Door) -> Response {
    match load(&mut door).await {
        Ok(loaded) => {
            let body = draw(&loaded, acts(&door), door.app.desk.now());
            page(door, StatusCode::OK, "Deliveries", Part::Overview, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door) -> Step<Loaded> {
    let desk = door.app.desk.clone();
    let now = desk.now();
    let conn = &mut *door.conn;
    let items = outbox::undelivered(conn, None, SHOWN).await?;
    let undelivered = lines(conn, items).await?;
    let n = outbox::count_undelivered(conn).await?;
    let mut waiting = Vec::new();
    for kind in outbox::waiting(conn, now - UNTRIED).await? {
        let items = outbox::waiting_of(conn, kind.kind, now - UNTRIED, SHOWN).await?;
        waiting.push((kind, lines(conn, items).await?));
    }
    let sinks = forwarding::load(conn, now).await?;
    Ok(Loaded { undelivered, n, waiting, sinks })
}

async fn lines(conn: &mut AnyConnection, items: Vec<Item>) -> Step<Vec<Line>> {
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        let handoff = handoffs::by_id(conn, &item.about).await?;
        let org_id = item.org_id.clone().or_else(|| handoff.as_ref().map(|h| h.org_id.clone()));
        let org = match org_id {
            Some(id) => orgs::by_id(conn, &id).await?.map(|o| (o.slug, o.name)),
            None => None,
        };
        let place = match (&handoff, item.kind) {
            (Some(h), _) => Some((format!("/rotations/{}", h.rotation_id), "Open the rotation")),
            (None, OutboxKind::TicketComment) => {
                Some((format!("/tickets/{}", item.recipient), "Open the ticket"))
            }
            (None, OutboxKind::VaultRevoke) => {
                Some((format!("/rotations/{}", item.about), "Open the rotation"))
            }
            (None, _) => None,
        };
        all.push(Line { item, org, place, handoff: handoff.is_some() });
    }
    Ok(all)
}

/// What an item is called.
#[must_use]
pub fn name_of(item: &Item) -> String {
    match (&item.subject, item.kind) {
        (Some(subject), _) => subject.clone(),
        (None, OutboxKind::TicketComment) => format!("{}, a reply", item.recipient),
        (None, kind) => kind.label().to_owned(),
    }
}

fn row(line: &Line, acts: bool, now: Micros) -> AnyView {
    let item = &line.item;
    let org = line.org.as_ref().map(|(slug, name)| {
        view! { <a href=format!("/orgs/{slug}")>{name.clone()}</a> }
    });
    let place = line.place.as_ref().map(|(href, what)| {
        view! { <a class="btn" href=href.clone()>{*what}<span class="sr-only">{format!(" of {}", name_of(item))}</span></a> }
    });
    let acts = acts && item.gave_up_at.is_some() && !line.handoff;
    view! {
        <tr>
            <th scope="row" class="card-title">{name_of(item)}<small class="muted">{item.kind.label()}</small></th>
            <td data-label="Organization">{org}</td>
            <td data-label="Since">{ago(item.created_at, now)}</td>
            <td data-label="State">{not_taken(item, "Not tried yet")}</td>
            <td data-label="See to it"><div class="form-actions">{place}{acts.then(|| put_right(item))}</div></td>
        </tr>
    }
    .into_any()
}

fn put_right(item: &Item) -> AnyView {
    let button = |wish: &'static str, icon_name: &'static str, word: &'static str| {
        view! {
            <form class="inline-form" method="post" action="/do/put_right">
                <input type="hidden" name="item" value=item.id.clone() />
                <input type="hidden" name="wish" value=wish />
                <button class="btn">{icon(icon_name)}{word}<span class="sr-only">{format!(": {}", name_of(item))}</span></button>
            </form>
        }
    };
    view! {
        {button("again", "send", "Send again")}
        {button("aside", "check", "Set aside")}
    }
    .into_any()
}

fn table(lines: &[Line], acts: bool, now: Micros) -> AnyView {
    view! {
        <table class="table deliveries">
            <thead><tr>
                <th scope="col">"What"</th><th scope="col">"Organization"</th><th scope="col">"Since"</th>
                <th scope="col">"State"</th><th scope="col">"See to it"</th>
            </tr></thead>
            <tbody>{lines.iter().map(|line| row(line, acts, now)).collect_view()}</tbody>
        </table>
    }
    .into_any()
}

fn draw(l: &Loaded, acts: bool, now: Micros) -> AnyView {
    let shown = l.undelivered.len();
    let undelivered = if l.undelivered.is_empty() {
        view! { <div class="panel-body"><p class="muted">"Nothing was refused for good."</p></div> }
            .into_any()
    } else {
        table(&l.undelivered, acts, now)
    };
    let more = (i64::try_from(shown).is_ok_and(|shown| shown < l.n))
        .then(|| format!("the newest {shown} of {}", l.n));
    let waiting = l
        .waiting
        .iter()
        .map(|(kind, lines)| {
            let mend = match kind.to_mend {
                0 => String::new(),
                n => format!(", {n} until something is mended"),
            };
            let since = time::seconds(kind.since);
            view! {
                <section class="panel" aria-label=format!("Waits: {}", kind.kind.label())>
                    <div class="panel-head"><h2>{kind.kind.label()}</h2><p>{format!("{} wait{mend}; the oldest since {since}", kind.items)}</p></div>
                    {table(lines, acts, now)}
                </section>
            }
        })
        .collect_view();
    let nothing = l.waiting.is_empty().then(|| {
        view! {
            <section class="panel" aria-label="Waits">
                <div class="panel-body"><p class="muted">"Nothing waits."</p></div>
            </section>
        }
    });
    view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/overview">"Overview"</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1>"Deliveries"</h1>
                <p>
                    "What has to reach a system outside and has not. What waits is tried again by itself, at longer and longer intervals; \
                     what was refused for good is not, until somebody has put it right and sends it again."
                </p>
            </div>
        </div>
        <section class="panel" aria-label="Undelivered">
            <div class="panel-head"><h2>"Undelivered"</h2><p>{more.unwrap_or_else(|| l.n.to_string())}</p></div>
            {undelivered}
        </section>
        <div class="section-head"><h2>"Waiting"</h2></div>
        <div class="stack">
            {waiting}
            {nothing}
            {forwarding::panel(&l.sinks, now)}
        </div>
    }
    .into_any()
}
