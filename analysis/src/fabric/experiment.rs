//! The next experiment: which transfer tells a suspect from its rivals.

use model::site::Site;

use super::map::{Element, Map};
use super::name::suspect;

/// What to measure next; the first rival decides, the strongest comes first.
pub(super) fn next(map: &Map, of: Element, rivals: &[Element]) -> String {
    let site = map.site;
    let id = |element: Element| suspect(site, element).id;
    let Some(&rival) = rivals.first() else { return alone(map, of) };
    match (of, rival) {
        (Element::HostUp(..), Element::HostDown(..))
        | (Element::HostDown(..), Element::HostUp(..)) => format!(
            "send from {} to a proven node, and from another proven node to {}: the one still slow is it",
            sender(of, rival, site),
            receiver(of, rival, site)
        ),
        (host @ (Element::HostUp(..) | Element::HostDown(..)), other)
        | (other, host @ (Element::HostUp(..) | Element::HostDown(..))) => format!(
            "send between {} and a neighbour on its leaf, then between that neighbour and another leaf: slow in the first means {}, slow in the second {}",
            id(host),
            id(host),
            id(other)
        ),
        (Element::Link(a, _), Element::Link(_, c)) if map.is_leaf(a) && map.is_leaf(c) => format!(
            "from {} over the same spine to other leaves, and from other leaves over it to {}: the one still slow is it",
            site.domain(a).id,
            site.domain(c).id
        ),
        _ => format!(
            "send through {} without {}, and through {} without {}: the one still slow is it",
            id(of),
            id(rival),
            id(rival),
            id(of)
        ),
    }
}

/// Nothing on the network rivals it: what traffic can't split is left.
fn alone(map: &Map, of: Element) -> String {
    match of {
        Element::HostUp(..) | Element::HostDown(..) => format!(
            "no traffic test splits card, cable and leaf port of {}: read the counters of both ends, run a loopback, swap the cable",
            suspect(map.site, of).id
        ),
        Element::Link(..) => {
            "send from other leaves with tuples that hash to the same spine: all slow means the spine, else this cable".to_owned()
        }
        Element::LeafUp(leaf) | Element::LeafDown(leaf) => format!(
            "trace the slow tuples of {} (traceroute with the same source port, or the switch's hash) and repeat with the paths in the table",
            map.site.domain(leaf).id
        ),
    }
}

fn sender(a: Element, b: Element, site: &Site) -> String {
    let up = if matches!(a, Element::HostUp(..)) { a } else { b };
    suspect(site, up).id
}

fn receiver(a: Element, b: Element, site: &Site) -> String {
    let down = if matches!(a, Element::HostDown(..)) { a } else { b };
    suspect(site, down).id
}
