//! What the nodes of each part of the building draw together, for those who look. Nothing is
//! held by it: that is `budget::Control`.

use std::collections::BTreeMap;

use model::site::{DomainKind, Family, Site};
use proto::v1;

use crate::budget::Held;
use crate::store::Planned;

/// A node that was not heard for so long says nothing of now; as long as `metrics` waits.
const FRESH_S: f64 = 10.0;
/// The name of the permit's total among budgets.
const ALL_NODES: &str = "all nodes";

/// The parts of the building that a run's nodes hang from, each with its nodes' places among
/// the planned ones: found once, because every look adds them up.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Domains(Vec<Shared>);

#[derive(Debug, Clone, PartialEq)]
struct Shared {
    kind: String,
    id: String,
    /// As budgets call it.
    name: String,
    members: Vec<usize>,
}

impl Domains {
    /// Power, cooling and racks of the site, and all nodes where the permit limits them together.
    pub(crate) fn new(site: Option<&Site>, held: &Held, planned: &[Planned]) -> Self {
        let mut domains = Vec::new();
        if held.budgets().any(|(domain, _)| domain.name == ALL_NODES) {
            let members = (0..planned.len()).collect();
            let (kind, id) = ("all".to_owned(), "nodes".to_owned());
            domains.push(Shared { kind, id, name: ALL_NODES.to_owned(), members });
        }
        let Some(site) = site else { return Self(domains) };
        let places: BTreeMap<_, _> = planned
            .iter()
            .enumerate()
            .filter_map(|(place, planned)| Some((site.node_ix(&planned.node)?, place)))
            .collect();
        for at in site.domain_ixs() {
            let domain = site.domain(at);
            let shown = matches!(domain.kind.family(), Family::Power | Family::Cooling)
                || domain.kind == DomainKind::Rack;
            let members: Vec<usize> =
                site.members(at).iter().filter_map(|node| places.get(node).copied()).collect();
            if shown && !members.is_empty() {
                let (kind, id) = (domain.kind.word().to_owned(), domain.id.clone());
                let name = format!("{kind} {id}");
                domains.push(Shared { kind, id, name, members });
            }
        }
        Self(domains)
    }

    /// As it is now. `nodes` are the planned ones in their order.
    pub(crate) fn now(&self, held: &Held, nodes: &[v1::NodeStatus]) -> Vec<v1::DomainStatus> {
        let budgets: BTreeMap<&str, (f64, Option<f64>)> = held
            .budgets()
            .map(|(domain, scale)| (domain.name.as_str(), (domain.most_kw, scale)))
            .collect();
        self.0.iter().map(|shared| shared.now(budgets.get(shared.name.as_str()), nodes)).collect()
    }
}

impl Shared {
    fn now(
        &self,
        budget: Option<&(f64, Option<f64>)>,
        nodes: &[v1::NodeStatus],
    ) -> v1::DomainStatus {
        let members = || self.members.iter().filter_map(|place| nodes.get(*place));
        let lost = members().filter(|node| node.state == "lost").count();
        let fresh = |node: &&v1::NodeStatus| {
            node.state != "lost" && node.silent_s.is_some_and(|silent_s| silent_s < FRESH_S)
        };
        let watts: Vec<f64> = members().filter(fresh).filter_map(|node| node.power_w).collect();
        v1::DomainStatus {
            kind: self.kind.clone(),
            id: self.id.clone(),
            most_kw: budget.map(|(most_kw, _)| *most_kw),
            kw: (!watts.is_empty()).then(|| watts.iter().sum::<f64>() / 1e3),
            nodes: self.members.len() as u32,
            unmeasured: (self.members.len() - lost - watts.len()) as u32,
            lost: lost as u32,
            scale: budget.and_then(|(_, scale)| *scale),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::budgets;

    const SITE: &str = "schema = 1\nname = \"s\"\n[[domain]]\nkind = \"rack\"\nid = \"r1\"\n\
        [[domain]]\nkind = \"pdu\"\nid = \"p1\"\nbudget_kw = 2.0\n[[domain]]\nkind = \"leaf\"\n\
        id = \"l1\"\n[[nodes]]\nnames = \"n[1-4]\"\ndomains = [\"r1\", \"p1\", \"l1\"]\n";

    fn planned(name: &str) -> Planned {
        Planned {
            node: name.to_owned(),
            instance: "i".to_owned(),
            boot_id: String::new(),
            devices: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn node(state: &str, power_w: Option<f64>, silent_s: Option<f64>) -> v1::NodeStatus {
        v1::NodeStatus { state: state.to_owned(), power_w, silent_s, ..v1::NodeStatus::default() }
    }

    #[test]
    fn a_domain_adds_up_what_its_nodes_measure_now_and_counts_the_others() {
        let site = formats::site::parse("site.toml", SITE).unwrap();
        let names = ["n1", "n2", "n3", "n4"];
        let planned = names.map(planned);
        let held = Held::new(budgets(Some(&site), None, &names.map(str::to_owned)), false);
        let domains = Domains::new(Some(&site), &held, &planned);
        let nodes = [
            node("active", Some(700.0), Some(0.5)),
            node("active", None, Some(0.5)),
            node("active", Some(9e9), Some(60.0)),
            node("lost", Some(9e9), Some(0.5)),
        ];
        let now = domains.now(&held, &nodes);
        let kinds: Vec<&str> = now.iter().map(|domain| domain.kind.as_str()).collect();
        assert_eq!(kinds, ["rack", "pdu"], "a switch shares no heat");
        assert_eq!((now[0].most_kw, now[1].most_kw), (None, Some(2.0)));
        for domain in &now {
            assert_eq!(domain.kw, Some(0.7));
            assert_eq!((domain.nodes, domain.unmeasured, domain.lost), (4, 2, 1));
        }
        let silent = names.map(|_| node("active", None, None));
        assert_eq!(domains.now(&held, &silent)[0].kw, None, "not measured is not zero");
    }
}
