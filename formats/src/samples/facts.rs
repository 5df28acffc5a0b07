//! What reading a table of samples tells besides its rows.

/// Facts of a table of samples, to be said to the operator.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SampleFacts {
    /// Columns of the file that are not known here: ignored, to be named once.
    pub unknown_columns: Vec<String>,
    /// Columns that the file does not have: not measured.
    pub absent_columns: Vec<&'static str>,
    /// Rows read, with those that were dropped.
    pub rows: u64,
    /// Cells that were NaN or infinite: taken as not measured.
    pub not_finite: u64,
    /// Rows that were there already, equal in every known column: dropped.
    pub duplicates: u64,
    /// Rows that were not compared with the others, because the table has more than
    /// [`super::DUPLICATE_ROWS_MAX`].
    pub not_compared: u64,
    /// Rows whose time lies before that of the row before of the same device: counted
    /// where they stand, for somebody's clock jumped or the table is not in order.
    pub clock_backwards: u64,
}

impl SampleFacts {
    /// Adds what another part of the same table told.
    pub(super) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.not_finite += other.not_finite;
        self.duplicates += other.duplicates;
        self.not_compared += other.not_compared;
        self.clock_backwards += other.clock_backwards;
    }
}
