//! `loadbank analyze`: judge tables that somebody else recorded.

use std::path::Path;
use std::process::ExitCode;

use analysis::{Digest, Terms, tables as evidence};
use model::{Report, RunId, Site, Source};

use crate::failure::Failure;
use crate::options::AnalyzeOptions;
use crate::{follow, plan_source, tables};

/// Judges tables and exits with the code of the verdict.
///
/// # Errors
/// When a document or table can't be read or is wrong (2).
pub fn run(options: &AnalyzeOptions) -> Result<ExitCode, Failure> {
    follow::print(&report(options)?, options.json)
}

fn report(options: &AnalyzeOptions) -> Result<Report, Failure> {
    let handed = [&options.samples, &options.pairs, &options.meters];
    if handed.iter().all(|file| file.is_none()) {
        return Err(Failure::usage(
            "nothing to judge: name a table with --samples, --pairs or --meters",
        ));
    }
    let site = options.site.as_deref().map(read_site).transpose()?;
    let policy = plan_source::policy(options.policy.as_deref())?;
    let known = options.plan.as_deref().map(plan_source::parsed_plan).transpose()?;
    let mut digest = Digest::new(known.as_ref().unwrap_or(&evidence::unwritten_plan()));
    if let Some(path) = &options.samples {
        tables::samples(path, &mut digest)?;
    }
    let plan = known.unwrap_or_else(|| evidence::implied_plan(digest.seen()));
    let mut facts = evidence::facts(digest.seen(), site.as_ref(), &plan, Source::Tables);
    facts.run = RunId(names(&handed));
    let terms = Terms { plan: &plan, site: site.as_ref(), policy: &policy };
    Ok(analysis::judge(&terms, &digest.finish(facts)))
}

fn read_site(path: &Path) -> Result<Site, Failure> {
    formats::site::read(path).map_err(Failure::usage)
}

/// The tables' file names: what stands where a run has its id.
fn names(files: &[&Option<std::path::PathBuf>]) -> String {
    let names = files.iter().filter_map(|file| file.as_deref()?.file_name());
    names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
