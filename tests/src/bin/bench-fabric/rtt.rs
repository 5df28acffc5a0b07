//! Round trips by our prober and by a bare ping-pong, pinned to the same two cores.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

use anyhow::{Context, Result, ensure};

use agent::fabric::clock::{Halt, now_ns};
use agent::fabric::endpoint::Endpoint;
use agent::fabric::probe::{self, PROBE_BYTES};
use agent::fabric::{FabricOrder, FabricReport, PeerAddress, ProbePlan, Traffic};
use model::histogram::LatencyHistogram;
use model::id::NodeName;

use crate::args::Args;

/// Prints quantiles of ours and of the bare one, blocking and spinning. On a busy machine
/// only p05 compares: the bare one waits for each answer and so leaves out what a stall
/// delayed, ours counts it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let rounds: u32 = args.get("rounds", 3)?;
    let seconds: f64 = args.get("seconds", 2.0)?;
    let interval_ns: u64 = args.get("interval-ns", 1_000_000)?;
    let length_ns = (seconds * 1e9) as u64;
    for round in 0..rounds {
        for (how, spin) in [("block", false), ("spin", true)] {
            let word = format!("{how}_{}khz", 1e6 / interval_ns as f64);
            let ours =
                ours(args, ProbePlan { interval_ns, loaded: false, spin }, length_ns, round)?;
            print(args, &format!("rtt_{word}"), round, &ours)?;
            let tight = bare(spin, length_ns, 0)?;
            print(args, &format!("rtt_{word}_bare"), round, &tight)?;
            let paced = bare(spin, length_ns, interval_ns)?;
            print(args, &format!("rtt_{word}_bare_paced"), round, &paced)?;
        }
    }
    Ok(())
}

fn print(args: &Args, name: &str, round: u32, histogram: &LatencyHistogram) -> Result<()> {
    for (suffix, quantile) in [("p05", 0.05), ("p50", 0.5), ("p99", 0.99)] {
        let value = histogram.quantile_ns(quantile).context("no answer")? as f64 / 1e3;
        args.print(&format!("{name}_{suffix}"), round, value, "us")?;
    }
    Ok(())
}

fn pin(core: usize) -> Result<()> {
    // SAFETY: cpu_set_t is plain bits, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` is 0 or 1, within any cpu_set_t.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set lives across the call; 0 is the calling thread.
    let status = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    ensure!(status == 0, "can't pin to core {core}");
    Ok(())
}

fn ours(args: &Args, plan: ProbePlan, length_ns: u64, epoch: u32) -> Result<LatencyHistogram> {
    let ends = [args.endpoint(0)?, args.endpoint(0)?];
    let start_ns = now_ns() + 100_000_000;
    let order = |rank: u32| FabricOrder {
        epoch,
        phase: "rtt".into(),
        start_ns,
        end_ns: start_ns + length_ns,
        duration_ns: length_ns,
        rank,
        world_size: 2,
        peers: vec![PeerAddress {
            rank: 1 - rank,
            node: NodeName(format!("rank-{}", 1 - rank)),
            address: ends[1 - rank as usize].address(),
        }],
        leaves: vec![vec![0, 1]],
        traffic: Traffic::ProbeOnly,
        probe: Some(plan),
    };
    let probe = |rank: u32, endpoint: &Endpoint| -> Result<LatencyHistogram> {
        pin(rank as usize)?;
        let (reports, said) = channel();
        probe::run(endpoint, &order(rank), plan, &Halt::default(), &reports)?;
        drop(reports);
        let mut all = LatencyHistogram::default();
        for report in said {
            if let FabricReport::Latency { histogram, .. } = report {
                all.merge(&histogram);
            }
        }
        Ok(all)
    };
    std::thread::scope(|scope| {
        let ranks = [0, 1].map(|rank| {
            scope.spawn({
                let (probe, endpoint) = (&probe, &ends[rank as usize]);
                move || probe(rank, endpoint)
            })
        });
        let mut all = LatencyHistogram::default();
        for rank in ranks {
            all.merge(&rank.join().ok().context("a prober panicked")??);
        }
        Ok(all)
    })
}

/// A ping-pong that uses nothing of the agent but its clock: back to back, or a message
/// every `interval_ns` from a sender that spins until it is due.
fn bare(spin: bool, length_ns: u64, interval_ns: u64) -> Result<LatencyHistogram> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::scope(|scope| {
        let echo = scope.spawn(move || -> Result<()> {
            pin(1)?;
            let (mut stream, _) = listener.accept()?;
            prepare(&stream, spin)?;
            let mut message = [0; PROBE_BYTES];
            while read(&mut stream, &mut message)? {
                stream.write_all(&message)?;
            }
            Ok(())
        });
        let ping = scope.spawn(move || -> Result<LatencyHistogram> {
            pin(0)?;
            let mut stream = TcpStream::connect(address)?;
            prepare(&stream, spin)?;
            let (mut seen, mut message) = (LatencyHistogram::default(), [0; PROBE_BYTES]);
            let (begin, mut due) = (now_ns(), now_ns());
            while now_ns() - begin < length_ns {
                due += interval_ns;
                while interval_ns > 0 && now_ns() < due {
                    std::hint::spin_loop();
                }
                let sent = now_ns();
                stream.write_all(&message)?;
                ensure!(read(&mut stream, &mut message)?, "the echo is gone");
                seen.record(now_ns() - sent, sent as i64);
            }
            Ok(seen)
        });
        let seen = ping.join().ok().context("ping panicked")?;
        echo.join().ok().context("echo panicked")??;
        seen
    })
}

fn prepare(stream: &TcpStream, spin: bool) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(spin)?;
    Ok(())
}

/// Reads a whole message; `false` at the end of the stream.
fn read(stream: &mut TcpStream, message: &mut [u8]) -> Result<bool> {
    let mut have = 0;
    while have < message.len() {
        match stream.read(&mut message[have..]) {
            Ok(0) => return Ok(false),
            Ok(more) => have += more,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}
