use super::super::{CHUNK_BYTES, SLICE_BYTES};
use super::*;

fn launch() -> Launch {
    Launch {
        operand_bytes: 3 * SLICE_BYTES,
        buffer_bytes: 40 * CHUNK_BYTES,
        iterations: 3,
        tiles: 7,
        seed: 11,
        ..Launch::default()
    }
}

fn hashes_of(launch: &Launch) -> Vec<(&'static str, Vec<u64>)> {
    vec![
        ("fp32", golden(Kernel::FmaF32, launch).unwrap()),
        ("fp64", golden(Kernel::FmaF64, launch).unwrap()),
        ("int8", golden(Kernel::Int8, launch).unwrap()),
        ("bf16", bf16_integers(launch)),
        ("stream", golden(Kernel::Stream, launch).unwrap()),
        ("fill", fill(Fill::Bf16, launch)),
        ("fill stream", fill(Fill::Stream, launch)),
    ]
}

#[test]
fn a_tile_depends_on_its_number_the_seed_and_the_work() {
    let first = hashes_of(&launch());
    let seeded = hashes_of(&Launch { seed: 12, ..launch() });
    let longer = hashes_of(&Launch { iterations: 4, ..launch() });
    for (i, (name, hashes)) in first.iter().enumerate() {
        let mut distinct = hashes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        // Tensor tiles share three slices here.
        let slices = matches!(*name, "int8" | "bf16");
        assert_eq!(distinct.len(), if slices { 3 } else { 7 }, "{name}");
        assert!(hashes.iter().zip(&seeded[i].1).all(|(a, b)| a != b), "{name}: seed");
        // Filling takes no iterations; of bf16 all full cycles cancel, by design.
        let same_work = name.starts_with("fill") || *name == "bf16";
        assert_eq!(*hashes == longer[i].1, same_work, "{name}: iterations");
    }
}

/// The right answers of today: what is embedded and what is expected change together only.
#[test]
fn known_answers_stay() {
    let first: Vec<String> = hashes_of(&launch())
        .iter()
        .map(|(name, hashes)| format!("{name} {:016x}", hashes[0]))
        .collect();
    assert_eq!(first, KNOWN);
}

const KNOWN: [&str; 7] = [
    "fp32 cdd429c0eaab28c1",
    "fp64 ea93c23868d79832",
    "int8 24443c0a77a2c5b2",
    "bf16 071d284500e64b6f",
    "stream 8b0b532965ff70a3",
    "fill a55221c82b13856f",
    "fill stream 6b6c0934b6b44f4b",
];

#[test]
fn the_digest_sees_every_single_bit() {
    let words: Vec<u64> = (0..128).map(|i| noise(1, i)).collect();
    let clean = digest(3, words.iter().copied());
    for i in 0..words.len() {
        for bit in 0..64 {
            let mut wrong = words.clone();
            wrong[i] ^= 1 << bit;
            assert_ne!(digest(3, wrong.into_iter()), clean, "word {i} bit {bit}");
        }
    }
}

/// The sum weighs word `w` with `2 w + 1` and visit `v` with `2 v + 1`: both odd.
#[test]
fn a_streams_sum_sees_every_single_bit() {
    for bit in 0..64 {
        for weight in [1_u64, 3, 8191] {
            for visit in [1_u64, 4799] {
                assert_ne!((1_u64 << bit).wrapping_mul(weight).wrapping_mul(visit), 0);
            }
        }
    }
}

#[test]
fn a_walk_begins_where_the_launch_before_ended() {
    let whole = Launch { iterations: 4, tiles: 2, ..launch() };
    let second = Launch { iterations: 2, pass: 1, ..whole };
    // Each tile owns 20 chunks and a launch of two iterations visits 32: the second begins
    // at the thirteenth.
    assert_ne!(golden(Kernel::L2, &second), golden(Kernel::L2, &Launch { pass: 0, ..second }));
    let round = Launch { pass: 5, ..second };
    assert_eq!(golden(Kernel::L2, &round), golden(Kernel::L2, &Launch { pass: 0, ..second }));
}

#[test]
fn a_complement_follows_each_pattern() {
    for pass in (0..32).step_by(2) {
        for address in [0x7F00_0000_0000_u64, 0x7F00_0000_0008, 0x7F12_3456_7890] {
            assert_eq!(memory_word(pass, address, 9), !memory_word(pass + 1, address, 9));
        }
    }
    assert_ne!(memory_word(12, 64, 9), memory_word(28, 64, 9), "each round has its own noise");
}

/// A fill of a launch is exact only where tiles share out all words: any number of tiles.
#[test]
fn sums_of_a_fill_cover_every_word_once() {
    let one = Launch { tiles: 1, ..launch() };
    let all = fill(Fill::Bytes, &one);
    let words = one.operand_bytes / 8;
    let sum = (0..words).fold(0_u64, |sum, i| {
        sum.wrapping_add(filled_word(Fill::Bytes, one.seed, i).wrapping_mul(2 * i + 1))
    });
    assert_eq!(all, [tile_hash([sum].into_iter())]);
}
