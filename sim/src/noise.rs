//! Seeded noise. Every consumer has a stream of its own, so that a new consumer, another
//! chunk size or a dropped column changes nobody else's numbers.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;

use crate::physics::Tails;

/// What a stream of noise is for; part of its seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// What a device is made of.
    Silicon,
    /// What a node is made of.
    Node,
    /// What a domain is made of.
    Domain,
    /// What the sensors of a device add, row by row.
    Sensor,
    /// What a meter adds, reading by reading.
    Meter,
    /// What the fabric does.
    Fabric,
    /// What a generated hall looks like.
    Hall,
}

/// A stream of random numbers with a stable algorithm (PCG XSL 128/64 MCG).
#[derive(Debug, Clone)]
pub struct Noise {
    generator: Pcg64Mcg,
    /// The polar method makes normals two at a time.
    spare: Option<f64>,
}

impl Noise {
    /// The stream of one consumer: `index` tells apart consumers of the same sort.
    #[must_use]
    pub fn new(seed: u64, stream: Stream, index: usize) -> Self {
        let low = mix(seed ^ mix(stream as u64 + 1));
        let high = mix(low ^ mix(index as u64 ^ 0xA5A5_A5A5_A5A5_A5A5));
        let state = (u128::from(high) << 64) | u128::from(mix(low.wrapping_add(high)));
        Self { generator: Pcg64Mcg::new(state), spare: None }
    }

    /// Uniform in 0..1.
    pub fn uniform(&mut self) -> f64 {
        // 53 bits fill a double's fraction.
        (self.generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform whole number in 0..`below`; 0 when `below` is 0.
    pub fn below(&mut self, below: usize) -> usize {
        ((self.uniform() * below as f64) as usize).min(below.saturating_sub(1))
    }

    /// Standard normal (Marsaglia's polar method).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let s = x * x + y * y;
            if s > 0.0 && s < 1.0 {
                let scale = (-2.0 * s.ln() / s).sqrt();
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }

    /// Like [`Noise::part`], but a share of the parts comes from a distribution that is wider
    /// by a factor.
    pub fn tailed(&mut self, mean: f64, deviation: f64, tails: &Tails) -> f64 {
        let wide = self.uniform() < tails.share;
        self.part(mean, if wide { deviation * tails.factor } else { deviation })
    }

    /// Normal with this mean and standard deviation, held within four deviations: parts
    /// beyond that do not leave a factory.
    pub fn part(&mut self, mean: f64, deviation: f64) -> f64 {
        mean + deviation * self.normal().clamp(-4.0, 4.0)
    }
}

/// SplitMix64's finaliser: neighbouring seeds become unlike ones.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_mean_zero_and_deviation_one() {
        let mut noise = Noise::new(7, Stream::Sensor, 3);
        let draws: Vec<f64> = (0..40_000).map(|_| noise.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn streams_differ_by_seed_by_use_and_by_index() {
        let first = |seed, stream, index| Noise::new(seed, stream, index).generator.next_u64();
        let draws = [
            first(1, Stream::Sensor, 0),
            first(2, Stream::Sensor, 0),
            first(1, Stream::Meter, 0),
            first(1, Stream::Sensor, 1),
        ];
        for (at, draw) in draws.iter().enumerate() {
            assert!(!draws[..at].contains(draw));
        }
        assert_eq!(first(1, Stream::Sensor, 0), draws[0]);
    }

    #[test]
    fn whole_numbers_stay_below_their_bound() {
        let mut noise = Noise::new(1, Stream::Hall, 0);
        assert!((0..1_000).all(|_| noise.below(3) < 3));
        assert_eq!(noise.below(0), 0);
    }
}
