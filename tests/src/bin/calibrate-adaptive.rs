//! How many rounds the adaptive planner needs on simulated fabrics, how often it names the
//! right part, and how often it accuses a sound one: printed as a table, with intervals.
//!
//! `cargo run --release -p system-tests --bin calibrate-adaptive -- [TRIALS [WORDS OF A ROW]]`

use sim::fabric::Paths;
use system_tests::adaptive::{Fault, Outcome, ROUNDS_MAX, shape, trial};

/// Trials of a row unless the first argument says otherwise.
const TRIALS: u64 = 300;
/// The planner's numbers were set while looking at the first hundred from here on.
const FIRST_SEED: u64 = 1_000_000;

const ROWS: [(&str, Fault); 7] = [
    ("uplink at half speed", Fault::Uplink(0.5)),
    ("uplink at a fifth", Fault::Uplink(0.2)),
    ("two uplinks at half speed", Fault::TwoUplinks(0.5)),
    ("uplink at 0.3 in half of the rounds", Fault::Flaky(0.3, 0.5)),
    ("uplink at 0.3 in a quarter of the rounds", Fault::Flaky(0.3, 0.25)),
    ("one card at half speed", Fault::Card(0.5)),
    ("healthy", Fault::None),
];

fn main() {
    let trials = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(TRIALS);
    let wanted = std::env::args().nth(2).unwrap_or_default();
    println!(
        "| fabric | paths | trials | named within {ROUNDS_MAX} rounds | 95 % | rounds until named, median / p95 | rounds until it stopped, median | transfers, mean | sound parts accused | 95 % |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, fault) in ROWS.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        for (word, paths) in [("known", Paths::Known), ("unknown", Paths::Unknown)] {
            let run = |seed| trial(&shape(), fault, paths, FIRST_SEED + seed);
            print_row(name, word, &(0..trials).map(run).collect::<Vec<_>>());
        }
    }
}

fn print_row(name: &str, paths: &str, outcomes: &[Outcome]) {
    let all = outcomes.len() as u64;
    let mut named: Vec<u32> = outcomes.iter().filter_map(|outcome| outcome.named_in).collect();
    let mut rounds: Vec<u32> = outcomes.iter().map(|outcome| outcome.rounds).collect();
    let transfers: usize = outcomes.iter().map(|outcome| outcome.transfers).sum();
    let accused = outcomes.iter().filter(|outcome| outcome.accused_sound).count() as u64;
    let (share, interval, when) = if name == "healthy" {
        ("-".to_owned(), "-".to_owned(), "-".to_owned())
    } else {
        let hits = named.len() as u64;
        let when = format!("{} / {}", quantile(&mut named, 0.5), quantile(&mut named, 0.95));
        (format!("{:.3}", hits as f64 / all.max(1) as f64), wilson(hits, all), when)
    };
    println!(
        "| {name} | {paths} | {all} | {share} | {interval} | {when} | {} | {:.0} | {accused} | {} |",
        quantile(&mut rounds, 0.5),
        transfers as f64 / all.max(1) as f64,
        wilson(accused, all),
    );
}

fn quantile(values: &mut [u32], share: f64) -> String {
    values.sort_unstable();
    let at = (share * values.len().saturating_sub(1) as f64).round() as usize;
    values.get(at).map_or_else(|| "-".to_owned(), u32::to_string)
}

/// Wilson's 95 % interval of a share (Wilson, JASA 1927).
fn wilson(hits: u64, trials: u64) -> String {
    const Z: f64 = 1.96;
    let (n, p) = (trials.max(1) as f64, hits as f64 / trials.max(1) as f64);
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    format!("{:.3}-{:.3}", (centre - half).max(0.0), (centre + half).min(1.0))
}
