//! From cells to residuals.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use model::Metric;
use model::finding::Suspect;
use model::plan::Plan;
use model::site::Site;

use super::load::{Phases, phases};
use super::reference::Reference;
use super::{CellResidual, Panel, PanelDevice, PanelNode, Signal, Values};
use crate::digest::telemetry::{Cell, CellKey, DeviceKey, Telemetry};
use crate::middle::{median, sigma};

/// Nodes that a block needs for its rows to be compared with each other alone.
const BLOCK_NODES_LEAST: usize = 4;
/// Devices of one model in one slot that are enough to be compared among themselves.
const SLOT_DEVICES_LEAST: usize = 8;
/// Software and hardware thermal slowdown (nvml.h: 0x20 and 0x40).
const THERMAL_MASK: u64 = 0x60;
/// External power brake (nvml.h: 0x80).
const BRAKE_MASK: u64 = 0x80;

/// Who is compared with whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cohort {
    model: String,
    slot: Option<u32>,
    phase: String,
    /// Empty: the whole phase.
    block: String,
}

pub(super) fn build(plan: &Plan, site: Option<&Site>, telemetry: &Telemetry) -> Panel {
    let mut panel = Panel { nodes: nodes(site, telemetry), ..Panel::default() };
    panel.strangers = match site {
        Some(_) => {
            panel.nodes.iter().filter(|n| n.site.is_none()).map(|n| n.name.clone()).collect()
        }
        None => Vec::new(),
    };
    let phases = phases(plan, telemetry);
    panel.reference = reference(telemetry, &phases);
    let slots_hold = slots_hold(telemetry);
    for (key, cells) in located(telemetry) {
        let device = device(&mut panel, site, key, &cells, &phases, slots_hold);
        if !device.cells.is_empty() {
            if let Some(node) = device.node {
                panel.nodes[node].devices.push(panel.devices.len());
            }
            panel.devices.push(device);
        }
    }
    panel.loaded.clone_from(&phases.loaded);
    let blocks = shared_blocks(&panel);
    compare_cells(&mut panel, &blocks);
    compare_extremes(&mut panel);
    spread(&mut panel);
    super::node::fold(&mut panel);
    panel
}

/// What each node showed in each of these phases: the middle of its devices, the mean of
/// shares of time. By phase, then by node.
pub(crate) fn in_phases(
    plan: &Plan,
    telemetry: &Telemetry,
    reference: Option<Reference>,
    wanted: &BTreeSet<&str>,
) -> BTreeMap<String, BTreeMap<String, Values>> {
    let phases = phases(plan, telemetry);
    let mut pools: BTreeMap<(&str, &str), Vec<Values>> = BTreeMap::new();
    let devices = located(telemetry);
    for (key, cells) in devices.iter().filter(|(key, _)| !key.node.is_empty()) {
        let idle = idle_point(cells, &phases);
        for (cell_key, cell) in cells.iter().filter(|(k, _)| wanted.contains(k.phase.as_str())) {
            let pool = pools.entry((&cell_key.phase, &key.node)).or_default();
            pool.push(values(cell, reference, idle));
        }
    }
    let mut found: BTreeMap<String, BTreeMap<String, Values>> = BTreeMap::new();
    for ((phase, node), devices) in pools {
        let mut middles = Values::default();
        for signal in Signal::ALL {
            let i = signal.index();
            let of: Vec<f64> = devices.iter().filter_map(|values| values[i]).collect();
            middles[i] = match signal.is_share() && !of.is_empty() {
                true => Some(of.iter().sum::<f64>() / of.len() as f64),
                false => median(&of),
            };
        }
        found.entry(phase.to_owned()).or_default().insert(node.to_owned(), middles);
    }
    found
}

fn nodes(site: Option<&Site>, telemetry: &Telemetry) -> Vec<PanelNode> {
    let mut names: BTreeSet<&str> = telemetry.devices().map(|(key, _)| key.node.as_str()).collect();
    names.remove("");
    if let Some(site) = site {
        names.extend(site.nodes().iter().map(|node| node.name.as_str()));
    }
    let node = |name: &str| {
        let ix = site.and_then(|site| site.node_ix(name));
        let model = site.zip(ix).and_then(|(site, ix)| site.node(ix).device_model.clone());
        PanelNode::new(name, ix, model.unwrap_or_default())
    };
    names.into_iter().map(node).collect()
}

/// A device and its cells.
pub(crate) type Located<'a> = (&'a DeviceKey, Cow<'a, BTreeMap<CellKey, Cell>>);

/// Every device once: rows without a location join the device of their UUID where other rows
/// say where it is.
pub(crate) fn located(telemetry: &Telemetry) -> Vec<Located<'_>> {
    let places =
        telemetry.devices().filter(|(key, _)| !key.node.is_empty() && !key.uuid.is_empty());
    let places: BTreeMap<&str, &DeviceKey> =
        places.map(|(key, _)| (key.uuid.as_str(), key)).collect();
    let mut devices: BTreeMap<&DeviceKey, Cow<BTreeMap<CellKey, Cell>>> = BTreeMap::new();
    for (key, cells) in telemetry.devices() {
        let place = Some(key).filter(|key| !key.node.is_empty());
        let key = place.or_else(|| places.get(key.uuid.as_str()).copied()).unwrap_or(key);
        match devices.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Cow::Borrowed(cells));
            }
            Entry::Occupied(mut entry) => {
                for (at, cell) in cells {
                    entry.get_mut().to_mut().entry(at.clone()).or_default().merge(cell);
                }
            }
        }
    }
    devices.into_iter().collect()
}

/// Whether an index tells devices of one node apart: some profilers say 0 for all of them.
pub(crate) fn slots_hold(telemetry: &Telemetry) -> bool {
    let mut seen: BTreeMap<(&str, u32), &str> = BTreeMap::new();
    telemetry
        .devices()
        .filter(|(key, _)| !key.node.is_empty())
        .all(|(key, _)| *seen.entry((&key.node, key.device)).or_insert(&key.uuid) == key.uuid)
}

/// The best reference that most devices have.
fn reference(telemetry: &Telemetry, phases: &Phases) -> Option<Reference> {
    let (mut coolant, mut air, mut devices) = (0, 0, 0);
    for (_, cells) in telemetry.devices() {
        let has = |metric| cells.values().any(|cell| cell.count(metric) > 0);
        devices += 1;
        coolant += usize::from(has(Metric::CoolantSupplyC));
        air += usize::from(has(Metric::InletAirC));
    }
    match () {
        () if 2 * coolant > devices => Some(Reference::CoolantSupply),
        () if !phases.idle.is_empty() => Some(Reference::Idle),
        () if 2 * air > devices => Some(Reference::InletAir),
        () => None,
    }
}

fn device(
    panel: &mut Panel,
    site: Option<&Site>,
    key: &DeviceKey,
    cells: &BTreeMap<CellKey, Cell>,
    phases: &Phases,
    slots_hold: bool,
) -> PanelDevice {
    let node = panel.nodes.binary_search_by(|node| node.name.as_str().cmp(&key.node)).ok();
    let known = site.and_then(|site| site.node_named(&key.node));
    let idle = idle_point(cells, phases);
    let loaded = cells.iter().filter(|(cell, _)| phases.loaded.contains(&cell.phase));
    let residual = |(key, cell): (&CellKey, &Cell)| CellResidual {
        phase: key.phase.clone(),
        block: key.block.clone(),
        span_ns: cell.span_ns().unwrap_or_default(),
        values: values(cell, panel.reference, idle),
        residuals: Values::default(),
    };
    let cell_residuals: Vec<CellResidual> = loaded.clone().map(residual).collect();
    let ranges = |metric| -> Vec<(f64, f64)> {
        loaded.clone().filter_map(|(_, cell)| cell.range(metric)).collect()
    };
    let least = |metric| ranges(metric).into_iter().map(|range| range.0).reduce(f64::min);
    let most = |metric| ranges(metric).into_iter().map(|range| range.1).reduce(f64::max);
    let clock_min = least(Metric::ClockMinMhz);
    let temp_max = most(Metric::TempMaxC).or_else(|| most(Metric::TempC));
    PanelDevice {
        node,
        node_name: key.node.clone(),
        suspect: suspect(key, slots_hold),
        uuid: key.uuid.clone(),
        model: known.and_then(|node| node.device_model.clone()).unwrap_or_default(),
        slot: slots_hold.then_some(key.device),
        values: Values::default(),
        residuals: Values::default(),
        sigmas: Values::default(),
        cohort: 0,
        clock_min: clock_min.map(|clock| (clock, 1.0)),
        temp_max: temp_max.map(|temp| (temp, 0.0)),
        cells: cell_residuals,
    }
}

/// `node/index`; by its UUID where the index says nothing, alone where the place is unknown.
pub(crate) fn suspect(key: &DeviceKey, slots_hold: bool) -> Suspect {
    let id = match (key.node.as_str(), key.uuid.as_str()) {
        ("", "") => format!("unknown/{}", key.device),
        ("", uuid) => uuid.to_owned(),
        (node, uuid) if !slots_hold && !uuid.is_empty() => format!("{node}/{uuid}"),
        (node, _) => format!("{node}/{}", key.device),
    };
    Suspect::new("device", id)
}

fn idle_point(cells: &BTreeMap<CellKey, Cell>, phases: &Phases) -> Option<(f64, f64)> {
    let idle = |metric| {
        let cells = cells.iter().filter(|(key, _)| phases.idle.contains(&key.phase));
        median(&cells.filter_map(|(_, cell)| cell.median(metric)).collect::<Vec<_>>())
    };
    idle(Metric::TempC).zip(idle(Metric::PowerW))
}

fn values(cell: &Cell, reference: Option<Reference>, idle: Option<(f64, f64)>) -> Values {
    let mut values = Values::default();
    for signal in Signal::ALL {
        values[signal.index()] = match signal {
            Signal::Temp => cell.median(Metric::TempC),
            Signal::RTh => reference.and_then(|reference| reference.r_th(cell, idle)),
            Signal::Supply => {
                cell.median(Metric::CoolantSupplyC).or_else(|| cell.median(Metric::InletAirC))
            }
            Signal::ThermalThrottle => cell.reason_share(THERMAL_MASK),
            Signal::Power => cell.median(Metric::PowerW),
            Signal::PowerLimit => cell.median(Metric::PowerLimitW),
            Signal::Brake => cell.reason_share(BRAKE_MASK),
            Signal::Clock => cell.median(Metric::ClockMhz),
            Signal::Perf => cell.median(Metric::Perf),
            Signal::Silent => None,
        };
    }
    values
}

/// Phases and blocks that hold enough nodes to be compared within themselves.
fn shared_blocks(panel: &Panel) -> BTreeSet<(String, String)> {
    let mut nodes: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for device in &panel.devices {
        for cell in device.cells.iter().filter(|cell| !cell.block.is_empty()) {
            nodes.entry((&cell.phase, &cell.block)).or_default().insert(&device.node_name);
        }
    }
    let enough = nodes.into_iter().filter(|(_, nodes)| nodes.len() >= BLOCK_NODES_LEAST);
    enough.map(|((phase, block), _)| (phase.to_owned(), block.to_owned())).collect()
}

/// Slots with enough devices of one model.
fn shared_slots(panel: &Panel) -> BTreeSet<(String, u32)> {
    let mut counts: BTreeMap<(&str, u32), usize> = BTreeMap::new();
    for device in &panel.devices {
        if let Some(slot) = device.slot {
            *counts.entry((&device.model, slot)).or_default() += 1;
        }
    }
    let enough = counts.into_iter().filter(|(_, count)| *count >= SLOT_DEVICES_LEAST);
    enough.map(|((model, slot), _)| (model.to_owned(), slot)).collect()
}

fn compare_cells(panel: &mut Panel, blocks: &BTreeSet<(String, String)>) {
    let slots = shared_slots(panel);
    let cohort = |device: &PanelDevice, cell: &CellResidual| Cohort {
        model: device.model.clone(),
        slot: device.slot.filter(|slot| slots.contains(&(device.model.clone(), *slot))),
        phase: cell.phase.clone(),
        block: Some(&cell.block)
            .filter(|block| blocks.contains(&(cell.phase.clone(), (*block).clone())))
            .cloned()
            .unwrap_or_default(),
    };
    let mut pools: BTreeMap<Cohort, Vec<Vec<f64>>> = BTreeMap::new();
    for device in &panel.devices {
        for cell in &device.cells {
            let pool = pools.entry(cohort(device, cell));
            let pool = pool.or_insert_with(|| vec![Vec::new(); Signal::COUNT]);
            for (values, value) in pool.iter_mut().zip(cell.values) {
                values.extend(value);
            }
        }
    }
    let middles: BTreeMap<Cohort, Vec<Option<f64>>> = pools
        .into_iter()
        .map(|(cohort, pool)| (cohort, pool.iter().map(|values| median(values)).collect()))
        .collect();
    for at in 0..panel.devices.len() {
        for cell_at in 0..panel.devices[at].cells.len() {
            let key = cohort(&panel.devices[at], &panel.devices[at].cells[cell_at]);
            let middle = &middles[&key];
            let cell = &mut panel.devices[at].cells[cell_at];
            for signal in Signal::ALL {
                let i = signal.index();
                cell.residuals[i] = residual(signal, cell.values[i], middle[i]);
            }
        }
        let device = &mut panel.devices[at];
        for i in 0..Signal::COUNT {
            let over = |pick: fn(&CellResidual) -> &Values| -> Option<f64> {
                median(&device.cells.iter().filter_map(|cell| pick(cell)[i]).collect::<Vec<_>>())
            };
            let (value, residual) = (over(|cell| &cell.values), over(|cell| &cell.residuals));
            (device.values[i], device.residuals[i]) = (value, residual);
        }
    }
}

/// Distance from the middle: a share of it, or in the signal's unit.
fn residual(signal: Signal, value: Option<f64>, middle: Option<f64>) -> Option<f64> {
    let (value, middle) = (value?, middle?);
    if !signal.is_relative() {
        return Some(value - middle);
    }
    (middle > 0.0).then(|| value / middle - 1.0)
}

/// Dips of the clock below a device's own usual clock, and greatest temperatures, beside
/// those of like devices in the same slot.
fn compare_extremes(panel: &mut Panel) {
    let slots = shared_slots(panel);
    let cohort = |device: &PanelDevice| {
        let slot = device.slot.filter(|slot| slots.contains(&(device.model.clone(), *slot)));
        (device.model.clone(), slot)
    };
    // Silicon that is slow throughout does not dip.
    let dip = |device: &PanelDevice| {
        let usual = device.values[Signal::Clock.index()].filter(|usual| *usual > 0.0);
        device.clock_min.map(|(clock, _)| usual.map_or(1.0, |usual| clock / usual))
    };
    let mut pools: BTreeMap<_, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for device in &panel.devices {
        let pool = pools.entry(cohort(device)).or_default();
        pool.0.extend(dip(device));
        pool.1.extend(device.temp_max.map(|(temp, _)| temp));
    }
    for device in &mut panel.devices {
        let (dips, temps) = &pools[&cohort(device)];
        let usual_dip = median(dips).filter(|dip| *dip > 0.0);
        let own_dip = dip(device);
        if let Some((_, ratio)) = &mut device.clock_min {
            *ratio = own_dip.zip(usual_dip).map_or(1.0, |(own, usual)| own / usual);
        }
        if let (Some((temp, above)), Some(middle)) = (&mut device.temp_max, median(temps)) {
            *above = *temp - middle;
        }
    }
}

/// Spread of like devices' residuals, model by model, and how alike the load was.
fn spread(panel: &mut Panel) {
    let mut models: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, device) in panel.devices.iter().enumerate() {
        models.entry(&device.model).or_default().push(at);
    }
    let models: Vec<Vec<usize>> = models.into_values().collect();
    let mut spreads = Vec::new();
    for members in models {
        let mut sigmas = Values::default();
        for (i, slot) in sigmas.iter_mut().enumerate() {
            let of = |at: &usize| panel.devices[*at].residuals[i];
            let residuals: Vec<f64> = members.iter().filter_map(of).collect();
            *slot = sigma(&residuals, 0.0);
        }
        spreads.extend(sigmas[Signal::Power.index()].map(|sigma| (members.len(), sigma)));
        for at in &members {
            panel.devices[*at].sigmas = sigmas;
            panel.devices[*at].cohort = members.len();
        }
    }
    panel.power_spread = spreads.iter().map(|(_, sigma)| *sigma).reduce(f64::max);
}
