//! What the meters testify: a supply that sags, one that is overloaded or would be, a loop
//! that is warm or starved. A meter measures its own domain, so nothing is inferred from
//! nodes here; what shares all of its nodes upstream can't be excluded.

use std::collections::{BTreeMap, BTreeSet};

use model::finding::{Blame, Effect, Finding, FindingKind, Severity, Standing, Suspect};
use model::site::{DomainIx, Family, Site};

use super::Board;
use super::cooling::Loop;
use super::shared::sources;
use super::stiffness::Feeder;
use super::supply::Supply;
use crate::case::{Case, list};
use crate::diagnose::cohort::limits;
use crate::diagnose::draft;
use crate::digest::meters::{Line, Quantity};

/// Of the load that two sides share: a supply below carries nothing but its own losses.
const DEAD_PERCENT: f64 = 5.0;

pub(crate) fn testify(case: &Case) -> Vec<Finding> {
    let (Some(site), Some(building)) = (case.site, case.building) else { return Vec::new() };
    let mut findings = sagging(site, &building.feeders);
    findings.extend(building.supplies.iter().filter_map(|supply| overloaded(site, supply)));
    findings.extend(building.supplies.iter().filter_map(|supply| no_reserve(site, supply)));
    let floor = case.policy.floors.temp_k;
    findings.extend(dead(site, &building.supplies));
    findings.extend(warm(site, &building.loops, floor));
    findings.extend(building.loops.iter().filter_map(|cooled| starved(site, cooled)));
    findings.extend(alarms(&Board { site, meters: &case.seen.meters }));
    findings
}

fn suspect(site: &Site, ix: DomainIx) -> Suspect {
    let domain = site.domain(ix);
    Suspect::new(domain.kind.word(), domain.id.clone())
}

/// What lies upstream of a domain and feeds the same nodes and no others.
fn inseparable(site: &Site, ix: DomainIx) -> Vec<Suspect> {
    let family = site.domain(ix).kind.family();
    let same = |above: &&DomainIx| {
        site.domain(**above).kind.family() == family && site.members(**above) == site.members(ix)
    };
    site.above(ix).iter().filter(same).map(|above| suspect(site, *above)).collect()
}

fn finding(
    site: &Site,
    ix: DomainIx,
    kind: FindingKind,
    standing: Standing,
    severity: Severity,
) -> Finding {
    let mut finding = draft(kind, Blame::Facility, (standing, severity), suspect(site, ix));
    finding.cannot_exclude = inseparable(site, ix);
    finding
}

fn line_name(line: Line) -> &'static str {
    match line {
        Line::Whole => "",
        Line::L1 => " on L1",
        Line::L2 => " on L2",
        Line::L3 => " on L3",
    }
}

fn sagging(site: &Site, feeders: &[Feeder]) -> Vec<Finding> {
    let mut weak: BTreeMap<DomainIx, Vec<(&Feeder, bool)>> = BTreeMap::new();
    for feeder in feeders {
        if let Some(believed) = feeder.excess.and_then(|excess| excess.weak()) {
            weak.entry(feeder.domain).or_default().push((feeder, believed));
        }
    }
    weak.into_iter().filter_map(|(ix, lines)| sags(site, ix, &lines)).collect()
}

fn sags(site: &Site, ix: DomainIx, lines: &[(&Feeder, bool)]) -> Option<Finding> {
    let z = |feeder: &Feeder| feeder.excess.map_or(0.0, |excess| excess.z);
    let (worst, _) = lines.iter().max_by(|a, b| z(a.0).total_cmp(&z(b.0)))?;
    let excess = worst.excess?;
    let believed = lines.iter().any(|(_, believed)| *believed);
    let standing = if believed { Standing::Confirmed } else { Standing::Watch };
    let mut found = finding(site, ix, FindingKind::WeakPower, standing, Severity::Major);
    found.effect = Some(Effect {
        metric: format!("sag_v_per_kw{}", worst.line.suffix()),
        relative: (excess.usual != 0.0).then(|| excess.v_per_kw / excess.usual.abs()),
        absolute: Some(excess.v_per_kw),
        unit: "V/kW".to_owned(),
    });
    let id = &site.domain(ix).id;
    found.evidence = lines
        .iter()
        .filter_map(|(feeder, _)| Some((feeder, feeder.excess?)))
        .map(|(feeder, excess)| {
            format!(
                "{id}{} sags by {:.3} V/kW more than its siblings, which sag by {:.3} V/kW \
                 in all, over {:.1} kW (robust z {:.1}, limit {:.1} for {} lines)",
                line_name(feeder.line),
                -excess.v_per_kw,
                -excess.usual,
                feeder.span_kw(),
                excess.z,
                limits(excess.cohort).1,
                excess.cohort,
            )
        })
        .collect();
    let where_ = line_name(worst.line);
    found.action =
        format!("have an electrician tighten and measure the connections of {id}{where_}");
    found.next_experiment = Some(format!(
        "step the load of {id} alone, then of a sibling alone: sag that follows {id} is its \
         own, sag that shows in both lies upstream; or run its nodes on the other feed only"
    ));
    Some(found)
}

fn overloaded(site: &Site, supply: &Supply) -> Option<Finding> {
    let (percent, line) = supply.breaker?;
    let domain = site.domain(supply.domain);
    let limit = domain.continuous() * 100.0;
    if percent <= limit {
        return None;
    }
    let severity = if percent > 100.0 { Severity::Critical } else { Severity::Major };
    let standing = Standing::Confirmed;
    let mut found = finding(site, supply.domain, FindingKind::WeakPower, standing, severity);
    found.effect = Some(percent_effect("breaker_percent", line, percent, limit));
    found.evidence = vec![format!(
        "{}{} carried {percent:.1} % of its rating for a minute; {limit:.0} % may be drawn \
         for hours",
        domain.id,
        line_name(line),
    )];
    found.action = format!("move load off {} before it is loaded for hours", domain.id);
    found.next_experiment =
        Some("hold the same load for three hours with a person at the breaker".to_owned());
    Some(found)
}

fn no_reserve(site: &Site, supply: &Supply) -> Option<Finding> {
    let failover = supply.failover.as_ref()?;
    let domain = site.domain(supply.domain);
    let limit = domain.continuous() * 100.0;
    if failover.percent <= limit {
        return None;
    }
    let standing = Standing::Confirmed;
    let mut found = finding(site, supply.domain, FindingKind::WeakPower, standing, Severity::Major);
    let metric = "failover_percent";
    found.effect = Some(percent_effect(metric, failover.line, failover.percent, limit));
    found.evidence = vec![format!(
        "without {} {}{} would carry {:.1} {}, {:.1} % of its rating; {limit:.0} % may be \
         drawn for hours",
        list(&failover.others),
        domain.id,
        line_name(failover.line),
        failover.carried,
        failover.unit,
        failover.percent,
    )];
    found.action = format!("spread the nodes of {} or limit their power", domain.id);
    found.next_experiment =
        Some("drop the other feed at half load with a person at the breaker".to_owned());
    Some(found)
}

fn percent_effect(metric: &str, line: Line, percent: f64, limit: f64) -> Effect {
    Effect {
        metric: format!("{metric}{}", line.suffix()),
        relative: Some(percent / limit - 1.0),
        absolute: Some(percent - limit),
        unit: "percent of the rating".to_owned(),
    }
}

/// Supplies that carry nothing while the other side carries everything.
fn dead(site: &Site, supplies: &[Supply]) -> Vec<Finding> {
    let share = |supply: &Supply| supply.failover.as_ref().map(|f| f.share_percent);
    let of = |keep: &dyn Fn(f64) -> bool| -> BTreeSet<DomainIx> {
        let kept = supplies.iter().filter(|supply| share(supply).is_some_and(keep));
        kept.map(|supply| supply.domain).collect()
    };
    let (hits, known) = (of(&|share| share < DEAD_PERCENT), of(&|_| true));
    let found = sources(site, &hits, &known).into_iter().map(|(ix, parts)| {
        let standing = Standing::Confirmed;
        let mut found = finding(site, ix, FindingKind::WeakPower, standing, Severity::Critical);
        found.effect = Some(Effect {
            metric: "feed_share_percent".to_owned(),
            relative: None,
            absolute: Some(-50.0),
            unit: "percent of the load".to_owned(),
        });
        let names = parts.iter().map(|part| &site.domain(*part).id);
        found.evidence = vec![format!(
            "{} carries less than {DEAD_PERCENT} % of what its nodes draw; the other side \
             carries the rest",
            list(names),
        )];
        found.action = format!("find out why {} is without load", site.domain(ix).id);
        found.next_experiment =
            Some("read its voltage: with voltage the cords are out, without it the feed is".into());
        found
    });
    found.collect()
}

fn warm(site: &Site, loops: &[Loop], floor_k: f64) -> Vec<Finding> {
    let all: BTreeMap<DomainIx, &Loop> =
        loops.iter().map(|cooled| (cooled.domain, cooled)).collect();
    let known = all.iter().filter(|(_, cooled)| cooled.supply_excess.is_some());
    let known: BTreeSet<DomainIx> = known.map(|(ix, _)| *ix).collect();
    let beyond = |ix: &DomainIx| all.get(ix)?.supply_excess?.beyond(floor_k);
    let hits: BTreeSet<DomainIx> =
        known.iter().copied().filter(|ix| beyond(ix).is_some()).collect();
    let found = sources(site, &hits, &known).into_iter().filter_map(|(ix, parts)| {
        let believed = parts.iter().any(|part| beyond(part) == Some(true));
        let standing = if believed { Standing::Confirmed } else { Standing::Watch };
        let mut found = finding(site, ix, FindingKind::WeakCooling, standing, Severity::Major);
        let excess = |part: &DomainIx| all.get(part).and_then(|cooled| cooled.supply_excess);
        let apart: Vec<_> = parts.iter().filter_map(|part| Some((part, excess(part)?))).collect();
        let most = apart.iter().map(|(_, apart)| apart.by).reduce(f64::max)?;
        found.effect = Some(Effect {
            metric: "supply_c".to_owned(),
            relative: None,
            absolute: Some(most),
            unit: "K".to_owned(),
        });
        let line = |(part, apart): &(&DomainIx, super::cooling::Apart)| {
            format!(
                "{} is supplied {:.1} K warmer than its siblings at {:.1} C (robust z {:.1}, \
                 limit {:.1})",
                site.domain(**part).id,
                apart.by,
                apart.usual,
                apart.z,
                limits(apart.cohort).1,
            )
        };
        found.evidence = apart.iter().map(line).collect();
        let id = &site.domain(ix).id;
        found.action = format!("check heat exchanger, valves and primary water of {id}");
        found.next_experiment = Some(format!(
            "load half of the nodes of {id}: a supply that cools down lacks capacity, one \
             that stays warm gets warm water"
        ));
        Some(found)
    });
    found.collect()
}

fn starved(site: &Site, cooled: &Loop) -> Option<Finding> {
    let (apart, believed) = cooled.flow_lack.zip(cooled.starved())?;
    let standing = if believed { Standing::Confirmed } else { Standing::Watch };
    let kind = FindingKind::WeakCooling;
    let mut found = finding(site, cooled.domain, kind, standing, Severity::Major);
    let id = &site.domain(cooled.domain).id;
    found.effect = Some(Effect {
        metric: "flow_lpm_per_kw".to_owned(),
        relative: Some(-apart.by),
        absolute: Some(-apart.by * apart.usual),
        unit: "L/min/kW".to_owned(),
    });
    found.evidence = vec![format!(
        "{id} gets {:.0} % less flow for each kW than its siblings at {:.2} L/min (robust z \
         {:.1}, limit {:.1})",
        apart.by * 100.0,
        apart.usual,
        apart.z,
        limits(apart.cohort).1,
    )];
    if let Some(rise) = cooled.rise_k() {
        found.evidence.push(format!("{id} warms its coolant by {rise:.1} K under load"));
    }
    found.action = format!("check pump, valves and filter of {id}");
    found.next_experiment =
        Some(format!("open the balancing valve of {id}: a flow that stays low is blocked"));
    Some(found)
}

/// The building's own alarms: said, never believed alone.
fn alarms(board: &Board) -> Vec<Finding> {
    let families =
        [(Family::Power, FindingKind::WeakPower), (Family::Cooling, FindingKind::WeakCooling)];
    let mut found = Vec::new();
    for (family, kind) in families {
        for (ix, domain) in board.metered(family) {
            let trace = board.meters.trace(&domain.id, Quantity::Alarm, Line::Whole);
            let bins = trace.map(|trace| trace.means(1)).unwrap_or_default();
            if bins.iter().all(|mean| *mean == 0.0) {
                continue;
            }
            let mut alarm = finding(board.site, ix, kind, Standing::Watch, Severity::Minor);
            alarm.evidence = vec![format!("{} raised an alarm of its own", domain.id)];
            alarm.action = format!("read the event log of {}", domain.id);
            found.push(alarm);
        }
    }
    found
}
