//! Measures the data plane beside bare programs: `bench-fabric allreduce|pair|rtt`.
//!
//! Everything stays on 127.0.0.1. Prints one line a figure, as JSON with `--json`.

mod allreduce;
mod args;
mod pair;
mod rtt;

use anyhow::{Result, bail};

use args::Args;

const USAGE: &str = "\
bench-fabric allreduce [--ranks N] [--sizes BYTES,BYTES] [--rounds N] [--iterations N]
bench-fabric pair [--streams N] [--seconds S] [--both-ways] [--rounds N]
bench-fabric rtt [--seconds S] [--interval-ns N] [--rounds N]
common: [--congestion NAME] [--buffer BYTES] [--json]";

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let verb = words.next().unwrap_or_default();
    let args = Args::parse(words)?;
    match verb.as_str() {
        "allreduce" => allreduce::run(&args),
        "allreduce-rank" => allreduce::rank(&args),
        "pair" => pair::run(&args),
        "rtt" => rtt::run(&args),
        _ => bail!("usage:\n{USAGE}"),
    }
}
