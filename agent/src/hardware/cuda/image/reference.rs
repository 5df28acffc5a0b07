//! What tiles must hash to, computed on the CPU.

use model::load::Kernel;

/// The hash of one tile of an exact kernel; `None` for kernels whose sums are rounded in the
/// tensor cores' own way.
#[must_use]
pub fn hash(kernel: Kernel, seed: u32, iterations: u32, tile: u32) -> Option<u64> {
    let exact = !matches!(kernel, Kernel::Bf16 | Kernel::Mix | Kernel::Copy);
    exact.then(|| {
        let start = u64::from(seed) << 32 | u64::from(tile);
        (0..iterations).fold(start, |state, _| mix(state ^ kernel as u64)) | 1
    })
}

/// One step of splitmix64 (Steele, Lea, Flood 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
