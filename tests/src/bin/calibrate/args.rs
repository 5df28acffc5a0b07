//! `name=value` and plain words.

use std::collections::BTreeMap;

/// What was asked.
pub(crate) struct Args {
    values: BTreeMap<String, String>,
    words: Vec<String>,
}

impl Args {
    pub(crate) fn read(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut values, mut words) = (BTreeMap::new(), Vec::new());
        for arg in args {
            match arg.split_once('=') {
                Some((name, value)) => {
                    values.insert(name.to_owned(), value.to_owned());
                }
                None => words.push(arg),
            }
        }
        Ok(Self { values, words })
    }

    pub(crate) fn word(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }

    pub(crate) fn number(&self, name: &str, default: usize) -> Result<usize, String> {
        let Some(value) = self.values.get(name) else { return Ok(default) };
        value.parse().map_err(|_| format!("{name}={value} is no whole number"))
    }

    pub(crate) fn real(&self, name: &str, default: f64) -> Result<f64, String> {
        let Some(value) = self.values.get(name) else { return Ok(default) };
        value.parse().map_err(|_| format!("{name}={value} is no number"))
    }
}
