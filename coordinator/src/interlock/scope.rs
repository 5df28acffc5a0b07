//! Which sources a rule watches in a run: domains become nodes, nodes become devices.

use std::collections::BTreeMap;

use model::interlock::{Action, Rule, Scope, Watches};
use model::site::{DomainIx, DomainKind, Site};

use super::reading::{Source, What};
use super::series::Series;
use crate::run::members_of;

/// Nodes of a run with the indices of their devices.
pub(crate) type Devices = BTreeMap<String, Vec<u32>>;

/// A domain of the run, in words, with its nodes.
struct Picked {
    id: String,
    words: String,
    nodes: Vec<String>,
}

/// The sources of a rule, each with what is known of it (nothing yet).
///
/// # Errors
/// Why the rule can't be watched here.
pub(super) fn series_of(
    rule: &Rule,
    site: Option<&Site>,
    nodes: &Devices,
) -> Result<Vec<(Option<Source>, Series)>, String> {
    match &rule.watches {
        Watches::Heartbeat { from, of } => {
            let label = match from {
                None => "the building's meters".to_owned(),
                Some(name) => format!("the meters' source {name}"),
            };
            let source = Some(Source::Beat(from.clone()));
            let Some(of) = of else {
                return Ok(vec![(source, Series::new(label, String::new(), Vec::new()))]);
            };
            if site.is_none() {
                return Err("shed needs to know the domain's nodes: give --site".to_owned());
            }
            let of = domains(of, site, nodes)?.into_iter();
            let series = |d: Picked| Series::new(label.clone(), d.words, d.nodes);
            Ok(of.map(|picked| (source.clone(), series(picked))).collect())
        }
        Watches::Meter { point, of } => {
            let picked = domains(of, site, nodes)?;
            if rule.action == Action::Shed && site.is_none() {
                return Err("shed needs to know the domain's nodes: give --site".to_owned());
            }
            let series = |domain: Picked| {
                let label = format!("{} {point}", domain.words);
                let source = Source::Meter { domain: domain.id, point: point.clone() };
                (Some(source), Series::new(label, domain.words, domain.nodes))
            };
            Ok(picked.into_iter().map(series).collect())
        }
        Watches::Agents { of, .. } => {
            if site.is_none() && *of != Scope::All {
                return Err("its domains' nodes are not known: give --site".to_owned());
            }
            let picked = domains(of, site, nodes)?.into_iter();
            let series = |d: Picked| (None, Series::new(d.words.clone(), d.words, d.nodes));
            Ok(picked.map(series).collect())
        }
        Watches::Device { reading, on, shed_by } => {
            let names: Vec<String> = nodes.keys().cloned().collect();
            let mut found = Vec::new();
            for node in members_of(on, site, &names) {
                let (words, shed) = around(&node, *shed_by, site, nodes)?;
                for device in nodes.get(&node).into_iter().flatten() {
                    let label = format!("{node}/{device} {}", reading.word());
                    let what = What::of(*reading);
                    let source = Source::Device { node: node.clone(), device: *device, what };
                    found.push((Some(source), Series::new(label, words.clone(), shed.clone())));
                }
            }
            Ok(found)
        }
    }
}

/// Who is shed for a device of a node.
fn around(
    node: &str,
    kind: Option<DomainKind>,
    site: Option<&Site>,
    nodes: &Devices,
) -> Result<(String, Vec<String>), String> {
    let alone = (format!("node {node}"), vec![node.to_owned()]);
    let Some(kind) = kind else { return Ok(alone) };
    let Some(site) = site else {
        return Err(format!("the {} of a node is not known: give --site", kind.word()));
    };
    let at = site.node_ix(node).and_then(|ix| site.ancestors_of_kind(ix, kind).next());
    // A node that hangs on no such domain is shed by itself.
    Ok(at.map_or(alone, |at| (words_of(site, at), members(site, at, nodes))))
}

fn domains(of: &Scope, site: Option<&Site>, nodes: &Devices) -> Result<Vec<Picked>, String> {
    let picked = |site: &Site, at: DomainIx| Picked {
        id: site.domain(at).id.clone(),
        words: words_of(site, at),
        nodes: members(site, at, nodes),
    };
    match (of, site) {
        (Scope::All, _) => {
            let words = "all nodes".to_owned();
            Ok(vec![Picked { id: String::new(), words, nodes: nodes.keys().cloned().collect() }])
        }
        (Scope::Kind(kind), None) => {
            Err(format!("every {} is watched, and no site names them: give --site", kind.word()))
        }
        (Scope::Kind(kind), Some(site)) => {
            // A domain without a node of the run is no danger of ours.
            let all = site.of_kind(*kind).map(|at| picked(site, at));
            let ours: Vec<Picked> = all.filter(|domain| !domain.nodes.is_empty()).collect();
            match ours.is_empty() {
                true => Err(format!("no {} of the site has a node of this run", kind.word())),
                false => Ok(ours),
            }
        }
        (Scope::One(kind, id), None) => {
            let words = format!("{} {id}", kind.word());
            Ok(vec![Picked { id: id.clone(), words, nodes: Vec::new() }])
        }
        (Scope::One(kind, id), Some(site)) => {
            let at = site.domain_ix(id).filter(|at| site.domain(*at).kind == *kind);
            let Some(at) = at else { return Err(format!("the site has no {} {id}", kind.word())) };
            Ok(vec![picked(site, at)])
        }
    }
}

fn words_of(site: &Site, at: DomainIx) -> String {
    format!("{} {}", site.domain(at).kind.word(), site.domain(at).id)
}

fn members(site: &Site, at: DomainIx, nodes: &Devices) -> Vec<String> {
    let names = site.members(at).iter().map(|node| &site.node(*node).name);
    names.filter(|name| nodes.contains_key(*name)).cloned().collect()
}
