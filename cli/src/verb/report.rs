//! `loadbank report`: judge a run's record anew and print it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agent::state_dir::default_state_dir;
use coordinator::store::Catalogue;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::{ReportOptions, Target};
use crate::report::dossier::Dossier;
use crate::{follow, output};

/// Prints the report of a run and exits with the run's code.
///
/// # Errors
/// When there is no such run, or its file is damaged.
pub async fn run(options: ReportOptions) -> Result<ExitCode, Failure> {
    let dossier = dossier(&options).await?;
    match &options.finding {
        None => follow::print(&dossier, options.shape.format()),
        Some(id) => {
            output::line(&dossier.ticket(id)?)?;
            Ok(ExitCode::from(dossier.report.exit_code))
        }
    }
}

async fn dossier(options: &ReportOptions) -> Result<Dossier, Failure> {
    if let Some(coordinator) = options.coordinator.clone() {
        let (tls_dir, insecure_loopback) = (options.tls_dir.clone(), options.insecure_loopback);
        let target = Target { coordinator, tls_dir, insecure_loopback };
        let mut client = connect(&target).await?;
        let run = if options.run == "last" { "" } else { &options.run };
        return Ok(follow::fetched(&mut client, run).await?.into());
    }
    let state_dir = options.state_dir.clone().unwrap_or_else(default_state_dir);
    let found = coordinator::evidence_of(&locate(&options.run, &state_dir)?)?;
    let report = found.judge();
    Ok(Dossier { report, site: found.site, evidence: Some(found.evidence) })
}

/// A folder or file as it is; else the run of a state directory with that id or beginning.
pub(super) fn locate(run: &str, state_dir: &Path) -> Result<PathBuf, Failure> {
    let path = Path::new(run);
    if path.exists() {
        return Ok(path.to_owned());
    }
    if !state_dir.join("catalogue.sqlite").exists() {
        return Err(Failure::usage(format!(
            "{run}: no such folder, and {} holds no runs; name another with --state-dir, or ask a coordinator with --coordinator",
            state_dir.display()
        )));
    }
    let runs = Catalogue::open(state_dir)?.runs()?;
    let found: Vec<_> = match run {
        "last" => runs.last().into_iter().collect(),
        id => runs.iter().filter(|row| row.run.starts_with(id)).collect(),
    };
    match found.as_slice() {
        [one] => Ok(PathBuf::from(&one.folder)),
        [] => Err(Failure::usage(format!("{run}: no such run in {}", state_dir.display()))),
        many => {
            Err(Failure::usage(format!("{run}: {} runs begin so; write more of it", many.len())))
        }
    }
}
