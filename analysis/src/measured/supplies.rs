//! What each node drew from its own supplies, and the air that it took in, by the node's own
//! sensors.

use model::finding::Suspect;
use model::report::Measured;

use super::line;
use crate::case::Case;
use crate::digest::meters::{Line, Point, Quantity, Trace};

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let nodes = case.seen.node_meters.domains();
    let lines = nodes.flat_map(|(node, points)| {
        let at = Suspect::new("node", node.as_str());
        points.iter().filter_map(move |(point, trace)| of_point(&at, *point, trace)).flatten()
    });
    lines.collect()
}

fn of_point(at: &Suspect, point: Point, trace: &Trace) -> Option<[Measured; 2]> {
    let (mean, low, high) = (trace.mean()?, least(trace), most(trace));
    let told = |what: &str, value, unit| line(what, at, None, value, unit);
    match (point.quantity, point.line) {
        (Quantity::PowerKw, Line::Whole) => {
            Some([told("power_input_kw_mean", mean, "kW"), told("power_input_kw_max", high, "kW")])
        }
        (Quantity::VoltageV, Line::Whole) => {
            Some([told("voltage_input_v_mean", mean, "V"), told("voltage_input_v_min", low, "V")])
        }
        (Quantity::InletAirC, Line::Whole) => Some([
            told("temp_inlet_air_c_mean", mean, "C"),
            told("temp_inlet_air_c_max", high, "C"),
        ]),
        _ => None,
    }
}

/// Of the trace's bins, which are seconds wide.
fn least(trace: &Trace) -> f64 {
    trace.bins_s().map(|(_, value)| value).fold(f64::MAX, f64::min)
}

fn most(trace: &Trace) -> f64 {
    trace.bins_s().map(|(_, value)| value).fold(f64::MIN, f64::max)
}
