//! From rows to tests: which flow was slow for no reason that chance gives.
//!
//! Under max-min sharing every slow flow has a bottleneck: a link that is full and on which
//! nobody gets more than it (Bertsekas and Gallager, Data Networks, 6.5). A flow for which no
//! set of the round's flows could fill a sound link so was slowed by something else.

use std::collections::{BTreeMap, BTreeSet};

use super::super::map::{Element, Map};
use super::sharing::{self, SideFlows};
use crate::digest::pairs::{Flow, Pairs};

/// A flow below this share of the usual rate is slow: seven deviations of host TCP's noise
/// (0.03) below, far above half.
const SLOW_SHARE: f64 = 0.8;
/// A rate or a sum this near to a link's speed fills it: 4.7 deviations of a rate's noise, so
/// that it fails by chance once in a million.
const NEAR: f64 = 0.14;
/// Two rates this near are equal: as many deviations of their difference.
const EQUAL: f64 = 0.2;
/// Rates below a quarter can't be told from their neighbours (1/5 from 1/6) by their number.
const SHARERS_MOST: usize = 4;

/// How a test came out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// At full speed.
    Passed,
    /// Slow, and no collision explains it.
    Failed,
    /// Slow, as a collision may have made it; this share of the round's flows were. Sound
    /// parts are as often in company of such flows as others, a bad part is more often.
    Excused(f64),
}

/// A test that came out slow or not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proof {
    pub(super) round: u32,
    pub(super) outcome: Outcome,
    /// What was tested, with the chance that the test shows a fault there: 1 for what the
    /// flow surely crossed, one in S for some uplink of a leaf with S.
    pub(super) crossed: Vec<(Element, f64)>,
    /// Positions of sender and receiver in the site, of every flow that it may have been.
    pub(super) ends: Vec<(usize, usize)>,
}

/// Flows of a round by what they cross.
type Sharers = BTreeMap<Element, Vec<usize>>;

/// One flow of a round.
struct Ride {
    /// Share of the usual rate.
    rate: f64,
    ends: (usize, usize),
    elements: Vec<Element>,
}

/// The tests of all rounds.
pub(super) fn proofs(map: &Map, pairs: &Pairs) -> Vec<Proof> {
    let Some(usual) = usual_gbps(pairs) else { return Vec::new() };
    let mut rounds: BTreeMap<u32, Vec<Ride>> = BTreeMap::new();
    for flow in pairs.flows() {
        if let Some(ride) = ride(map, flow, usual) {
            rounds.entry(flow.round).or_default().push(ride);
        }
    }
    rounds.iter().flat_map(|(round, rides)| round_proofs(map, *round, rides)).collect()
}

/// What a flow gets that nothing slows: the middle of the fastest. In rounds with one flow a
/// card most that share nothing run at their card's speed.
fn usual_gbps(pairs: &Pairs) -> Option<f64> {
    let mut rates: Vec<f64> = pairs.flows().map(Flow::gbps).collect();
    rates.sort_unstable_by(f64::total_cmp);
    let fast = *rates.get((rates.len() * 19 / 20).min(rates.len().checked_sub(1)?))?;
    let from = rates.partition_point(|rate| *rate < SLOW_SHARE * fast);
    let usual = rates[from..].get((rates.len() - from) / 2).copied()?;
    (usual > 0.0).then_some(usual)
}

fn ride(map: &Map, flow: &Flow, usual: f64) -> Option<Ride> {
    let route = map.route(flow)?;
    let ends = (map.site.node_ix(&flow.src)?.index(), map.site.node_ix(&flow.dst)?.index());
    Some(Ride { rate: flow.gbps() / usual, ends, elements: route.elements })
}

fn round_proofs(map: &Map, round: u32, rides: &[Ride]) -> Vec<Proof> {
    let mut sharers: Sharers = BTreeMap::new();
    for (at, ride) in rides.iter().enumerate() {
        ride.elements.iter().for_each(|part| sharers.entry(*part).or_default().push(at));
    }
    let mut proofs = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for (at, ride) in rides.iter().enumerate() {
        if ride.rate >= SLOW_SHARE {
            let crossed = ride.elements.iter().map(|part| (*part, chance(map, *part))).collect();
            proofs.push(Proof { round, outcome: Outcome::Passed, crossed, ends: vec![ride.ends] });
        } else if !ride.elements.iter().any(|part| fills(*part, at, rides, &sharers)) {
            open.push(at);
        }
    }
    let mut crowds: BTreeSet<usize> = BTreeSet::new();
    for (part, flows) in &sharers {
        if is_some_uplink(*part) && only_meet_here(*part, flows, rides, &sharers) {
            proofs.extend(uneven(map, round, (*part, flows), rides));
            crowds.extend(flows);
        }
    }
    open.retain(|flow| !crowds.contains(flow));
    proofs.extend(left_over(map, round, rides, &open));
    proofs.extend(excused(round, rides, &crowds, &proofs));
    // A cable that several flows filled carried its speed, however little each got.
    for (part, flows) in sharers.iter().filter(|(part, _)| matches!(part, Element::Link(..))) {
        let sum: f64 = flows.iter().map(|flow| rides[*flow].rate).sum();
        if flows.len() > 1 && sum >= 1.0 - NEAR {
            let crossed = vec![(*part, 1.0)];
            proofs.push(Proof { round, outcome: Outcome::Passed, crossed, ends: Vec::new() });
        }
    }
    proofs
}

/// Slow flows that no failure may be: they say a little of their cards. Not where a side's
/// nodes were sent out together, who collide more than others do.
fn excused(round: u32, rides: &[Ride], crowds: &BTreeSet<usize>, proofs: &[Proof]) -> Vec<Proof> {
    let failures = proofs.iter().filter(|proof| proof.outcome == Outcome::Failed);
    let failed: BTreeSet<(usize, usize)> =
        failures.flat_map(|proof| proof.ends.iter().copied()).collect();
    let alike = || rides.iter().enumerate().filter(|(at, _)| !crowds.contains(at));
    let is_slow = |ride: &Ride| ride.rate < SLOW_SHARE && !failed.contains(&ride.ends);
    let slow: Vec<&Ride> = alike().map(|(_, ride)| ride).filter(|ride| is_slow(ride)).collect();
    let share = slow.len() as f64 / alike().count().max(1) as f64;
    let is_card = |part: &&Element| matches!(part, Element::HostUp(..) | Element::HostDown(..));
    let proof = |ride: &&Ride| {
        let crossed = ride.elements.iter().filter(is_card).map(|part| (*part, 1.0)).collect();
        Proof { round, outcome: Outcome::Excused(share), crossed, ends: vec![ride.ends] }
    };
    slow.iter().map(proof).collect()
}

/// Slow flows that no collision explains, wherever uplinks are unknown; and the uplinks that
/// collisions filled.
fn left_over(map: &Map, round: u32, rides: &[Ride], open: &[usize]) -> Vec<Proof> {
    let mut sides: BTreeMap<Element, Vec<usize>> = BTreeMap::new();
    for &flow in open {
        let own = rides[flow].elements.iter().filter(|part| is_some_uplink(**part));
        own.for_each(|part| sides.entry(*part).or_default().push(flow));
    }
    let sides: Vec<_> = sides.into_iter().map(|(side, slow)| SideFlows { side, slow }).collect();
    let shared = sharing::explain(&sides, |set| slowed_together(rides, set));
    let filled = shared.filled.iter().map(|side| Proof {
        round,
        outcome: Outcome::Passed,
        crossed: vec![(*side, chance(map, *side))],
        ends: Vec::new(),
    });
    let mut proofs: Vec<Proof> = filled.collect();
    // Flows on known cables are on no side: nothing was there to excuse them.
    let mut left = shared.left;
    let bare = |flow: &usize| !rides[*flow].elements.iter().any(|part| is_some_uplink(*part));
    left.extend(open.iter().copied().filter(bare).map(|flow| (flow, 1.0)));
    for group in together(rides, &left) {
        let mut crossed: BTreeMap<Element, f64> = BTreeMap::new();
        for flow in &group {
            for part in &rides[*flow].elements {
                *crossed.entry(*part).or_default() += left[flow] * chance(map, *part);
            }
        }
        let crossed = crossed.into_iter().map(|(part, share)| (part, share.min(1.0))).collect();
        let ends = group.iter().map(|flow| rides[*flow].ends).collect();
        proofs.push(Proof { round, outcome: Outcome::Failed, crossed, ends });
    }
    proofs
}

/// Who of a set was slowed by the cable that it filled: those that got the most.
fn slowed_together(rides: &[Ride], set: &[usize]) -> Option<Vec<usize>> {
    let rates = set.iter().map(|flow| rides[*flow].rate);
    let most = rates.clone().fold(0.0, f64::max);
    let fills = (rates.sum::<f64>() - 1.0).abs() <= NEAR;
    let slowed = |flow: &&usize| rides[**flow].rate * (1.0 + EQUAL) >= most;
    fills.then(|| set.iter().filter(slowed).copied().collect())
}

/// Flows that are surely left over each by itself; those of which some are, side by side.
fn together(rides: &[Ride], left: &BTreeMap<usize, f64>) -> Vec<Vec<usize>> {
    let sure = left.iter().filter(|(_, share)| **share >= 1.0);
    let mut groups: Vec<Vec<usize>> = sure.map(|(flow, _)| vec![*flow]).collect();
    let mut doubtful: Vec<Vec<usize>> = Vec::new();
    for (flow, _) in left.iter().filter(|(_, share)| **share < 1.0) {
        let mut joined = vec![*flow];
        doubtful.retain(|group| {
            let parts = |flow: &usize| rides[*flow].elements.clone();
            let own: Vec<Element> = joined.iter().flat_map(parts).collect();
            let touches = group.iter().flat_map(parts).any(|part| own.contains(&part));
            if touches {
                joined.extend(group);
            }
            !touches
        });
        doubtful.push(joined);
    }
    groups.extend(doubtful);
    groups
}

fn is_some_uplink(part: Element) -> bool {
    matches!(part, Element::LeafUp(_) | Element::LeafDown(_))
}

fn chance(map: &Map, part: Element) -> f64 {
    match part {
        Element::LeafUp(leaf) | Element::LeafDown(leaf) => {
            1.0 / map.uplinks(leaf).len().max(1) as f64
        }
        _ => 1.0,
    }
}

/// Whether flows of a leaf side can collide nowhere else: then what is slow among them must
/// come in full sets.
fn only_meet_here(here: Element, flows: &[usize], rides: &[Ride], sharers: &Sharers) -> bool {
    let alone = |part: &Element| *part == here || sharers[part].len() == 1;
    flows.len() > 1 && flows.iter().all(|flow| rides[*flow].elements.iter().all(alone))
}

/// Flows on one cable of many share it evenly: q sound sharers get 1/q each, so flows at 1/q
/// come by q. What is left over, or at a rate that no number of sharers gives, was slowed.
fn uneven(map: &Map, round: u32, (here, flows): (Element, &[usize]), rides: &[Ride]) -> Vec<Proof> {
    let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &flow in flows.iter().filter(|flow| rides[**flow].rate < SLOW_SHARE) {
        let rate = rides[flow].rate;
        let sharers = (1.0 / rate.max(f64::MIN_POSITIVE)).round() as usize;
        let even = sharers > 1 && (rate * sharers as f64 - 1.0).abs() <= NEAR;
        // Number 1 stands for rates that no number of sharers gives.
        sets.entry(if even || sharers > SHARERS_MOST { sharers } else { 1 })
            .or_default()
            .push(flow);
    }
    // Too slow to be counted, but together too slow to fill anything.
    let pool: Vec<usize> = sets.split_off(&(SHARERS_MOST + 1)).into_values().flatten().collect();
    if pool.iter().map(|flow| rides[*flow].rate).sum::<f64>() < 1.0 - NEAR {
        sets.entry(1).or_default().extend(pool);
    }
    let mut proofs = Vec::new();
    for (sharers, set) in sets.into_iter().filter(|(_, set)| !set.is_empty()) {
        let left = if sharers == 1 { set.len() } else { set.len() % sharers };
        if left == 0 {
            continue;
        }
        let share = left as f64 / set.len() as f64;
        let mut crossed = vec![(here, chance(map, here))];
        let others = set.iter().flat_map(|flow| &rides[*flow].elements).filter(|e| **e != here);
        crossed.extend(others.map(|part| (*part, share * chance(map, *part))));
        let ends = set.iter().map(|flow| rides[*flow].ends).collect();
        proofs.push(Proof { round, outcome: Outcome::Failed, crossed, ends });
    }
    proofs
}

/// Whether the flows through a known cable or card filled it, this one being as fast as any.
fn fills(part: Element, at: usize, rides: &[Ride], sharers: &Sharers) -> bool {
    let own = rides[at].rate;
    let all = &sharers[&part];
    !is_some_uplink(part)
        && all.len() > 1
        && all.iter().all(|flow| rides[*flow].rate <= own * (1.0 + EQUAL))
        && all.iter().map(|flow| rides[*flow].rate).sum::<f64>() >= 1.0 - NEAR
}
