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

#[cfg(test)]
mod tests {
    use super::*;

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
