//! A plan on a time axis: who is asked for how much heat between two instants.

use model::Waveform;
use model::course::courses;
use model::load::Kernel;
use model::plan::{Phase, Plan, Traffic};
use model::site::{SelectError, Site};

/// One phase on the run's time axis.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) name: String,
    /// Seconds from the start of the run.
    pub(super) start_s: f64,
    pub(super) seconds: f64,
    /// Of each group of nodes.
    waveforms: Vec<Waveform>,
    /// Of each node: whether it takes part.
    pub(super) on: Vec<bool>,
    /// Of each node: its group, where it heats.
    groups: Vec<Option<usize>>,
    /// What the kernel draws at the highest clock, as a share of the hottest kernel.
    pub(super) intensity: f64,
    /// Transfers between pairs, where the phase has them.
    pub(super) exchange: Option<Exchange>,
}

/// How nodes meet in pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) streams: usize,
    pub(super) both_ways: bool,
    pub(super) quiet: bool,
    /// Whether devices work meanwhile.
    pub(super) loaded: bool,
}

impl Segment {
    /// Mean level of each group between two instants, in seconds from the phase's start.
    pub(super) fn levels(&self, from_s: f64, to_s: f64) -> Vec<f64> {
        let (from_s, to_s) = (from_s.clamp(0.0, self.seconds), to_s.clamp(0.0, self.seconds));
        self.waveforms.iter().map(|waveform| waveform.mean(from_s, to_s)).collect()
    }

    /// A node's level, of those of its group.
    pub(super) fn level_of(&self, node: usize, levels: &[f64]) -> f64 {
        self.groups[node].and_then(|group| levels.get(group)).copied().unwrap_or(0.0)
    }
}

/// The phases of a plan on a site, end to end.
///
/// # Errors
/// When a phase's selector does not fit the site.
pub(super) fn segments(plan: &Plan, site: &Site) -> Result<Vec<Segment>, SelectError> {
    let mut start_s = 0.0;
    let mut segments = Vec::with_capacity(plan.phases.len());
    for phase in &plan.phases {
        let nodes = site.selected(&phase.on)?;
        let mut names: Vec<String> = nodes.iter().map(|&n| site.node(n).name.clone()).collect();
        names.sort();
        let courses = courses(phase, Some(site), &names).map_err(SelectError::Groups)?;
        let mut on = vec![false; site.nodes().len()];
        for node in &nodes {
            on[node.index()] = true;
        }
        let mut groups = vec![None; site.nodes().len()];
        for (group, course) in courses.iter().enumerate() {
            for node in course.nodes.iter().filter_map(|name| site.node_ix(name)) {
                groups[node.index()] = Some(group);
            }
        }
        let seconds = if phase.seconds.is_finite() { phase.seconds.max(0.0) } else { 0.0 };
        segments.push(Segment {
            name: phase.name.clone(),
            start_s,
            seconds,
            waveforms: courses.into_iter().map(|course| course.waveform).collect(),
            on,
            groups,
            intensity: intensity(phase),
            exchange: exchange(phase),
        });
        start_s += seconds;
    }
    Ok(segments)
}

fn exchange(phase: &Phase) -> Option<Exchange> {
    let Some(Traffic::Pairs { streams, both_ways, quiet, .. }) = phase.traffic else { return None };
    let loaded = phase.load.is_some();
    Some(Exchange { streams: (streams as usize).max(1), both_ways, quiet, loaded })
}

/// Arithmetic and memory traffic together draw the most; one of them alone draws less
/// (choices: they only decide whether a kernel reaches the cap).
fn intensity(phase: &Phase) -> f64 {
    match phase.load.map(|load| load.kernel) {
        Some(Kernel::FmaF64) => 0.95,
        Some(Kernel::FmaF32) => 0.9,
        Some(Kernel::Stream | Kernel::L2 | Kernel::Memory) => 0.6,
        Some(Kernel::Copy) => 0.3,
        Some(Kernel::Int8) => 0.9,
        Some(Kernel::Mix | Kernel::Bf16) | None => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_takes_no_part_is_idle() {
        let segment = Segment {
            name: "p".to_owned(),
            start_s: 0.0,
            seconds: 100.0,
            waveforms: vec![Waveform::Ramp { from: 0.0, to: 1.0, over_ns: 100_000_000_000 }],
            on: vec![false, true],
            groups: vec![None, Some(0)],
            intensity: 1.0,
            exchange: None,
        };
        let levels = segment.levels(20.0, 40.0);
        assert_eq!(segment.level_of(0, &levels), 0.0);
        assert!((segment.level_of(1, &levels) - 0.3).abs() < 1e-12);
    }
}
