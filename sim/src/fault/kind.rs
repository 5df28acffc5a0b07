//! The catalogue: every kind of fault, its size's unit, what it works on, and what a judge
//! should call it.

use model::finding::FindingKind;
use model::site::DomainKind;

/// A kind of fault. [`FaultKind::entry`] says everything about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    PduLimit,
    PsuGroupLimit,
    BmcCap,
    FeedLost,
    SoftSource,
    DomainTrip,
    LoopFlow,
    WarmSupply,
    CduCapacity,
    BlockedManifold,
    Recirculation,
    ColdPlate,
    WeakPsu,
    SlowDevice,
    HostIo,
    NodeLost,
    SensorDropout,
    StuckSensor,
    FleetCap,
    WarmHall,
    SlowUplink,
    FlakyUplink,
    SlowNic,
    NetworkIsland,
    SharedHeader,
    SwappedMeters,
}

/// The unit of a fault's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Percent,
    Kelvin,
    MilliOhm,
    /// There is no size.
    None,
}

/// What a kind of fault works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSort {
    /// A domain of one of these kinds.
    Domain(&'static [DomainKind]),
    Node,
    /// `node/index`.
    Device,
    NodeOrDevice,
    /// `leaf-1>spine-2`: one direction.
    Link,
    /// `pod-1>pod-2`: everything between two groups of nodes.
    Cut,
    /// `loop-1>loop-2`: two domains of these kinds.
    Pair(&'static [DomainKind]),
    /// `node/nic`.
    Nic,
    /// The word `fleet`: everything.
    Fleet,
}

/// Where the fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenIn {
    /// In what devices felt (and in meters, where the site has them).
    Samples,
    /// In meters only.
    Meters,
    /// In transfers only.
    Pairs,
}

/// One line of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub kind: FaultKind,
    pub word: &'static str,
    pub sort: TargetSort,
    pub unit: Unit,
    /// When nobody says, in the unit's own scale (a share, K, ohm).
    pub default_size: f64,
    /// Largest size that the physics here still describes.
    pub most: f64,
    /// What a judge should call it.
    pub finding: FindingKind,
    pub seen_in: SeenIn,
    /// What the size means.
    pub what: &'static str,
}

use DomainKind as D;
use FaultKind as K;
use FindingKind as F;
use SeenIn::{Meters, Pairs, Samples};
use TargetSort as T;
use Unit as U;

const SUPPLIES: &[D] = &[D::Pdu, D::PowerShelf, D::Busbar, D::Busway, D::Breaker, D::Phase];
/// What cords may be plugged into, or what is above them.
const CORDED: &[D] = &[D::Pdu, D::PowerShelf, D::Busbar, D::Busway, D::Breaker];
const POWER: &[D] = &[
    D::Generator,
    D::Ups,
    D::Ats,
    D::Breaker,
    D::Busway,
    D::Busbar,
    D::PowerShelf,
    D::Feed,
    D::Pdu,
    D::Phase,
    D::PsuGroup,
];
const LIQUID: &[D] = &[D::Cdu, D::Loop];
const AIR: &[D] = &[D::AirZone, D::Rack, D::Row];

#[rustfmt::skip]
const CATALOGUE: &[Entry] = &[
    entry(K::PduLimit, "pdu_limit", T::Domain(SUPPLIES), U::Percent, 0.12, 0.8, F::WeakPower, Samples,
        "delivers so much less than its nodes want at full load; they pull the power brake"),
    entry(K::PsuGroupLimit, "psu_group_limit", T::Domain(&[D::PsuGroup]), U::Percent, 0.12, 0.8, F::WeakPower, Samples,
        "power supplies deliver so much less than their nodes want at full load"),
    entry(K::BmcCap, "bmc_cap", T::Domain(POWER), U::Percent, 0.12, 0.8, F::WeakPower, Samples,
        "management caps every device below by so much: the current limit is under the requested one"),
    entry(K::FeedLost, "feed_lost", T::Domain(POWER), U::Percent, 0.15, 0.8, F::WeakPower, Samples,
        "dead; the supplies that are left carry so much less than full load: a brake, then a cap"),
    entry(K::SoftSource, "soft_source", T::Domain(CORDED), U::MilliOhm, 0.020, 0.2, F::WeakPower, Meters,
        "so much more impedance a phase: the voltage sags under load"),
    entry(K::DomainTrip, "trip", T::Domain(POWER), U::None, 0.0, 0.0, F::NodeLost, Samples,
        "opens, and with it what the other side took over: every node below is gone"),
    entry(K::LoopFlow, "loop_flow", T::Domain(&[D::Loop]), U::Percent, 0.4, 0.9, F::WeakCooling, Samples,
        "so much less flow: the second thermal stage is larger and slower"),
    entry(K::WarmSupply, "warm_supply", T::Domain(LIQUID), U::Kelvin, 6.0, 30.0, F::WeakCooling, Samples,
        "supply so much warmer, with or without load"),
    entry(K::CduCapacity, "cdu_capacity", T::Domain(&[D::Cdu]), U::Percent, 0.7, 0.9, F::WeakCooling, Samples,
        "so much of the exchanger lost: the supply warms with the load of all its loops"),
    entry(K::BlockedManifold, "blocked_manifold", T::Domain(&[D::Manifold]), U::Percent, 0.4, 0.9, F::WeakCooling, Samples,
        "so much of the branch blocked: the first thermal stage of its nodes is larger"),
    entry(K::Recirculation, "recirculation", T::Domain(AIR), U::Kelvin, 12.0, 30.0, F::WeakCooling, Samples,
        "inlet air so much warmer at full load"),
    entry(K::ColdPlate, "cold_plate", T::Device, U::Percent, 0.6, 5.0, F::DeviceHot, Samples,
        "so much more thermal resistance under one device"),
    entry(K::WeakPsu, "weak_psu", T::Node, U::Percent, 0.15, 0.8, F::PowerShort, Samples,
        "the node's supplies deliver so much less than it wants at full load"),
    entry(K::SlowDevice, "slow_device", T::Device, U::Percent, 0.10, 0.8, F::DeviceSlow, Samples,
        "so much less clock at the same power"),
    entry(K::HostIo, "host_io", T::Node, U::Percent, 0.4, 0.95, F::HostIo, Samples,
        "devices wait for their host so much of the time"),
    entry(K::NodeLost, "node_lost", T::Node, U::None, 0.0, 0.0, F::NodeLost, Samples,
        "the node is gone"),
    entry(K::SensorDropout, "sensor_dropout", T::NodeOrDevice, U::Percent, 0.9, 1.0, F::Instrument, Samples,
        "so many of the readings are lost"),
    entry(K::StuckSensor, "stuck_sensor", T::Device, U::None, 0.0, 0.0, F::Instrument, Samples,
        "the temperature stays what it was"),
    entry(K::FleetCap, "fleet_cap", T::Fleet, U::Percent, 0.1, 0.8, F::FleetShift, Samples,
        "every device capped by so much"),
    entry(K::WarmHall, "warm_hall", T::Fleet, U::Kelvin, 6.0, 30.0, F::FleetShift, Samples,
        "coolant and air so much warmer everywhere"),
    entry(K::SlowUplink, "slow_uplink", T::Link, U::Percent, 0.5, 0.99, F::SlowUplink, Pairs,
        "so much less bandwidth in one direction"),
    entry(K::FlakyUplink, "flaky_uplink", T::Link, U::Percent, 0.9, 0.99, F::FlakyLink, Pairs,
        "so much less bandwidth now and then: give a flapping"),
    entry(K::SlowNic, "slow_nic", T::Nic, U::Percent, 0.5, 0.99, F::SlowNic, Pairs,
        "so much less bandwidth of one card"),
    entry(K::NetworkIsland, "network_island", T::Cut, U::Percent, 0.5, 0.99, F::NetworkIsland, Pairs,
        "so much less bandwidth between two groups than within them"),
    entry(K::SharedHeader, "shared_header", T::Pair(&[D::Loop]), U::Kelvin, 4.0, 30.0, F::WeakCooling, Samples,
        "the first one's heat at full load warms the supply of the second so much: nobody drew that"),
    entry(K::SwappedMeters, "swapped_meters", T::Pair(SUPPLIES), U::None, 0.0, 0.0, F::Instrument, Meters,
        "the meters of two supplies are recorded under each other's name"),
];

#[expect(clippy::too_many_arguments, reason = "a line of the table above, column by column")]
const fn entry(
    kind: FaultKind,
    word: &'static str,
    sort: TargetSort,
    unit: Unit,
    default_size: f64,
    most: f64,
    finding: FindingKind,
    seen_in: SeenIn,
    what: &'static str,
) -> Entry {
    Entry { kind, word, sort, unit, default_size, most, finding, seen_in, what }
}

impl FaultKind {
    /// Every line of the catalogue.
    #[must_use]
    pub fn catalogue() -> &'static [Entry] {
        CATALOGUE
    }

    /// What the catalogue says about this kind.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        // Kinds and lines are in the same order; a test holds that.
        &CATALOGUE[self as usize]
    }

    /// The kind's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.entry().word
    }

    /// The kind of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        CATALOGUE.iter().find(|entry| entry.word == word).map(|entry| entry.kind)
    }

    /// All words, for messages.
    #[must_use]
    pub fn words() -> String {
        let words: Vec<&str> = CATALOGUE.iter().map(|entry| entry.word).collect();
        words.join(", ")
    }
}

impl Unit {
    /// The letters behind the number.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Percent => "%",
            Self::Kelvin => "K",
            Self::MilliOhm => "mOhm",
            Self::None => "",
        }
    }

    /// How many of the written unit make one of the kept one.
    #[must_use]
    pub fn scale(self) -> f64 {
        match self {
            Self::Percent => 100.0,
            Self::MilliOhm => 1_000.0,
            Self::Kelvin | Self::None => 1.0,
        }
    }

    pub(super) fn range(self, most_thousandths: u64) -> String {
        let most = most_thousandths as f64 / 1_000.0 * self.scale();
        format!("a number over 0 up to {most}{}", self.suffix())
    }

    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Percent => "12%",
            Self::Kelvin => "6K",
            Self::MilliOhm => "20mOhm",
            Self::None => "",
        }
    }
}

impl TargetSort {
    /// What to write, in words.
    #[must_use]
    pub fn wants(self) -> String {
        match self {
            Self::Domain(kinds) => {
                let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
                format!("the id of a domain of kind {}", words.join(", "))
            }
            Self::Node => "the name of a node".to_owned(),
            Self::Device => "NODE/INDEX".to_owned(),
            Self::NodeOrDevice => "the name of a node, or NODE/INDEX".to_owned(),
            Self::Link => "a directed link such as leaf-1>spine-2".to_owned(),
            Self::Cut => "two groups such as pod-1>pod-2".to_owned(),
            Self::Pair(kinds) => {
                let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
                format!("two domains of kind {} with > between them", words.join(", "))
            }
            Self::Nic => "NODE/NIC".to_owned(),
            Self::Fleet => "the word fleet".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_lines_are_in_the_same_order_and_words_differ() {
        for (at, line) in CATALOGUE.iter().enumerate() {
            assert_eq!(line.kind as usize, at, "{}", line.word);
            assert_eq!(FaultKind::from_word(line.word), Some(line.kind));
            assert!(line.default_size <= line.most);
        }
    }
}
