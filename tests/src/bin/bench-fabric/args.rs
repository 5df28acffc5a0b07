//! The benchmark's flags: `--name value` or `--name`.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use agent::fabric::endpoint::{Endpoint, EndpointConfig, STALL_NS};
use agent::fabric::hello::{TOKEN_BYTES, Token};
use agent::fabric::socket::Tuning;

/// All data here is public: a fixed token will do.
const TOKEN: Token = Token([0x5a; TOKEN_BYTES]);

/// Flags by name.
#[derive(Debug)]
pub(crate) struct Args(BTreeMap<String, String>);

impl Args {
    /// Reads flags; a flag without a value is `true`.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut words = words.peekable();
        let mut flags = BTreeMap::new();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else { bail!("unexpected {word:?}") };
            let value = words.next_if(|next| !next.starts_with("--")).unwrap_or("true".into());
            flags.insert(name.to_owned(), value);
        }
        Ok(Self(flags))
    }

    /// A flag's value, or a default.
    pub(crate) fn get<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        match self.0.get(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().ok().with_context(|| format!("--{name} {text:?} makes no sense"))
            }
        }
    }

    /// A list of numbers separated by commas.
    pub(crate) fn list<T: FromStr>(&self, name: &str, default: &str) -> Result<Vec<T>> {
        let text = self.get(name, default.to_owned())?;
        let parsed = text.split(',').map(|part| part.parse().ok()).collect::<Option<Vec<T>>>();
        parsed.with_context(|| format!("--{name} {text:?} makes no sense"))
    }

    /// All flags again, for a child process.
    pub(crate) fn words(&self) -> Vec<String> {
        self.0.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect()
    }

    /// An endpoint on a port of 127.0.0.1, tuned as the flags say.
    pub(crate) fn endpoint(&self, port: u16) -> Result<Endpoint> {
        let congestion = self.0.get("congestion").cloned();
        let buffer_bytes = self.0.get("buffer").map(|_| self.get("buffer", 0)).transpose()?;
        let source_port_base = None;
        let tuning = Tuning { congestion, buffer_bytes, source_port_base };
        let listen = ([127, 0, 0, 1], port).into();
        let config = EndpointConfig { listen, token: TOKEN, tuning, stall_ns: STALL_NS };
        Ok(Endpoint::bind(config)?)
    }

    /// Prints one figure.
    pub(crate) fn print(&self, name: &str, round: u32, value: f64, unit: &str) -> Result<()> {
        if self.get("json", false)? {
            let line = serde_json::json!({
                "name": name, "round": round, "value": value, "unit": unit,
            });
            println!("{line}");
        } else {
            println!("{name:<32} round {round:>2} {value:>12.4} {unit}");
        }
        Ok(())
    }
}

/// The middle of some values; of an even number the lower one.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}
