//! Ring all-reduce, one process a rank, all on one machine.
//!
//! The time of an operation is that of the slowest rank after a barrier; the figure of a
//! round is the median over its operations, as busbw (nccl-tests).

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use agent::fabric::clock::{Halt, now_ns};
use agent::fabric::operand::{Operand, result_buffer};
use agent::fabric::ring::{Ring, RingInjection, RingSeat};
use agent::fabric::socket::congestion_of;
use model::collective::{CollectiveOp, busbw_gb_per_s};

use crate::args::{Args, median};

/// All ranks must be there within this time.
const JOIN_NS: u64 = 20_000_000_000;
/// Operations that are not counted, at the start of each size and round.
const WARM_UP: usize = 2;
/// Elements of the operation that serves as a barrier.
const BARRIER_ELEMENTS: usize = 64;

/// Starts the ranks and prints what they measured together.
pub(crate) fn run(args: &Args) -> Result<()> {
    let ranks: u32 = args.get("ranks", 4)?;
    let sizes: Vec<u64> = args.list("sizes", "1048576,67108864")?;
    let rounds: u32 = args.get("rounds", 3)?;
    let ports = free_ports(ranks)?;
    let mut children =
        (0..ranks).map(|rank| spawn(args, rank, &ports)).collect::<Result<Vec<_>>>()?;
    let mut outputs = children
        .iter_mut()
        .map(|child| child.stdout.take().map(|out| BufReader::new(out).lines()))
        .collect::<Option<Vec<_>>>()
        .context("a rank has no output")?;
    for round in 0..rounds {
        for bytes in &sizes {
            let mut slowest: Vec<f64> = Vec::new();
            for output in &mut outputs {
                let line = output.next().context("a rank ended early")??;
                let seconds: Vec<f64> = serde_json::from_str(&line)?;
                slowest.resize(seconds.len(), 0.0);
                for (slow, seconds) in slowest.iter_mut().zip(seconds) {
                    *slow = slow.max(seconds);
                }
            }
            let seconds = median(slowest).context("no operation was counted")?;
            let busbw = busbw_gb_per_s(CollectiveOp::AllReduce, *bytes, seconds, ranks);
            let name = format!("allreduce_{ranks}_{bytes}");
            args.print(&format!("{name}_busbw"), round, busbw.unwrap_or(0.0), "GB/s")?;
            args.print(&format!("{name}_time"), round, seconds * 1e6, "us")?;
        }
    }
    for mut child in children {
        ensure!(child.wait()?.success(), "a rank failed");
    }
    Ok(())
}

fn free_ports(ranks: u32) -> Result<String> {
    let held =
        (0..ranks).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let ports = held.iter().map(|socket| Ok(socket.local_addr()?.port().to_string()));
    Ok(ports.collect::<Result<Vec<_>>>()?.join(","))
}

fn spawn(args: &Args, rank: u32, ports: &str) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("allreduce-rank").args(args.words());
    command.args(["--rank", &rank.to_string(), "--ports", ports]);
    Ok(command.stdout(Stdio::piped()).spawn()?)
}

/// One rank: prints a JSON list of seconds for each round and size.
pub(crate) fn rank(args: &Args) -> Result<()> {
    let ports: Vec<u16> = args.list("ports", "")?;
    let rank: u32 = args.get("rank", 0)?;
    let world_size = ports.len() as u32;
    let endpoint = args.endpoint(ports[rank as usize])?;
    let successor = (rank + 1) % world_size;
    let address = ([127, 0, 0, 1], ports[successor as usize]).into();
    let seat = RingSeat { epoch: 1, rank, world_size, next: (successor, address) };
    let halt = Halt::default();
    let mut ring = Ring::join(&endpoint, seat, now_ns() + JOIN_NS, &halt)?;
    if rank == 0 {
        eprintln!("congestion control: {}", congestion_of(ring.next()));
        let operation = args.get("inject-operation", u64::MAX)?;
        ring.inject = Some(RingInjection { operation });
    }
    let rounds: u32 = args.get("rounds", 3)?;
    let sizes: Vec<u64> = args.list("sizes", "1048576,67108864")?;
    let barrier = Operand::new(rank, world_size, BARRIER_ELEMENTS);
    let mut ignored = vec![0.0; BARRIER_ELEMENTS];
    for _ in 0..rounds {
        for bytes in &sizes {
            let elements = usize::try_from(bytes / 4)?;
            let iterations = args.get("iterations", iterations(*bytes))?;
            let operand = Operand::new(rank, world_size, elements);
            let mut output = result_buffer(elements);
            let mut seconds = Vec::with_capacity(iterations);
            for iteration in 0..WARM_UP + iterations {
                ring.all_reduce(&barrier, &mut ignored, &halt)?;
                let began = now_ns();
                let wrong = ring.all_reduce(&operand, &mut output, &halt)?;
                let took = (now_ns() - began) as f64 / 1e9;
                ensure!(wrong == 0, "{wrong} elements are wrong");
                if iteration >= WARM_UP {
                    seconds.push(took);
                }
            }
            println!("{}", serde_json::to_string(&seconds)?);
        }
    }
    Ok(())
}

/// Enough operations for a steady median within about a second.
fn iterations(bytes: u64) -> usize {
    (512 * 1024 * 1024 / bytes.max(1)).clamp(5, 400) as usize
}
