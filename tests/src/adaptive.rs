//! The adaptive planner in front of a simulated fabric, round by round.

use analysis::adaptive::{self, Step, Terms};
use analysis::digest::pairs::Pairs;
use model::site::Site;
use sim::fabric::{Direction, FabricFault, Paths, Place, Run, Schedule, Shape, Transfer};

/// Rounds that a trial has.
pub const ROUNDS_MAX: u32 = 20;

/// What is wrong with the fabric of a trial; where is drawn from the trial's seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// One uplink, one direction, at this share of its speed.
    Uplink(f64),
    /// One uplink, one direction, at this share in this share of rounds.
    Flaky(f64, f64),
    /// One card, one direction, at this share.
    Card(f64),
    /// Two uplinks of different leaves.
    TwoUplinks(f64),
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Rounds until every fault was named, counted from one; `None` when one was not.
    pub named_in: Option<u32>,
    /// Rounds until the planner stopped.
    pub rounds: u32,
    /// Whether a sound part was named.
    pub accused_sound: bool,
    /// Whether it stopped because it was decided.
    pub decided: bool,
    /// Transfers made.
    pub transfers: usize,
}

/// The fabric of the trials: 128 cables between 16 leaves of 8 hosts and 8 spines.
#[must_use]
pub fn shape() -> Shape {
    Shape { leaves: 16, ..Shape::default() }
}

/// One trial from first round to last.
///
/// # Panics
/// When the shape is no site.
#[must_use]
pub fn trial(shape: &Shape, fault: Fault, paths: Paths, seed: u64) -> Outcome {
    let (faults, truth) = faults(shape, fault, paths, seed);
    // The schedule is not asked: the planner says who sends.
    let run =
        Run { shape: shape.clone(), schedule: Schedule::Quiet, rounds: 0, paths, faults, seed };
    let site = shape.site().expect("the shape of a trial is a site");
    let terms =
        Terms { seed, rounds_max: ROUNDS_MAX, paths_known: paths == Paths::Known, rail: None };
    let mut pairs = Pairs::default();
    let mut step = adaptive::step(&site, &pairs, &terms);
    let (mut rounds, mut transfers) = (0, 0);
    while !step.next.is_empty() {
        let sent = transfers_of(&site, &step);
        transfers += sent.len();
        pairs.add(&run.sent(rounds as usize, &sent));
        rounds += 1;
        step = adaptive::step(&site, &pairs, &terms);
    }
    if std::env::var_os("CALIBRATE_VERBOSE").is_some() {
        eprintln!("seed {seed}: truth {truth:?}, {rounds} rounds: {:?}", step.accused);
    }
    let is_true = |part: &adaptive::Accused| {
        truth.iter().any(|(id, side)| *id == part.part.id && *side == part.side)
    };
    let named: Vec<Option<u32>> = truth
        .iter()
        .map(|(id, side)| {
            let found = step.accused.iter().find(|part| part.part.id == *id && part.side == *side);
            found.map(|part| part.round + 1)
        })
        .collect();
    let all: Option<Vec<u32>> = named.into_iter().collect();
    Outcome {
        named_in: all.and_then(|rounds| rounds.into_iter().max()),
        rounds,
        accused_sound: !step.accused.iter().all(is_true),
        decided: step.decided,
        transfers,
    }
}

fn transfers_of(site: &Site, step: &Step) -> Vec<Transfer> {
    let place = |name: &str| site.node_ix(name).expect("the planner knows its site").index();
    let transfer = |sending: &adaptive::Sending| Transfer {
        src: place(&sending.src),
        dst: place(&sending.dst),
        sport: sending.sport,
    };
    step.next.iter().map(transfer).collect()
}

/// The faults, and by which id and side each must be named.
fn faults(
    shape: &Shape,
    fault: Fault,
    paths: Paths,
    seed: u64,
) -> (Vec<FabricFault>, Vec<(String, &'static str)>) {
    let leaf = seed as usize % shape.leaves;
    let spine = seed as usize / shape.leaves % shape.spines;
    let up = (seed / 7 + seed / (shape.leaves * shape.spines) as u64).is_multiple_of(2);
    let direction = if up { Direction::Up } else { Direction::Down };
    let uplink = |leaf: usize, spine: usize| {
        let (leaf_id, spine_id) = (shape.leaf_name(leaf), shape.spine_name(0, spine));
        let name = match (paths, up) {
            (Paths::Unknown, true) => (leaf_id, "transmit"),
            (Paths::Unknown, false) => (leaf_id, "receive"),
            (Paths::Known, true) => (format!("{leaf_id}>{spine_id}"), "in this direction"),
            (Paths::Known, false) => (format!("{spine_id}>{leaf_id}"), "in this direction"),
        };
        (Place::Uplink(leaf, spine, direction), name)
    };
    match fault {
        Fault::None => (Vec::new(), Vec::new()),
        Fault::Uplink(speed) => {
            let (place, name) = uplink(leaf, spine);
            (vec![FabricFault::lasting(place, speed)], vec![name])
        }
        Fault::Flaky(speed, share) => {
            let (place, name) = uplink(leaf, spine);
            (vec![FabricFault::flaky(place, speed, share)], vec![name])
        }
        Fault::Card(speed) => {
            let host = leaf * shape.hosts + spine % shape.hosts;
            let side = if up { "transmit" } else { "receive" };
            let name = (format!("{}/mlx5_0", shape.host_name(host)), side);
            (vec![FabricFault::lasting(Place::Host(host, direction), speed)], vec![name])
        }
        Fault::TwoUplinks(speed) => {
            let two = [
                uplink(leaf, spine),
                uplink((leaf + 5) % shape.leaves, (spine + 3) % shape.spines),
            ];
            let (places, names): (Vec<_>, Vec<_>) = two.into_iter().unzip();
            (places.into_iter().map(|place| FabricFault::lasting(place, speed)).collect(), names)
        }
    }
}
