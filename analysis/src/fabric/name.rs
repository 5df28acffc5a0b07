//! Parts by the names that people know.

use model::finding::Suspect;
use model::site::{NodeIx, Site};

use super::map::Element;

/// The suspect of a part.
pub(super) fn suspect(site: &Site, element: Element) -> Suspect {
    match element {
        Element::HostUp(node, card) | Element::HostDown(node, card) => {
            Suspect::new("nic", nic(site, node, card))
        }
        Element::LeafUp(leaf) | Element::LeafDown(leaf) => {
            Suspect::new("leaf", site.domain(leaf).id.clone())
        }
        Element::Link(a, b) => {
            Suspect::new("link", format!("{}>{}", site.domain(a).id, site.domain(b).id))
        }
    }
}

/// `node/card`; `node/unknown` where nobody said which card.
pub(super) fn nic(site: &Site, node: NodeIx, card: Option<u16>) -> String {
    let node = site.node(node);
    let card = card.and_then(|card| node.nics.get(usize::from(card)));
    format!("{}/{}", node.name, card.map_or("unknown", |nic| nic.name.as_str()))
}

/// Which way the bytes went, in words.
pub(super) fn direction(element: Element) -> &'static str {
    match element {
        Element::HostUp(..) | Element::LeafUp(_) => "transmit",
        Element::HostDown(..) | Element::LeafDown(_) => "receive",
        Element::Link(..) => "in this direction",
    }
}
