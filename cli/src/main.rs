//! `loadbank`: parses, calls the verb, exits with its code.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use loadbank_cli::options::{Options, Verb};
use loadbank_cli::{Failure, verb};

fn main() -> ExitCode {
    let options = Options::parse();
    if !spoils_the_screen(&options.verb) {
        agent::start_logging();
    }
    match options.verb {
        // The agent's permanent thread is the main one, and its runtime its own.
        Verb::AgentProcess(options) => agent_process(options),
        verb => match block_on(verb) {
            Ok(code) => code,
            Err(failure) => {
                eprintln!("loadbank: {failure}");
                ExitCode::from(failure.code)
            }
        },
    }
}

/// Whether lines on standard error would be written across a screen.
fn spoils_the_screen(verb: &Verb) -> bool {
    matches!(verb, Verb::Watch(options) if verb::watch::takes_the_screen(options))
        && std::io::stderr().is_terminal()
}

fn agent_process(options: agent::Options) -> ExitCode {
    let before = agent::SelfArguments(vec!["agent-process".into()]);
    match agent::run(options, before) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadbank-agent: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn block_on(verb: Verb) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::infrastructure)?;
    runtime.block_on(async {
        match verb {
            Verb::Analyze(options) => verb::analyze::run(&options),
            Verb::Compare(options) => verb::compare::run(&options),
            Verb::Local(options) => verb::local::run(options).await,
            Verb::Serve(options) => verb::serve::run(options).await,
            Verb::Run(options) => verb::run::run(options).await,
            Verb::Watch(options) => verb::watch::run(options).await,
            Verb::Stop(options) => verb::stop::run(options).await,
            Verb::Release(options) => verb::release::run(options).await,
            Verb::Mark(options) => verb::mark::run(options).await,
            Verb::Resume(options) => verb::resume::run(options).await,
            Verb::Runs(options) => verb::runs::run(options).await,
            Verb::Meters { verb } => verb::meters::run(verb).await,
            Verb::Agents(options) => verb::agents::run(options).await,
            Verb::Pki(verb) => verb::pki::run(verb),
            Verb::Rehearse(options) => verb::rehearse::run(&options),
            Verb::Review(options) => verb::review::run(&options),
            Verb::Report(options) => verb::report::run(options).await,
            Verb::Site(verb) => verb::site::run(&verb),
            Verb::Sweep(verb) => verb::sweep::run(verb).await,
            Verb::Manual(options) => verb::manual::run(&options),
            Verb::AgentProcess(_) => Err(Failure::usage("agent-process is started by main")),
        }
    })
}
