//! Tables for people, ready for a page.

use model::finding::Standing;

use crate::score::{Outcome, Tally};

/// Share and its 95 % interval (Wilson 1927).
fn share(hits: usize, all: usize) -> String {
    const Z: f64 = 1.96;
    if all == 0 {
        return "none to count".to_owned();
    }
    let (n, p) = (all as f64, hits as f64 / all as f64);
    let middle = p + Z * Z / (2.0 * n);
    let width = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    let (low, high) = (((middle - width) / scale).max(0.0), ((middle + width) / scale).min(1.0));
    format!("{p:.4} ({low:.4} to {high:.4}), {hits} of {all}")
}

pub(crate) fn healthy(tally: &Tally) {
    println!("\n| healthy halls | share (95 % interval) |\n|---|---|");
    println!("| with a confirmed group finding | {} |", share(tally.accused, tally.sites));
    println!("| with any group finding, watches too | {} |", share(tally.watched, tally.sites));
    println!("| with a confirmed single node or device | {} |", share(tally.singled, tally.sites));
    for (shape, (sites, accused)) in &tally.shapes {
        println!("| {shape}, confirmed group finding | {} |", share(*accused, *sites));
    }
}

pub(crate) fn faulty(tally: &Tally) {
    println!(
        "\n| halls with 1 to 3 faults ({} halls) | share (95 % interval) |\n|---|---|",
        tally.sites
    );
    println!(
        "| precision: confirmed group findings at the place of a fault | {} |",
        share(tally.right_place, tally.confirmed)
    );
    println!(
        "| recall: faults with a confirmed finding at their place | {} |",
        share(tally.found, tally.truths)
    );
    println!(
        "| right kind, of those at the right place | {} |",
        share(tally.right_kind, tally.right_place)
    );
    println!(
        "| true suspect among those that can't be told apart | {} |",
        share(tally.inside, tally.confirmed)
    );
    let mean = tally.set_size as f64 / tally.confirmed.max(1) as f64;
    println!("| mean number of suspects of a finding | {mean:.2} |");
    for (kind, (all, found)) in &tally.kinds {
        println!("| recall of `{kind}` | {} |", share(*found, *all));
    }
}

/// What a report's `confidence` is taken from: group findings of all halls together.
pub(crate) fn confidence(tallies: [&Tally; 2]) {
    println!(
        "\n| group findings of all halls | at the place of a fault (95 % interval) |\n|---|---|"
    );
    let words: std::collections::BTreeSet<_> =
        tallies.iter().flat_map(|tally| tally.scores.keys()).collect();
    for word in words {
        let (mut all, mut right) = (0, 0);
        for score in tallies.iter().filter_map(|tally| tally.scores.get(*word)) {
            (all, right) = (all + score.0, right + score.1);
        }
        println!("| {word} | {} |", share(right, all));
    }
}

pub(crate) fn severity(severity: f64, tally: &Tally) {
    let recall = tally.found as f64 / tally.truths.max(1) as f64;
    let bar = "#".repeat((recall * 40.0).round() as usize);
    println!("severity {severity:4.2}  recall {recall:.3}  {bar}");
}

pub(crate) fn outcome(site: usize, outcome: &Outcome) {
    println!("site {site} {} faults {:?}", outcome.shape, outcome.faults);
    for finding in &outcome.singles {
        let (kind, what) = (finding.kind.word(), &finding.suspect);
        println!("  single {kind} {} {}: {}", what.kind, what.id, finding.evidence.join("; "));
    }
    for finding in &outcome.groups {
        let rivals: Vec<&str> = finding.cannot_exclude.iter().map(|s| s.id.as_str()).collect();
        let standing = if finding.standing == Standing::Confirmed { "CONFIRMED" } else { "watch" };
        println!(
            "  {standing} {} {} {} rivals {rivals:?} q {:?} {}",
            finding.kind.word(),
            finding.suspect.kind,
            finding.suspect.id,
            finding.q_value,
            finding.evidence.join("; ")
        );
    }
}
