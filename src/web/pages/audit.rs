//! The audit timeline: the platform's log and the orgs' logs side by side.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use super::audit_filter::{Known, Problem, SECRET, address};
use super::audit_form::form;
use super::timeline_strip;
use super::timeline_view::{Book, Fold, Frame, table};
use crate::audit::strips::Strip;
use crate::audit::timeline::{self, Item};
use crate::desk::Step;
use crate::model::{Micros, StaffRole, time};
use crate::store::audit::Seek;
use crate::store::saved_views::{self, SavedView};
use crate::store::timeline::watch::Place;
use crate::store::{Key, orgs, staff};
use crate::web::components::{empty, icon, pager};
use crate::web::door::{Door, encode};
use crate::web::islands::LiveRows;
use crate::web::shell::{Part, page};

pub use super::audit_filter::Ask;
pub use super::audit_row::show as row;
pub use super::timeline_strip::fragment as strip;

const PAGE: usize = 25;
const ORGS: i64 = 1000;

/// What the page shows.
struct Loaded {
    known: Known,
    problems: Vec<Problem>,
    /// The page, and where the logs were when it was read.
    found: Option<(timeline::Page, Book, Place)>,
    strip: Strip,
    views: Vec<SavedView>,
}

/// `GET /audit`.
pub async fn show(mut door: Door, ask: Result<Query<Ask>, QueryRejection>) -> Response {
    let (mut ask, unreadable) = match ask {
        Ok(Query(ask)) => (ask, None),
        Err(_) => (
            Ask::default(),
            Some(Problem {
                field: "place",
                text: "The address cannot be read: a field stands in it twice.".to_owned(),
            }),
        ),
    };
    match load(&mut door, &ask, unreadable).await {
        Ok(loaded) => {
            let status =
                if loaded.problems.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            ask.forget(&loaded.problems);
            // Nor in the forms of the frame, which lead back to where one is.
            if loaded.problems.iter().any(|p| p.text == SECRET) {
                "/audit".clone_into(&mut door.here);
            }
            let body = draw(&loaded, &ask, &door.here, door.app.desk.now());
            page(door, status, "Audit", Part::Audit, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, ask: &Ask, unreadable: Option<Problem>) -> Step<Loaded> {
    let desk = door.app.desk.clone();
    let (known, mut problems) = checked(door, ask).await?;
    problems.extend(unreadable);
    // Who looks is on record before anything is seen.
    let sound = ask.query_sound(&problems);
    desk.note_view_once(&mut door.conn, &door.who, "/audit", &sound).await?;
    let seek = match ask.seek() {
        Some(seek) if problems.is_empty() => seek,
        _ => {
            let (strip, views) = (Strip::Nothing, Vec::new());
            return Ok(Loaded { known, problems, found: None, strip, views });
        }
    };
    let (filter, now) = (ask.filter(), desk.now());
    let place = Place::here(&mut door.conn, now).await?;
    // It is counted beside all the rest.
    let asked = door.app.density.ask(&desk.store, &ask.query(), &filter, now);
    let key = desk.current_log_key(&mut door.conn).await?;
    let edges = &door.app.edges;
    let found = timeline::page(&mut door.conn, key, &filter, &seek, PAGE, edges, now).await?;
    let book = Book::of(&mut door.conn, key, &found.items, &found.proofs).await?;
    let views = saved_views::of(&mut door.conn, &door.who.staff.id).await?;
    let strip = asked.strip().await;
    Ok(Loaded { known, problems, found: Some((found, book, place)), strip, views })
}

/// What the fields are held against, and what is wrong with them.
///
/// # Errors
/// Where the database does not answer.
pub async fn checked(door: &mut Door, ask: &Ask) -> Step<(Known, Vec<Problem>)> {
    let known = known(door, ask).await?;
    let mut problems = ask.problems(&known);
    // What is searched for is written down. A secret that somebody pasted must not be.
    let mut secret = Vec::new();
    for (field, value) in ask.unvouched(&problems) {
        if door.app.desk.secret_in(&mut door.conn, value).await?.is_some() {
            secret.push(field);
        }
    }
    for field in secret {
        problems.retain(|p| p.field != field);
        problems.push(Problem { field, text: SECRET.to_owned() });
    }
    Ok((known, problems))
}

async fn known(door: &mut Door, ask: &Ask) -> Step<Known> {
    let conn = &mut *door.conn;
    let mut all = orgs::names(conn, ORGS).await?;
    let asked = ask.org.trim();
    if !asked.is_empty() && !all.iter().any(|(id, _)| id == asked) {
        all.extend(orgs::by_id(conn, asked).await?.map(|o| (o.id, o.name)));
    }
    let staff = staff::all(conn).await?.into_iter().map(|s| {
        let name = match s.role {
            StaffRole::PlatformAdmin => s.name,
            StaffRole::Auditor => format!("{} (auditor)", s.name),
        };
        (s.id, name)
    });
    Ok(Known { staff: staff.collect(), orgs: all })
}

fn draw(loaded: &Loaded, ask: &Ask, here: &str, now: Micros) -> AnyView {
    let rows = match &loaded.found {
        Some((found, book, place)) => found_rows(found, (book, place), ask, &loaded.known, now),
        None => refused(&loaded.problems),
    };
    view! {
        <div class="page-head">
            <div>
                <h1>"Audit timeline"</h1>
                <p>
                    "What the platform wrote on the left, what the customer’s own log says on the right. Rows of one \
                     impersonation are framed together, and a line ties what must agree. That you look is on record, too."
                </p>
            </div>
            <div class="page-actions">
                <a class="btn" href="/audit/integrity">{icon("shield-check")}"Log integrity"</a>
            </div>
        </div>
        {form(ask, &loaded.known, &loaded.problems)}
        {loaded.problems.is_empty().then(|| super::saved_views::bar(&loaded.views, ask))}
        {timeline_strip::place(&loaded.strip, ask, here, now)}
        {rows}
    }
    .into_any()
}

/// A filter that cannot be meant shows nothing at all: rows beside it would be taken for its answer.
fn refused(problems: &[Problem]) -> AnyView {
    let place = problems.iter().find(|p| p.field == "place").map(|p| p.text.clone());
    view! {
        <div class="notice notice-needs" role="alert">
            {icon("refused")}
            <div>
                <strong>"Nothing is shown"</strong>
                <p>{place.unwrap_or_else(|| "A field of the filter cannot be what was meant. It says why; correct it and apply again.".to_owned())}</p>
                <p><a href="/audit">"To the newest rows of both logs"</a></p>
            </div>
        </div>
    }
    .into_any()
}

fn found_rows(
    found: &timeline::Page,
    (book, place): (&Book, &Place),
    ask: &Ask,
    known: &Known,
    now: Micros,
) -> AnyView {
    let query = ask.query();
    let and =
        |more: &str| if query.is_empty() { more.to_owned() } else { format!("{query}&{more}") };
    let beside = |name: &str, key: &Key| and(&format!("{name}={}", encode(&key.to_string())));
    // How the page is folded goes along from page to page.
    let paged = |query: String| match ask.fold.as_str() {
        "0" | "1" if query.is_empty() => format!("fold={}", ask.fold),
        "0" | "1" => format!("{query}&fold={}", ask.fold),
        _ => query,
    };
    let newest_page = matches!(ask.seek(), Some(Seek::Newest));
    // A token's length is known at its end, and its row is its start: never a new one.
    let live = (newest_page && ask.open_for.trim().is_empty()).then(|| {
        // What comes from here on, and not again what the page shows.
        let since = encode(&place.to_string());
        view! {
            <LiveRows source=address("/audit/live", &query) since=since here=address("/audit", &paged(query.clone())) />
        }
    });
    let reload = newest_page.then(|| {
        let here = address("/audit", &paged(query.clone()));
        view! { <a class="icon-text" href=here>{icon("rotate")}"Load new rows"</a> }
    });
    let list = if found.items.is_empty() {
        let text = if found.looked_to.is_some() {
            "No row of those that were looked at matches the filter. There are more of them."
        } else if ask.narrows() {
            "No row of either log matches the filter. Remove a part of it above."
        } else {
            "Rows come here as soon as anybody does anything, even signing in."
        };
        view! { <div class="panel">{empty("timeline", "No rows here", text)}</div> }.into_any()
    } else {
        let org = known.orgs.iter().find(|(id, _)| id == ask.org.trim());
        let frame = Frame {
            caption: "Platform log and org logs, newest first; the rows of an impersonation are in the order of time"
                .to_owned(),
            org: org.map(|(_, name)| name.clone()),
            filtered: ask.narrows(),
            fold: Some(ask.fold()),
        };
        table(&found.items, book, &frame, now)
    };
    let newer = match (&found.newer, newest_page) {
        (Some(key), _) => Some(address("/audit", &paged(beside("after", key)))),
        // Nothing is newer than this page, as far as was read: the live page goes on from here.
        (None, false) => Some(address("/audit", &paged(query.clone()))),
        (None, true) => None,
    };
    let older = found.older.as_ref().map(|key| address("/audit", &paged(beside("before", key))));
    let looked = found.looked_to.map(|at| {
        let (beyond, page) = match ask.seek() {
            Some(Seek::Newer(_)) => ("newer", "Newer"),
            _ => ("older", "Older"),
        };
        let said = format!(
            "Looked through as far as {}: much matches each part of the filter, and little all of it. \
             What is {beyond} was not looked at yet: go on with “{page}”, or narrow the time.",
            time::seconds(at)
        );
        view! { <p class="looked-to">{icon("info")}{said}</p> }
    });
    let groups = found.items.iter().filter(|i| matches!(i, Item::Group(_))).count();
    let said = match groups {
        0 => String::new(),
        1 => "1 impersonation is on this page.".to_owned(),
        n => format!("{n} impersonations are on this page."),
    };
    let folds = (groups > 0).then(|| {
        // The same page: the place in the logs stays.
        let here = |fold: &str| {
            let place = [("before", &ask.before), ("after", &ask.after)];
            let place = place.into_iter().find_map(|(name, key)| {
                key.as_ref().map(|key| format!("{name}={}&fold={fold}", encode(key)))
            });
            address("/audit", &and(&place.unwrap_or_else(|| format!("fold={fold}"))))
        };
        view! {
            <nav aria-label="Fold impersonations">
                <a href=here("1") aria-current=(ask.fold() == Fold::All).then_some("true")>"Fold all"</a>
                <a href=here("0") aria-current=(ask.fold() == Fold::Nothing).then_some("true")>"Unfold all"</a>
            </nav>
        }
    });
    let exports = (!found.items.is_empty()).then(|| super::audit_export::links(&query));
    view! {
        <div class="tl-tools">{exports}{reload}{folds}</div>
        {live}
        {list}
        {looked}
        <p class="sr-only">{said}</p>
        {pager(newer, older)}
    }
    .into_any()
}
