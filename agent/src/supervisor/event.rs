//! What reaches the supervisor.

use proto::v1;

use crate::hardware::Sensed;
use crate::sensors::{PortCounters, SupplyReading};
use crate::worker::{Output, Slot};

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// From the coordinator.
    Message(v1::CoordinatorMessage),
    /// From a sampler; `at_ns` is CLOCK_MONOTONIC when the reading was done.
    Sensed { device: u32, at_ns: u64, sensed: Sensed },
    /// From a GPU's driver, at `at_ns` of CLOCK_MONOTONIC.
    Xid { device: u32, at_ns: u64, code: u64 },
    /// Counters of the network ports, at `at_ns` of CLOCK_MONOTONIC.
    Ports { at_ns: u64, counters: PortCounters },
    /// What the supplies drew, at `at_ns` of CLOCK_MONOTONIC.
    Supply { at_ns: u64, readings: Vec<SupplyReading> },
    /// From a worker process.
    Worker { slot: Slot, generation: u64, output: Output },
    /// Everything of a run is written; the last batch of this instance.
    Spooled { run: String, last_seq: u64 },
    /// The process was asked to end.
    End(Ending),
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Loads down over the ramp first.
    Ramp,
    /// At once.
    Drop,
}
