//! A site in words: its counts, and the tree of what hangs from what.

use std::collections::BTreeMap;
use std::fmt::Write;

use formats::hostlist;
use model::Site;
use model::site::{Domain, DomainIx, DomainKind, Family};

/// Domains named in one line of a warning; the rest is counted.
const NAMED_MAX: usize = 8;
/// Letters of one line of node names: past it the middle is left out.
const NAMES_WIDTH: usize = 100;

/// How many domains of each kind there are.
#[must_use]
pub fn kinds(site: &Site) -> BTreeMap<DomainKind, usize> {
    let mut kinds = BTreeMap::new();
    for domain in site.domains() {
        *kinds.entry(domain.kind).or_default() += 1;
    }
    kinds
}

/// Ids of power and cooling domains with neither rating nor budget: they are refused heat.
#[must_use]
pub fn unrated(site: &Site) -> Vec<&str> {
    let heats = |domain: &&Domain| {
        matches!(domain.kind.family(), Family::Power | Family::Cooling)
            && domain.budget_kw().is_none()
    };
    site.domains().iter().filter(heats).map(|domain| domain.id.as_str()).collect()
}

/// The counts, in a few lines.
#[must_use]
pub fn counts(site: &Site) -> String {
    let mut text = headline(site);
    for family in [Family::Power, Family::Cooling, Family::Place, Family::Network] {
        let of_family: Vec<String> = kinds(site)
            .iter()
            .filter(|(kind, _)| kind.family() == family)
            .map(|(kind, count)| format!("{count} {}", kind.word()))
            .collect();
        if !of_family.is_empty() {
            let _ = writeln!(text, "  {:<8} {}", word(family), of_family.join(", "));
        }
    }
    let unrated = unrated(site);
    let named = &unrated[..unrated.len().min(NAMED_MAX)];
    if !named.is_empty() {
        let more = unrated.len() - named.len();
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(
            text,
            "without rating_kw or budget_kw, so refused heat: {}{rest}",
            named.join(", ")
        );
    }
    text.push_str("no problem found\n");
    text
}

/// The tree, family by family: each domain below what it hangs from, then its nodes.
#[must_use]
pub fn tree(site: &Site) -> String {
    let mut drawing = Drawing::new(site);
    drawing.text = headline(site);
    for family in [Family::Power, Family::Cooling, Family::Place, Family::Network] {
        let root = |at: &DomainIx| {
            let domain = site.domain(*at);
            domain.within.is_empty() && domain.kind.family() == family
        };
        let roots: Vec<DomainIx> = site.domain_ixs().filter(root).collect();
        if !roots.is_empty() {
            let _ = writeln!(drawing.text, "\n{}", word(family));
            drawing.branches(&roots, &[], "");
        }
    }
    drawing.text
}

fn headline(site: &Site) -> String {
    format!(
        "{}: {}, {}, {}, {}\n",
        site.name(),
        plural(site.nodes().len() as u64, "node"),
        plural(site.devices(), "device"),
        plural(site.domains().len() as u64, "domain"),
        plural(site.links().len() as u64, "link")
    )
}

fn word(family: Family) -> &'static str {
    match family {
        Family::Power => "power",
        Family::Cooling => "cooling",
        Family::Place => "place",
        Family::Network => "network",
    }
}

struct Drawing<'a> {
    site: &'a Site,
    /// Of each domain, those that name it in `within`.
    below: Vec<Vec<DomainIx>>,
    /// Of each domain, the nodes that name it themselves.
    nodes: Vec<Vec<&'a str>>,
    drawn: Vec<bool>,
    text: String,
}

impl<'a> Drawing<'a> {
    fn new(site: &'a Site) -> Self {
        let mut below = vec![Vec::new(); site.domains().len()];
        for at in site.domain_ixs() {
            for above in site.domain(at).within.iter().filter_map(|id| site.domain_ix(id)) {
                below[above.index()].push(at);
            }
        }
        let mut nodes = vec![Vec::new(); site.domains().len()];
        for node in site.nodes() {
            let leaves = node.nics.iter().flat_map(|nic| [&nic.leaf, &nic.rail]).flatten();
            let direct = node.domains.iter().chain(leaves);
            for at in direct.filter_map(|id| site.domain_ix(id)) {
                let names: &mut Vec<&str> = &mut nodes[at.index()];
                if names.last() != Some(&node.name.as_str()) {
                    names.push(&node.name);
                }
            }
        }
        let drawn = vec![false; site.domains().len()];
        Self { site, below, nodes, drawn, text: String::new() }
    }

    /// Domains, then nodes, as branches of one stem.
    fn branches(&mut self, domains: &[DomainIx], nodes: &[&str], stem: &str) {
        let last = domains.len() + usize::from(!nodes.is_empty());
        for (at, domain) in domains.iter().enumerate() {
            let end = at + 1 == last;
            let (branch, below) = if end { ("`-- ", "    ") } else { ("|-- ", "|   ") };
            let _ = writeln!(self.text, "{stem}{branch}{}", self.line(*domain));
            // What hangs from two is drawn below the first.
            if !std::mem::replace(&mut self.drawn[domain.index()], true) {
                let children = std::mem::take(&mut self.below[domain.index()]);
                let nodes = std::mem::take(&mut self.nodes[domain.index()]);
                self.branches(&children, &nodes, &format!("{stem}{below}"));
            }
        }
        if !nodes.is_empty() {
            let names = short(&hostlist::fold(nodes));
            let _ = writeln!(self.text, "{stem}`-- {names}");
        }
    }

    fn line(&self, at: DomainIx) -> String {
        let domain = self.site.domain(at);
        let mut line = format!("{} {}", domain.kind.word(), domain.id);
        if let Some(side) = &domain.side {
            let _ = write!(line, ", side {side}");
        }
        match (domain.rating_kw, domain.budget_kw()) {
            (Some(rating), Some(budget)) if budget < rating => {
                let _ = write!(line, ", {rating} kW, {} kW usable", rounded(budget));
            }
            (Some(kw), _) | (None, Some(kw)) => {
                let _ = write!(line, ", {kw} kW");
            }
            (None, None) => {}
        }
        let members = self.site.members(at);
        let devices: u64 =
            members.iter().map(|node| u64::from(self.site.node(*node).devices)).sum();
        let nodes = plural(members.len() as u64, "node");
        let _ = write!(line, ": {nodes}, {}", plural(devices, "device"));
        if self.drawn[at.index()] {
            line.push_str(" (drawn above)");
        }
        line
    }
}

/// Names that fit a line; the middle of longer ones is left out.
fn short(names: &str) -> String {
    let letters = names.chars().count();
    if letters <= NAMES_WIDTH {
        return names.to_owned();
    }
    let part = (NAMES_WIDTH - 5) / 2;
    let start: String = names.chars().take(part).collect();
    let end: String = names.chars().skip(letters - part).collect();
    format!("{start} ... {end}")
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// To the watt: a share of a rating has digits that nobody wrote.
fn rounded(kw: f64) -> f64 {
    (kw * 1_000.0).round() / 1_000.0
}
