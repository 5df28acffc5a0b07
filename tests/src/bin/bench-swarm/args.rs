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
    /// PDUs and coolant units beside the fleet.
    pub(crate) pdus: usize,
    pub(crate) cdus: usize,
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
            pdus: 0,
            cdus: 0,
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
                "--pdus" => args.pdus = value.parse().with_context(wrong)?,
                "--cdus" => args.cdus = value.parse().with_context(wrong)?,
                "--json" => args.json = value.parse().with_context(wrong)?,
                _ => bail!("unknown flag {name}"),
            }
        }
        if args.agents == 0 || args.seconds == 0 || !(1..=2).contains(&args.connections) {
            bail!("at least one agent, one second, and one or two connections");
        }
        Ok(args)
    }

    pub(crate) fn has_meters(&self) -> bool {
        self.pdus + self.cdus > 0
    }
}
