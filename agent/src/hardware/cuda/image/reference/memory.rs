//! `lb_memory`: what each pass leaves, and the hash of a pass that found nothing wrong.

use super::super::shape::CHUNKS_PER_ITERATION;
use super::super::{CHUNK_BYTES, Launch};
use super::stream::own_chunks;
use super::{noise, tile_hash};

const PATTERNS: u32 = 8;

/// What pass `pass` of `lb_memory` leaves at a device address.
#[must_use]
pub fn memory_word(pass: u32, address: u64, seed: u32) -> u64 {
    let (word, round) = (address / 8, u64::from(pass / (2 * PATTERNS)));
    let value = match pass / 2 % PATTERNS {
        0 => address,
        1 => 0,
        2 => 0x5555_5555_5555_5555,
        3 => 0x3333_3333_3333_3333,
        4 => 0x00FF_00FF_00FF_00FF,
        5 => 1 << (word % 64),
        6 => noise(u64::from(seed) + round, word),
        _ => noise((!u64::from(seed)).wrapping_sub(round), word),
    };
    if pass.is_multiple_of(2) { value } else { !value }
}

/// One for each word that was checked: pass 0 only writes.
pub(super) fn memory(launch: &Launch) -> Vec<u64> {
    let most = u64::from(launch.iterations) * CHUNKS_PER_ITERATION;
    let hash = |tile| {
        let chunks = own_chunks(launch, tile).min(most);
        let checked = if launch.pass == 0 { 0 } else { chunks * CHUNK_BYTES / 8 };
        tile_hash([checked].into_iter())
    };
    (0..launch.tiles).map(hash).collect()
}
