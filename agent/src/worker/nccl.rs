//! The worker's end of a collective over NCCL: one process a job. What hangs in NCCL hangs in
//! here alone, and ends with the process.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use model::collective::CollectiveOp;
use proto::v1;
use proto::v1::worker_command::Kind as Command;
use proto::v1::worker_report::Kind as Report;

use super::process::{listen, say};
use super::traffic;
use crate::fabric::FabricReport;
use crate::fabric::clock::{Halt, now_ns};
use crate::fabric::nccl::{Members, NcclError, Order, UniqueId};

/// After a stop or a failure NCCL gets so long to abort before the process ends anyway.
const ABORT_GRACE_NS: u64 = 800_000_000;
/// So long a failed rank waits for its own stop before it calls a peer's going a failure.
const GRACE_NS: u64 = 500_000_000;
/// A renewal may come so much late before the job ends for want of it, as with loads.
const LEASE_GRACE_NS: u64 = 100_000_000;
/// How often the job's end and the supervisor's orders are looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Serves one job, then ends.
///
/// # Errors
/// When a thread can't be made.
pub(super) fn run(gpus: &[String]) -> anyhow::Result<()> {
    let (orders, commands) = channel();
    std::thread::Builder::new().name("commands".into()).spawn(move || {
        listen(|command| orders.send(command.clone()).is_ok());
        // The pipe closed: nobody supervises this job any more.
        std::process::exit(0);
    })?;
    let Ok(Command::NewId(asked)) = commands.recv() else { return Ok(()) };
    let opened = Members::open(gpus);
    let id = opened.as_ref().map_err(ToString::to_string).and_then(|members| {
        let made = asked.make.then(|| members.unique_id()).transpose();
        made.map_err(|error| error.to_string())
    });
    let mut answer = v1::WorkerId { attempt: asked.attempt, ..v1::WorkerId::default() };
    match id {
        Ok(id) => answer.id = id.map(|id| id.0.to_vec()).unwrap_or_default(),
        Err(error) => answer.error = error,
    }
    tell(Report::Id(answer));
    let Ok(members) = opened else { return Ok(()) };
    let Ok(Command::Traffic(order)) = commands.recv() else { return Ok(()) };
    conduct(Arc::new(members), &order, &commands)
}

/// Runs the job on a thread a GPU; this one passes reports on and hears the stop.
fn conduct(
    members: Arc<Members>,
    order: &v1::WorkerTraffic,
    commands: &Receiver<Command>,
) -> anyhow::Result<()> {
    let halt = Halt::default();
    let (reports, outgoing) = channel();
    for (gpu, order) in orders(order).map_err(anyhow::Error::msg)?.into_iter().enumerate() {
        let (members, halt, reports) = (members.clone(), halt.clone(), reports.clone());
        std::thread::Builder::new()
            .name(format!("nccl-{}", order.seat.rank))
            .spawn(move || serve(&members, gpu, &order, &halt, &reports))?;
    }
    drop(reports);
    let (mut ends_ns, mut leased_until_ns) = (None, None);
    loop {
        match outgoing.recv_timeout(LOOK) {
            Ok(report) => say(&mut std::io::stdout().lock(), &traffic::report(report))?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        for command in commands.try_iter() {
            match command {
                Command::Drop(_) => halt.raise(),
                Command::Lease(lease) => leased_until_ns = Some(lease.expires_ns),
                _ => {}
            }
        }
        // A supervisor that hangs ends no job: what it said last does.
        if leased_until_ns.is_some_and(|until_ns| now_ns() > until_ns + LEASE_GRACE_NS) {
            halt.raise();
        }
        // One rank that failed leaves the others in the operation: all end.
        if halt.is_raised() {
            let ends_ns = *ends_ns.get_or_insert(now_ns() + ABORT_GRACE_NS);
            if now_ns() >= ends_ns {
                break;
            }
        }
    }
    tell(Report::Idle(v1::WorkerIdle { at_ns: now_ns() }));
    // Not by returning: threads that hang in NCCL would be waited for by its exit handlers.
    std::process::exit(0);
}

fn serve(
    members: &Members,
    gpu: usize,
    order: &Order,
    halt: &Halt,
    reports: &Sender<FabricReport>,
) {
    match members.run(gpu, order, halt, reports) {
        Ok(()) | Err(NcclError::Stopped) => {}
        // A peer that leaves in the middle was perhaps told to stop just before we are.
        Err(_) if halt.sleep_until(now_ns() + GRACE_NS).is_err() => {}
        Err(error) => {
            let text = format!("NCCL rank {}: {error}", order.seat.rank);
            let (at_ns, phase) = (now_ns(), order.phase.clone());
            let _ = reports.send(FabricReport::Failed { at_ns, phase, text, peer: None });
            halt.raise();
        }
    }
}

/// The orders of this node's GPUs.
fn orders(order: &v1::WorkerTraffic) -> Result<Vec<Order>, String> {
    let Some(v1::phase_traffic::Kind::Collective(collective)) =
        order.traffic.as_ref().and_then(|traffic| traffic.kind.as_ref())
    else {
        return Err("NCCL was asked for something that is no collective".to_owned());
    };
    let op = CollectiveOp::from_word(&collective.op)
        .ok_or_else(|| format!("unknown collective {:?}", collective.op))?;
    let id = UniqueId::from_bytes(&order.nccl_id).ok_or("no unique id of NCCL came with GO")?;
    let mine = order.peers.iter().find(|peer| peer.rank == order.rank);
    let node = mine.map_or("", |peer| peer.node.as_str());
    let seats = crate::fabric::nccl::seats_of(node, &order.peers);
    let order = |seat| Order {
        phase: order.phase.clone(),
        op,
        bytes: collective.bytes,
        start_ns: order.start_ns,
        end_ns: order.end_ns,
        id,
        seat,
    };
    Ok(seats.into_iter().map(order).collect())
}

fn tell(kind: Report) {
    // A supervisor that is gone is noticed where commands are read.
    let _ = say(&mut std::io::stdout().lock(), &v1::WorkerReport { kind: Some(kind) });
}
