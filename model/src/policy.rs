//! The policy: by which gates and floors a run is judged. A value; `formats` reads it.

/// What the judge takes as given. The default has no gates; the built-in policy is a document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// Telemetry that nobody of ours recorded: somebody vouches that its load was commanded.
    pub load_was_commanded: bool,
    /// In the order of the document.
    pub gates: Vec<Gate>,
    pub floors: Floors,
}

impl Policy {
    /// The limit of a gate by its name.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<f64> {
        self.gates.iter().find(|gate| gate.name == name).map(|gate| gate.limit)
    }
}

/// One limit that a measured value is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Ends in `_most` or `_least`, which says the direction.
    pub name: String,
    pub limit: f64,
    pub unit: String,
    /// Where the limit comes from.
    pub source: String,
}

/// What an effect must pass before it may be called one, however significant it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floors {
    /// Least temperature difference that matters, in kelvin.
    pub temp_k: f64,
    /// Least power difference that matters, in percent.
    pub power_percent: f64,
    /// Least clock difference that matters, in percent.
    pub clock_percent: f64,
    /// Least difference in work per second that matters, in percent.
    pub perf_percent: f64,
    /// Least difference in thermal resistance that matters, in percent of the median.
    pub r_th_percent: f64,
    /// Least difference in bandwidth that matters, in percent.
    pub bandwidth_percent: f64,
    /// A node is a hit beyond this many median absolute deviations.
    pub hit_mads: f64,
    /// Least share of a group's reporting nodes that are hits, 0..=1.
    pub coverage_least: f64,
    /// Largest share of hits outside the group, 0..=1.
    pub outside_hits_most: f64,
    /// Largest false discovery rate of a confirmed finding, 0..=1.
    pub q_value_most: f64,
    /// Fewest reporting nodes of a group that may be blamed.
    pub group_nodes_least: u32,
    /// Largest share of planned evidence that may be missing before the verdict is
    /// INCONCLUSIVE, 0..=1.
    pub missing_most: f64,
}

/// The floors of the built-in policy: proposals for want of published limits, 3 % of work per second and 5 % of bandwidth as
/// common acceptance practice.
impl Default for Floors {
    fn default() -> Self {
        Self {
            temp_k: 3.0,
            power_percent: 2.0,
            clock_percent: 2.0,
            perf_percent: 3.0,
            r_th_percent: 5.0,
            bandwidth_percent: 5.0,
            hit_mads: 3.0,
            coverage_least: 0.6,
            outside_hits_most: 0.1,
            q_value_most: 0.05,
            group_nodes_least: 3,
            missing_most: 0.1,
        }
    }
}
