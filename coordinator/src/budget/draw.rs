//! What nodes draw at full level, and which domains may not give it. Pure.

use std::collections::BTreeMap;

use model::permit::Permit;
use model::plan::Plan;
use model::site::{Family, NodeIx, Site};

use super::{Asked, Domain};
use crate::store::PlannedDevice;

/// A logical core under the heaviest kernel: a desktop's 16 threads at 250 W, and well above
/// the 3 to 5 W of servers.
const CORE_KW: f64 = 0.02;
/// A GPU of any model on sale (B300: 1.4 kW).
const GPU_KW: f64 = 1.5;

/// kW of nodes at full level.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Draws {
    /// By the site file, or by what was measured in earlier runs where that is more.
    known: BTreeMap<String, f64>,
    /// By what the node is made of: for nodes of which nothing else is known.
    assumed: BTreeMap<String, f64>,
}

impl Draws {
    /// Adds a node.
    pub(crate) fn add(
        &mut self,
        node: &str,
        site_kw: Option<f64>,
        measured_w: Option<f64>,
        devices: &[PlannedDevice],
    ) {
        let measured_kw = measured_w.map(|watts| watts / 1e3);
        if let Some(kw) = site_kw.into_iter().chain(measured_kw).reduce(f64::max) {
            self.known.insert(node.to_owned(), kw);
        }
        let of = |device: &PlannedDevice| match device.kind.as_str() {
            "cpu" => CORE_KW * device.cores.len() as f64,
            _ => GPU_KW,
        };
        self.assumed.insert(node.to_owned(), devices.iter().map(of).sum());
    }

    /// What is known of a node; nothing where only its devices are.
    pub(crate) fn known(&self, node: &str) -> Option<f64> {
        self.known.get(node).copied()
    }

    /// Every node: what is known, else what is assumed. `doubting` takes the larger of both:
    /// where nobody's permit stands behind a site file.
    pub(crate) fn each(&self, doubting: bool) -> BTreeMap<String, f64> {
        let of = |(node, assumed): (&String, &f64)| {
            let kw = match self.known.get(node) {
                Some(known) if doubting => known.max(*assumed),
                Some(known) => *known,
                None => *assumed,
            };
            (node.clone(), kw)
        };
        self.assumed.iter().map(of).collect()
    }
}

/// Domains that may not give what the plan asks of them, or of which that is not known.
/// Counted as `loadbank review` counts: the level of each phase, each feed with all of it.
///
/// # Errors
/// The refusals, a line each. Otherwise warnings, for `--allow-unrated`.
pub(crate) fn check(
    site: &Site,
    plan: &Plan,
    members: &[Vec<String>],
    draws: &Draws,
    asked: &Asked,
    allow_unrated: bool,
) -> Result<Vec<String>, Vec<String>> {
    let position = |node: &String| site.node_ix(node);
    let mut phases = Vec::new();
    for (phase, nodes) in plan.phases.iter().zip(members) {
        let mut nodes: Vec<NodeIx> = nodes.iter().filter_map(position).collect();
        nodes.sort_unstable();
        phases.push((phase, nodes));
    }
    let full_kw = |phase: usize, node: NodeIx| {
        let node = &site.node(node).name;
        asked.node_kw(phase, node).or_else(|| draws.known(node))
    };
    let load = analysis::review::domain_loads(site, &phases, &full_kw);
    let over: Vec<String> = load.iter().filter_map(|domain| domain.refusal()).collect();
    if !over.is_empty() {
        return Err(over);
    }
    let mut unrated = Vec::new();
    for domain in &load {
        let named = format!("{} {}", domain.kind, domain.id);
        if domain.limit_kw.is_none() {
            unrated.push(format!("{named} has no rating_kw and no budget_kw"));
        } else if domain.nodes_unknown > 0 {
            unrated.push(format!("{named}: not every node on it has max_kw"));
        }
    }
    if allow_unrated {
        let heated = |why| format!("{why}; heated because of --allow-unrated");
        return Ok(unrated.into_iter().map(heated).collect());
    }
    let mend = |why| format!("{why}: add it to the site file, or say --allow-unrated");
    if unrated.is_empty() { Ok(unrated) } else { Err(unrated.into_iter().map(mend).collect()) }
}

/// What live control holds: each power and cooling domain with nodes of the run under the
/// smaller of its budget and its permit, and all nodes together under the permit's total.
pub(crate) fn budgets(
    site: Option<&Site>,
    permit: Option<&Permit>,
    nodes: &[String],
) -> Vec<Domain> {
    let mut domains = Vec::new();
    if let Some(total) = permit.and_then(|permit| permit.total_kw.as_ref()) {
        let name = "all nodes".to_owned();
        domains.push(Domain { name, most_kw: total.value, nodes: nodes.to_vec() });
    }
    let Some(site) = site else { return domains };
    for at in site.domain_ixs() {
        let domain = site.domain(at);
        if !matches!(domain.kind.family(), Family::Power | Family::Cooling) {
            continue;
        }
        let permitted = permit.and_then(|permit| permit.most_kw(domain.kind, &domain.id));
        let limits = domain.budget_kw().into_iter().chain(permitted.map(|(kw, _)| kw));
        let Some(most_kw) = limits.reduce(f64::min) else { continue };
        let within = |node: &&String| {
            site.node_ix(node).is_some_and(|node| site.members(at).binary_search(&node).is_ok())
        };
        let members: Vec<String> = nodes.iter().filter(within).cloned().collect();
        if !members.is_empty() {
            let name = format!("{} {}", domain.kind.word(), domain.id);
            domains.push(Domain { name, most_kw, nodes: members });
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "schema = 1\nname = \"s\"\n[[domain]]\nkind = \"pdu\"\nid = \"pdu-a1\"\n\
        budget_kw = 25\n[[domain]]\nkind = \"loop\"\nid = \"loop-1\"\n[[nodes]]\n\
        names = \"n[1-3]\"\ndomains = [\"pdu-a1\"]\nmax_kw = 10\n";

    fn told(percent: u32, measured_w: Option<f64>, site: &str) -> Result<Vec<String>, Vec<String>> {
        let site = formats::site::parse("site.toml", site).unwrap();
        let plan = formats::plan::parse(
            "plan.toml",
            &format!(
                "schema = 1\nname = \"p\"\nrequires = [\"power\"]\n[[phase]]\nkind = \"hold\"\n\
                 seconds = 1\nload = {{ percent = {percent} }}\n"
            ),
        )
        .unwrap();
        let nodes: Vec<String> = site.nodes().iter().map(|node| node.name.clone()).collect();
        let mut draws = Draws::default();
        for node in site.nodes() {
            draws.add(&node.name, node.max_kw, measured_w, &[]);
        }
        check(&site, &plan, &[nodes], &draws, &Asked::default(), false)
    }

    #[test]
    fn a_plan_over_a_budget_is_refused_with_domain_asked_and_allowed() {
        let refused = told(100, None, SITE).unwrap_err();
        assert_eq!(
            refused,
            ["pdu pdu-a1 may give 25.0 kW; its 3 nodes draw 30.0 kW in phase hold"]
        );
        assert_eq!(told(80, None, SITE), Ok(Vec::new()));
    }

    #[test]
    fn what_was_measured_counts_where_it_is_more_than_the_site_says() {
        let refused = told(80, Some(11_000.0), SITE).unwrap_err();
        assert!(refused[0].contains("draw 26.4 kW"), "{refused:?}");
        assert_eq!(told(80, Some(9_000.0), SITE), Ok(Vec::new()));
    }

    #[test]
    fn what_has_no_rating_is_refused() {
        let refused = told(10, None, &SITE.replace("budget_kw = 25\n", "")).unwrap_err();
        assert!(refused[0].starts_with("pdu pdu-a1 has no rating_kw"), "{refused:?}");
        let refused = told(10, None, &SITE.replace("max_kw = 10\n", "")).unwrap_err();
        assert!(refused[0].contains("not every node on it has max_kw"), "{refused:?}");
    }

    #[test]
    fn a_node_is_doubted_where_nobody_permits() {
        let device = |kind: &str| PlannedDevice {
            index: 0,
            kind: kind.to_owned(),
            model: String::new(),
            cores: vec![0, 1],
            power_limit_mw: None,
        };
        let mut draws = Draws::default();
        draws.add("n1", Some(0.1), None, &[device("cuda"), device("cpu")]);
        draws.add("n2", None, None, &[device("cpu")]);
        assert_eq!(draws.each(false)["n1"], 0.1);
        assert!((draws.each(true)["n1"] - 1.54).abs() < 1e-9);
        assert_eq!((draws.each(false)["n2"], draws.known("n2")), (0.04, None));
    }

    #[test]
    fn live_control_takes_the_smaller_of_budget_and_permit() {
        let site = formats::site::parse("site.toml", SITE).unwrap();
        let permit = "schema = 1\nissued_by = \"a\"\nsite = \"s\"\ntotal_kw = 28\n[[window]]\n\
            from = \"2026-01-31T20:00:00Z\"\nto = \"2026-02-01T06:00:00Z\"\n[[domain]]\n\
            on = \"pdu\"\nkw = 21\n[[waveform]]\nkind = \"hold\"\n";
        let permit = formats::permit::parse("permit.toml", permit).unwrap();
        let nodes = ["n1".to_owned(), "n3".to_owned()];
        let found = budgets(Some(&site), Some(&permit), &nodes);
        let told: Vec<(&str, f64, usize)> =
            found.iter().map(|d| (d.name.as_str(), d.most_kw, d.nodes.len())).collect();
        assert_eq!(told, [("all nodes", 28.0, 2), ("pdu pdu-a1", 21.0, 2)]);
        assert_eq!(budgets(Some(&site), None, &nodes)[0].most_kw, 25.0);
    }
}
