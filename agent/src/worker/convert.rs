//! Pipe messages to and from the hardware port.

use model::gauge::Gauge;
use proto::convert::{ConvertError, load_from_wire};
use proto::v1;

use crate::hardware::{CoreWindow, Injection, LoadCommand, LoadOrder, LoadReport};
use crate::time_base::TimeBase;

/// A command for a device; `None` for commands of the data plane.
pub(super) fn load_command(
    command: &v1::worker_command::Kind,
) -> Result<Option<LoadCommand>, ConvertError> {
    use v1::worker_command::Kind;
    Ok(Some(match command {
        Kind::Load(order) => {
            let load = order.load.as_ref().ok_or(ConvertError::Missing("load"))?;
            let (kernel, waveform) = load_from_wire(load)?;
            let inject = order.inject.as_ref().map(|i| Injection {
                core: i.core,
                after_blocks: i.after_blocks,
                always: i.always,
            });
            let (start_ns, end_ns) = (order.start_ns, order.end_ns);
            let (drift_ppb, power_scale) = (order.drift_ppb, order.power_scale);
            LoadCommand::Begin(LoadOrder {
                kernel,
                waveform,
                start_ns,
                end_ns,
                drift_ppb,
                inject,
                power_scale,
            })
        }
        Kind::Ramp(ramp) => LoadCommand::Ramp { over_ns: ramp.over_ns },
        Kind::Scale(v1::WorkerScale { to, over_ns, no_rise }) => {
            LoadCommand::Scale { to: *to, over_ns: *over_ns, no_rise: *no_rise }
        }
        Kind::Power(power) => LoadCommand::Power { to: power.to, over_ns: power.over_ns },
        Kind::Lease(v1::WorkerLease { expires_ns, ramp_ns }) => {
            LoadCommand::Lease { expires_ns: *expires_ns, ramp_ns: *ramp_ns }
        }
        Kind::Mix(mix) => LoadCommand::Mix { per_mille: mix.per_mille },
        Kind::Time(time) => LoadCommand::Time {
            start_ns: time.start_ns,
            base: TimeBase {
                at_ns: time.at_ns,
                phase_ns: time.phase_ns,
                drift_ppb: time.drift_ppb,
                slew_ns: time.slew_ns,
            },
        },
        Kind::Drop(_) => LoadCommand::Drop,
        Kind::Traffic(_) | Kind::Listen(_) | Kind::NewId(_) => return Ok(None),
    }))
}

/// A device's report as it goes over the pipe.
pub(super) fn load_report(report: LoadReport) -> v1::WorkerReport {
    use v1::worker_report::Kind;
    let kind = match report {
        LoadReport::Started { intended_ns, actual_ns } => {
            Kind::Started(v1::WorkerStarted { intended_ns, actual_ns })
        }
        LoadReport::Window { kernel, from_ns, to_ns, level, cores } => {
            Kind::Window(v1::WorkerWindow {
                kernel: kernel.word().to_owned(),
                from_ns,
                to_ns,
                level,
                cores: cores.iter().map(core).collect(),
            })
        }
        LoadReport::Mismatch { at_ns, kernel, core, injected, detail } => {
            let kernel = kernel.word().to_owned();
            Kind::Mismatch(v1::WorkerMismatch { at_ns, kernel, core, injected, detail })
        }
        LoadReport::Idle { at_ns } => Kind::Idle(v1::WorkerIdle { at_ns }),
        LoadReport::Checksum { at_ns, key, value } => {
            Kind::Checksum(v1::WorkerChecksum { at_ns, key, value })
        }
        LoadReport::Failed { at_ns, code, text, refused } => {
            Kind::Failed(v1::WorkerFailed { at_ns, code, text, refused })
        }
        LoadReport::Gauges { at_ns, gauges } => {
            let gauge = |(gauge, value): (Gauge, f64)| v1::WorkerGauge {
                name: gauge.word().to_owned(),
                value,
            };
            let gauges = gauges.into_iter().map(gauge).collect();
            Kind::Gauges(v1::WorkerGauges { at_ns, gauges })
        }
        LoadReport::Note { at_ns, text } => Kind::Note(v1::WorkerNote { at_ns, text }),
    };
    v1::WorkerReport { kind: Some(kind) }
}

fn core(core: &CoreWindow) -> v1::WorkerCore {
    v1::WorkerCore {
        core: core.core,
        busy_ns: core.busy_ns,
        blocks: core.blocks,
        verified: core.verified,
        mismatches: core.mismatches,
        injected: core.injected,
        flops: core.flops,
        bytes: core.bytes,
    }
}
