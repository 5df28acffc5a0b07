//! What held a run's load back, from its journal, in the words of its report.

use std::collections::BTreeMap;

use model::facts::RunFacts;

use crate::store::{JournalEntry, SweptNode};

/// The lowest cap of a domain in a phase.
#[derive(Clone, Copy)]
struct Lowest {
    percent: u8,
    most_kw: f64,
    measured_kw: f64,
    silent: usize,
}

/// Adds to the facts what held the load back.
pub(crate) fn add(facts: &mut RunFacts, journal: &[(i64, JournalEntry)]) {
    let mut lowest: BTreeMap<(&str, &str), Lowest> = BTreeMap::new();
    let mut staged = None;
    for (_, entry) in journal {
        match entry {
            JournalEntry::Capped { phase, domain, percent, most_kw, measured_kw, silent } => {
                let now = Lowest {
                    percent: *percent,
                    most_kw: *most_kw,
                    measured_kw: *measured_kw,
                    silent: *silent,
                };
                let held = lowest.entry((phase, domain)).or_insert(now);
                if now.percent < held.percent {
                    *held = now;
                }
            }
            JournalEntry::Permitted { permit_toml: Some(text), .. } => {
                // What can't be read any more may have been staged: nothing counts as released.
                let permit = formats::permit::parse("permit.toml", text);
                staged = permit.map_or(true, |permit| permit.is_staged()).then_some(0);
            }
            // A resume begins below the first step again.
            JournalEntry::Resumed { .. } => staged = staged.map(|_| 0),
            JournalEntry::Released { step, who, asked_by } => {
                staged = Some(*step);
                let by = if asked_by.is_empty() { String::new() } else { format!(" ({asked_by})") };
                facts.restraints.push(format!("{who}{by} released the load to {step} %"));
            }
            JournalEntry::Swept(swept) => {
                let left = |out: &SweptNode| {
                    format!("sweep {} left {} out: {}", swept.sweep, out.node, out.why)
                };
                facts.restraints.extend(swept.left_out.iter().map(left));
            }
            _ => {}
        }
    }
    for ((phase, domain), held) in lowest.into_iter().filter(|(_, held)| held.percent < 100) {
        let silent = match held.silent {
            0 => String::new(),
            nodes => format!(", {nodes} nodes without a reading"),
        };
        facts.restraints.push(format!(
            "phase {phase} was capped at {} % to keep {domain} under {:.1} kW ({:.2} kW measured{silent})",
            held.percent, held.most_kw, held.measured_kw
        ));
    }
    facts.unreleased_percent = staged.filter(|step| *step < 100).map(|step| 100 - step);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capped(phase: &str, percent: u8) -> (i64, JournalEntry) {
        let entry = JournalEntry::Capped {
            phase: phase.to_owned(),
            domain: "pdu pdu-a1".to_owned(),
            percent,
            most_kw: 27.0,
            measured_kw: 26.1,
            silent: 0,
        };
        (0, entry)
    }

    #[test]
    fn the_lowest_cap_of_a_phase_is_told_with_its_numbers() {
        let mut facts = RunFacts::default();
        let journal =
            [capped("soak", 90), capped("soak", 83), capped("soak", 100), capped("up", 100)];
        add(&mut facts, &journal);
        let told =
            "phase soak was capped at 83 % to keep pdu pdu-a1 under 27.0 kW (26.10 kW measured)";
        assert_eq!(facts.restraints, [told]);
        assert_eq!(facts.unreleased_percent, None);
    }

    #[test]
    fn what_nobody_released_is_told() {
        let permit = "schema = 1\nissued_by = \"a\"\nsite = \"s\"\ntotal_kw = 1\n[[window]]\n\
            from = \"2026-01-31T20:00:00Z\"\nto = \"2026-02-01T06:00:00Z\"\n[[waveform]]\n\
            kind = \"hold\"\n[[release]]\nstep = 25\nwho = [\"B\"]\n";
        let permitted = JournalEntry::Permitted {
            by: "permit.toml".to_owned(),
            issued_by: "a".to_owned(),
            permit_toml: Some(permit.to_owned()),
            affirmed: Vec::new(),
            who: "u".to_owned(),
        };
        let released =
            JournalEntry::Released { step: 25, who: "B".to_owned(), asked_by: "u".to_owned() };
        let mut facts = RunFacts::default();
        add(&mut facts, &[(0, permitted.clone())]);
        assert_eq!(facts.unreleased_percent, Some(100));
        add(&mut facts, &[(0, permitted), (1, released)]);
        assert_eq!(facts.unreleased_percent, Some(75));
        assert_eq!(facts.restraints, ["B (u) released the load to 25 %"]);
    }
}
