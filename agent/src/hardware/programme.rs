//! Which order a core serves at an instant, and at what level. Pure: `now` is an argument.
//!
//! Every core of a device holds one and is told the same commands, so all of them change
//! over at the same instants without asking each other.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Ceiling, LoadCommand, LoadOrder, Scale};
use crate::time_base::TimeBase;

/// Most orders that wait. A plan sends a phase or two ahead.
pub(in crate::hardware) const ORDERS_QUEUED_MAX: usize = 64;

/// A supervisor that lives leads its loads down at its lease's end. One that hangs does not, and
/// what it leaves comes down by itself so long after.
const LEASE_GRACE_NS: u64 = 100_000_000;

/// Points of a level's mean over a span: exact for straight lines.
const MEAN_POINTS: u64 = 16;

/// The order being served.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::hardware) struct Active {
    pub(in crate::hardware) order: Arc<LoadOrder>,
    /// Counts the orders of this run: tells two with the same start apart.
    pub(in crate::hardware) serial: u64,
    ramp: Option<RampDown>,
    scale: Scale,
    ceiling: Ceiling,
    /// Of a load that holds watts; 1 for all others. The coordinator's scale outranks it.
    power: Scale,
    /// The waveform's time: bent by corrections.
    base: TimeBase,
}

/// The operator's stop: straight from a level to zero.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RampDown {
    at_ns: u64,
    over_ns: u64,
    from: f64,
}

impl Active {
    /// The level commanded at an instant.
    pub(in crate::hardware) fn level_at(&self, at_ns: u64) -> f64 {
        match self.ramp {
            Some(RampDown { at_ns: began, over_ns, from }) if at_ns >= began => {
                let left = over_ns.saturating_sub(at_ns - began);
                from * left as f64 / over_ns.max(1) as f64
            }
            _ => {
                let level = self.order.waveform.level_at(self.base.phase_ns(at_ns));
                (level * self.scale.at(at_ns).min(self.power.at(at_ns))).min(self.ceiling.at(at_ns))
            }
        }
    }

    /// When the waveform jumps next after an instant, where its levels last a frame at least.
    pub(in crate::hardware) fn edge_after(&self, at_ns: u64, frame_ns: u64) -> Option<u64> {
        let edge = self.order.waveform.edge_after(self.base.phase_ns(at_ns), frame_ns)?;
        // Rounding may put the edge upon the instant itself; it lies ahead.
        Some(self.base.monotonic_ns(edge).max(at_ns + 1))
    }

    /// The mean level commanded over a span.
    pub(in crate::hardware) fn mean_level(&self, from_ns: u64, to_ns: u64) -> f64 {
        let span = to_ns.saturating_sub(from_ns);
        let at = |i| from_ns + span * (2 * i + 1) / (2 * MEAN_POINTS);
        (0..MEAN_POINTS).map(|i| self.level_at(at(i))).sum::<f64>() / MEAN_POINTS as f64
    }

    /// When the load ends by itself. A ramp runs to its end: cutting it short would be the
    /// step that it is there to avoid.
    fn end_ns(&self) -> u64 {
        self.ramp.map_or(self.order.end_ns, |ramp| ramp.at_ns + ramp.over_ns)
    }
}

/// What changed when time passed.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::hardware) enum Change {
    /// This order ended at that instant.
    Ended(Active, u64),
    /// The active order is a new one.
    Began,
}

/// The active order and those that wait.
#[derive(Debug)]
pub(in crate::hardware) struct Programme {
    active: Option<Active>,
    queue: VecDeque<(u64, Arc<LoadOrder>)>,
    /// Both hold for every order until they are changed.
    scale: Scale,
    ceiling: Ceiling,
    /// When heat must come down by itself, and over what; nothing before the first lease.
    lease: Option<(u64, u64)>,
}

impl Programme {
    pub(in crate::hardware) fn new() -> Self {
        let queue = VecDeque::with_capacity(ORDERS_QUEUED_MAX);
        let (scale, ceiling) = (Scale::default(), Ceiling::default());
        Self { active: None, queue, scale, ceiling, lease: None }
    }

    /// Adds an order behind those that start no later. False when too many wait.
    pub(in crate::hardware) fn begin(&mut self, serial: u64, order: Arc<LoadOrder>) -> bool {
        if self.queue.len() == ORDERS_QUEUED_MAX {
            return false;
        }
        let at = self.queue.partition_point(|(_, other)| other.start_ns <= order.start_ns);
        self.queue.insert(at, (serial, order));
        true
    }

    /// Turns the present level into a ramp to zero and forgets what waits.
    pub(in crate::hardware) fn ramp(&mut self, at_ns: u64, over_ns: u64) {
        self.queue.clear();
        if let Some(active) = &mut self.active {
            let from = active.level_at(at_ns);
            active.ramp = Some(RampDown { at_ns, over_ns, from });
        }
    }

    /// Without a lease everything comes down, whoever else has not noticed.
    fn obey_lease(&mut self, now_ns: u64) {
        let Some((expires_ns, ramp_ns)) = self.lease else { return };
        let at_ns = expires_ns + LEASE_GRACE_NS;
        let heats = self.active.as_ref().is_some_and(|active| active.ramp.is_none());
        if heats && now_ns >= at_ns {
            self.ramp(at_ns, ramp_ns);
        }
    }

    /// Scales this order and those to come. A ramp to zero goes on as it began.
    pub(super) fn scale(&mut self, at_ns: u64, to: f64, over_ns: u64, no_rise: bool) {
        self.ceiling = self.ceiling.set(no_rise, self.level_at(at_ns), at_ns, over_ns);
        self.scale = self.scale.towards(to, at_ns, over_ns);
        if let Some(active) = &mut self.active {
            (active.scale, active.ceiling) = (self.scale, self.ceiling);
        }
    }

    /// The level commanded now; zero between orders.
    fn level_at(&self, at_ns: u64) -> f64 {
        self.active.as_ref().map_or(0.0, |active| active.level_at(at_ns))
    }

    /// A ceiling that holds sinks with the level.
    fn sink(&mut self, now_ns: u64) {
        if self.ceiling.holds() {
            self.ceiling = self.ceiling.sink(self.level_at(now_ns), now_ns);
            if let Some(active) = &mut self.active {
                active.ceiling = self.ceiling;
            }
        }
    }

    /// Scales the active order, if it holds watts: none that comes later inherits it.
    fn power(&mut self, at_ns: u64, to: f64, over_ns: u64) {
        if let Some(active) = &mut self.active
            && active.order.power_scale.is_some()
        {
            active.power = active.power.towards(to, at_ns, over_ns);
        }
    }

    /// Bends the time of the active order, if it is the one that is meant.
    fn keep_time(&mut self, start_ns: u64, base: TimeBase) {
        if let Some(active) = &mut self.active
            && active.order.start_ns == start_ns
        {
            active.base = base;
        }
    }

    /// Ends the active order at once and forgets what waits.
    pub(in crate::hardware) fn drop_load(&mut self) -> Option<Active> {
        self.queue.clear();
        self.active.take()
    }

    /// The next change that time has brought by `now`; call until none is left.
    pub(in crate::hardware) fn advance(&mut self, now_ns: u64) -> Option<Change> {
        self.obey_lease(now_ns);
        if let Some(until) = self.until_ns()
            && until <= now_ns
        {
            return self.active.take().map(|active| Change::Ended(active, until));
        }
        while self.active.is_none() && self.next_start_ns().is_some_and(|start| start <= now_ns) {
            let (serial, order) = self.queue.pop_front()?;
            let overtaken = self.next_start_ns().is_some_and(|next| next <= now_ns);
            if order.end_ns > now_ns && !overtaken {
                let (scale, ceiling) = (self.scale, self.ceiling);
                let power = match order.power_scale {
                    Some(to) => Scale::default().towards(to, order.start_ns, 0),
                    None => Scale::default(),
                };
                let base = TimeBase::start(order.start_ns, order.drift_ppb);
                let ramp = None;
                self.active = Some(Active { order, serial, ramp, scale, ceiling, power, base });
                return Some(Change::Began);
            }
        }
        self.sink(now_ns);
        None
    }

    pub(in crate::hardware) fn active(&self) -> Option<&Active> {
        self.active.as_ref()
    }

    /// The order that comes next.
    pub(in crate::hardware) fn next(&self) -> Option<&LoadOrder> {
        self.queue.front().map(|(_, order)| order.as_ref())
    }

    pub(in crate::hardware) fn next_start_ns(&self) -> Option<u64> {
        self.next().map(|order| order.start_ns)
    }

    /// When the active order stops: at its end or where the next takes over.
    pub(in crate::hardware) fn until_ns(&self) -> Option<u64> {
        let end = self.active.as_ref()?.end_ns();
        Some(self.next_start_ns().map_or(end, |next| end.min(next)))
    }

    /// A command that the port sends, at the instant it came. The order that a drop ended
    /// is returned, to be closed.
    pub(in crate::hardware) fn apply(
        &mut self,
        at_ns: u64,
        serial: u64,
        command: &Command,
    ) -> Option<Active> {
        match command {
            Command::Begin(order) => {
                if !self.begin(serial, Arc::clone(order)) {
                    tracing::error!(start_ns = order.start_ns, "too many orders wait: refused");
                }
                None
            }
            Command::Ramp { over_ns } => {
                self.ramp(at_ns, *over_ns);
                None
            }
            Command::Scale { to, over_ns, no_rise } => {
                self.scale(at_ns, *to, *over_ns, *no_rise);
                None
            }
            Command::Power { to, over_ns } => {
                self.power(at_ns, *to, *over_ns);
                None
            }
            Command::Lease { expires_ns, ramp_ns } => {
                self.lease = Some((*expires_ns, *ramp_ns));
                None
            }
            Command::Time { start_ns, base } => {
                self.keep_time(*start_ns, *base);
                None
            }
            Command::Mix { .. } => None,
            Command::Drop => self.drop_load(),
        }
    }
}

/// A [`LoadCommand`] that many cores share.
#[derive(Debug, Clone)]
pub(in crate::hardware) enum Command {
    Begin(Arc<LoadOrder>),
    Ramp { over_ns: u64 },
    Scale { to: f64, over_ns: u64, no_rise: bool },
    Power { to: f64, over_ns: u64 },
    Lease { expires_ns: u64, ramp_ns: u64 },
    Mix { per_mille: u32 },
    Time { start_ns: u64, base: TimeBase },
    Drop,
}

impl Command {
    /// Whether a device that has nothing to do after it says so. What only changes how loads run
    /// is not answered: an idle that crosses the next order would be taken for that order's end.
    pub(in crate::hardware) fn is_answered_by_idle(&self) -> bool {
        match self {
            Self::Begin(_) | Self::Ramp { .. } | Self::Drop => true,
            Self::Scale { .. }
            | Self::Power { .. }
            | Self::Lease { .. }
            | Self::Mix { .. }
            | Self::Time { .. } => false,
        }
    }
}

impl From<LoadCommand> for Command {
    fn from(command: LoadCommand) -> Self {
        match command {
            LoadCommand::Begin(order) => Self::Begin(Arc::new(order)),
            LoadCommand::Ramp { over_ns } => Self::Ramp { over_ns },
            LoadCommand::Scale { to, over_ns, no_rise } => Self::Scale { to, over_ns, no_rise },
            LoadCommand::Power { to, over_ns } => Self::Power { to, over_ns },
            LoadCommand::Lease { expires_ns, ramp_ns } => Self::Lease { expires_ns, ramp_ns },
            LoadCommand::Mix { per_mille } => Self::Mix { per_mille },
            LoadCommand::Time { start_ns, base } => Self::Time { start_ns, base },
            LoadCommand::Drop => Self::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::load::{Kernel, Waveform};

    use super::*;

    fn order(start_ns: u64, end_ns: u64, level: f64) -> Arc<LoadOrder> {
        let waveform = Waveform::Hold { level };
        Arc::new(LoadOrder {
            kernel: Kernel::FmaF64,
            waveform,
            start_ns,
            end_ns,
            drift_ppb: 0,
            inject: None,
            power_scale: None,
        })
    }

    fn ended(change: Option<Change>) -> (u64, u64) {
        match change {
            Some(Change::Ended(active, at)) => (active.serial, at),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_order_takes_over_where_it_starts_and_the_old_one_stays_gone() {
        let mut programme = Programme::new();
        programme.begin(2, order(50, 80, 0.5));
        programme.begin(1, order(10, 100, 1.0));
        assert_eq!(programme.advance(9), None);
        assert_eq!(programme.advance(10), Some(Change::Began));
        assert_eq!(programme.until_ns(), Some(50));
        assert_eq!(ended(programme.advance(51)), (1, 50));
        assert_eq!(programme.advance(51), Some(Change::Began));
        assert_eq!(programme.active().unwrap().level_at(60), 0.5);
        assert_eq!(ended(programme.advance(90)), (2, 80));
        assert_eq!(programme.advance(95), None);
        assert!(programme.active().is_none());
    }

    #[test]
    fn a_missed_order_is_passed_over() {
        let mut programme = Programme::new();
        programme.begin(1, order(10, 20, 1.0));
        programme.begin(2, order(30, 90, 1.0));
        programme.begin(3, order(40, 90, 1.0));
        assert_eq!(programme.advance(50), Some(Change::Began));
        assert_eq!(programme.active().unwrap().serial, 3);
    }

    #[test]
    fn a_ramp_falls_from_the_present_level_and_forgets_what_waits() {
        let mut programme = Programme::new();
        programme.begin(1, order(0, 1_000, 0.8));
        programme.begin(2, order(500, 1_000, 1.0));
        assert_eq!(programme.advance(0), Some(Change::Began));
        programme.ramp(100, 200);
        let active = programme.active().unwrap();
        assert_eq!(active.level_at(100), 0.8);
        assert!((active.level_at(200) - 0.4).abs() < 1e-12);
        assert_eq!(active.level_at(400), 0.0);
        assert!((active.mean_level(100, 300) - 0.4).abs() < 0.01);
        assert_eq!(ended(programme.advance(300)), (1, 300));
        assert_eq!(programme.advance(600), None);
    }

    #[test]
    fn a_scale_holds_for_this_order_and_the_next_and_a_stop_begins_below_it() {
        let mut programme = Programme::new();
        programme.begin(1, order(0, 1_000, 0.8));
        programme.begin(2, order(500, 1_000, 1.0));
        assert_eq!(programme.advance(0), Some(Change::Began));
        programme.scale(100, 0.5, 100, false);
        assert!((programme.active().unwrap().level_at(150) - 0.6).abs() < 1e-12);
        assert!((programme.active().unwrap().level_at(300) - 0.4).abs() < 1e-12);
        assert_eq!(ended(programme.advance(500)), (1, 500));
        assert_eq!(programme.advance(500), Some(Change::Began));
        assert!((programme.active().unwrap().level_at(600) - 0.5).abs() < 1e-12);
        programme.ramp(600, 100);
        programme.scale(620, 1.0, 0, false);
        assert!((programme.active().unwrap().level_at(650) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn heat_comes_down_by_itself_when_its_lease_is_over_and_no_order_revives_it() {
        let mut programme = Programme::new();
        programme.begin(1, order(0, u64::MAX / 4, 0.8));
        let lease = |expires_ns| Command::Lease { expires_ns, ramp_ns: 1_000 };
        programme.apply(0, 2, &lease(5_000));
        assert_eq!(programme.advance(0), Some(Change::Began));
        programme.apply(4_000, 2, &lease(10_000));
        let over = 10_000 + LEASE_GRACE_NS;
        assert_eq!(programme.advance(over - 1), None);
        assert_eq!(programme.active().unwrap().level_at(over - 1), 0.8);
        assert_eq!(programme.advance(over + 500), None);
        assert!((programme.active().unwrap().level_at(over + 500) - 0.4).abs() < 1e-12);
        assert_eq!(ended(programme.advance(over + 1_000)), (1, over + 1_000));
        programme.begin(3, order(over + 2_000, u64::MAX / 4, 1.0));
        assert_eq!(programme.advance(over + 2_000), Some(Change::Began));
        assert_eq!(ended(programme.advance(over + 2_001)).0, 3, "nothing heats without a lease");
        programme.apply(over + 3_000, 4, &lease(over + 9_000));
        programme.begin(5, order(over + 3_000, u64::MAX / 4, 1.0));
        assert_eq!(programme.advance(over + 3_000), Some(Change::Began));
        assert_eq!(programme.advance(over + 4_000), None);
    }

    #[test]
    fn under_a_hold_no_level_rises_whatever_comes() {
        let mut programme = Programme::new();
        let waveform = Waveform::Square { low: 0.2, high: 0.8, period_ns: 200 };
        let square = LoadOrder {
            kernel: Kernel::FmaF64,
            waveform,
            start_ns: 0,
            end_ns: 1_000,
            drift_ppb: 0,
            inject: None,
            power_scale: None,
        };
        programme.begin(1, Arc::new(square));
        programme.begin(2, order(500, 1_000, 1.0));
        assert_eq!(programme.advance(0), Some(Change::Began));
        assert_eq!(programme.active().unwrap().level_at(10), 0.8);
        programme.scale(10, 1.0, 0, true);
        assert_eq!(programme.advance(150), None);
        assert_eq!(programme.active().unwrap().level_at(150), 0.2);
        assert_eq!(programme.active().unwrap().level_at(210), 0.2, "the wave stays down");
        assert_eq!(ended(programme.advance(500)), (1, 500));
        assert_eq!(programme.advance(500), Some(Change::Began));
        assert_eq!(programme.active().unwrap().level_at(600), 0.2, "and so does the next");
        programme.scale(600, 1.0, 100, false);
        assert!((programme.active().unwrap().level_at(650) - 0.6).abs() < 1e-12);
        assert_eq!(programme.active().unwrap().level_at(700), 1.0);
    }

    #[test]
    fn the_scale_of_a_load_that_holds_watts_is_its_own_and_the_coordinators_is_above_it() {
        let mut programme = Programme::new();
        let held = LoadOrder { power_scale: Some(0.4), ..order(0, 1_000, 0.5).as_ref().clone() };
        programme.begin(1, Arc::new(held));
        programme.begin(2, order(500, 1_000, 1.0));
        assert_eq!(programme.advance(0), Some(Change::Began));
        assert!((programme.active().unwrap().level_at(10) - 0.2).abs() < 1e-12);
        programme.power(100, 0.8, 100);
        assert!((programme.active().unwrap().level_at(300) - 0.4).abs() < 1e-12);
        programme.scale(300, 0.5, 0, false);
        assert!((programme.active().unwrap().level_at(300) - 0.25).abs() < 1e-12, "the lower one");
        assert_eq!(ended(programme.advance(500)), (1, 500));
        assert_eq!(programme.advance(500), Some(Change::Began));
        programme.power(510, 0.1, 0);
        assert!((programme.active().unwrap().level_at(600) - 0.5).abs() < 1e-12, "not inherited");
    }

    #[test]
    fn edges_follow_the_time_that_was_corrected() {
        let waveform = Waveform::Square { low: 0.0, high: 1.0, period_ns: 2_000_000_000 };
        let mut programme = Programme::new();
        programme
            .begin(1, Arc::new(LoadOrder { waveform, ..(*order(0, u64::MAX / 4, 1.0)).clone() }));
        assert_eq!(programme.advance(0), Some(Change::Began));
        let base = TimeBase { at_ns: 0, phase_ns: 0, drift_ppb: 0, slew_ns: 1_000_000 };
        programme.apply(0, 2, &Command::Time { start_ns: 7, base });
        assert_eq!(programme.active().unwrap().edge_after(0, 5), Some(1_000_000_000));
        programme.apply(0, 2, &Command::Time { start_ns: 0, base });
        let active = programme.active().unwrap();
        let edge = active.edge_after(0, 5).unwrap();
        assert!(edge.abs_diff(999_900_010) < 10, "{edge}");
        assert_eq!((active.level_at(edge - 10), active.level_at(edge + 10)), (1.0, 0.0));
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut programme = Programme::new();
        let taken = (0..100).filter(|i| programme.begin(*i, order(*i, 900, 1.0))).count();
        assert_eq!(taken, ORDERS_QUEUED_MAX);
        assert!(programme.drop_load().is_none());
        assert!(programme.next().is_none());
    }
}
