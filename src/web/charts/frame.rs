//! What stands around a chart: its heading, its words, and the table that says the same.

use leptos::prelude::*;

use crate::web::html::Html;

/// A cell of the table: its text, and where it leads.
pub type Cell = (String, Option<String>);

/// The text of a chart.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// What it is, for whoever hears it.
    pub caption: String,
    /// The heads of the columns.
    pub heads: Vec<String>,
    /// The rows; the first cell of each is its head.
    pub rows: Vec<Vec<Cell>>,
}

/// A chart with its heading; `lead` is what it says in a sentence, `key` its legend.
pub fn figure(
    id: &'static str,
    title: &'static str,
    lead: AnyView,
    key: AnyView,
    chart: AnyView,
    table: Table,
) -> AnyView {
    view! {
        <section class="panel figure" aria-labelledby=id>
            <div class="panel-head"><h2 id=id>{title}</h2></div>
            <div class="figure-body">
                <div class="figure-lead">{lead}</div>
                {key}
                {chart}
                {self::table(table)}
            </div>
        </section>
    }
    .into_any()
}

/// The table that says what a chart shows, behind a summary; nothing where there are no figures.
pub fn table(t: Table) -> AnyView {
    if t.rows.is_empty() {
        return ().into_any();
    }
    let mut rows = Html::default();
    for row in &t.rows {
        rows.tags("<tr>");
        for (n, (text, href)) in row.iter().enumerate() {
            rows.tags(if n == 0 { "<th scope=\"row\">" } else { "<td>" });
            match href {
                Some(href) => {
                    rows.tags("<a href=\"").text(href).tags("\">").content(text).tags("</a>")
                }
                None => rows.content(text),
            };
            rows.tags(if n == 0 { "</th>" } else { "</td>" });
        }
        rows.tags("</tr>");
    }
    let heads =
        t.heads.into_iter().map(|head| view! { <th scope="col">{head}</th> }).collect_view();
    let caption = format!("{}, as a table", t.caption);
    view! {
        <details class="figure-table">
            <summary>"The figures as a table"</summary>
            <div class="figure-scroll" tabindex="0" role="region" aria-label=caption>
                <table>
                    <caption class="sr-only">{t.caption}</caption>
                    <thead><tr>{heads}</tr></thead>
                    <tbody inner_html=rows.into_string()></tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}

/// The legend of a chart with several series.
pub fn key(of: &str, names: &[String]) -> AnyView {
    let items = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            view! {
                <li><svg width="14" height="14" aria-hidden="true">
                    <rect width="14" height="14" rx="2" fill=super::fill(of, i)></rect>
                </svg>{name.clone()}</li>
            }
        })
        .collect_view();
    view! { <ul class="chart-key">{items}</ul> }.into_any()
}
