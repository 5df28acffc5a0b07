//! Rounds of a pairs phase on a site's fabric: every node meets another at the same time.

use std::collections::BTreeMap;

use model::rounds::{circle, circle_rounds, quiet, quiet_rounds};
use model::table::PairRow;

use super::dice::{Dice, mix};
use super::fair::fair_rates;
use super::harm::Harm;
use super::round::{MEASURED_S, NOISE};
use super::schedule::{SPORT_FIRST, SPORTS};
use super::wiring::Wiring;

/// Rows of one round from which cards take turns, rail by rail: the fabric of each rail is
/// as full as before.
const ROUND_ROWS_MOST: usize = 16_384;

/// Who meets whom, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Meeting<'a> {
    pub wiring: &'a Wiring,
    pub harms: &'a [Harm],
    /// Nodes that take part, by position in the site.
    pub nodes: Vec<usize>,
    /// Five-tuples of each pair and card.
    pub streams: usize,
    /// Both directions at the same time; else one after the other.
    pub both_ways: bool,
    /// No two flows on one uplink of a leaf.
    pub quiet: bool,
    /// Whether devices work meanwhile.
    pub loaded: bool,
    pub seed: u64,
}

/// When a round is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct When {
    /// In the phase.
    pub round: usize,
    /// In the whole run.
    pub number: u32,
    /// Seconds from the start of the run.
    pub at_s: f64,
    /// The same instant in nanoseconds since the Unix epoch.
    pub time_ns: i64,
}

/// One flow on its way.
struct Flow {
    src: usize,
    dst: usize,
    rail: usize,
    sport: u16,
    switches: Vec<usize>,
}

impl Meeting<'_> {
    /// Rows of one round, at most.
    #[must_use]
    pub fn rows_of_round(&self) -> usize {
        let turns = self.turns();
        self.rows_of_all_rails().div_ceil(turns)
    }

    fn rows_of_all_rails(&self) -> usize {
        let cards: usize = self.nodes.iter().map(|node| self.wiring.by_node[*node].len()).sum();
        cards * self.streams / if self.both_ways { 1 } else { 2 }
    }

    /// Rounds after which every rail had its turn.
    fn turns(&self) -> usize {
        let rails = self.wiring.rails.len().max(1);
        if self.rows_of_all_rails() > ROUND_ROWS_MOST { rails } else { 1 }
    }

    /// The rows of one round. Nodes that are not `present` meet nobody, and what no cable
    /// leads to is no row.
    #[must_use]
    pub fn round(&self, when: When, present: &[bool]) -> Vec<PairRow> {
        let to_s = when.at_s + MEASURED_S;
        let left: Vec<f64> = self.harms.iter().map(|harm| harm.left(when.at_s, to_s)).collect();
        let mut capacities = self.wiring.capacities.clone();
        for (harm, left) in self.harms.iter().zip(&left) {
            harm.strike(*left, &mut capacities);
        }
        let (mut flows, mut paths) = (Vec::new(), Vec::new());
        for (src, dst) in self.pairs(when.round) {
            if !(present[src] && present[dst]) {
                continue;
            }
            for rail in self.rails(when.round) {
                self.send((src, dst, rail), when, &left, &mut capacities, |flow, path| {
                    flows.push(flow);
                    paths.push(path);
                });
            }
        }
        let rates = fair_rates(&capacities, &paths);
        let mut noise = Dice::new(self.seed, (5 << 40) + u64::from(when.number));
        let measured = rates.into_iter().map(|rate| rate * (NOISE * noise.normal()).exp());
        flows.iter().zip(measured).map(|(flow, gbps)| self.row(when, flow, gbps)).collect()
    }

    /// Directed pairs of a round: a circle over all nodes, or a quiet sweep over their leaves,
    /// in an order drawn by lot, a new order when it is through.
    fn pairs(&self, round: usize) -> Vec<(usize, usize)> {
        // Rails take turns first, then directions, then partners.
        let step = round / self.turns();
        let meeting = if self.both_ways { step } else { step / 2 };
        let order = |wheel: usize| {
            let mut order = self.nodes.clone();
            Dice::new(self.seed, (3 << 40) + (meeting / wheel) as u64).shuffle(&mut order);
            order
        };
        let met: Vec<(usize, usize)> = if self.quiet {
            let wheel = quiet_rounds(&self.leaves(&self.nodes)).max(1);
            quiet(&self.leaves(&order(wheel)), meeting % wheel)
        } else {
            let count = self.nodes.len();
            let wheel = circle_rounds(count).max(1);
            let order = order(wheel);
            circle(count, meeting % wheel).into_iter().map(|(a, b)| (order[a], order[b])).collect()
        };
        met.into_iter()
            .flat_map(|(a, b)| match (self.both_ways, step % 2) {
                (true, _) => vec![(a, b), (b, a)],
                (false, 0) => vec![(a, b)],
                (false, _) => vec![(b, a)],
            })
            .collect()
    }

    /// Nodes by the leaves that they are plugged into, in the order given.
    fn leaves(&self, nodes: &[usize]) -> Vec<Vec<usize>> {
        let mut leaves: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        for &node in nodes {
            leaves.entry(self.wiring.leaves_of(node)).or_default().push(node);
        }
        leaves.into_values().collect()
    }

    fn rails(&self, round: usize) -> Vec<usize> {
        let all = 0..self.wiring.rails.len();
        let turns = self.turns();
        if turns > 1 { vec![round % turns] } else { all.collect() }
    }

    /// The flows of one pair on one rail, fresh source ports in each round.
    fn send(
        &self,
        (src, dst, rail): (usize, usize, usize),
        when: When,
        left: &[f64],
        capacities: &mut Vec<f64>,
        mut add: impl FnMut(Flow, Vec<usize>),
    ) {
        let port = |node: usize| self.wiring.by_node[node].get(&rail).copied();
        let Some((from, to)) = port(src).zip(port(dst)) else { return };
        let mut held = Vec::new();
        for (_, left) in self.harms.iter().zip(left).filter(|(harm, _)| harm.parts(src, dst)) {
            held.push(capacities.len());
            capacities.push(self.wiring.port_gbps(from) * left);
        }
        let purpose = mix((from as u64) << 32 | to as u64) ^ u64::from(when.number);
        let mut dice = Dice::new(self.seed ^ (4 << 40), purpose);
        let mut ports: Vec<u16> = Vec::with_capacity(self.streams);
        while ports.len() < self.streams.min(SPORTS) {
            let sport = SPORT_FIRST + dice.below(SPORTS) as u16;
            if ports.contains(&sport) {
                continue;
            }
            ports.push(sport);
            let tuple = mix(mix(mix(self.seed ^ from as u64) ^ to as u64) ^ u64::from(sport));
            let Some(way) = self.wiring.way(from, to, tuple) else { return };
            let links = way.links.into_iter().chain(held.iter().copied()).collect();
            add(Flow { src, dst, rail, sport, switches: way.switches }, links);
        }
    }

    fn row(&self, when: When, flow: &Flow, gbps: f64) -> PairRow {
        let names = &self.wiring.switch_names;
        let via: Vec<&str> = flow.switches.iter().map(|at| names[*at].as_str()).collect();
        PairRow {
            time_ns: when.time_ns,
            round: when.number,
            src: self.wiring.node_names[flow.src].clone(),
            dst: self.wiring.node_names[flow.dst].clone(),
            sport: Some(u64::from(flow.sport)),
            gbps: Some(gbps),
            seconds: Some(MEASURED_S),
            nic: self.wiring.rails[flow.rail].clone(),
            load: Some(if self.loaded { "loaded" } else { "idle" }.to_owned()),
            via: (!via.is_empty()).then(|| via.join(">")),
            ..PairRow::default()
        }
    }
}
