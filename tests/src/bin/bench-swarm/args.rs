//! The benchmark's flags.

use anyhow::{Context, Result, bail};

/// What is to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    pub(crate) agents: usize,
    pub(crate) seconds: u64,
    pub(crate) bytes: usize,
    pub(crate) connections: usize,
    pub(crate) bare: bool,
    pub(crate) json: bool,
}

impl Args {
    /// Reads `--name value` pairs.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut args = Self {
            agents: 1000,
            seconds: 30,
            bytes: 500,
            connections: 1,
            bare: false,
            json: false,
        };
        while let Some(name) = words.next() {
            let value = words.next().with_context(|| format!("{name} needs a value"))?;
            let wrong = || format!("{name} {value:?} makes no sense");
            match name.as_str() {
                "--agents" => args.agents = value.parse().with_context(wrong)?,
                "--seconds" => args.seconds = value.parse().with_context(wrong)?,
                "--bytes" => args.bytes = value.parse().with_context(wrong)?,
                "--connections" => args.connections = value.parse().with_context(wrong)?,
                "--bare" => args.bare = value.parse().with_context(wrong)?,
                "--json" => args.json = value.parse().with_context(wrong)?,
                _ => bail!("unknown flag {name}"),
            }
        }
        if args.agents == 0 || args.seconds == 0 || !(1..=2).contains(&args.connections) {
            bail!("at least one agent, one second, and one or two connections");
        }
        Ok(args)
    }
}
