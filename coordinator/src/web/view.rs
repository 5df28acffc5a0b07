//! The floor as the page draws it: one JSON document an event. Pure.

use std::collections::BTreeMap;

use proto::v1;
use serde_json::{Value, json};

use super::judged::{Found, Judged};
use crate::hall::{Floor, PhaseShape};

/// The group of nodes whose rack nobody named.
const NO_RACK: &str = "rack not named";

/// What the page is told.
pub(super) fn document(floor: &Floor, judged: &Judged) -> Value {
    let run = floor.run.as_ref();
    let judged = run.filter(|run| judged.looked && run.run_id == judged.run).map(|_| judged);
    json!({
        "now_s": floor.now_ns as f64 / 1e9,
        "active": floor.active,
        "run": run.map(|run| run_value(run, floor)),
        "racks": racks(floor),
        "phases": floor.phases.iter().map(phase).collect::<Vec<_>>(),
        "findings": judged.map(|j| j.findings.iter().map(finding).collect::<Vec<_>>()),
        "settled": judged.is_some_and(|judged| judged.settled),
        "agents": {
            "connected": floor.agents.iter().filter(|agent| agent.connected).count(),
            "silent": floor.agents.iter().filter(|agent| !agent.connected)
                .map(|agent| json!({
                    "node": agent.node,
                    "silent_s": (floor.now_ns - agent.last_seen_ns) as f64 / 1e9,
                }))
                .collect::<Vec<_>>(),
        },
    })
}

fn run_value(run: &v1::RunStatus, floor: &Floor) -> Value {
    json!({
        "id": run.run_id,
        "plan": run.plan,
        "site": floor.row.as_ref().map(|row| row.site.as_str()).unwrap_or_default(),
        "state": run.state,
        "verdict": floor.row.as_ref().map(|row| row.verdict.as_str()).unwrap_or_default(),
        "phase": run.phase,
        "phase_index": run.phase_index,
        "phase_elapsed_s": run.phase_elapsed_s,
        "phase_seconds": run.phase_seconds,
        "elapsed_s": run.elapsed_s,
        "plan_seconds": run.plan_seconds,
        "message": run.message,
        "released_percent": run.released,
    })
}

fn phase(shape: &PhaseShape) -> Value {
    json!({
        "name": shape.name,
        "kind": shape.kind,
        "seconds": shape.seconds,
        "levels": shape.levels,
        "band": shape.band.map(|(low, high, hz)| json!({ "low": low, "high": high, "hz": hz })),
    })
}

fn finding(found: &Found) -> Value {
    json!({
        "id": found.id,
        "kind": found.kind,
        "suspect": found.suspect,
        "severity": found.severity,
        "standing": found.standing,
        "cannot_exclude": found.cannot_exclude,
        "action": found.action,
    })
}

/// A rack a tile, in name order. What no node of it measures is null, never zero; what only some
/// measure says how many.
fn racks(floor: &Floor) -> Vec<Value> {
    let mut racks: BTreeMap<&str, Vec<&v1::NodeStatus>> = BTreeMap::new();
    for node in floor.run.iter().filter(|_| floor.active).flat_map(|run| &run.nodes) {
        let rack = if node.rack.is_empty() { NO_RACK } else { &node.rack };
        racks.entry(rack).or_default().push(node);
    }
    racks.into_iter().map(|(rack, nodes)| rack_value(rack, &nodes)).collect()
}

fn rack_value(rack: &str, nodes: &[&v1::NodeStatus]) -> Value {
    let there = || nodes.iter().filter(|node| node.state != "lost");
    let watts: Vec<f64> = there().filter_map(|node| node.power_w).collect();
    let hottest = there()
        .filter_map(|node| Some((node.temp_c_max?, node.node.as_str())))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let lost: Vec<&str> =
        nodes.iter().filter(|n| n.state == "lost").map(|n| n.node.as_str()).collect();
    let count = there().count();
    let level = there().map(|node| node.level).sum::<f64>() / count.max(1) as f64;
    let gflops: f64 = there().map(|node| node.gflops).sum();
    json!({
        "rack": rack,
        "nodes": nodes.len(),
        "lost": lost,
        "kw": (!watts.is_empty()).then(|| watts.iter().sum::<f64>() / 1e3),
        "power_of": watts.len(),
        "worst_c": hottest.map(|(temp_c, _)| temp_c),
        "worst_node": hottest.map(|(_, node)| node),
        "level": (count > 0).then_some(level),
        "gflops": gflops,
        "heating": there().map(|node| u64::from(node.devices_heating)).sum::<u64>(),
        "errors": nodes.iter().map(|node| node.errors).sum::<u64>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, power_w: Option<f64>, temp_c_max: Option<f64>) -> v1::NodeStatus {
        v1::NodeStatus {
            node: name.to_owned(),
            rack: "r1".to_owned(),
            state: "active".to_owned(),
            level: 0.5,
            power_w,
            temp_c_max,
            ..v1::NodeStatus::default()
        }
    }

    #[test]
    fn a_rack_sums_what_is_measured_and_names_its_hottest_and_its_lost() {
        let mut lost = node("n3", Some(9e9), Some(999.0));
        lost.state = "lost".to_owned();
        let run = v1::RunStatus {
            nodes: vec![node("n1", Some(1500.0), Some(60.0)), node("n2", None, Some(71.0)), lost],
            ..v1::RunStatus::default()
        };
        let floor = Floor { run: Some(run), active: true, ..Floor::default() };
        let document = document(&floor, &Judged::default());
        let rack = &document["racks"][0];
        assert_eq!(rack["rack"], "r1");
        assert_eq!((&rack["kw"], &rack["power_of"]), (&json!(1.5), &json!(1)));
        assert_eq!((&rack["worst_c"], &rack["worst_node"]), (&json!(71.0), &json!("n2")));
        assert_eq!(rack["lost"], json!(["n3"]));
        assert_eq!(rack["level"], json!(0.5));
        assert_eq!(document["findings"], Value::Null, "nobody judged this run yet");
    }

    #[test]
    fn what_nobody_measures_is_null() {
        let mut nowhere = node("n1", None, None);
        nowhere.rack.clear();
        let run = v1::RunStatus { nodes: vec![nowhere], ..Default::default() };
        let floor = Floor { run: Some(run), active: true, ..Floor::default() };
        let document = document(&floor, &Judged::default());
        let rack = &document["racks"][0];
        assert_eq!(rack["rack"], NO_RACK);
        assert_eq!((&rack["kw"], &rack["worst_c"]), (&Value::Null, &Value::Null));
    }
}
