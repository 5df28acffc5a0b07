//! Repeats a collective for a whole phase and tells what it saw, window by window.

use std::sync::mpsc::Sender;

use model::collective::{CollectiveOp, Transport};
use model::histogram::LatencyHistogram;

use super::clock::{Halt, now_ns};
use super::endpoint::Endpoint;
use super::error::FabricError;
use super::operand::{Operand, RANKS_MAX, result_buffer};
use super::ring::{Ring, RingInjection, RingSeat};
use super::{FabricOrder, FabricReport, WRONG_REPORTED_MAX};

/// Length of a window, in nanoseconds.
const WINDOW_NS: u64 = 1_000_000_000;
/// Peers may be this late, counted from the start: agents learn of a phase seconds before.
pub(super) const LATE_NS: u64 = 10_000_000_000;
/// Largest operand, in bytes: two of them must fit in any node's memory.
const BYTES_MAX: u64 = 16 << 30;

/// What one window saw.
struct Window {
    from_ns: u64,
    operations: u64,
    wrong: u64,
    durations: LatencyHistogram,
}

impl Window {
    fn new(from_ns: u64) -> Self {
        Self { from_ns, operations: 0, wrong: 0, durations: LatencyHistogram::default() }
    }
}

/// Runs all-reduce from the order's start to its end.
///
/// # Errors
/// When a peer is missing, gone or stands still, or when stopped.
pub(super) fn run(
    endpoint: &Endpoint,
    order: &FabricOrder,
    (bytes, inject): (u64, Option<RingInjection>),
    halt: &Halt,
    reports: &Sender<FabricReport>,
) -> Result<(), FabricError> {
    let elements = elements(order, bytes)?;
    let next = (order.rank + 1) % order.world_size;
    let Some(successor) = order.peer(next) else {
        return Err(FabricError::Nonsense(format!("no address for rank {next}")));
    };
    let seat = RingSeat {
        epoch: order.epoch,
        rank: order.rank,
        world_size: order.world_size,
        next: (next, successor.address),
    };
    let operand = Operand::new(order.rank, order.world_size, elements);
    let mut output = result_buffer(elements);
    let mut ring = Ring::join(endpoint, seat, order.start_ns.max(now_ns()) + LATE_NS, halt)?;
    ring.inject = inject;
    halt.sleep_until(order.start_ns)?;
    let mut window = Window::new(now_ns());
    let done = repeat(&mut ring, &operand, &mut output, order, halt, &mut window, reports);
    // What was seen before a failure counts.
    tell(&window, order, bytes, reports);
    done
}

fn elements(order: &FabricOrder, bytes: u64) -> Result<usize, FabricError> {
    let world_size = order.world_size;
    let fits = (4..=BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(4);
    let ranks = (2..=RANKS_MAX).contains(&world_size) && order.rank < world_size;
    match usize::try_from(bytes / 4) {
        Ok(elements) if fits && ranks => Ok(elements),
        _ => Err(FabricError::Nonsense(format!(
            "an all-reduce of {bytes} bytes by rank {} of {world_size} makes no sense",
            order.rank
        ))),
    }
}

fn repeat(
    ring: &mut Ring,
    operand: &Operand,
    output: &mut [f32],
    order: &FabricOrder,
    halt: &Halt,
    window: &mut Window,
    reports: &Sender<FabricReport>,
) -> Result<(), FabricError> {
    let mut took = 0;
    while ring.continues() {
        let began = now_ns();
        let goodbye_ns = took * u64::from(order.world_size);
        if order.rank == 0 && began + goodbye_ns >= order.end_ns {
            ring.wind_down();
        }
        let operation = ring.operation();
        let injected = ring.inject.is_some_and(|inject| inject.operation == operation);
        let elements = ring.all_reduce(operand, output, halt)?;
        let now = now_ns();
        took = now - began;
        window.operations += 1;
        window.durations.record(took, began as i64);
        if elements > 0 {
            window.wrong += 1;
            if window.wrong <= WRONG_REPORTED_MAX {
                let phase = order.phase.clone();
                let wrong =
                    FabricReport::Wrong { at_ns: now, phase, operation, elements, injected };
                // A reader that is gone ends the worker; the loop above will see it.
                let _ = reports.send(wrong);
            }
        }
        if now - window.from_ns >= WINDOW_NS {
            tell(window, order, (size_of_val(output)) as u64, reports);
            *window = Window::new(now);
        }
    }
    Ok(())
}

fn tell(window: &Window, order: &FabricOrder, bytes: u64, reports: &Sender<FabricReport>) {
    if window.operations == 0 {
        return;
    }
    let _ = reports.send(FabricReport::Collective {
        from_ns: window.from_ns,
        to_ns: now_ns(),
        phase: order.phase.clone(),
        op: CollectiveOp::AllReduce,
        over: Transport::Tcp,
        bytes,
        rank: order.rank,
        world_size: order.world_size,
        operations: window.operations,
        wrong: window.wrong,
        durations: window.durations.clone(),
    });
}
