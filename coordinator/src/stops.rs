//! What ended heat before the plan did, from a run's journal, for its judge.

use model::NodeName;
use model::facts::{RunFacts, StopFact};
use model::interlock::Action;

use crate::store::JournalEntry;

/// Adds to the facts every stop and every shed, each node's clock, and a line a trip.
pub(crate) fn add(facts: &mut RunFacts, journal: &[(i64, JournalEntry)]) {
    let joined = facts.nodes.iter().filter(|(_, node)| node.joined);
    let mut left: Vec<NodeName> = joined.map(|(name, _)| name.clone()).collect();
    for (time_ns, entry) in journal {
        match entry {
            JournalEntry::Lost { node, .. } => left.retain(|name| name.0 != *node),
            JournalEntry::StopAsked { who, drop } => facts.stops.push(StopFact {
                kind: "person".to_owned(),
                by: who.clone(),
                why: format!("stopped by {who}"),
                drop: *drop,
                shed: None,
                read_unix_ns: *time_ns,
                heard_unix_ns: *time_ns,
                nodes: left.clone(),
            }),
            JournalEntry::Interlock { rule, at, action, why, domain, .. } => {
                facts.stops.extend(stop_of(entry, &left));
                let of = if domain.is_empty() { String::new() } else { format!(" {domain}") };
                facts.restraints.push(format!("interlock {rule} ({at}): {why}: {action}{of}"));
            }
            JournalEntry::InterlockResumed { rule, who } => {
                facts.restraints.push(format!("{who} resumed the interlock {rule}"));
            }
            JournalEntry::PhaseStarts { clocks, .. } => {
                clocks.iter().for_each(|clock| note(facts, clock));
            }
            JournalEntry::Clock { clock } => note(facts, clock),
            _ => {}
        }
    }
}

fn note(facts: &mut RunFacts, clock: &crate::store::NodeClock) {
    let known = facts.clocks.entry(NodeName(clock.node.clone())).or_default();
    known.push((clock.at_ns, clock.offset_ns));
}

/// The stop that a trip made; nothing for one that ended no heat.
fn stop_of(entry: &JournalEntry, left: &[NodeName]) -> Option<StopFact> {
    let JournalEntry::Interlock { rule, action, why, read_ns, heard_ns, domain, nodes, .. } = entry
    else {
        return None;
    };
    let (drop, shed) = match Action::from_word(action)? {
        Action::Warn | Action::Hold => return None,
        Action::Shed => (false, Some(domain.clone())),
        Action::StopRamp => (false, None),
        Action::StopDrop => (true, None),
    };
    let told = |name: &&NodeName| shed.is_none() || nodes.contains(&name.0);
    Some(StopFact {
        kind: "interlock".to_owned(),
        by: rule.clone(),
        why: why.clone(),
        drop,
        nodes: left.iter().filter(told).cloned().collect(),
        shed,
        read_unix_ns: *read_ns,
        heard_unix_ns: *heard_ns,
    })
}

#[cfg(test)]
mod tests {
    use model::facts::NodeFacts;

    use super::*;

    fn tripped(action: &str, domain: &str, nodes: &[&str]) -> JournalEntry {
        JournalEntry::Interlock {
            rule: "supply".to_owned(),
            at: "i.toml:3".to_owned(),
            action: action.to_owned(),
            why: "loop l1 supply_c is 46, above 45".to_owned(),
            source: "loop l1 supply_c".to_owned(),
            value: Some(46.0),
            limit: Some(45.0),
            read_ns: 5,
            heard_ns: 7,
            domain: domain.to_owned(),
            nodes: nodes.iter().map(|&node| node.to_owned()).collect(),
        }
    }

    #[test]
    fn a_stop_is_of_all_that_are_left_and_a_shed_of_its_domain() {
        let mut facts = RunFacts::default();
        for node in ["n1", "n2", "n3"] {
            let joined = NodeFacts { joined: true, ..NodeFacts::default() };
            facts.nodes.insert(NodeName(node.to_owned()), joined);
        }
        let lost = JournalEntry::Lost {
            node: "n3".to_owned(),
            instance: String::new(),
            why: String::new(),
            reason: None,
        };
        let asked = JournalEntry::StopAsked { who: "meier".to_owned(), drop: true };
        let journal = [
            (6, tripped("warn", "", &[])),
            (7, tripped("shed", "loop l1", &["n1"])),
            (8, lost),
            (9, tripped("stop_ramp", "", &[])),
            (11, asked),
        ];
        add(&mut facts, &journal);
        let told: Vec<(&str, bool, Option<&str>, usize)> = facts
            .stops
            .iter()
            .map(|stop| (stop.by.as_str(), stop.drop, stop.shed.as_deref(), stop.nodes.len()))
            .collect();
        let expected = [
            ("supply", false, Some("loop l1"), 1),
            ("supply", false, None, 2),
            ("meier", true, None, 2),
        ];
        assert_eq!(told, expected);
        assert_eq!((facts.stops[0].read_unix_ns, facts.stops[2].read_unix_ns), (5, 11));
        let line = "interlock supply (i.toml:3): loop l1 supply_c is 46, above 45: shed loop l1";
        assert_eq!(facts.restraints[1], line);
    }
}
