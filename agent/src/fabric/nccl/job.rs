//! Repeats a collective over NCCL for a whole phase, one rank of it, and tells what it saw.

use std::ffi::c_void;
use std::sync::mpsc::Sender;
use std::time::Duration;

use model::collective::{CollectiveOp, Transport};
use model::histogram::LatencyHistogram;

use super::super::clock::{Halt, now_ns};
use super::super::{FabricReport, WRONG_REPORTED_MAX};
use super::batch::{BATCH_MAX, Batch};
use super::communicator::{Communicator, Seat};
use super::gpu::{Buffer, Gpu, Marks};
use super::id::UniqueId;
use super::library::{FLOAT32, MAX, Nccl, NcclError, RawStream, SUM, Status, UINT32};
use super::operands::{Sizes, value, wrong};

/// All ranks must have joined by then, counted from the start: NCCL opens its transports.
const JOIN_NS: u64 = 60_000_000_000;
/// A batch, agreement included, that takes longer hangs. NCCL's own retries over InfiniBand
/// give up after about 30 s.
const BATCH_DEADLINE_NS: u64 = 40_000_000_000;
/// The end of a communicator may take so long.
const LEAVE_NS: u64 = 2_000_000_000;
/// Length of a window, in nanoseconds.
const WINDOW_NS: u64 = 1_000_000_000;
/// How often the GPU is asked whether a batch is done.
const LOOK: Duration = Duration::from_micros(200);

/// One phase's collective, as one rank runs it. Instants are CLOCK_MONOTONIC.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) phase: String,
    pub(crate) op: CollectiveOp,
    pub(crate) bytes: u64,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) id: UniqueId,
    pub(crate) seat: Seat,
}

/// Runs an order on a GPU from its start to its end.
///
/// # Errors
/// When a rank stays away or stands still, the GPU fails, or the stop is called. What was
/// seen before it was reported.
pub(super) fn run(
    nccl: &Nccl,
    gpu: &Gpu,
    order: &Order,
    halt: &Halt,
    reports: &Sender<FabricReport>,
) -> Result<(), NcclError> {
    let sizes = Sizes::of(order.op, order.bytes, order.seat)?;
    let bench = Bench::prepare(gpu, order, sizes)?;
    let deadline_ns = order.start_ns.max(now_ns()) + JOIN_NS;
    let comm = Communicator::join(nccl, order.id, order.seat, deadline_ns, halt)?;
    halt.sleep_until(order.start_ns).map_err(|_| NcclError::Stopped)?;
    let mut window = Window::new(now_ns());
    let done = bench.repeat(&comm, order, halt, &mut window, reports);
    window.tell(order, sizes, reports);
    if done.is_ok() {
        comm.leave(now_ns() + LEAVE_NS, halt);
    }
    done
}

/// What one window saw.
struct Window {
    from_ns: u64,
    operations: u64,
    wrong: u64,
    checked: bool,
    durations: LatencyHistogram,
}

impl Window {
    fn new(from_ns: u64) -> Self {
        let durations = LatencyHistogram::default();
        Self { from_ns, operations: 0, wrong: 0, checked: false, durations }
    }

    fn tell(&self, order: &Order, sizes: Sizes, reports: &Sender<FabricReport>) {
        if self.operations == 0 {
            return;
        }
        let _ = reports.send(FabricReport::Collective {
            from_ns: self.from_ns,
            to_ns: now_ns(),
            phase: order.phase.clone(),
            op: order.op,
            over: Transport::Nccl,
            bytes: sizes.bytes,
            rank: order.seat.rank,
            world_size: order.seat.world_size,
            operations: self.operations,
            wrong: self.wrong,
            durations: self.durations.clone(),
        });
    }
}

/// A rank's buffers, stream and timing events.
struct Bench<'a> {
    gpu: &'a Gpu,
    seat: Seat,
    op: CollectiveOp,
    sizes: Sizes,
    sent: Buffer<'a>,
    received: Buffer<'a>,
    /// Rank 0's proposal before the agreement, everybody's number after it.
    agreement: Buffer<'a>,
    marks: Marks<'a>,
}

impl<'a> Bench<'a> {
    fn prepare(gpu: &'a Gpu, order: &Order, sizes: Sizes) -> Result<Self, NcclError> {
        let elements: Vec<f32> = (0..sizes.sent).map(|at| value(order.seat.rank, at)).collect();
        let sent = gpu.buffer(sizes.sent * 4)?;
        sent.write(bytes_of(&elements))?;
        Ok(Self {
            gpu,
            seat: order.seat,
            op: order.op,
            sizes,
            sent,
            received: gpu.buffer(sizes.received * 4)?,
            agreement: gpu.buffer(4)?,
            marks: gpu.marks(BATCH_MAX as usize + 1)?,
        })
    }

    fn repeat(
        &self,
        comm: &Communicator<'_>,
        order: &Order,
        halt: &Halt,
        window: &mut Window,
        reports: &Sender<FabricReport>,
    ) -> Result<(), NcclError> {
        let mut batch = Batch::first();
        loop {
            let deadline_ns = now_ns() + BATCH_DEADLINE_NS;
            let operations =
                self.agree(comm, batch.propose(now_ns(), order.end_ns), deadline_ns, halt)?;
            if operations == 0 {
                return Ok(());
            }
            let began_ns = now_ns();
            self.enqueue(comm, operations, deadline_ns, halt)?;
            self.wait(comm, operations as usize, deadline_ns, halt)?;
            batch.learn(operations, now_ns().saturating_sub(began_ns));
            for at in 0..operations as usize {
                window.durations.record(self.marks.between_ns(at, at + 1)?, now_ns() as i64);
            }
            window.operations += u64::from(operations);
            self.check(window, order, reports)?;
            if now_ns().saturating_sub(window.from_ns) >= WINDOW_NS {
                window.tell(order, self.sizes, reports);
                *window = Window::new(now_ns());
            }
        }
    }

    /// All ranks learn rank 0's number.
    fn agree(
        &self,
        comm: &Communicator<'_>,
        proposal: u32,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<u32, NcclError> {
        let mine = if self.seat.rank == 0 { proposal.min(BATCH_MAX) } else { 0 };
        self.agreement.write(&mine.to_ne_bytes())?;
        self.marks.set(0)?;
        let at = self.agreement.address();
        // SAFETY: one element in place, on this rank's own communicator and stream.
        let status = Status(unsafe {
            (comm.nccl.all_reduce)(at, at.cast_mut(), 1, UINT32, MAX, comm.raw, self.stream())
        });
        comm.settle("ncclAllReduce", status, deadline_ns, halt)?;
        self.marks.set(1)?;
        self.wait(comm, 1, deadline_ns, halt)?;
        let mut number = [0; 4];
        self.agreement.read(&mut number)?;
        Ok(u32::from_ne_bytes(number).min(BATCH_MAX))
    }

    fn enqueue(
        &self,
        comm: &Communicator<'_>,
        operations: u32,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<(), NcclError> {
        self.marks.set(0)?;
        for at in 0..operations as usize {
            let status = self.operation(comm)?;
            comm.settle(self.op.word(), status, deadline_ns, halt)?;
            self.marks.set(at + 1)?;
        }
        Ok(())
    }

    /// Enqueues one operation.
    fn operation(&self, comm: &Communicator<'_>) -> Result<Status, NcclError> {
        let (from, to) = (self.sent.address(), self.received.address().cast_mut());
        let (nccl, raw, stream) = (comm.nccl, comm.raw, self.stream());
        let Sizes { sent, part, .. } = self.sizes;
        // SAFETY: the buffers have the sizes that `Sizes` worked out for this operation, and
        // live until the stream is idle or the communicator aborted.
        let status = unsafe {
            match self.op {
                CollectiveOp::AllReduce => {
                    (nccl.all_reduce)(from, to, sent, FLOAT32, SUM, raw, stream)
                }
                CollectiveOp::ReduceScatter => {
                    (nccl.reduce_scatter)(from, to, part, FLOAT32, SUM, raw, stream)
                }
                CollectiveOp::AllGather => (nccl.all_gather)(from, to, part, FLOAT32, raw, stream),
                CollectiveOp::AllToAll => return self.all_to_all(comm),
                CollectiveOp::SendReceive => return self.send_receive(comm),
            }
        };
        Ok(Status(status))
    }

    fn all_to_all(&self, comm: &Communicator<'_>) -> Result<Status, NcclError> {
        let step = self.sizes.part * 4;
        let peers = (0..self.seat.world_size as usize).map(|peer| {
            let at = |buffer: &Buffer<'_>| buffer.address().wrapping_byte_add(peer * step);
            (peer as u32, at(&self.sent), at(&self.received).cast_mut())
        });
        self.exchange(comm, self.sizes.part, peers.collect())
    }

    fn send_receive(&self, comm: &Communicator<'_>) -> Result<Status, NcclError> {
        let Seat { rank, world_size } = self.seat;
        let (next, before) = ((rank + 1) % world_size, (rank + world_size - 1) % world_size);
        let (from, to) = (self.sent.address(), self.received.address().cast_mut());
        let nccl = comm.nccl;
        let (count, stream) = (self.sizes.sent, self.stream());
        // SAFETY: as in `operation`; a group makes the two one operation.
        let status = unsafe {
            nccl.check("ncclGroupStart", Status((nccl.group_start)()))?;
            let sent = (nccl.send)(from, count, FLOAT32, next as i32, comm.raw, stream);
            accepted(nccl, "ncclSend", sent)?;
            let received = (nccl.receive)(to, count, FLOAT32, before as i32, comm.raw, stream);
            accepted(nccl, "ncclRecv", received)?;
            (nccl.group_end)()
        };
        Ok(Status(status))
    }

    /// To and from each peer, as one operation.
    fn exchange(
        &self,
        comm: &Communicator<'_>,
        count: usize,
        peers: Vec<(u32, *const c_void, *mut c_void)>,
    ) -> Result<Status, NcclError> {
        let (nccl, stream) = (comm.nccl, self.stream());
        // SAFETY: as in `operation`; each part lies within its buffer.
        let status = unsafe {
            nccl.check("ncclGroupStart", Status((nccl.group_start)()))?;
            for (peer, from, to) in peers {
                let sent = (nccl.send)(from, count, FLOAT32, peer as i32, comm.raw, stream);
                accepted(nccl, "ncclSend", sent)?;
                let received = (nccl.receive)(to, count, FLOAT32, peer as i32, comm.raw, stream);
                accepted(nccl, "ncclRecv", received)?;
            }
            (nccl.group_end)()
        };
        Ok(Status(status))
    }

    fn stream(&self) -> RawStream {
        self.marks.stream()
    }

    /// Waits for a mark. A stream that is synchronised with a hung collective never returns:
    /// so mark, communicator, deadline and stop are asked in turn.
    fn wait(
        &self,
        comm: &Communicator<'_>,
        mark: usize,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<(), NcclError> {
        let began_ns = now_ns();
        while !self.marks.is_reached(mark)? {
            halt.check().map_err(|_| NcclError::Stopped)?;
            let state = comm.state()?;
            if state != Status::IN_PROGRESS {
                comm.nccl.check("the collective", state)?;
            }
            let now = now_ns();
            if now >= deadline_ns {
                let seconds = now.saturating_sub(began_ns) as f64 / 1e9;
                return Err(NcclError::TimedOut { call: self.op.word(), seconds });
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Looks at every element of one operation's result a window: the way to the host would
    /// otherwise be most of the phase.
    fn check(
        &self,
        window: &mut Window,
        order: &Order,
        reports: &Sender<FabricReport>,
    ) -> Result<(), NcclError> {
        if window.checked {
            return Ok(());
        }
        window.checked = true;
        let mut got = vec![0_f32; self.sizes.received];
        self.received.read(bytes_of_mut(&mut got))?;
        let elements = wrong(self.op, self.seat, self.sizes, &got);
        if elements > 0 {
            window.wrong += 1;
            let (at_ns, phase) = (now_ns(), order.phase.clone());
            let operation = window.operations;
            if window.wrong <= WRONG_REPORTED_MAX {
                let injected = false;
                let said = FabricReport::Wrong { at_ns, phase, operation, elements, injected };
                let _ = reports.send(said);
            }
        }
        // What the next operations leave untouched must not look right.
        self.gpu.clear(&self.received)
    }
}

/// Inside a group calls only collect; in progress is as good as success.
fn accepted(nccl: &Nccl, call: &'static str, status: i32) -> Result<(), NcclError> {
    match Status(status) {
        Status::IN_PROGRESS => Ok(()),
        status => nccl.check(call, status),
    }
}

fn bytes_of(elements: &[f32]) -> &[u8] {
    // SAFETY: any f32 is four bytes without padding; the lifetime is the slice's.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

fn bytes_of_mut(elements: &mut [f32]) -> &mut [u8] {
    // SAFETY: as above, and any four bytes are an f32.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
}
