//! The closed list of domain kinds: the words of `site.toml`, and what each stands for.

use serde::{Deserialize, Serialize};

/// What several nodes share through a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Electricity reaches the nodes through it.
    Power,
    /// Heat leaves the nodes through it.
    Cooling,
    /// The nodes stand in it.
    Place,
    /// The nodes talk through it.
    Network,
}

/// The kind of a domain; serde's spelling is the word of `site.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainKind {
    Generator,
    Ups,
    Ats,
    Breaker,
    Busway,
    Busbar,
    PowerShelf,
    Feed,
    Pdu,
    Phase,
    PsuGroup,
    Cdu,
    Loop,
    Manifold,
    AirZone,
    Row,
    Rack,
    Chassis,
    Pod,
    Plane,
    Leaf,
    Spine,
    Rail,
    NvlinkDomain,
}

impl DomainKind {
    /// Every kind, by family, from the source outwards.
    pub const ALL: [Self; 24] = [
        Self::Generator,
        Self::Ups,
        Self::Ats,
        Self::Breaker,
        Self::Busway,
        Self::Busbar,
        Self::PowerShelf,
        Self::Feed,
        Self::Pdu,
        Self::Phase,
        Self::PsuGroup,
        Self::Cdu,
        Self::Loop,
        Self::Manifold,
        Self::AirZone,
        Self::Row,
        Self::Rack,
        Self::Chassis,
        Self::Pod,
        Self::Plane,
        Self::Leaf,
        Self::Spine,
        Self::Rail,
        Self::NvlinkDomain,
    ];

    /// The word in site files, selectors and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Ups => "ups",
            Self::Ats => "ats",
            Self::Breaker => "breaker",
            Self::Busway => "busway",
            Self::Busbar => "busbar",
            Self::PowerShelf => "power_shelf",
            Self::Feed => "feed",
            Self::Pdu => "pdu",
            Self::Phase => "phase",
            Self::PsuGroup => "psu_group",
            Self::Cdu => "cdu",
            Self::Loop => "loop",
            Self::Manifold => "manifold",
            Self::AirZone => "air_zone",
            Self::Row => "row",
            Self::Rack => "rack",
            Self::Chassis => "chassis",
            Self::Pod => "pod",
            Self::Plane => "plane",
            Self::Leaf => "leaf",
            Self::Spine => "spine",
            Self::Rail => "rail",
            Self::NvlinkDomain => "nvlink_domain",
        }
    }

    /// The kind of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What nodes share through a domain of this kind.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Generator
            | Self::Ups
            | Self::Ats
            | Self::Breaker
            | Self::Busway
            | Self::Busbar
            | Self::PowerShelf
            | Self::Feed
            | Self::Pdu
            | Self::Phase
            | Self::PsuGroup => Family::Power,
            Self::Cdu | Self::Loop | Self::Manifold | Self::AirZone => Family::Cooling,
            Self::Row | Self::Rack | Self::Chassis => Family::Place,
            Self::Pod
            | Self::Plane
            | Self::Leaf
            | Self::Spine
            | Self::Rail
            | Self::NvlinkDomain => Family::Network,
        }
    }

    /// Share of the rating that may be drawn for hours, unless the site says otherwise.
    /// 0.8 where a breaker protects it (US NEC 210.20(A): a load of three hours or more
    /// may take 80 % of a breaker that is not listed for 100 %).
    #[must_use]
    pub fn default_continuous(self) -> f64 {
        match self {
            Self::Breaker | Self::Pdu | Self::Phase | Self::Busway | Self::Feed => 0.8,
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_are_all_different() {
        for kind in DomainKind::ALL {
            assert_eq!(DomainKind::from_word(kind.word()), Some(kind));
        }
        assert_eq!(DomainKind::from_word("Pdu"), None);
    }

    #[test]
    fn what_a_breaker_protects_is_loaded_to_four_fifths() {
        let derated: Vec<_> =
            DomainKind::ALL.into_iter().filter(|kind| kind.default_continuous() < 1.0).collect();
        assert_eq!(derated.len(), 5);
        assert!(derated.iter().all(|kind| kind.family() == Family::Power));
    }
}
