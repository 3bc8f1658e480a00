//! Charts, drawn by the server as SVG. Across, everything is in percent, so that a chart is as
//! wide as its place and its words keep their size; down, in CSS pixels.
//!
//! Each chart is one picture with a name (`role="img"`). What can be clicked lies over it and is
//! for the pointer alone: the same links stand in the table below, which is the text of the chart
//! and reached by keyboard. Bars differ by pattern and word, never by colour alone.

pub mod bars;
pub mod frame;
pub mod histogram;
pub mod scale;
pub mod stacked;
pub mod strip;

use leptos::prelude::*;

use super::html::Html;

/// Something of a chart that leads somewhere: a place in percent across and pixels down.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// From the left, in percent.
    pub x: f64,
    /// From the top, in pixels.
    pub y: f64,
    /// In percent.
    pub width: f64,
    /// In pixels.
    pub height: f64,
    /// Where to.
    pub href: String,
    /// What it says when pointed at.
    pub title: String,
}

/// A share of the width, as an attribute.
#[must_use]
pub fn percent(x: f64) -> String {
    format!("{x:.3}%")
}

/// A length down, as an attribute.
#[must_use]
pub fn px(y: f64) -> String {
    format!("{y:.1}")
}

/// The picture and, over it, what can be clicked. `height` is in pixels.
pub fn picture(name: &str, height: f64, drawn: AnyView, hits: Vec<Hit>) -> AnyView {
    let mut over = Html::default();
    for hit in hits {
        over.tags("<a href=\"")
            .text(&hit.href)
            .tags("\" tabindex=\"-1\"><rect class=\"chart-hit\" x=\"");
        over.text(&percent(hit.x)).tags("\" y=\"").text(&px(hit.y)).tags("\" width=\"");
        over.text(&percent(hit.width)).tags("\" height=\"").text(&px(hit.height));
        over.tags("\"><title>").content(&hit.title).tags("</title></rect></a>");
    }
    view! {
        <div class="chart">
            <svg class="chart-drawn" role="img" aria-label=name.to_owned() width="100%" height=px(height)>{drawn}</svg>
            <svg class="chart-hits" aria-hidden="true" width="100%" height=px(height) inner_html=over.into_string()></svg>
        </div>
    }
    .into_any()
}

/// Lines across with their values at the left end: the axis of a chart whose bars stand between
/// `top` and `bottom`, in pixels.
pub fn grid(ticks: &[i64], max: i64, top: f64, bottom: f64) -> AnyView {
    ticks
        .iter()
        .map(|&tick| {
            let y = scale::down(tick, max, top, bottom);
            view! {
                <line class="chart-grid" x1="0%" x2="100%" y1=px(y) y2=px(y)></line>
                <text class="chart-tick" x="0%" y=px(y - 3.0)>{tick.to_string()}</text>
            }
        })
        .collect_view()
        .into_any()
}

/// The patterns that tell series apart, for `fill`; `of` makes their ids the chart's own.
pub fn patterns(of: &str) -> AnyView {
    view! {
        <defs>
            <pattern id=format!("{of}-1") width="6" height="6" patternUnits="userSpaceOnUse">
                <rect class="series-1" width="6" height="6"></rect>
            </pattern>
            <pattern id=format!("{of}-2") width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                <rect class="series-2" width="6" height="6"></rect>
                <rect class="series-over" width="2" height="6"></rect>
            </pattern>
            <pattern id=format!("{of}-3") width="6" height="6" patternUnits="userSpaceOnUse">
                <rect class="series-3" width="6" height="6"></rect>
                <circle class="series-over" cx="3" cy="3" r="1.4"></circle>
            </pattern>
        </defs>
    }
    .into_any()
}

/// The fill of a series, from 0.
#[must_use]
pub fn fill(of: &str, series: usize) -> String {
    format!("url(#{of}-{})", series % 3 + 1)
}
