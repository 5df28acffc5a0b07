//! `lb_stream` and `lb_l2`: weighted sums of chunks, in closed form.
//!
//! Word `w` of chunk `c` is `base(w) + c * STEP`, so a chunk's weighted sum is that of chunk 0
//! plus `c` times a constant: a launch over a terabyte costs the CPU a few additions a chunk.

use super::super::shape::CHUNKS_PER_ITERATION;
use super::super::{CHUNK_BYTES, Launch};
use super::{noise, tile_hash};

const WORDS: u64 = CHUNK_BYTES / 8;
/// Even, so that chunks stay even.
const STEP: u64 = 0xD134_2543_DE82_EF94;

/// What lies at first in word `word` of chunk `chunk`.
#[must_use]
pub fn chunk_word(seed: u32, chunk: u64, word: u64) -> u64 {
    (noise(u64::from(seed), word) & !1).wrapping_add(chunk.wrapping_mul(STEP))
}

/// How many chunks of the buffer are a tile's.
pub(super) fn own_chunks(launch: &Launch, tile: u32) -> u64 {
    let (chunks, tiles) = (launch.buffer_bytes / CHUNK_BYTES, u64::from(launch.tiles));
    chunks.saturating_sub(u64::from(tile)).div_ceil(tiles)
}

pub(super) fn stream(launch: &Launch) -> Vec<u64> {
    let weigh = |word: u64, weight: u64| word.wrapping_mul(2 * weight + 1);
    let first = (0..WORDS)
        .fold(0_u64, |sum, word| sum.wrapping_add(weigh(chunk_word(launch.seed, 0, word), word)));
    // The odd numbers below 2 n sum to n squared.
    let of_chunk =
        |chunk: u64| first.wrapping_add(chunk.wrapping_mul(STEP).wrapping_mul(WORDS * WORDS));
    let visits = u64::from(launch.iterations) * CHUNKS_PER_ITERATION;
    let hash = |tile: u32| {
        let own = own_chunks(launch, tile);
        let start = u64::from(launch.pass) * visits;
        let visited = if own == 0 { 0 } else { visits };
        let total = (0..visited).fold(0_u64, |total, visit| {
            let chunk = u64::from(tile) + (start + visit) % own * u64::from(launch.tiles);
            total.wrapping_add(weigh(of_chunk(chunk), visit))
        });
        tile_hash([total].into_iter())
    };
    (0..launch.tiles).map(hash).collect()
}
