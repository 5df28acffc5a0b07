//! Numbers without structure: what seeds lanes and fills memory, and the hash of a result.

/// SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"):
/// the `index`-th output of the stream that begins at `seed`. Every bit is fair.
pub(super) const fn word(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Hashes a result. Each step is a bijection of the state for a fixed word, so one wrong
/// word always shows. Four chains, because the multiplier's latency would cost more than
/// the check may; `words` is a multiple of four long.
pub(super) fn hash(words: &[u64]) -> u64 {
    const K: u64 = 0x9FB2_1C65_1E98_DF25;
    let mut chains = [1_u64, 2, 3, 4];
    for quad in words.chunks_exact(4) {
        for (chain, word) in chains.iter_mut().zip(quad) {
            *chain = (*chain ^ word).wrapping_mul(K).rotate_left(29);
        }
    }
    chains.into_iter().fold(0, |h, chain| (h ^ chain).wrapping_mul(K).rotate_left(29))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_sees_every_single_bit() {
        let words: Vec<u64> = (0..192).map(|i| word(1, i)).collect();
        let clean = hash(&words);
        for i in 0..words.len() {
            for bit in 0..64 {
                let mut wrong = words.clone();
                wrong[i] ^= 1 << bit;
                assert_ne!(hash(&wrong), clean, "word {i} bit {bit}");
            }
        }
    }
}
