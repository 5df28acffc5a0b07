//! How often the judge names the right part of a simulated fabric, and how often it accuses
//! a sound one: printed as a table, with intervals.
//!
//! `cargo run --release -p system-tests --bin calibrate-fabric -- [TRIALS [WORDS OF A ROW]]`

mod cell;
mod trial;

use cell::{CELLS, Cell};
use trial::{Score, healthy_trial, trial};

/// Trials of a cell unless the first argument says otherwise: 19 of 20 within four percent.
const TRIALS: u64 = 200;
/// The judge's thresholds were set on lower seeds.
const FIRST_SEED: u64 = 1_000_000;
/// Seeds of faulty and healthy fabrics never meet.
const HEALTHY_SEEDS: u64 = 1 << 32;

fn main() {
    let trials = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(TRIALS);
    let wanted = std::env::args().nth(2).unwrap_or_default();
    println!(
        "| fabric | trials | named first | 95 % | watches too | 95 % | in the set | 95 % | set size | target |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for cell in CELLS.into_iter().filter(|cell| cell.name.contains(&wanted)) {
        let mut score = Score::default();
        (0..trials).for_each(|seed| score.add(&trial(&cell, FIRST_SEED + seed)));
        print_cell(&cell, &score);
    }
    println!();
    println!("| healthy fabric | trials | accused | 95 % | most |");
    println!("|---|---|---|---|---|");
    let (mut all, mut accused) = (0, 0);
    for cell in CELLS.iter().filter(|cell| cell.healthy_too && cell.name.contains(&wanted)) {
        let hits = (0..trials).filter(|s| healthy_trial(cell, HEALTHY_SEEDS + s)).count() as u64;
        println!("| {} | {trials} | {hits} | {} | 1 % |", cell.healthy_name, wilson(hits, trials));
        all += trials;
        accused += hits;
    }
    println!("| all | {all} | {accused} | {} | 1 % |", wilson(accused, all));
}

fn print_cell(cell: &Cell, score: &Score) {
    let share = |hits: u64| format!("{:.3}", hits as f64 / score.trials.max(1) as f64);
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {:.2} | {} |",
        cell.name,
        score.trials,
        share(score.first),
        wilson(score.first, score.trials),
        share(score.first_of_any),
        wilson(score.first_of_any, score.trials),
        share(score.in_set),
        wilson(score.in_set, score.trials),
        score.set_sizes as f64 / score.trials.max(1) as f64,
        cell.target,
    );
}

/// Wilson's 95 % interval of a share (Wilson, JASA 1927).
fn wilson(hits: u64, trials: u64) -> String {
    const Z: f64 = 1.96;
    let (n, p) = (trials.max(1) as f64, hits as f64 / trials.max(1) as f64);
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    format!("{:.3}-{:.3}", (centre - half).max(0.0), (centre + half).min(1.0))
}
