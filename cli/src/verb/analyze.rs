//! `loadbank analyze`: judge tables that somebody else recorded.

use std::path::Path;
use std::process::ExitCode;

use analysis::{Digest, Terms, tables as evidence};
use formats::{MeterReader, PairReader};
use model::{RunFacts, RunId, Site, Source};

use crate::failure::Failure;
use crate::options::AnalyzeOptions;
use crate::report::dossier::Dossier;
use crate::{follow, plan_source, tables};

/// Judges tables and exits with the code of the verdict.
///
/// # Errors
/// When a document or table can't be read or is wrong (2).
pub fn run(options: &AnalyzeOptions) -> Result<ExitCode, Failure> {
    follow::print(&dossier(options)?, options.shape.format())
}

fn dossier(options: &AnalyzeOptions) -> Result<Dossier, Failure> {
    let handed = [&options.samples, &options.pairs, &options.meters];
    if handed.iter().all(|file| file.is_none()) {
        return Err(Failure::usage(
            "nothing to judge: name a table with --samples, --pairs or --meters",
        ));
    }
    let site = options.site.as_deref().map(read_site).transpose()?;
    let policy = plan_source::policy(options.policy.as_deref())?;
    let known = options.plan.as_deref().map(plan_source::parsed_plan).transpose()?;
    let start = known.clone().unwrap_or_else(evidence::unwritten_plan);
    let mut digest = match &options.samples {
        Some(path) => tables::samples(path, &start)?,
        None => Digest::new(&start),
    };
    if let Some(path) = &options.pairs {
        let reader = PairReader::open(path).map_err(Failure::usage)?;
        tables::each_batch(path, reader, |rows| digest.add_pairs(rows))?;
    }
    if let Some(path) = &options.meters {
        let reader = MeterReader::open(path).map_err(Failure::usage)?;
        tables::each_batch(path, reader, |rows| digest.add_meters(rows))?;
    }
    let mut seen = digest.finish(RunFacts::default());
    let plan = known.unwrap_or_else(|| evidence::implied_plan(&seen.seen));
    seen.facts = evidence::facts(&seen.seen, site.as_ref(), &plan, Source::Tables);
    seen.facts.run = RunId(names(&handed));
    let terms = Terms { plan: &plan, site: site.as_ref(), policy: &policy };
    let report = analysis::judge(&terms, &seen);
    Ok(Dossier { report, site, evidence: Some(seen) })
}

fn read_site(path: &Path) -> Result<Site, Failure> {
    formats::site::read(path).map_err(Failure::usage)
}

/// The tables' file names: what stands where a run has its id.
fn names(files: &[&Option<std::path::PathBuf>]) -> String {
    let names = files.iter().filter_map(|file| file.as_deref()?.file_name());
    names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
