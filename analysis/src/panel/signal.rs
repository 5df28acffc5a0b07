//! Signals: the figures in which a weak part of a building shows, each with its bad direction.

use model::policy::Floors;

/// One figure of a device or node. The position is [`Signal::index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Temperature, in kelvin above like devices.
    Temp,
    /// Thermal resistance against the reference that the panel names, as a share.
    RTh,
    /// Coolant or air that reaches the device, in kelvin above like devices.
    Supply,
    /// Share of the time in thermal throttling (software or hardware).
    ThermalThrottle,
    /// Power, as a share.
    Power,
    /// Enforced power limit, as a share.
    PowerLimit,
    /// Share of the time with the external power brake pulled.
    Brake,
    /// Clock, as a share.
    Clock,
    /// Work per second, as a share.
    Perf,
    /// The node reported, then fell silent while others went on (nodes only).
    Silent,
}

/// The physics that a signal belongs to: two signals of one physics are one witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Physics {
    Heat,
    Electricity,
    Speed,
    Presence,
}

/// Shares of time below this are a few samples, not a state.
const SHARE_FLOOR: f64 = 0.02;
/// Half of a domain's nodes silent: fewer are told one by one.
const SILENT_FLOOR: f64 = 0.5;

impl Signal {
    /// How many there are.
    pub const COUNT: usize = 10;
    /// Every signal, by its index.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Temp,
        Self::RTh,
        Self::Supply,
        Self::ThermalThrottle,
        Self::Power,
        Self::PowerLimit,
        Self::Brake,
        Self::Clock,
        Self::Perf,
        Self::Silent,
    ];

    /// Position in tables with one entry a signal.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name of the figure in reports.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::Temp => "temp_c",
            Self::RTh => "r_th_k_per_w",
            Self::Supply => "supply_c",
            Self::ThermalThrottle => "throttle_thermal_share",
            Self::Power => "power_w",
            Self::PowerLimit => "power_limit_w",
            Self::Brake => "throttle_power_brake_share",
            Self::Clock => "clock_mhz",
            Self::Perf => "perf",
            Self::Silent => "silent_nodes_share",
        }
    }

    /// Unit of an absolute difference.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Temp | Self::Supply => "K",
            Self::RTh => "K/W",
            Self::ThermalThrottle | Self::Brake => "of the time",
            Self::Silent => "of the nodes",
            Self::Power | Self::PowerLimit => "W",
            Self::Clock => "MHz",
            Self::Perf => "work/s",
        }
    }

    /// +1 where more is bad, -1 where less is.
    #[must_use]
    pub fn bad(self) -> f64 {
        match self {
            Self::Temp
            | Self::RTh
            | Self::Supply
            | Self::ThermalThrottle
            | Self::Brake
            | Self::Silent => 1.0,
            Self::Power | Self::PowerLimit | Self::Clock | Self::Perf => -1.0,
        }
    }

    /// Whether differences are shares of the reference; otherwise they are in the unit.
    #[must_use]
    pub fn is_relative(self) -> bool {
        matches!(self, Self::RTh | Self::Power | Self::PowerLimit | Self::Clock | Self::Perf)
    }

    /// Whether it is a share of time or of nodes, mostly zero.
    #[must_use]
    pub fn is_share(self) -> bool {
        matches!(self, Self::ThermalThrottle | Self::Brake | Self::Silent)
    }

    /// The physics that it belongs to.
    #[must_use]
    pub fn physics(self) -> Physics {
        match self {
            Self::Temp | Self::RTh | Self::Supply | Self::ThermalThrottle => Physics::Heat,
            Self::Power | Self::PowerLimit | Self::Brake => Physics::Electricity,
            Self::Clock | Self::Perf => Physics::Speed,
            Self::Silent => Physics::Presence,
        }
    }

    /// The least difference that matters, in the residual's own unit.
    #[must_use]
    pub fn floor(self, floors: &Floors) -> f64 {
        match self {
            Self::Temp | Self::Supply => floors.temp_k,
            Self::RTh => floors.r_th_percent / 100.0,
            Self::ThermalThrottle | Self::Brake => SHARE_FLOOR,
            Self::Silent => SILENT_FLOOR,
            Self::Power | Self::PowerLimit => floors.power_percent / 100.0,
            Self::Clock => floors.clock_percent / 100.0,
            Self::Perf => floors.perf_percent / 100.0,
        }
    }

    /// The least standard deviation that can be claimed: sensors step by 1 degree, so that
    /// equal values still differ by 1/sqrt(12); sketches state half a percent.
    #[must_use]
    pub fn least_sigma(self) -> f64 {
        match self {
            Self::Temp | Self::Supply => 0.289,
            Self::RTh => 0.01,
            Self::ThermalThrottle | Self::Brake | Self::Silent => 0.005,
            Self::Power | Self::PowerLimit | Self::Clock | Self::Perf => 0.003,
        }
    }
}
