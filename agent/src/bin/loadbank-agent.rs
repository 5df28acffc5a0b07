//! The agent's binary: options in, supervisor until the end.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    agent::start_logging();
    match agent::run(agent::Options::parse(), agent::SelfArguments::default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadbank-agent: {error:#}");
            ExitCode::from(2)
        }
    }
}
