//! The density strip above the timeline: how much there is when. Each part narrows to itself. It
//! may come later than its page: it is counted in the background.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use leptos::prelude::*;

use super::audit::checked;
use super::audit_filter::{Ask, address};
use super::integrity_logs::grouped;
use crate::audit::density::Density;
use crate::audit::strips::Strip;
use crate::model::{Micros, time};
use crate::web::charts::frame::{self, Table};
use crate::web::charts::strip;
use crate::web::components::icon;
use crate::web::door::{Door, encode};
use crate::web::islands::LateStrip;
use crate::web::shell;

/// What it is, for whoever hears it.
const NAME: &str = "How many rows there are when";

/// `GET /audit/strip`: the strip of a filter by itself, a piece of a page; 202 as long as it is
/// being counted, 204 where there is nothing to count.
pub async fn fragment(mut door: Door, ask: Result<Query<Ask>, QueryRejection>) -> Response {
    let Ok(Query(ask)) = ask else { return StatusCode::BAD_REQUEST.into_response() };
    // As on the page: what is asked for is written down, and what cannot be meant counts nothing.
    match checked(&mut door, &ask).await {
        Ok((_, problems)) if problems.is_empty() => {}
        Ok(_) => return StatusCode::BAD_REQUEST.into_response(),
        Err(e) => {
            tracing::error!(error = %e, "reading what a strip is held against");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    let Door { app, conn, who, .. } = door;
    drop(conn);
    let query = ask.query();
    if let Err(e) = app.desk.note_view(&who, "/audit", &query).await {
        tracing::error!(error = %e, "noting a view");
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let now = app.desk.now();
    match app.density.ask(&app.desk.store, &query, &ask.filter(), now).strip().await {
        Strip::Counted(density) => shell::fragment(|| view(&density, &ask, now, false)),
        Strip::Counting(_) => StatusCode::ACCEPTED.into_response(),
        Strip::Nothing => StatusCode::NO_CONTENT.into_response(),
    }
}

/// The strip as far as it is there. What is still being counted has its place, so that nothing
/// moves when it comes; `here` is the page itself, to be loaded again without scripts.
pub fn place(strip: &Strip, ask: &Ask, here: &str, now: Micros) -> AnyView {
    let last = match strip {
        Strip::Nothing => return ().into_any(),
        Strip::Counted(density) => return view(density, ask, now, false),
        Strip::Counting(last) => last,
    };
    let meanwhile = match last {
        Some(density) => view(density, ask, now, true),
        None => view! {
            <section class="strip" aria-label=NAME>
                <p class="strip-said">{icon("clock")}"How many rows there are when is being counted. The rows below do not wait for it."</p>
            </section>
        }
        .into_any(),
    };
    view! {
        <div class="strip-place">
            <div id="strip">
                {meanwhile}
                <p class="strip-again"><a href=here.to_owned()>"Load the page again to see it"</a></p>
            </div>
            <LateStrip source=address("/audit/strip", &ask.query()) />
        </div>
    }
    .into_any()
}

/// How old it is, where it is not of this very moment, and whether a newer one is on its way.
fn age(density: &Density, now: Micros, again: bool) -> String {
    let old = now - density.counted_at;
    let counted = match old {
        ..=time::SECOND => String::new(),
        old => format!("; counted {} ago", time::span(old)),
    };
    if again { format!("{counted}; it is being counted again") } else { counted }
}

/// The strip with its words, and with the table that says the same; `again` where a newer one is
/// being counted.
fn view(density: &Density, ask: &Ask, now: Micros, again: bool) -> AnyView {
    let rest = ask.query_without_time();
    let narrowed = move |from: Micros, to: Micros| {
        let time =
            format!("from={}&to={}", encode(&time::rfc3339(from)), encode(&time::rfc3339(to)));
        address("/audit", &if rest.is_empty() { time } else { format!("{rest}&{time}") })
    };
    let (from, to, total) = (density.from, density.to(), density.total());
    let age = age(density, now, again);
    if total == 0 {
        let said =
            format!("No row from {} to {} matches{age}.", time::minutes(from), time::minutes(to));
        return view! {
            <section class="strip" aria-label=NAME><p class="strip-said">{said}</p></section>
        }
        .into_any();
    }
    let rows = strip::parts(from, to, density.counts.len())
        .into_iter()
        .zip(&density.counts)
        .filter(|(_, n)| **n > 0)
        .map(|((start, end), n)| {
            vec![
                (time::minutes(start), Some(narrowed(start, end))),
                (time::minutes(end), None),
                (n.to_string(), None),
            ]
        })
        .collect();
    let said = format!(
        "{} {} from {} to {}; each bar is {}, and leads to its rows{age}",
        grouped(total),
        if total == 1 { "row" } else { "rows" },
        time::minutes(from),
        time::minutes(to),
        time::span(density.width),
    );
    let table = Table {
        caption: "Rows in each part of the time shown".to_owned(),
        heads: vec!["From (UTC)".to_owned(), "Before".to_owned(), "Rows".to_owned()],
        rows,
    };
    view! {
        <section class="strip" aria-label=NAME>
            <p class="strip-said">{said.clone()}</p>
            {strip::draw(&said, &density.counts, from, to, narrowed)}
            {frame::table(table)}
        </section>
    }
    .into_any()
}
