//! Arithmetic and memory together: the logical block of `mix`, the most heat.
//!
//! Four strands of 48 lanes run the map of [`super::fma`], each over its quarter of a piece.
//! For each line (64 bytes) a strand takes [`STEPS_PER_LINE`] steps whose addends come from
//! a table that stays in the first cache (one load a cycle with AVX-512), one step whose
//! addend *is* the line's low bits, and writes the line back inverted. A wide core at 3.5 GHz
//! so asks for about 4.5 GB/s of reads and as much of writes while its FMA pipes stay full:
//! the share of a core in a server with all cores busy (300 GB/s over 56 cores, 460 over 96).
//! A larger share of memory would starve the pipes where every core runs.

use super::fma::{LANES_F64, LanesF64};
use super::isa::{Isa, Path};
use super::pattern;
use super::stream::{PIECE_WORDS, Piece};

/// Register-only steps for each line.
const STEPS_PER_LINE: usize = 16;
/// Strands: as many as lines in flight.
const STRANDS: usize = 4;
/// Lanes of a strand: 6 registers of 512 bits or 12 of 256.
const STRAND: usize = LANES_F64 / STRANDS;
/// Words of a line.
const LINE: usize = 8;
/// Lines that a strand reads in a block.
const LINES: usize = PIECE_WORDS / STRANDS / LINE;

/// Floating-point operations of a block.
pub(super) const FLOPS_PER_BLOCK: u64 =
    2 * (LINES * STRANDS * (STEPS_PER_LINE * STRAND + LINE)) as u64;

/// Addends are `BASE` with the bits of `FREE` filled in: [2 - 2^-8, 2 - 2^-9). For addends
/// in [2 - 2e, 2 - e) the interval (-2 + e, 2 - e) maps into itself: nothing can escape.
const BASE: u64 = 0x3FFF_F000_0000_0000;
const FREE: u64 = 0x0000_07FF_FFFF_FFFF;

/// Addends from the first cache: a row a step, two strands' worth in a row. 12 KiB.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Table([[f64; 2 * STRAND]; STEPS_PER_LINE]);

impl Table {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|step| {
            std::array::from_fn(|lane| {
                addend(pattern::word(0x7AB1E, (step * 2 * STRAND + lane) as u64))
            })
        }))
    }
}

/// The sums of the lines read, word by word of a line.
pub(super) type Sums = [u64; LINE];

#[inline(always)]
fn addend(word: u64) -> f64 {
    f64::from_bits(word & FREE | BASE)
}

/// Runs a block: advances the lanes, inverts the piece, returns the sums of its lines.
pub(super) fn run(isa: Isa, lanes: &mut LanesF64, table: &Table, piece: &mut Piece) -> Sums {
    match isa.path() {
        // SAFETY: an `Isa` with this path exists only where the machine has AVX-512F.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { x86::avx512(lanes, table, piece) },
        // SAFETY: an `Isa` with this path exists only where the machine has AVX2 and FMA.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { x86::avx2(lanes, table, piece) },
        _ => portable(lanes, table, piece),
    }
}

fn portable(lanes: &mut LanesF64, table: &Table, piece: &mut Piece) -> Sums {
    let mut sums = Sums::default();
    let strands = lanes.0.as_chunks_mut::<STRAND>().0;
    let quarters = piece.0.as_chunks_mut::<{ PIECE_WORDS / STRANDS }>().0;
    for (s, (strand, quarter)) in strands.iter_mut().zip(quarters).enumerate() {
        for line in quarter.as_chunks_mut::<LINE>().0 {
            for (i, word) in line.iter_mut().enumerate() {
                sums[i] = sums[i].wrapping_add(*word);
                strand[i] = (-strand[i]).mul_add(strand[i], addend(*word));
                *word = !*word;
            }
            for row in &table.0 {
                let row = &row.as_chunks::<STRAND>().0[s % 2];
                for (z, c) in strand.iter_mut().zip(row) {
                    *z = (-*z).mul_add(*z, *c);
                }
            }
        }
    }
    sums
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BASE, FREE, LINE, LINES, STEPS_PER_LINE, STRAND, STRANDS, Sums, Table};
    use super::{LanesF64, Piece};

    /// Lines that are asked for ahead of their use: 16 lines of steps take as long as a
    /// line from busy memory, several times. Asking past the end of a piece is harmless.
    const AHEAD: usize = 16;
    /// Vectors of a strand at 512 bits.
    const WIDE: usize = STRAND / 8;
    /// Vectors of a strand at 256 bits.
    const NARROW: usize = STRAND / 4;

    /// All strands at once: 24 accumulators, four lines in flight.
    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(lanes: &mut LanesF64, table: &Table, piece: &mut Piece) -> Sums {
        let (z_at, rows) = (lanes.0.as_mut_ptr(), table.0.as_ptr().cast::<f64>());
        let words = piece.0.as_mut_ptr();
        let mut sums = _mm512_setzero_si512();
        // SAFETY: vector k reads the lanes 8k..8k+8 of 8 * WIDE * STRANDS, aligned by type.
        let mut z: [_; WIDE * STRANDS] =
            std::array::from_fn(|k| unsafe { _mm512_load_pd(z_at.add(8 * k)) });
        for line in 0..LINES {
            // Quarters lie a power of two apart: a load right after the store to another
            // quarter would wait for it (the low 12 bits agree). So all loads come first.
            // SAFETY: line `line` of quarter `s` lies in the piece, ours alone.
            let at: [*mut __m512i; STRANDS] =
                std::array::from_fn(|s| unsafe { words.add((s * LINES + line) * LINE) }.cast());
            // SAFETY: as above; a piece is aligned to a line.
            let word = at.map(|at| unsafe { _mm512_load_si512(at) });
            for s in 0..STRANDS {
                _mm_prefetch::<_MM_HINT_T0>(at[s].wrapping_add(AHEAD).cast());
                sums = _mm512_add_epi64(sums, word[s]);
                // 0xEA: (a & b) | c. 0x55: not c.
                let c = _mm512_ternarylogic_epi64::<0xEA>(word[s], splat(FREE), splat(BASE));
                let first = &mut z[s * WIDE];
                *first = _mm512_fnmadd_pd(*first, *first, _mm512_castsi512_pd(c));
                let not = _mm512_ternarylogic_epi64::<0x55>(word[s], word[s], word[s]);
                // SAFETY: as for the loads.
                unsafe { _mm512_store_si512(at[s], not) };
            }
            for step in 0..STEPS_PER_LINE {
                // SAFETY: `step` is below the table's rows.
                let row = unsafe { rows.add(step * 2 * STRAND) };
                for k in 0..2 * WIDE {
                    // SAFETY: a row holds two strands and is aligned to a line.
                    let c = unsafe { _mm512_load_pd(row.add(8 * k)) };
                    z[k] = _mm512_fnmadd_pd(z[k], z[k], c);
                    let twin = k + 2 * WIDE;
                    z[twin] = _mm512_fnmadd_pd(z[twin], z[twin], c);
                }
            }
        }
        for (k, z) in z.into_iter().enumerate() {
            // SAFETY: as for the loads of the lanes.
            unsafe { _mm512_store_pd(z_at.add(8 * k), z) };
        }
        let mut out = Sums::default();
        // SAFETY: `out` holds 64 bytes.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sums) };
        out
    }

    #[target_feature(enable = "avx512f")]
    fn splat(word: u64) -> __m512i {
        _mm512_set1_epi64(word as i64)
    }

    /// A strand after the other: 12 accumulators each.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(lanes: &mut LanesF64, table: &Table, piece: &mut Piece) -> Sums {
        let mut sums = [_mm256_setzero_si256(); 2];
        for s in 0..STRANDS {
            // SAFETY: strand `s` of the lanes, of a row and of the piece lie within them;
            // all are aligned to 64 bytes, and so are strands: 48 lanes are six lines.
            unsafe {
                strand_avx2(
                    lanes.0.as_mut_ptr().add(s * STRAND),
                    table.0.as_ptr().cast::<f64>().add(s % 2 * STRAND),
                    piece.0.as_mut_ptr().add(s * LINES * LINE),
                    &mut sums,
                );
            }
        }
        let mut out = Sums::default();
        for (half, sum) in sums.into_iter().enumerate() {
            // SAFETY: `out` holds two halves of 32 bytes.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(4 * half).cast(), sum) };
        }
        out
    }

    /// One strand over its quarter.
    ///
    /// # Safety
    /// `z_at` has `STRAND` lanes, `rows` a strand in each row, `words` a quarter of a piece;
    /// all three are aligned to 32 bytes.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn strand_avx2(
        z_at: *mut f64,
        rows: *const f64,
        words: *mut u64,
        sums: &mut [__m256i; 2],
    ) {
        let (free, base) = (_mm256_set1_epi64x(FREE as i64), _mm256_set1_epi64x(BASE as i64));
        let ones = _mm256_set1_epi64x(-1);
        // SAFETY: the caller's promise, for every access below.
        unsafe {
            let mut z: [_; NARROW] = std::array::from_fn(|k| _mm256_load_pd(z_at.add(4 * k)));
            for line in 0..LINES {
                _mm_prefetch::<_MM_HINT_T0>(words.wrapping_add((line + AHEAD) * LINE).cast());
                for half in 0..2 {
                    let at = words.add(line * LINE + 4 * half).cast::<__m256i>();
                    let word = _mm256_load_si256(at);
                    sums[half] = _mm256_add_epi64(sums[half], word);
                    let c = _mm256_or_si256(_mm256_and_si256(word, free), base);
                    z[half] = _mm256_fnmadd_pd(z[half], z[half], _mm256_castsi256_pd(c));
                    _mm256_store_si256(at, _mm256_xor_si256(word, ones));
                }
                for step in 0..STEPS_PER_LINE {
                    for (k, z) in z.iter_mut().enumerate() {
                        let c = _mm256_load_pd(rows.add(step * 2 * STRAND + 4 * k));
                        *z = _mm256_fnmadd_pd(*z, *z, c);
                    }
                }
            }
            for (k, z) in z.into_iter().enumerate() {
                _mm256_store_pd(z_at.add(4 * k), z);
            }
        }
    }
}
