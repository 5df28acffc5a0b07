//! Advice: the phase to type that would separate two suspects.

use std::collections::BTreeSet;

use model::finding::Suspect;
use model::site::{DomainIx, DomainKind, Family, Site};

/// Kinds that may cut across a domain, those with many small groups first.
const CUTS: [DomainKind; 6] = [
    DomainKind::Loop,
    DomainKind::Manifold,
    DomainKind::Rack,
    DomainKind::Pdu,
    DomainKind::PsuGroup,
    DomainKind::AirZone,
];

/// A phase that tells the limit of one of these parts from what its nodes have by themselves:
/// one that loads it in part.
pub(crate) fn in_part(site: &Site, suspect: &Suspect) -> Option<String> {
    let domain = site.domain_ix(&suspect.id)?;
    let kind = site.domain(domain).kind;
    if kind.word() != suspect.kind || kind.family() == Family::Network {
        return None;
    }
    let (word, id) = (kind.word(), &suspect.id);
    Some(match cut(site, domain) {
        Some(cut) => {
            format!("a phase with kind = \"halves\", over = [\"{word}\", \"{}\"]", cut.word())
        }
        None => format!("a phase with kind = \"isolated\", by = \"node\", on = \"{word}={id}\""),
    })
}

/// A kind whose domains divide this one's nodes, and which every node of the site has.
fn cut(site: &Site, domain: DomainIx) -> Option<DomainKind> {
    let own = site.domain(domain).kind;
    CUTS.into_iter().filter(|kind| *kind != own).find(|kind| {
        let first = |node| site.ancestors_of_kind(node, *kind).next();
        let everywhere = site.node_ixs().all(|node| first(node).is_some());
        let parts: BTreeSet<_> =
            site.members(domain).iter().filter_map(|node| first(*node)).collect();
        everywhere && parts.len() >= 2
    })
}

/// A phase after which a person may pull one feed.
pub(crate) const FEEDS: &str =
    "a phase with kind = \"feed_check\", by = \"feed\", then a witnessed pull of one feed";

/// A phase that shows which meter belongs to whom.
pub(crate) fn meters(kind: &str) -> String {
    format!("read meters of both in a phase with kind = \"wiring\", by = \"{kind}\"")
}
