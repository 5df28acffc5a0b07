//! What a node says of its own supplies.

use model::record::{MeterReading, Record};

use crate::judge;
use crate::scenario::{START_NS, Scenario, node};

const SECOND: i64 = 1_000_000_000;

#[test]
fn what_a_node_draws_is_told_of_it_and_is_no_meter_of_the_building() {
    let mut scenario = Scenario::healthy(2);
    for (second, kw) in [(0, 5.0), (1, 6.0), (2, 7.0)] {
        let reading = MeterReading {
            time_ns: START_NS + second * SECOND,
            // Whatever an agent names, it speaks of its own node.
            domain: "pdu-a".to_owned(),
            point: "power_kw".to_owned(),
            value: kw,
            unit: "kW".to_owned(),
            quality: "good".to_owned(),
            clock_error_ms: None,
        };
        scenario.say(&node(1), Record::Meter(reading));
    }
    let report = judge(&scenario);
    let told = |what: &str| report.measured.iter().find(|line| line.what == what).unwrap();
    let (mean, most) = (told("power_input_kw_mean"), told("power_input_kw_max"));
    assert_eq!((mean.at.id.as_str(), mean.value, most.value), ("n2", 6.0, 7.0));
    let why = |what: &str| {
        let gap = report.not_measured.iter().find(|gap| gap.what == what);
        gap.map(|gap| gap.why.clone()).unwrap_or_default()
    };
    assert_eq!(why("meters"), "no meter of the building was read");
    assert!(why("power_input").ends_with("(1 of 2 nodes: n1)"), "{}", why("power_input"));
}
