//! How fast the early alarm is and how often it cries wolf, in simulation: prints the table
//! of `docs/calibration.md`.
//!
//! Every stream is calibrated on a healthy hour of its own, as a real one would be: what
//! the calibration does not know is part of the result. One sample is one second.
//!
//! ```text
//! cargo run --release -p system-tests --bin calibrate-cusum [STREAM_DAYS]
//! ```

use analysis::cusum::{CLIP, Calibration, Cusum, THRESHOLD, THRESHOLD_MANY};

const DAY: usize = 86_400;
/// Healthy samples that a stream is calibrated on.
const HEALTHY: usize = 3_600;
/// Stream-days without a fault, unless the command line says otherwise.
const STREAM_DAYS: usize = 100;
/// Faults of each size; the standard error of a mean delay is then below 1 %.
const FAULTS: usize = 4_000;
/// Samples between calibration and fault: the sum has found its resting place.
const REST: usize = 300;
/// A fault that is not heard in so many samples counts as missed.
const PATIENCE: usize = 3_600;
/// Streams of the many-streams threshold.
const MANY: usize = 201;

/// Noise of one stream, with a standard deviation of one.
#[derive(Clone, Copy)]
enum Noise {
    /// Gaussian, each sample keeping a share of the last.
    Correlated(f64),
    /// Student's t with three degrees of freedom, independent.
    HeavyTails,
    /// Both at once.
    CorrelatedHeavyTails(f64),
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): small, seeded, the same everywhere.
struct Dice {
    state: u64,
    spare: Option<f64>,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), spare: None }
    }

    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Marsaglia's polar method.
    fn gaussian(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (u, v) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let factor = (-2.0 * s.ln() / s).sqrt();
                self.spare = Some(v * factor);
                return u * factor;
            }
        }
    }

    /// Student's t with three degrees of freedom, scaled to a standard deviation of one.
    fn heavy(&mut self) -> f64 {
        let chi2: f64 = (0..3).map(|_| self.gaussian().powi(2)).sum();
        self.gaussian() / chi2.sqrt()
    }
}

/// One stream of noise.
struct Stream {
    dice: Dice,
    noise: Noise,
    last: f64,
}

impl Stream {
    fn new(noise: Noise, seed: u64) -> Self {
        Self { dice: Dice::new(seed), noise, last: 0.0 }
    }

    fn next(&mut self) -> f64 {
        let (kept, fresh) = match self.noise {
            Noise::Correlated(kept) => (kept, self.dice.gaussian()),
            Noise::HeavyTails => (0.0, self.dice.heavy()),
            Noise::CorrelatedHeavyTails(kept) => (kept, self.dice.heavy()),
        };
        self.last = kept * self.last + (1.0 - kept * kept).sqrt() * fresh;
        self.last
    }

    /// An alarm that knows this stream from a healthy hour.
    fn alarm(&mut self, streams: usize) -> Option<Cusum> {
        let healthy: Vec<f64> = (0..HEALTHY).map(|_| self.next()).collect();
        Some(Cusum::new(Calibration::of(&healthy).ok()?, streams))
    }
}

/// Alarms of healthy streams.
fn false_alarms(noise: Noise, days: usize, streams: usize) -> usize {
    (0..days)
        .map(|day| {
            let mut stream = Stream::new(noise, 1 + day as u64);
            let Some(mut alarm) = stream.alarm(streams) else { return 0 };
            (0..DAY).filter(|_| alarm.step(stream.next()).is_some()).count()
        })
        .sum()
}

/// Seconds from the onset of a shift, in standard deviations of the noise, to the alarm:
/// the mean, the 95th percentile, and how many faults were missed.
fn delays(noise: Noise, shift: f64, streams: usize) -> (f64, usize, usize) {
    let mut heard = Vec::new();
    for fault in 0..FAULTS {
        let mut stream = Stream::new(noise, 1_000_000 + fault as u64);
        let Some(mut alarm) = stream.alarm(streams) else { continue };
        for _ in 0..REST {
            alarm.step(stream.next());
        }
        heard.extend((1..=PATIENCE).find(|_| alarm.step(stream.next() + shift).is_some()));
    }
    heard.sort_unstable();
    let mean = heard.iter().sum::<usize>() as f64 / heard.len().max(1) as f64;
    let p95 = heard.get(heard.len() * 95 / 100).copied().unwrap_or(PATIENCE);
    (mean, p95, FAULTS - heard.len())
}

fn main() {
    let days = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(STREAM_DAYS);
    let kinds = [
        ("Gaussian, correlation 0", Noise::Correlated(0.0)),
        ("Gaussian, correlation 0.2", Noise::Correlated(0.2)),
        ("Gaussian, correlation 0.5", Noise::Correlated(0.5)),
        ("heavy tails (t, 3 df)", Noise::HeavyTails),
        ("heavy tails, correlation 0.5", Noise::CorrelatedHeavyTails(0.5)),
    ];
    for (streams, threshold) in [(1, THRESHOLD), (MANY, THRESHOLD_MANY)] {
        println!(
            "Threshold {threshold} (for {} streams), clip {CLIP} sigma, calibrated on {HEALTHY} samples.\n",
            if streams == 1 { "up to 200" } else { "more than 200" },
        );
        println!(
            "| noise | false alarms in {days} stream-days | delay at 1 sigma: mean (p95) s | \
             at 2 sigma | at 3 sigma | missed |"
        );
        println!("|---|---|---|---|---|---|");
        for (name, noise) in kinds {
            let wolves = false_alarms(noise, days, streams);
            let found = [1.0, 2.0, 3.0].map(|shift| delays(noise, shift, streams));
            let cells = found.map(|(mean, p95, _)| format!("{mean:.1} ({p95})"));
            let missed: usize = found.iter().map(|(_, _, missed)| missed).sum();
            println!("| {name} | {wolves} | {} | {missed} |", cells.join(" | "));
        }
        println!();
    }
}
