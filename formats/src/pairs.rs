//! Pairs: one row per directed transfer.

use crate::table::{Column, Row, Slot, TableReader, TableWriter};

pub use model::table::PairRow;

/// Reads pairs in batches.
pub type PairReader = TableReader<PairRow>;
/// Writes pairs.
pub type PairWriter = TableWriter<PairRow>;

impl Row for PairRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::needed("time", Slot::Time(|row| &mut row.time_ns)),
        Column::needed("round", Slot::Index(|row| &mut row.round)),
        Column::needed("src", Slot::Name(|row| &mut row.src)),
        Column::needed("dst", Slot::Name(|row| &mut row.dst)),
        Column::needed("sport", Slot::Whole(|row| &mut row.sport)),
        Column::needed("gbps", Slot::Real(|row| &mut row.gbps)),
        Column::optional("dport", Slot::Whole(|row| &mut row.dport)),
        Column::optional("seconds", Slot::Real(|row| &mut row.seconds)),
        Column::optional("nic", Slot::Text(|row| &mut row.nic)),
        Column::optional("load", Slot::Text(|row| &mut row.load)),
        Column::optional("via", Slot::Text(|row| &mut row.via)),
        Column::optional("rtt_p50_us", Slot::Real(|row| &mut row.rtt_p50_us)),
        Column::optional("rtt_p99_us", Slot::Real(|row| &mut row.rtt_p99_us)),
        Column::optional("rtt_max_us", Slot::Real(|row| &mut row.rtt_max_us)),
        Column::optional("retransmits", Slot::Whole(|row| &mut row.retransmits)),
    ];
}
