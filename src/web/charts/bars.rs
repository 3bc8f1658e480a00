//! Bars that lie: how much of each there is, with its name above it.

use leptos::prelude::*;

use super::{Hit, fill, patterns, percent, picture, px, scale};

const ROW: f64 = 34.0;

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What it is.
    pub label: String,
    /// How much.
    pub n: i64,
    /// Where it leads.
    pub href: String,
    /// What it says when pointed at.
    pub title: String,
}

/// The chart; `id` makes its patterns its own, `series` chooses one of them.
#[allow(clippy::cast_precision_loss, reason = "there are tens of bars")]
pub fn draw(id: &str, name: &str, series: usize, bars: &[Bar]) -> AnyView {
    let max = bars.iter().map(|b| b.n).max().unwrap_or(0);
    let mut hits = Vec::new();
    let drawn = bars
        .iter()
        .enumerate()
        .map(|(i, bar)| {
            let y = ROW * i as f64;
            hits.push(Hit {
                x: 0.0,
                y,
                width: 100.0,
                height: ROW - 3.0,
                href: bar.href.clone(),
                title: bar.title.clone(),
            });
            view! {
                <text class="chart-label" x="0%" y=px(y + 13.0)>{bar.label.clone()}</text>
                <text class="chart-value" x="100%" y=px(y + 13.0) text-anchor="end">{bar.n.to_string()}</text>
                <rect class="chart-track" x="0%" y=px(y + 19.0) width="100%" height="8" rx="1"></rect>
                <rect class="chart-bar" x="0%" y=px(y + 19.0) width=percent(scale::share(bar.n, max)) height="8" rx="1"
                    fill=fill(id, series)></rect>
            }
        })
        .collect_view();
    let drawn = view! { {patterns(id)}{drawn} };
    picture(name, ROW * bars.len() as f64, drawn.into_any(), hits)
}
