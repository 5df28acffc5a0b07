//! A simulated fabric in front of the judge, once each way; how often it is right over many
//! seeds is the calibration's to say (`calibrate-fabric`).

use std::collections::BTreeSet;

use analysis::{Digest, Terms};
use model::RunFacts;
use model::finding::{FindingKind, Standing};
use model::plan::Plan;
use model::policy::Policy;
use sim::fabric::{Direction, FabricFault, Paths, Place, Run, Schedule, Shape};

fn busy(faults: Vec<FabricFault>) -> Run {
    Run {
        shape: Shape::default(),
        schedule: Schedule::AllBusy { flows: 8 },
        rounds: 8,
        paths: Paths::Known,
        faults,
        seed: 7,
    }
}

/// Kind and suspect of each confirmed finding.
fn confirmed(run: &Run) -> Vec<(FindingKind, String)> {
    let site = run.shape.site().expect("a sound site");
    let plan = Plan {
        name: "fabric".to_owned(),
        requires: BTreeSet::new(),
        seed: 1,
        limits: Default::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: Vec::new(),
    };
    let mut digest = Digest::new(&plan);
    digest.add_pairs(&run.rows());
    let terms = Terms { plan: &plan, site: Some(&site), policy: &Policy::default() };
    let report = analysis::judge(&terms, &digest.finish(RunFacts::default()));
    let confirmed = report.findings.into_iter().filter(|f| f.standing == Standing::Confirmed);
    confirmed.map(|finding| (finding.kind, finding.suspect.id)).collect()
}

#[test]
fn a_sound_fabric_under_collisions_accuses_nobody() {
    assert_eq!(confirmed(&busy(Vec::new())), []);
}

#[test]
fn one_uplink_at_half_speed_is_named_among_collisions() {
    let place = Place::Uplink(2, 5, Direction::Up);
    let named = confirmed(&busy(vec![FabricFault::lasting(place, 0.5)]));
    assert_eq!(named, [(FindingKind::SlowUplink, "leaf-3>spine-6".to_owned())]);
}

#[test]
fn one_card_at_half_speed_is_named_and_no_uplink() {
    let place = Place::Host(9, Direction::Down);
    let named = confirmed(&busy(vec![FabricFault::lasting(place, 0.5)]));
    assert_eq!(named, [(FindingKind::SlowNic, "gpu010/mlx5_0".to_owned())]);
}

#[test]
fn a_taper_between_pods_is_an_island_and_no_cards_fault() {
    let shape = Shape { pods: 2, leaves: 4, pod_taper: 2.0, ..Shape::default() };
    let schedule = Schedule::PodsInTurn { flows: 16 };
    let run = Run { shape, schedule, paths: Paths::Unknown, ..busy(Vec::new()) };
    let named = confirmed(&run);
    assert!(
        matches!(&named[..], [(FindingKind::NetworkIsland, cut)] if cut.starts_with("pod-")),
        "{named:?}"
    );
    let shape = Shape { pod_taper: 1.0, ..run.shape.clone() };
    assert_eq!(confirmed(&Run { shape, ..run }), []);
}
