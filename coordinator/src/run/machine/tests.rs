//! The run machine against a list of stories. The lying network is in `tests/machines.rs`.

use std::collections::BTreeMap;

use super::*;

const MS: i64 = 1_000_000;
const S: i64 = 1_000 * MS;
const RAMP: i64 = 2 * S;
const LEASE: i64 = 3 * S;

/// A machine, the hall around it reduced to a clock and a list.
struct Story {
    machine: RunMachine,
    now_ns: i64,
    /// Everything that was said, with its instant.
    said: Vec<(i64, Action)>,
    /// Nodes that are heard of at every tick.
    alive: Vec<String>,
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("n{i}")).collect()
}

fn specs(nodes: &[String], seconds: &[i64]) -> Vec<PhaseSpec> {
    let spec = |(i, seconds): (usize, &i64)| PhaseSpec {
        name: format!("p{i}"),
        kind: "idle".to_owned(),
        duration_ns: (seconds * S) as u64,
        members: nodes.to_vec(),
        load: None,
        own_loads: BTreeMap::new(),
        traffic: None,
        loaded: false,
    };
    seconds.iter().enumerate().map(spec).collect()
}

impl Story {
    /// Begun at 0, nobody prepared yet.
    fn begun(count: usize, seconds: &[i64], first_phase: usize) -> Self {
        let nodes = names(count);
        let machine = RunMachine::new(specs(&nodes, seconds), &nodes, first_phase, RAMP, LEASE);
        let mut story = Self { machine, now_ns: 0, said: Vec::new(), alive: nodes };
        let actions = story.machine.begin(0);
        story.note(actions);
        story
    }

    /// Everybody prepared, every clock known: the first phase is armed.
    fn armed(count: usize, seconds: &[i64]) -> Self {
        let mut story = Self::begun(count, seconds, 0);
        for node in names(count) {
            story.prepared(&node);
        }
        story
    }

    /// The first phase has its instant: 1 s.
    fn going(count: usize, seconds: &[i64]) -> Self {
        let mut story = Self::armed(count, seconds);
        story.all_ready();
        story
    }

    fn note(&mut self, actions: Vec<Action>) {
        self.said.extend(actions.into_iter().map(|action| (self.now_ns, action)));
    }

    /// An event and the tick after it, which decides.
    fn tell(&mut self, event: Event) {
        for event in [event, Event::Tick] {
            let actions = self.machine.step(self.now_ns, event);
            self.note(actions);
        }
    }

    fn clock(&mut self, node: &str, exchanges: usize, error_ns: u64) {
        self.tell(Event::Clock { node: node.to_owned(), exchanges, error_ns });
    }

    fn only_prepared(&mut self, node: &str) {
        self.tell(Event::Prepared { node: node.to_owned(), ok: true, why: String::new() });
    }

    fn prepared(&mut self, node: &str) {
        self.clock(node, CLOCK_EXCHANGES_MIN, 100_000);
        self.only_prepared(node);
    }

    fn answer(&mut self, node: &str, why_not: Option<&str>) {
        let Some((phase, attempt, _)) = self.last_arm() else { panic!("nothing armed") };
        let (node, ok) = (node.to_owned(), why_not.is_none());
        let why = why_not.unwrap_or_default().to_owned();
        self.tell(Event::Ready { node, phase, attempt, ok, why });
    }

    fn all_ready(&mut self) {
        for node in self.last_arm().map(|(_, _, members)| members).unwrap_or_default() {
            self.answer(&node, None);
        }
    }

    /// Lets time pass in the hall's ticks; living nodes are heard of.
    fn wait_until(&mut self, until_ns: i64) {
        while self.now_ns < until_ns {
            self.now_ns = (self.now_ns + 20 * MS).min(until_ns);
            for node in self.alive.clone() {
                self.tell(Event::Seen { node });
            }
            self.tell(Event::Tick);
        }
    }

    fn silence(&mut self, node: &str) {
        self.alive.retain(|other| other != node);
    }

    fn last_arm(&self) -> Option<(usize, u32, Vec<String>)> {
        self.said.iter().rev().find_map(|(_, action)| match action {
            Action::Arm { phase, attempt, members, .. } => {
                Some((*phase, *attempt, members.to_vec()))
            }
            _ => None,
        })
    }

    /// Phase and instant of every start.
    fn starts(&self) -> Vec<(usize, i64)> {
        let start = |(_, action): &(i64, Action)| match action {
            Action::PhaseStarts { phase, start_ns } => Some((*phase, *start_ns)),
            _ => None,
        };
        self.said.iter().filter_map(start).collect()
    }

    fn lost(&self) -> Vec<(i64, &str, &str)> {
        self.said
            .iter()
            .filter_map(|(at, action)| match action {
                Action::Lost { node, why, .. } => Some((*at, node.as_str(), why.as_str())),
                _ => None,
            })
            .collect()
    }

    /// Drop or ramp of every stop that a node was told.
    fn stops(&self, node: &str) -> Vec<bool> {
        let stop = |(_, action): &(i64, Action)| match action {
            Action::Stop { node: to, drop, .. } if to == node => Some(*drop),
            _ => None,
        };
        self.said.iter().filter_map(stop).collect()
    }

    fn end(&self) -> Option<(i64, End)> {
        self.said.iter().find_map(|(at, action)| match action {
            Action::Ended(end) => Some((*at, end.clone())),
            _ => None,
        })
    }

    /// Everybody idle, closed and stored: what is left of a run that goes well.
    fn wind_up(&mut self) {
        for node in names(self.machine.members.len()) {
            self.tell(Event::Idle { node });
        }
        for node in names(self.machine.members.len()) {
            self.tell(Event::Closed { node, last_seq: 0 });
        }
        self.tell(Event::Tick);
    }
}

#[test]
fn a_run_goes_from_prepare_to_its_end() {
    let mut story = Story::begun(2, &[5], 0);
    let prepare = |node: &str| (0, Action::Prepare { node: node.to_owned() });
    assert_eq!(story.said, [prepare("n1"), prepare("n2")]);
    story.prepared("n1");
    assert_eq!(story.last_arm(), None, "n2 did not prepare yet");
    story.prepared("n2");
    assert_eq!(story.last_arm(), Some((0, 1, names(2))));
    story.answer("n1", None);
    assert_eq!(story.starts(), [], "n2 is not ready yet");
    story.answer("n2", None);
    assert_eq!(story.starts(), [(0, GO_LEAD_NS)]);
    story.wait_until(6 * S);
    assert!(story.said.contains(&(6 * S, Action::PhaseCompleted { phase: 0 })));
    assert_eq!(story.stops("n1"), [false]);
    assert!(!story.machine.may_heat("n1"), "no lease behind the last phase");
    story.wind_up();
    assert_eq!(story.end(), Some((6 * S, End::Finished)));
}

#[test]
fn phases_go_back_to_back_when_ready_comes_in_time() {
    let mut story = Story::going(3, &[5, 2, 10, 1]);
    for phase in 1..4 {
        let (_, before) = story.starts()[phase - 1];
        let end_ns = before + story.machine.phases[phase - 1].duration_ns as i64;
        story.wait_until(before.max(end_ns - ARM_LEAD_NS) + 20 * MS);
        assert_eq!(story.last_arm().map(|(armed, ..)| armed), Some(phase));
        story.all_ready();
    }
    assert_eq!(story.starts(), [(0, S), (1, 6 * S), (2, 8 * S), (3, 18 * S)]);
}

#[test]
fn a_late_ready_moves_the_start_and_never_into_the_past() {
    let mut story = Story::going(2, &[5, 5]);
    story.wait_until(5_600 * MS);
    story.all_ready();
    assert_eq!(story.starts()[1], (1, 6_600 * MS), "0.4 s before the end: a whole lead from now");
    let mut story = Story::going(2, &[5, 5]);
    story.wait_until(9 * S);
    story.all_ready();
    assert_eq!(story.starts()[1], (1, 10 * S));
}

#[test]
fn a_node_that_is_never_ready_is_left_behind_at_the_deadline() {
    let mut story = Story::armed(3, &[5]);
    story.answer("n1", None);
    story.answer("n3", None);
    story.wait_until(READY_DEADLINE_NS);
    assert_eq!(story.lost(), [(READY_DEADLINE_NS, "n2", "was not ready in time")]);
    let without = vec!["n1".to_owned(), "n3".to_owned()];
    assert_eq!(story.last_arm(), Some((0, 2, without)), "the ring is made anew");
    story.all_ready();
    assert_eq!(story.starts(), [(0, READY_DEADLINE_NS + GO_LEAD_NS)]);
}

#[test]
fn a_ready_of_an_earlier_attempt_counts_for_nothing() {
    let mut story = Story::armed(3, &[5]);
    story.answer("n2", Some("port taken"));
    assert_eq!(story.lost(), [(0, "n2", "port taken")]);
    for node in ["n1", "n3"] {
        let (node, why) = (node.to_owned(), String::new());
        story.tell(Event::Ready { node, phase: 0, attempt: 1, ok: true, why });
    }
    story.answer("n1", None);
    assert_eq!(story.starts(), []);
    story.answer("n3", None);
    assert_eq!(story.starts().len(), 1);
}

#[test]
fn a_node_that_can_t_prepare_or_is_silent_is_lost_and_the_rest_goes_on() {
    let mut story = Story::begun(4, &[5], 0);
    for node in ["n1", "n2", "n3"] {
        story.clock(node, 5, 100_000);
    }
    let (node, why) = ("n1".to_owned(), "no memory".to_owned());
    story.tell(Event::Prepared { node, ok: false, why });
    story.only_prepared("n2");
    story.only_prepared("n3");
    story.silence("n4");
    story.wait_until(4 * S);
    let silent = "silent for longer than its lease";
    assert_eq!(story.lost(), [(0, "n1", "no memory"), (LEASE + 20 * MS, "n4", silent)]);
    assert!(!story.machine.may_heat("n4"));
    assert_eq!(story.last_arm(), Some((0, 1, vec!["n2".to_owned(), "n3".to_owned()])));
}

#[test]
fn who_never_prepares_is_left_behind_at_the_deadline() {
    let mut story = Story::begun(2, &[5], 0);
    story.prepared("n1");
    story.wait_until(PREPARE_DEADLINE_NS);
    assert_eq!(story.lost(), [(PREPARE_DEADLINE_NS, "n2", "did not prepare in time")]);
    assert_eq!(story.last_arm(), Some((0, 1, vec!["n1".to_owned()])));
}

#[test]
fn nobody_is_armed_whose_clock_is_not_known() {
    let mut story = Story::begun(2, &[5], 0);
    story.prepared("n1");
    story.only_prepared("n2");
    story.clock("n2", CLOCK_EXCHANGES_MIN - 1, 100_000);
    story.wait_until(PREPARE_DEADLINE_NS - 20 * MS);
    assert_eq!(story.last_arm(), None);
    story.wait_until(PREPARE_DEADLINE_NS);
    let why = "its clock was not known in time: 2 of 3 exchanges";
    assert_eq!(story.lost(), [(PREPARE_DEADLINE_NS, "n2", why)]);
    assert_eq!(story.last_arm(), Some((0, 1, vec!["n1".to_owned()])));
}

#[test]
fn an_uncertain_clock_is_waited_for_and_then_taken_as_it_is() {
    let mut story = Story::begun(2, &[5], 0);
    story.prepared("n1");
    story.only_prepared("n2");
    story.clock("n2", 40, CLOCK_ERROR_MAX_NS + 1);
    story.wait_until(CLOCK_PATIENCE_NS - 20 * MS);
    assert_eq!(story.last_arm(), None);
    let mut better = Story::begun(1, &[5], 0);
    better.only_prepared("n1");
    better.clock("n1", 40, CLOCK_ERROR_MAX_NS);
    assert_eq!(better.last_arm(), Some((0, 1, names(1))), "certain enough: at once");
    story.wait_until(CLOCK_PATIENCE_NS);
    assert_eq!(story.last_arm(), Some((0, 1, names(2))));
    assert_eq!(story.lost(), []);
}

fn gone(node: &str) -> Event {
    let (node, why) = (node.to_owned(), "left".to_owned());
    Event::Gone { node, reason: LossReason::AgentLeft, why }
}

#[test]
fn with_fewer_than_half_left_the_run_fails() {
    let mut story = Story::going(4, &[60]);
    story.tell(gone("n1"));
    story.tell(gone("n2"));
    assert_eq!(story.machine.state(), &State::Running, "half is enough");
    story.tell(gone("n3"));
    assert_eq!(story.stops("n4"), [false]);
    assert!(story.stops("n3").is_empty(), "lost nodes are not spoken to");
    story.wind_up();
    let why = "1 of 4 nodes are left, fewer than half; the last: n3, left".to_owned();
    assert_eq!(story.end(), Some((0, End::Failed { why })));
}

#[test]
fn a_refusal_is_not_lateness_and_its_words_end_the_run() {
    let mut story = Story::begun(2, &[5], 0);
    story.prepared("n1");
    story.prepared("n2");
    story.answer("n1", Some("all_gather needs GPUs"));
    story.answer("n2", Some("all_gather needs GPUs"));
    let reasons = story.said.iter().filter_map(|(_, action)| match action {
        Action::Lost { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [LossReason::Refused; 2]);
    story.wait_until(100 * MS);
    let Some((_, End::Failed { why })) = story.end() else { panic!("{:?}", story.said) };
    assert_eq!(why, "0 of 2 nodes are left, fewer than half; the last: n2, all_gather needs GPUs");
}

#[test]
fn the_last_node_that_is_lost_ends_the_run() {
    let mut story = Story::going(1, &[60]);
    story.tell(gone("n1"));
    story.wait_until(100 * MS);
    assert!(matches!(story.end(), Some((_, End::Failed { .. }))), "{:?}", story.said);
}

fn asked(drop: bool, who: &str) -> Event {
    Event::StopAsked { drop, who: who.to_owned() }
}

#[test]
fn a_stop_ramps_and_waits_for_idle() {
    let mut story = Story::going(2, &[60]);
    story.tell(Event::Idle { node: "n2".to_owned() });
    story.tell(asked(false, "ann"));
    assert_eq!((story.stops("n1"), story.stops("n2")), (vec![false], vec![false]));
    assert!(!story.machine.may_heat("n1"));
    story.tell(Event::Idle { node: "n1".to_owned() });
    let waits = matches!(story.machine.state(), State::Stopping { .. });
    assert!(waits, "n2 was idle before the stop, and may have heated since");
    story.wind_up();
    let how = End::Stopped { who: "ann".to_owned(), drop: false };
    assert_eq!(story.end(), Some((0, how)));
}

#[test]
fn a_stop_without_idle_ends_behind_ramp_and_grace() {
    let mut story = Story::going(2, &[60]);
    story.tell(asked(false, "ann"));
    story.wait_until(RAMP + IDLE_GRACE_NS);
    assert!(matches!(story.machine.state(), State::Closing { .. }));
    story.wait_until(RAMP + IDLE_GRACE_NS + CLOSE_DEADLINE_NS);
    assert!(story.end().is_some());
}

#[test]
fn a_drop_overtakes_a_ramp_and_a_ramp_no_drop() {
    let mut story = Story::going(1, &[60]);
    story.tell(asked(false, "ann"));
    story.tell(asked(false, "bob"));
    story.tell(asked(true, "cyd"));
    story.tell(asked(false, "dan"));
    assert_eq!(story.stops("n1"), [false, true]);
    story.wind_up();
    let how = End::Stopped { who: "ann".to_owned(), drop: true };
    assert_eq!(story.end(), Some((0, how)), "who began it, and that it was dropped");
}

#[test]
fn a_drop_in_the_last_ramp_makes_the_run_stopped() {
    let mut story = Story::going(1, &[5]);
    story.wait_until(6 * S + 20 * MS);
    story.tell(asked(true, "ann"));
    story.wind_up();
    let how = End::Stopped { who: "ann".to_owned(), drop: true };
    assert_eq!(story.end().map(|(_, end)| end), Some(how));
}

#[test]
fn a_limit_that_trips_aborts_with_a_ramp() {
    let mut story = Story::going(2, &[60]);
    story.tell(Event::LimitTripped { why: "n1/0: 95 C".to_owned() });
    assert_eq!(story.stops("n2"), [false]);
    story.tell(asked(true, "ann"));
    assert_eq!(story.stops("n2"), [false, true]);
    story.wind_up();
    let how = End::Aborted { why: "n1/0: 95 C".to_owned() };
    assert_eq!(story.end(), Some((0, how)), "the limit ended it, not the person");
}

fn shed(nodes: &[&str]) -> Event {
    let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
    Event::Shed { nodes, why: "interlock supply".to_owned() }
}

#[test]
fn a_shed_node_ramps_to_idle_and_the_rest_goes_on_without_it() {
    let mut story = Story::going(3, &[10, 10]);
    story.tell(shed(&["n2"]));
    story.tell(shed(&["n2"]));
    assert_eq!([story.stops("n1").len(), story.stops("n2").len()], [0, 1]);
    assert!(!story.machine.may_heat("n2") && story.machine.may_heat("n1"));
    story.tell(Event::Idle { node: "n2".to_owned() });
    story.wait_until(9 * S);
    assert_eq!(story.last_arm().map(|(_, _, members)| members).unwrap(), ["n1", "n3"]);
    story.all_ready();
    story.wait_until(20 * S);
    // It said its only Idle already.
    story.tell(asked(true, "ann"));
    story.tell(Event::Idle { node: "n1".to_owned() });
    story.tell(Event::Idle { node: "n3".to_owned() });
    assert!(matches!(story.machine.state(), State::Closing { .. }), "{:?}", story.machine.state());
    assert_eq!(story.lost(), []);
}

#[test]
fn a_node_that_is_shed_while_it_is_armed_is_armed_around() {
    let mut story = Story::armed(3, &[10]);
    story.answer("n1", None);
    story.tell(shed(&["n3"]));
    story.answer("n2", None);
    assert_eq!(story.last_arm().map(|(_, _, members)| members).unwrap(), ["n1", "n2"]);
    assert_eq!(story.starts(), []);
}

#[test]
fn a_run_of_which_everything_was_shed_is_aborted() {
    let mut story = Story::going(2, &[60]);
    story.tell(shed(&["n1", "n2"]));
    story.wind_up();
    assert!(matches!(story.end(), Some((_, End::Aborted { .. }))), "{:?}", story.end());
}

#[test]
fn an_interlock_that_drops_overtakes_a_ramp_and_aborts() {
    let mut story = Story::going(1, &[60]);
    let tripped = |drop| Event::Interlocked { drop, why: "interlock hot".to_owned() };
    story.tell(tripped(false));
    story.tell(tripped(true));
    assert_eq!(story.stops("n1"), [false, true]);
    story.wind_up();
    let how = End::Aborted { why: "interlock hot".to_owned() };
    assert_eq!(story.end(), Some((0, how)));
}

#[test]
fn closing_waits_until_every_batch_is_stored() {
    let mut story = Story::going(2, &[60]);
    story.tell(asked(false, "ann"));
    for node in names(2) {
        story.tell(Event::Idle { node });
    }
    assert!(story.said.contains(&(0, Action::Finish { node: "n2".to_owned() })));
    story.tell(Event::Stored { node: "n1".to_owned(), seq: 9 });
    story.tell(Event::Closed { node: "n1".to_owned(), last_seq: 9 });
    story.tell(Event::Closed { node: "n2".to_owned(), last_seq: 4 });
    story.tell(Event::Stored { node: "n2".to_owned(), seq: 3 });
    assert_eq!(story.end(), None);
    story.tell(Event::Stored { node: "n2".to_owned(), seq: 4 });
    assert!(story.end().is_some());
}

#[test]
fn what_is_never_stored_is_waited_for_once() {
    let mut story = Story::going(1, &[60]);
    story.tell(asked(false, "ann"));
    story.tell(Event::Idle { node: "n1".to_owned() });
    story.tell(Event::Closed { node: "n1".to_owned(), last_seq: 4 });
    story.silence("n1");
    story.wait_until(CLOSE_DEADLINE_NS - 20 * MS);
    assert_eq!(story.end(), None);
    story.wait_until(CLOSE_DEADLINE_NS);
    assert!(story.end().is_some());
}

#[test]
fn a_resumed_run_begins_at_its_phase() {
    let mut story = Story::begun(2, &[5, 6, 7], 1);
    story.prepared("n1");
    story.prepared("n2");
    assert_eq!(story.last_arm(), Some((1, 1, names(2))));
    story.all_ready();
    assert_eq!(story.starts(), [(1, GO_LEAD_NS)]);
}

#[test]
fn a_run_that_is_resumed_behind_its_last_phase_only_closes() {
    let mut story = Story::begun(2, &[5], 1);
    story.prepared("n1");
    story.prepared("n2");
    story.wind_up();
    assert_eq!(story.end(), Some((0, End::Finished)));
    assert_eq!(story.last_arm(), None);
}
