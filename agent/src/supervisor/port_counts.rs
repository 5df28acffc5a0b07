//! By how much the network ports' counters grew in each phase.

use model::record::{PortCount, PortCounts, Record};

use super::Supervisor;
use crate::sensors::PortCounters;

/// A phase that is being counted. Instants are CLOCK_MONOTONIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortSpan {
    phase: String,
    from_ns: u64,
    to_ns: u64,
    /// The last value of each counter that was ever read: one that can't be read for a while,
    /// or ever again, has told what it told.
    last: PortCounters,
    grown: PortCounters,
}

impl PortSpan {
    fn new(phase: String, at_ns: u64, counters: PortCounters) -> Self {
        let grown = PortCounters::new();
        Self { phase, from_ns: at_ns, to_ns: at_ns, last: counters, grown }
    }

    /// Goes on to these counters. One that was set back, as by a driver that was loaded again,
    /// counts from zero; one that was not there before tells nothing yet.
    fn reach(&mut self, at_ns: u64, counters: PortCounters) {
        self.to_ns = at_ns;
        for (key, now) in counters {
            if let Some(before) = self.last.get(&key) {
                let count = now.checked_sub(*before).unwrap_or(now);
                if count > 0 {
                    *self.grown.entry(key.clone()).or_default() += count;
                }
            }
            self.last.insert(key, now);
        }
    }

    /// What grew.
    fn counts(&self, tell: impl Fn(u64) -> i64) -> PortCounts {
        let grown = self.grown.iter().map(|((port, counter), count)| PortCount {
            port: port.clone(),
            counter: counter.clone(),
            count: *count,
        });
        let mut ports: Vec<String> = self.last.keys().map(|(port, _)| port.clone()).collect();
        ports.dedup();
        PortCounts {
            time_ns: tell(self.to_ns),
            span_ns: self.to_ns - self.from_ns,
            phase: self.phase.clone(),
            ports,
            grown: grown.collect(),
        }
    }
}

impl Supervisor {
    pub(super) fn take_ports(&mut self, at_ns: u64, counters: PortCounters) {
        let Some(run) = &self.run else { return };
        let phase = run.phase_at(at_ns).map(|phase| phase.name.clone()).unwrap_or_default();
        let Some(span) = &mut self.port_span else {
            self.port_span = Some(PortSpan::new(phase, at_ns, counters));
            return;
        };
        span.reach(at_ns, counters);
        if span.phase != phase {
            let counters = span.last.clone();
            self.record_ports();
            self.port_span = Some(PortSpan::new(phase, at_ns, counters));
        }
    }

    /// Says what was counted until now, and counts no further.
    pub(super) fn record_ports(&mut self) {
        let Some(span) = self.port_span.take() else { return };
        let clock = self.parts.clock;
        self.spool(&[Record::Ports(span.counts(|at_ns| clock.tell(at_ns)))]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(counts: &[(&str, &str, u64)]) -> PortCounters {
        let keyed = counts
            .iter()
            .map(|(port, name, count)| (((*port).to_owned(), (*name).to_owned()), *count));
        keyed.collect()
    }

    #[test]
    fn growth_is_told_and_what_stands_still_is_not() {
        let first = counters(&[("a", "x", 5), ("a", "y", 9), ("b", "x", 100)]);
        let mut span = PortSpan::new("hold".to_owned(), 1_000, first);
        span.reach(2_000, counters(&[("a", "x", 8), ("a", "y", 9), ("b", "x", 140)]));
        // The card of b is loaded anew, and that of a falls off the bus.
        span.reach(4_000, counters(&[("b", "x", 3), ("c", "x", 7)]));
        let counts = span.counts(|at_ns| at_ns as i64 + 1);
        assert_eq!((counts.time_ns, counts.span_ns, counts.phase.as_str()), (4_001, 3_000, "hold"));
        assert_eq!(counts.ports, ["a", "b", "c"]);
        let told: Vec<(&str, u64)> =
            counts.grown.iter().map(|grown| (grown.port.as_str(), grown.count)).collect();
        // The one that was set back counts from zero, the new one not at all.
        assert_eq!(told, [("a", 3), ("b", 43)]);
    }
}
