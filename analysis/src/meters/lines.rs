//! What the meters measured, as lines of the report.

use model::finding::Suspect;
use model::report::Measured;
use model::site::{DomainIx, Site};

use super::{Feeder, Loop, Supply};
use crate::case::Case;
use crate::measured::{fleet, line};

pub(crate) fn measured(case: &Case) -> Vec<Measured> {
    let (Some(site), Some(building)) = (case.site, case.building) else { return Vec::new() };
    let mut lines: Vec<Measured> =
        building.feeders.iter().flat_map(|feeder| feeder_lines(site, feeder)).collect();
    lines.extend(building.supplies.iter().flat_map(|supply| supply_lines(site, supply)));
    lines.extend(building.loops.iter().flat_map(|cooled| loop_lines(site, cooled)));
    lines.extend(building.alignments.iter().flat_map(|aligned| {
        let (offset_s, error_s) = aligned.offset_s.unwrap_or((f64::NAN, f64::NAN));
        let at = at(site, aligned.domain);
        [("meter_offset_s", offset_s), ("meter_offset_error_s", error_s)]
            .map(|(what, value)| line(what, &at, None, value, "s"))
    }));
    if let Some(sums) = &building.reconciliation {
        let phase = Some(sums.phase.as_str());
        for (ix, ratio) in &sums.devices {
            lines.push(line("power_devices_over_meter", &at(site, *ix), phase, *ratio, "ratio"));
        }
        for (ix, ratio) in &sums.nodes {
            lines.push(line("power_nodes_over_meter", &at(site, *ix), phase, *ratio, "ratio"));
        }
        // What has no value is no number, and falls away.
        lines.push(line("power_gain_p50", &fleet(), phase, sums.gain, "ratio"));
        let error = sums.gain_error.unwrap_or(f64::NAN) * 100.0;
        lines.push(line("power_gain_error_percent", &fleet(), phase, error, "percent"));
    }
    lines
}

fn at(site: &Site, ix: DomainIx) -> Suspect {
    let domain = site.domain(ix);
    Suspect::new(domain.kind.word(), domain.id.clone())
}

fn feeder_lines(site: &Site, feeder: &Feeder) -> Vec<Measured> {
    let at = at(site, feeder.domain);
    let suffix = feeder.line.suffix();
    let named = |what: &str, value, unit| line(&format!("{what}{suffix}"), &at, None, value, unit);
    let excess = feeder.excess.map_or(f64::NAN, |excess| excess.v_per_kw);
    vec![
        named("sag_v_per_kw", feeder.v_per_kw(), "V/kW"),
        named("sag_excess_v_per_kw", excess, "V/kW"),
        named("sag_percent", feeder.sag_percent(), "percent"),
        named("voltage_v_p50", feeder.volts, "V"),
    ]
}

fn supply_lines(site: &Site, supply: &Supply) -> Vec<Measured> {
    let at = at(site, supply.domain);
    let failover = supply.failover.as_ref();
    let all = [
        ("power_kw_max", supply.most_kw, "kW"),
        ("breaker_percent", supply.breaker.map(|(percent, _)| percent), "percent"),
        ("phase_imbalance_percent", supply.imbalance_percent, "percent"),
        ("failover_percent", failover.map(|f| f.percent), "percent"),
        ("feed_share_percent", failover.map(|f| f.share_percent), "percent"),
    ];
    let lines = all.into_iter().filter_map(|(what, value, unit)| Some((what, value?, unit)));
    lines.map(|(what, value, unit)| line(what, &at, None, value, unit)).collect()
}

fn loop_lines(site: &Site, cooled: &Loop) -> Vec<Measured> {
    let at = at(site, cooled.domain);
    let all = [
        ("supply_c", cooled.supply_c, "C"),
        ("return_c", cooled.return_c, "C"),
        ("flow_lpm", cooled.flow_lpm, "L/min"),
        ("heat_kw", cooled.heat_kw, "kW"),
        ("capture_ratio", cooled.capture, "ratio"),
        ("flow_lpm_per_kw", cooled.flow_per_kw, "L/min/kW"),
        ("dew_margin_k", cooled.dew_margin_k, "K"),
        ("r_th_supply_k_per_w", cooled.r_th_k_per_w, "K/W"),
    ];
    let lines = all.into_iter().filter_map(|(what, value, unit)| Some((what, value?, unit)));
    lines.map(|(what, value, unit)| line(what, &at, None, value, unit)).collect()
}
