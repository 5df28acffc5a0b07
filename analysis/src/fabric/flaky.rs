//! Links that come and go: bad in more rounds than chance makes them, sound in others.
//!
//! In a bad round every flow through the part is slow, the fastest too. How often that
//! happens to sound parts with as many flows, because all of them collide elsewhere, is
//! read off the other parts. A good round never takes a bad one back.

use std::collections::{BTreeMap, BTreeSet};

use model::finding::{Blame, Effect, Finding, FindingKind, Severity, Standing};

use super::ambiguity::rivals;
use super::carried::Sort;
use super::experiment;
use super::map::Element;
use super::name::suspect;
use super::slow::gbps;
use super::study::Study;
use crate::case::utc;
use crate::diagnose::draft;

/// A round is bad when the fastest flow through a part got less than this share of what
/// its part of the capacity would be. Both are asked: a mild fault needs the first, and a
/// deep one shows in the second even where so few flows cross that collisions elsewhere
/// make sound parts look mildly bad.
const BAD_SHARES: [f64; 2] = [0.6, 0.45];
/// Largest chance that any sound part of the whole fabric looks so. Chances are rounded up
/// wherever few visits speak for them, so sound fabrics stay far below: calibrated,
/// docs/calibration.md.
const CHANCE_MOST: f64 = 0.03;
/// Visits count when sound parts with as many flows look bad no more often than this.
const TELLING_MOST: f64 = 0.02;
/// Fewest bad rounds of a part that is called flaky: two may be one bad minute.
const BAD_LEAST: usize = 3;
/// Findings at most: with more, the fabric as a whole is unsteady and each says little.
const FINDINGS_MAX: usize = 16;
/// Visits with so many flows or more, up to the next entry, are compared with each other:
/// few flows collide elsewhere together by chance, many hardly ever.
const FLOWS_BINS: [usize; 8] = [1, 2, 3, 4, 6, 9, 14, 24];
/// Rivals named beside a suspect.
const RIVALS_NAMED: usize = 12;

/// One visit with the rows that no found fault explains.
struct Look {
    time_ns: i64,
    rows: Vec<u32>,
    /// While rows are added all flows, then their bin.
    flows: usize,
    /// The fastest flow over what it should have had.
    speed: f64,
}

/// By sort and bin of flows: bad visits, and all.
type Chances = BTreeMap<(Sort, usize), (usize, usize)>;

struct Candidate {
    at: usize,
    ln_chance: f64,
    bad: Vec<Look>,
    rounds: usize,
}

/// Findings of flaky parts, beside the parts that are slow for good. Some uplink of a leaf is
/// never called flaky: flows that take turns on a slow one and a sound one look the same.
pub(super) fn findings(study: &Study, lasting: &BTreeSet<usize>) -> Vec<(usize, Finding)> {
    let mut explained = vec![false; study.table.rows.len()];
    let mut told = lasting.clone();
    for at in lasting {
        mark(&mut explained, study.table.columns.rows(*at));
    }
    let mut findings = Vec::new();
    while findings.len() < FINDINGS_MAX {
        let Some(worst) = worst(study, &explained, &told) else { break };
        for look in &worst.bad {
            mark(&mut explained, &look.rows);
        }
        told.insert(worst.at);
        findings.push((worst.at, finding(study, &worst)));
    }
    findings
}

fn mark(explained: &mut [bool], rows: &[u32]) {
    rows.iter().for_each(|row| explained[*row as usize] = true);
}

fn worst(study: &Study, explained: &[bool], told: &BTreeSet<usize>) -> Option<Candidate> {
    let looks: Vec<Vec<Look>> =
        (0..study.parts.len()).map(|at| looks(study, explained, at)).collect();
    let family = ((study.parts.len() * BAD_SHARES.len()) as f64).ln();
    let mut worst: Option<(usize, f64, f64)> = None;
    for bad_share in BAD_SHARES {
        let mut chance: Chances = BTreeMap::new();
        for (at, looks) in looks.iter().enumerate() {
            for look in looks {
                let (bad, all) = chance.entry((study.carried.sorts[at], look.flows)).or_default();
                *bad += usize::from(look.speed < bad_share);
                *all += 1;
            }
        }
        for (at, looks) in looks.iter().enumerate().filter(|(at, _)| !told.contains(at)) {
            if matches!(study.parts[at].element, Element::LeafUp(_) | Element::LeafDown(_)) {
                continue;
            }
            let sort = study.carried.sorts[at];
            let Some(ln_chance) = ln_chance(looks, bad_share, sort, &chance) else { continue };
            let likelier = worst.is_none_or(|(_, least, _)| ln_chance < least);
            if likelier && ln_chance + family <= CHANCE_MOST.ln() {
                worst = Some((at, ln_chance, bad_share));
            }
        }
    }
    let (at, ln_chance, bad_share) = worst?;
    let looks = looks.into_iter().nth(at)?;
    let rounds = looks.len();
    let bad = looks.into_iter().filter(|look| look.speed < bad_share).collect();
    Some(Candidate { at, ln_chance, bad, rounds })
}

/// Visits of a part, each with what is left unexplained of it; fully explained ones are gone.
fn looks(study: &Study, explained: &[bool], at: usize) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    let capacity = study.parts[at].usual_most;
    let mut round = None;
    let mut usual: f64 = 0.0;
    let mut fastest: f64 = 0.0;
    let close = |looks: &mut Vec<Look>, usual: f64, fastest: f64| {
        if let Some(look) = looks.last_mut() {
            let due = usual.min(capacity / look.flows.max(1) as f64);
            look.speed = if due > 0.0 { fastest / due } else { 1.0 };
            look.flows = FLOWS_BINS.partition_point(|least| *least <= look.flows);
        }
        looks.pop_if(|look| look.rows.is_empty());
    };
    for row in study.table.columns.rows(at) {
        let seen = &study.table.rows[*row as usize];
        if round != Some(seen.flow.round) {
            close(&mut looks, usual, fastest);
            round = Some(seen.flow.round);
            (usual, fastest) = (0.0, 0.0);
            let time_ns = seen.flow.time_ns;
            looks.push(Look { time_ns, rows: Vec::new(), flows: 0, speed: 1.0 });
        }
        if let Some(look) = looks.last_mut() {
            look.flows += 1;
            if !explained[*row as usize] {
                look.rows.push(*row);
                fastest = fastest.max(seen.untapered);
                usual = usual.max(seen.untapered * seen.usual / seen.rate.max(f64::MIN_POSITIVE));
            }
        }
    }
    close(&mut looks, usual, fastest);
    looks
}

/// Natural logarithm of a bound on the chance of so many events where fewer are expected:
/// the first term of Poisson's tail over one minus the ratio of the next.
fn ln_poisson_tail(events: f64, expected: f64) -> f64 {
    let factorial: f64 = (1..=events as u32).map(|n| f64::from(n).ln()).sum();
    let first = events * expected.ln() - expected - factorial;
    (first - (1.0 - expected / (events + 1.0)).ln()).min(0.0)
}

/// Natural logarithm of the chance of so many bad visits, each rare (Le Cam: then their
/// number is nearly Poisson's); `None` when they are no more than expected or too few.
fn ln_chance(looks: &[Look], bad_share: f64, sort: Sort, chance: &Chances) -> Option<f64> {
    let bad = looks.iter().filter(|look| look.speed < bad_share).count();
    if bad == looks.len() {
        return None;
    }
    let mut own: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for look in looks {
        let (bad, all) = own.entry(look.flows).or_default();
        *bad += usize::from(look.speed < bad_share);
        *all += 1;
    }
    // Visits in which sound parts often look bad say nothing either way.
    let (mut bad, mut expected) = (0.0, 0.0);
    for (flows, (own_bad, own_all)) in own {
        let (all_bad, all) = chance.get(&(sort, flows)).copied().unwrap_or_default();
        let others = ((all_bad - own_bad) as f64 + 0.5) / ((all - own_all) as f64 + 1.0);
        if others <= TELLING_MOST {
            bad += own_bad as f64;
            expected += others * own_all as f64;
        }
    }
    (bad > expected && bad >= BAD_LEAST as f64).then(|| ln_poisson_tail(bad, expected))
}

fn finding(study: &Study, worst: &Candidate) -> Finding {
    let part = &study.parts[worst.at];
    let name = suspect(study.map.site, part.element);
    let graded = (Standing::Confirmed, Severity::Major);
    let mut finding = draft(FindingKind::FlakyLink, Blame::Facility, graded, name.clone());
    let (bad, rounds) = (worst.bad.len(), worst.rounds);
    finding.evidence.push(format!(
        "{}: bad in {bad} of {rounds} rounds, in which even its fastest flow was slow; at best it carried {} Gbit/s",
        name.id,
        gbps(part.most)
    ));
    let slowest = worst.bad.iter().min_by(|a, b| a.speed.total_cmp(&b.speed));
    if let Some(slowest) = slowest {
        let when = utc(slowest.time_ns).unwrap_or_else(|| "an unknown time".to_owned());
        let percent = slowest.speed * 100.0;
        finding.evidence.push(format!("worst at {when}: {percent:.0} % of its due"));
        finding.effect = Some(Effect {
            metric: "gbps".to_owned(),
            relative: Some(slowest.speed - 1.0),
            absolute: None,
            unit: "Gbit/s".to_owned(),
        });
    }
    // Jeffreys' prior: Beta(b + 1/2, n - b + 1/2) has this mean.
    let rate = (bad as f64 + 0.5) / (rounds as f64 + 1.0);
    finding.evidence.push(format!("bad about {:.0} % of the time", rate * 100.0));
    let chance = worst.ln_chance.exp();
    finding.p_value = Some(chance);
    finding.q_value = Some((chance * study.parts.len() as f64).min(1.0));
    let open = twins(study, worst);
    finding.cannot_exclude =
        open.iter().take(RIVALS_NAMED).map(|e| suspect(study.map.site, *e)).collect();
    finding.action = format!("read the flap and error counters of {}; reseat or swap it", name.id);
    finding.next_experiment = Some(experiment::next(&study.map, part.element, &open));
    finding
}

/// Parts that share the rows of most bad rounds: they flake together in what was seen.
fn twins(study: &Study, worst: &Candidate) -> Vec<Element> {
    /// A part on this share of the slow flows can't be told from the suspect.
    const SHARED_LEAST: f64 = 0.95;
    let slow: Vec<u32> = worst.bad.iter().flat_map(|look| look.rows.iter().copied()).collect();
    let mut shared: BTreeMap<u32, usize> = BTreeMap::new();
    for row in &slow {
        for part in &study.table.rows[*row as usize].path {
            *shared.entry(*part).or_default() += 1;
        }
    }
    let mut open: BTreeSet<usize> = shared
        .into_iter()
        .filter(|(_, count)| *count as f64 >= SHARED_LEAST * slow.len() as f64)
        .map(|(part, _)| part as usize)
        .collect();
    // Identical columns flake alike, whatever the rounds.
    open.extend(
        rivals(&study.table, &study.fit, worst.at)
            .into_iter()
            .filter(|rival| study.table.columns.rows(*rival) == study.table.columns.rows(worst.at)),
    );
    open.remove(&worst.at);
    open.into_iter().map(|part| study.parts[part].element).collect()
}
