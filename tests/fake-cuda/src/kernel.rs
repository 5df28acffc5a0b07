//! A launch, played on the CPU: takes its time, looks at the stop word, leaves hashes, stamps
//! and flaws where a kernel would.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::load::Kernel;

use crate::draw;
use crate::image::{Flaw, Launch, NO_PLACE, reference};
use crate::monotonic_ns;
use crate::script::{Hopper, Place, script};

/// A launch of one iteration (an anchor) computes what the CPU reference says; a full one
/// would take a CPU minutes and gives other numbers that are as deterministic.
const EXACT_ITERATIONS_MAX: u32 = 1;
const SHORT_US: u64 = 50;
/// Distance of looks at the stop word.
const LOOK: Duration = Duration::from_micros(100);
/// `%globaltimer` runs ahead of the monotonic clock by this.
const GLOBALTIMER_AHEAD_NS: u64 = 1_700_000_000_000_000_000;
/// The tile that a faulty GPU gets wrong.
const WRONG_TILE: u32 = 5;

/// What a launch runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Fill,
    Load(Kernel),
    /// `lb_bf16_sm90a`: what it computes of exact operands is another order of sums.
    Warpgroups,
}

impl Entry {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "lb_fill" => Self::Fill,
            "lb_bf16" => Self::Load(Kernel::Bf16),
            "lb_bf16_sm90a" => Self::Warpgroups,
            "lb_int8" => Self::Load(Kernel::Int8),
            "lb_fp32" => Self::Load(Kernel::FmaF32),
            "lb_fp64" => Self::Load(Kernel::FmaF64),
            "lb_stream" => Self::Load(Kernel::Stream),
            "lb_l2" => Self::Load(Kernel::L2),
            "lb_mix" => Self::Load(Kernel::Mix),
            "lb_memory" => Self::Load(Kernel::Memory),
            _ => return None,
        })
    }
}

/// Runs a launch to its end, or for ever; the error that it leaves the GPU with.
///
/// # Safety
/// The addresses of `launch` must be those of live memory, as large as the contract says.
pub(crate) unsafe fn run(place: Place, entry: Entry, launch: &Launch) -> Result<(), i32> {
    let script = script();
    let hopper = if entry == Entry::Warpgroups { script.hopper } else { Hopper::Right };
    if script.hang == Some(place) || hopper == Hopper::Hangs {
        loop {
            std::thread::park();
        }
    }
    if let Some((at, code)) = script.fail
        && at == place
    {
        return Err(code);
    }
    let short = launch.iterations <= EXACT_ITERATIONS_MAX;
    let begin_ns = monotonic_ns();
    let end_ns = begin_ns + 1000 * if short { SHORT_US } else { script.launch_us };
    // SAFETY: as this function demands; the word lives in mapped host memory.
    let stopped = || unsafe { (launch.stop as *const u32).read_volatile() } != 0;
    while monotonic_ns() < end_ns && !stopped() {
        std::thread::sleep(LOOK.min(Duration::from_nanos(end_ns.saturating_sub(monotonic_ns()))));
    }
    let cut = monotonic_ns() < end_ns;
    draw::busy(place.gpu, entry, launch.share, begin_ns..monotonic_ns().min(end_ns));
    let exact = match entry {
        Entry::Load(kernel) if short => exact(kernel, launch),
        Entry::Warpgroups if short => reference::bf16_integers_hopper(launch),
        _ => Vec::new(),
    };
    for tile in 0..launch.tiles {
        // SAFETY: as this function demands.
        unsafe {
            let stamps = (launch.stamps as *mut u64).add(2 * tile as usize);
            stamps.write(begin_ns + GLOBALTIMER_AHEAD_NS);
            // As long as the script says, however late this machine wakes us.
            stamps.add(1).write(monotonic_ns().min(end_ns) + GLOBALTIMER_AHEAD_NS);
            if !cut {
                let exact = exact.get(tile as usize).copied();
                leave(launch, tile, hash(place, entry, launch, tile, exact));
            }
        }
    }
    Ok(())
}

/// The hashes of a short launch, worked out once.
fn exact(kernel: Kernel, launch: &Launch) -> Vec<u64> {
    static KNOWN: Mutex<BTreeMap<Kernel, Vec<u64>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let hashes = known
        .entry(kernel)
        .or_insert_with(|| reference::golden(kernel, launch).unwrap_or_default());
    hashes.clone()
}

fn hash(place: Place, entry: Entry, launch: &Launch, tile: u32, exact: Option<u64>) -> u64 {
    let short = launch.iterations <= EXACT_ITERATIONS_MAX;
    let kind = match entry {
        Entry::Fill => 0,
        Entry::Load(kernel) => 1 + kernel as u64,
        Entry::Warpgroups => 100,
    };
    let any = [kind, u64::from(launch.seed), u64::from(launch.iterations), u64::from(tile)];
    let plain = exact.unwrap_or_else(|| {
        any.into_iter().fold(0x9E37_79B9_7F4A_7C15_u64, |state, word| {
            (state ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29)
        }) | 1
    });
    let script = script();
    let injected = launch.inject_kind != 0 && launch.inject_tile == tile;
    let faulty = tile == WRONG_TILE
        && (script.flip == Some(place) || (script.wrong == Some(place.gpu) && !short));
    let spoiled = entry == Entry::Warpgroups && script.hopper == Hopper::Wrong && tile == 0;
    let plain = plain ^ (u64::from(spoiled) << 33);
    plain ^ (u64::from(injected) << 17) ^ (u64::from(faulty) << 40)
}

/// Writes a tile's hash and compares it, as every kernel does at its end.
///
/// # Safety
/// As [`run`].
unsafe fn leave(launch: &Launch, tile: u32, hash: u64) {
    // SAFETY: as this function demands: `tiles` words behind each address, a ring of the
    // capacity that stands in its header.
    unsafe {
        (launch.hashes as *mut u64).add(tile as usize).write(hash);
        if launch.golden == 0 {
            return;
        }
        let expected = (launch.golden as *const u64).add(tile as usize).read();
        if expected == hash {
            return;
        }
        let count = launch.flaws as *mut u32;
        let (place_in_ring, capacity) = (count.read(), count.add(1).read());
        count.write(place_in_ring + 1);
        if place_in_ring < capacity {
            let flaw = Flaw {
                expected,
                got: hash,
                at_ns: monotonic_ns() + GLOBALTIMER_AHEAD_NS,
                tile,
                sm: tile,
                warp_lane: NO_PLACE,
                kind: 0,
            };
            let ring = (launch.flaws + 8) as *mut Flaw;
            ring.add(place_in_ring as usize).write(flaw);
        }
    }
}
