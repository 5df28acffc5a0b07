//! `loadbank manual`: man pages and completions of both binaries, from the same options that
//! they parse, so that a package can't say other than the binary.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};

use crate::failure::Failure;
use crate::options::{ManualOptions, Options};
use crate::output;

/// Writes them.
///
/// # Errors
/// When the folder can't be written.
pub fn run(options: &ManualOptions) -> Result<ExitCode, Failure> {
    let dir = &options.dir;
    for command in [Options::command(), agent::Options::command()] {
        write(command, dir)
            .map_err(|error| Failure::usage(format!("{}: {error}", dir.display())))?;
    }
    output::line(&format!("man pages and completions in {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn write(mut command: Command, dir: &Path) -> io::Result<()> {
    for (shell, folder) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let folder = dir.join(folder);
        std::fs::create_dir_all(&folder)?;
        let name = command.get_name().to_owned();
        generate_to(shell, &mut command, name, folder)?;
    }
    let folder = dir.join("man");
    std::fs::create_dir_all(&folder)?;
    // Verbs have pages of their own (loadbank-run.1); hidden ones have none.
    clap_mangen::generate_to(command, folder)
}
