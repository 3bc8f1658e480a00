//! How often each range of a value occurs, with marks at single values.

use leptos::prelude::*;

use super::{Hit, fill, grid, patterns, percent, picture, px, scale};

const TOP: f64 = 34.0;
const BOTTOM: f64 = 170.0;
const HEIGHT: f64 = 192.0;
const LEFT: f64 = 8.0;

/// One range.
#[derive(Debug, Clone)]
pub struct Bin {
    /// How many are in it.
    pub n: i64,
    /// What stands at its left edge.
    pub label: String,
    /// Where it leads.
    pub href: String,
    /// What it says when pointed at.
    pub title: String,
}

/// A value that is marked: in bins from the left, and its name.
#[derive(Debug, Clone)]
pub struct Mark {
    /// In bins, e.g. 2.5 for the middle of the third.
    pub at: f64,
    /// Its name.
    pub label: String,
}

/// The chart; `id` makes its patterns its own.
#[allow(clippy::cast_precision_loss, reason = "there are tens of bins")]
pub fn draw(id: &str, name: &str, bins: &[Bin], marks: &[Mark]) -> AnyView {
    let ticks = scale::ticks(bins.iter().map(|b| b.n).max().unwrap_or(0), 4);
    let max = ticks.last().copied().unwrap_or(1);
    let step = (100.0 - LEFT) / bins.len().max(1) as f64;
    let every = scale::every(bins.len(), 16);
    let mut hits = Vec::new();
    let bars = bins
        .iter()
        .enumerate()
        .map(|(i, bin)| {
            let x = LEFT + step * i as f64;
            let y = scale::down(bin.n, max, TOP, BOTTOM);
            let width = step * 0.94;
            let bar = (bin.n > 0).then(|| {
                hits.push(Hit {
                    x,
                    y: y.min(BOTTOM - 12.0),
                    width,
                    height: (BOTTOM - y).max(12.0),
                    href: bin.href.clone(),
                    title: bin.title.clone(),
                });
                // What is there is seen, however little it is beside the others.
                let height = (BOTTOM - y).max(2.0);
                view! {
                    <rect class="chart-bar" x=percent(x) y=px(BOTTOM - height) width=percent(width) height=px(height)
                        fill=fill(id, 0)></rect>
                }
            });
            let label = (i % every == 0).then(|| {
                let class = if (i / every) % 2 == 1 { "chart-tick chart-tick-minor" } else { "chart-tick" };
                view! { <text class=class x=percent(x) y=px(HEIGHT - 5.0)>{bin.label.clone()}</text> }
            });
            view! { {bar}{label} }
        })
        .collect_view();
    let marks = marks
        .iter()
        .enumerate()
        .map(|(i, mark)| {
            let x = LEFT + step * mark.at.clamp(0.0, bins.len() as f64);
            // Each mark's name has a line of its own, so that close ones stay readable.
            let y = 10.0 + 11.0 * (i % 3) as f64;
            let anchor = if x > 80.0 { "end" } else { "start" };
            view! {
                <line class="chart-mark" x1=percent(x) x2=percent(x) y1=px(y - 8.0) y2=px(BOTTOM)></line>
                <text class="chart-mark-name" x=percent(if x > 80.0 { x - 0.6 } else { x + 0.6 }) y=px(y) text-anchor=anchor>{mark.label.clone()}</text>
            }
        })
        .collect_view();
    let axis = grid(&ticks, max, TOP, BOTTOM);
    let drawn = view! {
        {patterns(id)}
        {axis}
        {bars}
        <line class="chart-axis" x1="0%" x2="100%" y1=px(BOTTOM) y2=px(BOTTOM)></line>
        {marks}
    };
    picture(name, HEIGHT, drawn.into_any(), hits)
}
