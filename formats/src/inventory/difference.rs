//! Where records and a site file differ, line by line.

use std::collections::BTreeSet;

use model::Site;
use model::site::DomainKind;

use super::{Inventory, Recorded};

impl Inventory {
    /// Every difference, in words, in the order of names. What records are silent about is none.
    #[must_use]
    pub fn differences(&self, site: &Site) -> Vec<String> {
        let mut lines = Vec::new();
        for (id, recorded) in &self.domains {
            match site.domain_ix(id) {
                Some(ix) => lines.extend(of_domain(site.domain(ix), recorded)),
                None => {
                    let kind = recorded.kind.word();
                    lines.push(format!("{kind} {id}: recorded, and not in the site file"));
                }
            }
        }
        let kinds: BTreeSet<DomainKind> = self.domains.values().map(|domain| domain.kind).collect();
        for ix in site.domain_ixs() {
            let domain = site.domain(ix);
            if kinds.contains(&domain.kind) && !self.domains.contains_key(&domain.id) {
                let (kind, id) = (domain.kind.word(), &domain.id);
                lines.push(format!("{kind} {id}: in the site file, and not recorded"));
            }
        }
        lines.extend(self.of_nodes(site));
        lines
    }

    fn of_nodes(&self, site: &Site) -> Vec<String> {
        let mut lines = Vec::new();
        for node in self.nodes.keys() {
            match site.node_ix(node) {
                Some(ix) => {
                    let drawn = site.ancestors(ix).iter().map(|at| site.domain(*at));
                    let drawn: Vec<(DomainKind, &str)> =
                        drawn.map(|domain| (domain.kind, domain.id.as_str())).collect();
                    lines.extend(self.of_node(node, &drawn));
                }
                None => lines.push(format!("node {node}: recorded, and not in the site file")),
            }
        }
        if !self.nodes.is_empty() {
            let names = site.nodes().iter().map(|node| node.name.as_str());
            let unknown = names.filter(|name| !self.nodes.contains_key(*name));
            lines.extend(
                unknown.map(|name| format!("node {name}: in the site file, and not recorded")),
            );
        }
        lines
    }

    /// What a node hangs on, kind by kind of those that its records know.
    fn of_node(&self, node: &str, drawn: &[(DomainKind, &str)]) -> Vec<String> {
        let above = self.above(node);
        let kind_of = |id: &str| self.domains.get(id).map(|domain| domain.kind);
        let kinds: BTreeSet<DomainKind> = above.iter().filter_map(|id| kind_of(id)).collect();
        let differ = kinds.into_iter().filter_map(|kind| {
            let recorded: BTreeSet<&str> =
                above.iter().copied().filter(|id| kind_of(id) == Some(kind)).collect();
            let of_kind = drawn.iter().filter(|(of, _)| *of == kind);
            let drawn: BTreeSet<&str> = of_kind.map(|(_, id)| *id).collect();
            (recorded != drawn).then(|| {
                format!(
                    "node {node}: {} {} by the site file, {} by the records",
                    kind.word(),
                    named(&drawn),
                    named(&recorded)
                )
            })
        });
        differ.collect()
    }
}

fn of_domain(drawn: &model::site::Domain, recorded: &Recorded) -> Vec<String> {
    let mut lines = Vec::new();
    let id = &drawn.id;
    if drawn.kind != recorded.kind {
        let (site, records) = (drawn.kind.word(), recorded.kind.word());
        lines.push(format!("{id}: a {site} by the site file, a {records} by the records"));
    }
    let within: BTreeSet<&str> = drawn.within.iter().map(String::as_str).collect();
    let above: BTreeSet<&str> = recorded.within.iter().map(String::as_str).collect();
    if !above.is_empty() && within != above {
        let (site, records) = (named(&within), named(&above));
        lines.push(format!("{id}: within {site} by the site file, {records} by the records"));
    }
    let phases = (drawn.phases.map(f64::from), recorded.phases.map(f64::from));
    let figures = [
        ("volts", (drawn.volts, recorded.volts)),
        ("amps", (drawn.amps, recorded.amps)),
        ("phases", phases),
    ];
    for (key, values) in figures {
        if let (Some(site), Some(records)) = values
            && site != records
        {
            lines.push(format!("{id}: {key} {site} by the site file, {records} by the records"));
        }
    }
    if let (Some(site), Some(records)) = (drawn.side.as_deref(), recorded.side)
        && site != records
    {
        lines.push(format!("{id}: side {site} by the site file, {records} by the records"));
    }
    lines
}

fn named(ids: &BTreeSet<&str>) -> String {
    match ids.is_empty() {
        true => "none".to_owned(),
        false => ids.iter().copied().collect::<Vec<_>>().join(" and "),
    }
}
