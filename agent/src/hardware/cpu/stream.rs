//! Streaming through memory: the logical block of `stream`.
//!
//! A block reads one piece of the buffer, folds every word into a sum that knows its
//! position, and writes the piece back inverted: each pass flips every bit of the memory
//! and the next one proves that all of them stayed. One read and one write a line.

use super::isa::{Isa, Path};

/// Words of a piece: 256 KiB. About 50 us at 10 GB/s, below a millisecond where a hundred
/// cores share the memory.
pub(super) const PIECE_WORDS: usize = 32 * 1024;
/// Bytes that a block moves: the piece read and written.
pub(super) const BYTES_PER_BLOCK: u64 = 2 * 8 * PIECE_WORDS as u64;
/// Independent sums, each over every `SUMS`-th word.
pub(super) const SUMS: usize = 32;

/// A piece of the buffer, aligned to a line so that vectors may load it whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Piece(pub(super) [u64; PIECE_WORDS]);

/// Inverts a piece and returns the sums of what was in it.
pub(super) fn run(isa: Isa, piece: &mut Piece) -> [u64; SUMS] {
    match isa.path() {
        // SAFETY: an `Isa` with this path exists only where the machine has AVX-512F.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { avx512(piece) },
        // SAFETY: an `Isa` with this path exists only where the machine has AVX2.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { avx2(piece) },
        _ => invert(piece),
    }
}

/// Integers have one right answer, so one text serves every path; memory is the limit, so
/// the compiler's vectors are good enough.
#[inline(always)]
fn invert(piece: &mut Piece) -> [u64; SUMS] {
    let mut sums = [0_u64; SUMS];
    for group in piece.0.as_chunks_mut::<SUMS>().0 {
        for (sum, word) in sums.iter_mut().zip(group) {
            *sum = sum.rotate_left(7).wrapping_add(*word);
            *word = !*word;
        }
    }
    sums
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(piece: &mut Piece) -> [u64; SUMS] {
    invert(piece)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(piece: &mut Piece) -> [u64; SUMS] {
    invert(piece)
}
