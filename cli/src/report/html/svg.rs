//! Drawings: scales, axes, polylines. Small enough to need no library for charts.

use maud::{Markup, html};

use crate::report::text::line::number;

/// Width of a drawing in its own units; the page scales it.
pub(super) const WIDTH: f64 = 1000.0;
/// Room for the labels of the axes.
pub(super) const LEFT: f64 = 70.0;
pub(super) const RIGHT: f64 = 20.0;

/// From values to places on the page.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    from: (f64, f64),
    to: (f64, f64),
}

impl Scale {
    /// Values `low..=high` onto `start..=end`; a single value stands in the middle.
    pub(super) fn new((low, high): (f64, f64), to: (f64, f64)) -> Self {
        let from = if high > low { (low, high) } else { (low - 0.5, low + 0.5) };
        Self { from, to }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value - self.from.0) / (self.from.1 - self.from.0);
        self.to.0 + share * (self.to.1 - self.to.0)
    }

    /// Five values from end to end.
    pub(super) fn ticks(&self) -> [f64; 5] {
        [0.0, 0.25, 0.5, 0.75, 1.0].map(|s| self.from.0 + s * (self.from.1 - self.from.0))
    }
}

/// A coordinate, to a tenth of a unit.
pub(super) fn c(value: f64) -> String {
    format!("{value:.1}")
}

/// Horizontal lines with their values at the left.
pub(super) fn levels(y: &Scale) -> Markup {
    html! {
        @for value in y.ticks() {
            line class="axis" x1=(c(LEFT)) x2=(c(WIDTH - RIGHT)) y1=(c(y.at(value))) y2=(c(y.at(value))) {}
            text x=(c(LEFT - 8.0)) y=(c(y.at(value) + 4.0)) text-anchor="end" { (number(value)) }
        }
    }
}

/// Values below an axis.
pub(super) fn below(x: &Scale, y: f64, label: impl Fn(f64) -> String) -> Markup {
    html! {
        @for value in x.ticks() {
            text x=(c(x.at(value))) y=(c(y)) text-anchor="middle" { (label(value)) }
        }
    }
}

/// A line through points.
pub(super) fn polyline(points: &[(f64, f64)]) -> Markup {
    let words: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", c(*x), c(*y))).collect();
    html! { polyline class="line" points=(words.join(" ")) {} }
}

/// Lowest and highest of some values; `None` of none.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}
