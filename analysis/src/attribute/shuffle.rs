//! Shuffles that are the same on every machine and with every version of every library:
//! the same evidence must give the same report.

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): one addition and a mix a number.
pub(super) struct Shuffle(u64);

impl Shuffle {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A position below `bound`. The multiply-shift favours some positions by less than
    /// `bound` / 2^64: nothing beside a few thousand shuffles.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Fisher and Yates: every order alike.
    pub(super) fn shuffle(&mut self, values: &mut [usize]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // First outputs for seed 1234567 of the reference implementation.
        let mut shuffle = Shuffle::new(1_234_567);
        assert_eq!(shuffle.next(), 6_457_827_717_110_365_317);
        assert_eq!(shuffle.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn every_order_of_three_is_as_frequent() {
        let (mut shuffle, mut counts) = (Shuffle::new(7), std::collections::BTreeMap::new());
        for _ in 0..6_000 {
            let mut values = [0, 1, 2];
            shuffle.shuffle(&mut values);
            *counts.entry(values).or_insert(0) += 1;
        }
        // Five standard deviations of a binomial count of 1,000.
        assert!(counts.len() == 6 && counts.values().all(|n: &i32| (n - 1_000).abs() < 145));
    }
}
