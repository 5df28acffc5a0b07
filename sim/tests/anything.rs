//! Whatever the site, the plan and the faults: no panic, no value that is not a value.

mod laboratory;

use laboratory::{phase, plan};
use model::plan::{PhaseKind, Selector, Traffic};
use model::sample_columns::{Metric, SampleColumns};
use model::site::{Node, Site, SiteDraft};
use proptest::prelude::*;
use sim::fault::{Fault, FaultKind, TargetSort};
use sim::hall::{HallShape, LoopLayout};
use sim::physics::Physics;
use sim::world::{Sampling, World};

/// A fault of this kind on some fitting part of the site; `None` when it has none.
fn some_fault(site: &Site, kind: usize, pick: usize, tail: &str) -> Option<Fault> {
    let entry = &FaultKind::catalogue()[kind % FaultKind::catalogue().len()];
    let node = &site.nodes()[pick % site.nodes().len()];
    let target = match entry.sort {
        TargetSort::Domain(kinds) => {
            let fits =
                |ix: &_| kinds.contains(&site.domain(*ix).kind) && !site.members(*ix).is_empty();
            let domains: Vec<_> = site.domain_ixs().filter(fits).collect();
            let ix = *domains.get(pick % domains.len().max(1))?;
            site.domain(ix).id.clone()
        }
        TargetSort::Node | TargetSort::NodeOrDevice => node.name.clone(),
        TargetSort::Device => format!("{}/{}", node.name, pick as u32 % node.devices),
        TargetSort::Link => {
            let link = &site.links()[pick % site.links().len()];
            format!("{}>{}", link.a, link.b)
        }
        TargetSort::Cut => "pod-1>pod-1".to_owned(),
        TargetSort::Pair(kinds) => {
            let fits = |ix: &_| kinds.contains(&site.domain(*ix).kind);
            let domains: Vec<_> = site.domain_ixs().filter(fits).collect();
            let at = |at: usize| domains.get(at % domains.len().max(1));
            let (a, b) = (*at(pick)?, *at(pick + 1)?);
            format!("{}>{}", site.domain(a).id, site.domain(b).id)
        }
        TargetSort::Nic => format!("{}/{}", node.name, node.nics.first()?.name),
        TargetSort::Fleet => "fleet".to_owned(),
    };
    Some(format!("{}:{target}{tail}", entry.word).parse().expect("a fault"))
}

fn sane(chunk: &SampleColumns) {
    for metric in Metric::ALL {
        let Some(column) = &chunk.reals[metric.index()] else { continue };
        assert_eq!(column.len(), chunk.rows());
        for value in column.iter().filter(|value| !value.is_nan()) {
            let most = match metric {
                Metric::Perf => 1e6,
                Metric::PowerW | Metric::ClockMhz | Metric::ClockMinMhz => 2_500.0,
                Metric::PowerLimitW => 1_500.0,
                // A plate that is all but blocked at the lowest clock.
                _ => 250.0,
            };
            assert!(*value >= 0.0 && *value < most, "{metric:?} {value}");
        }
    }
    assert_eq!(chunk.node.keys.len(), chunk.rows());
    assert_eq!(chunk.device.len(), chunk.rows());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_hall_runs_with_any_three_faults(
        (racks, per_rack, devices) in (1_u32..6, 1_u32..7, 1_u32..5),
        (across, stagger) in (1_u32..4, any::<bool>()),
        manifold in proptest::option::of(1_u32..5),
        picks in proptest::collection::vec((0_usize..64, 0_usize..64), 3),
        tail in prop_oneof!["", "@40", "@40~30%/20"],
        (square, seed) in (0.02_f64..200.0, any::<u64>()),
    ) {
        let shape = HallShape {
            racks,
            nodes_per_rack: per_rack,
            devices,
            loops: LoopLayout::Across(across),
            nodes_per_manifold: manifold,
            nodes_per_psu_group: Some(2),
            racks_per_pdu: 2,
            staggered_sides: stagger,
            ..HallShape::room_32()
        };
        let site = shape.site().expect("a site");
        let square = PhaseKind::Square {
            low_percent: 10.0,
            high_percent: 100.0,
            period_seconds: square,
        };
        let mut waves = phase("waves", square, 120.0, Some(100.0));
        waves.on = Selector::Percent(50);
        let up = PhaseKind::Ramp { from_percent: 0.0, to_percent: 100.0 };
        let mut meet = phase("pairs", PhaseKind::Pairs, 20.0, None);
        meet.traffic = Some(Traffic::Pairs { bytes: 1, streams: 2, both_ways: stagger, quiet: false });
        let plan = plan(vec![
            phase("idle", PhaseKind::Idle, 30.0, None),
            phase("up", up, 60.0, Some(100.0)),
            meet,
            waves,
        ]);
        let faults: Vec<Fault> =
            picks.iter().filter_map(|&(kind, pick)| some_fault(&site, kind, pick, &tail)).collect();
        let world = World::new(&site, &plan, &faults, seed, Physics::default()).expect("a world");
        prop_assert_eq!(world.truth().len(), faults.len());
        world.samples(Sampling::per_phase(7)).for_each(|chunk| sane(&chunk));
        for row in world.pairs().unwrap_or_default() {
            prop_assert!(row.gbps.is_some_and(|gbps| (0.0..1e4).contains(&gbps)), "{:?}", row);
        }
        for row in world.meters() {
            prop_assert!(row.value.is_some_and(f64::is_finite), "{:?}", row);
        }
    }
}

#[test]
fn a_site_that_draws_neither_power_nor_cooling_still_has_both() {
    let bare = SiteDraft {
        name: "bare".to_owned(),
        nodes: vec![Node::new("n1", &[])],
        ..SiteDraft::default()
    };
    let site = Site::new(bare).expect("a site");
    let plan = plan(vec![phase("soak", PhaseKind::Hold, 600.0, Some(100.0))]);
    let world = World::new(&site, &plan, &[], 1, Physics::default()).expect("a world");
    let rows: Vec<_> = world.samples(Sampling::per_phase(10)).collect();
    assert_eq!(rows.iter().map(SampleColumns::rows).sum::<usize>(), 10);
    let temp = rows[0].real(Metric::TempC, 9).expect("a temperature");
    assert!((50.0..87.0).contains(&temp), "cooled by air: {temp}");
    assert!(rows[0].real(Metric::CoolantSupplyC, 0).is_none());
    assert!(world.meters().is_empty());
}

#[test]
fn a_plan_or_fault_that_does_not_fit_is_refused_with_a_reason() {
    let site = HallShape::room_32().site().expect("a site");
    let mut soak = phase("soak", PhaseKind::Hold, 600.0, Some(100.0));
    let fault = ["loop_flow:rack-1".parse().expect("a fault")];
    let refusal = World::new(&site, &plan(vec![soak.clone()]), &fault, 1, Physics::default());
    assert!(refusal.expect_err("a rack has no flow").to_string().contains("rack-1 is a rack"));
    soak.on = Selector::Nodes(vec!["nobody".to_owned()]);
    let refusal = World::new(&site, &plan(vec![soak]), &[], 1, Physics::default());
    assert!(refusal.expect_err("no such node").to_string().contains("no node \"nobody\""));
}
