//! What devices felt: samples and their health.

use model::gauge::Gauge;
use model::record::{GpuSample, Health, Sample};

use super::reading::{count_from_wire, count_to_wire, reading_from_wire, reading_to_wire};
use crate::v1;

pub(super) fn sample_to_wire(sample: &Sample) -> v1::Sample {
    v1::Sample {
        time_ns: sample.time_ns,
        device: sample.device,
        phase: sample.phase.clone(),
        power_w: reading_to_wire(sample.power_w),
        temp_c: reading_to_wire(sample.temp_c),
        clock_mhz: reading_to_wire(sample.clock_mhz),
        busy: reading_to_wire(sample.busy),
        gpu: sample.gpu.as_deref().map(|gpu| Box::new(gpu_to_wire(gpu))),
    }
}

pub(super) fn sample_from_wire(sample: &v1::Sample) -> Sample {
    Sample {
        time_ns: sample.time_ns,
        device: sample.device,
        phase: sample.phase.clone(),
        power_w: reading_from_wire(sample.power_w.as_ref()),
        temp_c: reading_from_wire(sample.temp_c.as_ref()),
        clock_mhz: reading_from_wire(sample.clock_mhz.as_ref()),
        busy: reading_from_wire(sample.busy.as_ref()),
        gpu: sample.gpu.as_ref().map(|gpu| Box::new(gpu_from_wire(gpu))),
    }
}

fn gpu_to_wire(gpu: &GpuSample) -> v1::GpuSample {
    v1::GpuSample {
        mem_temp_c: reading_to_wire(gpu.mem_temp_c),
        margin_c: reading_to_wire(gpu.margin_c),
        power_limit_w: reading_to_wire(gpu.power_limit_w),
        energy_j: reading_to_wire(gpu.energy_j),
        sw_power_cap_s: reading_to_wire(gpu.sw_power_cap_s),
        sw_thermal_s: reading_to_wire(gpu.sw_thermal_s),
        hw_thermal_s: reading_to_wire(gpu.hw_thermal_s),
        power_brake_s: reading_to_wire(gpu.power_brake_s),
        clock_event_reasons: count_to_wire(gpu.clock_event_reasons),
        ecc_uncorrected: count_to_wire(gpu.ecc_uncorrected),
        xid: gpu.xid,
    }
}

fn gpu_from_wire(gpu: &v1::GpuSample) -> GpuSample {
    GpuSample {
        mem_temp_c: reading_from_wire(gpu.mem_temp_c.as_ref()),
        margin_c: reading_from_wire(gpu.margin_c.as_ref()),
        power_limit_w: reading_from_wire(gpu.power_limit_w.as_ref()),
        energy_j: reading_from_wire(gpu.energy_j.as_ref()),
        sw_power_cap_s: reading_from_wire(gpu.sw_power_cap_s.as_ref()),
        sw_thermal_s: reading_from_wire(gpu.sw_thermal_s.as_ref()),
        hw_thermal_s: reading_from_wire(gpu.hw_thermal_s.as_ref()),
        power_brake_s: reading_from_wire(gpu.power_brake_s.as_ref()),
        clock_event_reasons: count_from_wire(gpu.clock_event_reasons.as_ref()),
        ecc_uncorrected: count_from_wire(gpu.ecc_uncorrected.as_ref()),
        xid: gpu.xid,
    }
}

pub(super) fn health_to_wire(health: &Health) -> v1::Health {
    let gauge = |(gauge, value): &(Gauge, _)| v1::Gauge {
        what: gauge.word().to_owned(),
        value: reading_to_wire(*value),
    };
    v1::Health {
        time_ns: health.time_ns,
        device: health.device,
        phase: health.phase.clone(),
        gauges: health.gauges.iter().map(gauge).collect(),
    }
}

/// What a later version measures, and this one has no name for, is left out.
pub(super) fn health_from_wire(health: &v1::Health) -> Health {
    let gauge = |gauge: &v1::Gauge| {
        Some((Gauge::from_word(&gauge.what)?, reading_from_wire(gauge.value.as_ref())))
    };
    Health {
        time_ns: health.time_ns,
        device: health.device,
        phase: health.phase.clone(),
        gauges: health.gauges.iter().filter_map(gauge).collect(),
    }
}

#[cfg(test)]
mod tests {
    use model::{Absence, Reading};

    use super::*;

    #[test]
    fn a_gpus_sample_round_trips_with_every_bit_of_its_mask() {
        let gpu = GpuSample {
            energy_j: Reading::Value(123.25),
            clock_event_reasons: Reading::Value(u64::MAX),
            ecc_uncorrected: Reading::Absent(Absence::NotPermitted),
            xid: Some(79),
            ..GpuSample::default()
        };
        let sample = Sample { gpu: Some(Box::new(gpu)), ..Sample::default() };
        assert_eq!(sample_from_wire(&sample_to_wire(&sample)), sample);
    }

    #[test]
    fn a_gauge_of_tomorrow_is_left_out() {
        let known = (Gauge::RemapFailed, Reading::Value(1.0));
        let health =
            Health { time_ns: 1, device: 2, phase: "soak".to_owned(), gauges: vec![known] };
        let mut wire = health_to_wire(&health);
        wire.gauges.push(v1::Gauge { what: "of_tomorrow".to_owned(), value: None });
        assert_eq!(health_from_wire(&wire), health);
    }
}
