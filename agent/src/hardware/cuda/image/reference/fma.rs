//! `lb_fp32` and `lb_fp64`: chains of z <- c - z * z, one rounding a step.

use super::super::Launch;
use super::{digest, noise, repeated, tile_hash};

const THREADS: usize = 256;
const VARIANTS: u32 = 8;
const CHAINS_F32: usize = 16;
const STEPS_F32: u64 = 512;
const CHAINS_F64: usize = 8;
const STEPS_F64: u64 = 128;

const C_F32: f32 = f32::from_bits(0x3FFF_91E3);
const C_F64: f64 = f64::from_bits(0x3FFF_F19E_3779_B97F);

/// Chains that are walked together: enough registers in flight to hide the latency.
const GROUP: usize = 32;

fn seed_f32(fair: u64) -> f32 {
    ((fair >> 40) as f32).mul_add(f32::from_bits(0x3473_3333), f32::from_bits(0xBFF3_3333))
}

fn seed_f64(fair: u64) -> f64 {
    let (scale, low) = (0x3CBE_6666_6666_6666, 0xBFFE_6666_6666_6666);
    ((fair >> 11) as f64).mul_add(f64::from_bits(scale), f64::from_bits(low))
}

pub(super) fn fp32(launch: &Launch) -> Vec<u64> {
    repeated(launch.tiles, VARIANTS, |variant| {
        let first = u64::from(variant) * (THREADS * CHAINS_F32) as u64;
        let mut chains: Vec<f32> = (first..first + (THREADS * CHAINS_F32) as u64)
            .map(|chain| seed_f32(noise(u64::from(launch.seed), chain)))
            .collect();
        walk_f32(&mut chains, u64::from(launch.iterations) * STEPS_F32);
        let threads = chains.chunks_exact(CHAINS_F32);
        tile_hash(
            threads.zip(0..).map(|(chains, thread)| {
                digest(thread, chains.iter().map(|z| u64::from(z.to_bits())))
            }),
        )
    })
}

pub(super) fn fp64(launch: &Launch) -> Vec<u64> {
    repeated(launch.tiles, VARIANTS, |variant| {
        let first = u64::from(variant) * (THREADS * CHAINS_F64) as u64;
        let mut chains: Vec<f64> = (first..first + (THREADS * CHAINS_F64) as u64)
            .map(|chain| seed_f64(noise(u64::from(launch.seed), chain)))
            .collect();
        walk_f64(&mut chains, u64::from(launch.iterations) * STEPS_F64);
        let threads = chains.chunks_exact(CHAINS_F64);
        tile_hash(
            threads
                .zip(0..)
                .map(|(chains, thread)| digest(thread, chains.iter().map(|z| z.to_bits()))),
        )
    })
}

#[inline(always)]
fn walk_f32_with(chains: &mut [f32], steps: u64) {
    for group in chains.as_chunks_mut::<GROUP>().0 {
        let mut z = *group;
        for _ in 0..steps {
            z = z.map(|z| (-z).mul_add(z, C_F32));
        }
        *group = z;
    }
}

#[inline(always)]
fn walk_f64_with(chains: &mut [f64], steps: u64) {
    for group in chains.as_chunks_mut::<GROUP>().0 {
        let mut z = *group;
        for _ in 0..steps {
            z = z.map(|z| (-z).mul_add(z, C_F64));
        }
        *group = z;
    }
}

/// With the instruction where the machine has it: a call for each step takes a hundred times
/// as long, and gives the same bits.
fn walk_f32(chains: &mut [f32], steps: u64) {
    #[cfg(target_arch = "x86_64")]
    if fused() {
        // SAFETY: the machine has AVX2 and FMA.
        return unsafe { wide::walk_f32(chains, steps) };
    }
    walk_f32_with(chains, steps);
}

fn walk_f64(chains: &mut [f64], steps: u64) {
    #[cfg(target_arch = "x86_64")]
    if fused() {
        // SAFETY: the machine has AVX2 and FMA.
        return unsafe { wide::walk_f64(chains, steps) };
    }
    walk_f64_with(chains, steps);
}

#[cfg(target_arch = "x86_64")]
fn fused() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(target_arch = "x86_64")]
mod wide {
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn walk_f32(chains: &mut [f32], steps: u64) {
        super::walk_f32_with(chains, steps);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn walk_f64(chains: &mut [f64], steps: u64) {
        super::walk_f64_with(chains, steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instruction_and_the_call_give_the_same_bits() {
        let mut single: Vec<f32> = (0..64).map(|i| seed_f32(noise(7, i))).collect();
        let mut double: Vec<f64> = (0..64).map(|i| seed_f64(noise(7, i))).collect();
        let (mut single_called, mut double_called) = (single.clone(), double.clone());
        walk_f32(&mut single, 700);
        walk_f64(&mut double, 700);
        walk_f32_with(&mut single_called, 700);
        walk_f64_with(&mut double_called, 700);
        assert!(single.iter().zip(&single_called).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert!(double.iter().zip(&double_called).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn chains_stay_bounded_signed_and_apart() {
        let mut single: Vec<f32> = (0..4096).map(|i| seed_f32(noise(3, i))).collect();
        let mut double: Vec<f64> = (0..2048).map(|i| seed_f64(noise(3, i))).collect();
        for _ in 0..100 {
            walk_f32(&mut single, 517);
            walk_f64(&mut double, 517);
            assert!(single.iter().all(|z| z.is_normal() && z.abs() < 2.0));
            assert!(double.iter().all(|z| z.is_normal() && z.abs() < 2.0));
        }
        let negative = double.iter().filter(|z| **z < 0.0).count();
        assert!((900..1150).contains(&negative), "{negative} of 2048");
        // 32-bit floats are few: two given chains meet within these 51 700 steps (a launch) in
        // less than one case of 500, which is also the chance of an error to go unseen. Of
        // 4096 chains some always meet: 2 / (1 / 500 + 2 / 4096) would be left then.
        let mut seen: Vec<u32> = single.iter().map(|z| z.to_bits()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 800, "{} of 4096 chains are still apart", seen.len());
        let mut seen: Vec<u64> = double.iter().map(|z| z.to_bits()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 2048);
    }
}
