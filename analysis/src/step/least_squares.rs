//! Least squares for given time constants, and the search for the best of them.

use super::StepPoint;

/// Time constants on the grid: from one to the next about a sixth, over four decades.
const GRID: usize = 56;
/// Shortest time constant that is tried, in seconds.
const TAU_MIN_S: f64 = 0.5;
/// Longest one, in lengths of the record: far beyond what it can show, so that the search
/// does not end at the edge of what is believed.
const TAU_MAX_RECORDS: f64 = 5.0;
/// The slow part is at least so much slower: closer ones are one part to any sensor.
const APART: f64 = 3.0;
/// Rounds of refinement; each narrows the grid around the best by [`NARROWER`].
const ROUNDS: usize = 6;
const NARROWER: f64 = 0.4;
/// Share of a column's sum of squares below which two columns are the same one.
const SINGULAR: f64 = 1e-9;

/// The record, with its mean taken out.
pub(super) struct Record {
    seconds: Vec<f64>,
    temp: Vec<f64>,
    mean: f64,
    squares: f64,
    step_w: f64,
}

/// What fits best.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    pub(super) t0: f64,
    pub(super) r1: f64,
    pub(super) t1: f64,
    pub(super) r2: f64,
    pub(super) t2: f64,
    /// Sum of squares left.
    pub(super) squares: f64,
}

/// A column 1 - e^(-t/tau), times the step, with its mean taken out.
struct Column {
    tau: f64,
    values: Vec<f64>,
    mean: f64,
    /// Product with the temperatures.
    with_temp: f64,
    squares: f64,
}

/// The grid.
pub(super) struct Search {
    columns: Vec<Column>,
    /// From one time constant to the next.
    ratio: f64,
}

impl Record {
    pub(super) fn new(points: &[StepPoint], step_w: f64) -> Self {
        let n = points.len() as f64;
        let mean = points.iter().map(|point| point.temp_c).sum::<f64>() / n;
        let temp: Vec<f64> = points.iter().map(|point| point.temp_c - mean).collect();
        let squares = temp.iter().map(|t| t * t).sum();
        let seconds = points.iter().map(|point| point.seconds).collect();
        Self { seconds, temp, mean, squares, step_w }
    }

    fn column(&self, tau: f64) -> Column {
        let raw: Vec<f64> =
            self.seconds.iter().map(|t| -self.step_w * (-t / tau).exp_m1()).collect();
        let mean = raw.iter().sum::<f64>() / raw.len() as f64;
        let values: Vec<f64> = raw.into_iter().map(|value| value - mean).collect();
        let with_temp = dot(&values, &self.temp);
        let squares = dot(&values, &values);
        Column { tau, values, mean, with_temp, squares }
    }

    /// The best resistance for one time constant, not below zero.
    fn one(&self, a: &Column) -> Best {
        let r1 = if a.squares > 0.0 { (a.with_temp / a.squares).max(0.0) } else { 0.0 };
        let squares = self.squares - r1 * (2.0 * a.with_temp - r1 * a.squares);
        let t0 = self.mean - r1 * a.mean;
        Best { t0, r1, t1: a.tau, r2: 0.0, t2: a.tau, squares: squares.max(0.0) }
    }

    /// The best resistances for two time constants, not below zero.
    fn two(&self, a: &Column, b: &Column) -> Best {
        let ab = dot(&a.values, &b.values);
        let determinant = a.squares * b.squares - ab * ab;
        if determinant > SINGULAR * a.squares * b.squares {
            let r1 = (a.with_temp * b.squares - b.with_temp * ab) / determinant;
            let r2 = (b.with_temp * a.squares - a.with_temp * ab) / determinant;
            if r1 >= 0.0 && r2 >= 0.0 {
                let left = |i: usize| self.temp[i] - r1 * a.values[i] - r2 * b.values[i];
                let squares = (0..self.temp.len()).map(|i| left(i) * left(i)).sum();
                let t0 = self.mean - r1 * a.mean - r2 * b.mean;
                return Best { t0, r1, t1: a.tau, r2, t2: b.tau, squares };
            }
        }
        let (with_a, with_b) = (self.one(a), self.one(b));
        if with_a.squares <= with_b.squares { with_a } else { with_b }
    }
}

impl Search {
    pub(super) fn new(record: &Record) -> Self {
        let longest = record.seconds.last().copied().unwrap_or(0.0) * TAU_MAX_RECORDS;
        let ratio = (longest.max(2.0 * TAU_MIN_S) / TAU_MIN_S).powf(1.0 / (GRID - 1) as f64);
        let mut tau = TAU_MIN_S;
        let mut columns = Vec::with_capacity(GRID);
        for _ in 0..GRID {
            columns.push(record.column(tau));
            tau *= ratio;
        }
        Self { columns, ratio }
    }

    /// The best single exponential.
    pub(super) fn one(&self, record: &Record) -> Best {
        let mut best = least(self.columns.iter().map(|a| record.one(a)));
        let mut ratio = self.ratio;
        for _ in 0..ROUNDS {
            let around = [1.0 / ratio, ratio].map(|factor| record.column(best.t1 * factor));
            best = least(around.iter().map(|a| record.one(a)).chain([best]));
            ratio = ratio.powf(NARROWER);
        }
        best
    }

    /// The best pair.
    pub(super) fn two(&self, record: &Record) -> Best {
        let pairs = self.columns.iter().flat_map(|b| self.faster(b).map(move |a| (a, b)));
        let mut best = least(pairs.map(|(a, b)| record.two(a, b)));
        let mut ratio = self.ratio;
        for _ in 0..ROUNDS {
            let factors = [1.0 / ratio, 1.0 / ratio.sqrt(), 1.0, ratio.sqrt(), ratio];
            let fast = factors.map(|factor| record.column(best.t1 * factor));
            let slow = factors.map(|factor| record.column(best.t2 * factor));
            let pairs = fast.iter().flat_map(|a| slow.iter().map(move |b| (a, b)));
            let pairs = pairs.filter(|(a, b)| a.tau * APART <= b.tau);
            best = least(pairs.map(|(a, b)| record.two(a, b)).chain([best]));
            ratio = ratio.powf(NARROWER);
        }
        best
    }

    /// The longest single time constant of the grid that leaves no more than so much.
    pub(super) fn highest_one(&self, record: &Record, squares: f64) -> f64 {
        let fits = self.columns.iter().rev().find(|a| record.one(a).squares <= squares);
        fits.map_or(0.0, |a| a.tau)
    }

    /// The longest slow time constant of the grid that leaves no more than so much, with
    /// whatever fast one.
    pub(super) fn highest_two(&self, record: &Record, squares: f64) -> f64 {
        let fits = |b: &&Column| self.faster(b).any(|a| record.two(a, b).squares <= squares);
        self.columns.iter().rev().find(fits).map_or(0.0, |b| b.tau)
    }

    fn faster<'a>(&'a self, slow: &Column) -> impl Iterator<Item = &'a Column> {
        let most = slow.tau / APART;
        self.columns.iter().take_while(move |a| a.tau <= most)
    }
}

/// The one that leaves least; of equals the first.
fn least(candidates: impl Iterator<Item = Best>) -> Best {
    let none =
        Best { t0: f64::NAN, r1: 0.0, t1: TAU_MIN_S, r2: 0.0, t2: TAU_MIN_S, squares: f64::MAX };
    candidates.fold(none, |best, next| if next.squares < best.squares { next } else { best })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
