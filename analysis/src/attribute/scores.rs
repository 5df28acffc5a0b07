//! Scores: residuals in standard deviations, in the bad direction, clipped so that one
//! terrible node can't speak for its rack.

use crate::middle::{median, sigma};
use crate::panel::{Signal, Values};

use super::class::Class;

/// Clip of a score: beyond four standard deviations a node is bad, how bad is another
/// question. A rack of four with one such node then scores 1 on average.
const CLIP: f64 = 4.0;
/// Added to the variance of all scores: a signal in which one class explains everything
/// has no residual variance, and its likelihood no bound.
const RIDGE: f64 = 0.05;

/// One row a reporting node.
pub(super) struct Scores {
    rows: Vec<[f64; Signal::COUNT]>,
    /// Standard deviation of a row's score over all rows.
    spread: [f64; Signal::COUNT],
    mean: [f64; Signal::COUNT],
    /// Signals that at least half of the nodes have.
    pub(super) usable: [bool; Signal::COUNT],
}

impl Scores {
    /// Scores of the nodes' residuals.
    pub(super) fn new(residuals: &[Values]) -> Self {
        let mut scores = Self {
            rows: vec![[0.0; Signal::COUNT]; residuals.len()],
            spread: [0.0; Signal::COUNT],
            mean: [0.0; Signal::COUNT],
            usable: [false; Signal::COUNT],
        };
        for signal in Signal::ALL {
            scores.fill(signal, residuals);
        }
        scores
    }

    fn fill(&mut self, signal: Signal, residuals: &[Values]) {
        let i = signal.index();
        let values: Vec<f64> = residuals.iter().filter_map(|row| row[i]).collect();
        let Some(middle) = median(&values).filter(|_| 2 * values.len() >= residuals.len()) else {
            return;
        };
        let sigma = sigma(&values, middle).unwrap_or(0.0).max(signal.least_sigma());
        for (row, residual) in self.rows.iter_mut().zip(residuals) {
            // A node without a value sits in the middle: it speaks for nobody.
            let value = residual[i].unwrap_or(middle);
            row[i] = (signal.bad() * (value - middle) / sigma).clamp(-CLIP, CLIP);
        }
        let count = self.rows.len() as f64;
        let mean = self.rows.iter().map(|row| row[i]).sum::<f64>() / count;
        let square = self.rows.iter().map(|row| (row[i] - mean).powi(2)).sum::<f64>() / count;
        self.mean[i] = mean;
        self.spread[i] = square.sqrt();
        self.usable[i] = self.spread[i] > 0.0;
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Studentised difference of a class's mean score from the others', per signal. `seat`
    /// says which row sits at which position: the identity, or a shuffle.
    pub(super) fn contrast(&self, class: &Class, seat: &[usize]) -> [f64; Signal::COUNT] {
        let mut sums = [0.0; Signal::COUNT];
        for node in &class.nodes {
            for (sum, score) in sums.iter_mut().zip(&self.rows[seat[*node]]) {
                *sum += score;
            }
        }
        let (inside, all) = (class.nodes.len() as f64, self.rows.len() as f64);
        let outside = all - inside;
        let mut contrast = [0.0; Signal::COUNT];
        for i in 0..Signal::COUNT {
            if self.usable[i] {
                let rest = self.mean[i] * all - sums[i];
                let difference = sums[i] / inside - rest / outside;
                contrast[i] = difference / (self.spread[i] * (1.0 / inside + 1.0 / outside).sqrt());
            }
        }
        contrast
    }

    /// Log-likelihood that a class explains of a signal with this contrast (Gaussian, own
    /// mean for the class): -n/2 ln(1 - R^2).
    pub(super) fn gain(&self, signal: Signal, contrast: f64) -> f64 {
        if contrast <= 0.0 {
            return 0.0;
        }
        let all = self.rows.len() as f64;
        let variance = self.spread[signal.index()].powi(2);
        let explained = contrast.powi(2) / all * variance / (variance + RIDGE);
        -0.5 * all * (1.0 - explained.min(1.0 - 1e-9)).ln()
    }
}
