//! Copies between the host and a GPU, both ways at once, by the GPU's copy engines.
//!
//! A *round* carries [`ROUND_BYTES`] up and as many down, on a stream each. What goes down in a
//! round came up in the round before, so that a wrong byte of either way shows here: the host
//! compares one piece of each round, another each time. Three patterns wander over two buffers
//! on the device and two on the host, so that no buffer gets the same pattern twice in a row: a
//! copy that was never done is seen as well as one that was wrong.
//!
//! Copies between GPUs are not here: a worker has one GPU, so that it can die alone
//! (docs/gpu.md says what that leaves unmeasured).

use std::collections::VecDeque;

use super::Failure;
use super::driver::{Context, DeviceMemory, Event, HostMemory, Stream};
use crate::clock::monotonic_ns;

/// What one round carries each way: 0.6 ms on PCIe 5 with 16 lanes, 2.7 ms on PCIe 3.
pub(super) const ROUND_BYTES: usize = 32 << 20;
/// What is compared of a round: a tenth of a millisecond of one core.
const PIECE_BYTES: usize = 1 << 20;
const PIECES_A_WAY: usize = ROUND_BYTES / PIECE_BYTES;
const PAGE_BYTES: usize = 4096;
const PATTERNS: usize = 3;
const LANES: usize = 2;
/// Before the first round is back: what PCIe 4 takes.
const QUANTUM_NS: u64 = 1_300_000;
/// A round that takes this long will not come back.
const ROUND_DEADLINE_NS: u64 = 2_000_000_000;

/// One way of one round.
struct Way {
    begin: Event,
    end: Event,
}

/// Where a round lands, and the events around its ways.
struct Lane {
    landing: HostMemory,
    up: Way,
    down: Way,
}

/// A round on its way.
struct Flight {
    lane: Lane,
    number: u64,
    facts: Round,
}

/// What a round is for, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) serial: u64,
    pub(super) injected: bool,
    pub(super) submitted_ns: u64,
    pub(super) expected_ns: u64,
    /// When it was seen to be back; 0 before.
    pub(super) seen_ns: u64,
    /// How long each way took.
    pub(super) up_ns: u64,
    pub(super) down_ns: u64,
    pub(super) wrong: Option<WrongWord>,
}

/// The first word of a piece that is not what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongWord {
    pub(super) piece: u32,
    pub(super) offset: usize,
    pub(super) expected: u64,
    pub(super) got: u64,
}

impl WrongWord {
    pub(super) fn words(&self) -> String {
        let Self { piece, offset, expected, got } = *self;
        format!(
            "piece {piece}: word at byte {offset} came back as {got:#018x}, was sent as \
             {expected:#018x} (bits {:#x})",
            got ^ expected
        )
    }
}

/// Buffers and streams of a GPU's copies.
pub(super) struct Copies {
    up: Stream,
    down: Stream,
    patterns: Vec<HostMemory>,
    device: Vec<DeviceMemory>,
    free: VecDeque<Lane>,
    flights: VecDeque<Flight>,
    rounds: u64,
    /// Running mean of a round's length.
    pub(super) quantum_ns: u64,
}

impl Copies {
    pub(super) fn new(context: &Context) -> Result<Self, Failure> {
        let (up, down) = (context.stream()?, context.stream()?);
        let patterns: Vec<HostMemory> =
            (0..PATTERNS).map(|_| context.host_memory(ROUND_BYTES)).collect::<Result<_, _>>()?;
        for (which, memory) in patterns.iter().enumerate() {
            fill(memory, which);
        }
        let device: Vec<DeviceMemory> =
            (0..LANES).map(|_| context.device_memory(ROUND_BYTES)).collect::<Result<_, _>>()?;
        let way = || -> Result<Way, Failure> {
            Ok(Way { begin: context.timed_event()?, end: context.timed_event()? })
        };
        let lane = || -> Result<Lane, Failure> {
            let landing = context.host_memory(ROUND_BYTES)?;
            Ok(Lane { landing, up: way()?, down: way()? })
        };
        let free: VecDeque<Lane> = (0..LANES).map(|_| lane()).collect::<Result<_, _>>()?;
        // What the first round brings down must have been brought up.
        let (buffer, sent) = places(PATTERNS as u64 - 1);
        context.copy_in(&up, &patterns[sent], &device[buffer], ROUND_BYTES)?;
        let flights = VecDeque::new();
        let rounds = PATTERNS as u64;
        Ok(Self { up, down, patterns, device, free, flights, rounds, quantum_ns: QUANTUM_NS })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    pub(super) fn flies_for(&self, serial: u64) -> bool {
        self.flights.iter().any(|flight| flight.facts.serial == serial)
    }

    /// What is in flight will take so long.
    pub(super) fn ahead_ns(&self) -> u64 {
        self.flights.iter().map(|flight| flight.facts.expected_ns).sum()
    }

    /// Sends a round off; false where both lanes are taken.
    pub(super) fn submit(
        &mut self,
        context: &Context,
        serial: u64,
        injected: bool,
    ) -> Result<bool, Failure> {
        let Some(lane) = self.free.pop_front() else { return Ok(false) };
        let number = self.rounds;
        let ((to, sent), (from, _)) = (places(number), places(number - 1));
        // The round before filled what goes down now, and emptied what is filled now.
        if let Some(before) = self.flights.back() {
            context.wait_for(&self.down, &before.lane.up.end)?;
            context.wait_for(&self.up, &before.lane.down.end)?;
        } else {
            // Filled when the buffers were made, or by a round that is back: in the same stream.
            context.record(&lane.up.begin, &self.up)?;
            context.wait_for(&self.down, &lane.up.begin)?;
        }
        context.record(&lane.up.begin, &self.up)?;
        context.copy_in(&self.up, &self.patterns[sent], &self.device[to], ROUND_BYTES)?;
        context.record(&lane.up.end, &self.up)?;
        context.record(&lane.down.begin, &self.down)?;
        context.copy_out(&self.down, &self.device[from], &lane.landing)?;
        context.record(&lane.down.end, &self.down)?;
        let facts = Round {
            serial,
            injected,
            submitted_ns: monotonic_ns(),
            expected_ns: self.quantum_ns,
            seen_ns: 0,
            up_ns: 0,
            down_ns: 0,
            wrong: None,
        };
        self.flights.push_back(Flight { lane, number, facts });
        self.rounds += 1;
        Ok(true)
    }

    /// The next round that is back.
    ///
    /// # Errors
    /// The GPU's error, or our own when a round is overdue.
    pub(super) fn land(&mut self, context: &Context) -> Result<Option<Round>, Failure> {
        let Some(flight) = self.flights.front() else { return Ok(None) };
        let (up, down) = (&flight.lane.up, &flight.lane.down);
        if !(context.is_done(&up.end)? && context.is_done(&down.end)?) {
            let waited_ns = monotonic_ns().saturating_sub(flight.facts.submitted_ns);
            if waited_ns > ROUND_DEADLINE_NS {
                let seconds = ROUND_DEADLINE_NS / 1_000_000_000;
                return Err(Failure::late(format!("a copy did not come back in {seconds} s")));
            }
            return Ok(None);
        }
        let (up_ns, down_ns) =
            (context.elapsed_ns(&up.begin, &up.end)?, context.elapsed_ns(&down.begin, &down.end)?);
        let Some(Flight { lane, number, mut facts }) = self.flights.pop_front() else {
            return Ok(None);
        };
        facts.seen_ns = monotonic_ns();
        (facts.up_ns, facts.down_ns) = (up_ns, down_ns);
        facts.wrong = self.compare(&lane.landing, number, facts.injected);
        self.free.push_back(lane);
        self.quantum_ns = (7 * self.quantum_ns + up_ns.max(down_ns)).div_ceil(8).max(1);
        Ok(Some(facts))
    }

    /// One piece of what came down, another in each round.
    fn compare(&self, landing: &HostMemory, number: u64, injected: bool) -> Option<WrongWord> {
        let piece = (number % PIECES_A_WAY as u64) as usize;
        let at = piece * PIECE_BYTES;
        if injected {
            let flipped = landing.read(at, 1).first().map_or(0, |byte| byte ^ 0x10);
            landing.write(at, &[flipped]);
        }
        let (_, sent) = places(number - 1);
        let (offset, expected, got) =
            self.patterns[sent].first_difference(landing, at, PIECE_BYTES)?;
        Some(WrongWord { piece: piece as u32, offset, expected, got })
    }
}

/// Which buffer of the device a round fills, and with which pattern.
fn places(round: u64) -> (usize, usize) {
    ((round % LANES as u64) as usize, (round % PATTERNS as u64) as usize)
}

/// Fills a buffer: random words, other ones in each pattern, the same in all pieces, but each
/// page begins with a word of its own, so that one in a wrong place shows. Random words toggle
/// half of a link's lines with each transfer.
fn fill(memory: &HostMemory, which: usize) {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    for index in 0..PIECE_BYTES / 8 {
        piece.extend_from_slice(&word(which, index).to_le_bytes());
    }
    for at in (0..ROUND_BYTES).step_by(PIECE_BYTES) {
        memory.write(at, &piece);
    }
    for page in 0..ROUND_BYTES / PAGE_BYTES {
        let own = word(which, PIECE_BYTES / 8 + page);
        memory.write(page * PAGE_BYTES, &own.to_le_bytes());
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014) of a count: a bijection, so that no word comes twice.
fn word(which: usize, index: usize) -> u64 {
    let mut word = ((index * PATTERNS + which) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// Bytes and time of each way since they were told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ways {
    rounds: u64,
    up_ns: u64,
    down_ns: u64,
}

impl Ways {
    pub(super) fn add(&mut self, round: &Round) {
        self.rounds += 1;
        self.up_ns += round.up_ns;
        self.down_ns += round.down_ns;
    }

    /// Gigabytes a second to the device and from it while copies ran; none without a copy.
    pub(super) fn take(&mut self) -> Option<(f64, f64)> {
        let Self { rounds, up_ns, down_ns } = std::mem::take(self);
        let bytes = (rounds * ROUND_BYTES as u64) as f64;
        (up_ns > 0 && down_ns > 0).then(|| (bytes / up_ns as f64, bytes / down_ns as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_buffer_gets_the_same_pattern_twice_in_a_row() {
        for round in PATTERNS as u64..40 {
            let (buffer, sent) = places(round);
            let (before, sent_before) = places(round - LANES as u64);
            assert_eq!(buffer, before, "its own buffer on the device comes round again");
            assert_ne!(sent, sent_before);
        }
    }

    #[test]
    fn no_word_comes_twice() {
        let words = PIECE_BYTES / 8 + ROUND_BYTES / PAGE_BYTES;
        let some =
            (0..words).step_by(61).flat_map(|index| (0..PATTERNS).map(move |w| word(w, index)));
        let mut seen = std::collections::BTreeSet::new();
        assert!(some.into_iter().all(|word| seen.insert(word)));
    }

    #[test]
    fn each_way_has_its_own_rate() {
        let mut ways = Ways::default();
        assert_eq!(ways.take(), None);
        let round = Round {
            serial: 1,
            injected: false,
            submitted_ns: 0,
            expected_ns: 0,
            seen_ns: 1,
            up_ns: ROUND_BYTES as u64 / 40,
            down_ns: ROUND_BYTES as u64 / 20,
            wrong: None,
        };
        ways.add(&round);
        ways.add(&round);
        let (up, down) = ways.take().unwrap();
        assert!((up - 40.0).abs() < 0.01 && (down - 20.0).abs() < 0.01, "{up} {down}");
        assert_eq!(ways.take(), None);
    }
}
