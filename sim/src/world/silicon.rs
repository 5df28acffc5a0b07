//! One device: from what is asked of it and how warm it is to clock and power.

use crate::physics::DeviceModel;

/// What a device model of a site means in watts. Published board limits.
const BOARDS: &[(&str, f64)] = &[
    ("gb300", 1_400.0),
    ("gb200", 1_200.0),
    ("b300", 1_100.0),
    ("b200", 1_000.0),
    ("mi355", 1_400.0),
    ("mi300", 750.0),
    ("h200", 700.0),
    ("h100", 700.0),
    ("a100", 400.0),
    ("l40s", 350.0),
    ("v100", 300.0),
];

/// Board power limit in W of a device model; the default's where it is not known.
pub(super) fn cap_w(model: Option<&str>, default: &DeviceModel) -> f64 {
    let word = model.unwrap_or_default().to_lowercase();
    let board = BOARDS.iter().find(|(name, _)| word.contains(name));
    board.map_or(default.cap_w, |(_, cap)| *cap)
}

/// What one device is asked for and what bounds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// Share of the time that it is busy, 0..=1.
    pub(super) level: f64,
    /// Draw without load, W.
    pub(super) idle_w: f64,
    /// Leakage at its temperature, W.
    pub(super) leak_w: f64,
    /// Dynamic power at the highest clock, W.
    pub(super) dynamic_w: f64,
    /// Mean power that it may draw, W.
    pub(super) limit_w: f64,
}

/// What a device then does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Act {
    /// Mean power, W.
    pub(super) power_w: f64,
    /// Clock while busy, as a share of the highest.
    pub(super) clock: f64,
    /// Whether the limit holds it.
    pub(super) capped: bool,
}

impl Ask {
    /// Mean power at a clock.
    pub(super) fn power_at(&self, clock: f64, exponent: f64) -> f64 {
        self.idle_w * (1.0 - self.level)
            + self.level * (self.leak_w + self.dynamic_w * clock.powf(exponent))
    }

    /// Mean power under the limit, unless the lowest clock draws more: all that a first
    /// guess needs, at a tenth of the price of [`Ask::act`].
    pub(super) fn power_w(&self) -> f64 {
        let idle = self.idle_w * (1.0 - self.level);
        let least = idle + self.level * self.leak_w;
        (least + self.level * self.dynamic_w).min(self.limit_w.max(least))
    }

    /// The highest clock under the limit, not below `floor`.
    pub(super) fn act(&self, exponent: f64, floor: f64) -> Act {
        let idle = self.idle_w * (1.0 - self.level);
        let full = idle + self.level * (self.leak_w + self.dynamic_w);
        if full <= self.limit_w || self.level <= 0.0 {
            return Act { power_w: full, clock: 1.0, capped: false };
        }
        let left = ((self.limit_w - idle) / self.level - self.leak_w).max(0.0);
        let clock = (left / self.dynamic_w).powf(1.0 / exponent);
        if clock < floor {
            return Act { power_w: self.power_at(floor, exponent), clock: floor, capped: true };
        }
        Act { power_w: self.limit_w, clock, capped: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(level: f64, limit_w: f64) -> Ask {
        Ask { level, idle_w: 77.0, leak_w: 70.0, dynamic_w: 805.0, limit_w }
    }

    #[test]
    fn at_the_cap_power_is_the_cap_and_the_clock_gives_way() {
        let act = ask(1.0, 700.0).act(2.4, 0.2);
        assert_eq!(act.power_w, 700.0);
        assert!((ask(1.0, 700.0).power_at(act.clock, 2.4) - 700.0).abs() < 1e-9);
        assert!((act.clock - (630.0_f64 / 805.0).powf(1.0 / 2.4)).abs() < 1e-12);
    }

    #[test]
    fn below_the_cap_the_clock_is_the_highest() {
        let act = ask(0.5, 700.0).act(2.4, 0.2);
        assert_eq!((act.clock, act.capped), (1.0, false));
        assert!((act.power_w - (38.5 + 437.5)).abs() < 1e-9);
    }

    #[test]
    fn a_limit_below_what_the_floor_draws_cannot_be_kept() {
        let act = ask(1.0, 50.0).act(2.4, 0.2);
        assert!(act.capped && act.clock == 0.2 && act.power_w > 70.0);
    }

    #[test]
    fn known_boards_bring_their_own_cap() {
        let default = DeviceModel::default();
        assert_eq!(cap_w(Some("NVIDIA A100-SXM4-80GB"), &default), 400.0);
        assert_eq!(cap_w(Some("Tesla V100"), &default), 300.0);
        assert_eq!(cap_w(None, &default), default.cap_w);
    }
}
