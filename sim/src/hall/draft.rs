//! From a shape to the parts of a site.

use std::collections::BTreeMap;

use model::site::{Domain, DomainKind, Link, Nic, Node, SiteDraft};

use super::{HallShape, LoopLayout};

/// Share of its rating that a full load takes of a PDU or UPS: the rest is the builder's
/// margin. Each side alone must carry everything, as it has to when the other is lost.
const FULL_LOAD_OF_BUDGET: f64 = 0.9;
/// Line to line, in volts.
const VOLTS: f64 = 415.0;
/// Fastest change of load that a UPS here takes, as a share of its rating a second.
const RAMP_SHARE_PER_S: f64 = 0.1;
/// The two sides of the power.
const SIDES: [&str; 2] = ["A", "B"];

/// A shape without zeros, and where in it a node stands.
struct Hall {
    shape: HallShape,
}

pub(super) fn draw(shape: &HallShape) -> SiteDraft {
    let hall = Hall { shape: without_zeros(shape) };
    let mut domains = hall.power();
    domains.extend(hall.cooling());
    domains.extend(hall.places());
    domains.extend(hall.switches());
    let nodes = (0..hall.shape.nodes()).map(|node| hall.node(node)).collect();
    SiteDraft { name: hall.shape.name.clone(), domains, links: hall.links(), nodes }
}

fn without_zeros(shape: &HallShape) -> HallShape {
    let layout = match shape.loops {
        LoopLayout::Racks(racks) => LoopLayout::Racks(racks.max(1)),
        LoopLayout::Across(racks) => LoopLayout::Across(racks.max(1)),
        LoopLayout::Air => LoopLayout::Air,
    };
    HallShape {
        racks: shape.racks.max(1),
        nodes_per_rack: shape.nodes_per_rack.max(1),
        devices: shape.devices.max(1),
        racks_per_row: shape.racks_per_row.max(1),
        racks_per_pdu: shape.racks_per_pdu.max(1),
        racks_per_ups: shape.racks_per_ups.max(1),
        nodes_per_psu_group: shape.nodes_per_psu_group.map(|nodes| nodes.max(1)),
        loops: layout,
        loops_per_cdu: shape.loops_per_cdu.max(1),
        nodes_per_manifold: shape.nodes_per_manifold.map(|nodes| nodes.max(1)),
        racks_per_air_zone: shape.racks_per_air_zone.max(1),
        nodes_per_leaf: shape.nodes_per_leaf.max(1),
        leaves_per_pod: shape.leaves_per_pod.max(1),
        spines: shape.spines.max(1),
        ..shape.clone()
    }
}

fn id(word: &str, zero_based: u32) -> String {
    format!("{word}-{}", zero_based + 1)
}

fn within(kind: DomainKind, id: String, above: Option<String>) -> Domain {
    Domain { within: above.into_iter().collect(), ..Domain::new(kind, id) }
}

impl Hall {
    fn rack_of(&self, node: u32) -> u32 {
        node / self.shape.nodes_per_rack
    }

    fn position_of(&self, node: u32) -> u32 {
        node % self.shape.nodes_per_rack
    }

    fn pdu_of(&self, rack: u32, side: usize) -> u32 {
        let s = &self.shape;
        let shift = if s.staggered_sides && side == 1 { s.racks_per_pdu / 2 } else { 0 };
        // The last PDU of side B takes the racks that the shift left over at the front.
        ((rack + shift) / s.racks_per_pdu) % self.pdus()
    }

    fn pdus(&self) -> u32 {
        self.shape.racks.div_ceil(self.shape.racks_per_pdu)
    }

    /// Loops are numbered even where some stay without nodes; `None`: air.
    fn loop_of(&self, node: u32) -> Option<u32> {
        let (rack, position) = (self.rack_of(node), self.position_of(node));
        match self.shape.loops {
            LoopLayout::Air => None,
            LoopLayout::Racks(racks) => Some(rack / racks),
            LoopLayout::Across(racks) => {
                let first = rack / racks * racks;
                Some(first + position * racks / self.shape.nodes_per_rack)
            }
        }
    }

    fn leaf_of(&self, node: u32) -> u32 {
        node / self.shape.nodes_per_leaf
    }

    fn leaves(&self) -> u32 {
        self.shape.nodes().div_ceil(self.shape.nodes_per_leaf)
    }

    fn rated(&self, nodes: u32, domain: Domain) -> Domain {
        let full_kw = f64::from(nodes) * self.shape.node_kw;
        let rating = (full_kw / FULL_LOAD_OF_BUDGET / domain.continuous()).ceil();
        let amps = (rating * 1_000.0 / VOLTS / 3.0_f64.sqrt()).ceil();
        Domain {
            rating_kw: Some(rating),
            volts: Some(VOLTS),
            amps: Some(amps),
            phases: Some(3),
            ..domain
        }
    }

    fn power(&self) -> Vec<Domain> {
        let s = &self.shape;
        let mut domains = Vec::new();
        for (side, letter) in SIDES.into_iter().enumerate() {
            let low = letter.to_lowercase();
            let sided = |domain: Domain| Domain { side: Some(letter.to_owned()), ..domain };
            let feed = Domain::new(DomainKind::Feed, format!("feed-{low}"));
            domains.push(sided(self.rated(s.nodes(), feed)));
            for ups in 0..s.racks.div_ceil(s.racks_per_ups) {
                let name = id(&format!("ups-{low}"), ups);
                let above = Some(format!("feed-{low}"));
                // A staggered pair may hang one PDU more on a UPS than its own racks need.
                let racks = (s.racks_per_ups + s.racks_per_pdu).min(s.racks);
                let rated = self
                    .rated(racks * s.nodes_per_rack, sided(within(DomainKind::Ups, name, above)));
                let ramp = rated.rating_kw.map(|rating| rating * RAMP_SHARE_PER_S);
                domains.push(Domain { ramp_kw_per_s: ramp, ..rated });
            }
            for pdu in 0..self.pdus() {
                let rack = (0..s.racks).find(|&rack| self.pdu_of(rack, side) == pdu).unwrap_or(0);
                let above = Some(id(&format!("ups-{low}"), rack / s.racks_per_ups));
                let pdu = within(DomainKind::Pdu, id(&format!("pdu-{low}"), pdu), above);
                domains.push(sided(self.rated(s.racks_per_pdu * s.nodes_per_rack, pdu)));
            }
        }
        if let Some(nodes) = s.nodes_per_psu_group {
            let groups = s.nodes().div_ceil(nodes);
            let group = |at| Domain::new(DomainKind::PsuGroup, id("psu", at));
            domains.extend((0..groups).map(|at| self.rated(nodes, group(at))));
        }
        domains
    }

    fn cooling(&self) -> Vec<Domain> {
        let s = &self.shape;
        let on_zone = s.racks_per_air_zone * s.nodes_per_rack;
        let zones = (0..s.racks.div_ceil(s.racks_per_air_zone))
            .map(|zone| self.cooled(on_zone, Domain::new(DomainKind::AirZone, id("air", zone))));
        self.liquid().into_iter().chain(zones).collect()
    }

    /// Loops with nodes on them, their CDUs and manifolds.
    fn liquid(&self) -> Vec<Domain> {
        let s = &self.shape;
        let mut on_loop: BTreeMap<u32, u32> = BTreeMap::new();
        let mut on_cdu: BTreeMap<u32, u32> = BTreeMap::new();
        let mut manifolds = Vec::new();
        let nodes_of = |node| self.loop_of(node).map(|circuit| (node, circuit));
        for (node, circuit) in (0..s.nodes()).filter_map(nodes_of) {
            *on_loop.entry(circuit).or_default() += 1;
            *on_cdu.entry(circuit / s.loops_per_cdu).or_default() += 1;
            let Some(most) = s.nodes_per_manifold else { continue };
            let name = self.manifold_of(node, circuit, most);
            // The nodes of a manifold stand next to each other.
            if manifolds.last().is_none_or(|last: &Domain| last.id != name) {
                let above = Some(id("loop", circuit));
                manifolds.push(self.cooled(most, within(DomainKind::Manifold, name, above)));
            }
        }
        let cdu = |(at, nodes)| self.cooled(nodes, Domain::new(DomainKind::Cdu, id("cdu", at)));
        let circuit = |(at, nodes)| {
            let above = Some(id("cdu", at / s.loops_per_cdu));
            self.cooled(nodes, within(DomainKind::Loop, id("loop", at), above))
        };
        let loops: Vec<Domain> = on_loop.into_iter().map(circuit).collect();
        on_cdu.into_iter().map(cdu).chain(loops).chain(manifolds).collect()
    }

    fn cooled(&self, nodes: u32, domain: Domain) -> Domain {
        let electric = self.rated(nodes, domain);
        Domain { volts: None, amps: None, phases: None, ..electric }
    }

    /// A manifold stays within its rack and its loop.
    fn manifold_of(&self, node: u32, circuit: u32, nodes: u32) -> String {
        let (rack, position) = (self.rack_of(node), self.position_of(node));
        format!("manifold-{}-{}-{}", rack + 1, circuit + 1, position / nodes + 1)
    }

    fn places(&self) -> Vec<Domain> {
        let s = &self.shape;
        let rows = (0..s.racks.div_ceil(s.racks_per_row))
            .map(|row| Domain::new(DomainKind::Row, id("row", row)));
        let racks = (0..s.racks).map(|rack| {
            let above = Some(id("row", rack / s.racks_per_row));
            within(DomainKind::Rack, id("rack", rack), above)
        });
        rows.chain(racks).collect()
    }

    fn switches(&self) -> Vec<Domain> {
        let s = &self.shape;
        let pods = (0..self.leaves().div_ceil(s.leaves_per_pod))
            .map(|pod| Domain::new(DomainKind::Pod, id("pod", pod)));
        let leaves = (0..self.leaves()).map(|leaf| {
            let above = Some(id("pod", leaf / s.leaves_per_pod));
            within(DomainKind::Leaf, id("leaf", leaf), above)
        });
        let spines = (0..s.spines).map(|spine| Domain::new(DomainKind::Spine, id("spine", spine)));
        pods.chain(leaves).chain(spines).collect()
    }

    /// Every leaf to every spine, with enough cables that nothing is oversubscribed.
    fn links(&self) -> Vec<Link> {
        let s = &self.shape;
        let hosts_gbps = f64::from(s.nodes_per_leaf) * s.nic_gbps;
        let cables = (hosts_gbps / (f64::from(s.spines) * s.link_gbps)).ceil().max(1.0) as u32;
        let link = |leaf, spine| Link {
            a: id("leaf", leaf),
            b: id("spine", spine),
            gbps: s.link_gbps,
            count: cables,
        };
        (0..self.leaves())
            .flat_map(|leaf| (0..s.spines).map(move |spine| link(leaf, spine)))
            .collect()
    }

    fn node(&self, node: u32) -> Node {
        let s = &self.shape;
        let rack = self.rack_of(node);
        let mut domains = vec![
            id("rack", rack),
            id("pdu-a", self.pdu_of(rack, 0)),
            id("pdu-b", self.pdu_of(rack, 1)),
            id("air", rack / s.racks_per_air_zone),
        ];
        domains.extend(self.loop_of(node).map(|circuit| match s.nodes_per_manifold {
            Some(nodes) => self.manifold_of(node, circuit, nodes),
            None => id("loop", circuit),
        }));
        domains.extend(s.nodes_per_psu_group.map(|nodes| id("psu", node / nodes)));
        let nic = Nic {
            name: "mlx5_0".to_owned(),
            leaf: Some(id("leaf", self.leaf_of(node))),
            rail: None,
            gbps: Some(s.nic_gbps),
        };
        Node {
            name: format!("gpu-{:04}", node + 1),
            domains,
            devices: s.devices,
            device_model: Some(s.device_model.clone()),
            max_kw: Some(s.node_kw),
            nics: vec![nic],
        }
    }
}
