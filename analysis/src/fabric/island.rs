//! Cuts between pods: how much of what its hosts could send gets across.
//!
//! Flows that are hashed onto paths collide, so even a 1:1 fabric carries less across than
//! its hosts send. The best yardstick is traffic between leaves of one pod with as many
//! five-tuples, which collides alike; else the cards' speed times what a 1:1 fabric
//! carries with so many.

use std::collections::{BTreeMap, BTreeSet};

use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing, Suspect};
use model::site::{DomainIx, DomainKind, Site};

use super::map::{Element, Hop, Map};
use super::slow::gbps;
use super::table::Table;
use crate::diagnose::draft;

/// Mean rate per pair across a 1:1 cut as a share of the card's, for 1, 2, 4, ... 64
/// five-tuples a pair: measured on simulated leaf-spine fabrics of 16 hosts and 16 uplinks
/// a leaf with static hashing. Hoefler et al. (CLUSTER 2008) measured 0.55 to 0.60 for one.
const HASHED_SHARE: [f64; 7] = [0.52, 0.67, 0.81, 0.90, 0.955, 0.98, 0.99];
/// Fewer tuples a pair than this collide too unevenly to be compared with the cards' speed.
const TUPLES_LEAST: usize = 16;
/// With a yardstick of the same number of tuples this many do.
const TUPLES_LEAST_BESIDE: usize = 4;
/// Least ratio that is an island: half of what the mildest built taper, 2:1, adds. A second
/// stage of hashing makes a sound fabric look like up to 1.2:1.
const RATIO_LEAST: f64 = 1.5;
/// Ratios from here are worth a look.
const RATIO_WATCHED: f64 = 1.3;
/// Fewest flows across a cut, and of a yardstick.
const FLOWS_LEAST: usize = 32;
/// Cuts within this factor of each other are one taper.
const ALIKE: f64 = 1.3;
/// Cuts named beside a suspect.
const CUTS_NAMED: usize = 12;

/// From a pod to a pod with so many five-tuples a pair.
type CutKey = (DomainIx, DomainIx, usize);
/// By round: sum and number of rates.
type Rounds = BTreeMap<u32, (f64, f64)>;

/// One directed cut under one kind of load.
struct Cut {
    from: DomainIx,
    to: DomainIx,
    tuples: usize,
    flows: usize,
    /// Mean rate per pair, in Gbit/s, and its standard error over rounds.
    mean: f64,
    error: f64,
    /// What a 1:1 cut would carry per pair, in Gbit/s.
    due: f64,
    beside: bool,
}

impl Cut {
    fn ratio(&self) -> f64 {
        self.due / self.mean.max(self.due / RATIO_MAX)
    }

    /// The ratio's lower end, two standard errors down.
    fn at_least(&self) -> f64 {
        self.due / (self.mean + 2.0 * self.error).max(self.due / RATIO_MAX)
    }

    fn standing(&self) -> Option<Standing> {
        // A yardstick from a data sheet is no measurement: hosts may never reach it.
        let solid = self.beside || self.tuples >= TUPLES_LEAST;
        match (self.ratio(), self.at_least()) {
            (ratio, least) if ratio >= RATIO_LEAST && least >= RATIO_WATCHED && solid => {
                Some(Standing::Confirmed)
            }
            (ratio, _) if ratio >= RATIO_WATCHED => Some(Standing::Watch),
            _ => None,
        }
    }
}

/// Beyond this nothing gets across.
const RATIO_MAX: f64 = 1_000.0;

/// Findings of cuts.
pub(super) fn findings(map: &Map, table: &Table) -> Vec<Finding> {
    let cuts = cuts(map, table);
    let tapered: Vec<(&Cut, Standing)> =
        cuts.iter().filter_map(|cut| Some((cut, cut.standing()?))).collect();
    let confirmed: Vec<&Cut> =
        tapered.iter().filter(|(_, s)| *s == Standing::Confirmed).map(|(cut, _)| *cut).collect();
    let mut findings = Vec::new();
    let mut told: BTreeSet<(DomainIx, DomainIx)> = BTreeSet::new();
    for group in groups(map.site, &cuts, &confirmed) {
        told.extend(group.cuts.iter().map(|cut| (cut.from, cut.to)));
        findings.push(group_finding(map.site, &group, cuts.len()));
    }
    for (cut, standing) in tapered {
        if told.insert((cut.from, cut.to)) {
            let group = Group { suspect: cut_suspect(map.site, cut), standing, cuts: vec![cut] };
            findings.push(group_finding(map.site, &group, cuts.len()));
        }
    }
    findings
}

/// Cuts with one cause.
struct Group<'a> {
    suspect: Suspect,
    standing: Standing,
    /// The worst first.
    cuts: Vec<&'a Cut>,
}

/// All cuts alike are one taper; all cuts out of a pod, or into it, are that pod's.
fn groups<'a>(site: &Site, all: &[Cut], confirmed: &[&'a Cut]) -> Vec<Group<'a>> {
    let mut sorted = confirmed.to_vec();
    sorted
        .sort_by(|a, b| b.ratio().total_cmp(&a.ratio()).then((a.from, a.to).cmp(&(b.from, b.to))));
    let (Some(worst), Some(best)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let measured: BTreeSet<_> = all.iter().map(|cut| (cut.from, cut.to)).collect();
    let hit: BTreeSet<_> = sorted.iter().map(|cut| (cut.from, cut.to)).collect();
    if hit.len() >= 2 && hit == measured && worst.ratio() <= ALIKE * best.ratio() {
        let suspect = cut_suspect(site, worst);
        return vec![Group { suspect, standing: Standing::Confirmed, cuts: sorted }];
    }
    let mut groups = Vec::new();
    let pods: BTreeSet<DomainIx> = hit.iter().flat_map(|(from, to)| [*from, *to]).collect();
    for pod in pods {
        for out in [true, false] {
            let of =
                |(from, to): &(DomainIx, DomainIx)| if out { *from == pod } else { *to == pod };
            let own = hit.iter().filter(|key| of(key)).count();
            if own < 2 || own < measured.iter().filter(|key| of(key)).count() {
                continue;
            }
            let cuts = sorted.iter().copied().filter(|cut| of(&(cut.from, cut.to))).collect();
            let suspect = Suspect::new("pod", site.domain(pod).id.clone());
            groups.push(Group { suspect, standing: Standing::Confirmed, cuts });
        }
    }
    groups
}

fn cut_suspect(site: &Site, cut: &Cut) -> Suspect {
    Suspect::new("cut", format!("{}>{}", site.domain(cut.from).id, site.domain(cut.to).id))
}

fn group_finding(site: &Site, group: &Group, measured: usize) -> Finding {
    let worst = group.cuts[0];
    let graded = (group.standing, Severity::Major);
    let suspect = group.suspect.clone();
    let mut finding = draft(FindingKind::NetworkIsland, Blame::Facility, graded, suspect);
    for cut in group.cuts.iter().take(CUTS_NAMED) {
        let yardstick = if cut.beside {
            format!("{} between leaves of one pod", gbps(cut.due))
        } else {
            format!("{} that a 1:1 cut carries with so many", gbps(cut.due))
        };
        finding.evidence.push(format!(
            "{}: {} Gbit/s a pair with {} five-tuples each, beside {yardstick}: {:.2}:1 in effect (at least {:.2}:1)",
            cut_suspect(site, cut).id, gbps(cut.mean), cut.tuples, cut.ratio(), cut.at_least()
        ));
    }
    finding.effect = Some(Effect {
        metric: "gbps".to_owned(),
        relative: Some(1.0 / worst.ratio() - 1.0),
        absolute: Some(worst.mean - worst.due),
        unit: "Gbit/s".to_owned(),
    });
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    finding.members = Some(Members {
        hit: count(group.cuts.len()),
        reporting: count(measured),
        total: count(measured),
    });
    finding.cannot_exclude =
        group.cuts.iter().skip(1).take(CUTS_NAMED).map(|cut| cut_suspect(site, cut)).collect();
    finding.action = "compare with the oversubscription that was ordered; read the speeds of the cables between the pods".to_owned();
    finding.next_experiment = Some(
        "order ranks pod by pod, then one pod after the other, and compare ring rates: flat in the first and low in every order of the second is a taper, low in some orders only a few bad uplinks".to_owned(),
    );
    finding
}

fn cuts(map: &Map, table: &Table) -> Vec<Cut> {
    let mut beside: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let mut across: BTreeMap<CutKey, Rounds> = BTreeMap::new();
    let mut cards: BTreeMap<CutKey, f64> = BTreeMap::new();
    for row in &table.rows {
        match row.hop {
            Hop::Leaves => beside.entry(row.tuples).or_default().push(row.rate),
            Hop::Pods(from, to) => {
                let key = (from, to, row.tuples);
                let round = across.entry(key).or_default().entry(row.flow.round).or_default();
                round.0 += row.rate;
                round.1 += 1.0;
                let card = table.elements.get(row.path[0] as usize);
                if let Some(gbps) = card.and_then(|card: &Element| map.declared_gbps(*card)) {
                    let least = cards.entry(key).or_insert(gbps);
                    *least = least.min(gbps);
                }
            }
            Hop::Leaf | Hop::Unknown => {}
        }
    }
    let pods = map.site.of_kind(DomainKind::Pod).count();
    if pods < 2 {
        return Vec::new();
    }
    let cut = |(key, rounds): (&CutKey, &Rounds)| {
        let (from, to, tuples) = *key;
        let flows: f64 = rounds.values().map(|(_, count)| count).sum();
        let mean = rounds.values().map(|(sum, _)| sum).sum::<f64>() / flows;
        let scatter: f64 = rounds.values().map(|(sum, n)| (sum / n - mean).powi(2)).sum();
        let count = rounds.len() as f64;
        let error = if count > 1.0 { (scatter / (count * (count - 1.0))).sqrt() } else { 0.0 };
        let near = beside.get(&tuples).filter(|rates| rates.len() >= FLOWS_LEAST);
        let near = near.map(|rates| rates.iter().sum::<f64>() / rates.len() as f64);
        let near = near.filter(|_| tuples >= TUPLES_LEAST_BESIDE);
        let due = near.or_else(|| Some(cards.get(key)? * hashed_share(tuples)))?;
        let enough = flows as usize >= FLOWS_LEAST && due > 0.0;
        let beside = near.is_some();
        let flows = flows as usize;
        enough.then_some(Cut { from, to, tuples, flows, mean, error, due, beside })
    };
    let mut best: BTreeMap<(DomainIx, DomainIx), Cut> = BTreeMap::new();
    for cut in across.iter().filter_map(cut) {
        // Many tuples collide least: they say most about the cut.
        let known = best.get(&(cut.from, cut.to));
        if known.is_none_or(|known| (cut.tuples, cut.flows) > (known.tuples, known.flows)) {
            best.insert((cut.from, cut.to), cut);
        }
    }
    best.into_values().collect()
}

/// Share of the cards' speed that a 1:1 cut carries with so many five-tuples a pair.
fn hashed_share(tuples: usize) -> f64 {
    let place = (tuples.max(1) as f64).log2().min((HASHED_SHARE.len() - 1) as f64);
    let low = place.floor() as usize;
    let high = (low + 1).min(HASHED_SHARE.len() - 1);
    HASHED_SHARE[low] + (HASHED_SHARE[high] - HASHED_SHARE[low]) * (place - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_hashed_flows_is_the_tables_and_between_its_entries() {
        assert_eq!(hashed_share(0), 0.52);
        assert_eq!(hashed_share(16), 0.955);
        assert!((0.90..0.955).contains(&hashed_share(12)));
        assert_eq!(hashed_share(4096), 0.99);
    }
}
