use proptest::prelude::*;

use super::super::reading::{Value, What};
use super::*;

const S: i64 = 1_000_000_000;

const SITE: &str = "schema = 1\nname = \"s\"\n[[domain]]\nkind = \"loop\"\nid = \"l1\"\n[[domain]]\n\
    kind = \"loop\"\nid = \"l2\"\n[[domain]]\nkind = \"pdu\"\nid = \"p1\"\n[[domain]]\n\
    kind = \"rack\"\nid = \"r1\"\n[[nodes]]\nnames = \"a[1-4]\"\n\
    domains = [\"l1\", \"p1\", \"r1\"]\n[[nodes]]\nnames = \"b[1-2]\"\ndomains = [\"l2\"]\n";

fn devices() -> Devices {
    ["a1", "a2", "a3", "a4", "b1"].map(|node| (node.to_owned(), vec![0, 1])).into()
}

fn of(rules: &str) -> Interlocks {
    let text = format!("schema = 1\n{rules}");
    let document = formats::interlocks::parse("i.toml", &text).unwrap();
    let site = formats::site::parse("site.toml", SITE).unwrap();
    Interlocks::new(&document, Some(&site), &devices()).unwrap()
}

const SUPPLY: &str = "[[rule]]\nname = \"supply\"\nsource = \"meter\"\npoint = \"supply_c\"\n\
    of = \"loop\"\nabove = 45\nclear = 43\nfor_seconds = 2\naction = \"shed\"\n";
const HOT: &str = "[[rule]]\nname = \"hot\"\nsource = \"device\"\nreading = \"temp_c\"\n\
    above = 80\naction = \"stop_drop\"\n";
const LOST: &str = "[[rule]]\nname = \"gone\"\nsource = \"agents\"\nlost = 3\nof = \"pdu\"\n\
    action = \"stop_drop\"\n";

fn supply(domain: &str, value: f64, read_ns: i64) -> Heard {
    let source = Source::Meter { domain: domain.to_owned(), point: "supply_c".to_owned() };
    Heard { source, value: Value::Number(value), read_ns, trusted: true }
}

fn temp(node: &str, device: u32, value: f64, read_ns: i64) -> Heard {
    let source = Source::Device { node: node.to_owned(), device, what: What::TempC };
    Heard { source, value: Value::Number(value), read_ns, trusted: true }
}

#[test]
fn a_reading_over_its_limit_trips_in_the_call_that_brings_it_and_once() {
    let mut interlocks = of(HOT);
    assert_eq!(interlocks.hear(S, &temp("a1", 1, 80.0, S)), []);
    let trips = interlocks.hear(2 * S, &temp("a1", 1, 80.5, 2 * S - 5));
    let [trip] = &trips[..] else { panic!("{trips:?}") };
    assert_eq!((trip.read_ns, trip.heard_ns, trip.value), (2 * S - 5, 2 * S, Some(80.5)));
    assert_eq!(trip.words(), "interlock hot (i.toml:3): a1/1 temp_c is 80.5, above 80");
    assert_eq!(interlocks.hear(3 * S, &temp("a1", 1, 90.0, 3 * S)), []);
    assert_eq!(interlocks.hear(3 * S, &temp("a2", 0, 90.0, 3 * S)).len(), 1, "another flag");
}

#[test]
fn a_limit_must_be_passed_for_its_time_and_hysteresis_keeps_it_passed() {
    let mut interlocks = of(SUPPLY);
    assert_eq!(interlocks.hear(0, &supply("l1", 46.0, 0)), []);
    assert_eq!(interlocks.tick(2 * S - 1), []);
    assert_eq!(interlocks.hear(S, &supply("l1", 44.0, S)), [], "between clear and limit");
    let trips = interlocks.tick(2 * S);
    assert_eq!(trips.len(), 1);
    assert_eq!((trips[0].domain.as_str(), trips[0].read_ns), ("loop l1", 2 * S));
    assert_eq!(trips[0].nodes, ["a1", "a2", "a3", "a4"]);
    let mut interlocks = of(SUPPLY);
    interlocks.hear(0, &supply("l1", 46.0, 0));
    interlocks.hear(S, &supply("l1", 43.0, S));
    assert_eq!(interlocks.tick(4 * S), [], "it came back in time");
}

#[test]
fn silence_trips_and_old_or_doubted_news_are_no_sign_of_life() {
    let mut interlocks = of(SUPPLY);
    interlocks.hear(0, &supply("l1", 30.0, 0));
    interlocks.hear(0, &supply("l2", 30.0, 0));
    for second in 1..=15 {
        // One meter says the same old thing again, the other one is doubted.
        let old = supply("l1", 30.0, 0);
        let doubted = Heard { trusted: false, ..supply("l2", 30.0, second * S) };
        assert_eq!(interlocks.hear(second * S, &old), []);
        assert_eq!(interlocks.hear(second * S, &doubted), []);
        assert_eq!(interlocks.tick(second * S), []);
    }
    let trips = interlocks.tick(15 * S + 1);
    let why: Vec<&str> = trips.iter().map(|trip| trip.why.as_str()).collect();
    let silent = |domain: &str| format!("loop {domain} supply_c is silent for more than 15 s");
    assert_eq!(why, [silent("l1"), silent("l2")]);
    assert_eq!((trips[0].value, trips[0].read_ns), (None, 15 * S));
}

#[test]
fn a_doubted_reading_over_the_limit_trips_and_one_of_hours_ago_does_not() {
    let rule = SUPPLY.replace("for_seconds = 2\n", "");
    let mut interlocks = of(&rule);
    assert_eq!(interlocks.hear(3_600 * S, &supply("l1", 50.0, 0)), []);
    let doubted = Heard { trusted: false, ..supply("l1", 50.0, 3_600 * S) };
    assert_eq!(interlocks.hear(3_600 * S, &doubted).len(), 1);
}

#[test]
fn neither_a_doubted_nor_an_older_reading_clears_a_limit() {
    for (trusted, read_ns) in [(false, S), (true, -S)] {
        let mut interlocks = of(SUPPLY);
        interlocks.hear(0, &supply("l1", 46.0, 0));
        let clear = Heard { trusted, ..supply("l1", 30.0, read_ns) };
        assert_eq!(interlocks.hear(S, &clear), []);
        assert_eq!(interlocks.tick(2 * S).len(), 1, "trusted: {trusted}, read at {read_ns}");
    }
}

#[test]
fn agents_lost_together_trip_and_one_by_one_over_an_hour_do_not() {
    let mut interlocks = of(LOST);
    for (at, node) in [(0, "a1"), (20, "a2"), (40, "a3"), (60, "a4")] {
        assert_eq!(interlocks.lose(at * S, node, true), []);
    }
    let mut interlocks = of(LOST);
    interlocks.lose(0, "a1", true);
    interlocks.lose(S, "b1", true);
    interlocks.lose(2 * S, "a4", false);
    assert_eq!(interlocks.lose(3 * S, "a2", true), []);
    let trips = interlocks.lose(10 * S, "a3", true);
    assert_eq!(trips.len(), 1);
    assert_eq!(trips[0].why, "3 agents of pdu p1 lost within 10 s, where 3 trip it");
}

#[test]
fn devices_of_a_lost_agent_are_not_silent() {
    let mut interlocks = of(HOT);
    for (node, indices) in devices() {
        for device in indices {
            interlocks.hear(0, &temp(&node, device, 50.0, 0));
        }
    }
    interlocks.lose(S, "a1", true);
    let trips = interlocks.tick(6 * S);
    assert_eq!(trips.len(), 8, "{trips:?}");
    assert!(trips.iter().all(|trip| !trip.source.starts_with("a1/")));
}

#[test]
fn nothing_begins_on_what_was_never_read_is_passed_or_silent() {
    let mut interlocks = of(SUPPLY);
    let never = "i.toml:3: the interlock supply has no reading of loop l1 supply_c: no heat";
    assert_eq!(interlocks.refusals(0)[0], never);
    interlocks.note(0, &supply("l1", 46.0, 0));
    interlocks.note(0, &supply("l2", 30.0, 0));
    assert!(interlocks.refusals(1)[0].contains("is beyond its limit"));
    interlocks.note(S, &supply("l1", 40.0, S));
    assert_eq!(interlocks.refusals(S), Vec::<String>::new());
    assert!(interlocks.refusals(16 * S)[0].contains("loop l2 supply_c is silent"));
    let allowed = of(&SUPPLY.replace("action", "unread = \"allow\"\naction"));
    assert_eq!(allowed.refusals(0), Vec::<String>::new());
}

#[test]
fn a_trip_stays_until_a_person_resumes_it_and_its_reading_is_back() {
    let rule = SUPPLY.replace("for_seconds = 2\n", "").replace("shed", "hold");
    let mut interlocks = of(&rule);
    assert_eq!(interlocks.hear(0, &supply("l1", 46.0, 0)).len(), 1);
    assert!(interlocks.holds());
    assert!(interlocks.reset(S, "supply").unwrap_err().contains("is not back yet"));
    interlocks.hear(S, &supply("l1", 40.0, S));
    assert!(interlocks.holds(), "a reading alone lifts nothing");
    assert!(interlocks.reset(30 * S, "supply").is_err(), "silent meanwhile");
    interlocks.hear(31 * S, &supply("l1", 40.0, 31 * S));
    assert_eq!(interlocks.reset(31 * S, "supply"), Ok(()));
    assert!(!interlocks.holds());
    assert_eq!(interlocks.hear(32 * S, &supply("l1", 46.0, 32 * S)).len(), 1, "it trips again");
}

#[test]
fn a_shed_takes_the_devices_domain_or_its_node() {
    let shed = HOT.replace("stop_drop", "shed");
    let nodes = |rules: &str, node: &str| {
        let mut interlocks = of(rules);
        interlocks.hear(0, &temp(node, 0, 99.0, 0)).remove(0).nodes
    };
    assert_eq!(nodes(&shed, "a2"), ["a2"]);
    let racks = shed.replace("action", "shed_by = \"rack\"\naction");
    assert_eq!(nodes(&racks, "a2"), ["a1", "a2", "a3", "a4"]);
    assert_eq!(nodes(&racks, "b1"), ["b1"], "it hangs on no rack");
}

#[test]
fn rules_that_can_not_be_watched_refuse_with_their_line() {
    let document = |rules: &str| {
        formats::interlocks::parse("i.toml", &format!("schema = 1\n{rules}")).unwrap()
    };
    let site = formats::site::parse("site.toml", SITE).unwrap();
    let refused = |rules: &str, site: Option<&Site>| {
        Interlocks::new(&document(rules), site, &devices()).unwrap_err().remove(0)
    };
    assert!(refused(SUPPLY, None).contains("i.toml:3: the interlock supply: every loop is"));
    assert!(refused(LOST, None).contains("give --site"));
    let unknown = SUPPLY.replace("of = \"loop\"", "of = \"loop=l9\"");
    assert!(refused(&unknown, Some(&site)).contains("the site has no loop l9"));
    let none = SUPPLY.replace("of = \"loop\"", "of = \"cdu\"");
    assert!(refused(&none, Some(&site)).contains("no cdu of the site has a node of this run"));
}

#[test]
fn throttle_trips_by_its_bits() {
    let rule = HOT.replace("\"temp_c\"\nabove = 80", "\"throttle\"\nreasons = [\"power_brake\"]");
    let mut interlocks = of(&rule);
    let bits = |bits| {
        let source = Source::Device { node: "a1".to_owned(), device: 0, what: What::Reasons };
        Heard { source, value: Value::Bits(bits), read_ns: 0, trusted: true }
    };
    assert_eq!(interlocks.hear(0, &bits(0x44)), []);
    assert_eq!(interlocks.hear(0, &bits(0x84))[0].why, "a1/0 throttle holds its clock down");
    assert_eq!(interlocks.watches()[0].reasons, 0x80);
}

proptest! {
    /// Whatever comes and however late it is looked at: a source over its limit for its time
    /// has tripped, and what was within its limit and alive all the time has not.
    #[test]
    fn no_passed_limit_is_missed_and_no_quiet_one_trips(
        readings in prop::collection::vec((0i64..3 * S, 30.0..60.0_f64), 1..40),
    ) {
        let mut interlocks = of(SUPPLY);
        let (mut now_ns, mut since_ns, mut tripped, mut must) = (0, None, false, false);
        for (wait_ns, value) in readings {
            now_ns += wait_ns;
            tripped |= !interlocks.tick(now_ns).is_empty();
            must |= since_ns.is_some_and(|since| now_ns - since >= 2 * S);
            tripped |= !interlocks.hear(now_ns, &supply("l1", value, now_ns)).is_empty();
            if value > 45.0 {
                since_ns.get_or_insert(now_ns);
            } else if value <= 43.0 {
                since_ns = None;
            }
            prop_assert_eq!(tripped, must || tripped && since_ns.is_some());
        }
    }
}
