use model::site::{DomainKind, Site};

use super::*;

fn site(shape: &HallShape) -> Site {
    shape.site().unwrap_or_else(|problems| panic!("{}: {problems:?}", shape.name))
}

fn member_sets(site: &Site, kind: DomainKind) -> Vec<Vec<usize>> {
    let members = |ix| site.members(ix).iter().map(|node| node.index()).collect();
    site.of_kind(kind).map(members).collect()
}

#[test]
fn every_shape_is_a_site_in_which_every_node_is_supplied_and_cooled() {
    for shape in HallShape::all() {
        let site = site(&shape);
        assert_eq!(site.nodes().len(), shape.nodes() as usize, "{}", shape.name);
        for node in site.node_ixs() {
            let count = |kind| site.ancestors_of_kind(node, kind).count();
            assert_eq!(count(DomainKind::Pdu), 2);
            assert_eq!(count(DomainKind::Ups), 2);
            for once in [D::Loop, D::Cdu, D::AirZone, D::Rack, D::Row, D::Leaf, D::Pod] {
                assert_eq!(count(once), 1, "{} {once:?}", shape.name);
            }
        }
        for kind in [D::Pdu, D::Ups, D::Feed, D::Cdu, D::Loop, D::AirZone] {
            for domain in site.of_kind(kind) {
                let full: f64 = shape.node_kw * site.members(domain).len() as f64;
                let budget = site.domain(domain).budget_kw().expect("rated");
                assert!(!site.members(domain).is_empty(), "{}", site.domain(domain).id);
                assert!(budget >= full, "{} {budget} {full}", site.domain(domain).id);
            }
        }
    }
}

use DomainKind as D;

#[test]
fn loops_coincide_with_racks_in_some_shapes_and_not_in_others() {
    let coincide = |shape: HallShape| {
        let site = site(&shape);
        member_sets(&site, D::Loop) == member_sets(&site, D::Rack)
    };
    assert!(coincide(HallShape::hall_96()));
    for shape in [HallShape::room_32(), HallShape::hall_256(), HallShape::hall_1024()] {
        assert!(!coincide(shape));
    }
}

#[test]
fn staggered_sides_do_not_coincide() {
    let site = site(&HallShape::hall_256());
    let of_side = |side: &str| -> Vec<Vec<usize>> {
        let pdus = site.of_kind(D::Pdu).filter(|&ix| site.domain(ix).side.as_deref() == Some(side));
        pdus.map(|ix| site.members(ix).iter().map(|node| node.index()).collect()).collect()
    };
    let (a, b) = (of_side("A"), of_side("B"));
    assert!(a.iter().all(|members| !b.contains(members) && members.len() == 16));
}

#[test]
fn an_air_cooled_hall_has_zones_and_no_loops() {
    let shape = HallShape { loops: LoopLayout::Air, ..HallShape::hall_96() };
    let site = site(&shape);
    for none in [D::Loop, D::Cdu, D::Manifold] {
        assert_eq!(site.of_kind(none).count(), 0);
    }
    assert_eq!(site.of_kind(D::AirZone).map(|zone| site.members(zone).len()).sum::<usize>(), 96);
}

#[test]
fn zeros_in_a_shape_make_a_small_site_not_a_panic() {
    let shape = HallShape {
        racks: 0,
        nodes_per_rack: 0,
        loops: LoopLayout::Across(0),
        nodes_per_manifold: Some(0),
        nodes_per_psu_group: Some(0),
        spines: 0,
        ..HallShape::room_32()
    };
    assert_eq!(site(&shape).nodes().len(), 1);
}
