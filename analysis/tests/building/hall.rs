//! A small hall whose rows a test can bend: 8 racks of 4 nodes, two devices each, a loop for
//! each pair of racks, a PDU for each rack.

use std::collections::BTreeSet;

use analysis::{Digest, Terms};
use model::facts::{NodeFacts, RunEnd, RunFacts, Source};
use model::plan::{Limits, Plan};
use model::site::{Domain, DomainKind, Node, SiteDraft};
use model::{NodeName, Policy, Report, SampleColumns, SampleRow, Site};

pub(crate) const RACKS: usize = 8;
pub(crate) const NODES_PER_RACK: usize = 4;

/// Rows to bend, and the site that they come from.
pub(crate) struct Hall {
    pub(crate) site: SiteDraft,
    pub(crate) rows: Vec<SampleRow>,
    /// Our own agents asked for the load; else these are the tables of others.
    pub(crate) commanded: bool,
}

/// Name of a node by its rack and place, both from 0.
pub(crate) fn node(rack: usize, place: usize) -> String {
    format!("n{rack}{place}")
}

impl Hall {
    /// Healthy: devices spread by about half a kelvin, half a percent.
    pub(crate) fn healthy(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut site = SiteDraft { name: "hall".to_owned(), ..SiteDraft::default() };
        let mut rows = Vec::new();
        for rack in 0..RACKS {
            for (kind, id) in [
                (DomainKind::Rack, format!("rack-{rack}")),
                (DomainKind::Pdu, format!("pdu-{rack}")),
            ] {
                site.domains.push(Domain::new(kind, id));
            }
            if rack.is_multiple_of(2) {
                site.domains.push(Domain::new(DomainKind::Loop, format!("loop-{}", rack / 2)));
            }
            let domains =
                [format!("rack-{rack}"), format!("pdu-{rack}"), format!("loop-{}", rack / 2)];
            for place in 0..NODES_PER_RACK {
                let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
                let mut one = Node::new(node(rack, place), &domains);
                (one.devices, one.device_model) = (2, Some("H200".to_owned()));
                site.nodes.push(one);
                let own = noise(&mut state);
                for device in 0..2 {
                    let mut draw = || own + 0.5 * noise(&mut state);
                    rows.push(SampleRow {
                        time_ns: 1_000,
                        node: node(rack, place),
                        device,
                        power_w: Some(700.0 + 2.0 * draw()),
                        temp_c: Some(65.0 + 0.5 * draw()),
                        clock_mhz: Some(1_700.0 + 8.0 * draw()),
                        perf: Some(100.0 + 0.5 * draw()),
                        ..SampleRow::default()
                    });
                }
            }
        }
        Self { site, rows, commanded: true }
    }

    /// Changes every row of some racks.
    pub(crate) fn bend(mut self, racks: &[usize], change: impl Fn(&mut SampleRow)) -> Self {
        let names: BTreeSet<String> = racks
            .iter()
            .flat_map(|rack| (0..NODES_PER_RACK).map(|place| node(*rack, place)))
            .collect();
        self.rows.iter_mut().filter(|row| names.contains(&row.node)).for_each(change);
        self
    }

    /// Changes every row of one node.
    pub(crate) fn bend_node(mut self, name: &str, change: impl Fn(&mut SampleRow)) -> Self {
        self.rows.iter_mut().filter(|row| row.node == name).for_each(change);
        self
    }

    pub(crate) fn judge(&self) -> Report {
        let site = Site::new(self.site.clone()).unwrap();
        let (plan, policy) = (plan(), Policy::default());
        let mut digest = Digest::new(&plan);
        digest.add_samples(&SampleColumns::from_rows(&self.rows));
        let terms = Terms { plan: &plan, site: Some(&site), policy: &policy };
        analysis::judge(&terms, &digest.finish(self.facts()))
    }

    fn facts(&self) -> RunFacts {
        let nodes = self.site.nodes.iter().map(|node| {
            let devices = (0..node.devices).map(|index| (index, node.device_model.clone()));
            let devices = devices.collect();
            let facts = NodeFacts { devices, joined: true, ..NodeFacts::default() };
            (NodeName(node.name.clone()), facts)
        });
        let source = if self.commanded { Source::Agents } else { Source::Tables };
        RunFacts { source, end: RunEnd::Finished, nodes: nodes.collect(), ..RunFacts::default() }
    }
}

fn plan() -> Plan {
    Plan {
        name: "tables".to_owned(),
        requires: BTreeSet::new(),
        seed: 7,
        limits: Limits::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: Vec::new(),
    }
}

/// About Gaussian: twelve uniforms (Irwin and Hall).
fn noise(state: &mut u64) -> f64 {
    let mut uniform = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..12).map(|_| uniform()).sum::<f64>() - 6.0
}
