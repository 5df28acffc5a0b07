use super::*;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;

fn row(time_s: i64, point: &str, value: f64) -> MeterRow {
    MeterRow {
        time_ns: time_s * SECOND,
        domain: "pdu-1".to_owned(),
        point: point.to_owned(),
        value: Some(value),
        ..MeterRow::default()
    }
}

fn meters(rows: &[MeterRow]) -> Meters {
    let mut meters = Meters::default();
    meters.add_rows(rows);
    meters
}

#[test]
fn points_round_trip_and_units_are_converted() {
    for quantity in Quantity::ALL {
        for line in [Line::Whole, Line::L1, Line::L2, Line::L3] {
            let point = Point { quantity, line };
            assert_eq!(Point::of(&point.word()), Some(point));
        }
    }
    assert_eq!(Point::of("current_a.n"), None);
    let value = |word: &str, value, unit| Point::of(word).unwrap().value(value, unit);
    assert_eq!(value("power_kw", 1500.0, "W"), Ok(1.5));
    assert_eq!(value("supply_c", 86.0, "degF"), Ok(30.0));
    assert_eq!(value("flow_lpm", 2.0, "L/s"), Ok(120.0));
    assert_eq!(value("power_kw", 1.0, "hp"), Err(Refusal::UnknownUnit));
    assert_eq!(value("power_kw", f64::INFINITY, ""), Err(Refusal::NotANumber));
    assert_eq!(value("power_kw", 1e300, ""), Err(Refusal::OutOfRange));
}

#[test]
fn what_is_no_value_is_counted_and_named() {
    let suspect = MeterRow { quality: Some("suspect".to_owned()), ..row(0, "power_kw", 1.0) };
    let unit = MeterRow { unit: Some("hp".to_owned()), ..row(0, "power_kw", 1.0) };
    let empty = MeterRow { value: None, ..row(0, "power_kw", 1.0) };
    let found = meters(&[suspect, unit, empty, row(0, "humidity", 40.0)]);
    assert!(found.is_empty());
    assert_eq!(found.readings(), 4);
    assert_eq!(found.refused().values().sum::<u64>(), 4);
    let names: Vec<_> = found.refused_where(Refusal::UnknownUnit).collect();
    assert_eq!(names, ["pdu-1 power_kw hp"]);
    assert_eq!(found.refused_where(Refusal::UnknownPoint).count(), 1);
}

#[test]
fn a_long_run_has_wider_bins_and_the_same_mean() {
    let rows: Vec<_> = (0..7200).map(|t| row(t, "power_kw", (t % 10) as f64)).collect();
    let meters = meters(&rows);
    let trace = meters.trace("pdu-1", Quantity::PowerKw, Line::Whole).unwrap();
    assert_eq!((trace.count(), trace.mean()), (7200, Some(4.5)));
    // 7,200 s in at most 512 bins: 16 s each.
    assert_eq!(trace.means(1).len(), 450);
    assert_eq!(trace.mean_between(0, 160 * SECOND - 1), Some(4.5));
    assert_eq!(trace.mean_between(1, 2), None);
}

#[test]
fn meters_that_are_read_at_different_instants_are_paired() {
    let mut rows = Vec::new();
    for step in 0..20 {
        rows.push(row(step * 10, "power_kw", step as f64));
        rows.push(row(step * 10 + 5, "voltage_v", 240.0 - step as f64));
    }
    let meters = meters(&rows);
    let trace = |quantity| meters.trace("pdu-1", quantity, Line::Whole).unwrap();
    let [power, volts] = paired([trace(Quantity::PowerKw), trace(Quantity::VoltageV)], 1);
    assert!(power.len() >= 8 && power.len() == volts.len(), "{}", power.len());
    let never = Trace::default();
    assert_eq!(paired([trace(Quantity::PowerKw), &never], 1), [vec![], vec![]]);
}

fn any_row() -> impl Strategy<Value = MeterRow> {
    let point = prop::sample::select(vec!["power_kw", "voltage_v.l1", "supply_c", "x.y", ""]);
    let unit = prop::option::of(prop::sample::select(vec!["kW", "V", "C", "furlong"]));
    let value = prop_oneof![4 => (0.0f64..500.0).prop_map(Some), 1 => any::<f64>().prop_map(Some), 1 => Just(None)];
    let time = prop_oneof![3 => 0i64..5_000_000_000_000, 1 => any::<i64>()];
    let quality = prop::option::of(prop::sample::select(vec!["good", "suspect"]));
    let domain = prop::sample::select(vec!["pdu-1", "pdu-2", "loop-1"]);
    (time, domain, point, value, unit, quality).prop_map(
        |(time_ns, domain, point, value, unit, quality)| MeterRow {
            time_ns,
            domain: domain.to_owned(),
            point: point.to_owned(),
            value,
            unit: unit.map(str::to_owned),
            quality: quality.map(str::to_owned),
            clock_error_ms: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn order_and_grouping_do_not_show(
        rows in prop::collection::vec(any_row(), 0..1500),
        cut in 0usize..1500,
    ) {
        let whole = meters(&rows);
        let cut = cut.min(rows.len());
        let mut merged = meters(&rows[cut..]);
        merged.merge(meters(&rows[..cut]));
        let mut backwards = rows.clone();
        backwards.reverse();
        prop_assert_eq!(&whole, &merged);
        prop_assert_eq!(&whole, &meters(&backwards));
        for (_, traces) in whole.domains() {
            for trace in traces.values() {
                prop_assert!(trace.means(1).len() <= BINS_MAX);
                prop_assert!(trace.seconds() >= 1.0);
            }
        }
    }
}
