//! A density strip: how much there is along a stretch of time, as thin bars. Each leads to its own
//! part of the time.

use leptos::prelude::*;

use super::{Hit, percent, picture, px, scale};
use crate::model::{Micros, time};
use crate::web::html::Html;

const TOP: f64 = 2.0;
const BOTTOM: f64 = 34.0;
const HEIGHT: f64 = 50.0;

/// The edges of the `n` parts of a stretch of time: (from, to) of each, together all of it.
#[must_use]
pub fn parts(from: Micros, to: Micros, n: usize) -> Vec<(Micros, Micros)> {
    let count = i128::try_from(n).unwrap_or(0);
    let length = i128::from(to.saturating_sub(from).max(0));
    let edge = |i: i128| {
        let offset = if count == 0 { 0 } else { length * i / count };
        from.saturating_add(i64::try_from(offset).unwrap_or(0))
    };
    (0..count).map(|i| (edge(i), edge(i + 1))).collect()
}

/// The strip of `counts`, one for each part of the time from `from` to `to` in order ([`parts`]);
/// `href` gives where a part leads.
#[allow(clippy::cast_precision_loss, reason = "there are hundreds of parts")]
pub fn draw(
    name: &str,
    counts: &[i64],
    from: Micros,
    to: Micros,
    href: impl Fn(Micros, Micros) -> String,
) -> AnyView {
    let max = counts.iter().copied().max().unwrap_or(0).max(1);
    let step = 100.0 / counts.len().max(1) as f64;
    let mut hits = Vec::new();
    let mut drawn = Html::default();
    for (i, (&n, (start, end))) in counts.iter().zip(parts(from, to, counts.len())).enumerate() {
        let x = step * i as f64;
        hits.push(Hit {
            x,
            y: 0.0,
            width: step,
            height: BOTTOM,
            href: href(start, end),
            title: format!("{n} from {} to {}", time::minutes(start), time::minutes(end)),
        });
        if n == 0 {
            continue;
        }
        let height = (BOTTOM - scale::down(n, max, TOP, BOTTOM)).max(2.0);
        drawn.tags("<rect class=\"strip-bar\" x=\"").text(&percent(x + step * 0.1));
        drawn.tags("\" y=\"").text(&px(BOTTOM - height)).tags("\" width=\"");
        drawn.text(&percent(step * 0.8)).tags("\" height=\"").text(&px(height)).tags("\"></rect>");
    }
    let drawn = view! {
        <g inner_html=drawn.into_string()></g>
        <line class="chart-axis" x1="0%" x2="100%" y1=px(BOTTOM) y2=px(BOTTOM)></line>
        <text class="chart-tick" x="0%" y=px(HEIGHT - 3.0)>{time::minutes(from)}</text>
        <text class="chart-tick" x="100%" y=px(HEIGHT - 3.0) text-anchor="end">{time::minutes(to)}</text>
    };
    picture(name, HEIGHT, drawn.into_any(), hits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_whole_without_gap_or_overlap() {
        let found = parts(10, 110, 7);
        assert_eq!((found.len(), found[0].0, found[6].1), (7, 10, 110));
        assert!(found.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].0 < pair[0].1));
        assert!(parts(5, 5, 0).is_empty());
        assert_eq!(parts(0, i64::MAX, 3)[2].1, i64::MAX);
    }
}
