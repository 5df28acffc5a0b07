//! The memory that a core streams through. Owns its size, its pages and its content.

use std::ptr::NonNull;

use super::pattern;
use super::stream::{PIECE_WORDS, Piece};

/// Bytes of a piece.
const PIECE_BYTES: usize = 8 * PIECE_WORDS;
/// Times the last-level cache that all buffers behind it add up to: 4, as STREAM asks
/// (McCalpin, "each array at least 4 times the sum of the last-level caches").
const CACHES: u64 = 4;
/// Most bytes a core gets. One core alone behind a cache of 128 MiB needs this much;
/// more would only make the first touch longer.
pub(super) const BYTES_PER_CORE_MAX: u64 = 512 << 20;
/// Least bytes a core gets: beyond every second-level cache.
const BYTES_PER_CORE_MIN: u64 = 16 << 20;
/// Largest share of the memory available now that all buffers may take together.
const MEMORY_DIVISOR: u64 = 4;

/// Seed of the content; every piece holds the same, so one constant fits all.
const SEED: u64 = 0x57_2EA4;

/// Bytes for each of `cores` buffers, given the last-level cache behind `sharers` of them
/// and the memory available now.
pub(super) fn bytes_per_core(cache: u64, sharers: u64, cores: u64, available: u64) -> u64 {
    let wanted = CACHES * cache / sharers.max(1);
    let afforded = available / MEMORY_DIVISOR / cores.max(1);
    wanted.min(afforded).clamp(BYTES_PER_CORE_MIN, BYTES_PER_CORE_MAX)
}

/// Writes the content of a fresh piece.
pub(super) fn fill(piece: &mut Piece) {
    for (i, word) in piece.0.iter_mut().enumerate() {
        *word = pattern::word(SEED, i as u64);
    }
}

/// A core's memory, in pieces. Made without touching it; [`Buffer::touch`] fills it piece
/// by piece from the core that will use it, so the pages come from that core's node.
#[derive(Debug)]
pub(super) struct Buffer {
    base: NonNull<Piece>,
    touched: usize,
    cursor: usize,
    /// Whether a piece now holds the inverse of its first content. One for each piece.
    inverted: Vec<bool>,
}

// SAFETY: the mapping belongs to this value alone and is no thread's in particular.
unsafe impl Send for Buffer {}

impl Buffer {
    /// Reserves address space for `bytes`, or as much as the kernel gives.
    pub(super) fn reserve(bytes: u64) -> std::io::Result<Self> {
        let pieces = (bytes as usize / PIECE_BYTES).max(1);
        // SAFETY: a private anonymous mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                pieces * PIECE_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // Huge pages spare the page walks; where they are off, small ones do.
        // SAFETY: the range was mapped just now; this advice changes no content.
        unsafe { libc::madvise(base, pieces * PIECE_BYTES, libc::MADV_HUGEPAGE) };
        let base = NonNull::new(base.cast()).ok_or_else(std::io::Error::last_os_error)?;
        Ok(Self { base, touched: 0, cursor: 0, inverted: vec![false; pieces] })
    }

    /// Whether every piece has its content.
    pub(super) fn is_ready(&self) -> bool {
        self.touched == self.inverted.len()
    }

    /// Fills the next untouched piece, if there is one.
    pub(super) fn touch(&mut self) {
        if !self.is_ready() {
            let next = self.touched;
            fill(self.piece(next));
            self.touched += 1;
        }
    }

    /// The next piece in turn, and whether it holds the inverse. The caller inverts it.
    pub(super) fn turn(&mut self) -> (&mut Piece, bool) {
        while self.touched <= self.cursor {
            self.touch();
        }
        let at = self.cursor;
        self.cursor = (at + 1) % self.inverted.len();
        let was = self.inverted[at];
        self.inverted[at] = !was;
        (self.piece(at), was)
    }

    /// Writes the piece used last anew: one upset is one mismatch, not one a pass for ever.
    pub(super) fn renew(&mut self) {
        let last = (self.cursor + self.inverted.len() - 1) % self.inverted.len();
        self.inverted[last] = false;
        fill(self.piece(last));
    }

    fn piece(&mut self, at: usize) -> &mut Piece {
        assert!(at < self.inverted.len());
        // SAFETY: the mapping holds that many pieces, zeroed by the kernel, of a type that
        // any bits fit; the borrow of `self` makes the reference the only one.
        unsafe { self.base.add(at).as_mut() }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping of `reserve`; no reference outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.inverted.len() * PIECE_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_fair_and_bounded() {
        const MIB: u64 = 1 << 20;
        assert_eq!(bytes_per_core(105 * MIB, 2, 2, 64 << 30), 210 * MIB);
        assert_eq!(bytes_per_core(105 * MIB, 1, 1, 64 << 30), 420 * MIB);
        assert_eq!(bytes_per_core(1 << 30, 1, 1, 64 << 30), BYTES_PER_CORE_MAX);
        assert_eq!(bytes_per_core(105 * MIB, 2, 2, 800 * MIB), 100 * MIB);
        assert_eq!(bytes_per_core(0, 0, 0, 0), BYTES_PER_CORE_MIN);
    }

    #[test]
    fn pieces_take_turns_and_remember_their_side() {
        let mut buffer = Buffer::reserve(2 * PIECE_BYTES as u64).unwrap();
        let turns: Vec<bool> = (0..5).map(|_| buffer.turn().1).collect();
        assert_eq!(turns, [false, false, true, true, false]);
        assert!(buffer.is_ready());
        buffer.renew();
        buffer.turn();
        assert!(!buffer.turn().1, "a renewed piece holds its first content");
    }
}
