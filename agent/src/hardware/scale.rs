//! A scale on top of every waveform: what a coordinator lowers while a load runs.
//! Pure: instants are arguments.

/// From one scale straight to another. Instants are CLOCK_MONOTONIC nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    from: f64,
    to: f64,
    at_ns: u64,
    over_ns: u64,
}

impl Default for Scale {
    fn default() -> Self {
        Self { from: 1.0, to: 1.0, at_ns: 0, over_ns: 0 }
    }
}

impl Scale {
    /// The scale at an instant, 0..=1.
    #[must_use]
    pub fn at(self, now_ns: u64) -> f64 {
        let since = now_ns.saturating_sub(self.at_ns);
        if since >= self.over_ns {
            return self.to;
        }
        self.from + (self.to - self.from) * since as f64 / self.over_ns as f64
    }

    /// Where it goes.
    #[must_use]
    pub fn target(self) -> f64 {
        self.to
    }

    /// Whether its last change was one downwards.
    #[must_use]
    pub fn falls(self) -> bool {
        self.to < self.from
    }

    /// From where it is now straight to `to`. What is no number is zero: no heat.
    #[must_use]
    pub fn towards(self, to: f64, now_ns: u64, over_ns: u64) -> Self {
        let to = if to.is_nan() { 0.0 } else { to.clamp(0.0, 1.0) };
        Self { from: self.at(now_ns), to, at_ns: now_ns, over_ns }
    }
}

/// A ceiling over every level, scale included: while it holds no level rises any more.
/// It sinks with the level that it stands over.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ceiling {
    scale: Scale,
    holds: bool,
}

impl Ceiling {
    /// The highest level allowed at an instant, 0..=1.
    #[must_use]
    pub fn at(self, now_ns: u64) -> f64 {
        self.scale.at(now_ns)
    }

    /// Whether levels may not rise.
    #[must_use]
    pub fn holds(self) -> bool {
        self.holds
    }

    /// Holds at the present level, or lets it up again over a time.
    #[must_use]
    pub fn set(self, holds: bool, level: f64, now_ns: u64, over_ns: u64) -> Self {
        match (self.holds, holds) {
            (false, true) => Self { scale: self.scale.towards(level, now_ns, 0), holds },
            (true, false) => Self { scale: self.scale.towards(1.0, now_ns, over_ns), holds },
            _ => self,
        }
    }

    /// Sinks to the present level where that is lower.
    #[must_use]
    pub fn sink(self, level: f64, now_ns: u64) -> Self {
        if self.holds && level < self.at(now_ns) {
            return Self { scale: self.scale.towards(level, now_ns, 0), ..self };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_sinks_with_the_level_and_comes_up_over_a_time() {
        let held = Ceiling::default().set(true, 0.6, 100, 0);
        assert_eq!((held.at(100), held.set(true, 0.9, 150, 0)), (0.6, held));
        let sunk = held.sink(0.4, 200).sink(0.5, 210);
        assert_eq!(sunk.at(300), 0.4);
        let up = sunk.set(false, 0.4, 300, 100);
        assert!((up.at(350) - 0.7).abs() < 1e-12 && up.at(400) >= 1.0);
        assert_eq!(up.sink(0.1, 500).at(500), 1.0, "one that does not hold does not sink");
    }

    #[test]
    fn a_scale_goes_straight_and_stays() {
        let scale = Scale::default().towards(0.5, 100, 200);
        assert_eq!(
            [scale.at(100), scale.at(200), scale.at(300), scale.at(999)],
            [1.0, 0.75, 0.5, 0.5]
        );
        let back = scale.towards(1.0, 200, 100);
        assert_eq!([back.at(200), back.at(300)], [0.75, 1.0]);
    }

    #[test]
    fn nonsense_heats_nothing() {
        assert_eq!(Scale::default().towards(f64::NAN, 0, 0).at(0), 0.0);
        assert_eq!(Scale::default().towards(7.0, 0, 0).at(0), 1.0);
    }
}
