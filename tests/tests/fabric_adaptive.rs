//! The adaptive planner on simulated fabrics, a few trials of each kind; what it reaches over
//! many is the calibration's to say (`calibrate-adaptive`).

use sim::fabric::{Paths, Shape};
use system_tests::adaptive::{Fault, ROUNDS_MAX, shape, trial};

/// Seeds that neither the planner's numbers nor the calibration saw.
const SEEDS: std::ops::Range<u64> = 500_000..500_010;

fn named(fault: Fault, paths: Paths) -> usize {
    let outcomes = SEEDS.map(|seed| trial(&shape(), fault, paths, seed));
    outcomes.filter(|o| o.named_in.is_some_and(|rounds| rounds <= ROUNDS_MAX)).count()
}

#[test]
fn a_half_speed_uplink_of_128_is_found_in_at_most_20_rounds() {
    let found = named(Fault::Uplink(0.5), Paths::Known);
    assert!(found >= 9, "{found} of 10");
}

#[test]
fn with_paths_unknown_most_are_found_in_as_many() {
    // Below the 0.95 that known paths reach: docs/fabric-planning.md has the share. The seeds
    // are fixed, so this holds what was reached.
    let found = named(Fault::Uplink(0.5), Paths::Unknown);
    assert!(found >= 6, "{found} of 10");
}

#[test]
fn a_slow_card_is_named_as_a_card() {
    for paths in [Paths::Known, Paths::Unknown] {
        let found = named(Fault::Card(0.5), paths);
        assert!(found >= 8, "{paths:?}: {found} of 10");
    }
}

#[test]
fn a_sound_fabric_accuses_nobody_and_is_called_sound_early_where_paths_are_known() {
    for paths in [Paths::Known, Paths::Unknown] {
        for seed in SEEDS {
            let outcome = trial(&shape(), Fault::None, paths, seed);
            assert!(!outcome.accused_sound, "{paths:?} {seed} {outcome:?}");
            if paths == Paths::Known {
                assert!(outcome.decided && outcome.rounds < ROUNDS_MAX, "{seed} {outcome:?}");
            }
        }
    }
}

#[test]
fn the_same_seed_asks_the_same_rounds() {
    let small = Shape { leaves: 4, hosts: 2, spines: 2, ..Shape::default() };
    let run = || trial(&small, Fault::Uplink(0.5), Paths::Known, 3);
    assert_eq!(run(), run());
}
