//! What every kind of fault does to its nodes, at its default size, against the same hall
//! without it: `cargo run -p sim --example catalogue`.

use std::collections::{BTreeMap, BTreeSet};

use model::load::Kernel;
use model::plan::{Limits, Phase, PhaseKind, PhaseLoad, Plan, Selector};
use model::sample_columns::Metric;
use model::site::Site;
use sim::fault::{Fault, FaultKind, SeenIn, TargetSort};
use sim::hall::HallShape;
use sim::physics::Physics;
use sim::world::{Sampling, World};

const METRICS: [Metric; 5] =
    [Metric::PowerW, Metric::ClockMhz, Metric::Perf, Metric::TempC, Metric::PowerLimitW];

/// Means of the run's last rows, of the given devices.
fn means(world: &World, of: impl Fn(&str, u32) -> bool) -> [f64; METRICS.len()] {
    let mut sums = BTreeMap::new();
    let last = world.samples(Sampling::per_phase(12)).last();
    for chunk in last.iter() {
        for row in chunk.rows().saturating_sub(2 * world.devices())..chunk.rows() {
            for metric in METRICS.iter().filter(|_| of(chunk.node.get(row), chunk.device[row])) {
                if let Some(value) = chunk.real(*metric, row) {
                    let sum = sums.entry(*metric).or_insert((0.0, 0.0));
                    *sum = (sum.0 + value, sum.1 + 1.0);
                }
            }
        }
    }
    METRICS.map(|metric| sums.get(&metric).map_or(f64::NAN, |(sum, count)| sum / count))
}

fn target(site: &Site, sort: TargetSort) -> Option<String> {
    match sort {
        TargetSort::Domain(kinds) => {
            let of = |kind| site.of_kind(kind).nth(1).or(site.of_kind(kind).next());
            // The PDU where a PDU is possible, not the generator above everything.
            let pdu = model::site::DomainKind::Pdu;
            let preferred = kinds.contains(&pdu).then(|| of(pdu)).flatten();
            preferred
                .or_else(|| kinds.iter().find_map(|&kind| of(kind)))
                .map(|ix| site.domain(ix).id.clone())
        }
        TargetSort::Node | TargetSort::NodeOrDevice => Some(site.nodes()[4].name.clone()),
        TargetSort::Device => Some(format!("{}/2", site.nodes()[4].name)),
        TargetSort::Fleet => Some("fleet".to_owned()),
        TargetSort::Link | TargetSort::Cut | TargetSort::Pair(_) | TargetSort::Nic => None,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut shape = HallShape::hall_256();
    shape.nodes_per_psu_group = Some(4);
    let site = shape.site().map_err(|problems| format!("{problems:?}"))?;
    let soak = Phase {
        name: "soak".to_owned(),
        kind: PhaseKind::Hold,
        seconds: 2_400.0,
        on: Selector::All,
        load: Some(PhaseLoad::of(Kernel::Mix, 100.0)),
        traffic: None,
        act: None,
    };
    let plan = Plan {
        name: "soak".to_owned(),
        requires: BTreeSet::new(),
        seed: 1,
        limits: Limits::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: vec![soak],
    };
    println!(
        "{:<36} {:>14} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "fault", "finding", "power", "clock", "perf", "temp", "limit"
    );
    for entry in FaultKind::catalogue().iter().filter(|entry| entry.seen_in != SeenIn::Pairs) {
        let Some(target) = target(&site, entry.sort) else { continue };
        let fault: Fault = format!("{}:{target}", entry.word).parse()?;
        let faulty = World::new(&site, &plan, std::slice::from_ref(&fault), 3, Physics::default())?;
        let healthy = World::new(&site, &plan, &[], 3, Physics::default())?;
        let truth = &faulty.truth()[0];
        let of = |node: &str, device: u32| match entry.sort {
            TargetSort::Device => truth.suspect.id == format!("{node}/{device}"),
            _ => truth.nodes.iter().any(|name| name == node),
        };
        let (before, after) = (means(&healthy, of), means(&faulty, of));
        let share = |at: usize| format!("{:+.1}%", (after[at] / before[at] - 1.0) * 100.0);
        println!(
            "{:<36} {:>14} {:>7} {:>7} {:>7} {:>6.1}K {:>7}",
            fault.to_string(),
            truth.kind.word(),
            share(0),
            share(1),
            share(2),
            after[3] - before[3],
            share(4)
        );
    }
    Ok(())
}
