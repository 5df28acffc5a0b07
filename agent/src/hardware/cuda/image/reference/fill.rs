//! What `lb_fill` writes.

use super::super::{CHUNK_BYTES, Fill, Launch};
use super::{chunk_word, noise, tile_hash};

const FILL_THREADS: u64 = 256;
const CHUNK_WORDS: u64 = CHUNK_BYTES / 8;

/// A bf16 number from 64 fair bits: the sum of four uniform ones, near enough to normal.
fn normal_bf16(fair: u64) -> u16 {
    let sum: i64 = (0..4).map(|i| (fair >> (16 * i) & 0xFFFF) as i64).sum();
    // Both steps are exact: 18 bits, then a power of two.
    let exact = ((sum - 131_070) as f32 * 2f32.powi(-15)).to_bits();
    ((exact + 0x7FFF + (exact >> 16 & 1)) >> 16) as u16
}

/// -4 ..= 4 in bf16, which has them exactly.
fn integer_bf16(fair: u64) -> u16 {
    (((fair % 9) as i32 - 4) as f32).to_bits().wrapping_shr(16) as u16
}

/// The 64-bit word number `index` of what `lb_fill` has filled.
#[must_use]
pub fn filled_word(what: Fill, seed: u32, index: u64) -> u64 {
    let noise_of = |index| noise(u64::from(seed), index);
    let four = |number: fn(u64) -> u16| {
        let numbers = (0..4).map(|i| u64::from(number(noise_of(4 * index + i))) << (16 * i));
        numbers.sum()
    };
    match what {
        Fill::Bf16 => four(normal_bf16),
        Fill::Integers => four(integer_bf16),
        Fill::Bytes => noise_of(index),
        Fill::Stream => chunk_word(seed, index / CHUNK_WORDS, index % CHUNK_WORDS),
    }
}

pub(super) fn fill(what: Fill, launch: &Launch) -> Vec<u64> {
    let bytes = if what == Fill::Stream { launch.buffer_bytes } else { launch.operand_bytes };
    let mut sums = vec![0_u64; launch.tiles as usize];
    for i in 0..bytes / 8 {
        let sum = &mut sums[(i / FILL_THREADS % u64::from(launch.tiles)) as usize];
        let word = filled_word(what, launch.seed, i);
        *sum = sum.wrapping_add(word.wrapping_mul(2 * i + 1));
    }
    sums.into_iter().map(|sum| tile_hash([sum].into_iter())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(what: Fill) -> Vec<f64> {
        let word = |index| filled_word(what, 1, index);
        let number = |word: u64, i: u32| f32::from_bits((word >> (16 * i) << 16) as u32);
        (0..20_000).flat_map(|n| (0..4).map(move |i| f64::from(number(word(n), i)))).collect()
    }

    #[test]
    fn operands_are_signed_centred_and_use_the_whole_mantissa() {
        let numbers = numbers(Fill::Bf16);
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let deviation = (numbers.iter().map(|x| x * x).sum::<f64>() / count).sqrt();
        assert!(mean.abs() < 0.02 && (deviation - 1.155).abs() < 0.02, "{mean} {deviation}");
        assert!(numbers.iter().all(|x| x.abs() <= 4.0));
        for bit in 16..23 {
            let set = numbers.iter().filter(|x| (**x as f32).to_bits() >> bit & 1 == 1).count();
            let share = set as f64 / count;
            assert!((0.35..0.65).contains(&share), "mantissa bit {bit}: {share}");
        }
    }

    #[test]
    fn the_self_test_has_every_small_integer_and_nothing_else() {
        let mut seen: Vec<i32> = numbers(Fill::Integers).iter().map(|x| *x as i32).collect();
        assert!(numbers(Fill::Integers).iter().all(|x| x.fract() == 0.0));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (-4..=4).collect::<Vec<_>>());
    }

    #[test]
    fn a_streamed_word_says_which_side_it_shows() {
        assert!((0..100_000).all(|i| filled_word(Fill::Stream, 5, i).is_multiple_of(2)));
    }
}
