//! One block of work on one core, checked. Owns everything that a block touches.

use model::load::Kernel;

use super::buffer::Buffer;
use super::expected::Answer;
use super::fma::{self, LANES_F32, LANES_F64, LanesF32, LanesF64};
use super::isa::Isa;
use super::{mix, pattern, stream};

/// Seed of the lanes: the same in every block, on every core.
pub(super) const SEED: u64 = 0x10AD_BA4C;
/// Words of the largest result: the lanes and sums of `mix`.
const WORDS_MAX: usize = LANES_F64 + 8;

/// What a block did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Floating-point operations (an FMA counts two).
    pub(super) flops: u64,
    /// Bytes read and written.
    pub(super) bytes: u64,
    /// What was wrong with the result, if anything.
    pub(super) wrong: Option<Wrong>,
}

/// How a result differs from the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Hash of the result.
    hash: u64,
    /// Hash of the right result, from [`super::expected`].
    expected: u64,
    /// The first word that differs from this core's first right block, and how many do;
    /// none while this core has not been right once.
    word: Option<WrongWord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WrongWord {
    index: u32,
    got: u64,
    first: u64,
    wrong: u32,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.word {
            Some(WrongWord { index, got, first, wrong }) => write!(
                f,
                "word {index} is {got:#018x}, was {first:#018x} (bits {:#x}); {wrong} words differ",
                got ^ first
            ),
            None => write!(
                f,
                "hash {:#018x}, expected {:#018x}; no such block was right yet on this core",
                self.hash, self.expected
            ),
        }
    }
}

/// A core's registers, memory and memory of what was right. Nothing here allocates once
/// the buffer is reserved.
#[derive(Debug)]
pub(super) struct Workbench {
    isa: Isa,
    seeds_f64: LanesF64,
    seeds_f32: LanesF32,
    table: mix::Table,
    buffer: Option<Buffer>,
    buffer_bytes: u64,
    /// The first right result of each answer.
    first: [Option<[u64; WORDS_MAX]>; Answer::ALL.len()],
    words: [u64; WORDS_MAX],
}

impl Workbench {
    pub(super) fn new(isa: Isa, buffer_bytes: u64) -> Self {
        Self {
            isa,
            seeds_f64: LanesF64::seeded(SEED),
            seeds_f32: LanesF32::seeded(SEED),
            table: mix::Table::new(),
            buffer: None,
            buffer_bytes,
            first: [None; Answer::ALL.len()],
            words: [0; WORDS_MAX],
        }
    }

    /// Brings the memory of a kernel one piece nearer to ready; true once it is.
    pub(super) fn prepare(&mut self, kernel: Kernel) -> std::io::Result<bool> {
        if matches!(kernel, Kernel::FmaF64 | Kernel::FmaF32) {
            return Ok(true);
        }
        let buffer = match self.buffer.as_mut() {
            Some(buffer) => buffer,
            None => self.buffer.insert(Buffer::reserve(self.buffer_bytes)?),
        };
        buffer.touch();
        Ok(buffer.is_ready())
    }

    /// Runs one block and checks it. `flip` corrupts one bit of the result first.
    /// A kernel that needs memory does nothing before its first [`Self::prepare`], and one
    /// that needs a GPU never does.
    pub(super) fn run(&mut self, kernel: Kernel, flip: bool) -> Done {
        let Some((answer, len)) = self.compute(kernel) else {
            return Done { flops: 0, bytes: 0, wrong: None };
        };
        if flip {
            self.words[len / 2] ^= 1 << 17;
        }
        let wrong = self.check(answer, len);
        if wrong.is_some()
            && let Some(buffer) = self.buffer.as_mut()
            && !matches!(answer, Answer::FmaF64 | Answer::FmaF32)
        {
            buffer.renew();
        }
        let (flops, bytes) = cost(kernel);
        Done { flops, bytes, wrong }
    }

    /// Puts a block's result into `words`; says which answer it must be, and its length.
    fn compute(&mut self, kernel: Kernel) -> Option<(Answer, usize)> {
        Some(match kernel {
            Kernel::FmaF64 => {
                let mut lanes = self.seeds_f64.clone();
                fma::run_f64(self.isa, &mut lanes, fma::STEPS);
                (Answer::FmaF64, put(&mut self.words, lanes.words()))
            }
            Kernel::FmaF32 => {
                let mut lanes = self.seeds_f32.clone();
                fma::run_f32(self.isa, &mut lanes, fma::STEPS);
                (Answer::FmaF32, put(&mut self.words, lanes.words()))
            }
            Kernel::Stream => {
                let (piece, inverted) = self.buffer.as_mut()?.turn();
                let sums = stream::run(self.isa, piece);
                let answer = if inverted { Answer::StreamInverted } else { Answer::Stream };
                (answer, put(&mut self.words, sums.into_iter()))
            }
            Kernel::Mix => {
                let (piece, inverted) = self.buffer.as_mut()?.turn();
                let mut lanes = self.seeds_f64.clone();
                let sums = mix::run(self.isa, &mut lanes, &self.table, piece);
                let answer = if inverted { Answer::MixInverted } else { Answer::Mix };
                (answer, put(&mut self.words, lanes.words().chain(sums)))
            }
            // A CPU refuses these when a phase is armed.
            Kernel::Bf16 | Kernel::Int8 | Kernel::L2 | Kernel::Copy | Kernel::Memory => {
                return None;
            }
        })
    }

    fn check(&mut self, answer: Answer, len: usize) -> Option<Wrong> {
        let words = &self.words[..len];
        let (hash, expected) = (pattern::hash(words), answer.hash());
        let first = &mut self.first[answer as usize];
        if let Some(first) = first {
            if hash == expected && *words == first[..len] {
                return None;
            }
            return Some(Wrong { hash, expected, word: first_difference(words, &first[..len]) });
        }
        if hash != expected {
            return Some(Wrong { hash, expected, word: None });
        }
        *first = Some(self.words);
        None
    }
}

/// Floating-point operations and bytes of a block.
fn cost(kernel: Kernel) -> (u64, u64) {
    match kernel {
        Kernel::FmaF64 => (2 * LANES_F64 as u64 * u64::from(fma::STEPS), 0),
        Kernel::FmaF32 => (2 * LANES_F32 as u64 * u64::from(fma::STEPS), 0),
        Kernel::Stream => (0, stream::BYTES_PER_BLOCK),
        Kernel::Mix => (mix::FLOPS_PER_BLOCK, stream::BYTES_PER_BLOCK),
        Kernel::Bf16 | Kernel::Int8 | Kernel::L2 | Kernel::Copy | Kernel::Memory => (0, 0),
    }
}

fn put(words: &mut [u64; WORDS_MAX], result: impl Iterator<Item = u64>) -> usize {
    words.iter_mut().zip(result).map(|(place, word)| *place = word).count()
}

#[cold]
fn first_difference(words: &[u64], first: &[u64]) -> Option<WrongWord> {
    let differs = |i: &usize| words[*i] != first[*i];
    let index = (0..words.len()).find(differs)?;
    let wrong = (0..words.len()).filter(differs).count() as u32;
    Some(WrongWord { index: index as u32, got: words[index], first: first[index], wrong })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFER: u64 = 1 << 20;

    fn bench(isa: Isa, kernel: Kernel) -> Workbench {
        let mut bench = Workbench::new(isa, BUFFER);
        while !bench.prepare(kernel).unwrap() {}
        bench
    }

    #[test]
    fn a_healthy_core_is_right_on_every_path_over_several_passes() {
        for isa in [Isa::available()[0], *Isa::available().last().unwrap()] {
            for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.runs_on_cpu()) {
                let mut bench = bench(isa, kernel);
                let memory = matches!(kernel, Kernel::Stream | Kernel::Mix);
                for n in 0..if memory { 9 } else { 2 } {
                    let done = bench.run(kernel, false);
                    assert_eq!(done.wrong, None, "{} {kernel:?} {n}", isa.word());
                    assert_eq!((done.flops, done.bytes), cost(kernel));
                }
            }
        }
    }

    #[test]
    fn one_flipped_bit_is_named_and_only_once() {
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.runs_on_cpu()) {
            let mut bench = bench(Isa::best(), kernel);
            let mut flips = [false; 13];
            flips[8] = true;
            let wrong: Vec<_> =
                flips.into_iter().map(|flip| bench.run(kernel, flip).wrong).collect();
            assert!(wrong.iter().zip(flips).all(|(w, flip)| w.is_some() == flip), "{wrong:?}");
            let words = wrong[8].map(|wrong| wrong.to_string()).unwrap_or_default();
            assert!(words.contains("bits 0x20000"), "{words}");
        }
    }

    #[test]
    fn a_core_wrong_from_its_first_block_is_caught_by_the_constant() {
        let mut bench = bench(Isa::best(), Kernel::FmaF64);
        for _ in 0..3 {
            let wrong = bench.run(Kernel::FmaF64, true).wrong.unwrap().to_string();
            assert!(wrong.contains("no such block was right"), "{wrong}");
        }
        assert_eq!(bench.run(Kernel::FmaF64, false).wrong, None);
    }

    #[test]
    fn memory_that_lost_a_bit_is_caught_once() {
        for kernel in [Kernel::Stream, Kernel::Mix] {
            let mut bench = bench(Isa::best(), kernel);
            let pieces = 4;
            for _ in 0..2 * pieces {
                assert_eq!(bench.run(kernel, false).wrong, None);
            }
            let buffer = bench.buffer.as_mut().unwrap();
            let (piece, _) = buffer.turn();
            piece.0.iter_mut().for_each(|word| *word = !*word);
            piece.0[7777] ^= 1 << 63;
            let wrong = (0..4 * pieces).filter(|_| bench.run(kernel, false).wrong.is_some());
            assert_eq!(wrong.count(), 1, "{kernel:?}");
        }
    }
}
