//! What was not measured, each with its reason, and which requirement it leaves unmet.
//!
//! One list serves twice: all of it stands in the report, and what a requirement of the
//! plan needed makes the verdict INCONCLUSIVE. So nothing can be missing quietly.

use std::collections::{BTreeMap, BTreeSet};

use model::plan::{PhaseKind, Requirement, Traffic};
use model::record::EventKind;
use model::report::NotMeasured;
use model::{Absence, DeviceId, NodeName};

use crate::case::{Case, list};
use crate::digest::device::DevicePhase;
use crate::digest::fabric::LatencyEvidence;
use crate::digest::series::Series;

/// Medians of a run that lost more than this share of its records are not believed: the
/// lost ones may be the slow ones.
const LOST_SHARE_LIMIT: f64 = 0.01;
/// A plan that asks for as long as its phases last gets a little less: the first and last
/// window of a phase are cut by the skew of the start.
const LOAD_SECONDS_TOLERANCE: f64 = 0.01;

/// Something without a value.
pub(crate) struct Gap {
    pub(crate) line: NotMeasured,
    pub(crate) concerns: Concern,
}

/// Whom a gap concerns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concern {
    /// A run with this gap shows nothing, whatever the plan requires.
    Everybody,
    /// Plans that require this.
    Requiring(Requirement),
    /// Nobody yet: told, so that nobody believes it was looked at.
    Nobody,
}

impl Gap {
    fn new(what: &str, why: impl Into<String>, concerns: Concern) -> Self {
        Self { line: NotMeasured { what: what.to_owned(), why: why.into() }, concerns }
    }

    /// Whether it keeps this plan from READY.
    pub(crate) fn matters(&self, case: &Case) -> bool {
        match self.concerns {
            Concern::Everybody => true,
            Concern::Requiring(requirement) => case.requires(requirement),
            Concern::Nobody => false,
        }
    }
}

/// Every gap of a case, in the order of their names.
pub(crate) fn gaps(case: &Case) -> Vec<Gap> {
    let mut gaps = attendance(case);
    gaps.extend(compute(case));
    gaps.extend(rates(case));
    gaps.extend(load_seconds(case));
    gaps.extend(lost_records(case));
    gaps.extend(sensors(case));
    gaps.extend(data_plane(case));
    gaps.extend(collectives(case));
    gaps.extend(building(case));
    gaps.extend(never_here(case));
    gaps.sort_by(|a, b| a.line.cmp(&b.line));
    gaps
}

fn attendance(case: &Case) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if case.facts.nodes.is_empty() {
        gaps.push(Gap::new("nodes", "no node was planned", Concern::Everybody));
    }
    let absent: Vec<_> =
        case.facts.nodes.iter().filter(|(_, f)| !f.joined).map(|(n, _)| n).collect();
    if !absent.is_empty() {
        let why = format!("never joined the run: {}", list(absent));
        gaps.push(Gap::new("nodes", why, Concern::Everybody));
    }
    let done = &case.facts.phases_completed;
    let open = case.plan.phases.iter().filter(|phase| !done.contains(&phase.name));
    let open: Vec<&str> = open.map(|phase| phase.name.as_str()).collect();
    if !open.is_empty() {
        let why = format!("did not run to their end: {}", list(open));
        gaps.push(Gap::new("phases", why, Concern::Everybody));
    }
    gaps
}

fn compute(case: &Case) -> Vec<Gap> {
    let concerns = Concern::Requiring(Requirement::Compute);
    let (mut idle, mut unchecked) = (Vec::new(), Vec::new());
    for device in case.devices() {
        let work = case.device(&device).into_iter().flat_map(|phases| phases.values());
        let (windows, blocks, verified) = work.flat_map(|phase| phase.work.values()).fold(
            (0, 0, 0),
            |(windows, blocks, verified): (u64, u64, u64), w| {
                let blocks = blocks.saturating_add(w.blocks);
                (windows + w.windows, blocks, verified.saturating_add(w.verified))
            },
        );
        if windows == 0 || blocks == 0 {
            idle.push(device);
        } else if verified < blocks {
            unchecked.push(format!("{device} ({} of {blocks} blocks)", blocks - verified));
        }
    }
    let mut gaps = Vec::new();
    if !idle.is_empty() || case.devices().is_empty() {
        let why = match (idle.is_empty(), case.plan.heating_seconds() > 0.0) {
            (_, false) => "the plan has no phase that loads a device".to_owned(),
            (true, true) => "no device joined".to_owned(),
            (false, true) => format!("no work arrived from {}", list(idle)),
        };
        gaps.push(Gap::new("compute", why, concerns));
    }
    if !unchecked.is_empty() {
        let why = format!("results never compared: {}", list(unchecked));
        gaps.push(Gap::new("compute_verified", why, concerns));
    }
    gaps
}

/// Rates come from windows at full level in hold phases; a device without any has no rate.
fn rates(case: &Case) -> Option<Gap> {
    let rated = |device: &DeviceId| {
        let phases = case.device(device).into_iter().flat_map(|phases| phases.values());
        phases.flat_map(|phase| phase.work.values()).any(|work| work.gflops.count() > 0)
    };
    let without: Vec<DeviceId> = case.devices().into_iter().filter(|d| !rated(d)).collect();
    (!without.is_empty()).then(|| {
        let why = format!("no window at full level in a hold phase from {}", list(without));
        Gap::new("gflops", why, Concern::Nobody)
    })
}

fn load_seconds(case: &Case) -> Option<Gap> {
    let least = case.plan.least_seconds * (1.0 - LOAD_SECONDS_TOLERANCE);
    let short: Vec<String> = case
        .devices()
        .into_iter()
        .map(|device| (case.loaded_seconds(&device), device))
        .filter(|(seconds, _)| *seconds < least)
        .map(|(seconds, device)| format!("{device} ({seconds:.1} s)"))
        .collect();
    (!short.is_empty()).then(|| {
        let why =
            format!("under load for less than {} s: {}", case.plan.least_seconds, list(short));
        Gap::new("load_seconds", why, Concern::Everybody)
    })
}

fn lost_records(case: &Case) -> Option<Gap> {
    let (mut here, mut gone) = (0.0, 0.0);
    for (node, seen) in &case.seen.nodes {
        let facts = case.facts.nodes.get(node);
        for (instance, stream) in &seen.streams {
            let made = facts.and_then(|facts| facts.batches_made.get(instance).copied());
            let each = stream.records as f64 / (stream.seen.len().max(1)) as f64;
            here += stream.records as f64;
            // Nobody knows what was in a missing batch: as much as in the usual one.
            gone += stream.records_given_up as f64 + each * stream.missing(made).len() as f64;
        }
    }
    let share = if gone > 0.0 { gone / (here + gone) } else { 0.0 };
    (share > LOST_SHARE_LIMIT).then(|| {
        let why = format!(
            "{:.1} % of them were lost; results are believed up to {:.0} %",
            share * 100.0,
            LOST_SHARE_LIMIT * 100.0
        );
        Gap::new("records", why, Concern::Everybody)
    })
}

fn sensors(case: &Case) -> Vec<Gap> {
    type Pick = fn(&DevicePhase) -> &Series;
    let all: [(&str, Pick, Concern); 4] = [
        ("power_w", |p| &p.sensors.power_w, Concern::Requiring(Requirement::Power)),
        ("temp_c", |p| &p.sensors.temp_c, Concern::Requiring(Requirement::Temperature)),
        ("clock_mhz", |p| &p.sensors.clock_mhz, Concern::Nobody),
        ("busy", |p| &p.sensors.busy, Concern::Nobody),
    ];
    all.into_iter().flat_map(|(what, pick, concerns)| sensor(case, what, pick, concerns)).collect()
}

/// One line for each reason why devices have no value of a sensor under load.
fn sensor(
    case: &Case,
    what: &str,
    pick: fn(&DevicePhase) -> &Series,
    concerns: Concern,
) -> Vec<Gap> {
    let devices = case.devices();
    let mut reasons: BTreeMap<String, Vec<DeviceId>> = BTreeMap::new();
    for device in &devices {
        let mut absences: BTreeSet<Absence> = BTreeSet::new();
        let (mut under_load, mut ever) = (false, false);
        for (phase, seen) in case.device(device).into_iter().flatten() {
            let series = pick(seen);
            let some = series.values.count() > 0;
            ever |= some;
            under_load |= some && (case.heats(phase) || case.plan.heating_seconds() == 0.0);
            absences.extend(series.absences.keys());
        }
        if under_load {
            continue;
        }
        // A first rate without a value is no reason when there is a better one.
        if absences.len() > 1 {
            absences.remove(&Absence::NotYet);
        }
        let why = match (ever, absences.is_empty()) {
            (true, _) => "no value while under load".to_owned(),
            (false, true) => "no sample arrived".to_owned(),
            (false, false) => absences.iter().map(|why| why.words()).collect::<Vec<_>>().join("; "),
        };
        reasons.entry(why).or_default().push(device.clone());
    }
    let gap = |(why, without): (String, Vec<DeviceId>)| {
        let who = if without.len() == devices.len() {
            "every device".to_owned()
        } else {
            format!("{} of {} devices: {}", without.len(), devices.len(), list(&without))
        };
        Gap::new(what, format!("{why} ({who})"), concerns)
    };
    reasons.into_iter().map(gap).collect()
}

fn data_plane(case: &Case) -> Vec<Gap> {
    let concerns = Concern::Requiring(Requirement::DataPlane);
    let nodes: Vec<&NodeName> = case.joined().map(|(node, _)| node).collect();
    if nodes.len() < 2 {
        return vec![Gap::new("data_plane", "one node has no peer to talk to", concerns)];
    }
    let mut gaps = Vec::new();
    let mut heard: BTreeSet<&NodeName> = BTreeSet::new();
    for (pair, _, _) in case.round_trips().filter(|(_, _, seen)| seen.histogram.count() > 0) {
        heard.extend([&pair.from, &pair.to]);
    }
    for ((pair, _), _) in case.seen.transfers.iter().filter(|(_, t)| t.gb_per_s.count() > 0) {
        heard.extend([&pair.from, &pair.to]);
    }
    let silent: Vec<_> = nodes.iter().filter(|node| !heard.contains(*node)).collect();
    if !silent.is_empty() {
        let why = format!("no round trip and no transfer with {}", list(silent));
        gaps.push(Gap::new("data_plane", why, concerns));
    }
    for (loaded, what) in [(false, "rtt_idle"), (true, "rtt_loaded")] {
        let answered = |seen: &LatencyEvidence| seen.histogram.count() > 0;
        if !case.round_trips().any(|(_, state, seen)| state == loaded && answered(seen)) {
            gaps.push(Gap::new(what, "no probe was answered in this state", Concern::Nobody));
        }
    }
    gaps.extend(pairs(case, &nodes));
    gaps
}

/// Pairs that a pairs phase should have met. One direction is enough for the requirement.
fn pairs(case: &Case, nodes: &[&NodeName]) -> Vec<Gap> {
    if !case.plan.phases.iter().any(|phase| phase.kind == PhaseKind::Pairs) {
        return vec![Gap::new("bandwidth_pair", "the plan has no pairs phase", Concern::Nobody)];
    }
    let met: BTreeSet<(&NodeName, &NodeName)> = case
        .seen
        .transfers
        .iter()
        .filter(|(_, seen)| seen.gb_per_s.count() > 0)
        .map(|((pair, _), _)| (&pair.from, &pair.to))
        .collect();
    let (mut never, mut one_way) = (Vec::new(), Vec::new());
    for (index, a) in nodes.iter().enumerate() {
        for b in &nodes[index + 1..] {
            match (met.contains(&(*a, *b)), met.contains(&(*b, *a))) {
                (true, true) => {}
                (false, false) => never.push(format!("{a}-{b}")),
                (true, false) => one_way.push(format!("{b}>{a}")),
                (false, true) => one_way.push(format!("{a}>{b}")),
            }
        }
    }
    let mut gaps = Vec::new();
    if !never.is_empty() {
        let why = format!("no transfer between {}", list(never));
        gaps.push(Gap::new("bandwidth_pair", why, Concern::Requiring(Requirement::DataPlane)));
    }
    if !one_way.is_empty() {
        let why = format!("only the other direction was measured of {}", list(one_way));
        gaps.push(Gap::new("bandwidth_pair", why, Concern::Nobody));
    }
    gaps
}

fn collectives(case: &Case) -> Vec<Gap> {
    let concerns = Concern::Requiring(Requirement::Collective);
    let planned: Vec<&str> = case
        .plan
        .phases
        .iter()
        .filter(|phase| matches!(phase.traffic, Some(Traffic::Collective { .. })))
        .map(|phase| phase.name.as_str())
        .collect();
    if planned.is_empty() {
        return vec![Gap::new("collective", "the plan has no collective", concerns)];
    }
    let whole = |phase: &str| {
        case.seen.collectives.iter().any(|(key, ranks)| {
            let done: BTreeSet<u32> = ranks
                .iter()
                .filter(|(_, seen)| seen.operations > 0)
                .map(|((rank, _), _)| *rank)
                .collect();
            key.phase == phase
                && key.world_size > 1
                && done.len() as u64 == u64::from(key.world_size)
        })
    };
    let open: Vec<&str> = planned.into_iter().filter(|phase| !whole(phase)).collect();
    if open.is_empty() {
        return Vec::new();
    }
    let why = format!("not every rank reported an operation in {}", list(open));
    vec![Gap::new("collective", why, concerns)]
}

/// What only the building knows.
fn building(case: &Case) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if !case.seen.meters.values().any(|meter| meter.values.count() > 0) {
        let concerns = Concern::Requiring(Requirement::Meters);
        gaps.push(Gap::new("meters", "no meter of the building was read", concerns));
    }
    if case.plan.least_rating_percent.is_some() {
        let why = "the plan asks for a share of each domain's rating; no rating was judged";
        gaps.push(Gap::new("rating_percent", why, Concern::Everybody));
    }
    let why = "findings are not yet attributed to power, cooling or network domains";
    gaps.push(Gap::new("domains", why, Concern::Nobody));
    gaps
}

/// What no agent of this version records.
fn never_here(case: &Case) -> Vec<Gap> {
    let mut gaps = vec![
        Gap::new("throttle", "clock event reasons are not recorded", Concern::Nobody),
        Gap::new("memory_errors", "error counters are not recorded", Concern::Nobody),
        Gap::new("r_th", "no reference temperature is recorded", Concern::Nobody),
    ];
    let starts = case.seen.nodes.values().flat_map(|node| node.devices.values());
    if starts.flat_map(|phases| phases.values()).all(|phase| phase.starts.is_empty()) {
        gaps.push(Gap::new("start_skew", "no start was recorded", Concern::Nobody));
    }
    for (node, key, _) in case.events(EventKind::SensorAbsent) {
        if let Some(device) = key.device {
            let why = format!("a sensor of {node}/{device} is absent; its samples say which");
            // Only devices that sent no sample need this: the others' samples say it better.
            let id = DeviceId { node: node.clone(), index: device };
            if case.device(&id).is_none() {
                gaps.push(Gap::new("sensors", why, Concern::Nobody));
            }
        }
    }
    gaps
}
