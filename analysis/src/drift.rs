//! Drift: what a sweep measured against what its earlier clean runs did.
//!
//! Each value is held against the median of up to ten runs, beyond a floor that stands for what
//! differs from night to night. A drift is a watch; one that the run before had as well, in the
//! same direction, is confirmed. Devices of a loop that all got warmer are the loop's finding, and
//! where most of the fleet moved it is one of the fleet.

use std::collections::{BTreeMap, BTreeSet};

use model::facts::{Baseline, BaselineValue};
use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing, Suspect};
use model::report::Measured;

use crate::case::Case;
use crate::diagnose::draft;
use crate::measured::line;

/// Relative floors: performance of a device repeats within a percent from night to night, a
/// collective within a few, latencies within a quarter; power within two percent.
const PERFORMANCE: f64 = 0.03;
const COLLECTIVE: f64 = 0.05;
const LATENCY: f64 = 0.25;
const POWER: f64 = 0.03;
const R_TH: f64 = 0.10;
/// Kelvin: supplies wander by less.
const TEMPERATURE_K: f64 = 3.0;
/// Share of a loop's or the fleet's devices that must have drifted for it to be theirs.
const MOST: f64 = 0.8;
/// Fewer devices are no group.
const GROUP_LEAST: usize = 3;

/// What kind of value it is, and which way it gets worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Performance,
    Collective,
    Latency,
    Power,
    Temperature,
    ThermalResistance,
}

impl Sort {
    fn of(what: &str) -> Option<Self> {
        let begins = |start: &str| what.starts_with(start);
        Some(match what {
            // Kept by a loop or chosen by one: no property of the hardware.
            "power_target_w" | "power_settling_s" | "power_ripple_w" => return None,
            _ if begins("gflops_") || begins("bandwidth_") => Self::Performance,
            _ if begins("busbw_") => Self::Collective,
            _ if begins("rtt_") && what.contains("_p50") => Self::Latency,
            _ if begins("power_") => Self::Power,
            _ if begins("temp_") => Self::Temperature,
            _ if begins("r_th_") => Self::ThermalResistance,
            _ => return None,
        })
    }

    /// The change, relative but for temperatures, and whether it is beyond the floor.
    fn change(self, before: f64, now: f64) -> Option<(f64, bool)> {
        let relative = (before.abs() > f64::EPSILON).then(|| now / before - 1.0);
        Some(match self {
            Self::Temperature => (now - before, now - before > TEMPERATURE_K),
            Self::Performance => relative.map(|r| (r, r < -PERFORMANCE))?,
            Self::Collective => relative.map(|r| (r, r < -COLLECTIVE))?,
            Self::Latency => relative.map(|r| (r, r > LATENCY))?,
            Self::Power => relative.map(|r| (r, r.abs() > POWER))?,
            Self::ThermalResistance => relative.map(|r| (r, r > R_TH))?,
        })
    }

    fn finding(self) -> (FindingKind, Blame) {
        match self {
            Self::Performance => (FindingKind::DeviceSlow, Blame::Device),
            Self::Power => (FindingKind::PowerShort, Blame::Device),
            Self::Temperature | Self::ThermalResistance => (FindingKind::DeviceHot, Blame::Device),
            Self::Collective | Self::Latency => (FindingKind::FleetShift, Blame::None),
        }
    }
}

/// One value that has a baseline.
struct Drift<'a> {
    sort: Sort,
    before: f64,
    now: &'a Measured,
    change: f64,
    beyond: bool,
    /// The run before drifted as well, the same way.
    repeats: bool,
}

/// Everything measured, with how far it drifted.
pub(crate) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = crate::measured::measured(case);
    let Some(baseline) = &case.facts.baseline else { return lines };
    let drifted = drifts(baseline, &lines).into_iter().map(|drift| {
        let (value, unit) = match drift.sort {
            Sort::Temperature => (drift.change, "K"),
            _ => (drift.change * 100.0, "%"),
        };
        let what = format!("drift_{}", drift.now.what);
        line(&what, &drift.now.at, drift.now.phase.as_deref(), value, unit)
    });
    let drifted: Vec<Measured> = drifted.collect();
    lines.extend(drifted);
    lines
}

/// Findings on what drifted beyond its floor.
pub(crate) fn testify(case: &Case) -> Vec<Finding> {
    let Some(baseline) = &case.facts.baseline else { return Vec::new() };
    let lines = crate::measured::measured(case);
    let drifts = drifts(baseline, &lines);
    let mut findings = Vec::new();
    let mut told: BTreeSet<(Sort, String)> = BTreeSet::new();
    for sort in [Sort::Temperature, Sort::ThermalResistance, Sort::Power, Sort::Performance] {
        for group in groups(case, &drifts, sort) {
            told.extend(group.devices.iter().map(|device| (sort, device.clone())));
            findings.push(group.finding(baseline, sort, &drifts));
        }
    }
    let mut by_place: BTreeMap<(FindingKind, Suspect), Vec<&Drift>> = BTreeMap::new();
    for drift in drifts.iter().filter(|drift| drift.beyond) {
        if !told.contains(&(drift.sort, drift.now.at.id.clone())) {
            by_place.entry((drift.sort.finding().0, drift.now.at.clone())).or_default().push(drift);
        }
    }
    findings.extend(
        by_place.into_iter().map(|((_, suspect), drifts)| alone(baseline, suspect, &drifts)),
    );
    findings
}

fn drifts<'a>(baseline: &Baseline, lines: &'a [Measured]) -> Vec<Drift<'a>> {
    let key = |v: &BaselineValue| (v.what.clone(), v.kind.clone(), v.id.clone(), v.phase.clone());
    let known: BTreeMap<_, &BaselineValue> = baseline.values.iter().map(|v| (key(v), v)).collect();
    let drift = |now: &'a Measured| {
        let sort = Sort::of(&now.what)?;
        let key = (now.what.clone(), now.at.kind.clone(), now.at.id.clone(), now.phase.clone());
        let value = known.get(&key)?;
        let before = value.median_millionths as f64 / 1e6;
        let (change, beyond) = sort.change(before, now.value)?;
        let last = value.last_millionths.map(|last| last as f64 / 1e6);
        let last = last.and_then(|last| sort.change(before, last));
        let repeats = last.is_some_and(|(was, beyond)| beyond && (was < 0.0) == (change < 0.0));
        Some(Drift { sort, before, now, change, beyond, repeats })
    };
    lines.iter().filter_map(drift).collect()
}

/// Devices that share something and drifted together.
struct Group {
    suspect: Suspect,
    kind: FindingKind,
    blame: Blame,
    devices: BTreeSet<String>,
    reporting: usize,
}

fn groups(case: &Case, drifts: &[Drift], sort: Sort) -> Vec<Group> {
    let of_devices = |beyond: bool| -> BTreeSet<String> {
        let of = drifts.iter().filter(|d| d.sort == sort && (d.beyond || !beyond));
        of.filter(|d| d.now.at.kind == "device").map(|d| d.now.at.id.clone()).collect()
    };
    let (all, hit) = (of_devices(false), of_devices(true));
    let most = |hit: usize, of: usize| of >= GROUP_LEAST && hit as f64 >= MOST * of as f64;
    if most(hit.len(), all.len()) {
        let suspect = crate::measured::fleet();
        let (kind, blame) = (FindingKind::FleetShift, Blame::None);
        return vec![Group { suspect, kind, blame, devices: hit, reporting: all.len() }];
    }
    let thermal = matches!(sort, Sort::Temperature | Sort::ThermalResistance);
    let Some(site) = case.site.filter(|_| thermal) else { return Vec::new() };
    let node_of = |device: &str| device.rsplit_once('/').map(|(node, _)| node.to_owned());
    let loops =
        site.domain_ixs().filter(|at| matches!(site.domain(*at).kind.word(), "loop" | "cdu"));
    let group = |at| {
        let nodes: BTreeSet<&str> =
            site.members(at).iter().map(|node| site.node(*node).name.as_str()).collect();
        let on_it =
            |device: &&String| node_of(device).is_some_and(|node| nodes.contains(node.as_str()));
        let devices: BTreeSet<String> = hit.iter().filter(on_it).cloned().collect();
        let reporting = all.iter().filter(on_it).count();
        let (kind, blame) = (FindingKind::WeakCooling, Blame::Facility);
        let domain = site.domain(at);
        let suspect = Suspect::new(domain.kind.word(), domain.id.clone());
        most(devices.len(), reporting).then_some(Group { suspect, kind, blame, devices, reporting })
    };
    loops.filter_map(group).collect()
}

impl Group {
    fn finding(&self, baseline: &Baseline, sort: Sort, drifts: &[Drift]) -> Finding {
        let of = drifts.iter().filter(|d| d.beyond && d.sort == sort);
        let own: Vec<&Drift> = of.filter(|d| self.devices.contains(&d.now.at.id)).collect();
        let mut finding = draft(self.kind, self.blame, standing(&own), self.suspect.clone());
        let (hit, all) = (self.devices.len() as u32, self.reporting as u32);
        finding.members = Some(Members { hit, reporting: all, total: all });
        finding.evidence = vec![format!("{hit} of its {all} devices drifted together")];
        describe(&mut finding, baseline, &own);
        finding
    }
}

fn alone(baseline: &Baseline, suspect: Suspect, drifts: &[&Drift]) -> Finding {
    let (kind, blame) =
        drifts.first().map_or((FindingKind::FleetShift, Blame::None), |d| d.sort.finding());
    let mut finding = draft(kind, blame, standing(drifts), suspect);
    describe(&mut finding, baseline, drifts);
    finding
}

/// Confirmed where any of it repeats.
fn standing(drifts: &[&Drift]) -> (Standing, Severity) {
    if drifts.iter().any(|drift| drift.repeats) {
        (Standing::Confirmed, Severity::Minor)
    } else {
        (Standing::Watch, Severity::Minor)
    }
}

fn describe(finding: &mut Finding, baseline: &Baseline, drifts: &[&Drift]) {
    /// Lines of one finding; the rest is counted.
    const LINES_MAX: usize = 4;
    let Baseline { sweep, runs, .. } = baseline;
    let worst = drifts.iter().max_by(|a, b| a.change.abs().total_cmp(&b.change.abs()));
    finding.effect = worst.map(|drift| Effect {
        metric: drift.now.what.clone(),
        relative: (drift.sort != Sort::Temperature).then_some(drift.change),
        absolute: Some(drift.now.value - drift.before),
        unit: drift.now.unit.clone(),
    });
    finding
        .evidence
        .push(format!("sweep {sweep}, against the median of its last {runs} clean runs"));
    for drift in drifts.iter().take(LINES_MAX) {
        finding.evidence.push(drift.words());
    }
    if drifts.len() > LINES_MAX {
        finding.evidence.push(format!("and {} more", drifts.len() - LINES_MAX));
    }
    finding.action = format!(
        "compare with the runs before it: `loadbank sweep list`, `loadbank compare`; look what changed at {}",
        finding.suspect.id
    );
    finding.next_experiment = Some(format!("run the sweep again: `loadbank sweep run {sweep}`"));
}

impl Drift<'_> {
    fn words(&self) -> String {
        let Measured { what, at, value, unit, phase, .. } = self.now;
        let phase = phase.as_ref().map_or(String::new(), |phase| format!(" in {phase}"));
        let change = match self.sort {
            Sort::Temperature => format!("{:+.1} K", self.change),
            _ => format!("{:+.1} %", self.change * 100.0),
        };
        let again = if self.repeats { ", as in the run before" } else { "" };
        format!(
            "{what} of {}{phase}: {:.4} {unit} before, {value:.4} {unit} now ({change}{again})",
            at.id, self.before
        )
    }
}
