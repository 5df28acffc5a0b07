//! Fused multiply-add in registers: the logical block of `fp64` and `fp32`.
//!
//! A block is [`LANES_F64`] (or [`LANES_F32`]) virtual lanes times [`STEPS`] steps of
//! `z <- c - z * z`, one FMA a step, from the same seeds in every block. With `c` a little
//! below 2 this map is chaotic on (-2, 2) with a density symmetric to within a per cent
//! (Collet and Eckmann 1980, "Iterated Maps on the Interval"): operands stay signed, of
//! zero mean and full mantissa, both inputs of the multiplier toggle at every step, nothing
//! grows, underflows or settles. And an error that outlives the next rounding (three of four
//! in the last bit, 97 of 100 from the twelfth on: a test counts them) doubles at every step:
//! some fifty steps later the whole lane differs, so comparing only the lanes at the end
//! compares every operation of the block.
//!
//! Lanes are independent. Each path walks them in groups as wide as its registers: 24
//! accumulators of 512 bits in one pass, 12 of 256 bits in four. Two pipes with a latency
//! of four cycles need eight chains in flight.

use super::isa::{Isa, Path};
use super::pattern;

/// Virtual lanes of the fp64 block: 24 registers of 8.
pub(super) const LANES_F64: usize = 192;
/// Virtual lanes of the fp32 block: 24 registers of 16.
pub(super) const LANES_F32: usize = 384;
/// Steps of a block: about 0.1 ms with AVX-512 at 3 GHz, 0.2 ms with AVX2. Short enough
/// to stop within a millisecond on a throttled core, long enough that checking is free.
pub(super) const STEPS: u32 = 24_576;

/// `c` for fp64: 2 - 0.0035, with a full mantissa. Above the last wide periodic window.
pub(super) const C_F64: f64 = f64::from_bits(0x3FFF_F19E_3779_B97F);
/// `c` for fp32: 2 - 0.0033, with a full mantissa.
pub(super) const C_F32: f32 = f32::from_bits(0x3FFF_91E3);

/// State of an fp64 block.
#[derive(Debug, Clone, PartialEq)]
#[repr(C, align(64))]
pub(super) struct LanesF64(pub(super) [f64; LANES_F64]);

/// State of an fp32 block.
#[derive(Debug, Clone, PartialEq)]
#[repr(C, align(64))]
pub(super) struct LanesF32(pub(super) [f32; LANES_F32]);

impl LanesF64 {
    /// Seeds in (-1.9, 1.9), full mantissa.
    pub(super) fn seeded(seed: u64) -> Self {
        Self(std::array::from_fn(|lane| {
            let unit = (pattern::word(seed, lane as u64) >> 11) as f64 * 2f64.powi(-53);
            unit * 3.8 - 1.9
        }))
    }

    /// The bits of the lanes, in order.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|z| z.to_bits())
    }
}

impl LanesF32 {
    /// Seeds in (-1.9, 1.9), full mantissa.
    pub(super) fn seeded(seed: u64) -> Self {
        Self(std::array::from_fn(|lane| {
            let unit = (pattern::word(seed, lane as u64) >> 40) as f32 * 2f32.powi(-24);
            unit * 3.8 - 1.9
        }))
    }

    /// The bits of the lanes, two to a word, in order.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.chunks_exact(2).map(|z| u64::from(z[0].to_bits()) | u64::from(z[1].to_bits()) << 32)
    }
}

/// Runs `steps` steps on every fp64 lane.
pub(super) fn run_f64(isa: Isa, lanes: &mut LanesF64, steps: u32) {
    match isa.path() {
        // SAFETY: an `Isa` with this path exists only where the machine has AVX-512F.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { x86::f64_avx512(lanes, steps) },
        // SAFETY: an `Isa` with this path exists only where the machine has AVX2 and FMA.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { x86::f64_avx2(lanes, steps) },
        _ => portable_f64(lanes, steps),
    }
}

/// Runs `steps` steps on every fp32 lane.
pub(super) fn run_f32(isa: Isa, lanes: &mut LanesF32, steps: u32) {
    match isa.path() {
        // SAFETY: an `Isa` with this path exists only where the machine has AVX-512F.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { x86::f32_avx512(lanes, steps) },
        // SAFETY: an `Isa` with this path exists only where the machine has AVX2 and FMA.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { x86::f32_avx2(lanes, steps) },
        _ => portable_f32(lanes, steps),
    }
}

/// Lanes that the portable path keeps in flight: 8 to 16 vectors on 128-bit machines.
const PORTABLE_GROUP: usize = 32;

fn portable_f64(lanes: &mut LanesF64, steps: u32) {
    for group in lanes.0.as_chunks_mut::<PORTABLE_GROUP>().0 {
        let mut z = *group;
        for _ in 0..steps {
            z = z.map(|z| (-z).mul_add(z, C_F64));
        }
        *group = z;
    }
}

fn portable_f32(lanes: &mut LanesF32, steps: u32) {
    for group in lanes.0.as_chunks_mut::<PORTABLE_GROUP>().0 {
        let mut z = *group;
        for _ in 0..steps {
            z = z.map(|z| (-z).mul_add(z, C_F32));
        }
        *group = z;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The same block with registers named. Checked in the disassembly: the inner loops
    //! are `vfnmadd` on registers, a counter and a jump.

    use std::arch::x86_64::*;

    use super::{C_F32, C_F64, LanesF32, LanesF64};

    /// Accumulators of a pass with 32 registers.
    const WIDE: usize = 24;
    /// Accumulators of a pass with 16 registers.
    const NARROW: usize = 12;

    #[target_feature(enable = "avx512f")]
    pub(super) fn f64_avx512(lanes: &mut LanesF64, steps: u32) {
        let c = _mm512_set1_pd(C_F64);
        for group in lanes.0.as_chunks_mut::<{ WIDE * 8 }>().0 {
            let at = group.as_mut_ptr();
            // SAFETY: vector k reads the lanes 8k..8k+8 of a group of 8 * WIDE,
            // which begins on a line: lanes are aligned and a group is whole lines.
            let mut z: [_; WIDE] =
                std::array::from_fn(|k| unsafe { _mm512_load_pd(at.add(8 * k)) });
            for _ in 0..steps {
                for z in &mut z {
                    *z = _mm512_fnmadd_pd(*z, *z, c);
                }
            }
            for (k, z) in z.into_iter().enumerate() {
                // SAFETY: as for the loads.
                unsafe { _mm512_store_pd(at.add(8 * k), z) };
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn f32_avx512(lanes: &mut LanesF32, steps: u32) {
        let c = _mm512_set1_ps(C_F32);
        for group in lanes.0.as_chunks_mut::<{ WIDE * 16 }>().0 {
            let at = group.as_mut_ptr();
            // SAFETY: vector k reads the lanes 16k..16k+16 of a group of 16 * WIDE,
            // which begins on a line: lanes are aligned and a group is whole lines.
            let mut z: [_; WIDE] =
                std::array::from_fn(|k| unsafe { _mm512_load_ps(at.add(16 * k)) });
            for _ in 0..steps {
                for z in &mut z {
                    *z = _mm512_fnmadd_ps(*z, *z, c);
                }
            }
            for (k, z) in z.into_iter().enumerate() {
                // SAFETY: as for the loads.
                unsafe { _mm512_store_ps(at.add(16 * k), z) };
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn f64_avx2(lanes: &mut LanesF64, steps: u32) {
        let c = _mm256_set1_pd(C_F64);
        for group in lanes.0.as_chunks_mut::<{ NARROW * 4 }>().0 {
            let at = group.as_mut_ptr();
            // SAFETY: vector k reads the lanes 4k..4k+4 of a group of 4 * NARROW,
            // which begins on a line: lanes are aligned and a group is whole lines.
            let mut z: [_; NARROW] =
                std::array::from_fn(|k| unsafe { _mm256_load_pd(at.add(4 * k)) });
            for _ in 0..steps {
                for z in &mut z {
                    *z = _mm256_fnmadd_pd(*z, *z, c);
                }
            }
            for (k, z) in z.into_iter().enumerate() {
                // SAFETY: as for the loads.
                unsafe { _mm256_store_pd(at.add(4 * k), z) };
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn f32_avx2(lanes: &mut LanesF32, steps: u32) {
        let c = _mm256_set1_ps(C_F32);
        for group in lanes.0.as_chunks_mut::<{ NARROW * 8 }>().0 {
            let at = group.as_mut_ptr();
            // SAFETY: vector k reads the lanes 8k..8k+8 of a group of 8 * NARROW,
            // which begins on a line: lanes are aligned and a group is whole lines.
            let mut z: [_; NARROW] =
                std::array::from_fn(|k| unsafe { _mm256_load_ps(at.add(8 * k)) });
            for _ in 0..steps {
                for z in &mut z {
                    *z = _mm256_fnmadd_ps(*z, *z, c);
                }
            }
            for (k, z) in z.into_iter().enumerate() {
                // SAFETY: as for the loads.
                unsafe { _mm256_store_ps(at.add(8 * k), z) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_path_gives_the_same_bits(seed: u64, steps in 0_u32..600) {
            let (mut want64, mut want32) = (LanesF64::seeded(seed), LanesF32::seeded(seed));
            portable_f64(&mut want64, steps);
            portable_f32(&mut want32, steps);
            for isa in Isa::available() {
                let (mut got64, mut got32) = (LanesF64::seeded(seed), LanesF32::seeded(seed));
                run_f64(isa, &mut got64, steps);
                run_f32(isa, &mut got32, steps);
                prop_assert!(got64.words().eq(want64.words()), "fp64 on {}", isa.word());
                prop_assert!(got32.words().eq(want32.words()), "fp32 on {}", isa.word());
            }
        }
    }

    /// Of errors of bit `bit` in any lane, any time before the end: the share still there.
    fn survivors(bit: u32) -> [f64; 2] {
        let isa = Isa::best();
        let mut alive = [0_u32; 2];
        const ROUNDS: u64 = 40;
        for round in 0..ROUNDS {
            let left = 60 + (pattern::word(5, round) % 3_000) as u32;
            let (mut clean64, mut clean32) = (LanesF64::seeded(round), LanesF32::seeded(round));
            run_f64(isa, &mut clean64, 100);
            run_f32(isa, &mut clean32, 100);
            let mut wrong64 = LanesF64(clean64.0.map(|z| f64::from_bits(z.to_bits() ^ 1 << bit)));
            let mut wrong32 =
                LanesF32(clean32.0.map(|z| f32::from_bits(z.to_bits() ^ 1 << (bit % 23))));
            run_f64(isa, &mut clean64, left);
            run_f64(isa, &mut wrong64, left);
            run_f32(isa, &mut clean32, left);
            run_f32(isa, &mut wrong32, left);
            alive[0] += clean64.0.iter().zip(&wrong64.0).filter(|(a, b)| a != b).count() as u32;
            alive[1] += clean32.0.iter().zip(&wrong32.0).filter(|(a, b)| a != b).count() as u32;
        }
        [
            f64::from(alive[0]) / (ROUNDS as usize * LANES_F64) as f64,
            f64::from(alive[1]) / (ROUNDS as usize * LANES_F32) as f64,
        ]
    }

    #[test]
    fn an_error_does_not_heal() {
        for (bit, least) in [(0, 0.6), (1, 0.7), (4, 0.9), (12, 0.97), (20, 0.97)] {
            let [wide, single] = survivors(bit);
            println!("bit {bit}: {wide:.4} {single:.4}");
            assert!(wide > least && single > least, "bit {bit}: {wide} {single}");
        }
    }

    #[test]
    fn operands_stay_signed_centred_normal_and_apart() {
        let (mut sum, mut count, mut negative) = (0.0, 0.0, 0.0);
        let (mut lanes, mut singles) = (LanesF64::seeded(9), LanesF32::seeded(9));
        for _ in 0..2_000 {
            run_f64(Isa::best(), &mut lanes, 13);
            run_f32(Isa::best(), &mut singles, 13);
            for z in lanes.0.into_iter().chain(singles.0.map(f64::from)) {
                assert!(z.is_normal() && z.abs() < 2.0, "{z}");
                sum += z;
                count += 1.0;
                negative += f64::from(u8::from(z < 0.0));
            }
        }
        assert!((sum / count).abs() < 0.05, "mean {}", sum / count);
        assert!((negative / count - 0.5_f64).abs() < 0.05);
        let mut bits: Vec<u64> = lanes.words().collect();
        bits.sort_unstable();
        bits.dedup();
        assert_eq!(bits.len(), LANES_F64, "lanes have met");
    }
}
