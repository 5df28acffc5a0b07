//! What must hold for any evidence: no order, no split and no repetition shows, missing
//! data accuses nobody and accepts nothing, and no number makes the judge panic.

use analysis::Digest;
use model::finding::Blame;
use model::plan::Requirement;
use model::record::{
    Event, EventKind, Latency, Loss, MeterReading, Record, Sample, Start, Transfer, Work,
};
use model::{Absence, Kernel, LatencyHistogram, Reading, Records, Report, Verdict};
use proptest::prelude::*;

use crate::scenario::{Scenario, node};

/// A fleet with something to find of every sort.
fn troubled() -> Scenario {
    let mut scenario = Scenario::healthy(4);
    scenario.slow(&node(1), 0.8);
    for (core, text) in [(3, "a"), (4, "b"), (3, "c"), (3, "d"), (3, "e")] {
        scenario.event(&node(2), EventKind::Sdc, "fp32", text).core = Some(core);
    }
    scenario.event(&node(3), EventKind::DataPlaneFailed, "pairs", "reset");
    scenario
}

fn bytes(report: &Report) -> String {
    format!("{report:?}")
}

/// Judges batches that are spread over digests, each batch in one of them, some twice.
fn judge_spread(scenario: &Scenario, batches: &[Records], parts: usize, twice: &[bool]) -> Report {
    let mut digests: Vec<Digest> = (0..parts).map(|_| Digest::new(&scenario.plan)).collect();
    for (position, batch) in batches.iter().enumerate() {
        let digest = &mut digests[position % parts];
        digest.add(batch);
        if twice.get(position).copied().unwrap_or(false) {
            digest.add(batch);
        }
    }
    let mut whole = Digest::new(&scenario.plan);
    for digest in digests {
        whole.merge(digest).expect("each batch is in one digest");
    }
    analysis::judge(&scenario.terms(), &whole.finish(scenario.facts.clone()))
}

#[test]
fn one_batch_in_two_digests_is_refused_and_nothing_was_added() {
    let scenario = Scenario::healthy(2);
    let (mut a, mut b) = (Digest::new(&scenario.plan), Digest::new(&scenario.plan));
    a.add(&scenario.batches[0]);
    let before = a.clone();
    b.add(&scenario.batches[1]);
    b.add(&scenario.batches[0]);
    assert!(a.merge(b).is_err());
    assert_eq!(a, before);
}

#[test]
fn a_phase_that_no_plan_knows_does_not_grow_the_evidence() {
    let mut scenario = Scenario::healthy(2);
    let mut serial = 0;
    scenario.change(|_, record| {
        if let Record::Sample(sample) = record {
            serial += 1;
            sample.phase = format!("made up {serial}");
        }
    });
    let mut digest = Digest::new(&scenario.plan);
    scenario.batches.iter().for_each(|batch| digest.add(batch));
    let evidence = digest.finish(scenario.facts);
    // Seven phases of the plan at most, and the time outside of them.
    assert!(evidence.seen.nodes[&node(0)].devices[&0].len() <= 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn order_splits_and_repetition_change_no_byte(
        order in Just((0..28_usize).collect::<Vec<_>>()).prop_shuffle(),
        parts in 1_usize..5,
        twice in prop::collection::vec(any::<bool>(), 28),
    ) {
        let scenario = troubled();
        let straight = crate::judge(&scenario);
        let shuffled: Vec<Records> = order.iter().map(|i| scenario.batches[*i].clone()).collect();
        let spread = judge_spread(&scenario, &shuffled, parts, &twice);
        prop_assert_eq!(bytes(&straight), bytes(&spread));
    }

    #[test]
    fn missing_batches_accuse_only_the_instrument(
        kept in prop::collection::vec(any::<bool>(), 28),
    ) {
        let mut scenario = Scenario::healthy(4);
        let mut kept = kept.into_iter();
        let before = scenario.batches.len();
        scenario.batches.retain(|_| kept.next().unwrap_or(true));
        let report = crate::judge(&scenario);
        for finding in &report.findings {
            prop_assert_eq!(finding.blame, Blame::Instrument, "{:?}", finding);
            prop_assert!(!finding.condemns());
        }
        // One of 28 batches is more than may be lost.
        if scenario.batches.len() < before {
            prop_assert_eq!(report.verdict, Verdict::Inconclusive);
        }
    }

    #[test]
    fn missing_records_accuse_nobody_and_never_pass_for_what_is_required(
        seed in any::<u64>(),
        share in 0_u64..=100,
        absent in any::<bool>(),
    ) {
        let mut scenario = Scenario::healthy(4);
        scenario.plan.requires.insert(Requirement::Power);
        let mut state = seed | 1;
        let mut powered = [false; 4];
        for batch in &mut scenario.batches {
            let place = usize::from(batch.node.0.as_bytes()[1] - b'1');
            batch.records.retain_mut(|record| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let keep = (state >> 33) % 100 < share;
                if let (true, Record::Sample(sample)) = (keep, &mut *record) {
                    if !absent && place > 0 { sample.power_w = Reading::Value(300.0); }
                    let heats = !["idle", "reduce", "pairs"].contains(&sample.phase.as_str());
                    powered[place] |= heats && sample.power_w.value().is_some();
                }
                keep
            });
        }
        let report = crate::judge(&scenario);
        prop_assert!(report.findings.is_empty(), "{:?}", report.findings);
        // n1 never has power.
        prop_assert_eq!(report.verdict, Verdict::Inconclusive);
        let open: Vec<_> = report.not_measured.iter().filter(|l| l.what == "power_w").collect();
        prop_assert!(!open.is_empty());
        prop_assert!(!powered[0]);
    }

    #[test]
    fn no_number_panics_or_reaches_the_report(
        numbers in prop::collection::vec(odd_number(), 12),
        times in prop::collection::vec(any::<i64>(), 6),
        counts in prop::collection::vec(any::<u64>(), 6),
        picks in prop::collection::vec(0_usize..12, 1..40),
    ) {
        let mut scenario = Scenario::healthy(4);
        for (turn, pick) in picks.iter().enumerate() {
            let n = |i: usize| numbers[(pick + i) % 12];
            let t = |i: usize| times[(pick + i) % 6];
            let c = |i: usize| counts[(pick + i) % 6];
            let record = odd_record(turn, &n, &t, &c);
            scenario.say(&node(turn as u32 % 4), record);
        }
        scenario.facts.starts[0].offset_ns = times[0];
        scenario.facts.starts[0].commanded_unix_ns = times[1];
        scenario.facts.started_unix_ns = times[2];
        scenario.facts.ended_unix_ns = Some(times[3]);
        scenario.plan.least_seconds = numbers[0];
        let report = crate::judge(&scenario);
        prop_assert!(report.measured.iter().all(|line| line.value.is_finite()));
        let effects = report.findings.iter().filter_map(|finding| finding.effect.as_ref());
        for effect in effects {
            prop_assert!(effect.relative.is_none_or(f64::is_finite), "{effect:?}");
            prop_assert!(effect.absolute.is_none_or(f64::is_finite), "{effect:?}");
        }
        prop_assert_eq!(bytes(&report), bytes(&crate::judge(&scenario)));
    }
}

fn odd_number() -> impl Strategy<Value = f64> {
    let special = prop::sample::select(vec![
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        f64::MAX,
        f64::MIN_POSITIVE,
        1e-12,
    ]);
    prop_oneof![special, any::<f64>(), 0.0..1e12]
}

fn odd_record(
    turn: usize,
    n: &dyn Fn(usize) -> f64,
    t: &dyn Fn(usize) -> i64,
    c: &dyn Fn(usize) -> u64,
) -> Record {
    let phase = ["fp64", "rise", "pairs", "nowhere"][turn % 4].to_owned();
    let device = turn as u32 % 3;
    match turn % 7 {
        0 => Record::Work(Work {
            from_ns: t(0),
            to_ns: t(1),
            device,
            phase,
            kernel: Kernel::ALL[turn % 4],
            level: n(0),
            busy_ns: c(0),
            cores: c(1) as u32,
            flops: n(1),
            bytes: n(2),
            blocks: c(2),
            verified: c(3),
            mismatches: c(4),
        }),
        1 => Record::Sample(Sample {
            time_ns: t(0),
            device,
            phase,
            power_w: Reading::Value(n(0)),
            temp_c: Reading::Value(n(1)),
            clock_mhz: Reading::Absent(Absence::Failed),
            busy: Reading::Value(n(2)),
            gpu: None,
        }),
        2 => Record::Start(Start {
            phase,
            device,
            intended_ns: t(0),
            actual_ns: t(1),
            claimed_error_ns: c(0),
        }),
        3 => Record::Transfer(Transfer {
            time_ns: t(0),
            phase,
            round: 0,
            peer: node(1),
            source_port: 1,
            dest_port: 2,
            seconds: n(0),
            bytes: c(0),
            streams: 1,
            both_ways: false,
            retransmits: Reading::Value(c(1)),
            congestion: String::new(),
            via: None,
        }),
        _ => odd_rarity(turn, phase, n, t, c),
    }
}

/// What comes seldom.
fn odd_rarity(
    turn: usize,
    phase: String,
    n: &dyn Fn(usize) -> f64,
    t: &dyn Fn(usize) -> i64,
    c: &dyn Fn(usize) -> u64,
) -> Record {
    match turn % 7 {
        4 => Record::Loss(Loss {
            instance: String::new(),
            time_ns: t(0),
            from_seq: c(0),
            to_seq: c(1),
            records: c(2),
            why: "odd".to_owned(),
        }),
        5 => Record::Meter(MeterReading {
            time_ns: t(0),
            domain: String::new(),
            point: String::new(),
            value: n(0),
            unit: String::new(),
            quality: String::new(),
            clock_error_ms: Some(n(1)),
        }),
        _ if turn.is_multiple_of(2) => {
            let mut histogram = LatencyHistogram::default();
            histogram.record(c(0), t(0));
            Record::Latency(Latency {
                from_ns: t(0),
                to_ns: t(1),
                phase,
                peer: node(2),
                loaded: true,
                lost: c(1),
                histogram,
            })
        }
        _ => Record::Event(Event {
            time_ns: t(0),
            kind: EventKind::WorkerDied,
            phase,
            device: None,
            core: None,
            injected: false,
            text: "ä".repeat(400),
        }),
    }
}
