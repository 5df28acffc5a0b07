//! Watts that phases ask for by name, instead of a share of what devices can do. Pure.
//!
//! kW of a phase are divided equally over all devices of its nodes, whatever their model.

use std::collections::{BTreeMap, BTreeSet};

use model::plan::{Phase, Plan};

use crate::store::Planned;

/// A device with its place, as refusals name it.
#[derive(Debug, Clone, PartialEq)]
struct Card {
    index: u32,
    limit_w: Option<f64>,
}

/// One phase that asks for power.
#[derive(Debug, Clone, PartialEq)]
struct Power {
    phase: String,
    device_w: f64,
    nodes: BTreeMap<String, Vec<Card>>,
}

/// What each phase of a plan asks for; nothing for a phase that asks for percent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Asked {
    phases: Vec<Option<Power>>,
}

impl Asked {
    /// Of a plan over the nodes that each phase selects.
    pub(crate) fn of(plan: &Plan, members: &[Vec<String>], planned: &[Planned]) -> Self {
        let phases = plan.phases.iter().zip(members);
        Self { phases: phases.map(|(phase, nodes)| power(phase, nodes, planned)).collect() }
    }

    /// Watts of each device in a phase.
    pub(crate) fn device_w(&self, phase: usize) -> Option<f64> {
        Some(self.phases.get(phase)?.as_ref()?.device_w)
    }

    /// kW of a node in a phase, at the highest level.
    pub(crate) fn node_kw(&self, phase: usize, node: &str) -> Option<f64> {
        let power = self.phases.get(phase)?.as_ref()?;
        Some(power.device_w * power.nodes.get(node)?.len() as f64 / 1e3)
    }

    /// Whether any phase asks a node for power.
    pub(crate) fn asks(&self, node: &str) -> bool {
        self.phases.iter().flatten().any(|power| power.nodes.contains_key(node))
    }

    /// Phases that ask more of cards than their limits, and then phases whose GPUs say none.
    pub(crate) fn limits(&self) -> (Vec<String>, Vec<String>) {
        let powers = || self.phases.iter().flatten();
        (
            powers().filter_map(Power::beyond).collect(),
            powers().filter_map(Power::unknown).collect(),
        )
    }
}

fn power(phase: &Phase, nodes: &[String], planned: &[Planned]) -> Option<Power> {
    let target = phase.load?.target?;
    let nodes: BTreeSet<&String> = nodes.iter().collect();
    let of = |planned: &&Planned| nodes.contains(&planned.node);
    let nodes: BTreeMap<String, Vec<Card>> = planned
        .iter()
        .filter(of)
        .map(|planned| {
            let card = |device: &crate::store::PlannedDevice| Card {
                index: device.index,
                limit_w: device.power_limit_mw.map(|limit| limit as f64 / 1e3),
            };
            (planned.node.clone(), planned.devices.iter().map(card).collect())
        })
        .collect();
    let devices = nodes.values().map(Vec::len).sum();
    let device_w = target.device_watts(devices)?;
    Some(Power { phase: phase.name.clone(), device_w, nodes })
}

impl Power {
    fn cards(&self) -> impl Iterator<Item = (&str, &Card)> {
        self.nodes
            .iter()
            .flat_map(|(node, cards)| cards.iter().map(move |card| (node.as_str(), card)))
    }

    fn beyond(&self) -> Option<String> {
        let over = |(_, card): &(&str, &Card)| card.limit_w.is_some_and(|w| self.device_w > w);
        let count = self.cards().filter(over).count();
        let (node, card) = self.cards().find(over)?;
        let (phase, asked, index) = (&self.phase, self.device_w, card.index);
        let limit = card.limit_w.unwrap_or_default();
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        Some(format!(
            "phase {phase} asks for {asked:.0} W of {node}/{index}, whose power limit is {limit:.0} W{more}"
        ))
    }

    fn unknown(&self) -> Option<String> {
        let count = self.cards().filter(|(_, card)| card.limit_w.is_none()).count();
        (count > 0).then(|| {
            let (phase, asked) = (&self.phase, self.device_w);
            format!(
                "phase {phase} asks for {asked:.0} W a device; {count} of its devices say no \
                 power limit, so that the run will show whether they reach it"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PlannedDevice;

    fn node(name: &str, limits_mw: &[Option<u64>]) -> Planned {
        let device = |(index, limit): (u32, &Option<u64>)| PlannedDevice {
            index,
            kind: "cuda".to_owned(),
            model: String::new(),
            cores: Vec::new(),
            power_limit_mw: *limit,
        };
        Planned {
            node: name.to_owned(),
            instance: "i".to_owned(),
            devices: (0..).zip(limits_mw).map(device).collect(),
            boot_id: String::new(),
            missing: Vec::new(),
        }
    }

    fn asked(load: &str) -> Asked {
        let plan = format!(
            "schema = 1\nname = \"p\"\nrequires = [\"power\"]\n[[phase]]\nkind = \"hold\"\n\
             seconds = 1\nload = {{ {load} }}\n"
        );
        let plan = formats::plan::parse("plan.toml", &plan).unwrap();
        let nodes = [node("a", &[Some(700_000); 3]), node("b", &[None])];
        Asked::of(&plan, &[vec!["a".to_owned(), "b".to_owned()]], &nodes)
    }

    #[test]
    fn kw_are_divided_over_the_devices_of_the_phase() {
        let asked = asked("kw = 2");
        assert_eq!(asked.device_w(0), Some(500.0));
        assert_eq!((asked.node_kw(0, "a"), asked.node_kw(0, "b")), (Some(1.5), Some(0.5)));
        assert_eq!(asked.node_kw(0, "c"), None);
    }

    #[test]
    fn percent_asks_for_no_watts() {
        assert_eq!(asked("percent = 50").device_w(0), None);
    }

    #[test]
    fn more_than_a_card_may_draw_is_told_with_numbers_and_an_unknown_limit_is_said() {
        let (beyond, unknown) = asked("watts = 750").limits();
        assert_eq!(
            beyond,
            ["phase hold asks for 750 W of a/0, whose power limit is 700 W (and 2 more)"]
        );
        assert!(unknown[0].contains("1 of its devices say no power limit"), "{unknown:?}");
        assert!(asked("watts = 700").limits().0.is_empty());
    }
}
