//! Least squares over numbers that can't be negative: min |y - Ax|^2 with x >= 0.
//!
//! Coordinate descent on columns of ones and zeros: an excess time is caused, never repaid.
//! Deterministic: columns are visited in their order until nothing moves.

/// Sweeps over all columns at most. Fits of a fabric settle within a few hundred; one that
/// doesn't is stopped here with what it has, which is still feasible.
const SWEEPS_MAX: usize = 1_000;
/// A sweep that moves no column by more than this has settled, as a share of the largest
/// value of `y`: far below the noise of any rate.
const SETTLED: f64 = 1e-6;

/// The columns of a 0/1 matrix: for each column the rows in which it is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    rows_of: Vec<Vec<u32>>,
}

impl Columns {
    /// An empty matrix of so many columns.
    pub(super) fn new(columns: usize) -> Self {
        Self { rows_of: vec![Vec::new(); columns] }
    }

    /// Sets one cell to one; each cell at most once.
    pub(super) fn set(&mut self, column: usize, row: u32) {
        self.rows_of[column].push(row);
    }

    /// The rows in which a column is one.
    pub(super) fn rows(&self, column: usize) -> &[u32] {
        &self.rows_of[column]
    }
}

/// What was fitted.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    /// One value for each column, none negative; zero for columns without rows.
    pub(super) x: Vec<f64>,
    /// `y - Ax`.
    pub(super) residual: Vec<f64>,
}

/// Fits by coordinate descent. Every `y` must be finite.
pub(super) fn fit(columns: &Columns, y: &[f64]) -> Fit {
    let mut x = vec![0.0; columns.rows_of.len()];
    let mut residual = y.to_vec();
    let scale = y.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    for _ in 0..SWEEPS_MAX {
        let mut moved = 0.0_f64;
        for (column, rows) in columns.rows_of.iter().enumerate() {
            moved = moved.max(step(rows, &mut x[column], &mut residual).abs());
        }
        if moved <= SETTLED * scale {
            break;
        }
    }
    Fit { x, residual }
}

/// Moves one column to its best value with the others held; how far it went.
fn step(rows: &[u32], x: &mut f64, residual: &mut [f64]) -> f64 {
    if rows.is_empty() {
        return 0.0;
    }
    let sum: f64 = rows.iter().map(|row| residual[*row as usize]).sum();
    let next = (*x + sum / rows.len() as f64).max(0.0);
    let by = next - *x;
    if by != 0.0 {
        rows.iter().for_each(|row| residual[*row as usize] -= by);
        *x = next;
    }
    by
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrix(columns: &[&[u32]]) -> Columns {
        Columns { rows_of: columns.iter().map(|rows| rows.to_vec()).collect() }
    }

    fn near(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-5, "{got} is not {want}");
        }
    }

    #[test]
    fn known_answers() {
        // Two columns that share a row: exactly solvable.
        near(&fit(&matrix(&[&[0, 1], &[1, 2]]), &[1.0, 3.0, 2.0]).x, &[1.0, 2.0]);
        // The unbounded answer has a negative part (x = 1, -1): it is held at zero.
        near(&fit(&matrix(&[&[0, 1], &[1]]), &[1.0, 0.0]).x, &[0.5, 0.0]);
        // Only the mean can be told of rows alike.
        near(&fit(&matrix(&[&[0, 1, 2]]), &[0.0, 1.0, 2.0]).x, &[1.0]);
    }

    #[test]
    fn nothing_measured_is_nothing_found() {
        assert!(fit(&matrix(&[]), &[]).x.is_empty());
        near(&fit(&matrix(&[&[], &[0]]), &[0.5]).x, &[0.0, 0.5]);
        near(&fit(&matrix(&[&[0]]), &[0.0]).x, &[0.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Karush, Kuhn and Tucker: no column wants to move. Where x > 0 its rows'
        /// residuals sum to zero; where x = 0 they don't sum to more than zero.
        #[test]
        fn the_answer_is_feasible_and_nothing_wants_to_move(
            cells in prop::collection::vec(prop::collection::vec(any::<bool>(), 12), 1..6),
            y in prop::collection::vec(0.0..20.0_f64, 12),
        ) {
            let mut columns = Columns::new(cells.len());
            for (column, rows) in cells.iter().enumerate() {
                for row in (0..12).filter(|row| rows[*row]) {
                    columns.set(column, row as u32);
                }
            }
            let fit = fit(&columns, &y);
            for column in 0..cells.len() {
                let x = fit.x[column];
                prop_assert!(x >= 0.0);
                let rows = columns.rows(column);
                let pull: f64 = rows.iter().map(|row| fit.residual[*row as usize]).sum();
                prop_assert!(pull < 1e-3, "column {} wants to grow by {}", column, pull);
                prop_assert!(x < 1e-9 || pull > -1e-3, "column {} wants to shrink", column);
            }
        }
    }
}
