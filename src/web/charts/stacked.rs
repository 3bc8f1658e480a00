//! Bars side by side, each of several parts: how much of each kind there was in each week.

use leptos::prelude::*;

use super::{Hit, fill, grid, patterns, percent, picture, px, scale};

const TOP: f64 = 18.0;
const BOTTOM: f64 = 150.0;
const HEIGHT: f64 = 172.0;
/// What is left free at the left for the values of the axis, in percent.
const LEFT: f64 = 8.0;

/// One bar.
#[derive(Debug, Clone)]
pub struct Column {
    /// What stands below it.
    pub label: String,
    /// Its parts from below: how many, where to, and what it says when pointed at.
    pub parts: Vec<(i64, String, String)>,
}

/// A part of a bar as it is drawn: its series, and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// From 0.
    pub series: usize,
    /// From the top, in pixels.
    pub y: f64,
    /// In pixels.
    pub height: f64,
}

/// The parts of a bar, one upon the other; those of 0 are not drawn.
#[must_use]
pub fn stack(values: &[i64], max: i64, top: f64, bottom: f64) -> Vec<Part> {
    let mut below = 0;
    let mut parts = Vec::new();
    for (series, value) in values.iter().enumerate().filter(|(_, v)| **v > 0) {
        let foot = scale::down(below, max, top, bottom);
        below += value;
        let y = scale::down(below, max, top, bottom);
        parts.push(Part { series, y, height: foot - y });
    }
    parts
}

/// The chart; `id` makes its patterns its own.
pub fn draw(id: &str, name: &str, columns: &[Column]) -> AnyView {
    let totals = columns.iter().map(|c| c.parts.iter().map(|p| p.0).sum::<i64>());
    let ticks = scale::ticks(totals.max().unwrap_or(0), 4);
    let max = ticks.last().copied().unwrap_or(1);
    #[allow(clippy::cast_precision_loss, reason = "there are hundreds of columns at most")]
    let step = (100.0 - LEFT) / columns.len().max(1) as f64;
    let every = scale::every(columns.len(), 10);
    let mut hits = Vec::new();
    let drawn = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            #[allow(clippy::cast_precision_loss, reason = "there are hundreds of columns at most")]
            let x = LEFT + step * i as f64;
            let values: Vec<i64> = column.parts.iter().map(|p| p.0).collect();
            let width = step * 0.78;
            let parts = stack(&values, max, TOP, BOTTOM)
                .into_iter()
                .map(|part| {
                    if let Some((_, href, title)) = column.parts.get(part.series) {
                        hits.push(Hit {
                            x,
                            y: part.y,
                            width,
                            height: part.height,
                            href: href.clone(),
                            title: title.clone(),
                        });
                    }
                    view! {
                        <rect class="chart-bar" x=percent(x) y=px(part.y) width=percent(width) height=px(part.height)
                            fill=fill(id, part.series)></rect>
                    }
                })
                .collect_view();
            let label = (i % every == 0).then(|| {
                // On a narrow screen every other one goes.
                let class = if (i / every) % 2 == 1 { "chart-tick chart-tick-minor" } else { "chart-tick" };
                view! { <text class=class x=percent(x) y=px(HEIGHT - 5.0)>{column.label.clone()}</text> }
            });
            view! { {parts}{label} }
        })
        .collect_view();
    let axis = grid(&ticks, max, TOP, BOTTOM);
    let drawn = view! {
        {patterns(id)}
        {axis}
        {drawn}
        <line class="chart-axis" x1="0%" x2="100%" y1=px(BOTTOM) y2=px(BOTTOM)></line>
    };
    picture(name, HEIGHT, drawn.into_any(), hits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_upon_each_other_and_fill_what_they_count() {
        let parts = stack(&[2, 0, 3], 10, 0.0, 100.0);
        assert_eq!(parts.iter().map(|p| p.series).collect::<Vec<_>>(), [0, 2]);
        assert!((parts[0].y - 80.0).abs() < 1e-9 && (parts[0].height - 20.0).abs() < 1e-9);
        assert!((parts[1].y - 50.0).abs() < 1e-9 && (parts[1].height - 30.0).abs() < 1e-9);
        assert!(stack(&[], 10, 0.0, 100.0).is_empty());
    }
}
