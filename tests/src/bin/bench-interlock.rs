//! From a reading over its limit to the last worker idle: agents, trips, a table.
//!
//! `bench-interlock [AGENTS] [TRIPS] [PERCENT]`: 100 real agents with real workers by default,
//! ten trips of each kind, at 1 % of a core each. Times are from the instant at which the row is
//! written to the instant that each agent recorded for its last worker, on this machine's clock.

use anyhow::Context;
use system_tests::interlock::{Hall, How, percentile, plan, rule};

/// Longer than any trip takes to come up.
const PLAN_SECONDS: u32 = 600;
/// Two kW of a hundred nodes come down in 2.2 s.
const KW_PER_S: f64 = 1.0;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |usual: &str| arguments.next().unwrap_or_else(|| usual.to_owned());
    let agents: usize = next("100").parse().context("AGENTS is a number")?;
    let trips: usize = next("10").parse().context("TRIPS is a number")?;
    let percent: f64 = next("1").parse().context("PERCENT is a number")?;
    println!("{agents} agents, {trips} trips each, {percent} % of a core each");
    println!("| what | trips | agents | p50 ms | p99 ms | max ms |");
    println!("|---|---|---|---|---|---|");
    for how in [How::Drop, How::Ramp, How::Killed] {
        let mut hall = Hall::new(agents, KW_PER_S, &rule(how.action()));
        let (mut all, mut last) = (Vec::new(), Vec::new());
        for trip in 0..trips {
            if trip > 0 && how != How::Killed {
                hall.resume();
            }
            let outcome = hall.trip(&plan(percent, PLAN_SECONDS), how);
            let idle: Vec<f64> = outcome.idle_ms.into_values().collect();
            let worst = percentile(&idle, 1.0).unwrap_or(f64::NAN);
            eprintln!("{how:?} {trip}: {} agents idle, the last after {worst:.0} ms", idle.len());
            last.push(worst);
            all.extend(idle);
        }
        row(&format!("{how:?}, each agent"), trips, agents, &all);
        row(&format!("{how:?}, the last agent"), trips, agents, &last);
    }
    Ok(())
}

fn row(what: &str, trips: usize, agents: usize, ms: &[f64]) {
    let told = |share| percentile(ms, share).map_or("none".to_owned(), |ms| format!("{ms:.0}"));
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(told);
    println!("| {what} | {trips} | {agents} | {p50} | {p99} | {max} |");
}
