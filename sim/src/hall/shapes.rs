//! Named shapes, from a small room to a large hall.

use super::{HallShape, LoopLayout};

impl HallShape {
    /// The named shapes, smallest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::room_32(), Self::hall_96(), Self::hall_256(), Self::hall_1024()]
    }

    /// A shape by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|shape| shape.name == name)
    }

    /// 8 racks of 4 nodes; a PDU pair a rack, loops across pairs of racks.
    #[must_use]
    pub fn room_32() -> Self {
        Self {
            name: "room-32".to_owned(),
            racks: 8,
            nodes_per_rack: 4,
            devices: 8,
            device_model: "H200".to_owned(),
            node_kw: 8.0,
            racks_per_row: 4,
            racks_per_pdu: 1,
            staggered_sides: false,
            racks_per_ups: 4,
            nodes_per_psu_group: None,
            loops: LoopLayout::Across(2),
            loops_per_cdu: 2,
            nodes_per_manifold: None,
            racks_per_air_zone: 2,
            nodes_per_leaf: 8,
            leaves_per_pod: 2,
            spines: 4,
            nic_gbps: 400.0,
            link_gbps: 400.0,
        }
    }

    /// 16 racks of 6 nodes; everything of a rack coincides: PDU pair, loop, manifold.
    #[must_use]
    pub fn hall_96() -> Self {
        Self {
            name: "hall-96".to_owned(),
            racks: 16,
            nodes_per_rack: 6,
            racks_per_row: 8,
            racks_per_ups: 8,
            loops: LoopLayout::Racks(1),
            loops_per_cdu: 4,
            nodes_per_manifold: Some(6),
            racks_per_air_zone: 4,
            nodes_per_leaf: 12,
            leaves_per_pod: 4,
            ..Self::room_32()
        }
    }

    /// 32 racks of 8 nodes; PDU pairs for two racks with the sides staggered, loops across
    /// four racks, manifolds of four nodes.
    #[must_use]
    pub fn hall_256() -> Self {
        Self {
            name: "hall-256".to_owned(),
            racks: 32,
            nodes_per_rack: 8,
            racks_per_row: 8,
            racks_per_pdu: 2,
            staggered_sides: true,
            racks_per_ups: 8,
            loops: LoopLayout::Across(4),
            loops_per_cdu: 4,
            nodes_per_manifold: Some(4),
            racks_per_air_zone: 4,
            nodes_per_leaf: 16,
            leaves_per_pod: 4,
            spines: 8,
            ..Self::room_32()
        }
    }

    /// 64 racks of 16 nodes; PDU pairs a rack, groups of four power supplies, loops across
    /// two racks, manifolds of eight nodes.
    #[must_use]
    pub fn hall_1024() -> Self {
        Self {
            name: "hall-1024".to_owned(),
            racks: 64,
            nodes_per_rack: 16,
            racks_per_row: 16,
            racks_per_ups: 16,
            nodes_per_psu_group: Some(4),
            loops: LoopLayout::Across(2),
            loops_per_cdu: 4,
            nodes_per_manifold: Some(8),
            racks_per_air_zone: 8,
            nodes_per_leaf: 32,
            leaves_per_pod: 8,
            spines: 16,
            ..Self::room_32()
        }
    }
}
