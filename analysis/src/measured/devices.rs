//! Rates, duty and sensors of each device in each phase.

use model::finding::Suspect;
use model::report::Measured;
use model::{DeviceId, Gauge, Kernel};

use super::line;
use crate::case::{Case, device_suspect};
use crate::digest::device::DevicePhase;
use crate::digest::work::WorkEvidence;

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = Vec::new();
    for (node, evidence) in &case.seen.nodes {
        for (index, phases) in &evidence.devices {
            let at = device_suspect(&DeviceId { node: node.clone(), index: *index });
            for (phase, seen) in phases {
                for (kernel, work) in &seen.work {
                    lines.extend(rates(&at, phase, *kernel, work));
                }
                lines.extend(copies(&at, phase, seen));
                lines.extend(duty(&at, phase, seen));
                lines.extend(sensors(&at, phase, seen));
            }
        }
    }
    lines
}

/// Medians of the windows at full level.
fn rates(at: &Suspect, phase: &str, kernel: Kernel, work: &WorkEvidence) -> Option<Measured> {
    if kernel == Kernel::Copy {
        // Told for each way by its gauges.
        return None;
    }
    if kernel == Kernel::Stream {
        let rate = work.gb_per_s.median()?;
        return Some(line("bandwidth_stream_gb_per_s", at, Some(phase), rate, "GB/s"));
    }
    let what = format!("gflops_{}", kernel.word());
    Some(line(&what, at, Some(phase), work.gflops.median()?, "GFLOP/s"))
}

/// Copies between host and device: the slowest second of each way.
fn copies(at: &Suspect, phase: &str, seen: &DevicePhase) -> Vec<Measured> {
    let ways = [Gauge::CopyToDeviceGbS, Gauge::CopyFromDeviceGbS].into_iter();
    let line_of = |gauge: Gauge| {
        let (least, _) = seen.gauges.get(&gauge)?;
        Some(line(gauge.word(), at, Some(phase), *least, "GB/s"))
    };
    ways.filter_map(line_of).collect()
}

/// Share of the cores' time that was busy, and that was commanded, over all kernels.
fn duty(at: &Suspect, phase: &str, seen: &DevicePhase) -> Vec<Measured> {
    let mut whole = WorkEvidence::default();
    for work in seen.work.values() {
        whole.core_ns += work.core_ns;
        whole.busy_core_ns += work.busy_core_ns;
        whole.commanded_core_ns += work.commanded_core_ns;
    }
    let Some((achieved, commanded)) = whole.duty() else { return Vec::new() };
    vec![
        line("duty_achieved", at, Some(phase), achieved, "ratio"),
        line("duty_commanded", at, Some(phase), commanded, "ratio"),
    ]
}

fn sensors(at: &Suspect, phase: &str, seen: &DevicePhase) -> Vec<Measured> {
    let s = &seen.sensors;
    let all = [
        ("power_w", &s.power_w, "W"),
        ("temp_c", &s.temp_c, "C"),
        ("clock_mhz", &s.clock_mhz, "MHz"),
        ("busy_share", &s.busy, "ratio"),
    ];
    let mut lines = Vec::new();
    for (what, series, unit) in all {
        let (Some(median), Some((least, most))) = (series.values.median(), series.values.range())
        else {
            continue;
        };
        for (suffix, value) in [("p50", median), ("min", least), ("max", most)] {
            lines.push(line(&format!("{what}_{suffix}"), at, Some(phase), value, unit));
        }
    }
    lines
}
