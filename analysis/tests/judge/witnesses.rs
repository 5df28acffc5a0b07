//! Each witness on a table of small scenarios: what was changed, what must be found.

use model::facts::{LossReason, NodeLoss, RunEnd};
use model::finding::{Finding, FindingKind, Standing, Suspect};
use model::plan::Requirement;
use model::record::{EventKind, Loss, MeterReading, Record, Records};
use model::{Blame, NodeName, Reading, Report, Severity, Verdict};

use crate::judge;
use crate::scenario::{self, Scenario, node};

/// Judges a healthy fleet after a change.
fn after(nodes: u32, change: impl FnOnce(&mut Scenario)) -> Report {
    let mut scenario = Scenario::healthy(nodes);
    change(&mut scenario);
    judge(&scenario)
}

fn of_kind(report: &Report, kind: FindingKind) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.kind == kind).collect()
}

fn value(report: &Report, what: &str, at: &str) -> Option<f64> {
    let mut lines = report.measured.iter().filter(|line| line.what == what && line.at.id == at);
    lines.next().map(|line| line.value)
}

fn is_open(report: &Report, what: &str) -> bool {
    report.not_measured.iter().any(|line| line.what == what)
}

#[test]
fn a_healthy_fleet_is_ready_and_says_what_it_did_not_measure() {
    for nodes in [2, 3, 5, 9] {
        let report = after(nodes, |_| {});
        assert_eq!(report.findings, [], "{nodes} nodes");
        assert_eq!((report.verdict, report.exit_code), (Verdict::Ready, 0), "{:?}", report.reasons);
        for what in ["power_w", "temp_c", "meters", "throttle", "domains"] {
            assert!(is_open(&report, what), "{what}");
        }
    }
}

#[test]
fn measured_values_are_what_was_put_in() {
    let report = after(2, |_| {});
    let close = |what: &str, at: &str, truth: f64| {
        let found = value(&report, what, at).unwrap_or_else(|| panic!("{what} at {at}"));
        assert!((found / truth - 1.0).abs() < 0.011, "{what}: {found} for {truth}");
    };
    close("gflops_fp64", "n1/0", 250.0);
    close("gflops_fp32", "n2/0", 500.0);
    close("bandwidth_stream_gb_per_s", "n1/0", 24.0);
    close("bandwidth_pair", "n1>n2", 2.684);
    // Two ranks: busbw = algbw; the slower rank takes 51 ms.
    close("busbw_all_reduce_67108864", "all", 67_108_864.0 / 0.051 / 1e9);
    close("rtt_idle_p50", "n1>n2", 35.0);
    close("rtt_loaded_p50", "all", 95.0);
    close("start_skew_max", "all", 41.0);
    close("start_skew_claimed_error", "all", 40.0);
    let max = report.measured.iter().find(|line| line.what == "rtt_idle_max").unwrap();
    assert_eq!(max.when.as_deref(), Some("2026-09-01T00:00:11.700Z"));
}

#[test]
fn one_wrong_block_condemns_its_device_and_core() {
    let report =
        after(2, |s| s.event(&node(1), EventKind::Sdc, "fp64", "3 of 1000").core = Some(5));
    let found = of_kind(&report, FindingKind::Sdc);
    let suspect = Suspect { core: Some(5), ..Suspect::new("device", "n2/0") };
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].suspect, found[0].blame), (&suspect, Blame::Device));
    assert_eq!((found[0].standing, found[0].severity), (Standing::Confirmed, Severity::Critical));
    assert_eq!((report.verdict, report.exit_code), (Verdict::NotReady, 1));
}

#[test]
fn a_mismatch_whose_event_was_lost_is_still_found() {
    let report = after(2, |s| {
        s.change(|node, record| {
            if let (true, Record::Work(work)) = (node.0 == "n2", record) {
                work.mismatches = u64::from(work.phase == "fp32");
            }
        });
    });
    assert_eq!(of_kind(&report, FindingKind::Sdc)[0].suspect, Suspect::new("device", "n2/0"));
}

#[test]
fn an_injected_fault_condemns_and_says_so_but_a_real_one_beside_it_counts_as_real() {
    let inject = |s: &mut Scenario| {
        let event = s.event(&node(0), EventKind::Sdc, "fp64", "bit 3");
        (event.core, event.injected) = (Some(1), true);
    };
    let report = after(2, inject);
    assert!(report.findings[0].injected && report.run.injected);
    assert_eq!(report.verdict, Verdict::NotReady);
    assert!(report.reasons[0].contains("injected"));
    let report = after(2, |s| {
        inject(s);
        s.event(&node(0), EventKind::Sdc, "fp64", "bit 4").core = Some(1);
    });
    assert!(!report.findings[0].injected && report.run.injected);
}

#[test]
fn slowness_needs_a_cohort_to_be_confirmed() {
    use Standing::{Confirmed, Watch};
    let table = [
        (2, 0.95, None),
        (2, 0.85, Some(Watch)),
        (3, 0.85, Some(Watch)),
        (4, 0.98, None),
        (4, 0.90, Some(Confirmed)),
        (9, 0.98, None),
        (9, 0.95, Some(Confirmed)),
    ];
    for (nodes, share, expected) in table {
        let report = after(nodes, |s| s.slow(&node(1), share));
        let found = of_kind(&report, FindingKind::DeviceSlow);
        assert_eq!(found.first().map(|f| f.standing), expected, "{nodes} nodes, {share}");
        assert!(found.iter().all(|f| f.suspect.id == "n2/0"));
        let condemned = expected == Some(Confirmed);
        assert_eq!(report.verdict == Verdict::NotReady, condemned, "{nodes} nodes, {share}");
    }
}

#[test]
fn among_unlike_devices_a_small_deficit_is_watched_and_a_gross_one_believed() {
    let table = [(0.9, 0.007, Standing::Watch), (0.75, 0.015, Standing::Confirmed)];
    for (share, spread, expected) in table {
        let report = after(4, |s| {
            s.slow(&node(0), share);
            s.slow(&node(1), 1.0 - spread);
            s.slow(&node(3), 1.0 + spread);
        });
        let found = of_kind(&report, FindingKind::DeviceSlow);
        let standings: Vec<_> = found.iter().map(|f| (f.suspect.id.as_str(), f.standing)).collect();
        assert_eq!(standings, [("n1/0", expected)], "{share}");
    }
}

#[test]
fn devices_of_another_model_are_no_cohort() {
    let report = after(5, |s| {
        s.slow(&node(0), 0.5);
        let slow = s.facts.nodes.get_mut(&node(0)).unwrap();
        slow.devices.insert(0, Some("older-cpu".to_owned()));
    });
    assert_eq!(report.findings, []);
}

#[test]
fn a_boot_id_tells_power_from_network() {
    let table: [(Option<&str>, &str, usize); 3] = [
        (Some("a"), "not power", 1),
        (Some("b"), "lost power", 1),
        (None, "can't be told apart", 2),
    ];
    for (after_loss, words, rivals) in table {
        let report = after(3, |s| {
            let facts = s.facts.nodes.get_mut(&node(2)).unwrap();
            facts.lost = Some(NodeLoss {
                at_unix_ns: scenario::START_NS,
                phase: "fp64".to_owned(),
                reason: LossReason::LeaseExpired,
                why: String::new(),
                boot_id_before: Some("a".to_owned()),
                boot_id_after: after_loss.map(str::to_owned),
                returned: after_loss.is_some(),
            });
        });
        let found = of_kind(&report, FindingKind::NodeLost);
        assert_eq!((found.len(), found[0].blame), (1, Blame::Host));
        assert!(found[0].evidence[1].contains(words), "{:?}", found[0].evidence);
        assert_eq!(found[0].cannot_exclude.len(), rivals);
        assert_eq!(report.verdict, Verdict::NotReady);
    }
}

#[test]
fn a_node_that_refused_is_told_with_its_reason_and_nothing_else_is_guessed() {
    let report = after(3, |s| {
        let facts = s.facts.nodes.get_mut(&node(2)).unwrap();
        facts.lost = Some(NodeLoss {
            at_unix_ns: scenario::START_NS,
            phase: "fp64".to_owned(),
            reason: LossReason::Refused,
            why: "all_gather needs GPUs on every node".to_owned(),
            boot_id_before: Some("a".to_owned()),
            boot_id_after: None,
            returned: false,
        });
    });
    let found = of_kind(&report, FindingKind::NodeLost);
    assert!(found[0].evidence[0].contains("(all_gather needs GPUs on every node)"), "{found:?}");
    assert!(found[0].evidence[1].contains("neither power nor network"), "{found:?}");
    assert!(found[0].cannot_exclude.is_empty());
}

#[test]
fn a_failed_transfer_is_the_hosts_unless_a_lost_node_explains_it() {
    let failed = |s: &mut Scenario| {
        s.event(&node(0), EventKind::DataPlaneFailed, "pairs", "transfer to n3: reset");
    };
    let report = after(3, failed);
    let found = of_kind(&report, FindingKind::HostIo);
    assert_eq!((found[0].standing, found[0].blame), (Standing::Confirmed, Blame::Host));
    let report = after(3, |s| {
        failed(s);
        let lost = s.facts.nodes.get_mut(&node(2)).unwrap();
        lost.lost = Some(NodeLoss {
            at_unix_ns: scenario::START_NS,
            phase: "pairs".to_owned(),
            reason: LossReason::SessionLost,
            why: String::new(),
            boot_id_before: None,
            boot_id_after: None,
            returned: false,
        });
    });
    let found = of_kind(&report, FindingKind::HostIo);
    assert_eq!(found[0].standing, Standing::Watch);
    assert!(found[0].cannot_exclude.contains(&Suspect::new("node", "n3")));
}

#[test]
fn a_wrong_collective_accuses_one_rank_or_the_fleet() {
    let wrong = |hit: u32| {
        after(4, move |s| {
            s.change(|_, record| {
                if let Record::Collective(window) = record {
                    window.wrong = u64::from(window.rank < hit);
                }
            });
        })
    };
    let one = wrong(1);
    assert_eq!(of_kind(&one, FindingKind::Sdc)[0].suspect, Suspect::new("node", "n1"));
    assert_eq!(of_kind(&one, FindingKind::Sdc)[0].cannot_exclude.len(), 3);
    let all = wrong(4);
    assert_eq!(of_kind(&all, FindingKind::Sdc).len(), 1);
    assert_eq!(of_kind(&all, FindingKind::Sdc)[0].suspect, Suspect::new("fleet", "all"));
    assert_eq!(of_kind(&all, FindingKind::Sdc)[0].cannot_exclude.len(), 4);
    let event = after(3, |s| {
        s.event(&node(1), EventKind::CollectiveWrong, "reduce", "element 7");
    });
    assert_eq!(of_kind(&event, FindingKind::Sdc)[0].suspect, Suspect::new("node", "n2"));
}

#[test]
fn a_slow_pair_is_watched_and_names_both_ends() {
    let slow = |nodes: u32| {
        after(nodes, |s| {
            s.change(|node, record| match record {
                Record::Transfer(t) if node.0 == "n1" && t.peer.0 == "n2" => t.seconds *= 3.0,
                _ => {}
            });
        })
    };
    let report = slow(3);
    let found = of_kind(&report, FindingKind::SlowNic);
    assert_eq!(found[0].suspect, Suspect::new("link", "n1>n2"));
    assert_eq!((found[0].standing, found[0].cannot_exclude.len()), (Standing::Watch, 2));
    assert_eq!(report.verdict, Verdict::Ready);
    assert_eq!(slow(2).findings, [], "two pairs have no usual speed");
}

#[test]
fn lost_probes_are_watched() {
    let report = after(2, |s| {
        s.change(|node, record| {
            if let (true, Record::Latency(latency)) = (node.0 == "n1", record) {
                latency.lost = 9;
            }
        });
    });
    let found = of_kind(&report, FindingKind::HostIo);
    assert_eq!((found.len(), found[0].standing), (1, Standing::Watch));
    assert_eq!(value(&report, "rtt_idle_lost", "n1>n2"), Some(9.0));
    assert_eq!(report.verdict, Verdict::Ready);
}

#[test]
fn an_event_without_a_device_accuses_no_device() {
    for kind in [EventKind::Sdc, EventKind::WorkerDied, EventKind::GuardTrip] {
        let report = after(2, |s| s.event(&node(0), kind, "fp64", "somewhere").device = None);
        assert_eq!(report.findings[0].suspect, Suspect::new("node", "n1"), "{kind:?}");
    }
}

#[test]
fn a_device_with_fewer_cores_is_not_slow() {
    let report = after(4, |s| {
        s.slow(&node(0), 0.5);
        s.change(|node, record| {
            if let (true, Record::Work(work)) = (node.0 == "n1", record) {
                work.cores = 4;
            }
        });
    });
    assert_eq!(report.findings, []);
}

#[test]
fn dead_workers_and_guard_trips_are_device_errors() {
    for kind in [EventKind::WorkerDied, EventKind::GuardTrip] {
        let report = after(2, |s| {
            s.event(&node(0), kind, "fp64", "signal 9");
        });
        let found = of_kind(&report, FindingKind::DeviceError);
        assert_eq!((found.len(), found[0].standing), (1, Standing::Confirmed));
        assert_eq!(report.verdict, Verdict::NotReady, "the run state did not say aborted");
    }
    let report = after(2, |s| {
        s.event(&node(0), EventKind::GuardTrip, "fp64", "91 C");
        s.facts.end = RunEnd::Aborted { why: "guard on n1/0".to_owned() };
    });
    assert_eq!((report.verdict, report.exit_code), (Verdict::Aborted, 5));
    assert_eq!(of_kind(&report, FindingKind::DeviceError).len(), 1);
}

#[test]
fn our_own_failures_are_minor_and_ours() {
    type Change = fn(&mut Scenario);
    let table: [(&str, Change); 7] = [
        ("unexplained gap", |s| {
            s.batches.retain(|b| !(b.node.0 == "n1" && b.seq == 1));
        }),
        ("gave up", |s| {
            let loss = Loss {
                instance: String::new(),
                time_ns: 0,
                from_seq: 9,
                to_seq: 9,
                records: 1,
                why: "spool full".to_owned(),
            };
            s.facts.nodes.get_mut(&node(0)).unwrap().batches_made.clear();
            s.say(&node(0), Record::Loss(loss));
        }),
        ("known to 2.00 ms", |s| s.facts.starts[0].claimed_error_ns = 2_000_000),
        ("stranger", |s| {
            s.event(&node(0), EventKind::DataPlaneRefused, "pairs", "from 192.0.2.7");
        }),
        ("did not answer in time", |s| {
            s.change(|_, record| {
                if let Record::Sample(sample) = record {
                    sample.clock_mhz = Reading::Absent(model::Absence::TimedOut);
                }
            });
        }),
        ("no numbers", |s| {
            s.change(|_, record| {
                if let Record::Sample(sample) = record {
                    sample.clock_mhz = Reading::Value(f64::NAN);
                }
            });
        }),
        ("somebody else", |s| {
            s.event(&node(0), EventKind::Busy, "fp64", "pid 7 python");
        }),
    ];
    for (words, change) in table {
        let report = after(2, change);
        assert!(!report.findings.is_empty(), "{words}");
        for finding in &report.findings {
            let graded = (finding.kind, finding.blame, finding.severity);
            let own = (FindingKind::Instrument, Blame::Instrument, Severity::Minor);
            assert_eq!(graded, own, "{words}");
        }
        let told = report.findings.iter().flat_map(|f| &f.evidence).any(|l| l.contains(words));
        assert!(told, "{words}: {:?}", report.findings);
    }
}

#[test]
fn what_a_plan_requires_and_lacks_is_inconclusive_with_the_reason() {
    use Requirement::{Collective, Compute, DataPlane, Meters, Power, Temperature};
    type Change = fn(&mut Scenario);
    let nothing: Change = |_| {};
    let table: [(Requirement, &str, Change); 8] = [
        (Power, "no such sensor", nothing),
        (Temperature, "may not be read", nothing),
        (Meters, "no meter", nothing),
        (Collective, "not every rank", |s| {
            s.change(|_, record| {
                if let Record::Collective(window) = record {
                    window.operations = u64::from(window.rank == 0);
                }
            });
        }),
        (Compute, "no work arrived from n1/0", |s| {
            remove(s, |record| matches!(record, Record::Work(_)), Some("n1"));
        }),
        (Compute, "never compared", |s| {
            s.change(|_, record| {
                if let Record::Work(work) = record {
                    work.verified -= 1;
                }
            });
        }),
        (DataPlane, "no transfer between n1-n2", |s| {
            remove(s, |record| matches!(record, Record::Transfer(_)), None);
        }),
        (DataPlane, "no round trip and no transfer", |s| {
            remove(s, |r| matches!(r, Record::Transfer(_) | Record::Latency(_)), None);
        }),
    ];
    for (requirement, words, change) in table {
        let report = after(2, |s| {
            s.plan.requires = [requirement].into();
            s.plan.least_seconds = 0.0;
            change(s);
        });
        assert_eq!((report.verdict, report.exit_code), (Verdict::Inconclusive, 3), "{words}");
        assert!(report.reasons.iter().any(|r| r.contains(words)), "{words}: {:?}", report.reasons);
        let relaxed = after(2, |s| {
            s.plan.requires.clear();
            s.plan.least_seconds = 0.0;
            change(s);
        });
        assert_eq!(relaxed.verdict, Verdict::Ready, "{words}");
        assert!(relaxed.not_measured.iter().any(|line| line.why.contains(words)), "{words}");
    }
}

#[test]
fn some_gaps_concern_every_plan() {
    type Change = fn(&mut Scenario);
    let table: [(&str, Change); 8] = [
        ("never joined", |s| s.facts.nodes.get_mut(&node(1)).unwrap().joined = false),
        ("under load for less", |s| s.plan.least_seconds = 81.0),
        ("did not run to their end", |s| {
            s.facts.phases_completed.pop();
        }),
        ("were lost", |s| s.batches.retain(|b| b.seq != 2)),
        ("suspended", |s| s.facts.end = RunEnd::Suspended),
        ("has not ended", |s| s.facts.end = RunEnd::Running),
        ("store is gone", |s| s.facts.end = RunEnd::Failed { why: "store is gone".to_owned() }),
        ("no node was planned", |s| {
            s.facts.nodes.clear();
            s.batches.clear();
        }),
    ];
    for (words, change) in table {
        let report = after(3, |s| {
            s.plan.requires.clear();
            change(s);
        });
        assert_eq!(report.verdict, Verdict::Inconclusive, "{words}");
        assert!(report.reasons.iter().any(|r| r.contains(words)), "{words}: {:?}", report.reasons);
    }
}

#[test]
fn a_stop_by_a_person_outranks_findings_and_keeps_them() {
    let report = after(2, |s| {
        s.event(&node(0), EventKind::Sdc, "fp64", "bit 9").core = Some(0);
        s.facts.end = RunEnd::Stopped { now: false };
    });
    assert_eq!((report.verdict, report.exit_code), (Verdict::Interrupted, 130));
    assert_eq!(of_kind(&report, FindingKind::Sdc).len(), 1);
}

#[test]
fn a_good_meter_counts_and_a_suspect_one_does_not() {
    for (quality, verdict) in [("good", Verdict::Ready), ("suspect", Verdict::Inconclusive)] {
        let report = after(2, |s| {
            s.plan.requires = [Requirement::Meters].into();
            let reading = MeterReading {
                time_ns: 0,
                domain: "pdu-a1".to_owned(),
                point: "power_kw".to_owned(),
                value: 12.5,
                unit: "kW".to_owned(),
                quality: quality.to_owned(),
                clock_error_ms: None,
            };
            let said = s.batches[0].clone();
            // The building speaks through the coordinator, which is no node.
            let (node, records) = (NodeName(String::new()), vec![Record::Meter(reading)]);
            s.batches.push(Records { node, records, ..said });
        });
        assert_eq!(report.verdict, verdict, "{quality}");
    }
}

#[test]
fn samples_on_a_clock_that_nobody_knows_are_told() {
    let report = after(3, |s| {
        for facts in s.facts.nodes.values_mut().skip(2) {
            facts.clock_unknown = true;
        }
    });
    let told = report.not_measured.iter().find(|line| line.what == "sample_times").unwrap();
    assert!(told.why.ends_with("rows of n3"), "{}", told.why);
    assert!(!is_open(&after(3, |_| {}), "sample_times"));
}

fn remove(s: &mut Scenario, which: impl Fn(&Record) -> bool, only: Option<&str>) {
    for batch in &mut s.batches {
        if only.is_none_or(|name| batch.node.0 == name) {
            batch.records.retain(|record| !which(record));
        }
    }
}
