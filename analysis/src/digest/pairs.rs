//! Transfers between pairs: the rows of pair tables, kept so that no order shows.
//!
//! Which flows ran at the same time decides what they can tell about the fabric, so rows
//! are kept, not summed. A row that comes twice is one row. Past [`FLOWS_MAX`] whole rounds
//! are left out, chosen by a hash of their number: the same ones from any order and split.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::NodeName;
use model::plan::{Plan, Traffic};
use model::record::Transfer;
use model::table::PairRow;

/// Most flows kept: every ordered pair of 1,024 nodes once, in about 150 MB.
pub const FLOWS_MAX: usize = 1 << 20;
/// Rates are kept as whole kbit/s, so that equality is equality: far below any noise.
const KBPS_PER_GBPS: f64 = 1e6;
/// Faster than any link of this century, in Gbit/s: above it a number is no rate.
const GBPS_MAX: f64 = 1e9;
/// Rounds are thinned by halves at most this often: one in a billion remains.
const LEVEL_MAX: u32 = 30;

/// One directed transfer that was measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Flows of one round ran at the same time.
    pub round: u32,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Source port; `None` where the table has none.
    pub sport: Option<u32>,
    /// Five-tuples that the rate is of: 1 but for an agent's transfer over several streams.
    pub streams: u32,
    kbps: u64,
    /// Node that sent.
    pub src: Arc<str>,
    /// Node that received.
    pub dst: Arc<str>,
    /// Network card of the sender.
    pub nic: Option<Arc<str>>,
    /// Switches or link that carried it, as the table says.
    pub via: Option<Arc<str>>,
    /// `idle`, `loaded` or whatever else the table calls it.
    pub load: Option<Arc<str>>,
}

impl Flow {
    /// The measured rate in Gbit/s, never negative.
    #[must_use]
    pub fn gbps(&self) -> f64 {
        self.kbps as f64 / KBPS_PER_GBPS
    }
}

/// Every pair table, folded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pairs {
    flows: BTreeSet<Flow>,
    /// One allocation for each name, however many rows say it.
    names: BTreeSet<Arc<str>>,
    /// Rows without a usable rate, or from a node to itself.
    refused: u64,
    /// How often the rounds were halved.
    level: u32,
}

impl Pairs {
    /// Counts every row.
    pub fn add(&mut self, rows: &[PairRow]) {
        for row in rows {
            match self.flow(row) {
                Some(flow) => self.keep(flow),
                None => self.refused += 1,
            }
        }
    }

    /// Adds another's rows.
    pub fn merge(&mut self, other: Self) {
        self.refused += other.refused;
        self.raise(other.level);
        self.names.extend(other.names);
        for flow in other.flows {
            self.keep(flow);
        }
    }

    /// Every flow that was kept, by round.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter()
    }

    /// How many flows are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether no flow is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Rows without a rate that is a number from zero up, or without two different nodes.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// About which share of the rounds was kept; less than one when memory's bound was met.
    #[must_use]
    pub fn share_kept(&self) -> f64 {
        0.5_f64.powi(i32::try_from(self.level).unwrap_or(i32::MAX))
    }

    fn flow(&mut self, row: &PairRow) -> Option<Flow> {
        let gbps = row.gbps.filter(|gbps| (0.0..=GBPS_MAX).contains(gbps))?;
        if row.src == row.dst || row.src.is_empty() || row.dst.is_empty() {
            return None;
        }
        Some(Flow {
            round: row.round,
            time_ns: row.time_ns,
            sport: row.sport.and_then(|port| u32::try_from(port).ok()),
            streams: row.streams.unwrap_or(1).max(1),
            kbps: (gbps * KBPS_PER_GBPS).round() as u64,
            src: self.name(&row.src),
            dst: self.name(&row.dst),
            nic: row.nic.as_deref().map(|name| self.name(name)),
            via: row.via.as_deref().map(|name| self.name(name)),
            load: row.load.as_deref().map(|name| self.name(name)),
        })
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.names.insert(Arc::clone(&new));
        new
    }

    fn keep(&mut self, flow: Flow) {
        if depth(flow.round) < self.level {
            return;
        }
        self.flows.insert(flow);
        while self.flows.len() > FLOWS_MAX && self.level < LEVEL_MAX {
            self.raise(self.level + 1);
        }
    }

    fn raise(&mut self, level: u32) {
        if level > self.level {
            self.flows.retain(|flow| depth(flow.round) >= level);
            self.level = level;
        }
    }
}

/// A phase of transfers between pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PairPhase {
    /// Its place in the plan: slots of two phases never ran at the same time.
    place: u32,
    loaded: bool,
}

/// Slots of a phase are numbered below this: half a million seconds of the quickest.
const SLOTS_MAX: u32 = 1 << 20;

/// The phases of a plan that hold transfers, by name.
pub(super) fn pair_phases(plan: &Plan) -> BTreeMap<String, PairPhase> {
    let named = plan.phases.iter().zip(0..).filter_map(|(phase, place)| {
        let loaded = phase.load.is_some();
        matches!(phase.traffic, Some(Traffic::Pairs { .. }))
            .then(|| (phase.name.clone(), PairPhase { place, loaded }))
    });
    named.collect()
}

/// An agent's transfer as a row of a table of pairs, so that both are judged alike.
pub(super) fn flow_row(src: &NodeName, phase: &PairPhase, transfer: &Transfer) -> PairRow {
    let rate = transfer.bytes as f64 * 8.0 / transfer.seconds / 1e9;
    PairRow {
        time_ns: transfer.time_ns,
        round: phase.place.wrapping_mul(SLOTS_MAX).wrapping_add(transfer.round % SLOTS_MAX),
        src: src.0.clone(),
        dst: transfer.peer.0.clone(),
        sport: Some(transfer.source_port.into()),
        gbps: (transfer.seconds > 0.0).then_some(rate),
        dport: Some(transfer.dest_port.into()),
        seconds: Some(transfer.seconds),
        load: Some(if phase.loaded { "loaded" } else { "idle" }.to_owned()),
        streams: Some(transfer.streams),
        via: transfer.via.as_ref().map(|hops| hops.join(">")),
        ..PairRow::default()
    }
}

/// How many thinnings a round outlives: each takes half of the rounds.
fn depth(round: u32) -> u32 {
    // The finaliser of SplitMix64 spreads neighbours evenly.
    let word = u64::from(round).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (word ^ (word >> 31)).trailing_zeros()
}
