//! What a healthy core computes, known in advance. Owns the constants and their proof.
//!
//! Hashes of the results of one block, computed with the portable path. A core that is
//! wrong from its first block on agrees with itself; it doesn't agree with these.

/// Results that differ by right: a buffer has two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    FmaF64,
    FmaF32,
    Stream,
    StreamInverted,
    Mix,
    MixInverted,
}

impl Answer {
    pub(super) const ALL: [Self; 6] = [
        Self::FmaF64,
        Self::FmaF32,
        Self::Stream,
        Self::StreamInverted,
        Self::Mix,
        Self::MixInverted,
    ];

    /// The hash of the right result.
    pub(super) const fn hash(self) -> u64 {
        match self {
            Self::FmaF64 => 0x8FDD_F169_2EC6_D071,
            Self::FmaF32 => 0x9AC9_6D3A_2AD8_006A,
            Self::Stream => 0xA150_5D2B_CC73_7E42,
            Self::StreamInverted => 0xC360_4966_687C_E364,
            Self::Mix => 0x498F_A6C6_E400_D366,
            Self::MixInverted => 0xFDF2_B3FE_91C8_CA7F,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa::{Isa, Path};
    use super::super::{buffer, fma, mix, pattern, stream};
    use super::*;

    fn computed(isa: Isa, answer: Answer) -> u64 {
        let mut lanes = fma::LanesF64::seeded(super::super::block::SEED);
        let mut singles = fma::LanesF32::seeded(super::super::block::SEED);
        let mut piece = vec![stream::Piece([0; stream::PIECE_WORDS])];
        buffer::fill(&mut piece[0]);
        if matches!(answer, Answer::StreamInverted | Answer::MixInverted) {
            piece[0].0.iter_mut().for_each(|word| *word = !*word);
        }
        let before = piece.clone();
        let words: Vec<u64> = match answer {
            Answer::FmaF64 => {
                fma::run_f64(isa, &mut lanes, fma::STEPS);
                lanes.words().collect()
            }
            Answer::FmaF32 => {
                fma::run_f32(isa, &mut singles, fma::STEPS);
                singles.words().collect()
            }
            Answer::Stream | Answer::StreamInverted => stream::run(isa, &mut piece[0]).to_vec(),
            Answer::Mix | Answer::MixInverted => {
                let sums = mix::run(isa, &mut lanes, &mix::Table::new(), &mut piece[0]);
                lanes.words().chain(sums).collect()
            }
        };
        if !matches!(answer, Answer::FmaF64 | Answer::FmaF32) {
            assert!(piece[0].0.iter().zip(&before[0].0).all(|(now, was)| *now == !*was));
        }
        pattern::hash(&words)
    }

    /// Includes the portable path, which every machine has.
    #[test]
    fn the_constants_are_what_every_path_computes() {
        assert!(Isa::available().iter().any(|isa| isa.path() == Path::Portable));
        let stale: Vec<String> = Answer::ALL
            .into_iter()
            .flat_map(|answer| Isa::available().into_iter().map(move |isa| (answer, isa)))
            .map(|(answer, isa)| (answer, isa, computed(isa, answer)))
            .filter(|(answer, _, got)| *got != answer.hash())
            .map(|(answer, isa, got)| format!("{answer:?} on {}: {got:#018x}", isa.word()))
            .collect();
        assert!(stale.is_empty(), "{}", stale.join("\n"));
    }
}
