//! Lasting limits: parts that never carried what their like carry.
//!
//! How surprising is it that a part stayed below its best in every visit? Visits of other
//! parts of its sort with as many flows say how often that happens by chance (collisions
//! of hashes, noise), so the bar rises and falls with the schedule by itself: a busy round
//! with few flows proves little, a quiet one much.

use std::collections::{BTreeMap, BTreeSet};

use super::carried::{Sort, Visit};

/// Flows of a visit are counted up to here; more fill a link alike.
const FLOWS_BIN_MAX: u32 = 24;
/// Visits of a bin that speak for chance; with fewer the bin widens to its neighbours.
const PEERS_LEAST: usize = 30;
/// A part is held to its best visit plus this share, so that noise of one visit
/// doesn't decide.
const SLACK: f64 = 0.02;

/// What parts of one sort carry in visits with so many flows.
pub(super) struct Peers {
    /// By sort and flows: each visit's part and its total as a share of the usual most,
    /// ascending by total.
    bins: BTreeMap<(Sort, u32), Vec<(f64, usize)>>,
}

impl Peers {
    pub(super) fn new(sorts: &[Sort], visits: &[Vec<Visit>], usual_most: &[f64]) -> Self {
        let mut bins: BTreeMap<(Sort, u32), Vec<(f64, usize)>> = BTreeMap::new();
        for (part, visits) in visits.iter().enumerate().filter(|(part, _)| usual_most[*part] > 0.0)
        {
            for visit in visits {
                let key = (sorts[part], visit.flows.min(FLOWS_BIN_MAX));
                bins.entry(key).or_default().push((visit.total / usual_most[part], part));
            }
        }
        for bin in bins.values_mut() {
            bin.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        }
        Self { bins }
    }

    /// Natural logarithm of the chance that a sound part stays at or below `share` of the
    /// usual most in all these visits; visits by the same tuples count once.
    pub(super) fn ln_chance(&self, part: usize, sort: Sort, visits: &[Visit], share: f64) -> f64 {
        let mut known: BTreeMap<u32, f64> = BTreeMap::new();
        let mut sum = 0.0;
        let mut proofs: BTreeSet<u64> = BTreeSet::new();
        for visit in visits.iter().filter(|visit| proofs.insert(visit.tuples)) {
            let flows = visit.flows.min(FLOWS_BIN_MAX);
            sum += *known
                .entry(flows)
                .or_insert_with(|| self.ln_one(part, sort, flows, share * (1.0 + SLACK)));
        }
        sum
    }

    fn ln_one(&self, part: usize, sort: Sort, flows: u32, share: f64) -> f64 {
        let (mut low, mut all) = (0_usize, 0_usize);
        for width in 0..=FLOWS_BIN_MAX {
            let edges = if width == 0 {
                vec![flows]
            } else {
                vec![flows.saturating_sub(width), flows + width]
            };
            for bin in edges.into_iter().filter_map(|flows| self.bins.get(&(sort, flows))) {
                let end = bin.partition_point(|(total, _)| *total <= share);
                let own = |half: &[(f64, usize)]| half.iter().filter(|(_, p)| *p == part).count();
                low += end - own(&bin[..end]);
                all += bin.len() - own(bin);
            }
            if all >= PEERS_LEAST {
                break;
            }
        }
        // One more low visit than was seen: what was never seen is not impossible.
        ((low + 1) as f64 / (all + 1) as f64).ln()
    }
}
