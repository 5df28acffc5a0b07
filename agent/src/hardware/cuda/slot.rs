//! What one launch leaves: the layout of its results on the device, and their reading. Pure.

use super::image::Flaw;

/// Flaws that one launch can tell; of more it tells the count.
pub(super) const FLAWS_MAX: usize = 64;
/// `count` and `capacity` of the ring.
const RING_HEADER_BYTES: usize = 8;
const FLAW_BYTES: usize = size_of::<Flaw>();

/// Offsets of the parts for a number of tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    tiles: usize,
}

/// What a launch did, read back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    /// Each tile's hash; 0 where it was told to stop before it had one.
    pub(super) hashes: Vec<u64>,
    /// Earliest begin and latest end by `%globaltimer`, of tiles that stamped both.
    pub(super) span: Option<(u64, u64)>,
    pub(super) flaws: Vec<Flaw>,
    /// Flaws beyond those told.
    pub(super) flaws_untold: u32,
}

impl Outcome {
    /// Tiles that came to their end.
    pub(super) fn tiles_done(&self) -> u64 {
        self.hashes.iter().filter(|hash| **hash != 0).count() as u64
    }
}

impl Layout {
    pub(super) fn new(tiles: u32) -> Self {
        Self { tiles: tiles as usize }
    }

    pub(super) fn flaws(self) -> usize {
        0
    }

    pub(super) fn hashes(self) -> usize {
        RING_HEADER_BYTES + FLAWS_MAX * FLAW_BYTES
    }

    pub(super) fn stamps(self) -> usize {
        self.hashes() + 8 * self.tiles
    }

    pub(super) fn bytes(self) -> usize {
        self.stamps() + 16 * self.tiles
    }

    /// What the memory holds before a launch.
    pub(super) fn blank(self) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes()];
        bytes[4..8].copy_from_slice(&(FLAWS_MAX as u32).to_le_bytes());
        bytes
    }

    /// Reads what a finished launch left.
    pub(super) fn read(self, bytes: &[u8]) -> Outcome {
        let word = |at: usize| {
            u64::from_le_bytes(std::array::from_fn(|i| bytes.get(at + i).copied().unwrap_or(0)))
        };
        let half = |at: usize| (word(at) & 0xFFFF_FFFF) as u32;
        let count = half(0);
        let told = (count as usize).min(FLAWS_MAX);
        let flaw = |index: usize| {
            let at = RING_HEADER_BYTES + index * FLAW_BYTES;
            Flaw {
                expected: word(at),
                got: word(at + 8),
                at_ns: word(at + 16),
                tile: half(at + 24),
                sm: half(at + 28),
                warp_lane: half(at + 32),
                kind: half(at + 36),
            }
        };
        let stamp = |tile: usize| {
            let at = self.stamps() + 16 * tile;
            Some((word(at), word(at + 8))).filter(|(begin, end)| *begin > 0 && end >= begin)
        };
        let span = (0..self.tiles)
            .filter_map(stamp)
            .reduce(|(first, last), (begin, end)| (first.min(begin), last.max(end)));
        Outcome {
            hashes: (0..self.tiles).map(|tile| word(self.hashes() + 8 * tile)).collect(),
            span,
            flaws: (0..told).map(flaw).collect(),
            flaws_untold: count - told as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_slot_reads_as_nothing_done() {
        let layout = Layout::new(3);
        let outcome = layout.read(&layout.blank());
        let nothing = Outcome { hashes: vec![0; 3], ..Outcome::default() };
        assert_eq!(outcome, nothing);
        assert_eq!(outcome.tiles_done(), 0);
    }

    #[test]
    fn what_a_launch_wrote_is_read_back() {
        let layout = Layout::new(2);
        let mut bytes = layout.blank();
        let mut put = |at: usize, word: u64| bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        put(0, (FLAWS_MAX as u64 + 3) | ((FLAWS_MAX as u64) << 32));
        put(8, 11);
        put(16, 12);
        put(24, 13);
        put(32, 1 | (7 << 32));
        put(40, 5 | (2 << 32));
        put(layout.hashes(), 99);
        for (tile, (begin, end)) in [(100, 200), (90, 180)].into_iter().enumerate() {
            put(layout.stamps() + 16 * tile, begin);
            put(layout.stamps() + 16 * tile + 8, end);
        }
        let outcome = layout.read(&bytes);
        assert_eq!(outcome.hashes, [99, 0]);
        assert_eq!(outcome.tiles_done(), 1);
        assert_eq!(outcome.span, Some((90, 200)));
        assert_eq!((outcome.flaws.len(), outcome.flaws_untold), (FLAWS_MAX, 3));
        let first =
            Flaw { expected: 11, got: 12, at_ns: 13, tile: 1, sm: 7, warp_lane: 5, kind: 2 };
        assert_eq!(outcome.flaws[0], first);
    }

    #[test]
    fn the_contract_with_the_kernels_has_these_sizes() {
        assert_eq!((FLAW_BYTES, size_of::<super::super::image::Launch>()), (40, 104));
    }
}
