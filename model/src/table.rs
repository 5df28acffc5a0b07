//! Rows of the tables that people hand us or take away. `formats` reads and writes them,
//! `sim` makes them up, `analysis` digests them.

/// What one device felt; `None` is not measured, never zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampleRow {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Empty when the location is unknown.
    pub node: String,
    /// Index in the node.
    pub device: u32,
    pub phase: Option<String>,
    /// A job or repetition: rows of one block are compared with each other.
    pub block: Option<String>,
    pub uuid: Option<String>,
    /// The word of the kernel that made the heat.
    pub kernel: Option<String>,
    /// Mean over the row's interval, in watts.
    pub power_w: Option<f64>,
    /// In degrees Celsius, like every temperature here.
    pub temp_c: Option<f64>,
    pub temp_max_c: Option<f64>,
    pub mem_temp_c: Option<f64>,
    pub inlet_air_c: Option<f64>,
    pub coolant_supply_c: Option<f64>,
    pub clock_mhz: Option<f64>,
    pub clock_min_mhz: Option<f64>,
    /// Share of the device that was busy, 0..=1.
    pub busy: Option<f64>,
    /// Work per second, higher is better.
    pub perf: Option<f64>,
    pub power_limit_w: Option<f64>,
    /// Kelvin to the nearest temperature at which the device slows down.
    pub margin_c: Option<f64>,
    /// Energy counter, in joules, since whenever.
    pub energy_j: Option<f64>,
    /// Counters of seconds with a lowered clock, by reason, since whenever.
    pub sw_power_cap_s: Option<f64>,
    pub sw_thermal_s: Option<f64>,
    pub hw_thermal_s: Option<f64>,
    pub power_brake_s: Option<f64>,
    /// NVML's bit mask.
    pub clock_event_reasons: Option<u64>,
    pub ecc_uncorrected: Option<u64>,
    pub xid: Option<u64>,
}

/// One directed transfer; `None` is not measured, never zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairRow {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Transfers of one round ran at the same time.
    pub round: u32,
    /// Node that sent.
    pub src: String,
    /// Node that received.
    pub dst: String,
    /// Source port: with the addresses it decides the path through the fabric.
    pub sport: Option<u64>,
    /// Gbit/s of the payload.
    pub gbps: Option<f64>,
    pub dport: Option<u64>,
    /// Five-tuples that the rate is the sum of; 1 where nothing is said.
    pub streams: Option<u32>,
    pub seconds: Option<f64>,
    /// Network card of the sender.
    pub nic: Option<String>,
    /// `idle` or `loaded`.
    pub load: Option<String>,
    /// The spine or link that carried it, when known.
    pub via: Option<String>,
    pub rtt_p50_us: Option<f64>,
    pub rtt_p99_us: Option<f64>,
    pub rtt_max_us: Option<f64>,
    pub retransmits: Option<u64>,
}

/// One reading of one meter; `None` is not measured, never zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MeterRow {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Id of the domain in the site.
    pub domain: String,
    /// `power_kw`, `supply_c`, `current_a.l2`, ...
    pub point: String,
    pub value: Option<f64>,
    pub unit: Option<String>,
    /// `good` or `suspect`.
    pub quality: Option<String>,
    /// How far the meter's clock may be off, in milliseconds.
    pub clock_error_ms: Option<f64>,
}
