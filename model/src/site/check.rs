//! The checks that turn a draft into a site: names, numbers, cycles, places.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::draft::{Domain, Link, Node, SiteDraft, SitePart, SiteProblem};
use super::kind::{DomainKind, Family};
use super::{DEVICES_MAX, DOMAINS_MAX, DomainIx, LEVELS_MAX, NODES_MAX, NodeIx};

/// A gigawatt: no domain of one site carries more.
const KW_MAX: f64 = 1e6;
/// Far above any distribution voltage inside a building.
const VOLTS_MAX: f64 = 1e6;
/// Far above any busway.
const AMPS_MAX: f64 = 1e6;
/// Ten times the fastest port announced, in Gbit/s.
const GBPS_MAX: f64 = 16_000.0;
/// Most parallel cables between two switches: more than any switch has ports.
const CABLES_MAX: u32 = 4_096;

/// Positions by name.
pub(super) struct Names {
    pub(super) domains: HashMap<String, DomainIx>,
    pub(super) nodes: HashMap<String, NodeIx>,
}

/// Every domain that a node names, with the key that names it. A card's leaf and rail
/// count: a node is on the leaf that its cable goes to.
pub(super) fn attachments(node: &Node) -> impl Iterator<Item = (&'static str, &str)> {
    let listed = node.domains.iter().map(|id| ("domains", id.as_str()));
    let cards = node.nics.iter().flat_map(|nic| [nic.leaf.as_deref(), nic.rail.as_deref()]);
    listed.chain(cards.flatten().map(|id| ("nics", id)))
}

/// Checks names and numbers of every part.
pub(super) fn names(draft: &SiteDraft) -> Result<Names, Vec<SiteProblem>> {
    let mut found = Found::default();
    found.sizes(draft);
    let mut domains = HashMap::with_capacity(draft.domains.len());
    for (position, domain) in draft.domains.iter().enumerate() {
        found.at(SitePart::Domain(position), &domain.id);
        found.name("id", &domain.id);
        if domains.insert(domain.id.clone(), DomainIx::at(position)).is_some() {
            let what = format!("a second domain with the id \"{}\"", domain.id);
            found.add("id", what, "give each domain its own id, whatever its kind");
        }
        found.domain(domain);
    }
    found.addresses(draft);
    let mut nodes = HashMap::with_capacity(draft.nodes.len());
    for (position, node) in draft.nodes.iter().enumerate() {
        found.at(SitePart::Node(position), &node.name);
        found.name("names", &node.name);
        if nodes.insert(node.name.clone(), NodeIx::at(position)).is_some() {
            let what = format!("a second node named \"{}\"", node.name);
            found.add("names", what, "list each node once");
        }
        found.node(node, draft, &domains);
    }
    for (position, domain) in draft.domains.iter().enumerate() {
        found.at(SitePart::Domain(position), &domain.id);
        for id in domain.within.iter().filter(|&id| !domains.contains_key(id)) {
            found.unknown("within", id);
        }
    }
    let mut pairs = HashMap::new();
    for (position, link) in draft.links.iter().enumerate() {
        found.at(SitePart::Link(position), &format!("{}>{}", link.a, link.b));
        found.link(link, draft, &domains);
        let pair = if link.a < link.b { (&link.a, &link.b) } else { (&link.b, &link.a) };
        if pairs.insert(pair, position).is_some() {
            let what = format!("a second link between \"{}\" and \"{}\"", link.a, link.b);
            found.add("a", what, "write one link and put the number of cables into count");
        }
    }
    found.result(Names { domains, nodes })
}

/// All domains above each domain. Fails on a cycle, and on more than [`LEVELS_MAX`] levels.
pub(super) fn closure(
    draft: &SiteDraft,
    names: &Names,
) -> Result<Vec<Vec<DomainIx>>, Vec<SiteProblem>> {
    let parents: Vec<Vec<usize>> = draft
        .domains
        .iter()
        .map(|domain| domain.within.iter().map(|id| names.domains[id].index()).collect())
        .collect();
    let mut found = Found::default();
    let mut above: Vec<Option<Vec<DomainIx>>> = vec![None; parents.len()];
    let mut level = vec![0_usize; parents.len()];
    // Each stack holds one path upwards from a domain that isn't resolved yet.
    for start in 0..parents.len() {
        let mut path = if above[start].is_none() { vec![start] } else { Vec::new() };
        while let Some(&domain) = path.last() {
            let open = parents[domain].iter().copied().find(|&parent| above[parent].is_none());
            if let Some(parent) = open {
                if path.contains(&parent) || path.len() > LEVELS_MAX {
                    found.cycle(draft, &path, parent);
                    return Err(found.problems);
                }
                path.push(parent);
                continue;
            }
            let levels = parents[domain].iter().map(|&parent| level[parent] + 1);
            level[domain] = levels.max().unwrap_or(0);
            if level[domain] > LEVELS_MAX {
                found.at(SitePart::Domain(domain), &draft.domains[domain].id);
                found.too_deep();
                return Err(found.problems);
            }
            above[domain] = Some(union(&parents[domain], &above));
            path.pop();
        }
    }
    Ok(above.into_iter().map(Option::unwrap_or_default).collect())
}

fn union(parents: &[usize], above: &[Option<Vec<DomainIx>>]) -> Vec<DomainIx> {
    let mut all: Vec<DomainIx> = parents.iter().map(|&parent| DomainIx::at(parent)).collect();
    all.extend(parents.iter().filter_map(|&parent| above[parent].as_ref()).flatten());
    all.sort_unstable();
    all.dedup();
    all
}

/// A node stands in one chassis, one rack, one row: two of one kind must be nested.
pub(super) fn places(
    draft: &SiteDraft,
    ancestors: &[Vec<DomainIx>],
    above: &[Vec<DomainIx>],
) -> Result<(), Vec<SiteProblem>> {
    let mut found = Found::default();
    for (position, domains) in ancestors.iter().enumerate() {
        let mut place: HashMap<DomainKind, DomainIx> = HashMap::new();
        for &domain in domains {
            let kind = draft.domains[domain.index()].kind;
            if kind.family() != Family::Place {
                continue;
            }
            let Some(other) = place.insert(kind, domain) else { continue };
            let nested =
                above[domain.index()].contains(&other) || above[other.index()].contains(&domain);
            if !nested {
                found.at(SitePart::Node(position), &draft.nodes[position].name);
                let ids = [other, domain].map(|ix| draft.domains[ix.index()].id.as_str());
                found.two_places(kind, ids);
            }
        }
    }
    found.result(())
}

/// Collects problems; `part` and `name` say what is being looked at.
struct Found {
    part: SitePart,
    name: String,
    problems: Vec<SiteProblem>,
}

impl Default for Found {
    fn default() -> Self {
        Self { part: SitePart::Whole, name: String::new(), problems: Vec::new() }
    }
}

impl Found {
    fn at(&mut self, part: SitePart, name: &str) {
        self.part = part;
        name.clone_into(&mut self.name);
    }

    fn add(&mut self, key: &'static str, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(SiteProblem {
            part: self.part,
            name: self.name.clone(),
            key: (!key.is_empty()).then_some(key),
            what: what.into(),
            mend: mend.into(),
        });
    }

    fn result<T>(self, value: T) -> Result<T, Vec<SiteProblem>> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }

    fn sizes(&mut self, draft: &SiteDraft) {
        if draft.name.trim().is_empty() {
            self.add("name", "the site has no name", "write name = \"hall-b\"");
        }
        if draft.nodes.is_empty() {
            self.add("", "the site has no nodes", "add at least one [[nodes]]");
        }
        for (count, most, noun) in
            [(draft.nodes.len(), NODES_MAX, "nodes"), (draft.domains.len(), DOMAINS_MAX, "domains")]
        {
            if count > most {
                let what = format!("{count} {noun} are over the limit of {most}");
                self.add("", what, "split the site into one file for each hall");
            }
        }
    }

    /// One address of two switches would put blame on either by chance.
    fn addresses(&mut self, draft: &SiteDraft) {
        let mut known: HashMap<&str, &str> = HashMap::new();
        for (position, domain) in draft.domains.iter().enumerate() {
            self.at(SitePart::Domain(position), &domain.id);
            for address in &domain.addresses {
                if let Some(other) = known.insert(address, &domain.id) {
                    let what = format!("{address} is also an address of \"{other}\"");
                    self.add("addresses", what, "give each address to the switch that has it");
                }
            }
        }
    }

    fn name(&mut self, key: &'static str, name: &str) {
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            let what = format!("\"{}\" is no name", name.escape_debug());
            self.add(key, what, "use letters, digits, dots and dashes without spaces");
        }
    }

    fn unknown(&mut self, key: &'static str, id: &str) {
        let mend = format!("add a [[domain]] with id = \"{id}\", or correct the name");
        self.add(key, format!("unknown domain \"{id}\""), mend);
    }

    fn number(&mut self, key: &'static str, value: Option<f64>, allowed: RangeInclusive<f64>) {
        let Some(value) = value else { return };
        if !allowed.contains(&value) {
            let (least, most) = (allowed.start(), allowed.end());
            let mend = format!("use a number from {least} to {most}");
            self.add(key, format!("{key} = {value} is impossible"), mend);
        }
    }

    fn domain(&mut self, domain: &Domain) {
        self.number("rating_kw", domain.rating_kw, 0.001..=KW_MAX);
        self.number("continuous", domain.continuous, 0.01..=1.0);
        self.number("budget_kw", domain.budget_kw, 0.0..=KW_MAX);
        self.number("ramp_kw_per_s", domain.ramp_kw_per_s, 0.001..=KW_MAX);
        self.number("volts", domain.volts, 1.0..=VOLTS_MAX);
        self.number("amps", domain.amps, 0.001..=AMPS_MAX);
        self.number("phases", domain.phases.map(f64::from), 1.0..=3.0);
        if let (Some(budget), Some(rating)) = (domain.budget_kw, domain.rating_kw)
            && budget > rating
        {
            let what = format!("budget_kw = {budget} is over rating_kw = {rating}");
            self.add("budget_kw", what, "lower the budget or correct the rating");
        }
    }

    fn node(&mut self, node: &Node, draft: &SiteDraft, domains: &HashMap<String, DomainIx>) {
        if node.devices > DEVICES_MAX {
            let mend = format!("use at most {DEVICES_MAX}");
            self.add("devices", format!("{} devices in one node", node.devices), mend);
        }
        self.number("max_kw", node.max_kw, 0.001..=KW_MAX);
        for (key, id) in attachments(node) {
            if !domains.contains_key(id) {
                self.unknown(key, id);
            }
        }
        for (position, nic) in node.nics.iter().enumerate() {
            self.name("nics", &nic.name);
            if node.nics[..position].iter().any(|other| other.name == nic.name) {
                let what = format!("a second nic named \"{}\"", nic.name);
                self.add("nics", what, "give each card of a node its own name");
            }
            if nic.gbps.is_some_and(|gbps| !(0.001..=GBPS_MAX).contains(&gbps)) {
                let what = format!("a nic with {} Gbit/s", nic.gbps.unwrap_or_default());
                self.add("nics", what, format!("use a number from 0.001 to {GBPS_MAX}"));
            }
            for (id, kind) in [(&nic.leaf, DomainKind::Leaf), (&nic.rail, DomainKind::Rail)] {
                self.of_kind("nics", id.as_deref(), &[kind], draft, domains);
            }
        }
    }

    fn of_kind(
        &mut self,
        key: &'static str,
        id: Option<&str>,
        kinds: &[DomainKind],
        draft: &SiteDraft,
        domains: &HashMap<String, DomainIx>,
    ) {
        let Some((id, ix)) = id.and_then(|id| Some((id, domains.get(id)?))) else { return };
        let kind = draft.domains[ix.index()].kind;
        if !kinds.contains(&kind) {
            let words: Vec<_> = kinds.iter().map(|kind| kind.word()).collect();
            let what = format!("\"{id}\" is a {}, not a {}", kind.word(), words.join(" or "));
            self.add(key, what, format!("name a domain of kind {}", words.join(" or ")));
        }
    }

    fn link(&mut self, link: &Link, draft: &SiteDraft, domains: &HashMap<String, DomainIx>) {
        for (key, id) in [("a", &link.a), ("b", &link.b)] {
            if !domains.contains_key(id) {
                self.unknown(key, id);
            }
            self.of_kind(key, Some(id), &[DomainKind::Leaf, DomainKind::Spine], draft, domains);
        }
        if link.a == link.b {
            self.add("b", format!("a link from \"{}\" to itself", link.a), "name two switches");
        }
        self.number("gbps", Some(link.gbps), 0.001..=GBPS_MAX);
        self.number("count", Some(f64::from(link.count)), 1.0..=f64::from(CABLES_MAX));
    }

    fn cycle(&mut self, draft: &SiteDraft, path: &[usize], parent: usize) {
        let Some(from) = path.iter().position(|&domain| domain == parent) else {
            let start = path[0];
            self.at(SitePart::Domain(start), &draft.domains[start].id);
            self.too_deep();
            return;
        };
        let ring: Vec<_> = path[from..].iter().chain([&parent]).collect();
        let ids: Vec<_> = ring.iter().map(|&&domain| draft.domains[domain].id.as_str()).collect();
        self.at(SitePart::Domain(parent), &draft.domains[parent].id);
        let what = format!("a cycle in within: {}", ids.join(" > "));
        self.add("within", what, "within names what a domain hangs from, never what hangs on it");
    }

    fn too_deep(&mut self) {
        let what = format!("more than {LEVELS_MAX} levels of within");
        self.add("within", what, "leave out levels that nothing is measured on");
    }

    fn two_places(&mut self, kind: DomainKind, ids: [&str; 2]) {
        let word = kind.word();
        let what =
            format!("one node in two domains of kind {word}: \"{}\", \"{}\"", ids[0], ids[1]);
        self.add("domains", what, format!("keep the one {word} that the node stands in"));
    }
}
