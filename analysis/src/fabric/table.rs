//! Flows as equations: how much longer a byte took than it usually does, and through what.

use std::collections::BTreeMap;

use super::map::{Element, Hop, Map};
use super::nnls::Columns;
use crate::digest::pairs::{Flow, Pairs};

/// Fewest flows that have a usual rate.
const CLASS_LEAST: usize = 8;
/// Largest excess time of a flow: one that got a twentieth of the usual rate, or nothing.
/// Beyond, the size says more about time-outs than about the part.
const EXCESS_MAX: f64 = 19.0;

/// Flows that may be compared: the same company, the same distance, the same card.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Class<'a> {
    load: Option<&'a str>,
    /// Five-tuples of the pair in the round.
    tuples: usize,
    /// Flows of the whole fabric in the round, by powers of two: rounds of a quiet sweep
    /// are not compared with busy ones.
    company: u32,
    hop: Hop,
    nic: Option<&'a str>,
}

impl Class<'_> {
    fn is_cut(&self) -> bool {
        matches!(self.hop, Hop::Pods(..))
    }

    fn crosses(&self) -> bool {
        self.is_cut() || self.hop == Hop::Leaves
    }

    /// The same class wherever its flows cross.
    fn beyond_pods(&self) -> Self {
        Self { hop: Hop::Leaves, company: 0, ..self.clone() }
    }
}

/// One flow and what is known about it.
pub(super) struct Row<'a> {
    pub(super) flow: &'a Flow,
    pub(super) hop: Hop,
    /// Five-tuples of the same pair and card in the round.
    pub(super) tuples: usize,
    /// Rate of the flow times its tuples: what the pair would get if all went so.
    pub(super) rate: f64,
    /// The usual such rate.
    pub(super) usual: f64,
    /// Excess time for a byte: 0 as usual, 1 for half the rate.
    pub(super) excess: f64,
    /// Gbit/s as they would be if its cut between pods carried what the best does: a taper
    /// slows every card behind it, and is none of their faults.
    pub(super) untapered: f64,
    /// Positions in [`Table::elements`], from sender to receiver.
    pub(super) path: Vec<u32>,
}

/// Everything that can be compared.
pub(super) struct Table<'a> {
    /// By round.
    pub(super) rows: Vec<Row<'a>>,
    /// Every part that a row crosses, ascending.
    pub(super) elements: Vec<Element>,
    pub(super) columns: Columns,
    /// Names of nodes that the site lacks.
    pub(super) strangers: Vec<&'a str>,
    /// Flows without enough others to be compared with.
    pub(super) alone: usize,
}

impl<'a> Table<'a> {
    pub(super) fn new(map: &Map, pairs: &'a Pairs) -> Self {
        let mut strangers = Vec::new();
        let mut routed = Vec::new();
        for flow in pairs.flows() {
            match map.route(flow) {
                Some(route) => routed.push((flow, route)),
                None => strangers.extend(
                    [&*flow.src, &*flow.dst].into_iter().filter(|n| map.site.node_ix(n).is_none()),
                ),
            }
        }
        strangers.sort_unstable();
        strangers.dedup();

        let classes =
            classes(&routed.iter().map(|(flow, route)| (*flow, route.hop)).collect::<Vec<_>>());
        let mut usual: BTreeMap<&Class, Vec<f64>> = BTreeMap::new();
        for ((flow, _), class) in routed.iter().zip(&classes) {
            usual.entry(class).or_default().push(pair_rate(flow, class.tuples));
        }
        let usual: BTreeMap<&Class, f64> = usual
            .into_iter()
            .filter(|(_, rates)| rates.len() >= CLASS_LEAST)
            .filter_map(|(class, mut rates)| Some((class, quantile(&mut rates, 0.5)?)))
            .filter(|(_, middle)| *middle > 0.0)
            .collect();

        let mut best: BTreeMap<Class, f64> = BTreeMap::new();
        for (class, usual) in usual.iter().filter(|(class, _)| class.crosses()) {
            let most = best.entry(class.beyond_pods()).or_default();
            *most = most.max(*usual);
        }

        let mut elements: Vec<Element> =
            routed.iter().flat_map(|(_, route)| route.elements.iter().copied()).collect();
        elements.sort_unstable();
        elements.dedup();
        let mut rows = Vec::new();
        let mut columns = Columns::new(elements.len());
        let mut alone = 0;
        for ((flow, route), class) in routed.iter().zip(&classes) {
            let Some(&usual) = usual.get(class) else {
                alone += 1;
                continue;
            };
            let rate = pair_rate(flow, class.tuples);
            let excess = (usual / rate - 1.0).clamp(0.0, EXCESS_MAX);
            let find = |element: &Element| elements.binary_search(element).unwrap_or(0) as u32;
            let path: Vec<u32> = route.elements.iter().map(find).collect();
            for &column in &path {
                columns.set(column as usize, rows.len() as u32);
            }
            let untapered =
                flow.gbps() * best.get(&class.beyond_pods()).copied().unwrap_or(usual) / usual;
            let untapered = if class.is_cut() { untapered } else { flow.gbps() };
            let (hop, tuples) = (route.hop, class.tuples);
            rows.push(Row { flow, hop, tuples, rate, usual, excess, untapered, path });
        }
        Self { rows, elements, columns, strangers, alone }
    }

    /// Excess times, row by row.
    pub(super) fn excess(&self) -> Vec<f64> {
        self.rows.iter().map(|row| row.excess).collect()
    }
}

/// What the pair would get if all of its tuples went as those of this flow.
fn pair_rate(flow: &Flow, tuples: usize) -> f64 {
    flow.gbps() * tuples as f64 / f64::from(flow.streams)
}

fn classes<'a>(flows: &[(&'a Flow, Hop)]) -> Vec<Class<'a>> {
    type PairKey<'a> = (u32, &'a str, &'a str, Option<&'a str>);
    let key =
        |flow: &'a Flow| -> PairKey<'a> { (flow.round, &flow.src, &flow.dst, flow.nic.as_deref()) };
    let mut tuples: BTreeMap<PairKey, usize> = BTreeMap::new();
    let mut company: BTreeMap<u32, usize> = BTreeMap::new();
    for (flow, _) in flows {
        *tuples.entry(key(flow)).or_default() += flow.streams as usize;
        *company.entry(flow.round).or_default() += 1;
    }
    let class = |(flow, hop): &(&'a Flow, Hop)| Class {
        load: flow.load.as_deref(),
        tuples: tuples[&key(flow)],
        company: company[&flow.round].ilog2(),
        hop: *hop,
        nic: flow.nic.as_deref(),
    };
    flows.iter().map(class).collect()
}

/// The value below which this share of the values lies, without interpolation; sorts them.
pub(super) fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((share * last as f64).round() as usize).copied()
}
