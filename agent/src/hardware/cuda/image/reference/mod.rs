//! What a healthy GPU computes, worked out on a CPU: the hashes of whole launches.
//!
//! Integers wrap alike everywhere and a fused multiply-add rounds once, so these are exact.
//! Sums of bf16 products are not: tensor cores add in an order of their own. Of bf16, only
//! operands whose sums are exact ([`bf16_integers`]) have a reference; all others are held
//! against the GPU's own first launch and the fleet.

mod fill;
mod fma;
mod memory;
mod stream;
mod tensor;
mod warpgroup;

use model::load::Kernel;

use super::{Fill, Launch};

pub use fill::filled_word;
pub use memory::memory_word;
pub use stream::chunk_word;

/// The hash of every tile of a launch, where a CPU can know it: `launch` as the GPU gets it,
/// its memory filled as the kernel's shape says and with the same seed.
#[must_use]
pub fn golden(kernel: Kernel, launch: &Launch) -> Option<Vec<u64>> {
    match kernel {
        Kernel::FmaF32 => Some(fma::fp32(launch)),
        Kernel::FmaF64 => Some(fma::fp64(launch)),
        Kernel::Int8 => Some(tensor::int8(launch)),
        Kernel::Stream | Kernel::L2 => Some(stream::stream(launch)),
        Kernel::Memory => Some(memory::memory(launch)),
        Kernel::Bf16 | Kernel::Mix | Kernel::Copy => None,
    }
}

/// The hash of every tile of `lb_bf16` on operands of [`Fill::Integers`]: the self-test.
#[must_use]
pub fn bf16_integers(launch: &Launch) -> Vec<u64> {
    tensor::bf16_integers(launch)
}

/// The same of `lb_bf16_sm90a`. Exact for pools below 4096 slices; with more visits than twice
/// the slices some cancel, so a self-test has one or two iterations on sixteen slices or more.
#[must_use]
pub fn bf16_integers_hopper(launch: &Launch) -> Vec<u64> {
    warpgroup::bf16_integers(launch)
}

/// The hash of every tile of an `lb_fill` launch.
#[must_use]
pub fn fill(what: Fill, launch: &Launch) -> Vec<u64> {
    fill::fill(what, launch)
}

/// SplitMix64 (Steele, Lea, Flood 2014): the output number `index` of the stream of `seed`.
const fn noise(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Takes a word into a hash. A bijection of the state for a fixed word.
const fn absorb(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x9FB2_1C65_1E98_DF25).rotate_left(29)
}

/// Spreads every bit over all others; a bijection.
const fn settle(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash ^ (hash >> 32)
}

/// One thread's term: its accumulators in order.
fn digest(thread: u64, values: impl Iterator<Item = u64>) -> u64 {
    settle(values.fold(thread + 1, absorb))
}

/// The hash of a tile from the terms of its threads.
fn tile_hash(terms: impl Iterator<Item = u64>) -> u64 {
    settle(terms.fold(0x9E37_79B9_7F4A_7C15, u64::wrapping_add))
}

/// Tiles that compute the same by design: works each out once.
fn repeated(tiles: u32, distinct: u32, of: impl Fn(u32) -> u64) -> Vec<u64> {
    let known: Vec<u64> = (0..distinct.min(tiles)).map(of).collect();
    (0..tiles as usize).map(|tile| known[tile % distinct as usize]).collect()
}

#[cfg(test)]
mod tests;
