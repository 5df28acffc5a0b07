//! The shape of a phase: its kind's own keys.

use model::plan::{By, PhaseKind, Training};
use model::site::DomainKind;

use super::mend_word;
use super::phase::SECONDS_MAX;
use crate::document::Table;

/// Shortest time that a level may last, in seconds: workers change level every 5 ms.
const LEVEL_SECONDS_LEAST: f64 = 0.01;
/// Shortest period of a wave, in seconds: two levels.
const PERIOD_SECONDS_LEAST: f64 = 2.0 * LEVEL_SECONDS_LEAST;
/// Most steps of a staircase.
const STEPS_MAX: u64 = 10_000;

/// Keys of shapes.
pub(super) const KEYS: [&str; 18] = [
    "from_percent",
    "to_percent",
    "low_percent",
    "high_percent",
    "period_seconds",
    "up_at_seconds",
    "down_at_seconds",
    "by",
    "steps",
    "step_seconds",
    "delay_seconds",
    "ramp_seconds",
    "reduce_percent",
    "checkpoint_percent",
    "compute_seconds",
    "reduce_seconds",
    "checkpoint_every_seconds",
    "checkpoint_seconds",
];

/// Those that belong to a kind.
pub(super) fn keys_of(word: &str) -> &'static [&'static str] {
    match word {
        "ramp" => &["from_percent", "to_percent"],
        "step" => &["low_percent", "high_percent", "up_at_seconds", "down_at_seconds"],
        "square" | "sine" => &["low_percent", "high_percent", "period_seconds"],
        "staircase" => &["low_percent", "high_percent", "by", "steps", "step_seconds"],
        "stagger" => &["low_percent", "high_percent", "by", "delay_seconds", "ramp_seconds"],
        "training" => &[
            "high_percent",
            "reduce_percent",
            "checkpoint_percent",
            "compute_seconds",
            "reduce_seconds",
            "checkpoint_every_seconds",
            "checkpoint_seconds",
        ],
        _ => &[],
    }
}

/// The kind of a word with its keys, and the highest level in percent.
pub(super) fn kind(
    table: &Table<'_, '_>,
    word: &str,
    percent: Option<f64>,
    seconds: Option<f64>,
) -> Option<(PhaseKind, f64)> {
    let keys = Keys { table, percent, seconds: seconds.unwrap_or(SECONDS_MAX) };
    let top = percent.unwrap_or(100.0);
    Some(match word {
        "idle" => (PhaseKind::Idle, top),
        "hold" => (PhaseKind::Hold, top),
        "collective" => (PhaseKind::Collective, top),
        "pairs" => (PhaseKind::Pairs, top),
        "rtt" => (PhaseKind::Rtt, top),
        "ramp" => {
            let from_percent = keys.share("from_percent").unwrap_or(0.0);
            let to_percent = keys.top("to_percent");
            (PhaseKind::Ramp { from_percent, to_percent }, to_percent)
        }
        "step" => keys.step(),
        "square" => {
            let (low_percent, high_percent, period_seconds) = keys.wave();
            (PhaseKind::Square { low_percent, high_percent, period_seconds }, high_percent)
        }
        "sine" => {
            let (low_percent, high_percent, period_seconds) = keys.wave();
            (PhaseKind::Sine { low_percent, high_percent, period_seconds }, high_percent)
        }
        "staircase" => keys.staircase(),
        "stagger" => keys.stagger(),
        "training" => keys.training(),
        _ => return None,
    })
}

/// The keys of one phase.
struct Keys<'a, 'd, 't> {
    table: &'a Table<'d, 't>,
    percent: Option<f64>,
    /// Of the phase.
    seconds: f64,
}

impl Keys<'_, '_, '_> {
    fn share(&self, key: &str) -> Option<f64> {
        self.table.number(key, 0.0..=100.0, "percent")
    }

    /// The highest level: the key, or the load's percentage.
    fn top(&self, key: &str) -> f64 {
        let given = self.share(key);
        if let (Some(given), Some(percent)) = (given, self.percent)
            && given.total_cmp(&percent).is_ne()
        {
            let what = format!("{key} = {given} contradicts load.percent = {percent}");
            self.table.wrong(key, what, "keep one of the two");
        }
        given.or(self.percent).unwrap_or(100.0)
    }

    fn levels(&self, word: &str) -> (f64, f64) {
        let low = self.share("low_percent").unwrap_or(0.0);
        let high = self.top("high_percent");
        if low >= high {
            let what = format!("low_percent = {low} is not below {high}");
            self.table.wrong(
                "low_percent",
                what,
                format!("a {word} needs a lower and a higher level"),
            );
        }
        (low, high)
    }

    /// A time within the phase.
    fn within(&self, key: &str, least: f64) -> Option<f64> {
        self.table.number(key, least..=self.seconds.max(least), "seconds")
    }

    /// Low, high and period of a wave.
    fn wave(&self) -> (f64, f64, f64) {
        let (low, high) = self.levels("wave");
        let most = self.seconds.max(PERIOD_SECONDS_LEAST);
        let period = self.within("period_seconds", PERIOD_SECONDS_LEAST);
        (low, high, period.unwrap_or_else(|| most.min(2.0)))
    }

    fn step(&self) -> (PhaseKind, f64) {
        let (low_percent, high_percent) = self.levels("step");
        let third = self.seconds / 3.0;
        let up_at_seconds = self.within("up_at_seconds", 0.0).unwrap_or(third);
        let down_at_seconds = self.within("down_at_seconds", 0.0).unwrap_or(2.0 * third);
        if down_at_seconds - up_at_seconds < LEVEL_SECONDS_LEAST {
            let what = format!("down at {down_at_seconds} s is not after up at {up_at_seconds} s");
            let key =
                if self.table.has("down_at_seconds") { "down_at_seconds" } else { "up_at_seconds" };
            self.table.wrong(key, what, "let the load stay up for a while");
        }
        let kind = PhaseKind::Step { low_percent, high_percent, up_at_seconds, down_at_seconds };
        (kind, high_percent)
    }

    fn staircase(&self) -> (PhaseKind, f64) {
        let (low_percent, high_percent) = self.levels("staircase");
        let by = self.by();
        let steps = self.table.whole("steps", 1..=STEPS_MAX).and_then(|n| u32::try_from(n).ok());
        // Ten steps of a tenth: the staged ramp of acceptance.
        let steps = if by.is_none() { steps.or(Some(10)) } else { steps };
        let step_seconds = self.within("step_seconds", LEVEL_SECONDS_LEAST);
        if let (Some(steps), Some(step)) = (steps, step_seconds)
            && step * f64::from(steps) > self.seconds
        {
            let asked = step * f64::from(steps);
            let what = format!(
                "{steps} steps of {step} s take {asked} s, and the phase has {}",
                self.seconds
            );
            self.table.wrong("step_seconds", what, "lengthen the phase, or shorten the steps");
        }
        let kind = PhaseKind::Staircase { low_percent, high_percent, by, steps, step_seconds };
        (kind, high_percent)
    }

    fn stagger(&self) -> (PhaseKind, f64) {
        let (low_percent, high_percent) = self.levels("stagger");
        self.table.need("by", "by = \"rack\"");
        self.table.need("delay_seconds", "delay_seconds = 10");
        let kind = PhaseKind::Stagger {
            low_percent,
            high_percent,
            by: self.by().unwrap_or(By::Node),
            delay_seconds: self.within("delay_seconds", 0.0).unwrap_or(0.0),
            ramp_seconds: self.within("ramp_seconds", 0.0).unwrap_or(0.0),
        };
        (kind, high_percent)
    }

    fn training(&self) -> (PhaseKind, f64) {
        let compute_percent = self.top("high_percent");
        let time = |key: &str, usual: f64| {
            let given = self.table.number(key, LEVEL_SECONDS_LEAST..=SECONDS_MAX, "seconds");
            given.unwrap_or(usual)
        };
        // Two fifths of computing while gradients travel, nothing while a checkpoint is written.
        let training = Training {
            compute_percent,
            reduce_percent: self.share("reduce_percent").unwrap_or(compute_percent * 0.4),
            checkpoint_percent: self.share("checkpoint_percent").unwrap_or(0.0),
            compute_seconds: time("compute_seconds", 1.5),
            reduce_seconds: time("reduce_seconds", 0.5),
            checkpoint_every_seconds: time("checkpoint_every_seconds", 600.0),
            checkpoint_seconds: time("checkpoint_seconds", 30.0),
        };
        for (key, percent) in [
            ("reduce_percent", training.reduce_percent),
            ("checkpoint_percent", training.checkpoint_percent),
        ] {
            if percent > compute_percent {
                let what = format!("{key} = {percent} is above the {compute_percent} of compute");
                self.table.wrong(key, what, "computing is the highest level of a training");
            }
        }
        (PhaseKind::Training(training), compute_percent)
    }

    fn by(&self) -> Option<By> {
        let at = self.table.text_at("by")?;
        if at.value == By::Node.word() {
            return Some(By::Node);
        }
        let known = DomainKind::from_word(&at.value).map(By::Domain);
        if known.is_none() {
            let what = format!("unknown domain kind \"{}\"", at.value.escape_debug());
            let mut words = vec![By::Node.word()];
            words.extend(DomainKind::ALL.map(DomainKind::word));
            self.table.document.add(&at.span, what, mend_word(&at.value, &words));
        }
        known
    }
}
