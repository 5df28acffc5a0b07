//! Which hall, which faults: drawn from a seed, so that a case can be run again alone.

use model::load::Kernel;
use model::plan::{Phase, PhaseKind, PhaseLoad, Plan, Requirement, Selector};
use model::site::{DomainIx, DomainKind, Site};
use sim::fault::Fault;
use sim::hall::HallShape;

/// One hall with its faults.
pub(crate) struct Case {
    pub(crate) shape: String,
    pub(crate) site: Site,
    pub(crate) plan: Plan,
    pub(crate) faults: Vec<Fault>,
    pub(crate) seed: u64,
}

/// Group faults that samples show, the kinds of domain that they strike, and the size at
/// severity 1, in the catalogue's unit.
const KINDS: [(&str, &[DomainKind], f64, &str); 10] = [
    ("pdu_limit", &[DomainKind::Pdu], 12.0, "%"),
    ("psu_group_limit", &[DomainKind::PsuGroup], 12.0, "%"),
    ("bmc_cap", &[DomainKind::Ups, DomainKind::Pdu], 12.0, "%"),
    ("feed_lost", &[DomainKind::Pdu], 15.0, "%"),
    ("trip", &[DomainKind::Pdu], 0.0, ""),
    ("loop_flow", &[DomainKind::Loop], 40.0, "%"),
    ("warm_supply", &[DomainKind::Loop, DomainKind::Cdu], 6.0, "K"),
    ("cdu_capacity", &[DomainKind::Cdu], 70.0, "%"),
    ("blocked_manifold", &[DomainKind::Manifold], 40.0, "%"),
    ("recirculation", &[DomainKind::Rack, DomainKind::AirZone], 12.0, "K"),
];
/// Of how many sites in a row one has each shape: the large ones cost most.
const SHAPES: [usize; 10] = [0, 1, 2, 0, 1, 2, 0, 1, 2, 3];
/// Devices of a node here: enough for a middle, few enough for a thousand halls.
const DEVICES: u32 = 4;

/// SplitMix64, as everywhere: drawing needs no better numbers.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((u128::from(mixed ^ (mixed >> 31)) * bound as u128) >> 64) as usize
    }
}

pub(crate) fn healthy(site: usize, seed: u64) -> Case {
    case(site, seed)
}

pub(crate) fn faulty(site: usize, seed: u64, severity: f64) -> Case {
    let mut case = case(site, seed);
    let mut draw = Draw(case.seed ^ 0x5EED);
    let wanted = 1 + draw.below(3);
    let mut struck: Vec<DomainIx> = Vec::new();
    for _ in 0..64 {
        if case.faults.len() == wanted {
            break;
        }
        let (word, kinds, size, unit) = KINDS[draw.below(KINDS.len())];
        let kind = kinds[draw.below(kinds.len())];
        let domains: Vec<DomainIx> = case.site.of_kind(kind).collect();
        if domains.is_empty() {
            continue;
        }
        let domain = domains[draw.below(domains.len())];
        let members = case.site.members(domain);
        let overlaps =
            |other: &DomainIx| case.site.members(*other).iter().any(|node| members.contains(node));
        // Two parts of one parent may be all of it, and are then its alias.
        let siblings = |other: &DomainIx| {
            let above = case.site.above(*other);
            case.site.above(domain).iter().any(|parent| {
                above.contains(parent) && case.site.domain(*parent).kind == DomainKind::Cdu
            })
        };
        // Half of a hall can't be told from the other half, and two faults on one node are
        // one finding or two: neither is asked for here.
        let tellable = members.len() >= 3 && 2 * members.len() < case.site.nodes().len();
        if !tellable || struck.iter().any(|other| overlaps(other) || siblings(other)) {
            continue;
        }
        let size =
            if unit.is_empty() { String::new() } else { format!("={}{unit}", size * severity) };
        // A part that is dead from the start is a gap in the coverage, not a fault of the run.
        let onset = if word == "trip" { "@1500" } else { "" };
        let text = format!("{word}:{}{size}{onset}", case.site.domain(domain).id);
        let fault = text.parse::<Fault>();
        case.faults.push(fault.unwrap_or_else(|error| panic!("{text}: {error}")));
        struck.push(domain);
    }
    case
}

fn case(site: usize, seed: u64) -> Case {
    let mut shapes = HallShape::all();
    let mut shape = shapes.swap_remove(SHAPES[site % SHAPES.len()]);
    shape.devices = DEVICES;
    let seed = seed.wrapping_mul(1_000_003).wrapping_add(site as u64);
    let site = shape.site().unwrap_or_else(|problems| panic!("{problems:?}"));
    Case { shape: shape.name, site, plan: plan(seed), faults: Vec::new(), seed }
}

fn plan(seed: u64) -> Plan {
    let phase = |name: &str, kind, seconds, load: Option<Kernel>| Phase {
        name: name.to_owned(),
        kind,
        seconds,
        on: Selector::All,
        load: load.map(|kernel| PhaseLoad::of(kernel, 100.0)),
        traffic: None,
        act: None,
    };
    Plan {
        name: "calibration".to_owned(),
        requires: [Requirement::Power, Requirement::Temperature].into(),
        seed,
        limits: model::plan::Limits::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: vec![
            phase("baseline", PhaseKind::Idle, 300.0, None),
            phase(
                "warm-up",
                PhaseKind::Ramp { from_percent: 0.0, to_percent: 100.0 },
                600.0,
                Some(Kernel::Mix),
            ),
            phase("soak", PhaseKind::Hold, 1_800.0, Some(Kernel::Mix)),
        ],
    }
}
