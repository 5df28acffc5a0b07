//! Transfers between pairs, over the fabric that the site describes.

use model::table::PairRow;

use super::{START_NS, World};
use crate::fabric::{Meeting, NoFabric, When};

/// A round every so often: set-up, warm-up and less than a second measured.
const ROUND_S: f64 = 2.0;
/// Rows of one phase, about: enough to see every cable of a hall many times, and a judge
/// reads them in a second or two.
const PHASE_ROWS: usize = 20_000;
/// Fewest rounds of a phase, however many rows that makes: fewer tell no part from another.
const ROUNDS_LEAST: usize = 16;

impl World {
    /// What transfers between pairs show, in order of time: rows for every phase of the
    /// plan with pairs, bounded in number by spreading fewer rounds over the phase on
    /// large sites. No row for a plan without such a phase.
    ///
    /// # Errors
    /// When the site does not describe a fabric.
    pub fn pairs(&self) -> Result<Vec<PairRow>, NoFabric> {
        let wiring = self.wiring.as_ref().map_err(|none| *none)?;
        let mut rows = Vec::new();
        let mut number = 0_u32;
        for segment in &self.segments {
            let Some(exchange) = segment.exchange else { continue };
            let on = segment.on.iter().enumerate().filter_map(|(node, on)| on.then_some(node));
            let meeting = Meeting {
                wiring,
                harms: &self.harms,
                nodes: on.collect(),
                streams: exchange.streams,
                both_ways: exchange.both_ways,
                quiet: exchange.quiet,
                loaded: exchange.loaded,
                seed: self.seed,
            };
            let rounds = rounds(segment.seconds, meeting.rows_of_round());
            let every_s = segment.seconds / rounds.max(1) as f64;
            for round in 0..rounds {
                let at_s = segment.start_s + (round as f64 + 0.5) * every_s;
                let time_ns = START_NS + (at_s * 1e9) as i64;
                rows.extend(
                    meeting.round(When { round, number, at_s, time_ns }, &self.present(at_s)),
                );
                number += 1;
            }
        }
        Ok(rows)
    }

    /// Of each node: whether it is there.
    fn present(&self, at_s: f64) -> Vec<bool> {
        let made = self.made();
        let shares = self.faults.shares(made, at_s, at_s + 1.0);
        self.faults.effects(made, &shares).nodes.iter().map(|node| node.present).collect()
    }
}

fn rounds(seconds: f64, rows: usize) -> usize {
    let most = (seconds / ROUND_S) as usize;
    (PHASE_ROWS / rows.max(1)).max(ROUNDS_LEAST).min(most)
}
