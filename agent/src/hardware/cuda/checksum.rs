//! One number over the results of a launch, and the key under which GPUs may be compared.

use model::load::Kernel;

use super::driver::GpuFacts;
use super::image::Image;

/// Everything that the bits depend on. The driver counts, since it compiles the image.
pub(super) fn key(
    image: &Image,
    kernel: Kernel,
    gpu: &GpuFacts,
    driver: &str,
    (seed, iterations, tiles, share): (u32, u32, u32, u32),
) -> String {
    let GpuFacts { name, major, minor, .. } = gpu;
    let shares = match kernel {
        Kernel::Mix => format!(" tensor work {share} per mille"),
        _ => String::new(),
    };
    format!(
        "{} {} seed {seed} iterations {iterations} tiles {tiles}{shares} on {name} (compute capability \
         {major}.{minor}), compiled by driver {driver}, image {}",
        kernel.word(),
        image.name,
        image.sha256,
    )
}

/// FNV-1a over the hashes in the order of tiles (Fowler, Noll, Vo; 64 bits).
pub(super) fn value(hashes: &[u64]) -> u64 {
    hashes.iter().flat_map(|hash| hash.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fnv_1a_and_the_order_of_tiles_counts() {
        assert_eq!(value(&[]), 0xcbf2_9ce4_8422_2325);
        assert_ne!(value(&[1, 2]), value(&[2, 1]));
        assert_ne!(value(&[1]), value(&[1 ^ (1 << 63)]));
    }
}
