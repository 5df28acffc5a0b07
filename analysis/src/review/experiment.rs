//! What would separate domains that hold the same nodes.

use model::site::{Domain, DomainIx, Family, Site};

/// The cheapest step that tells these domains apart.
pub(super) fn separating(site: &Site, domains: &[DomainIx], whole_site: bool) -> String {
    let domains: Vec<&Domain> = domains.iter().map(|domain| site.domain(*domain)).collect();
    if !whole_site {
        return "select more nodes: on the whole site their members differ".to_owned();
    }
    let of = |family: Family| domains.iter().copied().find(|d| d.kind.family() == family);
    let named = |domain: &Domain| format!("{} {}", domain.kind.word(), domain.id);
    let power: Vec<&Domain> =
        domains.iter().copied().filter(|d| d.kind.family() == Family::Power).collect();
    if let [first, second, ..] = power.as_slice() {
        let sides = [first, second].map(|domain| domain.side.as_deref());
        return match sides {
            [Some(a), Some(b)] if a != b => format!(
                "run the same load on feed {a} alone, then on feed {b} alone: {} or {} answers",
                named(first),
                named(second)
            ),
            _ => format!(
                "read the meters of {} and {} at a load step: the weaker one sags more",
                named(first),
                named(second)
            ),
        };
    }
    let rest = |but: &Domain| {
        let others = domains.iter().filter(|domain| domain.id != but.id);
        others.map(|domain| named(domain)).collect::<Vec<_>>().join(", ")
    };
    if let Some(power) = of(Family::Power) {
        let others = rest(power);
        return format!(
            "move the power cords of half of these nodes to another {} and repeat: the weakness \
             follows {} or stays with {others}",
            power.kind.word(),
            named(power)
        );
    }
    if let Some(cooling) = of(Family::Cooling) {
        let others = rest(cooling);
        return format!(
            "load half of these nodes at a time, then all: heat that only shows together is {}; \
             heat that shows in one half is {others}",
            named(cooling)
        );
    }
    if let Some(network) = of(Family::Network) {
        return format!("move one of these nodes to another {} and repeat", network.kind.word());
    }
    "swap two of these nodes with two of another place and repeat: the nodes or the place"
        .to_owned()
}
