//! `lb_int8`, and `lb_bf16` on operands whose sums are exact: plain matrix products.
//!
//! The pool holds fragments (which lane holds which element: the PTX manual, "Matrix
//! Fragments for mma"); here they become rows and columns again, are multiplied in the
//! schoolbook way, and the products handed back to the threads that hold them.

use super::super::{Fill, Launch, SLICE_BYTES};
use super::{digest, filled_word, repeated, tile_hash};

const SETS: usize = 4;
const ROWS: usize = 128;
const COLUMNS: usize = 256;
const FRAGMENT_WORDS: usize = 128;
const A_WORDS: usize = SETS * ROWS / 16 * FRAGMENT_WORDS;
const CYCLES: u32 = 8;
/// Fragments of a warp: 4 of rows, 4 of columns.
const WARP: usize = 4;

/// The two kinds of element.
trait Element {
    const FILL: Fill;
    /// Elements in a 32-bit word.
    const IN_WORD: usize;
    /// What odd half cycles do to words of A.
    const FLIP: u32;
    /// Element `i` of a word.
    fn of(word: u32, i: usize) -> i32;
    /// A sum as the accumulator holds it.
    fn accumulator(sum: i32) -> u64;
}

struct Int8;
struct Bf16;

impl Element for Int8 {
    const FILL: Fill = Fill::Bytes;
    const IN_WORD: usize = 4;
    const FLIP: u32 = 0x5A2D_693B;

    fn of(word: u32, i: usize) -> i32 {
        i32::from(word.to_le_bytes()[i] as i8)
    }

    fn accumulator(sum: i32) -> u64 {
        u64::from(sum as u32)
    }
}

impl Element for Bf16 {
    const FILL: Fill = Fill::Integers;
    const IN_WORD: usize = 2;
    const FLIP: u32 = 0x8000_8000;

    fn of(word: u32, i: usize) -> i32 {
        f32::from_bits(word >> (16 * i) << 16) as i32
    }

    fn accumulator(sum: i32) -> u64 {
        u64::from((sum as f32).to_bits())
    }
}

pub(super) fn int8(launch: &Launch) -> Vec<u64> {
    tiles::<Int8>(launch)
}

pub(super) fn bf16_integers(launch: &Launch) -> Vec<u64> {
    tiles::<Bf16>(launch)
}

fn tiles<E: Element>(launch: &Launch) -> Vec<u64> {
    let slices = (launch.operand_bytes / SLICE_BYTES) as u32;
    repeated(launch.tiles, slices.max(1), |slice| {
        let first = u64::from(slice) * SLICE_BYTES / 8;
        let words: Vec<u32> = (first..first + SLICE_BYTES / 8)
            .map(|index| filled_word(E::FILL, launch.seed, index))
            .flat_map(|word| [word as u32, (word >> 32) as u32])
            .collect();
        hash::<E>(&sums::<E>(&words, launch.iterations))
    })
}

/// The accumulators of a launch, row by row. One more even half cycle than odd ones.
fn sums<E: Element>(slice: &[u32], iterations: u32) -> Vec<i32> {
    let odd = iterations.wrapping_mul(CYCLES) as i32;
    let even = if iterations == 0 { 0 } else { odd.wrapping_add(1) };
    let mut sums = vec![0_i32; ROWS * COLUMNS];
    for (times, flip) in [(even, 0), (odd, E::FLIP)] {
        for set in 0..SETS {
            let rows = rows::<E>(slice, set, flip);
            let columns = columns::<E>(slice, set);
            for (sum, (row, column)) in sums
                .iter_mut()
                .zip(rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column))))
            {
                let products = row.iter().zip(column).map(|(a, b)| a * b);
                *sum = sum.wrapping_add(products.sum::<i32>().wrapping_mul(times));
            }
        }
    }
    sums
}

/// The rows of A of a set, each as deep as one product.
fn rows<E: Element>(slice: &[u32], set: usize, flip: u32) -> Vec<Vec<i32>> {
    let mut rows = vec![vec![0; 8 * E::IN_WORD]; ROWS];
    for place in 0..ROWS / 16 * FRAGMENT_WORDS {
        let (fragment, lane, register) = (place / FRAGMENT_WORDS, place / 4 % 32, place % 4);
        let word = slice[set * ROWS / 16 * FRAGMENT_WORDS + place] ^ flip;
        let row = fragment * 16 + lane / 4 + register % 2 * 8;
        let depth = (register / 2 * 4 + lane % 4) * E::IN_WORD;
        for i in 0..E::IN_WORD {
            rows[row][depth + i] = E::of(word, i);
        }
    }
    rows
}

/// The columns of B of a set.
fn columns<E: Element>(slice: &[u32], set: usize) -> Vec<Vec<i32>> {
    let mut columns = vec![vec![0; 8 * E::IN_WORD]; COLUMNS];
    for place in 0..COLUMNS / 16 * FRAGMENT_WORDS {
        let (fragment, lane, register) = (place / FRAGMENT_WORDS, place / 4 % 32, place % 4);
        let word = slice[A_WORDS + set * COLUMNS / 16 * FRAGMENT_WORDS + place];
        let column = fragment * 16 + register / 2 * 8 + lane / 4;
        let depth = (register % 2 * 4 + lane % 4) * E::IN_WORD;
        for i in 0..E::IN_WORD {
            columns[column][depth + i] = E::of(word, i);
        }
    }
    columns
}

/// Eight warps, two by four, each 64 rows by 64 columns.
fn hash<E: Element>(sums: &[i32]) -> u64 {
    tile_hash((0..256_usize).map(|thread| {
        let (warp, lane) = (thread / 32, thread % 32);
        let values = (0..WARP * WARP * 8).map(|i| {
            let (m, n, half, place) = (i / (WARP * 8), i / 8 % WARP, i / 4 % 2, i % 4);
            let row = (warp % 2 * WARP + m) * 16 + lane / 4 + place / 2 * 8;
            let column = (warp / 2 * WARP + n) * 16 + half * 8 + lane % 4 * 2 + place % 2;
            E::accumulator(sums[row * COLUMNS + column])
        });
        digest(thread as u64, values)
    }))
}
