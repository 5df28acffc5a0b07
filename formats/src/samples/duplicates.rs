//! Rows that are there twice.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use model::SampleColumns;
use model::sample_columns::{Metric, Names};

/// Tables with more rows are not searched for duplicates beyond: the hashes of so many
/// take about 80 MB. Two different rows share a hash with a chance of 5 in 10 million a
/// table of this size.
pub const DUPLICATE_ROWS_MAX: u64 = 1 << 22;

/// Hashes of the rows that were seen.
#[derive(Debug)]
pub(super) struct Duplicates {
    seen: HashSet<u64>,
    /// Rows that may still be compared.
    left: usize,
}

impl Duplicates {
    pub(super) fn new(compared_max: u64) -> Self {
        let left = usize::try_from(compared_max).unwrap_or(usize::MAX);
        Self { seen: HashSet::new(), left }
    }

    /// Drops rows that are equal to earlier ones in every column. Returns how many were
    /// dropped and how many were not compared.
    pub(super) fn drop_from(&mut self, columns: &mut SampleColumns) -> (u64, u64) {
        let hashes = hashes(columns);
        let compared = hashes.len().min(self.left);
        self.left -= compared;
        let mut keep: Vec<bool> =
            hashes[..compared].iter().map(|hash| self.seen.insert(*hash)).collect();
        keep.resize(hashes.len(), true);
        let dropped = keep.iter().filter(|keep| !**keep).count();
        if dropped > 0 {
            columns.keep(&keep);
        }
        (dropped as u64, (hashes.len() - compared) as u64)
    }
}

/// One hash a row, column by column.
fn hashes(columns: &SampleColumns) -> Vec<u64> {
    let mut hashes = vec![0_u64; columns.rows()];
    fold(&mut hashes, columns.time_ns.iter().map(|time| *time as u64));
    fold(&mut hashes, columns.device.iter().map(|device| u64::from(*device)));
    let names = [&columns.phase, &columns.block, &columns.uuid].map(Option::as_ref);
    for names in names.into_iter().chain([Some(&columns.node)]).flatten() {
        let texts: Vec<u64> = names.values.iter().map(|text| hash_of(text)).collect();
        fold(&mut hashes, keys(names, &texts));
    }
    for metric in Metric::ALL {
        if let Some(column) = &columns.reals[metric.index()] {
            fold(&mut hashes, column.iter().map(|real| real.to_bits()));
        }
    }
    let wholes = [&columns.clock_event_reasons, &columns.ecc_uncorrected, &columns.xid];
    for column in wholes.into_iter().flatten() {
        // A null and its neighbour in value are told apart by the bit above.
        let bits = |whole: &Option<u64>| whole.map_or(1, |whole| whole.rotate_left(1) ^ 2);
        fold(&mut hashes, column.iter().map(bits));
    }
    hashes
}

fn keys<'a>(names: &'a Names, texts: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
    names.keys.iter().map(|key| texts.get(*key as usize).copied().unwrap_or(0))
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Stirs a value into each hash: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)
/// over the running hash plus an odd constant, so that columns do not commute.
fn fold(hashes: &mut [u64], values: impl Iterator<Item = u64>) {
    for (hash, value) in hashes.iter_mut().zip(values) {
        let mut z =
            hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(value ^ 0xd1b5_4a32_d192_ed03);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *hash = z ^ (z >> 31);
    }
}
