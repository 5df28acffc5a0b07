//! Values of the building: what its meters, and the devices' own sensors of air and coolant,
//! say of each domain.

use std::collections::BTreeMap;

use model::Metric;
use model::finding::Suspect;
use model::site::{DomainIx, DomainKind};

use super::{Found, Value};
use crate::case::Case;
use crate::diagnose::cohort::LEAST_MEMBERS;
use crate::digest::meters::{Line, Quantity};
use crate::meters::{Building, Feeder, Loop, Supply};
use crate::middle::median;

/// A breaker's limit is for loads of three hours or more (US NEC, definition of continuous).
const CONTINUOUS_S: f64 = 3.0 * 3600.0;

fn building<'a>(case: &Case<'a>) -> Result<&'a Building, String> {
    case.building.ok_or_else(|| match case.site {
        None => "no site says what the building's domains are".to_owned(),
        Some(_) => "no meter of the building was read".to_owned(),
    })
}

fn at(case: &Case, ix: DomainIx) -> Suspect {
    case.site.map_or_else(
        || Suspect::new("fleet", "all"),
        |site| {
            let domain = site.domain(ix);
            Suspect::new(domain.kind.word(), domain.id.clone())
        },
    )
}

fn or(values: Vec<Value>, why: &str) -> Found {
    if values.is_empty() { Err(why.to_owned()) } else { Ok(values) }
}

fn of_loops(case: &Case, why: &str, of: impl Fn(&Loop) -> Option<f64>) -> Found {
    let loops = building(case)?.loops.iter();
    let values = loops.filter_map(|cooled| Some(Value::new(at(case, cooled.domain), of(cooled)?)));
    or(values.collect(), why)
}

fn of_supplies(case: &Case, why: &str, of: impl Fn(&Supply) -> Option<Value>) -> Found {
    or(building(case)?.supplies.iter().filter_map(of).collect(), why)
}

/// A middle value of each node's own sensor.
fn by_node(case: &Case, metric: Metric) -> BTreeMap<String, f64> {
    let mut nodes: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (key, cells) in case.seen.telemetry.devices() {
        let values = cells.values().filter_map(|cell| cell.median(metric));
        nodes.entry(key.node.clone()).or_default().extend(values);
    }
    nodes.into_iter().filter_map(|(node, values)| Some((node, median(&values)?))).collect()
}

/// Inlet air of nodes and of metered domains.
pub(super) fn air(case: &Case) -> Found {
    let nodes = by_node(case, Metric::InletAirC).into_iter();
    let mut values: Vec<Value> =
        nodes.map(|(node, air)| Value::new(Suspect::new("node", node), air)).collect();
    if let Some(site) = case.site {
        for (id, _) in case.seen.meters.domains() {
            let trace = case.seen.meters.trace(id, Quantity::InletAirC, Line::Whole);
            if let (Some(ix), Some(mean)) = (site.domain_ix(id), trace.and_then(|t| t.mean())) {
                values.push(Value::new(at(case, ix), mean));
            }
        }
    }
    or(values, "no inlet air was measured")
}

/// Warmest less coolest inlet among the nodes of each row.
pub(super) fn air_spread(case: &Case) -> Found {
    let Some(site) = case.site else { return Err("no site says which nodes share a row".into()) };
    let nodes = by_node(case, Metric::InletAirC);
    let rows = site.of_kind(DomainKind::Row).filter_map(|row| {
        let names = site.members(row).iter().map(|node| &site.node(*node).name);
        let air: Vec<f64> = names.filter_map(|name| nodes.get(name).copied()).collect();
        let low = air.iter().copied().reduce(f64::min)?;
        let high = air.iter().copied().reduce(f64::max)?;
        (air.len() > 1).then(|| Value::new(at(case, row), high - low))
    });
    or(rows.collect(), "no row has inlet air of two nodes")
}

/// Coolant that reaches nodes, and that loops supply.
pub(super) fn coolant(case: &Case) -> Found {
    let nodes = by_node(case, Metric::CoolantSupplyC).into_iter();
    let mut values: Vec<Value> =
        nodes.map(|(node, supply)| Value::new(Suspect::new("node", node), supply)).collect();
    let loops = case.building.iter().flat_map(|building| &building.loops);
    values.extend(loops.filter_map(|l| Some(Value::new(at(case, l.domain), l.supply_c?))));
    or(values, "no supply of coolant was measured")
}

pub(super) fn dew_margin(case: &Case) -> Found {
    of_loops(case, "no dew point was measured beside a supply", |l| l.dew_margin_k)
}

pub(super) fn rise(case: &Case) -> Found {
    of_loops(case, "no loop has both supply and return", Loop::rise_k)
}

pub(super) fn flow(case: &Case) -> Found {
    let why = "no loop has flow, temperatures and the electricity of what hangs on it";
    of_loops(case, why, |l| l.flow_per_kw)
}

pub(super) fn approach(case: &Case) -> Found {
    let why = "no supply of the facility's water was measured beside a supply";
    of_loops(case, why, |l| Some(l.supply_c? - l.primary_c?))
}

/// How far the heat of each loop is from its electricity times the usual capture ratio, in
/// percent: the ratio itself is not known, but like loops have the same.
pub(super) fn heat_balance(case: &Case) -> Found {
    let loops = &building(case)?.loops;
    let known: Vec<(DomainIx, f64)> =
        loops.iter().filter_map(|l| Some((l.domain, l.capture?))).collect();
    let captures: Vec<f64> = known.iter().map(|(_, capture)| *capture).collect();
    if captures.len() < LEAST_MEMBERS {
        let why = "fewer than four loops have heat and electricity: no usual capture is known";
        return Err(why.to_owned());
    }
    let usual = median(&captures).filter(|usual| *usual > 0.0).unwrap_or(f64::NAN);
    let values = known.into_iter().map(|(ix, capture)| {
        let note = Some(format!("usual capture ratio {usual:.2}"));
        Value { note, ..Value::new(at(case, ix), (capture / usual - 1.0).abs() * 100.0) }
    });
    or(values.collect(), "no loop has heat and electricity")
}

pub(super) fn imbalance(case: &Case) -> Found {
    let why = "no supply has current or power of three lines under load";
    of_supplies(case, why, |supply| {
        Some(Value::new(at(case, supply.domain), supply.imbalance_percent?))
    })
}

/// Percent of the rating that may be drawn for hours, where the site says other than usual.
fn own_limit(case: &Case, ix: DomainIx) -> Option<f64> {
    case.site?.domain(ix).continuous.map(|share| share * 100.0)
}

pub(super) fn breaker(case: &Case) -> Found {
    of_supplies(case, "no supply has both a load and a rating", |supply| {
        let (percent, _) = supply.breaker?;
        let held = supply.seconds < CONTINUOUS_S;
        let note = format!("seen for {:.1} h; the limit is for 3 h", supply.seconds / 3600.0);
        Some(Value {
            limit: own_limit(case, supply.domain),
            note: held.then_some(note),
            ..Value::new(at(case, supply.domain), percent)
        })
    })
}

pub(super) fn failover(case: &Case) -> Found {
    let why = "no supply with a side, a rating and metered supplies on the other side";
    of_supplies(case, why, |supply| {
        let failover = supply.failover.as_ref()?;
        Some(Value {
            limit: own_limit(case, supply.domain),
            note: Some(format!("computed, not pulled; {:.1} {}", failover.carried, failover.unit)),
            ..Value::new(at(case, supply.domain), failover.percent)
        })
    })
}

pub(super) fn sag(case: &Case) -> Found {
    let feeders = building(case)?.feeders.iter();
    let value = |feeder: &Feeder| Value {
        note: Some(format!("over {:.1} kW", feeder.span_kw())),
        ..Value::new(at(case, feeder.domain), feeder.sag_percent())
    };
    or(feeders.map(value).collect(), "no supply has voltage and power over a step of the load")
}

/// Scatter of (devices over meter) among supplies, in percent: what is left after the
/// devices' own gain was taken out by the middle.
pub(super) fn power_spread(case: &Case) -> Found {
    if case.studies.iter().any(|study| study.parts().next().is_some()) {
        return Err("some nodes were idle beside others: sums are compared in a hold".to_owned());
    }
    let sums = building(case)?.reconciliation.as_ref();
    let sums = sums.ok_or("no power of devices beside the power of their supplies")?;
    let error = sums.gain_error.ok_or("one supply alone has no spread")?;
    let note = Some(format!("devices say {:.3} of what supplies say", sums.gain));
    Ok(vec![Value { note, ..Value::new(Suspect::new("fleet", "all"), error * 100.0) }])
}
