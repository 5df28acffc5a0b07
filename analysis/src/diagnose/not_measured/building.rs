//! What only the building knows, and what this version never records.

use std::collections::BTreeMap;

use model::DeviceId;
use model::facts::MeterGap;
use model::plan::Requirement;
use model::record::EventKind;

use super::{Concern, Gap};
use crate::case::{Case, list, plural};

/// What only the building knows.
pub(super) fn building(case: &Case) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if case.seen.meters.is_empty() {
        let concerns = Concern::Requiring(Requirement::Meters);
        let nodes = match case.seen.node_meters.is_empty() {
            true => ", and no node tells its input",
            false => "",
        };
        gaps.push(Gap::new(
            "meters",
            format!("no meter of the building was read{nodes}"),
            concerns,
        ));
    }
    if case.plan.least_rating_percent.is_some() {
        let why = "the plan asks for a share of each domain's rating; no rating was judged";
        gaps.push(Gap::new("rating_percent", why, Concern::Everybody));
    }
    if case.site.is_none() {
        let why = "no site says what nodes share: no such part can be blamed";
        gaps.push(Gap::new("domains", why, Concern::Nobody));
    }
    gaps
}

/// What meters said that is no value, or of something that the site does not know.
pub(super) fn meters(case: &Case) -> Vec<Gap> {
    let seen = &case.seen.meters;
    let refused = seen.refused().iter().map(|(why, count)| {
        let names = list(seen.refused_where(*why));
        let text = format!("{}, {}: {names}", plural(*count, "reading"), why.words());
        Gap::new("meter_readings", text, Concern::Nobody)
    });
    let mut gaps: Vec<Gap> = refused.collect();
    gaps.extend(silent(case));
    let Some(site) = case.site else {
        if !seen.is_empty() {
            let why = "no site says what their domains are and what hangs on them";
            gaps.push(Gap::new("meter_domains", why, Concern::Nobody));
        }
        return gaps;
    };
    let known = |id: &str| site.domain_ix(id).is_some() || site.node_ix(id).is_some();
    let unknown: Vec<_> = seen.domains().map(|(id, _)| id).filter(|id| !known(id)).collect();
    if !unknown.is_empty() {
        let all = unknown.len() == seen.domains().count();
        let why = format!("not in the site, and not used: {}", list(unknown));
        // Meters of another building are no meters.
        let concerns = if all { Concern::Requiring(Requirement::Meters) } else { Concern::Nobody };
        gaps.push(Gap::new("meter_domains", why, concerns));
    }
    gaps
}

/// Power meters whose clocks the load could not tell.
pub(super) fn meter_clocks(case: &Case) -> Option<Gap> {
    let (site, building) = (case.site?, case.building?);
    let unknown = building.alignments.iter().filter(|aligned| aligned.offset_s.is_none());
    let names: Vec<&str> = unknown.map(|aligned| site.domain(aligned.domain).id.as_str()).collect();
    (!names.is_empty()).then(|| {
        let why = format!(
            "no step of the load tells how far their clocks are off, and no order of events is \
             claimed from them: {}",
            list(names)
        );
        Gap::new("meter_times", why, Concern::Nobody)
    })
}

/// Meters that did not answer, and what was no reading, by source and reason.
fn silent(case: &Case) -> Vec<Gap> {
    let run_ns = case
        .facts
        .ended_unix_ns
        .map_or(i64::MAX, |end| end.saturating_sub(case.facts.started_unix_ns));
    let mut by_reason: BTreeMap<(&str, bool, &str), Vec<&MeterGap>> = BTreeMap::new();
    for gap in &case.facts.meter_gaps {
        by_reason.entry((&gap.source, gap.silent, &gap.why)).or_default().push(gap);
    }
    let told = by_reason.into_iter().map(|((source, silent, why), gaps)| {
        let lasted = |gap: &MeterGap| match gap.for_ns {
            Some(ns) => format!(" for {:.0} s", ns as f64 / 1e9),
            None => String::new(),
        };
        let places =
            gaps.iter().map(|gap| format!("{} ({}){}", gap.domain, gap.address, lasted(gap)));
        let text = format!("source {source}, {why}: {}", list(places));
        // Of a meter that was away for most of the run nothing is known that could be required.
        let most = gaps.iter().any(|gap| gap.for_ns.is_some_and(|ns| ns > run_ns / 2));
        let concerns =
            if silent && most { Concern::Requiring(Requirement::Meters) } else { Concern::Nobody };
        Gap::new("meters", text, concerns)
    });
    told.collect()
}

/// What the agents of this run had nothing to say of.
pub(super) fn never_here(case: &Case) -> Vec<Gap> {
    let mut gaps = vec![Gap::told("r_th", "no reference temperature is recorded")];
    let cells = || case.seen.telemetry.devices().flat_map(|(_, cells)| cells.values());
    if !cells().any(|cell| cell.reasons().rows > 0) {
        gaps.push(Gap::told("throttle", "clock event reasons are not recorded"));
    }
    if !cells().any(|cell| cell.ecc_uncorrected().is_some()) {
        gaps.push(Gap::told("memory_errors", "error counters are not recorded"));
    }
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
