//! Calibration of the judge on simulated halls: how often healthy ones are accused, and how
//! often faults of known place and size are named.
//!
//! usage: calibrate [healthy=1000] [faulty=600] [seed=1] [severity=1.0] [threads=2]
//!        calibrate curve [sites=120]      recall against severity

mod args;
mod draw;
mod score;
mod table;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use args::Args;
use score::{Outcome, Tally};

fn main() -> Result<(), String> {
    let args = Args::read(std::env::args().skip(1))?;
    if args.word("curve") {
        let sites = args.number("sites", 120)?;
        for severity in [0.25, 0.5, 0.75, 1.0, 1.5] {
            let tally = many(&args, sites, |site, seed| draw::faulty(site, seed, severity));
            table::severity(severity, &tally?);
        }
        return Ok(());
    }
    let severity = args.real("severity", 1.0)?;
    let healthy = many(&args, args.number("healthy", 1_000)?, draw::healthy)?;
    table::healthy(&healthy);
    let faulty =
        many(&args, args.number("faulty", 600)?, |site, seed| draw::faulty(site, seed, severity))?;
    table::faulty(&faulty);
    table::confidence([&healthy, &faulty]);
    Ok(())
}

/// Judges so many sites on all threads; the order of the threads does not show.
fn many(
    args: &Args,
    sites: usize,
    draw: impl Fn(usize, u64) -> draw::Case + Sync,
) -> Result<Tally, String> {
    let (seed, threads) = (args.number("seed", 1)? as u64, args.number("threads", 2)?.max(1));
    let verbose = args.word("verbose");
    let next = AtomicUsize::new(0);
    let (outcomes, said) = channel::<(usize, Result<Outcome, String>)>();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (outcomes, next, draw) = (outcomes.clone(), &next, &draw);
            scope.spawn(move || {
                loop {
                    let site = next.fetch_add(1, Ordering::Relaxed);
                    if site >= sites {
                        break;
                    }
                    let case = draw(site, seed);
                    if outcomes.send((site, score::judge(&case))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(outcomes);
        let mut all: Vec<_> = said.into_iter().collect();
        all.sort_by_key(|(site, _)| *site);
        let mut tally = Tally::default();
        for (site, outcome) in all {
            let outcome = outcome?;
            if verbose {
                table::outcome(site, &outcome);
            }
            tally.add(&outcome);
        }
        Ok(tally)
    })
}
