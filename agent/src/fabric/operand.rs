//! What the ranks add up: numbers chosen so that every sum is exact and known.
//!
//! Element `i` of rank `r` in operation `o` is `value(r, i + shift(o))`, an integer below
//! [`VALUES`]` + `[`STAIRS`]. Sums of whole numbers below 2^24 are exact in `f32` in any
//! order (IEEE 754-2008), so one wrong bit, a lost, doubled or misplaced piece shows. The
//! input is written once and read-only afterwards; operations look at it from other places.

use super::sums::count_wrong;

/// Length of the table that values repeat after. Prime, so that no segment or chunk, being
/// a multiple of 16 elements, can be mistaken for another.
const PERIOD: usize = 4093;
/// Values in the table are below this.
const VALUES: u32 = 256;
/// Each repetition of the table lies one higher than the last, this many times.
const STAIRS: usize = 64;
/// Operations look at the input from this many places, this many elements (one cache
/// line) apart.
const PLACES: usize = 64;
const PLACE_ELEMENTS: usize = 16;
/// Ranks for which every sum stays exact.
pub const RANKS_MAX: u32 = (1 << 24) / (VALUES + STAIRS as u32);

/// One rank's input and everybody's expected sum.
#[derive(Debug)]
pub struct Operand {
    input: Vec<f32>,
    sums: Vec<f32>,
    world_size: u32,
    elements: usize,
}

impl Operand {
    /// Makes the input of a rank for operations on `elements` elements.
    #[must_use]
    pub fn new(rank: u32, world_size: u32, elements: usize) -> Self {
        let own: Vec<f32> = (0..PERIOD).map(|at| base(rank, at) as f32).collect();
        let sums = (0..PERIOD)
            .map(|at| (0..world_size).map(|rank| base(rank, at)).sum::<u32>() as f32)
            .collect();
        let padded = elements + PLACES * PLACE_ELEMENTS;
        let mut input = reserve(padded);
        for (turn, from) in (0..padded).step_by(PERIOD).enumerate() {
            let length = PERIOD.min(padded - from);
            input.extend(own[..length].iter().map(|value| value + stair(turn)));
        }
        Self { input, sums, world_size, elements }
    }

    /// The input of an operation.
    #[must_use]
    pub fn input(&self, operation: u64) -> &[f32] {
        let shift = shift(operation);
        &self.input[shift..shift + self.elements]
    }

    /// How many elements of a piece of the result that begins at `index` are wrong.
    #[must_use]
    pub fn count_wrong(&self, piece: &[f32], index: usize, operation: u64) -> u64 {
        let mut at = index + shift(operation);
        let (mut rest, mut wrong) = (piece, 0);
        while !rest.is_empty() {
            let phase = at % PERIOD;
            let (run, after) = rest.split_at(rest.len().min(PERIOD - phase));
            let offset = stair(at / PERIOD) * self.world_size as f32;
            wrong += count_wrong(run, &self.sums[phase..], offset);
            at += run.len();
            rest = after;
        }
        wrong
    }
}

/// Room for a result, backed by memory already: zeros would stay unbacked until written.
#[must_use]
pub fn result_buffer(elements: usize) -> Vec<f32> {
    let mut buffer = reserve(elements);
    buffer.resize(elements, f32::NAN);
    buffer
}

/// Room in large pages where the kernel grants them: the kernel copies every byte of these
/// buffers, and with 4 KiB pages it spends much of that on looking addresses up.
fn reserve(elements: usize) -> Vec<f32> {
    const PAGE: usize = 4096;
    let buffer: Vec<f32> = Vec::with_capacity(elements);
    let from = (buffer.as_ptr() as usize).next_multiple_of(PAGE);
    let end = buffer.as_ptr() as usize + buffer.capacity() * size_of::<f32>();
    if end > from + PAGE {
        // SAFETY: the range lies within an allocation of ours, and the advice changes how
        // it is backed, never what it holds. A refusal costs speed only.
        unsafe { libc::madvise(from as *mut libc::c_void, end - from, libc::MADV_HUGEPAGE) };
    }
    buffer
}

fn shift(operation: u64) -> usize {
    // 37 is odd, so that all places are used before one comes again.
    (operation.wrapping_mul(37) % PLACES as u64) as usize * PLACE_ELEMENTS
}

fn stair(turn: usize) -> f32 {
    (turn % STAIRS) as f32
}

/// A number below [`VALUES`] that looks random (SplitMix64's finaliser, Steele et al. 2014).
fn base(rank: u32, at: usize) -> u32 {
    let mut z = (u64::from(rank) << 32 | at as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) % u64::from(VALUES)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sum_of_all_inputs_is_right_and_nothing_else_is(
            world_size in 1u32..6, elements in 1usize..20_000, operation: u64, at: prop::sample::Index,
        ) {
            let ranks: Vec<_> = (0..world_size).map(|r| Operand::new(r, world_size, elements)).collect();
            let mut sum = vec![0.0; elements];
            for rank in &ranks {
                for (sum, value) in sum.iter_mut().zip(rank.input(operation)) { *sum += value; }
            }
            prop_assert_eq!(ranks[0].count_wrong(&sum, 0, operation), 0);
            let at = at.index(elements);
            prop_assert_eq!(ranks[0].count_wrong(&sum[at..], at, operation), 0);
            sum[at] += 1.0;
            prop_assert_eq!(ranks[0].count_wrong(&sum, 0, operation), 1);
        }
    }

    #[test]
    fn a_shifted_piece_and_another_operation_are_wrong_nearly_everywhere() {
        let one = Operand::new(0, 1, 100_000);
        let piece = &one.input(5)[0..50_000];
        assert_eq!(one.count_wrong(piece, 0, 5), 0);
        assert!(one.count_wrong(piece, 16_384, 5) > 49_000);
        assert!(one.count_wrong(piece, 0, 6) > 49_000);
    }
}
