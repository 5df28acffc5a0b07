//! The last minutes of power, or of level where no power is measured: a value a second.

use std::collections::VecDeque;
use std::time::Duration;

use proto::v1;

use super::node::watts;

/// Seconds that are kept: as wide as any terminal that is drawn to.
const KEPT: usize = 600;

/// What the fleet did in one second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    second: u64,
    /// Sum over the nodes that measure; `None` where none does.
    pub(super) kw: Option<f64>,
    /// Mean commanded level, 0 to 1.
    pub(super) level: f64,
}

/// The course of a run, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Course(VecDeque<Moment>);

impl Course {
    /// Takes a status in; the last one of a second stands for it.
    pub(super) fn add(&mut self, now: Duration, status: &v1::RunStatus) {
        let moment = Moment::of(now.as_secs(), status);
        match self.0.back_mut() {
            Some(last) if last.second == moment.second => *last = moment,
            _ => self.0.push_back(moment),
        }
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The last moments, oldest first: so many at most.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &Moment> {
        self.0.iter().skip(self.0.len().saturating_sub(count))
    }

    /// Whether any moment has a measured power.
    pub(super) fn is_measured(&self) -> bool {
        self.0.iter().any(|moment| moment.kw.is_some())
    }
}

impl Moment {
    /// What a status says of all nodes.
    pub(super) fn of(second: u64, status: &v1::RunStatus) -> Self {
        let there = || status.nodes.iter().filter(|node| node.state != "lost");
        let watts: Vec<f64> = there().filter_map(watts).collect();
        let levels: f64 = there().map(|node| node.level).sum();
        Self {
            second,
            kw: (!watts.is_empty()).then(|| watts.iter().sum::<f64>() / 1e3),
            level: levels / there().count().max(1) as f64,
        }
    }
}
