//! The cells of the table: a fabric, what is done on it, and what is wrong with it.

use sim::fabric::{Direction, FabricFault, Paths, Place, Run, Schedule, Shape};

/// What is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// One uplink, one direction, at this speed.
    Uplink(f64),
    /// One uplink, one direction, at this speed in this share of rounds.
    Flaky(f64, f64),
    /// One card, one direction, at this speed.
    Nic(f64),
    /// The pods are oversubscribed so much.
    Taper(f64),
}

/// One row of the table.
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    pub(crate) schedule: Schedule,
    pub(crate) rounds: usize,
    pub(crate) paths: Paths,
    pub(crate) fault: Fault,
    /// Whether the same schedule on a sound fabric has a row of its own.
    pub(crate) healthy_too: bool,
    pub(crate) healthy_name: &'static str,
}

impl Cell {
    /// The fabric, at nominal oversubscription.
    pub(crate) fn shape(&self) -> Shape {
        match self.fault {
            // Two pods of as many hosts together.
            Fault::Taper(_) => Shape { pods: 2, leaves: 4, ..Shape::default() },
            _ => Shape::default(),
        }
    }

    /// The run with its fault, and what a report must name: kind and id of the suspect.
    pub(crate) fn run(&self, seed: u64) -> (Run, Truth) {
        let mut shape = self.shape();
        let (leaf, spine) = (seed as usize % 8, seed as usize / 8 % 8);
        let host = leaf * shape.hosts + spine;
        let up = (seed / 64 + seed).is_multiple_of(2);
        let direction = if up { Direction::Up } else { Direction::Down };
        let (leaf_id, spine_id) = (shape.leaf_name(leaf), shape.spine_name(0, spine));
        let place = Place::Uplink(leaf, spine, direction);
        let (faults, kind, ids) = match self.fault {
            Fault::Uplink(speed) => (vec![FabricFault::lasting(place, speed)], "slow_uplink", None),
            Fault::Flaky(speed, share) => {
                (vec![FabricFault::flaky(place, speed, share)], "flaky_link", None)
            }
            Fault::Nic(speed) => (
                vec![FabricFault::lasting(Place::Host(host, direction), speed)],
                "slow_nic",
                Some(vec![format!("{}/mlx5_0", shape.host_name(host))]),
            ),
            Fault::Taper(ratio) => {
                shape.pod_taper = ratio;
                let cuts = vec!["pod-1>pod-2".to_owned(), "pod-2>pod-1".to_owned()];
                (Vec::new(), "network_island", Some(cuts))
            }
        };
        let ids = ids.unwrap_or_else(|| match (self.paths, up) {
            (Paths::Unknown, _) => vec![leaf_id],
            (Paths::Known, true) => vec![format!("{leaf_id}>{spine_id}")],
            (Paths::Known, false) => vec![format!("{spine_id}>{leaf_id}")],
        });
        let side = (!matches!(self.fault, Fault::Taper(_))).then_some(if up {
            "transmit"
        } else {
            "receive"
        });
        let truth = Truth { kind, ids, side: side.filter(|_| self.paths == Paths::Unknown) };
        (self.built(shape, faults, seed), truth)
    }

    /// The same run on a sound fabric.
    pub(crate) fn healthy(&self, seed: u64) -> Run {
        self.built(self.shape(), Vec::new(), seed)
    }

    fn built(&self, shape: Shape, faults: Vec<FabricFault>, seed: u64) -> Run {
        let (schedule, rounds, paths) = (self.schedule, self.rounds, self.paths);
        Run { shape, schedule, rounds, paths, faults, seed }
    }
}

/// What the report must say.
pub(crate) struct Truth {
    pub(crate) kind: &'static str,
    /// Any of these ids.
    pub(crate) ids: Vec<String>,
    /// The evidence must say this side, where the id alone doesn't.
    pub(crate) side: Option<&'static str>,
}

const BUSY: Schedule = Schedule::AllBusy { flows: 8 };
const PODS: Schedule = Schedule::PodsInTurn { flows: 16 };

const fn cell(
    name: &'static str,
    target: &'static str,
    (schedule, rounds, paths): (Schedule, usize, Paths),
    fault: Fault,
    healthy_name: &'static str,
) -> Cell {
    let healthy_too = !healthy_name.is_empty();
    Cell { name, target, schedule, rounds, paths, fault, healthy_too, healthy_name }
}

/// Every cell.
pub(crate) const CELLS: [Cell; 13] = [
    cell(
        "uplink at half speed, paths known, busy, 8 flows, 8 rounds",
        "0.95 / 0.98",
        (BUSY, 8, Paths::Known),
        Fault::Uplink(0.5),
        "busy, 8 flows, 8 rounds, paths known",
    ),
    cell(
        "uplink at half speed, paths unknown: leaf and direction",
        "0.75",
        (BUSY, 8, Paths::Unknown),
        Fault::Uplink(0.5),
        "busy, 8 flows, 8 rounds, paths unknown",
    ),
    cell(
        "uplink flaky in a quarter of 32 busy rounds, at 0.3",
        "0.95",
        (BUSY, 32, Paths::Known),
        Fault::Flaky(0.3, 0.25),
        "busy, 8 flows, 32 rounds, paths known",
    ),
    cell(
        "one card at half speed, paths known, 8 busy rounds",
        "0.98",
        (BUSY, 8, Paths::Known),
        Fault::Nic(0.5),
        "",
    ),
    cell(
        "one card at half speed, paths unknown, 8 busy rounds",
        "0.98",
        (BUSY, 8, Paths::Unknown),
        Fault::Nic(0.5),
        "",
    ),
    cell(
        "island 2:1, 16 flows, 4 + 4 rounds",
        "0.98",
        (PODS, 8, Paths::Unknown),
        Fault::Taper(2.0),
        "two pods 1:1, 16 flows, 4 + 4 rounds",
    ),
    cell(
        "island 4:1, 16 flows, 4 + 4 rounds",
        "0.98",
        (PODS, 8, Paths::Unknown),
        Fault::Taper(4.0),
        "",
    ),
    cell(
        "island 2:1, only the cut measured, 4 rounds",
        "-",
        (Schedule::AcrossPods { flows: 16 }, 4, Paths::Unknown),
        Fault::Taper(2.0),
        "two pods 1:1, only the cut, 4 rounds",
    ),
    cell(
        "uplink at 0.8, paths known, 8 busy rounds",
        "-",
        (BUSY, 8, Paths::Known),
        Fault::Uplink(0.8),
        "",
    ),
    cell(
        "uplink at half speed, paths unknown, 32 busy rounds",
        "-",
        (BUSY, 32, Paths::Unknown),
        Fault::Uplink(0.5),
        "busy, 8 flows, 32 rounds, paths unknown",
    ),
    cell(
        "uplink at half speed, paths known, quiet, 48 rounds",
        "-",
        (Schedule::Quiet, 48, Paths::Known),
        Fault::Uplink(0.5),
        "quiet, 48 rounds, paths known",
    ),
    cell(
        "uplink at 0.9, paths known, quiet, 120 rounds",
        "-",
        (Schedule::Quiet, 120, Paths::Known),
        Fault::Uplink(0.9),
        "quiet, 120 rounds, paths known",
    ),
    cell(
        "uplink at half speed, paths known, 32 busy rounds of one flow",
        "-",
        (Schedule::AllBusy { flows: 1 }, 32, Paths::Known),
        Fault::Uplink(0.5),
        "busy, one flow, 32 rounds, paths known",
    ),
];
