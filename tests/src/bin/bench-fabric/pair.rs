//! One transfer after another between two threads: what a bulk transfer reaches.

use anyhow::{Context, Result, bail};

use agent::fabric::clock::{Halt, now_ns};
use agent::fabric::endpoint::Endpoint;
use agent::fabric::pair::{Outcome, Transfer};

use crate::args::Args;

/// A transfer ends by its seconds; no more bytes than this can pass in them.
const BYTES: u64 = 1 << 50;
const MEET_NS: u64 = 10_000_000_000;
/// For what is under way when it ends, and for the count to come back.
const COUNT_NS: u64 = 500_000_000;

/// Prints Gbit/s of each round.
pub(crate) fn run(args: &Args) -> Result<()> {
    let rounds: u32 = args.get("rounds", 3)?;
    let streams: u32 = args.get("streams", 1)?;
    let seconds: f64 = args.get("seconds", 3.0)?;
    let both_ways: bool = args.get("both-ways", false)?;
    let ends = [args.endpoint(0)?, args.endpoint(0)?];
    for round in 0..rounds {
        let cut_ns = now_ns() + (seconds * 1e9) as u64;
        let transfer = |rank: u32| Transfer {
            epoch: 1,
            round,
            rank,
            peer: (1 - rank, ends[1 - rank as usize].address()),
            streams,
            bytes: BYTES,
            sends: both_ways || rank == 0,
            receives: both_ways || rank == 1,
            meet_ns: now_ns() + MEET_NS,
            cut_ns,
            count_ns: cut_ns + COUNT_NS,
            end_ns: cut_ns + 2 * COUNT_NS,
        };
        let halt = Halt::default();
        let end = |rank: u32| -> (Transfer, &Endpoint) { (transfer(rank), &ends[rank as usize]) };
        let (ours, theirs) = std::thread::scope(|scope| {
            let (peer, endpoint) = end(1);
            let halt = &halt;
            let theirs = scope.spawn(move || peer.run(endpoint, halt));
            let (own, endpoint) = end(0);
            (own.run(endpoint, halt), theirs.join())
        });
        let Outcome::Sent(sent) = ours? else { bail!("nothing was sent") };
        theirs.ok().context("the other end panicked")??;
        let gbps = sent.measured.bytes as f64 * 8.0 / sent.measured.nanoseconds as f64;
        let direction = if both_ways { "both" } else { "one" };
        args.print(&format!("pair_{streams}_{direction}"), round, gbps, "Gbit/s")?;
        if round == 0 {
            eprintln!("congestion control: {}", sent.congestion);
        }
    }
    Ok(())
}
