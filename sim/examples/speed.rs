//! How fast halls are simulated: `cargo run --release -p sim --example speed`.

use std::collections::BTreeSet;
use std::time::Instant;

use model::load::Kernel;
use model::plan::{Limits, Phase, PhaseKind, PhaseLoad, Plan, Selector};
use sim::hall::HallShape;
use sim::physics::Physics;
use sim::world::{Sampling, World};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let phase = |kind, seconds, load| Phase {
        name: format!("{kind:?}"),
        kind,
        seconds,
        on: Selector::All,
        load,
        traffic: None,
        act: None,
    };
    let plan = Plan {
        name: "soak".to_owned(),
        requires: BTreeSet::new(),
        seed: 1,
        limits: Limits::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: vec![phase(PhaseKind::Hold, 3_600.0, Some(PhaseLoad::of(Kernel::Mix, 100.0)))],
    };
    let faults = ["pdu_limit:pdu-a-3=10%".parse()?, "loop_flow:loop-2=30%".parse()?];
    println!("{:>12} {:>8} {:>9} {:>9} {:>9}", "shape", "build", "rows", "samples", "meters");
    for shape in HallShape::all() {
        let started = Instant::now();
        let site = shape.site().map_err(|problems| format!("{problems:?}"))?;
        let world = World::new(&site, &plan, &faults, 1, Physics::default())?;
        let built = started.elapsed();
        let started = Instant::now();
        let rows: usize = world.samples(Sampling::per_phase(60)).map(|chunk| chunk.rows()).sum();
        let sampled = started.elapsed();
        let started = Instant::now();
        let readings = world.meters().len();
        let metered = started.elapsed();
        println!(
            "{:>12} {built:>8.1?} {rows:>9} {sampled:>9.1?} {metered:>9.1?} ({readings} readings)",
            shape.name
        );
    }
    Ok(())
}
