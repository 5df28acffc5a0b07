//! The constants of a simulated facility. Defaults describe a liquid-cooled hall of 700 W
//! devices; each says where it comes from, or that it is a choice.

/// Everything that may be set about a world beside its site, plan, faults and seed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Physics {
    pub device: DeviceModel,
    pub thermal: ThermalModel,
    pub cooling: CoolingModel,
    pub power: PowerModel,
    pub sensors: SensorModel,
    pub meters: MeterModel,
    pub tails: Tails,
}

/// Parts that are worse than a normal distribution has them: healthy fleets have heavy tails
/// (72 nodes of V100s: a few stand alone, no cabinet does). None by default.
#[derive(Debug, Clone, PartialEq)]
pub struct Tails {
    /// Share of devices and nodes whose parts come from a wider distribution.
    pub share: f64,
    /// How much wider.
    pub factor: f64,
}

impl Default for Tails {
    fn default() -> Self {
        Self { share: 0.0, factor: 3.0 }
    }
}

/// How a device turns power into clock and work.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceModel {
    /// Board power limit in W (H100/H200 SXM data sheet: 700 W). Known models of a site
    /// bring their own.
    pub cap_w: f64,
    /// Draw without load, as a share of the cap (H100: about 75 of 700 W).
    pub idle_share: f64,
    /// Highest clock in MHz (H100 SXM: 1980).
    pub clock_max_mhz: f64,
    /// Clock without load in MHz.
    pub clock_idle_mhz: f64,
    /// Lowest clock under load in MHz (V100: 277 of 1530 seen while throttled).
    pub clock_floor_mhz: f64,
    /// What the hottest kernel would draw at the highest clock, as a share of the cap.
    pub demand_share: f64,
    /// Leakage at `leak_at_c`, as a share of the cap.
    pub leak_share: f64,
    /// Growth of leakage per kelvin, as a share of the cap: with the exponent below it makes
    /// the -0.13 % of clock per kelvin that 392 V100s at their cap showed.
    pub leak_share_per_k: f64,
    pub leak_at_c: f64,
    /// Dynamic power grows with clock to this power (frequency times voltage squared, above
    /// the knee of the voltage curve).
    pub clock_exponent: f64,
    /// Coefficient of variation of work per second between devices at the cap (V100 SGEMM:
    /// 2.0 %).
    pub perf_spread: f64,
    /// The same within one device, from row to row (V100 SGEMM: 0.12 %).
    pub perf_repeat: f64,
    /// Spread of the idle draw between devices.
    pub idle_spread: f64,
    /// Work per second of a nominal device at its highest clock, in GFLOP/s or GB/s.
    pub perf_at_max: f64,
    /// The driver begins to slow a device here, in degrees Celsius.
    pub slowdown_c: f64,
    /// The hardware halves the clock here.
    pub hw_slowdown_c: f64,
}

impl Default for DeviceModel {
    fn default() -> Self {
        Self {
            cap_w: 700.0,
            idle_share: 0.11,
            clock_max_mhz: 1_980.0,
            clock_idle_mhz: 345.0,
            clock_floor_mhz: 345.0,
            demand_share: 1.25,
            leak_share: 0.10,
            leak_share_per_k: 0.0027,
            leak_at_c: 60.0,
            clock_exponent: 2.4,
            perf_spread: 0.02,
            perf_repeat: 0.0012,
            idle_spread: 0.03,
            perf_at_max: 50_000.0,
            slowdown_c: 87.0,
            hw_slowdown_c: 92.0,
        }
    }
}

/// The two-stage thermal chain between a device and what cools it. Resistances are for a
/// cap of 700 W and scale inversely with another cap.
#[derive(Debug, Clone, PartialEq)]
pub struct ThermalModel {
    /// Junction to cold plate, K/W and s (A100: tau about 3 s).
    pub r1_k_per_w: f64,
    pub t1_s: f64,
    /// Cold plate to coolant, the part that does not care for flow, K/W.
    pub r2_solid_k_per_w: f64,
    /// Film between plate and coolant at nominal flow, K/W; goes with flow to -0.8
    /// (Dittus-Boelter, turbulent).
    pub r2_film_k_per_w: f64,
    /// Half the coolant's own rise through the node at nominal flow, K per W of a device;
    /// goes with 1/flow.
    pub r2_caloric_k_per_w: f64,
    /// Time constant of the second stage at nominal flow; grows with its resistance.
    pub t2_s: f64,
    /// Air-cooled nodes: resistance of the second stage as a multiple of the liquid one.
    pub air_factor: f64,
    /// Spread between devices of the first resistance (interface, seating).
    pub device_spread: f64,
    /// Spread between nodes of the second (their share of the flow). In V100 nodes 62 % of
    /// the variance of temperature lay between nodes, 35 % between devices of a node.
    pub node_spread: f64,
    /// Kelvin at full load by which a slot downstream of another runs hotter.
    pub slot_k: f64,
    /// Kelvin at full load from one end of a row to the other, at most.
    pub row_gradient_k: f64,
    /// Kelvin at full load from the first to the furthest node of a manifold, at most.
    pub manifold_gradient_k: f64,
    /// Memory above the junction at full load, in kelvin.
    pub memory_k: f64,
}

impl Default for ThermalModel {
    fn default() -> Self {
        Self {
            r1_k_per_w: 0.022,
            t1_s: 3.0,
            r2_solid_k_per_w: 0.008,
            r2_film_k_per_w: 0.014,
            r2_caloric_k_per_w: 0.008,
            t2_s: 40.0,
            air_factor: 1.35,
            device_spread: 0.05,
            node_spread: 0.05,
            slot_k: 4.0,
            row_gradient_k: 1.5,
            manifold_gradient_k: 1.5,
            memory_k: 6.0,
        }
    }
}

/// Coolant, air and what makes them cold.
#[derive(Debug, Clone, PartialEq)]
pub struct CoolingModel {
    /// Facility water in degrees Celsius.
    pub facility_water_c: f64,
    /// Set point of the coolant supply.
    pub supply_set_c: f64,
    /// How much better the exchanger is than its full load needs (1.0 = just enough).
    pub exchanger_margin: f64,
    /// Time constant of a loop's supply in s.
    pub loop_s: f64,
    /// Nominal flow in L/min per kW of electrical load (published design range 1.0 to 1.5).
    pub flow_lpm_per_kw: f64,
    /// Share of a liquid-cooled node's heat that goes into the liquid.
    pub capture: f64,
    /// L/min and K that carry one kW: 14.4 (water near 30 degrees).
    pub lpm_k_per_kw: f64,
    /// Cold air at the rack in degrees Celsius.
    pub inlet_air_c: f64,
    /// Kelvin that a liquid-cooled device warms per kelvin of inlet air.
    pub air_coupling: f64,
    /// Spread between loops of the controlled supply, in kelvin.
    pub loop_spread_k: f64,
    /// Spread between air zones of the inlet, in kelvin.
    pub zone_spread_k: f64,
    /// Amplitude in K with which a loop's valve hunts around its set point, and the shortest
    /// period in s; a loop's own is up to three times that.
    pub hunting_k: f64,
    pub hunting_s: f64,
}

impl Default for CoolingModel {
    fn default() -> Self {
        Self {
            facility_water_c: 26.0,
            supply_set_c: 30.0,
            exchanger_margin: 1.4,
            loop_s: 60.0,
            flow_lpm_per_kw: 1.2,
            capture: 0.8,
            lpm_k_per_kw: 14.4,
            inlet_air_c: 24.0,
            air_coupling: 0.35,
            loop_spread_k: 0.3,
            zone_spread_k: 0.3,
            hunting_k: 0.15,
            hunting_s: 600.0,
        }
    }
}

/// Supplies between the building and a node.
#[derive(Debug, Clone, PartialEq)]
pub struct PowerModel {
    /// Processors, fans and cards of a node in W, without and with load on its devices.
    pub host_idle_w: f64,
    pub host_load_w: f64,
    /// Of a node's power supplies.
    pub psu_efficiency: f64,
    /// Shares of the two feeds differ from half by this much (standard deviation).
    pub side_spread: f64,
    /// Share of a node's draw on its first phase; the other two have the rest.
    pub first_phase_share: f64,
    /// Line to line, where the site does not say.
    pub volts: f64,
    /// Impedance of one phase between UPS and PDU outlet, in ohm, and its spread.
    pub pdu_ohm: f64,
    /// The UPS's own impedance as a share of what its full load would drop (regulated).
    pub ups_droop: f64,
    pub ohm_spread: f64,
    pub power_factor: f64,
    /// Clock while the power brake is pulled, as a share (NVML: halved or worse).
    pub brake_clock: f64,
    /// A lost feed pulls the brake for this long, in s, before the cap takes over.
    pub feed_brake_s: f64,
}

impl Default for PowerModel {
    fn default() -> Self {
        Self {
            host_idle_w: 900.0,
            host_load_w: 1_300.0,
            psu_efficiency: 0.94,
            side_spread: 0.01,
            first_phase_share: 0.36,
            volts: 415.0,
            pdu_ohm: 0.010,
            ups_droop: 0.005,
            ohm_spread: 0.08,
            power_factor: 0.98,
            brake_clock: 0.5,
            feed_brake_s: 2.0,
        }
    }
}

/// What a device's own sensors make of the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorModel {
    /// Age of a power reading in s (averaging window and update period, 100 ms each).
    pub power_lag_s: f64,
    /// Gain error of power between units, standard deviation (one A100 against a meter:
    /// -5.5 %, published tolerance 5 %).
    pub power_gain: f64,
    /// Noise of one power reading in W.
    pub power_noise_w: f64,
    /// Offset of temperature between units in K, standard deviation.
    pub temp_offset_k: f64,
    pub temp_noise_k: f64,
    /// Whole degrees.
    pub temp_step_c: f64,
    /// Step of the clock in MHz.
    pub clock_step_mhz: f64,
    /// Share of readings that are lost, each by itself.
    pub dropout: f64,
    /// Share of devices that lack a temperature sensor.
    pub missing: f64,
    /// Step and offset of inlet air and coolant sensors in K.
    pub inlet_step_c: f64,
    pub inlet_offset_k: f64,
}

impl Default for SensorModel {
    fn default() -> Self {
        Self {
            power_lag_s: 0.1,
            power_gain: 0.015,
            power_noise_w: 3.0,
            temp_offset_k: 0.5,
            temp_noise_k: 0.3,
            temp_step_c: 1.0,
            clock_step_mhz: 15.0,
            dropout: 0.002,
            missing: 0.0,
            inlet_step_c: 0.5,
            inlet_offset_k: 0.4,
        }
    }
}

/// What the building's meters make of the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterModel {
    /// Seconds between readings of power meters, and of cooling meters.
    pub power_refresh_s: f64,
    pub cooling_refresh_s: f64,
    /// Gain error between power meters, standard deviation.
    pub gain: f64,
    pub power_step_kw: f64,
    pub volt_step: f64,
    pub amp_step: f64,
    /// Noise of a voltage reading (other tenants, the utility), in V.
    pub volt_noise: f64,
    /// Offset of temperature sensors in K (published +-0.3 K) and step in K.
    pub temp_offset_k: f64,
    pub temp_step_c: f64,
    /// Gain error between flow meters, standard deviation (published +-2 %), step in L/min.
    pub flow_gain: f64,
    pub flow_step_lpm: f64,
    /// Clock error of a meter in ms, standard deviation.
    pub clock_error_ms: f64,
}

impl Default for MeterModel {
    fn default() -> Self {
        Self {
            power_refresh_s: 5.0,
            cooling_refresh_s: 10.0,
            gain: 0.01,
            power_step_kw: 0.01,
            volt_step: 0.1,
            amp_step: 0.1,
            volt_noise: 0.15,
            temp_offset_k: 0.15,
            temp_step_c: 0.1,
            flow_gain: 0.01,
            flow_step_lpm: 0.1,
            clock_error_ms: 400.0,
        }
    }
}
