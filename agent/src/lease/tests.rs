//! The lease against a list of stories, then against a lying network.

use proptest::prelude::*;

use super::*;

const TTL: u64 = 9 * NS_PER_S;
const RAMP: u64 = 2 * NS_PER_S;

fn key(lease: u32) -> LeaseKey {
    LeaseKey { run: RunId("run-1".to_owned()), lease: lease.to_string() }
}

fn granted(request: u64) -> Event {
    Event::Granted { key: key(1), request, ttl_ns: TTL, ramp_ns: RAMP }
}

/// Armed at 10 s (request 1), granted at 11 s: expires at 19 s.
fn held() -> Lease {
    let mut lease = Lease::new();
    lease.step(10 * NS_PER_S, Event::Arm(key(1)));
    lease.step(11 * NS_PER_S, granted(1));
    lease
}

#[test]
fn boots_idle_and_takes_no_grant_without_an_arm() {
    let mut lease = Lease::new();
    assert_eq!(lease.step(0, granted(1)), vec![]);
    assert_eq!(lease.heat(0), Heat::None);
    assert_eq!(lease.next_deadline(), None);
}

#[test]
fn counts_from_the_request_not_from_the_grant() {
    let mut lease = Lease::new();
    let asked = lease.step(10 * NS_PER_S, Event::Arm(key(1)));
    assert_eq!(asked, vec![Action::Request { key: key(1), request: 1 }]);
    assert_eq!(lease.heat(10 * NS_PER_S), Heat::None);
    let late = lease.step(18 * NS_PER_S, granted(1));
    assert_eq!(late[0], Action::HeatAllowed);
    assert_eq!(lease.heat(18 * NS_PER_S), Heat::Full { until_ns: 19 * NS_PER_S });
}

#[test]
fn a_grant_that_comes_after_its_end_buys_nothing() {
    let mut lease = Lease::new();
    lease.step(10 * NS_PER_S, Event::Arm(key(1)));
    lease.step(19 * NS_PER_S, granted(1));
    assert!(matches!(lease.state(), State::Armed { .. }));
}

#[test]
fn renews_every_third_of_the_ttl() {
    let mut lease = held();
    assert_eq!(lease.next_deadline(), Some(13 * NS_PER_S));
    let asked = lease.step(13 * NS_PER_S, Event::Tick);
    assert_eq!(asked, vec![Action::Request { key: key(1), request: 2 }]);
    assert_eq!(lease.next_deadline(), Some(16 * NS_PER_S));
    assert_eq!(lease.step(14 * NS_PER_S, granted(2)), vec![]);
    assert_eq!(lease.heat(14 * NS_PER_S), Heat::Full { until_ns: 22 * NS_PER_S });
}

#[test]
fn an_older_grant_never_shortens_a_newer_one() {
    let mut lease = held();
    lease.step(13 * NS_PER_S, Event::Tick);
    lease.step(16 * NS_PER_S, Event::Tick);
    lease.step(16 * NS_PER_S, granted(3));
    lease.step(17 * NS_PER_S, granted(2));
    assert_eq!(lease.heat(17 * NS_PER_S), Heat::Full { until_ns: 25 * NS_PER_S });
}

#[test]
fn a_doubled_or_foreign_or_invented_grant_changes_nothing() {
    let mut lease = held();
    let before = lease.state().clone();
    let longer = |key, request| Event::Granted { key, request, ttl_ns: TTL_MAX_NS, ramp_ns: RAMP };
    lease.step(12 * NS_PER_S, longer(key(1), 1));
    lease.step(12 * NS_PER_S, longer(key(1), 99));
    lease.step(13 * NS_PER_S, Event::Tick);
    lease.step(13 * NS_PER_S, longer(key(2), 2));
    assert_eq!(lease.state(), &before);
}

#[test]
fn a_lost_lease_ramps_over_its_own_ramp_and_stays_cold() {
    let mut lease = held();
    lease.step(13 * NS_PER_S, Event::Tick);
    let actions = lease.step(19 * NS_PER_S, Event::Tick);
    assert_eq!(actions, vec![Action::Ramp { over_ns: RAMP, why: End::LeaseLost }]);
    assert_eq!(lease.heat(20 * NS_PER_S), Heat::RampDown { until_ns: 21 * NS_PER_S });
    assert_eq!(lease.step(20 * NS_PER_S, granted(2)), vec![]);
    let over = lease.step(21 * NS_PER_S, Event::Tick);
    assert_eq!(over, vec![Action::MustBeIdle { why: End::LeaseLost }]);
    assert_eq!(lease.step(21 * NS_PER_S, granted(2)), vec![]);
    assert_eq!(lease.heat(21 * NS_PER_S), Heat::None);
}

#[test]
fn an_old_arm_is_spent_and_a_new_one_is_not() {
    let mut lease = held();
    lease.step(60 * NS_PER_S, Event::Tick);
    let spent = Action::Refused { key: key(1), why: Refusal::Spent };
    assert_eq!(lease.step(61 * NS_PER_S, Event::Arm(key(1))), vec![spent]);
    let fresh = lease.step(62 * NS_PER_S, Event::Arm(key(2)));
    assert!(matches!(fresh[..], [Action::Request { .. }]));
}

#[test]
fn a_grant_of_an_earlier_arm_does_not_feed_a_later_one() {
    let mut lease = Lease::new();
    lease.step(10 * NS_PER_S, Event::Arm(key(1)));
    lease.step(10 * NS_PER_S, Event::Stop { ramp_ns: None });
    lease.step(11 * NS_PER_S, Event::Arm(key(2)));
    let mixed = Event::Granted { key: key(2), request: 1, ttl_ns: TTL, ramp_ns: RAMP };
    lease.step(11 * NS_PER_S, mixed);
    assert_eq!(lease.heat(11 * NS_PER_S), Heat::None);
}

#[test]
fn an_agent_that_slept_through_the_ramp_drops() {
    let mut lease = held();
    let actions = lease.step(60 * NS_PER_S, granted(1));
    let why = End::LeaseLost;
    assert_eq!(actions, vec![Action::Drop { why }, Action::MustBeIdle { why }]);
    let mut lease = held();
    let actions = lease.step(20 * NS_PER_S, Event::Tick);
    assert_eq!(actions, vec![Action::Ramp { over_ns: NS_PER_S, why }]);
}

#[test]
fn nobody_stepped_and_heat_still_ends() {
    let lease = held();
    assert_eq!(lease.heat(19 * NS_PER_S), Heat::RampDown { until_ns: 21 * NS_PER_S });
    assert_eq!(lease.heat(21 * NS_PER_S), Heat::None);
}

#[test]
fn stop_ramps_and_drop_drops() {
    let stop = Event::Stop { ramp_ns: Some(NS_PER_S) };
    let ramp = Action::Ramp { over_ns: NS_PER_S, why: End::Stopped };
    assert_eq!(held().step(12 * NS_PER_S, stop), vec![ramp]);
    let own = Action::Ramp { over_ns: RAMP, why: End::Stopped };
    assert_eq!(held().step(12 * NS_PER_S, Event::Stop { ramp_ns: None }), vec![own]);
    let why = End::Dropped;
    let dropped = vec![Action::Drop { why }, Action::MustBeIdle { why }];
    assert_eq!(held().step(12 * NS_PER_S, Event::Drop), dropped);
    assert_eq!(Lease::new().step(12 * NS_PER_S, Event::Drop), dropped);
}

#[test]
fn arms_in_between_are_refused() {
    let mut lease = held();
    let busy = Action::Refused { key: key(2), why: Refusal::Busy };
    assert_eq!(lease.step(12 * NS_PER_S, Event::Arm(key(2))), vec![busy]);
    assert_eq!(lease.step(12 * NS_PER_S, Event::Arm(key(1))), vec![]);
    lease.step(12 * NS_PER_S, Event::Stop { ramp_ns: None });
    let ramping = Action::Refused { key: key(2), why: Refusal::Ramping };
    assert_eq!(lease.step(12 * NS_PER_S, Event::Arm(key(2))), vec![ramping]);
}

#[test]
fn an_arm_that_nobody_grants_is_forgotten() {
    let mut lease = Lease::new();
    lease.step(0, Event::Arm(key(1)));
    let mut requests = 0;
    while let Some(due) = lease.next_deadline() {
        requests += lease.step(due, Event::Tick).len();
    }
    assert_eq!(lease.state(), &State::Idle);
    assert_eq!(requests as u64, ARM_WAIT_MAX_NS / REQUEST_RETRY_NS);
}

#[test]
fn what_a_grant_may_say_is_bounded() {
    let mut lease = Lease::new();
    lease.step(0, Event::Arm(key(1)));
    let greedy = Event::Granted { key: key(1), request: 1, ttl_ns: u64::MAX, ramp_ns: u64::MAX };
    lease.step(1, greedy);
    let expected = State::Held { key: key(1), expires_ns: TTL_MAX_NS, ramp_ns: RAMP_MAX_NS };
    assert_eq!(lease.state(), &expected);
}

/// What travels, and when it arrives.
#[derive(Debug, Clone)]
struct Parcel {
    at_ns: u64,
    event: Event,
}

/// A coordinator that grants what reaches it, until it dies, over a network that loses,
/// doubles, reorders and delays.
#[derive(Debug, Clone)]
struct World {
    /// For each parcel in turn: delays of its copies; none means lost.
    network: Vec<Vec<u64>>,
    /// For each step in turn: how late the agent wakes.
    naps: Vec<u64>,
    ttl_ns: u64,
    ramp_ns: u64,
    coordinator_dies_ns: u64,
    /// Arms said by a person, some of them twice.
    arms: Vec<(u64, u32)>,
    stop_ns: u64,
}

fn worlds() -> impl Strategy<Value = World> {
    let ms = |range: std::ops::Range<u64>| range.prop_map(|ms| ms * 1_000_000);
    (
        prop::collection::vec(prop::collection::vec(ms(0..8_000), 0..3), 1..40),
        prop::collection::vec(ms(0..4_000), 1..40),
        ms(30..9_000),
        ms(0..3_000),
        ms(0..40_000),
        prop::collection::vec((ms(0..40_000), 0..3_u32), 1..5),
        ms(0..80_000),
    )
        .prop_map(|(network, naps, ttl_ns, ramp_ns, coordinator_dies_ns, arms, stop_ns)| {
            World { network, naps, ttl_ns, ramp_ns, coordinator_dies_ns, arms, stop_ns }
        })
}

/// What the judge knows: who asked when, what was granted, and where heat must end.
#[derive(Default)]
struct Judge {
    asked: Vec<(LeaseKey, u64, u64)>,
    granted: Vec<(LeaseKey, u64)>,
    full_until_ns: u64,
    arms_left: u32,
}

impl Judge {
    fn saw(&mut self, now_ns: u64, action: &Action) {
        match action {
            Action::Request { key, request } => self.asked.push((key.clone(), *request, now_ns)),
            Action::HeatAllowed => {
                assert!(self.arms_left > 0, "heat came back without a new arm");
                self.arms_left -= 1;
            }
            _ => {}
        }
    }

    fn asked_at(&self, key: &LeaseKey, request: u64) -> Option<u64> {
        let found = |(k, r, _): &&(LeaseKey, u64, u64)| k == key && *r == request;
        self.asked.iter().find(found).map(|(.., at)| *at)
    }

    fn check(&mut self, world: &World, lease: &Lease, now_ns: u64) {
        let in_time = |asked_ns: &u64| now_ns < asked_ns + world.ttl_ns;
        match lease.heat(now_ns) {
            Heat::Full { until_ns } => {
                let State::Held { key, .. } = lease.state() else { panic!("full heat, not held") };
                let ours = |(granted, asked): &(LeaseKey, u64)| granted == key && in_time(asked);
                assert!(self.granted.iter().any(ours), "full heat without a lease at {now_ns}");
                self.full_until_ns = self.full_until_ns.max(until_ns);
            }
            Heat::RampDown { until_ns } => {
                let limit_ns = self.full_until_ns + world.ramp_ns;
                assert!(now_ns < until_ns && until_ns <= limit_ns, "a ramp beyond its end");
            }
            Heat::None => {}
        }
    }
}

fn play(world: &World) {
    let mut lease = Lease::new();
    let mut judge = Judge::default();
    let mut parcels: Vec<Parcel> = Vec::new();
    let mut sent = 0;
    let mut post = |parcels: &mut Vec<Parcel>, at_ns: u64, event: Event| {
        let copies = &world.network[sent % world.network.len()];
        sent += 1;
        parcels.extend(copies.iter().map(|d| Parcel { at_ns: at_ns + d, event: event.clone() }));
    };
    for (at_ns, id) in &world.arms {
        post(&mut parcels, *at_ns, Event::Arm(key(*id)));
    }
    post(&mut parcels, world.stop_ns, Event::Stop { ramp_ns: None });
    judge.arms_left =
        world.arms.iter().map(|(_, id)| id).collect::<std::collections::BTreeSet<_>>().len() as u32;
    let mut now_ns = 0;
    for step in 0..400 {
        let arrives = parcels.iter().map(|parcel| parcel.at_ns).min();
        let due = lease.next_deadline().map(|due| due + world.naps[step % world.naps.len()]);
        let Some(next_ns) = arrives.into_iter().chain(due).min() else { break };
        // Between two calls nobody steps, and the judge still looks.
        for part in 0..4 {
            judge.check(world, &lease, now_ns + (next_ns.max(now_ns) - now_ns) * part / 4);
        }
        now_ns = now_ns.max(next_ns);
        let index = parcels.iter().position(|parcel| parcel.at_ns <= now_ns);
        let event = index.map_or(Event::Tick, |index| parcels.remove(index).event);
        for action in lease.step(now_ns, event) {
            judge.saw(now_ns, &action);
            let Action::Request { key, request } = action else { continue };
            if now_ns < world.coordinator_dies_ns {
                let asked_ns = judge.asked_at(&key, request).unwrap();
                judge.granted.push((key.clone(), asked_ns));
                let (ttl_ns, ramp_ns) = (world.ttl_ns, world.ramp_ns);
                post(&mut parcels, now_ns, Event::Granted { key, request, ttl_ns, ramp_ns });
            }
        }
        judge.check(world, &lease, now_ns);
    }
    let end_ns = now_ns.max(world.coordinator_dies_ns) + world.ttl_ns + world.ramp_ns;
    assert_eq!(lease.heat(end_ns), Heat::None, "heat outlived the coordinator");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_heat_without_a_lease_on_any_network(world in worlds()) {
        play(&world);
    }
}
