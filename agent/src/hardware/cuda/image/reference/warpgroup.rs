//! `lb_bf16_sm90a` on operands whose sums are exact: plain matrix products.
//!
//! A slice is core matrices of 8 rows by 16 bytes, eight along the depth, then the next 8 rows
//! (128 rows of A, 256 columns of B). A visit pairs each quarter of A's depth with each of B's,
//! which is the product of the sums of the quarters. Visits add and subtract in turn.

use super::super::{Fill, Launch, SLICE_BYTES};
use super::{digest, filled_word, tile_hash};

const ROWS: usize = 128;
const COLUMNS: usize = 256;
/// Depth of one product of a warpgroup.
const DEPTH: usize = 16;
const VISITS: u64 = 8;

/// A tile's accumulators, or one slice's product.
type Sums = Vec<i32>;

pub(super) fn bf16_integers(launch: &Launch) -> Vec<u64> {
    let slices = launch.operand_bytes / SLICE_BYTES;
    let sweep = slices - (slices + 1) % 2;
    let products: Vec<Sums> = (0..sweep).map(|slice| product(launch.seed, slice)).collect();
    let hash = |tile: u32| {
        let start = u64::from(tile) * sweep / u64::from(launch.tiles);
        let mut net = vec![0_i32; sweep as usize];
        for visit in 0..u64::from(launch.iterations) * VISITS {
            let sign = if visit % 2 == 0 { 1 } else { -1 };
            net[((start + visit) % sweep) as usize] += sign;
        }
        let mut sums = vec![0_i32; ROWS * COLUMNS];
        for (product, net) in products.iter().zip(net) {
            sums.iter_mut().zip(product).for_each(|(sum, value)| *sum += value * net);
        }
        hash(&sums)
    };
    (0..launch.tiles).map(hash).collect()
}

fn product(seed: u32, slice: u64) -> Sums {
    let rows = quarters(seed, slice * SLICE_BYTES, ROWS);
    let columns = quarters(seed, slice * SLICE_BYTES + (ROWS * 128) as u64, COLUMNS);
    let dot = |row: &[i32; DEPTH], column: &[i32; DEPTH]| {
        row.iter().zip(column).map(|(a, b)| a * b).sum::<i32>()
    };
    rows.iter().flat_map(|row| columns.iter().map(|column| dot(row, column))).collect()
}

/// Each row's four quarters of the depth, added up; `at` is the matrix's place in the pool.
fn quarters(seed: u32, at: u64, rows: usize) -> Vec<[i32; DEPTH]> {
    let mut sums = vec![[0; DEPTH]; rows];
    for word in 0..rows * 16 {
        let four = filled_word(Fill::Integers, seed, at / 8 + word as u64);
        // 16 words a core matrix, two a row of it.
        let row = word / 128 * 8 + word / 2 % 8;
        let depth = word / 16 % 8 * 8 + word % 2 * 4;
        for i in 0..4 {
            let bf16 = (four >> (16 * i)) as u32 & 0xFFFF;
            sums[row][(depth + i) % DEPTH] += f32::from_bits(bf16 << 16) as i32;
        }
    }
    sums
}

/// Two warpgroups of four warps, 64 rows each.
fn hash(sums: &[i32]) -> u64 {
    tile_hash((0..256_usize).map(|thread| {
        let (warp, lane) = (thread / 32, thread % 32);
        let values = (0..128).map(|i| {
            let row = warp * 16 + lane / 4 + i / 2 % 2 * 8;
            let column = i / 4 * 8 + lane % 4 * 2 + i % 2;
            u64::from((sums[row * COLUMNS + column] as f32).to_bits())
        });
        digest(thread as u64, values)
    }))
}
