//! The script: a text of one fact a line, read anew whenever it changes.
//!
//! `driver 580.95.05`, `gpus 8`, `numbering old` (of fields 251 to 273; by the driver's
//! version otherwise), and of each GPU `gpu 3 WORD [NUMBER [NUMBER]]`: `brake`, `hw_thermal`,
//! `sw_thermal`, `power_cap`, `hang`, `lost`, `mig`, `xid 79`, `process 4242`, `lacks 186`
//! (a field), `error 9991` (what its temperature answers), `requested 700`, `limit 600`,
//! `remap_failed`, `ecc 1`, `power 650`, `temperature 88`, `capability 7 5`, `lanes 8`,
//! `generation 3`, `replays 200`, `nvlinks_down 2`. What is gone from
//! the text is over.

use std::collections::BTreeMap;

/// What the script says of one GPU: a word and its numbers, several times perhaps.
pub(crate) type Facts = Vec<(String, Vec<u64>)>;

/// Everything that the script says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Script {
    pub(crate) driver: String,
    pub(crate) gpus: u32,
    /// Whether fields 251 to 255 are the counters; by the driver's version where not said.
    pub(crate) old_numbering: Option<bool>,
    facts: BTreeMap<u32, Facts>,
}

impl Default for Script {
    fn default() -> Self {
        let driver = "580.95.05".to_owned();
        Self { driver, gpus: 8, old_numbering: None, facts: BTreeMap::new() }
    }
}

impl Script {
    /// Reads a text; lines that make no sense are left out.
    pub(crate) fn parse(text: &str) -> Self {
        let mut script = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["driver", version] => script.driver = (*version).to_owned(),
                ["gpus", count] => script.gpus = count.parse().unwrap_or(script.gpus),
                ["numbering", which] => script.old_numbering = Some(*which == "old"),
                ["gpu", index, word, numbers @ ..] => {
                    let Ok(index) = index.parse() else { continue };
                    let numbers = numbers.iter().filter_map(|number| number.parse().ok());
                    let fact = ((*word).to_owned(), numbers.collect());
                    script.facts.entry(index).or_default().push(fact);
                }
                _ => {}
            }
        }
        script
    }

    /// Whether it says this word of a GPU.
    pub(crate) fn says(&self, gpu: u32, word: &str) -> bool {
        self.facts_of(gpu, word).next().is_some()
    }

    /// The first number behind a word.
    pub(crate) fn number(&self, gpu: u32, word: &str) -> Option<u64> {
        self.facts_of(gpu, word).find_map(|numbers| numbers.first().copied())
    }

    /// Whether one of a word's lines has this number.
    pub(crate) fn has(&self, gpu: u32, word: &str, number: u64) -> bool {
        self.facts_of(gpu, word).any(|numbers| numbers.contains(&number))
    }

    /// The numbers of each line with this word.
    pub(crate) fn facts_of<'a>(
        &'a self,
        gpu: u32,
        word: &'a str,
    ) -> impl Iterator<Item = &'a [u64]> {
        let facts = self.facts.get(&gpu).into_iter().flatten();
        facts.filter(move |(said, _)| said == word).map(|(_, numbers)| numbers.as_slice())
    }

    /// Whether the driver has the old numbering.
    pub(crate) fn is_old(&self) -> bool {
        let mut parts = self.driver.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        self.old_numbering.unwrap_or(version < (580, 82))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_what_it_says() {
        let text = "driver 535.1.2\ngpus 2\ngpu 1 brake\ngpu 1 lacks 186\ngpu 1 capability 7 5\n?";
        let script = Script::parse(text);
        assert_eq!((script.gpus, script.is_old()), (2, true));
        assert!(script.says(1, "brake") && !script.says(0, "brake"));
        assert!(script.has(1, "lacks", 186) && !script.has(1, "lacks", 185));
        assert_eq!(script.facts_of(1, "capability").next(), Some(&[7, 5][..]));
        assert!(!Script::default().is_old());
    }
}
