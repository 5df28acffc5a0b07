//! The arithmetic of an all-reduce on slices that lie in the cache.
//!
//! Written once as plain loops; on x86-64 compiled a second time for AVX2 (a plain build
//! must run on any x86-64) and chosen at run time.

/// `sum[i] += addend[i]`.
pub fn add_into(sum: &mut [f32], addend: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2, as just asked.
        return unsafe { avx2::add_into(sum, addend) };
    }
    plain::add_into(sum, addend);
}

/// `out[i] = a[i] + b[i]`.
pub fn add_to(out: &mut [f32], a: &[f32], b: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2, as just asked.
        return unsafe { avx2::add_to(out, a, b) };
    }
    plain::add_to(out, a, b);
}

/// Number of elements for which `values[i] == expected[i] + offset` does not hold
/// (a NaN never equals anything).
#[must_use]
pub fn count_wrong(values: &[f32], expected: &[f32], offset: f32) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2, as just asked.
        return unsafe { avx2::count_wrong(values, expected, offset) };
    }
    plain::count_wrong(values, expected, offset)
}

mod plain {
    #[inline(always)]
    pub(super) fn add_into(sum: &mut [f32], addend: &[f32]) {
        for (sum, addend) in sum.iter_mut().zip(addend) {
            *sum += addend;
        }
    }

    #[inline(always)]
    pub(super) fn add_to(out: &mut [f32], a: &[f32], b: &[f32]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a + b;
        }
    }

    #[inline(always)]
    #[expect(
        clippy::float_cmp,
        reason = "sums of small integers are exact: the same bits or wrong"
    )]
    pub(super) fn count_wrong(values: &[f32], expected: &[f32], offset: f32) -> u64 {
        // A 32-bit count keeps the loop as wide as the values; slices here are far shorter.
        let wrong: u32 = values
            .iter()
            .zip(expected)
            .map(|(value, expected)| u32::from(*value != expected + offset))
            .sum();
        u64::from(wrong)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    #[target_feature(enable = "avx2")]
    pub(super) fn add_into(sum: &mut [f32], addend: &[f32]) {
        super::plain::add_into(sum, addend);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn add_to(out: &mut [f32], a: &[f32], b: &[f32]) {
        super::plain::add_to(out, a, b);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn count_wrong(values: &[f32], expected: &[f32], offset: f32) -> u64 {
        super::plain::count_wrong(values, expected, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_builds_give_the_same_bits(values in prop::collection::vec((0u16..999, 0u16..999), 0..99)) {
            let a: Vec<f32> = values.iter().map(|(a, _)| f32::from(*a)).collect();
            let b: Vec<f32> = values.iter().map(|(_, b)| f32::from(*b)).collect();
            let (mut fast, mut slow) = (vec![0.0; a.len()], vec![0.0; a.len()]);
            add_to(&mut fast, &a, &b);
            plain::add_to(&mut slow, &a, &b);
            prop_assert_eq!(&fast, &slow);
            add_into(&mut fast, &b);
            plain::add_into(&mut slow, &b);
            prop_assert_eq!(&fast, &slow);
            prop_assert_eq!(count_wrong(&fast, &a, 5.0), plain::count_wrong(&fast, &a, 5.0));
        }
    }

    #[test]
    fn a_nan_is_wrong() {
        assert_eq!(count_wrong(&[1.0, f32::NAN, 3.0], &[0.0, 1.0, 2.0], 1.0), 1);
    }
}
