//! Measures the digest on a table of samples of a whole hall, and the judgement apart.
//!
//! `bench-digest generate FILE [--nodes N] [--devices N] [--seconds N]`
//! `bench-digest digest FILE [--threads N] [--round N]`     one line of JSON a figure:
//!     `digest` (s, reading and folding), `digest_cpu` (s of processor time), `judgement` (s),
//!     `peak_rss` (MiB), `rows`
//! `bench-digest check FILE`     one thread and two give the same evidence

mod hall;

use std::path::Path;
use std::time::{Duration, Instant};

use analysis::{Digest, Evidence, Terms};
use anyhow::{Context, Result, bail, ensure};
use model::{Policy, RunFacts};

const USAGE: &str = "\
bench-digest generate FILE [--nodes N] [--devices N] [--seconds N]
bench-digest digest FILE [--threads N] [--round N]
bench-digest check FILE";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [verb, file, flags @ ..] = &words[..] else { bail!("usage:\n{USAGE}") };
    let file = Path::new(file);
    match verb.as_str() {
        "generate" => {
            let shape = hall::Shape {
                nodes: flag(flags, "--nodes", 1_024)?,
                devices: flag(flags, "--devices", 8)?,
                seconds: flag(flags, "--seconds", 3_600)?,
            };
            hall::write(file, &shape)
        }
        "digest" => measure(file, flag(flags, "--threads", 2)?, flag(flags, "--round", 0)?),
        "check" => check(file),
        _ => bail!("usage:\n{USAGE}"),
    }
}

fn flag(flags: &[String], name: &str, default: u32) -> Result<u32> {
    let Some(at) = flags.iter().position(|flag| flag == name) else { return Ok(default) };
    let value = flags.get(at + 1).and_then(|value| value.parse().ok());
    value.with_context(|| format!("{name} needs a whole number"))
}

/// Reads and folds a table on so many threads.
fn digest(file: &Path, threads: u32) -> Result<(Evidence, u64)> {
    let plan = hall::plan();
    let add = |digest: &mut Digest, columns: &_| digest.add_samples(columns);
    let (digests, facts) =
        formats::samples::fold(file, threads as usize, || Digest::new(&plan), add)?;
    let mut digests = digests.into_iter();
    let mut whole = digests.next().context("a table has a part")?;
    digests.try_for_each(|digest| whole.merge(digest))?;
    Ok((whole.finish(RunFacts::default()), facts.rows))
}

fn measure(file: &Path, threads: u32, round: u32) -> Result<()> {
    let say = |name: &str, value: f64| {
        println!("{{\"name\":\"{name}\",\"round\":{round},\"value\":{value:.3}}}");
    };
    let (cpu, start) = (processor_time()?, Instant::now());
    let (evidence, rows) = digest(file, threads)?;
    say("digest", start.elapsed().as_secs_f64());
    say("digest_cpu", (processor_time()? - cpu).as_secs_f64());
    say("rows", rows as f64);
    say("peak_rss", peak_rss_mib()?);
    let plan = hall::plan();
    let nodes = evidence.seen.telemetry.devices().map(|(key, _)| key.node.clone());
    let site = hall::site(nodes.collect())?;
    let terms = Terms { plan: &plan, site: Some(&site), policy: &Policy::default() };
    let start = Instant::now();
    let report = analysis::judge(&terms, &evidence);
    say("judgement", start.elapsed().as_secs_f64());
    eprintln!("{} findings, {}", report.findings.len(), report.verdict.word());
    Ok(())
}

fn check(file: &Path) -> Result<()> {
    let (one, rows) = digest(file, 1)?;
    let (two, _) = digest(file, 2)?;
    ensure!(one == two, "one thread and two give different evidence");
    println!("{rows} rows: one thread and two give the same evidence");
    Ok(())
}

/// Processor time of this process, in steps of 10 ms (`proc(5)`, fields 14 and 15).
fn processor_time() -> Result<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().context("a command's name ends")?;
    let ticks = after.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    let ticks: Result<Vec<u32>, _> = ticks.collect();
    Ok(TICK * ticks?.iter().sum::<u32>())
}

fn peak_rss_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).context("no VmHWM")?;
    Ok(kib.trim().parse::<f64>()? / 1024.0)
}
