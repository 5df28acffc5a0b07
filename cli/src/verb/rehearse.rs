//! `loadbank rehearse`: a plan on a simulated hall, judged like any other run.

use std::process::ExitCode;
use std::time::Instant;

use analysis::{Digest, Terms, tables as evidence};
use model::{Plan, RunFacts, RunId, Site, Source};
use sim::fault::{Fault, FaultKind};
use sim::physics::Physics;
use sim::world::{Cadence, Sampling, World};

use crate::failure::Failure;
use crate::options::RehearseOptions;
use crate::report::dossier::Dossier;
use crate::{follow, output, plan_source};

/// Rows of one rehearsal, about: seconds of simulation, and enough for steady medians of
/// every device in every phase of the largest site.
const ROWS: f64 = 300_000.0;
/// Sensors of halls are read once a second, not more often.
const INTERVAL_LEAST_S: f64 = 1.0;

/// Rehearses a plan; exits with what hardware would get.
///
/// # Errors
/// When a document can't be read or is wrong, or plan or faults don't fit the site (2).
pub fn run(options: &RehearseOptions) -> Result<ExitCode, Failure> {
    if options.fault.iter().any(|fault| fault == "list") {
        list_faults()?;
        return Ok(ExitCode::SUCCESS);
    }
    follow::print(&dossier(options)?, options.shape.format())
}

fn dossier(options: &RehearseOptions) -> Result<Dossier, Failure> {
    let site = formats::site::read(&options.site).map_err(Failure::usage)?;
    let policy = plan_source::policy(options.policy.as_deref())?;
    let plan = plan_source::plan_on(&options.plan, &site)?;
    let faults =
        options.fault.iter().map(|text| parsed(text, &site)).collect::<Result<Vec<_>, _>>()?;
    let world = World::new(&site, &plan, &faults, options.seed, Physics::default())
        .map_err(Failure::usage)?;
    for fault in &faults {
        eprintln!("fault {fault}: {}", fault.kind.entry().what);
    }
    let mut seen = digest(&world, &plan, &site).finish(RunFacts::default());
    seen.facts = evidence::facts(&seen.seen, Some(&site), &plan, Source::Rehearsal);
    seen.facts.run = RunId(format!("rehearsal-{}", options.seed));
    seen.facts.injected = !faults.is_empty();
    let terms = Terms { plan: &plan, site: Some(&site), policy: &policy };
    let report = analysis::judge(&terms, &seen);
    Ok(Dossier { report, site: Some(site), evidence: Some(seen) })
}

/// What the simulated sensors said, through the door that tables of others take.
fn digest(world: &World, plan: &Plan, site: &Site) -> Digest {
    let began = Instant::now();
    let every_s = (plan.seconds() * site.devices() as f64 / ROWS).max(INTERVAL_LEAST_S);
    let sampling = Sampling { cadence: Cadence::Every(every_s), ..Sampling::default() };
    let mut digest = Digest::new(plan);
    for columns in world.samples(sampling) {
        digest.add_samples(&columns);
    }
    digest.add_meters(&world.meters());
    match world.pairs() {
        Ok(rows) => digest.add_pairs(&rows),
        Err(none) => eprintln!("no transfers between nodes: {none}"),
    }
    let (simulated, taken) = (plan.seconds(), began.elapsed().as_secs_f64());
    eprintln!("simulated {simulated:.0} s, a sample every {every_s:.1} s, in {taken:.1} s");
    digest
}

fn parsed(text: &str, site: &Site) -> Result<Fault, Failure> {
    Fault::read(text, site).map_err(|error| Failure::usage(format!("--fault {text}: {error}")))
}

fn list_faults() -> Result<(), Failure> {
    for entry in FaultKind::catalogue() {
        output::line(&format!("{:<18} {}", entry.word, entry.what))?;
    }
    Ok(())
}
