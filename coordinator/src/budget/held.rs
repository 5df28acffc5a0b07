//! The live control of one run: which scale each node was told, and why.

use std::collections::BTreeMap;

use model::permit::RELEASE_STEPS;

use super::control::{Control, Domain, NodeNow, Scaled};
use crate::store::JournalEntry;

/// A change of scale below this is not told to anybody.
const TOLD_LEAST: f64 = 0.01;

/// Scales of a run.
pub(crate) struct Held {
    control: Control,
    /// Percent of the plan's levels that persons released; `None` where none need to.
    released: Option<u8>,
    scales: BTreeMap<String, f64>,
    /// Of each domain, the percent that the record knows.
    recorded: BTreeMap<String, u8>,
    /// When the control steps next, on the coordinator's clock.
    pub(crate) due_ns: i64,
}

/// What follows from a step.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// Nodes that must be told, with their scale.
    pub(crate) nodes: Vec<(String, f64)>,
    pub(crate) entries: Vec<JournalEntry>,
    /// The tightest domain in words; empty when nothing is held.
    pub(crate) why: String,
}

impl Held {
    pub(crate) fn new(domains: Vec<Domain>, staged: bool) -> Self {
        Self {
            control: Control::new(domains),
            released: staged.then_some(0),
            scales: BTreeMap::new(),
            recorded: BTreeMap::new(),
            due_ns: i64::MIN,
        }
    }

    /// Percent that was released; `None` where nobody needs to.
    pub(crate) fn released(&self) -> Option<u8> {
        self.released
    }

    /// Every domain that has a limit, with the scale that keeps it.
    pub(crate) fn budgets(&self) -> impl Iterator<Item = (&Domain, Option<f64>)> {
        self.control.domains()
    }

    /// Whether heat waits for the first release.
    pub(crate) fn waits(&self) -> bool {
        self.released == Some(0)
    }

    /// The scale that a node was told, or is armed with.
    pub(crate) fn scale_of(&self, node: &str) -> f64 {
        self.scales.get(node).copied().unwrap_or(1.0)
    }

    /// Sets the released share. Upwards only by the next of the permit's steps.
    ///
    /// # Errors
    /// Why it is not the next one.
    pub(crate) fn release(&mut self, step: u8, steps: &[u8]) -> Result<(), String> {
        let Some(now) = self.released else {
            return Err("this run was begun without steps: all of it is released".to_owned());
        };
        if !RELEASE_STEPS.contains(&step) {
            return Err(format!("step {step} is none: use 25, 50, 75 or 100"));
        }
        let next = steps.iter().copied().filter(|listed| *listed > now).min();
        if step > now && next != Some(step) {
            let next = next.map_or("none".to_owned(), |next| format!("{next} %"));
            return Err(format!("{now} % is released: the next step is {next}, not {step} %"));
        }
        self.released = Some(step);
        Ok(())
    }

    /// A second of control: what must be told and recorded.
    pub(crate) fn step(
        &mut self,
        now_ns: i64,
        phase: &str,
        nodes: &BTreeMap<String, NodeNow>,
    ) -> Changes {
        let ceiling = f64::from(self.released.unwrap_or(100)) / 100.0;
        let scaled = self.control.step(now_ns, ceiling, nodes);
        let mut changes = Changes { why: why(&scaled, self.released), ..Changes::default() };
        let by_node = self.control.by_node();
        for node in nodes.keys() {
            let scale = by_node.get(node).copied().unwrap_or(1.0).min(ceiling);
            let told = self.scale_of(node);
            let whole = scale >= 1.0 && told < 1.0;
            if scale < told - 1e-9 || scale >= told + TOLD_LEAST || whole {
                self.scales.insert(node.clone(), scale);
                changes.nodes.push((node.clone(), scale));
            }
        }
        let heats = nodes.values().any(|node| node.peak > 0.0);
        changes.entries =
            scaled.iter().filter(|_| heats).filter_map(|s| self.record(phase, s)).collect();
        changes
    }

    fn record(&mut self, phase: &str, scaled: &Scaled) -> Option<JournalEntry> {
        // Down to a whole percent: never a percent more than it was.
        let percent = (scaled.scale * 100.0).floor() as u8;
        let known = self.recorded.insert(scaled.domain.clone(), percent).unwrap_or(100);
        (percent != known).then(|| JournalEntry::Capped {
            phase: phase.to_owned(),
            domain: scaled.domain.clone(),
            percent,
            most_kw: scaled.most_kw,
            measured_kw: scaled.measured_kw,
            silent: scaled.silent,
        })
    }
}

fn why(scaled: &[Scaled], released: Option<u8>) -> String {
    let tightest = scaled.iter().min_by(|a, b| a.scale.total_cmp(&b.scale));
    let released_share = f64::from(released.unwrap_or(100)) / 100.0;
    match (tightest, released) {
        (Some(domain), _) if domain.scale < released_share && domain.scale < 1.0 => format!(
            "capped at {:.0} % to keep {} under {:.1} kW ({:.2} kW measured)",
            (domain.scale * 100.0).floor(),
            domain.domain,
            domain.most_kw,
            domain.measured_kw
        ),
        (_, Some(percent)) if percent < 100 => format!("released to {percent} %"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_released_in_their_order_and_lowered_at_will() {
        let mut held = Held::new(Vec::new(), true);
        assert!(held.waits());
        assert!(held.release(50, &[25, 50]).unwrap_err().contains("the next step is 25 %"));
        assert_eq!(held.release(25, &[25, 50]), Ok(()));
        assert_eq!(held.release(50, &[25, 50]), Ok(()));
        assert!(held.release(100, &[25, 50]).unwrap_err().contains("the next step is none"));
        assert_eq!(held.release(25, &[25, 50]), Ok(()));
        assert!(held.release(30, &[25, 50]).is_err());
        assert!(Held::new(Vec::new(), false).release(25, &[25]).is_err());
    }

    #[test]
    fn a_release_is_the_scale_of_every_node() {
        let mut held = Held::new(Vec::new(), true);
        let nodes =
            BTreeMap::from([("n1".to_owned(), NodeNow { peak: 1.0, ..NodeNow::default() })]);
        assert_eq!(held.step(0, "p", &nodes).nodes, [("n1".to_owned(), 0.0)]);
        held.release(25, &[25]).unwrap();
        let changes = held.step(1, "p", &nodes);
        assert_eq!(changes.nodes, [("n1".to_owned(), 0.25)]);
        assert_eq!(changes.why, "released to 25 %");
        assert_eq!(held.step(2, "p", &nodes).nodes, []);
    }

    #[test]
    fn a_cap_is_told_and_recorded_with_its_numbers() {
        let domain =
            Domain { name: "pdu pdu-a1".to_owned(), most_kw: 1.0, nodes: vec!["n1".to_owned()] };
        let mut held = Held::new(vec![domain], false);
        let node = NodeNow { expected_kw: 1.0, peak: 1.0, ..NodeNow::default() };
        let changes = held.step(0, "hold", &BTreeMap::from([("n1".to_owned(), node)]));
        assert_eq!(
            changes.why,
            "capped at 67 % to keep pdu pdu-a1 under 1.0 kW (0.00 kW measured)"
        );
        assert!(matches!(
            &changes.entries[..],
            [JournalEntry::Capped { percent: 67, silent: 1, .. }]
        ));
    }
}
