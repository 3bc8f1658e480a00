//! The density strip above the timeline: how much there is when. Each part narrows to itself.

use leptos::prelude::*;

use super::audit_filter::{Ask, address};
use super::integrity_logs::grouped;
use crate::audit::density::Density;
use crate::model::{Micros, time};
use crate::web::charts::frame::{self, Table};
use crate::web::charts::strip;
use crate::web::door::encode;

/// The strip with its words, and with the table that says the same.
pub fn view(density: &Density, ask: &Ask) -> AnyView {
    let rest = ask.query_without_time();
    let narrowed = move |from: Micros, to: Micros| {
        let time =
            format!("from={}&to={}", encode(&time::rfc3339(from)), encode(&time::rfc3339(to)));
        address("/audit", &if rest.is_empty() { time } else { format!("{rest}&{time}") })
    };
    let (from, to, total) = (density.from, density.to(), density.total());
    if total == 0 {
        return ().into_any();
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
        "{} {} from {} to {}; each bar is {}, and leads to its rows",
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
        <section class="strip" aria-label="How many rows there are when">
            <p class="strip-said">{said.clone()}</p>
            {strip::draw(&said, &density.counts, from, to, narrowed)}
            {frame::table(table)}
        </section>
    }
    .into_any()
}
